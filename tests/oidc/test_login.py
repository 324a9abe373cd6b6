"""Logging in at a provider as it goes in real browsers: tabs, the back button, lost cookies, wrong clocks."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from starlette.responses import PlainTextResponse

from tests.actors import ORIGIN, Answer, Browser
from tests.oidc.world import CLIENT, FORM, ISSUER, World, asked, is_page_about, open_world, opened
from useid_middleware import LoginCompleted, LoginFailed, PreLogin, Refuse
from useid_middleware.emulation.provider.driver import Arrival
from useid_middleware.emulation.provider.policy import Policy

FORM_POST = {"response_mode": "form_post"}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await open_world()
    yield world
    await world.close()


def shows(answer: Answer, code: str) -> bool:
    """Whether the answer is our page about this code, with a way to try again."""
    page = answer.body.decode()
    return f"<code>{code}</code>" in page and '<a class="button" href="/auth/login?provider=op' in page


# tabs


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_two_tabs_finish_in_any_order_and_each_goes_where_it_wanted(world: World, order: tuple[int, int]) -> None:
    browser = world.browser()
    tabs = [await world.begin(browser, **{"return": f"/tab/{number}"}) for number in range(2)]
    arrivals = [await world.approve(tab) for tab in tabs]
    for number in order:
        answer = await world.come_back(browser, arrivals[number])
        assert (answer.status, answer.header("location")) == (303, f"/tab/{number}")
    assert await world.who(browser) == "ada"
    assert len(await world.app.useid.sessions.of_subject(ISSUER, "ada-1815")) == 1


async def test_tabs_of_one_browser_share_a_cookie_and_nothing_else(world: World) -> None:
    browser = world.browser()
    first = asked(await world.begin(browser))
    cookie = browser.cookies["useid-oidc"]
    second = asked(await world.begin(browser))
    assert browser.cookies["useid-oidc"] == cookie
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]
    assert (first["code_challenge_method"], second["code_challenge_method"]) == ("S256", "S256")


async def test_of_nine_tabs_the_oldest_is_given_up_and_eight_finish(world: World) -> None:
    browser = world.browser()
    arrivals = []
    for _ in range(9):
        world.clock.advance(1)
        arrivals.append(await world.approve(await world.begin(browser)))
    for arrival in reversed(arrivals[1:]):
        assert (await world.come_back(browser, arrival)).header("location") == "/"
    assert len(world.told(LoginCompleted)) == 8
    assert (await world.come_back(browser, arrivals[0])).header("location") == "/"
    assert len(world.told(LoginCompleted)) == 8


async def test_the_tab_that_was_given_up_starts_anew_where_nobody_is_logged_in() -> None:
    async with opened(oidc={"attempt_slots": 1}) as world:
        browser = world.browser()
        arrival = await world.approve(await world.begin(browser))
        world.clock.advance(1)
        await world.begin(browser)
        answer = await world.come_back(browser, arrival)
        assert (answer.status, answer.header("location")) == (303, "/auth/login?provider=op")


async def test_another_browser_keeps_its_slots(world: World) -> None:
    mine, other = world.browser(), world.browser(ip="192.0.2.99")
    arrival = await world.approve(await world.begin(mine))
    for _ in range(9):
        await world.begin(other)
    await world.come_back(mine, arrival)
    assert await world.who(mine) == "ada"


# the way back, again


async def test_the_back_button_after_a_login_leads_on_and_changes_nothing(world: World) -> None:
    browser = world.browser()
    arrival = await world.approve(await world.begin(browser, **{"return": "/wanted"}))
    await world.come_back(browser, arrival)
    cookie = browser.cookies["useid-session"]
    again = await world.come_back(browser, arrival)
    assert (again.status, again.header("location")) == (303, "/")
    assert browser.cookies["useid-session"] == cookie
    assert await world.who(browser) == "ada"
    assert len(world.provider.received("/token")) == 1


async def test_a_callback_that_comes_twice_at_once_is_exchanged_once(world: World) -> None:
    browser = world.browser()
    arrival = await world.approve(await world.begin(browser))
    twin = replace(browser, cookies=dict(browser.cookies))
    await asyncio.gather(world.come_back(browser, arrival), world.come_back(twin, arrival))
    assert len(world.provider.received("/token")) == 1
    assert len(world.told(LoginCompleted)) == 1
    assert sorted([await world.who(browser), await world.who(twin)]) == ["", "ada"]


async def test_a_stale_callback_of_somebody_who_is_logged_in_says_nothing(world: World) -> None:
    browser = world.browser()
    late = await world.approve(await world.begin(browser))
    await world.log_in(browser)
    world.clock.advance(301)
    world.events.on(LoginFailed)(lambda event: setattr(event, "response", PlainTextResponse("you failed")))
    answer = await world.come_back(browser, late)
    assert (answer.status, answer.header("location")) == (303, "/")
    assert await world.who(browser) == "ada"
    assert world.told(LoginFailed) == []


async def test_a_login_that_took_too_long_starts_anew(world: World) -> None:
    browser = world.browser()
    arrival = await world.approve(await world.begin(browser))
    world.clock.advance(301)
    answer = await world.come_back(browser, arrival)
    assert (answer.status, answer.header("location")) == (303, "/auth/login?provider=op")
    assert world.provider.received("/token") == []
    assert await world.who(browser) == ""


async def test_a_login_that_is_back_or_never_left_leaves_its_place_to_the_next() -> None:
    async with opened(limits={"under_way": 1}) as world:
        for _ in range(2):
            assert (await world.log_in(world.browser())).status == 303
        refusals = [True, False]

        @world.events.on(PreLogin)
        def refuse_once(event: PreLogin) -> None:
            if refusals.pop(0):
                raise Refuse("closed")

        assert (await world.browser().get("/login?provider=op")).status == 403
        await world.begin(world.browser())
        assert (await world.browser().get("/login?provider=op")).status == 429


async def test_a_browser_that_takes_no_cookies_gets_a_page_and_is_not_sent_in_circles(world: World) -> None:
    browser = world.browser()
    arrival = await world.approve(await world.begin(browser))
    browser.cookies.clear()
    answer = await world.come_back(browser, arrival)
    assert answer.status == 400
    assert shows(answer, "cookie_missing")
    assert b"Your browser sent no cookie" in answer.body
    assert not answer.header("location")
    assert world.provider.received("/token") == []


@pytest.mark.parametrize("cookie", ["short", "x" * 128, "", "Ada"])
async def test_a_cookie_that_is_not_ours_counts_as_none(world: World, cookie: str) -> None:
    browser = world.browser()
    arrival = await world.approve(await world.begin(browser))
    browser.cookies["useid-oidc"] = cookie
    assert shows(await world.come_back(browser, arrival), "cookie_missing")


async def test_a_german_reads_german(world: World) -> None:
    browser = world.browser()
    browser.headers["accept-language"] = "de-AT,de;q=0.9,en;q=0.5"
    answer = await world.come_back(browser, Arrival(f"{ORIGIN}/auth/callback?code=x&state=y"))
    assert "Ihr Browser hat kein Cookie gesendet" in answer.body.decode()


# clocks


async def log_in_with_skew(seconds: int) -> tuple[str, str]:
    """Who is logged in, and what the page said; the provider's tokens live for a second."""
    async with opened(policy=Policy(id_token_lifetime=1)) as world:
        world.provider.inject(f"clock-skew:{seconds}")
        browser = world.browser()
        answer = await world.log_in(browser)
        return await world.who(browser), "token_claim_invalid" if b"token_claim_invalid" in answer.body else ""


