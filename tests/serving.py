"""An app served by uvicorn in a process of its own, as in production: for tests that stop, restart or share it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Protocol

import pytest

from tests.servers import free_port

ROOT = Path(__file__).parents[1]
#: Seconds that starting and stopping may take; reached only when something is wrong.
START_LIMIT = 60.0
STOP_LIMIT = 15.0


class Server:
    """A served app. ``folder`` is its working directory, so that its SQLite file lasts from one start to the next."""

    #: What it says once the app's startup is complete and the socket listens.
    announcement = "Uvicorn running on"

    def __init__(self, app: str, *, port: int, folder: Path, env: Mapping[str, str], factory: bool) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.folder = folder
        self._command = [
            *(sys.executable, "-m", "uvicorn", app, *(["--factory"] if factory else [])),
            *("--host", "127.0.0.1", "--port", str(port), "--no-use-colors", "--timeout-graceful-shutdown", "5"),
        ]
        # The settings of whoever runs the tests must not reach the app.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("USEID_")}
        self._env = {**inherited, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **env}
        self._lines: list[str] = []
        self._runs = False
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start, and return when the app answers."""
        assert self._process is None, "already started"
        process = subprocess.Popen(
            self._command, cwd=self.folder, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        settled = threading.Event()
        self._runs = False
        self._process = process
        self._reader = threading.Thread(target=self._read, args=(process.stdout, settled), daemon=True)
        self._reader.start()
        settled.wait(START_LIMIT)
        if not self._runs:
            self.stop()
            raise RuntimeError(f"the app did not start:\n{self.log()}")

    def stop(self) -> None:
        """End the process: politely first. Its log stays readable. Does nothing when it is stopped already."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._reader.join()
        assert process.stdout is not None
        process.stdout.close()

    def restart(self) -> None:
        """Stop, and start again at the same address and in the same folder."""
        self.stop()
        self.start()

    def log(self) -> str:
        """All that the process has printed since the first start."""
        return "".join(self._lines)

    def _read(self, output: IO[str], settled: threading.Event) -> None:
        for line in output:
            self._lines.append(line)
            if self.announcement in line:
                self._runs = True
                settled.set()
        # The output ends with the process, whether it ever ran or not.
        settled.set()


class Serve(Protocol):
    """Starts a server: ``serve("example_app.main:app", env={"USEID_STORE": …})``; all are stopped after the test."""

    def __call__(self, app: str, *, env: Mapping[str, str] | None = None, factory: bool = False) -> Server: ...


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Serve apps, each on a free port and in a folder of its own."""
    servers: list[Server] = []

    def start(app: str, *, env: Mapping[str, str] | None = None, factory: bool = False) -> Server:
        folder = tmp_path_factory.mktemp("served")
        server = Server(app, port=free_port(), folder=folder, env=env or {}, factory=factory)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()
