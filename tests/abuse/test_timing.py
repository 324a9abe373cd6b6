"""Time does not tell either: "unknown id", "foreign cookie" and "wrong code" take as long as each other.

Distributions are compared, of the CPU time of this thread, since the machine may be busy with other things. Each case
is measured twice, interleaved with all others: how far the two halves of one case are apart is the noise, and two cases
may be apart by a few times that. A busy moment can spoil a round, so the majority of rounds decides. In each round a
case that does differ is measured as well, and has to be told apart: a test that sees nothing proves nothing.
"""

import gc
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from tests.abuse.world import Scene, World, opened
from tests.actors import Answer, Browser
from useid_middleware._codec import b64url

#: Samples of each half of each case in a round, and rounds.
SAMPLES: Final = 150
ROUNDS: Final = 7
#: So many times the noise is too far apart. What the pretences are there for is ten times as much.
TOO_FAR: Final = 4.0
UNKNOWN: Final = b64url(b"\x55" * 16)

#: Makes what one request needs (outside of what is measured), and hands back the request.
Case = Callable[[], Awaitable[Callable[[], Awaitable[Answer]]]]


def middle(samples: list[float]) -> float:
    """The mean of the second quarter: what a request takes that nothing interrupts, and more stable than a median."""
    ordered = sorted(samples)
    quarter = ordered[len(ordered) // 4 : len(ordered) // 2]
    return sum(quarter) / len(quarter)


@dataclass
class Round:
    """The middles of both halves of each case."""

    halves: dict[str, tuple[float, float]]

    @property
    def noise(self) -> float:
        """How far the halves of one case are apart, at worst; never less than a hundredth of the longest case."""
        least = max(max(both) for both in self.halves.values()) / 100
        return max(least, *(abs(one - other) for one, other in self.halves.values()))

    def distance(self, one: str, other: str) -> float:
        """How far two cases are apart, in multiples of the noise."""
        return abs(sum(self.halves[one]) - sum(self.halves[other])) / 2 / self.noise


@contextmanager
def quiet() -> Iterator[None]:
    """No collection of garbage in the middle of a sample."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def measure(cases: dict[str, Case], order: random.Random) -> Round:
    """One round."""
    plan = [(name, half) for name in cases for half in (0, 1)] * SAMPLES
    order.shuffle(plan)
    taken: dict[tuple[str, int], list[float]] = {each: [] for each in plan}
    with quiet():
        for name, half in plan:
            request = await cases[name]()
            began = time.thread_time()
            await request()
            taken[name, half].append(time.thread_time() - began)
    return Round({name: (middle(taken[name, 0]), middle(taken[name, 1])) for name in cases})


async def judge(cases: dict[str, Case], *, alike: tuple[str, ...], other: str) -> None:
    """Fail unless the cases ``alike`` cannot be told apart in most rounds, and ``other`` can."""
    order = random.Random(7)
    found: list[str] = []
    told = seen = 0
    for _ in range(ROUNDS):
        result = await measure(cases, order)
        distances = {
            f"{one} / {two}": result.distance(one, two) for number, one in enumerate(alike) for two in alike[:number]
        }
        told += max(distances.values()) <= TOO_FAR
        seen += min(result.distance(name, other) for name in alike) > TOO_FAR
        found.append(f"{result.noise * 1e6:.2f} µs noise; {distances}; {result.halves}")
    assert told > ROUNDS // 2, "\n".join(found)
    assert seen > ROUNDS // 2, "\n".join(found)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as world:
        yield world


def asking(browser: Browser, method: str, path: str, body: object = None) -> Case:
    """A case in which every request is the same."""

    async def prepare() -> Callable[[], Awaitable[Answer]]:
        return lambda: browser.get(path) if method == "GET" else browser.post(path, body)

    return prepare


async def mallory(scene: Scene) -> Browser:
    """A browser with a cookie of its own, for a login of its own."""
    browser = replace(scene.desktop, cookies={})
    await browser.post("/session/create")
    return browser


async def test_at_a_claim_unknown_foreign_and_wrong_code_take_as_long(world: World) -> None:
    scene = await Scene.set(world)
    foreign = await mallory(scene)
    left: list[str] = []

    async def approved() -> str:
        """The path of the claim of a login of the desktop's own, which has an attempt left after this one."""
        if not left:
            session = (await scene.desktop.post("/session/create")).json()
            assert (await scene.phone.approve(session["qrData"])).status == 200
            left.extend([f"/session/{session['sessionId']}/claim"] * 4)
        return left.pop()

    async def wrong() -> Callable[[], Awaitable[Answer]]:
        path = await approved()
        return lambda: scene.desktop.post(path, {"code": "000000"})

    claim = f"/session/{scene.session_id}/claim"
    cases = {
        "unknown id": asking(foreign, "POST", f"/session/{UNKNOWN}/claim", {"code": "000000"}),
        "foreign cookie": asking(foreign, "POST", claim, {"code": "000000"}),
        "wrong code": wrong,
        "no cookie": asking(replace(foreign, cookies={}), "POST", claim, {"code": "000000"}),
    }
    assert (await (await cases["wrong code"]())()).code == "code_wrong"
    assert (await (await cases["foreign cookie"]())()).code == "session_unknown"
    await judge(cases, alike=("unknown id", "foreign cookie", "wrong code"), other="no cookie")


@pytest.mark.parametrize("path", ["/session/{}", "/eid/session/{}"])
async def test_looking_at_an_unknown_id_and_at_a_foreign_one_takes_as_long(world: World, path: str) -> None:
    scene = await Scene.set(world)
    foreign = await mallory(scene)
    begin = "/eid/start" if "eid" in path else "/session/create"
    own = (await scene.desktop.post(begin)).json()
    cases = {
        "unknown id": asking(foreign, "GET", path.format(UNKNOWN)),
        "foreign cookie": asking(foreign, "GET", path.format(own["sessionId"])),
        "no cookie": asking(replace(foreign, cookies={}), "GET", path.format(own["sessionId"])),
    }
    await judge(cases, alike=("unknown id", "foreign cookie"), other="no cookie")


async def test_at_an_enrolment_unknown_foreign_and_wrong_code_take_as_long(world: World) -> None:
    scene = await Scene.set(world)
    stranger = replace(scene.alice, cookies={})
    await stranger.send("GET", "/as/mallory")
    left: list[str] = []

    async def wrong() -> Callable[[], Awaitable[Answer]]:
        if not left:
            offer = (await scene.alice.post("/devices/enrol")).json()
            assert (await scene.phone.prove(offer["qrData"])).status == 200
            left.extend([f"/devices/enrol/{offer['enrolmentId']}/confirm"] * 4)
        path = left.pop()
        return lambda: scene.alice.post(path, {"code": "000000"})

    def confirming(enrolment_id: str) -> Case:
        return asking(stranger, "POST", f"/devices/enrol/{enrolment_id}/confirm", {"code": "000000"})

    cases = {
        "unknown id": confirming(UNKNOWN),
        "foreign user": confirming(scene.enrolment["enrolmentId"]),
        "wrong code": wrong,
        "nobody": asking(
            replace(stranger, cookies={}), "POST", f"/devices/enrol/{UNKNOWN}/confirm", {"code": "000000"}
        ),
    }
    assert (await (await cases["wrong code"]())()).code == "code_wrong"
    assert (await (await cases["foreign user"]())()).code == "session_unknown"
    await judge(cases, alike=("unknown id", "foreign user", "wrong code"), other="nobody")


async def test_an_unknown_ceremony_and_a_foreign_one_take_as_long(world: World) -> None:
    scene = await Scene.set(world)
    foreign = await mallory(scene)
    begun = (await scene.desktop.post("/passkeys/login/options")).json()
    options = {"challenge": b64url(bytes(32)), "rpId": "localhost", "allowCredentials": []}
    credential = scene.authenticator.get(options, credential=scene.authenticator.credentials[0])

    def ending(ceremony_id: str, browser: Browser) -> Case:
        return asking(browser, "POST", "/passkeys/login", {"ceremonyId": ceremony_id, "credential": credential})

    cases = {
        "unknown id": ending(UNKNOWN, foreign),
        "foreign cookie": ending(begun["ceremonyId"], foreign),
        "no cookie": ending(begun["ceremonyId"], replace(foreign, cookies={})),
    }
    assert (await (await cases["foreign cookie"]())()).code == "ceremony_unknown"
    await judge(cases, alike=("unknown id", "foreign cookie"), other="no cookie")
