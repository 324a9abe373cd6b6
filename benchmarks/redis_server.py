"""A Redis of the benchmarks' own: on a free port of the loopback interface, without persistence, gone afterwards."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis


def is_installed() -> bool:
    """Whether there is a Redis to start."""
    return shutil.which("redis-server") is not None


class RedisServer:
    """The server process, and what it tells of itself."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self._process = process
        self._client = redis.Redis(port=port)
        self.url = f"redis://127.0.0.1:{port}/0"

    def cpu(self) -> float:
        """CPU seconds of the process so far, to the nanosecond (clock_getcpuclockid(3))."""
        return time.clock_gettime(~self._process.pid << 3 | 2)

    def memory(self) -> int:
        """Bytes that its data, clients and subscriptions take."""
        return int(self._info("memory")["used_memory"])

    def _info(self, section: str) -> dict[str, Any]:
        answer: Any = self._client.info(section)
        return dict(answer)


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Start it and end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(["redis-server", *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    try:
        if not any(b"Ready to accept connections" in line for line in process.stdout):
            raise RuntimeError("redis-server did not start")
        yield RedisServer(process, port)
    finally:
        process.terminate()
        process.communicate()
