"""A Redis server of the tests' own: on a free port, without persistence, gone afterwards."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Seconds for an answer to PING and for an orderly end; reached only when something is wrong.
PATIENCE = 15.0


def free_port() -> int:
    """Find a port of the loopback interface that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """A ``redis-server`` that can be stopped and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.socket_url = f"unix://{folder / 'redis.sock'}?db=0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it answers PING."""
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        command += ["--dir", str(self._folder), "--unixsocket", str(self._folder / "redis.sock")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert process.stdout is not None
        self._process = process
        said = b""
        for line in process.stdout:
            said += line
            if b"Ready to accept connections" in line:
                break
        else:
            self.stop()
            raise RuntimeError(f"redis-server did not start:\n{said.decode(errors='replace')}")
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.sendall(b"PING\r\n")
            assert connection.recv(16).startswith(b"+PONG")

    def stop(self) -> None:
        """End the process. Does nothing when it is stopped already."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _started_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for all tests of the run, which keep apart by key prefixes. Nobody stops it."""
    yield from _started_server(tmp_path_factory)


@pytest.fixture(scope="session")
def redis_url(shared_redis: RedisServer) -> str:
    """The URL of the server for all tests of the run; use a key prefix of your own."""
    return shared_redis.url


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for one test alone, which may stop it and start it again."""
    yield from _started_server(tmp_path_factory)
