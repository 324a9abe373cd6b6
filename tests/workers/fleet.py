"""Workers of one app over one Redis and one database of accounts; whichever dies is started again.

The workers are forked from a process that has imported everything, so that a new one is there in an instant.
"""

import asyncio
import multiprocessing
import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final, Self

from tests.servers import PATIENCE
from tests.workers.worker import CLOCK, DEATHS, DOOM, Task, listening_socket, run

_PROCESSES: Final = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.workers.worker"])


@dataclass
class Worker:
    """A place in the fleet, and the process that has it."""

    number: int
    reserved: socket.socket
    process: ForkServerProcess | None = None
    up: asyncio.Event = field(default_factory=asyncio.Event)
    was_up: bool = False
    is_dying: bool = False

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self.reserved.getsockname()[1]
        return port


class Fleet:
    """``size`` workers. Browsers know them all as ``url``; ``folder`` is where their logs are."""

    def __init__(self, folder: Path, *, size: int, store: str, accounts: str, **settings: Any) -> None:
        self.folder = folder
        self.kills = 0
        self.workers = [Worker(number, listening_socket(0)) for number in range(size)]
        self.url = f"http://localhost:{self.workers[0].port}"
        self.store = store
        values = {"origin": self.url, "store": store, "accounts": accounts, **settings}
        self._task = Task(folder, values)
        self._keepers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self.move_clocks(0)
        (self.folder / DEATHS).touch()
        # The first one makes the tables, before the others look for them.
        for some in (self.workers[:1], self.workers[1:]):
            self._keepers += [asyncio.create_task(self._keep(worker)) for worker in some]
            waiting = asyncio.create_task(_all_up(some))
            # A keeper that is done has failed.
            await asyncio.wait([*self._keepers, waiting], timeout=4 * PATIENCE, return_when="FIRST_COMPLETED")
            if not all(worker.up.is_set() for worker in some):
                waiting.cancel()
                await self.__aexit__()
                raise RuntimeError(f"a worker did not start:\n{self.log()}")
        return self

    async def __aexit__(self, *_: object) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.wait(self._keepers)
        for worker in self.workers:
            if worker.process is not None:
                worker.process.kill()
                await asyncio.to_thread(worker.process.join)
            worker.reserved.close()

    def kill(self, number: int) -> bool:
        """``kill -9``. Does nothing to one that has just died; whether it did."""
        worker = self.workers[number]
        if worker.process is None or worker.is_dying or not worker.process.is_alive():
            return False
        worker.is_dying = True
        worker.process.kill()
        return True

    def doom(self, event: str) -> None:
        """Let the next worker die that comes to this event."""
        (self.folder / DOOM).write_text(event)

    def spare(self) -> None:
        """Let them live on."""
        (self.folder / DOOM).unlink(missing_ok=True)

    def deaths(self) -> Counter[str]:
        """At which events workers have died."""
        return Counter((self.folder / DEATHS).read_text().split())

    def move_clocks(self, seconds: float) -> None:
        """The workers' clocks are wrong by so much."""
        whole = self.folder / f"{CLOCK}.new"
        whole.write_text(str(seconds))
        whole.replace(self.folder / CLOCK)

    def log(self) -> str:
        """What the workers have said: warnings, and what has gone wrong."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("worker-*.log")))

    async def _keep(self, worker: Worker) -> None:
        """Start the worker, and again whenever it has died."""
        while True:
            ready, said = _PROCESSES.Pipe(duplex=False)
            arguments = (self._task, worker.number, worker.port, said)
            worker.process = _PROCESSES.Process(target=run, args=arguments, daemon=True)
            worker.process.start()
            worker.is_dying = False
            said.close()
            with ready:
                await _readable(ready.fileno())
                is_up = _is_up(ready)
            if is_up:
                worker.was_up = True
                worker.up.set()
            elif not worker.was_up:
                raise RuntimeError("the worker has ended before it was up")
            # Once it can start, whoever ends it on its way is the test.
            await _readable(worker.process.sentinel)
            worker.up.clear()
            self.kills += 1


async def _all_up(workers: Sequence[Worker]) -> None:
    for worker in workers:
        await worker.up.wait()


def _is_up(ready: Connection) -> bool:
    with suppress(EOFError):
        return ready.recv_bytes() == b"up"
    return False


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
