"""Step-up: a session proves more by a passkey, and goes on under a new id with all that it had."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.actors import Browser, Phone
from tests.eid import world as eid_world
from tests.oidc import world as oidc_world
from tests.webauthn.authenticator import AT, UP, UV
from tests.webauthn.world import HOST, ORIGIN, Authenticator, World, opened
from useid_middleware import Identity, Level, LoginCompleted, LoginSucceeded, Refuse, SessionEnded
from useid_middleware._codec import b64url
from useid_middleware.emulation.provider.policy import Policy

METHODS = ["pop", "hwk", "user", "mfa"]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
        yield world


async def test_the_options_name_the_accounts_own_passkeys(world: World) -> None:
    browser, authenticator = await world.member()
    await world.member("bob")
    [credential] = authenticator.credentials
    options = (await world.begin(browser, "step-up")).options
    assert options["allowCredentials"] == [
        {"type": "public-key", "id": b64url(credential.id), "transports": ["hybrid", "usb"]}
    ]
    assert (options["rpId"], options["userVerification"]) == ("localhost", "required")


async def test_a_session_by_password_becomes_one_of_level_two_under_a_new_id(world: World) -> None:
    browser, authenticator = await world.member()
    before, old = await world.session(browser), dict(browser.cookies)
    world.clock.advance(30)
    answer = await world.use("step-up", browser, authenticator, return_url="/payments")
    assert answer.status == 200
    assert answer.json() == {
        "redirectTo": "/payments",
        "userId": before.account_id,
        "username": "alice",
        "acr": "L2",
        "amr": ["pwd", *METHODS],
    }
    told = await world.told(browser)
    assert (told["acr"], told["amr"], told["authTime"]) == ("L2", ["pwd", *METHODS], world.clock.now)
    after = await world.session(browser)
    assert (after.account_id, after.provider, after.subject) == (before.account_id, "host", "alice")
    assert after.id != before.id
    stranger = world.browser()
    stranger.cookies = old
    assert (await world.told(stranger))["name"] == ""
    ended = [(event.session_id, event.reason) for event in world.heard_of(SessionEnded)]
    assert ended == [(before.id, "rotated")]
    completed = LoginCompleted(world.clock.now, after.account_id, after.id, Level.L2, "host")
    assert world.heard_of(LoginCompleted)[-1] == completed
    listed = (await browser.get("/sessions")).json()["sessions"]
    assert [each["id"] for each in listed] == [after.id]


@pytest.mark.parametrize(("level", "reached"), [(0, 2), (1, 2), (2, 2), (3, 3)])
@pytest.mark.parametrize("emulated", [False, True])
async def test_a_session_never_loses_what_it_had(world: World, level: int, reached: int, emulated: bool) -> None:
    _, authenticator = await world.member()
    browser = await world.logged_in_as(
        Identity(
            "host",
            "alice",
            level=Level(level),
            amr=("sc", "pop"),
            device_id="phone-1",
            sid="sid-1",
            secret=b"tokens",
            emulated=emulated,
        )
    )
    before = await world.session(browser)
    assert (await world.use("step-up", browser, authenticator)).status == 200
    after = await world.session(browser)
    kept = ("account_id", "username", "provider", "subject", "device_id", "sid", "emulated", "roles", "has_secret")
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
    assert (after.level, after.amr) == (Level(reached), ("sc", "pop", "hwk", "user", "mfa"))
    assert after.acr == (f"L{reached}-emulated" if emulated else f"L{reached}")
    secret = await world.useid.sessions.secret(after, browser.cookies["useid-session"])
    assert secret is not None
    assert secret.value == b"tokens"
    assert [each.id for each in await world.useid.sessions.of_sid("host", "sid-1")] == [after.id]
    assert await world.useid.sessions.end_device("phone-1", reason="revoked") == 1


async def test_the_old_sessions_secret_is_forgotten(world: World) -> None:
    _, authenticator = await world.member()
    browser = await world.logged_in_as(Identity("host", "alice", secret=b"tokens"))
    before, token = await world.session(browser), browser.cookies["useid-session"]
    await world.use("step-up", browser, authenticator)
    assert await world.useid.sessions.secret(before, token) is None
    assert [key for key in await world.watched.living() if key.endswith(before.id)] == []


async def test_what_a_session_keeps_for_a_while_it_keeps_no_longer_for_a_step_up(world: World) -> None:
    _, authenticator = await world.member()
    browser = await world.logged_in_as(Identity("host", "alice", secret=b"tokens", secret_lifetime=600))
    for _ in range(2):
        world.clock.advance(299)
        await world.use("step-up", browser, authenticator)
    token = browser.cookies["useid-session"]
    assert await world.useid.sessions.secret(await world.session(browser), token) is not None
    world.clock.advance(2)
    assert await world.useid.sessions.secret(await world.session(browser), token) is None
    # Nothing is left to take along then, and the session goes on.
    assert (await world.use("step-up", browser, authenticator)).status == 200


@pytest.mark.parametrize("grant", ["by the account", "by a listener", "by a listener, once"])
async def test_a_session_keeps_its_roles(world: World, grant: str) -> None:
    browser, authenticator = await world.member()
    account = await world.useid.accounts.get((await world.told(browser))["id"])
    assert account is not None
    await world.useid.accounts.save(replace(account, roles=("member",)))
    is_first = True

    @world.useid.events.on(LoginSucceeded)
    def give(event: LoginSucceeded) -> None:
        nonlocal is_first
        if grant == "by a listener" or (grant == "by a listener, once" and is_first):
            event.roles += ("clerk",)
        is_first = False

    browser = await world.log_in()
    expected = ["member"] if grant == "by the account" else ["member", "clerk"]
    assert (await world.told(browser))["roles"] == expected
    await world.use("step-up", browser, authenticator)
    assert (await world.told(browser))["roles"] == expected


async def test_a_listener_that_refuses_leaves_the_session_as_it_was(world: World) -> None:
    browser, authenticator = await world.member()

    @world.useid.events.on(LoginSucceeded)
    def refuse(event: LoginSucceeded) -> None:
        raise Refuse("not today")

    before = dict(browser.cookies)
    answer = await world.use("step-up", browser, authenticator)
    assert (answer.status, answer.code) == (403, "login_refused")
    assert browser.cookies == before
    assert (await world.told(browser))["acr"] == "L0"


async def test_an_account_without_passkeys_cannot_step_up(world: World) -> None:
    await world.member("bob")
    answer = await (await world.log_in("alice")).post("/passkeys/step-up/options")
    assert (answer.status, answer.code) == (409, "passkey_missing")


async def test_another_accounts_passkey_is_refused(world: World) -> None:
    alice, of_alice = await world.member("alice")
    _, of_bob = await world.member("bob")
    [credential] = of_bob.credentials
    for user_handle in (credential.user_handle, of_alice.credentials[0].user_handle, b""):
        answer = await world.use("step-up", alice, of_bob, credential=credential, user_handle=user_handle)
        assert (answer.status, answer.code) == (401, "webauthn_credential_not_allowed")
    assert (await world.told(alice))["acr"] == "L0"


async def test_a_passkey_that_was_added_since_is_not_among_those_that_were_asked_for(world: World) -> None:
    browser, _ = await world.member()
    await world.step_up(browser)
    begun = await world.begin(browser, "step-up")
    late = Authenticator()
    await world.register(browser, late)
    answer = await world.finish(browser, "step-up", begun, late.get(begun.options, credential=late.credentials[0]))
    assert (answer.status, answer.code) == (401, "webauthn_credential_not_allowed")


async def test_a_passkey_that_is_deleted_meanwhile_is_unknown(world: World) -> None:
    browser, authenticator = await world.member()
    begun = await world.begin(browser, "step-up")
    [passkey] = await world.passkeys(browser)
    await browser.delete(f"/passkeys/{passkey['id']}")
    answer = await world.finish(browser, "step-up", begun, authenticator.get(begun.options))
    assert (answer.status, answer.code) == (401, "webauthn_credential_unknown")


async def test_an_authenticator_that_names_no_user_will_do_and_one_that_names_another_will_not(world: World) -> None:
    browser, authenticator = await world.member(client_outputs={"credProps": {"rk": False}})
    answer = await world.use("step-up", browser, authenticator, user_handle=b"somebody else")
    assert (answer.status, answer.code) == (401, "webauthn_user_handle_mismatch")
    assert (await world.use("step-up", browser, authenticator, user_handle=b"")).status == 200


async def test_a_clone_raises_nothing(world: World) -> None:
    browser, authenticator = await world.log_in(), Authenticator(counts=True)
    await world.register(browser, authenticator)
    answer = await world.use("step-up", browser, authenticator, sign_count=1)
    assert (answer.status, answer.code) == (401, "webauthn_sign_count")
    assert (await world.told(browser))["acr"] == "L0"


async def test_a_passkey_without_a_verified_user_raises_nothing() -> None:
    async with opened(webauthn={"user_verification": "preferred"}) as world:
        browser, authenticator = await world.member(flags=UP | AT)
        answer = await world.use("step-up", browser, authenticator, flags=UP)
        assert (answer.status, answer.code) == (401, "webauthn_user_not_verified")
        answer = await world.use("step-up", browser, authenticator, flags=UP | UV)
        assert answer.json()["acr"] == "L2"


async def test_a_session_that_was_revoked_meanwhile_is_not_raised(world: World) -> None:
    browser, authenticator = await world.member()
    begun = await world.begin(browser, "step-up")
    await world.useid.sessions.end(await world.session(browser), reason="revoked")
    answer = await world.finish(browser, "step-up", begun, authenticator.get(begun.options))
    assert (answer.status, answer.code) == (401, "login_required")


# whole logins of every kind


async def test_a_login_by_phone_is_raised_and_still_ends_with_its_phone() -> None:
    async with opened(origin=ORIGIN, assurance="L0") as world:
        member, authenticator = await world.member()
        phone = Phone(world.app, now=world.clock)
        await phone.enrol(member)
        [device] = (await member.get("/devices")).json()["devices"]
        desktop = world.browser()
        started = (await desktop.post("/session/create")).json()
        assert (await phone.approve(started["qrData"])).status == 200
        claimed = await desktop.post(f"/session/{started['sessionId']}/claim")
        assert (claimed.status, claimed.json()["acr"]) == (200, "L0")
        before = await world.session(desktop)
        answer = await world.use("step-up", desktop, authenticator)
        assert answer.json()["acr"] == "L2"
        assert answer.json()["amr"] == ["pop", "swk", "hwk", "user", "mfa"]
        after = await world.session(desktop)
        assert (after.provider, after.device_id) == (before.provider, device["id"])
        assert (await member.delete(f"/devices/{device['id']}")).status == 204
        assert (await world.told(desktop))["name"] == ""


async def test_a_login_at_a_provider_keeps_its_tokens_and_still_ends_with_the_providers_session() -> None:
    client = replace(
        oidc_world.CLIENT,
        redirect_uris=tuple(uri.replace("127.0.0.1:8000", HOST) for uri in oidc_world.CLIENT.redirect_uris),
    )
    async with oidc_world.opened(
        client=client,
        policy=Policy(refresh_tokens="always"),
        origin=ORIGIN,
        webauthn={"enabled": True},
    ) as provided:
        world, authenticator = World(provided.app, provided.clock), Authenticator()
        browser = replace(provided.browser(), host=HOST)
        person = provided.at_provider()
        assert (await provided.log_in(browser, client=person)).status == 303
        token = await provided.token(browser)
        assert token.status == 200
        await world.register(browser, authenticator)
        who = await provided.who(browser)
        assert (await world.use("step-up", browser, authenticator)).json()["acr"] == "L2"
        assert (await provided.token(browser)).body == token.body
        assert await provided.who(browser) == who
        provided.clock.advance(601)
        renewed = await provided.token(browser)
        assert (renewed.status, renewed.body != token.body) == (200, True)
        assert (await world.use("step-up", browser, authenticator)).status == 200
        assert (await provided.token(browser)).body == renewed.body
        session = await world.session(browser)
        assert [each.id for each in await world.useid.sessions.of_subject(session.provider, session.subject)] == [
            session.id
        ]
        assert [each.id for each in await world.useid.sessions.of_sid(session.provider, session.sid or "")] == [
            session.id
        ]


async def test_a_login_by_id_card_keeps_what_it_told_for_as_long_as_it_would_have() -> None:
    kept: dict[str, Any] = {**eid_world.CURIOUS, "keep": ("GivenNames",), "keep_lifetime": 600}
    async with eid_world.opened(eid=kept, origin=ORIGIN, webauthn={"enabled": True}) as with_card:
        world, authenticator = World(with_card.app, with_card.clock), Authenticator()
        browser: Browser = replace(with_card.browser(), host=HOST)
        assert (await with_card.log_in(browser)).status == 303
        told = await with_card.told(browser)
        assert (told["acr"], told["attributes"]) == ("L3", {"GivenNames": "ERIKA"})
        await world.register(browser, authenticator)
        with_card.clock.advance(599)
        answer = await world.use("step-up", browser, authenticator)
        assert (answer.status, answer.json()["acr"]) == (200, "L3")
        assert answer.json()["amr"] == ["sc", "pin", "mfa", "pop", "hwk", "user"]
        assert (await with_card.told(browser))["attributes"] == {"GivenNames": "ERIKA"}
        with_card.clock.advance(2)
        assert (await with_card.told(browser))["attributes"] == {}
