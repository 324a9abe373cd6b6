"""Logins that begin with a name: for passkeys that no authenticator lists, and without telling who has an account."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key

from tests.actors import Answer, Browser
from tests.webauthn.authenticator import BE, UP, UV
from tests.webauthn.statements import new_key
from tests.webauthn.world import Authenticator, Begun, Credential, World, opened
from useid_middleware import Identity
from useid_middleware._codec import b64url, un_b64url_any
from useid_middleware.webauthn.core.cose import Algorithm

NOT_LISTED = {"credProps": {"rk": False}}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
        yield world


async def begin(world: World, username: str, browser: Browser | None = None) -> tuple[Browser, Begun]:
    """A login for this name."""
    browser = browser or world.browser()
    answer = await browser.post("/passkeys/login/options", {"username": username})
    assert answer.status == 200, answer.body
    return browser, Begun(answer.json()["ceremonyId"], answer.json()["options"])


async def log_in(world: World, username: str, authenticator: Authenticator, **changes: Any) -> tuple[Browser, Answer]:
    """A whole login for this name, by an authenticator that names no user."""
    browser, begun = await begin(world, username)
    credential = authenticator.get(begun.options, **{"user_handle": b"", **changes})
    return browser, await world.finish(browser, "login", begun, credential)


def ids(begun: Begun) -> list[str]:
    """The credentials that the options name."""
    return [each["id"] for each in begun.options["allowCredentials"]]


def shape(begun: Begun) -> str:
    """The options without what is anybody's own: ids, and by which transports they are reached."""
    options = {**begun.options, "challenge": "", "allowCredentials": len(begun.options["allowCredentials"])}
    members = {tuple(each) for each in begun.options["allowCredentials"]}
    return json.dumps([options, sorted(members)])


# what it is for


async def test_a_passkey_that_is_not_discoverable_logs_in_by_its_owners_name(world: World) -> None:
    member, authenticator = await world.member(client_outputs=NOT_LISTED)
    assert [each["isDiscoverable"] for each in await world.passkeys(member)] == [False]
    browser, answer = await log_in(world, "alice", authenticator)
    assert (answer.status, answer.json()["acr"], answer.json()["username"]) == (200, "L2", "alice")
    told = await world.told(browser)
    assert (told["name"], told["acr"], told["amr"]) == ("alice", "L2", ["pop", "hwk", "user", "mfa"])


async def test_without_the_name_such_a_passkey_does_not_log_in(world: World) -> None:
    _, authenticator = await world.member(client_outputs=NOT_LISTED)
    answer = await world.use("login", world.browser(), authenticator, user_handle=b"")
    assert (answer.status, answer.code) == (401, "webauthn_user_handle_missing")


async def test_a_passkey_that_is_discoverable_logs_in_by_the_name_as_well(world: World) -> None:
    _, authenticator = await world.member()
    [credential] = authenticator.credentials
    _, answer = await log_in(world, "alice", authenticator, user_handle=credential.user_handle)
    assert (answer.status, answer.json()["username"]) == (200, "alice")


async def test_an_authenticator_that_names_another_user_is_refused(world: World) -> None:
    _, authenticator = await world.member()
    _, answer = await log_in(world, "alice", authenticator, user_handle=b"somebody else")
    assert (answer.status, answer.code) == (401, "webauthn_user_handle_mismatch")


async def test_all_passkeys_of_the_account_are_named_with_their_transports(world: World) -> None:
    browser, authenticator = await world.member()
    for _ in range(6):
        await world.register(browser, authenticator)
    _, begun = await begin(world, "alice")
    assert {b64url(each.id) for each in authenticator.credentials} <= set(ids(begun))
    named = {each["id"]: each["transports"] for each in begun.options["allowCredentials"]}
    assert named[b64url(authenticator.credentials[0].id)] == ["hybrid", "usb"]
    for credential in authenticator.credentials:
        _, answer = await log_in(world, "alice", authenticator, credential=credential)
        assert answer.status == 200


