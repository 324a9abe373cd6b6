"""All stores behind one fixture, so that one suite states the contract of all of them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from shutil import which
from typing import Protocol

import anyio
import pytest

from tests.servers import redis_server as redis_server
from tests.servers import shared_redis as shared_redis
from tests.stores.acl import documented_rules
from tests.stores.redis_groups import RedisCluster, SentinelGroup
from tests.stores.redis_processes import Certificates, RedisProcess
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
    #: Begins the key prefix of every store, so that tests keep apart.
    prefix: str

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
        self.prefix = "test:"
        self.clock = FakeClock()
        self._stack = stack

    async def open(self) -> Store:
        """Open a store."""
        return await opened(create_store(self.url, key_prefix=self.prefix, clock=self.clock), self._stack)

    async def pass_time(self, seconds: float) -> None:
        """Set the clock forward."""
        self.clock.now += seconds


class RedisBackend:
    """A key prefix of its own on a real server, whose clock is the real one."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self.url = url
        self.prefix = f"useid:test-{uuid.uuid4().hex}:"
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


@pytest.fixture(scope="session")
def secured_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that speaks TLS alone, wants a client's certificate, and gives its user no right in vain."""
    folder = tmp_path_factory.mktemp("secured")
    certificates = Certificates.make(folder)
    rule, _ = documented_rules()
    server = RedisProcess(folder, tls=certificates, users=[rule])
    server.start()
    yield f"rediss://useid:the-password@127.0.0.1:{server.port}/0?{certificates.query}"
    server.end()


@pytest.fixture(scope="session")
def sentinel_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of Sentinels, whose servers nobody stops."""
    group = SentinelGroup(tmp_path_factory.mktemp("sentinel"))
    group.start()
    yield group.url
    group.end()


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a cluster, whose nodes nobody stops."""
    cluster = RedisCluster(tmp_path_factory.mktemp("cluster"))
    cluster.start()
    yield cluster.url
    cluster.end()


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Valkey server."""
    server = RedisProcess(tmp_path_factory.mktemp("valkey"), executable="valkey-server", package="valkey-server")
    server.start()
    yield f"redis://127.0.0.1:{server.port}/0"
    server.end()


@pytest.fixture(scope="session")
def valkey_cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a cluster of Valkey servers."""
    cluster = RedisCluster(tmp_path_factory.mktemp("valkeys"), executable="valkey-server", package="valkey-server")
    cluster.start()
    yield cluster.url
    cluster.end()


#: Each kind of Redis, and the fixture that has its URL.
REDIS_KINDS = {
    "redis": "redis_url",
    "redis-tls-acl": "secured_redis",
    "redis-sentinel": "sentinel_url",
    "redis-cluster": "cluster_url",
}
# scripts/valkey fetches it; where it cannot be had it is not run, instead of being skipped.
if which("valkey-server"):
    REDIS_KINDS |= {"valkey": "valkey_url", "valkey-cluster": "valkey_cluster_url"}


def _backend(kind: str, tmp_path: Path, request: pytest.FixtureRequest, stack: AsyncExitStack) -> Backend:
    if kind == "memory":
        return EmbeddedBackend("memory://", stack)
    if kind == "sqlite":
        return EmbeddedBackend(f"sqlite:///{tmp_path / 'store.db'}", stack)
    return RedisBackend(request.getfixturevalue(REDIS_KINDS[kind]), stack)


@pytest.fixture(params=["memory", "sqlite", *REDIS_KINDS])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    """Each kind of store."""
    async with AsyncExitStack() as stack:
        yield _backend(request.param, tmp_path, request, stack)


@pytest.fixture(params=["sqlite", *REDIS_KINDS])
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
