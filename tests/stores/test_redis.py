"""What only the Redis store promises: it gets over interruptions, and it leaves nothing behind for ever."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from tests.servers import RedisServer, free_port
from tests.stores.conftest import Inbox, eventually, opened
from useid_middleware.errors import UnavailableError
from useid_middleware.stores import create_store
from useid_middleware.stores.base import Bucket, Store, Versioned

MINUTE = 60.0


@pytest.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[Store]:
    """An open store on a server of its own."""
    async with AsyncExitStack() as stack:
        yield await opened(create_store(redis_server.url, key_prefix="test:"), stack)


@pytest.fixture
async def admin(redis_server: RedisServer) -> AsyncIterator[Redis]:
    """A client of that server."""
    async with Redis.from_url(redis_server.url) as client:
        yield client


async def test_every_key_has_a_time_to_live(store: Store, admin: Redis) -> None:
    await store.put("a", b"", ttl=MINUTE, indexes=["one", "two"])
    await store.put("b", b"", ttl=2 * MINUTE, indexes=["one"])
    await store.put("c", b"", ttl=MINUTE)
    await store.replace("c", b"", expected_version=1, ttl=3 * MINUTE, message=b"")
    await store.replace("b", b"", expected_version=1, ttl=3 * MINUTE)
    await store.spend([Bucket("x", MINUTE, 5), Bucket("y", 1, 5)])
    await store.occupy("z", slot=1, lowest=0, highest=2, limit=1, ttl=MINUTE)
    await store.take("a")
    keys = [b"test:b:x", b"test:b:y", b"test:i:one", b"test:n:z", b"test:v:a", b"test:v:b", b"test:v:c"]
    assert sorted(await admin.keys("*")) == keys
    for key in keys:
        assert 0 < await admin.pttl(key) <= 3 * MINUTE * 1000


async def test_an_index_outlives_the_longest_lived_of_its_keys(store: Store, admin: Redis) -> None:
    await store.put("long", b"", ttl=100 * MINUTE, indexes=["index"])
    await store.put("short", b"", ttl=MINUTE, indexes=["index"])
    assert await admin.pexpiretime("test:i:index") >= await admin.pexpiretime("test:v:long")


async def test_an_index_forgets_a_key_that_the_server_evicted(store: Store, admin: Redis) -> None:
    await store.put("key", b"", ttl=MINUTE, indexes=["index"])
    await admin.delete("test:v:key")
    assert await store.find("index") == []


async def test_a_process_has_two_connections_however_much_it_does(store: Store, admin: Redis) -> None:
    inbox = Inbox()
    await asyncio.gather(*(store.subscribe(f"c{n}", inbox) for n in range(100)))
    await asyncio.gather(*(store.put(f"{n}", b"", ttl=MINUTE) for n in range(100)))
    assert len(await admin.client_list()) == 2 + 1


async def test_scripts_that_the_server_forgot_are_sent_again(store: Store, admin: Redis) -> None:
    await store.put("key", b"1", ttl=MINUTE)
    await admin.script_flush()
    answers = await asyncio.gather(*(store.replace("key", b"2", expected_version=1, ttl=MINUTE) for _ in range(5)))
    assert answers.count(True) == 1


async def test_a_command_that_the_server_refuses_does_not_spoil_others_sent_with_it(store: Store, admin: Redis) -> None:
    await admin.set("test:v:foreign", "not a hash", ex=60)
    good = [asyncio.create_task(store.put(f"{n}", b"", ttl=MINUTE)) for n in range(2)]
    bad = [asyncio.create_task(call) for call in (store.get("foreign"), store.take("foreign"))]
    last = asyncio.create_task(store.put("last", b"", ttl=MINUTE))
    assert await asyncio.gather(*good, last) == [True, True, True]
    for outcome in await asyncio.gather(*bad, return_exceptions=True):
        assert isinstance(outcome, UnavailableError)
        assert outcome.message == "the Redis store failed with ResponseError"


async def test_a_caller_that_gave_up_does_not_disturb_the_others(store: Store) -> None:
    await store.put("key", b"value", ttl=MINUTE)
    calls = [asyncio.create_task(store.get("key")) for _ in range(10)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert outcomes[1::2] == [Versioned(b"value", 1)] * 5
    assert await store.take("key") == Versioned(b"value", 1)


async def test_a_unix_socket_works(redis_server: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        store = await opened(create_store(redis_server.socket_url, key_prefix=""), stack)
        inbox = Inbox()
        await store.subscribe("channel", inbox)
        await store.publish("channel", b"message")
        assert await inbox.has(1) == [b"message"]


async def test_a_store_without_its_server_cannot_open_and_opens_later(redis_server: RedisServer) -> None:
    redis_server.stop()
    store = create_store(redis_server.url, key_prefix="")
    async with AsyncExitStack() as stack:
        with pytest.raises(UnavailableError):
            await store.open()
        redis_server.start()
        await opened(store, stack)
        assert await store.put("key", b"", ttl=MINUTE) is True


async def test_without_its_server_every_verb_is_unavailable(store: Store, redis_server: RedisServer) -> None:
    await store.put("key", b"", ttl=MINUTE)
    redis_server.stop()
    for call in (
        store.put("key", b"", ttl=MINUTE),
        store.get("key"),
        store.replace("key", b"", expected_version=1, ttl=MINUTE),
        store.take("key"),
        store.delete("key"),
        store.find("index"),
        store.spend([Bucket("bucket", 1, 1)]),
        store.publish("channel", b""),
        store.subscribe("channel", Inbox()),
    ):
        with pytest.raises(UnavailableError) as raised:
            await call
        assert (raised.value.code, raised.value.status_hint) == ("store_unavailable", 503)
        assert str(redis_server.port) not in str(raised.value)


async def test_after_a_restart_of_the_server_all_works_again_and_subscribers_are_told(
    store: Store, redis_server: RedisServer
) -> None:
    early, also, never = Inbox(), Inbox(), Inbox()
    await store.subscribe("channel", early)
    await store.subscribe("other", also)
    await store.publish("channel", b"before")
    assert await early.has(1) == [b"before"]
    redis_server.stop()
    with pytest.raises(UnavailableError):
        await store.get("key")
    with pytest.raises(UnavailableError):
        await store.subscribe("channel 2", never)
    redis_server.start()
    # None says that the subscription stands again, so this message cannot be missed.
    assert await early.has(2) == [b"before", None]
    await store.publish("channel", b"after")
    await store.publish("other", b"after")
    await store.publish("channel 2", b"after")
    assert await early.has(3) == [b"before", None, b"after"]
    assert await also.has(2) == [None, b"after"]
    assert never.messages == []
    late = Inbox()
    await store.subscribe("channel 2", late)
    await store.publish("channel 2", b"message")
    assert await late.has(1) == [b"message"]
    assert await store.put("key", b"", ttl=MINUTE) is True


async def test_after_every_break_of_the_connection_subscribers_are_told_once(store: Store, admin: Redis) -> None:
    inbox = Inbox()
    await store.subscribe("channel", inbox)
    for number in range(1, 4):
        await admin.client_kill_filter(_type="pubsub")
        await inbox.has(2 * number - 1)
        await store.publish("channel", b"%d" % number)
        assert (await inbox.has(2 * number))[-2:] == [None, b"%d" % number]


async def test_commands_get_over_a_broken_connection(store: Store, admin: Redis) -> None:
    await store.put("key", b"value", ttl=MINUTE)
    await admin.client_kill_filter(_type="normal", skipme=True)

    async def works() -> bool:
        # A call that is under way when the connection breaks fails; the one after it finds a new connection.
        try:
            return await store.get("key") == Versioned(b"value", 1)
        except UnavailableError:
            return False

    await eventually(works)


async def test_no_call_fails_when_the_server_restarted_while_nobody_asked(
    store: Store, redis_server: RedisServer
) -> None:
    redis_server.stop()
    redis_server.start()
    for _ in range(3):
        # Lets the event loop see that the connection has ended.
        await asyncio.sleep(0)
    assert await store.put("key", b"", ttl=MINUTE) is True


async def test_the_server_forgets_a_channel_that_nobody_listens_to(store: Store, admin: Redis) -> None:
    first, second = await store.subscribe("channel", Inbox()), await store.subscribe("channel", Inbox())
    await first()
    assert await admin.pubsub_channels() == [b"test:c:channel"]
    await second()

    async def forgotten() -> bool:
        return not await admin.pubsub_channels()

    await eventually(forgotten)


async def test_closing_ends_a_subscription_that_is_not_confirmed_yet(store: Store) -> None:
    subscribing = asyncio.create_task(store.subscribe("channel", Inbox()))
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(UnavailableError, match="closed"):
        await subscribing


async def test_closing_while_the_server_is_away_works(redis_server: RedisServer) -> None:
    store = create_store(redis_server.url, key_prefix="")
    await store.open()
    await store.subscribe("channel", Inbox())
    redis_server.stop()
    await store.close()


async def test_nobody_listening_is_unavailable() -> None:
    with pytest.raises(UnavailableError):
        await create_store(f"redis://127.0.0.1:{free_port()}", key_prefix="").open()


async def test_without_the_extra_the_error_names_it() -> None:
    program = """
import sys
sys.modules["redis"] = None  # as if it were not installed
from useid_middleware.errors import ConfigurationError
from useid_middleware.stores import create_store
create_store("memory://", key_prefix="")
try:
    create_store("redis://localhost", key_prefix="")
except ConfigurationError as error:
    print(error.message)
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert output.decode().strip() == "store: Redis needs an extra; run pip install useid-middleware[redis]"
