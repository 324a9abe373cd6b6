"""The development provider on a socket of this machine, for commands that go over the network."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn

from tests.oidc.world import CLIENT, KEYS
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.http.asgi import Receive, Scope, Send


@dataclass
class Served:
    """A provider in a thread; ``answered`` has an event for each path that somebody may wait for."""

    provider: Provider
    answered: dict[str, threading.Event] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self.provider(scope, receive, send)
        if event := self.answered.get(scope.get("path", "")):
            event.set()


@contextmanager
def served_provider(policy: Policy, *, clock: Callable[[], float] = time.time) -> Iterator[Served]:
    """Serve it until the end of the block. It listens before the thread starts, so nobody has to wait for it."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        issuer = f"http://127.0.0.1:{listening.getsockname()[1]}"
        served = Served(Provider(issuer, clients=[CLIENT], keys=KEYS, policy=policy, clock=clock))
        server = uvicorn.Server(uvicorn.Config(served, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="provider")
        thread.start()
        try:
            yield served
        finally:
            server.should_exit = True
            thread.join()
