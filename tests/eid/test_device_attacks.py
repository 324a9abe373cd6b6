"""Attacks on a login on two devices: by its start page, its code, its sealed address, and by those who know its id."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.actors import Browser
from tests.eid.world import (
    CURIOUS,
    FORM,
    MAX,
    World,
    code_in,
    ending_of,
    opened,
    path_of,
    seal_for,
    token_url_in,
    unseal,
    with_result,
)
from useid_middleware import LoginCompleted
from useid_middleware._codec import b64url
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


# the page on the phone


async def test_a_link_preview_that_looks_at_the_start_page_changes_nothing(world: World) -> None:
    desktop, phone, preview = world.browser(), world.phone(), world.browser(ip="203.0.113.9")
    started = await world.start(desktop)
    before = await world.record(started)
    for method in ("GET", "HEAD", "GET"):
        answer = await preview.send(method, path_of(started["startUrl"]))
        assert answer.status == 200
        assert b"eid://" not in answer.body
        assert b"tctoken" not in answer.body
    assert preview.cookies == {}
    assert await world.record(started) == before
    assert world.heard_of(EIDScanned) == []
    assert (await world.begin_on_phone(phone, started["startUrl"])).status == 200


async def test_the_second_phone_is_told_that_it_came_too_late(world: World) -> None:
    desktop, phone, other = world.browser(), world.phone(), world.browser(ip="203.0.113.9")
    started = await world.start(desktop)
    refresh = await world.run_client(token_url_in(await world.begin_on_phone(phone, started["startUrl"])))
    late = await world.begin_on_phone(other, started["startUrl"])
    assert (late.status, ending_of(late)) == (409, "wrong_state")
    looked = await other.send("GET", path_of(started["startUrl"]))
    assert (looked.status, ending_of(looked)) == (409, "wrong_state")
    assert ending_of(await world.open(other, refresh)) == "browser_cookie_missing"
    code_in(await world.open(phone, refresh))


async def test_of_two_phones_at_once_one_has_the_login(world: World) -> None:
    started = await world.start(world.browser())
    pages = await asyncio.gather(*(world.begin_on_phone(world.phone(), started["startUrl"]) for _ in range(5)))
    assert sorted(page.status for page in pages) == [200, 409, 409, 409, 409]
    assert len(world.heard_of(EIDScanned)) == 1


async def test_of_many_visits_of_the_phone_at_the_same_instant_one_is_shown_the_code(world: World) -> None:
    phone = world.phone()
    started = await world.start(world.browser())
    refresh = await world.run_client(token_url_in(await world.begin_on_phone(phone, started["startUrl"])))
    pages = await asyncio.gather(*(world.open(phone, refresh) for _ in range(5)))
    assert sorted(page.status for page in pages) == [200, 409, 409, 409, 409]
    assert len(world.heard_of(EIDApproved)) == 1


async def test_a_page_of_another_site_cannot_begin_for_the_phones_user(world: World) -> None:
    started = await world.start(world.browser())
    phone = world.phone()
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        answer = await phone.send("POST", path_of(started["startUrl"]), b"", {"content-type": FORM, **headers})
        assert (answer.status, answer.code) == (403, "cross_site_request")
    assert world.heard_of(EIDScanned) == []


async def test_a_start_page_is_found_by_its_whole_secret_alone(world: World) -> None:
    started = await world.start(world.browser())
    phone = world.phone()
    for guess in (started["sessionId"], make_token(started["sessionId"], bytes(16)), "x"):
        looked = await phone.get(f"/eid/phone/{guess}")
        assert (looked.status, ending_of(looked)) == (404, "session_unknown")
        begun = await world.begin_on_phone(phone, f"http://x/auth/eid/phone/{guess}")
        assert (begun.status, ending_of(begun)) == (404, "session_unknown")


# the code


async def test_five_wrong_codes_end_the_login_and_the_right_one_comes_too_late(world: World) -> None:
    desktop = world.browser()
    started = await world.start(desktop)
    code = (await world.to_code(world.phone(), started)).replace(" ", "")
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    missing = await world.claim(desktop, started)
    assert (missing.status, missing.code, missing.json()["attemptsLeft"]) == (403, "code_required", 5)
    for left in (4, 3, 2, 1, 0):
        answer = await world.claim(desktop, started, code=wrong)
        assert (answer.status, answer.code, answer.json()["attemptsLeft"]) == (403, "code_wrong", left)
    assert (await world.claim(desktop, started, code=code)).code == "wrong_state"
    assert (await world.status(desktop, started))["reason"] == "code"
    assert [event.reason for event in world.heard_of(EIDRejected)] == ["code"]
    assert world.server.counters == []
    await assert_nobody_is_logged_in(world, desktop)


async def test_wrong_codes_at_once_cost_an_attempt_each_or_do_not_count(world: World) -> None:
    desktop = world.browser()
    started = await world.start(desktop)
    code = (await world.to_code(world.phone(), started)).replace(" ", "")
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    answers = await asyncio.gather(*(world.claim(desktop, started, code=wrong) for _ in range(20)))
    tried = sum(answer.code == "code_wrong" for answer in answers)
    assert {answer.code for answer in answers} <= {"code_wrong", "wrong_state"}
    assert (await world.record(started)).attempts == tried <= 5


async def test_a_code_before_the_phone_is_done_is_worth_nothing_and_costs_nothing(world: World) -> None:
    desktop = world.browser()
    started = await world.start(desktop)
    for code in ("", "123456"):
        assert (await world.claim(desktop, started, code=code)).code == "wrong_state"
    assert (await world.record(started)).attempts == 0


async def test_the_code_of_one_login_does_not_claim_another(world: World) -> None:
    desktop, mallory = world.browser(), world.browser()
    ours, his = await world.start(desktop), await world.start(mallory)
    code = await world.to_code(world.phone(), ours)
    his_code = await world.to_code(world.browser(ip="203.0.113.1"), his, data=MAX)
    assert (await world.claim(mallory, ours, code=code)).code == "session_unknown"
    assert (await world.claim(world.browser(), ours, code=code)).code == "browser_cookie_missing"
    if his_code != code:
        assert (await world.claim(mallory, his, code=code)).code == "code_wrong"
    await assert_nobody_is_logged_in(world, desktop, mallory)


async def test_of_many_claims_at_once_one_logs_in(world: World) -> None:
    desktop = world.browser()
    started = await world.start(desktop)
    code = await world.to_code(world.phone(), started)
    world.server.hold()
    first = asyncio.ensure_future(world.claim(desktop, started, code=code))
    await world.server.until_asked()
    others = await asyncio.gather(*(world.claim(desktop, started, code=code) for _ in range(5)))
    assert {answer.code for answer in others} == {"wrong_state"}
    world.server.release()
    assert (await first).status == 200
    assert world.server.counters == [1]
    assert len(world.heard_of(LoginCompleted)) == 1


async def test_of_many_visits_at_the_same_instant_one_asks_the_eid_server(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    refresh = await world.run_client(started["tcTokenUrl"])
    answers = await asyncio.gather(*(world.open(browser, refresh) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [303, 409, 409, 409, 409]
    assert world.server.counters == [1]
    assert len(world.heard_of(LoginCompleted)) == 1


async def test_of_two_visits_to_the_refresh_address_at_once_one_logs_in(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    refresh = await world.run_client(started["tcTokenUrl"])
    world.server.hold()
    first = asyncio.ensure_future(world.open(browser, refresh))
    await world.server.until_asked()
    assert ending_of(await world.open(browser, refresh)) == "wrong_state"
    world.server.release()
    assert (await first).status == 303
    assert world.server.counters == [1]


async def test_a_login_that_is_cancelled_while_its_result_is_fetched_logs_nobody_in(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    refresh = await world.run_client(started["tcTokenUrl"])
    world.server.hold()
    fetching = asyncio.ensure_future(world.open(browser, refresh))
    await world.server.until_asked()
    cancelled = await world.open(browser, with_result(refresh, ResultMajor="error", ResultMinor="cancellationByUser"))
    assert ending_of(cancelled) == "cancelled"
    world.server.release()
    assert ending_of(await fetching) == "session_unknown"
    await assert_nobody_is_logged_in(world, browser)


async def test_a_result_that_comes_after_the_time_to_claim_logs_nobody_in(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    refresh = await world.run_client(started["tcTokenUrl"])
    world.server.hold()
    fetching = asyncio.ensure_future(world.open(browser, refresh))
    await world.server.until_asked()
    world.clock.advance(1000)
    assert world.useid.eid is not None
    await world.useid.eid.service.expire(started["sessionId"])
    world.server.release()
    assert ending_of(await fetching) == "session_unknown"
    await assert_nobody_is_logged_in(world, browser)


# the sealed refresh address


async def test_a_sealed_address_is_taken_once(world: World) -> None:
    desktop = world.browser()
    started = await world.start(desktop, mode="integrated")
    sealed = seal_for(started, await world.run_client(started["tcTokenUrl"]))
    assert (await world.seal(started, sealed)).status == 204
    other = await world.seal(started, seal_for(started, "https://evil.example/"))
    assert (other.status, other.code) == (409, "wrong_state")
    assert (await world.status(desktop, started))["sealedRefreshUrl"] == sealed


async def test_of_many_sealed_addresses_at_once_one_is_taken(world: World) -> None:
    started = await world.start(world.browser(), mode="integrated")
    sealed = seal_for(started, await world.run_client(started["tcTokenUrl"]))
    answers = await asyncio.gather(*(world.seal(started, sealed) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [204, 409, 409, 409, 409]
    assert len(world.heard_of(EIDApproved)) == 1


@pytest.mark.parametrize(
    "sealed", ["", "x", "A" * 4097, b64url(bytes(28)), "é" * 60, "A" * 60 + "=", "<script>" * 10, "A" * 10_000]
)
async def test_a_sealed_address_that_cannot_be_one_is_refused(world: World, sealed: str) -> None:
    started = await world.start(world.browser(), mode="integrated")
    await world.run_client(started["tcTokenUrl"])
    answer = await world.seal(started, sealed)
    assert (answer.status, answer.code) == (400, "sealed_invalid")
    assert world.heard_of(EIDApproved) == []


async def test_a_sealed_address_before_the_tctoken_or_for_another_mode_is_refused(world: World) -> None:
    blob = b64url(bytes(100))
    integrated = await world.start(world.browser(), mode="integrated")
    same = await world.start(world.browser(), mode="same-device")
    standard = await world.start(world.browser())
    await world.run_client(same["tcTokenUrl"])
    for started in (integrated, same, standard):
        answer = await world.seal(started, blob)
        assert (answer.status, answer.code) == (409, "wrong_state")
    assert (await world.seal({"sessionId": b64url(bytes(16))}, blob)).code == "session_unknown"
    assert (await world.seal({"sessionId": "x"}, blob)).code == "session_unknown"


async def test_a_sealed_address_of_an_onlooker_leads_the_desktop_to_no_login(world: World) -> None:
    desktop, mallory = world.browser(), world.browser(ip="203.0.113.1")
    ours = await world.start(desktop, mode="integrated")
    his = await world.start(mallory, mode="same-device")
    await world.run_client(ours["tcTokenUrl"])
    refresh = await world.run_client(his["tcTokenUrl"], data=MAX)
    # He saw the QR code, so he knows its secret, and would have the victim logged in as himself.
    assert (await world.seal(ours, seal_for(ours, refresh))).status == 204
    sealed = (await world.status(desktop, ours))["sealedRefreshUrl"]
    answer = await world.open(desktop, unseal(ours, sealed))
    assert ending_of(answer) == "browser_cookie_missing"
    await assert_nobody_is_logged_in(world, desktop, mallory)


@pytest.mark.parametrize("mode", ["integrated", "same-device"])
async def test_only_a_login_by_code_is_claimed_by_code(world: World, mode: str) -> None:
    desktop = world.browser()
    started = await world.start(desktop, mode=mode)
    refresh = await world.run_client(started["tcTokenUrl"])
    for code in ("", "000000"):
        assert (await world.claim(desktop, started, code=code)).code == "wrong_state"
    if mode == "integrated":
        await world.seal(started, seal_for(started, refresh))
        for code in ("", "000000"):
            assert (await world.claim(desktop, started, code=code)).code == "wrong_state"
    await assert_nobody_is_logged_in(world, desktop)
    assert (await world.open(desktop, refresh)).status == 303


# those who only know the id


@pytest.mark.parametrize("mode", ["standard", "integrated", "same-device"])
async def test_the_id_alone_opens_neither_stream_nor_snapshot_and_claims_nothing(world: World, mode: str) -> None:
    desktop, onlooker, other = world.browser(), world.browser(), world.browser()
    started = await world.start(desktop, mode=mode)
    await world.start(other, mode=mode)
    path = f"/eid/session/{started['sessionId']}"
    for address in (path, f"{path}/events"):
        answer = await onlooker.get(address)
        assert (answer.status, answer.code) == (401, "browser_cookie_missing")
        answer = await other.get(address)
        assert (answer.status, answer.code) == (404, "session_unknown")
    for browser, code in ((onlooker, "browser_cookie_missing"), (other, "session_unknown")):
        assert (await world.claim(browser, started, code="123456")).code == code


async def test_the_frames_cookie_is_not_the_sites_cookie(world: World) -> None:
    frame = world.browser()
    started = await world.start(frame, tenant="shop")
    assert list(frame.cookies) == ["useid-frame"]
    top = world.browser()
    top.cookies["useid-browser"] = frame.cookies["useid-frame"]
    ours = await world.start(top, mode="same-device")
    assert (await world.status(frame, started))["status"] == "waiting"
    refresh = await world.run_client(ours["tcTokenUrl"])
    # In the frame of another site's page nobody comes back from a client.
    assert ending_of(await world.open(frame, refresh)) == "browser_cookie_missing"
