"""Logins by state, over several workers: each login is in one state, whoever moves it on, and runs out once."""

import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.actors import Browser
from tests.qr.conftest import Clock, World, host_app, make_settings
from tests.test_metrics import parse
from useid_middleware import Events, UseID, UseIDMiddleware
from useid_middleware.eid.core import session as eid
from useid_middleware.metrics.collection import Metrics
from useid_middleware.metrics.series import Numbers, in_memory
from useid_middleware.metrics.slots import CELLS, GRACE, RING_SIZE, Found, Ring, read
from useid_middleware.metrics.under_way import EID, QR, STATES, LoginsUnderWay
from useid_middleware.qr.core import session as qr

START: Final = 1_800_000_000.0
MACHINES: Final[dict[str, Any]] = {QR: qr, EID: eid}
#: Of the settings' defaults (s).
LIFETIME: Final = 300


@dataclass(frozen=True)
class Record:
    """What is counted of a login."""

    state: StrEnum
    deadline: float
    created_at: float = START


def under_way(numbers: dict[str, float], flow: str = QR) -> dict[str, float]:
    """The states that somebody is in."""
    found = {state: numbers[f'useid_logins_under_way{{flow="{flow}",state="{state}"}}'] for state in STATES[flow]}
    return {state: count for state, count in found.items() if count}


def steps(numbers: dict[str, float], flow: str = QR) -> dict[str, float]:
    """The steps that were taken."""
    names = (*MACHINES[flow].State,)
    found = {name: numbers.get(f'useid_login_transitions_total{{flow="{flow}",to="{name}"}}', 0) for name in names}
    return {str(name): count for name, count in found.items() if count}


# Plugins


class Fleet:
    """Workers over one database, which share their numbers."""

    def __init__(self, folder: Path, *, shares: bool) -> None:
        self.clock = Clock(START)
        self.workers: list[World] = []
        self._settings = make_settings(
            store=f"sqlite:///{folder}/useid.db",
            accounts=f"sqlite:///{folder}/useid.db",
            metrics={"path": "/metrics", "directory": folder / "shared" if shares else None},
        )

    def worker(self) -> World:
        """One more, or one that is started again."""
        useid = UseID(self._settings, clock=self.clock)
        world = World(UseIDMiddleware(host_app, useid=useid), self.clock)
        self.workers.append(world)
        return world

    async def numbers(self) -> dict[str, float]:
        """What they say, each the same."""
        told = [parse((await Browser(each.app, ip="127.0.0.1").get("/metrics")).body) for each in self.workers]
        for each in told[1:]:
            assert (under_way(each), steps(each)) == (under_way(told[0]), steps(told[0]))
        return told[0]

    async def end(self, worker: World) -> None:
        """The worker goes."""
        self.workers.remove(worker)
        await worker.app.useid.stop()


@asynccontextmanager
async def fleet(folder: Path, count: int, *, shares: bool = True) -> AsyncIterator[Fleet]:
    made = Fleet(folder, shares=shares)
    async with AsyncExitStack() as stack:
        for _ in range(count):
            worker = made.worker()
            await worker.app.useid.start()
            stack.push_async_callback(worker.app.useid.stop)
        yield made


async def test_a_login_whose_steps_are_taken_by_several_workers_is_in_one_state(tmp_path: Path) -> None:
    async with fleet(tmp_path, 3) as them:
        a, b, c = them.workers
        phone, desktop = await c.enrolled_phone(), a.browser()
        session_id, link = await a.start(desktop)
        assert under_way(await them.numbers()) == {"waiting": 1}
        them.clock.advance(7)
        phone.app = b.app
        assert (await phone.scan(link)).status == 200
        assert under_way(await them.numbers()) == {"scanned": 1}
        them.clock.advance(5)
        phone.app = c.app
        code = (await phone.approve(link)).json()["code"]
        assert under_way(await them.numbers()) == {"approved": 1}
        desktop.app = a.app
        assert (await desktop.post(f"/session/{session_id}/claim", {"code": code})).status == 200
        numbers = await them.numbers()
        assert under_way(numbers) == {}
        assert steps(numbers) == {"waiting": 1, "scanned": 1, "approved": 1, "claimed": 1}
        # Of the first worker's clock to the third's.
        assert numbers['useid_time_to_approve_seconds_sum{flow="qr"}'] == 12
        assert numbers['useid_time_to_approve_seconds_count{flow="qr"}'] == 1
        them.clock.advance(LIFETIME + GRACE)
        assert steps(await them.numbers()) == steps(numbers)


