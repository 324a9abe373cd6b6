"""The event stream responder: order, slow clients, endings, the shared beat, and the adapter."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from useid_middleware.errors import StateError
from useid_middleware.http.asgi import ASGIApp, Message, Receive, Scope, Send
from useid_middleware.http.sse import BYE, MAX_QUEUE, PING, EventStream, EventStreams, encode_event
from useid_middleware.http.sse_starlette import EventSourceAdapter

SCOPE: Scope = {"type": "http", "method": "GET", "headers": []}


class Wire:
    """A server's receive and send, with a client that can stop reading and can leave."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.gone = asyncio.Event()
        self.reading = asyncio.Event()
        self.reading.set()
        self._changed = asyncio.Event()

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if not self.reading.is_set():
            await self.reading.wait()
        self.messages.append(message)
        self._changed.set()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    @property
    def ended(self) -> bool:
        return bool(self.messages) and self.messages[-1].get("more_body") is False

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def make_stream(wire: Wire) -> EventStream:
    return EventStream(wire.send, beat=lambda: (PING, 60.0))


async def opened(wire: Wire, stream: EventStream, opening: bytes = b"opening\n\n") -> "asyncio.Task[None]":
    task = asyncio.create_task(stream.run(SCOPE, wire.receive, opening, opening_id=1, last=False))
    await wire.until(lambda: opening in wire.body)
    return task


def test_an_event_is_one_line_of_json() -> None:
    assert encode_event("status", {"a": "line\nbreak"}, event_id=3) == (
        b'id: 3\nevent: status\ndata: {"a":"line\\nbreak"}\n\n'
    )
    assert encode_event("ping", {}) == b"event: ping\ndata: {}\n\n"


async def test_a_push_is_out_before_it_returns_when_the_client_reads() -> None:
    wire = Wire()
    stream = make_stream(wire)
    task = await opened(wire, stream)
    stream.push(b"one", event_id=2)
    assert wire.body == b"opening\n\none"
    wire.gone.set()
    await task


async def test_news_that_is_not_newer_is_dropped() -> None:
    wire = Wire()
    stream = make_stream(wire)
    stream.push(b"old", event_id=1)
    stream.push(b"new", event_id=2)
    task = await opened(wire, stream)
    stream.push(b"again", event_id=2)
    stream.push(b"late", event_id=1)
    assert wire.body == b"opening\n\nnew"
    wire.gone.set()
    await task


async def test_a_slow_client_gets_all_in_order_when_it_reads_again() -> None:
    wire = Wire()
    stream = make_stream(wire)
    task = await opened(wire, stream)
    wire.reading.clear()
    for number in range(10):
        stream.push(b"%d" % number)
    assert wire.body == b"opening\n\n"
    wire.reading.set()
    await wire.until(lambda: wire.body.endswith(b"9"))
    assert wire.body == b"opening\n\n0123456789"
    wire.gone.set()
    await task


async def test_a_client_that_never_reads_is_dropped_and_costs_no_more_memory() -> None:
    wire = Wire()
    stream = make_stream(wire)
    task = await opened(wire, stream)
    wire.reading.clear()
    for _ in range(MAX_QUEUE + 2):
        stream.push(b"x")
    assert stream.closed
    async with asyncio.timeout(5):
        await task
    wire.reading.set()


async def test_the_last_chunk_ends_the_response_and_the_coroutine() -> None:
    wire = Wire()  # This server's receive() does not notice that the response is complete.
    stream = make_stream(wire)
    task = await opened(wire, stream)
    stream.push(b"end", event_id=2, last=True)
    stream.push(b"after", event_id=3)
    async with asyncio.timeout(5):
        await task
    assert wire.body == b"opening\n\nend"
    assert wire.ended
    assert not task.cancelled()


async def test_a_stream_that_begins_with_its_last_word_ends_at_once() -> None:
    wire = Wire()
    async with asyncio.timeout(5):
        await make_stream(wire).run(SCOPE, wire.receive, b"over", opening_id=1, last=True)
    assert wire.ended


async def test_head_gets_headers_and_no_stream() -> None:
    wire = Wire()
    async with asyncio.timeout(5):
        await make_stream(wire).run({**SCOPE, "method": "HEAD"}, wire.receive, b"", opening_id=1, last=False)
    assert wire.ended


async def test_a_cancellation_from_outside_is_passed_on_behind_a_bye() -> None:
    """As hypercorn's workers end what is open, and say nothing before."""
    wire = Wire()
    task = await opened(wire, make_stream(wire))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert wire.body == b"opening\n\n" + BYE
    assert wire.ended


async def test_a_bye_that_cannot_be_sent_holds_no_cancellation_up() -> None:
    class Gone(Wire):
        async def send(self, message: Message) -> None:
            if message.get("body") == BYE:
                raise OSError("connection reset")
            await super().send(message)

    wire = Gone()
    task = await opened(wire, make_stream(wire))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not wire.ended


async def test_a_send_that_fails_ends_the_stream_quietly() -> None:
    class Broken(Wire):
        async def send(self, message: Message) -> None:
            if b"boom" in message.get("body", b""):
                raise OSError("connection reset")
            await super().send(message)

    wire = Broken()
    stream = make_stream(wire)
    task = await opened(wire, stream)
    stream.push(b"boom")
    async with asyncio.timeout(5):
        await task
    assert stream.closed


async def serve(streams: EventStreams, wire: Wire, beat: Callable[[], tuple[bytes, float]], first: float = 0.0) -> Any:
    stream = EventStream(wire.send, beat=beat)

    async def run() -> None:
        opening, last = streams.admit(stream, b"hello", last=False, first_beat=first)
        try:
            await stream.run(SCOPE, wire.receive, opening, opening_id=1, last=last)
        finally:
            streams.leave(stream)

    task = asyncio.create_task(run())
    await wire.until(lambda: b"hello" in wire.body)
    return task


