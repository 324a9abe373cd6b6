"""The rotating frame: a MAC over a time counter, so that a copied QR code goes stale (cf. RFC 6238)."""

from hashlib import sha256
from hmac import compare_digest, digest
from typing import Final, Protocol

from ..._codec import b64url

FRAME_SIZE: Final = 8
#: How many earlier frames are still taken: the time a person needs to scan.
GRACE: Final = 1


class Framed(Protocol):
    """What rotating needs of a session."""

    @property
    def frame_key(self) -> bytes:
        """16 random bytes that never leave the server."""

    @property
    def frame_period(self) -> float:
        """Seconds between two frames."""

    @property
    def created_at(self) -> float:
        """Unix seconds; the counter starts here."""


class Frames:
    """The frames of one session, for whoever shows them."""

    __slots__ = ("_session",)

    def __init__(self, session: Framed) -> None:
        self._session = session

    def at(self, now: float) -> str:
        """The frame of this moment."""
        return frame_at(self._session, now=now)

    def next_in(self, now: float) -> float:
        """Seconds until the next one."""
        return next_frame_in(self._session, now=now)


def frame_at(session: Framed, *, now: float) -> str:
    """The frame of this moment, as it stands in the QR."""
    return b64url(_frame(session, _counter(session, now)))


def next_frame_in(session: Framed, *, now: float) -> float:
    """Seconds until the frame changes."""
    return session.frame_period - (now - session.created_at) % session.frame_period


def is_frame_current(frame: bytes, session: Framed, *, now: float) -> bool:
    """Whether ``frame`` is that of this moment or one of its ``GRACE`` predecessors."""
    counter = _counter(session, now)
    current = [compare_digest(frame, _frame(session, value)) for value in range(counter, counter - GRACE - 1, -1)]
    return any(current)


def _counter(session: Framed, now: float) -> int:
    return max(0, int((now - session.created_at) // session.frame_period))


def _frame(session: Framed, counter: int) -> bytes:
    return digest(session.frame_key, b"frame" + counter.to_bytes(8, "big", signed=True), sha256)[:FRAME_SIZE]
