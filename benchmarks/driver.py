"""Calls an ASGI app in the process, as lightly as can be; scopes are built and answers read outside the measuring."""

import asyncio
import json
from collections.abc import Awaitable, Sequence
from time import perf_counter_ns
from typing import Any

from useid_middleware.http.asgi import ASGIApp, Message, Scope

HOST = "app.example"
#: What Chrome sends with a fetch of the page.
BROWSER = (
    (b"host", HOST.encode()),
    (
        b"user-agent",
        b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
    ),
    (b"accept", b"*/*"),
    (b"accept-language", b"en-GB,en;q=0.9"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"referer", f"https://{HOST}/".encode()),
    (b"sec-fetch-site", b"same-origin"),
    (b"sec-fetch-mode", b"cors"),
    (b"sec-fetch-dest", b"empty"),
)
PHONE = ((b"host", HOST.encode()), (b"user-agent", b"okhttp/5.1.0"), (b"accept-encoding", b"gzip"))


class Call:
    """One request, ready to go, and its answer."""

    __slots__ = ("_finished", "_gone", "_request", "_wanted", "body", "headers", "scope", "seen_at", "status")

    def __init__(
        self,
        method: str,
        path: str,
        *,
        headers: Sequence[tuple[bytes, bytes]] = BROWSER,
        body: object = None,
        cookie: str = "",
        query: str = "",
    ) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        all_headers = list(headers)
        if body is not None:
            all_headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
            if headers is BROWSER:
                all_headers.append((b"origin", f"https://{HOST}".encode()))
        if cookie:
            all_headers.append((b"cookie", cookie.encode()))
        self.scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": all_headers,
            "client": ("192.0.2.1", 50000),
            "server": ("192.0.2.7", 443),
        }
        self._request: Message | None = {"type": "http.request", "body": content, "more_body": False}
        self._finished = False
        self._gone: asyncio.Future[None] | None = None
        self._wanted: tuple[bytes, asyncio.Future[None]] | None = None
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.seen_at = 0

    async def receive(self) -> Message:
        """ASGI: the body, then, as in a server, the end once the response is complete."""
        request, self._request = self._request, None
        if request is not None:
            return request
        if not self._finished:
            self._gone = self._gone or asyncio.get_running_loop().create_future()
            await self._gone
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI: keep it, and note when the awaited words come by."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
            return
        body: bytes = message.get("body", b"")
        self.body += body
        if self._wanted is not None and self._wanted[0] in body:
            self.seen_at = perf_counter_ns()
            self._wanted[1].set_result(None)
            self._wanted = None
        if not message.get("more_body"):
            self._finished = True
            if self._gone is not None and not self._gone.done():
                self._gone.set_result(None)

    def want(self, words: bytes) -> "asyncio.Future[None]":
        """Done when a chunk with ``words`` has been sent; ``seen_at`` says when."""
        future = asyncio.get_running_loop().create_future()
        self._wanted = (words, future)
        return future

    def to(self, app: ASGIApp) -> Awaitable[None]:
        """Start it."""
        return app(self.scope, self.receive, self.send)

    async def serve(self, app: ASGIApp) -> None:
        """Run it to its end; whoever still waits for words then waits in vain, and is told."""
        await self.to(app)
        if self._wanted is not None:
            self._wanted[1].set_exception(RuntimeError(f"{self.scope['path']}: ended too early: {self.body!r}"))

    def expect(self, status: int) -> None:
        """Raise ``RuntimeError`` for an answer with another status, since what fails is no measure of anything."""
        if self.status != status:
            raise RuntimeError(f"{self.scope['path']}: expected status {status}, got {self.status}: {self.body!r}")

    def answer(self, expected_status: int = 200) -> Any:
        """The answer's JSON; :meth:`expect` as to its status."""
        self.expect(expected_status)
        return json.loads(self.body)

    def cookies(self) -> str:
        """What a browser would send back of the answer's cookies."""
        set_cookies = [value.partition(b";")[0].decode() for name, value in self.headers if name == b"set-cookie"]
        return "; ".join(set_cookies)
