"""Attacks on logins at providers, one named test each (RFC 9700 §4, OpenID Connect Core §16)."""

from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

import httpx2
import pytest

from tests.actors import ORIGIN, SERVER, Browser
from tests.oidc.network import Internet
from tests.oidc.world import CLIENT, ISSUER, KEYS, World, asked, is_page_about, open_world, opened, provider_settings
from tests.qr.conftest import Clock
from useid_middleware import LimitSettings, LoginCompleted
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.driver import Arrival, approve

EVIL = "http://127.0.0.1:6666"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await open_world()
    yield world
    await world.close()


async def pending_login(world: World, *, person: str = "grace") -> Arrival:
    """Somebody logs in in a browser of their own and stops short of our callback."""
    return await world.approve(await world.begin(world.browser()), person=person)


# login CSRF: the victim shall use the attacker's account without noticing


async def test_a_callback_of_the_attackers_does_not_log_the_victim_in(world: World) -> None:
    victim = world.browser()
    answer = await world.come_back(victim, await pending_login(world))
    assert (answer.status, is_page_about(answer, "cookie_missing")) == (400, True)
    assert await world.who(victim) == ""
    assert world.provider.received("/token") == []


async def test_a_callback_of_the_attackers_is_no_answer_to_the_victims_own_login(world: World) -> None:
    victim = world.browser()
    await world.begin(victim)
    answer = await world.come_back(victim, await pending_login(world))
    assert answer.header("location") == "/auth/login?provider=op"
    assert await world.who(victim) == ""
    assert world.provider.received("/token") == []


async def test_a_callback_of_the_attackers_does_not_replace_the_victims_session(world: World) -> None:
    victim = world.browser()
    await world.log_in(victim)
    session = victim.cookies["useid-session"]
    answer = await world.come_back(victim, await pending_login(world))
    assert answer.header("location") == "/"
    assert (await world.who(victim), victim.cookies["useid-session"]) == ("ada", session)


async def test_what_a_stranger_tries_with_somebodys_state_does_not_use_it_up(world: World) -> None:
    owner, stranger = world.browser(), world.browser()
    arrival = await world.approve(await world.begin(owner))
    await world.begin(stranger)
    await world.come_back(stranger, arrival)
    await world.come_back(owner, arrival)
    assert (await world.who(stranger), await world.who(owner)) == ("", "ada")


# code injection: the attacker has the victim's code, or gives theirs to the victim


async def test_a_stolen_code_is_worth_nothing_in_the_attackers_login(world: World) -> None:
    stolen = (await pending_login(world, person="ada")).params["code"]
    attacker = world.browser()
    own = await world.approve(await world.begin(attacker), person="grace")
    query = urlencode({**own.params, "code": stolen})
    answer = await attacker.get(f"/callback?{query}")
    assert is_page_about(answer, "token_refused")  # PKCE: the code is bound to another verifier.
    assert await world.who(attacker) == ""


async def test_a_code_that_was_used_logs_nobody_in_again(world: World) -> None:
    browser, thief = world.browser(), world.browser()
    arrival = await world.approve(await world.begin(browser))
    await world.come_back(browser, arrival)
    own = await world.approve(await world.begin(thief))
    answer = await thief.get(f"/callback?{urlencode({**own.params, 'code': arrival.params['code']})}")
    assert is_page_about(answer, "token_refused")
    assert await world.who(thief) == ""


async def test_an_id_token_of_another_login_is_refused_by_its_nonce(world: World) -> None:
    world.provider.inject("invalid-nonce")
    browser = world.browser()
    assert is_page_about(await world.log_in(browser), "token_claim_invalid")
    assert await world.who(browser) == ""


# session fixation


async def test_a_session_that_was_planted_before_the_login_is_not_the_one_after(world: World) -> None:
    attacker, victim = world.browser(), world.browser()
    await world.log_in(attacker, person="grace")
    victim.cookies["useid-session"] = attacker.cookies["useid-session"]
    await world.log_in(victim)
    assert victim.cookies["useid-session"] != attacker.cookies["useid-session"]
    assert (await world.who(victim), await world.who(attacker)) == ("ada", "")


