"""One worker: a site with the plugin under uvicorn, in a process of its own that tests kill.

Its clock can be moved from outside, and it can be told to die in the middle of a request: at an event.
"""

import os
import signal
import socket
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import uvicorn

from tests.hosts.apps import bare_around
from tests.qr.conftest import make_settings
from useid_middleware import Event, Events, UseID
from useid_middleware.http.asgi import ASGIApp

#: In the fleet's folder: by how much all clocks are wrong (s) …
CLOCK: Final = "clock"
#: … the event at which the next worker dies …
DOOM: Final = "doom"
#: … and those at which one has, a line each.
DEATHS: Final = "deaths"


@dataclass(frozen=True)
class Task:
    """What all workers of a fleet are told."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)


class MovedClock:
    """The wall clock, moved by what stands in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self) -> float:
        """Unix seconds."""
        return time.time() + float(self._file.read_text())


class Doom:
    """A listener that ends its process where the file names the event: of all workers, one dies."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._deaths = file.with_name(DEATHS)

    def __call__(self, event: Event) -> None:
        """Die, or not."""
        try:
            if self._file.read_text() != type(event).__name__:
                return
            self._file.unlink()
        except FileNotFoundError:
            return  # Nobody is to die, or another worker just has.
        with self._deaths.open("a") as deaths:
            deaths.write(f"{type(event).__name__}\n")
        os.kill(os.getpid(), signal.SIGKILL)


def make_app(task: Task) -> ASGIApp:
    """The site."""
    events = Events()
    events.on(Event)(Doom(task.folder / DOOM))
    return bare_around(UseID(make_settings(**task.settings), events, clock=MovedClock(task.folder / CLOCK)))


class _Announced(uvicorn.Server):
    """Says when it is up."""

    def __init__(self, config: uvicorn.Config, ready: Connection) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.send_bytes(b"up")


def run(task: Task, number: int, port: int, ready: Connection) -> None:
    """The process, until it is killed or told to end."""
    log = os.open(task.folder / f"worker-{number}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    with listening_socket(port) as listening:
        config = uvicorn.Config(make_app(task), log_level="warning", timeout_graceful_shutdown=5)
        _Announced(config, ready).run(sockets=[listening])


def listening_socket(port: int) -> socket.socket:
    """A socket at a port that the fleet keeps reserved by another one, which nobody can connect to."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made
