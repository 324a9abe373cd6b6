"""A clock that is set, by whomever: nothing is approved late, nothing lives for ever, and all works again at once."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.abuse.world import Scene, World, opened
from tests.actors import Answer
from tests.oidc.world import ISSUER
from tests.oidc.world import opened as at_provider
from tests.qr.conftest import Clock
from useid_middleware.qr.core.signing import Decision
from useid_middleware.stores import create_store
from useid_middleware.stores.base import Bucket

HOUR: Final = 3600.0
YEARS: Final = 10 * 365 * 86400.0
#: Further than the clocks of several machines may differ.
JUMPS: Final = (HOUR, -HOUR, YEARS, -YEARS, 421.0, -61.0)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as world:
        yield world


async def begin(scene: Scene) -> tuple[str, str]:
    """A login by QR: its id and its link."""
    session = (await scene.desktop.post("/session/create")).json()
    return session["sessionId"], session["qrData"]


async def log_in(scene: Scene) -> Answer:
    """A whole login by QR."""
    session_id, link = await begin(scene)
    code = (await scene.phone.approve(link)).json()["code"]
    return await scene.desktop.post(f"/session/{session_id}/claim", {"code": code})


@pytest.mark.parametrize("seconds", JUMPS)
async def test_a_login_that_waits_is_over_and_a_new_one_works_at_once(world: World, seconds: float) -> None:
    scene = await Scene.set(world)
    waiting_id, waiting = await begin(scene)
    scanned_id, scanned = await begin(scene)
    approved_id, approved = await begin(scene)
    context = (await scene.phone.scan(scanned)).json()["context"]
    signed = scene.phone.answer_body(scanned, context, Decision.APPROVE)
    code = (await scene.phone.approve(approved)).json()["code"]
    world.clock.advance(seconds)
    gone = (404, 410)
    assert (await scene.phone.scan(waiting)).status in gone
    for body in (signed, scene.phone.answer_body(scanned, context, Decision.APPROVE)):
        assert (await scene.phone.post("/approve", body)).status in gone
    assert (await scene.desktop.post(f"/session/{approved_id}/claim", {"code": code})).status in gone
    for session_id in (waiting_id, scanned_id, approved_id):
        answer = await scene.desktop.get(f"/session/{session_id}")
        assert answer.status == 404 or answer.json()["status"] == "expired"
    assert (await log_in(scene)).status == 200


async def test_a_clock_that_is_set_back_a_little_lets_a_login_live_longer_by_as_much(world: World) -> None:
    scene = await Scene.set(world)
    session_id, link = await begin(scene)
    world.clock.advance(-59)
    assert (await scene.phone.scan(link)).status == 200
    world.clock.advance(59 + 299.9)
    assert (await scene.desktop.get(f"/session/{session_id}")).json()["status"] == "scanned"
    world.clock.advance(0.1)
    assert (await scene.desktop.get(f"/session/{session_id}")).json()["status"] == "expired"


@pytest.mark.parametrize("seconds", JUMPS)
async def test_an_enrolment_is_over_and_a_new_one_works_at_once(world: World, seconds: float) -> None:
    scene = await Scene.set(world)
    await scene.alice.send("GET", "/as/alice")
    offer = (await scene.alice.post("/devices/enrol")).json()
    proved = (await scene.alice.post("/devices/enrol")).json()
    phone = replace(scene.phone, key_id=b"")
    code = (await phone.prove(proved["qrData"])).json()["code"]
    world.clock.advance(seconds)
    # Her session may be over as well.
    await scene.alice.send("GET", "/as/alice")
    assert (await phone.prove(offer["qrData"])).status in (404, 410)
    confirmed = await scene.alice.post(f"/devices/enrol/{proved['enrolmentId']}/confirm", {"code": code})
    assert confirmed.status in (404, 410)
    other = replace(phone, key=type(phone.key).generate())
    await other.enrol(scene.alice)


@pytest.mark.parametrize("seconds", JUMPS)
async def test_a_login_with_an_id_card_is_over(world: World, seconds: float) -> None:
    scene = await Scene.set(world)
    started = (await scene.desktop.post("/eid/start", {"mode": "same-device"})).json()
    world.clock.advance(seconds)
    fetched = await scene.desktop.send("GET", started["tcTokenUrl"].removeprefix("http://localhost:8000"))
    assert fetched.status in (404, 410)
    again = (await scene.desktop.post("/eid/start", {"mode": "same-device"})).json()
    fetched = await scene.desktop.send("GET", again["tcTokenUrl"].removeprefix("http://localhost:8000"))
    assert fetched.status == 200


@pytest.mark.parametrize("seconds", JUMPS)
async def test_a_passkey_ceremony_is_over(world: World, seconds: float) -> None:
    scene = await Scene.set(world)
    # Set forward, the store has let go of it; set back, it is there and would begin in the future.
    over = (410, "webauthn_challenge_expired") if seconds < 0 else (404, "ceremony_unknown")
    for jump, expected in ((seconds, over), (0.0, (200, None))):
        begun = (await scene.desktop.post("/passkeys/login/options")).json()
        world.clock.advance(jump)
        body = {"ceremonyId": begun["ceremonyId"], "credential": scene.authenticator.get(begun["options"])}
        answer = await scene.desktop.post("/passkeys/login", body)
        assert (answer.status, answer.json().get("code")) == expected, answer.body


@pytest.mark.parametrize("seconds", JUMPS)
async def test_a_login_at_a_provider_is_over_and_begins_anew(seconds: float) -> None:
    async with at_provider() as world:
        browser = world.browser()
        arrival = await world.approve(await world.begin(browser))
        world.clock.advance(seconds)
        answer = await world.come_back(browser, arrival)
        assert (answer.status, answer.header("location")) == (303, "/auth/login?provider=op")
        assert "useid-session" not in browser.cookies
        # Anew, and by the clock as it is now, it works.
        begun = await browser.send("GET", answer.header("location"))
        assert (begun.status, begun.header("location").startswith(ISSUER)) == (303, True)
        assert (await world.come_back(browser, await world.approve(begun.header("location")))).status == 303
        assert "useid-session" in browser.cookies


async def test_a_login_session_that_would_begin_in_the_future_is_none(world: World) -> None:
    scene = await Scene.set(world)
    world.clock.advance(YEARS)  # The battery of the clock was empty …
    browser = replace(scene.alice, cookies={})
    await browser.send("GET", "/as/bob")
    assert (await browser.get("/sessions")).status == 200
    world.clock.advance(-YEARS)  # … and the network sets it right.
    assert (await browser.get("/sessions")).status == 401
    account = await world.accounts.find("host", "bob")
    assert account is not None
    assert await scene.app.useid.sessions.of_account(account.id) == []


async def test_a_login_session_ends_on_time_by_a_clock_that_was_set_back(world: World) -> None:
    scene = await Scene.set(world)
    world.clock.advance(2 * HOUR)
    assert (await scene.alice.get("/sessions")).status == 200
    world.clock.advance(-HOUR)
    assert (await scene.alice.get("/sessions")).status == 200
    world.clock.advance(12 * HOUR - 1)
    assert (await scene.alice.get("/sessions")).status == 200
    world.clock.advance(12 * HOUR)
    assert (await scene.alice.get("/sessions")).status == 401


@pytest.mark.parametrize("seconds", JUMPS)
async def test_limits_recover(world: World, seconds: float) -> None:
    scene = await Scene.set(world)
    at = scene.at(world.plugin(limits={"per_ip": 4}), "203.0.113.1")

    async def statuses(count: int) -> list[int]:
        return [(await at.desktop.post("/session/create")).status for _ in range(count)]

    assert await statuses(3) == [201, 201, 429]
    world.clock.advance(seconds)
    assert await statuses(3) == [201, 201, 429]


@pytest.mark.parametrize("seconds", [*JUMPS[:-1], -80.0])
async def test_caps_recover(world: World, seconds: float) -> None:
    scene = await Scene.set(world)
    limit = world.store.held["limit:waiting"] + 2
    at = scene.at(world.plugin(qr={"waiting_limit": limit}), "203.0.113.1")

    async def statuses(count: int) -> list[int]:
        return [(await at.desktop.post("/session/create")).status for _ in range(count)]

    assert await statuses(3) == [201, 201, 429]
    world.clock.advance(seconds)
    assert await statuses(limit + 1) == [201] * limit + [429]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_bucket_is_full_again_where_the_clock_was_set_back_beyond_it(tmp_path: Path, kind: str) -> None:
    clock = Clock()
    store = create_store("memory://" if kind == "memory" else f"sqlite:///{tmp_path}/x.db", key_prefix="", clock=clock)
    await store.open()
    bucket = Bucket("bucket", interval=10, burst=3)
    for seconds in (-YEARS, 0.0, -HOUR, 30.0, -1.0):
        clock.advance(seconds)
        charged = [await store.spend([bucket]) for _ in range(4)]
        assert charged in ([0.0, 0.0, 0.0, 10.0], [10.0] * 4, [11.0] * 4), seconds
        assert (charged[0] == 0.0) == (seconds not in (0.0, -1.0)), seconds
    await store.close()


async def test_a_providers_keys_are_fetched_again_by_a_clock_that_was_set_back() -> None:
    async with at_provider() as world:
        await world.log_in(world.browser())
        world.clock.advance(-2 * HOUR)
        world.provider.rotate_keys()
        browser = world.browser()
        answer = await world.log_in(browser)
        assert "useid-session" in browser.cookies, answer
