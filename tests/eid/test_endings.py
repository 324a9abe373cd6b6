"""How a login with an ID card ends when it does not end well, and the pages around it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.eid.world import (
    CURIOUS,
    ERIKA,
    World,
    code_in,
    ending_of,
    opened,
    path_of,
    seal_for,
    token_url_in,
    with_result,
)
from useid_middleware import LoginCompleted, UserCreated
from useid_middleware.eid.core.attributes import EIDResult, Operation, UseIDRequest, Wish
from useid_middleware.eid.core.results import MAJOR_ERROR, MAJOR_OK, ClientMinor, Minor
from useid_middleware.events import (
    EIDExpired,
    EIDRejected,
)

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


async def test_a_client_that_was_cancelled_tells_the_desktop_at_once(world: World) -> None:
    desktop, phone = world.browser(), world.phone()
    started = await world.start(desktop)
    page = await world.begin_on_phone(phone, started["startUrl"])
    token = await world.fetch_token(token_url_in(page))
    async with desktop.stream(f"/eid/session/{started['sessionId']}/events") as stream:
        assert await stream.next_status() == "scanned"
        cancelled = with_result(
            token.refresh_address, ResultMajor=MAJOR_ERROR, ResultMinor=ClientMinor.CANCELLATION_BY_USER
        )
        page = await world.open(phone, cancelled)
        name, data = await stream.next()
        await stream.end()
    assert (page.status, ending_of(page)) == (200, "cancelled")
    assert (name, data["status"], data["reason"]) == ("status", "rejected", "cancelled")
    [rejected] = world.heard_of(EIDRejected)
    assert (rejected.reason, rejected.minor) == ("cancelled", ClientMinor.CANCELLATION_BY_USER)


@pytest.mark.parametrize(
    ("major", "minor", "reason", "told"),
    [
        ("error", ClientMinor.CANCELLATION_BY_USER, "cancelled", ClientMinor.CANCELLATION_BY_USER),
        ("error", "cancellationByUser", "cancelled", ClientMinor.CANCELLATION_BY_USER),
        ("error", "trustedChannelEstablishmentFailed", "failed", ClientMinor.TRUSTED_CHANNEL_FAILED),
        ("error", "serverError", "failed", ""),
        ("error", "", "failed", ""),
        (MAJOR_ERROR, ClientMinor.TRUSTED_CHANNEL_FAILED, "failed", ClientMinor.TRUSTED_CHANNEL_FAILED),
        ("error", ClientMinor.COMMUNICATION_ERROR, "failed", ClientMinor.COMMUNICATION_ERROR),
        ("warning", "", "failed", ""),
    ],
)
async def test_the_clients_error_is_a_reason_and_its_minor_is_passed_on_where_it_is_a_known_one(
    world: World, major: str, minor: str, reason: str, told: str
) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    token = await world.fetch_token(started["tcTokenUrl"])
    page = await world.open(browser, with_result(token.refresh_address, ResultMajor=major, ResultMinor=minor))
    assert ending_of(page) == reason
    assert [(event.reason, event.minor) for event in world.heard_of(EIDRejected)] == [(reason, told)]
    assert world.server.counters == []


@pytest.mark.parametrize("major", ["ok", MAJOR_OK])
async def test_both_spellings_of_ok_are_understood(world: World, major: str) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    refresh = await world.run_client(started["tcTokenUrl"])
    assert (await world.open(browser, with_result(refresh, ResultMajor=major))).status == 303


@pytest.mark.parametrize(("minor", "reason"), [(Minor.INVALID_DOCUMENT, "document"), (Minor.INTERNAL_ERROR, "failed")])
async def test_a_card_that_was_refused_logs_nobody_in_and_the_page_says_why(
    world: World, minor: Minor, reason: str
) -> None:
    desktop, phone = world.browser(), world.phone()
    same, started = await world.start(phone, mode="same-device"), await world.start(desktop)
    page = await world.open(phone, await world.run_client(same["tcTokenUrl"], minor=minor))
    assert (page.status, ending_of(page)) == (502, "eid_server_refused")
    assert (await world.status(phone, same))["reason"] == reason
    code = await world.to_code(phone, started, minor=minor)
    answer = await world.claim(desktop, started, code=code)
    assert (answer.status, answer.code, answer.json()["minor"]) == (502, "eid_server_refused", minor)
    assert (await world.status(desktop, started))["reason"] == reason
    assert [(event.reason, event.minor) for event in world.heard_of(EIDRejected)] == [(reason, minor)] * 2
    assert world.heard_of(LoginCompleted) == []


@pytest.mark.parametrize("result", [{"fulfils_age_verification": False}, {}])
async def test_whoever_is_too_young_is_told_that_it_does_not_suffice(result: dict[str, Any]) -> None:
    async with opened(eid={"age": 18}) as world:
        browser = world.browser()
        started = await world.start(browser, mode="same-device")
        page = await world.open(browser, await world.run_client(started["tcTokenUrl"], **result))
        assert (page.status, ending_of(page)) == (403, "requirements_not_met")
        assert (await world.status(browser, started))["reason"] == "requirements"
        assert await world.who(browser) == ""
        assert (await world.log_in(browser, fulfils_age_verification=True)).status == 303
        assert world.heard_of(UserCreated)[0].claims == {"AgeVerification": True}


@pytest.mark.parametrize("down", ["before", "after", "refusal"])
async def test_without_an_eid_server_the_client_is_told_so_and_the_desktop_too(world: World, down: str) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    if down == "refusal":
        world.server.refusal = Minor.TOO_MANY_OPEN_SESSIONS
    else:
        world.server.down = down
    token = await world.fetch_token(started["tcTokenUrl"])
    assert token.is_error
    assert (await world.status(browser, started))["reason"] == "failed"
    [rejected] = world.heard_of(EIDRejected)
    assert rejected.minor == (Minor.TOO_MANY_OPEN_SESSIONS if down == "refusal" else "")
    page = await world.open(browser, token.communication_error_address)
    assert (page.status, ending_of(page)) == (409, "failed")


async def test_a_server_that_says_that_its_session_failed_ends_the_login_before_the_client_comes_back(
    world: World,
) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    token = await world.fetch_token(started["tcTokenUrl"])
    assert world.useid.eid is not None
    ended = world.useid.eid.service.server_ended
    async with browser.stream(f"/eid/session/{started['sessionId']}/events") as stream:
        assert await stream.next_status() == "scanned"
        await ended("eid-session-1", "")
        await ended("eid-session-9", Minor.INTERNAL_ERROR)
        assert (await world.status(browser, started))["status"] == "scanned"
        await ended("eid-session-1", ClientMinor.CANCELLATION_BY_USER)
        name, data = await stream.next()
        assert (name, data["reason"]) == ("status", "cancelled")
    await ended("eid-session-1", Minor.INTERNAL_ERROR)
    page = await world.open(browser, with_result(token.refresh_address, ResultMajor="error"))
    assert (page.status, ending_of(page)) == (409, "cancelled")
    assert len(world.heard_of(EIDRejected)) == 1


async def test_a_server_may_say_that_its_session_failed_as_long_as_the_login_waits_for_it(world: World) -> None:
    desktop = world.browser()
    started = await world.start(desktop, mode="integrated")
    refresh = await world.run_client(started["tcTokenUrl"])
    world.clock.advance(299)
    assert (await world.seal(started, seal_for(started, refresh))).status == 204
    world.clock.advance(119)
    assert world.useid.eid is not None
    await world.useid.eid.service.server_ended("eid-session-1", Minor.INVALID_DOCUMENT)
    assert (await world.status(desktop, started))["reason"] == "document"


async def test_a_phone_whose_desktop_waits_is_not_invited_to_begin_anew(world: World) -> None:
    desktop, phone = world.browser(), world.phone()
    started = await world.start(desktop)
    token = await world.fetch_token(token_url_in(await world.begin_on_phone(phone, started["startUrl"])))
    page = await world.open(phone, with_result(token.refresh_address, ResultMajor="error"))
    assert b'href="/auth/eid"' not in page.body
    same = await world.start(desktop, mode="same-device")
    token = await world.fetch_token(same["tcTokenUrl"])
    page = await world.open(desktop, with_result(token.refresh_address, ResultMajor="error"))
    assert b'href="/auth/eid"' in page.body


async def test_a_login_that_nobody_began_or_finished_in_time_expires(world: World) -> None:
    desktop, phone = world.browser(), world.phone()
    started = await world.start(desktop)
    world.clock.advance(299)
    opened_page = await world.begin_on_phone(phone, started["startUrl"])
    world.clock.advance(299)
    refresh = await world.run_client(token_url_in(opened_page))
    world.clock.advance(299)
    code = code_in(await world.open(phone, refresh))
    world.clock.advance(120)
    late = await world.claim(desktop, started, code=code)
    assert (late.status, late.code) == (410, "session_expired")
    assert (await world.status(desktop, started))["status"] == "expired"
    assert world.server.counters == []


async def test_the_answer_of_the_eid_server_has_its_time_though_the_login_was_about_to_end(world: World) -> None:
    desktop = world.browser()
    started = await world.start(desktop)
    code = await world.to_code(world.phone(), started)
    world.clock.advance(119)
    world.server.hold()
    claiming = asyncio.ensure_future(world.claim(desktop, started, code=code))
    await world.server.until_asked()
    world.clock.advance(15)
    assert (await world.status(desktop, started))["status"] == "claiming"
    world.server.release()
    assert (await claiming).status == 200


async def test_whoever_watches_is_told_when_it_expires(world: World) -> None:
    desktop = world.browser()
    started = await world.start(desktop)
    world.clock.advance(299.99)
    async with desktop.stream(f"/eid/session/{started['sessionId']}/events") as stream:
        assert await stream.next_status() == "waiting"
        world.clock.advance(0.01)
        assert await stream.next_status() == "expired"
        await stream.end()
    assert world.useid.eid is not None
    await world.useid.eid.service.expire(started["sessionId"])
    assert [event.session_id for event in world.heard_of(EIDExpired)] == [started["sessionId"]]


async def test_a_client_that_is_not_done_is_waited_for_and_the_numbers_go_on(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    token = await world.fetch_token(started["tcTokenUrl"])
    for _ in range(2):
        early = await world.open(browser, token.refresh_address)
        assert (early.status, ending_of(early)) == (409, "result_pending")
        assert (await world.status(browser, started))["status"] == "scanned"
    world.server.of(token).answer = EIDResult(ERIKA)
    assert (await world.open(browser, token.refresh_address)).status == 303
    assert world.server.counters == [1, 2, 3]


async def test_a_server_that_was_not_reached_is_asked_again_with_the_same_number(world: World) -> None:
    desktop = world.browser()
    started = await world.start(desktop)
    code = await world.to_code(world.phone(), started)
    world.server.down = "before"
    answer = await world.claim(desktop, started, code=code)
    assert (answer.status, answer.code) == (503, "eid_server_unavailable")
    assert int(answer.header("retry-after")) >= 1
    assert (await world.status(desktop, started))["status"] == "approved"
    world.server.down = ""
    assert (await world.claim(desktop, started, code=code)).status == 200
    assert world.server.counters == [1]


async def test_a_result_that_was_lost_on_the_way_is_not_asked_for_again(world: World) -> None:
    desktop = world.browser()
    started = await world.start(desktop)
    code = await world.to_code(world.phone(), started)
    world.server.down = "after"
    answer = await world.claim(desktop, started, code=code)
    assert (answer.status, answer.code) == (503, "eid_server_unavailable")
    world.server.down = ""
    assert (await world.status(desktop, started))["reason"] == "failed"
    assert (await world.claim(desktop, started, code=code)).code == "wrong_state"
    assert world.server.counters == [1]


async def test_the_login_page_shows_the_widget_and_keeps_where_to_go(world: World) -> None:
    browser = world.browser()
    page = await browser.get("/eid?return=%2Forders")
    assert page.status == 200
    assert b'<useid-eid server="/auth" return-url="/orders"' in page.body
    assert b'<form method="post" action="/auth/eid/plain">' in page.body
    elsewhere = await browser.get("/eid?return=https%3A%2F%2Fevil.example%2F")
    assert b"evil" not in elsewhere.body


async def test_where_the_id_card_is_one_way_of_several_the_login_page_offers_it(world: World) -> None:
    page = await world.browser().get("/login?return=%2Forders")
    assert b'href="/auth/eid?return=%2Forders"' in page.body
    assert b"your ID card" in page.body
    german = await world.browser().get("/login", {"accept-language": "de"})
    assert b"dem Ausweis" in german.body


async def test_where_it_is_the_only_way_the_login_page_leads_to_it() -> None:
    async with opened(qr={"enabled": False}) as world:
        answer = await world.browser().get("/login?return=%2Forders")
        assert (answer.status, answer.header("location")) == (303, "/auth/eid?return=%2Forders")


async def test_pages_speak_the_browsers_language(world: World) -> None:
    phone = world.phone()
    phone.headers["accept-language"] = "de-DE,de;q=0.9"
    started = await world.start(world.browser())
    page = await phone.send("GET", path_of(started["startUrl"]))
    assert '<html lang="de"' in page.body.decode()
    assert "Mit dem Ausweis anmelden" in page.body.decode()
