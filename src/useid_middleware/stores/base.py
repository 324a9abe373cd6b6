"""What a store can do: a handful of atomic verbs that memory, SQLite and Redis all have.

A store holds short-lived state: waiting logins, login sessions, rate-limit buckets. Every key has a time to live. A
value is bytes with a version that starts at 1 and grows by one with each ``replace``.

When the store is away, every verb raises :class:`~useid_middleware.errors.UnavailableError` (code
``store_unavailable``) within seconds, whatever is wrong with it: nobody listens, nobody answers, what answers is no
store, or one that refuses.

A step may also be carried out and its answer be lost. The store then asks again by itself, and in such a way that the
step happens once: a ``put``, ``replace`` or ``take`` that has happened says so when it is repeated. What a verb returns
is therefore always true. ``UnavailableError`` means that the outcome is unknown: the step has not happened, or has, or
(Redis stood still and goes on) still will; never twice, and never over somebody else's later one. Who hears it reads
the state before going on, or leaves that to whoever asks again. ``spend`` may take a second token, ``publish`` is sent
once and may be lost, ``occupy`` may count twice, and ``vacate`` not at all.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

#: Called in the event loop's thread with a published message, or with ``None`` when messages may have been lost: read
#: the state anew. After an interruption ``None`` comes when messages are heard again; when that takes longer, it comes
#: at its beginning as well, and reading then raises ``UnavailableError``. It must not block and must not raise.
Callback = Callable[[bytes | None], None]
#: Ends a subscription. May be called more than once.
Unsubscribe = Callable[[], Awaitable[None]]
#: Unix seconds.
Clock = Callable[[], float]


class Versioned(NamedTuple):
    """A stored value and its version."""

    value: bytes
    version: int


class Bucket(NamedTuple):
    """A token bucket: ``burst`` requests at once, then one per ``interval`` seconds."""

    key: str
    interval: float
    burst: int


class Store(Protocol):
    """The verbs. Keys and index names are ASCII of at most 200 characters; ``ttl`` is in seconds, above 0."""

    async def open(self) -> None:
        """Connect or create what is missing. Idempotent."""

    async def close(self) -> None:
        """Release everything; subscriptions end. Idempotent."""

    async def put(self, key: str, value: bytes, *, ttl: float, indexes: Sequence[str] = ()) -> bool:
        """Store ``value`` as version 1 if ``key`` is free; ``False``, and nothing changed, if it is held.

        ``indexes`` name sets that :meth:`find` lists this key under for as long as it lives.
        """
        ...

    async def get(self, key: str) -> Versioned | None:
        """The living value, or ``None``."""
        ...

    async def replace(
        self, key: str, value: bytes, *, expected_version: int, ttl: float, message: bytes | None = None
    ) -> bool:
        """Compare-and-set: store ``value`` as ``expected_version + 1`` if that is still the version; ``False`` if not.

        On success, and only then, ``message`` is published on the channel called ``key``, in the same atomic step
        where the store can. Indexes stay.
        """
        ...

    async def take(self, key: str) -> Versioned | None:
        """Get and delete in one step: of many callers exactly one receives the value."""
        ...

    async def delete(self, key: str) -> bool:
        """Delete; ``True`` if there was something living to delete."""
        ...

    async def find(self, index: str) -> list[str]:
        """Keys stored under ``index`` and still alive, in no particular order."""
        ...

    async def spend(self, buckets: Sequence[Bucket]) -> float:
        """Take one token from every bucket: 0.0 if all had one, else seconds until the last of the empty ones has one.

        A bucket that has a token is charged even when another one is empty (an attacker does not save tokens by being
        refused elsewhere). Buckets vanish by themselves when they are full again.
        """
        ...

    async def occupy(self, key: str, *, slot: int, lowest: int, highest: int, limit: int, ttl: float) -> int | None:
        """Count one more in a slot of ``key``, unless ``limit`` are counted in those from ``lowest`` to ``highest``.

        ``None`` if it has been counted, else the lowest of these that counts any. Other slots are forgotten, and all
        of them after ``ttl`` without a call.
        """
        ...

    async def vacate(self, key: str, slot: int) -> None:
        """Count one less in that slot, if it counts any."""
        ...

    async def publish(self, channel: str, message: bytes) -> None:
        """Hand ``message`` to every subscriber of ``channel`` in every process, at most once."""

    async def subscribe(self, channel: str, callback: Callback) -> Unsubscribe:
        """Call ``callback`` for each message published after this returns. One connection per process, however many."""
        ...
