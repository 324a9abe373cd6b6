"""What every store promises: the sentences of ``stores/base.py``, one by one, over memory, SQLite and every Redis."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.stores.conftest import Backend, EmbeddedBackend, Inbox, opened
from useid_middleware.errors import ConfigurationError, UnavailableError
from useid_middleware.stores import create_store
from useid_middleware.stores.base import Bucket, Store, Versioned

MINUTE = 60.0


# put, get


async def test_put_stores_version_1(store: Store) -> None:
    assert await store.put("key", b"value", ttl=MINUTE) is True
    assert await store.get("key") == Versioned(b"value", 1)


async def test_get_of_an_unknown_key_is_none(store: Store) -> None:
    assert await store.get("unknown") is None


async def test_put_on_a_held_key_changes_nothing(store: Store) -> None:
    await store.put("key", b"first", ttl=MINUTE)
    assert await store.put("key", b"second", ttl=MINUTE, indexes=["index"]) is False
    assert await store.get("key") == Versioned(b"first", 1)
    assert await store.find("index") == []


async def test_put_works_again_after_delete(store: Store) -> None:
    await store.put("key", b"first", ttl=MINUTE)
    await store.replace("key", b"second", expected_version=1, ttl=MINUTE)
    await store.delete("key")
    assert await store.put("key", b"third", ttl=MINUTE) is True
    assert await store.get("key") == Versioned(b"third", 1)


@pytest.mark.parametrize(
    "value", [b"", b"\0", bytes(range(256)), b"\xff" * 100_000], ids=["empty", "zero", "every byte", "100 kB"]
)
async def test_a_value_is_any_bytes(store: Store, value: bytes) -> None:
    await store.put("key", b"before", ttl=MINUTE)
    await store.replace("key", value, expected_version=1, ttl=MINUTE)
    await store.put("other", value, ttl=MINUTE)
    assert await store.get("key") == Versioned(value, 2)
    assert await store.take("other") == Versioned(value, 1)


@pytest.mark.parametrize("name", ["k" * 200, "a b\tc\n", "%s*?[x]{}", "'\";--", "k:1"])
async def test_keys_and_indexes_are_any_ascii_up_to_200_characters(store: Store, name: str) -> None:
    await store.put(name, b"value", ttl=MINUTE, indexes=[name])
    await store.replace(name, b"value 2", expected_version=1, ttl=MINUTE)
    assert await store.find(name) == [name]
    assert await store.take(name) == Versioned(b"value 2", 2)
    assert await store.find(name) == []


async def test_of_many_puts_at_once_exactly_one_wins(store: Store) -> None:
    answers = await asyncio.gather(*(store.put("key", b"%d" % n, ttl=MINUTE) for n in range(40)))
    assert answers.count(True) == 1
    assert await store.get("key") == Versioned(b"%d" % answers.index(True), 1)


# time to live


async def test_a_value_lives_until_its_time_and_not_at_it(clocked_backend: EmbeddedBackend) -> None:
    store = await clocked_backend.open()
    await store.put("key", b"value", ttl=10, indexes=["index"])
    await clocked_backend.pass_time(9.75)
    assert await store.get("key") == Versioned(b"value", 1)
    assert await store.find("index") == ["key"]
    await clocked_backend.pass_time(0.25)
    assert await store.get("key") is None
    assert await store.find("index") == []


@pytest.mark.parametrize("verb", ["put", "replace", "take", "delete"])
async def test_for_every_verb_what_ran_out_is_gone(backend: Backend, verb: str) -> None:
    store = await backend.open()
    await store.put("key", b"old", ttl=0.05, indexes=["index"])
    await backend.pass_time(0.05)
    if verb == "put":
        assert await store.put("key", b"new", ttl=MINUTE) is True
        assert await store.get("key") == Versioned(b"new", 1)
    elif verb == "replace":
        assert await store.replace("key", b"new", expected_version=1, ttl=MINUTE) is False
        assert await store.get("key") is None
    elif verb == "take":
        assert await store.take("key") is None
    else:
        assert await store.delete("key") is False
    assert await store.find("index") == []


async def test_replace_sets_the_time_to_live_anew(backend: Backend) -> None:
    store = await backend.open()
    await store.put("longer", b"", ttl=0.5, indexes=["index"])
    await store.put("shorter", b"", ttl=MINUTE, indexes=["index"])
    assert await store.replace("longer", b"", expected_version=1, ttl=MINUTE) is True
    assert await store.replace("shorter", b"", expected_version=1, ttl=0.5) is True
    await backend.pass_time(0.5)
    assert await store.get("longer") == Versioned(b"", 2)
    assert await store.get("shorter") is None
    assert await store.find("index") == ["longer"]


# replace, take, delete


async def test_each_replace_raises_the_version_by_one(store: Store) -> None:
    await store.put("key", b"0", ttl=MINUTE)
    for version in range(1, 12):
        assert await store.replace("key", b"%d" % version, expected_version=version, ttl=MINUTE) is True
        assert await store.get("key") == Versioned(b"%d" % version, version + 1)


@pytest.mark.parametrize("expected_version", [0, 1, 3])
async def test_replace_with_another_version_changes_nothing(store: Store, expected_version: int) -> None:
    await store.put("key", b"1", ttl=MINUTE)
    await store.replace("key", b"2", expected_version=1, ttl=MINUTE)
    assert await store.replace("key", b"lost", expected_version=expected_version, ttl=MINUTE) is False
    assert await store.get("key") == Versioned(b"2", 2)


async def test_replace_of_an_unknown_key_creates_nothing(store: Store) -> None:
    assert await store.replace("key", b"value", expected_version=0, ttl=MINUTE) is False
    assert await store.replace("key", b"value", expected_version=1, ttl=MINUTE) is False
    assert await store.get("key") is None


async def test_of_many_replaces_at_once_exactly_one_wins(store: Store) -> None:
    await store.put("key", b"", ttl=MINUTE)
    answers = await asyncio.gather(
        *(store.replace("key", b"%d" % n, expected_version=1, ttl=MINUTE) for n in range(40))
    )
    assert answers.count(True) == 1
    assert await store.get("key") == Versioned(b"%d" % answers.index(True), 2)


async def test_of_many_takes_at_once_exactly_one_receives_the_value(store: Store) -> None:
    await store.put("key", b"value", ttl=MINUTE)
    taken = await asyncio.gather(*(store.take("key") for _ in range(40)))
    assert [value for value in taken if value is not None] == [Versioned(b"value", 1)]
    assert await store.get("key") is None


async def test_two_processes_race_for_one_value_and_one_version(shared_backend: Backend) -> None:
    stores = [await shared_backend.open(), await shared_backend.open()]
    await stores[0].put("replaced", b"", ttl=MINUTE)
    await stores[1].put("taken", b"value", ttl=MINUTE)
    replaced = await asyncio.gather(
        *(stores[n % 2].replace("replaced", b"%d" % n, expected_version=1, ttl=MINUTE) for n in range(40))
    )
    taken = await asyncio.gather(*(stores[n % 2].take("taken") for n in range(40)))
    assert replaced.count(True) == 1
    assert len([value for value in taken if value is not None]) == 1
    assert await stores[0].get("replaced") == await stores[1].get("replaced")


async def test_delete_says_whether_there_was_something(store: Store) -> None:
    await store.put("key", b"value", ttl=MINUTE)
    assert await store.delete("key") is True
    assert await store.delete("key") is False
    assert await store.get("key") is None


# find


async def test_find_lists_the_living_keys_of_an_index(store: Store) -> None:
    await store.put("a", b"", ttl=MINUTE, indexes=["one", "two"])
    await store.put("b", b"", ttl=MINUTE, indexes=["one"])
    await store.put("c", b"", ttl=MINUTE)
    await store.put("d", b"", ttl=MINUTE, indexes=["one"])
    await store.put("e", b"", ttl=MINUTE, indexes=["one", "one"])
    await store.take("b")
    await store.delete("d")
    assert sorted(await store.find("one")) == ["a", "e"]
    assert await store.find("two") == ["a"]
    assert await store.find("three") == []


async def test_indexes_stay_when_the_value_is_replaced(store: Store) -> None:
    await store.put("key", b"", ttl=MINUTE, indexes=["index"])
    await store.replace("key", b"new", expected_version=1, ttl=MINUTE)
    assert await store.find("index") == ["key"]


async def test_a_key_put_anew_is_under_its_new_indexes_alone(backend: Backend) -> None:
    store = await backend.open()
    await store.put("taken", b"", ttl=MINUTE, indexes=["old"])
    await store.put("expired", b"", ttl=0.05, indexes=["old"])
    await store.take("taken")
    await backend.pass_time(0.05)
    await store.put("taken", b"", ttl=MINUTE, indexes=["new"])
    await store.put("expired", b"", ttl=MINUTE, indexes=["new"])
    assert await store.find("old") == []
    assert sorted(await store.find("new")) == ["expired", "taken"]


# spend


async def test_a_bucket_gives_its_burst_and_then_says_how_long_to_wait(store: Store) -> None:
    bucket = Bucket("bucket", interval=MINUTE, burst=3)
    assert [await store.spend([bucket]) for _ in range(3)] == [0.0, 0.0, 0.0]
    for _ in range(2):
        wait = await store.spend([bucket])
        assert 0 < wait <= MINUTE


async def test_a_bucket_refills_by_one_per_interval(clocked_backend: EmbeddedBackend) -> None:
    store = await clocked_backend.open()
    bucket = Bucket("bucket", interval=10, burst=2)
    assert [await store.spend([bucket]) for _ in range(3)] == [0.0, 0.0, pytest.approx(10)]
    await clocked_backend.pass_time(4)
    assert await store.spend([bucket]) == pytest.approx(6)
    await clocked_backend.pass_time(6)
    assert await store.spend([bucket]) == 0.0
    assert await store.spend([bucket]) == pytest.approx(10)
    await clocked_backend.pass_time(1000)
    assert [await store.spend([bucket]) for _ in range(3)] == [0.0, 0.0, pytest.approx(10)]


async def test_a_refused_call_does_not_make_the_wait_longer(clocked_backend: EmbeddedBackend) -> None:
    store = await clocked_backend.open()
    bucket = Bucket("bucket", interval=10, burst=1)
    await store.spend([bucket])
    for _ in range(5):
        assert await store.spend([bucket]) == pytest.approx(10)


async def test_an_empty_bucket_has_a_token_again_when_its_time_has_come(backend: Backend) -> None:
    store = await backend.open()
    bucket = Bucket("bucket", interval=0.2, burst=1)
    await store.spend([bucket])
    await backend.pass_time(0.2)
    assert await store.spend([bucket]) == 0.0


async def test_a_bucket_is_charged_even_when_another_one_is_empty(store: Store) -> None:
    empty, full = Bucket("empty", interval=MINUTE, burst=1), Bucket("full", interval=MINUTE, burst=2)
    await store.spend([empty])
    assert await store.spend([empty, full]) > 0
    assert await store.spend([full]) == 0.0
    assert await store.spend([full]) > 0


async def test_the_wait_is_that_of_the_last_bucket(store: Store) -> None:
    short, long = Bucket("short", interval=MINUTE, burst=1), Bucket("long", interval=60 * MINUTE, burst=1)
    await store.spend([short, long])
    for buckets in ([short, long], [long, short]):
        assert 59 * MINUTE < await store.spend(buckets) <= 60 * MINUTE
    assert 0 < await store.spend([short]) <= MINUTE


async def test_no_bucket_refuses_nothing(store: Store) -> None:
    assert await store.spend([]) == 0.0


async def test_of_many_requests_at_once_a_bucket_lets_its_burst_through(store: Store) -> None:
    bucket = Bucket("bucket", interval=MINUTE, burst=5)
    waits = await asyncio.gather(*(store.spend([bucket]) for _ in range(40)))
    assert waits.count(0.0) == 5


async def test_processes_share_a_bucket(shared_backend: Backend) -> None:
    stores = [await shared_backend.open(), await shared_backend.open()]
    bucket = Bucket("bucket", interval=MINUTE, burst=5)
    waits = await asyncio.gather(*(stores[n % 2].spend([bucket]) for n in range(40)))
    assert waits.count(0.0) == 5


# occupy, vacate


async def occupy(store: Store, slot: int, *, limit: int = 3, key: str = "count") -> int | None:
    return await store.occupy(key, slot=slot, lowest=slot - 2, highest=slot + 2, limit=limit, ttl=MINUTE)


async def test_as_many_as_the_limit_are_counted_and_the_next_hears_of_the_lowest_slot(store: Store) -> None:
    assert [await occupy(store, slot) for slot in (12, 10, 11, 11, 12)] == [None, None, None, 10, 10]
    assert await occupy(store, 11, key="another") is None
    assert await occupy(store, 12, limit=4) is None


async def test_what_is_given_back_can_be_taken_again_and_nothing_twice(store: Store) -> None:
    assert [await occupy(store, slot) for slot in (10, 10, 11)] == [None, None, None]
    await store.vacate("count", 10)
    assert [await occupy(store, 11), await occupy(store, 11)] == [None, 10]
    for _ in range(3):
        await store.vacate("count", 10)
        await store.vacate("count", 99)
        await store.vacate("nothing", 10)
    assert [await occupy(store, 11), await occupy(store, 11)] == [None, 11]


@pytest.mark.parametrize("later", [13, 7])
async def test_slots_out_of_reach_do_not_count(store: Store, later: int) -> None:
    """A slot in the future is one of before the clock was set back."""
    assert [await occupy(store, 10) for _ in range(3)] == [None, None, None]
    assert await occupy(store, 12) == 10
    assert [await occupy(store, later) for _ in range(4)] == [None, None, None, later]
    assert await occupy(store, 10, limit=3) is None


async def test_of_many_at_once_and_of_several_processes_the_limit_is_let_through(shared_backend: Backend) -> None:
    stores = [await shared_backend.open(), await shared_backend.open()]
    taken = await asyncio.gather(*(occupy(stores[n % 2], n % 3, limit=5) for n in range(40)))
    assert taken.count(None) == 5


# publish, subscribe


async def test_a_subscriber_hears_the_messages_in_their_order(store: Store) -> None:
    inbox = Inbox()
    await store.subscribe("channel", inbox)
    messages = [b"%d" % n for n in range(50)] + [b"", bytes(range(256))]
    for message in messages:
        await store.publish("channel", message)
    assert await inbox.has(len(messages)) == messages


async def test_a_subscriber_hears_its_channel_alone(store: Store) -> None:
    inbox, other = Inbox(), Inbox()
    await store.subscribe("channel", inbox)
    await store.subscribe("other", other)
    await store.publish("other", b"not for it")
    await store.publish("channel", b"for it")
    assert await inbox.has(1) == [b"for it"]
    assert await other.has(1) == [b"not for it"]


async def test_a_subscriber_does_not_hear_what_came_before(store: Store) -> None:
    inbox = Inbox()
    await store.publish("channel", b"before")
    await store.subscribe("channel", inbox)
    await store.publish("channel", b"after")
    assert await inbox.has(1) == [b"after"]


async def test_unsubscribing_ends_one_subscription_and_may_be_repeated(store: Store) -> None:
    gone, staying = Inbox(), Inbox()
    unsubscribe = await store.subscribe("channel", gone)
    await store.subscribe("channel", staying)
    await unsubscribe()
    await unsubscribe()
    await store.publish("channel", b"message")
    assert await staying.has(1) == [b"message"]
    assert gone.messages == []


async def test_a_callback_that_subscribed_twice_hears_twice_until_it_unsubscribes_once(store: Store) -> None:
    inbox, witness = Inbox(), Inbox()
    unsubscribe = await store.subscribe("channel", inbox)
    await store.subscribe("channel", inbox)
    await store.subscribe("channel", witness)
    await store.publish("channel", b"1")
    assert await witness.has(1) == [b"1"]
    await unsubscribe()
    await unsubscribe()
    await store.publish("channel", b"2")
    assert await witness.has(2) == [b"1", b"2"]
    assert inbox.messages == [b"1", b"1", b"2"]


async def test_one_can_subscribe_again_after_unsubscribing(store: Store) -> None:
    for number in range(3):
        inbox = Inbox()
        unsubscribe = await store.subscribe("channel", inbox)
        await store.publish("channel", b"%d" % number)
        assert await inbox.has(1) == [b"%d" % number]
        await unsubscribe()


async def test_many_subscribe_and_unsubscribe_at_once(store: Store) -> None:
    inboxes = [Inbox() for _ in range(60)]
    unsubscribes = await asyncio.gather(*(store.subscribe(f"c{n % 7}", inbox) for n, inbox in enumerate(inboxes)))
    await asyncio.gather(*(unsubscribe() for unsubscribe in unsubscribes[:30]))
    await asyncio.gather(*(store.publish(f"c{n}", b"%d" % n) for n in range(7)))
    for number, inbox in enumerate(inboxes[30:], start=30):
        assert await inbox.has(1) == [b"%d" % (number % 7)]
    assert all(inbox.messages == [] for inbox in inboxes[:30])


async def test_publishing_to_nobody_is_no_error(store: Store) -> None:
    await store.publish("channel", b"message")


async def test_a_failing_callback_does_not_keep_the_message_from_others(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: bytes | None) -> None:
        raise ValueError("personal data")

    inbox = Inbox()
    await store.subscribe("channel", fail)
    await store.subscribe("channel", inbox)
    await store.publish("channel", b"1")
    await store.publish("channel", b"2")
    assert await inbox.has(2) == [b"1", b"2"]
    assert "ValueError" in caplog.text
    assert "personal data" not in caplog.text


async def test_a_successful_replace_publishes_its_message_on_the_channel_called_like_the_key(store: Store) -> None:
    inbox = Inbox()
    await store.subscribe("key", inbox)
    await store.put("key", b"1", ttl=MINUTE)
    await store.replace("key", b"2", expected_version=1, ttl=MINUTE, message=b"now 2")
    await store.replace("key", b"3", expected_version=2, ttl=MINUTE)
    await store.replace("key", b"4", expected_version=3, ttl=MINUTE, message=b"")
    await store.publish("key", b"end")
    assert await inbox.has(3) == [b"now 2", b"", b"end"]


async def test_a_failed_replace_publishes_nothing(store: Store) -> None:
    inbox = Inbox()
    await store.subscribe("key", inbox)
    await store.replace("key", b"", expected_version=1, ttl=MINUTE, message=b"wrong")
    await store.put("key", b"1", ttl=MINUTE)
    await store.replace("key", b"", expected_version=2, ttl=MINUTE, message=b"wrong")
    await store.publish("key", b"end")
    assert await inbox.has(1) == [b"end"]


async def test_who_hears_of_a_replace_reads_its_value(shared_backend: Backend) -> None:
    writer, reader = await shared_backend.open(), await shared_backend.open()
    inbox = Inbox()
    await reader.subscribe("key", inbox)
    await writer.put("key", b"1", ttl=MINUTE)
    for version in range(1, 6):
        await writer.replace("key", b"new", expected_version=version, ttl=MINUTE, message=b"changed")
        await inbox.has(version)
        assert await reader.get("key") == Versioned(b"new", version + 1)


async def test_a_message_reaches_every_process_once_and_in_order(shared_backend: Backend) -> None:
    stores = [await shared_backend.open(), await shared_backend.open()]
    inboxes = [Inbox(), Inbox()]
    for store, inbox in zip(stores, inboxes, strict=True):
        await store.subscribe("channel", inbox)
    messages = [b"%d" % n for n in range(30)]
    for number, message in enumerate(messages):
        await stores[number % 2].publish("channel", message)
    await stores[0].publish("channel", b"end")
    for inbox in inboxes:
        assert await inbox.has(31) == [*messages, b"end"]


# open, close


async def test_open_and_close_may_be_repeated(store: Store) -> None:
    await store.open()
    await asyncio.gather(store.open(), store.open())
    await store.put("key", b"value", ttl=MINUTE)
    await store.open()
    assert await store.get("key") == Versioned(b"value", 1)
    await store.close()
    await store.close()
    await store.open()
    assert await store.put("new", b"value", ttl=MINUTE) is True


async def test_close_ends_subscriptions(store: Store) -> None:
    gone, inbox = Inbox(), Inbox()
    unsubscribe = await store.subscribe("channel", gone)
    await store.close()
    await unsubscribe()
    await store.open()
    await store.subscribe("channel", inbox)
    await store.publish("channel", b"message")
    assert await inbox.has(1) == [b"message"]
    assert gone.messages == []


async def test_a_store_that_is_not_open_is_unavailable(shared_backend: Backend) -> None:
    store = await shared_backend.open()
    await store.close()
    for call in (
        store.put("key", b"", ttl=MINUTE),
        store.get("key"),
        store.replace("key", b"", expected_version=1, ttl=MINUTE),
        store.take("key"),
        store.delete("key"),
        store.find("index"),
        store.spend([Bucket("bucket", 1, 1)]),
        occupy(store, 1),
        store.vacate("count", 1),
        store.publish("channel", b""),
        store.subscribe("channel", Inbox()),
    ):
        with pytest.raises(UnavailableError) as raised:
            await call
        assert raised.value.code == "store_unavailable"


async def test_key_prefixes_keep_applications_apart(shared_backend: Backend) -> None:
    async with AsyncExitStack() as stack:
        one = await opened(create_store(shared_backend.url, key_prefix=shared_backend.prefix + "one:"), stack)
        two = await opened(create_store(shared_backend.url, key_prefix=shared_backend.prefix + "two:"), stack)
        heard = Inbox()
        await two.subscribe("key", heard)
        assert await one.put("key", b"of one", ttl=MINUTE, indexes=["index"]) is True
        assert await two.put("key", b"of two", ttl=MINUTE, indexes=["index"]) is True
        assert await one.find("index") == ["key"]
        assert await one.take("key") == Versioned(b"of one", 1)
        assert await two.find("index") == ["key"]
        bucket = Bucket("bucket", MINUTE, 1)
        assert [await one.spend([bucket]), await two.spend([bucket])] == [0.0, 0.0]
        assert [await occupy(one, 1, limit=1), await occupy(two, 1, limit=1)] == [None, None]
        await one.publish("key", b"of one")
        await two.publish("key", b"of two")
        assert await heard.has(1) == [b"of two"]
        await two.delete("key")


def test_a_store_outlives_its_event_loop(tmp_path: Path, redis_url: str, sentinel_url: str, cluster_url: str) -> None:
    for url in (f"sqlite:///{tmp_path / 'store.db'}", redis_url, sentinel_url, cluster_url):
        store = create_store(url, key_prefix="loops:")

        async def one_run(expected: Versioned | None, store: Store = store) -> None:
            await asyncio.gather(store.open(), store.open())
            assert await store.get("key") == expected
            await store.put("key", b"value", ttl=MINUTE)
            inbox = Inbox()
            await store.subscribe("channel", inbox)
            await store.publish("channel", b"message")
            assert await inbox.has(1) == [b"message"]
            await store.close()

        asyncio.run(one_run(None))
        asyncio.run(one_run(Versioned(b"value", 1)))


@pytest.mark.parametrize(
    "url",
    ["", "useid.db", "mysql://host/db", "sqlite:///", "sqlite:///:memory:", "sqlite:///a.db?mode=ro", "sqlite://a.db"],
)
def test_an_unusable_url_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="store: must be"):
        create_store(url, key_prefix="")


@pytest.mark.parametrize("url", ["redis://host:port", "redis://host/?no_such_option=1"])
def test_an_unusable_redis_url_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="URL of Redis"):
        create_store(url, key_prefix="")


# every store is like memory

_KEYS = st.sampled_from(["a", "b", "c"])
_VERBS = st.one_of(
    st.tuples(st.just("put"), _KEYS, st.binary(max_size=3), st.lists(st.sampled_from(["i", "j"]), max_size=2)),
    st.tuples(st.just("get"), _KEYS),
    st.tuples(st.just("replace"), _KEYS, st.binary(max_size=3), st.integers(1, 3)),
    st.tuples(st.just("take"), _KEYS),
    st.tuples(st.just("delete"), _KEYS),
    st.tuples(st.just("find"), st.sampled_from(["i", "j"])),
    st.tuples(st.just("spend"), st.lists(_KEYS, max_size=3)),
    st.tuples(st.just("occupy"), _KEYS, st.integers(-3, 3)),
    st.tuples(st.just("vacate"), _KEYS, st.integers(-3, 3)),
)


async def _perform(store: Store, steps: list[tuple[Any, ...]]) -> list[object]:
    answers: list[object] = []
    for verb, *arguments in steps:
        match verb, arguments:
            case "put", [key, value, indexes]:
                answers.append(await store.put(key, value, ttl=MINUTE, indexes=indexes))
            case "replace", [key, value, version]:
                answers.append(await store.replace(key, value, expected_version=version, ttl=MINUTE, message=value))
            case "occupy", [key, slot]:
                answers.append(await occupy(store, slot, key=key))
            case "vacate", [key, slot]:
                await store.vacate(key, slot)
            case "find", [index]:
                answers.append(sorted(await store.find(index)))
            case "spend", [keys]:
                wait = await store.spend([Bucket(key, 3600, burst) for burst, key in enumerate(keys, start=1)])
                # The real time has passed a little on Redis; whole hours tell the same.
                answers.append(round(wait / 3600, 1))
            case _, [key]:
                answers.append(await getattr(store, verb)(key))
    return answers


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_VERBS, max_size=25))
def test_every_store_answers_like_memory(
    steps: list[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory, redis_url: str, cluster_url: str
) -> None:
    folder = tmp_path_factory.mktemp("like-memory")

    async def compare() -> None:
        async with AsyncExitStack() as stack:
            expected = await _perform(await opened(create_store("memory://", key_prefix=""), stack), steps)
            for url in (f"sqlite:///{folder / 'store.db'}", redis_url, cluster_url):
                store = await opened(create_store(url, key_prefix=f"{folder.name}:"), stack)
                assert await _perform(store, steps) == expected

    asyncio.run(compare())
