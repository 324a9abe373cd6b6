"""The thread that writes to the SQLite file: schema, group commit, purge.

Operations queue up while a transaction is on its way to the disk; the next transaction takes all of them. Each caller
hears of its own result only after the commit, and one failing operation does not spoil the others.
"""

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeAlias, TypeVar

from ..errors import ConfigurationError, UnavailableError
from .base import Clock

T = TypeVar("T")
#: Runs inside a transaction, perhaps a second time after a rollback: it must have no effect but on the file.
Operation = Callable[[sqlite3.Connection], T]

_SCHEMA = (
    # A row's number takes its key's place in the index entries, so that they are small, and lie together by row.
    """CREATE TABLE IF NOT EXISTS useid_values (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value BLOB NOT NULL, version INTEGER NOT NULL,
    expires_at REAL NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS useid_values_by_expiry ON useid_values (expires_at)",
    """CREATE TABLE IF NOT EXISTS useid_indexes (
    name TEXT NOT NULL, id INTEGER NOT NULL REFERENCES useid_values (id) ON DELETE CASCADE,
    PRIMARY KEY (name, id)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS useid_indexes_by_id ON useid_indexes (id)",
    "CREATE TABLE IF NOT EXISTS useid_buckets (key TEXT PRIMARY KEY, full_at REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS useid_buckets_by_time ON useid_buckets (full_at)",
    """CREATE TABLE IF NOT EXISTS useid_counts (
    key TEXT NOT NULL, slot INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (key, slot)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS useid_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, message BLOB NOT NULL, sent_at REAL NOT NULL)""",
)
_CHECKPOINT_PAGES = 10_000  # 40 MiB: keys are random, so a page is written again and again before it goes to the file
_LOCK_WAIT = 5.0  # seconds a writer waits for another process's transaction
_LARGEST_BATCH = 512  # operations per transaction, from which on it takes no more
_MESSAGE_LIFETIME = 10.0  # seconds
_PURGE_INTERVAL = 5.0  # seconds
_PURGE_ROWS = 1000  # rows per table and purge, so that none holds the writers up; the rest goes after the next batch


class _Job(NamedTuple):
    operation: Operation[Any]
    future: asyncio.Future[Any]


Outcome: TypeAlias = tuple["asyncio.Future[Any]", Any, Exception | None]


class SQLiteWriter:
    """The thread that writes. ``on_commit`` is called in the event loop's thread after each batch."""

    def __init__(self, path: Path, clock: Clock, on_commit: Callable[[], None]) -> None:
        self._path = path
        self._clock = clock
        self._on_commit = on_commit
        self._gathered: list[_Job] = []
        self._queue: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread: threading.Thread | None = None
        self._purged_at = 0.0

    async def start(self) -> None:
        """Open the file and create what is missing, in the thread. See :meth:`.sqlite.SQLiteStore.open` for errors."""
        opened: asyncio.Future[None] = self._loop.create_future()
        # A daemon: a process that forgot to close the store must still be able to end.
        self._thread = threading.Thread(target=self._run, args=(opened,), name="useid-sqlite-writer", daemon=True)
        self._thread.start()
        try:
            await opened
        except asyncio.CancelledError:
            self._queue.put(None)
            raise
        except sqlite3.OperationalError as error:
            raise unavailable(error) from error
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(f"store: {self._path} cannot be used as a database: {error}") from None

    async def stop(self) -> None:
        """Finish what is queued and end the thread. May be called from another event loop than :meth:`start`."""
        self._pass_on()
        self._queue.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def submit(self, operation: Operation[T]) -> "asyncio.Future[T]":
        """Queue an operation; the future has its result once it is on disk."""
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._gathered:
            # All of one turn of the loop go together: the thread would wake at the first and commit it alone.
            self._loop.call_soon(self._pass_on)
        self._gathered.append(_Job(operation, future))
        return future

    def _pass_on(self) -> None:
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered = []

    def _run(self, opened: "asyncio.Future[None]") -> None:
        try:
            connection = _create(self._path)
        except (sqlite3.Error, OSError) as error:
            self._hand_back([(opened, None, error)])
            return
        self._hand_back([(opened, None, None)])
        with contextlib.closing(connection):
            while jobs := self._next_batch():
                outcomes = _commit(connection, jobs)
                self._hand_back(outcomes, committed=True)
                self._purge(connection)

    def _next_batch(self) -> list[_Job]:
        """Wait for jobs and take what has gathered meanwhile; an empty list means the end."""
        jobs: list[_Job] = []
        more = self._queue.get()
        while more is not None:
            jobs += more
            if len(jobs) >= _LARGEST_BATCH:
                break
            try:
                more = self._queue.get_nowait()
            except Empty:
                break
        else:
            if jobs:
                # The end was asked for behind these jobs; it is met again after they are done.
                self._queue.put(None)
        return jobs

    def _hand_back(self, outcomes: list[Outcome], *, committed: bool = False) -> None:
        def settle() -> None:
            for future, result, error in outcomes:
                if future.done():
                    continue
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)
            if committed:
                with contextlib.suppress(UnavailableError):
                    self._on_commit()

        # A loop that was closed without closing the store has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(settle)

    def _purge(self, connection: sqlite3.Connection) -> None:
        now = self._clock()
        if now - self._purged_at < _PURGE_INTERVAL:
            return
        left_over = False
        # Readers skip what has expired, so a purge that fails costs space alone; the next one repeats it.
        with contextlib.suppress(sqlite3.Error):
            for table, key, column, limit in (
                ("useid_values", "id", "expires_at", now),
                ("useid_buckets", "key", "full_at", now),
                ("useid_messages", "id", "sent_at", now - _MESSAGE_LIFETIME),
            ):
                purged = connection.execute(
                    f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {column} <= ? LIMIT ?)",
                    (limit, _PURGE_ROWS),
                )
                left_over |= purged.rowcount == _PURGE_ROWS
        if not left_over:
            self._purged_at = now


