"""The event stream of one waiting page: the snapshot, then each change as the store announces it.

The order is what keeps an ``approved`` from being lost: subscribe, then read, then open the stream; news that is not
newer than the snapshot is dropped, and after an interruption of the store's subscription the state is read anew. While
the store is away the stream stays: it says so (``away``), and tells the state again when it can be read.
"""

import asyncio
import contextlib
import math
import random
from collections.abc import Coroutine
from typing import Any, Final, Generic, Protocol

from ..errors import UnavailableError, UseIDError
from ..http.asgi import Receive, Scope, Send
from ..http.responses import Response
from ..http.sse import AWAY, PING, EventStream, EventStreams, encode_event
from ..settings import LimitSettings
from ..stores.limits import neighbour
from .records import Current, News, R, WaitingRecords

#: What is due by the wall clock may be so by the loop's a little earlier; so much later it rarely is (s).
_SLACK: Final = 0.02


class Frames(Protocol):
    """The rotating part of a QR code that is shown while its record has not changed."""

    def at(self, now: float) -> str:
        """The frame of this moment."""
        ...

    def next_in(self, now: float) -> float:
        """Seconds until the next one."""
        ...


class Watcher(Protocol[R]):
    """Somebody who may follow one record. There is one for each open stream, so it should be small."""

    async def look(self) -> Current[R]:
        """The record as this caller may see it, or an error for those who may not."""
        ...

    async def expire(self) -> None:
        """Write down that the record has run out, if it has."""

    def frames(self, record: R) -> Frames | None:
        """What rotates while the record is as it is, if anything does."""


class StatusStream(Generic[R]):
    """An ASGI response: 200 with the stream, or 204 when there is nothing left to say."""

    __slots__ = (
        "_ends_at",
        "_frame_ends_at",
        "_frames",
        "_heartbeat",
        "_is_away",
        "_key",
        "_last_event_id",
        "_limits",
        "_records",
        "_resync",
        "_stream",
        "_streams",
        "_watcher",
    )

    def __init__(
        self,
        records: WaitingRecords[R],
        record_id: str,
        watcher: Watcher[R],
        *,
        streams: EventStreams,
        limits: LimitSettings,
        heartbeat: float,
        last_event_id: str,
    ) -> None:
        self._records = records
        self._limits = limits
        self._key = record_id
        self._streams = streams
        self._heartbeat = heartbeat
        self._watcher = watcher
        self._last_event_id = int(last_event_id) if last_event_id.isascii() and last_event_id.isdigit() else 0
        self._frames: Frames | None = None
        # By the event loop's clock, which nobody sets: when the record's present state and the shown frame run out.
        self._ends_at = math.inf
        self._frame_ends_at = math.inf
        self._is_away = False
        self._stream: EventStream | None = None
        self._resync: asyncio.Future[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream. Errors are raised before the response starts."""
        records = self._records
        stream = self._stream = EventStream(send, beat=self._beat)
        client = scope.get("client")
        self._streams.enter(stream, place=neighbour(client[0] if client else ""), limits=self._limits)
        try:
            unsubscribe = await records.store.subscribe(records.key(self._key), self._on_message)
        except BaseException:
            self._streams.leave(stream)
            raise
        try:
            serving = await self._open(stream, scope, receive)
            await (Response(204)(scope, receive, send) if serving is None else serving)
        finally:
            self._streams.leave(stream)
            if self._resync is not None:
                self._resync.cancel()
            await unsubscribe()

    async def _open(self, stream: EventStream, scope: Scope, receive: Receive) -> Coroutine[Any, Any, None] | None:
        """What serves the stream, not started yet. A function of its own, so that the stream keeps nothing of it."""
        records = self._records
        current = await self._watcher.look()
        news = records.news(current)
        is_seen = news.version == self._last_event_id
        if records.is_over(current) or (news.final and is_seen):
            return None
        first_beat = self._heartbeat
        self._frames = self._watcher.frames(current.record)
        if self._frames is not None:
            first_beat = min(first_beat, self._time_frame(self._frames, _loop_time()))
        opening, last = self._streams.admit(
            stream, b"" if is_seen else news.chunk, last=news.final, first_beat=first_beat
        )
        if not last:
            self._follow(news)
        return stream.run(scope, receive, opening, opening_id=news.version, last=last)

    def _on_message(self, message: bytes | None) -> None:
        news = None if message is None else News.decode(message)
        if news is None:
            self._resync = asyncio.ensure_future(self._read_again())
        else:
            self._tell(news)

    def _tell(self, news: News) -> None:
        assert self._stream is not None
        if news.version > self._stream.last_id:
            self._frames, self._frame_ends_at = None, math.inf
            self._stream.push(news.chunk, event_id=news.version, last=news.final)
            self._follow(news)

    def _follow(self, news: News) -> None:
        """Wake up when the present state runs out. A final one does not."""
        assert self._stream is not None
        self._ends_at = math.inf
        if not news.final:
            left = max(0.0, news.deadline - self._records.clock()) + _SLACK
            self._ends_at = _loop_time() + left
            self._streams.wake(self._stream, left)

    async def _run_out(self) -> None:
        with contextlib.suppress(UseIDError):  # If the store is away, reading says so.
            await self._watcher.expire()
        await self._read_again()

    async def _read_again(self) -> None:
        assert self._stream is not None
        try:
            news = self._records.news(await self._watcher.look())
        except UnavailableError as error:
            self._wait_for_store(error.retry_after or 1)
            return
        except UseIDError:
            # The record is gone: the client reconnects and is told by a proper answer.
            self._stream.push(b"", last=True)
            return
        if self._is_away:
            self._is_away = False
            if news.version == self._stream.last_id:
                # The page shows that nothing can be known, so it is told once more what it knew.
                self._stream.push(news.chunk)
        if news.version == self._stream.last_id:
            # Nothing new: it is not yet time by the service's clock, or an interruption lost nothing.
            self._follow(news)
        self._tell(news)

    def _wait_for_store(self, seconds: float) -> None:
        """Say so once, and look again later; when the subscription stands again before that, it is looked then."""
        assert self._stream is not None
        if not self._is_away:
            self._is_away = True
            self._stream.push(AWAY)
        left = seconds * (1 + random.random())  # Not all streams at once.
        self._ends_at = _loop_time() + left
        self._streams.wake(self._stream, left)

    def _beat(self) -> tuple[bytes, float]:
        now = _loop_time()
        if now >= self._ends_at:
            self._ends_at = math.inf
            self._resync = asyncio.ensure_future(self._run_out())
            return b"", self._heartbeat
        chunk = PING
        if self._frames is not None and now >= self._frame_ends_at:
            chunk = encode_event("frame", {"frame": self._frames.at(self._records.clock())})
            self._time_frame(self._frames, now)
        return chunk, min(self._heartbeat, self._ends_at - now, self._frame_ends_at - now)

    def _time_frame(self, frames: Frames, now: float) -> float:
        """Note when the frame of this moment runs out; returns the seconds until then."""
        left = frames.next_in(self._records.clock()) + _SLACK
        self._frame_ends_at = now + left
        return left


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
