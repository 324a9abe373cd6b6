"""What a listener hears of a login at a provider, and what it changes about it: every event of the login's way in."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from starlette.responses import PlainTextResponse, RedirectResponse

from tests.oidc.world import ISSUER, World, asked, open_world, opened
from useid_middleware import (
    Account,
    LoginCompleted,
    LoginFailed,
    LoginSucceeded,
    PreLogin,
    Refuse,
    UserCreated,
    UserUpdated,
)

ADA = "ada-1815"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await open_world()
    yield world
    await world.close()


async def account_of(world: World, subject: str = ADA) -> Account | None:
    return await world.app.useid.accounts.find(ISSUER, subject)


# before the browser leaves


async def test_before_login_a_listener_adds_scopes_and_parameters_and_both_reach_the_provider(world: World) -> None:
    @world.events.on(PreLogin)
    def ask_for_more(event: PreLogin) -> None:
        assert event.provider == "op"
        assert event.scope["path"] == "/auth/login"
        event.scopes += ("phone",)
        event.parameters["claims_locales"] = "de"

    browser = world.browser()
    address = await world.begin(browser)
    assert asked(address)["scope"] == "openid profile email phone"
    assert asked(address)["claims_locales"] == "de"
    await world.come_back(browser, await world.approve(address))
    [succeeded] = world.told(LoginSucceeded)
    assert succeeded.identity.claims["phone_number"] == "+441815101210"


async def test_before_login_a_listener_takes_scopes_away_but_never_openid(world: World) -> None:
    @world.events.on(PreLogin)
    def ask_for_less(event: PreLogin) -> None:
        event.scopes = ()

    assert asked(await world.begin(world.browser()))["scope"] == "openid"


async def test_what_the_protocol_relies_on_a_listener_cannot_change(world: World) -> None:
    @world.events.on(PreLogin)
    def meddle(event: PreLogin) -> None:
        event.parameters["redirect_uri"] = "https://evil.example/"

    answer = await world.browser().get("/login?provider=op")
    assert answer.status == 500
    assert b"configuration_error" in answer.body
    assert not answer.header("location")


async def test_before_login_a_listener_answers_itself_and_the_provider_is_not_even_asked(world: World) -> None:
    @world.events.on(PreLogin)
    async def answer_itself(event: PreLogin) -> None:
        event.response = PlainTextResponse("closed for the night", status_code=503)

    browser = world.browser()
    answer = await browser.get("/login?provider=op")
    assert (answer.status, answer.body) == (503, b"closed for the night")
    assert browser.cookies == {}
    assert world.provider.requests == []


async def test_before_login_a_listener_refuses_and_the_person_reads_its_words(world: World) -> None:
    @world.events.on(PreLogin)
    def refuse(event: PreLogin) -> None:
        raise Refuse("Logins are open from 8 to 18 o'clock & <never> at night.")

    answer = await world.browser().get("/login?provider=op")
    assert answer.status == 403
    assert b"Logins are open from 8 to 18 o&#x27;clock &amp; &lt;never&gt; at night." in answer.body
    assert [event.code for event in world.told(LoginFailed)] == ["login_refused"]


async def led_from_a_protected_page(world: World) -> str:
    browser = world.browser()
    sent = await browser.send("GET", "/private/page?x=1")
    assert sent.status == 303
    path = sent.header("location")
    assert path == "/auth/login?return=%2Fprivate%2Fpage%3Fx%3D1"
    answer = await browser.send("GET", path)
    return answer.header("location") or answer.body.decode()


async def test_a_listener_is_asked_as_well_where_a_protected_page_began_the_login() -> None:
    async with opened(protected=("/private",), oidc={"default_provider": "op"}) as world:

        @world.events.on(PreLogin)
        def ask_for_more(event: PreLogin) -> None:
            event.scopes += ("groups",)
            event.parameters["login_hint"] = "grace"

        address = await led_from_a_protected_page(world)
        assert asked(address)["scope"] == "openid profile email groups"
        assert asked(address)["login_hint"] == "grace"


async def test_a_listener_answers_itself_where_a_protected_page_began_the_login() -> None:
    async with opened(protected=("/private",), oidc={"default_provider": "op"}) as world:

        @world.events.on(PreLogin)
        def answer_itself(event: PreLogin) -> None:
            event.response = PlainTextResponse("this page is for members")

        assert await led_from_a_protected_page(world) == "this page is for members"


# the account


async def test_a_listener_changes_the_account_of_a_new_user_and_the_change_stays(world: World) -> None:
    @world.events.on(UserCreated)
    async def introduce(event: UserCreated) -> None:
        assert event.claims["email"] == "ada@example.com"
        assert event.tokens.access_token
        event.account = Account(
            event.account.id, "countess", event.account.created_at, email="countess@example.com", roles=("patron",)
        )

    browser = world.browser()
    await world.log_in(browser)
    assert await world.who(browser) == "countess patron"
    account = await account_of(world)
    assert account is not None
    assert (account.username, account.email, account.roles) == ("countess", "countess@example.com", ("patron",))


@pytest.mark.parametrize("failing", [Refuse("ask the front desk first"), ValueError("a bug in the listener")])
async def test_a_refused_new_user_is_not_logged_in_and_leaves_no_account(
    world: World, failing: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    @world.events.on(UserCreated)
    def refuse(event: UserCreated) -> None:
        raise failing

    browser = world.browser()
    answer = await world.log_in(browser)
    assert answer.status == 403
    assert b"login_refused" in answer.body
    assert (b"ask the front desk first" in answer.body) == isinstance(failing, Refuse)
    assert b"a bug in the listener" not in answer.body
    assert "login_refused" in caplog.text
    assert str(failing) not in caplog.text  # A listener's words are for the person.
    assert await account_of(world) is None
    assert await world.who(browser) == ""
    assert [event.code for event in world.told(LoginFailed)] == ["login_refused"]
    assert world.told(LoginCompleted) == []


async def test_a_listener_changes_the_account_of_a_known_user(world: World) -> None:
    @world.events.on(UserUpdated)
    def promote(event: UserUpdated) -> None:
        event.account = Account(event.account.id, "ada", event.account.created_at, roles=("admin",))

    first, second = world.browser(), world.browser()
    await world.log_in(first)
    assert (await world.who(first), world.told(UserUpdated)) == ("ada", [])
    await world.log_in(second)
    assert await world.who(second) == "ada admin"
    assert len(world.told(UserCreated)) == 1
    account = await account_of(world)
    assert account is not None
    assert (account.email, account.roles) == ("", ("admin",))


async def test_what_the_provider_says_of_a_known_user_is_kept_when_nobody_listens(world: World) -> None:
    await world.log_in(world.browser())
    known = await account_of(world)
    assert known is not None
    await world.app.useid.accounts.save(Account(known.id, "old name", known.created_at, email="old@example.com"))
    await world.log_in(world.browser())
    updated = await account_of(world)
    assert updated is not None
    assert (updated.username, updated.email) == ("ada", "ada@example.com")


async def test_a_refused_known_user_is_not_logged_in_and_the_account_stays_as_it_was(world: World) -> None:
    await world.log_in(world.browser())
    known = await account_of(world)

    @world.events.on(UserUpdated)
    def refuse(event: UserUpdated) -> None:
        event.account = Account(event.account.id, "changed", 0)
        raise Refuse("you are banned")

    browser = world.browser()
    answer = await world.log_in(browser)
    assert answer.status == 403
    assert b"you are banned" in answer.body
    assert await world.who(browser) == ""
    assert await account_of(world) == known


# the login


async def test_on_success_a_listener_gives_roles_and_another_target(world: World) -> None:
    @world.events.on(LoginSucceeded)
    async def decide(event: LoginSucceeded) -> None:
        assert event.target == "/wanted"
        event.roles += ("night-shift",)
        event.target = "/instead"

    browser = world.browser()
    answer = await world.log_in(browser, return_to="/wanted")
    assert (answer.status, answer.header("location")) == (303, "/instead")
    assert await world.who(browser) == "ada night-shift"


async def test_on_success_a_listener_answers_before_any_session_exists(world: World) -> None:
    sessions: list[object] = []

    @world.events.on(LoginSucceeded)
    async def answer_itself(event: LoginSucceeded) -> None:
        sessions.extend(await world.app.useid.sessions.of_subject(ISSUER, ADA))
        event.response = RedirectResponse("/terms", status_code=303)

    browser = world.browser()
    answer = await world.log_in(browser)
    assert (answer.status, answer.header("location")) == (303, "/terms")
    assert "useid-session" not in browser.cookies
    assert sessions == await world.app.useid.sessions.of_subject(ISSUER, ADA) == []
    assert await account_of(world) is None
    assert world.told(LoginCompleted) == []


async def test_on_success_a_listener_refuses(world: World) -> None:
    @world.events.on(LoginSucceeded)
    def refuse(event: LoginSucceeded) -> None:
        raise Refuse("not on this computer")

    browser = world.browser()
    answer = await world.log_in(browser)
    assert answer.status == 403
    assert b"not on this computer" in answer.body
    assert await world.who(browser) == ""
    assert await account_of(world) is None


async def test_a_refusal_of_the_provider_reaches_the_listeners_with_its_own_words(world: World) -> None:
    world.provider.inject("form-post-error")
    answer = await world.log_in(world.browser())
    assert answer.status == 403
    [failed] = world.told(LoginFailed)
    assert (failed.code, failed.provider) == ("authorization_refused", ISSUER)
    assert (failed.error, failed.description) == ("server_error", "the test failed")


@pytest.mark.parametrize(
    ("fault", "code"), [("form-post-error", "authorization_refused"), ("invalid-iss", "token_claim_invalid")]
)
async def test_on_failure_a_listener_answers_itself(world: World, fault: str, code: str) -> None:
    @world.events.on(LoginFailed)
    def answer_itself(event: LoginFailed) -> None:
        event.response = PlainTextResponse(f"call 4711 about {event.code}", status_code=418)

    world.provider.inject(fault)
    browser = world.browser()
    answer = await world.log_in(browser)
    assert (answer.status, answer.body.decode()) == (418, f"call 4711 about {code}")
    assert await world.who(browser) == ""


async def test_a_listener_answers_a_refusal_of_another_listener(world: World) -> None:
    @world.events.on(UserCreated)
    def refuse(event: UserCreated) -> None:
        raise Refuse

    @world.events.on(LoginFailed)
    def answer_itself(event: LoginFailed) -> None:
        event.response = RedirectResponse("/register", status_code=303)

    browser = world.browser()
    answer = await world.log_in(browser)
    assert (answer.status, answer.header("location")) == (303, "/register")
    assert await account_of(world) is None
    assert await world.who(browser) == ""


# all of them


async def test_listeners_run_one_after_the_other_whether_they_are_sync_or_async(world: World) -> None:
    order: list[str] = []

    @world.events.on(PreLogin)
    async def first(event: PreLogin) -> None:
        await asyncio.sleep(0)
        order.append("first")
        event.scopes += ("groups",)

    @world.events.on(PreLogin)
    def second(event: PreLogin) -> None:
        order.append("second")
        assert "groups" in event.scopes

    await world.begin(world.browser())
    assert order == ["first", "second"]


async def test_a_listener_that_fails_does_not_disturb_what_it_is_only_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    @world.events.on(LoginCompleted)
    async def fail(event: LoginCompleted) -> None:
        raise ValueError("the password of the mail server is hunter2")

    @world.events.on(LoginCompleted)
    def hear(event: LoginCompleted) -> None:
        heard.append(event.provider)

    browser = world.browser()
    with caplog.at_level(logging.ERROR, logger="useid_middleware"):
        assert (await world.log_in(browser)).status == 303
    assert heard == [ISSUER]
    assert await world.who(browser) == "ada"
    assert "listener for LoginCompleted failed with ValueError" in caplog.text
    assert "hunter2" not in caplog.text