@pytest.mark.parametrize("seconds", [25, -25])
async def test_a_clock_that_is_25_seconds_off_does_not_matter(seconds: int) -> None:
    assert await log_in_with_skew(seconds) == ("ada", "")


@pytest.mark.parametrize("seconds", [40, -40])
async def test_a_clock_that_is_40_seconds_off_is_refused(seconds: int) -> None:
    assert await log_in_with_skew(seconds) == ("", "token_claim_invalid")


# the session that comes of it


async def test_the_session_has_a_new_id_after_each_login_and_the_old_one_is_dead(world: World) -> None:
    browser = world.browser()
    await world.log_in(browser)
    planted = browser.cookies["useid-session"]
    await world.log_in(browser)
    assert browser.cookies["useid-session"] != planted
    victim = world.browser()
    victim.cookies["useid-session"] = planted
    assert await world.who(victim) == ""


async def test_a_session_id_that_was_planted_is_not_taken_up(world: World) -> None:
    browser = world.browser()
    browser.cookies["useid-session"] = "A" * 43
    await world.log_in(browser)
    assert browser.cookies["useid-session"] != "A" * 43
    assert await world.who(browser) == "ada"


async def test_who_has_no_confirmed_address_is_told_so_where_one_is_demanded() -> None:
    async with opened(provider={"verified_email_only": True}) as world:
        browser = world.browser()
        answer = await world.log_in(browser, person="linus")
        assert answer.status == 403
        assert shows(answer, "email_not_verified")
        assert await world.who(browser) == ""
        assert (await world.log_in(browser, person="ada")).status == 303


