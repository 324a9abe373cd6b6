"""Sessions that a provider opened: listed, found, revoked, and ended with everything that stems from them."""

from collections.abc import AsyncIterator

import pytest

from tests.actors import Browser, Phone
from tests.oidc.world import ISSUER, World, open_world, opened
from useid_middleware import SessionEnded

ADA = "ada-1815"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await open_world()
    yield world
    await world.close()


async def logged_in(world: World, *, person: str = "ada", ip: str = "192.0.2.1") -> Browser:
    browser = world.browser(ip=ip)
    assert (await world.log_in(browser, person=person)).status == 303
    return browser


async def by_phone(world: World, phone: Phone) -> Browser:
    """Another computer, logged in with this phone."""
    browser = world.browser(ip="192.0.2.50")
    created = await browser.post("/session/create", {})
    assert created.status == 201, created.body
    code = (await phone.approve(created.json()["qrData"])).json()["code"]
    claimed = await browser.post(f"/session/{created.json()['sessionId']}/claim", {"code": code})
    assert claimed.status == 200, claimed.body
    return browser


async def sids(world: World) -> list[str]:
    """The ids of the provider's sessions behind Ada's, newest first."""
    return [session.sid or "" for session in await world.app.useid.sessions.of_subject(ISSUER, ADA)]


# lists


async def test_a_person_sees_their_own_sessions_and_which_one_this_is(world: World) -> None:
    first = await logged_in(world, ip="192.0.2.7")
    world.clock.advance(1)
    second = await logged_in(world)
    await logged_in(world, person="grace")
    listed = (await second.get("/sessions")).json()["sessions"]
    assert [(each["current"], each["ip"]) for each in listed] == [(True, "192.0.2.1"), (False, "192.0.2.7")]
    assert [each["current"] for each in (await first.get("/sessions")).json()["sessions"]] == [False, True]
    stranger = await world.browser().get("/sessions")
    assert (stranger.status, stranger.code) == (401, "login_required")


async def test_a_person_revokes_one_of_their_sessions(world: World) -> None:
    lost, mine = await logged_in(world), await logged_in(world)
    [other] = [each for each in (await mine.get("/sessions")).json()["sessions"] if not each["current"]]
    assert (await mine.delete(f"/sessions/{other['id']}")).status == 204
    assert (await world.who(lost), await world.who(mine)) == ("", "ada")
    assert (await world.token(lost)).status == 401
    assert [event.reason for event in world.told(SessionEnded)] == ["revoked"]


async def test_a_person_revokes_all_sessions_but_this_one(world: World) -> None:
    browsers = [await logged_in(world) for _ in range(3)]
    graces = await logged_in(world, person="grace")
    assert (await browsers[1].delete("/sessions")).status == 204
    assert [await world.who(browser) for browser in browsers] == ["", "ada", ""]
    assert await world.who(graces) == "grace"


async def test_nobody_revokes_the_session_of_somebody_else(world: World) -> None:
    adas, graces = await logged_in(world), await logged_in(world, person="grace")
    [session] = (await adas.get("/sessions")).json()["sessions"]
    refused = await graces.delete(f"/sessions/{session['id']}")
    assert (refused.status, refused.code) == (404, "not_found")
    assert await world.who(adas) == "ada"


async def test_a_page_of_another_site_revokes_nothing(world: World) -> None:
    browser = await logged_in(world)
    await logged_in(world)
    refused = await browser.send("DELETE", "/auth/sessions", headers={"origin": "https://evil.example"})
    assert (refused.status, refused.code) == (403, "cross_site_request")
    assert len(await sids(world)) == 2


async def test_a_session_ends_when_it_is_not_used_and_at_its_absolute_end() -> None:
    async with opened(sessions={"idle_lifetime": 100, "absolute_lifetime": 250}) as world:
        used, idle = await logged_in(world), await logged_in(world)
        for _ in range(3):
            world.clock.advance(80)
            assert await world.who(used) == "ada"
        assert await world.who(idle) == ""
        world.clock.advance(20)
        assert await world.who(used) == ""


async def test_the_cookie_is_small_and_opens_nothing_when_it_was_changed(world: World) -> None:
    browser = await logged_in(world)
    cookie = browser.cookies["useid-session"]
    assert len(cookie) == 43
    for changed in (cookie[:-1], cookie.swapcase(), cookie[::-1], cookie + "A"):
        thief = world.browser()
        thief.cookies["useid-session"] = changed
        assert await world.who(thief) == ""


