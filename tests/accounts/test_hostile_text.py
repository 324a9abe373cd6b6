"""Text that somebody chose with care comes back as it went in, or is refused and changes nothing."""

from dataclasses import replace

import pytest

from tests.accounts.people import ALICE, a_device, a_passkey, account_of
from useid_middleware.accounts.base import Accounts
from useid_middleware.errors import RequestError
from useid_middleware.identity import Identity

STORABLE = [
    'O\'Brien "the" `quoted`',
    "'; DROP TABLE useid_accounts; --",
    "%s %(name)s :name ? $1 {binary} \\",
    "line\r\nfeed\ttab\x01\x7f",
    " spaces around ",
    "مرحبا \u202eright to left\u202c",
    "Zoë, 李雷, Ωmega",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0010ffff",
    "x" * 1000,
    "é" * 500,
]
NOT_STORABLE = ["nul\0inside", "lone surrogate \ud800", "x" * 1001, "é" * 501, "z" * 10_240]


def name_of(text: str) -> str:
    return f"{ascii(text)[:20]}-{len(text)}"


@pytest.mark.parametrize("text", STORABLE, ids=name_of)
async def test_hostile_text_comes_back_as_it_went_in(accounts: Accounts, text: str) -> None:
    identity = Identity(text, text, username=text)
    account, is_new = await accounts.resolve(identity, now=1.0)
    assert is_new
    assert account.username == text
    assert await accounts.resolve(identity, now=2.0) == (account, False)
    assert await accounts.get(account.id) == account
    assert await accounts.link(account.id, "issuer", text, now=3.0)
    assert await accounts.identities(account.id) == [(text, text), ("issuer", text)]
    device = a_device(account, id=text, label=text)
    assert await accounts.add_device(device)
    await accounts.touch_device(text, now=3_000.0)
    assert await accounts.devices(account.id) == [replace(device, last_used_at=3_000.0)]
    assert await accounts.revoke_device(account.id, text, now=4.0)


@pytest.mark.parametrize("text", [*NOT_STORABLE, ""], ids=name_of)
@pytest.mark.parametrize("member", ["provider", "subject"])
async def test_text_that_cannot_be_kept_names_nobody_and_is_refused(accounts: Accounts, member: str, text: str) -> None:
    alice = await account_of(accounts, ALICE)
    provider, subject = (text, "4711") if member == "provider" else ("issuer", text)
    with pytest.raises(RequestError, match=f"^malformed_request: {member}: expected 1 to 1000 bytes"):
        await accounts.resolve(Identity(provider, subject, username="x"), now=1.0)
    with pytest.raises(RequestError, match=f"^malformed_request: {member}: expected 1 to 1000 bytes"):
        await accounts.link(alice.id, provider, subject, now=1.0)
    assert await accounts.identities(alice.id) == [("host", "alice")]


@pytest.mark.parametrize("text", NOT_STORABLE, ids=name_of)
async def test_a_username_that_cannot_be_kept_creates_no_account(accounts: Accounts, text: str) -> None:
    with pytest.raises(RequestError, match=r"^malformed_request: username: expected 1 to 1000 bytes"):
        await accounts.resolve(replace(ALICE, username=text), now=1.0)
    assert (await accounts.resolve(ALICE, now=1.0))[1]


async def test_a_known_identity_logs_in_whatever_username_its_provider_tells_now(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    assert await accounts.resolve(replace(ALICE, username="z" * 10_240), now=2.0) == (alice, False)


@pytest.mark.parametrize("text", NOT_STORABLE, ids=name_of)
@pytest.mark.parametrize("member", ["id", "label"])
async def test_a_device_whose_text_cannot_be_kept_is_refused(accounts: Accounts, member: str, text: str) -> None:
    device = replace(a_device(await account_of(accounts, ALICE)), **{member: text})  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=f"^malformed_request: {member}: expected"):
        await accounts.add_device(device)
    assert await accounts.device_by_key(device.key_id) is None


async def test_a_device_needs_an_id_but_no_label(accounts: Accounts) -> None:
    alice = await account_of(accounts, ALICE)
    with pytest.raises(RequestError, match=r"^malformed_request: id: expected 1 to 1000 bytes"):
        await accounts.add_device(a_device(alice, id=""))
    assert await accounts.add_device(a_device(alice, label=""))


