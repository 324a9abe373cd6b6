"""What a database adds to the contract: several objects, processes and event loops, and a database that misbehaves."""

import asyncio
import contextlib
import gc
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest
from anyio.lowlevel import checkpoint
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.accounts import postgresql
from useid_middleware.accounts.base import Account, DeviceKey
from useid_middleware.accounts.database import database_url as engine_url
from useid_middleware.accounts.sql import SqlAccounts
from useid_middleware.errors import ConfigurationError, UnavailableError
from useid_middleware.identity import Identity

ALICE = Identity("host", "alice")

# Waits for a line, so that all processes go at once; prints the account's id and whether it is new.
PROCESS = """
import asyncio, sys
from useid_middleware.accounts import create_accounts
from useid_middleware.identity import Identity

async def main():
    accounts = create_accounts(sys.argv[1])
    await accounts.open()
    account, is_new = await accounts.resolve(Identity("host", "alice"), now=1.0)
    print(account.id, is_new)
    await accounts.close()

print("ready", flush=True)
input()
asyncio.run(main())
"""


@asynccontextmanager
async def opened(url: str, **options: float) -> AsyncIterator[SqlAccounts]:
    accounts = SqlAccounts(url, **options)  # type: ignore[arg-type]
    await accounts.open()
    try:
        yield accounts
    finally:
        await accounts.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "useid.db"


# Objects, processes, event loops


async def test_two_objects_on_one_database_see_each_others_records(database_url: str) -> None:
    async with opened(database_url) as one, opened(database_url) as other:
        alice, _ = await one.resolve(ALICE, now=1.0)
        assert await other.get(alice.id) == alice
        device = DeviceKey("phone", b"k" * 16, alice.id, b"p" * 32, "Phone", 1.0)
        assert await other.add_device(device)
        assert await one.device_by_key(b"k" * 16) == device
        assert await one.revoke_device(alice.id, "phone", now=2.0)
        assert await other.device_by_key(b"k" * 16) is None


async def test_logins_over_two_objects_at_once_get_one_account(database_url: str) -> None:
    async with opened(database_url) as one, opened(database_url) as other:
        answers = await asyncio.gather(*(accounts.resolve(ALICE, now=1.0) for accounts in [one, other] * 10))
        assert len({account for account, _ in answers}) == 1
        assert [is_new for _, is_new in answers].count(True) == 1


async def test_an_account_that_lost_the_race_leaves_no_trace(database_url: str) -> None:
    async with opened(database_url) as accounts:
        answers = await asyncio.gather(*(accounts.resolve(ALICE, now=1.0) for _ in range(8)))
        engine = create_async_engine(engine_url(database_url))
        async with engine.connect() as connection:
            kept = (await connection.execute(text("SELECT id FROM useid_accounts"))).scalars().all()
        await engine.dispose()
        assert kept == [answers[0][0].id]


def test_processes_that_start_at_once_share_one_new_database_and_one_account(database_url: str) -> None:
    command = [sys.executable, "-c", PROCESS, database_url]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert len({account_id for account_id, _ in answers}) == 1
    assert sorted(is_new for _, is_new in answers) == ["False", "True"]


def test_closed_in_one_event_loop_it_opens_in_another(database_url: str) -> None:
    accounts = SqlAccounts(database_url)

    async def log_in() -> tuple[Account, bool]:
        await accounts.open()
        answers = await asyncio.gather(*(accounts.resolve(ALICE, now=1.0) for _ in range(4)))
        await accounts.close()
        return answers[-1][0], any(is_new for _, is_new in answers)

    (first, first_is_new), (second, second_is_new) = asyncio.run(log_in()), asyncio.run(log_in())
    assert first == second
    assert (first_is_new, second_is_new) == (True, False)


