"""The tables of the accounts, and how a database comes to have them.

Every name starts with ``useid_``, for the SQLite file is shared with our stores, and any database with other people's
tables. The :class:`~sqlalchemy.Table` objects describe the newest version, for queries; a database gets there by
:data:`MIGRATIONS`, which are never edited once released. Whoever changes a table appends a migration.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    DOUBLE_PRECISION,
    BigInteger,
    Boolean,
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

from ..errors import ConfigurationError

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
    # People type it to log in. Not unique: it is what they call themselves.
    Index("useid_accounts_by_username", "username"),
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

passkeys: Final = Table(
    "useid_passkeys",
    metadata,
    Column("id", Text, primary_key=True),
    _account_id(),
    Column("credential_id", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    # 32 bits without a sign, which PostgreSQL's INTEGER cannot hold.
    Column("sign_count", BigInteger, nullable=False),
    Column("user_handle", LargeBinary, nullable=False),
    # One a line, as the roles.
    Column("transports", Text, nullable=False),
    Column("aaguid", LargeBinary, nullable=False),
    Column("label", Text, nullable=False),
    Column("is_discoverable", Boolean, nullable=False),
    Column("is_backup_eligible", Boolean, nullable=False),
    Column("is_backed_up", Boolean, nullable=False),
    Column("attestation_format", Text, nullable=False),
    Column("created_at", DOUBLE_PRECISION, nullable=False),
    Column("last_used_at", DOUBLE_PRECISION),
    UniqueConstraint("credential_id", name="useid_passkeys_credential_id"),
    Index("useid_passkeys_by_account", "account_id"),
)

#: What authenticators know an account by: no column of the account itself, since most accounts never get one.
user_handles: Final = Table(
    "useid_user_handles",
    metadata,
    _account_id(primary_key=True),
    Column("handle", LargeBinary, nullable=False),
    UniqueConstraint("handle", name="useid_user_handles_handle"),
)

#: Random bytes of ours that must outlive every process, by what they are for.
secrets: Final = Table(
    "useid_secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
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
    Migration(
        3,
        (
            "CREATE TABLE useid_passkeys ("
            " id TEXT PRIMARY KEY NOT NULL, account_id TEXT NOT NULL, credential_id {binary} NOT NULL,"
            " public_key {binary} NOT NULL, sign_count BIGINT NOT NULL, user_handle {binary} NOT NULL,"
            " transports TEXT NOT NULL, aaguid {binary} NOT NULL, label TEXT NOT NULL,"
            " is_discoverable BOOLEAN NOT NULL, is_backup_eligible BOOLEAN NOT NULL, is_backed_up BOOLEAN NOT NULL,"
            " attestation_format TEXT NOT NULL, created_at DOUBLE PRECISION NOT NULL, last_used_at DOUBLE PRECISION,"
            " CONSTRAINT useid_passkeys_credential_id UNIQUE (credential_id),"
            " FOREIGN KEY (account_id) REFERENCES useid_accounts (id) ON DELETE CASCADE)",
            "CREATE INDEX useid_passkeys_by_account ON useid_passkeys (account_id)",
            "CREATE TABLE useid_user_handles ("
            " account_id TEXT PRIMARY KEY NOT NULL, handle {binary} NOT NULL,"
            " CONSTRAINT useid_user_handles_handle UNIQUE (handle),"
            " FOREIGN KEY (account_id) REFERENCES useid_accounts (id) ON DELETE CASCADE)",
        ),
    ),
    Migration(
        4,
        (
            "CREATE INDEX useid_accounts_by_username ON useid_accounts (username)",
            "CREATE TABLE useid_secrets (name TEXT PRIMARY KEY NOT NULL, value {binary} NOT NULL)",
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
