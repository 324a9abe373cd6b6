"""Wires between a relying party and providers in the same process, which tests can hold up or lead elsewhere."""

import asyncio
from collections.abc import Mapping

import httpx2

from useid_middleware.http.asgi import ASGIApp


class Gate(httpx2.AsyncBaseTransport):
    """Holds the answers to requests for one path until it is opened; ``reached`` says that one waits.

    The provider has done its part by then: whoever leaves now leaves with the answer on its way.
    """

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._inner = httpx2.ASGITransport(app=app)
        self._path = path
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self.opened.set()

    def close(self) -> None:
        """Hold answers from now on."""
        self.reached.clear()
        self.opened.clear()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2."""
        response = await self._inner.handle_async_request(request)
        if request.url.path == self._path:
            self.reached.set()
            await self.opened.wait()
        return response


class Internet(httpx2.AsyncBaseTransport):
    """Several apps, each at its origin; remembers the addresses that were asked. Nobody answers elsewhere."""

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        self._inner = {origin: httpx2.ASGITransport(app=app) for origin, app in apps.items()}
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2."""
        self.asked.append(str(request.url))
        origin = f"{request.url.scheme}://{request.url.netloc.decode()}"
        if origin not in self._inner:
            raise httpx2.ConnectError("nobody is there", request=request)
        return await self._inner[origin].handle_async_request(request)
