"""Where accounts are kept: every test of the contract runs over each of these places."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.accounts import postgresql
from useid_middleware.accounts import create_accounts
from useid_middleware.accounts.base import Accounts
from useid_middleware.accounts.sql import SqlAccounts

DATABASES = ["sqlite", "postgresql"]


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Path]:
    if not postgresql.is_available():
        pytest.skip("no PostgreSQL server or no asyncpg: apt-get install postgresql, pip install asyncpg")
    with postgresql.running_server() as socket_folder:
        yield socket_folder


def _address(kind: str, request: pytest.FixtureRequest) -> str:
    if kind == "postgresql":
        return postgresql.fresh_database(request.getfixturevalue("postgresql_server"))
    if kind == "sqlite":
        return f"sqlite:///{request.getfixturevalue('tmp_path')}/useid.db"
    return "memory://"


@pytest.fixture(params=["memory", *DATABASES])
def url(request: pytest.FixtureRequest) -> str:
    """A place that is empty, memory included."""
    return _address(request.param, request)


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database: for what takes more than one process, loop or object."""
    return _address(request.param, request)


@pytest.fixture
async def accounts(url: str) -> AsyncIterator[Accounts]:
    accounts = create_accounts(url)
    await accounts.open()
    yield accounts
    await accounts.close()


@pytest.fixture
async def pair(database_url: str) -> AsyncIterator[tuple[SqlAccounts, SqlAccounts]]:
    """Two objects on one database, as two workers have them."""
    one, other = SqlAccounts(database_url), SqlAccounts(database_url)
    await one.open()
    await other.open()
    yield one, other
    await one.close()
    await other.close()
