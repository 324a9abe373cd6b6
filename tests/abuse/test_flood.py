"""100,000 logins begun by one address, and by 100,000 addresses: what stops them, and who does not notice.

Over SQLite and Redis the floods are smaller, since each request waits for the disk or the network; the caps are smaller
by as much.
"""

import asyncio
import sqlite3
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis

from tests.abuse.calls import CALLS
from tests.abuse.world import Scene, opened
from tests.actors import Browser
from tests.qr.conftest import Clock, host_app, make_settings
from tests.qr.conftest import World as QRWorld
from useid_middleware import Events, UseID, UseIDMiddleware
from useid_middleware.stores.base import Store
from useid_middleware.stores.memory import MemoryStore

MANY: Final = 100_000
#: What a login that waits may take in the store for (s): its lifetime, and what its page is told afterwards.
LONGEST: Final = 300 + 120


class CountedStore(MemoryStore):
    """A store in memory that says how much is in it."""

    def count(self) -> int:
        """Values and buckets, dead ones that nobody has met yet included."""
        return len(self._entries) + len(self._buckets)


@asynccontextmanager
async def plugin(store: Store, *, clock: Clock | None = None, **values: Any) -> AsyncIterator[QRWorld]:
    """The device switch over a store, with the limits that it has by default."""
    clock = clock or Clock()
    settings = make_settings(**{"limits": {}, **values})
    world = QRWorld(UseIDMiddleware(host_app, useid=UseID(settings, Events(), store=store, clock=clock)), clock)
    try:
        yield world
    finally:
        await world.app.useid.stop()


