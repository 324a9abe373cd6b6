"""Whatever comes from outside and is not as it should be: a typed error or a page, and never a 500."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.actors import Answer, Browser
from tests.eid.world import (
    CURIOUS,
    FORM,
    World,
    ending_of,
    opened,
    path_of,
)
from useid_middleware import LoginCompleted
from useid_middleware._codec import b64url
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


# bodies


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"7",
        b'"standard"',
        b"{'mode': 'standard'}",
        b"[" * 5000 + b"]" * 5000,
        b'{"a":' * 2500 + b"1" + b"}" * 2500,
        b"\x00",
        "{}".encode("utf-16"),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(world: World, body: bytes) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="integrated")
    session = f"/auth/eid/session/{started['sessionId']}"
    for path in ("/auth/eid/start", f"{session}/claim", f"{session}/sealed"):
        answer = await browser.send("POST", path, body, JSON)
        assert (answer.status, answer.code) == (400, "malformed_request")


@pytest.mark.parametrize(
    ("call", "body"),
    [
        *(
            ("start", f'{{"{name}": {value}}}')
            for name in ("mode", "returnUrl", "tenant", "tcTokenUrl")
            for value in "1[{"
        ),
        ("start", '{"mode": null}'),
        ("start", '{"mode": ["standard"]}'),
        ("start", '{"tenant": true}'),
        ("start", '{"returnUrl": {"a": 1}}'),
        ("claim", '{"code": 123456}'),
        ("claim", '{"code": null}'),
        ("claim", '{"code": ["123456"]}'),
        ("sealed", "{}"),
        ("sealed", '{"sealedRefreshUrl": null}'),
        ("sealed", '{"sealedRefreshUrl": 7}'),
        ("sealed", '{"sealedrefreshurl": "AAAA"}'),
        ("start", '{"mode": "\\ud800"}'),
        ("claim", '{"code": "\\ud800"}'),
    ],
)
async def test_a_member_of_another_type_is_refused(world: World, call: str, body: str) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="integrated")
    path = "/auth/eid/start" if call == "start" else f"/auth/eid/session/{started['sessionId']}/{call}"
    answer = await browser.send("POST", path, body.encode(), JSON)
    assert (answer.status, answer.code) == (400, "malformed_request")


@pytest.mark.parametrize("content_type", ["", "text/plain", FORM, "multipart/form-data", "application/jsonx", "*/*"])
async def test_a_form_of_another_site_cannot_pass_for_json(world: World, content_type: str) -> None:
    headers = {"content-type": content_type} if content_type else {}
    for path in ("start", f"session/{UNKNOWN}/claim", f"session/{UNKNOWN}/sealed"):
        answer = await world.browser().send("POST", f"/auth/eid/{path}", b'{"mode":"standard"}', headers)
        assert (answer.status, answer.code) == (415, "unsupported_media_type")


async def test_a_body_beyond_the_bound_is_refused_whole_or_in_parts(world: World) -> None:
    body = json.dumps({"sealedRefreshUrl": "A" * 17_000}).encode()
    for path in ("start", "plain", f"session/{UNKNOWN}/claim", f"session/{UNKNOWN}/sealed"):
        headers = {"content-type": FORM} if path == "plain" else JSON
        for chunks in (1, 5):
            answer = await world.browser().send("POST", f"/auth/eid/{path}", body, headers, chunks=chunks)
            assert (answer.status, answer.code) == (413, "body_too_large")


@pytest.mark.parametrize("mode", ["Standard", "standard ", "both", "é", "\x00", "x" * 5000])
async def test_a_mode_that_does_not_exist_is_refused(world: World, mode: str) -> None:
    answer = await world.browser().post("/eid/start", {"mode": mode})
    assert (answer.status, answer.code) == (400, "malformed_request")
    assert answer.json()["message"] == "mode: expected standard or integrated or bound or same-device"


async def test_a_tctoken_address_without_its_site_is_refused(world: World) -> None:
    answer = await world.browser().post("/eid/start", {"tcTokenUrl": "https://shop.example/eid/tctoken"})
    assert (answer.status, answer.code) == (400, "malformed_request")


@pytest.mark.parametrize(
    "code", ["12345", "1234567", "abcdef", "１２３４５６", "12345٣", "-------", "1" * 5000, "\x00"]
)
async def test_what_is_no_code_is_refused_and_costs_no_attempt(world: World, code: str) -> None:
    desktop = world.browser()
    started = await world.start(desktop)
    await world.to_code(world.phone(), started)
    answer = await world.claim(desktop, started, code=code)
    expected = (403, "code_required") if not code.strip("-") else (400, "malformed_request")
    assert (answer.status, answer.code) == expected
    assert (await world.record(started)).attempts == 0


# addresses


@pytest.mark.parametrize(
    "identifier",
    [UNKNOWN, "x", "é", "%00", "%2e%2e", "..", "A" * 21, "A" * 22 + "=", "A" * 4000, "'", "<script>", UNKNOWN + "\n"],
)
async def test_a_login_that_does_not_exist_is_unknown_in_every_call(world: World, identifier: str) -> None:
    browser = world.browser()
    await world.start(browser)
    for answer in (
        await browser.get(f"/eid/session/{identifier}"),
        await browser.get(f"/eid/session/{identifier}/events"),
        await world.claim(browser, {"sessionId": identifier}, code="123456"),
        await world.seal({"sessionId": identifier}, b64url(bytes(100))),
        await world.fetch(f"http://x/auth/eid/tctoken/{identifier}"),
    ):
        assert (answer.status, answer.code) == (404, "session_unknown")
    for page in (
        await browser.get(f"/eid/phone/{identifier}"),
        await world.begin_on_phone(browser, f"http://x/auth/eid/phone/{identifier}"),
        await browser.get(f"/eid/refresh/{identifier}"),
    ):
        assert (page.status, ending_of(page)) == (404, "session_unknown")
        assert "script>" not in page.body.decode()


ROUTES = [
    ("POST", "/eid/start"),
    ("GET", f"/eid/session/{UNKNOWN}"),
    ("GET", f"/eid/session/{UNKNOWN}/events"),
    ("POST", f"/eid/session/{UNKNOWN}/claim"),
    ("POST", f"/eid/session/{UNKNOWN}/sealed"),
    ("GET", f"/eid/tctoken/{SECRET}"),
    ("GET", f"/eid/phone/{SECRET}"),
    ("POST", f"/eid/phone/{SECRET}"),
    ("GET", f"/eid/refresh/{SECRET}"),
    ("POST", "/eid/plain"),
    ("GET", "/eid"),
    ("GET", "/widget"),
    ("GET", "/embed.js"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_method_that_an_address_does_not_have_is_refused(world: World, method: str, path: str) -> None:
    allowed = {each for each, other in ROUTES if other == path} | ({"HEAD"} if ("GET", path) in ROUTES else set())
    for wrong in sorted({"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - allowed):
        answer = await world.browser().send(wrong, f"/auth{path}", b"", JSON)
        assert (answer.status, answer.code) == (405, "method_not_allowed")
        assert answer.header("allow") == ", ".join(sorted(allowed))


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_host_that_is_not_ours_is_refused(world: World, method: str, path: str) -> None:
    browser = world.browser()
    browser.host = "evil.example"
    answer = await browser.send(method, f"/auth{path}", b"{}", {"content-type": "application/json"})
    assert (answer.status, answer.code) == (421, "unknown_host")


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[0] == "POST"])
async def test_a_post_of_another_site_is_refused_everywhere(world: World, method: str, path: str) -> None:
    for headers in (
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        answer = await world.browser().send(method, f"/auth{path}", b"{}", {**JSON, **headers})
        assert (answer.status, answer.code) == (403, "cross_site_request")


@pytest.mark.parametrize(
    "query", ["a=1&" * 101, "ResultMajor=ok&ResultMajor=ok", "%", "=", "&&&", "ResultMajor=%ff", "ResultMajor=%00"]
)
async def test_an_odd_query_at_the_refresh_address_is_a_page_and_leaves_the_login_or_ends_it(
    world: World, query: str
) -> None:
    browser = world.browser()
    started = await world.start(browser, mode="same-device")
    token = await world.fetch_token(started["tcTokenUrl"])
    page = await browser.send("GET", f"{path_of(token.refresh_address)}?{query}")
    assert page.status in (200, 400, 409)
    assert ending_of(page) in ("malformed_request", "result_pending", "failed")
    assert world.heard_of(LoginCompleted) == []


@hypothesis_settings(max_examples=60)
@given(
    method=st.sampled_from(["GET", "POST", "HEAD"]),
    route=st.sampled_from(sorted({path.rpartition("/")[0] for _, path in ROUTES} | {"/eid/session/x"})),
    tail=st.text(st.characters(max_codepoint=255, exclude_characters="?#"), max_size=50),
    query=st.text(st.characters(max_codepoint=126, min_codepoint=33), max_size=50),
    body=st.binary(max_size=100),
    media=st.sampled_from(["application/json", FORM, "text/xml", ""]),
    cookie=st.text(st.characters(max_codepoint=255, min_codepoint=32), max_size=60),
)
def test_no_request_at_all_makes_us_fail(
    method: str, route: str, tail: str, query: str, body: bytes, media: str, cookie: str
) -> None:
    async def send() -> Answer:
        async with opened(eid=CURIOUS, embed=TENANTS) as world:
            headers = {"content-type": media, "cookie": f"useid-browser={cookie}; useid-frame={cookie}"}
            return await Browser(world.app).send(method, f"/auth{route}/{tail}?{query}", body, headers)

    answer = asyncio.run(send())
    assert answer.status < 500