# Nobody can close the network connections of a loop that is gone; Python says so when it collects them.
@pytest.mark.filterwarnings(
    "ignore:.*unclosed:pytest.PytestUnraisableExceptionWarning", "ignore:unclosed:ResourceWarning"
)
def test_opening_moves_it_from_an_event_loop_that_ended_without_closing(database_url: str) -> None:
    accounts = SqlAccounts(database_url)

    async def log_in() -> bool:
        await accounts.open()
        return (await accounts.resolve(ALICE, now=1.0))[1]

    assert asyncio.run(log_in())
    assert not asyncio.run(log_in())
    asyncio.run(accounts.close())
    gc.collect()


async def test_tasks_may_open_one_object_at_once(database_url: str) -> None:
    accounts = SqlAccounts(database_url)
    await asyncio.gather(*(accounts.open() for _ in range(4)))
    assert (await accounts.resolve(ALICE, now=1.0))[1]
    await accounts.close()


async def test_what_is_not_open_is_unavailable(database_url: str) -> None:
    accounts = SqlAccounts(database_url)
    for _ in range(2):
        with pytest.raises(UnavailableError, match=r"^store_unavailable: the account database is not open$"):
            await accounts.resolve(ALICE, now=1.0)
        await accounts.open()
        await accounts.close()


async def test_a_login_cancelled_at_any_moment_leaves_no_lock_and_no_half_account(database_url: str) -> None:
    async with opened(database_url) as accounts, opened(database_url) as other:
        for moment in range(40):
            identity = Identity("host", f"user {moment}")
            task = asyncio.create_task(accounts.resolve(identity, now=1.0))
            for _ in range(moment):
                await checkpoint()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            account, _ = await other.resolve(identity, now=1.0)
            assert await accounts.identities(account.id) == [("host", f"user {moment}")]


async def test_an_id_drawn_twice_is_refused_without_quoting_anybodys_data(database_url: str) -> None:
    accounts = SqlAccounts(database_url, new_id=lambda: "same")
    await accounts.open()
    alice, _ = await accounts.resolve(ALICE, now=1.0)
    with pytest.raises(
        UnavailableError, match=r"^store_unavailable: .*\((SQLITE_CONSTRAINT_PRIMARYKEY|23505)\)$"
    ) as caught:
        await accounts.resolve(Identity("host", "bob"), now=1.0)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert await accounts.get("same") == alice
    await accounts.close()


async def test_a_database_that_lost_its_tables_is_unavailable_and_no_traceback_quotes_data(database_url: str) -> None:
    identity = Identity("host", "a secret name")
    async with opened(database_url) as accounts:
        engine = create_async_engine(engine_url(database_url))
        async with engine.begin() as connection:
            await connection.execute(text("DROP TABLE useid_identities"))
        await engine.dispose()
        with pytest.raises(UnavailableError, match=r"^store_unavailable: .*\((SQLITE_ERROR|42P01)\)$") as caught:
            await accounts.resolve(identity, now=1.0)
        assert "a secret name" not in "".join(traceback.format_exception(caught.value))
        assert caught.value.status_hint == 503
        assert caught.value.retry_after


# SQLite


async def test_a_new_file_is_for_its_owner_alone_whatever_the_umask(file: Path) -> None:
    umask = os.umask(0)
    try:
        async with opened(f"sqlite:///{file}") as accounts:
            await accounts.resolve(ALICE, now=1.0)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    finally:
        os.umask(umask)
    assert modes == {"useid.db": 0o600, "useid.db-wal": 0o600, "useid.db-shm": 0o600}


async def test_a_relative_path_stays_where_it_was_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    accounts = SqlAccounts("sqlite:///useid.db")
    monkeypatch.chdir(tmp_path / "elsewhere")
    await accounts.open()
    await accounts.close()
    assert (tmp_path / "useid.db").is_file()
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_the_file_may_hold_other_peoples_tables(file: Path) -> None:
    with closing(sqlite3.connect(file)) as theirs:
        theirs.execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY)")
        theirs.execute("INSERT INTO accounts VALUES (4711)")
        theirs.commit()
        async with opened(f"sqlite:///{file}") as accounts:
            assert (await accounts.resolve(ALICE, now=1.0))[1]
        assert theirs.execute("SELECT id FROM accounts").fetchall() == [(4711,)]