async def test_a_login_that_runs_out_is_counted_once_whether_or_not_somebody_watches(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2) as them:
        a, b = them.workers
        desktop = a.browser()
        watched, _ = await a.start(desktop)
        them.clock.advance(1)
        await b.start(b.browser())
        phone = await b.enrolled_phone()
        _, link = await a.start(a.browser())
        assert (await phone.scan(link)).status == 200
        them.clock.advance(LIFETIME - 2)
        assert under_way(await them.numbers()) == {"waiting": 2, "scanned": 1}
        them.clock.advance(1)
        assert under_way(await them.numbers()) == {"waiting": 1, "scanned": 1}
        async with b.browser().stream(f"/session/{watched}/events"):
            pass
        desktop.app = b.app
        assert (await desktop.get(f"/session/{watched}")).json()["status"] == "expired"
        async with desktop.stream(f"/session/{watched}/events") as stream:
            assert await stream.next_status() == "expired"
        them.clock.advance(1)
        assert under_way(await them.numbers()) == {}
        for _ in range(3):
            them.clock.advance(GRACE)
            assert steps(await them.numbers()) == {"waiting": 3, "scanned": 1, "expired": 3}
        them.clock.advance(100 * LIFETIME)
        assert steps(await them.numbers()) == {"waiting": 3, "scanned": 1, "expired": 3}


async def test_workers_that_are_started_again_go_on_with_the_logins_that_wait(tmp_path: Path) -> None:
    async with fleet(tmp_path, 2) as them:
        phone = await them.workers[0].enrolled_phone()
        links = [(await worker.start(worker.browser()))[1] for worker in them.workers]
        for worker in list(them.workers):
            await them.end(worker)
        again = them.worker()
        assert under_way(await them.numbers()) == {"waiting": 2}
        phone.app = again.app
        assert (await phone.scan(links[0])).status == 200
        assert under_way(await them.numbers()) == {"waiting": 1, "scanned": 1}
        assert (await phone.reject(links[1])).status == 200
        assert under_way(await them.numbers()) == {"scanned": 1}
        them.clock.advance(LIFETIME + GRACE)
        numbers = await them.numbers()
        assert (under_way(numbers), steps(numbers)["expired"]) == ({}, 1)
        await them.end(again)


async def test_without_a_folder_logins_of_before_a_restart_are_not_counted_below_zero(tmp_path: Path) -> None:
    async with fleet(tmp_path, 1, shares=False) as them:
        [before] = them.workers
        phone = await before.enrolled_phone()
        _, old = await before.start(before.browser())
        await them.end(before)
        them.clock.advance(1)
        after = them.worker()
        _, new = await after.start(after.browser())
        phone.app = after.app
        assert (await phone.scan(old)).status == 200
        assert under_way(await them.numbers()) == {"waiting": 1}
        assert (await phone.reject(old)).status == 200
        assert (await phone.scan(new)).status == 200
        assert under_way(await them.numbers()) == {"scanned": 1}
        them.clock.advance(LIFETIME + GRACE)
        assert steps(await them.numbers())["expired"] == 1
        await them.end(after)


CHILD: Final = """
import asyncio, sys
from pathlib import Path
from types import SimpleNamespace as Record
from useid_middleware import Events, Settings
from useid_middleware.metrics import Metrics

async def run():
    clock = lambda: 1_800_000_000.0
    metrics = Metrics(Events(), clock=clock, settings=Settings(from_env=False), directory=Path(sys.argv[1]))
    await metrics.open()
    for number in range(40):
        waits = Record(state="waiting", created_at=clock(), deadline=clock() + 300 + number)
        metrics.note_login("qr", None, waits, now=clock())
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(run())
"""


