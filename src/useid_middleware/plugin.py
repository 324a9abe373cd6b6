"""The composition root: settings become services, services become routes, routes stand in front of the app.

:class:`UseID` holds the services of one process, :class:`UseIDMiddleware` puts them around an ASGI app,
:class:`UseIDRouter` serves them below a mount point, and :func:`login` / :func:`logout` are for the host app's own
handlers.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any, Protocol

from .accounts import create_accounts
from .accounts.base import Accounts
from .errors import AuthenticationError, ConfigurationError, RefusedError, UseIDError
from .events import Events, LoginCompleted, LoginFailed, LoginSucceeded
from .http.asgi import ASGIApp, Headers, Message, Receive, Scope, Send
from .http.lifespan import Lifespan
from .http.requests import Request, browser_name
from .http.responses import error_response
from .http.routing import Handler, Router, not_found
from .http.sse import EventStreams
from .identity import Identity
from .qr.device_routes import DeviceRoutes
from .qr.devices import DeviceService
from .qr.pages import PageRoutes
from .qr.routes import QRRoutes
from .qr.service import Locate, QRService
from .sessions.auth import AnonymousUser, Credentials, User, current_session
from .sessions.records import Login, Session
from .sessions.routes import SESSION_COOKIE, SessionRoutes
from .sessions.service import Sessions
from .settings import Settings
from .stores import create_store
from .stores.base import Clock, Store
from .stores.limits import Limits

_ANONYMOUS = AnonymousUser()
_NO_CREDENTIALS = Credentials(None)


class UseID:
    """The services of one process.

    ``clock`` and ``random_bytes`` are for tests; ``locate`` names the place of an IP address for the phone to show;
    ``store`` and ``accounts`` take the place of those that the settings name.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        events: Events | None = None,
        *,
        store: Store | None = None,
        accounts: Accounts | None = None,
        clock: Clock = time.time,
        locate: Locate = lambda ip: "",
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.settings = settings = settings if settings is not None else Settings()
        self.events = events = events if events is not None else Events()
        self.store = store = store or create_store(settings.store, key_prefix=settings.key_prefix, clock=clock)
        self.accounts = accounts = accounts or create_accounts(settings.accounts)
        self.sessions = Sessions(
            store=store, settings=settings.sessions, events=events, clock=clock, random_bytes=random_bytes
        )
        self.streams = EventStreams(retry=settings.sse.retry, adapter=_stream_adapter(settings))
        self.router = Router()
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = asyncio.Lock()
        self._mount(locate, random_bytes)

    def _mount(self, locate: Locate, random_bytes: Callable[[int], bytes]) -> None:
        """One block a feature; a further way to log in adds one here."""
        store, accounts, events, settings, clock = self.store, self.accounts, self.events, self.settings, self._clock
        limits = Limits(store=store, settings=settings)
        self.router.add(self._for_users(SessionRoutes(sessions=self.sessions, settings=settings).routes()))
        if settings.qr.enabled:
            logins = QRService(
                store=store,
                accounts=accounts,
                events=events,
                limits=limits,
                settings=settings,
                clock=clock,
                locate=locate,
                random_bytes=random_bytes,
            )
            qr = QRRoutes(
                service=logins,
                streams=self.streams,
                settings=settings,
                clock=clock,
                complete_login=self.complete_login,
                random_bytes=random_bytes,
            )
            devices = DeviceService(
                store=store,
                accounts=accounts,
                sessions=self.sessions,
                events=events,
                limits=limits,
                settings=settings,
                clock=clock,
                random_bytes=random_bytes,
            )
            phones = DeviceRoutes(service=devices, streams=self.streams, settings=settings, clock=clock)
            self.router.add(qr.routes())
            self.router.add(self._for_users(phones.routes()))
            self.router.add(PageRoutes(qr=qr, settings=settings, clock=clock).routes())

    def _for_users(self, routes: dict[str, Handler]) -> dict[str, Handler]:
        """Routes that ask who is logged in; the others need not look it up."""

        def wrap(handler: Handler) -> Handler:
            async def handle(request: Request) -> ASGIApp:
                await self.authenticate(request.scope)
                return await handler(request)

            return handle

        return {route: wrap(handler) for route, handler in routes.items()}

    @property
    def is_running(self) -> bool:
        """Whether the services are open in the event loop that asks."""
        return self._loop is not None and self._loop is asyncio.get_running_loop()

    async def start(self) -> None:
        """Open what must be open. Idempotent; runs by itself at the first request where no lifespan did."""
        async with self._starting:
            if self.is_running:
                return
            if self._loop is not None:
                await self.stop()  # Another event loop had them: a test client makes one for each block.
            await self.store.open()
            await self.accounts.open()
            self.streams.reopen()
            self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """Say goodbye to open streams and close what is open. Idempotent."""
        self._loop = None
        self._starting = asyncio.Lock()  # A lock belongs to the event loop that first waits for it.
        self.streams.drain()
        await self.store.close()
        await self.accounts.close()

    async def load_session(self, scope: Scope) -> Session | None:
        """The login session that the request's cookie (or, where allowed, bearer token) opens."""
        headers: Headers = scope["headers"]
        token = None
        for name, _ in headers:
            if name == b"cookie":
                token = SESSION_COOKIE.read(headers, secure=self.is_secure(scope))
                break
        if token is None and self.settings.sessions.bearer:
            authorization = dict(headers).get(b"authorization", b"").decode("latin-1")
            if authorization[:7].lower() == "bearer ":
                token = authorization[7:].strip()
        return await self.sessions.load(token) if token else None

    def is_secure(self, scope: Scope) -> bool:
        """Whether the browser speaks https with us."""
        if self.settings.origin is not None:
            return self.settings.origin.startswith("https:")
        return scope.get("scheme") in ("https", "wss")

    async def complete_login(self, request: Request, identity: Identity) -> Login:
        """The end of every feature's flow: a proven identity becomes a login session."""
        return await self.log_in(request.scope, identity)

    async def log_in(self, scope: Scope, identity: Identity) -> Login:
        """Ask the listeners, find or make the account, end the old session, begin a new one under a new id."""
        now = self._clock()
        client = scope.get("client")
        ip = client[0] if client else ""
        try:
            await self.events.emit(LoginSucceeded(now, identity, ip))
            account, _ = await self.accounts.resolve(identity, now=now)
        except RefusedError as error:
            await self.events.emit(LoginFailed(now, error.code, identity.provider))
            raise
        except LookupError:
            raise AuthenticationError("login_refused", "the account of this login does not exist any more") from None
        if not isinstance(scope.get("auth"), Credentials):
            await self.authenticate(scope)
        previous = current_session(scope)
        if previous is not None:
            await self.sessions.end(previous, reason="rotated")
        user_agent = dict(scope["headers"]).get(b"user-agent", b"").decode("latin-1")
        token, session = await self.sessions.create(account, identity, ip=ip, browser=browser_name(user_agent))
        await self.events.emit(LoginCompleted(now, account.id, session.id, session.level, identity.provider))
        max_age = int(self.settings.sessions.absolute_lifetime)
        cookie = SESSION_COOKIE.set(token, secure=self.is_secure(scope), max_age=max_age)
        return Login(session, token, [cookie])

    async def answer(self, scope: Scope, receive: Receive, *, path: str, prefix: str) -> ASGIApp | None:
        """The response to a request for ``path`` below ``prefix``, still to be sent; ``None`` where there is no route.

        Not sent here, so that an open event stream keeps neither this call nor the request.
        """
        found = self.router.match(scope["method"], path)
        if found is None:
            return None
        handler, params = found
        request = Request(scope, receive, prefix=prefix, origin=self.settings.origin, params=params)
        if request.method not in ("GET", "HEAD"):
            request.check_same_site()
        return await handler(request)

    async def authenticate(self, scope: Scope) -> None:
        """Fill ``scope["user"]`` and ``scope["auth"]``."""
        session = await self.load_session(scope)
        if session is None:
            scope["user"], scope["auth"] = _ANONYMOUS, _NO_CREDENTIALS
        else:
            scope["user"], scope["auth"] = User(session), Credentials(session)


