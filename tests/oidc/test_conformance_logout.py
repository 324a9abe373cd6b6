"""The suite's four logouts: by the relying party, by back channel, by front channel, and by watching the session."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.actors import ORIGIN, SERVER, Answer, Browser
from tests.oidc.conformance import QUIET, Setup, logs_in, playing, plays
from tests.oidc.wire import claims_of
from tests.oidc.world import CLIENT, ISSUER, World
from useid_middleware import BackchannelLogout, FrontchannelLogout, SessionChanged, SessionEnded
from useid_middleware.emulation.provider.browser_session import session_state
from useid_middleware.emulation.provider.driver import log_out, read_frames

FORM = {"content-type": "application/x-www-form-urlencoded", "origin": ORIGIN, "sec-fetch-site": "same-origin"}
BACK = Setup(client=replace(CLIENT, frontchannel_logout_uri=""))
FRONT = Setup(client=replace(CLIENT, backchannel_logout_uri=""))
#: What is wrong with a logout token, and the words of the log about it.
REFUSED = {
    "rp-backchannel-rpinitlogout-alg-none": "token_algorithm_refused: logout_token:",
    "rp-backchannel-rpinitlogout-no-event": "token_claim_invalid: logout_token: events:",
    "rp-backchannel-rpinitlogout-with-nonce": "token_claim_invalid: logout_token: nonce:",
    "rp-backchannel-rpinitlogout-wrong-alg": "token_algorithm_refused: logout_token:",
    "rp-backchannel-rpinitlogout-wrong-aud": "token_claim_invalid: logout_token: aud:",
    "rp-backchannel-rpinitlogout-wrong-event": "token_claim_invalid: logout_token: events:",
    "rp-backchannel-rpinitlogout-wrong-iss": "logout_refused: logout token: expected an issuer",
}


async def leave(world: World, browser: Browser) -> str:
    """Our logout: the session is over at once; where the browser goes on to at the provider."""
    answer = await browser.send("POST", "/auth/logout", b"", FORM)
    assert answer.status == 303
    assert await world.who(browser) == ""
    return answer.header("location")


async def follow(browser: Browser, location: str, headers: dict[str, str] | None = None) -> Answer:
    """The browser goes to an address of ours."""
    parts = urlsplit(location)
    assert f"{parts.scheme}://{parts.netloc}" == ORIGIN
    return await browser.send("GET", f"{parts.path}?{parts.query}", headers=headers)


@asynccontextmanager
async def two_sessions(*faults: str, setup: Setup) -> AsyncIterator[tuple[World, httpx2.AsyncClient, Browser, Browser]]:
    """A person with one session at the provider, by which two of their browsers are logged in here."""
    async with playing(*faults, setup=setup) as world, world.at_provider() as op:
        yield world, op, await logs_in(world, client=op), await logs_in(world, client=op)


@plays("rp-logout", "rp-init-logout", "rp-init-logout-other-state", "rp-init-logout-no-state")
async def test_a_logout_goes_on_to_the_provider_and_comes_back_whatever_became_of_its_state(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "useid_middleware")
    faults = [] if module == "rp-init-logout" else [module]
    async with playing(*faults, setup=Setup(client=QUIET)) as world, world.at_provider() as op:
        browser = await logs_in(world, client=op)
        location = await leave(world, browser)
        assert location.startswith(f"{ISSUER}/end-session?")
        params = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        assert set(params) == {"id_token_hint", "client_id", "post_logout_redirect_uri", "state"}
        assert claims_of(params["id_token_hint"])["sub"] == "ada-1815"
        assert params["post_logout_redirect_uri"] == f"{SERVER}/logout/done"
        assert len(params["state"]) == 43
        back = await log_out(op, location)
        assert back.is_redirect
        returned = parse_qs(urlsplit(back.headers["location"]).query).get("state", [""])[0]
        assert (returned == params["state"]) is (not faults)
        answer = await follow(browser, back.headers["location"])
        assert (answer.status, answer.header("location")) == (303, "/")
        assert ("not begun here" in caplog.text) is bool(faults)
        assert await world.who(browser) == ""
        assert not list(world.provider.realm.records.sessions.values(now=0))


@plays("back-channel", "rp-backchannel-rpinitlogout")
async def test_a_logout_token_ends_the_sessions_that_stem_from_the_provider_s(plan: str, module: str) -> None:
    async with two_sessions(setup=BACK) as (world, op, first, second):
        stranger = await logs_in(world)  # The same person, with another session at the provider.
        await log_out(op, await leave(world, first))
        assert [delivery.status for delivery in world.provider.deliveries] == [200]
        assert await world.who(second) == ""
        assert await world.who(stranger) == "ada"
        assert [ended.reason for ended in world.told(SessionEnded)] == ["logout", "backchannel_logout"]
        claims = claims_of(world.provider.deliveries[0].logout_token)
        [heard] = world.told(BackchannelLogout)
        assert (heard.issuer, heard.subject, heard.sid) == (ISSUER, "ada-1815", claims["sid"])
        are_not_stored(world)


@plays("back-channel", *REFUSED)
async def test_a_logout_token_that_says_the_wrong_thing_is_refused_and_ends_nothing(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    fault = module.removeprefix("rp-backchannel-rpinitlogout-")
    async with two_sessions(fault, setup=BACK) as (world, op, first, second):
        await log_out(op, await leave(world, first))
        assert [delivery.status for delivery in world.provider.deliveries] == [400]
        [answer] = world.answers
        assert answer.json()["error"] == "invalid_request"
        assert f"back-channel logout refused: {REFUSED[module]}" in caplog.text
        assert await world.who(second) == "ada"
        assert not world.told(BackchannelLogout)
        assert [ended.reason for ended in world.told(SessionEnded)] == ["logout"]
        are_not_stored(world)


def are_not_stored(world: World) -> None:
    """Back-Channel Logout 1.0 §2.8: no answer may be cached."""
    assert world.answers
    assert {answer.header("cache-control") for answer in world.answers} == {"no-store"}


async def load_frames(page: str, browser: Browser) -> list[Answer]:
    """What the browser does with the frames of the provider's page."""
    frames, _ = read_frames(page)
    headers = {"sec-fetch-dest": "iframe", "sec-fetch-mode": "navigate", "sec-fetch-site": "cross-site"}
    return [await follow(browser, frame, headers) for frame in frames]


