"""Each step of an eID client gives it new time; when that is over, the desktop that watches is told, to the instant."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.actors import Browser
from tests.eid.world import World, code_in, opened, path_of, seal_for, token_url_in
from useid_middleware._codec import timestamp
from useid_middleware.events import EIDExpired

LIFETIME, CLIENT_LIFETIME, CLAIM_LIFETIME = 200.0, 100.0, 50.0
#: Between two steps, and before the deadline.
PAUSE, MOMENT = 30.0, 0.01


@dataclass
class Waiting:
    """A login that waits for its client's next step. ``since`` is when the last one was."""

    world: World
    desktop: Browser
    started: dict[str, Any]
    since: float

    @classmethod
    async def begin(cls, world: World, mode: str) -> "Waiting":
        """A new one."""
        desktop = world.browser()
        return cls(world, desktop, await world.start(desktop, mode=mode), world.clock())

    def pause(self) -> None:
        """The client takes its time for the next step."""
        self.world.clock.advance(PAUSE)
        self.since = self.world.clock()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    lifetimes = {"lifetime": LIFETIME, "client_lifetime": CLIENT_LIFETIME, "claim_lifetime": CLAIM_LIFETIME}
    async with opened(eid=lifetimes) as world:
        yield world


async def just_started(world: World) -> Waiting:
    return await Waiting.begin(world, "standard")


async def begun_on_the_phone(world: World) -> Waiting:
    waiting = await Waiting.begin(world, "standard")
    waiting.pause()
    await world.begin_on_phone(world.phone(), waiting.started["startUrl"])
    return waiting


async def fetched_on_the_phone(world: World) -> Waiting:
    waiting = await Waiting.begin(world, "standard")
    page = await world.begin_on_phone(world.phone(), waiting.started["startUrl"])
    waiting.pause()
    await world.fetch_token(token_url_in(page))
    return waiting


async def fetched_on_the_same_device(world: World) -> Waiting:
    waiting = await Waiting.begin(world, "same-device")
    waiting.pause()
    await world.fetch_token(waiting.started["tcTokenUrl"])
    return waiting


async def shows_its_code(world: World) -> Waiting:
    waiting = await Waiting.begin(world, "standard")
    phone = world.phone()
    page = await world.begin_on_phone(phone, waiting.started["startUrl"])
    refresh = await world.run_client(token_url_in(page))
    waiting.pause()
    assert code_in(await phone.send("GET", path_of(refresh)))
    return waiting


async def sent_the_sealed_address(world: World) -> Waiting:
    waiting = await Waiting.begin(world, "integrated")
    refresh = await world.run_client(waiting.started["tcTokenUrl"])
    waiting.pause()
    assert (await world.seal(waiting.started, seal_for(waiting.started, refresh))).status == 204
    return waiting


#: What came last, what the desktop sees of it, and how long the next step may take.
STEPS: Final = {
    just_started: ("waiting", LIFETIME),
    begun_on_the_phone: ("scanned", CLIENT_LIFETIME),
    fetched_on_the_phone: ("scanned", CLIENT_LIFETIME),
    fetched_on_the_same_device: ("scanned", CLIENT_LIFETIME),
    shows_its_code: ("approved", CLAIM_LIFETIME),
    sent_the_sealed_address: ("approved", CLAIM_LIFETIME),
}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
async def test_a_client_that_disappears_ends_the_login_at_the_deadline_of_its_last_step(
    world: World, step: Any
) -> None:
    state, lifetime = STEPS[step]
    waiting = await step(world)
    world.clock.advance(lifetime - MOMENT)
    status = await world.status(waiting.desktop, waiting.started)
    assert (status["status"], status["expiresAt"]) == (state, timestamp(waiting.since + lifetime))
    async with waiting.desktop.stream(f"/eid/session/{waiting.started['sessionId']}/events") as stream:
        assert await stream.next_status() == state
        world.clock.advance(MOMENT)
        name, told = await stream.next()
        await stream.end()
    assert (name, told["status"], told["expiresAt"]) == ("status", "expired", timestamp(waiting.since + lifetime))
    assert [event.session_id for event in world.heard_of(EIDExpired)] == [waiting.started["sessionId"]]
    # Nothing is left that could lead further.
    record = await world.record(waiting.started)
    assert (record.start, record.token, record.eid_session, record.sealed) == (b"", b"", "", "")