def _stream_adapter(settings: Settings) -> Callable[[ASGIApp], ASGIApp] | None:
    if settings.sse.responder == "own":
        return None
    try:
        from .http.sse_starlette import EventSourceAdapter
    except ModuleNotFoundError:
        message = "sse.responder: sse-starlette is not installed; run pip install useid-middleware[sse-starlette]"
        raise ConfigurationError(message) from None
    return EventSourceAdapter


class _Exchange:
    """One request of the host app: its ``send``, and what :func:`login` and :func:`logout` find in the scope."""

    __slots__ = ("_send", "headers", "useid")

    def __init__(self, useid: UseID, send: Send) -> None:
        self.useid = useid
        self.headers: Headers = []
        self._send = send

    async def send(self, message: Message) -> None:
        if self.headers and message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *self.headers]
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
            useid = self.useid
            lifespan = Lifespan(self.app, start=useid.start, stop=useid.stop, drain=useid.streams.drain)
            await lifespan(scope, receive, send)
            return
        if kind not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        useid = self.useid
        try:
            if not useid.is_running:
                await useid.start()
            if kind == "http" and self._below is not None:
                path = route_path(scope)
                if path.startswith(self._below):
                    below = path[len(self._prefix) :]
                    response = await useid.answer(scope, receive, path=below, prefix=self._prefix)
                    if response is not None:
                        await response(scope, receive, send)
                        return
            await useid.authenticate(scope)
        except UseIDError as error:
            if kind == "http":
                await error_response(error)(scope, receive, send)
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
        try:
            if not self.useid.is_running:
                await self.useid.start()
            response = await self.useid.answer(scope, receive, path=route_path(scope), prefix="")
            if response is None:
                raise not_found()
            await response(scope, receive, send)
        except UseIDError as error:
            await error_response(error)(scope, receive, send)


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
    made = await exchange.useid.log_in(request.scope, identity)
    request.scope["user"], request.scope["auth"] = User(made.session), Credentials(made.session)
    exchange.headers = made.headers
    return made.session


async def logout(request: HasScope) -> None:
    """End the request's session, if there is one; the response removes the cookie."""
    exchange = _exchange(request)
    session = current_session(request.scope)
    if session is not None:
        await exchange.useid.sessions.end(session, reason="logout")
    request.scope["user"], request.scope["auth"] = _ANONYMOUS, _NO_CREDENTIALS
    exchange.headers = [SESSION_COOKIE.clear(secure=exchange.useid.is_secure(request.scope))]


def _exchange(request: HasScope) -> _Exchange:
    exchange = request.scope.get("useid")
    if not isinstance(exchange, _Exchange):
        raise ConfigurationError("login() and logout() need UseIDMiddleware around the app that calls them")
    return exchange


def route_path(scope: Scope) -> str:
    """The path below the root path, whether or not the server left that in it (servers and frameworks differ)."""
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "")
    if root_path and path.startswith(root_path + "/"):
        return path[len(root_path) :]
    return path


async def _close_websocket(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1013})
