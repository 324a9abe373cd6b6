"""A store in a Redis cluster, whose keys are spread over several servers.

No script may touch keys of two servers, so a value and its indexes are written in steps, and in an order that lets no
value live without its entries: entries first, then the value, which alone says what is true. Each ``put`` has an entry
of its own, ``token:key``; the value names it. An entry whose value is gone, or names another entry, means nothing, and
time removes it.

Below the prefix: ``v:`` values (see :mod:`.scripts`), which are channels as well, ``i:`` indexes, ``b:`` buckets,
``n:`` counts.
"""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Final

from ...errors import UnavailableError
from ..base import Bucket, Callback, Unsubscribe, Versioned
from .calls import Calls, milliseconds, not_open
from .cluster import ClusterCommands, ClusterMap
from .connections import Timing
from .links import SHARDED
from .scripts import (
    ENTER,
    ENTRIES,
    GONE_ON,
    MARK_LIFETIME,
    OCCUPY,
    PUT_ALONE,
    REPLACE_ALONE,
    SPEND,
    TAKE_ALONE,
    VACATE,
)
from .store import is_done, is_replaced, names, rate, seconds, taken, versioned
from .subscriptions import Subscriptions
from .url import RedisURL

#: Entries outlive their values by so much (ms), since they are written before, and the servers' clocks may differ.
_ENTRY_SLACK: Final = 60_000
#: The second one succeeds, unless the key was deleted and put anew between the two.
_REPLACE_TRIES: Final = 4


