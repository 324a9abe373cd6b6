"""Sentinels and clusters: a primary that dies or stands still, and slots that move, while stores are at work."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
from redis.crc import key_slot

from tests.stores.acl import documented_rules
from tests.stores.conftest import Inbox, eventually, opened
from tests.stores.redis_between import between
from tests.stores.redis_groups import RedisCluster, SentinelGroup
from tests.stores.redis_processes import Certificates, wait_until
from useid_middleware.errors import UnavailableError
from useid_middleware.stores import create_store
from useid_middleware.stores.base import Store, Versioned
from useid_middleware.stores.redis import Timing, create_redis_store

MINUTE = 60.0
QUICK = Timing(answer=0.5, ping=0.2, first_delay=0.01, last_delay=0.1)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes what a test has opened."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelGroup]:
    """Sentinels for one test, which may kill what they watch."""
    group = SentinelGroup(tmp_path_factory.mktemp("group"))
    group.start()
    yield group
    group.end()


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """A cluster for one test, which may kill its nodes. The first has a replica."""
    cluster = RedisCluster(tmp_path_factory.mktemp("nodes"), with_replica=True)
    cluster.start()
    yield cluster
    cluster.end()


async def quick_store(url: str, stack: AsyncExitStack) -> Store:
    """A store that does not wait long."""
    return await opened(create_redis_store(url, key_prefix="useid:", timing=QUICK), stack)


async def replaced(store: Store, key: str, *, message: bytes) -> None:
    """Replace the value, as soon as the store lets one."""

    async def done() -> bool:
        try:
            current = await store.get(key)
            assert current is not None
            return await store.replace(key, b"new", expected_version=current.version, ttl=MINUTE, message=message)
        except UnavailableError:
            return False

    await eventually(done)


async def hears(inbox: Inbox, store: Store, channel: str) -> None:
    """Sooner or later, what ``store`` publishes is heard again, and by then the subscriber was told to read."""

    async def heard() -> bool:
        with contextlib.suppress(UnavailableError):
            await store.publish(channel, b"news")
        return b"news" in inbox.messages

    await eventually(heard)
    assert None in inbox.messages[: inbox.messages.index(b"news")]


def named(cluster: RedisCluster, number: int, *, but: str = "") -> str:
    """A key whose value is on this node."""
    first, last = number * 16384 // 3, (number + 1) * 16384 // 3 - 1
    keys = (f"key {n}" for n in range(10_000))
    return next(key for key in keys if first <= key_slot(f"useid:v:{key}".encode()) <= last and key != but)


# Sentinels


async def test_after_the_primary_was_killed_the_replica_goes_on(group: SentinelGroup, stack: AsyncExitStack) -> None:
    store, other = await quick_store(group.url, stack), await quick_store(group.url, stack)
    inbox = Inbox()
    await store.subscribe("key", inbox)
    await store.put("key", b"1", ttl=MINUTE, indexes=["index"])
    with group.primary.client() as primary:
        assert primary.wait(1, 5000) == 1
    group.primary.kill()
    await replaced(other, "key", message=b"after")
    assert group.promoted()
    assert await store.find("index") == ["key"]
    await hears(inbox, other, "key")
    assert (await store.take("key")) is not None


async def test_a_primary_that_stood_still_during_its_replacement_is_not_written_to(
    group: SentinelGroup, stack: AsyncExitStack
) -> None:
    store = await quick_store(group.url, stack)
    inbox = Inbox()
    await store.subscribe("key", inbox)
    await store.put("key", b"1", ttl=MINUTE)
    with group.primary.client() as primary:
        assert primary.wait(1, 5000) == 1
    group.primary.stop()
    await replaced(store, "key", message=b"2")
    group.primary.resume()

    def stepped_down() -> bool:
        with group.primary.client() as primary:
            return bool(primary.role()[0] == b"slave")

    wait_until(stepped_down)
    await replaced(store, "key", message=b"3")
    with group.replica.client() as primary:
        assert primary.hget("useid:v:key", "version") == b"3"
    await hears(inbox, store, "key")


async def test_two_sentinels_of_three_suffice(group: SentinelGroup, stack: AsyncExitStack) -> None:
    group.sentinels[0].kill()
    store = await quick_store(group.url, stack)
    assert await store.put("key", b"", ttl=MINUTE) is True
    group.sentinels[1].stop()
    later = await opened(create_store(group.url, key_prefix="useid:"), stack)
    assert await later.get("key") == Versioned(b"", 1)


async def test_without_sentinels_new_stores_are_unavailable_and_open_ones_go_on(
    group: SentinelGroup, stack: AsyncExitStack
) -> None:
    store = await quick_store(group.url, stack)
    for sentinel in group.sentinels:
        sentinel.kill()
    assert await store.put("key", b"", ttl=MINUTE) is True
    late = create_redis_store(group.url, key_prefix="useid:", timing=QUICK)
    stack.push_async_callback(late.close)
    with pytest.raises(UnavailableError, match="ConnectionError"):
        await late.open()


async def test_a_name_that_the_sentinels_do_not_know_is_unavailable(sentinel_url: str, stack: AsyncExitStack) -> None:
    store = create_store(sentinel_url.replace("/mymaster", "/other"), key_prefix="useid:")
    stack.push_async_callback(store.close)
    with pytest.raises(UnavailableError):
        await store.open()


@pytest.mark.parametrize(
    "answer",
    [
        b"*2\r\n$9\r\n127.0.0.1\r\n$1\r\n1\r\n",
        b"*-1\r\n",
        b"*2\r\n:1\r\n:2\r\n",
        b"+OK\r\n",
        b"-ERR no\r\n",
        b"nonsense\r\n",
    ],
    ids=["another address", "unknown", "numbers", "ok", "error", "nonsense"],
)
async def test_a_sentinel_that_is_behind_or_none_is_outvoted(
    sentinel_url: str, redis_url: str, stack: AsyncExitStack, answer: bytes
) -> None:
    liar = await stack.enter_async_context(between(urlsplit(redis_url).port or 0))
    liar.instead = lambda request: answer
    url = sentinel_url.replace("//", f"//127.0.0.1:{liar.port},")
    store = await opened(create_store(url, key_prefix="useid:outvoted:"), stack)
    assert liar.requests
    assert await store.put(answer.hex(), b"", ttl=MINUTE) is True


async def test_sentinels_over_tls_work_with_the_documented_rights(
    tmp_path_factory: pytest.TempPathFactory, stack: AsyncExitStack
) -> None:
    folder = tmp_path_factory.mktemp("secured-group")
    rule, _ = documented_rules()
    watcher = "user watcher on >watching -@all +sentinel|get-master-addr-by-name"
    group = SentinelGroup(folder, tls=Certificates.make(folder), users=[rule], sentinel_users=[watcher])
    stack.callback(group.end)
    group.start()
    login = "sentinel_username=watcher&sentinel_password=watching"
    url = group.url.replace("//", "//useid:the-password@") + f"&{login}"
    store = await opened(create_store(url, key_prefix="useid:"), stack)
    inbox = Inbox()
    await store.subscribe("key", inbox)
    await store.put("key", b"1", ttl=MINUTE)
    await store.replace("key", b"2", expected_version=1, ttl=MINUTE, message=b"now 2")
    assert await inbox.has(1) == [b"now 2"]


# Clusters


async def test_after_a_node_was_killed_its_replica_goes_on(cluster: RedisCluster, stack: AsyncExitStack) -> None:
    store, other = await quick_store(cluster.url, stack), await quick_store(cluster.url, stack)
    keys = [named(cluster, number) for number in range(3)]
    inboxes = [Inbox() for _ in keys]
    for key, inbox in zip(keys, inboxes, strict=True):
        await store.subscribe(key, inbox)
        await store.put(key, b"1", ttl=MINUTE, indexes=["index"])
    with cluster.nodes[0].client() as primary:
        assert primary.wait(1, 5000) == 1
    cluster.nodes[0].kill()
    for key in keys:
        await replaced(other, key, message=b"after")
    assert cluster.is_primary(3)
    await hears(inboxes[0], other, keys[0])
    # The other nodes never had a problem.
    for inbox in inboxes[1:]:
        assert await inbox.has(1) == [b"after"]
    assert sorted(await store.find("index")) == sorted(keys)


async def test_a_killed_node_that_comes_back_is_used_again(cluster: RedisCluster, stack: AsyncExitStack) -> None:
    store = await quick_store(cluster.url, stack)
    # This node has no replica, and no disk.
    key, elsewhere = named(cluster, 1), named(cluster, 2)
    inbox = Inbox()
    await store.subscribe(key, inbox)
    await store.put(elsewhere, b"1", ttl=MINUTE)
    cluster.nodes[1].kill()
    assert await inbox.has(1) == [None]
    with pytest.raises(UnavailableError):
        await store.put(key, b"1", ttl=MINUTE)
    cluster.nodes[1].start()

    async def put() -> bool:
        try:
            return await store.put(key, b"1", ttl=MINUTE)
        except UnavailableError:
            return False

    await eventually(put)
    await hears(inbox, store, key)
    await replaced(store, elsewhere, message=b"")


async def test_a_value_its_subscribers_and_its_index_follow_a_slot_that_moves(
    cluster: RedisCluster, stack: AsyncExitStack
) -> None:
    store, other = await quick_store(cluster.url, stack), await quick_store(cluster.url, stack)
    there = named(cluster, 1)
    slot = key_slot(f"useid:v:{there}".encode())
    inbox = Inbox()
    await store.subscribe(there, inbox)
    await store.put(there, b"1", ttl=MINUTE, indexes=["index"])
    source, target = cluster.node_id(1), cluster.node_id(2)
    with cluster.nodes[1].client() as giver, cluster.nodes[2].client() as taker:
        taker.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", source)
        giver.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", target)
        # The value has gone ahead (ASK), the slot not yet.
        giver.execute_command("MIGRATE", "127.0.0.1", cluster.nodes[2].port, f"useid:v:{there}", 0, 5000)
        assert await other.get(there) == Versioned(b"1", 1)
        assert await other.replace(there, b"2", expected_version=1, ttl=MINUTE, message=b"on the way") is True
        assert await other.find("index") == [there]
        taker.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target)
        giver.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target)
    # Now the slot has (MOVED). What was published on the way is covered by the hint.
    assert (await inbox.has(1))[-1] is None
    assert await store.get(there) == Versioned(b"2", 2)
    assert await other.replace(there, b"3", expected_version=2, ttl=MINUTE, message=b"now 3") is True
    await hears(inbox, other, there)
    assert await store.take(there) == Versioned(b"3", 3)


async def test_nodes_that_only_send_away_are_unavailable_within_bounds(
    cluster: RedisCluster, stack: AsyncExitStack
) -> None:
    store = await quick_store(cluster.url, stack)
    key = named(cluster, 1)
    slot = key_slot(f"useid:v:{key}".encode())
    # Each of two nodes says that the other has the slot.
    with cluster.nodes[1].client() as one, cluster.nodes[2].client() as two:
        two_id, one_id = cluster.node_id(2), cluster.node_id(1)
        one.execute_command("CLUSTER", "SETSLOT", slot, "NODE", two_id)
        with pytest.raises(UnavailableError, match="MovedError"):
            await store.put(key, b"", ttl=MINUTE)
        one.execute_command("CLUSTER", "DELSLOTS", slot)
        one.execute_command("CLUSTER", "ADDSLOTS", slot)
        two.execute_command("CLUSTER", "SETSLOT", slot, "NODE", one_id)

    async def put() -> bool:
        try:
            return await store.put(key, b"", ttl=MINUTE)
        except UnavailableError:
            return False

    await eventually(put)


async def test_one_node_that_answers_is_enough_to_find_all(cluster: RedisCluster, stack: AsyncExitStack) -> None:
    reachable = cluster.nodes[2].port
    store = await quick_store(f"redis+cluster://127.0.0.1:1,127.0.0.1:{reachable}", stack)
    for number in range(3):
        assert await store.put(named(cluster, number), b"", ttl=MINUTE) is True


async def test_a_server_that_is_no_cluster_is_unavailable_as_one(redis_url: str, stack: AsyncExitStack) -> None:
    store = create_store(redis_url.removesuffix("/0").replace("redis://", "redis+cluster://"), key_prefix="useid:")
    stack.push_async_callback(store.close)
    with pytest.raises(UnavailableError, match="slots"):
        await store.open()


@pytest.mark.parametrize(
    "slots",
    [
        b"*0\r\n",
        b"$-1\r\n",
        b":1\r\n",
        b"*1\r\n*0\r\n",
        b"*1\r\n*3\r\n:0\r\n:16383\r\n:1\r\n",
        b"*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
        b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$1\r\n?\r\n:1\r\n",
        b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n:5\r\n:1\r\n",
        b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n",
        b"-CLUSTERDOWN\r\n",
        b"nonsense\r\n",
    ],
    ids=range(11),
)
async def test_a_node_that_knows_no_slots_is_passed_over(
    cluster_url: str, redis_url: str, stack: AsyncExitStack, slots: bytes
) -> None:
    liar = await stack.enter_async_context(between(urlsplit(redis_url).port or 0))
    liar.instead = lambda request: slots
    alone = create_store(f"redis+cluster://127.0.0.1:{liar.port}", key_prefix="useid:")
    stack.push_async_callback(alone.close)
    with pytest.raises(UnavailableError):
        await alone.open()
    url = cluster_url.replace("//", f"//127.0.0.1:{liar.port},")
    store = await opened(create_store(url, key_prefix="useid:"), stack)
    await store.put("key", b"", ttl=MINUTE)
    assert await store.delete("key") is True


async def test_a_cluster_over_tls_works_with_the_documented_rights(
    tmp_path_factory: pytest.TempPathFactory, stack: AsyncExitStack
) -> None:
    folder = tmp_path_factory.mktemp("secured-cluster")
    certificates = Certificates.make(folder)
    _, rule = documented_rules()
    cluster = RedisCluster(folder, tls=certificates, users=[rule])
    stack.callback(cluster.end)
    cluster.start()
    url = f"rediss+cluster://useid:the-password@{cluster.hosts}?{certificates.query}"
    store = await opened(create_store(url, key_prefix="useid:"), stack)
    inbox = Inbox()
    await store.subscribe("key", inbox)
    assert await store.put("key", b"1", ttl=MINUTE, indexes=["one", "two"]) is True
    assert await store.replace("key", b"2", expected_version=1, ttl=MINUTE, message=b"now 2") is True
    assert await inbox.has(1) == [b"now 2"]
    assert await store.find("one") == await store.find("two") == ["key"]
    assert await store.take("key") == Versioned(b"2", 2)
