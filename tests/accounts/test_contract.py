"""What ``accounts/base.py`` promises, over every place where accounts are kept."""

import asyncio
from dataclasses import replace

import pytest

from tests.accounts.people import ALICE, BOB, a_device, account_of
from useid_middleware.accounts.base import Account, Accounts
from useid_middleware.errors import RequestError
from useid_middleware.identity import Identity

# open, close


async def test_open_and_close_may_be_repeated(accounts: Accounts) -> None:
    await accounts.open()
    alice = await account_of(accounts, ALICE)
    await accounts.open()
    assert await accounts.get(alice.id) == alice
    await accounts.close()
    await accounts.close()


async def test_what_was_kept_is_there_after_closing_and_opening_again(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    device = a_device(alice)
    assert await accounts.add_device(device)
    await accounts.remember_browser(alice.id, b"h" * 32, now=5.0)
    await accounts.close()
    await accounts.open()
    assert await accounts.get(alice.id) == alice
    assert await accounts.devices(alice.id) == [device]
    assert await accounts.knows_browser(alice.id, b"h" * 32, since=5.0)


# get


async def test_get_returns_the_account(accounts: Accounts) -> None:
    alice, _ = await accounts.resolve(ALICE, now=1_763_692_800.123456)
    assert await accounts.get(alice.id) == alice
    assert alice == Account(alice.id, "Alice", 1_763_692_800.123456)


async def test_get_returns_none_for_an_unknown_id(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    assert await accounts.get(alice.id.swapcase()) is None
    assert await accounts.get("") is None


# resolve


async def test_an_unknown_identity_gets_a_new_account(accounts: Accounts) -> None:
    alice, is_new = await accounts.resolve(ALICE, now=7.5)
    assert is_new
    assert (alice.username, alice.created_at) == ("Alice", 7.5)
    assert await accounts.identities(alice.id) == [("host", "alice")]


async def test_a_known_identity_gets_its_account_unchanged(accounts: Accounts) -> None:
    alice, _ = await accounts.resolve(ALICE, now=7.5)
    assert await accounts.resolve(replace(ALICE, username="Another name"), now=9.5) == (alice, False)


async def test_without_a_username_the_subject_is_the_username(accounts: Accounts) -> None:
    assert (await account_of(accounts, Identity("host", "alice"))).username == "alice"


async def test_account_ids_are_sixteen_random_bytes_in_base64url(accounts: Accounts) -> None:
    ids = {(await account_of(accounts, Identity("host", f"user {number}"))).id for number in range(10)}
    assert len(ids) == 10
    assert {len(account_id) for account_id in ids} == {22}


async def test_the_account_id_of_an_identity_wins_and_links_nothing(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    assert await accounts.resolve(replace(ALICE, account_id=bob.id), now=9.0) == (bob, False)
    assert await accounts.resolve(Identity("new", "name", account_id=bob.id), now=9.0) == (bob, False)
    assert await accounts.identities(alice.id) == [("host", "alice")]
    assert await accounts.identities(bob.id) == [("host", "bob")]


async def test_an_unknown_account_id_is_a_lookup_error_even_for_a_known_identity(accounts: Accounts) -> None:
    await account_of(accounts, ALICE)
    with pytest.raises(LookupError, match="no such account"):
        await accounts.resolve(replace(ALICE, account_id="nobody"), now=9.0)


@pytest.mark.parametrize(
    "other",
    [
        Identity("other", "alice"),
        Identity("host", "Alice"),
        Identity("host", "alice "),
        Identity("hos", "talice"),
        Identity("alice", "host"),
    ],
    ids=lambda identity: f"{identity.provider}-{identity.subject}",
)
async def test_identities_that_differ_at_all_are_different_people(accounts: Accounts, other: Identity) -> None:
    alice = await account_of(accounts, ALICE)
    somebody, is_new = await accounts.resolve(other, now=9.0)
    assert is_new
    assert somebody.id != alice.id


async def test_unicode_that_looks_alike_is_not_alike(accounts: Accounts) -> None:
    composed = await account_of(accounts, Identity("host", "zo\N{LATIN SMALL LETTER E WITH DIAERESIS}"))
    decomposed = await account_of(accounts, Identity("host", "zoe\N{COMBINING DIAERESIS}"))
    assert composed.id != decomposed.id


async def test_twenty_logins_of_a_new_identity_at_once_get_one_account(accounts: Accounts) -> None:
    answers = await asyncio.gather(*(accounts.resolve(ALICE, now=float(number)) for number in range(20)))
    assert len({account for account, _ in answers}) == 1
    assert [is_new for _, is_new in answers].count(True) == 1
    assert await accounts.get(answers[0][0].id) == answers[0][0]


# link, identities


async def test_a_linked_identity_resolves_to_the_account(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    assert await accounts.link(alice.id, "https://issuer.example", "4711", now=2_000.0)
    assert await accounts.resolve(Identity("https://issuer.example", "4711"), now=3_000.0) == (alice, False)


async def test_an_identity_of_another_account_is_not_linked(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    assert not await accounts.link(bob.id, "host", "alice", now=2_000.0)
    assert await accounts.identities(bob.id) == [("host", "bob")]
    assert await accounts.resolve(ALICE, now=3_000.0) == (alice, False)


async def test_linking_again_what_is_linked_to_the_account_succeeds_and_changes_nothing(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    assert await accounts.link(alice.id, "issuer", "4711", now=2_000.0)
    assert await accounts.link(alice.id, "host", "alice", now=3_000.0)
    assert await accounts.identities(alice.id) == [("host", "alice"), ("issuer", "4711")]


async def test_linking_to_an_account_that_does_not_exist_is_a_lookup_error(accounts: Accounts) -> None:
    with pytest.raises(LookupError, match="no such account"):
        await accounts.link("nobody", "issuer", "4711", now=2_000.0)
    assert (await accounts.resolve(Identity("issuer", "4711"), now=3_000.0))[1]


async def test_one_identity_linked_by_two_accounts_at_once_goes_to_one(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    answers = await asyncio.gather(
        *(accounts.link(account.id, "issuer", "4711", now=2_000.0) for account in (alice, bob))
    )
    assert sorted(answers) == [False, True]


async def test_identities_are_listed_oldest_first(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    for subject, linked_at in (("b", 3_000.0), ("c", 2_000.0), ("a", 4_000.0)):
        assert await accounts.link(alice.id, "issuer", subject, now=linked_at)
    await account_of(accounts, BOB)
    assert await accounts.identities(alice.id) == [
        ("host", "alice"),
        ("issuer", "c"),
        ("issuer", "b"),
        ("issuer", "a"),
    ]
    assert await accounts.identities("nobody") == []


# device keys


async def test_an_added_device_is_found_by_its_key_and_in_the_list(accounts: Accounts) -> None:
    device = a_device(await account_of(accounts, ALICE), last_used_at=1_500.25)
    assert await accounts.add_device(device)
    assert await accounts.device_by_key(device.key_id) == device
    assert await accounts.devices(device.account_id) == [device]


async def test_keys_of_any_bytes_are_kept(accounts: Accounts) -> None:
    device = a_device(await account_of(accounts, ALICE), key_id=bytes(range(240, 256)), public_key=b"\0" * 31 + b"'")
    assert await accounts.add_device(device)
    found = await accounts.device_by_key(bytes(range(240, 256)))
    assert found == device
    assert found is not None
    assert (type(found.key_id), type(found.public_key)) == (bytes, bytes)


async def test_an_unknown_key_finds_nothing(accounts: Accounts) -> None:
    device = a_device(await account_of(accounts, ALICE))
    assert await accounts.add_device(device)
    for key_id in (b"", b"\x01" * 15, b"\x01" * 17, device.public_key, b"\0" * 16):
        assert await accounts.device_by_key(key_id) is None


async def test_a_public_key_is_enrolled_once_for_whomever(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    device = a_device(alice)
    assert await accounts.add_device(device)
    for account in (alice, bob):
        assert not await accounts.add_device(a_device(account, 2, public_key=device.public_key))
    assert await accounts.devices(alice.id) == [device]
    assert await accounts.devices(bob.id) == []
    assert await accounts.device_by_key(b"\x02" * 16) is None


async def test_adding_the_same_device_twice_keeps_one(accounts: Accounts) -> None:
    device = a_device(await account_of(accounts, ALICE))
    assert await accounts.add_device(device)
    assert not await accounts.add_device(device)
    assert await accounts.devices(device.account_id) == [device]


async def test_one_public_key_added_by_many_at_once_is_enrolled_once(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    devices = [a_device(alice, number, public_key=b"p" * 32) for number in range(1, 11)]
    assert sorted(await asyncio.gather(*map(accounts.add_device, devices))) == [False] * 9 + [True]
    assert len(await accounts.devices(alice.id)) == 1


@pytest.mark.parametrize("used", ["id", "key_id"])
async def test_an_id_is_never_given_twice_not_even_after_revocation(accounts: Accounts, used: str) -> None:
    alice = await account_of(accounts, ALICE)
    device = a_device(alice)
    assert await accounts.add_device(device)
    another = a_device(alice, 2, **{used: getattr(device, used)})
    assert not await accounts.add_device(another)
    assert await accounts.devices(alice.id) == [device]
    assert await accounts.revoke_device(alice.id, device.id, now=2_000.0)
    assert not await accounts.add_device(another)
    assert await accounts.devices(alice.id) == []


async def test_a_device_of_an_account_that_does_not_exist_is_a_lookup_error(accounts: Accounts) -> None:
    device = a_device(Account("nobody", "", 0.0))
    with pytest.raises(LookupError, match="no such account"):
        await accounts.add_device(device)
    assert await accounts.device_by_key(device.key_id) is None


async def test_devices_are_listed_oldest_first_and_per_account(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    young, old, foreign = a_device(alice, 1, created_at=30.0), a_device(alice, 2, created_at=20.0), a_device(bob, 3)
    for device in (young, foreign, old):
        assert await accounts.add_device(device)
    assert await accounts.devices(alice.id) == [old, young]
    assert await accounts.devices(bob.id) == [foreign]
    assert await accounts.devices("nobody") == []


async def test_a_revoked_device_is_gone_from_every_lookup_and_cannot_be_touched(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    lost, kept = a_device(alice, 1), a_device(alice, 2)
    assert await accounts.add_device(lost)
    assert await accounts.add_device(kept)
    assert await accounts.revoke_device(alice.id, lost.id, now=2_000.0)
    await accounts.touch_device(lost.id, now=3_000.0)
    assert await accounts.device_by_key(lost.key_id) is None
    assert await accounts.devices(alice.id) == [kept]
    assert await accounts.device_by_key(kept.key_id) == kept


async def test_the_public_key_of_a_revoked_device_can_be_enrolled_again_by_another_account(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    lost = a_device(alice)
    again = a_device(bob, 2, public_key=lost.public_key)
    assert await accounts.add_device(lost)
    assert await accounts.revoke_device(alice.id, lost.id, now=2_000.0)
    assert await accounts.add_device(again)
    assert await accounts.device_by_key(again.key_id) == again
    assert await accounts.device_by_key(lost.key_id) is None
    assert not await accounts.add_device(a_device(alice, 3, public_key=lost.public_key))


async def test_revoking_is_for_the_owner_and_once(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    device = a_device(alice)
    assert await accounts.add_device(device)
    assert not await accounts.revoke_device(bob.id, device.id, now=2_000.0)
    assert not await accounts.revoke_device(alice.id, "unknown", now=2_000.0)
    assert await accounts.device_by_key(device.key_id) == device
    assert await accounts.revoke_device(alice.id, device.id, now=2_000.0)
    assert not await accounts.revoke_device(alice.id, device.id, now=3_000.0)


async def test_of_many_revocations_at_once_one_succeeds(accounts: Accounts) -> None:
    device = a_device(await account_of(accounts, ALICE))
    assert await accounts.add_device(device)
    answers = await asyncio.gather(
        *(accounts.revoke_device(device.account_id, device.id, now=2_000.0) for _ in range(10))
    )
    assert sorted(answers) == [False] * 9 + [True]


async def test_touching_a_device_notes_its_last_use_and_nothing_else(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    device, other = a_device(alice, 1), a_device(alice, 2)
    assert await accounts.add_device(device)
    assert await accounts.add_device(other)
    await accounts.touch_device(device.id, now=2_000.5)
    touched = replace(device, last_used_at=2_000.5)
    assert await accounts.device_by_key(device.key_id) == touched
    assert await accounts.devices(alice.id) == [touched, other]


async def test_the_last_use_never_goes_back(accounts: Accounts) -> None:
    device = a_device(await account_of(accounts, ALICE))
    assert await accounts.add_device(device)
    await accounts.touch_device(device.id, now=2_000.0)
    await accounts.touch_device(device.id, now=1_999.0)
    assert await accounts.device_by_key(device.key_id) == replace(device, last_used_at=2_000.0)


async def test_touching_an_unknown_device_does_nothing(accounts: Accounts) -> None:
    await accounts.touch_device("unknown", now=2_000.0)


# browsers


async def test_a_browser_is_known_from_the_moment_it_was_remembered_exactly(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    await accounts.remember_browser(alice.id, b"h" * 32, now=2_000.0)
    assert await accounts.knows_browser(alice.id, b"h" * 32, since=1_999.0)
    assert await accounts.knows_browser(alice.id, b"h" * 32, since=2_000.0)
    assert not await accounts.knows_browser(alice.id, b"h" * 32, since=2_000.001)


async def test_a_browser_is_known_for_its_account_alone(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    await accounts.remember_browser(alice.id, b"h" * 32, now=2_000.0)
    assert not await accounts.knows_browser(bob.id, b"h" * 32, since=0.0)
    assert not await accounts.knows_browser(alice.id, b"i" * 32, since=0.0)
    assert not await accounts.knows_browser("nobody", b"h" * 32, since=0.0)


async def test_remembering_again_counts_from_the_later_time(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    for now in (2_000.0, 3_000.0, 2_500.0):
        await accounts.remember_browser(alice.id, b"h" * 32, now=now)
    assert await accounts.knows_browser(alice.id, b"h" * 32, since=3_000.0)
    assert not await accounts.knows_browser(alice.id, b"h" * 32, since=3_000.5)


async def test_forgetting_forgets_all_browsers_of_the_account_and_no_others(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    for account, browser in ((alice, b"h" * 32), (alice, b"i" * 32), (bob, b"h" * 32)):
        await accounts.remember_browser(account.id, browser, now=2_000.0)
    await accounts.forget_browsers(alice.id)
    await accounts.forget_browsers("nobody")
    assert not await accounts.knows_browser(alice.id, b"h" * 32, since=0.0)
    assert not await accounts.knows_browser(alice.id, b"i" * 32, since=0.0)
    assert await accounts.knows_browser(bob.id, b"h" * 32, since=2_000.0)
    await accounts.remember_browser(alice.id, b"h" * 32, now=2_000.0)
    assert await accounts.knows_browser(alice.id, b"h" * 32, since=2_000.0)


async def test_a_browser_of_an_account_that_does_not_exist_is_a_lookup_error(accounts: Accounts) -> None:
    with pytest.raises(LookupError, match="no such account"):
        await accounts.remember_browser("nobody", b"h" * 32, now=2_000.0)


# find, save, delete


async def test_find_returns_the_account_of_an_identity(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    assert await accounts.find("host", "alice") == alice
    assert await accounts.find("host", "nobody") is None
    assert await accounts.find("other", "alice") is None


async def test_save_writes_what_may_change_and_nothing_else(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    changed = replace(alice, username="Alice L", email="a@example.org", roles=("reader", "Head of, something"))
    await accounts.save(replace(changed, created_at=5.0))
    assert await accounts.get(alice.id) == changed
    assert await accounts.find("host", "alice") == changed
    await accounts.save(replace(changed, roles=()))
    assert await accounts.get(alice.id) == replace(changed, roles=())


async def test_save_refuses_an_unknown_account_and_what_does_not_fit(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    with pytest.raises(LookupError):
        await accounts.save(replace(alice, id="nobody"))
    for roles in (("two\nlines",), ("",), ("x" * 1001,), ("x" * 900,) * 20, ("nul\0",), ("\ud800",)):
        with pytest.raises(RequestError, match="roles"):
            await accounts.save(replace(alice, roles=roles))
    with pytest.raises(RequestError, match="email"):
        await accounts.save(replace(alice, email="x" * 1001))
    assert await accounts.get(alice.id) == alice


async def test_delete_takes_everything_of_an_account_and_nothing_of_others(accounts: Accounts) -> None:
    alice, bob = await account_of(accounts, ALICE), await account_of(accounts, BOB)
    assert await accounts.add_device(a_device(alice))
    assert await accounts.add_device(a_device(bob, 2))
    await accounts.remember_browser(alice.id, b"h" * 32, now=5.0)
    assert await accounts.delete(alice.id)
    assert not await accounts.delete(alice.id)
    assert await accounts.get(alice.id) is None
    assert await accounts.find("host", "alice") is None
    assert await accounts.devices(alice.id) == []
    assert await accounts.device_by_key(a_device(alice).key_id) is None
    assert not await accounts.knows_browser(alice.id, b"h" * 32, since=0.0)
    assert len(await accounts.devices(bob.id)) == 1
    again, is_new = await accounts.resolve(ALICE, now=9.0)
    assert is_new
    assert again.id != alice.id
