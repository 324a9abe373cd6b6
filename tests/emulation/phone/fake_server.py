"""A server for one enrolment and one login, as a phone sees it: it checks what comes, and answers wrongly on demand."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import uvicorn

from useid_middleware._codec import b64url, un_b64url
from useid_middleware.emulation.phone.page import find_asset
from useid_middleware.http.asgi import Receive, Scope, Send
from useid_middleware.qr.core.link import LinkType, build_link
from useid_middleware.qr.core.signing import (
    Decision,
    RequestContext,
    decision_message,
    enrolment_message,
    verify_signature,
)

NOW = 1_795_228_800
SESSION_ID = bytes(range(16))
CHALLENGE = bytes(range(32))
FRAME = bytes(range(8))
KEY_ID = bytes(range(100, 116))
CODE = "402718"


@dataclass
class FakeServer:
    """``calls`` are the paths and bodies received; ``scripted`` maps a path to an answer in place of the true one.

    Below ``/phone/`` it serves the browser phone, which reaches its own origin alone.
    """

    server: str = "https://app.example/auth"
    context: RequestContext = field(
        default_factory=lambda: RequestContext(
            "Tana", "https://app.example", "203.0.113.7", "Berlin", "Chrome on Linux", "2026-11-21T02:40:00Z"
        )
    )
    code: str | None = CODE
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    scripted: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    public_key: bytes = b""
    decision: Decision | None = None

    def login_link(self, *, frame: bytes = FRAME, server: str | None = None) -> str:
        return build_link(
            LinkType.AUTH,
            id=b64url(SESSION_ID),
            challenge=b64url(CHALLENGE),
            server=server or self.server,
            frame=b64url(frame),
            scheme="tana",
            universal_link=None,
        )

    def enrolment_link(self) -> str:
        return build_link(
            LinkType.ENROL,
            id=b64url(SESSION_ID),
            challenge=b64url(CHALLENGE),
            server=self.server,
            scheme="tana",
            universal_link=None,
        )

    def fail(self, path: str, status: int, body: object, **headers: str) -> None:
        """Answer ``path`` with this instead."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.scripted[path] = (status, {"content-type": "application/json", **named}, content)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        if scope["method"] == "GET":
            status, raw, content = find_asset(scope["path"].removeprefix("/phone/"))
            await send({"type": "http.response.start", "status": status, "headers": raw})
            await send({"type": "http.response.body", "body": content})
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        path = scope["path"].removeprefix("/auth")
        self.calls.append((path, json.loads(body)))
        if path in self.scripted:
            status, headers, content = self.scripted[path]
        else:
            status, headers = 200, {"content-type": "application/json"}
            content = json.dumps(self._answer(path, json.loads(body))).encode()
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, path: str, body: dict[str, Any]) -> dict[str, object]:
        if path == f"/session/{b64url(SESSION_ID)}":
            assert body["type"] == "scan"
            assert un_b64url(body["keyId"], 16) == KEY_ID
            context = {name: getattr(self.context, name) for name in RequestContext.__struct_fields__}
            return {"context": context, "expiresAt": "2026-11-21T02:45:00Z", "expiresIn": 290}
        if path == f"/devices/enrol/{b64url(SESSION_ID)}":
            self.public_key = un_b64url(body["publicKey"], 32)
            self._verify(
                body,
                enrolment_message(
                    server=self.server,
                    enrolment_id=SESSION_ID,
                    challenge=CHALLENGE,
                    public_key=self.public_key,
                    label=body["label"],
                    issued_at=body["issuedAt"],
                ),
            )
            return {"keyId": b64url(KEY_ID), "username": "alice", "appName": "Tana", "code": CODE}
        decision = Decision(path.removeprefix("/"))
        assert un_b64url(body["sessionId"], 16) == SESSION_ID
        scans = [call for called, call in self.calls if called.startswith("/session/")]
        frame = scans[-1].get("frame")
        self._verify(
            body,
            decision_message(
                decision,
                server=self.server,
                session_id=SESSION_ID,
                challenge=CHALLENGE,
                frame=un_b64url(frame, 8) if frame else b"",
                context_digest=self.context.digest(),
                key_id=KEY_ID,
                issued_at=body["issuedAt"],
            ),
        )
        self.decision = decision
        if decision is Decision.REJECT:
            return {"status": "rejected"}
        return {"status": "approved", **({"code": self.code} if self.code else {})}

    def _verify(self, body: dict[str, Any], message: bytes) -> None:
        assert un_b64url(body["publicKey"], 32) == self.public_key
        verify_signature(
            message,
            signature=un_b64url(body["signature"], 64),
            public_key=self.public_key,
            issued_at=body["issuedAt"],
            now=body["issuedAt"],
        )


@contextmanager
def serving(server: FakeServer) -> Iterator[str]:
    """Serve it on a free port of this machine; yields its origin, and ``server.server`` follows."""
    config = uvicorn.Config(server, port=0, lifespan="off", ws="none", log_level="critical", access_log=False)
    listener = config.bind_socket()
    # From here on a connection waits in the socket's queue until the loop runs.
    listener.listen()
    origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.server = f"{origin}/auth"
    runner = uvicorn.Server(config)
    thread = Thread(target=runner.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield origin
    finally:
        runner.should_exit = True
        thread.join()
