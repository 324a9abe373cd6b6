"""The embedded eID server on its own, for eServices that are somewhere else: two small ASGI apps over one server."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from ...errors import UseIDError
from ...http.asgi import ASGIApp, Receive, Scope, Send
from ...http.requests import Request
from ...http.responses import error_response
from ...http.routing import Handler, Router, not_found
from ...stores.base import Clock
from ...stores.memory import MemoryStore
from .folder import FolderTerminals
from .routes import PAOS_PATH, PAOSRoutes, SoapRoutes
from .service import EmbeddedEIDServer
from .session import Variant
from .soap import SoapInterface
from .soap_keys import SigningKey

MAX_SESSIONS: Final = 1000
SESSION_LIFETIME: Final = 300.0


class Site:
    """Handlers below an origin as an ASGI app of their own; lifespan is for whoever serves it."""

    def __init__(self, routes: dict[str, Handler], *, origin: str) -> None:
        self._router = Router()
        self._router.add(routes)
        self._origin = origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI, for HTTP alone."""
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            response = await self._answer(scope, receive)
        except UseIDError as error:
            response = error_response(error)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> ASGIApp:
        found = self._router.match(scope["method"], scope["path"])
        if found is None:
            raise not_found()
        handler, params = found
        return await handler(Request(scope, receive, prefix="", origin=self._origin, params=params))


@dataclass(frozen=True, slots=True)
class Standalone:
    """The server, where eID clients meet it, and where eServices do.

    ``tls`` are the files of its TLS certificate and key, ``clients`` the certificates of the eServices; ``client`` is
    one that was made to try it with.
    """

    server: EmbeddedEIDServer
    paos: Site
    soap: Site
    tls: tuple[Path, Path]
    signing: SigningKey
    clients: tuple[x509.Certificate, ...]
    client: SigningKey | None


def standalone(
    folder: Path,
    *,
    origin: str,
    subject_url: str,
    tls: tuple[Path, Path],
    tls_certificates: Sequence[Path],
    clients: Sequence[x509.Certificate],
    client: SigningKey | None,
    signing: SigningKey,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
    variant: Variant = Variant.DIRECT,
) -> Standalone:
    """A server with its sessions in memory and its PKI in ``folder``.

    ``origin`` is where eID clients reach the server, ``subject_url`` the eService's origin, where they fetch the
    tcToken; ``tls_certificates`` are files of the TLS certificates that they see there. ``signing`` is the key that
    eServices are answered with.
    """
    store = MemoryStore(clock=clock)
    server = EmbeddedEIDServer(
        store,
        FolderTerminals(
            folder,
            origin=subject_url,
            tls_certificates=(tls[0], *tls_certificates),
            clock=clock,
            random=random_bytes,
        ),
        clock=clock,
        random_bytes=random_bytes,
        address=origin + PAOS_PATH,
        max_sessions=MAX_SESSIONS,
        session_lifetime=SESSION_LIFETIME,
        variant=variant,
    )
    interface = SoapInterface(
        server, clients=clients, signing=lambda: signing, store=store, clock=clock, random_bytes=random_bytes
    )
    return Standalone(
        server=server,
        paos=Site(PAOSRoutes(server).routes(), origin=origin),
        soap=Site(SoapRoutes(interface).routes(), origin=origin),
        tls=tls,
        signing=signing,
        clients=tuple(clients),
        client=client,
    )
