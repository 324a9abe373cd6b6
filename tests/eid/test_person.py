"""Who a login with an ID card makes of a person: account, session, attributes, and what listeners have to say."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.eid.world import (
    CURIOUS,
    ERIKA,
    MAX,
    World,
    ending_of,
    opened,
)
from useid_middleware import (
    Identity,
    Level,
    LoginCompleted,
    LoginFailed,
    LoginSucceeded,
    NotAuthenticated,
    Refuse,
    UserCreated,
    UserUpdated,
)
from useid_middleware.eid.core.attributes import Operation, RestrictedID, UseIDRequest, Wish
from useid_middleware.events import (
    SessionEnded,
)
from useid_middleware.http.asgi import Receive, Scope, Send

ASKED = UseIDRequest(
    {
        Operation.RESTRICTED_ID: Wish.REQUIRED,
        Operation.GIVEN_NAMES: Wish.REQUIRED,
        Operation.FAMILY_NAMES: Wish.REQUIRED,
        Operation.ACADEMIC_TITLE: Wish.ALLOWED,
        Operation.DATE_OF_BIRTH: Wish.ALLOWED,
        Operation.PLACE_OF_RESIDENCE: Wish.ALLOWED,
    }
)
PSEUDONYM = b"erika's pseudonym for this site.".hex()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened(eid=CURIOUS) as world:
        yield world


async def test_the_pseudonym_finds_the_account_and_who_comes_again_is_updated(world: World) -> None:
    first, second, other = world.browser(), world.browser(), world.browser()
    await world.log_in(first)
    renamed = replace(ERIKA, family_names="GABLER")
    await world.log_in(second, data=renamed)
    await world.log_in(other, data=MAX)
    created, updated = world.heard_of(UserCreated), world.heard_of(UserUpdated)
    assert [event.claims["FamilyNames"] for event in created] == ["MUSTERMANN", "KELLER"]
    assert [event.claims["FamilyNames"] for event in updated] == ["GABLER"]
    assert updated[0].account.id == created[0].account.id != created[1].account.id
    assert len({event.account_id for event in world.heard_of(LoginCompleted)}) == 2
    assert await world.who(first) == await world.who(second) == PSEUDONYM != await world.who(other)


async def test_listeners_learn_what_was_asked_and_told_and_no_more() -> None:
    async with opened(eid={"required": ("RestrictedID", "GivenNames")}) as world:
        await world.log_in(world.browser())
        [created] = world.heard_of(UserCreated)
        [succeeded] = world.heard_of(LoginSucceeded)
        assert created.claims == succeeded.identity.claims == {"GivenNames": "ERIKA"}
        assert (succeeded.identity.provider, succeeded.identity.subject) == ("eid", PSEUDONYM)


async def test_a_name_from_the_card_names_the_account_and_follows_it() -> None:
    async with opened(eid={"required": ("RestrictedID", "GivenNames"), "username": "GivenNames"}) as world:
        browser = world.browser()
        await world.log_in(browser)
        assert await world.who(browser) == "ERIKA"
        await world.log_in(browser, data=replace(ERIKA, given_names="ERIKA MARIA"))
        assert await world.who(browser) == "ERIKA MARIA"


async def test_while_the_sector_changes_the_new_pseudonym_finds_the_old_account(world: World) -> None:
    await world.log_in(world.browser())
    assert ERIKA.restricted_id is not None
    moving = replace(ERIKA, restricted_id=RestrictedID(b"of the new sector", ERIKA.restricted_id.first))
    await world.log_in(world.browser(), data=moving)
    await world.log_in(world.browser(), data=replace(ERIKA, restricted_id=RestrictedID(b"of the new sector")))
    assert len({event.account_id for event in world.heard_of(LoginCompleted)}) == 1
    assert len(world.heard_of(UserCreated)) == 1


async def test_somebody_new_who_comes_while_the_sector_changes_gets_one_account(world: World) -> None:
    moving = replace(ERIKA, restricted_id=RestrictedID(b"of the new sector", b"of the old sector"))
    await world.log_in(world.browser(), data=moving)
    await world.log_in(world.browser(), data=moving)
    assert len(world.heard_of(UserCreated)) == 1


async def test_the_host_app_reads_what_the_settings_keep_until_its_time_is_over() -> None:
    keep = {"keep": ("GivenNames", "PlaceOfResidence"), "keep_lifetime": 600}
    async with opened(eid={**CURIOUS, **keep}) as world:
        browser = world.browser()
        await world.log_in(browser)
        kept = {
            "GivenNames": "ERIKA",
            "PlaceOfResidence": {"street": "HEIDESTRASSE 17", "city": "KÖLN", "country": "D", "zip_code": "51147"},
        }
        assert (await world.told(browser))["attributes"] == kept
        world.clock.advance(599)
        assert (await world.told(browser))["attributes"] == kept
        world.clock.advance(1)
        told = await world.told(browser)
        assert (told["attributes"], told["acr"]) == ({}, "L3")


async def test_a_session_of_an_emulated_card_says_so_wherever_it_is_shown(world: World) -> None:
    sessions, accounts = world.useid.sessions, world.useid.accounts
    browser = world.browser()
    await world.log_in(browser)
    emulated = Identity("eid", PSEUDONYM, level=Level.L3, amr=("sc",), emulated=True)
    account, _ = await accounts.resolve(emulated, now=world.clock.now)
    token, session = await sessions.create(account, emulated)
    assert session.acr == "L3-emulated"
    browser.cookies["useid-session"] = token
    told = await world.told(browser)
    assert (told["acr"], told["scopes"]) == ("L3-emulated", ["authenticated", "L0", "L1", "L2", "L3"])
    listed = json.loads((await browser.get("/sessions")).body)["sessions"]
    assert [each["acr"] for each in listed if each["current"]] == ["L3-emulated"]


async def test_nothing_is_kept_by_itself(world: World) -> None:
    browser = world.browser()
    await world.log_in(browser)
    assert (await world.told(browser))["attributes"] == {}


async def test_other_logins_have_no_attributes() -> None:
    async with opened(eid={**CURIOUS, "keep": ("GivenNames",)}) as world:
        browser, nobody = world.browser(), world.browser()
        await browser.send("GET", "/as/alice")
        for each in (browser, nobody):
            assert (await world.told(each))["attributes"] == {}


async def test_what_other_logins_keep_secret_is_neither_shown_as_attributes_nor_ours_as_tokens() -> None:
    provider = {"issuer": "http://127.0.0.1:9000", "client_id": "shop", "client_secret": "secret"}
    async with opened(eid={**CURIOUS, "keep": ("GivenNames",)}, oidc={"providers": {"op": provider}}) as world:
        sessions, accounts = world.useid.sessions, world.useid.accounts
        browser, other = world.browser(), world.browser()
        await world.log_in(browser)
        session = await sessions.load(browser.cookies["useid-session"])
        assert session is not None
        assert session.has_secret
        assert world.useid.oidc is not None
        with pytest.raises(NotAuthenticated):
            await world.useid.oidc.tokens.access(session, browser.cookies["useid-session"])
        told = Identity("http://127.0.0.1:9000", "ada", sid="", secret=b"tokens")
        account, _ = await accounts.resolve(told, now=world.clock.now)
        other.cookies["useid-session"], _ = await sessions.create(account, told)
        assert (await world.told(other))["attributes"] == {}


async def test_after_the_logout_nothing_is_kept() -> None:
    async with opened(eid={**CURIOUS, "keep": ("GivenNames",)}) as world:
        browser = world.browser()
        await world.log_in(browser)
        assert any(key.startswith("session-secret:") for key in await world.watched.living())
        assert (await browser.post("/logout")).status == 204
        assert not any(key.startswith("session-secret:") for key in await world.watched.living())


async def test_a_listener_may_refuse_somebody_new_who_then_has_no_account(world: World) -> None:
    @world.useid.events.on(UserCreated)
    def refuse(event: UserCreated) -> None:
        raise Refuse("not <you>")

    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    answer = await world.open(browser, await world.run_client(started["tcTokenUrl"]))
    assert (answer.status, ending_of(answer)) == (403, "login_refused")
    assert b"not &lt;you&gt;" in answer.body
    assert await world.who(browser) == ""
    assert await world.useid.accounts.find("eid", PSEUDONYM) is None
    assert [(event.code, event.provider) for event in world.heard_of(LoginFailed)] == [("login_refused", "eid")]


async def test_a_listener_may_refuse_a_login_by_code(world: World) -> None:
    @world.useid.events.on(LoginSucceeded)
    def refuse(event: LoginSucceeded) -> None:
        raise Refuse("not now")

    desktop = world.browser()
    started = await world.start(desktop)
    answer = await world.claim(desktop, started, code=await world.to_code(world.phone(), started))
    assert (answer.status, answer.code) == (403, "login_refused")
    assert await world.who(desktop) == ""
    assert len(world.heard_of(LoginFailed)) == 1


async def test_a_listener_may_answer_a_login_that_failed(world: World) -> None:
    async def sorry(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b"sorry"})

    @world.useid.events.on(LoginFailed)
    def answer(event: LoginFailed) -> None:
        event.response = sorry

    stranger = world.browser()
    started = await world.start(world.browser(), mode="same-device")
    answered = await world.open(stranger, await world.run_client(started["tcTokenUrl"]))
    assert (answered.status, answered.body) == (418, b"sorry")
    assert await world.who(stranger) == ""


async def test_a_listener_may_answer_itself_or_send_the_browser_elsewhere(world: World) -> None:
    async def closed(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b"closed"})

    def send_elsewhere(event: LoginSucceeded) -> None:
        event.target = "/welcome"

    events = world.useid.events
    events.on(LoginSucceeded)(send_elsewhere)
    assert (await world.log_in(world.browser())).header("location") == "/welcome"

    @events.on(LoginSucceeded)
    def answer_instead(event: LoginSucceeded) -> None:
        event.response = closed

    browser = world.browser()
    assert (await world.log_in(browser)).body == b"closed"
    assert await world.who(browser) == ""


async def test_a_login_leads_where_it_was_asked_to_go() -> None:
    async with opened(landing_page="/home", redirect_origins=("https://shop.example",)) as world:
        for asked, target in (
            ("", "/home"),
            ("/a?b=c", "/a?b=c"),
            ("https://shop.example/x", "https://shop.example/x"),
        ):
            browser = world.browser()
            started = await world.start(browser, mode="same-device", returnUrl=asked)
            answer = await world.open(browser, await world.run_client(started["tcTokenUrl"]))
            assert answer.header("location") == target


async def test_a_new_login_ends_the_session_that_the_browser_had(world: World) -> None:
    browser = world.browser()
    await browser.send("GET", "/as/alice")
    before = browser.cookies["useid-session"]
    await world.log_in(browser)
    assert browser.cookies["useid-session"] != before
    assert [event.reason for event in world.heard_of(SessionEnded)] == ["rotated"]
    assert await world.who(browser) == PSEUDONYM
