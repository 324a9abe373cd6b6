"""The same events through sse-starlette, for hosts that have standardised on its ``EventSourceResponse``.

Switched on by ``sse.responder = "sse-starlette"``. Our own responder stays the default: it holds an idle stream in
about a quarter of the memory, and it patches nothing (sse-starlette wraps the server's exit handler when it is
imported).
"""

import asyncio
from collections.abc import AsyncIterator

from sse_starlette.sse import EventSourceResponse

from .asgi import ASGIApp, Message, Receive, Scope, Send
from .sse import HEADERS, MAX_QUEUE

#: sse-starlette's own pings come on top of ours; once a day is as good as never.
_NEVER = 86_400
#: When the server stops, our own last words end the stream at once; sse-starlette shall not cut them off before (s).
_GRACE = 2.0


class EventSourceAdapter:
    """An ASGI response that hands the chunks of ``stream`` to an ``EventSourceResponse``."""

    def __init__(self, stream: ASGIApp) -> None:
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; an answer that is no stream (204) goes out as it is. Errors before the start are raised as ever."""
        chunks: asyncio.Queue[Message] = asyncio.Queue(MAX_QUEUE)
        gone = asyncio.Event()

        async def until_gone() -> Message:
            await gone.wait()
            return {"type": "http.disconnect"}

        inner = asyncio.ensure_future(self._stream(scope, until_gone, chunks.put))
        first = asyncio.ensure_future(chunks.get())
        try:
            await asyncio.wait([inner, first], return_when=asyncio.FIRST_COMPLETED)
            if not first.done():
                inner.result()  # Raises what the stream raised before it started.
            start = await first
            if start["status"] != 200:
                await send(start)
                await send(await chunks.get())
                return
            headers = {name.decode(): value.decode() for name, value in HEADERS if name != b"content-type"}
            response = EventSourceResponse(_bodies(chunks), headers=headers, ping=_NEVER, shutdown_grace_period=_GRACE)
            await response(scope, receive, send)
        finally:
            first.cancel()
            gone.set()
            if not inner.done():
                # It has to leave its subscription; its last words have nobody to hear them.
                drain = asyncio.ensure_future(_discard(chunks))
                await inner
                drain.cancel()


async def _bodies(chunks: "asyncio.Queue[Message]") -> AsyncIterator[bytes]:
    while True:
        message = await chunks.get()
        if message["body"]:
            yield message["body"]
        if not message.get("more_body", False):
            return


async def _discard(chunks: "asyncio.Queue[Message]") -> None:
    while True:
        await chunks.get()
