"""A store in the process's own memory: for tests, benchmarks and single-process development.

Nothing here awaits, so every verb is atomic by itself. Expiry is decided when a value is read; what nobody reads any
more is found by a clock hand: each new entry makes it look at two old ones and drop them if they are dead. So memory
stays proportional to what is alive, without a background task and without a pause that grows with the entries.
"""

import logging
import time
from collections import deque
from collections.abc import Collection, Sequence

from .base import Bucket, Callback, Clock, Unsubscribe, Versioned

logger = logging.getLogger("useid_middleware")
_CLOCK_SLACK = 1.0  # seconds by which a bucket may seem more than empty, for the clocks of processes differ


class Subscribers:
    """Who in this process listens to which channel. Shared by all stores."""

    def __init__(self) -> None:
        self._callbacks: dict[str, list[Callback]] = {}

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    @property
    def channels(self) -> Collection[str]:
        """The channels somebody listens to."""
        return self._callbacks.keys()

    def add(self, channel: str, callback: Callback) -> bool:
        """Add a listener; ``True`` if it is the channel's first."""
        callbacks = self._callbacks.get(channel)
        if callbacks is None:
            self._callbacks[channel] = [callback]
            return True
        callbacks.append(callback)
        return False

    def remove(self, channel: str, callback: Callback) -> bool:
        """Remove a listener; ``True`` if it was the channel's last, ``False`` also when it was gone already."""
        callbacks = self._callbacks.get(channel)
        if callbacks is None or callback not in callbacks:
            return False
        callbacks.remove(callback)
        if callbacks:
            return False
        del self._callbacks[channel]
        return True

    def deliver(self, channel: str, message: bytes) -> None:
        """Hand ``message`` to the channel's listeners, in the order they came."""
        for callback in tuple(self._callbacks.get(channel, ())):
            self._call(callback, message)

    def interrupt(self, *channels: str) -> None:
        """Tell the listeners of these channels, or of all, that messages may have been lost."""
        for channel in channels or tuple(self._callbacks):
            for callback in tuple(self._callbacks.get(channel, ())):
                self._call(callback, None)

    def clear(self) -> None:
        """Forget everybody."""
        self._callbacks.clear()

    def _call(self, callback: Callback, message: bytes | None) -> None:
        # A callback must not raise. One that does has hurt itself; it shall not take the other listeners along.
        try:
            callback(message)
        except Exception as error:
            logger.error("a store subscriber failed with %s", type(error).__name__)


class _Entry:
    """A stored value. Changed in place by ``replace``, so that the clock hand and the indexes keep knowing it."""

    __slots__ = ("current", "expires_at", "indexes", "key")

    def __init__(self, key: str, current: Versioned, expires_at: float, indexes: tuple[str, ...]) -> None:
        self.key = key
        self.current = current
        self.expires_at = expires_at
        self.indexes = indexes


class _Subscription:
    """Ends a subscription; smaller than a closure, and there is one for each open stream."""

    __slots__ = ("_callback", "_channel", "_subscribers")

    def __init__(self, subscribers: Subscribers, channel: str, callback: Callback) -> None:
        self._subscribers: Subscribers | None = subscribers
        self._channel = channel
        self._callback = callback

    async def __call__(self) -> None:
        subscribers, self._subscribers = self._subscribers, None
        if subscribers is not None:
            subscribers.remove(self._channel, self._callback)


