"""The person's own logout, here and at the provider; and the end that a look at the provider's session brings."""

from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
from starlette.responses import PlainTextResponse

from tests.actors import SERVER, Answer, Browser
from tests.oidc.world import FORM, ISSUER, World, asked, open_world, opened, removes_session
from useid_middleware import PreLogout, SessionChanged, SessionEnded
from useid_middleware.emulation.provider.policy import Policy

ADA = "ada-1815"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await open_world()
    yield world
    await world.close()


async def logged_in(world: World) -> Browser:
    browser = world.browser()
    assert (await world.log_in(browser)).status == 303
    return browser


# the person's own


async def log_out(browser: Browser) -> Answer:
    """Press the button of our logout page."""
    headers = {"content-type": FORM, "origin": "http://127.0.0.1:8000"}
    return await browser.send("POST", "/auth/logout", b"", headers)


async def test_a_link_to_the_logout_asks_first(world: World) -> None:
    browser = await logged_in(world)
    page = await browser.get("/logout")
    assert page.status == 200
    assert b'<form method="post" action="/auth/logout"' in page.body
    assert ISSUER in page.header("content-security-policy")  # The button's redirect leads there.
    assert await world.who(browser) == "ada"
    assert (await world.browser().get("/logout")).header("location") == "/"


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}]
)
async def test_another_site_logs_nobody_out(world: World, headers: dict[str, str]) -> None:
    browser = await logged_in(world)
    answer = await browser.send("POST", "/auth/logout", b"", {"content-type": FORM, **headers})
    assert (answer.status, answer.code) == (403, "cross_site_request")
    assert await world.who(browser) == "ada"


async def test_a_logout_ends_our_session_and_leads_on_to_the_providers(world: World) -> None:
    browser = await logged_in(world)
    answer = await log_out(browser)
    assert answer.status == 303
    address = answer.header("location")
    assert address.startswith(f"{ISSUER}/end-session?")
    query = asked(address)
    assert query["id_token_hint"].count(".") == 2
    assert (query["client_id"], query["post_logout_redirect_uri"]) == ("shop", f"{SERVER}/logout/done")
    assert len(query["state"]) == 43
    assert removes_session(answer)
    assert await world.app.useid.sessions.of_subject(ISSUER, ADA) == []
    assert [event.reason for event in world.told(SessionEnded)] == ["logout"]


async def test_a_script_is_told_where_the_logout_goes_on(world: World) -> None:
    browser = await logged_in(world)
    answer = await browser.post("/logout")
    assert answer.status == 200
    assert answer.json()["redirectTo"].startswith(f"{ISSUER}/end-session?")
    assert (await browser.post("/logout")).status == 204


@pytest.mark.parametrize("state", ["the same", "other", ""])
async def test_who_comes_back_from_the_providers_logout_goes_home_whatever_the_state(state: str) -> None:
    async with opened(oidc={"after_logout": "/bye"}) as world:
        browser = await logged_in(world)
        given = asked((await log_out(browser)).header("location"))["state"]
        query = urlencode({"state": given if state == "the same" else state}) if state else ""
        for _ in range(2):
            back = await browser.get(f"/logout/done?{query}")
            assert (back.status, back.header("location")) == (303, "/bye")


async def test_a_link_to_where_the_logout_comes_back_logs_nobody_out(world: World) -> None:
    browser = await logged_in(world)
    assert (await browser.get("/logout/done?state=x")).header("location") == "/"
    assert await world.who(browser) == "ada"


async def test_a_logout_ends_here_while_the_provider_is_away() -> None:
    async with opened(oidc={"metadata_lifetime": 1, "stale_lifetime": 1}) as world:
        browser = await logged_in(world)
        world.provider.inject("down-discovery")
        world.clock.advance(60)
        answer = await log_out(browser)
        assert (answer.status, answer.header("location")) == (303, "/")
        assert await world.who(browser) == ""


async def test_who_came_without_a_provider_is_not_sent_to_one(world: World) -> None:
    browser = world.browser()
    await browser.send("GET", "/as/alice")
    assert (await log_out(browser)).header("location") == "/"
    assert await world.who(browser) == ""


async def test_before_logout_a_listener_answers_and_nobody_is_logged_out(world: World) -> None:
    @world.events.on(PreLogout)
    def answer_itself(event: PreLogout) -> None:
        event.response = PlainTextResponse("save your work first", status_code=409)

    browser = await logged_in(world)
    answer = await log_out(browser)
    assert (answer.status, answer.body) == (409, b"save your work first")
    assert await world.who(browser) == "ada"
    assert world.told(SessionEnded) == []


async def test_before_logout_a_listener_spares_the_provider(world: World) -> None:
    @world.events.on(PreLogout)
    async def spare(event: PreLogout) -> None:
        assert event.provider == ISSUER
        event.skip_sso = True

    browser, at_provider = world.browser(), world.at_provider()
    await world.log_in(browser, client=at_provider)
    assert (await log_out(browser)).header("location") == "/"
    assert await world.who(browser) == ""
    arrival = await world.approve(await world.begin(browser, prompt="none"), client=at_provider)
    await world.come_back(browser, arrival)
    assert await world.who(browser) == "ada"  # The provider still knew who this is.


# a look at the provider's session


async def test_who_is_gone_at_the_provider_is_logged_out_here_and_the_listeners_hear_why(world: World) -> None:
    browser = await logged_in(world)
    address = (await browser.get("/session-monitor/renew")).header("location")
    assert asked(address)["prompt"] == "none"
    page = await world.come_back(browser, await world.approve(address, client=world.at_provider()))
    assert b'data-outcome="ended"' in page.body
    assert await world.who(browser) == ""
    [event] = world.told(SessionChanged)
    assert event.reason == "login_required"


@pytest.fixture
async def willing_world() -> AsyncIterator[World]:
    """A provider that asks nobody for consent, so that it can answer without the person."""
    world = await open_world(policy=Policy(consent="skip"))
    yield world
    await world.close()


async def test_who_is_somebody_else_at_the_provider_is_logged_out_here(willing_world: World) -> None:
    world = willing_world
    browser, at_provider = await logged_in(world), world.at_provider()
    await world.log_in(world.browser(), person="grace", client=at_provider)
    # A provider that overlooks the hint, and answers for whoever is there.
    address = (await browser.get("/session-monitor/renew")).header("location").replace("id_token_hint", "ignored")
    page = await world.come_back(browser, await world.approve(address, client=at_provider))
    assert b'data-outcome="ended"' in page.body
    assert await world.who(browser) == ""
    [event] = world.told(SessionChanged)
    assert event.reason == "other_user"


async def test_who_is_still_there_stays_logged_in_with_fresh_tokens(willing_world: World) -> None:
    world = willing_world
    browser, at_provider = world.browser(), world.at_provider()
    await world.log_in(browser, client=at_provider)
    before = (await world.token(browser)).body
    address = (await browser.get("/session-monitor/renew")).header("location")
    page = await world.come_back(browser, await world.approve(address, client=at_provider))
    assert b'data-outcome="unchanged"' in page.body
    assert await world.who(browser) == "ada"
    assert (await world.token(browser)).body != before
    assert world.told(SessionChanged) == []
