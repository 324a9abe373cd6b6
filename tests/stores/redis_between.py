"""A server between a store and a real Redis: it passes on what it is sent, until a test has it misbehave."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import hiredis

#: What to answer a request with in Redis' place: bytes, or ``None`` for never.
Instead = Callable[[list[bytes]], bytes | None]


class Between:
    """Speaks RESP to both sides, one request at a time, so that it knows which answer belongs to which."""

    def __init__(self, upstream_port: int) -> None:
        self.port = 0
        #: The requests that arrived, in their order.
        self.requests: list[list[bytes]] = []
        #: Answers in Redis' place, while it is set.
        self.instead: Instead | None = None
        #: Awaited with each request before anything is done about it.
        self.before: Callable[[list[bytes]], Awaitable[None]] = _nothing
        #: For each request: pass it on, and hang up when its answer has come. Called anew for every request.
        self.loses_answer: Callable[[list[bytes]], bool] = lambda request: False
        #: For each request: hang up before passing it on.
        self.loses_request: Callable[[list[bytes]], bool] = lambda request: False
        self._upstream_port = upstream_port
        self._connections: set[asyncio.StreamWriter] = set()

    def lose_answers(self, count: int, *, verbs: tuple[bytes, ...] = (b"EVALSHA", b"EVAL")) -> None:
        """Lose the next ``count`` answers to these commands."""
        self.loses_answer = _first(count, verbs)

    def lose_requests(self, count: int, *, verbs: tuple[bytes, ...] = (b"EVALSHA", b"EVAL")) -> None:
        """Lose the next ``count`` requests with these commands."""
        self.loses_request = _first(count, verbs)

    def hang_up(self) -> None:
        """Break all connections."""
        for writer in self._connections:
            writer.transport.abort()

    @property
    def url(self) -> str:
        """Of a store."""
        return f"redis://127.0.0.1:{self.port}/0"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        both = {writer, upstream}
        self._connections |= both
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._converse(reader, writer, upstream_reader, upstream)
        finally:
            self._connections -= both
            for one in both:
                one.transport.abort()

    async def _converse(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream_reader: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
    ) -> None:
        requests = hiredis.Reader()
        listening: asyncio.Task[None] | None = None
        try:
            while data := await reader.read(65536):
                requests.feed(data)
                while isinstance(request := requests.gets(), list):
                    self.requests.append(request)
                    await self.before(request)
                    if self.instead is not None:
                        answer = self.instead(request)
                        if answer is not None:
                            writer.write(answer)
                        continue
                    if self.loses_request(request):
                        return
                    upstream.write(_encoded(request))
                    if listening is None and request[0].upper() in (b"SUBSCRIBE", b"SSUBSCRIBE"):
                        # From here on Redis speaks whenever it likes.
                        listening = asyncio.create_task(_pass_on(upstream_reader, writer))
                    elif listening is None:
                        answer = await _one_reply(upstream_reader)
                        if self.loses_answer(request):
                            return
                        writer.write(answer)
        finally:
            if listening is not None:
                listening.cancel()


@asynccontextmanager
async def between(upstream_port: int) -> AsyncIterator[Between]:
    """Serve on a free port."""
    middle = Between(upstream_port)
    server = await asyncio.start_server(middle.serve, "127.0.0.1", 0)
    middle.port = server.sockets[0].getsockname()[1]
    try:
        yield middle
    finally:
        server.close()
        middle.hang_up()
        await server.wait_closed()


def _first(count: int, verbs: tuple[bytes, ...]) -> Callable[[list[bytes]], bool]:
    left = count

    def loses(request: list[bytes]) -> bool:
        nonlocal left
        if left == 0 or request[0].upper() not in verbs:
            return False
        left -= 1
        return True

    return loses


async def _nothing(request: list[bytes]) -> None:
    """What happens when nothing is to happen."""


async def _one_reply(reader: asyncio.StreamReader) -> bytes:
    replies, raw = hiredis.Reader(notEnoughData=Ellipsis), b""
    while replies.gets() is Ellipsis:
        data = await reader.read(65536)
        if not data:
            raise asyncio.IncompleteReadError(raw, None)
        raw += data
        replies.feed(data)
    return raw


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.transport.abort()


def _encoded(request: list[bytes]) -> bytes:
    return b"*%d\r\n" % len(request) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in request)
