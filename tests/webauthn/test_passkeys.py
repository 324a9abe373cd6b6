"""Passkeys: registered, listed, named and deleted."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.webauthn.world import Authenticator, CourteousAccounts, World, open_world, opened
from useid_middleware._codec import b64url, un_b64url
from useid_middleware.events import PasskeyAdded, PasskeyRemoved


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
        yield world


# registration


async def test_the_options_ask_for_a_passkey_of_this_user_at_this_site(world: World) -> None:
    begun = await world.begin(await world.log_in(), "register")
    options = begun.options
    assert len(un_b64url(begun.id, 16)) == 16
    assert len(un_b64url(options.pop("challenge"), 32)) == 32
    user = options.pop("user")
    assert len(un_b64url(user.pop("id"), 32)) == 32
    assert user == {"name": "alice", "displayName": "alice"}
    assert options == {
        "rp": {"id": "localhost", "name": "Example"},
        "pubKeyCredParams": [{"type": "public-key", "alg": each} for each in (-8, -7, -257)],
        "timeout": 300_000,
        "excludeCredentials": [],
        "authenticatorSelection": {
            "residentKey": "preferred",
            "requireResidentKey": False,
            "userVerification": "required",
        },
        "hints": ["client-device", "hybrid", "security-key"],
        "attestation": "none",
        "attestationFormats": [],
        "extensions": {"credProps": True},
    }


async def test_no_two_ceremonies_share_an_id_or_a_challenge(world: World) -> None:
    browser = await world.log_in()
    begun = [await world.begin(browser, "register") for _ in range(20)]
    assert len({each.id for each in begun}) == len({each.options["challenge"] for each in begun}) == 20


async def test_a_registered_passkey_is_shown_and_listed(world: World) -> None:
    browser, authenticator = await world.log_in(), Authenticator()
    shown = await world.register(browser, authenticator, label="Blue key")
    [credential] = authenticator.credentials
    assert len(un_b64url(shown.pop("id"), 16)) == 16
    assert shown == {
        "label": "Blue key",
        "createdAt": "2027-01-15T08:00:00Z",
        "lastUsedAt": None,
        "isBackedUp": False,
        "isDiscoverable": True,
        "transports": ["hybrid", "usb"],
        "credentialId": b64url(credential.id),
    }
    listed = (await browser.get("/passkeys")).json()
    assert (listed["userHandle"], listed["rpId"]) == (b64url(credential.user_handle), "localhost")
    # As the authenticator was told at the registration.
    assert (listed["username"], listed["displayName"]) == ("alice", "alice")
    assert [{**each, "id": None} for each in listed["passkeys"]] == [{"id": None, **shown}]


async def test_passkeys_are_listed_oldest_first_and_to_their_owner_alone(world: World) -> None:
    alice, bob = await world.log_in("alice"), await world.log_in("bob")
    for label in ("first", "second", "third"):
        await world.register(alice, Authenticator(), label=label)
        world.clock.advance(1)
    await world.register(bob, Authenticator(), label="of bob")
    assert [each["label"] for each in await world.passkeys(alice)] == ["first", "second", "third"]
    assert [each["label"] for each in await world.passkeys(bob)] == ["of bob"]


async def test_a_passkey_without_a_name_is_called_one(world: World) -> None:
    assert (await world.register(await world.log_in(), Authenticator()))["label"] == "Passkey"


@pytest.mark.parametrize("label", ["x" * 1001, "ü" * 501, "a\0b"])
async def test_a_name_that_nobody_could_keep_is_refused_and_the_ceremony_goes_on(world: World, label: str) -> None:
    browser, authenticator = await world.log_in(), Authenticator()
    begun = await world.begin(browser, "register")
    credential = authenticator.create(begun.options)
    answer = await world.finish(browser, "register", begun, credential, label=label)
    assert (answer.status, answer.code) == (400, "malformed_request")
    assert answer.json()["message"].startswith("label:")
    assert (await world.finish(browser, "register", begun, credential, label="x" * 1000)).status == 201


@pytest.mark.parametrize(
    ("outputs", "is_discoverable"),
    [
        ({"credProps": {"rk": True}}, True),
        ({"credProps": {"rk": False}}, False),
        ({"credProps": {}}, False),
        ({}, False),
    ],
)
async def test_what_the_browser_says_of_discoverability_is_kept(
    world: World, outputs: dict[str, Any], is_discoverable: bool
) -> None:
    shown = await world.register(await world.log_in(), Authenticator(), client_outputs=outputs)
    assert shown["isDiscoverable"] is is_discoverable


async def test_the_second_registration_excludes_the_first_passkey_and_names_the_same_user(world: World) -> None:
    browser, authenticator = await world.member()
    [credential] = authenticator.credentials
    options = (await world.begin(browser, "register")).options
    assert options["excludeCredentials"] == [
        {"type": "public-key", "id": b64url(credential.id), "transports": ["hybrid", "usb"]}
    ]
    assert options["user"]["id"] == b64url(credential.user_handle)
    others = (await world.begin(await world.log_in("bob"), "register")).options
    assert others["excludeCredentials"] == []
    assert others["user"]["id"] != options["user"]["id"]


@pytest.mark.parametrize("name", ["alice", "bob"])
async def test_a_credential_is_registered_once_for_whomever(world: World, name: str) -> None:
    alice, authenticator = await world.member()
    [credential] = authenticator.credentials
    browser = alice if name == "alice" else await world.log_in(name)
    begun = await world.begin(browser, "register")
    again = authenticator.create(begun.options, credential_id=credential.id)
    answer = await world.finish(browser, "register", begun, again)
    assert (answer.status, answer.code) == (400, "webauthn_credential_known")
    assert len(await world.passkeys(alice)) == 1
    assert len(world.heard_of(PasskeyAdded)) == 1


@pytest.mark.parametrize("accounts", [CourteousAccounts(), "sqlite:///{folder}/useid.db"], ids=["memory", "SQLite"])
async def test_of_two_registrations_of_one_credential_at_once_one_wins(
    tmp_path: Path, accounts: CourteousAccounts | str
) -> None:
    kept = accounts.format(folder=tmp_path) if isinstance(accounts, str) else accounts
    async with opened(accounts=kept) as world:
        alice, bob, authenticator = await world.log_in("alice"), await world.log_in("bob"), Authenticator()
        first, second = await world.begin(alice, "register"), await world.begin(bob, "register")
        credential_id = bytes(range(32))
        answers = await asyncio.gather(
            world.finish(alice, "register", first, authenticator.create(first.options, credential_id=credential_id)),
            world.finish(bob, "register", second, authenticator.create(second.options, credential_id=credential_id)),
        )
        assert sorted(answer.status for answer in answers) == [201, 400]
        assert [answer.code for answer in answers if answer.status == 400] == ["webauthn_credential_known"]
        assert len(await world.passkeys(alice)) + len(await world.passkeys(bob)) == 1


async def test_an_account_has_no_more_passkeys_than_the_settings_allow() -> None:
    async with opened(webauthn={"max_passkeys": 2}) as world:
        browser = await world.log_in()
        first = await world.register(browser, Authenticator())
        await world.register(browser, Authenticator())
        answer = await browser.post("/passkeys/options")
        assert (answer.status, answer.code) == (409, "passkey_limit")
        assert (await browser.delete(f"/passkeys/{first['id']}")).status == 204
        await world.register(browser, Authenticator())


async def test_a_further_passkey_needs_a_session_that_has_stepped_up(world: World) -> None:
    browser, authenticator = await world.member()
    # As a thief of this session would: he has no passkey of the account.
    answer = await browser.post("/passkeys/options")
    assert (answer.status, answer.code) == (403, "level_required")
    assert (await world.use("step-up", browser, authenticator)).status == 200
    assert (await browser.post("/passkeys/options")).status == 200


async def test_ceremonies_that_were_begun_before_the_first_passkey_add_none_after_it(world: World) -> None:
    browser, authenticator = await world.log_in(), Authenticator()
    begun = [await world.begin(browser, "register") for _ in range(2)]
    answers = [await world.finish(browser, "register", each, authenticator.create(each.options)) for each in begun]
    assert [(answer.status, answer.json().get("code")) for answer in answers] == [(201, None), (403, "level_required")]


async def test_ceremonies_begun_ahead_do_not_pass_the_limit() -> None:
    async with opened(webauthn={"max_passkeys": 1}) as world:
        browser, authenticator = await world.log_in(), Authenticator()
        begun = [await world.begin(browser, "register") for _ in range(2)]
        answers = [await world.finish(browser, "register", each, authenticator.create(each.options)) for each in begun]
        assert [answer.status for answer in answers] == [201, 409]
        assert answers[1].code == "passkey_limit"
        assert len(await world.passkeys(browser)) == 1


# names and the end


async def test_a_passkey_gets_another_name(world: World) -> None:
    browser, _ = await world.member()
    [passkey] = await world.passkeys(browser)
    assert (await world.rename(browser, passkey["id"], {"label": "Büro"})).status == 204
    assert await world.passkeys(browser) == [{**passkey, "label": "Büro"}]


@pytest.mark.parametrize("label", ["", "x" * 1001, "a\0b", None, 7, ["a"], {"a": "b"}])
async def test_a_name_that_is_none_is_refused(world: World, label: object) -> None:
    browser, _ = await world.member()
    [passkey] = await world.passkeys(browser)
    answer = await world.rename(browser, passkey["id"], {"label": label})
    assert (answer.status, answer.code) == (400, "malformed_request")
    assert (await world.rename(browser, passkey["id"], {})).status == 400
    assert await world.passkeys(browser) == [passkey]


async def test_a_deleted_passkey_logs_nobody_in(world: World) -> None:
    browser, authenticator = await world.member()
    [passkey] = await world.passkeys(browser)
    assert (await browser.delete(f"/passkeys/{passkey['id']}")).status == 204
    assert await world.passkeys(browser) == []
    answer = await world.use("login", world.browser(), authenticator)
    assert (answer.status, answer.code) == (401, "webauthn_credential_unknown")
    assert (await browser.delete(f"/passkeys/{passkey['id']}")).status == 404


async def test_a_deleted_passkeys_sessions_end(world: World) -> None:
    owner, authenticator = await world.member()
    [passkey] = await world.passkeys(owner)
    other = world.browser()
    assert (await world.use("login", other, authenticator)).status == 200
    assert (await world.told(other))["id"]
    assert (await owner.delete(f"/passkeys/{passkey['id']}")).status == 204
    assert not (await world.told(other))["id"]
    assert (await world.told(owner))["id"]


async def test_a_passkey_that_is_deleted_during_the_ceremony_logs_nobody_in(world: World) -> None:
    browser, authenticator = await world.member()
    [passkey] = await world.passkeys(browser)
    stranger = world.browser()
    begun = await world.begin(stranger, "login")
    await browser.delete(f"/passkeys/{passkey['id']}")
    answer = await world.finish(stranger, "login", begun, authenticator.get(begun.options))
    assert (answer.status, answer.code) == (401, "webauthn_credential_unknown")


async def test_the_passkeys_of_others_can_be_neither_named_nor_deleted(world: World) -> None:
    alice, authenticator = await world.member("alice")
    bob = await world.log_in("bob")
    [passkey] = await world.passkeys(alice)
    for answer in (
        await world.rename(bob, passkey["id"], {"label": "mine"}),
        await bob.delete(f"/passkeys/{passkey['id']}"),
        await world.rename(bob, "no-such", {"label": "mine"}),
        await bob.delete("/passkeys/%00"),
        await bob.delete(f"/passkeys/{passkey['credentialId']}"),
    ):
        assert (answer.status, answer.code) == (404, "not_found")
    assert await world.passkeys(alice) == [passkey]
    assert (await world.use("login", world.browser(), authenticator)).status == 200
    assert world.heard_of(PasskeyRemoved) == []


async def test_what_happens_to_passkeys_is_told(world: World) -> None:
    browser, _ = await world.member()
    [passkey] = await world.passkeys(browser)
    account_id = (await world.told(browser))["id"]
    assert world.heard_of(PasskeyAdded) == [PasskeyAdded(world.clock.now, account_id, passkey["id"])]
    world.clock.advance(60)
    await browser.delete(f"/passkeys/{passkey['id']}")
    assert world.heard_of(PasskeyRemoved) == [PasskeyRemoved(world.clock.now, account_id, passkey["id"])]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/passkeys/options"),
        ("POST", "/passkeys"),
        ("GET", "/passkeys"),
        ("PATCH", "/passkeys/x"),
        ("DELETE", "/passkeys/x"),
        ("POST", "/passkeys/step-up/options"),
        ("POST", "/passkeys/step-up"),
    ],
)
async def test_who_is_not_logged_in_has_no_passkeys(world: World, method: str, path: str) -> None:
    browser = world.browser()
    await world.begin(browser, "login")
    browser.cookies["useid-session"] = b64url(bytes(32))
    answer = await browser.send(method, f"/auth{path}", b"{}", {"content-type": "application/json"})
    assert (answer.status, answer.code) == (401, "login_required")


async def test_of_an_account_that_is_gone_nothing_is_told_and_nothing_kept(world: World) -> None:
    browser, authenticator = await world.member()
    register, step_up = await world.begin(browser, "register"), await world.begin(browser, "step-up")
    assert await world.useid.accounts.delete((await world.told(browser))["id"])
    answers = [
        await browser.get("/passkeys"),
        await browser.post("/passkeys/options"),
        await world.finish(browser, "register", register, Authenticator().create(register.options)),
    ]
    assert [(answer.status, answer.code) for answer in answers] == [(401, "login_required")] * 3
    answer = await browser.post("/passkeys/step-up/options")
    assert (answer.status, answer.code) == (409, "passkey_missing")
    for purpose, begun, user in (("step-up", step_up, browser), ("login", None, world.browser())):
        begun = begun or await world.begin(user, purpose)
        answer = await world.finish(user, purpose, begun, authenticator.get(begun.options))
        assert (answer.status, answer.code) == (401, "webauthn_credential_unknown")


# the rest


@pytest.mark.parametrize(
    ("limits", "purpose"),
    [({"per_ip": 2}, "login"), ({"per_account": 2, "per_ip": 1000}, "register")],
)
async def test_ceremonies_are_not_begun_without_end(limits: dict[str, int], purpose: str) -> None:
    async with opened(limits=limits) as world:
        browser = await world.log_in()
        await world.begin(browser, purpose)
        path = "/passkeys/login/options" if purpose == "login" else "/passkeys/options"
        answer = await browser.post(path)
        assert (answer.status, answer.code) == (429, "rate_limited")
        assert int(answer.header("retry-after")) == 30
        world.clock.advance(30)
        await world.begin(browser, purpose)


async def test_without_the_setting_there_are_no_passkeys() -> None:
    async with opened(webauthn={"enabled": False}) as world:
        browser = await world.log_in()
        for path in ("/passkeys/login/options", "/passkeys/options", "/passkeys"):
            answer = await browser.post(path)
            # The host app answers: these addresses are its own.
            assert answer.json()["name"] == "alice"


async def test_passkeys_outlive_a_restart(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/useid.db"
    authenticator = Authenticator(counts=True)
    world = await open_world(store=database, accounts=database)
    browser = await world.log_in()
    await world.register(browser, authenticator, label="Grüner Schlüssel")
    assert (await world.use("login", world.browser(), authenticator)).status == 200
    await world.useid.stop()
    again = await open_world(store=database, accounts=database)
    browser = again.browser()
    assert (await again.use("login", browser, authenticator)).json()["username"] == "alice"
    assert [each["label"] for each in await again.passkeys(browser)] == ["Grüner Schlüssel"]
    stale = await again.use("login", again.browser(), authenticator, sign_count=1)
    assert (stale.status, stale.code) == (401, "webauthn_sign_count")
    await again.useid.stop()
