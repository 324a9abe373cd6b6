"""Numbers of several processes: any of them answers for all, nothing is lost or doubled when one of them dies."""

import fcntl
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.qr.conftest import make_settings
from tests.test_metrics import parse
from useid_middleware import Events
from useid_middleware.events import LoginCompleted
from useid_middleware.identity import Level
from useid_middleware.metrics import Metrics
from useid_middleware.metrics.collection import ERRORS, STORE, STREAMS
from useid_middleware.metrics.series import MAX_SERIES, Family, Kind, Registry
from useid_middleware.metrics.shared import SIZE, SharedNumbers

LOGGED_IN = LoginCompleted(0.0, "account", "session", Level.L1, "qr")
LOGINS = 'useid_logins_total{provider="qr"}'
STREAMS_OPEN = "useid_sse_connections"


class Worker:
    """The part of a process that counts. Its file's lock is its own, as if it were a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.events = Events()
        self.metrics = Metrics(self.events, clock=lambda: 0.0, settings=make_settings(), directory=folder)

    async def numbers(self) -> dict[str, float]:
        return parse(await self.metrics.text())


@asynccontextmanager
async def workers(folder: Path, count: int) -> AsyncIterator[list[Worker]]:
    async with AsyncExitStack() as stack:
        made = [Worker(folder) for _ in range(count)]
        for worker in made:
            await worker.metrics.open()
            stack.push_async_callback(worker.metrics.close)
        yield made


async def test_any_worker_answers_for_all(tmp_path: Path) -> None:
    async with workers(tmp_path, 3) as (one, two, three):
        for worker, count in ((one, 1), (two, 2), (three, 3)):
            for number in range(count):
                await worker.events.emit(LOGGED_IN)
                worker.metrics.registry.set(STREAMS, value=number + 1)
                worker.metrics.registry.observe(STORE, "get", value=0.003)
        for worker in (one, two, three):
            numbers = await worker.numbers()
            assert (numbers[LOGINS], numbers[STREAMS_OPEN], numbers["useid_processes"]) == (6, 6, 3)
            assert numbers['useid_store_seconds_bucket{verb="get",le="0.005"}'] == 6
            assert round(numbers['useid_store_seconds_sum{verb="get"}'], 9) == 0.018


async def test_what_was_counted_before_the_start_is_not_lost(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    await worker.events.emit(LOGGED_IN)
    await worker.metrics.open()
    await worker.events.emit(LOGGED_IN)
    assert (await worker.numbers())[LOGINS] == 2
    await worker.metrics.close()


async def test_a_worker_that_ended_leaves_what_it_counted_once(tmp_path: Path) -> None:
    async with workers(tmp_path, 2) as (one, two):
        await one.events.emit(LOGGED_IN)
        one.metrics.registry.set(STREAMS, value=7)
        await two.events.emit(LOGGED_IN)
        await one.metrics.close()
        for _ in range(3):
            numbers = await two.numbers()
            assert (numbers[LOGINS], numbers[STREAMS_OPEN], numbers["useid_processes"]) == (2, 0, 1)
        assert len(list(tmp_path.glob("*.numbers"))) == 1
        # The plugin is started again in the same process.
        await one.metrics.open()
        await one.events.emit(LOGGED_IN)
        for worker in (one, two):
            numbers = await worker.numbers()
            assert (numbers[LOGINS], numbers["useid_processes"]) == (3, 2)


async def test_after_all_have_ended_counting_goes_on_where_it_was(tmp_path: Path) -> None:
    for round_ in range(1, 4):
        async with workers(tmp_path, 2) as (one, two):
            await one.events.emit(LOGGED_IN)
            await two.events.emit(LOGGED_IN)
            assert (await one.numbers())[LOGINS] == 2 * round_


CHILD = """
import asyncio, sys
from pathlib import Path
from useid_middleware import Events, Settings
from useid_middleware.events import LoginCompleted
from useid_middleware.identity import Level
from useid_middleware.metrics import Metrics
from useid_middleware.metrics.collection import STREAMS

async def run():
    events = Events()
    metrics = Metrics(events, clock=lambda: 0.0, settings=Settings(from_env=False), directory=Path(sys.argv[1]))
    await metrics.open()
    for number in range(1000):
        await events.emit(LoginCompleted(0.0, "account", "session", Level.L1, "qr"))
        metrics.registry.set(STREAMS, value=number + 1)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(run())
"""


async def test_a_worker_that_is_killed_has_counted_all_the_same(tmp_path: Path) -> None:
    async with workers(tmp_path, 1) as (survivor,):
        child = await create_subprocess_exec(sys.executable, "-c", CHILD, str(tmp_path), stdout=PIPE)
        assert child.stdout is not None
        assert await child.stdout.readline() == b"ready\n"
        numbers = await survivor.numbers()
        assert (numbers[LOGINS], numbers[STREAMS_OPEN], numbers["useid_processes"]) == (1000, 1000, 2)
        child.kill()
        await child.communicate()
        for _ in range(2):
            numbers = await survivor.numbers()
            assert (numbers[LOGINS], numbers[STREAMS_OPEN], numbers["useid_processes"]) == (1000, 0, 1)


async def test_whoever_is_stopped_while_it_adds_up_does_not_stop_the_others(tmp_path: Path) -> None:
    async with workers(tmp_path, 3) as (one, two, three):
        for worker in (one, two, three):
            await worker.events.emit(LOGGED_IN)
        await three.metrics.close()
        with (tmp_path / "lock").open("ab") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            numbers = await two.numbers()
            assert (numbers[LOGINS], numbers["useid_processes"]) == (3, 2)
            # It may be about to take them over.
            assert len(list(tmp_path.glob("*.numbers"))) == 3
        assert (await two.numbers())[LOGINS] == 3
        assert len(list(tmp_path.glob("*.numbers"))) == 2


async def test_a_file_of_another_version_or_of_something_else_is_passed_over(tmp_path: Path) -> None:
    registry = Registry([Family(ERRORS.name, Kind.COUNTER, "Errors.", ("code", "more")), Family("x", Kind.GAUGE, "X.")])
    other = SharedNumbers(tmp_path)
    registry.move(other.allocate)
    registry.add(Family(ERRORS.name, Kind.COUNTER, "Errors.", ("code", "more")), "wrong_state", "more")
    (tmp_path / "1-foreign.numbers").write_bytes(b"hello")
    (tmp_path / "2-empty.numbers").write_bytes(b"")
    (tmp_path / "3-cut.numbers").write_bytes(b"useid-m1\xff\xff\x00\x00\x01\x00\x00\x00")
    async with workers(tmp_path, 1) as (worker,):
        await worker.events.emit(LOGGED_IN)
        numbers = await worker.numbers()
        assert numbers[LOGINS] == 1
        assert not any(name.startswith(ERRORS.name) for name in numbers)


def test_where_the_file_is_full_a_process_counts_for_itself(tmp_path: Path) -> None:
    families = [Family(f"f{number}_total", Kind.COUNTER, "F.", ("of",)) for number in range(40)]
    registry = Registry(families)
    shared = SharedNumbers(tmp_path)
    registry.move(shared.allocate)
    for family in families:
        for number in range(MAX_SERIES):
            registry.add(family, f"{number:0100}")
    values = registry.snapshot().values()
    assert len(values) == 40 * MAX_SERIES
    assert {tuple(value) for value in values} == {(1.0,)}
    assert next(tmp_path.glob("*.numbers")).stat().st_size == SIZE


def test_the_numbers_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "metrics"
    shared = SharedNumbers(folder)
    [file] = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    shared.close()