def is_for_the_provider_s_frame(answer: Answer) -> bool:
    policy = answer.header("content-security-policy")
    return (
        answer.status == 200 and answer.header("cache-control") == "no-store" and f"frame-ancestors {ISSUER}" in policy
    )


@plays("front-channel", "rp-frontchannel-rpinitlogout")
async def test_a_frame_after_our_own_logout_ends_the_other_session_of_the_same_login(plan: str, module: str) -> None:
    async with two_sessions(setup=FRONT) as (world, op, first, second):
        page = await log_out(op, await leave(world, first))
        [answer] = await load_frames(page.text, first)  # It has no cookie of ours any more.
        assert is_for_the_provider_s_frame(answer)
        assert await world.who(second) == ""
        [heard] = world.told(FrontchannelLogout)
        assert (heard.issuer, heard.subject) == (ISSUER, "ada-1815")
        back = read_frames(page.text)[1]
        assert (await follow(first, back)).header("location") == "/"


@plays("front-channel", "rp-frontchannel-opinitlogout")
async def test_a_frame_of_a_logout_at_the_provider_ends_the_session_here(plan: str, module: str) -> None:
    async with playing(setup=FRONT) as world, world.at_provider() as op:
        browser, other = await logs_in(world, client=op), await logs_in(world)
        page = await log_out(op, f"{ISSUER}/end-session")
        [frame] = read_frames(page.text)[0]
        params = parse_qs(urlsplit(frame).query)
        assert set(params) == {"iss", "sid"}
        assert params["iss"] == [ISSUER]
        [answer] = await load_frames(page.text, browser)
        assert is_for_the_provider_s_frame(answer)
        assert "useid-session" not in browser.cookies
        assert await world.who(browser) == ""
        assert await world.who(other) == "ada"
        assert [ended.reason for ended in world.told(SessionEnded)] == ["frontchannel_logout"]
        [heard] = world.told(FrontchannelLogout)
        assert heard.sid == params["sid"][0]