async def test_one_clock_beats_for_all_streams_at_their_own_pace() -> None:
    streams = EventStreams(retry=2, tick=0.01)
    quick, slow = Wire(), Wire()
    tasks = [await serve(streams, quick, lambda: (b"q", 0.0)), await serve(streams, slow, lambda: (b"s", 60.0))]
    await quick.until(lambda: quick.body.count(b"q") >= 5)
    assert slow.body.endswith(b"hellos")
    assert len(streams) == 2
    for wire in (quick, slow):
        wire.gone.set()
    await asyncio.gather(*tasks)
    assert len(streams) == 0


async def test_an_earlier_beat_is_not_held_up_by_a_later_one() -> None:
    streams = EventStreams(retry=2, tick=0.01)
    late, early = Wire(), Wire()
    tasks = [
        await serve(streams, late, lambda: (b"l", 60.0), first=60.0),
        await serve(streams, early, lambda: (b"e", 60.0)),
    ]
    await early.until(lambda: early.body.endswith(b"e"))
    for wire in (late, early):
        wire.gone.set()
    await asyncio.gather(*tasks)


async def test_a_stream_that_is_woken_early_is_not_asked_again_at_its_former_time() -> None:
    streams = EventStreams(retry=2, tick=0.01)
    woken, later = Wire(), Wire()
    stream = EventStream(woken.send, beat=lambda: (b"w", 60.0))
    opening, last = streams.admit(stream, b"hello", last=False, first_beat=0.05)
    tasks = [
        asyncio.create_task(stream.run(SCOPE, woken.receive, opening, opening_id=1, last=last)),
        await serve(streams, later, lambda: (b"l", 60.0), first=0.1),
    ]
    streams.wake(stream, 0.0)
    streams.wake(stream, 30.0)  # It is asked before that.
    await later.until(lambda: later.body.endswith(b"l"))
    assert woken.body.endswith(b"hellow")
    for wire in (woken, later):
        wire.gone.set()
    await asyncio.gather(*tasks)


async def test_a_beat_without_a_chunk_sends_nothing() -> None:
    streams = EventStreams(retry=2, tick=0.01)
    wire = Wire()
    chunks = iter((b"", b"", b"x"))
    task = await serve(streams, wire, lambda: (next(chunks, b"x"), 0.0))
    await wire.until(lambda: wire.body.endswith(b"x"))
    assert all(message.get("body") != b"" for message in wire.messages)
    wire.gone.set()
    await task


async def test_draining_says_bye_to_all_and_to_whoever_comes_later() -> None:
    streams = EventStreams(retry=2)
    wires = [Wire() for _ in range(3)]
    tasks = [await serve(streams, wire, lambda: (PING, 60.0), first=60.0) for wire in wires]
    streams.drain()
    async with asyncio.timeout(5):
        await asyncio.gather(*tasks)
    assert all(wire.body.endswith(BYE) and wire.ended for wire in wires)
    late = Wire()
    await (await serve(streams, late, lambda: (PING, 60.0)))
    assert late.body.endswith(b"hello" + BYE)
    streams.reopen()
    again = Wire()
    task = await serve(streams, again, lambda: (PING, 60.0), first=60.0)
    assert not again.ended
    again.gone.set()
    await task


def stream_app(*chunks: bytes) -> tuple[ASGIApp, list[EventStream]]:
    """An app that opens one stream, and the stream once it is open."""
    open_streams: list[EventStream] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        stream = EventStream(send, beat=lambda: (PING, 60.0))
        open_streams.append(stream)
        await stream.run(scope, receive, b"".join(chunks), opening_id=1, last=False)

    return app, open_streams


async def test_the_adapter_hands_the_same_events_to_sse_starlette() -> None:
    app, streams = stream_app(b"retry: 2000\n\n", encode_event("status", {"status": "waiting"}, event_id=1))
    wire = Wire()
    task = asyncio.create_task(EventSourceAdapter(app)(SCOPE, wire.receive, wire.send))
    await wire.until(lambda: b"waiting" in wire.body)
    streams[0].push(encode_event("status", {"status": "rejected"}, event_id=2), event_id=2, last=True)
    async with asyncio.timeout(5):
        await task
    own = b"".join(
        [
            b"retry: 2000\n\n",
            encode_event("status", {"status": "waiting"}, event_id=1),
            encode_event("status", {"status": "rejected"}, event_id=2),
        ]
    )
    assert wire.body == own
    headers = dict(wire.messages[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert headers[b"cache-control"] == b"no-store"


async def test_the_adapter_leaves_the_subscription_when_the_client_goes() -> None:
    app, streams = stream_app(b"hello")
    wire = Wire()
    task = asyncio.create_task(EventSourceAdapter(app)(SCOPE, wire.receive, wire.send))
    await wire.until(lambda: b"hello" in wire.body)
    wire.gone.set()
    async with asyncio.timeout(5):
        await task
    assert streams[0].closed


async def test_the_adapter_passes_other_answers_and_errors_on() -> None:
    async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def refused(scope: Scope, receive: Receive, send: Send) -> None:
        raise StateError("session_unknown", "no such session", status_hint=404)

    wire = Wire()
    await EventSourceAdapter(nothing)(SCOPE, wire.receive, wire.send)
    assert [message.get("status") for message in wire.messages] == [204, None]
    with pytest.raises(StateError, match="session_unknown"):
        await EventSourceAdapter(refused)(SCOPE, wire.receive, wire.send)
