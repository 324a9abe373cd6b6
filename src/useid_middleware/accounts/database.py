"""How the accounts reach their database: its address, its connections, its transactions, its errors made ours.

:class:`Database` has it all together; whoever has statements of their own runs them there.

Connections are in autocommit mode, for nearly every verb is one statement, and one statement is atomic as it is: no
BEGIN, no COMMIT, one round trip. What takes more runs in :func:`transaction`. SQLite is in WAL mode, where readers do
not wait for the writer, and a writer waits for another one up to ``lock_timeout``.
"""

import asyncio
import importlib.util
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.sql import Executable

from ..errors import ConfigurationError, UnavailableError
from .schema import Migration, upgrade

_ADDRESS_REMEDY = "accounts: must be sqlite:///relative.db, sqlite:////absolute.db or postgresql://user@host/database"
# A server that does not answer a statement within this many seconds is away. Migrations have to fit in as well.
_ANSWER_TIMEOUT = 60.0


class Database:
    """The database at an address, with the schema that ``migrations`` lead to.

    It serves one event loop at a time. ``open()`` in another loop moves it there, also when the first is gone.
    """

    def __init__(self, url: str, *, lock_timeout: float, migrations: Sequence[Migration]) -> None:
        self._url = database_url(url)
        #: ``postgresql`` or ``sqlite``.
        self.backend = self._url.get_backend_name()
        self._lock_timeout = lock_timeout
        self._migrations = migrations
        self._engine: AsyncEngine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Connect and upgrade, unless that is done in this loop.

        Raises ``ConfigurationError`` if the SQLite file cannot be opened for writing or the schema is newer than ours.
        """
        loop = asyncio.get_running_loop()
        if self._engine is not None and self._loop is loop:
            return
        engine = new_engine(self._url, lock_timeout=self._lock_timeout)
        try:
            with translated():
                async with transaction(engine) as connection:
                    await upgrade(connection, migrations=self._migrations)
        except BaseException:
            await engine.dispose()
            raise
        if self._engine is not None and self._loop is loop:
            # Another task was quicker while we awaited.
            await engine.dispose()
            return
        await self.close()
        self._engine, self._loop = engine, loop

    async def close(self) -> None:
        """Release the connections. Idempotent."""
        engine, loop, self._engine, self._loop = self._engine, self._loop, None, None
        if engine is not None:
            # A network connection of a loop that is gone cannot be closed in order, a connection to a file can.
            await engine.dispose(close=loop is asyncio.get_running_loop() or engine.dialect.name == "sqlite")

    async def rows(self, statement: Executable, **values: object) -> Sequence[Any]:
        """The rows that the statement answers with. ``LookupError`` and ``UnavailableError``: :func:`translated`."""
        with translated():
            async with self._opened().connect() as connection:
                return (await connection.execute(statement, values)).all()

    async def write(self, statement: Executable, **values: object) -> int:
        """The number of rows that the statement wrote. Errors as for :meth:`rows`."""
        with translated():
            async with self._opened().connect() as connection:
                return (await connection.execute(statement, values)).rowcount

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A :func:`transaction` that writes. Errors as for :meth:`rows`."""
        with translated():
            async with transaction(self._opened()) as connection:
                yield connection

    def _opened(self) -> AsyncEngine:
        if self._engine is None:
            raise UnavailableError("store_unavailable", "the account database is not open")
        return self._engine


def database_url(url: str) -> URL:
    """The address as SQLAlchemy takes it. ``ConfigurationError`` when it is malformed or the driver is missing."""
    if url.startswith("sqlite:"):
        path = url.removeprefix("sqlite:///")
        if path in (url, "", ":memory:") or "?" in path or "\0" in path:
            raise ConfigurationError(f"{_ADDRESS_REMEDY}; a SQLite address has no parameters")
        # The path is fixed now: connections are made at any later time, when the working directory may be another one.
        return URL.create("sqlite+aiosqlite", database=str(Path(path).absolute()))
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The chain ends here, for the error's text quotes the address and its password.
        raise ConfigurationError(_ADDRESS_REMEDY) from None
    if parsed.drivername != "postgresql" or not parsed.database:
        raise ConfigurationError(_ADDRESS_REMEDY)
    if not set(parsed.query) <= {"host", "port", "sslmode"}:
        raise ConfigurationError("accounts: the parameters of a postgresql:// address may be host, port and sslmode")
    if importlib.util.find_spec("asyncpg") is None:
        raise ConfigurationError("accounts: PostgreSQL needs an extra; run pip install useid-middleware[postgres]")
    query = {"ssl" if name == "sslmode" else name: value for name, value in parsed.query.items()}
    return parsed.set(drivername="postgresql+asyncpg", query=query)


def new_engine(url: URL, *, lock_timeout: float) -> AsyncEngine:
    """An engine for the running event loop. ``ConfigurationError`` if the SQLite file cannot be opened for writing.

    ``lock_timeout`` (seconds) is also how long a verb waits for a connection, when all are busy or the server is slow.
    """
    is_sqlite = url.get_backend_name() == "sqlite"
    if is_sqlite:
        _create_file(str(url.database))
    connect_args = {"timeout": lock_timeout}
    if not is_sqlite:
        connect_args["command_timeout"] = _ANSWER_TIMEOUT
    engine = create_async_engine(
        url,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        hide_parameters=True,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=8,
        max_overflow=0,
        pool_timeout=lock_timeout,
        connect_args=connect_args,
    )
    if is_sqlite:
        event.listen(engine.sync_engine, "connect", partial(_prepare_sqlite, lock_timeout=lock_timeout))
    return engine


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that writes. On SQLite it holds the write lock from the beginning, so it never fails half-way."""
    is_sqlite = engine.dialect.name == "sqlite"
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="SERIALIZABLE" if is_sqlite else "READ COMMITTED")
        async with connection.begin():
            if is_sqlite:
                # By itself, sqlite3 begins before the first row is written, and without the lock.
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection


@contextmanager
def translated() -> Iterator[None]:
    """Make the database's errors ours: ``LookupError`` for an unknown account, else ``UnavailableError``."""
    try:
        yield
    except IntegrityError as error:
        # The chain ends here, for the driver's text quotes the row, which is personal data.
        if _reason(error) in ("SQLITE_CONSTRAINT_FOREIGNKEY", "23503"):
            # All foreign keys lead to the account.
            raise LookupError("no such account") from None
        raise _unavailable(error) from None
    except (DBAPIError, PoolTimeoutError, sqlite3.Error, OSError) as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> UnavailableError:
    return UnavailableError("store_unavailable", f"the account database cannot be used ({_reason(error)})")


def _reason(error: Exception) -> str:
    """SQLite's name of the error, PostgreSQL's SQLSTATE, or the class: never the text, which may quote data."""
    cause = getattr(error, "orig", error)
    return getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or type(error).__name__


def _prepare_sqlite(connection: Any, _record: object, *, lock_timeout: float) -> None:
    cursor = connection.cursor()
    deadline = time.monotonic() + lock_timeout
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:
            # SQLite does not wait for the lock of this one step when several processes start on a new file at once.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    # A revocation has to outlive a power cut.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _create_file(file: str) -> None:
    """Make sure that the file exists, readable by its owner alone if it is new, and can be written."""
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise ConfigurationError(
            f"accounts: the SQLite file cannot be opened for writing ({os.strerror(error.errno or 0)});"
            " correct the path, create its directory or change the permissions"
        ) from error
