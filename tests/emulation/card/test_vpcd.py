"""The card in a virtual reader: what goes over the socket, and what happens when it breaks."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from threading import Thread

import pytest

from tests.emulation.card.world import card, faulty_card
from useid_middleware.emulation.card.chip import ATR
from useid_middleware.emulation.card.transmission import Transmission
from useid_middleware.emulation.card.vpcd import InsertedCard, Reader

#: Seconds for an answer; reached only when something is wrong.
PATIENCE = 10.0
SELECT_MF = bytes.fromhex("00A4000C023F00")


class Slot:
    """A virtual reader's side of the connection: it listens, and cards come."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self.port: int = self._listener.getsockname()[1]
        self.connection: socket.socket | None = None

    def accept(self) -> None:
        """Wait for a card."""
        if self.connection is not None:
            self.connection.close()
        self.connection, _ = self._listener.accept()
        self.connection.settimeout(PATIENCE)

    def send(self, message: bytes) -> None:
        assert self.connection is not None
        self.connection.sendall(len(message).to_bytes(2, "big") + message)

    def receive(self) -> bytes:
        assert self.connection is not None
        with self.connection.makefile("rb") as stream:
            return stream.read(int.from_bytes(stream.read(2), "big"))

    def ask(self, message: bytes) -> bytes:
        self.send(message)
        return self.receive()

    def eject(self) -> None:
        assert self.connection is not None
        self.connection.close()

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self._listener.close()


class CountingCard:
    """A card that tells of each reset."""

    delay = 0.0
    last = None

    def __init__(self) -> None:
        self.resets: Queue[bool] = Queue()

    def transmit(self, apdu: bytes) -> bytes:
        return b"\x90\x00"

    def reset(self) -> None:
        self.resets.put(True)


@contextmanager
def running(
    it: InsertedCard, port: int, news: "Queue[str]", transmissions: list[Transmission] | None = None
) -> Iterator[Reader]:
    """The card at this port, in a thread of its own; it ends with the block."""
    seen = [] if transmissions is None else transmissions
    reader = Reader(it, host="127.0.0.1", port=port, on_transmission=seen.append, on_news=news.put, retry_after=0.01)
    thread = Thread(target=reader.run)
    thread.start()
    try:
        yield reader
    finally:
        reader.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture
def slot() -> Iterator[Slot]:
    slot = Slot()
    try:
        yield slot
    finally:
        slot.close()


@pytest.fixture
def news() -> "Queue[str]":
    return Queue()


def test_control_messages_have_no_answer_but_the_one_for_the_atr(slot: Slot, news: "Queue[str]") -> None:
    with running(card(), slot.port, news):
        slot.accept()
        for control in (b"\x01", b"\x02", b"\x00", b"\x01", b"", b"\x03"):
            slot.send(control)
        assert slot.ask(b"\x04") == ATR
        assert news.get(timeout=PATIENCE) == f"in the reader at 127.0.0.1:{slot.port}"


def test_commands_are_answered_and_reported(slot: Slot, news: "Queue[str]") -> None:
    seen: list[Transmission] = []
    with running(card(), slot.port, news, seen):
        slot.accept()
        assert slot.ask(SELECT_MF) == b"\x90\x00"
        assert slot.ask(bytes.fromhex("00B0000001")) == b"\x69\x86"
    assert [(each.sent, each.answered) for each in seen] == [
        (SELECT_MF, b"\x90\x00"),
        (bytes.fromhex("00B0000001"), b"\x69\x86"),
    ]


def test_a_message_may_come_in_pieces(slot: Slot, news: "Queue[str]") -> None:
    with running(card(), slot.port, news):
        slot.accept()
        assert slot.connection is not None
        for byte in b"\x00\x07" + SELECT_MF:
            slot.connection.sendall(bytes((byte,)))
        assert slot.receive() == b"\x90\x00"


@pytest.mark.parametrize("control", [0x00, 0x01, 0x02])
def test_power_and_reset_forget_what_was_selected(control: int, slot: Slot, news: "Queue[str]") -> None:
    with running(card(), slot.port, news):
        slot.accept()
        assert slot.ask(bytes.fromhex("00B09E0001")) == b"\x61\x90\x00"
        assert slot.ask(bytes.fromhex("00B0000001")) == b"\x61\x90\x00"
        slot.send(bytes((control,)))
        assert slot.ask(bytes.fromhex("00B0000001")) == b"\x69\x86"


def test_when_the_reader_goes_the_card_comes_back_to_the_next_one(slot: Slot, news: "Queue[str]") -> None:
    with running(card(), slot.port, news):
        slot.accept()
        slot.ask(bytes.fromhex("00B09E0001"))
        slot.eject()
        slot.accept()
        assert slot.ask(bytes.fromhex("00B0000001")) == b"\x69\x86"
        # In the middle of a message, too.
        assert slot.connection is not None
        slot.connection.sendall(b"\x00\x07\x00")
        slot.eject()
        slot.accept()
        assert slot.ask(b"\x04") == ATR


def test_without_a_reader_the_card_waits_and_says_so_once(news: "Queue[str]") -> None:
    slot = Slot()
    port = slot.port
    slot.close()
    it = CountingCard()
    with running(it, port, news):
        assert news.get(timeout=PATIENCE).startswith(f"no reader at 127.0.0.1:{port} (")
        for _ in range(3):
            assert it.resets.get(timeout=PATIENCE)
        assert news.empty()
        listener = socket.create_server(("127.0.0.1", port))
        listener.settimeout(PATIENCE)
        with listener, listener.accept()[0]:
            assert news.get(timeout=PATIENCE).startswith("in the reader")


def test_a_card_that_is_lost_leaves_the_reader_and_comes_back(slot: Slot, news: "Queue[str]") -> None:
    it = faulty_card("card-lost-in-pace")
    with running(it, slot.port, news):
        slot.accept()
        slot.send(bytes.fromhex("10860000027C0000"))
        assert slot.connection is not None
        assert slot.connection.recv(1) == b""
        slot.accept()
        assert slot.ask(SELECT_MF) == b"\x90\x00"
    assert news.get(timeout=PATIENCE).startswith("in the reader")
    assert news.get(timeout=PATIENCE) == "taken out of the reader"


def test_stopping_before_running_runs_nothing(slot: Slot) -> None:
    reader = Reader(card(), host="127.0.0.1", port=slot.port)
    reader.stop()
    reader.run()
