"""An address names the place; nothing happens there before ``open()``."""

import sys
from pathlib import Path

import pytest

from useid_middleware.accounts import create_accounts
from useid_middleware.accounts.database import database_url
from useid_middleware.accounts.memory import MemoryAccounts
from useid_middleware.accounts.sql import SqlAccounts
from useid_middleware.errors import ConfigurationError


def test_memory_is_kept_in_memory() -> None:
    assert isinstance(create_accounts("memory://"), MemoryAccounts)


def test_nothing_is_created_before_opening(tmp_path: Path) -> None:
    assert isinstance(create_accounts(f"sqlite:///{tmp_path}/useid.db"), SqlAccounts)
    assert list(tmp_path.iterdir()) == []


def test_three_slashes_are_relative_and_four_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert database_url("sqlite:///some folder/100%25.db").database == f"{tmp_path}/some folder/100%25.db"
    assert database_url("sqlite:////var/lib/useid.db").database == "/var/lib/useid.db"


def test_postgresql_is_reached_by_asyncpg() -> None:
    url = database_url("postgresql://alice:p%40ss@db.example:5433/useid?sslmode=verify-full")
    assert (url.drivername, url.username, url.password) == ("postgresql+asyncpg", "alice", "p@ss")
    assert (url.host, url.port, url.database, dict(url.query)) == ("db.example", 5433, "useid", {"ssl": "verify-full"})
    assert isinstance(create_accounts("postgresql://alice@db.example/useid"), SqlAccounts)


def test_postgresql_without_its_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(ConfigurationError, match=r"pip install useid-middleware\[postgres\]"):
        create_accounts("postgresql://alice@db.example/useid")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "useid.db",
        "mysql://root:s3cret@db.example/useid",
        "redis://:s3cret@db.example/0",
        "sqlite://",
        "sqlite:///",
        "sqlite://useid.db",
        "sqlite:useid.db",
        "sqlite:///:memory:",
        "sqlite:///useid.db?mode=memory",
        "sqlite:///use\0id.db",
        "sqlite+pysqlite:///useid.db",
        "postgresql://",
        "postgresql://alice:s3cret@db.example",
        "postgresql://alice:s3cret@db.example:port/useid",
        "postgresql+psycopg://alice:s3cret@db.example/useid",
        "postgresql://alice:s3cret@db.example/useid?options=-c%20role%3Droot",
    ],
)
def test_any_other_address_is_a_configuration_error_that_quotes_no_secret(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^configuration_error: accounts: ") as caught:
        create_accounts(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
