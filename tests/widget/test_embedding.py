"""The widget in pages of other sites: its script, its page, who may frame it, and the cookie in the frame."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.actors import Answer, Browser
from tests.eid.world import SecureBrowser, World, opened
from useid_middleware.http.cookies import Cookie
from useid_middleware.waiting.browser import BROWSER_COOKIE, FRAME_COOKIE
from useid_middleware.widget.eid_pages import WIDGET_PERMISSIONS

SHOP = {
    "origins": ("https://shop.example", "https://www.shop.example:8443"),
    "token_urls": ("https://shop.example/eid/tctoken", "https://shop.example/eid/more/"),
    "default_target": "https://shop.example/login",
    "theme": "dark",
}
BANK = {
    "origins": ("https://bank.example",),
    "token_urls": ("https://bank.example/tc",),
    "refresh_origins": ("https://id.bank.example",),
}
TENANTS: dict[str, Any] = {"tenants": {"shop": SHOP, "bank": BANK}}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened(embed=TENANTS, origin="https://app.example") as world:
        yield world


def secure(world: World) -> SecureBrowser:
    return SecureBrowser(world.app, host="app.example")


async def framed(world: World, **query: str) -> Answer:
    """The page for a frame."""
    return await secure(world).get(f"/widget?{urlencode(query)}")


def directives(answer: Answer) -> dict[str, str]:
    """The page's policy, by directive."""
    policy = answer.header("content-security-policy")
    pairs = [part.strip().partition(" ") for part in policy.split(";")]
    assert len({name for name, _, _ in pairs}) == len(pairs)
    return {name: value for name, _, value in pairs}


async def test_the_script_that_other_sites_include_is_served_as_one(world: World) -> None:
    answer = await secure(world).get("/embed.js")
    assert (answer.status, answer.header("content-type")) == (200, "text/javascript; charset=utf-8")
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("cache-control") == "public, max-age=0, must-revalidate"
    assert b"iframe" in answer.body
    again = await secure(world).get("/embed.js", {"if-none-match": answer.header("etag")})
    assert (again.status, again.body) == (304, b"")


async def test_where_no_site_embeds_the_widget_there_is_neither_script_nor_page() -> None:
    async with opened() as world:
        for path in ("/embed.js", "/widget", "/widget?id=shop&origin=https%3A%2F%2Fshop.example"):
            assert (await world.browser().get(path)).body == b""  # The host app's.


@pytest.mark.parametrize("origin", SHOP["origins"])
async def test_the_page_may_be_framed_by_the_one_origin_that_asks(world: World, origin: str) -> None:
    page = await framed(world, id="shop", origin=origin)
    assert (page.status, page.header("content-type")) == (200, "text/html; charset=utf-8")
    policy = directives(page)
    assert policy["frame-ancestors"] == origin
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["style-src"] == "'self'"
    assert policy["form-action"] == policy["base-uri"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert page.header("permissions-policy") == WIDGET_PERMISSIONS
    assert "camera=()" in WIDGET_PERMISSIONS
    assert page.header("x-frame-options") == ""
    assert page.header("cache-control") == "no-store"
    assert b"set-cookie" not in dict(page.headers)


async def test_the_page_says_whom_it_speaks_to_and_for_which_site(world: World) -> None:
    page = (await framed(world, id="shop", origin="https://shop.example")).body.decode()
    [element] = re.findall(r"<useid-eid[^>]*>", page)
    assert 'tenant="shop"' in element
    assert 'data-parent-origin="https://shop.example"' in element
    assert 'tc-token-url="https://shop.example/eid/tctoken"' in element
    assert 'back="https://shop.example/login"' in element
    assert 'data-theme="dark"' in page
    assert re.search(r"<script(?![^>]*src=)", page) is None


async def test_the_page_takes_the_tctoken_address_that_the_site_asks_for_if_it_may(world: World) -> None:
    allowed = "https://shop.example/eid/more/x?y=1&z=%22"
    page = await framed(world, id="shop", origin="https://shop.example", tcTokenUrl=allowed)
    assert b'tc-token-url="https://shop.example/eid/more/x?y=1&amp;z=%22"' in page.body
    for other in ("https://evil.example/", "https://shop.example/admin", "https://bank.example/tc", "https://["):
        page = await framed(world, id="shop", origin="https://shop.example", tcTokenUrl=other)
        assert (page.status, page.code) == (403, "token_url_refused")


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"id": "shop"},
        {"origin": "https://shop.example"},
        {"id": "", "origin": "https://shop.example"},
        {"id": "nobody", "origin": "https://shop.example"},
        {"id": "SHOP", "origin": "https://shop.example"},
        {"id": "shop", "origin": "https://evil.example"},
        {"id": "shop", "origin": "https://bank.example"},
        {"id": "shop", "origin": "https://shop.example.evil.example"},
        {"id": "shop", "origin": "https://shop.example/"},
        {"id": "shop", "origin": "https://SHOP.example"},
        {"id": "shop", "origin": "http://shop.example"},
        {"id": "shop", "origin": "https://shop.example:443"},
        {"id": "shop", "origin": "https://www.shop.example"},
        {"id": "shop", "origin": "null"},
        {"id": "shop", "origin": "*"},
        {"id": "shop", "origin": "https://shop.example *"},
        {"id": "shop", "origin": "https://shop.example; script-src *"},
        {"id": "shop", "origin": "https://shop.example\r\nset-cookie: a=b"},
        {"id": "shop", "origin": "https://shop.example\x00"},
    ],
)
async def test_an_origin_that_is_not_registered_gets_no_page(world: World, query: dict[str, str]) -> None:
    answer = await framed(world, **query)
    assert (answer.status, answer.code) == (403, "tenant_unknown")
    assert b"content-security-policy" not in dict(answer.headers)


