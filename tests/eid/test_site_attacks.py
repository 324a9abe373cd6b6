"""Where a login leads, and what sites that embed the widget may ask for: this site, and their own addresses."""

from collections.abc import AsyncIterator

import pytest

from tests.actors import Browser
from tests.eid.world import (
    CURIOUS,
    World,
    opened,
    seal_for,
)
from useid_middleware import LoginCompleted
from useid_middleware.waiting.tokens import make_token

SHOP = {
    "origins": ("https://shop.example", "https://www.shop.example"),
    "token_urls": ("https://shop.example/eid/tctoken", "https://shop.example/eid/more/"),
    "default_target": "https://shop.example/login",
}
BANK = {
    "origins": ("https://bank.example",),
    "token_urls": ("https://bank.example/tc?service=", "https://bank.example/fixed?a=1"),
}
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


# where a login leads


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/%2f/evil.example",
        "/%5cevil.example",
        "javascript:alert(1)",
        "http://127.0.0.1:8000@evil.example/",
        "http://127.0.0.1:80001/",
        "https://127.0.0.1:8000/",
        "http://127.0.0.1:8000.evil.example/",
        "http://[",
        "orders",
        " /orders",
        "/a\nb",
        "/" + "a" * 2000,
    ],
)
async def test_a_login_leads_to_this_site_alone(world: World, target: str) -> None:
    browser = world.browser()
    answer = await browser.post("/eid/start", {"returnUrl": target})
    assert (answer.status, answer.code) == (400, "return_url_refused")
    assert browser.cookies == {}


# sites that embed the widget


async def test_another_sites_login_is_sealed_and_told_and_never_ours_to_claim(world: World) -> None:
    frame = world.browser()
    started = await world.start(frame, tenant="shop")
    assert (started["mode"], started["startUrl"]) == ("integrated", "")
    assert started["tcTokenUrl"] == "https://shop.example/eid/tctoken"
    assert started["refreshOrigins"] == list(SHOP["origins"])
    sealed = seal_for(started, "https://shop.example/eid/refresh?id=7")
    assert (await world.seal(started, sealed)).status == 204
    told = await world.status(frame, started)
    assert (told["status"], told["sealedRefreshUrl"]) == ("approved", sealed)
    for code in ("", "123456"):
        frame.cookies["useid-browser"] = frame.cookies["useid-frame"]
        assert (await world.claim(frame, started, code=code)).code == "wrong_state"
    assert world.server.sessions == {}
    await assert_nobody_is_logged_in(world, frame)


async def test_another_sites_client_on_the_same_device_is_started_with_that_sites_address(world: World) -> None:
    started = await world.start(world.browser(), tenant="shop", mode="same-device")
    assert started["clientUrl"].endswith("?tcTokenURL=https%3A%2F%2Fshop.example%2Feid%2Ftctoken")
    assert (started["qrData"], started["startUrl"]) == ("", "")
    again = make_token(started["sessionId"], bytes(16))
    assert (await world.fetch(f"http://x/auth/eid/tctoken/{again}")).code == "session_unknown"


async def test_another_sites_login_has_no_page_on_the_phone(world: World) -> None:
    answer = await world.browser().post("/eid/start", {"tenant": "shop", "mode": "standard"})
    assert (answer.status, answer.code) == (400, "malformed_request")


@pytest.mark.parametrize(
    ("tenant", "token_url"),
    [
        ("shop", "https://shop.example/eid/tctoken"),
        ("shop", "https://shop.example/eid/tctoken?session=7"),
        ("shop", "https://shop.example/eid/more/a?b=c"),
        ("bank", "https://bank.example/tc?service=giro"),
    ],
)
async def test_a_site_may_use_its_own_tctoken_addresses(world: World, tenant: str, token_url: str) -> None:
    started = await world.start(world.browser(), tenant=tenant, tcTokenUrl=token_url)
    assert started["tcTokenUrl"] == token_url


