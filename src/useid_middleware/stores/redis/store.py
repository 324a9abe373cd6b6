"""A store in one Redis, or in the primary that Sentinels name: for several processes on several machines.

Every verb is one command or one script, so it is atomic and takes one round trip; every key has a time to live; the
clock is the server's. For a cluster see :mod:`.cluster_store`: here a script touches a value and its indexes.

Below the prefix: ``v:`` values (see :mod:`.scripts`), ``i:`` indexes (sorted set of keys by expiry), ``b:`` buckets
(time at which full, in microseconds), ``n:`` counts, ``c:`` channels.
"""

from collections.abc import Sequence
from typing import Final

from ..base import Bucket, Callback, Unsubscribe, Versioned
from .calls import Calls, milliseconds, not_open
from .connections import Commands, Timing
from .links import PLAIN
from .scripts import FIND, GONE_ON, MARK_LIFETIME, OCCUPY, PUT, REPLACE, SPEND, TAKE, VACATE
from .servers import servers_of
from .subscriptions import OneNode, Subscriptions
from .url import RedisURL

#: What Redis says of a value that is not there.
_NOTHING: Final = [None, None]


class RedisStore:
    """The :class:`~..base.Store` in Redis. Raises ``ConfigurationError`` for a URL that is none."""

    def __init__(self, url: str, *, key_prefix: str, timing: Timing | None = None) -> None:
        self._values = key_prefix + "v:"
        self._indexes = key_prefix + "i:"
        self._buckets = key_prefix + "b:"
        self._counts = key_prefix + "n:"
        self._channels = key_prefix + "c:"
        self._servers = servers_of(RedisURL.parse(url))
        self._timing = timing or Timing()
        self._open_calls: Calls | None = None
        self._subscriptions: Subscriptions | None = None

    async def open(self) -> None:
        """Connect. After an interruption later, the store connects again by itself."""
        if self._open_calls is None:
            self._open_calls = Calls(Commands(self._servers.connection(), self._timing), self._timing)
            self._subscriptions = Subscriptions(OneNode(self._servers), PLAIN, self._timing)
        await self._calls.command("", "PING")

    async def close(self) -> None:
        """End subscriptions and disconnect."""
        calls, self._open_calls = self._open_calls, None
        subscriptions, self._subscriptions = self._subscriptions, None
        if subscriptions is not None:
            await subscriptions.close()
        if calls is not None:
            await calls.close()

    async def put(self, key: str, value: bytes, *, ttl: float, indexes: Sequence[str] = ()) -> bool:
        """See :meth:`..base.Store.put`."""
        calls = self._calls
        arguments = milliseconds(ttl), value, calls.new_token(), self._indexes, key
        return is_done(await calls.script(PUT, [self._values + key], *arguments, *indexes), calls)

    async def get(self, key: str) -> Versioned | None:
        """See :meth:`..base.Store.get`."""
        calls = self._calls
        return versioned(await calls.command(key, "HMGET", self._values + key, "value", "version"), calls)

    async def replace(
        self, key: str, value: bytes, *, expected_version: int, ttl: float, message: bytes | None = None
    ) -> bool:
        """See :meth:`..base.Store.replace`. Value and message travel in one script."""
        calls, versions = self._calls, (expected_version, expected_version + 1)
        arguments = milliseconds(ttl), value, calls.new_token(), *versions, self._indexes, key
        news = () if message is None else (self._channels + key, message)
        return is_replaced(
            await calls.script(REPLACE, [self._values + key], *arguments, *news, open_reply=GONE_ON), calls
        )

    async def take(self, key: str) -> Versioned | None:
        """See :meth:`..base.Store.take`."""
        return await self._take(key, keep=1)

    async def delete(self, key: str) -> bool:
        """See :meth:`..base.Store.delete`."""
        return await self._take(key, keep=0) is not None

    async def find(self, index: str) -> list[str]:
        """See :meth:`..base.Store.find`."""
        return names(await self._calls.script(FIND, [self._indexes + index], self._values), self._calls)

    async def spend(self, buckets: Sequence[Bucket]) -> float:
        """See :meth:`..base.Store.spend`. All buckets in one script."""
        if not buckets:
            return 0.0
        arguments = [number for bucket in buckets for number in rate(bucket)]
        calls, keys = self._calls, [self._buckets + bucket.key for bucket in buckets]
        return seconds(await calls.script(SPEND, keys, *arguments), calls)

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
        await self._calls.command(channel, "PUBLISH", self._channels + channel, message, repeat=False)

    async def subscribe(self, channel: str, callback: Callback) -> Unsubscribe:
        """See :meth:`..base.Store.subscribe`."""
        if self._subscriptions is None:
            raise not_open()
        return await self._subscriptions.subscribe(self._channels + channel, callback)

    @property
    def _calls(self) -> Calls:
        if self._open_calls is None:
            raise not_open()
        return self._open_calls

    async def _take(self, key: str, *, keep: int) -> Versioned | None:
        calls = self._calls
        arguments = calls.new_token(), keep, MARK_LIFETIME, self._indexes, key
        return versioned(await calls.script(TAKE, [self._values + key], *arguments), calls)


# What the replies of the scripts mean. Redis, or whoever sits in its place, may also answer something else.


def is_done(reply: object, calls: Calls) -> bool:
    """Whether a put has put."""
    if reply not in (0, 1):
        raise calls.nonsense()
    return reply == 1


def is_replaced(reply: object, calls: Calls) -> bool:
    """Whether a replace has replaced."""
    if reply not in (0, 1, GONE_ON):
        raise calls.nonsense()
    return reply == 1


def versioned(reply: object, calls: Calls) -> Versioned | None:
    """A value and its version, or nothing."""
    if reply is None or reply == _NOTHING:
        return None
    if isinstance(reply, list) and len(reply) == 2:
        value, version = reply
        if isinstance(value, bytes) and isinstance(version, bytes) and version.isdigit():
            return Versioned(value, int(version))
    raise calls.nonsense()


def names(reply: object, calls: Calls) -> list[str]:
    """Names of keys."""
    if not isinstance(reply, list) or not all(isinstance(name, bytes) and name.isascii() for name in reply):
        raise calls.nonsense()
    return [name.decode() for name in reply]


def rate(bucket: Bucket) -> tuple[int, int]:
    """A bucket's interval in microseconds, and its burst."""
    return max(1, round(bucket.interval * 1e6)), bucket.burst


def seconds(reply: object, calls: Calls) -> float:
    """The time to wait for a token."""
    if not isinstance(reply, int) or reply < 0:
        raise calls.nonsense()
    return reply / 1e6


def taken(reply: object, lowest: int, highest: int, calls: Calls) -> int | None:
    """The first slot of these that counts any, or nothing."""
    if reply is None or (isinstance(reply, int) and lowest <= reply <= highest):
        return reply
    raise calls.nonsense()