async def test_a_parameter_that_comes_twice_decides_nothing(world: World) -> None:
    answer = await secure(world).get(
        "/widget?id=shop&origin=https%3A%2F%2Fshop.example&origin=https%3A%2F%2Fevil.example"
    )
    assert (answer.status, answer.code) == (400, "malformed_request")


async def test_the_page_speaks_the_language_that_the_embedding_page_has(world: World) -> None:
    page = await framed(world, id="shop", origin="https://shop.example", lang="de")
    assert b'<html lang="de"' in page.body
    odd = await framed(world, id="shop", origin="https://shop.example", lang='"><script>')
    assert b'<html lang="en"' in odd.body


async def test_our_own_login_pages_are_in_nobodys_frame(world: World) -> None:
    browser = secure(world)
    for path in ("/eid", "/login"):
        assert directives(await browser.get(path))["frame-ancestors"] == "'none'"


async def test_our_own_login_pages_may_ask_for_a_credential_as_every_page_may(world: World) -> None:
    browser = secure(world)
    for path in ("/eid", "/login"):
        # Without a word about it, a page may (WebAuthn Level 3 §5.9).
        assert "publickey-credentials-get" not in (await browser.get(path)).header("permissions-policy")


async def test_in_a_frame_the_cookie_is_partitioned_and_for_frames_alone(world: World) -> None:
    answer = await secure(world).post("/eid/start", {"tenant": "shop"})
    assert answer.status == 201
    [cookie] = [value.decode() for name, value in answer.headers if name == b"set-cookie"]
    name, _, rest = cookie.partition("=")
    assert name == "__Host-useid-frame"
    assert rest.partition("; ")[2].split("; ") == ["Path=/", "HttpOnly", "SameSite=None", "Partitioned", "Secure"]


async def test_on_our_own_page_the_cookie_is_lax_and_not_partitioned(world: World) -> None:
    answer = await secure(world).post("/eid/start")
    [cookie] = [value.decode() for name, value in answer.headers if name == b"set-cookie"]
    assert cookie.startswith("__Host-useid-browser=")
    assert cookie.partition("; ")[2].split("; ") == ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"]


async def test_the_frame_follows_its_login_by_its_own_cookie(world: World) -> None:
    frame = secure(world)
    started = (await frame.post("/eid/start", {"tenant": "bank"})).json()
    assert started["refreshOrigins"] == ["https://id.bank.example"]
    assert list(frame.cookies) == ["__Host-useid-frame"]
    path = f"/eid/session/{started['sessionId']}"
    assert (await frame.get(path)).json()["status"] == "waiting"
    async with frame.stream(f"{path}/events") as stream:
        assert await stream.next_status() == "waiting"
    top = secure(world)
    await top.post("/eid/start")
    assert (await top.get(path)).code == "session_unknown"
    both = secure(world)
    both.cookies = {**top.cookies, **frame.cookies}
    assert (await both.get(path)).json()["status"] == "waiting"


async def test_a_second_login_in_the_frame_keeps_the_cookie(world: World) -> None:
    frame = secure(world)
    await frame.post("/eid/start", {"tenant": "shop"})
    answer = await frame.post("/eid/start", {"tenant": "shop"})
    assert b"set-cookie" not in dict(answer.headers)


async def test_over_plain_http_on_this_machine_the_frames_cookie_can_only_be_lax() -> None:
    async with opened(embed=TENANTS) as world:
        answer = await Browser(world.app).post("/eid/start", {"tenant": "shop"})
        [cookie] = [value.decode() for name, value in answer.headers if name == b"set-cookie"]
        assert cookie.startswith("useid-frame=")
        assert cookie.partition("; ")[2].split("; ") == ["Path=/", "HttpOnly", "SameSite=Lax"]


def test_a_cookie_that_is_not_for_frames_is_never_partitioned() -> None:
    for cookie, apart in ((FRAME_COOKIE, True), (BROWSER_COOKIE, False), (Cookie("useid-x"), False)):
        assert (b"Partitioned" in cookie.set("v", secure=True)[1]) is apart
        assert (b"SameSite=None" in cookie.set("v", secure=True)[1]) is apart
    # A browser removes a partitioned cookie for one that names the same partition alone.
    assert b"Partitioned" in FRAME_COOKIE.clear(secure=True)[1]
