"""Sessions in SQLite as one writes them with aiosqlite: one connection, an INSERT and a COMMIT for each."""

from pathlib import Path

import aiosqlite

_SCHEMA = """
CREATE TABLE sessions (id TEXT PRIMARY KEY, account TEXT NOT NULL, value BLOB NOT NULL, expires_at REAL NOT NULL);
CREATE INDEX sessions_by_account ON sessions (account);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
"""


class AiosqliteSessions:
    """What a login needs of it. A session is on disk when :meth:`put` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: aiosqlite.Connection | None = None

    async def open(self) -> None:
        """Create the file, as durable as ours: write-ahead log, synchronized at every commit."""
        connection = self._connection = await aiosqlite.connect(self._path)
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = FULL")
        await connection.executescript(_SCHEMA)

    async def close(self) -> None:
        """End its thread."""
        if self._connection is not None:
            await self._connection.close()

    async def put(self, session_id: str, value: bytes, *, account: str, expires_at: float) -> None:
        """Write a session. The tasks that write at the same time share the connection, and so their commits."""
        assert self._connection is not None
        insert = "INSERT INTO sessions (id, account, value, expires_at) VALUES (?, ?, ?, ?)"
        await self._connection.execute(insert, (session_id, account, value, expires_at))
        await self._connection.commit()

    async def count(self) -> int:
        """How many there are."""
        assert self._connection is not None
        async with self._connection.execute("SELECT COUNT(*) FROM sessions") as cursor:
            found = await cursor.fetchone()
        assert found is not None
        return int(found[0])
