"""The tables of the accounts, how a database comes to have them, and what their columns can hold.

Every name starts with ``useid_``, for the SQLite file is shared with our stores, and any database with other people's
tables. The :class:`~sqlalchemy.Table` objects describe the newest version, for queries; a database gets there by
:data:`MIGRATIONS`, which are never edited once released. Whoever changes a table appends a migration.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    DOUBLE_PRECISION,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateTable

from ..errors import ConfigurationError, malformed
from ..identity import Account

#: Bytes of UTF-8 in one text column. A PostgreSQL index entry holds 2,704 bytes, and (provider, subject) is one entry.
TEXT_LIMIT: Final = 1000
#: Bytes of UTF-8 of all roles of an account together; no index holds them.
ROLES_LIMIT: Final = 16_000

metadata: Final = MetaData()

accounts: Final = Table(
    "useid_accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("username", Text, nullable=False),
    Column("created_at", DOUBLE_PRECISION, nullable=False),
    Column("email", Text, nullable=False, server_default=text("''")),
    # One a line, in the order that the app gave them.
    Column("roles", Text, nullable=False, server_default=text("''")),
)


def _account_id(*, primary_key: bool = False) -> Column[str]:
    return Column(
        "account_id", Text, ForeignKey(accounts.c.id, ondelete="CASCADE"), nullable=False, primary_key=primary_key
    )


identities: Final = Table(
    "useid_identities",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    _account_id(),
    Column("linked_at", DOUBLE_PRECISION, nullable=False),
    Index("useid_identities_by_account", "account_id"),
)

device_keys: Final = Table(
    "useid_device_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("key_id", LargeBinary, nullable=False),
    _account_id(),
    Column("public_key", LargeBinary, nullable=False),
    Column("label", Text, nullable=False),
    Column("created_at", DOUBLE_PRECISION, nullable=False),
    Column("last_used_at", DOUBLE_PRECISION),
    Column("revoked_at", DOUBLE_PRECISION),
    UniqueConstraint("key_id", name="useid_device_keys_key_id"),
    Index("useid_device_keys_by_account", "account_id"),
    Index(
        "useid_device_keys_living_public_key",
        "public_key",
        unique=True,
        sqlite_where=text("revoked_at IS NULL"),
        postgresql_where=text("revoked_at IS NULL"),
    ),
)

browsers: Final = Table(
    "useid_browsers",
    metadata,
    _account_id(primary_key=True),
    Column("browser_hash", LargeBinary, primary_key=True),
    Column("remembered_at", DOUBLE_PRECISION, nullable=False),
)

#: One row for each migration that the database has seen. Not in ``metadata``: it is there before the first migration.
versions: Final = Table(
    "useid_accounts_schema", MetaData(), Column("version", Integer, primary_key=True, autoincrement=False)
)


@dataclass(frozen=True, slots=True)
class Migration:
    """The step from schema ``version - 1`` to ``version``. ``{binary}`` in a statement stands for the type of bytes."""

    version: int
    statements: tuple[str, ...]


MIGRATIONS: Final = (
    Migration(
        1,
        (
            "CREATE TABLE useid_accounts ("
            " id TEXT PRIMARY KEY NOT NULL, username TEXT NOT NULL, created_at DOUBLE PRECISION NOT NULL)",
            "CREATE TABLE useid_identities ("
            " provider TEXT NOT NULL, subject TEXT NOT NULL, account_id TEXT NOT NULL,"
            " linked_at DOUBLE PRECISION NOT NULL, PRIMARY KEY (provider, subject),"
            " FOREIGN KEY (account_id) REFERENCES useid_accounts (id) ON DELETE CASCADE)",
            "CREATE INDEX useid_identities_by_account ON useid_identities (account_id)",
            "CREATE TABLE useid_device_keys ("
            " id TEXT PRIMARY KEY NOT NULL, key_id {binary} NOT NULL, account_id TEXT NOT NULL,"
            " public_key {binary} NOT NULL, label TEXT NOT NULL, created_at DOUBLE PRECISION NOT NULL,"
            " last_used_at DOUBLE PRECISION, revoked_at DOUBLE PRECISION,"
            " CONSTRAINT useid_device_keys_key_id UNIQUE (key_id),"
            " FOREIGN KEY (account_id) REFERENCES useid_accounts (id) ON DELETE CASCADE)",
            "CREATE INDEX useid_device_keys_by_account ON useid_device_keys (account_id)",
            "CREATE UNIQUE INDEX useid_device_keys_living_public_key ON useid_device_keys (public_key)"
            " WHERE revoked_at IS NULL",
            "CREATE TABLE useid_browsers ("
            " account_id TEXT NOT NULL, browser_hash {binary} NOT NULL, remembered_at DOUBLE PRECISION NOT NULL,"
            " PRIMARY KEY (account_id, browser_hash),"
            " FOREIGN KEY (account_id) REFERENCES useid_accounts (id) ON DELETE CASCADE)",
        ),
    ),
    Migration(
        2,
        (
            "ALTER TABLE useid_accounts ADD COLUMN email TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE useid_accounts ADD COLUMN roles TEXT NOT NULL DEFAULT ''",
        ),
    ),
)

# Any number will do that no other program takes for its advisory lock.
_ADVISORY_LOCK: Final = int.from_bytes(b"useidacc", "big")


async def upgrade(connection: AsyncConnection, *, migrations: Sequence[Migration]) -> None:
    """Bring the database to the last of ``migrations``, numbered 1 … n, in the caller's transaction.

    Of two processes that start at once the second one waits here (PostgreSQL) or at its BEGIN IMMEDIATE (SQLite), and
    then finds nothing left to do. Raises ``ConfigurationError`` when the database is ahead of us.
    """
    postgresql = connection.dialect.name == "postgresql"
    if postgresql:
        await connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
    await connection.execute(CreateTable(versions, if_not_exists=True))
    current = await connection.scalar(select(func.max(versions.c.version))) or 0
    if current > len(migrations):
        raise ConfigurationError(
            f"accounts: the database has schema version {current}, this useid-middleware knows {len(migrations)};"
            " upgrade useid-middleware or set accounts to another database"
        )
    for migration in migrations[current:]:
        for statement in migration.statements:
            await connection.exec_driver_sql(statement.replace("{binary}", "BYTEA" if postgresql else "BLOB"))
        await connection.execute(insert(versions).values(version=migration.version))


def is_storable(value: str) -> bool:
    """Whether a text column can hold ``value``: within :data:`TEXT_LIMIT`, no NUL (PostgreSQL), no lone surrogate."""
    try:
        return len(value.encode()) <= TEXT_LIMIT and "\0" not in value
    except UnicodeEncodeError:
        return False


def check_text(member: str, value: str, *, may_be_empty: bool = False) -> str:
    """``value`` if a column can hold it, else ``RequestError`` (``malformed_request``) that names ``member``."""
    if not is_storable(value) or not (value or may_be_empty):
        raise malformed(member, f"{0 if may_be_empty else 1} to {TEXT_LIMIT} bytes of UTF-8 without NUL")
    return value


def check_account(account: Account) -> tuple[str, str, str]:
    """Username, e-mail address and roles as columns hold them, or ``malformed_request``."""
    roles = "\n".join(account.roles)
    fits = len(roles) <= ROLES_LIMIT and all(is_storable(role) and role and "\n" not in role for role in account.roles)
    if not fits or len(roles.encode()) > ROLES_LIMIT:
        raise malformed("roles", f"names without line breaks, {ROLES_LIMIT} bytes of UTF-8 in all")
    return check_text("username", account.username), check_text("email", account.email, may_be_empty=True), roles