async def test_what_a_killed_worker_began_is_still_under_way_and_runs_out(tmp_path: Path) -> None:
    clock = Clock(START)
    metrics = Metrics(Events(), clock=clock, settings=make_settings(), directory=tmp_path)
    await metrics.open()
    child = await create_subprocess_exec(sys.executable, "-c", CHILD, str(tmp_path), stdout=PIPE)
    assert child.stdout is not None
    assert await child.stdout.readline() == b"ready\n"
    own = Record(qr.State.WAITING, START + LIFETIME)
    metrics.note_login(QR, None, own, now=START)
    assert under_way(parse(await metrics.text())) == {"waiting": 41}
    child.kill()
    await child.communicate()
    assert under_way(parse(await metrics.text())) == {"waiting": 41}
    assert list(tmp_path.glob(f"{child.pid}-*.numbers")) == []
    # A login of the one that is gone goes on here.
    theirs = replace(own, deadline=START + LIFETIME + 1)
    metrics.note_login(QR, theirs, replace(theirs, state=qr.State.SCANNED), now=START)
    assert under_way(parse(await metrics.text())) == {"waiting": 40, "scanned": 1}
    clock.advance(LIFETIME + 10)
    assert under_way(parse(await metrics.text())) == {"waiting": 29}
    clock.advance(LIFETIME)
    assert steps(parse(await metrics.text())) == {"waiting": 41, "scanned": 1, "expired": 41}
    await metrics.close()


# The states


@pytest.mark.parametrize("flow", [QR, EID])
def test_the_states_are_those_that_a_login_can_leave(flow: str) -> None:
    machine = MACHINES[flow]
    assert set(STATES[flow]) == set(machine.State) - machine.FINAL == {state for state, _ in machine.TRANSITIONS}


def metrics_of(clock: Clock) -> Metrics:
    return Metrics(Events(), clock=clock, settings=make_settings())


@pytest.mark.parametrize(
    ("flow", "before", "after"),
    sorted({(flow, state, to) for flow, each in MACHINES.items() for (state, _), to in each.TRANSITIONS.items()}),
)
async def test_every_step_of_a_login_takes_it_from_one_state_to_the_other(
    flow: str, before: StrEnum, after: StrEnum
) -> None:
    clock = Clock(START)
    metrics = metrics_of(clock)
    one = Record(before, START + LIFETIME)
    metrics.note_login(flow, None, one, now=START)
    assert under_way(parse(await metrics.text()), flow) == {before: 1}
    if after == "expired":
        clock.advance(LIFETIME)
    metrics.note_login(flow, one, Record(after, START + LIFETIME + 20), now=clock())
    is_over = after in MACHINES[flow].FINAL
    assert under_way(parse(await metrics.text()), flow) == ({} if is_over else {after: 1})
    clock.advance(LIFETIME + 20 + GRACE)
    numbers = parse(await metrics.text())
    assert under_way(numbers, flow) == {}
    assert steps(numbers, flow).get("expired", 0) == (0 if is_over and after != "expired" else 1)


async def test_asking_the_eid_server_again_and_again_is_no_step() -> None:
    clock = Clock(START)
    metrics = metrics_of(clock)
    approved = Record(eid.State.APPROVED, START + LIFETIME)
    claiming = Record(eid.State.CLAIMING, START + LIFETIME)
    metrics.note_login(EID, replace(approved, state=eid.State.SCANNED), approved, now=START + 4)
    for _ in range(5):
        metrics.note_login(EID, approved, claiming, now=START + 5)
        metrics.note_login(EID, claiming, approved, now=START + 5)
    metrics.note_login(EID, approved, claiming, now=START + 5)
    metrics.note_login(EID, claiming, Record(eid.State.CLAIMED, START + 6), now=START + 6)
    numbers = parse(await metrics.text())
    assert steps(numbers, EID) == {"approved": 1, "claimed": 1}
    assert numbers['useid_time_to_approve_seconds_sum{flow="eid"}'] == 4
    assert numbers['useid_time_to_approve_seconds_count{flow="eid"}'] == 1


async def test_a_change_that_is_no_step_moves_nothing_but_the_end_of_its_time() -> None:
    clock = Clock(START)
    metrics = metrics_of(clock)
    scanned = Record(eid.State.SCANNED, START + LIFETIME)
    metrics.note_login(EID, None, scanned, now=START)
    metrics.note_login(EID, scanned, scanned, now=START)
    longer = replace(scanned, deadline=START + 2 * LIFETIME)
    metrics.note_login(EID, scanned, longer, now=START)
    clock.advance(LIFETIME + GRACE)
    numbers = parse(await metrics.text())
    assert (under_way(numbers, EID), steps(numbers, EID)) == ({"scanned": 1}, {"scanned": 1})


# Clocks


