"""Litestar: guards. The plugin stands around the app, ``UseIDMiddleware(Litestar([…]), settings)``.

Litestar's own ``middleware=[…]`` is no place for it: it runs behind the routing, which knows none of our addresses.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler

from ..errors import AuthenticationError
from ..identity import Level
from .demands import level_named, session_of

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]


def logged_in(connection: Connection, handler: BaseRouteHandler) -> None:
    """A guard: 401 for nobody."""
    _judge(connection, level=None)


def level_reached(level: str) -> Callable[[Connection, BaseRouteHandler], None]:
    """A guard: 401 for nobody, 403 for sessions below the level (``"L2"``)."""
    wanted = level_named(level)

    def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        _judge(connection, level=wanted)

    return guard


def _judge(connection: Connection, *, level: Level | None) -> None:
    try:
        session_of(connection.scope, level=level)
    except AuthenticationError as error:
        refusal = NotAuthorizedException if error.status_hint == 401 else PermissionDeniedException
        raise refusal(error.message, extra={"code": error.code}) from None
