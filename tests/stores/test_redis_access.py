"""Who may do what: the documented user has exactly the rights that are needed, and TLS lets nobody else in between."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.stores.acl import commands_of, documented_rules
from tests.stores.conftest import Inbox, opened
from tests.stores.redis_groups import RedisCluster
from tests.stores.redis_processes import Certificates, RedisProcess
from tests.stores.redis_verbs import VERBS
from useid_middleware.errors import UnavailableError
from useid_middleware.stores import create_store
from useid_middleware.stores.base import Bucket, Store
from useid_middleware.stores.redis import Timing, create_redis_store

MINUTE = 60.0
ONE, CLUSTER = documented_rules()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes what a test has opened."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """A server with the documented user, over TLS."""
    folder = tmp_path_factory.mktemp("access")
    server = RedisProcess(folder, tls=Certificates.make(folder), users=[ONE])
    server.start()
    yield server
    server.end()


def url_of(server: RedisProcess, *, login: str = "useid:the-password", query: str = "") -> str:
    """Of a store."""
    assert server.tls is not None
    return f"rediss://{login}@127.0.0.1:{server.port}/0?{query or server.tls.query}"


async def do_everything(store: Store, other: Store) -> None:
    """Each verb, so that each command of each script runs."""
    inbox = Inbox()
    unsubscribe = await other.subscribe("key", inbox)
    for _ in range(2):
        await store.put("key", b"", ttl=MINUTE, indexes=["index"])
        await store.put("key", b"", ttl=MINUTE, indexes=["index"])
        await store.replace("key", b"", expected_version=1, ttl=2 * MINUTE, message=b"")
        await store.get("key")
        await store.find("index")
        await store.take("key")
    await store.spend([Bucket("bucket", MINUTE, 5)])
    for slot in (1, 1, 9):
        await store.occupy("count", slot=slot, lowest=slot - 1, highest=slot + 1, limit=5, ttl=MINUTE)
    for slot in (9, 9):
        await store.occupy("count", slot=slot, lowest=8, highest=10, limit=5, ttl=MINUTE)
        await store.vacate("count", slot)
    await store.vacate("count", 9)
    await store.publish("key", b"end")
    await inbox.has(3)
    await unsubscribe()
    await store.put("witness", b"", ttl=MINUTE)


def used(server: RedisProcess) -> set[str]:
    """The commands that the server has carried out for us."""
    with server.client() as admin:
        statistics = admin.info("commandstats")
    ours = {name.removeprefix("cmdstat_") for name, calls in statistics.items() if calls["calls"]}
    # Of the test's own, and of signing in, which everybody may.
    return ours - {"info", "config|resetstat", "auth", "hello", "client|setinfo", "replconf", "psync"}


async def test_the_documented_user_has_exactly_the_rights_that_are_needed(
    server: RedisProcess, stack: AsyncExitStack
) -> None:
    with server.client() as admin:
        admin.config_resetstat()
    quick = Timing(ping=0.05)
    stores = [
        await opened(create_redis_store(url_of(server), key_prefix="useid:", timing=quick), stack) for _ in range(2)
    ]
    await do_everything(*stores)
    assert used(server) == commands_of(ONE)


async def test_in_a_cluster_too(tmp_path_factory: pytest.TempPathFactory, stack: AsyncExitStack) -> None:
    cluster = RedisCluster(tmp_path_factory.mktemp("access-cluster"), users=[CLUSTER])
    stack.callback(cluster.end)
    cluster.start()
    for node in cluster.nodes:
        with node.client() as admin:
            admin.config_resetstat()
    url = cluster.url.replace("//", "//useid:the-password@")
    stores = [await opened(create_store(url, key_prefix="useid:"), stack) for _ in range(2)]
    await do_everything(*stores)
    done = set().union(*(used(node) for node in cluster.nodes))
    # Only while a slot moves, and only when nothing is heard for a while; see test_redis_groups.
    assert done | {"asking", "ping"} == commands_of(CLUSTER)


async def test_another_prefix_is_out_of_reach(server: RedisProcess, stack: AsyncExitStack) -> None:
    store = await opened(create_store(url_of(server), key_prefix="others:"), stack)
    for verb in VERBS.values():
        with pytest.raises(UnavailableError, match="NoPermissionError"):
            await verb(store)


@pytest.fixture(scope="module")
def plain_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """A server with the documented user, without TLS."""
    folder = tmp_path_factory.mktemp("plain")
    server = RedisProcess(folder, users=[ONE], options=["--unixsocket", str(folder / "redis.sock")])
    server.start()
    yield server
    server.end()


@pytest.mark.parametrize("login", ["useid:wrong", "nobody:the-password", ":the-password"])
async def test_a_wrong_password_is_unavailable(plain_server: RedisProcess, login: str) -> None:
    store = create_store(f"redis://{login}@127.0.0.1:{plain_server.port}", key_prefix="useid:")
    with pytest.raises(UnavailableError) as raised:
        await store.open()
    assert raised.value.message == "the Redis store failed with AuthenticationError"
    await store.close()


async def test_a_server_of_another_authority_is_not_spoken_to(
    server: RedisProcess, tmp_path: Path, stack: AsyncExitStack
) -> None:
    others = Certificates.make(tmp_path)
    store = create_store(url_of(server, query=others.query), key_prefix="useid:")
    stack.push_async_callback(store.close)
    with pytest.raises(UnavailableError):
        await store.open()


async def test_a_server_whose_certificate_names_another_host_is_not_spoken_to(
    server: RedisProcess, stack: AsyncExitStack
) -> None:
    url = url_of(server).replace("127.0.0.1", "localhost")
    store = create_store(url, key_prefix="useid:")
    stack.push_async_callback(store.close)
    with pytest.raises(UnavailableError):
        await store.open()
    # Unless the operator says so.
    await opened(create_store(f"{url}&ssl_check_hostname=false", key_prefix="useid:"), stack)


async def test_without_our_certificate_the_server_does_not_speak_to_us(
    server: RedisProcess, stack: AsyncExitStack
) -> None:
    assert server.tls is not None
    store = create_store(url_of(server, query=f"ssl_ca_certs={server.tls.authority}"), key_prefix="useid:")
    stack.push_async_callback(store.close)
    with pytest.raises(UnavailableError):
        await store.open()


async def test_a_user_on_a_socket_works(plain_server: RedisProcess, stack: AsyncExitStack) -> None:
    url = f"unix://{plain_server.folder / 'redis.sock'}?username=useid&password=the-password"
    store = await opened(create_store(url, key_prefix="useid:"), stack)
    assert await store.put("key", b"", ttl=MINUTE) is True
