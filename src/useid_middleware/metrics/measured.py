"""A store and event streams that are measured; what they do is what they did."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from ..errors import UnavailableError
from ..http.asgi import ASGIApp
from ..http.sse import EventStream, EventStreams
from ..stores.base import Bucket, Callback, Store, Unsubscribe, Versioned
from .collection import LIMITS, STORE, STORE_FAILURES, STREAMS, Metrics
from .series import OTHER

T = TypeVar("T")


class MeasuredStore:
    """Any store, with the time that its verbs take. ``timer`` is in seconds."""

    def __init__(self, store: Store, metrics: Metrics, *, timer: Callable[[], float] = time.perf_counter) -> None:
        self._store = store
        self._registry = metrics.registry
        self._timer = timer

    async def open(self) -> None:
        """See :meth:`~..stores.base.Store.open`."""
        await self._store.open()

    async def close(self) -> None:
        """See :meth:`~..stores.base.Store.close`."""
        await self._store.close()

    async def put(self, key: str, value: bytes, *, ttl: float, indexes: Sequence[str] = ()) -> bool:
        """See :meth:`~..stores.base.Store.put`."""
        return await self._measure("put", self._store.put(key, value, ttl=ttl, indexes=indexes))

    async def get(self, key: str) -> Versioned | None:
        """See :meth:`~..stores.base.Store.get`."""
        return await self._measure("get", self._store.get(key))

    async def replace(
        self, key: str, value: bytes, *, expected_version: int, ttl: float, message: bytes | None = None
    ) -> bool:
        """See :meth:`~..stores.base.Store.replace`."""
        replacing = self._store.replace(key, value, expected_version=expected_version, ttl=ttl, message=message)
        return await self._measure("replace", replacing)

    async def take(self, key: str) -> Versioned | None:
        """See :meth:`~..stores.base.Store.take`."""
        return await self._measure("take", self._store.take(key))

    async def delete(self, key: str) -> bool:
        """See :meth:`~..stores.base.Store.delete`."""
        return await self._measure("delete", self._store.delete(key))

    async def find(self, index: str) -> list[str]:
        """See :meth:`~..stores.base.Store.find`."""
        return await self._measure("find", self._store.find(index))

    async def spend(self, buckets: Sequence[Bucket]) -> float:
        """See :meth:`~..stores.base.Store.spend`. A request that has to wait has hit a limit."""
        wait = await self._measure("spend", self._store.spend(buckets))
        if wait > 0:
            self._registry.add(LIMITS, "+".join(dict.fromkeys(_kind(bucket.key) for bucket in buckets)))
        return wait

    async def occupy(self, key: str, *, slot: int, lowest: int, highest: int, limit: int, ttl: float) -> int | None:
        """See :meth:`~..stores.base.Store.occupy`. What is full is a limit, too."""
        occupy = self._store.occupy(key, slot=slot, lowest=lowest, highest=highest, limit=limit, ttl=ttl)
        first = await self._measure("occupy", occupy)
        if first is not None:
            self._registry.add(LIMITS, _kind(key))
        return first

    async def vacate(self, key: str, slot: int) -> None:
        """See :meth:`~..stores.base.Store.vacate`."""
        await self._measure("vacate", self._store.vacate(key, slot))

    async def publish(self, channel: str, message: bytes) -> None:
        """See :meth:`~..stores.base.Store.publish`."""
        await self._measure("publish", self._store.publish(channel, message))

    async def subscribe(self, channel: str, callback: Callback) -> Unsubscribe:
        """See :meth:`~..stores.base.Store.subscribe`."""
        return await self._measure("subscribe", self._store.subscribe(channel, callback))

    async def _measure(self, verb: str, call: Awaitable[T]) -> T:
        began = self._timer()
        try:
            result = await call
        except UnavailableError:
            self._registry.add(STORE_FAILURES, verb)
            raise
        self._registry.observe(STORE, verb, value=self._timer() - began)
        return result


class MeasuredStreams(EventStreams):
    """All open streams of a process, counted."""

    def __init__(self, metrics: Metrics, *, retry: float, adapter: Callable[[ASGIApp], ASGIApp] | None) -> None:
        super().__init__(retry=retry, adapter=adapter)
        self._registry = metrics.registry

    def admit(self, stream: EventStream, opening: bytes, *, last: bool, first_beat: float) -> tuple[bytes, bool]:
        """See :meth:`~..http.sse.EventStreams.admit`."""
        admitted = super().admit(stream, opening, last=last, first_beat=first_beat)
        self._registry.set(STREAMS, value=len(self))
        return admitted

    def leave(self, stream: EventStream) -> None:
        """See :meth:`~..http.sse.EventStreams.leave`."""
        super().leave(stream)
        self._registry.set(STREAMS, value=len(self))


def _kind(key: str) -> str:
    """Which limit is at a key: ``limit:ip:192.0.2.1`` is of ``ip``."""
    first, _, rest = key.partition(":")
    return rest.partition(":")[0] if first == "limit" else OTHER
