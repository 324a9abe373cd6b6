"""The plugin around an ASGI app: :class:`UseIDMiddleware`, :class:`UseIDRouter`, and :func:`login` / :func:`logout`.

The services behind it are :mod:`.plugin`'s.
"""

from typing import Any, Protocol

from .errors import ConfigurationError, RefusedError, UseIDError
from .events import Answered, Events
from .http.asgi import ASGIApp, Headers, Message, Receive, Scope, Send, route_path
from .http.lifespan import Lifespan
from .http.routing import not_found
from .identity import Identity
from .plugin import ANONYMOUS, NO_CREDENTIALS, UseID
from .sessions.auth import Credentials, User, current_session
from .sessions.cookie import SESSION_COOKIE
from .sessions.records import Session
from .settings import Settings
from .widget.unavailable import answer_error


class _Exchange:
    """One request of the host app: its ``send``, and what :func:`login` and :func:`logout` find in the scope."""

    __slots__ = ("_send", "headers", "useid")

    def __init__(self, useid: UseID, send: Send) -> None:
        self.useid = useid
        self.headers: Headers = []
        self._send = send

    async def send(self, message: Message) -> None:
        if self.headers and message["type"] == "http.response.start":
            # A copy: the app may answer everybody with one and the same message.
            message = {**message, "headers": [*message.get("headers", ()), *self.headers]}
        await self._send(message)


class UseIDMiddleware:
    """Every way to log in, in front of any ASGI app.

    ``UseIDMiddleware(app, settings=…, events=…)`` or ``Middleware(UseIDMiddleware, settings=…)``. A ready
    :class:`UseID` may be given instead; with ``routes=False`` it fills ``scope["user"]`` and ``scope["auth"]`` alone,
    for apps that mount :class:`UseIDRouter` themselves.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings | None = None,
        events: Events | None = None,
        *,
        useid: UseID | None = None,
        routes: bool = True,
    ) -> None:
        self.app = app
        self.useid = useid or UseID(settings, events)
        self._prefix = self.useid.settings.prefix
        self._below = self._prefix + "/" if routes else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        kind = scope["type"]
        if kind == "lifespan":
            await Lifespan(self.app, start=self.useid.start, stop=self.useid.stop)(scope, receive, send)
            return
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        useid = self.useid
        useid.proxies.apply(scope)
        try:
            if kind == "http" and self._below is not None:
                path = route_path(scope)
                if path.startswith(self._below):
                    below = path[len(self._prefix) :]
                    response = await useid.answer(scope, receive, path=below, prefix=self._prefix)
                    if response is not None:
                        await response(scope, receive, send)
                        return
            if not useid.is_running:
                await useid.start()
            await useid.authenticate(scope)
            refusal = useid.protection.judge(scope) if kind == "http" else None
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        except UseIDError as error:
            await useid.monitoring.note_error(error)
            if kind == "http":
                answer = answer_error(error, scope, settings=useid.settings, prefix=self._prefix)
                await answer(scope, receive, send)
            else:
                await _close_websocket(receive, send)
            return
        if kind == "websocket":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(useid, send)
        scope["useid"] = exchange
        await self.app(scope, receive, exchange.send)


class UseIDRouter:
    """The routes alone, to mount: ``Mount("/auth", app=UseIDRouter(useid))``; the prefix is the mount point."""

    def __init__(self, useid: UseID) -> None:
        self.useid = useid

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. A mounted app's lifespan does not run; the services start with the first request."""
        if scope["type"] != "http":
            await _close_websocket(receive, send)
            return
        self.useid.proxies.apply(scope)
        try:
            response = await self.useid.answer(scope, receive, path=route_path(scope), prefix="")
            if response is None:
                raise not_found()
            await response(scope, receive, send)
        except UseIDError as error:
            await self.useid.monitoring.note_error(error)
            answer = answer_error(error, scope, settings=self.useid.settings, prefix="")
            await answer(scope, receive, send)


class HasScope(Protocol):
    """A request object of a framework."""

    @property
    def scope(self) -> Any:
        """The ASGI scope."""


async def login(request: HasScope, identity: Identity) -> Session:
    """Log a user of the host app in (after its own password check, say); the response sets the cookie.

    Raises :class:`~.errors.RefusedError` when a listener refuses.
    """
    exchange = _exchange(request)
    try:
        made = await exchange.useid.log_in(request.scope, identity)
    except Answered:
        # Here the app answers itself; a listener that wants another answer than a login has said no to that.
        raise RefusedError from None
    request.scope["user"], request.scope["auth"] = User(made.session), Credentials(made.session)
    exchange.headers = made.headers
    return made.session


async def logout(request: HasScope) -> None:
    """End the request's session, if there is one; the response removes the cookie."""
    exchange = _exchange(request)
    session = current_session(request.scope)
    if session is not None:
        await exchange.useid.sessions.end(session, reason="logout")
    request.scope["user"], request.scope["auth"] = ANONYMOUS, NO_CREDENTIALS
    exchange.headers = [SESSION_COOKIE.clear(secure=exchange.useid.is_secure(request.scope))]


def _exchange(request: HasScope) -> _Exchange:
    exchange = request.scope.get("useid")
    if not isinstance(exchange, _Exchange):
        raise ConfigurationError("login() and logout() need UseIDMiddleware around the app that calls them")
    return exchange


async def _close_websocket(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1013})
