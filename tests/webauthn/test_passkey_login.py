"""Logins by passkey: at which level, where they lead, by which copies, at which hosts."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.actors import Browser
from tests.eid.world import SecureBrowser
from tests.webauthn.authenticator import BE, BS, UP, UV
from tests.webauthn.world import HOST, Authenticator, CourteousAccounts, World, opened
from useid_middleware import LoginCompleted, LoginFailed, LoginSucceeded, Refuse
from useid_middleware._codec import un_b64url
from useid_middleware.identity import Level


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
        yield world


async def test_the_options_of_a_login_name_nobody(world: World) -> None:
    await world.member()
    options = (await world.begin(world.browser(), "login")).options
    assert len(un_b64url(options.pop("challenge"), 32)) == 32
    assert options == {
        "rpId": "localhost",
        "timeout": 300_000,
        "allowCredentials": [],
        "userVerification": "required",
        "hints": ["client-device", "hybrid", "security-key"],
        "extensions": {},
    }


async def test_a_passkey_logs_its_owner_in_at_level_two(world: World) -> None:
    member, authenticator = await world.member()
    world.clock.advance(100)
    browser = world.browser()
    answer = await world.use("login", browser, authenticator)
    assert answer.status == 200
    methods = ["pop", "hwk", "user", "mfa"]
    account_id = (await world.told(member))["id"]
    assert answer.json() == {
        "redirectTo": "/",
        "userId": account_id,
        "username": "alice",
        "acr": "L2",
        "amr": methods,
    }
    told = await world.told(browser)
    assert (told["name"], told["id"], told["acr"], told["amr"]) == ("alice", account_id, "L2", methods)
    assert (told["provider"], told["authTime"]) == ("passkey", world.clock.now)
    assert told["scopes"] == ["authenticated", "L0", "L1", "L2"]
    assert (await world.told(member))["acr"] == "L0"


async def test_a_login_by_passkey_is_told_as_every_login(world: World) -> None:
    member, authenticator = await world.member()
    world.heard.clear()
    browser = world.browser()
    await world.use("login", browser, authenticator)
    session = await world.session(browser)
    [passkey] = await world.passkeys(browser)
    assert [type(event) for event in world.heard] == [LoginSucceeded, LoginCompleted]
    [asked] = world.heard_of(LoginSucceeded)
    assert (asked.identity.provider, asked.identity.subject) == ("passkey", passkey["id"])
    assert (asked.identity.account_id, asked.ip) == (session.account_id, "192.0.2.1")
    assert world.heard_of(LoginCompleted) == [
        LoginCompleted(world.clock.now, session.account_id, session.id, Level.L2, "passkey")
    ]
    assert session.id != (await world.session(member)).id


async def test_the_use_of_a_passkey_is_noted(world: World) -> None:
    browser, authenticator = await world.member()
    [before] = await world.passkeys(browser)
    world.clock.advance(3600)
    await world.use("login", world.browser(), authenticator)
    assert await world.passkeys(browser) == [{**before, "lastUsedAt": "2027-01-15T09:00:00Z"}]


async def test_a_login_takes_the_place_of_the_session_that_was_there(world: World) -> None:
    browser, authenticator = await world.member()
    old = dict(browser.cookies)
    assert (await world.use("login", browser, authenticator)).status == 200
    assert (await world.told(browser))["acr"] == "L2"
    browser.cookies = old
    assert (await world.told(browser))["name"] == ""


async def test_the_browsers_cookie_is_set_once(world: World) -> None:
    browser = world.browser()
    first = await browser.post("/passkeys/login/options")
    secret = browser.cookies["useid-browser"]
    assert f"useid-browser={secret}; Path=/; HttpOnly; SameSite=Lax" == first.header("set-cookie")
    assert len(un_b64url(secret, 32)) == 32
    second = await browser.post("/passkeys/login/options")
    assert second.header("set-cookie") == ""
    browser.cookies["useid-browser"] = "not-ours"
    third = await browser.post("/passkeys/login/options")
    assert third.header("set-cookie").startswith("useid-browser=")


@pytest.mark.parametrize(
    ("user_handle", "code"),
    [(b"", "webauthn_user_handle_missing"), (b"somebody else", "webauthn_user_handle_mismatch")],
)
async def test_the_authenticator_must_name_the_user(world: World, user_handle: bytes, code: str) -> None:
    _, authenticator = await world.member()
    answer = await world.use("login", world.browser(), authenticator, user_handle=user_handle)
    assert (answer.status, answer.code) == (401, code)


async def test_a_verified_user_is_demanded(world: World) -> None:
    _, authenticator = await world.member()
    browser = world.browser()
    answer = await world.use("login", browser, authenticator, flags=UP)
    assert (answer.status, answer.code) == (401, "webauthn_user_not_verified")
    assert "useid-session" not in browser.cookies
    member = await world.log_in()
    begun = await world.begin(member, "register")
    refused = await world.finish(member, "register", begun, Authenticator(flags=UP).create(begun.options))
    assert (refused.status, refused.code) == (400, "webauthn_user_not_verified")


async def test_where_verification_is_only_preferred_a_login_without_it_is_worth_no_more_than_a_password() -> None:
    async with opened(webauthn={"user_verification": "preferred"}) as world:
        _, authenticator = await world.member(flags=UP | 0x40)
        for flags, acr, methods in ((UP, "L0", []), (UP | UV, "L2", ["mfa"])):
            browser = world.browser()
            begun = await world.begin(browser, "login")
            assert begun.options["userVerification"] == "preferred"
            answer = await world.finish(browser, "login", begun, authenticator.get(begun.options, flags=flags))
            assert (answer.status, answer.json()["acr"]) == (200, acr)
            assert answer.json()["amr"] == ["pop", "hwk", "user", *methods]
            assert (await world.told(browser))["acr"] == acr


# where it leads


@pytest.mark.parametrize(
    ("return_url", "target"),
    [
        ("", "/home"),
        ("/orders?id=7", "/orders?id=7"),
        (f"http://{HOST}/orders", f"http://{HOST}/orders"),
        ("https://shop.example/cart", "https://shop.example/cart"),
    ],
)
async def test_a_login_leads_where_it_was_asked_to(return_url: str, target: str) -> None:
    async with opened(landing_page="/home", redirect_origins=["https://shop.example"]) as world:
        _, authenticator = await world.member()
        answer = await world.use("login", world.browser(), authenticator, return_url=return_url)
        assert (answer.status, answer.json()["redirectTo"]) == (200, target)


@pytest.mark.parametrize("purpose", ["login", "step-up"])
@pytest.mark.parametrize(
    "return_url", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/%2f/x", "x"]
)
async def test_no_way_leads_to_another_site_and_asking_costs_nothing(
    world: World, purpose: str, return_url: str
) -> None:
    member, authenticator = await world.member()
    browser = member if purpose == "step-up" else world.browser()
    begun = await world.begin(browser, purpose)
    credential = authenticator.get(begun.options)
    answer = await world.finish(browser, purpose, begun, credential, returnUrl=return_url)
    assert (answer.status, answer.code) == (400, "return_url_refused")
    assert (await world.finish(browser, purpose, begun, credential, returnUrl="/orders")).status == 200


# counters and copies


async def test_a_counter_that_grows_is_followed(world: World) -> None:
    authenticator = Authenticator(counts=True)
    browser = await world.log_in()
    await world.register(browser, authenticator)
    for _ in range(3):
        assert (await world.use("login", world.browser(), authenticator)).status == 200
    [passkey] = await world.useid.accounts.passkeys((await world.told(browser))["id"])
    assert passkey.sign_count == authenticator.credentials[0].sign_count == 4


async def test_a_clone_is_found_out_by_its_counter(world: World) -> None:
    authenticator = Authenticator(counts=True)
    await world.register(await world.log_in(), authenticator)
    clone = Authenticator(counts=True, credentials=[replace(authenticator.credentials[0])])
    assert (await world.use("login", world.browser(), authenticator)).status == 200
    browser = world.browser()
    answer = await world.use("login", browser, clone)
    assert (answer.status, answer.code) == (401, "webauthn_sign_count")
    assert "useid-session" not in browser.cookies
    # The clone has caught up, and now the two part: whichever is used second is refused.
    assert (await world.use("login", world.browser(), clone)).status == 200
    answer = await world.use("login", world.browser(), authenticator)
    assert (answer.status, answer.code) == (401, "webauthn_sign_count")


async def test_a_counter_that_stops_counting_is_refused(world: World) -> None:
    authenticator = Authenticator(counts=True)
    await world.register(await world.log_in(), authenticator)
    answer = await world.use("login", world.browser(), authenticator, sign_count=0)
    assert (answer.status, answer.code) == (401, "webauthn_sign_count")


@pytest.mark.parametrize("accounts", [CourteousAccounts(), "sqlite:///{folder}/useid.db"], ids=["memory", "SQLite"])
async def test_of_two_assertions_with_one_counter_at_once_one_wins(
    tmp_path: Path, accounts: CourteousAccounts | str
) -> None:
    kept = accounts.format(folder=tmp_path) if isinstance(accounts, str) else accounts
    async with opened(accounts=kept) as world:
        authenticator = Authenticator(counts=True)
        await world.register(await world.log_in(), authenticator)
        browsers = [world.browser(), world.browser()]
        begun = [await world.begin(browser, "login") for browser in browsers]
        answers = await asyncio.gather(
            *(
                world.finish(browser, "login", each, authenticator.get(each.options, sign_count=2))
                for browser, each in zip(browsers, begun, strict=True)
            )
        )
        assert sorted(answer.status for answer in answers) == [200, 401]
        assert [answer.code for answer in answers if answer.status == 401] == ["webauthn_sign_count"]


async def test_a_passkey_that_is_copied_to_other_devices_is_a_key_in_software(world: World) -> None:
    synced = Authenticator(flags=UP | UV | BE)
    browser = await world.log_in()
    assert (await world.register(browser, synced))["isBackedUp"] is False
    answer = await world.use("login", world.browser(), synced)
    assert answer.json()["amr"] == ["pop", "swk", "user", "mfa"]


async def test_whether_a_passkey_is_backed_up_is_noted_at_each_use(world: World) -> None:
    synced = Authenticator(flags=UP | UV | BE)
    browser = await world.log_in()
    await world.register(browser, synced)
    for flags, is_backed_up in ((UP | UV | BE | BS, True), (UP | UV | BE, False)):
        assert (await world.use("login", world.browser(), synced, flags=flags)).status == 200
        assert [each["isBackedUp"] for each in await world.passkeys(browser)] == [is_backed_up]


async def test_whether_a_passkey_may_be_copied_never_changes(world: World) -> None:
    _, authenticator = await world.member()
    answer = await world.use("login", world.browser(), authenticator, flags=UP | UV | BE)
    assert (answer.status, answer.code) == (401, "webauthn_backup_eligibility_changed")


# the host app's say


async def test_a_listener_may_refuse_a_login_by_passkey(world: World) -> None:
    _, authenticator = await world.member()
    world.heard.clear()

    @world.useid.events.on(LoginSucceeded)
    def refuse(event: LoginSucceeded) -> None:
        if event.identity.provider == "passkey":
            raise Refuse("no passkeys on Sundays")

    browser = world.browser()
    answer = await world.use("login", browser, authenticator)
    assert (answer.status, answer.code, answer.json()["message"]) == (403, "login_refused", "no passkeys on Sundays")
    assert "useid-session" not in browser.cookies
    assert [(event.code, event.provider) for event in world.heard_of(LoginFailed)] == [("login_refused", "passkey")]
    assert world.heard_of(LoginCompleted) == []
    # The account was there before this login, and stays.
    assert (await world.use("login", world.browser(), authenticator)).status == 403


async def test_a_listener_may_say_where_a_login_leads_and_what_its_user_may(world: World) -> None:
    _, authenticator = await world.member()

    @world.useid.events.on(LoginSucceeded)
    def lead(event: LoginSucceeded) -> None:
        event.target, event.roles = "/welcome", ("clerk",)

    browser = world.browser()
    answer = await world.use("login", browser, authenticator, return_url="/orders")
    assert answer.json()["redirectTo"] == "/welcome"
    assert (await world.told(browser))["roles"] == ["clerk"]


# hosts


async def test_without_an_origin_every_name_of_this_machine_is_a_site_of_its_own(world: World) -> None:
    member, authenticator = await world.member()
    assert (await member.get("/passkeys")).json()["rpId"] == "localhost"
    there = world.browser(host="shop.localhost:8000")
    begun = await world.begin(there, "login")
    assert begun.options["rpId"] == "shop.localhost"
    at_shop = replace(authenticator, origin="http://shop.localhost:8000")
    answer = await world.finish(there, "login", begun, at_shop.get(begun.options, rp_id="localhost"))
    assert (answer.status, answer.code) == (401, "webauthn_rp_id_mismatch")


async def test_there_may_be_any_number_of_such_sites(world: World) -> None:
    for number in range(20):
        host = f"shop-{number}.localhost"
        for port in (8000, 8001):
            begun = await world.begin(world.browser(host=f"{host}:{port}"), "login")
            assert begun.options["rpId"] == host


async def test_a_ceremony_ends_at_the_site_where_it_began(world: World) -> None:
    _, authenticator = await world.member()
    here, there = world.browser(), world.browser(host="shop.localhost:8000")
    begun = await world.begin(here, "login")
    there.cookies = dict(here.cookies)
    answer = await world.finish(there, "login", begun, authenticator.get(begun.options))
    assert (answer.status, answer.code) == (401, "webauthn_party_mismatch")


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "127.0.0.1", "[::1]:8000", "a_b.localhost", ".localhost"])
async def test_an_address_has_no_passkeys(world: World, host: str) -> None:
    browser = world.browser(host=host)
    answer = await browser.post("/passkeys/login/options")
    assert (answer.status, answer.code) == (421, "unknown_host")
    await browser.send("GET", "/as/alice")
    for answer in (
        await browser.post("/passkeys/options"),
        await browser.post("/passkeys/step-up/options"),
        await browser.get("/passkeys"),
    ):
        assert (answer.status, answer.code) == (421, "unknown_host")


async def test_a_site_has_its_own_passkeys_and_those_of_the_domain_above() -> None:
    async with opened(
        origin="https://login.example.org",
        webauthn={"rp_id": "example.org", "origins": ["https://shop.example.org", "ios:bundle-id:org.example.shop"]},
    ) as world:
        browser = SecureBrowser(world.app, host="login.example.org", headers={"accept": "text/html"})
        await browser.send("GET", "/as/alice")
        authenticator = Authenticator(origin="https://login.example.org")
        assert (await world.begin(browser, "register")).options["rp"]["id"] == "example.org"
        await world.register(browser, authenticator)
        origins = ("https://login.example.org", "https://shop.example.org", "ios:bundle-id:org.example.shop")
        for origin in origins:
            visitor: Browser = replace(browser, cookies={})
            answer = await world.use("login", visitor, replace(authenticator, origin=origin))
            assert (answer.status, answer.json()["acr"]) == (200, "L2")
            assert set(visitor.cookies) == {"__Host-useid-browser", "__Host-useid-session"}
        for origin in ("https://example.org", "https://evil.example.org", "http://login.example.org"):
            answer = await world.use("login", replace(browser, cookies={}), replace(authenticator, origin=origin))
            assert (answer.status, answer.code) == (401, "webauthn_origin_mismatch")


# scripts


async def test_where_scripts_may_hold_the_session_they_are_given_it() -> None:
    async with opened(sessions={"bearer": True}) as world:
        _, authenticator = await world.member()
        answer = (await world.use("login", world.browser(), authenticator)).json()
        assert answer["expiresAt"] == "2027-01-22T08:00:00Z"
        bare = world.browser()
        bare.headers["authorization"] = f"Bearer {answer['sessionToken']}"
        assert len(await world.passkeys(bare)) == 1
        raised = (await world.use("step-up", bare, authenticator)).json()
        bare.cookies.clear()
        assert (await bare.get("/passkeys")).status == 401
        bare.headers["authorization"] = f"Bearer {raised['sessionToken']}"
        assert len(await world.passkeys(bare)) == 1
