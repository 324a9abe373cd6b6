"""Every call is counted as docs/howto/abuse.md says, and whoever goes on above a limit changes nothing."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from tests.abuse.calls import CALLS, STREAMS
from tests.abuse.world import SHOP, Scene, World, client_keys, opened
from tests.actors import Answer, Phone
from tests.test_docs import code, page
from tests.test_flow import tables
from useid_middleware import LimitSettings, Settings, UseID
from useid_middleware.emulation.server.soap_keys import CLIENT, prepare_key
from useid_middleware.errors import RateLimited
from useid_middleware.stores.limits import Looks, neighbour

#: The page's table: each call, and the names of what counts it.
TABLE: Final = {
    route: code(row[1]) for row in tables(page("howto/abuse.md"))["Calls"] if row[0] != "call" for route in code(row[0])
}
#: What makes each of them as narrow as can be: one request, and then no other for a while.
NARROW: Final[dict[str, dict[str, Any]]] = {
    "address": {"limits": {"per_ip": 1}},
    "account": {"limits": {"per_account": 1}},
    "key": {"limits": {"per_key": 1}},
    "login": {"limits": {"per_key": 1}},
    "looks": {"limits": {"looks_per_ip": 1}},
}
UNDER_WAY: Final = ("enrolments", "ceremonies", "bindings", "attempts", "responses")
CAPS: Final = ("waiting", "waiting-eid", *UNDER_WAY)


def places(world: World, name: str, count: int) -> dict[str, Any]:
    """The settings by which so many places of a cap are left."""
    limit = world.store.held[f"limit:{name}"] + count
    if name in UNDER_WAY:
        return {"limits": {"under_way": limit}}
    return (
        {"qr": {"waiting_limit": limit}} if name == "waiting" else {"eid": {"client": "bound", "waiting_limit": limit}}
    )


#: Alice needs a higher level for a further passkey, and whoever is refused for that has begun nothing.
NOTHING_BEGUN: Final = ("POST /passkeys/options", "ceremonies")
FLOODS: Final = [
    (route, name)
    for route, names in TABLE.items()
    for name in names
    if name != "streams" and (route, name) != NOTHING_BEGUN
]
#: What is counted of whoever asks, from wherever they do.
ANYWHERE: Final = {*NARROW, *CAPS} - {"address", "looks"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as world:
        yield world


def test_the_page_lists_every_call(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(client_keys())
    client = prepare_key(tmp_path / "pki", CLIENT, now=datetime.now(UTC)).certificate_file
    provider = {
        "issuer": "https://sso.example",
        "client_id": "shop",
        "client_secret": "s3cret",
        "request_object": "reference",
        "private_keys": tmp_path / "keys.json",
    }
    settings = Settings(
        from_env=False,
        store="memory://",
        accounts="memory://",
        webauthn={"enabled": True},
        eid={"server": "embedded", "soap_clients": [client]},
        embed={"tenants": {"shop": SHOP}},
        oidc={"providers": {"staff": provider}},
        levels={"/payments": "L2"},
    )
    served = set(UseID(settings).router.routes)
    switched_on_apart = {"GET /metrics", "GET /openapi.json"}
    assert served - TABLE.keys() == set()
    assert TABLE.keys() - served <= switched_on_apart


def test_every_call_that_is_counted_is_flooded_here() -> None:
    assert {route for route, names in TABLE.items() if names} == CALLS.keys()
    assert {route for route, names in TABLE.items() if "streams" in names} == STREAMS.keys()


@pytest.mark.parametrize(("route", "name"), FLOODS)
async def test_a_flood_is_answered_429_and_changes_nothing(world: World, route: str, name: str) -> None:
    scene = await Scene.set(world)
    app = world.plugin(**places(world, name, 1) if name in CAPS else NARROW[name])

    async def call(number: int) -> Answer:
        ip = f"203.0.113.{number}" if name in ANYWHERE else "203.0.113.1"
        return await CALLS[route](scene.at(app, ip))

    first = await call(1)
    assert first.status != 429, first.body
    assert (await call(2)).status == 429
    before = await world.state()
    for number in range(3, 6):
        answer = await call(number)
        assert answer.status == 429
        assert int(answer.header("retry-after")) >= 1
    assert await world.state() == before


@pytest.mark.parametrize("route", [route for route, names in TABLE.items() if "address" in names])
async def test_another_address_has_a_limit_of_its_own(world: World, route: str) -> None:
    scene = await Scene.set(world)
    app = world.plugin(limits={"per_ip": 1})
    for _ in range(3):
        await CALLS[route](scene.at(app, "203.0.113.1"))
    assert (await CALLS[route](scene.at(app, "203.0.113.2"))).status != 429


@pytest.mark.parametrize("cap", ["waiting", "waiting-eid", "enrolments", "ceremonies", "attempts"])
async def test_who_is_refused_for_their_own_sake_takes_nothing_of_what_is_everybodys(world: World, cap: str) -> None:
    route = next(route for route, names in TABLE.items() if cap in names)
    scene = await Scene.set(world)
    wide = places(world, cap, 10)
    limits = {"per_ip": 1} | wide.pop("limits", {})
    app = world.plugin(limits=limits, **wide)
    statuses = [(await CALLS[route](scene.at(app, "203.0.113.1"))).status for _ in range(50)]
    assert statuses.count(429) == 49
    others = [(await CALLS[route](scene.at(app, f"198.51.100.{number}"))).status for number in range(1, 11)]
    # One place the first address has.
    assert [status == 429 for status in others] == [False] * 9 + [True]


async def finish_login(scene: Scene) -> None:
    code = (await scene.phone.approve(scene.link)).json()["code"]
    assert (await scene.desktop.post(f"/session/{scene.session_id}/claim", {"code": code})).status == 200


async def reject_login(scene: Scene) -> None:
    assert (await scene.phone.reject(scene.link)).status == 200


async def finish_enrolment(scene: Scene) -> None:
    phone = Phone(scene.app, server=scene.phone.server, now=scene.phone.now)
    code = (await phone.prove(scene.enrolment["qrData"])).json()["code"]
    confirmed = await scene.alice.post(f"/devices/enrol/{scene.enrolment['enrolmentId']}/confirm", {"code": code})
    assert confirmed.status in (200, 201)


async def finish_step_up(scene: Scene) -> None:
    begun = (await scene.alice.post("/passkeys/step-up/options")).json()
    credential = scene.authenticator.get(begun["options"], credential=scene.authenticator.credentials[0])
    body = {"ceremonyId": begun["ceremonyId"], "credential": credential}
    assert (await scene.alice.post("/passkeys/step-up", body)).status == 200


async def fail_binding(scene: Scene) -> None:
    assert (await CALLS["PUT /webauthn/accounts/{id}"](scene)).status == 204
    assert (await CALLS["POST /webauthn/accounts/{id}/assertions"](scene)).status == 401


async def fetch_response(scene: Scene) -> None:
    posted = await CALLS["POST /callback"](scene)
    assert (await scene.desktop.send("GET", posted.header("location"))).status == 400


async def begin_in_vain(scene: Scene) -> None:
    assert (await CALLS["POST /passkeys/options"](scene)).status == 403


ENDINGS: Final = {
    "waiting": [finish_login, reject_login],
    "enrolments": [finish_enrolment],
    "ceremonies": [finish_step_up, begin_in_vain],
    "bindings": [fail_binding],
    "responses": [fetch_response],
}
#: What these end, they have begun themselves.
BEGUN: Final = ("ceremonies", "responses")


@pytest.mark.parametrize(("name", "end"), [(name, end) for name, ends in ENDINGS.items() for end in ends])
async def test_what_is_over_leaves_its_place_to_the_next(
    world: World, name: str, end: Callable[[Scene], Awaitable[None]]
) -> None:
    """Logins at providers and with an ID card are in those tests: their worlds have all that these need."""
    scene = await Scene.set(world)
    before = world.store.held[f"limit:{name}"]
    await end(scene)
    assert world.store.held[f"limit:{name}"] == before - (name not in BEGUN)


# event streams


@pytest.mark.parametrize("route", STREAMS)
async def test_an_address_holds_only_so_many_event_streams(world: World, route: str) -> None:
    scene = await Scene.set(world)
    at = scene.at(world.plugin(limits={"streams_per_ip": 2}), "2001:db8::1")
    browser, path = STREAMS[route](at)
    neighbour = replace(browser, ip="2001:db8:0:0:ffff::2")
    async with browser.stream(path), neighbour.stream(path):
        refused = await browser.get(path)
        assert (refused.status, refused.code) == (429, "rate_limited")
        assert int(refused.header("retry-after")) >= 1
        assert (await replace(browser, ip="2001:db8:0:1::1").get(path)).status == 200
        await browser.get(path)
    assert (await browser.get(path)).status == 200
    assert len(at.app.useid.streams) == 0


async def test_a_process_holds_only_so_many_event_streams(world: World) -> None:
    scene = await Scene.set(world)
    at = scene.at(world.plugin(limits={"streams": 3}), "192.0.2.1")
    browser, path = STREAMS["GET /session/{id}/events"](at)
    async with browser.stream(path), replace(browser, ip="192.0.2.2").stream(path):
        async with replace(browser, ip="192.0.2.3").stream(path):
            assert (await replace(browser, ip="192.0.2.4").get(path)).status == 429
        assert (await replace(browser, ip="192.0.2.4").get(path)).status == 200


async def test_a_stream_that_is_refused_or_fails_leaves_no_place_taken(world: World) -> None:
    scene = await Scene.set(world)
    at = scene.at(world.plugin(limits={"streams_per_ip": 1}), "192.0.2.1")
    stranger = replace(at.desktop, cookies={"useid-browser": "A" * 43})
    for _ in range(5):
        assert (await stranger.get(f"/session/{scene.session_id}/events")).code == "session_unknown"
    world.store.is_away = True
    assert (await at.desktop.get(f"/session/{scene.session_id}/events")).status == 503
    world.store.is_away = False
    assert (await at.desktop.get(f"/session/{scene.session_id}/events")).status == 200


# sessions


async def test_an_account_has_only_so_many_sessions_and_the_oldest_goes(world: World) -> None:
    app = world.plugin(sessions={"per_account": 3})
    scene = await Scene.set(world)
    browsers = []
    for _ in range(5):
        browser = replace(scene.alice, app=app, cookies={})
        await browser.send("GET", "/as/bob")
        browsers.append(browser)
        world.clock.advance(1)
    assert len((await browsers[-1].get("/sessions")).json()["sessions"]) == 3
    assert [(await browser.get("/sessions")).status for browser in browsers] == [401, 401, 200, 200, 200]
    assert (await scene.alice.get("/sessions")).status == 200


# addresses


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8::1", "2001:db8::2"),
        ("2001:db8::1", "2001:0db8:0000:0000:ffff:ffff:ffff:ffff"),
        ("2001:DB8:1:2::", "2001:db8:1:2:3:4:5:6"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::2"),
        ("fe80::1%eth0", "fe80::2%eth1"),
        ("", "unix:/run/app.sock"),
        ("\u2603" * 5000, "not an address"),
    ],
)
def test_neighbours_are_one_however_they_are_spelled(one: str, other: str) -> None:
    assert neighbour(one) == neighbour(other)
    assert len(neighbour(one)) <= 40


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8:0:1::1"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("::1", "127.0.0.1"),
        ("", "192.0.2.1"),
    ],
)
def test_others_are_others(one: str, other: str) -> None:
    assert neighbour(one) != neighbour(other)


async def test_looks_come_back_at_their_own_pace() -> None:
    now = 0.0
    looks = Looks(LimitSettings(looks_per_ip=4), timer=lambda: now)
    for _ in range(2):
        await looks.spend("192.0.2.1")
    with pytest.raises(RateLimited) as refused:
        await looks.spend("192.0.2.1")
    assert refused.value.retry_after == 15
    await looks.spend("192.0.2.2")
    now = 15.0
    await looks.spend("192.0.2.1")
    with pytest.raises(RateLimited):
        await looks.spend("192.0.2.1")
