"""A store in Redis: for several processes on several machines.

Every verb is one command or one script, so it is atomic and takes one round trip; every key has a time to live; the
clock is the server's. One Redis, not a cluster: a script touches a value and its indexes.

Below the prefix: ``v:`` values (hash of value, version, indexes), ``i:`` indexes (sorted set of keys by expiry), ``b:``
buckets (time at which full, in microseconds), ``c:`` channels.
"""

from collections.abc import Sequence
from hashlib import sha1
from typing import Any, Final

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from ..errors import ConfigurationError, UnavailableError
from .base import Bucket, Callback, Unsubscribe, Versioned
from .redis_connections import Argument, Commands, Subscription, unavailable

# ARGV: prefix of indexes, key, ttl in ms, names of indexes. An index lives as long as its longest-lived key.
_ENTER_INDEXES = """
local function enter_indexes(prefix, key, ttl, names)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  for _, name in ipairs(names) do
    local index = prefix .. name
    redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
    redis.call('ZADD', index, now + ttl, key)
    if redis.call('PTTL', index) < ttl then redis.call('PEXPIRE', index, ttl) end
  end
end
"""
# KEYS: value. ARGV: ttl in ms, value, prefix of indexes, key, names of indexes…
_PUT = (
    _ENTER_INDEXES
    + """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local ttl = tonumber(ARGV[1])
redis.call('HSET', KEYS[1], 'value', ARGV[2], 'version', 1)
redis.call('PEXPIRE', KEYS[1], ttl)
if #ARGV > 4 then
  local names = {unpack(ARGV, 5)}
  redis.call('HSET', KEYS[1], 'indexes', cjson.encode(names))
  enter_indexes(ARGV[3], ARGV[4], ttl, names)
end
return 1
"""
)
# KEYS: value. ARGV: ttl in ms, value, prefix of indexes, key, expected version, new version, [channel, message]
_REPLACE = (
    _ENTER_INDEXES
    + """
local held = redis.call('HMGET', KEYS[1], 'version', 'indexes')
if held[1] ~= ARGV[5] then return 0 end
local ttl = tonumber(ARGV[1])
redis.call('HSET', KEYS[1], 'value', ARGV[2], 'version', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ttl)
if held[2] then enter_indexes(ARGV[3], ARGV[4], ttl, cjson.decode(held[2])) end
if ARGV[7] then redis.call('PUBLISH', ARGV[7], ARGV[8]) end
return 1
"""
)
# KEYS: value. ARGV: prefix of indexes, key
_TAKE = """
local held = redis.call('HMGET', KEYS[1], 'value', 'version', 'indexes')
if not held[1] then return false end
redis.call('DEL', KEYS[1])
if held[3] then
  for _, name in ipairs(cjson.decode(held[3])) do redis.call('ZREM', ARGV[1] .. name, ARGV[2]) end
end
return {held[1], held[2]}
"""
# KEYS: index. ARGV: prefix of values. A key may be gone before its entry when Redis evicts under memory pressure.
_FIND = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local living = {}
for _, key in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if redis.call('EXISTS', ARGV[1] .. key) == 1 then living[#living + 1] = key end
end
return living
"""
# KEYS: buckets. ARGV: interval in µs and burst of each. Returns µs to wait. See memory.charge for the algorithm.
_SPEND = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local longest = 0
for number, bucket in ipairs(KEYS) do
  local interval, burst = tonumber(ARGV[2 * number - 1]), tonumber(ARGV[2 * number])
  local full_at = math.max(tonumber(redis.call('GET', bucket) or now), now)
  local wait = full_at - now - (burst - 1) * interval
  if wait > 0 then
    longest = math.max(longest, wait)
  else
    full_at = full_at + interval
    redis.call('SET', bucket, string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
  end
end
return longest
"""


# By which Redis calls a script it knows.
_SHA1: Final = {
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (_PUT, _REPLACE, _TAKE, _FIND, _SPEND)
}


class RedisStore:
    """The :class:`~.base.Store` in Redis. Raises ``ConfigurationError`` for an URL that is none."""

    def __init__(self, url: str, *, key_prefix: str) -> None:
        self._values = key_prefix + "v:"
        self._indexes = key_prefix + "i:"
        self._buckets = key_prefix + "b:"
        self._channels = key_prefix + "c:"
        try:
            # Answers have their own deadline, one per batch; a second attempt could carry a command out twice.
            # RESP2, because its messages come as plain replies, in order with the confirmations.
            self._pool: ConnectionPool = ConnectionPool.from_url(
                url, protocol=2, socket_timeout=None, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
            )
            self._pool.make_connection()  # type: ignore[no-untyped-call]
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"store: the URL of Redis is wrong: {error}") from None
        self._commands: Commands | None = None
        self._subscription: Subscription | None = None

    async def open(self) -> None:
        """Connect. After an interruption later, the store connects again by itself."""
        if self._commands is None:
            self._commands = Commands(self._pool)
            self._subscription = Subscription(self._pool)
        await self._call("PING")

    async def close(self) -> None:
        """End subscriptions and disconnect."""
        commands, self._commands = self._commands, None
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()
        if commands is not None:
            await commands.close()

    async def put(self, key: str, value: bytes, *, ttl: float, indexes: Sequence[str] = ()) -> bool:
        """See :meth:`.base.Store.put`."""
        arguments: list[Argument] = [_milliseconds(ttl), value, self._indexes, key, *indexes]
        stored: int = await self._run(_PUT, [self._values + key], *arguments)
        return stored == 1

    async def get(self, key: str) -> Versioned | None:
        """See :meth:`.base.Store.get`."""
        value, version = await self._call("HMGET", self._values + key, "value", "version")
        return None if value is None else Versioned(value, int(version))

    async def replace(
        self, key: str, value: bytes, *, expected_version: int, ttl: float, message: bytes | None = None
    ) -> bool:
        """See :meth:`.base.Store.replace`. Value and message travel in one script."""
        versions = expected_version, expected_version + 1
        arguments: list[Argument] = [_milliseconds(ttl), value, self._indexes, key, *versions]
        if message is not None:
            arguments += [self._channels + key, message]
        replaced: int = await self._run(_REPLACE, [self._values + key], *arguments)
        return replaced == 1

    async def take(self, key: str) -> Versioned | None:
        """See :meth:`.base.Store.take`."""
        held: list[bytes] | None = await self._run(_TAKE, [self._values + key], self._indexes, key)
        return None if held is None else Versioned(held[0], int(held[1]))

    async def delete(self, key: str) -> bool:
        """See :meth:`.base.Store.delete`."""
        return await self.take(key) is not None

    async def find(self, index: str) -> list[str]:
        """See :meth:`.base.Store.find`."""
        keys: list[bytes] = await self._run(_FIND, [self._indexes + index], self._values)
        return [key.decode() for key in keys]

    async def spend(self, buckets: Sequence[Bucket]) -> float:
        """See :meth:`.base.Store.spend`. All buckets in one script."""
        arguments = [number for _, interval, burst in buckets for number in (max(1, round(interval * 1e6)), burst)]
        wait: int = await self._run(_SPEND, [self._buckets + bucket.key for bucket in buckets], *arguments)
        return wait / 1e6

    async def publish(self, channel: str, message: bytes) -> None:
        """See :meth:`.base.Store.publish`."""
        await self._call("PUBLISH", self._channels + channel, message)

    async def subscribe(self, channel: str, callback: Callback) -> Unsubscribe:
        """See :meth:`.base.Store.subscribe`."""
        if self._subscription is None:
            raise _not_open()
        return await self._subscription.subscribe(self._channels + channel, callback)

    async def _call(self, *command: Argument) -> Any:
        if self._commands is None:
            raise _not_open()
        try:
            return await self._commands.call(*command)
        except RedisError as error:
            raise unavailable(error) from error

    async def _run(self, script: str, keys: Sequence[str], *arguments: Argument) -> Any:
        if self._commands is None:
            raise _not_open()
        try:
            try:
                return await self._commands.call("EVALSHA", _SHA1[script], len(keys), *keys, *arguments)
            except NoScriptError:
                # The first call since Redis started. Nothing has run; EVAL runs it and makes Redis remember it.
                return await self._commands.call("EVAL", script, len(keys), *keys, *arguments)
        except RedisError as error:
            raise unavailable(error) from error


def _milliseconds(ttl: float) -> int:
    return max(1, round(ttl * 1000))


def _not_open() -> UnavailableError:
    return UnavailableError("store_unavailable", "the Redis store is not open")