@pytest.mark.parametrize("text", STORABLE, ids=name_of)
async def test_hostile_text_of_a_passkey_comes_back_as_it_went_in(accounts: Accounts, text: str) -> None:
    alice = await account_of(accounts, ALICE)
    passkey = a_passkey(alice, id=text, label=text, attestation_format=text, transports=(text.replace("\n", ""),))
    assert await accounts.add_passkey(passkey)
    assert await accounts.passkey_by_credential(passkey.credential_id) == passkey
    assert await accounts.rename_passkey(alice.id, text, text[::-1])
    assert await accounts.use_passkey(text, expected_sign_count=0, sign_count=1, is_backed_up=False, now=2_000.0)
    used = replace(passkey, label=text[::-1], sign_count=1, last_used_at=2_000.0)
    assert await accounts.passkeys(alice.id) == [used]
    assert await accounts.remove_passkey(alice.id, text)


@pytest.mark.parametrize("text", NOT_STORABLE, ids=name_of)
@pytest.mark.parametrize("member", ["id", "label", "attestationFormat"])
async def test_a_passkey_whose_text_cannot_be_kept_is_refused(accounts: Accounts, member: str, text: str) -> None:
    name = {"attestationFormat": "attestation_format"}.get(member, member)
    passkey = a_passkey(await account_of(accounts, ALICE), 1, **{name: text})
    with pytest.raises(RequestError, match=f"^malformed_request: {member}: expected"):
        await accounts.add_passkey(passkey)
    assert await accounts.passkey_by_credential(passkey.credential_id) is None


@pytest.mark.parametrize("text", NOT_STORABLE, ids=name_of)
async def test_a_passkey_keeps_its_label_when_the_new_one_cannot_be_kept(accounts: Accounts, text: str) -> None:
    passkey = a_passkey(await account_of(accounts, ALICE))
    assert await accounts.add_passkey(passkey)
    with pytest.raises(RequestError, match=r"^malformed_request: label: expected 0 to 1000 bytes"):
        await accounts.rename_passkey(passkey.account_id, passkey.id, text)
    assert await accounts.passkeys(passkey.account_id) == [passkey]


@pytest.mark.parametrize("text", [*NOT_STORABLE, "", "' OR '1'='1"], ids=name_of)
async def test_a_passkey_is_not_found_by_an_id_that_cannot_be_kept(accounts: Accounts, text: str) -> None:
    alice = await account_of(accounts, ALICE)
    passkey = a_passkey(alice)
    assert await accounts.add_passkey(passkey)
    assert await accounts.passkeys(text) == []
    assert not await accounts.rename_passkey(text, passkey.id, "x")
    assert not await accounts.rename_passkey(alice.id, text, "x")
    assert not await accounts.remove_passkey(text, passkey.id)
    assert not await accounts.remove_passkey(alice.id, text)
    assert not await accounts.use_passkey(text, expected_sign_count=0, sign_count=1, is_backed_up=True, now=2_000.0)
    for refused in (accounts.add_passkey(a_passkey(alice, 2, account_id=text)), accounts.user_handle(text)):
        with pytest.raises(LookupError, match="no such account"):
            await refused
    assert await accounts.passkeys(alice.id) == [passkey]


@pytest.mark.parametrize("text", [*NOT_STORABLE, "", "' OR '1'='1"], ids=name_of)
async def test_an_id_that_cannot_be_kept_is_an_unknown_id(accounts: Accounts, text: str) -> None:
    alice = await account_of(accounts, ALICE)
    device = a_device(alice)
    assert await accounts.add_device(device)
    await accounts.remember_browser(alice.id, b"h" * 32, now=1.0)

    assert await accounts.get(text) is None
    assert await accounts.identities(text) == []
    assert await accounts.devices(text) == []
    assert not await accounts.revoke_device(text, device.id, now=1.0)
    assert not await accounts.revoke_device(alice.id, text, now=1.0)
    assert not await accounts.knows_browser(text, b"h" * 32, since=0.0)
    await accounts.touch_device(text, now=1.0)
    await accounts.forget_browsers(text)
    for refused in (
        accounts.resolve(replace(ALICE, account_id=text), now=1.0),
        accounts.link(text, "issuer", "4711", now=1.0),
        accounts.add_device(a_device(alice, 2, account_id=text)),
        accounts.remember_browser(text, b"i" * 32, now=1.0),
    ):
        with pytest.raises(LookupError, match="no such account"):
            await refused

    assert await accounts.devices(alice.id) == [device]
    assert await accounts.knows_browser(alice.id, b"h" * 32, since=1.0)
