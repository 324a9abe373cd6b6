"""What ``accounts/base.py`` promises of passkeys, over every place where accounts are kept."""

import asyncio
from dataclasses import replace

import pytest

from tests.accounts.people import ALICE, BOB, a_passkey, account_of
from useid_middleware.accounts.base import Account, Accounts, Passkey, is_next_count
from useid_middleware.accounts.sql import SqlAccounts
from useid_middleware.errors import RequestError
from useid_middleware.identity import Identity


async def use(accounts: Accounts, passkey: Passkey, expected: int, count: int, *, now: float = 2_000.0) -> bool:
    return await accounts.use_passkey(
        passkey.id, expected_sign_count=expected, sign_count=count, is_backed_up=False, now=now
    )


# add_passkey, passkey_by_credential, passkeys


async def test_passkeys_are_found_by_the_username_of_all_who_have_it_the_oldest_account_first(
    accounts: Accounts,
) -> None:
    older, _ = await accounts.resolve(Identity("host", "1", username="alice"), now=1.0)
    newer, _ = await accounts.resolve(Identity("host", "2", username="alice"), now=2.0)
    bob, _ = await accounts.resolve(Identity("host", "3", username="bob"), now=0.5)
    of_newer = a_passkey(newer, 1, created_at=5.0)
    of_older = [a_passkey(older, number, created_at=10.0 + number) for number in (2, 3)]
    of_bob = a_passkey(bob, 4)
    for passkey in (of_newer, *of_older, of_bob):
        assert await accounts.add_passkey(passkey)
    assert await accounts.passkeys_of_name("alice", limit=10) == [*of_older, of_newer]
    assert await accounts.passkeys_of_name("alice", limit=2) == of_older
    assert await accounts.passkeys_of_name("bob", limit=10) == [of_bob]
    await accounts.save(replace(newer, username="bob"))
    assert await accounts.passkeys_of_name("alice", limit=10) == of_older
    assert await accounts.passkeys_of_name("bob", limit=10) == [of_bob, of_newer]
    await accounts.delete(older.id)
    assert await accounts.passkeys_of_name("alice", limit=10) == []


@pytest.mark.parametrize("username", ["", "Alice ", "alice", "ALICE", "%", "Alic_", "Alice\0", "\ud800", "x" * 20_000])
async def test_a_username_is_compared_to_the_letter(accounts: Accounts, username: str) -> None:
    assert await accounts.add_passkey(a_passkey(await account_of(accounts, ALICE)))
    assert len(await accounts.passkeys_of_name("Alice", limit=10)) == 1
    assert await accounts.passkeys_of_name(username, limit=10) == []


async def test_an_added_passkey_is_found_by_its_credential_and_in_the_list(accounts: Accounts) -> None:
    passkey = a_passkey(await account_of(accounts, ALICE), last_used_at=1_500.25)
    assert await accounts.add_passkey(passkey)
    assert await accounts.passkey_by_credential(passkey.credential_id) == passkey
    assert await accounts.passkeys(passkey.account_id) == [passkey]


@pytest.mark.parametrize("member", ["is_discoverable", "is_backup_eligible", "is_backed_up"])
@pytest.mark.parametrize("value", [True, False])
async def test_each_flag_comes_back_by_itself_and_as_a_truth_value(
    accounts: Accounts, member: str, value: bool
) -> None:
    flags = {"is_discoverable": not value, "is_backup_eligible": not value, "is_backed_up": not value, member: value}
    passkey = a_passkey(await account_of(accounts, ALICE), **flags)
    assert await accounts.add_passkey(passkey)
    found = await accounts.passkey_by_credential(passkey.credential_id)
    assert found == passkey
    assert getattr(found, member) is value