@pytest.mark.parametrize("fault", ["frontchannel-wrong-iss", "frontchannel-wrong-sid", "frontchannel-no-sid"])
async def test_a_frame_with_another_issuer_or_session_ends_nothing(fault: str) -> None:
    async with playing(fault, setup=FRONT) as world, world.at_provider() as op:
        browser = await logs_in(world, client=op)
        page = await log_out(op, f"{ISSUER}/end-session")
        await load_frames(page.text, browser)
        assert await world.who(browser) == "ada"
        assert not world.told(SessionEnded)


class Monitor:
    """Our page with the provider's iframe in it, and the iframe's script as a function."""

    def __init__(self, answer: Answer) -> None:
        page = answer.body.decode()
        self.frames = re.findall(r'<iframe src="([^"]*)"', page)
        self.policy = answer.header("content-security-policy")
        self.client_id, self.session_state = (
            re.findall(rf'data-{name}="([^"]*)"', page)[0] for name in ("client-id", "session-state")
        )

    def asks(self, op: httpx2.AsyncClient) -> str:
        """The answer of the provider's iframe (Session Management 1.0 §3.3), by its cookie in this browser."""
        values = [value for name, value in op.cookies.items() if name.startswith("useid_provider_state")]
        salt = self.session_state.partition(".")[2]
        state = values[0] if values else ""
        expected = session_state(client_id=self.client_id, origin=ORIGIN, browser_state=state, salt=salt)
        return "unchanged" if expected == self.session_state else "changed"


async def renew(browser: Browser, op: httpx2.AsyncClient) -> Answer:
    """The silent login in our iframe: there, and back at once."""
    begun = await browser.get("/session-monitor/renew")
    assert begun.status == 303
    params = parse_qs(urlsplit(begun.header("location")).query)
    assert params["prompt"] == ["none"]
    assert claims_of(params["id_token_hint"][0])["iss"] == ISSUER
    back = await op.get(begun.header("location"), follow_redirects=False)
    assert back.is_redirect
    return await follow(browser, back.headers["location"])


@plays("session", "session-management")
async def test_the_provider_s_iframe_says_unchanged_before_and_changed_after_its_logout(plan: str, module: str) -> None:
    async with playing(setup=Setup(client=QUIET)) as world, world.at_provider() as op:
        browser = world.browser()
        address = await world.begin(browser)
        arrival = await world.approve(address, client=op)
        await world.come_back(browser, arrival)
        monitor = Monitor(await browser.get("/session-monitor"))
        assert monitor.frames == [f"{ISSUER}/check-session"]  # One load.
        assert f"frame-src 'self' {ISSUER};" in monitor.policy
        assert (await op.get(monitor.frames[0])).status_code == 200
        assert (monitor.client_id, monitor.session_state) == ("shop", arrival.params["session_state"])
        assert monitor.asks(op) == "unchanged"
        await log_out(op, f"{ISSUER}/end-session")
        assert monitor.asks(op) == "changed"
        answer = await renew(browser, op)
        assert answer.status == 200
        assert b"ended" in answer.body
        assert await world.who(browser) == ""
        assert [event.reason for event in world.told(SessionChanged)] == ["login_required"]
        assert [ended.reason for ended in world.told(SessionEnded)] == ["session_changed"]


async def test_a_change_of_the_provider_s_session_that_keeps_the_person_ends_nothing() -> None:
    async with playing(setup=Setup(client=QUIET)) as world, world.at_provider() as op:
        browser = world.browser()
        address = await world.begin(browser)
        await world.come_back(browser, await world.approve(address, client=op))
        await world.approve(await world.begin(world.browser()), client=op)  # Consent is remembered by nobody.
        page = await browser.get("/session-monitor")
        before = Monitor(page).session_state
        world.provider.realm.records.consents["ada-1815", "shop"] = frozenset({"openid", "profile", "email"})
        answer = await renew(browser, op)
        assert b"unchanged" in answer.body
        assert await world.who(browser) == "ada"
        assert Monitor(await browser.get("/session-monitor")).session_state != before
        assert not world.told(SessionChanged)
