"""The three stores behind one fixture, so that one suite states the contract of all of them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import anyio
import pytest

from tests.servers import redis_server as redis_server
from tests.servers import shared_redis as shared_redis
from useid_middleware.stores import create_store
from useid_middleware.stores.base import Store

#: Seconds after which something that must happen has not happened.
PATIENCE = 15.0


class FakeClock:
    """Unix seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return as soon as ``condition`` holds: for what other processes and the real time bring about."""
    with anyio.fail_after(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - another process, or the server's clock, sets no event of ours
            await anyio.sleep(0.005)


class Inbox:
    """Collects what a subscription delivers."""

    def __init__(self) -> None:
        self.messages: list[bytes | None] = []
        self._news = asyncio.Event()

    def __call__(self, message: bytes | None) -> None:
        self.messages.append(message)
        self._news.set()

    async def has(self, count: int) -> list[bytes | None]:
        """Wait for ``count`` messages and return all."""
        with anyio.fail_after(PATIENCE):
            while len(self.messages) < count:
                self._news.clear()
                await self._news.wait()
        return self.messages


class Backend(Protocol):
    """A place that keeps state, and the stores that share it."""

    url: str

    async def open(self) -> Store:
        """Open one more store on the same place, as another process would. It is closed after the test."""
        ...

    async def pass_time(self, seconds: float) -> None:
        """Let the time of this place pass by at least ``seconds``."""
        ...


class EmbeddedBackend:
    """Memory or one SQLite file, with a clock that stands still."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self.url = url
        self.clock = FakeClock()
        self._stack = stack

    async def open(self) -> Store:
        """Open a store."""
        return await opened(create_store(self.url, key_prefix="test:", clock=self.clock), self._stack)

    async def pass_time(self, seconds: float) -> None:
        """Set the clock forward."""
        self.clock.now += seconds


class RedisBackend:
    """A key prefix of its own on a real server, whose clock is the real one."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self.url = url
        self.prefix = f"test-{uuid.uuid4().hex}:"
        self._stack = stack

    async def open(self) -> Store:
        """Open a store."""
        return await opened(create_store(self.url, key_prefix=self.prefix), self._stack)

    async def pass_time(self, seconds: float) -> None:
        """Watch a key of that lifetime until it is gone."""
        witness = await self.open()
        await witness.put("witness", b"", ttl=seconds)

        async def gone() -> bool:
            return await witness.get("witness") is None

        await eventually(gone)


async def opened(store: Store, stack: AsyncExitStack) -> Store:
    """Open ``store``, and close it when ``stack`` ends."""
    await store.open()
    stack.push_async_callback(store.close)
    return store


def _backend(kind: str, tmp_path: Path, request: pytest.FixtureRequest, stack: AsyncExitStack) -> Backend:
    if kind == "memory":
        return EmbeddedBackend("memory://", stack)
    if kind == "sqlite":
        return EmbeddedBackend(f"sqlite:///{tmp_path / 'store.db'}", stack)
    return RedisBackend(request.getfixturevalue("redis_url"), stack)


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    """Each kind of store."""
    async with AsyncExitStack() as stack:
        yield _backend(request.param, tmp_path, request, stack)


@pytest.fixture(params=["sqlite", "redis"])
async def shared_backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    """Each kind of store that several processes share."""
    async with AsyncExitStack() as stack:
        yield _backend(request.param, tmp_path, request, stack)


@pytest.fixture(params=["memory", "sqlite"])
async def clocked_backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EmbeddedBackend]:
    """Each kind of store that goes by an injected clock."""
    async with AsyncExitStack() as stack:
        backend = _backend(request.param, tmp_path, request, stack)
        assert isinstance(backend, EmbeddedBackend)
        yield backend


@pytest.fixture
async def store(backend: Backend) -> Store:
    """An open store of each kind."""
    return await backend.open()