# what belongs together


async def test_sessions_are_found_by_the_providers_session_and_by_the_person(world: World) -> None:
    await logged_in(world)
    world.clock.advance(1)
    await logged_in(world)
    sessions = world.app.useid.sessions
    newest, oldest = await sids(world)
    assert newest != oldest
    assert [session.sid for session in await sessions.of_sid(ISSUER, oldest)] == [oldest]
    assert await sessions.of_sid("https://other.example", oldest) == []
    assert await sessions.of_subject(ISSUER, "grace-1906") == []


async def test_a_logout_at_the_provider_ends_the_one_session_that_it_names(world: World) -> None:
    kept = await logged_in(world)
    world.clock.advance(1)
    ended = await logged_in(world)
    [delivery] = await world.provider.logout(sid=(await sids(world))[0])
    assert delivery.status == 200
    assert (await world.who(kept), await world.who(ended)) == ("ada", "")


async def test_a_logout_of_the_person_ends_all_their_sessions_and_nobody_elses(world: World) -> None:
    world.provider.inject("logout-only-sub")
    adas = [await logged_in(world) for _ in range(2)]
    graces = await logged_in(world, person="grace")
    await world.provider.logout(subject=ADA)
    assert [await world.who(browser) for browser in adas] == ["", ""]
    assert await world.who(graces) == "grace"


async def test_the_session_of_a_phone_ends_with_the_login_that_enrolled_it_and_its_page_learns_at_once(
    world: World,
) -> None:
    desktop = await logged_in(world)
    elsewhere = await by_phone(world, await world.enrolled_phone(desktop))
    assert await world.who(elsewhere) == "ada"
    async with (
        elsewhere.stream("/sessions/current/events") as open_page,
        desktop.stream("/sessions/current/events") as own_page,
    ):
        assert (await open_page.next())[0] == (await own_page.next())[0] == "alive"
        await world.provider.logout(subject=ADA)
        assert await open_page.next() == ("ended", {"reason": "backchannel_logout"})
        assert await own_page.next() == ("ended", {"reason": "backchannel_logout"})
    assert (await world.who(elsewhere), await world.who(desktop)) == ("", "")


async def test_the_session_of_a_phone_ends_also_when_the_login_that_enrolled_it_is_over(world: World) -> None:
    desktop = await logged_in(world)
    elsewhere = await by_phone(world, await world.enrolled_phone(desktop))
    await desktop.post("/logout")
    assert await world.who(elsewhere) == "ada"
    await world.provider.logout(subject=ADA)
    assert await world.who(elsewhere) == ""


async def test_the_phone_of_somebody_else_stays_logged_in(world: World) -> None:
    await logged_in(world)
    elsewhere = await by_phone(world, await world.enrolled_phone(await logged_in(world, person="grace")))
    await world.provider.logout(subject=ADA)
    assert await world.who(elsewhere) == "grace"


async def test_an_operator_who_wants_it_keeps_the_sessions_of_phones() -> None:
    async with opened(oidc={"logout_derived_sessions": False}) as world:
        desktop = await logged_in(world)
        elsewhere = await by_phone(world, await world.enrolled_phone(desktop))
        await world.provider.logout(subject=ADA)
        assert (await world.who(desktop), await world.who(elsewhere)) == ("", "ada")


# the profile


async def test_the_profile_shows_the_person_what_is_known_of_them(world: World) -> None:
    browser = await logged_in(world)
    page = (await browser.get("/profile")).body.decode()
    for known in ("ada@example.com", "Ada Lovelace", "192.0.2.1", ISSUER):
        assert known in page
    stranger = await world.browser().get("/profile")
    assert (stranger.status, stranger.code) == (401, "login_required")


async def test_what_is_switched_off_is_not_there() -> None:
    paths = ("profile", "initiate", "backchannel_logout", "frontchannel_logout", "session_monitor", "error")
    async with opened(paths=dict.fromkeys(paths, "")) as world:
        browser = await logged_in(world)
        for path in ("/profile", "/initiate", "/frontchannel-logout", "/session-monitor", "/error"):
            assert (await browser.get(path)).body == b"ada"  # The host app's own answer.
        assert (await browser.send("POST", "/auth/backchannel-logout")).body == b"ada"
