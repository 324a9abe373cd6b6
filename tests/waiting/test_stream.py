"""What a waiting page is told: nothing is lost over an interruption, an early timer or a missing store."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

import pytest

from tests.actors import Stream
from tests.qr.conftest import Clock
from useid_middleware.errors import StateError, UnavailableError
from useid_middleware.http.sse import EventStreams
from useid_middleware.settings import LimitSettings
from useid_middleware.stores.base import Callback, Unsubscribe, Versioned
from useid_middleware.stores.limits import Places
from useid_middleware.stores.memory import MemoryStore
from useid_middleware.waiting.records import Current, News, WaitingRecords
from useid_middleware.waiting.stream import Frames, StatusStream


class State(StrEnum):
    OPEN = "open"
    MOVED = "moved"
    DONE = "done"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Record:
    id: str
    deadline: float
    state: State = State.OPEN
    created_at: float = 0.0


def at_time(record: Record, /, *, now: float) -> Record:
    is_due = now >= record.deadline and record.state in (State.OPEN, State.MOVED)
    return replace(record, state=State.EXPIRED) if is_due else record


def status(record: Record, /, *, version: int, now: float) -> dict[str, object]:
    return {"status": record.state.value}


class BreakableStore(MemoryStore):
    """A store whose subscription can be interrupted and which can be away."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.callbacks: list[Callback] = []
        self.is_deaf = False
        self.is_away = False

    async def subscribe(self, channel: str, callback: Callback) -> Unsubscribe:
        def hear(message: bytes | None) -> None:
            if not self.is_deaf:
                callback(message)

        self.callbacks.append(callback)
        return await super().subscribe(channel, hear)

    async def get(self, key: str) -> Versioned | None:
        if self.is_away:
            raise UnavailableError("store_unavailable", "gone for a while", retry_after=1)
        return await super().get(key)


class Page:
    """One record, the page that waits for it, and the clock of both."""

    def __init__(self) -> None:
        self.clock = Clock(1000.0)
        self.store = BreakableStore(self.clock)
        self.records = WaitingRecords(
            store=self.store,
            clock=self.clock,
            name="test",
            kind=Record,
            decoy=Record("d" * 22, 0.0),
            at_time=at_time,
            status=status,
            final={State.DONE, State.EXPIRED},
            places=Places(self.store, "test", 10, 60.0),
        )
        self.id = "i" * 22
        self.expiries = 0
        self.expired = asyncio.Event()
        self.rotating: Frames | None = None

    async def look(self) -> Current[Record]:
        return await self.records.load(self.id)

    async def expire(self) -> None:
        self.expiries += await self.records.expire(self.id)
        self.expired.set()

    def frames(self, record: Record) -> Frames | None:
        return self.rotating

    async def move(self, state: State) -> None:
        current = await self.records.load(self.id)
        assert await self.records.change(current, replace(current.record, state=state))

    @asynccontextmanager
    async def open(self, frames: Frames | None = None, *, last_event_id: str = "") -> AsyncIterator[Stream]:
        self.rotating = frames
        response = StatusStream(
            self.records,
            self.id,
            self,
            streams=EventStreams(retry=1, tick=0.01),
            limits=LimitSettings(),
            heartbeat=0.01,
            last_event_id=last_event_id,
        )
        stream = Stream()
        task = asyncio.ensure_future(response({"type": "http", "method": "GET"}, stream.receive, stream.send))
        try:
            await stream.opened(task)
            yield stream
        finally:
            stream.left.set()
            await asyncio.wait_for(task, 5)


@pytest.fixture
async def page() -> Page:
    page = Page()
    await page.records.add(Record("i" * 22, deadline=1300.0))
    return page


def test_news_travels_as_bytes_and_back() -> None:
    news = News(3, True, 1234.5678901234567, b"id: 3\nevent: status\ndata: {}\n\n")
    assert News.decode(news.encode()) == news


async def test_after_an_interruption_the_state_is_read_anew(page: Page) -> None:
    async with page.open() as stream:
        assert await stream.next_status() == "open"
        page.store.is_deaf = True
        await page.move(State.MOVED)
        page.store.is_deaf = False
        page.store.callbacks[0](None)
        assert await stream.next_status() == "moved"
        page.store.callbacks[0](None)
        await page.move(State.DONE)
        assert await stream.next_status() == "done"
        await stream.end()
    assert [data["status"] for name, data in stream.events() if name == "status"] == ["open", "moved", "done"]