@pytest.mark.parametrize(
    "changes",
    [
        {"credential_id": b"\0"},
        {"credential_id": bytes(range(256)) * 3 + bytes(255)},
        {"public_key": b"\0'" * 8_192},
        {"user_handle": b"\xff"},
        {"user_handle": b"\0" * 64},
        {"sign_count": 2**31},
        {"sign_count": 2**32 - 1},
        {"transports": ()},
        {"transports": ("usb",)},
        {"transports": ("usb", "ble", "nfc", "something-new")},
        {"label": ""},
        {"created_at": 1_763_692_800.123456},
    ],
    ids=lambda changes: "-".join(f"{name}={str(value)[:20]}" for name, value in changes.items()),
)
async def test_what_a_passkey_may_be_at_its_limits_is_kept(accounts: Accounts, changes: dict[str, object]) -> None:
    passkey = a_passkey(await account_of(accounts, ALICE), 1, **changes)
    assert await accounts.add_passkey(passkey)
    found = await accounts.passkey_by_credential(passkey.credential_id)
    assert found == passkey
    assert found is not None
    for member in ("credential_id", "public_key", "user_handle", "aaguid"):
        assert type(getattr(found, member)) is bytes


@pytest.mark.parametrize(
    ("member", "changes"),
    [
        ("credentialId", {"credential_id": b""}),
        ("credentialId", {"credential_id": b"x" * 1024}),
        ("publicKey", {"public_key": b""}),
        ("publicKey", {"public_key": b"x" * 16_385}),
        ("userHandle", {"user_handle": b""}),
        ("userHandle", {"user_handle": b"x" * 65}),
        ("aaguid", {"aaguid": b"x" * 15}),
        ("aaguid", {"aaguid": b"x" * 17}),
        ("signCount", {"sign_count": -1}),
        ("signCount", {"sign_count": 2**32}),
        ("signCount", {"sign_count": 2**80}),
        ("id", {"id": ""}),
        ("attestationFormat", {"attestation_format": ""}),
        ("transports", {"transports": ("two\nlines",)}),
        ("transports", {"transports": ("usb", "")}),
        ("transports", {"transports": ("nul\0",)}),
        ("transports", {"transports": ("lone surrogate \ud800",)}),
        ("transports", {"transports": ("x" * 500, "y" * 500)}),
        ("transports", {"transports": ("é" * 500, "y")}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(ascii(each)[:20] for each in value.values()),
)
async def test_what_no_passkey_may_be_is_refused_and_not_kept(
    accounts: Accounts, member: str, changes: dict[str, object]
) -> None:
    passkey = a_passkey(await account_of(accounts, ALICE), 1, **changes)
    with pytest.raises(RequestError, match=f"^malformed_request: {member}: expected "):
        await accounts.add_passkey(passkey)
    assert await accounts.passkeys(passkey.account_id) == []
    assert await accounts.passkey_by_credential(passkey.credential_id) is None


async def test_an_unknown_credential_finds_nothing(accounts: Accounts) -> None:
    passkey = a_passkey(await account_of(accounts, ALICE))
    assert await accounts.add_passkey(passkey)
    for credential_id in (b"", b"\x01" * 31, b"\x01" * 33, passkey.public_key, b"\0" * 32, b"x" * 20_000):
        assert await accounts.passkey_by_credential(credential_id) is None


async def test_a_credential_is_registered_once_for_whomever(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    passkey = a_passkey(alice)
    assert await accounts.add_passkey(passkey)
    for account in (alice, bob):
        assert not await accounts.add_passkey(a_passkey(account, 2, credential_id=passkey.credential_id))
    assert await accounts.passkeys(alice.id) == [passkey]
    assert await accounts.passkeys(bob.id) == []


async def test_an_id_in_use_is_not_given_to_another_passkey(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    passkey = a_passkey(alice)
    assert await accounts.add_passkey(passkey)
    assert not await accounts.add_passkey(a_passkey(bob, 2, id=passkey.id))
    assert await accounts.passkeys(bob.id) == []
    assert await accounts.passkey_by_credential(b"\x02" * 32) is None


async def test_one_authenticator_may_hold_several_credentials_with_one_key_and_user_handle(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    first = a_passkey(alice, 1)
    second = a_passkey(alice, 2, public_key=first.public_key, user_handle=first.user_handle, aaguid=first.aaguid)
    assert await accounts.add_passkey(first)
    assert await accounts.add_passkey(second)
    assert await accounts.passkeys(alice.id) == [first, second]


async def test_one_credential_registered_by_many_at_once_is_registered_once(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    rivals = [
        a_passkey(account, number, credential_id=b"c" * 32) for number, account in enumerate([alice, bob] * 5, start=1)
    ]
    assert sorted(await asyncio.gather(*map(accounts.add_passkey, rivals))) == [False] * 9 + [True]
    kept = [*await accounts.passkeys(alice.id), *await accounts.passkeys(bob.id)]
    assert len(kept) == 1
    assert await accounts.passkey_by_credential(b"c" * 32) == kept[0]


async def test_a_passkey_of_an_account_that_does_not_exist_is_a_lookup_error(accounts: Accounts) -> None:
    passkey = a_passkey(Account("nobody", "", 0.0))
    with pytest.raises(LookupError, match="no such account"):
        await accounts.add_passkey(passkey)
    assert await accounts.passkey_by_credential(passkey.credential_id) is None


async def test_passkeys_are_listed_oldest_first_and_by_account(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    young, old, foreign = a_passkey(alice, 1, created_at=30.0), a_passkey(alice, 2, created_at=20.0), a_passkey(bob, 3)
    for passkey in (young, foreign, old):
        assert await accounts.add_passkey(passkey)
    assert await accounts.passkeys(alice.id) == [old, young]
    assert await accounts.passkeys(bob.id) == [foreign]
    assert await accounts.passkeys("nobody") == []


async def test_passkeys_are_there_after_closing_and_opening_again(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    handle = await accounts.user_handle(alice.id)
    passkey = a_passkey(alice, user_handle=handle)
    assert await accounts.add_passkey(passkey)
    await accounts.close()
    await accounts.open()
    assert await accounts.passkeys(alice.id) == [passkey]
    assert await accounts.user_handle(alice.id) == handle


# rename_passkey, remove_passkey


async def test_renaming_changes_the_label_and_nothing_else(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    passkey, other = a_passkey(alice, 1), a_passkey(alice, 2)
    assert await accounts.add_passkey(passkey)
    assert await accounts.add_passkey(other)
    for label in ("The blue one", ""):
        assert await accounts.rename_passkey(alice.id, passkey.id, label)
        assert await accounts.passkeys(alice.id) == [replace(passkey, label=label), other]


async def test_renaming_and_removing_are_for_the_owner(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    passkey = a_passkey(alice)
    assert await accounts.add_passkey(passkey)
    assert await accounts.add_passkey(a_passkey(bob, 2))
    for account_id, passkey_id in ((bob.id, passkey.id), (alice.id, "unknown"), ("nobody", passkey.id)):
        assert not await accounts.rename_passkey(account_id, passkey_id, "x")
        assert not await accounts.remove_passkey(account_id, passkey_id)
    assert await accounts.passkeys(alice.id) == [passkey]


async def test_a_removed_passkey_is_gone_from_every_verb_and_no_other_is(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    lost, kept = a_passkey(alice, 1), a_passkey(alice, 2)
    assert await accounts.add_passkey(lost)
    assert await accounts.add_passkey(kept)
    assert await accounts.remove_passkey(alice.id, lost.id)
    assert await accounts.passkey_by_credential(lost.credential_id) is None
    assert not await use(accounts, lost, 0, 0)
    assert not await accounts.rename_passkey(alice.id, lost.id, "x")
    assert not await accounts.remove_passkey(alice.id, lost.id)
    assert await accounts.passkeys(alice.id) == [kept]
    assert await accounts.passkey_by_credential(kept.credential_id) == kept


async def test_a_removed_credential_can_be_registered_again_by_another_account(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    lost = a_passkey(alice)
    again = a_passkey(bob, 2, credential_id=lost.credential_id)
    assert await accounts.add_passkey(lost)
    assert await accounts.remove_passkey(alice.id, lost.id)
    assert await accounts.add_passkey(again)
    assert await accounts.passkey_by_credential(lost.credential_id) == again
    assert await accounts.passkeys(alice.id) == []


async def test_of_many_removals_at_once_one_succeeds(accounts: Accounts) -> None:
    passkey = a_passkey(await account_of(accounts, ALICE))
    assert await accounts.add_passkey(passkey)
    answers = await asyncio.gather(*(accounts.remove_passkey(passkey.account_id, passkey.id) for _ in range(10)))
    assert sorted(answers) == [False] * 9 + [True]


# use_passkey


async def test_a_use_notes_counter_backup_state_and_time_and_nothing_else(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    passkey, other = a_passkey(alice, 1, sign_count=5), a_passkey(alice, 2, sign_count=5)
    assert await accounts.add_passkey(passkey)
    assert await accounts.add_passkey(other)
    assert await accounts.use_passkey(passkey.id, expected_sign_count=5, sign_count=9, is_backed_up=True, now=2_000.5)
    used = replace(passkey, sign_count=9, is_backed_up=True, last_used_at=2_000.5)
    assert await accounts.passkeys(alice.id) == [used, other]
    assert await accounts.use_passkey(passkey.id, expected_sign_count=9, sign_count=10, is_backed_up=False, now=2_001.5)
    again = replace(passkey, sign_count=10, is_backed_up=False, last_used_at=2_001.5)
    assert await accounts.passkeys(alice.id) == [again, other]


@pytest.mark.parametrize(
    ("kept", "expected", "count"),
    [
        (5, 4, 6),
        (5, 6, 7),
        (5, 0, 6),
        (5, 0, 0),
        (5, 5, 5),
        (5, 5, 4),
        (5, 5, 0),
        (0, 1, 2),
        (0, 0, -1),
        (0, -1, 0),
        (0, -(2**80), 1),
        (2**32 - 1, 2**32 - 1, 2**32),
        (2**32 - 1, 2**32 - 1, 0),
        (5, 5, 2**80),
    ],
)
async def test_a_use_whose_counter_does_not_follow_the_kept_one_is_refused_and_changes_nothing(
    accounts: Accounts, kept: int, expected: int, count: int
) -> None:
    passkey = a_passkey(await account_of(accounts, ALICE), sign_count=kept)
    assert await accounts.add_passkey(passkey)
    assert not await use(accounts, passkey, expected, count)
    assert await accounts.passkeys(passkey.account_id) == [passkey]


async def test_a_counter_may_jump_to_its_greatest_value(accounts: Accounts) -> None:
    passkey = a_passkey(await account_of(accounts, ALICE))
    assert await accounts.add_passkey(passkey)
    assert await use(accounts, passkey, 0, 2**31)
    assert await use(accounts, passkey, 2**31, 2**32 - 1)
    assert await accounts.passkeys(passkey.account_id) == [replace(passkey, sign_count=2**32 - 1, last_used_at=2_000.0)]


async def test_of_many_uses_with_one_counter_at_once_one_wins(accounts: Accounts) -> None:
    passkey = a_passkey(await account_of(accounts, ALICE), sign_count=5)
    assert await accounts.add_passkey(passkey)
    answers = await asyncio.gather(*(use(accounts, passkey, 5, 6) for _ in range(10)))
    assert sorted(answers) == [False] * 9 + [True]


async def test_of_many_uses_of_one_kept_counter_the_winner_is_the_one_that_was_noted(accounts: Accounts) -> None:
    passkey = a_passkey(await account_of(accounts, ALICE), sign_count=5)
    assert await accounts.add_passkey(passkey)
    counts = range(6, 16)
    answers = await asyncio.gather(*(use(accounts, passkey, 5, count) for count in counts))
    winners = [count for count, won in zip(counts, answers, strict=True) if won]
    found = await accounts.passkey_by_credential(passkey.credential_id)
    assert found is not None
    assert winners == [found.sign_count]


async def test_an_authenticator_that_does_not_count_always_passes(accounts: Accounts) -> None:
    passkey = a_passkey(await account_of(accounts, ALICE))
    assert await accounts.add_passkey(passkey)
    assert await asyncio.gather(*(use(accounts, passkey, 0, 0) for _ in range(10))) == [True] * 10
    assert await accounts.passkeys(passkey.account_id) == [replace(passkey, last_used_at=2_000.0)]


async def test_the_last_use_never_goes_back_while_the_counter_goes_on(accounts: Accounts) -> None:
    passkey = a_passkey(await account_of(accounts, ALICE))
    assert await accounts.add_passkey(passkey)
    assert await use(accounts, passkey, 0, 1, now=2_000.0)
    assert await use(accounts, passkey, 1, 2, now=1_999.0)
    assert await accounts.passkeys(passkey.account_id) == [replace(passkey, sign_count=2, last_used_at=2_000.0)]


async def test_an_unknown_passkey_cannot_be_used(accounts: Accounts) -> None:
    await account_of(accounts, ALICE)
    assert not await accounts.use_passkey(
        "unknown", expected_sign_count=0, sign_count=0, is_backed_up=False, now=2_000.0
    )


@pytest.mark.parametrize(
    ("sign_count", "expected", "is_next"),
    [(0, 0, True), (1, 0, True), (2, 1, True), (1, 1, False), (0, 1, False), (2**32, 1, False), (0, -1, False)],
)
def test_a_counter_follows_another_when_it_grew_or_nobody_counts(sign_count: int, expected: int, is_next: bool) -> None:
    assert is_next_count(sign_count, expected_sign_count=expected) is is_next


# delete


async def test_deleting_an_account_takes_its_passkeys_and_user_handle_and_nobody_elses(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    handles = [await accounts.user_handle(account.id) for account in (alice, bob)]
    gone, kept = a_passkey(alice, 1), a_passkey(bob, 2)
    assert await accounts.add_passkey(gone)
    assert await accounts.add_passkey(a_passkey(alice, 3))
    assert await accounts.add_passkey(kept)
    assert await accounts.delete(alice.id)
    assert await accounts.passkeys(alice.id) == []
    assert await accounts.passkey_by_credential(gone.credential_id) is None
    assert not await use(accounts, gone, 0, 0)
    assert [await accounts.account_by_user_handle(handle) for handle in handles] == [None, bob]
    with pytest.raises(LookupError, match="no such account"):
        await accounts.user_handle(alice.id)
    assert await accounts.passkeys(bob.id) == [kept]
    assert await accounts.add_passkey(a_passkey(bob, 1))


async def test_a_registration_beside_the_deletion_of_its_account_leaves_no_passkey_behind(accounts: Accounts) -> None:
    for number in range(1, 9):
        alice = await account_of(accounts, ALICE)
        passkey = a_passkey(alice, number)
        _, deleted = await asyncio.gather(
            accounts.add_passkey(passkey), accounts.delete(alice.id), return_exceptions=True
        )
        assert deleted is True
        assert await accounts.passkey_by_credential(passkey.credential_id) is None


# Two workers on one database


async def test_two_workers_that_register_one_credential_at_once_register_it_once(
    pair: tuple[SqlAccounts, SqlAccounts],
) -> None:
    alice, bob = await account_of(pair[0], ALICE), await account_of(pair[1], BOB)
    for number in range(1, 9):
        rivals = a_passkey(alice, number), a_passkey(bob, number + 100, credential_id=bytes([number]) * 32)
        answers = await asyncio.gather(*(worker.add_passkey(rival) for worker, rival in zip(pair, rivals, strict=True)))
        assert sorted(answers) == [False, True]


async def test_two_workers_that_see_one_counter_let_one_assertion_pass(pair: tuple[SqlAccounts, SqlAccounts]) -> None:
    passkey = a_passkey(await account_of(pair[0], ALICE))
    assert await pair[0].add_passkey(passkey)
    for count in range(8):
        answers = await asyncio.gather(*(use(worker, passkey, count, count + 1) for worker in pair))
        assert sorted(answers) == [False, True]