def networks() -> Iterator[str]:
    """Addresses, each in an IPv6 network of its own."""
    return (f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1" for number in range(1 << 32))


async def log_in(world: QRWorld, desktop: Browser, ip: str) -> None:
    """A whole login; the answers that it gets are those of a quiet day."""
    phone = await world.enrolled_phone()
    phone.ip = ip
    session_id, link = await world.start(desktop)
    code = (await phone.approve(link)).json()["code"]
    assert (await desktop.post(f"/session/{session_id}/claim", {"code": code})).status == 200


async def test_one_address_stops_at_its_limit_and_nobody_else_notices() -> None:
    clock = Clock()
    store = CountedStore(clock=clock)
    async with plugin(store, clock=clock) as world:
        attacker = Browser(world.app, ip="203.0.113.66")
        statuses: Counter[int] = Counter()
        for number in range(MANY):
            statuses[(await attacker.post("/session/create")).status] += 1
            attacker.cookies.clear()
            if number % 10_000 == 0:
                await log_in(world, world.browser(ip=f"192.0.2.{number // 10_000}"), "198.51.100.7")
            clock.advance(60 / MANY)
        # Half a minute's worth at once, and then what a minute allows.
        assert statuses[201] in (180, 181)
        assert statuses[429] == MANY - statuses[201]
        assert store.count() < 300


async def test_a_network_of_addresses_is_one_of_them() -> None:
    clock = Clock()
    async with plugin(MemoryStore(clock=clock), clock=clock) as world:
        statuses: Counter[int] = Counter()
        for number in range(2_000):
            attacker = Browser(world.app, ip=f"2001:db8:1:2:{number:x}:{number * 7:x}::1")
            statuses[(await attacker.post("/session/create")).status] += 1
        assert statuses == {201: 60, 429: 1_940}


async def test_100_000_addresses_stop_at_the_cap_and_what_is_under_way_goes_on() -> None:
    clock, cap = Clock(), 4_000
    store = CountedStore(clock=clock)
    async with plugin(store, clock=clock, qr={"waiting_limit": cap}) as world:
        alice, desktop = await world.log_in(), world.browser()
        session_id, _ = await world.start(desktop)
        statuses: Counter[int] = Counter()
        largest = 0
        for number, ip in zip(range(MANY), networks(), strict=False):
            statuses[(await Browser(world.app, ip=ip).post("/session/create")).status] += 1
            clock.advance(30 / MANY)
            if number % 5_000 == 0:
                largest = max(largest, store.count())
                assert (await alice.get("/sessions")).status == 200
                assert (await desktop.get(f"/session/{session_id}")).json()["status"] == "waiting"
        assert statuses[201] == cap - 1  # One place is the desktop's.
        assert statuses[429] == MANY - statuses[201]
        # The logins, the buckets of the last half second, and as many again that the store has yet to meet.
        assert largest < 2 * (cap + MANY / 60)
        # What the flood began has run out and leaves the store while others come.
        clock.advance(LONGEST)
        for _, ip in zip(range(cap), networks(), strict=False):
            await Browser(world.app, ip=ip).post("/session/create")
            clock.advance(1)
        assert store.count() < 2 * 420 + 100


async def test_a_login_under_way_is_finished_in_the_middle_of_a_flood() -> None:
    clock = Clock()
    async with plugin(MemoryStore(clock=clock), clock=clock, qr={"waiting_limit": 10}) as world:
        phone, desktop = await world.enrolled_phone(), world.browser()
        session_id, link = await world.start(desktop)
        addresses = networks()
        statuses = {(await Browser(world.app, ip=next(addresses)).post("/session/create")).status for _ in range(100)}
        assert statuses == {201, 429}
        assert (await world.browser().post("/session/create")).status == 429
        code = (await phone.approve(link)).json()["code"]
        assert (await desktop.post(f"/session/{session_id}/claim", {"code": code})).status == 200
        assert await world.who(desktop) == "alice authenticated L0 L1"


@pytest.mark.parametrize(
    ("route", "prefix", "cap"),
    [
        ("POST /session/create", "qr:", "waiting"),
        ("POST /eid/start", "eid:", "waiting-eid"),
        ("POST /passkeys/login/options", "webauthn:", "ceremonies"),
        ("GET /login", "oidc-attempt:", "attempts"),
        ("POST /callback", "oidc-response:", "responses"),
        ("POST /webauthn/accounts", "webauthn-account:", "bindings"),
        ("POST /devices/enrol", "enrolment:", "enrolments"),
    ],
)
async def test_each_kind_has_a_cap_of_its_own(tmp_path: Path, route: str, prefix: str, cap: str) -> None:
    async with opened(tmp_path) as world:
        scene, addresses = await Scene.set(world), networks()
        free, held = 20, world.store.held[f"limit:{cap}"]
        limit = free + held
        # Of what is posted, a twentieth.
        app = world.plugin(
            limits={"under_way": 20 * limit if route == "POST /callback" else limit},
            qr={"waiting_limit": limit},
            eid={"client": "bound", "waiting_limit": limit},
        )
        before = [key for key in await world.store.living() if key.startswith(prefix)]
        statuses = [(await CALLS[route](scene.at(app, next(addresses)))).status for _ in range(100)]
        assert [status == 429 for status in statuses] == [False] * free + [True] * (100 - free)
        after = [key for key in await world.store.living() if key.startswith(prefix)]
        assert len(after) - len(before) == free
        # The others do not notice.
        others = {"POST /session/create", "POST /eid/start", "POST /passkeys/login/options", "GET /login"} - {route}
        for other in others:
            assert (await CALLS[other](scene.at(app, next(addresses)))).status in (200, 201, 303)


# Stores that several processes share


@dataclass
class Flood:
    """How a flood ended."""

    statuses: Counter[int]

    @classmethod
    async def of(cls, world: QRWorld, addresses: Iterator[str], count: int) -> "Flood":
        """So many logins, each begun from the next address, 64 at a time."""
        statuses: Counter[int] = Counter()

        async def begin(number: int) -> None:
            for _ in range(number):
                statuses[(await Browser(world.app, ip=next(addresses)).post("/session/create")).status] += 1

        await asyncio.gather(*(begin(count // 64) for _ in range(64)))
        return cls(statuses)


async def test_in_sqlite_a_flood_stops_at_limit_and_cap_and_leaves_the_file(tmp_path: Path) -> None:
    file, clock = tmp_path / "useid.db", Clock()
    url = f"sqlite:///{file}"

    def rows() -> int:
        with closing(sqlite3.connect(file)) as connection:
            tables = ("useid_values", "useid_buckets", "useid_indexes", "useid_counts")
            return sum(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)

    settings = make_settings(limits={}, store=url, qr={"waiting_limit": 400})
    world = QRWorld(UseIDMiddleware(host_app, useid=UseID(settings, Events(), clock=clock)), clock)
    one = await Flood.of(world, iter(lambda: "203.0.113.66", None), 3_200)
    assert one.statuses == {201: 60, 429: 3_140}
    many = await Flood.of(world, networks(), 3_200)
    assert many.statuses == {201: 340, 429: 2_860}
    clock.advance(1)  # All buckets of addresses are full again, but for one.
    for number in range(20):
        clock.advance(LONGEST)
        await world.browser(ip=f"192.0.2.{number}").post("/session/create")
    await world.app.useid.stop()
    assert rows() <= 8


async def test_in_redis_a_flood_stops_at_limit_and_cap_and_every_key_has_an_end(redis_url: str) -> None:
    prefix, cap = f"useid:flood-{uuid.uuid4().hex[:12]}:", 400
    settings = make_settings(limits={}, store=redis_url, key_prefix=prefix, qr={"waiting_limit": cap})
    world = QRWorld(UseIDMiddleware(host_app, useid=UseID(settings, Events())), Clock())
    with closing(Redis.from_url(redis_url)) as admin:
        begun = seconds(admin)
        one = await Flood.of(world, iter(lambda: "203.0.113.66", None), 3_200)
        many = await Flood.of(world, networks(), 3_200)
        lasted = seconds(admin) - begun
        await world.app.useid.stop()
        lifetimes = {key: admin.pttl(key) for key in admin.scan_iter(prefix.encode() + b"*", count=10_000)}
    values = [key for key in lifetimes if key.startswith(prefix.encode() + b"v:")]
    # As many at once as the address may, and what the flood's own time gave back, by the clock that counts: Redis'.
    assert 60 <= one.statuses[201] <= 60 + 2 * lasted + 1
    assert one.statuses[429] == 3_200 - one.statuses[201]
    # Neither more nor fewer than the cap, all told.
    assert many.statuses == {201: cap - one.statuses[201], 429: 3_200 - cap + one.statuses[201]}
    assert len(values) == cap
    # -1 is a key without an end, -2 one that went while we were looking.
    assert all(lifetime == -2 or 0 <= lifetime <= LONGEST * 1000 for lifetime in lifetimes.values())


def seconds(admin: "Redis") -> float:
    """What Redis' clock says."""
    whole, micro = admin.time()
    return float(whole) + float(micro) / 1e6