# form_post


async def posted(world: World, arrival: Arrival) -> str:
    """The address that our answer to the provider's form leads to."""
    assert arrival.form is not None
    sent = await Browser(world.app).send(
        "POST", urlsplit(arrival.url).path, urlencode(arrival.form).encode(), {"content-type": FORM, "origin": ISSUER}
    )
    assert sent.status == 303
    return sent.header("location")


async def test_a_posted_response_waits_for_the_browser_and_its_cookie() -> None:
    async with opened(provider=FORM_POST) as world:
        browser = world.browser()
        arrival = await world.approve(await world.begin(browser, **{"return": "/wanted"}))
        address = await posted(world, arrival)
        assert dict(arrival.form or ())["code"] not in address
        answer = await browser.send("GET", address)
        assert (answer.status, answer.header("location")) == (303, "/wanted")
        assert await world.who(browser) == "ada"


async def test_the_handle_of_a_posted_response_is_good_once() -> None:
    async with opened(provider=FORM_POST) as world:
        browser = world.browser()
        address = await posted(world, await world.approve(await world.begin(browser)))
        twin = replace(browser, cookies=dict(browser.cookies))
        await browser.send("GET", address)
        again = await twin.send("GET", address)
        assert again.header("location") == "/auth/login?provider=op"
        assert await world.who(twin) == ""
        assert len(world.provider.received("/token")) == 1


async def test_the_handle_of_a_posted_response_logs_no_other_browser_in() -> None:
    async with opened(provider=FORM_POST) as world:
        browser, thief = world.browser(), world.browser()
        address = await posted(world, await world.approve(await world.begin(browser)))
        await world.begin(thief)
        assert (await thief.send("GET", address)).header("location") == "/auth/login?provider=op"
        assert await world.who(thief) == ""
        assert world.provider.received("/token") == []


async def test_a_posted_response_is_kept_for_a_minute() -> None:
    async with opened(provider=FORM_POST) as world:
        browser = world.browser()
        address = await posted(world, await world.approve(await world.begin(browser)))
        world.clock.advance(61)
        await browser.send("GET", address)
        assert await world.who(browser) == ""


# where the app is


class MountedBrowser(Browser):
    """A browser of an app below /shop, behind a server that says so."""

    def scope(self, method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
        """See :class:`Browser`."""
        return {**super().scope(method, path, headers), "root_path": "/shop"}


async def test_below_a_root_path_every_address_starts_with_it() -> None:
    client = replace(CLIENT, redirect_uris=(f"{ORIGIN}/shop/auth/callback",))
    async with opened(client=client) as world:
        browser = MountedBrowser(world.app, prefix="/shop/auth", headers={"accept": "text/html"})
        address = await world.begin(browser)
        assert asked(address)["redirect_uri"] == f"{ORIGIN}/shop/auth/callback"
        answer = await world.come_back(browser, await world.approve(address))
        assert (answer.status, answer.header("location")) == (303, "/shop/")
        assert (await browser.send("GET", "/shop/")).body == b"ada"
        failed = await MountedBrowser(world.app).send("GET", "/shop/auth/callback?code=x&state=y")
        assert b'href="/shop/auth/login?provider=op"' in failed.body
        assert b'href="/shop/"' in failed.body


async def test_with_a_public_origin_cookies_are_bound_to_it_and_to_https() -> None:
    client = replace(CLIENT, redirect_uris=("https://app.example/auth/callback",))
    async with opened(client=client, origin="https://app.example") as world:
        browser = world.browser()
        answer = await world.log_in(browser)
        assert answer.status == 303
        assert set(browser.cookies) == {"__Host-useid-oidc", "__Host-useid-session"}
        assert all(b"Secure" in value for name, value in answer.headers if name == b"set-cookie")


async def test_a_provider_that_mixes_up_states_sends_nobody_in_circles() -> None:
    async with opened() as world:
        browser = world.browser()
        world.provider.inject("ensure-authorization-response-with-invalid-state-fails")
        first = await world.log_in(browser)
        assert (first.status, first.header("location")) == (303, "/auth/login?provider=op")
        second = await world.log_in(browser)
        assert is_page_about(second, "state_mismatch")
        world.provider.clear()
        await world.log_in(browser)
        assert await world.who(browser) == "ada"
