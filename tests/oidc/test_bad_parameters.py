"""Parameters that are doubled, missing, foreign, huge or somebody else's: a page, or a new start, and no login."""

import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode, urlsplit

import pytest

from tests.actors import Browser
from tests.oidc.world import FORM, World, asked, is_page_about, open_world
from useid_middleware import LoginCompleted
from useid_middleware.emulation.provider.answer_faults import MARKUP


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await open_world()
    yield world
    await world.close()


async def assert_nobody_is_logged_in(world: World, browser: Browser) -> None:
    assert "useid-session" not in browser.cookies
    assert await world.who(browser) == ""
    assert world.told(LoginCompleted) == []


# what the browser brings

QUERIES = {
    "nothing": "",
    "no state": "code=x",
    "an empty state": "code=x&state=",
    "a state of another form": "code=x&state=%00%ff",
    "a state twice": "code=x&state={state}&state={state}",
    "a code twice": "code=x&code=y&state={state}",
    "a code and an error": "code=x&error=access_denied&state={state}",
    "10 KB of code": "code=" + "x" * 10_240 + "&state={state}",
    "20 KB of something": "code=x&state={state}&more=" + "x" * 20_480,
    "tokens": "code=x&state={state}&access_token=t",
    "an ID token": "code=x&state={state}&id_token=a.b.c",
    "sixty parameters": "code=x&state={state}&" + "&".join(f"p{number}=1" for number in range(60)),
    "many parameters": "code=x&state={state}&" + "&".join(f"p{number}=1" for number in range(200)),
    "a made-up handle": "posted=" + "A" * 43,
    "a handle of another form": "posted=%2e%2e",
    "an error with markup": "error=%3Cscript%3E&state={state}&" + urlencode({"error_description": MARKUP}),
    "another provider": "code=x&state={state}&iss=https%3A%2F%2Fevil.example",
    "broken encoding": "code=%zz&state={state}&%",
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
async def test_a_callback_that_is_not_as_it_should_be_logs_nobody_in(world: World, query: str) -> None:
    browser = world.browser()
    state = asked(await world.begin(browser))["state"]
    answer = await browser.get(f"/callback?{query.replace('{state}', state)}")
    if answer.status == 303:
        assert answer.header("location") == "/auth/login?provider=op"
        assert "useid-oidc" not in browser.cookies
    else:
        assert answer.status in (400, 403, 502)
        [code] = re.findall("<code>(.*?)</code>", answer.body.decode())
        assert is_page_about(answer, code)
    assert "alert" not in answer.body.decode()
    await assert_nobody_is_logged_in(world, browser)


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
async def test_the_same_from_a_browser_that_began_nothing(world: World, query: str) -> None:
    browser = world.browser()
    answer = await browser.get(f"/callback?{query.replace('{state}', 'A' * 43)}")
    assert answer.status == 400
    assert "<script" not in answer.body.decode()
    assert "alert" not in answer.body.decode()
    assert world.provider.received("/token") == []
    await assert_nobody_is_logged_in(world, browser)


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"code=" + b"x" * 200_000, FORM, "body_too_large"),
        (b'{"code": "x"}', "application/json", "unsupported_media_type"),
        (b"&".join(b"p%d=1" % number for number in range(200)), FORM, "malformed_request"),
    ],
)
async def test_a_posted_response_that_is_not_as_it_should_be_is_answered_by_a_page(
    world: World, body: bytes, content_type: str, code: str
) -> None:
    answer = await world.browser().send("POST", "/auth/callback", body, {"content-type": content_type})
    assert 400 <= answer.status < 500
    assert is_page_about(answer, code)


@pytest.mark.parametrize(
    "code", ["<script>alert(1)</script>", "x" * 100, "javascript:alert(1)", "", "a b", "token_claim_invalid"]
)
async def test_the_page_for_a_code_shows_codes_alone(world: World, code: str) -> None:
    answer = await world.browser().get(f"/error?{urlencode({'code': code})}")
    shown = code if code == "token_claim_invalid" else "unknown"
    assert is_page_about(answer, shown)
    assert "alert" not in answer.body.decode()


# a third party that begins a login


async def test_a_third_party_begins_a_login_by_get_and_by_post(world: World) -> None:
    given = {"iss": world.provider.issuer, "login_hint": "grace", "target_link_uri": "/offers"}
    for browser in (world.browser(), world.browser()):
        query = urlencode(given)
        if not world.heard:
            answer = await browser.get(f"/initiate?{query}")
        else:
            headers = {"content-type": FORM, "origin": "https://portal.example", "sec-fetch-site": "cross-site"}
            answer = await browser.send("POST", "/auth/initiate", query.encode(), headers)
        address = answer.header("location")
        assert asked(address)["login_hint"] == "grace"
        back = await world.come_back(browser, await world.approve(address, person="grace"))
        assert (back.status, back.header("location")) == (303, "/offers")
        assert await world.who(browser) == "grace"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil", ""])
async def test_a_third_party_leads_nobody_elsewhere_after_the_login(world: World, target: str) -> None:
    browser = world.browser()
    query = urlencode({"iss": world.provider.issuer, "target_link_uri": target})
    address = (await browser.get(f"/initiate?{query}")).header("location")
    back = await world.come_back(browser, await world.approve(address))
    assert (back.status, back.header("location")) == (303, "/")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "issuer_unknown"),
        ("iss=https%3A%2F%2Fevil.example", "issuer_unknown"),
        ("iss=http%3A%2F%2F127.0.0.1%3A9000%2F", "issuer_unknown"),
        ("iss=a&iss=b", "malformed_request"),
        ("identifier=ada%40evil.example", "issuer_unknown"),
        ("&".join(f"p{number}=1" for number in range(200)), "malformed_request"),
    ],
)
async def test_a_login_at_a_provider_that_nobody_configured_is_not_begun(world: World, query: str, code: str) -> None:
    browser = world.browser()
    answer = await browser.get(f"/initiate?{query}")
    assert answer.status == 400
    assert is_page_about(answer, code)
    assert browser.cookies == {}
    assert world.provider.requests == []


async def test_a_hint_of_any_length_is_cut_and_of_any_content_is_encoded(world: World) -> None:
    hint = "&redirect_uri=https://evil.example/#" + "x" * 5000
    address = (await world.browser().get(f"/login?{urlencode({'provider': 'op', 'login_hint': hint})}")).header(
        "location"
    )
    assert asked(address)["login_hint"] == hint[:500]
    assert "evil" not in asked(address)["redirect_uri"]
    assert urlsplit(address).fragment == ""
