"""A store in one SQLite file: durable, without a server, shared by several processes of one machine.

Writes go to a writer thread that drains its queue into one transaction (group commit): at 32 concurrent writers one
``fsync`` serves them all. Reads happen in the event loop's thread over a connection of their own; in WAL mode they
never wait for a writer, and whoever awaited a write reads it. Messages between processes are rows with ascending ids: a
process that has subscribers reads the new ones after its own commits and, for other processes' commits, when
``PRAGMA data_version`` (asked 20 times a second per process, however many subscribers) says that the file changed.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ConfigurationError, UnavailableError
from .base import Bucket, Callback, Clock, Unsubscribe, Versioned
from .memory import Subscribers, charge
from .sqlite_writer import Operation, SQLiteWriter, connect, unavailable

T = TypeVar("T")
_CHECK_INTERVAL = 0.05  # seconds between two looks for other processes' messages


class SQLiteStore:
    """The :class:`~.base.Store` in one SQLite file."""

    def __init__(self, url: str, *, key_prefix: str, clock: Clock = time.time) -> None:
        self._path = database_path(url)
        self._prefix = key_prefix
        self._clock = clock
        self._opening = asyncio.Lock()
        self._reader: sqlite3.Connection | None = None
        self._writer: SQLiteWriter | None = None
        self._subscribers = Subscribers()
        self._check: asyncio.TimerHandle | None = None
        self._data_version = -1
        self._last_message = 0

    async def open(self) -> None:
        """Create the file (readable by its owner alone) and its tables if missing.

        Raises ``ConfigurationError`` when the directory is missing or the file is no SQLite database.
        """
        async with self._opening:
            if self._writer is not None:
                return
            directory = self._path.parent
            if not directory.is_dir():
                raise ConfigurationError(f"store: the directory {directory} is missing; create it or correct the path")
            writer = SQLiteWriter(self._path, self._clock, self._deliver)
            await writer.start()
            try:
                self._reader = connect(self._path, lock_wait=0.25)
                self._reader.execute("PRAGMA query_only = ON")
            except sqlite3.Error as error:
                await writer.stop()
                raise unavailable(error) from error
            self._writer = writer

    async def close(self) -> None:
        """Finish queued writes, end subscriptions, close the file."""
        async with self._opening:
            writer, self._writer = self._writer, None
            self._subscribers.clear()
            self._stop_checking()
            if writer is not None:
                await writer.stop()
            if self._reader is not None:
                self._reader.close()
                self._reader = None
        # A lock belongs to the event loop in which somebody first had to wait for it; the next one may be another.
        self._opening = asyncio.Lock()

    async def put(self, key: str, value: bytes, *, ttl: float, indexes: Sequence[str] = ()) -> bool:
        """See :meth:`.base.Store.put`."""
        key = self._prefix + key
        names = [self._prefix + index for index in indexes]
        insert = "INSERT INTO useid_values (key, value, version, expires_at) VALUES (?, ?, 1, ?) ON CONFLICT DO NOTHING"

        def operation(connection: sqlite3.Connection) -> bool:
            now = self._clock()
            row = (key, value, now + ttl)
            inserted = connection.execute(insert, row)
            if inserted.rowcount == 0:
                # The key is held, or its holder has expired and waits for the purge.
                gone = connection.execute("DELETE FROM useid_values WHERE key = ? AND expires_at <= ?", (key, now))
                if gone.rowcount == 0:
                    return False
                inserted = connection.execute(insert, row)
            if names:
                entries = [(name, inserted.lastrowid) for name in names]
                connection.executemany("INSERT OR IGNORE INTO useid_indexes (name, id) VALUES (?, ?)", entries)
            return True

        return await self._write(operation)

    async def get(self, key: str) -> Versioned | None:
        """See :meth:`.base.Store.get`."""
        query = "SELECT value, version FROM useid_values WHERE key = ? AND expires_at > ?"
        rows = self._read(query, (self._prefix + key, self._clock()))
        return Versioned(*rows[0]) if rows else None

    async def replace(
        self, key: str, value: bytes, *, expected_version: int, ttl: float, message: bytes | None = None
    ) -> bool:
        """See :meth:`.base.Store.replace`. Value and message are written in one transaction."""
        key = self._prefix + key

        def operation(connection: sqlite3.Connection) -> bool:
            now = self._clock()
            replaced = connection.execute(
                "UPDATE useid_values SET value = ?, version = version + 1, expires_at = ?"
                " WHERE key = ? AND version = ? AND expires_at > ?",
                (value, now + ttl, key, expected_version, now),
            )
            if replaced.rowcount == 0:
                return False
            if message is not None:
                _send(connection, key, message, now)
            return True

        return await self._write(operation)

    async def take(self, key: str) -> Versioned | None:
        """See :meth:`.base.Store.take`."""

        def operation(connection: sqlite3.Connection) -> Versioned | None:
            rows = connection.execute(
                "DELETE FROM useid_values WHERE key = ? AND expires_at > ? RETURNING value, version",
                (self._prefix + key, self._clock()),
            ).fetchall()
            return Versioned(*rows[0]) if rows else None

        return await self._write(operation)

    async def delete(self, key: str) -> bool:
        """See :meth:`.base.Store.delete`."""
        return await self.take(key) is not None

    async def find(self, index: str) -> list[str]:
        """See :meth:`.base.Store.find`."""
        rows = self._read(
            "SELECT key FROM useid_indexes JOIN useid_values USING (id) WHERE name = ? AND expires_at > ?",
            (self._prefix + index, self._clock()),
        )
        return [key.removeprefix(self._prefix) for (key,) in rows]

    async def spend(self, buckets: Sequence[Bucket]) -> float:
        """See :meth:`.base.Store.spend`."""

        def operation(connection: sqlite3.Connection) -> float:
            now = self._clock()
            longest = 0.0
            for name, interval, burst in buckets:
                key = self._prefix + name
                row = connection.execute("SELECT full_at FROM useid_buckets WHERE key = ?", (key,)).fetchone()
                full_at, wait = charge(row[0] if row else now, interval=interval, burst=burst, now=now)
                if wait == 0.0:
                    connection.execute(
                        "INSERT INTO useid_buckets (key, full_at) VALUES (?, ?)"
                        " ON CONFLICT (key) DO UPDATE SET full_at = excluded.full_at",
                        (key, full_at),
                    )
                longest = max(longest, wait)
            return longest

        return await self._write(operation)

    async def occupy(self, key: str, *, slot: int, lowest: int, highest: int, limit: int, ttl: float) -> int | None:
        """See :meth:`.base.Store.occupy`. There are as many keys as caps, so none is ever purged."""
        key = self._prefix + key

        def operation(connection: sqlite3.Connection) -> int | None:
            around = (key, lowest, highest)
            ((taken, first),) = connection.execute(
                "SELECT SUM(count), MIN(slot) FROM useid_counts WHERE key = ? AND slot BETWEEN ? AND ?", around
            ).fetchall()
            if taken is not None and taken >= limit:
                return int(first)
            ((count,),) = connection.execute(
                "INSERT INTO useid_counts (key, slot, count) VALUES (?, ?, 1)"
                " ON CONFLICT (key, slot) DO UPDATE SET count = count + 1 RETURNING count",
                (key, slot),
            ).fetchall()
            if count == 1:
                connection.execute("DELETE FROM useid_counts WHERE key = ? AND slot NOT BETWEEN ? AND ?", around)
            return None

        return await self._write(operation)

    async def vacate(self, key: str, slot: int) -> None:
        """See :meth:`.base.Store.vacate`."""
        place = (self._prefix + key, slot)

        def operation(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE useid_counts SET count = count - 1 WHERE key = ? AND slot = ?", place)
            connection.execute("DELETE FROM useid_counts WHERE key = ? AND slot = ? AND count <= 0", place)

        await self._write(operation)

    async def publish(self, channel: str, message: bytes) -> None:
        """See :meth:`.base.Store.publish`."""
        await self._write(lambda connection: _send(connection, self._prefix + channel, message, self._clock()))

    async def subscribe(self, channel: str, callback: Callback) -> Unsubscribe:
        """See :meth:`.base.Store.subscribe`."""
        channel = self._prefix + channel
        if self._subscribers:
            # What others published up to now is not for the new subscriber.
            self._deliver()
        else:
            self._start_checking()
        subscribed = True
        self._subscribers.add(channel, callback)

        async def unsubscribe() -> None:
            nonlocal subscribed
            if subscribed:
                subscribed = False
                self._subscribers.remove(channel, callback)
                if not self._subscribers:
                    self._stop_checking()

        return unsubscribe

    def _read(self, query: str, parameters: Sequence[object] = ()) -> list[Any]:
        if self._reader is None:
            raise UnavailableError("store_unavailable", "the SQLite store is not open")
        try:
            return self._reader.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            raise unavailable(error) from error

    async def _write(self, operation: Operation[T]) -> T:
        if self._writer is None:
            raise UnavailableError("store_unavailable", "the SQLite store is not open")
        try:
            return await self._writer.submit(operation)
        except sqlite3.Error as error:
            raise unavailable(error) from error

    def _start_checking(self) -> None:
        self._last_message = self._newest_message()
        self._check = asyncio.get_running_loop().call_later(_CHECK_INTERVAL, self._look)

    def _stop_checking(self) -> None:
        if self._check is not None:
            self._check.cancel()
            self._check = None

    def _look(self) -> None:
        # A look that fails is repeated; the ids tell then whether messages were purged unseen.
        with contextlib.suppress(UnavailableError):
            ((data_version,),) = self._read("PRAGMA data_version")
            if data_version != self._data_version:
                self._deliver()
                self._data_version = data_version
        self._check = asyncio.get_running_loop().call_later(_CHECK_INTERVAL, self._look)

    def _deliver(self) -> None:
        """Hand on every message that was committed since the last time, in the order of their commits."""
        if not self._subscribers:
            return
        # The counter and the messages come from one statement, so that no commit can fall between the two.
        query = (
            "SELECT seq, id, channel, message FROM sqlite_sequence LEFT JOIN useid_messages ON id > ?"
            " WHERE name = 'useid_messages' ORDER BY id"
        )
        rows = self._read(query, (self._last_message,))
        if not rows or rows[0][0] == self._last_message:
            return
        newest, oldest_unseen = rows[0][:2]
        if oldest_unseen != self._last_message + 1:
            # Ids have no gaps: this process stood still for so long that others purged messages it has not seen.
            self._last_message = newest if oldest_unseen is None else oldest_unseen - 1
            self._subscribers.interrupt()
        for _, number, channel, message in rows:
            if number is not None:
                self._last_message = number
                self._subscribers.deliver(channel, message)

    def _newest_message(self) -> int:
        # From AUTOINCREMENT's counter, which outlives the purge: no id is ever given twice.
        rows = self._read("SELECT seq FROM sqlite_sequence WHERE name = 'useid_messages'")
        return rows[0][0] if rows else 0


def _send(connection: sqlite3.Connection, channel: str, message: bytes, now: float) -> None:
    insert = "INSERT INTO useid_messages (channel, message, sent_at) VALUES (?, ?, ?)"
    connection.execute(insert, (channel, message, now))


def database_path(url: str) -> Path:
    """The file of ``sqlite:///relative.db`` or ``sqlite:////absolute.db``; ``ConfigurationError`` for anything else."""
    path = url.removeprefix("sqlite:///")
    if path in (url, "", ":memory:") or "?" in path:
        raise ConfigurationError("store: must be sqlite:///relative.db or sqlite:////absolute.db, without parameters")
    return Path(path)
