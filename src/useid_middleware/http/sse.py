"""Server-sent events (WHATWG HTML §9.2), small: one coroutine per stream, one clock for all of them.

A stream costs its request's own coroutine, which waits for the client to leave. Whoever has news calls
:meth:`EventStream.push`, from a store's callback or from the shared beat. ``send`` is driven right there; only a client
that does not read (so that ``send`` has to wait) costs a task, and one that does not read for long is dropped.
"""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final

from .._codec import encode_json
from ..errors import RateLimited
from ..settings import LimitSettings
from .asgi import ASGIApp, Receive, Scope, Send

#: Chunks kept for a client that does not read; with one more it is dropped and has to reconnect.
MAX_QUEUE: Final = 16

HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


def encode_event(name: str, data: object, *, event_id: int | None = None) -> bytes:
    """One event; ``data`` becomes one line of JSON."""
    head = f"event: {name}\n" if event_id is None else f"id: {event_id}\nevent: {name}\n"
    return b"%sdata: %s\n\n" % (head.encode(), encode_json(data))


#: When there is no place for a stream, one may be free so much later (s).
_FULL_FOR: Final = 10.0

PING: Final = encode_event("ping", {})
#: The store is away, and with it all news. The next event that is no ping ends that.
AWAY: Final = encode_event("away", {})
BYE: Final = encode_event("bye", {"reason": "shutdown"})

#: What the shared beat asks a stream: the chunk to push now, if any, and the seconds until it should be asked again.
Beat = Callable[[], tuple[bytes, float]]


class EventStream:
    """One open stream. ``last_id`` is the version last pushed; older news is dropped."""

    __slots__ = ("_busy", "_queue", "_send", "_task", "beat", "closed", "due", "last_id", "place")

    def __init__(self, send: Send, *, beat: Beat) -> None:
        self._send = send
        self._task: asyncio.Task[None] | None = None
        # Until run() has opened the stream, what is pushed waits in the queue.
        self._busy = True
        self._queue: list[tuple[int | None, bytes, bool]] | None = None
        self.beat = beat
        self.closed = False
        #: The tick of the shared beat that asks it next.
        self.due = math.inf
        self.last_id = 0
        #: Whose place it takes; see :meth:`EventStreams.enter`.
        self.place: str | None = None

    def push(self, chunk: bytes, *, event_id: int | None = None, last: bool = False) -> None:
        """Send ``chunk`` now or as soon as the client reads again; ``last`` ends the stream behind it. Never blocks."""
        if self.closed or (event_id is not None and event_id <= self.last_id):
            return
        if event_id is not None:
            self.last_id = event_id
        if last:
            self.closed = True
        if self._busy:
            self._queue = self._queue or []
            self._queue.append((event_id, chunk, last))
            if len(self._queue) > MAX_QUEUE:
                self._drop()
            return
        self._deliver(chunk, last)

    async def run(self, scope: Scope, receive: Receive, opening: bytes, *, opening_id: int, last: bool) -> None:
        """Open the stream with ``opening`` and hold it until the client leaves or the last chunk is out.

        ``opening`` tells version ``opening_id``; of what was pushed before, only newer news follows it.
        """
        await self._send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        last = last or scope["method"] == "HEAD"
        self.closed = self.closed or last
        await self._send({"type": "http.response.body", "body": opening, "more_body": not last})
        if last:
            return
        del opening  # What a stream holds, it holds thousands of times.
        self._task = asyncio.current_task()
        self.last_id = max(self.last_id, opening_id)
        if self._queue is not None:
            self._queue = [item for item in self._queue if item[0] is None or item[0] > opening_id]
        await self._flush()
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        except asyncio.CancelledError:
            # Our own _finish() cancels a receive() that does not notice the end of the response; anybody else's
            # cancellation is passed on. That is how a server ends what is open, and some have said nothing before.
            if not self.closed or self._task is None or self._task.cancelling() > 1:
                self._task = None
                self.push(BYE, last=True)
                raise
            self._task.uncancel()
        finally:
            self.closed = True
            self._task = None

    def _deliver(self, chunk: bytes, last: bool) -> None:
        """Drive ``send`` by hand: a send that does not have to wait needs no task."""
        try:
            sending = self._send({"type": "http.response.body", "body": chunk, "more_body": not last}).__await__()
            waiting_for = next(sending)
        except StopIteration:
            if last:
                self._finish()
        except Exception:  # The client has gone; servers differ in what they raise, and receive() will say so.
            self._drop()
        else:
            self._busy = True
            task = asyncio.ensure_future(self._resume(sending, waiting_for, last))
            task.add_done_callback(_ignore_result)

    async def _resume(self, sending: Generator[Any, Any, None], waiting_for: object, last: bool) -> None:
        await self._settle(_Resumed(sending, waiting_for), last)
        await self._flush()

    async def _flush(self) -> None:
        while self._queue:
            _, chunk, last = self._queue.pop(0)
            await self._settle(self._send({"type": "http.response.body", "body": chunk, "more_body": not last}), last)
        self._queue = None
        self._busy = False

    async def _settle(self, sending: Awaitable[None], last: bool) -> None:
        try:
            await sending
        except Exception:  # As in _deliver.
            self._drop()
            return
        if last:
            self._finish()

    def _drop(self) -> None:
        self.closed = True
        self._queue = None
        self._finish()

    def _finish(self) -> None:
        if self._task is not None:
            asyncio.get_running_loop().call_soon(_cancel, self)