async def test_of_several_accounts_with_one_name_the_passkey_says_which(world: World) -> None:
    authenticators, accounts = [], []
    for subject in ("1", "2"):
        browser = await world.logged_in_as(Identity("host", subject, username="alice"))
        authenticators.append(Authenticator())
        await world.register(browser, authenticators[-1], client_outputs=NOT_LISTED)
        accounts.append((await world.told(browser))["id"])
        world.clock.advance(1)
    assert accounts[0] != accounts[1]
    for authenticator, account in zip(authenticators, accounts, strict=True):
        _, answer = await log_in(world, "alice", authenticator)
        assert (answer.status, answer.json()["userId"]) == (200, account)


async def test_a_passkey_of_somebody_else_does_not_log_in_by_this_name(world: World) -> None:
    await world.member("alice")
    _, bobs = await world.member("bob")
    browser, begun = await begin(world, "alice")
    answer = await world.finish(browser, "login", begun, bobs.get(begun.options, credential=bobs.credentials[0]))
    assert (answer.status, answer.code) == (401, "webauthn_credential_not_allowed")
    assert "useid-session" not in browser.cookies


async def test_user_verification_is_as_the_settings_have_it() -> None:
    async with opened(webauthn={"user_verification": "preferred"}) as world:
        _, authenticator = await world.member(client_outputs=NOT_LISTED)
        for flags, acr in ((UP, "L0"), (UP | UV, "L2")):
            _, answer = await log_in(world, "alice", authenticator, flags=flags)
            assert (answer.status, answer.json()["acr"]) == (200, acr)
    async with opened() as world:
        _, authenticator = await world.member(client_outputs=NOT_LISTED)
        _, answer = await log_in(world, "alice", authenticator, flags=UP)
        assert (answer.status, answer.code) == (401, "webauthn_user_not_verified")


async def test_a_clone_is_found_out_here_too(world: World) -> None:
    authenticator = Authenticator(counts=True)
    await world.register(await world.log_in(), authenticator, client_outputs=NOT_LISTED)
    clone = Authenticator(counts=True, credentials=[replace(authenticator.credentials[0])])
    assert (await log_in(world, "alice", authenticator))[1].status == 200
    _, answer = await log_in(world, "alice", clone)
    assert (answer.status, answer.code) == (401, "webauthn_sign_count")


# what it does not tell


async def test_the_options_look_alike_for_whoever_has_passkeys_or_none_or_no_account(world: World) -> None:
    await world.member("alice")
    await world.log_in("bob")
    by_length: dict[int, set[str]] = {}
    for name in ("alice", "bob", *(f"nobody {number}" for number in range(40))):
        _, begun = await begin(world, name)
        assert len(set(ids(begun))) == len(ids(begun))
        assert ids(begun) == sorted(ids(begun), key=un_b64url_any)
        by_length.setdefault(len(ids(begun)), set()).add(shape(begun))
    assert set(by_length) <= {4, 8}
    assert all(len(shapes) == 1 for shapes in by_length.values())


async def test_a_name_is_told_the_same_credentials_each_time(world: World) -> None:
    await world.member("alice")
    for name in ("alice", "nobody"):
        told = [ids((await begin(world, name))[1]) for _ in range(3)]
        assert told[0] == told[1] == told[2]


async def test_names_are_told_the_same_after_a_restart_and_by_another_worker(tmp_path: Path) -> None:
    told = []
    for _ in range(2):
        async with opened(accounts=f"sqlite:///{tmp_path}/useid.db") as world:
            told.append(ids((await begin(world, "nobody"))[1]))
    assert told[0] == told[1]
    async with opened(accounts=f"sqlite:///{tmp_path}/other.db") as elsewhere:
        assert not set(ids((await begin(elsewhere, "nobody"))[1])) & set(told[0])


async def test_an_account_that_gets_no_passkey_changes_nothing(world: World) -> None:
    before = ids((await begin(world, "alice"))[1])
    await world.log_in("alice")
    assert ids((await begin(world, "alice"))[1]) == before


