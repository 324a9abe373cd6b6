"""The rotating frame: a MAC over a time counter, so that a copied QR code goes stale (cf. RFC 6238)."""

from hashlib import blake2b
from hmac import compare_digest
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

    __slots__ = ("created_at", "frame_key", "frame_period")

    def __init__(self, session: Framed) -> None:
        # Not the session itself: thousands of streams hold one of these each, for minutes.
        self.created_at = session.created_at
        self.frame_key = session.frame_key
        self.frame_period = session.frame_period

    def at(self, now: float) -> str:
        """The frame of this moment."""
        return frame_at(self, now=now)

    def next_in(self, now: float) -> float:
        """Seconds until the next one."""
        return next_frame_in(self, now=now)


def frame_at(session: Framed, *, now: float) -> str:
    """The frame of this moment, as it stands in the QR."""
    return _frame(session, _counter(session, now))


def next_frame_in(session: Framed, *, now: float) -> float:
    """Seconds until the frame changes."""
    return session.frame_period - (now - session.created_at) % session.frame_period


def is_frame_current(frame: str, session: Framed, *, now: float) -> bool:
    """Whether ``frame`` is that of this moment or one of its ``GRACE`` predecessors."""
    counter = _counter(session, now)
    # Mostly it is the first one; what the time tells of the rest, a wrong frame's answer tells anyway.
    return any(compare_digest(frame, _frame(session, value)) for value in range(counter, counter - GRACE - 1, -1))


def _counter(session: Framed, now: float) -> int:
    return max(0, int((now - session.created_at) // session.frame_period))


def _frame(session: Framed, counter: int) -> str:
    """Keyed BLAKE2b (RFC 7693 §2.9), which is a MAC by itself."""
    count = counter.to_bytes(8, "big", signed=True)
    mac = blake2b(count, key=session.frame_key, digest_size=FRAME_SIZE, person=b"useid frame")
    return b64url(mac.digest())
