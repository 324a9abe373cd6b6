"""Pages that demand a level: who may pass, who is asked to log in, and who to prove more."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.actors import Answer, Browser
from tests.webauthn.world import HOST, World, opened
from useid_middleware import Identity, Level

LEVELS = {"/payments": "L2", "/payments/large": "L3", "/payments/help": "L0", "/members": "L0"}
JSON = {"accept": "application/json"}


@dataclass
class MountedBrowser(Browser):
    """A browser whose app is mounted below /shop."""

    #: Whether the server leaves the root path in the path.
    whole_path: bool = True

    def scope(self, method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
        """The ASGI scope of a request."""
        scope = super().scope(method, path, headers)
        scope["root_path"] = "/shop"
        if self.whole_path:
            scope["path"] = "/shop" + scope["path"]
        return scope


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened(levels=LEVELS, protected=["/orders"]) as world:
        yield world


def led_to(answer: Answer) -> tuple[str, dict[str, list[str]]]:
    """Where a browser is sent, and what is said there."""
    assert answer.status == 303, answer.body
    assert answer.header("cache-control") == "no-store"
    parts = urlsplit(answer.header("location"))
    assert (parts.scheme, parts.netloc) == ("", "")
    return parts.path, parse_qs(parts.query)


async def test_who_is_not_logged_in_is_led_to_the_login_and_back(world: World) -> None:
    for path in ("/payments", "/payments/", "/payments/new?to=a%26b&amount=7", "/members/x", "/orders/1"):
        answer = await world.browser().send("GET", path)
        assert led_to(answer) == ("/auth/login", {"return": [path]})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "GET"])
async def test_a_program_that_is_not_logged_in_is_told(world: World, method: str) -> None:
    headers = JSON if method == "GET" else {}
    answer = await world.browser().send(method, "/payments", headers=headers)
    assert (answer.status, answer.code) == (401, "login_required")


async def test_a_session_of_a_lower_level_is_led_to_the_step_up_with_return_and_level(world: World) -> None:
    browser = await world.log_in()
    answer = await browser.send("GET", "/payments/new?to=bob")
    assert led_to(answer) == ("/auth/step-up", {"return": ["/payments/new?to=bob"], "level": ["L2"]})
    answer = await browser.send("HEAD", "/payments")
    assert led_to(answer) == ("/auth/step-up", {"return": ["/payments"], "level": ["L2"]})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
async def test_a_program_with_a_session_of_a_lower_level_is_told(world: World, method: str) -> None:
    browser = await world.log_in()
    answer = await browser.send(method, "/payments", headers=JSON if method == "GET" else {})
    assert (answer.status, answer.code) == (403, "level_required")
    assert "L2" in answer.json()["message"]


async def test_after_a_step_up_the_page_is_there(world: World) -> None:
    browser, authenticator = await world.member()
    _, query = led_to(await browser.send("GET", "/payments/new?to=bob"))
    answer = await world.use("step-up", browser, authenticator, return_url=query["return"][0])
    assert (answer.status, answer.json()["redirectTo"]) == (200, "/payments/new?to=bob")
    for method, path in (("GET", answer.json()["redirectTo"]), ("POST", "/payments"), ("GET", "/payments/help")):
        passed = await browser.send(method, path)
        assert (passed.status, passed.json()["acr"]) == (200, "L2")


async def test_a_login_by_passkey_passes_at_once(world: World) -> None:
    _, authenticator = await world.member()
    browser = world.browser()
    await world.use("login", browser, authenticator)
    assert (await browser.send("GET", "/payments")).json()["acr"] == "L2"


async def test_a_page_below_others_demands_the_highest_of_their_levels(world: World) -> None:
    browser, authenticator = await world.member()
    for path, level in (("/payments/large/7", "L3"), ("/payments/help", "L2"), ("/payments/largest", "L2")):
        assert led_to(await browser.send("GET", path))[1]["level"] == [level]
    await world.use("step-up", browser, authenticator)
    answer = await browser.send("GET", "/payments/large")
    assert led_to(answer) == ("/auth/step-up", {"return": ["/payments/large"], "level": ["L3"]})
    answer = await browser.send("POST", "/payments/large")
    assert (answer.status, answer.code) == (403, "level_required")


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("demanded", list(Level))
async def test_a_page_is_for_sessions_of_its_level_and_above(level: Level, demanded: Level) -> None:
    async with opened(levels={"/page": demanded.name}) as world:
        browser = await world.logged_in_as(Identity("host", "alice", level=level))
        answer = await browser.send("GET", "/page")
        assert answer.status == (200 if level >= demanded else 303)


async def test_other_pages_are_for_everybody(world: World) -> None:
    for path in ("/", "/paymentsx", "/payments2/new", "/x/payments", "/PAYMENTS", "/member"):
        answer = await world.browser().send("GET", path)
        assert (answer.status, answer.json()["name"]) == (200, "")
    assert (await (await world.log_in()).send("GET", "/orders")).status == 200
    assert (await (await world.log_in()).send("GET", "/members")).status == 200


async def test_the_plugins_own_addresses_demand_no_level() -> None:
    async with opened(levels={"/": "L2"}) as world:
        browser = world.browser()
        assert led_to(await browser.send("GET", "/")) == ("/auth/login", {"return": ["/"]})
        assert (await browser.post("/passkeys/login/options")).status == 200
        assert (await browser.get("/login")).status == 200
        browser = await world.logged_in_as(Identity("host", "alice"))
        assert led_to(await browser.send("GET", "/a/b"))[0] == "/auth/step-up"
        begun = await browser.post("/passkeys/step-up/options")
        assert (begun.status, begun.code) == (409, "passkey_missing")
        assert (await browser.post("/logout")).status == 204


async def test_a_path_with_and_without_its_last_slash_demands_the_same() -> None:
    async with opened(levels={"/payments/": "L2"}, protected=["/orders/"]) as world:
        for path in ("/payments", "/payments/", "/payments/new", "/orders", "/orders/1"):
            assert led_to(await world.browser().send("GET", path))[0] == "/auth/login"
        assert (await world.browser().send("GET", "/paymentsx")).status == 200


@pytest.mark.parametrize("whole_path", [True, False])
async def test_below_a_root_path_everything_leads_below_it(world: World, whole_path: bool) -> None:
    browser = MountedBrowser(world.app, host=HOST, headers={"accept": "text/html"}, whole_path=whole_path)
    assert led_to(await browser.send("GET", "/payments?a=b")) == (
        "/shop/auth/login",
        {"return": ["/shop/payments?a=b"]},
    )
    await browser.send("GET", "/as/alice")
    assert led_to(await browser.send("GET", "/payments")) == (
        "/shop/auth/step-up",
        {"return": ["/shop/payments"], "level": ["L2"]},
    )
    assert (await browser.send("GET", "/shop")).json()["name"] == "alice"


async def test_a_path_beyond_ascii_comes_back_as_it_was(world: World) -> None:
    browser = await world.log_in()
    answer = await browser.send("GET", "/payments/Müller & Söhne")
    assert led_to(answer)[1]["return"] == ["/payments/M%C3%BCller%20%26%20S%C3%B6hne"]


@pytest.mark.parametrize("switched_off", ["login", "step_up"])
async def test_where_there_is_no_page_to_lead_to_everybody_is_told(switched_off: str) -> None:
    async with opened(levels={"/payments": "L2"}, paths={switched_off: ""}) as world:
        anonymous = await world.browser().send("GET", "/payments")
        low = await (await world.log_in()).send("GET", "/payments")
        if switched_off == "login":
            assert (anonymous.status, anonymous.code) == (401, "login_required")
            assert led_to(low)[0] == "/auth/step-up"
        else:
            assert led_to(anonymous)[0] == "/auth/login"
            assert (low.status, low.code) == (403, "level_required")


async def test_an_emulated_level_counts_where_emulations_are_allowed(world: World) -> None:
    browser = await world.logged_in_as(Identity("host", "alice", level=Level.L3, emulated=True))
    assert (await browser.send("GET", "/payments/large")).json()["acr"] == "L3-emulated"


async def test_a_session_that_has_ended_is_led_to_the_login_again(world: World) -> None:
    browser, authenticator = await world.member()
    await world.use("step-up", browser, authenticator)
    world.clock.advance(8 * 86400)
    assert led_to(await browser.send("GET", "/payments"))[0] == "/auth/login"
