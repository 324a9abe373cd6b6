"""Logins with an ID card, from the first click to the session, in each of the three modes."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.actors import SERVER, Browser
from tests.eid.eid_server import PAOS
from tests.eid.world import (
    CURIOUS,
    FORM,
    World,
    code_in,
    open_world,
    opened,
    path_of,
    scanned_link,
    seal_for,
    token_url_in,
    unseal,
)
from useid_middleware import LoginCompleted
from useid_middleware._codec import b64url
from useid_middleware.eid.core.attributes import Operation, UseIDRequest, Wish
from useid_middleware.eid.core.tctoken import PATH_SECURITY, TCToken
from useid_middleware.events import (
    EIDApproved,
    EIDExpired,
    EIDLoginStarted,
    EIDRejected,
    EIDScanned,
    Question,
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


async def test_on_one_device_the_browser_that_began_is_logged_in_where_the_client_brings_it(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    assert set(started) == {
        *("sessionId", "mode", "expiresAt", "expiresIn", "qrData", "clientUrl", "loopbackUrl", "startUrl"),
        *("tcTokenUrl", "refreshOrigins"),
    }
    assert (started["mode"], started["qrData"], started["startUrl"]) == ("same-device", "", "")
    assert started["clientUrl"].startswith("eid://127.0.0.1:24727/eID-Client?tcTokenURL=http%3A%2F%2F127.0.0.1%3A8000")
    assert started["loopbackUrl"].startswith("http://127.0.0.1:24727/eID-Client?tcTokenURL=")
    assert started["expiresIn"] == 300
    async with browser.stream(f"/eid/session/{started['sessionId']}/events") as stream:
        assert await stream.next_status() == "waiting"
        refresh = await world.run_client(started["tcTokenUrl"])
        assert await stream.next_status() == "scanned"
        answer = await world.open(browser, refresh)
        seen = [await stream.next_status() for _ in range(2)]
        await stream.end()
    assert seen == ["claiming", "claimed"]
    assert (answer.status, answer.header("location")) == (303, "/")
    assert await world.who(browser) == PSEUDONYM
    told = await world.told(browser)
    assert (told["acr"], told["amr"]) == ("L3", ["sc", "pin", "mfa"])
    assert world.names() == ["EIDLoginStarted", "EIDScanned", "UserCreated", "LoginSucceeded", "LoginCompleted"]
    [session] = world.server.sessions.values()
    assert (session.request, session.is_over, world.server.counters) == (ASKED, True, [1])


async def test_events_say_which_login_and_in_which_mode(world: World) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    await world.open(browser, await world.run_client(started["tcTokenUrl"]))
    assert world.heard_of(EIDLoginStarted) == [EIDLoginStarted(world.clock.now, started["sessionId"], "same-device")]
    assert world.heard_of(EIDScanned) == [EIDScanned(world.clock.now, started["sessionId"])]
    [completed] = world.heard_of(LoginCompleted)
    assert (completed.provider, completed.level.name) == ("eid", "L3")


async def test_a_browser_without_javascript_logs_in_by_a_form_and_a_link(world: World) -> None:
    browser = world.browser()
    headers = {"content-type": FORM, "origin": "http://127.0.0.1:8000"}
    opened_page = await browser.send("POST", "/auth/eid/plain", b"returnUrl=%2Forders", headers)
    assert b"http://127.0.0.1:24727/eID-Client?tcTokenURL=" in opened_page.body
    answer = await world.open(browser, await world.run_client(token_url_in(opened_page)))
    assert (answer.status, answer.header("location")) == (303, "/orders")
    assert await world.who(browser) == PSEUDONYM


async def test_on_two_devices_the_code_of_the_phone_logs_the_desktop_in(world: World) -> None:
    desktop, phone = world.browser(), world.phone()
    started = await world.start(desktop)
    assert (started["mode"], started["qrData"]) == ("standard", started["startUrl"])
    assert (started["clientUrl"], started["loopbackUrl"], started["tcTokenUrl"]) == ("", "", "")
    async with desktop.stream(f"/eid/session/{started['sessionId']}/events") as stream:
        assert await stream.next_status() == "waiting"
        page = await phone.send("GET", path_of(started["startUrl"]))
        assert (page.status, b"Example" in page.body, b"http://127.0.0.1:8000" in page.body) == (200, True, True)
        assert "useid-browser" not in phone.cookies
        opened_page = await world.begin_on_phone(phone, started["startUrl"])
        assert await stream.next_status() == "scanned"
        refresh = await world.run_client(token_url_in(opened_page))
        code = code_in(await world.open(phone, refresh))
        name, data = await stream.next()
        while data["status"] != "approved":
            name, data = await stream.next()
        assert (name, data["codeRequired"], "sealedRefreshUrl" in data) == ("status", True, False)
        assert await world.who(desktop) == ""
        answer = await world.claim(desktop, started, code=code)
        assert await stream.next_status() == "claiming"
        assert await stream.next_status() == "claimed"
        await stream.end()
    assert answer.status == 200
    assert answer.json() == {
        "redirectTo": "/",
        "userId": world.heard_of(LoginCompleted)[0].account_id,
        "username": PSEUDONYM,
        "acr": "L1",
        "amr": ["sc", "pin", "mfa", "mca"],
    }
    assert await world.who(desktop) == PSEUDONYM
    assert await world.who(phone) == ""
    assert world.names() == [
        *("EIDLoginStarted", "EIDScanned", "EIDApproved", "UserCreated", "LoginSucceeded", "LoginCompleted"),
    ]


async def test_a_browser_keeps_its_cookie_from_one_login_to_the_next(world: World) -> None:
    desktop, phone = world.browser(), world.phone()
    for expected in (True, False):
        answer = await desktop.post("/eid/start")
        assert (b"set-cookie" in dict(answer.headers)) is expected
        page = await world.begin_on_phone(phone, answer.json()["startUrl"])
        assert (b"set-cookie" in dict(page.headers)) is expected


@pytest.mark.parametrize("typed", ["{0}{1}", "{0} {1}", "{0}-{1}"])
async def test_the_code_may_be_typed_as_people_type(world: World, typed: str) -> None:
    desktop = world.browser()
    started = await world.start(desktop)
    code = await world.to_code(world.phone(), started)
    answer = await world.claim(desktop, started, code=typed.format(*code.split()))
    assert answer.status == 200


async def test_a_client_that_knows_the_widget_seals_the_way_back_for_it(world: World) -> None:
    desktop = world.browser()
    started = await world.start(desktop, mode="integrated", returnUrl="/orders")
    assert started["qrData"] == started["clientUrl"]
    assert started["refreshOrigins"] == ["http://127.0.0.1:8000"]
    link = scanned_link(started)
    assert (link.tc_token_url, link.widget.session_id) == (started["tcTokenUrl"], started["sessionId"])
    assert link.widget.server == SERVER
    async with desktop.stream(f"/eid/session/{started['sessionId']}/events") as stream:
        refresh = await world.run_client(link.tc_token_url)
        sealed = seal_for(started, refresh)
        assert (await world.seal(started, sealed)).status == 204
        name, data = await stream.next()
        while data["status"] != "approved":
            name, data = await stream.next()
        assert (name, data["codeRequired"], data["sealedRefreshUrl"]) == ("status", False, sealed)
        answer = await world.open(desktop, unseal(started, data["sealedRefreshUrl"]))
        assert await stream.next_status() == "claiming"
        assert await stream.next_status() == "claimed"
    assert (answer.status, answer.header("location")) == (303, "/orders")
    told = await world.told(desktop)
    assert (told["acr"], told["amr"]) == ("L3", ["sc", "pin", "mfa"])
    assert world.names() == [
        *("EIDLoginStarted", "EIDScanned", "EIDApproved", "UserCreated", "LoginSucceeded", "LoginCompleted"),
    ]


async def test_those_who_poll_learn_the_same_as_those_who_listen(world: World) -> None:
    desktop = world.browser()
    started = await world.start(desktop, mode="integrated")
    assert (await world.status(desktop, started))["status"] == "waiting"
    refresh = await world.run_client(started["tcTokenUrl"])
    assert (await world.status(desktop, started))["status"] == "scanned"
    sealed = seal_for(started, refresh)
    await world.seal(started, sealed)
    polled = await world.status(desktop, started)
    assert (polled["status"], polled["sealedRefreshUrl"]) == ("approved", sealed)
    await world.open(desktop, refresh)
    assert (await world.status(desktop, started))["status"] == "claimed"


@pytest.mark.parametrize(("setting", "mode"), [("standard", "standard"), ("integrated", "integrated")])
async def test_the_settings_say_which_client_phones_have(setting: str, mode: str) -> None:
    async with opened(eid={"client": setting}) as world:
        assert (await world.start(world.browser()))["mode"] == mode


async def test_the_tctoken_names_server_session_key_and_way_back(world: World) -> None:
    started = await world.start(world.browser(), mode="same-device")
    answer = await world.fetch(started["tcTokenUrl"])
    assert answer.header("content-type") == "text/xml; charset=utf-8"
    assert answer.header("cache-control") == "no-store"
    started = await world.start(world.browser(), mode="same-device")
    token = await world.fetch_token(started["tcTokenUrl"])
    assert token == TCToken(
        server_address=PAOS,
        session_identifier="psk-2",
        refresh_address=token.refresh_address,
        communication_error_address=token.refresh_address,
        path_security=PATH_SECURITY,
        psk=(2).to_bytes(32, "big"),
    )
    assert token.refresh_address.startswith(f"{SERVER}/eid/refresh/{started['sessionId']}")


@pytest.mark.parametrize(
    ("settings", "address"),
    [({}, f"{SERVER}/eid/paos"), ({"paos_address": "https://paos.example/here"}, "https://paos.example/here")],
)
async def test_where_the_eid_server_does_not_say_where_it_is_the_settings_do(
    settings: dict[str, str], address: str
) -> None:
    async with opened(eid=settings) as world:
        world.server.address, world.server.with_key = "", False
        started = await world.start(world.browser(), mode="same-device")
        token = await world.fetch_token(started["tcTokenUrl"])
        assert (token.server_address, token.session_identifier) == (address, "eid-session-1")
        assert (token.path_security, token.psk) == ("", b"")


async def test_the_eid_server_is_opened_with_the_plugin_and_closed_with_it() -> None:
    world = await open_world()
    seen = [world.server.is_open]
    await world.start(world.browser())
    seen.append(world.server.is_open)
    await world.useid.stop()
    assert [*seen, world.server.is_open] == [False, True, False]


async def test_scripts_that_carry_the_session_themselves_are_handed_it() -> None:
    async with opened(sessions={"bearer": True}) as world:
        desktop = world.browser()
        started = await world.start(desktop)
        answer = (await world.claim(desktop, started, code=await world.to_code(world.phone(), started))).json()
        assert answer["sessionToken"] == desktop.cookies["useid-session"]
        bearer = Browser(world.app, headers={"authorization": f"Bearer {answer['sessionToken']}"})
        assert await world.who(bearer) == PSEUDONYM


async def test_mounted_below_another_path_all_addresses_have_it(world: World) -> None:
    class Mounted(Browser):
        def scope(self, method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
            return {**super().scope(method, path, headers), "root_path": "/shop", "path": f"/shop{path}"}

    answer = await Mounted(world.app).post("/eid/start", {"mode": "integrated"})
    started = answer.json()
    assert started["tcTokenUrl"].startswith("http://127.0.0.1:8000/shop/auth/eid/tctoken/")
    assert scanned_link(started).widget.server == "http://127.0.0.1:8000/shop/auth"


async def test_session_ids_and_secrets_are_16_random_bytes_each(world: World) -> None:
    one, two = await world.start(world.browser()), await world.start(world.browser())
    assert one["sessionId"] != two["sessionId"]
    assert len(one["sessionId"]) == len(b64url(bytes(16)))
    secrets = [started["startUrl"].rpartition("/")[2].removeprefix(started["sessionId"]) for started in (one, two)]
    assert len(set(secrets)) == 2
    assert {len(secret) for secret in secrets} == {22}


def test_every_event_about_an_eid_login_is_a_fact() -> None:
    for kind in (EIDLoginStarted, EIDScanned, EIDApproved, EIDRejected, EIDExpired):
        assert not issubclass(kind, Question)
        assert not kind.may_refuse


async def test_the_users_own_page_lists_the_session_as_what_it_is(world: World) -> None:
    browser = world.browser()
    await world.log_in(browser)
    [session] = json.loads((await browser.get("/sessions")).body)["sessions"]
    assert (session["current"], session["acr"], session["amr"]) == (True, "L3", ["sc", "pin", "mfa"])