async def test_a_planted_attempt_cookie_gives_the_attacker_no_login(world: World) -> None:
    attacker, victim = world.browser(), world.browser()
    await world.begin(attacker)
    victim.cookies["useid-oidc"] = attacker.cookies["useid-oidc"]
    arrival = await world.approve(await world.begin(victim))
    await world.come_back(victim, arrival)
    await world.come_back(attacker, arrival)
    assert (await world.who(victim), await world.who(attacker)) == ("ada", "")


# mix-up: two providers, one of them evil (RFC 9700 §4.4)


@pytest.fixture
async def two() -> AsyncIterator[tuple[World, Provider]]:
    """An honest provider, and an evil one that knows us under the same client id."""
    clock = Clock()
    honest = Provider(ISSUER, clients=[CLIENT], keys=KEYS, clock=clock)
    evil = Provider(EVIL, clients=[replace(CLIENT, redirect_uris=(f"{SERVER}/callback/evil",))], keys=KEYS, clock=clock)
    providers = {"op": provider_settings(), "evil": provider_settings(issuer=EVIL)}
    honest.add_client(CLIENT)
    world = await open_world(
        op=honest, clock=clock, transport=Internet({ISSUER: honest, EVIL: evil}), oidc={"providers": providers}
    )
    yield world, evil
    await world.close()


async def begun_at_evil(browser: Browser) -> dict[str, str]:
    """The parameters with which the victim arrives at the evil provider."""
    address = (await browser.get("/login?provider=evil")).header("location")
    assert address.startswith(f"{EVIL}/authorize?")
    return asked(address)


async def test_each_provider_has_a_callback_of_its_own_and_both_work(two: tuple[World, Provider]) -> None:
    world, evil = two
    browser, other = world.browser(), world.browser()
    address = await world.begin(browser)
    assert asked(address)["redirect_uri"] == f"{SERVER}/callback/op"
    await world.come_back(browser, await world.approve(address))
    sent = (await other.get("/login?provider=evil")).header("location")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=evil)) as client:
        await world.come_back(other, await approve(client, sent, person="grace"))
    assert (await world.who(browser), await world.who(other)) == ("ada", "grace")
    assert {event.provider for event in world.told(LoginCompleted)} == {ISSUER, EVIL}


async def test_an_honest_code_that_comes_to_the_evil_callback_is_not_handed_to_the_evil_provider(
    two: tuple[World, Provider],
) -> None:
    world, evil = two
    victim = world.browser()
    asked_of_evil = await begun_at_evil(victim)
    honest = await pending_login(world, person="ada")
    query = urlencode({**honest.params, "state": asked_of_evil["state"]})
    answer = await victim.get(f"/callback/evil?{query}")
    assert is_page_about(answer, "callback_issuer_mismatch")
    assert evil.received("/token") == []
    assert await world.who(victim) == ""


async def test_an_honest_code_that_comes_to_the_honest_callback_answers_no_login_at_the_evil_provider(
    two: tuple[World, Provider],
) -> None:
    world, evil = two
    victim = world.browser()
    state = (await begun_at_evil(victim))["state"]
    # The evil provider sends the victim on to the honest one, with the same state.
    onward = {**asked(await world.begin(world.browser())), "state": state}
    honest = await world.approve(f"{ISSUER}/authorize?{urlencode(onward)}")
    assert urlsplit(honest.url).path == "/auth/callback/op"
    answer = await world.come_back(victim, honest)
    assert answer.header("location") == "/auth/login?provider=op"
    assert world.provider.received("/token") == evil.received("/token") == []
    assert await world.who(victim) == ""