async def test_while_another_program_writes_reading_goes_on_and_writing_is_unavailable(file: Path) -> None:
    async with opened(f"sqlite:///{file}", lock_timeout=0.01) as accounts:
        alice, _ = await accounts.resolve(ALICE, now=1.0)
        with closing(sqlite3.connect(file, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            assert await accounts.get(alice.id) == alice
            assert await accounts.resolve(ALICE, now=2.0) == (alice, False)
            with pytest.raises(UnavailableError, match=r"^store_unavailable: .*\(SQLITE_BUSY\)$"):
                await accounts.resolve(Identity("host", "bob"), now=2.0)
            with pytest.raises(UnavailableError, match=r"^store_unavailable: .*\(SQLITE_BUSY\)$"):
                await accounts.remember_browser(alice.id, b"h" * 32, now=2.0)
            writer.execute("COMMIT")
        assert (await accounts.resolve(Identity("host", "bob"), now=2.0))[1]
        assert not await accounts.knows_browser(alice.id, b"h" * 32, since=0.0)


async def test_a_file_that_is_locked_while_opening_is_unavailable_and_opens_later(file: Path) -> None:
    accounts = SqlAccounts(f"sqlite:///{file}", lock_timeout=0.01)
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UnavailableError, match=r"^store_unavailable: .*\(SQLITE_BUSY\)$"):
            await accounts.open()
        writer.execute("COMMIT")
    await accounts.open()
    await accounts.close()


def test_a_file_that_is_no_database_is_unavailable_and_not_overwritten(file: Path) -> None:
    notes = b"These are somebody's notes.\n" * 100
    file.write_bytes(notes)
    with pytest.raises(UnavailableError, match=r"^store_unavailable: .*\(SQLITE_NOTADB\)$"):
        asyncio.run(SqlAccounts(f"sqlite:///{file}").open())
    assert file.read_bytes() == notes


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Without root's right to write everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/useid.db", "No such file or directory"),
        ("folder", "Is a directory"),
        ("read-only.db", "Permission denied"),
        ("read-only.db/useid.db", "Not a directory"),
        ("new-in-a-read-only-folder.db", "Permission denied"),
    ],
)
def test_a_file_that_cannot_be_written_is_a_configuration_error(name: str, reason: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        (base / "folder").mkdir()
        (base / "read-only.db").touch(0o444)
        base.chmod(0o555)
        try:
            with (
                ordinary_user(),
                pytest.raises(ConfigurationError, match=r"^configuration_error: accounts: ") as caught,
            ):
                asyncio.run(SqlAccounts(f"sqlite:///{base}/{name}").open())
        finally:
            base.chmod(0o755)
    assert f"cannot be opened for writing ({reason}); correct the path" in caught.value.message
    # The message may end up in an answer to a browser.
    assert temporary not in caught.value.message


# PostgreSQL


async def test_a_server_that_is_away_is_unavailable(tmp_path: Path) -> None:
    accounts = SqlAccounts(f"postgresql://alice:secret@/useid?host={tmp_path}")
    with pytest.raises(UnavailableError, match=r"^store_unavailable: the account database cannot be used \(\w+\)$"):
        await accounts.open()


if postgresql.is_available():

    async def test_connections_that_the_server_ended_are_replaced(postgresql_server: Path) -> None:
        database_url = postgresql.fresh_database(postgresql_server)
        async with opened(database_url) as accounts:
            alice, _ = await accounts.resolve(ALICE, now=1.0)
            engine = create_async_engine(engine_url(database_url), isolation_level="AUTOCOMMIT")
            async with engine.connect() as connection:
                ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                await connection.execute(text(f"{ours} AND backend_type = 'client backend'"))
            await engine.dispose()
            with pytest.raises(UnavailableError):
                await accounts.get(alice.id)
            assert await accounts.get(alice.id) == alice