async def test_a_login_that_a_clock_set_back_has_ended_is_counted_at_once() -> None:
    clock = Clock(START)
    metrics = metrics_of(clock)
    waits = Record(qr.State.WAITING, START + LIFETIME)
    metrics.note_login(QR, None, waits, now=START)
    clock.advance(-7200)
    metrics.note_login(QR, waits, replace(waits, state=qr.State.EXPIRED), now=clock())
    # Those that begin by the new time are counted as well.
    begun = Record(qr.State.WAITING, clock() + LIFETIME, clock())
    metrics.note_login(QR, None, begun, now=clock())
    clock.advance(GRACE)
    numbers = parse(await metrics.text())
    assert (under_way(numbers), steps(numbers)["expired"]) == ({"waiting": 1}, 1)


async def test_what_was_counted_as_expired_is_never_taken_back() -> None:
    clock = Clock(START)
    metrics = metrics_of(clock)
    waits = Record(qr.State.WAITING, START + LIFETIME)
    metrics.note_login(QR, None, waits, now=START)
    clock.advance(LIFETIME + GRACE)
    assert steps(parse(await metrics.text()))["expired"] == 1
    # It was not: a step that took very long to reach the store.
    metrics.note_login(QR, waits, replace(waits, state=qr.State.CLAIMED), now=clock())
    assert steps(parse(await metrics.text()))["expired"] == 1
    clock.advance(-LIFETIME)
    assert steps(parse(await metrics.text()))["expired"] == 1


# Slots


@dataclass
class Login:
    """One of the model: where it is, and until when."""

    state: StrEnum
    deadline: float


QR_STEPS: Final = sorted({(state, to) for (state, _), to in qr.TRANSITIONS.items() if to != qr.State.EXPIRED})


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("begin"), st.integers(0, 3), st.integers(1, 430)),
            st.tuples(st.just("step"), st.integers(0, 3), st.integers(0, 10**6)),
            st.tuples(st.just("wait"), st.just(0), st.sampled_from([1, 9, 31, 200, 600])),
            st.tuples(st.just("kill"), st.integers(0, 3), st.just(0)),
        ),
        max_size=60,
    )
)
def test_whatever_workers_do_the_sum_is_what_is_there(ops: list[tuple[str, int, int]]) -> None:
    now, lifetimes = START, {QR: 430.0}
    parts = [LoginsUnderWay(lifetimes, now=now) for _ in range(4)]
    logins: list[Login] = []
    for name, which, value in ops:
        part = parts[which]
        living = [login for login in logins if login.deadline > now]
        if name == "begin":
            logins.append(Login(qr.State.WAITING, now + value))
            part.note(QR, None, Record(qr.State.WAITING, now + value), now=now)
        elif name == "wait":
            now += value
        elif name == "kill":
            # Another goes on with its part, and it begins anew.
            heir = parts[(which + 1) % 4]
            heir.absorb(part.snapshot(), now=now)
            parts[which] = LoginsUnderWay(lifetimes, now=now)
            parts[which].agree([heir.snapshot()])
        elif living:
            login = living[value % len(living)]
            ways = [to for state, to in QR_STEPS if state == login.state]
            before, to = Record(login.state, login.deadline), ways[value % len(ways)]
            login.state, login.deadline = to, now + 100 + which if to == qr.State.APPROVED else login.deadline
            part.note(QR, before, Record(to, login.deadline), now=now)
            if to in qr.FINAL:
                logins.remove(login)
        for later in (0.0, 17.0, GRACE + 700):
            told, expired = tell(parts, now=now + later)
            there = [login.state for login in logins if login.deadline > now + later]
            assert told == {state: there.count(qr.State(state)) for state in STATES[QR]}
            assert expired == sum(login.deadline <= now + later - GRACE for login in logins)


def tell(parts: Sequence[LoginsUnderWay], *, now: float) -> tuple[dict[str, float], float]:
    # By one that tells nothing itself, so that nothing is remembered of times to come.
    there, expired = LoginsUnderWay({QR: 1.0}, now=now).tell([part.snapshot() for part in parts], now=now)
    return {state: count for (flow, state), count in there.items()}, expired[QR]


def ring(width: int = 1) -> Ring:
    return Ring(in_memory(("ring",), RING_SIZE), width)


def found(*rings: Ring, now: float) -> Found:
    each = [read(list(one.numbers), width=one.width, now=now) for one in rings]
    return Found(sum(one.there for one in each), sum(one.left for one in each))