class MemoryStore:
    """The :class:`~.base.Store` of one process. Closing it forgets everything."""

    def __init__(self, *, clock: Clock = time.time) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._indexes: dict[str, dict[str, _Entry]] = {}
        self._entry_hand: deque[_Entry] = deque()
        # A bucket is the time at which it will be full again (GCRA's theoretical arrival time).
        self._buckets: dict[str, float] = {}
        self._bucket_hand: deque[str] = deque()
        # What `occupy` counts: by key, how many in each slot. There are as many keys as caps, so none is ever purged.
        self._counts: dict[str, dict[int, int]] = {}
        self._subscribers = Subscribers()

    async def open(self) -> None:
        """Nothing to connect."""

    async def close(self) -> None:
        """Forget all values, buckets and subscriptions."""
        self._entries.clear()
        self._indexes.clear()
        self._entry_hand.clear()
        self._buckets.clear()
        self._bucket_hand.clear()
        self._counts.clear()
        self._subscribers.clear()

    async def put(self, key: str, value: bytes, *, ttl: float, indexes: Sequence[str] = ()) -> bool:
        """See :meth:`.base.Store.put`."""
        now = self._clock()
        held = self._entries.get(key)
        if held is not None:
            if now < held.expires_at:
                return False
            self._drop(held)
        self._purge_entries(now)
        entry = _Entry(key, Versioned(value, 1), now + ttl, tuple(indexes))
        self._entries[key] = entry
        self._entry_hand.append(entry)
        for index in entry.indexes:
            self._indexes.setdefault(index, {})[key] = entry
        return True

    async def get(self, key: str) -> Versioned | None:
        """See :meth:`.base.Store.get`."""
        entry = self._living(key)
        return entry.current if entry is not None else None

    async def replace(
        self, key: str, value: bytes, *, expected_version: int, ttl: float, message: bytes | None = None
    ) -> bool:
        """See :meth:`.base.Store.replace`."""
        now = self._clock()
        entry = self._entries.get(key)
        if entry is None or now >= entry.expires_at or entry.current.version != expected_version:
            return False
        entry.current = Versioned(value, expected_version + 1)
        entry.expires_at = now + ttl
        if message is not None:
            self._subscribers.deliver(key, message)
        return True

    async def take(self, key: str) -> Versioned | None:
        """See :meth:`.base.Store.take`."""
        entry = self._living(key)
        if entry is None:
            return None
        self._drop(entry)
        return entry.current

    async def delete(self, key: str) -> bool:
        """See :meth:`.base.Store.delete`."""
        return await self.take(key) is not None

    async def find(self, index: str) -> list[str]:
        """See :meth:`.base.Store.find`."""
        now = self._clock()
        return [key for key, entry in self._indexes.get(index, {}).items() if now < entry.expires_at]

    async def spend(self, buckets: Sequence[Bucket]) -> float:
        """See :meth:`.base.Store.spend`."""
        now = self._clock()
        self._purge_buckets(now, 2 * len(buckets))
        longest = 0.0
        for key, interval, burst in buckets:
            full_at = self._buckets.get(key)
            if full_at is None:
                self._bucket_hand.append(key)
                full_at = now
            full_at, wait = charge(full_at, interval=interval, burst=burst, now=now)
            self._buckets[key] = full_at
            longest = max(longest, wait)
        return longest

    async def occupy(self, key: str, *, slot: int, lowest: int, highest: int, limit: int, ttl: float) -> int | None:
        """See :meth:`.base.Store.occupy`."""
        counts = self._counts.setdefault(key, {})
        if slot not in counts:
            for each in [each for each in counts if not lowest <= each <= highest]:
                del counts[each]
        living = [each for each in counts if lowest <= each <= highest]
        if sum([counts[each] for each in living]) >= limit:
            return min(living)
        counts[slot] = counts.get(slot, 0) + 1
        return None

    async def vacate(self, key: str, slot: int) -> None:
        """See :meth:`.base.Store.vacate`."""
        counts = self._counts.get(key, {})
        if counts.get(slot, 0) > 1:
            counts[slot] -= 1
        else:
            counts.pop(slot, None)

    async def publish(self, channel: str, message: bytes) -> None:
        """See :meth:`.base.Store.publish`."""
        self._subscribers.deliver(channel, message)

    async def subscribe(self, channel: str, callback: Callback) -> Unsubscribe:
        """See :meth:`.base.Store.subscribe`."""
        self._subscribers.add(channel, callback)
        return _Subscription(self._subscribers, channel, callback)

    def _living(self, key: str) -> _Entry | None:
        entry = self._entries.get(key)
        return entry if entry is not None and self._clock() < entry.expires_at else None

    def _drop(self, entry: _Entry) -> None:
        del self._entries[entry.key]
        for index in entry.indexes:
            keys = self._indexes.get(index)
            # An index named twice in one put is emptied at its first mention.
            if keys is not None and keys.pop(entry.key, None) is not None and not keys:
                del self._indexes[index]

    def _purge_entries(self, now: float) -> None:
        hand = self._entry_hand
        for _ in range(min(2, len(hand))):
            entry = hand.popleft()
            if self._entries.get(entry.key) is not entry:
                continue
            if now >= entry.expires_at:
                self._drop(entry)
            else:
                hand.append(entry)

    def _purge_buckets(self, now: float, looks: int) -> None:
        hand = self._bucket_hand
        for _ in range(min(looks, len(hand))):
            key = hand.popleft()
            if now >= self._buckets[key]:
                del self._buckets[key]
            else:
                hand.append(key)


def charge(full_at: float, *, interval: float, burst: int, now: float) -> tuple[float, float]:
    """Take one token from a bucket: its new ``full_at``, and the seconds to wait (0.0 when there was a token).

    The generic cell rate algorithm (ITU-T I.371, virtual scheduling): the only state is the time at which the bucket is
    full again. A refused call changes nothing.
    """
    full_at = max(full_at, now)
    if full_at - now > burst * interval + _CLOCK_SLACK:
        full_at = now  # No bucket is so empty: it was charged before the clock was set back.
    wait = full_at - now - (burst - 1) * interval
    # Unix seconds in a float are good to about 0.2 µs; a token that is due this very moment must not fail by rounding.
    if wait > 1e-6:
        return full_at, wait
    return full_at + interval, 0.0
