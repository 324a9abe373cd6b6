"""A desktop browser and a phone for tests in the process; they speak to an ASGI app as a server would.

The browser remembers cookies and reads event streams; the phone signs the documented bytes.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from nacl.signing import SigningKey

from useid_middleware._codec import b64url, un_b64url
from useid_middleware.http.asgi import ASGIApp, Message
from useid_middleware.qr.core.signing import Decision, RequestContext, decision_message, enrolment_message

HOST = "127.0.0.1:8000"
ORIGIN = f"http://{HOST}"
SERVER = f"{ORIGIN}/auth"


@dataclass
class Answer:
    """A complete response."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The stable code of an error."""
        return str(self.json()["code"])

    def header(self, name: str) -> str:
        """A header's value, empty when absent."""
        return dict(self.headers).get(name.encode(), b"").decode()


@dataclass
class Browser:
    """An HTTP client with a cookie jar."""

    app: ASGIApp
    ip: str = "192.0.2.1"
    headers: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    prefix: str = "/auth"
    host: str = HOST

    def scope(self, method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
        """The ASGI scope of a request."""
        target, _, query = path.partition("?")
        merged = {"host": self.host, "user-agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0 Safari/537.36"}
        if self.cookies:
            merged["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        merged |= {**self.headers, **headers}
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": target,
            "raw_path": target.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in merged.items()],
            "client": (self.ip, 50000),
            "server": ("127.0.0.1", 8000),
        }

    async def send(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, *, chunks: int = 1
    ) -> Answer:
        """One request, the body in ``chunks`` messages."""
        parts = [body[i * len(body) // chunks : (i + 1) * len(body) // chunks] for i in range(chunks)]
        messages: list[Message] = [
            {"type": "http.request", "body": part, "more_body": i < chunks - 1} for i, part in enumerate(parts)
        ]
        sent: list[Message] = []

        async def receive() -> Message:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def collect(message: Message) -> None:
            sent.append(message)

        await self.app(self.scope(method, path, headers or {}), receive, collect)
        answer = Answer(
            sent[0]["status"], list(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:])
        )
        for name, value in answer.headers:
            if name == b"set-cookie":
                pair, _, rest = value.decode().partition(";")
                cookie, _, content = pair.partition("=")
                if "Max-Age=0" in rest:
                    self.cookies.pop(cookie, None)
                else:
                    self.cookies[cookie] = content
        return answer

    async def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        """GET below the prefix."""
        return await self.send("GET", self.prefix + path, headers=headers)

    async def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """POST JSON below the prefix, as a page of ours does it."""
        data = b"" if body is None else json.dumps(body).encode()
        script = {"content-type": "application/json", "accept": "application/json", "origin": f"http://{self.host}"}
        merged = script | (headers or {})
        return await self.send("POST", self.prefix + path, data, merged)

    async def delete(self, path: str) -> Answer:
        """DELETE below the prefix."""
        return await self.send("DELETE", self.prefix + path, headers={"origin": f"http://{self.host}"})

    @asynccontextmanager
    async def stream(self, path: str, headers: dict[str, str] | None = None) -> AsyncIterator["Stream"]:
        """An open event stream; the client leaves at the end of the block."""
        stream = Stream()
        task = asyncio.ensure_future(
            self.app(self.scope("GET", self.prefix + path, headers or {}), stream.receive, stream.send)
        )
        try:
            await stream.opened(task)
            yield stream
        finally:
            stream.left.set()
            await asyncio.wait_for(task, 5)


class Stream:
    """What a client sees of an event stream."""

    def __init__(self) -> None:
        self.status = 0
        self.ended = False
        self.left = asyncio.Event()
        self.raw = b""
        self._changed = asyncio.Event()
        self._requested = False
        self._read = 0

    async def receive(self) -> Message:
        """ASGI receive: the empty body, then nothing until the client leaves."""
        if not self._requested:
            self._requested = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI send."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.raw += message.get("body", b"")
            self.ended = not message.get("more_body", False)
        self._changed.set()

    async def opened(self, task: "asyncio.Task[Any]") -> None:
        """Wait for the first bytes."""
        while not self.status:
            await self._wait(task)

    async def _wait(self, task: "asyncio.Task[Any] | None" = None) -> None:
        changed = asyncio.ensure_future(self._changed.wait())
        await asyncio.wait([changed, *([task] if task else [])], timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert changed.done(), f"nothing came in 5 s; so far {self.raw!r}"
        self._changed.clear()

    def events(self) -> list[tuple[str, Any]]:
        """Everything so far: ``(name, data)``."""
        return [parse_event(block) for block in self.raw.decode().split("\n\n") if "event:" in block]

    async def next(self) -> tuple[str, Any]:
        """The next event."""
        while len(self.events()) <= self._read:
            assert not self.ended, f"the stream ended with {self.raw!r}"
            await self._wait()
        self._read += 1
        return self.events()[self._read - 1]

    async def next_status(self) -> str:
        """The status of the next ``status`` event; frames and pings are passed over."""
        while True:
            name, data = await self.next()
            if name == "status":
                return str(data["status"])

    async def end(self) -> None:
        """Wait for the server to end the stream."""
        while not self.ended:
            await self._wait()


def parse_event(block: str) -> tuple[str, Any]:
    """Name and data of one event."""
    fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
    return fields["event"], json.loads(fields["data"])


@dataclass
class Phone:
    """A phone with one key. Everything that an attacker would change is an argument."""

    app: ASGIApp
    key: SigningKey = field(default_factory=SigningKey.generate)
    key_id: bytes = b""
    ip: str = "198.51.100.7"
    server: str = SERVER
    now: Any = None

    @property
    def public_key(self) -> bytes:
        """Raw Ed25519 public key."""
        return bytes(self.key.verify_key)

    @property
    def client(self) -> Browser:
        """The phone's HTTP client: no cookies, no Origin."""
        return Browser(self.app, ip=self.ip, host=urlsplit(self.server).netloc)

    async def post(self, path: str, body: dict[str, Any]) -> Answer:
        """POST JSON as an app does."""
        data = json.dumps(body).encode()
        return await self.client.send("POST", f"/auth{path}", data, {"content-type": "application/json"})

    def issued_at(self) -> int:
        """The phone's clock."""
        import time

        return int(self.now() if self.now else time.time())

    async def enrol(self, desktop: Browser, *, label: str = "Pixel") -> dict[str, Any]:
        """The whole enrolment with the logged-in ``desktop``; returns the device."""
        offer = (await desktop.post("/devices/enrol")).json()
        proof = await self.prove(offer["qrData"], label=label)
        assert proof.status == 200, proof.body
        self.key_id = un_b64url(proof.json()["keyId"], 16)
        confirmed = await desktop.post(f"/devices/enrol/{offer['enrolmentId']}/confirm", {"code": proof.json()["code"]})
        assert confirmed.status == 200, confirmed.body
        device: dict[str, Any] = confirmed.json()
        return device

    async def prove(self, link: str, *, label: str = "Pixel", public_key: bytes = b"") -> Answer:
        """Prove the key for an enrolment link."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
        issued_at = self.issued_at()
        public_key = public_key or self.public_key
        message = enrolment_message(
            server=query["server"],
            enrolment_id=un_b64url(query["enrolment"], 16),
            challenge=un_b64url(query["challenge"], 32),
            public_key=public_key,
            label=label,
            issued_at=issued_at,
        )
        body = {
            "publicKey": b64url(public_key),
            "signature": b64url(self.key.sign(message).signature),
            "label": label,
            "issuedAt": issued_at,
        }
        return await self.post(f"/devices/enrol/{query['enrolment']}", body)

    async def scan(self, link: str) -> Answer:
        """Scan a login link."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
        body = {"type": "scan", "keyId": b64url(self.key_id)}
        if "frame" in query:
            body["frame"] = query["frame"]
        return await self.post(f"/session/{query['session']}", body)

    def answer_body(self, link: str, context: dict[str, str], decision: Decision, **changes: Any) -> dict[str, Any]:
        """The signed body of an answer; ``changes`` replace fields of what is signed."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
        issued_at = self.issued_at()
        signed: dict[str, Any] = {
            "server": query["server"],
            "session_id": un_b64url(query["session"], 16),
            "challenge": un_b64url(query["challenge"], 32),
            "frame": un_b64url(query["frame"], 8) if "frame" in query else b"",
            "context_digest": RequestContext(**context).digest(),
            "key_id": self.key_id,
            "issued_at": issued_at,
        } | changes
        message = decision_message(decision, **signed)
        return {
            "sessionId": query["session"],
            "keyId": b64url(self.key_id),
            "publicKey": b64url(self.public_key),
            "signature": b64url(self.key.sign(message).signature),
            "issuedAt": signed["issued_at"],
        }

    async def approve(self, link: str) -> Answer:
        """Scan, sign and approve."""
        scanned = await self.scan(link)
        assert scanned.status == 200, scanned.body
        return await self.post("/approve", self.answer_body(link, scanned.json()["context"], Decision.APPROVE))

    async def reject(self, link: str) -> Answer:
        """Scan, sign and reject."""
        scanned = await self.scan(link)
        assert scanned.status == 200, scanned.body
        return await self.post("/reject", self.answer_body(link, scanned.json()["context"], Decision.REJECT))
