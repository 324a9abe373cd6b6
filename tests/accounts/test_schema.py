"""A database comes to its newest schema in order, once, with its data, and never goes back."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest
import sqlalchemy
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.accounts.people import a_device, a_passkey
from useid_middleware.accounts.database import database_url as engine_url
from useid_middleware.accounts.schema import MIGRATIONS, Migration, metadata, versions
from useid_middleware.accounts.sql import SqlAccounts
from useid_middleware.errors import ConfigurationError, UnavailableError
from useid_middleware.identity import Identity

T = TypeVar("T")

ALICE = Identity("host", "alice")
NEXT = Migration(
    len(MIGRATIONS) + 1,
    ("ALTER TABLE useid_accounts ADD COLUMN note TEXT", "UPDATE useid_accounts SET note = 'kept ' || username"),
)
LAST = Migration(len(MIGRATIONS) + 2, ("CREATE TABLE useid_notes AS SELECT id, note FROM useid_accounts",))


async def in_database(url: str, look: Callable[[Connection], T]) -> T:
    engine = create_async_engine(engine_url(url))
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(look)
    finally:
        await engine.dispose()


async def open_and_close(url: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    accounts = SqlAccounts(url, migrations=migrations)
    await accounts.open()
    await accounts.close()


async def log_in(url: str) -> str:
    accounts = SqlAccounts(url)
    await accounts.open()
    account, _ = await accounts.resolve(ALICE, now=1.0)
    await accounts.close()
    return account.id


def rows(query: str) -> Callable[[Connection], list[tuple[object, ...]]]:
    return lambda connection: [tuple(row) for row in connection.execute(text(query))]


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    assert [migration.version for migration in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


async def test_a_migrated_database_is_what_the_tables_say(database_url: str) -> None:
    def describe(connection: Connection) -> dict[str, object]:
        inspector = sqlalchemy.inspect(connection)
        described: dict[str, object] = {}
        for table in metadata.tables:
            described[table] = {
                "columns": {
                    column["name"]: (str(column["type"]), column["nullable"]) for column in inspector.get_columns(table)
                },
                "key": inspector.get_pk_constraint(table)["constrained_columns"],
                "unique": [
                    (constraint["name"], constraint["column_names"])
                    for constraint in inspector.get_unique_constraints(table)
                ],
                "foreign": [
                    (key["constrained_columns"], key["referred_table"], key["referred_columns"], key["options"])
                    for key in inspector.get_foreign_keys(table)
                ],
                "indexes": {
                    index["name"]: (
                        index["column_names"],
                        bool(index["unique"]),
                        [str(part) for name, part in index["dialect_options"].items() if name.endswith("_where")],
                    )
                    for index in inspector.get_indexes(table)
                },
            }
        return described

    await open_and_close(database_url)
    migrated = await in_database(database_url, describe)
    await in_database(database_url, metadata.drop_all)
    await in_database(database_url, metadata.create_all)
    assert await in_database(database_url, describe) == migrated
    assert set(migrated) == {
        "useid_accounts",
        "useid_identities",
        "useid_device_keys",
        "useid_browsers",
        "useid_passkeys",
        "useid_user_handles",
        "useid_secrets",
    }


async def test_everything_in_the_database_has_our_prefix(database_url: str) -> None:
    def names(connection: Connection) -> list[str]:
        inspector = sqlalchemy.inspect(connection)
        tables = inspector.get_table_names()
        return tables + [str(index["name"]) for table in tables for index in inspector.get_indexes(table)]

    await open_and_close(database_url)
    found = await in_database(database_url, names)
    assert versions.name in found
    assert [name for name in found if not name.startswith("useid_")] == []


async def test_an_older_database_is_upgraded_step_by_step_with_its_data(database_url: str) -> None:
    account_id = await log_in(database_url)
    await open_and_close(database_url, [*MIGRATIONS, NEXT, LAST])
    assert await in_database(database_url, rows("SELECT id, note FROM useid_notes")) == [(account_id, "kept alice")]
    applied = await in_database(database_url, rows(f"SELECT version FROM {versions.name} ORDER BY version"))
    assert applied == [(number,) for number in range(1, len(MIGRATIONS) + 3)]


async def test_a_database_from_before_passkeys_keeps_its_data_and_takes_passkeys(database_url: str) -> None:
    older = SqlAccounts(database_url, migrations=MIGRATIONS[:2])
    await older.open()
    account, _ = await older.resolve(ALICE, now=1.0)
    alice = replace(account, email="alice@example.org", roles=("reader", "writer"))
    await older.save(alice)
    device = a_device(alice)
    assert await older.add_device(device)
    await older.remember_browser(alice.id, b"h" * 32, now=2.0)
    await older.close()
    tables = await in_database(database_url, lambda connection: sqlalchemy.inspect(connection).get_table_names())
    assert "useid_passkeys" not in tables

    accounts = SqlAccounts(database_url)
    await accounts.open()
    assert await accounts.get(alice.id) == alice
    assert await accounts.identities(alice.id) == [("host", "alice")]
    assert await accounts.devices(alice.id) == [device]
    assert await accounts.knows_browser(alice.id, b"h" * 32, since=2.0)
    assert await accounts.passkeys(alice.id) == []
    passkey = a_passkey(alice, user_handle=await accounts.user_handle(alice.id))
    assert await accounts.add_passkey(passkey)
    assert await accounts.passkeys(alice.id) == [passkey]
    await accounts.close()


async def test_an_upgraded_database_is_not_upgraded_again(database_url: str) -> None:
    await open_and_close(database_url, [*MIGRATIONS, NEXT])
    await open_and_close(database_url, [*MIGRATIONS, NEXT])
    applied = await in_database(database_url, rows(f"SELECT count(*) FROM {versions.name}"))
    assert applied == [(len(MIGRATIONS) + 1,)]


async def test_objects_that_upgrade_at_once_do_it_once(database_url: str) -> None:
    account_id = await log_in(database_url)
    await asyncio.gather(*(open_and_close(database_url, [*MIGRATIONS, NEXT, LAST]) for _ in range(4)))
    assert await in_database(database_url, rows("SELECT id FROM useid_notes")) == [(account_id,)]


async def test_a_migration_that_fails_leaves_everything_as_it_was(database_url: str) -> None:
    account_id = await log_in(database_url)
    broken = Migration(LAST.version, ("CREATE TABLE useid_notes (id TEXT)", "INSERT INTO useid_nowhere VALUES (1)"))
    with pytest.raises(UnavailableError, match=r"^store_unavailable: "):
        await open_and_close(database_url, [*MIGRATIONS, NEXT, broken])
    tables = await in_database(database_url, lambda connection: sqlalchemy.inspect(connection).get_table_names())
    assert "useid_notes" not in tables
    assert await log_in(database_url) == account_id


async def test_a_newer_database_is_refused_with_the_remedy_and_left_alone(database_url: str) -> None:
    account_id = await log_in(database_url)
    await open_and_close(database_url, [*MIGRATIONS, NEXT])
    with pytest.raises(ConfigurationError) as caught:
        await open_and_close(database_url)
    assert caught.value.message == (
        f"accounts: the database has schema version {len(MIGRATIONS) + 1}, this useid-middleware knows"
        f" {len(MIGRATIONS)}; upgrade useid-middleware or set accounts to another database"
    )
    assert await in_database(database_url, rows("SELECT id, note FROM useid_accounts")) == [(account_id, "kept alice")]
