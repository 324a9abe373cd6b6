"""What ``accounts/base.py`` promises of our own secrets, over every place where accounts are kept."""

import asyncio

import pytest

from tests.accounts.people import ALICE, account_of
from useid_middleware.accounts.base import Accounts
from useid_middleware.accounts.memory import MemoryAccounts
from useid_middleware.accounts.sql import SqlAccounts
from useid_middleware.errors import RequestError


async def test_a_secret_is_thirty_two_bytes_that_stay_and_differ_by_name(accounts: Accounts) -> None:
    secret = await accounts.secret("decoys")
    assert (type(secret), len(secret)) == (bytes, 32)
    assert await accounts.secret("decoys") == secret
    assert await accounts.secret("others") != secret


async def test_a_secret_is_drawn_when_it_is_first_asked_for(url: str) -> None:
    drawn = iter((b"a" * 32, b"b" * 32))
    in_memory = url == "memory://"
    accounts = (
        MemoryAccounts(new_secret=lambda: next(drawn))
        if in_memory
        else SqlAccounts(url, new_secret=lambda: next(drawn))
    )
    await accounts.open()
    assert [await accounts.secret(name) for name in ("x", "y", "x")] == [b"a" * 32, b"b" * 32, b"a" * 32]
    await accounts.close()


async def test_a_secret_outlives_every_account(accounts: Accounts) -> None:
    secret = await accounts.secret("decoys")
    assert await accounts.delete((await account_of(accounts, ALICE)).id)
    assert await accounts.secret("decoys") == secret


async def test_callers_at_once_get_one_secret(accounts: Accounts) -> None:
    assert len(set(await asyncio.gather(*(accounts.secret("decoys") for _ in range(20))))) == 1


async def test_two_workers_that_draw_a_secret_at_once_draw_one(pair: tuple[SqlAccounts, SqlAccounts]) -> None:
    for number in range(8):
        secrets = await asyncio.gather(*(worker.secret(f"secret {number}") for worker in pair * 3))
        assert len(set(secrets)) == 1


async def test_a_secret_survives_a_restart(database_url: str) -> None:
    found = []
    for _ in range(2):
        accounts = SqlAccounts(database_url)
        await accounts.open()
        found.append(await accounts.secret("decoys"))
        await accounts.close()
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["", "nul\0inside", "x" * 1001])
async def test_a_name_that_cannot_be_kept_has_no_secret(accounts: Accounts, name: str) -> None:
    with pytest.raises(RequestError, match=r"^malformed_request: name: expected 1 to 1000 bytes"):
        await accounts.secret(name)
