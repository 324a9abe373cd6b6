"""What ``accounts/base.py`` promises of user handles, over every place where accounts are kept."""

import asyncio
from dataclasses import replace

import pytest

from tests.accounts.people import ALICE, BOB, account_of
from useid_middleware.accounts.base import Accounts
from useid_middleware.accounts.memory import MemoryAccounts
from useid_middleware.accounts.sql import SqlAccounts
from useid_middleware.errors import UnavailableError


async def test_a_user_handle_is_thirty_two_bytes_that_stay_and_differ_by_account(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    handle = await accounts.user_handle(alice.id)
    assert (type(handle), len(handle)) == (bytes, 32)
    assert await accounts.user_handle(alice.id) == handle
    assert await accounts.user_handle(bob.id) != handle


async def test_an_account_is_found_by_its_user_handle_as_it_is_now(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    handles = [await accounts.user_handle(account.id) for account in (alice, bob)]
    changed = replace(alice, username="Alice L", email="a@example.org", roles=("reader", "writer"))
    await accounts.save(changed)
    assert [await accounts.account_by_user_handle(handle) for handle in handles] == [changed, bob]


async def test_a_user_handle_that_was_never_drawn_finds_nobody(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    handle = await accounts.user_handle(alice.id)
    for other in (b"", handle[:-1], handle + b"\0", bytes(32), alice.id.encode(), b"x" * 20_000):
        assert await accounts.account_by_user_handle(other) is None


async def test_callers_at_once_get_one_user_handle(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    handles = await asyncio.gather(*(accounts.user_handle(alice.id) for _ in range(20)))
    assert len(set(handles)) == 1
    assert await accounts.account_by_user_handle(handles[0]) == alice


async def test_an_account_that_does_not_exist_gets_no_user_handle(accounts: Accounts) -> None:
    with pytest.raises(LookupError, match="no such account"):
        await accounts.user_handle("nobody")


async def test_a_user_handle_drawn_twice_goes_to_nobody_else(url: str) -> None:
    def draw() -> bytes:
        return b"s" * 32

    in_memory = url == "memory://"
    accounts = MemoryAccounts(new_user_handle=draw) if in_memory else SqlAccounts(url, new_user_handle=draw)
    await accounts.open()
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    assert await accounts.user_handle(alice.id) == b"s" * 32
    with pytest.raises(UnavailableError, match=r"^store_unavailable: "):
        await accounts.user_handle(bob.id)
    assert await accounts.account_by_user_handle(b"s" * 32) == alice
    await accounts.close()


async def test_two_workers_that_draw_a_user_handle_at_once_draw_one(pair: tuple[SqlAccounts, SqlAccounts]) -> None:
    for number in range(8):
        account = await account_of(pair[0], replace(ALICE, subject=f"user {number}"))
        handles = await asyncio.gather(*(worker.user_handle(account.id) for worker in pair * 3))
        assert len(set(handles)) == 1
        assert await pair[1].account_by_user_handle(handles[0]) == account
