"""The embedded eID server put together from the settings: one object for the composition root.

For development and test: settings for production refuse it.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from ...http.routing import Handler
from ...settings import Settings
from ...stores.base import Clock, Store
from .folder import FolderTerminals
from .routes import PAOSRoutes, SoapRoutes
from .service import EmbeddedEIDServer
from .soap import SoapInterface
from .soap_keys import SIGNING, SigningKey, prepare_key, read_clients
from .terminal import MARGIN, ensure_pki


class Embedded:
    """The server, and what is served for it: PAOS, and SOAP if the settings name eServices for it."""

    def __init__(self, *, store: Store, settings: Settings, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        eid, origin = settings.eid, settings.origin
        self._clock = clock
        self._random_bytes = random_bytes
        self._terminals = FolderTerminals(
            eid.pki,
            origin=origin,
            tls_certificates=() if eid.server_tls_certificate is None else (eid.server_tls_certificate,),
            clock=clock,
            random=random_bytes,
        )
        self.server = EmbeddedEIDServer(
            store,
            self._terminals,
            clock=clock,
            random_bytes=random_bytes,
            # Without an origin, or below a root path, the request alone knows where that is.
            address=eid.paos_address,
            max_sessions=eid.max_sessions,
            session_lifetime=eid.session_lifetime,
        )
        self._signing: SigningKey | None = None
        self._soap: SoapRoutes | None = None
        if eid.soap_clients:
            interface = SoapInterface(
                self.server,
                clients=read_clients(eid.soap_clients),
                signing=self._signing_key,
                store=store,
                clock=clock,
                random_bytes=random_bytes,
            )
            self._soap = SoapRoutes(interface)

    def routes_from_anywhere(self) -> dict[str, Handler]:
        """What eID clients and eServices post to."""
        routes = PAOSRoutes(self.server).routes()
        return routes if self._soap is None else routes | self._soap.routes()

    async def open(self) -> None:
        """Make ready: the PKI and the terminal. Idempotent."""
        await self.server.open()

    async def close(self) -> None:
        """Release it. Idempotent."""
        await self.server.close()

    def _signing_key(self) -> SigningKey:
        """What SOAP answers are signed with; made behind the PKI, which wants an empty folder."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        if self._signing is None or self._signing.certificate.not_valid_after_utc < now + MARGIN:
            ensure_pki(self._terminals.folder, now=now, random=self._random_bytes)
            self._signing = prepare_key(self._terminals.folder, SIGNING, now=now)
        return self._signing
