"""Answers that are lost: a step happens once, and what a verb returns is true."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from tests.servers import RedisServer
from tests.stores.conftest import Inbox, opened
from tests.stores.redis_between import Between, between
from useid_middleware.errors import UnavailableError
from useid_middleware.stores import create_store
from useid_middleware.stores.base import Bucket, Store, Versioned

MINUTE = 60.0


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes what a test has opened."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def middle(redis_server: RedisServer, stack: AsyncExitStack) -> Between:
    """The server between."""
    return await stack.enter_async_context(between(redis_server.port))


@pytest.fixture
async def store(middle: Between, stack: AsyncExitStack) -> Store:
    """A store whose answers may be lost. Redis knows its scripts."""
    store = await opened(create_store(middle.url, key_prefix="useid:"), stack)
    await store.put("known", b"", ttl=MINUTE)
    await store.replace("known", b"", expected_version=1, ttl=MINUTE)
    await store.take("known")
    await store.find("known")
    await store.spend([Bucket("known", MINUTE, 1)])
    return store


@pytest.fixture
async def other(redis_server: RedisServer, stack: AsyncExitStack) -> Store:
    """A store of another process, which nothing happens to."""
    return await opened(create_store(redis_server.url, key_prefix="useid:"), stack)


async def test_a_put_whose_answer_is_lost_has_put(store: Store, middle: Between, other: Store) -> None:
    middle.lose_answers(1)
    assert await store.put("key", b"value", ttl=MINUTE, indexes=["index"]) is True
    assert await other.get("key") == Versioned(b"value", 1)
    assert await other.find("index") == ["key"]


async def test_a_put_that_is_lost_on_its_way_is_sent_again(store: Store, middle: Between, other: Store) -> None:
    middle.lose_requests(1)
    assert await store.put("key", b"value", ttl=MINUTE) is True
    assert await other.get("key") == Versioned(b"value", 1)


async def test_a_put_on_a_held_key_is_refused_also_when_that_answer_is_lost(
    store: Store, middle: Between, other: Store
) -> None:
    # Even the same value is another's.
    await other.put("key", b"value", ttl=MINUTE)
    middle.lose_answers(1)
    assert await store.put("key", b"value", ttl=MINUTE) is False


async def test_a_replace_whose_answer_is_lost_has_replaced_once(store: Store, middle: Between, other: Store) -> None:
    inbox = Inbox()
    await other.subscribe("key", inbox)
    await store.put("key", b"1", ttl=MINUTE)
    middle.lose_answers(1)
    assert await store.replace("key", b"2", expected_version=1, ttl=MINUTE, message=b"now 2") is True
    assert await other.get("key") == Versioned(b"2", 2)
    await other.publish("key", b"end")
    assert await inbox.has(2) == [b"now 2", b"end"]


async def test_a_replace_that_another_has_won_is_refused_also_when_that_answer_is_lost(
    store: Store, middle: Between, other: Store
) -> None:
    await store.put("key", b"1", ttl=MINUTE)
    await other.replace("key", b"2", expected_version=1, ttl=MINUTE)
    middle.lose_answers(1)
    assert await store.replace("key", b"2", expected_version=1, ttl=MINUTE) is False
    assert await other.get("key") == Versioned(b"2", 2)


def meanwhile(verb: bytes, happen: Callable[[], Awaitable[object]]) -> Callable[[list[bytes]], Awaitable[None]]:
    """What others do just before the first request with this verb arrives."""
    left = [happen]

    async def before(request: list[bytes]) -> None:
        if request[0] == verb and left:
            await left.pop()()

    return before


async def test_a_replace_that_is_lost_on_its_way_does_not_overtake_another(
    store: Store, middle: Between, other: Store
) -> None:
    await store.put("key", b"1", ttl=MINUTE)
    middle.lose_requests(1)
    # It is sent again as EVAL, in case Redis was started anew.
    middle.before = meanwhile(b"EVAL", lambda: other.replace("key", b"theirs", expected_version=1, ttl=MINUTE))
    assert await store.replace("key", b"ours", expected_version=1, ttl=MINUTE) is False
    assert await other.get("key") == Versioned(b"theirs", 2)


async def test_when_others_have_gone_on_since_the_outcome_of_a_lost_replace_is_unknown(
    store: Store, middle: Between, other: Store
) -> None:
    await store.put("key", b"1", ttl=MINUTE)
    middle.lose_answers(1)
    middle.before = meanwhile(b"EVAL", lambda: other.replace("key", b"3", expected_version=2, ttl=MINUTE))
    with pytest.raises(UnavailableError, match="changed since"):
        await store.replace("key", b"2", expected_version=1, ttl=MINUTE)
    assert await other.get("key") == Versioned(b"3", 3)


async def test_when_the_value_is_gone_since_the_outcome_of_a_lost_replace_is_unknown(
    store: Store, middle: Between, other: Store
) -> None:
    await store.put("key", b"1", ttl=MINUTE)
    middle.lose_answers(1)
    middle.before = meanwhile(b"EVAL", lambda: other.take("key"))
    with pytest.raises(UnavailableError, match="changed since"):
        await store.replace("key", b"2", expected_version=1, ttl=MINUTE)


async def test_a_take_whose_answer_is_lost_has_taken(store: Store, middle: Between, other: Store) -> None:
    await store.put("key", b"value", ttl=MINUTE, indexes=["index"])
    middle.lose_answers(1)
    assert await store.take("key") == Versioned(b"value", 1)
    assert await other.take("key") is None
    assert await other.get("key") is None
    assert await other.find("index") == []


async def test_of_takers_whose_answers_are_lost_one_receives_the_value(
    store: Store, middle: Between, other: Store
) -> None:
    await store.put("key", b"value", ttl=MINUTE)
    middle.lose_answers(1)
    taken = await asyncio.gather(*(each.take("key") for each in (store, other, store, other)))
    assert sorted(taken, key=str) == [None, None, None, Versioned(b"value", 1)]


async def test_a_delete_whose_answer_is_lost_has_deleted_and_keeps_nothing(
    store: Store, middle: Between, other: Store, redis_server: RedisServer
) -> None:
    await store.put("key", b"a secret", ttl=MINUTE)
    middle.lose_answers(1)
    assert await store.delete("key") is True
    assert await other.delete("key") is False
    async with Redis.from_url(redis_server.url) as admin:
        assert b"a secret" not in (await admin.hgetall("useid:v:key")).values()


async def test_what_was_taken_is_kept_for_its_taker_alone_and_for_a_moment(
    store: Store, other: Store, redis_server: RedisServer
) -> None:
    await store.put("key", b"value", ttl=MINUTE)
    await store.take("key")
    async with Redis.from_url(redis_server.url) as admin:
        assert 0 < await admin.pttl("useid:v:key") <= 15_000
    assert await other.get("key") is None
    assert await other.replace("key", b"", expected_version=1, ttl=MINUTE) is False
    assert await other.put("key", b"new", ttl=MINUTE) is True
    assert await store.take("key") == Versioned(b"new", 1)


async def test_reading_is_asked_again_when_its_answer_is_lost(store: Store, middle: Between) -> None:
    await store.put("key", b"value", ttl=MINUTE, indexes=["index"])
    middle.lose_answers(1, verbs=(b"HMGET",))
    assert await store.get("key") == Versioned(b"value", 1)
    middle.lose_answers(1)
    assert await store.find("index") == ["key"]


async def test_a_lost_answer_costs_a_bucket_no_more_than_a_second_token(store: Store, middle: Between) -> None:
    bucket = Bucket("bucket", MINUTE, 3)
    middle.lose_answers(1)
    assert await store.spend([bucket]) == 0.0
    assert await store.spend([bucket]) == 0.0
    assert await store.spend([bucket]) > 0


async def test_a_message_is_never_published_twice(store: Store, middle: Between, other: Store) -> None:
    inbox = Inbox()
    await other.subscribe("channel", inbox)
    middle.lose_answers(1, verbs=(b"PUBLISH",))
    with pytest.raises(UnavailableError):
        await store.publish("channel", b"once")
    await other.publish("channel", b"end")
    assert await inbox.has(2) == [b"once", b"end"]


async def test_answers_that_are_lost_again_and_again_are_unavailable_and_nothing_happens_twice(
    store: Store, middle: Between, other: Store
) -> None:
    await store.put("key", b"1", ttl=MINUTE)
    middle.lose_answers(2)
    with pytest.raises(UnavailableError) as raised:
        await store.replace("key", b"2", expected_version=1, ttl=MINUTE)
    assert raised.value.retry_after == 2
    assert await other.get("key") == Versioned(b"2", 2)
    assert await store.replace("key", b"3", expected_version=2, ttl=MINUTE) is True


async def test_of_calls_in_one_packet_those_that_were_answered_are_not_sent_again(
    store: Store, middle: Between, other: Store
) -> None:
    answered = 0

    def lose(request: list[bytes]) -> bool:
        nonlocal answered
        answered += request[0] == b"EVALSHA"
        return request[0] == b"EVALSHA" and answered == 3

    await store.put("first", b"", ttl=MINUTE)
    middle.loses_answer = lose
    assert await asyncio.gather(*(store.put(f"{number}", b"", ttl=MINUTE) for number in range(5))) == [True] * 5
    assert [await other.get(f"{number}") for number in range(5)] == [Versioned(b"", 1)] * 5
    keys = [request[3] for request in middle.requests if request[0] in (b"EVALSHA", b"EVAL")]
    assert keys.count(b"useid:v:0") == keys.count(b"useid:v:1") == 1


async def test_over_many_random_losses_every_version_has_one_writer(
    store: Store, middle: Between, other: Store
) -> None:
    chance = random.Random(7)
    middle.loses_answer = lambda request: chance.random() < 0.15
    middle.loses_request = lambda request: chance.random() < 0.15
    await other.put("key", b"", ttl=MINUTE)
    won: list[int] = []
    unknown: list[int] = []

    async def write(each: Store) -> None:
        for _ in range(60):
            try:
                current = await each.get("key")
            except UnavailableError:
                continue
            assert current is not None
            try:
                if await each.replace("key", b"", expected_version=current.version, ttl=MINUTE):
                    won.append(current.version + 1)
            except UnavailableError:
                unknown.append(current.version + 1)

    await asyncio.gather(write(store), write(other), write(store))
    last = await other.get("key")
    assert last is not None
    # Nobody was told that a version was theirs when it was another's, and every version is accounted for.
    assert len(won) == len(set(won))
    assert set(range(2, last.version + 1)) - set(won) <= set(unknown)
    assert len(won) > 60
    assert unknown
