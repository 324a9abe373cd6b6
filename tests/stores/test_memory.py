"""What only the memory store promises: it gives back what has run out, without a task of its own."""

from useid_middleware.stores.base import Bucket
from useid_middleware.stores.memory import MemoryStore


class Living:
    """Counts the objects made from it that somebody still holds."""

    count = 0


class CountedValue(bytes):
    """A value that is counted."""

    def __new__(cls, living: Living) -> "CountedValue":
        """Count one more."""
        value = super().__new__(cls)
        value.living = living
        living.count += 1
        return value

    living: Living

    def __del__(self) -> None:
        self.living.count -= 1


class CountedName(str):
    """A name that is counted."""

    def __new__(cls, text: str, living: Living) -> "CountedName":
        """Count one more."""
        name = super().__new__(cls, text)
        name.living = living
        living.count += 1
        return name

    living: Living

    def __del__(self) -> None:
        self.living.count -= 1


async def test_values_that_ran_out_are_dropped_while_others_come() -> None:
    now, living = 0.0, Living()
    store = MemoryStore(clock=lambda: now)
    for number in range(1000):
        await store.put(f"{number}", CountedValue(living), ttl=10, indexes=[CountedName(f"i{number}", living)])
        now += 1
    # Ten are alive at a time, each with its index; the clock hand may be as far behind again.
    assert living.count <= 2 * 2 * 10 + 2


async def test_a_value_whose_life_is_prolonged_is_not_dropped() -> None:
    now, living = 0.0, Living()
    store = MemoryStore(clock=lambda: now)
    await store.put("kept", b"", ttl=10)
    for number in range(1000):
        assert await store.replace("kept", b"", expected_version=number + 1, ttl=10)
        await store.put(f"{number}", CountedValue(living), ttl=10)
        now += 1
    assert await store.get("kept") is not None


async def test_keys_that_come_and_go_leave_nothing_behind() -> None:
    living = Living()
    store = MemoryStore(clock=lambda: 0.0)
    for number in range(2000):
        # Nine of ten keys are held at any moment; what they held before must not be kept.
        await store.take(f"{number % 10}")
        assert await store.put(f"{number % 10}", CountedValue(living), ttl=3600)
    assert living.count <= 2 * 10 + 2


async def test_buckets_that_are_full_again_are_dropped() -> None:
    now, living = 0.0, Living()
    store = MemoryStore(clock=lambda: now)
    for number in range(1000):
        names = (CountedName(f"{number}/{which}", living) for which in range(3))
        await store.spend([Bucket(name, interval=10, burst=5) for name in names])
        now += 1
    assert living.count <= 2 * 3 * 10 + 3


async def test_close_forgets_everything() -> None:
    store = MemoryStore()
    bucket = Bucket("bucket", interval=3600, burst=1)
    await store.put("key", b"", ttl=3600, indexes=["index"])
    await store.spend([bucket])
    await store.close()
    assert await store.get("key") is None
    assert await store.find("index") == []
    assert await store.spend([bucket]) == 0.0