def signed_by_nobody(authenticator: Authenticator, begun: Begun, credential_id: str, **changes: Any) -> dict[str, Any]:
    """An assertion for a credential of which only the id is known."""
    changed = {"user_handle": b"", **changes}
    stranger = Credential(un_b64url_any(credential_id), changed.pop("key", new_key(Algorithm.ES256)), b"", 0)
    return authenticator.get(begun.options, credential=stranger, **changed)


#: What somebody may send who knows no key, to find out by the answer whether a credential is there.
PROBES: dict[str, dict[str, Any]] = {
    "another key": {},
    "copied": {"flags": UP | UV | BE},
    "a user": {"user_handle": b"somebody"},
    "no verification": {"flags": UP},
    "another challenge": {"edit_client_data": lambda raw: raw.replace(b'"challenge": "', b'"challenge": "A')},
    "cut short": {"edit_signature": lambda signature: signature[:9]},
    "another site": {"rp_id": "evil.example"},
}


@pytest.mark.parametrize("probe", PROBES)
async def test_no_answer_tells_a_decoy_from_a_credential(world: World, probe: str) -> None:
    _, authenticator = await world.member()
    real = b64url(authenticator.credentials[0].id)

    async def answers(of: Callable[[str], bool]) -> set[tuple[int, str, str]]:
        found = set()
        for credential_id in filter(of, ids((await begin(world, "alice"))[1])):
            browser, begun = await begin(world, "alice")
            response = signed_by_nobody(Authenticator(), begun, credential_id, **PROBES[probe])
            answer = await world.finish(browser, "login", begun, response)
            found.add((answer.status, answer.code, answer.json()["message"]))
            assert "useid-session" not in browser.cookies
        return found

    told = await answers(lambda credential_id: credential_id == real)
    assert len(told) == 1
    assert {status for status, _, _ in told} == {401}
    of_decoys = await answers(lambda credential_id: credential_id != real)
    # Whether a credential may be copied its own id does not say, and the one that is real may not.
    if probe == "copied":
        assert of_decoys <= {
            *told,
            (401, "webauthn_signature_invalid", "signature: expected one by the credential's key over this ceremony"),
        }
    else:
        assert {code for _, code, _ in of_decoys} <= {
            *(code for _, code, _ in told),
            "webauthn_backup_eligibility_changed",
        }


async def test_whoever_signs_with_the_key_of_decoys_gets_the_answer_to_a_wrong_signature(world: World) -> None:
    browser, begun = await begin(world, "nobody")
    codes = set()
    for credential_id in ids(begun):
        for flags in (UP | UV, UP | UV | BE):
            browser, begun = await begin(world, "nobody")
            key = derive_private_key(1, SECP256R1())
            response = signed_by_nobody(Authenticator(), begun, credential_id, key=key, flags=flags)
            answer = await world.finish(browser, "login", begun, response)
            codes.add((answer.status, answer.code))
            assert "useid-session" not in browser.cookies
    assert codes == {(401, "webauthn_signature_invalid"), (401, "webauthn_backup_eligibility_changed")}


async def test_a_passkey_that_is_deleted_meanwhile_is_refused_as_a_decoy_is(world: World) -> None:
    member, authenticator = await world.member()
    browser, begun = await begin(world, "alice")
    [passkey] = await world.passkeys(member)
    assert (await member.delete(f"/passkeys/{passkey['id']}")).status == 204
    answer = await world.finish(browser, "login", begun, authenticator.get(begun.options))
    assert answer.status == 401
    assert answer.code in ("webauthn_signature_invalid", "webauthn_user_handle_mismatch")
    assert "useid-session" not in browser.cookies


# limits


async def test_asking_by_names_is_limited_by_address_alike_for_every_name() -> None:
    async with opened(limits={"per_ip": 20, "per_account": 2}) as world:
        await world.log_in("alice")

        async def asked(name: str, ip: str) -> int:
            return (await world.browser(ip=ip).post("/passkeys/login/options", {"username": name})).status

        statuses = [await asked("alice" if number % 2 else "nobody", "198.51.100.7") for number in range(11)]
        assert statuses == [200] * 10 + [429]
        assert await asked("alice", "198.51.100.8") == 200
