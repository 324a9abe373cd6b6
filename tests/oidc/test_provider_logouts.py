"""Logouts that a provider starts, by the back channel and the front channel; and what strangers get who try."""

import logging
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest

from tests.actors import Answer, Browser
from tests.oidc.world import FORM, ISSUER, World, open_world, removes_session
from tests.qr.conftest import Clock
from useid_middleware import BackchannelLogout, FrontchannelLogout, Identity, SessionEnded
from useid_middleware.errors import UnavailableError
from useid_middleware.stores.base import Versioned
from useid_middleware.stores.memory import MemoryStore

ADA = "ada-1815"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await open_world()
    yield world
    await world.close()


async def logged_in(world: World) -> Browser:
    browser = world.browser()
    assert (await world.log_in(browser)).status == 303
    return browser


async def sid_of(world: World) -> str:
    [session] = await world.app.useid.sessions.of_subject(ISSUER, ADA)
    assert session.sid
    return session.sid


# the back channel


async def back_channel(world: World, body: bytes, content_type: str = FORM) -> Answer:
    """A request to it, as anybody can make one."""
    return await Browser(world.app).send("POST", "/auth/backchannel-logout", body, {"content-type": content_type})


async def delivered(world: World) -> str:
    """A logout token of the provider's for Ada, which has ended her session."""
    [delivery] = await world.provider.logout(subject=ADA)
    assert delivery.status == 200
    return delivery.logout_token


async def test_a_logout_token_ends_the_session_and_whoever_listens_says_that_it_did(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    @world.events.on(BackchannelLogout)
    async def handle(event: BackchannelLogout) -> None:
        event.mark_handled()

    browser = await logged_in(world)
    sid = await sid_of(world)
    with caplog.at_level(logging.INFO, logger="useid_middleware"):
        await delivered(world)
    assert await world.who(browser) == ""
    [event] = world.told(BackchannelLogout)
    assert (event.issuer, event.subject, event.sid, event.handled) == (ISSUER, ADA, sid, True)
    assert "no listener" not in caplog.text
    assert [each.reason for each in world.told(SessionEnded)] == ["backchannel_logout"]


async def test_with_nobody_listening_the_log_warns_and_the_session_ends_all_the_same(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    browser = await logged_in(world)
    await delivered(world)
    assert await world.who(browser) == ""
    assert "BackchannelLogout: no listener marked it handled" in caplog.text


async def test_a_listener_that_fails_keeps_no_session_alive(world: World) -> None:
    @world.events.on(BackchannelLogout)
    def fail(event: BackchannelLogout) -> None:
        raise ValueError

    browser = await logged_in(world)
    await delivered(world)
    assert await world.who(browser) == ""


async def test_a_logout_of_somebody_who_left_already_is_fine(world: World) -> None:
    browser = await logged_in(world)
    await browser.post("/logout")
    [delivery] = await world.provider.logout(subject=ADA)
    assert delivery.status == 200


async def test_a_logout_token_is_good_once(world: World) -> None:
    await logged_in(world)
    token = await delivered(world)
    browser = await logged_in(world)
    answer = await back_channel(world, urlencode({"logout_token": token}).encode())
    assert (answer.status, answer.json()) == (
        400,
        {"error": "invalid_request", "error_description": "logout_replayed"},
    )
    assert answer.header("cache-control") == "no-store"
    assert await world.who(browser) == "ada"
    assert len(world.told(BackchannelLogout)) == 1


class FailingStore(MemoryStore):
    """Away for the ids of logout tokens while it ``is_down``."""

    is_down = False

    async def get(self, key: str) -> Versioned | None:
        """See the store."""
        if self.is_down and key.startswith("oidc-jti:"):
            raise UnavailableError("store_unavailable", "the store cannot be reached")
        return await super().get(key)


async def test_while_nobody_can_tell_whether_a_logout_token_was_used_it_is_not_believed() -> None:
    clock = Clock()
    store = FailingStore(clock=clock)
    world = await open_world(store=store, clock=clock)
    browser = await logged_in(world)
    store.is_down = True
    [delivery] = await world.provider.logout(subject=ADA)
    assert delivery.status == 503
    assert await world.who(browser) == "ada"
    assert world.told(BackchannelLogout) == []
    store.is_down = False
    answer = await back_channel(world, urlencode({"logout_token": delivery.logout_token}).encode())
    assert answer.status == 200
    assert await world.who(browser) == ""
    await world.close()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", FORM),
        (b"logout_token=", FORM),
        (b"logout_token=garbage", FORM),
        (b"logout_token=a.b.c", FORM),
        (b"logout_token=a.b.c&logout_token=a.b.c", FORM),
        (b"logout_token=" + b"x" * 20_000, FORM),
        (b'{"logout_token": "a.b.c"}', "application/json"),
        (b"sub=ada-1815", FORM),
    ],
    ids=["nothing", "empty", "garbage", "no JSON", "twice", "huge", "JSON", "no token"],
)
async def test_what_is_no_logout_token_ends_nothing(world: World, body: bytes, content_type: str) -> None:
    browser = await logged_in(world)
    answer = await back_channel(world, body, content_type)
    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")
    assert answer.header("cache-control") == "no-store"
    assert await world.who(browser) == "ada"
    assert world.told(BackchannelLogout) == []


