"""A PC/SC daemon of the tests' own, with a virtual reader on a free port; and our card in that reader."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from useid_middleware.emulation.card.vpcd import InsertedCard, Reader

#: Seconds for a program to start, answer or end; reached only when something is wrong.
PATIENCE = 30.0

_PORTS = range(20_000, 30_000)
_SOCKET = Path("/run/pcscd/pcscd.comm")
_DRIVERS = Path("/usr/lib/pcsc/drivers/serial")


def _free_pair() -> int:
    """A port that is free and has a free neighbour: the driver has two slots.

    Not one of those from which the system takes ports for outgoing connections.
    """
    for port in range(_PORTS.start + 2 * os.getpid() % (len(_PORTS) // 2), _PORTS.stop, 2):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)), socket.create_server(("", port + 1)):
            return port
    raise AssertionError("expected two free ports, found none")


@contextmanager
def daemon(folder: Path) -> Iterator[int]:
    """A running ``pcscd`` whose one reader is virtual; gives the port at which the card can be put in.

    All PC/SC programs of a machine share one socket, so that one daemon runs at a time.
    """
    driver = next(iter(_DRIVERS.glob("libifdvpcd.so")), None)
    if shutil.which("pcscd") is None or driver is None:
        pytest.skip("needs Debian's packages pcscd and vsmartcard-vpcd")
    if _SOCKET.exists():
        pytest.skip("another pcscd runs on this machine")
    port = _free_pair()
    lines = ('FRIENDLYNAME "useid test"', f"DEVICENAME /dev/null:{port:#06X}", f"LIBPATH {driver}")
    configuration = folder / "readers"
    configuration.mkdir()
    (configuration / "useid").write_text("\n".join((*lines, f"CHANNELID {port:#06X}", "")))
    command = ["pcscd", "--foreground", "--info", "-c", str(configuration)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    try:
        said = b""
        for line in process.stdout:
            said += line
            if b"daemon ready" in line:
                break
        else:
            pytest.skip(f"pcscd does not start here: {said.decode(errors='replace')}")
        # Nobody is interested in the rest of its log, and a full pipe must not stop it.
        drain = Thread(target=process.stdout.read)
        drain.start()
        try:
            yield port
        finally:
            process.terminate()
            drain.join(PATIENCE)
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stdout.close()
        _SOCKET.unlink(missing_ok=True)


@contextmanager
def inserted(card: InsertedCard, *, port: int) -> Iterator[Reader]:
    """The card in the reader, from when the connection stands."""
    connected = Event()
    news: list[str] = []

    def on_news(line: str) -> None:
        news.append(line)
        if line.startswith("in the reader"):
            connected.set()

    reader = Reader(card, host="127.0.0.1", port=port, on_news=on_news, retry_after=0.05)
    thread = Thread(target=reader.run)
    thread.start()
    try:
        assert connected.wait(PATIENCE), news
        yield reader
    finally:
        reader.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()
