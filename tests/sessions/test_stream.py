"""The event stream of a login session: an open page learns at once that its session is over, and why."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.actors import Browser
from tests.qr.conftest import Clock, World, make_settings, open_world
from useid_middleware import Events, Identity, SessionSettings, UseID, UseIDMiddleware
from useid_middleware.errors import UnavailableError
from useid_middleware.http.asgi import Receive, Scope, Send
from useid_middleware.stores.base import Versioned
from useid_middleware.stores.memory import MemoryStore

EVENTS = "/sessions/current/events"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await open_world(make_settings())
    yield world
    await world.app.useid.stop()


async def test_a_logout_in_one_tab_reaches_the_other(world: World) -> None:
    browser = await world.log_in()
    async with browser.stream(EVENTS) as other_tab:
        assert await other_tab.next() == ("alive", {})
        await browser.post("/logout")
        assert await other_tab.next() == ("ended", {"reason": "logout"})
        await other_tab.end()


async def test_all_tabs_of_a_session_hear_and_those_of_another_one_do_not(world: World) -> None:
    lost, mine = await world.log_in(), await world.log_in()
    async with lost.stream(EVENTS) as first, lost.stream(EVENTS) as second, mine.stream(EVENTS) as own:
        for tab in (first, second, own):
            assert (await tab.next())[0] == "alive"
        assert (await mine.delete("/sessions")).status == 204
        for tab in (first, second):
            assert await tab.next() == ("ended", {"reason": "revoked"})
        assert own.events() == [("alive", {})]
        assert not own.ended


async def test_a_new_login_in_the_same_browser_ends_the_stream_of_the_old_session(world: World) -> None:
    browser = await world.log_in()
    async with browser.stream(EVENTS) as tab:
        await tab.next()
        await browser.send("GET", "/as/bob")
        assert await tab.next() == ("ended", {"reason": "rotated"})


async def test_who_is_not_logged_in_gets_no_stream(world: World) -> None:
    answer = await world.browser().get(EVENTS)
    assert (answer.status, answer.code) == (401, "login_required")


async def test_a_page_that_leaves_is_forgotten(world: World) -> None:
    browser = await world.log_in()
    async with browser.stream(EVENTS) as tab:
        await tab.next()
    assert (await browser.post("/logout")).status == 204
    assert tab.events() == [("alive", {})]


class WatchedStore(MemoryStore):
    """Tells who looked at a session, and may be away for those who do."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.looked = asyncio.Event()
        self.is_down = False

    async def get(self, key: str) -> Versioned | None:
        """See the store."""
        if key.startswith("session:"):
            self.looked.set()
            if self.is_down:
                raise UnavailableError("store_unavailable", "the store cannot be reached")
        return await super().get(key)


async def nobody_home(scope: Scope, receive: Receive, send: Send) -> None:
    """A host app that is never reached."""
    raise AssertionError(scope["path"])


async def watched(clock: Clock) -> tuple[WatchedStore, UseID, Browser]:
    """A session that lasts a tenth of a second by a clock that stands still."""
    store = WatchedStore(clock)
    settings = make_settings(sessions=SessionSettings(idle_lifetime=0.1))
    useid = UseID(settings, Events(), store=store, clock=clock)
    app = UseIDMiddleware(nobody_home, useid=useid)
    await useid.start()
    account, _ = await useid.accounts.resolve(Identity("host", "alice", username="alice"), now=clock())
    token, _ = await useid.sessions.create(account, Identity("host", "alice"))
    return store, useid, Browser(app, cookies={"useid-session": token})


async def test_a_session_that_runs_out_ends_the_stream_and_one_that_is_used_elsewhere_does_not() -> None:
    clock = Clock()
    store, useid, browser = await watched(clock)
    async with browser.stream(EVENTS) as tab:
        assert await tab.next() == ("alive", {})
        store.looked.clear()
        # The timer fires; by the session's clock there is time left, as if another tab had used it.
        await asyncio.wait_for(store.looked.wait(), 5)
        assert tab.events() == [("alive", {})]
        clock.advance(1)
        assert await tab.next() == ("ended", {"reason": "expired"})
        await tab.end()
    await useid.stop()


async def test_while_nobody_can_tell_the_stream_stays_and_says_so() -> None:
    clock = Clock()
    store, useid, browser = await watched(clock)
    async with browser.stream(EVENTS) as tab:
        await tab.next()
        store.is_down = True
        assert await tab.next() == ("away", {})
        store.is_down = False
        assert await tab.next() == ("alive", {})
        clock.advance(3600)
        assert await tab.next() == ("ended", {"reason": "expired"})
    await useid.stop()
