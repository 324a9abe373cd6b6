"""Idle event streams over loopback: memory of one, CPU of opening one, CPU of a heartbeat.

Three uvicorn processes run at the same time with the same options (``serve``), each with a process of clients
(``swarm``). Streams are opened in rounds that alternate between the three, and heartbeats are counted over the same
stretch of time. Logins exist before the first stream, so what is measured belongs to streams alone:

memory
    the growth of what the server process has for itself (USS: private pages, /proc/PID/smaps_rollup), by stream;
connect
    CPU time from accepting the connection to the first event, by stream;
heartbeat
    CPU time of the process while nothing but heartbeats happens, by heartbeat received.

Clients send few headers, since what a server keeps of those is the same for all three and would only blur the ratios.
"""

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from .rows import Row, row
from .swarm import Swarm, raise_file_limit

#: Files of a process that are no streams.
_OTHER_FILES = 100
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Size:
    """How much: streams of each server, rounds in which they open, seconds between heartbeats, heartbeats."""

    streams: int
    rounds: int
    heartbeat: float
    beats: int


FULL = Size(streams=10_000, rounds=10, heartbeat=8, beats=3)
QUICK = Size(streams=300, rounds=3, heartbeat=1, beats=3)


@dataclass(slots=True)
class Server:
    """A server process, its clients, and the figures: bytes a stream, µs a connect (one a round), µs a heartbeat."""

    name: str
    process: "subprocess.Popen[bytes]"
    swarm: Swarm
    memory: float = 0.0
    connects: list[float] = field(default_factory=list)
    heartbeat: float = 0.0

    def cpu(self) -> float:
        """CPU seconds of the process so far, to the nanosecond (clock_getcpuclockid(3))."""
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def uss(self) -> int:
        """Bytes of memory that the process shares with nobody."""
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        private = [line.split() for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:"))]
        return 1024 * sum(int(words[1]) for words in private)

    def stop(self) -> None:
        """End both processes."""
        self.swarm.stop()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(name: str, *, heartbeat: float) -> Server:
    """Start a server and its clients. Connections made before it listens wait in the socket's queue."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        fd, port = listener.fileno(), listener.getsockname()[1]
        command = [sys.executable, "-m", "benchmarks.serve", name, str(fd), str(heartbeat)]
        process = subprocess.Popen(command, pass_fds=[fd], cwd=_ROOT, env=dict(os.environ))
    return Server(name, process, Swarm(port))


def rows(size: Size) -> list[Row]:
    """Measure the three and compare."""
    streams = min(size.streams, raise_file_limit() - _OTHER_FILES)
    with ExitStack() as running:
        servers = []
        for name in ("ours", "starlette", "raw"):
            server = start(name, heartbeat=size.heartbeat)
            running.callback(server.stop)
            servers.append(server)
        measure(servers, streams, size)
    ours, starlette, raw = servers
    many = f"{streams:,} idle streams"
    return [
        row(
            f"SSE memory (USS) of one of {many} vs sse-starlette",
            ours=ours.memory / 1024,
            peer=starlette.memory / 1024,
            unit="KiB",
            goal=1 / 3.5,
        ),
        row(
            f"SSE memory (USS) of one of {many} vs raw ASGI",
            ours=ours.memory / 1024,
            peer=raw.memory / 1024,
            unit="KiB",
            goal=1.3,
        ),
        row(
            "SSE connect, CPU vs sse-starlette",
            ours=median(ours.connects),
            peer=median(starlette.connects),
            unit="µs",
            goal=0.25,
        ),
        row("SSE heartbeat, CPU vs sse-starlette", ours=ours.heartbeat, peer=starlette.heartbeat, unit="µs", goal=0.25),
    ]


def measure(servers: list[Server], streams: int, size: Size) -> None:
    """Fill in the servers' figures."""
    a_round = streams // size.rounds
    warm_up = min(200, a_round)
    for server in servers:
        server.swarm.create(warm_up + a_round * size.rounds)
        server.swarm.open(warm_up)
        server.swarm.close()
    # What the warm-up's streams still have to do is done when a connection made after it is answered.
    for server in servers:
        server.swarm.create(1)
    before = [server.uss() for server in servers]
    for _ in range(size.rounds):
        for server in servers:
            spent = server.cpu()
            server.swarm.open(a_round)
            server.connects.append((server.cpu() - spent) * 1e6 / a_round)
    for server, uss in zip(servers, before, strict=True):
        server.memory = (server.uss() - uss) / (a_round * size.rounds)
    started = [(server.cpu(), server.swarm.chunks()) for server in servers]
    time.sleep(size.heartbeat * size.beats)
    for server, (cpu, chunks) in zip(servers, started, strict=True):
        server.heartbeat = (server.cpu() - cpu) * 1e6 / (server.swarm.chunks() - chunks)
