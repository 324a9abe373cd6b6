"""The composition root: settings become services, services become routes."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from .accounts import create_accounts
from .accounts.base import Accounts
from .eid.interface import EIDServer
from .errors import ConfigurationError, UseIDError
from .events import Answered, Events
from .http.asgi import ASGIApp, Headers, Receive, Scope
from .http.forwarded import TrustedProxies
from .http.lifespan import ShutdownWatch
from .http.requests import Request
from .http.responses import Response
from .http.routing import Handler, Router
from .identity import Identity
from .monitoring import Monitoring
from .oidc.mount import OIDC
from .openapi.routes import OpenAPIRoutes
from .qr.device_routes import DeviceRoutes
from .qr.devices import DeviceService
from .qr.pages import PageRoutes
from .qr.routes import QRRoutes
from .qr.service import Locate, QRService
from .sessions.auth import AnonymousUser, Credentials, TokenSource, User
from .sessions.cookie import SESSION_COOKIE
from .sessions.login import Logins
from .sessions.protection import Protection
from .sessions.records import Login, Session
from .sessions.routes import SessionRoutes
from .sessions.service import Sessions
from .settings import Settings
from .stores import create_store
from .stores.base import Clock, Store
from .stores.limits import Limits
from .waiting.binding import BoundLogins
from .widget.routes import FILES, WidgetRoutes
from .widget.unavailable import answer_error

if TYPE_CHECKING:
    from .eid.mount import EID
    from .webauthn.client import Connect

_Step: TypeAlias = Callable[[], Awaitable[None]]
ANONYMOUS = AnonymousUser()
NO_CREDENTIALS = Credentials(None)


class UseID:
    """The services of one process.

    ``clock`` and ``random_bytes`` are for tests; ``locate`` names the place of an IP address for the phone to show;
    ``store``, ``accounts`` and ``eid_server`` take the place of those that the settings name, ``transport`` (of httpx2)
    that of the network to OpenID providers, ``connect`` that of TLS to the eServices of tenants.
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
        eid_server: EIDServer | None = None,
        connect: "Connect | None" = None,
    ) -> None:
        self.settings = settings = settings if settings is not None else Settings()
        self.events = events = events if events is not None else Events()
        #: Audit log and metrics, where they are wanted.
        self.monitoring = Monitoring(settings, events, clock=clock)
        store = store or create_store(settings.store, key_prefix=settings.key_prefix, clock=clock)
        self.store = store = self.monitoring.store(store)
        self.accounts = accounts = accounts or create_accounts(settings.accounts)
        self.sessions = Sessions(
            store=store, settings=settings.sessions, events=events, clock=clock, random_bytes=random_bytes
        )
        self.streams = self.monitoring.streams(retry=settings.sse.retry, adapter=_stream_adapter(settings))
        self.router = Router()
        self.router.add(self.monitoring.routes())
        self.router.add(OpenAPIRoutes(router=self.router, settings=settings, path=settings.paths.openapi).routes())
        #: Whose word counts about where a request comes from.
        self.proxies = TrustedProxies(settings.network)
        self._logins = Logins(
            accounts=accounts,
            sessions=self.sessions,
            events=events,
            clock=clock,
            absolute_lifetime=settings.sessions.absolute_lifetime,
            authenticate=self.authenticate,
        )
        #: Which pages of the host app are for logged-in users, and which demand a level.
        self.protection = Protection(settings)
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Task[None] | None = None
        self._shutdown_watch: ShutdownWatch | None = None
        self._opening: list[_Step] = [self.monitoring.open, self.store.open, self.accounts.open]
        self._closing: list[_Step] = [self.store.close, self.accounts.close, self.monitoring.close]
        #: OpenID Connect, where a provider is configured.
        self.oidc: OIDC | None = None
        self._tokens: TokenSource | None = None
        #: The login with an ID card, where an eID server or a site that embeds the widget is configured.
        self.eid: EID | None = None
        #: The logins that WebAuthn can bind to their browser.
        self._bound: list[BoundLogins] = []
        limits = Limits(store=store, settings=settings)
        with_eid = eid_server is not None or bool(settings.eid.server)
        self._mount(limits, locate, random_bytes, transport, with_eid)
        self._mount_eid(limits, random_bytes, eid_server)
        if settings.webauthn.enabled:
            self._mount_webauthn(limits, random_bytes, connect)

    def _mount(
        self,
        limits: Limits,
        locate: Locate,
        random_bytes: Callable[[int], bytes],
        transport: object,
        with_eid: bool,
    ) -> None:
        """One block a feature; a further way to log in adds one here."""
        store, accounts, events, settings, clock = self.store, self.accounts, self.events, self.settings, self._clock
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
            self.router.add(self._for_users(oidc.routes()), flow="oidc")
            self.router.add(oidc.routes_from_anywhere(), from_anywhere=True, flow="oidc")
        sessions = SessionRoutes(
            sessions=self.sessions, settings=settings, events=events, streams=self.streams, clock=clock, leave=leave
        )
        self.router.add(self._for_users(sessions.routes()))
        widget = WidgetRoutes(
            settings=settings,
            providers=providers,
            begin=begin,
            logout_targets=logout_targets,
            with_eid=with_eid,
            has_passkeys=self._has_passkeys if settings.webauthn.enabled else None,
        )
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
            self.monitoring.watch("qr", logins.records)
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
            self._bound.append(logins.bound)
            phones = DeviceRoutes(service=devices, streams=self.streams, settings=settings, clock=clock)
            self.router.add(qr.routes(), flow="qr")
            self.router.add(self._for_users(phones.routes()), flow="qr")
            self.router.add(PageRoutes(qr=qr, settings=settings, clock=clock).routes(), flow="qr")

    def _mount_eid(self, limits: Limits, random_bytes: Callable[[int], bytes], server: EIDServer | None) -> None:
        settings, clock = self.settings, self._clock
        if server is None and not settings.eid.server and not settings.embed.tenants:
            return
        # Imported here: whoever has no eID need not load its XML, and whoever emulates nothing not the emulation.
        from .eid.mount import EID

        embedded = None
        if server is None and settings.eid.server == "embedded":
            from .emulation.server.mount import Embedded

            embedded = Embedded(store=self.store, settings=settings, clock=clock, random_bytes=random_bytes)
            server = embedded.server
            self.router.add(embedded.routes_from_anywhere(), from_anywhere=True)
        elif server is None and settings.eid.server:
            from .eid.client import SoapEIDServer

            server = SoapEIDServer(settings.eid, clock=clock, random_bytes=random_bytes)
        self.eid = EID(
            server=server,
            emulated=embedded is not None,
            store=self.store,
            accounts=self.accounts,
            sessions=self.sessions,
            events=self.events,
            limits=limits,
            streams=self.streams,
            settings=settings,
            clock=clock,
            complete_login=self.complete_login,
            random_bytes=random_bytes,
        )
        self.monitoring.watch("eid", self.eid.service.records)
        if embedded is not None:
            embedded.server.on_end = self.eid.service.server_ended
        self._bound.append(self.eid.service.bound)
        self._opening.append(self.eid.open)
        self._closing.insert(0, self.eid.close)
        self.router.add(self.eid.routes(), flow="eid")

    def _mount_webauthn(self, limits: Limits, random_bytes: Callable[[int], bytes], connect: "Connect | None") -> None:
        # Imported here: whoever has no passkeys need not load the library behind them.
        from .webauthn.mount import WebAuthn

        webauthn = WebAuthn(
            store=self.store,
            accounts=self.accounts,
            sessions=self.sessions,
            events=self.events,
            limits=limits,
            settings=self.settings,
            clock=self._clock,
            complete_login=self.complete_login,
            logins=self._bound,
            connect=connect,
            random_bytes=random_bytes,
        )
        self.router.add(webauthn.routes(), flow="webauthn")
        self.router.add(self._for_users(webauthn.routes_for_users()), flow="webauthn")

    async def _has_passkeys(self, session: Session) -> bool:
        return bool(await self.accounts.passkeys(session.account_id))

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
        """Open what must be open. Idempotent; runs by itself at the first request where no lifespan did.

        Who comes while it is under way shares its outcome, so that nobody waits longer than one attempt takes.
        """
        if self.is_running:
            return
        loop = asyncio.get_running_loop()
        starting = self._starting
        if starting is None or starting.done() or starting.get_loop() is not loop:
            starting = self._starting = loop.create_task(self._open())
            # Those who waited may have left; then nobody asks for the outcome.
            starting.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(starting)

    async def _open(self) -> None:
        if self._loop is not None:
            await self._close()  # Another event loop had them: a test client makes one for each block.
        for open_it in self._opening:
            await open_it()
        self.streams.reopen()
        loop = self._loop = asyncio.get_running_loop()
        # Servers tell an app of a shutdown when its streams have ended, and some tell it nothing at all.
        self._shutdown_watch = ShutdownWatch(lambda: loop.call_soon_threadsafe(self.streams.drain))

    async def stop(self) -> None:
        """Say goodbye to open streams and close what is open. Idempotent."""
        starting, self._starting = self._starting, None
        if starting is not None and starting.get_loop() is asyncio.get_running_loop():
            starting.cancel()
            await asyncio.wait([starting])
        await self._close()

    async def _close(self) -> None:
        self._loop = None
        if self._shutdown_watch is not None:
            self._shutdown_watch.end()
            self._shutdown_watch = None
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
        secure = self.is_secure(scope)
        return await self._logins.log_in(scope, identity, secure=secure, target=target, new_target=new_target)

    async def answer(self, scope: Scope, receive: Receive, *, path: str, prefix: str) -> ASGIApp | None:
        """The response to a request for ``path`` below ``prefix``, still to be sent; ``None`` where there is no route.

        Not sent here, so that an open event stream keeps neither this call nor the request. Files need no services.
        """
        found = self.router.match(scope["method"], path)
        if found is None:
            return None
        handler, params = found
        request = Request(scope, receive, prefix=prefix, origin=self.settings.origin, params=params)
        try:
            if not self.is_running and not path.startswith(FILES):
                await self.start()
            if request.method not in ("GET", "HEAD") and not self.router.is_open(handler):
                request.check_same_site()
            response = await handler(request)
        except Answered as answered:
            return answered.response
        except UseIDError as error:
            refusal: UseIDError | None = error
            response = answer_error(error, scope, settings=self.settings, prefix=prefix)
        else:
            refusal = response.refusal if isinstance(response, Response) else None
        if refusal is not None:
            await self.monitoring.note_error(refusal, request, flow=self.router.flow_of(handler))
        return response

    async def authenticate(self, scope: Scope) -> None:
        """Fill ``scope["user"]`` and ``scope["auth"]``."""
        token = self._session_token(scope)
        session = await self.sessions.load(token) if token is not None else None
        if session is None or token is None:
            scope["user"], scope["auth"] = ANONYMOUS, NO_CREDENTIALS
        else:
            scope["user"] = User(session)
            scope["auth"] = Credentials(session, token=token, source=self._tokens, kept=self.eid)


def _stream_adapter(settings: Settings) -> Callable[[ASGIApp], ASGIApp] | None:
    if settings.sse.responder == "own":
        return None
    try:
        from .http.sse_starlette import EventSourceAdapter
    except ModuleNotFoundError:
        message = "sse.responder: sse-starlette is not installed; run pip install useid-middleware[sse-starlette]"
        raise ConfigurationError(message) from None
    return EventSourceAdapter
