"""The eID login put together from the settings: one object for the composition root."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..accounts.base import Accounts
from ..errors import ConfigurationError
from ..events import Events
from ..http.pins import read_pins
from ..http.routing import Handler
from ..http.sse import EventStreams
from ..sessions.login import CompleteLogin
from ..sessions.records import Session
from ..sessions.service import Sessions
from ..settings import Settings
from ..stores.base import Clock, Store
from ..stores.limits import Limits
from .core.identity import PROVIDER
from .interface import EIDServer
from .page_routes import PageRoutes
from .routes import EIDRoutes
from .service import EIDService


class EID:
    """The login with an ID card, and the widget in pages of other sites.

    ``server`` is ``None`` where the plugin serves widget and backend alone. ``emulated``: it is the embedded one.
    """

    def __init__(
        self,
        *,
        server: EIDServer | None,
        emulated: bool,
        store: Store,
        accounts: Accounts,
        sessions: Sessions,
        events: Events,
        limits: Limits,
        streams: EventStreams,
        settings: Settings,
        clock: Clock,
        complete_login: CompleteLogin,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.server = server
        self._sessions = sessions
        self._settings = settings
        self.service = EIDService(
            server=server,
            store=store,
            accounts=accounts,
            events=events,
            limits=limits,
            settings=settings,
            clock=clock,
            emulated=emulated,
            webauthn_pins=_webauthn_pins(settings),
            random_bytes=random_bytes,
        )
        self._calls = EIDRoutes(
            service=self.service,
            streams=streams,
            settings=settings,
            clock=clock,
            complete_login=complete_login,
            random_bytes=random_bytes,
        )
        self._pages = PageRoutes(calls=self._calls, service=self.service, events=events, settings=settings, clock=clock)

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        table = self._calls.routes()
        if self.server is not None:
            table |= self._pages.routes()
        if self._settings.embed.tenants:
            table |= self._pages.embedding_routes()
        return table

    async def open(self) -> None:
        """Make the connection to the eID server ready."""
        if self.server is not None:
            await self.server.open()

    async def close(self) -> None:
        """Release it."""
        if self.server is not None:
            await self.server.close()

    async def attributes(self, session: Session, token: str) -> Mapping[str, Any]:
        """See :meth:`~..sessions.auth.AttributeSource.attributes`."""
        if session.provider != PROVIDER:
            return {}
        kept = await self._sessions.secret(session, token)
        if kept is None:
            return {}
        attributes: Mapping[str, Any] = json.loads(kept.value)
        return attributes


def _webauthn_pins(settings: Settings) -> tuple[bytes, ...]:
    """The pins of the server that binds, as our tcTokens name them; ``ConfigurationError`` where clients need some."""
    pins = read_pins("eid.webauthn_server_keys", settings.eid.webauthn_server_keys)
    address = settings.eid.webauthn_server or settings.origin or ""
    is_needed = settings.eid.client == "bound" or settings.eid.webauthn_server
    if is_needed and not pins and address.startswith("https://"):
        raise ConfigurationError(
            "eid.webauthn_server_keys: must name the TLS certificate or key by which phones know the WebAuthn server"
        )
    return pins