def _commit(connection: sqlite3.Connection, jobs: list[_Job]) -> list[Outcome]:
    """Run the jobs in one transaction; each job's future with its result or error."""
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        return [(job.future, None, error) for job in jobs]
    try:
        results = [job.operation(connection) for job in jobs]
    except Exception as error:
        _roll_back(connection)
        if len(jobs) == 1:
            return [(jobs[0].future, None, error)]
        # One operation took its batch along. Each runs for itself now, so that only the culprit's caller hears of it.
        return [outcome for job in jobs for outcome in _commit(connection, [job])]
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        _roll_back(connection)
        return [(job.future, None, error) for job in jobs]
    return [(job.future, result, None) for job, result in zip(jobs, results, strict=True)]


def _roll_back(connection: sqlite3.Connection) -> None:
    # After a disk error SQLite may have rolled back by itself.
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def connect(path: Path, *, lock_wait: float) -> sqlite3.Connection:
    """A connection without implicit transactions, which waits ``lock_wait`` seconds for other processes."""
    # One event loop at a time uses it, but the next one may run in another thread than the one that opened it.
    return sqlite3.connect(path, timeout=lock_wait, isolation_level=None, check_same_thread=False)


def _create(path: Path) -> sqlite3.Connection:
    """The writer's connection to the file, which has all tables then."""
    # The file holds login sessions: a new one is for its owner alone, and so is its -wal, which takes its mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = connect(path, lock_wait=_LOCK_WAIT)
    try:
        deadline = time.monotonic() + _LOCK_WAIT
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError:
                # SQLite does not wait for the lock of this one step when several processes start on a new file at once.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        _create_tables(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _create_tables(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    columns = [name for (name,) in connection.execute("SELECT name FROM pragma_table_info('useid_values')")]
    if columns and "id" not in columns:
        # A file from before rows had numbers. What is in it is short-lived: people log in anew.
        connection.execute("DROP TABLE IF EXISTS useid_indexes")
        connection.execute("DROP TABLE useid_values")
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute("COMMIT")


def unavailable(error: sqlite3.Error) -> UnavailableError:
    """The error for callers. SQLite's own text stays out: it may hold a path or a value."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return UnavailableError("store_unavailable", f"the SQLite store failed with {name}")