class _Resumed:
    """Awaits what was already driven to its first wait, and which waits for ``waiting_for``."""

    __slots__ = ("_steps", "_waiting_for")

    def __init__(self, steps: Generator[Any, Any, None], waiting_for: object) -> None:
        self._steps = steps
        self._waiting_for = waiting_for

    def __await__(self) -> Generator[Any, Any, None]:
        waiting_for = self._waiting_for
        try:
            while True:
                try:
                    value = yield waiting_for
                except BaseException as error:
                    waiting_for = self._steps.throw(error)
                else:
                    waiting_for = self._steps.send(value)
        except StopIteration:
            return


def _cancel(stream: EventStream) -> None:
    task = stream._task
    if task is not None:
        task.cancel()


def _ignore_result(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        task.exception()


class EventStreams:
    """All open streams of a process: the shared beat, and the farewell at shutdown."""

    def __init__(
        self, *, retry: float, tick: float = 0.25, adapter: Callable[[ASGIApp], ASGIApp] | None = None
    ) -> None:
        self._retry = retry
        self._adapter = adapter
        self._tick = tick
        self._open: set[EventStream] = set()
        self._places: dict[str, int] = {}
        self._taken = 0
        self._wheel: dict[int, list[EventStream]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._draining = False

    def __len__(self) -> int:
        return len(self._open)

    def response(self, stream: ASGIApp) -> ASGIApp:
        """The response to give to the server: the stream itself, or what an adapter makes of it."""
        return self._adapter(stream) if self._adapter is not None else stream

    def preamble(self) -> bytes:
        """The ``retry:`` line: the base delay and up to as much again, so that clients do not return all at once."""
        return b"retry: %d\n\n" % int(1000 * self._retry * (1 + random.random()))  # jitter, not a secret

    def enter(self, stream: EventStream, *, place: str, limits: LimitSettings) -> None:
        """Give ``stream`` a place; :class:`~..errors.RateLimited` where its ``place`` or the process has no more.

        ``place`` is the address that asks. To be done before the stream costs anything, and undone by :meth:`leave`.
        """
        held = self._places.get(place, 0)
        if held >= limits.streams_per_ip or self._taken >= limits.streams:
            raise RateLimited(_FULL_FOR)
        stream.place = place
        self._places[place] = held + 1
        self._taken += 1

    def admit(self, stream: EventStream, opening: bytes, *, last: bool, first_beat: float) -> tuple[bytes, bool]:
        """Count ``stream`` among ours; it is asked for its first beat after ``first_beat`` seconds.

        Returns what to open it with, and whether that is all it will say. Whoever admits also calls :meth:`leave`.
        """
        opening = self.preamble() + opening
        if last:
            return opening, True
        if self._draining:
            return opening + BYE, True
        self._open.add(stream)
        self.wake(stream, first_beat)
        return opening, False

    def leave(self, stream: EventStream) -> None:
        """The stream has ended."""
        stream.closed = True
        self._open.discard(stream)
        place, stream.place = stream.place, None
        if place is not None:
            self._taken -= 1
            self._places[place] -= 1
            if not self._places[place]:
                del self._places[place]

    def drain(self) -> None:
        """Say ``bye`` to all and end them. New streams end at once with the same word."""
        self._draining = True
        for stream in list(self._open):
            stream.push(BYE, last=True)
        self._wheel.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def reopen(self) -> None:
        """Accept streams again (a plugin that is started a second time)."""
        self._draining = False

    def wake(self, stream: EventStream, delay: float) -> None:
        """Ask ``stream`` for a beat in so many seconds (and up to a tick more), unless it is asked before that."""
        loop = asyncio.get_running_loop()
        due = int((loop.time() + delay) / self._tick) + 1
        if due >= stream.due:
            return
        stream.due = due
        self._wheel.setdefault(due, []).append(stream)
        if self._timer is None or self._timer.when() > due * self._tick:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(due * self._tick, self._beat)

    def _beat(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now, tick, wheel = loop.time(), self._tick, self._wheel
        for due in sorted(each for each in wheel if each <= now // tick):
            for stream in wheel.pop(due):
                # One that was to be asked later and was woken earlier is met at both ticks.
                if stream.due == due and not stream.closed:
                    chunk, delay = stream.beat()
                    if chunk:
                        stream.push(chunk)
                    stream.due = again = int((now + delay) / tick) + 1
                    wheel.setdefault(again, []).append(stream)
        if wheel and self._timer is None:
            self._timer = loop.call_at(min(wheel) * tick, self._beat)
