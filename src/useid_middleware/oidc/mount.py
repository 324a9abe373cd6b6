"""OpenID Connect put together from the settings: one object for the composition root."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from ..accounts.base import Accounts
from ..errors import UseIDError
from ..events import Events
from ..http.asgi import ASGIApp
from ..http.requests import Request
from ..http.routing import Handler
from ..sessions.records import Session
from ..sessions.service import Sessions
from ..settings import OIDCProvider, Settings
from ..stores.base import Clock, Store, Unsubscribe
from ..stores.limits import Limits
from .client import ProviderClient
from .logout import Logouts
from .network import HTTP
from .routes import CompleteLogin, OIDCRoutes
from .service import OIDCService
from .session_routes import SessionRoutes
from .tokens import SessionTokens

#: On this channel of the store the command line tells all workers to forget or to fetch what they keep of providers.
CACHE_CHANNEL: Final = "oidc-cache"


class OIDC:
    """All configured providers, and what is served for them."""

    def __init__(
        self,
        *,
        store: Store,
        accounts: Accounts,
        sessions: Sessions,
        events: Events,
        limits: Limits,
        settings: Settings,
        clock: Clock,
        complete_login: CompleteLogin,
        random_bytes: Callable[[int], bytes],
        transport: object = None,
    ) -> None:
        self.clients = clients_of(settings, clock=clock, random_bytes=random_bytes, transport=transport)
        self._store = store
        self._unsubscribe: Unsubscribe | None = None
        self._warming: asyncio.Future[None] | None = None
        oidc = settings.oidc
        self.service = OIDCService(
            clients=self.clients,
            store=store,
            events=events,
            limits=limits,
            settings=oidc,
            clock=clock,
            random_bytes=random_bytes,
        )
        self.tokens = SessionTokens(
            service=self.service,
            sessions=sessions,
            store=store,
            events=events,
            settings=oidc,
            clock=clock,
            random_bytes=random_bytes,
        )
        logouts = Logouts(
            service=self.service,
            tokens=self.tokens,
            sessions=sessions,
            accounts=accounts,
            store=store,
            events=events,
            settings=oidc,
            clock=clock,
            random_bytes=random_bytes,
        )
        self._logins = OIDCRoutes(
            service=self.service,
            tokens=self.tokens,
            logouts=logouts,
            events=events,
            limits=limits,
            settings=settings,
            clock=clock,
            complete_login=complete_login,
            random_bytes=random_bytes,
        )
        self._sessions = SessionRoutes(
            service=self.service,
            logins=self._logins,
            tokens=self.tokens,
            logouts=logouts,
            sessions=sessions,
            accounts=accounts,
            limits=limits,
            settings=settings,
        )

    @property
    def labels(self) -> dict[str, str]:
        """What the login page offers: the names of the providers and what people call them."""
        return {name: client.label for name, client in self.clients.items()}

    def routes(self) -> dict[str, Handler]:
        """What this site's own pages and browsers on their way call."""
        return self._logins.routes() | self._sessions.routes()

    def routes_from_anywhere(self) -> dict[str, Handler]:
        """What providers and pages of other sites post to."""
        return self._logins.posted_routes() | self._sessions.provider_routes()

    async def begin(self, request: Request, name: str, return_to: str) -> ASGIApp:
        """See :meth:`.routes.OIDCRoutes.begin`."""
        return await self._logins.begin(request, name, return_to)

    async def leave(self, request: Request, session: Session, token: str) -> str:
        """See :meth:`.session_routes.SessionRoutes.leave`."""
        return await self._sessions.leave(request, session, token)

    async def logout_targets(self) -> list[str]:
        """The origins at which providers log people out: a form's redirect must be allowed to lead there."""
        return await self._sessions.logout_origins()

    async def start(self) -> None:
        """Listen to what the command line says to all workers."""
        self._unsubscribe = await self._store.subscribe(CACHE_CHANNEL, self._on_cache_message)

    def _on_cache_message(self, message: bytes | None) -> None:
        for client in self.clients.values():
            client.forget()
        if message == b"warmup":
            self._warming = asyncio.ensure_future(self._warm_up())

    async def _warm_up(self) -> None:
        for client in self.clients.values():
            with contextlib.suppress(UseIDError):  # The next login says what is wrong.
                await client.metadata()
                await client.keys()

    async def close(self) -> None:
        """Close the connections to providers."""
        if self._unsubscribe is not None:
            await self._unsubscribe()
            self._unsubscribe = None
        for client in self.clients.values():
            await client.http.close()


def clients_of(
    settings: Settings, *, clock: Clock, random_bytes: Callable[[int], bytes], transport: object = None
) -> dict[str, ProviderClient]:
    """A client for each provider; those that need no certificates of their own share one pool of connections."""
    shared = HTTP(timeout=settings.oidc.timeout, transport=transport)

    def http_of(provider: OIDCProvider) -> HTTP:
        if provider.ca_file is None and provider.tls_certificate is None:
            return shared
        return HTTP(
            timeout=settings.oidc.timeout,
            transport=transport,
            ca_file=provider.ca_file,
            certificate=provider.tls_certificate,
            key=provider.tls_key,
        )

    return {
        name: ProviderClient(
            name, provider, http=http_of(provider), settings=settings.oidc, clock=clock, random_bytes=random_bytes
        )
        for name, provider in settings.oidc.providers.items()
    }
