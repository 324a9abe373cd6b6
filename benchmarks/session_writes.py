"""Login sessions written to SQLite by 32 tasks at once, each on disk before its task goes on, beside aiosqlite.

The figure is time per session, since waiting for the disk is most of it; rounds of the two alternate on the same disk.
Ours also keeps two indexes of a session (its account and its phone) and checks that the key is free.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from statistics import median
from time import perf_counter_ns, time

from useid_middleware.stores import create_store

from .peers.sessions_aiosqlite import AiosqliteSessions
from .rows import Row, row

#: Of a session's size.
_VALUE = b"s" * 320


@dataclass(frozen=True, slots=True)
class Size:
    """How much to measure: rounds of each, sessions in a round, tasks that write at once."""

    rounds: int
    sessions: int
    at_once: int = 32


FULL = Size(rounds=15, sessions=3200)
QUICK = Size(rounds=3, sessions=320)


async def rows(size: Size) -> list[Row]:
    """Measure and compare. Raises where a session that was written is not there."""
    with tempfile.TemporaryDirectory() as folder:
        store = create_store(f"sqlite:///{folder}/ours.db", key_prefix="bench:")
        sessions = AiosqliteSessions(Path(folder, "peer.db"))
        await store.open()
        await sessions.open()
        last = ""

        async def ours(number: int) -> None:
            nonlocal last
            last = f"session:{token_urlsafe(32)}"
            indexes = (f"session-account:{number % 500}", f"session-device:{number % 500}")
            if not await store.put(last, _VALUE, ttl=3600, indexes=indexes):
                raise RuntimeError("a new session's key was taken")

        async def peer(number: int) -> None:
            await sessions.put(token_urlsafe(32), _VALUE, account=str(number % 500), expires_at=time() + 3600)

        try:
            us, them = [], []  # The first round of each warms up.
            for _ in range(size.rounds + 1):
                us.append(await _round(ours, size))
                them.append(await _round(peer, size))
            if await store.get(last) is None or await sessions.count() != len(them) * size.sessions:
                raise RuntimeError("a session that was written is not there")
        finally:
            await store.close()
            await sessions.close()
    return [
        row(
            f"SQLite session write, {size.at_once} at once, durable, time vs aiosqlite",
            ours=median(us[1:]),
            peer=median(them[1:]),
            unit="µs",
            goal=1 / 1.8,
            why="ours writes two index entries besides, and both wait for the disk alike",
        )
    ]


async def _round(write: Callable[[int], Awaitable[None]], size: Size) -> float:
    """Microseconds a session."""
    numbers = iter(range(size.sessions))

    async def work() -> None:
        for number in numbers:
            await write(number)

    started = perf_counter_ns()
    await asyncio.gather(*(work() for _ in range(size.at_once)))
    return (perf_counter_ns() - started) / size.sessions / 1000