def test_a_cell_is_used_again_and_keeps_what_was_left() -> None:
    one = ring()
    for turn in range(5):
        now = START + turn * CELLS
        one.add(3, until=now + 300, now=now)
        one.add(-1, until=now + 300, now=now)
        assert found(one, now=now) == (2, 2 * turn)
        assert found(one, now=now + 300 + GRACE) == (0, 2 * turn + 2)


def test_a_slot_is_over_with_its_last_moment() -> None:
    one = ring()
    one.add(1, until=START + 9.5, now=START)
    assert found(one, now=START + 9.9) == (1, 0)
    assert found(one, now=START + 10) == (0, 0)


def test_what_comes_late_is_taken_from_what_was_left() -> None:
    one = ring()
    one.add(1, until=START + 10, now=START)
    one.add(1, until=START + 10 + CELLS, now=START + CELLS)
    one.add(-1, until=START + 10, now=START + CELLS)
    assert found(one, now=START + CELLS) == (1, 0)
    assert found(one, now=START + 10 + CELLS + GRACE) == (0, 1)


def test_what_is_on_its_way_when_its_time_is_over_is_waited_for() -> None:
    one, other = ring(), ring()
    one.add(1, until=START + 10, now=START)
    assert found(one, other, now=START + 10) == (0, 0)
    other.add(-1, until=START + 10, now=START + 10 + GRACE / 2)
    assert found(one, other, now=START + 10 + GRACE) == (0, 0)


@pytest.mark.parametrize("until", [START + 10, START + 10 + CELLS, START + 10 - CELLS, START + 11])
@pytest.mark.parametrize("now", [START, START + CELLS, START + 10 * CELLS])
def test_another_part_is_absorbed_whatever_its_cells_were_for(until: float, now: float) -> None:
    one, other, both = ring(), ring(), ring()
    for part, end in ((one, START + 10), (other, until)):
        part.add(2, until=end, now=end - 20)
    now = max(now, until - 20)  # Nobody counts what is that far ahead.
    both.absorb(list(one.numbers), now=now)
    both.absorb(list(other.numbers), now=now)
    for later in (0.0, 5.0, GRACE, 40.0, CELLS, 20.0 * CELLS):
        assert found(both, now=now + later) == found(one, other, now=now + later)


class Dying:
    """Numbers of a process that is killed at one of its writes."""

    def __init__(self, numbers: Numbers, *, writes: int) -> None:
        self._numbers = numbers
        self._writes = writes

    def __getitem__(self, index: int, /) -> float:
        return self._numbers[index]

    def __setitem__(self, index: int, value: float, /) -> None:
        if not self._writes:
            raise SystemExit
        self._writes -= 1
        self._numbers[index] = value

    def __iter__(self) -> Iterator[float]:
        return iter(self._numbers)


@pytest.mark.parametrize("writes", range(4))
def test_a_kill_between_two_writes_leaves_what_was_before_or_what_is_afterwards(writes: int) -> None:
    one, now = ring(), START + CELLS
    one.add(5, until=START + 10, now=START)
    dying = Ring(Dying(one.numbers, writes=writes), 1)
    if writes == 3:
        dying.add(1, until=now + 10, now=now)
    else:
        with pytest.raises(SystemExit):
            dying.add(1, until=now + 10, now=now)
    assert found(one, now=now) == ((1, 5) if writes == 3 else (0, 5))


def test_long_lifetimes_have_wide_slots_and_as_many_cells() -> None:
    year = 365 * 86400.0
    part = LoginsUnderWay({QR: year}, now=START)
    part.note(QR, None, Record(qr.State.WAITING, START + year), now=START)
    told, out = tell([part], now=START + year - 1)
    assert (told["waiting"], out) == (1, 0)
    told, out = tell([part], now=START + 1.01 * year)
    assert (told["waiting"], out) == (0, 1)


def test_parts_of_other_settings_are_read_and_absorbed_by_their_own_width() -> None:
    one, other = LoginsUnderWay({QR: 300}, now=START), LoginsUnderWay({QR: 86400}, now=START)
    one.note(QR, None, Record(qr.State.WAITING, START + 300), now=START)
    other.note(QR, None, Record(qr.State.WAITING, START + 86400), now=START)
    assert tell([one, other], now=START)[0]["waiting"] == 2
    one.absorb(other.snapshot(), now=START)
    for now, counts in ((START, (2, 0)), (START + 400, (1, 1)), (START + 90000, (0, 2))):
        told, out = tell([one], now=now)
        assert (told["waiting"], out) == counts
