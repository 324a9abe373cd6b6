"""The plug for other programs: the card in a virtual PC/SC reader (vsmartcard's vpcd, its protocol version 0).

``pcscd`` with vpcd's driver listens; the card connects, and is in the reader while the connection lasts. Each message
is two bytes of length, big-endian, and as much content: a control byte, or a command APDU. ATRs and response APDUs go
back the same way; power and reset have no answer.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from struct import Struct
from threading import Event
from typing import Final, Protocol

from .chip import ATR
from .faults import CardLost
from .transmission import Transmission

#: Seconds between two attempts to reach the reader.
RETRY_AFTER: Final = 1.0
_TIMEOUT: Final = 5.0
_LENGTH: Final = Struct(">H")
_QUICK_ACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


class Control(IntEnum):
    """Messages of one byte."""

    POWER_OFF = 0x00
    POWER_ON = 0x01
    RESET = 0x02
    ATR = 0x04


class InsertedCard(Protocol):
    """What the reader needs of a card."""

    @property
    def delay(self) -> float:
        """Seconds for each answer."""
        ...

    def transmit(self, apdu: bytes) -> bytes:
        """The answer to a command APDU; ``CardLost`` if the card is taken out before it."""
        ...

    def reset(self) -> None:
        """Power off, power on and reset are all the same to a card."""
        ...

    @property
    def last(self) -> Transmission | None:
        """The command that was answered last."""
        ...


class Reader:
    """A connection to vpcd at ``host`` and ``port``, made again whenever it ends.

    ``on_news`` is told in a line what happens to the connection, ``on_transmission`` each command and its answer.
    """

    def __init__(
        self,
        card: InsertedCard,
        *,
        host: str,
        port: int,
        on_transmission: Callable[[Transmission], None] = lambda _: None,
        on_news: Callable[[str], None] = lambda _: None,
        retry_after: float = RETRY_AFTER,
    ) -> None:
        self._card = card
        self._address = (host, port)
        self._on_transmission = on_transmission
        self._on_news = on_news
        self._retry_after = retry_after
        self._stopped = Event()
        self._connection: socket.socket | None = None

    def run(self) -> None:
        """Be in the reader until :meth:`stop`; blocks."""
        place = f"{self._address[0]}:{self._address[1]}"
        waiting = False
        while not self._stopped.is_set():
            try:
                with socket.create_connection(self._address, timeout=_TIMEOUT) as connection:
                    connection.settimeout(None)
                    self._on_news(f"in the reader at {place}")
                    waiting = False
                    self._serve(connection)
            except CardLost:
                self._on_news("taken out of the reader")
            except OSError as error:
                if not waiting:
                    self._on_news(f"no reader at {place} ({error.strerror or error}); waiting for one")
                waiting = True
            self._card.reset()
            self._stopped.wait(self._retry_after)

    def stop(self) -> None:
        """End :meth:`run`, from another thread or a signal handler."""
        self._stopped.set()
        connection = self._connection
        if connection is not None:
            # The other side may be faster.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _serve(self, connection: socket.socket) -> None:
        self._connection = connection
        try:
            while not self._stopped.is_set():
                message = _receive(connection)
                if message is None:
                    return
                answer = self._answer(message)
                if answer is not None:
                    connection.sendall(_LENGTH.pack(len(answer)) + answer)
        finally:
            self._connection = None

    def _answer(self, message: bytes) -> bytes | None:
        """What goes back for this message, if anything does."""
        if len(message) <= 1:
            if message == bytes((Control.ATR,)):
                return ATR
            self._card.reset()
            return None
        self._stopped.wait(self._card.delay)
        answer = self._card.transmit(message)
        last = self._card.last
        assert last is not None
        self._on_transmission(last)
        return answer


def _receive(connection: socket.socket) -> bytes | None:
    """One message, or ``None`` when the other side has ended."""
    header = _receive_exactly(connection, _LENGTH.size)
    return None if header is None else _receive_exactly(connection, _LENGTH.unpack(header)[0])


def _receive_exactly(connection: socket.socket, size: int) -> bytes | None:
    received = bytearray()
    while len(received) < size:
        # vpcd sends length and content apart, the second once the first is acknowledged: Linux would take 40 ms for
        # that unless it is told, each time anew.
        if _QUICK_ACK is not None:
            connection.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        part = connection.recv(size - len(received))
        if not part:
            return None
        received += part
    return bytes(received)