async def test_the_evil_provider_logs_nobody_in_as_somebody_of_the_honest_one(two: tuple[World, Provider]) -> None:
    world, evil = two
    mine, fake = world.browser(), world.browser()
    await world.log_in(mine)
    sent = (await fake.get("/login?provider=evil")).header("location")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=evil)) as client:
        await world.come_back(fake, await approve(client, sent, person="ada"))
    accounts = world.app.useid.accounts
    honest_ada, evil_ada = await accounts.find(ISSUER, "ada-1815"), await accounts.find(EVIL, "ada-1815")
    assert honest_ada is not None
    assert evil_ada is not None
    assert honest_ada.id != evil_ada.id


async def test_the_evil_provider_logs_nobody_of_the_honest_one_out(two: tuple[World, Provider]) -> None:
    world, _ = two
    browser = world.browser()
    await world.log_in(browser)
    [session] = await world.app.useid.sessions.of_subject(ISSUER, "ada-1815")
    answer = await world.browser().get(f"/frontchannel-logout?{urlencode({'iss': EVIL, 'sid': session.sid})}")
    assert answer.status == 200
    assert await world.who(browser) == "ada"


# the request itself


@pytest.mark.parametrize("header", ["x-forwarded-host", "x-forwarded-proto", "forwarded", "x-original-url"])
async def test_headers_of_proxies_that_nobody_trusts_change_no_address(world: World, header: str) -> None:
    browser = world.browser()
    browser.headers[header] = "host=evil.example;proto=https" if header == "forwarded" else "evil.example"
    assert asked(await world.begin(browser))["redirect_uri"] == f"{SERVER}/callback"


async def test_a_foreign_host_begins_no_login_where_the_settings_name_none(world: World) -> None:
    answer = await Browser(world.app, host="evil.example").get("/login?provider=op")
    assert (answer.status, answer.code) == (421, "unknown_host")


async def test_the_public_origin_is_the_settings_whatever_the_host_header_says() -> None:
    async with opened(origin="https://app.example") as world:
        answer = await Browser(world.app, host="evil.example").get("/login?provider=op")
        assert asked(answer.header("location"))["redirect_uri"] == "https://app.example/auth/callback"


async def test_who_begins_logins_without_end_is_slowed_down() -> None:
    async with opened(limits=LimitSettings(per_ip=10)) as world:
        browser = world.browser()
        answers = [await browser.get("/login?provider=op") for _ in range(7)]
        assert [answer.status for answer in answers] == [303] * 5 + [429] * 2
        assert is_page_about(answers[-1], "rate_limited")
        assert int(answers[-1].header("retry-after")) >= 1
        assert (await world.browser(ip="192.0.2.2").get("/login?provider=op")).status == 303


async def test_our_pages_are_framed_by_nobody(world: World) -> None:
    browser = world.browser()
    pages = [await browser.get(path) for path in ("/error?code=x", "/callback?code=x&state=y")]
    await world.log_in(browser)
    pages += [await browser.get("/profile"), await browser.get("/logout")]
    for page in pages:
        assert "frame-ancestors 'none'" in page.header("content-security-policy")
        assert page.header("cache-control") == "no-store"
        assert page.header("x-content-type-options") == "nosniff"


async def test_a_silent_look_at_the_provider_logs_nobody_in(world: World) -> None:
    owner, at_provider = world.browser(), world.at_provider()
    await world.log_in(owner, client=at_provider)
    address = (await owner.get("/session-monitor/renew")).header("location")
    arrival = await world.approve(address, client=at_provider)
    await owner.post("/logout")
    page = await world.come_back(owner, arrival)
    assert b'data-outcome="ended"' in page.body
    assert await world.who(owner) == ""
    stranger = await world.browser().get("/session-monitor/renew")
    assert (stranger.status, stranger.code) == (401, "login_required")


async def test_tokens_never_reach_the_browser(world: World) -> None:
    browser = world.browser()
    back = await world.log_in(browser)
    token = (await world.token(browser)).body
    pages = [back, await browser.get("/profile"), await browser.get("/sessions"), await browser.get("/session-monitor")]
    for page in pages:
        assert page.status < 400
        assert token not in page.body
        assert all(token not in value for _, value in page.headers)
    assert f"{ORIGIN}/" not in back.header("location")
