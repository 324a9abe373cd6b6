"""Redis that is away, stands still, refuses, or is none: an error that says so, soon, and recovery by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import anyio
import pytest

from tests.servers import RedisServer, free_port
from tests.stores.conftest import PATIENCE, Inbox, eventually, opened
from tests.stores.redis_between import Between, between
from tests.stores.redis_processes import RedisProcess
from tests.stores.redis_verbs import VERBS
from useid_middleware.errors import UnavailableError
from useid_middleware.http.responses import error_response
from useid_middleware.stores.base import Bucket, Store, Versioned
from useid_middleware.stores.redis import Timing, create_redis_store

MINUTE = 60.0
#: So that a test need not wait long for what must take long.
QUICK = Timing(answer=0.4, ping=0.2, first_delay=0.01, last_delay=0.05)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes what a test has opened."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def middle(redis_server: RedisServer, stack: AsyncExitStack) -> Between:
    """The server that misbehaves."""
    return await stack.enter_async_context(between(redis_server.port))


@pytest.fixture
async def store(middle: Between, stack: AsyncExitStack) -> Store:
    """A store that talks to it."""
    return await quick_store(middle.url, stack)


async def quick_store(url: str, stack: AsyncExitStack) -> Store:
    """A store that does not wait long."""
    return await opened(create_redis_store(url, key_prefix="useid:", timing=QUICK), stack)


async def patient_store(url: str, stack: AsyncExitStack) -> Store:
    """A store that a test never makes lose its patience."""
    return await opened(create_redis_store(url, key_prefix="useid:"), stack)


async def is_unavailable(store: Store, *, but: tuple[str, ...] = ()) -> None:
    """All verbs say so, at the same time, and soon."""
    names = [name for name in VERBS if name not in but]
    with anyio.fail_after(PATIENCE):
        outcomes = await asyncio.gather(*(VERBS[name](store) for name in names), return_exceptions=True)
    for name, outcome in zip(names, outcomes, strict=True):
        assert isinstance(outcome, UnavailableError), (name, outcome)
        response = error_response(outcome)
        assert (response.status, dict(response.headers)[b"retry-after"]) == (503, b"2")


async def works_again(store: Store) -> None:
    """All verbs work, sooner or later, without anybody's doing."""
    for name, verb in VERBS.items():

        async def works(name: str = name, verb: Callable[[Store], object] = verb) -> bool:
            try:
                await VERBS[name](store)
            except UnavailableError:
                return False
            return True

        await eventually(works)


# What Redis says when it cannot, or does not want to.

REFUSALS = [
    b"-LOADING Redis is loading the dataset in memory\r\n",
    b"-READONLY You can't write against a read only replica.\r\n",
    b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    b"-MISCONF Errors writing to the AOF file: No space left on device\r\n",
    b"-NOREPLICAS Not enough good replicas to write.\r\n",
    b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n",
    b"-NOPERM this user has no permissions to run the 'evalsha' command\r\n",
    b"-NOAUTH Authentication required.\r\n",
    b"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
    b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
    b"-MOVED 1234 127.0.0.1:1\r\n",
    b"-ASK 1234 127.0.0.1:1\r\n",
    b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
    b"-CLUSTERDOWN Hash slot not served\r\n",
    b"-NOSCRIPT No matching script. Please use EVAL.\r\n",
    b"-ERR max number of clients reached\r\n",
    b"-ERR unknown command\r\n",
]
# What Redis never says.
GARBAGE = [
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    b"\x16\x03\x01\x00\xee\x01\x00\x00",
    b"\0" * 64,
    b"-\r\n",
    b"-MOVED nowhere\r\n",
    b"-ASK 1 2 3\r\n",
    b"-\xff\xfe\r\n",
    b":99999999999999999999999999\r\n",
    b"$-7\r\n",
    b"*-7\r\n",
    b"*1\r\n" * 64,
    b"$5\r\nab",
    b"*3\r\n$1\r\na\r\n",
    b"*100000\r\n",
]


@pytest.mark.parametrize("answer", REFUSALS, ids=[refusal.split()[0][1:].decode() for refusal in REFUSALS])
async def test_a_refusal_makes_every_verb_unavailable(store: Store, middle: Between, answer: bytes) -> None:
    middle.instead = lambda request: answer
    await is_unavailable(store)
    middle.instead = None
    await works_again(store)


