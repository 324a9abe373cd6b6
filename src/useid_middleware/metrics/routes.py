"""``GET`` of the metrics, for those who may see them."""

from hmac import compare_digest
from typing import Final

from ..http.asgi import ASGIApp
from ..http.requests import Request
from ..http.responses import Response
from ..http.routing import Handler, not_found
from ..settings import is_loopback
from ..settings.monitoring import MetricsSettings
from .collection import Metrics
from .series import CONTENT_TYPE

#: What proxies say about whom they speak for.
_FORWARDED: Final = (b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip")


class MetricsRoutes:
    """Where ``metrics.path`` leads. To everybody else there is no such address."""

    def __init__(self, metrics: Metrics, settings: MetricsSettings) -> None:
        self._metrics = metrics
        self._path = settings.path
        self._token = settings.token.get_secret_value().encode() if settings.token is not None else None

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {f"GET {self._path}": self.scrape} if self._path else {}

    async def scrape(self, request: Request) -> ASGIApp:
        """The numbers of this moment."""
        if not (is_local(request) if self._token is None else _brings(request, self._token)):
            raise not_found()
        return Response(200, await self._metrics.text(), CONTENT_TYPE)


def is_local(request: Request) -> bool:
    """Whether this machine itself asks, and not a proxy on it for somebody else."""
    # A proxy that passes nothing on still asks for our public name, or has been told to hide that it is one.
    host = request.header(b"host").lower()
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return is_loopback(request.ip) and is_loopback(name) and not any(map(request.headers.__contains__, _FORWARDED))


def _brings(request: Request, token: bytes) -> bool:
    scheme, _, value = request.header(b"authorization").partition(" ")
    return scheme.lower() == "bearer" and compare_digest(value.strip().encode(), token)