class RedisClusterStore:
    """The :class:`~..base.Store` in a cluster. Raises ``ConfigurationError`` for a URL that is none."""

    def __init__(self, url: str, *, key_prefix: str, timing: Timing | None = None) -> None:
        self._values = key_prefix + "v:"
        self._indexes = key_prefix + "i:"
        self._buckets = key_prefix + "b:"
        self._counts = key_prefix + "n:"
        self._url = RedisURL.parse(url)
        self._timing = timing or Timing()
        self._map: ClusterMap | None = None
        self._open_calls: Calls | None = None
        self._subscriptions: Subscriptions | None = None

    async def open(self) -> None:
        """Learn the slots. After an interruption later, the store connects again by itself."""
        if self._map is None:
            self._map = ClusterMap(self._url, self._timing)
            self._open_calls = Calls(ClusterCommands(self._url, self._map, self._timing), self._timing)
            self._subscriptions = Subscriptions(self._map, SHARDED, self._timing)
        await self._map.ready()

    async def close(self) -> None:
        """End subscriptions and disconnect."""
        calls, self._open_calls = self._open_calls, None
        subscriptions, self._subscriptions = self._subscriptions, None
        cluster_map, self._map = self._map, None
        if subscriptions is not None:
            await subscriptions.close()
        if calls is not None:
            await calls.close()
        if cluster_map is not None:
            await cluster_map.close()

    async def put(self, key: str, value: bytes, *, ttl: float, indexes: Sequence[str] = ()) -> bool:
        """See :meth:`..base.Store.put`."""
        calls, expiry = self._calls, milliseconds(ttl)
        token = calls.new_token()
        if not indexes:
            return is_done(await calls.script(PUT_ALONE, [self._values + key], expiry, value, token), calls)
        entry = b"%s:%s" % (token.hex().encode(), key.encode())
        await self._enter(indexes, entry, expiry)
        listed = entry, json.dumps(list(indexes)).encode()
        stored = is_done(await calls.script(PUT_ALONE, [self._values + key], expiry, value, token, *listed), calls)
        if not stored:
            await self._forget(indexes, entry)
        return stored

    async def get(self, key: str) -> Versioned | None:
        """See :meth:`..base.Store.get`."""
        name = self._values + key
        return versioned(await self._calls.command(name, "HMGET", name, "value", "version"), self._calls)

    async def replace(
        self, key: str, value: bytes, *, expected_version: int, ttl: float, message: bytes | None = None
    ) -> bool:
        """See :meth:`..base.Store.replace`. Value and message travel in one script; what is indexed takes two more."""
        calls, expiry, entry = self._calls, milliseconds(ttl), b""
        token, versions = calls.new_token(), (expected_version, expected_version + 1)
        news = () if message is None else (message,)
        for _ in range(_REPLACE_TRIES):
            arguments = expiry, value, token, *versions, entry, *news
            reply = await calls.script(REPLACE_ALONE, [self._values + key], *arguments, open_reply=GONE_ON)
            match reply:
                case [bytes(entry), bytes(indexes)]:
                    # Before the value, so that it is found for as long as it lives.
                    await self._enter(self._names(indexes), entry, expiry)
                case _:
                    return is_replaced(reply, calls)
        raise calls.nonsense()

    async def take(self, key: str) -> Versioned | None:
        """See :meth:`..base.Store.take`."""
        return await self._take(key, keep=1)

    async def delete(self, key: str) -> bool:
        """See :meth:`..base.Store.delete`."""
        return await self._take(key, keep=0) is not None

    async def find(self, index: str) -> list[str]:
        """See :meth:`..base.Store.find`."""
        entries = names(await self._calls.script(ENTRIES, [self._indexes + index]), self._calls)
        keys = [entry.partition(":")[2] for entry in entries]
        held = await asyncio.gather(*(self._entry(key) for key in keys))
        return [key for key, entry, current in zip(keys, entries, held, strict=True) if entry.encode() == current]

    async def spend(self, buckets: Sequence[Bucket]) -> float:
        """See :meth:`..base.Store.spend`. Each bucket by itself."""
        waits = await asyncio.gather(*(self._spend(bucket) for bucket in buckets))
        return max(waits, default=0.0)

    async def occupy(self, key: str, *, slot: int, lowest: int, highest: int, limit: int, ttl: float) -> int | None:
        """See :meth:`..base.Store.occupy`."""
        calls, arguments = self._calls, (slot, lowest, highest, limit, milliseconds(ttl))
        return taken(await calls.script(OCCUPY, [self._counts + key], *arguments), lowest, highest, calls)

    async def vacate(self, key: str, slot: int) -> None:
        """See :meth:`..base.Store.vacate`."""
        calls = self._calls
        if await calls.script(VACATE, [self._counts + key], slot, repeat=False) != 0:
            raise calls.nonsense()

    async def publish(self, channel: str, message: bytes) -> None:
        """See :meth:`..base.Store.publish`."""
        name = self._values + channel
        await self._calls.command(name, "SPUBLISH", name, message, repeat=False)

    async def subscribe(self, channel: str, callback: Callback) -> Unsubscribe:
        """See :meth:`..base.Store.subscribe`."""
        if self._subscriptions is None:
            raise not_open()
        return await self._subscriptions.subscribe(self._values + channel, callback)

    @property
    def _calls(self) -> Calls:
        if self._open_calls is None:
            raise not_open()
        return self._open_calls

    async def _take(self, key: str, *, keep: int) -> Versioned | None:
        arguments = self._calls.new_token(), keep, MARK_LIFETIME
        reply = await self._calls.script(TAKE_ALONE, [self._values + key], *arguments)
        match reply:
            case [bytes(), bytes(), bytes(entry), bytes(indexes)]:
                await self._forget(self._names(indexes), entry)
                reply = reply[:2]
            case [bytes(), bytes(), None, None]:
                reply = reply[:2]
        return versioned(reply, self._calls)

    async def _spend(self, bucket: Bucket) -> float:
        return seconds(await self._calls.script(SPEND, [self._buckets + bucket.key], *rate(bucket)), self._calls)

    async def _entry(self, key: str) -> bytes | None:
        name = self._values + key
        entry = await self._calls.command(name, "HGET", name, "entry")
        if entry is not None and not isinstance(entry, bytes):
            raise self._calls.nonsense()
        return entry

    async def _enter(self, indexes: Sequence[str], entry: bytes, ttl: int) -> None:
        lifetime = ttl + _ENTRY_SLACK
        await asyncio.gather(
            *(self._calls.script(ENTER, [self._indexes + index], lifetime, entry) for index in set(indexes))
        )

    async def _forget(self, indexes: Sequence[str], entry: bytes) -> None:
        """Remove entries that mean nothing any more: for tidiness, so it need not succeed."""
        with contextlib.suppress(UnavailableError):
            await asyncio.gather(
                *(self._calls.command(name, "ZREM", name, entry) for name in {self._indexes + one for one in indexes})
            )

    def _names(self, indexes: bytes) -> list[str]:
        try:
            found = json.loads(indexes)
        except ValueError:
            raise self._calls.nonsense() from None
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise self._calls.nonsense()
        return found