async def test_while_the_store_is_away_the_stream_stays_and_says_so_once(page: Page) -> None:
    async with page.open() as stream:
        assert await stream.next_status() == "open"
        page.store.is_away = True
        for _ in range(3):
            page.store.callbacks[0](None)
        names = [(await stream.next())[0] for _ in range(5)]
        assert [name for name in names if name != "ping"] == ["away"]
        assert names[-1] == "ping"
        page.store.is_away = False
        page.store.callbacks[0](None)
        # The same state again, since the page shows that none is known.
        assert await stream.next_status() == "open"
        await page.move(State.DONE)
        assert await stream.next_status() == "done"
        await stream.end()


async def test_what_happened_while_the_store_was_away_is_told_when_it_is_back(page: Page) -> None:
    async with page.open() as stream:
        assert await stream.next_status() == "open"
        page.store.is_away = True
        page.store.callbacks[0](None)
        while (await stream.next())[0] != "away":
            pass
        page.store.is_deaf, page.store.is_away = True, False
        await page.move(State.MOVED)
        # Nobody says anything: the stream looks again by itself, after the time that the error names.
        assert await stream.next_status() == "moved"


async def test_a_record_that_is_gone_ends_the_stream_so_that_the_client_asks_again(page: Page) -> None:
    async with page.open() as stream:
        assert await stream.next_status() == "open"
        await page.store.delete(page.records.key(page.id))
        page.store.callbacks[0](None)
        await stream.end()


async def test_a_timer_that_fires_early_by_the_services_clock_tries_again(page: Page) -> None:
    current = await page.records.load(page.id)
    await page.records.change(current, replace(current.record, deadline=page.clock.now + 0.03))
    async with page.open() as stream:
        assert await stream.next_status() == "open"
        async with asyncio.timeout(5):
            await page.expired.wait()  # The timer has fired; this clock says that it is not yet time.
        assert page.expiries == 0
        page.clock.advance(0.03)
        assert await stream.next_status() == "expired"
        await stream.end()
    assert page.expiries == 1


async def test_a_new_frame_is_told_and_in_between_the_heart_beats(page: Page) -> None:
    class Counting:
        def __init__(self) -> None:
            self.values = itertools.count(1)

        def at(self, now: float) -> str:
            return str(next(self.values))

        def next_in(self, now: float) -> float:
            return 0.03

    async with page.open(Counting()) as stream:
        names: list[str] = []
        frames: list[str] = []
        while len(frames) < 3 or "ping" not in names:
            name, data = await stream.next()
            names.append(name)
            frames += [data["frame"]] if name == "frame" else []
    assert names[0] == "status"
    assert set(names) == {"status", "frame", "ping"}
    assert frames == [str(number) for number in range(1, len(frames) + 1)]


async def test_once_the_record_has_changed_no_frame_is_told(page: Page) -> None:
    class Restless:
        def __init__(self) -> None:
            self.count = itertools.count()

        def at(self, now: float) -> str:
            return str(next(self.count))

        def next_in(self, now: float) -> float:
            return 0.0

    async with page.open(Restless()) as stream:
        assert await stream.next_status() == "open"
        await page.move(State.MOVED)
        assert await stream.next_status() == "moved"
        names = [(await stream.next())[0] for _ in range(3)]
    assert names == ["ping"] * 3


@pytest.mark.parametrize("garbage", ["", "x", "-1", "1e9", "٣", "9" * 50])
async def test_a_last_event_id_that_is_none_of_ours_suppresses_nothing(page: Page, garbage: str) -> None:
    async with page.open(last_event_id=garbage) as stream:
        assert await stream.next_status() == "open"


async def test_of_many_changes_at_once_one_wins(page: Page) -> None:
    current = await page.records.load(page.id)
    changes = [page.records.change(current, replace(current.record, state=State.MOVED)) for _ in range(20)]
    assert sum(await asyncio.gather(*changes)) == 1


async def test_an_expiry_is_written_by_one_caller(page: Page) -> None:
    page.clock.advance(300)
    assert sum(await asyncio.gather(*(page.records.expire(page.id) for _ in range(20)))) == 1
    assert (await page.records.load(page.id)).record.state is State.EXPIRED


@pytest.mark.parametrize("record_id", ["", "x", "A" * 22, "A" * 23, "é" * 22, "A" * 21 + "="])
async def test_an_id_that_is_none_is_unknown(page: Page, record_id: str) -> None:
    with pytest.raises(StateError, match="session_unknown"):
        await page.records.load(record_id)
