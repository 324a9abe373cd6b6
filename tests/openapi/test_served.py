"""``GET /openapi.json`` in front of an app."""

import json
from pathlib import Path
from typing import Any

from tests.actors import Browser
from tests.openapi.checking import Description
from tests.openapi.world import TOKEN, opened
from tests.qr.conftest import host_app, make_settings
from useid_middleware import UseID, UseIDMiddleware


def app_of(**values: Any) -> UseIDMiddleware:
    return UseIDMiddleware(host_app, useid=UseID(make_settings(**values)))


async def test_anybody_gets_the_description_of_what_is_mounted() -> None:
    app = app_of(app_name="Shop")
    answer = await Browser(app).get("/openapi.json")
    assert (answer.status, answer.header("content-type")) == (200, "application/json")
    assert answer.json() == Description.of(app.useid).document
    assert answer.json()["info"]["title"] == "Shop: logins"
    assert answer.header("set-cookie") == ""


async def test_who_has_it_already_is_not_sent_it_again() -> None:
    browser = Browser(app_of())
    tag = (await browser.get("/openapi.json")).header("etag")
    for held in (tag, f'"another", W/{tag}'):
        answer = await browser.get("/openapi.json", {"if-none-match": held})
        assert (answer.status, answer.body, answer.header("etag")) == (304, b"", tag)
    assert (await browser.get("/openapi.json", {"if-none-match": '"another"'})).status == 200


async def test_the_setting_moves_it_and_switches_it_off() -> None:
    assert (await Browser(app_of(paths={"openapi": "/api.json"})).get("/api.json")).json()["openapi"] == "3.1.0"
    assert (await Browser(app_of(paths={"openapi": ""})).get("/openapi.json")).body == b""  # The host app's own answer.


async def test_head_is_told_how_much_it_would_be() -> None:
    browser = Browser(app_of())
    whole = await browser.get("/openapi.json")
    head = await browser.send("HEAD", "/auth/openapi.json")
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == str(len(whole.body))


async def test_paths_are_below_the_address_that_was_asked() -> None:
    app = app_of(prefix="/sso")
    browser = Browser(app, prefix="/sso")
    assert (await browser.get("/openapi.json")).json()["servers"] == [{"url": "/sso"}]


async def test_over_https_the_cookies_have_their_names_of_https() -> None:
    plain, secure = app_of(), app_of(origin="https://shop.example")
    for app, name in ((plain, "useid-browser"), (secure, "__Host-useid-browser")):
        document = (await Browser(app).get("/openapi.json")).json()
        assert document["components"]["securitySchemes"]["browser"]["name"] == name


async def test_the_description_tells_no_setting_that_nobody_else_sees(country: Path, tmp_path: Path) -> None:
    async with opened(country, tmp_path) as everybody:
        text = json.dumps((await everybody.browser().get("/openapi.json")).json())
    for secret in ("a secret of tests", TOKEN, str(country), str(tmp_path), "127.0.0.1:9000", "shop.example"):
        assert secret not in text
