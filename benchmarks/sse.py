"""Idle event streams over loopback: memory of one, CPU of opening one, CPU of a heartbeat.

Three uvicorn processes run at the same time with the same options (``serve``), each with a process of clients
(``swarm``). Streams are opened in rounds that alternate between the three, and heartbeats are counted over the same
stretch of time. Logins exist before the first stream, so what is measured belongs to streams alone:

memory
    the growth of what the server process has for itself (USS: private pages, /proc/PID/smaps_rollup), by stream;
connect
    CPU time from accepting the connection to the first event, by stream;
heartbeat
    CPU time of the process while nothing but heartbeats happens, by heartbeat received. What the process needs at that
    time without any stream (its server wakes up ten times a second) is taken off.

Memory and heartbeat are measured when a tenth of the streams is open, at three tenths, and when all are. That they stay
flat is a row of its own for each, ours beside ours: the heartbeat with all streams and with a tenth; the memory that
each further stream takes from three tenths on and before (of the first tenth, some finds room in what the process had
already, whoever serves them).

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
    """How much: streams of each server, seconds between heartbeats, heartbeats."""

    streams: int
    heartbeat: float
    beats: int


FULL = Size(streams=10_000, heartbeat=8, beats=3)
QUICK = Size(streams=300, heartbeat=1, beats=3)
#: Streams open in so many rounds …
_ROUNDS = 10
#: … and are looked at behind these.
_LOOKS = (1, 3, 10)


@dataclass(slots=True)
class Server:
    """A server process, its clients, and the figures: µs a connect (one a round); at each look bytes and µs a beat."""

    name: str
    process: "subprocess.Popen[bytes]"
    swarm: Swarm
    connects: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    heartbeat: list[float] = field(default_factory=list)

    def growth(self, look: int) -> float:
        """Bytes of each stream that was opened between the look before and this one."""
        now, before = (_LOOKS[each] * self.memory[each] for each in (look, look - 1))
        return (now - before) / (_LOOKS[look] - _LOOKS[look - 1])

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
    few, several, _ = (f"{streams // _ROUNDS * number:,}" for number in _LOOKS)
    return [
        row(
            f"SSE memory (USS) of one of {many} vs sse-starlette",
            ours=ours.memory[-1] / 1024,
            peer=starlette.memory[-1] / 1024,
            unit="KiB",
            goal=1 / 3.5,
        ),
        row(
            f"SSE memory (USS) of one of {many} vs raw ASGI",
            ours=ours.memory[-1] / 1024,
            peer=raw.memory[-1] / 1024,
            unit="KiB",
            goal=1.3,
        ),
        row(
            f"SSE memory (USS) of a further stream, {several} to {streams:,} vs {few} to {several}",
            ours=ours.growth(2) / 1024,
            peer=ours.growth(1) / 1024,
            unit="KiB",
            goal=1.15,
        ),
        row(
            "SSE connect, CPU vs sse-starlette",
            ours=median(ours.connects),
            peer=median(starlette.connects),
            unit="µs",
            goal=0.25,
            why="two thirds are the server's accepting and parsing, which both pay",
        ),
        row(
            "SSE heartbeat, CPU vs sse-starlette",
            ours=ours.heartbeat[-1],
            peer=starlette.heartbeat[-1],
            unit="µs",
            goal=0.25,
        ),
        row(
            f"SSE heartbeat of one of {many}, CPU vs of one of {few}",
            ours=ours.heartbeat[-1],
            peer=ours.heartbeat[0],
            unit="µs",
            goal=1.15,
        ),
    ]


def measure(servers: list[Server], streams: int, size: Size) -> None:
    """Fill in the servers' figures."""
    a_round = streams // _ROUNDS
    warm_up = min(200, a_round)
    for server in servers:
        server.swarm.create(warm_up + a_round * _ROUNDS)
        server.swarm.open(warm_up)
        server.swarm.close()
    # What the warm-up's streams still have to do is done when a connection made after it is answered.
    for server in servers:
        server.swarm.create(1)
    before = [server.uss() for server in servers]
    idle = _spent_in(servers, size.heartbeat)
    for number in range(1, _ROUNDS + 1):
        for server in servers:
            spent = server.cpu()
            server.swarm.open(a_round)
            server.connects.append((server.cpu() - spent) * 1e6 / a_round)
        if number not in _LOOKS:
            continue
        for server, uss in zip(servers, before, strict=True):
            server.memory.append((server.uss() - uss) / (a_round * number))
        received = [server.swarm.chunks() for server in servers]
        spending = _spent_in(servers, size.heartbeat * size.beats)
        for server, rate, idle_rate, chunks in zip(servers, spending, idle, received, strict=True):
            beats = (server.swarm.chunks() - chunks) / (size.heartbeat * size.beats)
            server.heartbeat.append((rate - idle_rate) * 1e6 / beats)


def _spent_in(servers: list[Server], seconds: float) -> list[float]:
    """CPU seconds that each needs in a second, over a stretch of time."""
    before = [server.cpu() for server in servers]
    time.sleep(seconds)
    return [(server.cpu() - spent) / seconds for server, spent in zip(servers, before, strict=True)]