@pytest.mark.parametrize(
    "token_url",
    [
        "https://shop.example.evil/eid/tctoken",
        "https://shop.example.evil/eid/more/",
        "https://shop.example@evil.example/eid/more/",
        "https://user@shop.example/eid/tctoken",
        "https://shop.example:8443/eid/tctoken",
        "https://shop.example:443/eid/tctoken",
        "https://SHOP.example/eid/tctoken",
        "https://shop.example./eid/tctoken",
        "http://shop.example/eid/tctoken",
        "https://shop.example/eid/tctoken/other",
        "https://shop.example/eid/tctokens",
        "https://shop.example/eid/TCTOKEN",
        "https://shop.example/eid/more",
        "https://shop.example/eid/more/../../admin",
        "https://shop.example/eid/more/%2e%2e/%2e%2e/admin",
        "https://shop.example/eid/more/%2E%2E/admin",
        "https://shop.example/eid/more/..%2fadmin",
        "https://shop.example/eid/more/..\\admin",
        "https://shop.example\\@evil.example/eid/more/",
        "https://shop.example/eid/more/#x",
        "https://shop.example/eid/more/\tx",
        "https://shop.example/eid/more/\n",
        "https://shop.example/eid/more/ x",
        "https://shop.example/eid/more/ä",
        "https://shop.example/eid/more/" + "a" * 1000,
        "https://shop.example",
        "https://shop.example/",
        "//shop.example/eid/tctoken",
        "/eid/tctoken",
        "javascript:alert(1)",
        "https://[",
        "https://[::1/eid/tctoken",
        "https://bank.example/tc?service=giro",
        "x",
    ],
)
async def test_a_site_may_use_no_other_tctoken_address(world: World, token_url: str) -> None:
    browser = world.browser()
    answer = await browser.post("/eid/start", {"tenant": "shop", "tcTokenUrl": token_url})
    assert (answer.status, answer.code) == (403, "token_url_refused")
    assert browser.cookies == {}


@pytest.mark.parametrize(
    ("token_url", "status"),
    [
        ("https://bank.example/tc?service=", 201),
        ("https://bank.example/tc", 403),
        ("https://bank.example/tc?other=1", 403),
        ("https://bank.example/fixed?a=1", 201),
        ("https://bank.example/fixed?a=1&b=2", 403),
        ("https://bank.example/fixed?a=2", 403),
        ("https://bank.example/fixed", 403),
    ],
)
async def test_an_allowed_address_with_a_query_is_held_to_it(world: World, token_url: str, status: int) -> None:
    answer = await world.browser().post("/eid/start", {"tenant": "bank", "tcTokenUrl": token_url})
    assert answer.status == status


@pytest.mark.parametrize("tenant", ["nobody", "SHOP", "shop ", "../shop", "é", "__proto__"])
async def test_a_site_that_the_settings_do_not_know_embeds_nothing(world: World, tenant: str) -> None:
    answer = await world.browser().post("/eid/start", {"tenant": tenant})
    assert (answer.status, answer.code) == (403, "tenant_unknown")


async def test_a_page_of_another_site_cannot_begin_a_login_itself(world: World) -> None:
    for headers in ({"origin": "https://shop.example"}, {"sec-fetch-site": "cross-site"}):
        for body in ({}, {"tenant": "shop"}):
            answer = await world.browser().post("/eid/start", body, headers)
            assert (answer.status, answer.code) == (403, "cross_site_request")


async def test_without_an_eid_server_only_other_sites_logins_begin() -> None:
    async with opened(without_server=True, embed=TENANTS) as world:
        browser = world.browser()
        answer = await browser.post("/eid/start")
        assert (answer.status, answer.code) == (404, "not_found")
        assert browser.cookies == {}
        started = await world.start(browser, tenant="shop")
        assert (await world.seal(started, seal_for(started, "https://shop.example/"))).status == 204
        for path in ("/eid", "/eid/phone/x", "/eid/refresh/x"):
            assert (await browser.get(path)).body == b""  # The host app's.
