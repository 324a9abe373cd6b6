"""The embedded eID server over HTTP: PAOS for eID clients, SOAP for eServices."""

from typing import Final

from ...eid.core.soap import CONTENT_TYPE as SOAP_TYPE
from ...eid.core.soap import MAX_MESSAGE
from ...errors import RequestError
from ...http.asgi import ASGIApp
from ...http.requests import Request
from ...http.responses import Response
from ...http.routing import Handler
from ..paos import CONTENT_TYPE as PAOS_TYPE
from ..paos import MAX_SIZE
from .service import EmbeddedEIDServer
from .soap import SoapInterface

#: Below the server's prefix.
PAOS_PATH: Final = "/eid/paos"
SOAP_PATH: Final = "/eid/soap"


class PAOSRoutes:
    """``POST /eid/paos``, from anywhere: eID clients are no browsers and have no origin."""

    def __init__(self, server: EmbeddedEIDServer) -> None:
        self._server = server

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {f"POST {PAOS_PATH}": self.answer}

    async def answer(self, request: Request) -> ASGIApp:
        """One message of the dialogue; whatever comes of it, HTTP says 200 (TR-03112-7 §2.6)."""
        _check_type(request, PAOS_TYPE)
        answer = await self._server.answer_paos(await request.body(limit=MAX_SIZE), origin=request.origin)
        return Response(200, answer, PAOS_TYPE.encode())


class SoapRoutes:
    """``POST /eid/soap``: TR-03130-1; refusals too are answers with the status 200."""

    def __init__(self, interface: SoapInterface) -> None:
        self._interface = interface

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {f"POST {SOAP_PATH}": self.answer}

    async def answer(self, request: Request) -> ASGIApp:
        """One call."""
        _check_type(request, SOAP_TYPE)
        answer = await self._interface.answer(
            await request.body(limit=MAX_MESSAGE),
            action=request.header(b"soapaction"),
            paos_address=request.server + PAOS_PATH,
        )
        return Response(200, answer, SOAP_TYPE.encode())


def _check_type(request: Request, expected: str) -> None:
    """No page of another site can send such a body without asking first."""
    media_type = expected.partition(";")[0]
    found = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if found != media_type.encode():
        raise RequestError("unsupported_media_type", f"Content-Type: expected {media_type}", status_hint=415)
