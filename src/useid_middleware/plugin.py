"""The composition root: settings become services, services become routes."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlencode

from .accounts import create_accounts
from .accounts.base import Accounts
from .errors import ConfigurationError
from .events import Answered, Events
from .http.asgi import ASGIApp, Headers, Receive, Scope
from .http.requests import Request
from .http.responses import error_response, redirect
from .http.routing import Handler, Router
from .http.sse import EventStreams
from .identity import Identity
from .oidc.mount import OIDC
from .qr.device_routes import DeviceRoutes
from .qr.devices import DeviceService
from .qr.pages import PageRoutes
from .qr.routes import QRRoutes
from .qr.service import Locate, QRService
from .sessions.auth import AnonymousUser, Credentials, TokenSource, User, login_required
from .sessions.cookie import SESSION_COOKIE
from .sessions.login import Logins
from .sessions.records import Login
from .sessions.routes import SessionRoutes
from .sessions.service import Sessions
from .settings import Settings
from .stores import create_store
from .stores.base import Clock, Store
from .stores.limits import Limits
from .widget.routes import WidgetRoutes

ANONYMOUS = AnonymousUser()
NO_CREDENTIALS = Credentials(None)


class UseID:
    """The services of one process.

    ``clock`` and ``random_bytes`` are for tests; ``locate`` names the place of an IP address for the phone to show;
    ``store`` and ``accounts`` take the place of those that the settings name, ``transport`` (of httpx2) that of the
    network to OpenID providers.
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
        transport: object = None,
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
        self._logins = Logins(
            accounts=accounts,
            sessions=self.sessions,
            events=events,
            clock=clock,
            absolute_lifetime=settings.sessions.absolute_lifetime,
            authenticate=self.authenticate,
        )
        self._protected = settings.protected if settings.paths.login else ()
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = asyncio.Lock()
        self._opening: list[Callable[[], Awaitable[None]]] = [self.store.open, self.accounts.open]
        self._closing: list[Callable[[], Awaitable[None]]] = [self.store.close, self.accounts.close]
        #: OpenID Connect, where a provider is configured.
        self.oidc: OIDC | None = None
        self._tokens: TokenSource | None = None
        self._mount(locate, random_bytes, transport)

    def _mount(self, locate: Locate, random_bytes: Callable[[int], bytes], transport: object) -> None:
        """One block a feature; a further way to log in adds one here."""
        store, accounts, events, settings, clock = self.store, self.accounts, self.events, self.settings, self._clock
        limits = Limits(store=store, settings=settings)
        leave, begin, logout_targets, providers = None, None, None, {}
        if settings.oidc.providers:
            oidc = OIDC(
                store=store,
                accounts=accounts,
                sessions=self.sessions,
                events=events,
                limits=limits,
                settings=settings,
                clock=clock,
                complete_login=self.complete_login,
                random_bytes=random_bytes,
                transport=transport,
            )
            self.oidc, self._tokens = oidc, oidc.tokens
            self._opening.append(oidc.start)
            self._closing.insert(0, oidc.close)
            leave, begin, logout_targets, providers = oidc.leave, oidc.begin, oidc.logout_targets, oidc.labels
            self.router.add(self._for_users(oidc.routes()))
            self.router.add(oidc.routes_from_anywhere(), from_anywhere=True)
        sessions = SessionRoutes(
            sessions=self.sessions, settings=settings, events=events, streams=self.streams, clock=clock, leave=leave
        )
        self.router.add(self._for_users(sessions.routes()))
        widget = WidgetRoutes(settings=settings, providers=providers, begin=begin, logout_targets=logout_targets)
        self.router.add(widget.routes())
        self.router.add(self._for_users(widget.routes_for_users()))
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
            for open_it in self._opening:
                await open_it()
            self.streams.reopen()
            self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """Say goodbye to open streams and close what is open. Idempotent."""
        self._loop = None
        self._starting = asyncio.Lock()  # A lock belongs to the event loop that first waits for it.
        self.streams.drain()
        for close in self._closing:
            await close()

    def _session_token(self, scope: Scope) -> str | None:
        """What the request's cookie (or, where allowed, its bearer token) says to open a session."""
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
        return token or None

    def is_secure(self, scope: Scope) -> bool:
        """Whether the browser speaks https with us."""
        if self.settings.origin is not None:
            return self.settings.origin.startswith("https:")
        return scope.get("scheme") in ("https", "wss")

    async def complete_login(
        self, request: Request, identity: Identity, target: str = "", *, new_target: str = ""
    ) -> Login:
        """The end of every feature's flow: a proven identity becomes a login session."""
        return await self.log_in(request.scope, identity, target=target, new_target=new_target)

    async def log_in(self, scope: Scope, identity: Identity, *, target: str = "", new_target: str = "") -> Login:
        """See :meth:`.sessions.login.Logins.log_in`."""
        return await self._logins.log_in(
            scope, identity, secure=self.is_secure(scope), target=target, new_target=new_target
        )

    async def answer(self, scope: Scope, receive: Receive, *, path: str, prefix: str) -> ASGIApp | None:
        """The response to a request for ``path`` below ``prefix``, still to be sent; ``None`` where there is no route.

        Not sent here, so that an open event stream keeps neither this call nor the request.
        """
        found = self.router.match(scope["method"], path)
        if found is None:
            return None
        handler, params = found
        request = Request(scope, receive, prefix=prefix, origin=self.settings.origin, params=params)
        if request.method not in ("GET", "HEAD") and not self.router.is_open(handler):
            request.check_same_site()
        try:
            return await handler(request)
        except Answered as answered:
            return answered.response

    def is_protected(self, scope: Scope) -> bool:
        """Whether this page of the host app is for logged-in users, and nobody is logged in."""
        if not self._protected or scope["user"].is_authenticated:
            return False
        path = route_path(scope)
        return any(path == page or path.startswith(page.rstrip("/") + "/") for page in self._protected)

    def send_to_login(self, scope: Scope) -> ASGIApp:
        """The answer to an anonymous request for a protected page: a browser is led to the login, a program is told."""
        headers = dict(scope["headers"])
        if scope["method"] not in ("GET", "HEAD") or b"text/html" not in headers.get(b"accept", b""):
            return error_response(login_required())
        query = scope["query_string"].decode("latin-1")
        here = scope.get("root_path", "") + quote(route_path(scope)) + (f"?{query}" if query else "")
        prefix = scope.get("root_path", "") + self.settings.prefix
        return redirect(f"{prefix}{self.settings.paths.login}?{urlencode({'return': here})}")

    async def authenticate(self, scope: Scope) -> None:
        """Fill ``scope["user"]`` and ``scope["auth"]``."""
        token = self._session_token(scope)
        session = await self.sessions.load(token) if token is not None else None
        if session is None or token is None:
            scope["user"], scope["auth"] = ANONYMOUS, NO_CREDENTIALS
        else:
            scope["user"] = User(session)
            scope["auth"] = Credentials(session, token=token, source=self._tokens)


def _stream_adapter(settings: Settings) -> Callable[[ASGIApp], ASGIApp] | None:
    if settings.sse.responder == "own":
        return None
    try:
        from .http.sse_starlette import EventSourceAdapter
    except ModuleNotFoundError:
        message = "sse.responder: sse-starlette is not installed; run pip install useid-middleware[sse-starlette]"
        raise ConfigurationError(message) from None
    return EventSourceAdapter


def route_path(scope: Scope) -> str:
    """The path below the root path, whether or not the server left that in it (servers and frameworks differ)."""
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "")
    if root_path and path.startswith(root_path + "/"):
        return path[len(root_path) :]
    return path
