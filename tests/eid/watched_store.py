"""A store that remembers what was written to it, for tests of what must never be."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from useid_middleware.errors import UnavailableError
from useid_middleware.stores.base import Bucket, Callback, Clock, Unsubscribe, Versioned
from useid_middleware.stores.memory import MemoryStore


class WatchedStore:
    """A store in memory that remembers every byte that was ever written to it, and can be away.

    Unlike one in memory alone it lets others go first, as one on the network does, so that calls at once interleave.
    """

    def __init__(self, clock: Clock) -> None:
        self._store = MemoryStore(clock=clock)
        self.written: list[bytes] = []
        self.keys: set[str] = set()
        #: How many of what is counted are under way.
        self.held: Counter[str] = Counter()
        self.is_away = False

    async def open(self) -> None:
        await self._store.open()

    async def close(self) -> None:
        await self._store.close()

    async def put(self, key: str, value: bytes, *, ttl: float, indexes: Sequence[str] = ()) -> bool:
        await self._write(key, value, *(index.encode() for index in indexes))
        return await self._store.put(key, value, ttl=ttl, indexes=indexes)

    async def get(self, key: str) -> Versioned | None:
        await self._turn()
        return await self._store.get(key)

    async def replace(
        self, key: str, value: bytes, *, expected_version: int, ttl: float, message: bytes | None = None
    ) -> bool:
        await self._write(key, value, message or b"")
        return await self._store.replace(key, value, expected_version=expected_version, ttl=ttl, message=message)

    async def take(self, key: str) -> Versioned | None:
        await self._turn()
        return await self._store.take(key)

    async def delete(self, key: str) -> bool:
        await self._turn()
        return await self._store.delete(key)

    async def find(self, index: str) -> list[str]:
        await self._turn()
        return await self._store.find(index)

    async def spend(self, buckets: Sequence[Bucket]) -> float:
        await self._turn()
        await self._write(*(bucket.key for bucket in buckets), b"")
        return await self._store.spend(buckets)

    async def occupy(self, key: str, *, slot: int, lowest: int, highest: int, limit: int, ttl: float) -> int | None:
        await self._write(key)
        first = await self._store.occupy(key, slot=slot, lowest=lowest, highest=highest, limit=limit, ttl=ttl)
        self.held[key] += first is None
        return first

    async def vacate(self, key: str, slot: int) -> None:
        await self._write(key)
        self.held[key] -= 1
        await self._store.vacate(key, slot)

    async def publish(self, channel: str, message: bytes) -> None:
        await self._write(channel, message)
        await self._store.publish(channel, message)

    async def subscribe(self, channel: str, callback: Callback) -> Unsubscribe:
        await self._turn()
        return await self._store.subscribe(channel, callback)

    async def living(self) -> dict[str, bytes]:
        """What is in it now."""
        found = {key: await self._store.get(key) for key in self.keys}
        return {key: entry.value for key, entry in found.items() if entry is not None}

    async def _write(self, key: str, *values: bytes | str) -> None:
        await self._turn()
        self.keys.add(key)
        self.written += [key.encode(), *(value if isinstance(value, bytes) else value.encode() for value in values)]

    async def _turn(self) -> None:
        await asyncio.sleep(0)
        if self.is_away:
            raise UnavailableError("store_unavailable", "the store is away")
