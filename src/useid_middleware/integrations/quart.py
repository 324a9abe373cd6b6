"""Quart: ``current_user``, ``current_auth``, and a decorator for views that are for logged-in users."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from quart import abort, request
from werkzeug.local import LocalProxy

from ..errors import AuthenticationError
from ..sessions.auth import AnonymousUser, Credentials, User
from .demands import credentials_of, level_named, session_of

P = ParamSpec("P")
T = TypeVar("T")


def _user() -> User | AnonymousUser:
    session = credentials_of(request.scope).session
    return AnonymousUser() if session is None else User(session)


#: In views: who is logged in, or nobody (``is_authenticated`` says which) …
current_user: User | AnonymousUser = LocalProxy(_user)  # type: ignore[assignment]
#: … and what the session may do.
current_auth: Credentials = LocalProxy(lambda: credentials_of(request.scope))  # type: ignore[assignment]


def login_required(*, level: str = "") -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """A decorator for coroutine views: 401 for nobody, 403 below the ``level`` (``"L2"``), by Quart's own errors."""
    wanted = level_named(level) if level else None

    def decorate(view: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @wraps(view)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                session_of(request.scope, level=wanted)
            except AuthenticationError as error:
                abort(error.status_hint, error.message)
            return await view(*args, **kwargs)

        return guarded

    return decorate