@pytest.mark.parametrize("answer", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_makes_every_verb_unavailable(store: Store, middle: Between, answer: bytes) -> None:
    middle.instead = lambda request: answer
    await is_unavailable(store)
    middle.instead = None
    await works_again(store)


@pytest.mark.parametrize(
    ("answer", "fits"),
    [
        (b"+OK\r\n", ("publish",)),
        (b":7\r\n", ("spend", "publish")),
        (b":-7\r\n", ("publish",)),
        (b"$2\r\nOK\r\n", ("publish",)),
        (b"*0\r\n", ("find", "publish")),
        (b"*1\r\n:1\r\n", ("publish",)),
        (b"*1\r\n$1\r\n\xff\r\n", ("publish",)),
        (b"*2\r\n:1\r\n:2\r\n", ("publish",)),
        (b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", ("find", "publish")),
        (b"*2\r\n$-1\r\n$1\r\n1\r\n", ("publish",)),
        (b"*2\r\n$1\r\na\r\n$-1\r\n", ("publish",)),
        (b"*3\r\n$9\r\nsubscribe\r\n$5\r\nother\r\n:1\r\n", ("publish",)),
        (b"*3\r\n$7\r\nmessage\r\n$1\r\n\xff\r\n$1\r\na\r\n", ("publish",)),
    ],
)
async def test_an_answer_to_another_question_makes_a_verb_unavailable(
    store: Store, middle: Between, answer: bytes, fits: tuple[str, ...]
) -> None:
    middle.instead = lambda request: answer
    # "find" takes any names, the last two among them.
    await is_unavailable(store, but=(*fits, *(("find",) if answer.count(b"$") == answer.count(b"\r\n$") > 1 else ())))
    middle.instead = None
    await works_again(store)


async def test_silence_makes_every_verb_unavailable(store: Store, middle: Between) -> None:
    middle.instead = lambda request: None
    await is_unavailable(store)
    middle.instead = None
    await works_again(store)


async def test_an_answer_that_comes_too_late_is_not_taken_for_that_of_a_later_call(
    store: Store, middle: Between
) -> None:
    await store.put("one", b"1", ttl=MINUTE)
    await store.put("two", b"2", ttl=MINUTE)
    slow = asyncio.Event()

    async def before(request: list[bytes]) -> None:
        if request[0] == b"HMGET" and request[1].endswith(b"one"):
            await slow.wait()

    middle.before = before
    with pytest.raises(UnavailableError):
        await store.get("one")
    slow.set()
    two, one = await asyncio.gather(store.get("two"), store.get("one"))
    assert (two, one) == (Versioned(b"2", 1), Versioned(b"1", 1))


async def test_an_answer_too_many_is_not_taken_for_that_of_a_later_call(store: Store, middle: Between) -> None:
    middle.instead = lambda request: b":1\r\n:1\r\n"
    assert await store.put("key", b"", ttl=MINUTE) is True
    middle.instead = None
    assert await store.get("key") is None


async def test_the_error_says_what_kind_it_was_and_nothing_else(store: Store, middle: Between) -> None:
    middle.instead = lambda request: b"-OOM of host 10.0.0.1 and key useid:v:secret\r\n"
    with pytest.raises(UnavailableError) as raised:
        await store.get("secret")
    assert str(raised.value) == "store_unavailable: the Redis store failed with OutOfMemoryError"


async def test_one_channel_that_is_refused_does_not_spoil_the_others(store: Store, middle: Between) -> None:
    inbox = Inbox()
    await store.subscribe("good", inbox)

    def refuse(request: list[bytes]) -> bytes | None:
        return b"-NOPERM no permissions to access one of the channels\r\n"

    middle.instead = refuse
    with pytest.raises(UnavailableError, match="NoPermissionError"):
        await store.subscribe("bad", Inbox())
    middle.instead = None
    await store.publish("good", b"message")
    assert await inbox.has(1) == [b"message"]


async def test_a_subscriber_whose_connection_is_fed_garbage_is_told_when_it_hears_again(
    store: Store, middle: Between
) -> None:
    inbox = Inbox()
    await store.subscribe("channel", inbox)
    # What disturbs the connection is the answer to somebody else's subscription.
    middle.instead = lambda request: b"*3\r\n$9\r\nsubscribe\r\n$7\r\nunasked\r\n:1\r\n"
    with pytest.raises(UnavailableError):
        await store.subscribe("other", Inbox())
    middle.instead = None

    async def heard() -> bool:
        await store.publish("channel", b"message")
        return b"message" in inbox.messages

    await eventually(heard)
    assert inbox.messages[0] is None


# A real server that dies, stands still, or says no.


@pytest.fixture
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisProcess]:
    """A server to be ill-treated."""
    process = RedisProcess(tmp_path_factory.mktemp("ill-treated"))
    process.start()
    yield process
    process.end()


def url_of(server: RedisProcess) -> str:
    """Of a store."""
    return f"redis://127.0.0.1:{server.port}/0"


async def test_after_the_server_was_killed_and_started_all_works_and_waiting_pages_are_told(
    server: RedisProcess, stack: AsyncExitStack
) -> None:
    store, other = await quick_store(url_of(server), stack), await quick_store(url_of(server), stack)
    inbox = Inbox()
    await store.subscribe("waiting", inbox)
    server.kill()
    await is_unavailable(store)
    # At the beginning, since it takes longer …
    assert await inbox.has(1) == [None]
    server.start()
    # … and at the end. What is published from now on cannot be missed.
    assert await inbox.has(2) == [None, None]
    await works_again(other)
    await other.publish("waiting", b"after")
    assert (await inbox.has(3))[2:] == [b"after"]


async def test_however_long_it_takes_waiting_pages_are_told_once_at_the_beginning_and_once_at_the_end(
    server: RedisProcess, stack: AsyncExitStack
) -> None:
    store = await quick_store(url_of(server), stack)
    inboxes = [Inbox() for _ in range(20)]
    for number, inbox in enumerate(inboxes):
        await store.subscribe(f"key {number}", inbox)
    server.kill()
    for inbox in inboxes:
        await inbox.has(1)
    for _ in range(5):
        with pytest.raises(UnavailableError):
            await store.subscribe("new", Inbox())
    server.start()
    for inbox in inboxes:
        assert await inbox.has(2) == [None, None]


async def test_while_the_server_stands_still_every_verb_is_unavailable_and_waiting_pages_are_told(
    server: RedisProcess, stack: AsyncExitStack
) -> None:
    store = await quick_store(url_of(server), stack)
    inbox = Inbox()
    await store.subscribe("waiting", inbox)
    server.stop()
    await is_unavailable(store)
    assert await inbox.has(1) == [None]
    server.resume()
    assert await inbox.has(2) == [None, None]
    await works_again(store)
    await store.publish("waiting", b"after")
    assert (await inbox.has(3))[2:] == [b"after"]


async def test_a_step_that_is_carried_out_late_is_carried_out_once(server: RedisProcess, stack: AsyncExitStack) -> None:
    store, other = await quick_store(url_of(server), stack), await quick_store(url_of(server), stack)
    inbox = Inbox()
    await (await patient_store(url_of(server), stack)).subscribe("key", inbox)
    await store.put("key", b"1", ttl=MINUTE)
    # Redis knows the script.
    await store.replace("other", b"", expected_version=1, ttl=MINUTE)
    server.stop()
    steps = [
        each.replace("key", b"2", expected_version=1, ttl=MINUTE, message=b"now 2") for each in (store, other, store)
    ]
    for outcome in await asyncio.gather(*steps, return_exceptions=True):
        assert isinstance(outcome, UnavailableError)
    server.resume()
    # All were on their way when it stood still. What others hear of them is what has happened.
    assert await store.get("key") == Versioned(b"2", 2)
    assert await inbox.has(1) == [b"now 2"]
    assert await store.replace("key", b"3", expected_version=2, ttl=MINUTE, message=b"now 3") is True
    assert await inbox.has(2) == [b"now 2", b"now 3"]


async def test_in_full_memory_reading_works_and_writing_is_unavailable_until_there_is_room(
    server: RedisProcess, stack: AsyncExitStack
) -> None:
    store = await quick_store(url_of(server), stack)
    await store.put("key", b"1", ttl=MINUTE)
    with server.client() as admin:
        admin.config_set("maxmemory", "1")
        for writing in (
            store.put("new", b"", ttl=MINUTE),
            store.replace("key", b"2", expected_version=1, ttl=MINUTE),
            store.spend([Bucket("bucket", MINUTE, 1)]),
        ):
            with pytest.raises(UnavailableError, match="OutOfMemoryError"):
                await writing
        assert await store.get("key") == Versioned(b"1", 1)
        admin.config_set("maxmemory", "0")
    assert await store.replace("key", b"2", expected_version=1, ttl=MINUTE) is True


async def test_a_server_that_became_a_replica_is_not_written_to(server: RedisProcess, stack: AsyncExitStack) -> None:
    store = await quick_store(url_of(server), stack)
    await store.put("key", b"1", ttl=MINUTE)
    with server.client() as admin:
        admin.replicaof("127.0.0.1", str(free_port()))
        with pytest.raises(UnavailableError, match="ReadOnlyError"):
            await store.replace("key", b"2", expected_version=1, ttl=MINUTE)
        admin.replicaof("NO", "ONE")
    assert await store.replace("key", b"2", expected_version=1, ttl=MINUTE) is True


async def test_a_busy_server_is_waited_for_no_longer_than_patience(server: RedisProcess, stack: AsyncExitStack) -> None:
    store = await quick_store(url_of(server), stack)
    with server.client() as admin:
        pausing = admin.execute_command("CLIENT", "PAUSE", "60000", "ALL")
        assert pausing == b"OK"
        await is_unavailable(store)
    # A new connection may lift it.
    server.kill()
    server.start()
    await works_again(store)


async def test_in_the_middle_of_calls_a_killed_server_leaves_no_call_without_an_answer(
    server: RedisProcess, stack: AsyncExitStack
) -> None:
    store = await quick_store(url_of(server), stack)
    outcomes: list[object] = []

    async def go_on() -> None:
        for number in range(300):
            try:
                outcomes.append(await store.spend([Bucket(f"{number}", 1.0, 100)]))
            except UnavailableError as error:
                outcomes.append(error)
                await asyncio.sleep(0)

    with anyio.fail_after(2 * PATIENCE):
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(go_on())

            async def kill_and_start() -> None:
                await eventually(lambda: _true(len(outcomes) > 500))
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)

            group.create_task(kill_and_start())
    assert len(outcomes) == 3000
    await works_again(store)


async def _true(condition: bool) -> bool:
    return condition
