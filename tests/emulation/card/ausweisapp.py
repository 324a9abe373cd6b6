"""AusweisApp2 as Debian ships it, without windows and without our knowing its inside; spoken to by its SDK's WebSocket.

The WebSocket here is as small as RFC 6455 allows a client to be: whole text messages, no extensions.
"""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import pack, unpack
from threading import Thread
from typing import Any, Self

import pytest

from tests.emulation.card.pcsc import PATIENCE
from tests.servers import free_port

_PROGRAM = "AusweisApp2"
_TEXT = 0x81
_PING, _PONG = 0x89, 0x8A
_MASKED = 0x80


class SDK:
    """The SDK's end of the dialogue: commands out, messages in, as JSON objects."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._stream = self._connection.makefile("rb")
        self._connection.sendall(
            (
                f"GET /eID-Kernel HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dXNlaWQgdGVzdCBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )
        assert b" 101 " in self._stream.readline()
        while self._stream.readline() != b"\r\n":
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._connection.close()

    def send(self, cmd: str, **members: object) -> None:
        """A command."""
        self._send(_TEXT, json.dumps({"cmd": cmd, **members}).encode())

    def receive(self, *msg: str) -> dict[str, Any]:
        """The next message of one of these kinds; others before it are passed over."""
        while True:
            kind, content = self._receive()
            if kind == _PING:
                self._send(_PONG, content)
            elif kind == _TEXT:
                message: dict[str, Any] = json.loads(content)
                if message["msg"] in msg:
                    return message
            else:
                raise AssertionError(f"expected a text message, found {kind:02X}")

    def _send(self, kind: int, content: bytes) -> None:
        size = len(content)
        length = bytes((_MASKED | size,)) if size < 126 else bytes((_MASKED | 126,)) + pack(">H", size)
        # The mask is zero: it protects proxies, and there is none.
        self._connection.sendall(bytes((kind,)) + length + bytes(4) + content)

    def _receive(self) -> tuple[int, bytes]:
        kind, size = self._stream.read(2)
        if size == 126:
            size = unpack(">H", self._stream.read(2))[0]
        elif size == 127:
            size = unpack(">Q", self._stream.read(8))[0]
        return kind, self._stream.read(size)


@contextmanager
def running(folder: Path) -> Iterator[SDK]:
    """A running program with a home of its own, and a connection to it."""
    if shutil.which(_PROGRAM) is None:
        pytest.skip("needs Debian's package ausweisapp2")
    home, runtime = folder / "home", folder / "run"
    for each in (home, runtime):
        each.mkdir(mode=0o700)
    port = free_port()
    environment = {
        **{name: os.environ[name] for name in ("PATH",)},
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(runtime),
        "QT_QPA_PLATFORM": "offscreen",
    }
    process = subprocess.Popen(
        [_PROGRAM, "--no-proxy", "--ui", "websocket", "--port", str(port)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    drain = Thread(target=process.stdout.read)
    try:
        said = b""
        for line in process.stdout:
            said += line
            # The last thing at its start. It listens before that, and never looks for readers for who comes then.
            if b"Update cache entry: PCSC" in line:
                break
        else:
            raise AssertionError(f"{_PROGRAM} did not start:\n{said.decode(errors='replace')}")
        # Nobody is interested in the rest of its log, and a full pipe must not stop it.
        drain.start()
        with SDK(port) as sdk:
            yield sdk
    finally:
        process.terminate()
        process.wait(PATIENCE)
        if drain.ident is not None:
            drain.join(PATIENCE)
        process.stdout.close()
