"""A stand-in for the server: it speaks the wire contract of the device switch and does what a test tells it.

The widget's tests need states that a real server reaches rarely or slowly (a stream that stays silent, garbage instead
of JSON). The whole plugin in a real browser is tested elsewhere.
"""

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from tests.servers import free_port
from useid_middleware.widget.serve import LOGIN_POLICY, WidgetFiles, login_page, plain_policy

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

SESSION = "AAECAwQFBgcICQoLDA0ODw"
#: Seconds to wait for what must happen; reached only when something is wrong.
PATIENCE = 30
CHALLENGE = "B" * 43
FRAMES = ("frameAAAAA1", "frameBBBBB2")


class _Server(uvicorn.Server):
    """Says when the port is open."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.open = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.loop = asyncio.get_running_loop()
        self.open.set()


@dataclass(frozen=True)
class Answer:
    """What a path answers for as long as a test wants: a status and a body that need not be JSON."""

    status: int
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Wire:
    """The server's state, which tests set, and what it was asked, which they read."""

    frame: str = FRAMES[0]
    expires_in: float = 300
    heartbeat: float = 15
    code: str | None = None
    attempts: int = 5
    redirect_to: str = "/done"
    claim_extra: dict[str, str] = field(default_factory=dict)
    create_extra: dict[str, Any] = field(default_factory=dict)
    plain: bytes = b""
    #: Answers that replace the contract's, by the end of the path: ``{"/create": Answer(503)}``.
    instead: dict[str, Answer] = field(default_factory=dict)
    #: Streams open and then say nothing at all, as behind a proxy that buffers.
    mute: bool = False
    status: str = "waiting"
    version: int = 1
    asked: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._files = WidgetFiles()
        self._asked_something = threading.Condition()
        self._port = free_port()
        self._streams: set[asyncio.Queue[bytes]] = set()
        self._server: _Server | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    # ── what a test does ──

    def start(self) -> None:
        """Serve; returns when the port is open."""
        config = uvicorn.Config(
            self,
            host="127.0.0.1",
            port=self._port,
            log_level="critical",
            lifespan="off",
            ws="none",
            # The browser may open another stream just when all are being ended.
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        assert self._server.open.wait(PATIENCE)

    def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is None:
            return
        self._server.should_exit = True
        self._push(b"")
        self._thread.join(PATIENCE)
        self._server = None

    def move(self, status: str) -> None:
        """Put the login into another state and tell the streams."""
        self.status = status
        self.version += 1
        self.say(self.event, self.snapshot(), event_id=self.version)

    def turn(self, frame: str) -> None:
        """Rotate the frame and tell the streams."""
        self.frame = frame
        self.say("frame", {"frame": frame})

    def say(self, name: str, data: object, *, event_id: int | None = None) -> None:
        """Send an event over every open stream; one that a later stream would not begin with waits for a stream."""
        if event_id is None or self.mute:
            self.await_stream()
        head = f"id: {event_id}\n" if event_id is not None else ""
        self._push(f"{head}event: {name}\ndata: {json.dumps(data)}\n\n".encode())

    def cut(self) -> None:
        """End the open stream, once there is one: the card says `waiting` a moment before it listens."""
        self.await_stream()
        self._push(b"")

    def await_stream(self) -> None:
        """Wait until a stream is open."""
        with self._asked_something:
            assert self._asked_something.wait_for(lambda: bool(self._streams), PATIENCE), self.asked

    def count(self, call: str) -> int:
        """How often ``GET /session/…`` or the like was asked."""
        return sum(asked == call for asked in self.asked)

    def await_calls(self, call: str, at_least: int) -> None:
        """Wait until ``call`` was asked so often; the browser goes on meanwhile."""
        with self._asked_something:
            assert self._asked_something.wait_for(lambda: self.count(call) >= at_least, PATIENCE), self.asked

    @property
    def open_streams(self) -> int:
        """How many event streams are open."""
        return len(self._streams)

    # ── what the browser sees ──

    @property
    def link(self) -> str:
        """The QR code's content."""
        server = f"http%3A%2F%2F127.0.0.1%3A{self._port}%2Fauth"
        return f"tana://auth?session={SESSION}&challenge={CHALLENGE}&server={server}&frame={self.frame}"

    @property
    def event(self) -> str:
        """The name of the event that tells the state."""
        return "authenticate" if self.status == "authenticating" else "status"

    def snapshot(self) -> dict[str, Any]:
        """The *status* of the reference."""
        found: dict[str, Any] = {
            "status": self.status,
            "version": self.version,
            "expiresAt": "2026-11-21T02:40:00Z",
            "expiresIn": self.expires_in,
        }
        if self.status == "waiting":
            found["frame"] = self.frame
        if self.status == "approved":
            found["codeRequired"] = self.code is not None
        return found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix("/auth").replace(SESSION, "{id}")
        call = f"{scope['method']} {path}"
        body = b""
        while scope["method"] == "POST":
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        with self._asked_something:
            self.asked.append(call)
            self._asked_something.notify_all()
        for ending, answer in self.instead.items():
            if path.endswith(ending):
                await _send(send, answer.status, answer.body.encode(), *answer.headers)
                return
        if call == "GET /session/{id}/events":
            await self._stream(scope, receive, send)
        elif path.startswith("/widget/"):
            status, headers, found = self._files.find_asset(path.removeprefix("/widget/"))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": found})
        elif path.startswith("/login"):
            lang = "de" if path == "/login/de" else "en"
            page = login_page(
                server="/auth", app_name="Acme Shop", return_url="/orders", lang=lang, heartbeat=self.heartbeat
            )
            await _page(send, page, LOGIN_POLICY)
        elif path.startswith("/plain"):
            self.bodies.append(body.decode())
            await _page(send, self.plain, plain_policy())
        elif path.startswith(("/session", "/webauthn/")):
            await self._json(call, body, send)
        else:
            await _page(send, b"<!doctype html><html lang=en><title>Done</title><h1>Done</h1>", LOGIN_POLICY)

    async def _json(self, call: str, body: bytes, send: Send) -> None:
        if body:
            self.bodies.append(json.loads(body))
        status, answer = 404, {"code": "not_found", "message": "no such address"}
        if call == "POST /session/create":
            self.status, self.version = "waiting", 1
            begun = {"sessionId": SESSION, "challenge": CHALLENGE, "qrData": self.link}
            status, answer = 201, {**self.snapshot(), **begun, **self.create_extra}
        elif call == "GET /session/{id}":
            status, answer = 200, self.snapshot()
        elif call == "POST /session/{id}/claim":
            status, answer = self._claim(json.loads(body).get("code"))
        await _send(send, status, json.dumps(answer).encode(), ("content-type", "application/json"))

    def _claim(self, code: str | None) -> tuple[int, dict[str, Any]]:
        if code == self.code:
            self.status = "claimed"
            return 200, {"redirectTo": self.redirect_to, "userId": "u1", "username": "alice", **self.claim_extra}
        self.attempts -= 1
        return 403, {"code": "code_wrong", "message": "the code is not right", "attemptsLeft": self.attempts}

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        with self._asked_something:
            self._streams.add(queue)
            self._asked_something.notify_all()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        last_id = dict(scope["headers"]).get(b"last-event-id", b"").decode()
        if not self.mute:
            opening = "retry: 200\n\n"
            if last_id != str(self.version):
                opening += f"id: {self.version}\nevent: {self.event}\ndata: {json.dumps(self.snapshot())}\n\n"
            queue.put_nowait(opening.encode())
        leaving = asyncio.create_task(_until_gone(receive))
        try:
            while True:
                chunk = asyncio.create_task(queue.get())
                await asyncio.wait({chunk, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not chunk.done():
                    chunk.cancel()
                    return
                await send({"type": "http.response.body", "body": chunk.result(), "more_body": bool(chunk.result())})
                if not chunk.result():
                    return
        finally:
            leaving.cancel()
            self._streams.discard(queue)

    def _push(self, chunk: bytes) -> None:
        assert self._server is not None

        def put() -> None:
            for queue in self._streams:
                queue.put_nowait(chunk)

        self._server.loop.call_soon_threadsafe(put)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, status: int, body: bytes, *headers: tuple[str, str]) -> None:
    fields = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def _page(send: Send, page: bytes, policy: str) -> None:
    headers = (("content-type", "text/html; charset=utf-8"), ("content-security-policy", policy))
    await _send(send, 200, page, *headers)