async def test_the_back_channel_is_for_posts_alone(world: World) -> None:
    assert (await world.browser().get("/backchannel-logout?logout_token=x")).status in (404, 405)


# the front channel


async def front_channel(browser: Browser, **query: str) -> Answer:
    return await browser.get(f"/frontchannel-logout?{urlencode(query)}")


async def test_the_providers_frame_ends_the_session_with_the_browsers_cookie(world: World) -> None:
    browser = await logged_in(world)
    sid = await sid_of(world)
    answer = await front_channel(browser, iss=ISSUER, sid=sid)
    assert answer.status == 200
    assert removes_session(answer)
    assert answer.header("content-security-policy") == f"default-src 'none'; frame-ancestors {ISSUER}"
    assert answer.header("cache-control") == "no-store"
    assert not answer.header("x-frame-options")
    assert await world.who(browser) == ""
    [event] = world.told(FrontchannelLogout)
    assert (event.issuer, event.subject, event.sid) == (ISSUER, ADA, sid)


async def test_the_providers_frame_ends_the_session_without_the_cookie_too(world: World) -> None:
    browser = await logged_in(world)
    answer = await front_channel(world.browser(), iss=ISSUER, sid=await sid_of(world))
    assert answer.status == 200
    assert not removes_session(answer)
    assert await world.who(browser) == ""


async def test_a_short_session_id_could_be_guessed_and_needs_the_cookie(world: World) -> None:
    browser = await logged_in(world)
    useid = world.app.useid
    account = await useid.accounts.find(ISSUER, ADA)
    assert account is not None
    token, _ = await useid.sessions.create(account, Identity(ISSUER, ADA, sid="s-1"))
    browser.cookies["useid-session"] = token
    assert (await front_channel(world.browser(), iss=ISSUER, sid="s-1")).status == 200
    assert await world.who(browser) == "ada"
    assert removes_session(await front_channel(browser, iss=ISSUER, sid="s-1"))
    assert await world.who(browser) == ""


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"iss": ISSUER},
        {"sid": "x" * 22},
        {"iss": "https://evil.example", "sid": "x" * 22},
        {"iss": f"{ISSUER}/", "sid": "x" * 22},
        {"iss": ISSUER, "sid": "x" * 600},
        {"iss": ISSUER, "sid": "<script>\n"},
    ],
)
async def test_a_strangers_frame_is_refused(world: World, query: dict[str, str]) -> None:
    browser = await logged_in(world)
    answer = await front_channel(browser, **query)
    assert (answer.status, answer.code) == (400, "logout_refused")
    assert not removes_session(answer)
    assert await world.who(browser) == "ada"


async def test_a_link_with_a_made_up_session_id_leaves_the_visitors_session_and_cookie_alone(world: World) -> None:
    browser = await logged_in(world)
    answer = await front_channel(browser, iss=ISSUER, sid="x" * 22)
    assert answer.status == 200
    assert not removes_session(answer)
    assert await world.who(browser) == "ada"


@pytest.mark.parametrize("is_heard", [True, False])
async def test_the_front_channel_warns_where_nobody_listens(
    world: World, caplog: pytest.LogCaptureFixture, is_heard: bool
) -> None:
    if is_heard:
        world.events.on(FrontchannelLogout)(lambda event: event.mark_handled())
    await logged_in(world)
    assert (await front_channel(world.browser(), iss=ISSUER, sid=await sid_of(world))).status == 200
    assert ("FrontchannelLogout: no listener marked it handled" in caplog.text) == (not is_heard)
