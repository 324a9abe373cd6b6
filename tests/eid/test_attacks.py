"""Attacks on a login with an ID card, one named test each: nobody is logged in by them, and nothing is disclosed."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from tests.actors import Answer, Browser
from tests.eid.world import (
    CURIOUS,
    ERIKA,
    PERSONAL,
    World,
    code_in,
    ending_of,
    opened,
    path_of,
    token_url_in,
    with_result,
)
from useid_middleware import LoginCompleted, LoginFailed
from useid_middleware._codec import b64url
from useid_middleware.eid.core.attributes import EIDResult
from useid_middleware.eid.core.results import MAJOR_OK, ClientMinor
from useid_middleware.events import EIDApproved, EIDRejected, EIDScanned
from useid_middleware.waiting.tokens import make_token

SHOP = {
    "origins": ("https://shop.example", "https://www.shop.example"),
    "token_urls": ("https://shop.example/eid/tctoken", "https://shop.example/eid/more/"),
    "default_target": "https://shop.example/login",
}
BANK = {"origins": ("https://bank.example",), "token_urls": ("https://bank.example/tc?service=",)}
TENANTS = {"tenants": {"shop": SHOP, "bank": BANK}}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened(eid=CURIOUS, embed=TENANTS) as world:
        yield world


async def assert_nobody_is_logged_in(world: World, *browsers: Browser) -> None:
    for browser in browsers:
        assert "useid-session" not in browser.cookies
        assert await world.who(browser) == ""
    assert world.heard_of(LoginCompleted) == []


def discloses_nothing(answer: Answer) -> bool:
    return not any(word in answer.body.decode() for word in PERSONAL)


# the tcToken


async def test_a_second_fetch_of_the_tctoken_is_refused(world: World) -> None:
    started = await world.start(world.browser(), mode="same-device")
    await world.fetch_token(started["tcTokenUrl"])
    again = await world.fetch(started["tcTokenUrl"])
    assert (again.status, again.code) == (404, "session_unknown")
    assert len(world.server.sessions) == 1


async def test_of_two_who_fetch_a_tctoken_at_once_one_alone_has_a_session(world: World) -> None:
    started = await world.start(world.browser(), mode="same-device")
    answers = await asyncio.gather(*(world.fetch(started["tcTokenUrl"]) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [404] * 7
    assert len(world.server.sessions) == 1


async def test_a_tctoken_address_cannot_be_guessed_from_what_others_see_of_the_login(world: World) -> None:
    started = await world.start(world.browser(), mode="same-device")
    url, session_id = started["tcTokenUrl"], started["sessionId"]
    base = url.rpartition("/")[0]
    for guess in (
        session_id,
        make_token(session_id, bytes(16)),
        make_token(b64url(bytes(16)), bytes(16)),
        url.rpartition("/")[2][:-1],
        url.rpartition("/")[2] + "A",
        "%00",
        "..",
        "a" * 44,
        "é",
    ):
        answer = await Browser(world.app).send("GET", path_of(f"{base}/{guess}"))
        assert (answer.status, answer.code) == (404, "session_unknown")
    assert world.heard_of(EIDScanned) == []
    assert (await world.fetch(url)).status == 200


async def test_the_secret_of_the_start_page_fetches_no_tctoken_and_the_other_way_round(world: World) -> None:
    desktop, phone = world.browser(), world.phone()
    started = await world.start(desktop)
    start = started["startUrl"].rpartition("/")[2]
    assert (await world.fetch(f"http://x/auth/eid/tctoken/{start}")).code == "session_unknown"
    page = await world.begin_on_phone(phone, started["startUrl"])
    token = token_url_in(page).rpartition("/")[2]
    assert token != start
    assert (await phone.get(f"/eid/refresh/{token}")).status == 404
    await world.fetch_token(token_url_in(page))
    assert (await world.fetch(f"http://x/auth/eid/tctoken/{start}")).code == "session_unknown"


async def test_an_initiator_who_fetches_his_own_tctoken_learns_nothing_from_it(world: World) -> None:
    mallory = world.browser()
    started = await world.start(mallory, mode="same-device")
    token_document = await world.fetch(started["tcTokenUrl"])
    assert discloses_nothing(token_document)
    token_url = (await world.start(mallory, mode="same-device"))["tcTokenUrl"]
    token = await world.fetch_token(token_url)
    early = await world.open(mallory, token.refresh_address)
    assert ending_of(early) == "result_pending"
    # The victim is sent the address and finds it used up: no second session, so no card is ever shown to it.
    assert (await world.fetch(token_url)).status == 404
    await assert_nobody_is_logged_in(world, mallory)


async def test_the_result_of_a_victim_who_is_sent_the_initiators_link_goes_to_nobody(world: World) -> None:
    mallory, victim = world.browser(), world.browser(ip="203.0.113.5")
    started = await world.start(mallory, mode="same-device")
    refresh = await world.run_client(started["tcTokenUrl"])
    page = await world.open(victim, refresh)
    assert (page.status, ending_of(page)) == (401, "browser_cookie_missing")
    assert discloses_nothing(page)
    await world.start(victim)
    page = await world.open(victim, refresh)
    assert (page.status, ending_of(page)) == (401, "browser_cookie_missing")
    # Nor does the initiator get at it: he has the cookie, and not the address.
    told = await world.status(mallory, started)
    assert set(told) == {"status", "version", "expiresAt", "expiresIn"}
    assert (await world.claim(mallory, started)).code == "wrong_state"
    assert world.server.counters == []
    await assert_nobody_is_logged_in(world, mallory, victim)


async def test_an_initiator_who_begins_as_the_phone_too_gets_no_code_from_the_victims_client(world: World) -> None:
    mallory, mallorys_phone, victim = world.browser(), world.phone(), world.browser(ip="203.0.113.5")
    started = await world.start(mallory)
    page = await world.begin_on_phone(mallorys_phone, started["startUrl"])
    refresh = await world.run_client(token_url_in(page))
    answer = await world.open(victim, refresh)
    assert (answer.status, ending_of(answer)) == (401, "browser_cookie_missing")
    assert (await world.claim(mallory, started, code="123456")).code == "wrong_state"
    assert world.heard_of(EIDApproved) == []
    await assert_nobody_is_logged_in(world, mallory, mallorys_phone, victim)


# the refresh address


async def test_the_refresh_address_called_early_logs_nobody_in(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    token = await world.fetch_token(started["tcTokenUrl"])
    early = await world.open(browser, token.refresh_address)
    assert (early.status, ending_of(early)) == (409, "result_pending")
    await assert_nobody_is_logged_in(world, browser)


async def test_a_code_that_was_shown_early_logs_nobody_in(world: World) -> None:
    desktop, phone = world.browser(), world.phone()
    started = await world.start(desktop)
    token = await world.fetch_token(token_url_in(await world.begin_on_phone(phone, started["startUrl"])))
    code = code_in(await world.open(phone, token.refresh_address))
    answer = await world.claim(desktop, started, code=code)
    assert (answer.status, answer.code) == (409, "result_pending")
    await assert_nobody_is_logged_in(world, desktop, phone)
    world.server.of(token).answer = EIDResult(ERIKA)
    assert (await world.claim(desktop, started, code=code)).status == 200


async def test_the_refresh_address_works_once(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    refresh = await world.run_client(started["tcTokenUrl"])
    assert (await world.open(browser, refresh)).status == 303
    again = await world.open(browser, refresh)
    assert (again.status, ending_of(again)) == (404, "session_unknown")
    assert len(world.heard_of(LoginCompleted)) == 1
    assert [event.code for event in world.heard_of(LoginFailed)] == ["session_unknown"]


async def test_the_phones_refresh_address_shows_one_code_once(world: World) -> None:
    desktop, phone = world.browser(), world.phone()
    started = await world.start(desktop)
    refresh = await world.run_client(token_url_in(await world.begin_on_phone(phone, started["startUrl"])))
    code_in(await world.open(phone, refresh))
    assert ending_of(await world.open(phone, refresh)) == "session_unknown"
    assert len(world.heard_of(EIDApproved)) == 1


async def test_the_refresh_address_is_worth_nothing_without_the_browsers_cookie_or_with_another(world: World) -> None:
    browser, nobody, other = world.browser(), world.browser(), world.browser()
    started = await world.start(browser, mode="same-device")
    await world.start(other, mode="same-device")
    forged = world.browser()
    forged.cookies["useid-browser"] = "x"
    refresh = await world.run_client(started["tcTokenUrl"])
    for each in (nobody, other, forged):
        page = await world.open(each, refresh)
        assert (page.status, ending_of(page)) == (401, "browser_cookie_missing")
        assert discloses_nothing(page)
    await assert_nobody_is_logged_in(world, nobody, other, forged)
    assert (await world.status(browser, started))["status"] == "scanned"
    assert (await world.open(browser, refresh)).status == 303


async def test_a_cookie_that_comes_twice_is_none(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    refresh = await world.run_client(started["tcTokenUrl"])
    cookie = f"useid-browser={browser.cookies['useid-browser']}; useid-browser={b64url(bytes(32))}"
    answer = await Browser(world.app).send("GET", path_of(refresh), headers={"cookie": cookie})
    assert ending_of(answer) == "browser_cookie_missing"


async def test_in_standard_mode_the_desktops_own_browser_is_foreign_at_the_refresh_address(world: World) -> None:
    desktop, phone = world.browser(), world.phone()
    started = await world.start(desktop)
    refresh = await world.run_client(token_url_in(await world.begin_on_phone(phone, started["startUrl"])))
    assert ending_of(await world.open(desktop, refresh)) == "browser_cookie_missing"
    assert (await world.status(desktop, started))["status"] == "scanned"


async def test_a_refresh_secret_belongs_to_one_login(world: World) -> None:
    browser = world.browser()
    one, two = [await world.start(browser, mode="same-device") for _ in range(2)]
    refresh_one, refresh_two = [await world.run_client(each["tcTokenUrl"]) for each in (one, two)]
    secret = refresh_two.partition("?")[0].rpartition("/")[2][22:]
    mixed = f"/auth/eid/refresh/{one['sessionId']}{secret}"
    assert ending_of(await browser.send("GET", mixed)) == "session_unknown"
    assert (await world.open(browser, refresh_one)).status == 303


@pytest.mark.parametrize("token", ["", "x", "a" * 44, "%2e%2e", b64url(bytes(32)), "a" * 5000])
async def test_a_refresh_address_that_was_guessed_is_unknown(world: World, token: str) -> None:
    answer = await world.browser().send("GET", f"/auth/eid/refresh/{token}")
    if token:
        assert (answer.status, ending_of(answer)) == (404, "session_unknown")
    else:
        assert answer.body == b""  # The host app's.


async def test_after_a_rejection_a_forged_ok_changes_nothing(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    refresh = await world.run_client(started["tcTokenUrl"])
    cancelled = with_result(refresh, ResultMajor="error", ResultMinor=ClientMinor.CANCELLATION_BY_USER)
    assert ending_of(await world.open(browser, cancelled)) == "cancelled"
    again = await world.open(browser, with_result(refresh, ResultMajor=MAJOR_OK))
    assert (again.status, ending_of(again)) == (409, "cancelled")
    assert world.server.counters == []
    await assert_nobody_is_logged_in(world, browser)


async def test_a_strangers_error_does_not_end_a_login(world: World) -> None:
    browser, stranger = world.browser(), world.browser()
    started = await world.start(browser, mode="same-device")
    refresh = await world.run_client(started["tcTokenUrl"])
    answer = await world.open(stranger, with_result(refresh, ResultMajor="error"))
    assert ending_of(answer) == "browser_cookie_missing"
    assert world.heard_of(EIDRejected) == []
    assert (await world.open(browser, refresh)).status == 303


@pytest.mark.parametrize("member", ["ResultMajor", "ResultMinor", "ResultMessage", "other"])
async def test_what_the_client_appends_is_never_reflected_and_never_logged(
    world: World, member: str, caplog: pytest.LogCaptureFixture
) -> None:
    mark = "<script>alert('Hotline 0900 666')</script>"
    caplog.set_level(logging.DEBUG)
    for begin in (True, False):
        browser = world.browser() if begin else world.phone()
        started = await world.start(browser, mode="same-device")
        token = await world.fetch_token(started["tcTokenUrl"])
        owner = browser if begin else world.browser()
        query = {"ResultMajor": "error"} | {member: mark}
        answer = await world.open(owner, with_result(token.refresh_address, **query))
        assert b"0900" not in answer.body
        assert "0900" not in str(answer.headers)
    assert "0900" not in caplog.text
    assert not any("0900" in repr(event) for event in world.heard)


async def test_a_result_that_is_given_twice_is_no_result(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    refresh = await world.run_client(started["tcTokenUrl"])
    page = await world.open(browser, refresh + "&ResultMajor=error")
    assert (page.status, ending_of(page)) == (400, "malformed_request")
    assert (await world.status(browser, started))["status"] == "scanned"


async def test_a_head_request_uses_nothing_up(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    head = await world.open(browser, started["tcTokenUrl"], method="HEAD")
    assert head.status == 405
    refresh = await world.run_client(started["tcTokenUrl"])
    assert (await world.open(browser, refresh, method="HEAD")).status == 405
    assert (await world.open(browser, refresh)).status == 303
