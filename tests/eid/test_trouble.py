"""The eID server refuses or is away, the store is away, the browser leaves, too many come: typed, and never a 500."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.actors import Answer
from tests.eid.world import (
    CURIOUS,
    ERIKA,
    FORM,
    World,
    ending_of,
    opened,
    path_of,
    person,
    token_url_in,
    with_result,
)
from useid_middleware import LimitSettings, LoginCompleted
from useid_middleware._codec import b64url
from useid_middleware.eid.core.attributes import EIDResult, RestrictedID
from useid_middleware.eid.core.results import Minor
from useid_middleware.errors import EIDServerError
from useid_middleware.waiting.tokens import make_token

JSON = {"content-type": "application/json", "origin": "http://127.0.0.1:8000"}
TENANTS = {
    "tenants": {"shop": {"origins": ("https://shop.example",), "token_urls": ("https://shop.example/eid/tctoken",)}}
}
UNKNOWN = b64url(bytes(16))
SECRET = make_token(UNKNOWN, bytes(16))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened(eid=CURIOUS, embed=TENANTS) as world:
        yield world


# what the eID server does


@pytest.mark.parametrize("minor", [*Minor, "", "urn:unknown", "x" * 10_000])
async def test_every_refusal_of_the_eid_server_is_a_page_and_ends_the_login_unless_there_is_no_result_yet(
    world: World, minor: str
) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    token = await world.fetch_token(started["tcTokenUrl"])
    world.server.of(token).answer = EIDServerError(minor, "getResult: refused")
    page = await world.open(browser, token.refresh_address)
    pending = minor == Minor.NO_RESULT_YET
    assert (page.status, ending_of(page)) == ((409, "result_pending") if pending else (502, "eid_server_refused"))
    assert (await world.status(browser, started))["status"] == ("scanned" if pending else "rejected")
    assert world.heard_of(LoginCompleted) == []


@pytest.mark.parametrize("minor", [*Minor, "", "urn:unknown"])
async def test_every_refusal_to_open_a_session_becomes_a_tctoken_that_says_so(world: World, minor: str) -> None:
    started = await world.start(world.browser(), mode="same-device")
    world.server.refusal = minor or "urn:empty"
    token = await world.fetch_token(started["tcTokenUrl"])
    assert token.is_error
    assert (await world.record(started)).reason == "failed"


async def test_a_key_that_is_none_ends_the_login_before_a_client_has_it(world: World) -> None:
    started = await world.start(world.browser(), mode="same-device")
    world.server.key = "no hexadecimal digits"
    assert (await world.fetch_token(started["tcTokenUrl"])).is_error
    assert (await world.record(started)).reason == "failed"


async def test_a_result_without_a_pseudonym_logs_nobody_in(world: World) -> None:
    for restricted_id in (None, RestrictedID(b"")):
        browser = world.browser()
        started = await world.start(browser, mode="same-device")
        refresh = await world.run_client(started["tcTokenUrl"], data=person(ERIKA, restricted_id=restricted_id))
        page = await world.open(browser, refresh)
        assert (page.status, ending_of(page)) == (502, "eid_server_refused")
    assert world.heard_of(LoginCompleted) == []


async def test_the_eid_server_is_away_in_the_middle_of_everything(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    refresh = await world.run_client(started["tcTokenUrl"])
    world.server.down = "before"
    page = await world.open(browser, refresh)
    assert (page.status, ending_of(page)) == (503, "eid_server_unavailable")
    assert (await world.status(browser, started))["status"] == "scanned"
    world.server.down = "after"
    page = await world.open(browser, refresh)
    assert (page.status, ending_of(page)) == (503, "eid_server_unavailable")
    assert (await world.status(browser, started))["reason"] == "failed"
    world.server.down = ""
    assert ending_of(await world.open(browser, refresh)) == "failed"


@pytest.mark.parametrize("name", ["E\x00RIKA", "E" * 5000])
async def test_a_name_that_no_account_can_have_is_an_error_with_a_code(name: str) -> None:
    settings = {"required": ("RestrictedID", "GivenNames"), "username": "GivenNames"}
    async with opened(eid=settings) as world:
        answer = await world.log_in(world.browser(), data=person(ERIKA, given_names=name))
        assert (answer.status, ending_of(answer)) == (400, "malformed_request")
        assert name not in answer.body.decode()
        assert world.heard_of(LoginCompleted) == []


async def test_a_login_that_ran_out_while_the_eid_server_was_asked_for_a_session_is_told_so(world: World) -> None:
    started = await world.start(world.browser(), mode="same-device")
    world.server.hold()
    fetching = asyncio.ensure_future(world.fetch(started["tcTokenUrl"]))
    await world.server.until_asked()
    world.clock.advance(300)
    world.server.release()
    answer = await fetching
    assert (answer.status, answer.code) == (410, "session_expired")
    assert (await world.record(started)).eid_session == ""


async def test_an_address_that_is_sealed_before_the_client_has_its_tctoken_leads_nowhere(world: World) -> None:
    desktop = world.browser()
    started = await world.start(desktop, mode="integrated")
    world.server.hold()
    fetching = asyncio.ensure_future(world.fetch(started["tcTokenUrl"]))
    await world.server.until_asked()
    await world.seal(started, b64url(bytes(100)))
    world.server.release()
    answer = await fetching
    assert (answer.status, answer.code) == (409, "wrong_state")
    assert world.heard_of(LoginCompleted) == []


# when the store is away


async def test_without_the_store_every_call_says_so(world: World) -> None:
    desktop, phone = world.browser(), world.phone()
    desktop.headers.pop("accept")  # The widget asks by script.
    started = await world.start(desktop)
    opened_page = await world.begin_on_phone(phone, started["startUrl"])
    refresh = await world.run_client(token_url_in(opened_page))
    same = await world.start(phone, mode="same-device")
    world.watched.is_away = True
    for answer in (
        await desktop.post("/eid/start"),
        await desktop.get(f"/eid/session/{started['sessionId']}"),
        await desktop.get(f"/eid/session/{started['sessionId']}/events"),
        await world.claim(desktop, started, code="123456"),
        await world.seal(started, b64url(bytes(100))),
        await world.fetch(same["tcTokenUrl"]),
    ):
        assert (answer.status, answer.code) == (503, "store_unavailable")
        assert int(answer.header("retry-after")) >= 1
    for page in (
        await phone.send("GET", path_of(started["startUrl"])),
        await world.begin_on_phone(phone, started["startUrl"]),
        await world.open(phone, refresh),
        await phone.send("POST", "/auth/eid/plain", b"", {"content-type": FORM}),
    ):
        assert (page.status, ending_of(page)) == (503, "store_unavailable")
    world.watched.is_away = False
    assert (await world.open(phone, refresh)).status == 200


async def test_a_store_that_goes_away_while_the_result_is_fetched_logs_nobody_in(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    refresh = await world.run_client(started["tcTokenUrl"])
    world.server.hold()
    fetching = asyncio.ensure_future(world.open(browser, refresh))
    await world.server.until_asked()
    world.watched.is_away = True
    world.server.release()
    assert ending_of(await fetching) == "store_unavailable"
    world.watched.is_away = False
    assert (await world.status(browser, started))["status"] == "claiming"
    world.clock.advance(400)
    assert (await world.status(browser, started))["status"] == "expired"
    assert world.heard_of(LoginCompleted) == []


async def test_a_browser_that_goes_away_while_the_result_is_fetched_leaves_a_login_that_runs_out(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    refresh = await world.run_client(started["tcTokenUrl"])
    world.server.hold()
    fetching = asyncio.ensure_future(world.open(browser, refresh))
    await world.server.until_asked()
    fetching.cancel()
    await asyncio.wait([fetching])
    assert fetching.cancelled()
    world.clock.advance(400)
    assert (await world.status(browser, started))["status"] == "expired"


async def test_an_error_of_any_step_is_no_reason_for_a_500(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    token = await world.fetch_token(started["tcTokenUrl"])
    session = world.server.of(token)
    session.answer = EIDResult(ERIKA)
    session.counter = 5
    page = await world.open(browser, token.refresh_address)
    assert (page.status, ending_of(page)) == (502, "eid_server_refused")
    assert (await world.record(started)).reason == "failed"


# too much


async def test_each_call_that_costs_something_is_limited_by_address() -> None:
    limits = LimitSettings(per_ip=2, per_account=10, per_key=10)

    async def calls(world: World, started: dict[str, Any]) -> list[Answer]:
        browser = world.browser(ip="192.0.2.77")
        headers = {"content-type": "application/json"}
        sealed = json.dumps({"sealedRefreshUrl": b64url(bytes(100))}).encode()
        await browser.post("/eid/start")
        return [
            await browser.post("/eid/start"),
            await world.claim(browser, started, code="123456"),
            await browser.send("POST", f"/auth/eid/session/{UNKNOWN}/sealed", sealed, headers),
            await browser.send("GET", f"/auth/eid/tctoken/{SECRET}"),
        ]

    async with opened(eid=CURIOUS, limits=limits) as world:
        started = await world.start(world.browser())
        for answer in await calls(world, started):
            assert (answer.status, answer.code) == (429, "rate_limited")
            assert int(answer.header("retry-after")) >= 1
        phone = world.browser(ip="192.0.2.77")
        page = await world.begin_on_phone(phone, started["startUrl"])
        assert (page.status, ending_of(page)) == (429, "rate_limited")
        world.clock.advance(60)
        assert (await world.begin_on_phone(phone, started["startUrl"])).status == 200


async def test_only_so_many_logins_wait_at_once_from_wherever_they_come() -> None:
    async with opened(eid={**CURIOUS, "waiting_limit": 3}) as world:
        answers = [await world.browser(ip=f"192.0.2.{number}").post("/eid/start") for number in range(5)]
        assert [answer.status for answer in answers] == [201, 201, 201, 429, 429]
        assert answers[-1].code == "rate_limited"
        world.clock.advance(300 + 300 / 16)
        assert (await world.browser().post("/eid/start")).status == 201


async def test_who_is_logged_in_or_has_failed_leaves_the_place_to_the_next() -> None:
    async with opened(eid={**CURIOUS, "waiting_limit": 1}) as world:
        for _ in range(2):
            assert (await world.log_in(world.browser())).status == 303
        browser = world.browser()
        started = await world.start(browser, mode="same-device")
        assert (await world.browser().post("/eid/start")).status == 429
        failed = with_result(await world.run_client(started["tcTokenUrl"]), ResultMajor="error")
        await world.open(browser, failed)
        assert (await world.browser().post("/eid/start")).status == 201


async def test_one_browser_may_have_several_logins_under_way(world: World) -> None:
    browser = world.browser()
    one, two = [await world.start(browser, mode="same-device") for _ in range(2)]
    first, second = [await world.run_client(each["tcTokenUrl"]) for each in (one, two)]
    assert (await world.open(browser, with_result(first, ResultMajor="error"))).status == 200
    assert (await world.open(browser, second)).status == 303
