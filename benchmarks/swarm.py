"""Many clients of one server, in a process of their own: they create logins and hold event streams open.

Its own process, since a process may open a limited number of files, and since its CPU time is not the server's.
"""

import asyncio
import json
import multiprocessing
import resource
from multiprocessing.connection import Connection
from typing import Any, Final

from .driver import HOST

#: Connections that are being made at the same time.
_AT_ONCE: Final = 32
#: Few, as what a server keeps of them is the same for all and hides what they differ in.
_HEADERS: Final = ((b"host", HOST.encode()), (b"user-agent", b"benchmark"), (b"accept", b"*/*"))


def raise_file_limit() -> int:
    """Allow this process as many open files as it may; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Swarm:
    """The handle of the process."""

    def __init__(self, port: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(theirs, port), daemon=True)
        self._process.start()
        theirs.close()

    def create(self, count: int) -> None:
        """Create logins, for streams that are opened later."""
        self._ask("create", count)

    def open(self, count: int) -> None:
        """Open the streams of the next so many logins; returns when each has had its first event."""
        self._ask("open", count)

    def chunks(self) -> int:
        """How many pieces all streams have received so far."""
        return self._ask("chunks", 0)

    def close(self) -> None:
        """Leave all streams."""
        self._ask("close", 0)

    def stop(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(10)
        self._process.kill()

    def _ask(self, verb: str, count: int) -> int:
        self._pipe.send((verb, count))
        answer = self._pipe.recv()
        if isinstance(answer, int):
            return answer
        raise RuntimeError(f"{verb}: {answer}")


def _run(pipe: "Connection[Any, Any]", port: int) -> None:
    raise_file_limit()
    asyncio.run(_Clients(port).obey(pipe))


class _Clients:
    def __init__(self, port: int) -> None:
        self._port = port
        self._logins: list[tuple[str, str]] = []
        self._streams: list[_Stream] = []
        self.received = 0

    async def obey(self, pipe: "Connection[Any, Any]") -> None:
        verbs = {"create": self._create, "open": self._open, "chunks": self._chunks, "close": self._close}
        while True:
            try:
                verb, count = await asyncio.to_thread(pipe.recv)
            except EOFError:
                return
            try:
                pipe.send(await verbs[verb](count))
            except Exception as error:  # Told to the other process, which raises it there.
                pipe.send(repr(error))

    async def _create(self, count: int) -> int:
        """Over a few connections that stay open, as a load balancer would."""
        share = [count // 4 + (index < count % 4) for index in range(4)]
        await asyncio.gather(*(self._create_over_one(part) for part in share))
        return count

    async def _create_over_one(self, count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        request = _request("POST", "/auth/session/create", body=b'{"returnUrl":"/account"}')
        for _ in range(count):
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await reader.readexactly(int(headers["content-length"]))
            if not head[0].startswith("HTTP/1.1 201"):
                raise RuntimeError(f"{head[0]}: {body!r}")
            cookie = next((line[12:].partition(";")[0] for line in head if line[:11].lower() == "set-cookie:"), "")
            self._logins.append((json.loads(body)["sessionId"], cookie))
        writer.close()

    async def _open(self, count: int) -> int:
        gate = asyncio.Semaphore(_AT_ONCE)
        loop = asyncio.get_running_loop()

        async def one(session_id: str, cookie: str) -> None:
            request = _request("GET", f"/auth/session/{session_id}/events", cookie=cookie)
            async with gate:
                stream = _Stream(self, request, loop.create_future())
                await loop.create_connection(lambda: stream, "127.0.0.1", self._port)
                self._streams.append(stream)
                await stream.opened

        chosen, self._logins = self._logins[:count], self._logins[count:]
        await asyncio.gather(*(one(*login) for login in chosen))
        return len(chosen)

    async def _chunks(self, _: int) -> int:
        return self.received

    async def _close(self, _: int) -> int:
        for stream in self._streams:
            stream.leave()
        self._streams.clear()
        return 0


class _Stream(asyncio.Protocol):
    __slots__ = ("_clients", "_request", "_transport", "opened")

    def __init__(self, clients: _Clients, request: bytes, opened: "asyncio.Future[None]") -> None:
        self._clients = clients
        self._request = request
        self._transport: asyncio.Transport | None = None
        self.opened = opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._clients.received += 1
        if not self.opened.done() and b"waiting" in data:
            self.opened.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(RuntimeError("the server closed a stream before its first event"))

    def leave(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _request(method: str, path: str, *, body: bytes = b"", cookie: str = "") -> bytes:
    headers = list(_HEADERS)
    if body:
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if cookie:
        headers.append((b"cookie", cookie.encode()))
    lines = [f"{method} {path} HTTP/1.1".encode(), *(name + b": " + value for name, value in headers), b"", body]
    return b"\r\n".join(lines)
