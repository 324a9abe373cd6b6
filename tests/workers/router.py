"""A load balancer without affinity, inside the HTTP clients of one login: each request goes to another worker.

A test may name the worker for each kind of request.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import httpx2

from tests.servers import PATIENCE

_PAUSE: Final = 0.02


@dataclass(frozen=True)
class Served:
    """A request, and the number of the worker that got it."""

    method: str
    path: str
    worker: int


@dataclass
class Turns:
    """Whose turn it is. ``sent`` is told of each request as it leaves, ``served`` has them all."""

    ports: Sequence[int]
    sent: Callable[[Served], None] = lambda _: None
    #: The worker that must get a request, by its method and path; nothing where it may be the next one.
    pinned: Callable[[str, str], int | None] = lambda _, __: None
    served: list[Served] = field(default_factory=list)
    turn: int = 0

    def next(self, method: str, path: str) -> int:
        """The number of the worker that gets this request."""
        pinned = self.pinned(method, path)
        if pinned is not None:
            return pinned
        self.turn = (self.turn + 1) % len(self.ports)
        return self.turn

    def worker_of(self, end: str) -> int:
        """The last worker that got a request whose path ends so."""
        return next(each.worker for each in reversed(self.served) if each.path.endswith(end))


class Router(httpx2.AsyncBaseTransport):
    """From one address of this machine to the workers of a fleet."""

    def __init__(self, turns: Turns, *, local_address: str = "127.0.0.1") -> None:
        self._turns = turns
        self._http = httpx2.AsyncHTTPTransport(verify=False, local_address=local_address)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it; where nobody listens, nothing has happened, and the next worker gets it."""
        give_up_at = time.monotonic() + PATIENCE
        path = urlsplit(str(request.url)).path
        while True:
            for _ in self._turns.ports:
                served = Served(request.method, path, self._turns.next(request.method, path))
                self._turns.served.append(served)
                self._turns.sent(served)
                url = request.url.copy_with(host="127.0.0.1", port=self._turns.ports[served.worker])
                # The request itself stays as it is: cookies are kept for the address that the browser knows.
                sent = httpx2.Request(
                    request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions
                )
                try:
                    return await self._http.handle_async_request(sent)
                except httpx2.ConnectError:
                    if time.monotonic() > give_up_at:
                        raise
            await asyncio.sleep(_PAUSE)

    async def aclose(self) -> None:
        """Hang up."""
        await self._http.aclose()
