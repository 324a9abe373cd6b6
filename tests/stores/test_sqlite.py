"""What only the SQLite store promises: one durable file that several processes share."""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from tests.stores.conftest import FakeClock, Inbox, eventually, opened
from useid_middleware.errors import ConfigurationError, UnavailableError
from useid_middleware.stores import create_store
from useid_middleware.stores.base import Bucket, Store, Versioned

MINUTE = 60.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the store keeps its file, which does not exist yet."""
    return tmp_path / "store.db"


@pytest.fixture
def clock() -> FakeClock:
    """The store's clock."""
    return FakeClock()


@pytest.fixture
async def store(file: Path, clock: FakeClock) -> AsyncIterator[Store]:
    """An open store in the file."""
    async with AsyncExitStack() as stack:
        yield await opened(create_store(f"sqlite:///{file}", key_prefix="", clock=clock), stack)


@pytest.fixture
def other(store: Store, file: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the file as another program has it."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        yield connection


async def run_program(program: str, *arguments: str) -> asyncio.subprocess.Process:
    """Start Python on ``program``."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, *arguments), stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )


async def test_what_was_stored_survives_closing_and_opening(file: Path) -> None:
    bucket = Bucket("bucket", interval=MINUTE, burst=1)
    for expected in (None, Versioned(b"2", 2)):
        async with AsyncExitStack() as stack:
            store = await opened(create_store(f"sqlite:///{file}", key_prefix="p:"), stack)
            assert await store.get("key") == expected
            assert await store.find("index") == ([] if expected is None else ["key"])
            assert (await store.spend([bucket]) == 0.0) is (expected is None)
            await store.put("key", b"1", ttl=MINUTE, indexes=["index"])
            await store.replace("key", b"2", expected_version=1, ttl=MINUTE)


async def test_close_finishes_the_writes_that_were_begun(store: Store) -> None:
    writes = [asyncio.create_task(store.put(f"{n}", b"", ttl=MINUTE)) for n in range(1500)]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*writes) == [True] * 1500
    await store.open()
    assert await store.get("1499") == Versioned(b"", 1)


async def test_a_second_process_is_heard_and_read(store: Store, file: Path) -> None:
    program = """
import asyncio, sys
from useid_middleware.stores import create_store
async def main():
    store = create_store(sys.argv[1], key_prefix="")
    await store.open()
    await store.publish("channel", b"hello")
    await store.put("key", b"1", ttl=1e9)
    await store.replace("key", b"2", expected_version=1, ttl=1e9, message=b"replaced")
    await store.close()
asyncio.run(main())
"""
    channel, key = Inbox(), Inbox()
    await store.subscribe("channel", channel)
    await store.subscribe("key", key)
    process = await run_program(program, f"sqlite:///{file}")
    assert await channel.has(1) == [b"hello"]
    assert await key.has(1) == [b"replaced"]
    assert await store.get("key") == Versioned(b"2", 2)
    assert await process.wait() == 0


async def test_killing_a_writer_loses_no_acknowledged_write(store: Store, file: Path) -> None:
    program = """
import asyncio, sys
from useid_middleware.stores import create_store
async def main():
    store = create_store(sys.argv[1], key_prefix="")
    await store.open()
    async def write(worker):
        for number in range(10 ** 9):
            await store.put(f"{worker}-{number}", b"x" * 200, ttl=1e9, indexes=[f"{worker}"])
            print(f"{worker}-{number}", flush=True)
    await asyncio.gather(*map(write, range(16)))
asyncio.run(main())
"""
    process = await run_program(program, f"sqlite:///{file}")
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(400)]
    process.kill()
    lines += [line async for line in process.stdout]
    await process.wait()
    acknowledged = [line.decode().strip() for line in lines if line.endswith(b"\n")]
    assert len(acknowledged) >= 400
    for key in acknowledged:
        assert await store.get(key) == Versioned(b"x" * 200, 1)
    assert await store.put("new", b"", ttl=MINUTE) is True


async def test_a_process_that_forgets_to_close_can_end() -> None:
    program = """
import asyncio, sys, tempfile
from useid_middleware.stores import create_store
async def main():
    store = create_store(f"sqlite:///{tempfile.mkdtemp()}/store.db", key_prefix="")
    await store.open()
    await store.put("key", b"", ttl=60)
asyncio.run(main())
"""
    process = await run_program(program)
    assert await process.wait() == 0


async def test_many_may_create_the_file_at_once(file: Path) -> None:
    async with AsyncExitStack() as stack:
        stores = [create_store(f"sqlite:///{file}", key_prefix="") for _ in range(8)]
        await asyncio.gather(*(opened(store, stack) for store in stores))
        answers = await asyncio.gather(*(store.put("key", b"", ttl=MINUTE) for store in stores))
        assert answers.count(True) == 1


async def test_a_new_file_is_for_its_owner_alone(store: Store, file: Path) -> None:
    await store.put("key", b"", ttl=MINUTE)
    assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}


async def test_a_missing_directory_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"the directory .*/missing is missing"):
        await create_store(f"sqlite:///{tmp_path}/missing/store.db", key_prefix="").open()
    assert not (tmp_path / "missing").exists()


async def test_a_file_from_before_rows_had_numbers_is_used_without_its_sessions(file: Path) -> None:
    with closing(sqlite3.connect(file)) as old:
        old.executescript(
            "CREATE TABLE useid_values (key TEXT PRIMARY KEY, value BLOB, version INTEGER, expires_at REAL);"
            "CREATE INDEX useid_values_by_expiry ON useid_values (expires_at);"
            "CREATE TABLE useid_indexes (name TEXT, key TEXT REFERENCES useid_values (key) ON DELETE CASCADE,"
            " PRIMARY KEY (name, key)) WITHOUT ROWID;"
            "CREATE INDEX useid_indexes_by_key ON useid_indexes (key);"
            "INSERT INTO useid_values VALUES ('key', x'', 1, 1e12); INSERT INTO useid_indexes VALUES ('index', 'key');"
        )
    async with AsyncExitStack() as stack:
        store = await opened(create_store(f"sqlite:///{file}", key_prefix=""), stack)
        assert await store.get("key") is None
        assert await store.put("key", b"new", ttl=MINUTE, indexes=["index"])
        assert await store.find("index") == ["key"]


def test_a_file_that_is_no_database_is_a_configuration_error_and_stays_as_it_is(file: Path) -> None:
    file.write_text("my diary " * 1000)
    with pytest.raises(ConfigurationError, match="cannot be used as a database"):
        asyncio.run(create_store(f"sqlite:///{file}", key_prefix="").open())
    assert file.read_text() == "my diary " * 1000


async def test_a_path_that_cannot_be_opened_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used as a database"):
        await create_store(f"sqlite:///{tmp_path}", key_prefix="").open()


async def test_a_database_that_fails_is_unavailable_without_details(store: Store, other: sqlite3.Connection) -> None:
    other.execute("DROP TABLE useid_indexes")
    other.execute("DROP TABLE useid_values")
    for call in (store.get("key"), store.put("key", b"", ttl=MINUTE)):
        with pytest.raises(UnavailableError) as raised:
            await call
        assert (raised.value.code, raised.value.status_hint) == ("store_unavailable", 503)
        assert raised.value.message == "the SQLite store failed with SQLITE_ERROR"


async def test_a_write_that_fails_does_not_spoil_those_of_its_batch(store: Store, other: sqlite3.Connection) -> None:
    other.execute("DROP TABLE useid_buckets")
    # While another program holds the file, all of these gather for one transaction.
    other.execute("BEGIN IMMEDIATE")
    first = asyncio.create_task(store.put("first", b"", ttl=MINUTE))
    rest = [
        asyncio.create_task(write)
        for n in range(10)
        for write in (store.put(f"{n}", b"", ttl=MINUTE), store.spend([Bucket("bucket", 1, 1)]))
    ]
    await asyncio.sleep(0)
    other.execute("COMMIT")
    assert await first is True
    outcomes = await asyncio.gather(*rest, return_exceptions=True)
    assert outcomes[::2] == [True] * 10
    assert all(isinstance(outcome, UnavailableError) for outcome in outcomes[1::2])
    assert await store.put("0", b"", ttl=MINUTE) is False


async def test_reading_does_not_wait_for_another_process_that_writes(store: Store, other: sqlite3.Connection) -> None:
    await store.put("key", b"1", ttl=MINUTE)
    other.execute("BEGIN IMMEDIATE")
    write = asyncio.create_task(store.replace("key", b"2", expected_version=1, ttl=MINUTE))
    assert await store.get("key") == Versioned(b"1", 1)
    assert not write.done()
    other.execute("COMMIT")
    assert await write is True
    assert await store.get("key") == Versioned(b"2", 2)


async def test_messages_that_were_purged_unseen_make_subscribers_read_anew(
    store: Store, other: sqlite3.Connection
) -> None:
    inbox, elsewhere = Inbox(), Inbox()
    await store.subscribe("channel", inbox)
    await store.subscribe("elsewhere", elsewhere)
    # Other processes published and purged while this one stood still.
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO useid_messages (channel, message, sent_at) VALUES ('channel', x'00', 0)")
    other.execute("DELETE FROM useid_messages")
    other.execute("COMMIT")
    assert await inbox.has(1) == [None]
    assert await elsewhere.has(1) == [None]
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO useid_messages (channel, message, sent_at) VALUES ('channel', x'00', 0)")
    other.execute("DELETE FROM useid_messages")
    other.execute("INSERT INTO useid_messages (channel, message, sent_at) VALUES ('channel', x'01', 0)")
    other.execute("COMMIT")
    assert await inbox.has(3) == [None, None, b"\x01"]
    await store.publish("channel", b"end")
    assert await inbox.has(4) == [None, None, b"\x01", b"end"]


async def test_what_has_run_out_leaves_the_file(store: Store, clock: FakeClock, other: sqlite3.Connection) -> None:
    for number in range(30):
        await store.put(f"{number}", b"", ttl=MINUTE, indexes=["index"])
    await store.put("kept", b"", ttl=1000 * MINUTE, indexes=["index"])
    await store.spend([Bucket("bucket", MINUTE, 1)])
    await store.publish("channel", b"message")
    clock.now += MINUTE

    async def purged() -> bool:
        # Any write gives the purge its chance.
        await store.delete("none")
        counts = [
            other.execute(f"SELECT count(*) FROM useid_{table}").fetchone()[0]
            for table in ("values", "indexes", "buckets", "messages")
        ]
        return counts == [1, 1, 0, 0]

    await eventually(purged)
    assert await store.find("index") == ["kept"]
