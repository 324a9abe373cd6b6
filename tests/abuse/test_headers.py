"""Cookies of other deployments, garbage in their place, and headers that come twice: each has a defined answer."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests.abuse.world import HOST, Scene, World, opened
from tests.actors import Answer, Browser
from tests.oidc.world import opened as at_provider
from tests.qr.conftest import Clock, host_app, make_settings
from useid_middleware import Events, UseID, UseIDMiddleware
from useid_middleware._codec import b64url

OTHER: Final = b64url(b"\x07" * 32)
#: In the place of a cookie's value.
GARBAGE: Final = (
    "",
    " ",
    "x",
    "A" * 42,
    "A" * 44,
    "A" * 42 + "B",  # A spelling that no 32 bytes have.
    "A" * 8192,
    "\xff\xfe" * 30,
    '"' + "A" * 43 + '"',
    "A" * 43 + "=",
    "%41" * 43,
    "../../etc/passwd",
    "' OR 1=1 --",
    "__Host-useid-session=",
    "A" * 21 + "\x00" + "A" * 21,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as world:
        yield world


@dataclass
class RawBrowser(Browser):
    """A client that sends headers that no browser would, behind those that it does."""

    raw: list[tuple[str, str]] = field(default_factory=list)

    def scope(self, method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
        """See :meth:`Browser.scope`."""
        scope = super().scope(method, path, headers)
        scope["headers"] += [(name.encode(), value.encode("latin-1")) for name, value in self.raw]
        return scope


def raw(browser: Browser, *headers: tuple[str, str]) -> RawBrowser:
    """The same browser with more headers."""
    return RawBrowser(
        browser.app, ip=browser.ip, headers=browser.headers, cookies=browser.cookies, host=browser.host, raw=[*headers]
    )


async def who(browser: Browser) -> bytes:
    """Whom the host app sees."""
    return (await browser.send("GET", "/")).body


# Cookies


@pytest.mark.parametrize("value", GARBAGE, ids=lambda value: ascii(value)[:24])
async def test_garbage_in_the_place_of_a_cookie_is_no_cookie(world: World, value: str) -> None:
    scene = await Scene.set(world)
    session = replace(scene.alice, cookies={"useid-session": value})
    assert await who(session) == b""
    assert (await session.get("/sessions")).code == "login_required"
    browser = replace(scene.desktop, cookies={"useid-browser": value})
    assert (await browser.get(f"/session/{scene.session_id}")).code == "browser_cookie_missing"
    claim = await browser.post(f"/session/{scene.session_id}/claim", {"code": "123456"})
    assert claim.code == "browser_cookie_missing"
    # Whoever begins a login with it gets a cookie of ours.
    assert (await browser.post("/session/create")).header("set-cookie").startswith("useid-browser=")


async def test_a_cookie_as_large_as_headers_may_be_hides_none_of_ours(world: World) -> None:
    scene = await Scene.set(world)
    stuffed = replace(scene.alice, cookies={"other": "x" * 8192, **scene.alice.cookies, "more": "y" * 8192})
    assert (await who(stuffed)).startswith(b"alice")


@pytest.mark.parametrize("cookie", ["useid-session", "useid-browser"])
async def test_a_cookie_that_comes_twice_is_none_unless_it_says_the_same(world: World, cookie: str) -> None:
    scene = await Scene.set(world)
    own = scene.alice if cookie == "useid-session" else scene.desktop
    value = own.cookies[cookie]

    async def status(*headers: str) -> int:
        browser = raw(replace(own, cookies={}), *(("cookie", header) for header in headers))
        path = "/sessions" if cookie == "useid-session" else f"/session/{scene.session_id}"
        return (await browser.get(path)).status

    assert await status(f"{cookie}={value}") == 200
    assert await status(f"{cookie}={value}; {cookie}={value}") == 200
    assert await status(f"{cookie}={value}", f"{cookie}={value}") == 200
    for other in (OTHER, "x", ""):
        assert await status(f"{cookie}={value}; {cookie}={other}") == 401
        assert await status(f"{cookie}={other}; {cookie}={value}") == 401
        assert await status(f"{cookie}={value}", f"{cookie}={other}") == 401
        assert await status(f"{cookie}={other}", f"{cookie}={value}") == 401


async def test_cookies_of_another_deployment_open_nothing(tmp_path: Path) -> None:
    clock, url = Clock(), f"sqlite:///{tmp_path}/useid.db"
    # Two on one file, kept apart by their prefixes; and one with a file of its own.
    deployments = [
        UseIDMiddleware(host_app, useid=UseID(make_settings(**values), Events(), clock=clock))
        for values in (
            {"store": url, "key_prefix": "one:"},
            {"store": url, "key_prefix": "other:"},
            {"store": f"sqlite:///{tmp_path}/own.db"},
        )
    ]
    browsers, sessions = [Browser(app) for app in deployments], []
    for browser in browsers:
        await browser.send("GET", "/as/alice")
        sessions.append((await browser.post("/session/create")).json()["sessionId"])
    for number, browser in enumerate(browsers):
        for other, app in enumerate(deployments):
            there = replace(browser, app=app, cookies=dict(browser.cookies))
            assert (await who(there)).startswith(b"alice") == (number == other)
            for of, session_id in enumerate(sessions):
                status = (await there.get(f"/session/{session_id}")).status
                assert status == (200 if number == other == of else 404)
    for app in deployments:
        await app.useid.stop()


async def test_a_cookie_of_a_plain_origin_is_none_on_a_secure_one(world: World) -> None:
    scene = await Scene.set(world)
    secure = replace(scene.alice, app=world.plugin(origin=f"https://{HOST}", eid={}), cookies=dict(scene.alice.cookies))
    assert await who(secure) == b""
    secure.cookies["__Host-useid-session"] = scene.alice.cookies["useid-session"]
    assert (await who(secure)).startswith(b"alice")


async def test_the_cookie_of_an_attempt_of_another_deployment_is_that_of_another_browser() -> None:
    async with at_provider() as one, at_provider() as other:
        browser, stranger = one.browser(), other.browser()
        arrival = await one.approve(await one.begin(browser))
        await other.begin(stranger)
        browser.cookies = dict(stranger.cookies)
        answer = await one.come_back(browser, arrival)
        assert answer.status == 303
        assert answer.header("location").startswith("/auth/login")
        assert "useid-session" not in browser.cookies


# Headers that come twice


async def created(browser: Browser) -> Answer:
    return await browser.post("/session/create")


@pytest.mark.parametrize(
    "headers",
    [
        [("origin", "https://evil.example")],
        [("origin", "null")],
        [("origin", "https://evil.example"), ("origin", f"http://{HOST}")],
        [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-origin")],
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-site")],
        [("sec-fetch-site", "same-origin, cross-site")],
    ],
)
async def test_of_an_origin_that_comes_twice_each_has_to_be_ours(world: World, headers: list[tuple[str, str]]) -> None:
    scene = await Scene.set(world)
    assert (await created(raw(scene.desktop, ("origin", f"http://{HOST}")))).status == 201
    answer = await created(raw(scene.desktop, *headers))
    assert (answer.status, answer.code) == (403, "cross_site_request")


async def test_of_a_host_that_comes_twice_neither_is_believed(world: World) -> None:
    scene = await Scene.set(world)
    assert (await created(raw(scene.desktop, ("host", HOST)))).status == 201
    for host in ("evil.example", "127.0.0.1:8000", ""):
        answer = await created(raw(scene.desktop, ("host", host)))
        assert (answer.status, answer.code) == (421, "unknown_host")


async def test_of_a_bearer_token_that_comes_twice_the_last_one_counts(world: World) -> None:
    app = world.plugin(sessions={"bearer": True})
    scene = await Scene.set(world)
    token = scene.alice.cookies["useid-session"]
    nobody = replace(scene.alice, app=app, cookies={})
    own, other = ("authorization", f"Bearer {token}"), ("authorization", f"Bearer {OTHER}")
    assert (await who(raw(nobody, other, own))).startswith(b"alice")
    assert await who(raw(nobody, own, other)) == b""


@pytest.mark.parametrize("values", [("1", "x"), ("x", "1"), ("9" * 5000, "-1"), ("1", "1")])
async def test_of_an_event_id_that_comes_twice_nothing_is_lost(world: World, values: tuple[str, str]) -> None:
    scene = await Scene.set(world)
    browser = raw(scene.desktop, *(("last-event-id", value) for value in values))
    answer = await browser.get(f"/session/{scene.session_id}/events")
    assert answer.status == 200
    # The snapshot is left out for the one alone who says it has just that.
    assert (b"waiting" in answer.body) == (values[-1] != "1")


async def test_a_content_type_that_comes_twice_is_the_last_one(world: World) -> None:
    scene = await Scene.set(world)
    plain, ours = ("content-type", "text/plain"), ("content-type", "application/json")
    statuses = [
        (await raw(scene.desktop, *headers).send("POST", "/auth/session/create", b"{}")).status
        for headers in ([plain, ours], [ours, plain])
    ]
    assert statuses == [201, 415]
