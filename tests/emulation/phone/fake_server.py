"""A server for one enrolment and one login, as a phone sees it: it checks what comes, and answers wrongly on demand.

Its login may be a bound one: then it also is the widget, which opens what the phone sealed, and the WebAuthn server.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

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
from useid_middleware.webauthn.core.authentication import (
    StoredCredential,
    VerifiedAuthentication,
    verify_authentication,
)
from useid_middleware.webauthn.core.options import (
    Conveyance,
    Descriptor,
    Hint,
    RegistrationState,
    ResidentKey,
    User,
    begin_authentication,
    begin_registration,
)
from useid_middleware.webauthn.core.registration import VerifiedRegistration, verify_registration
from useid_middleware.webauthn.core.relying_party import RelyingParty
from useid_middleware.webauthn.core.response import read_authentication, read_registration
from useid_middleware.webauthn.core.sealing import open_refresh_url
from useid_middleware.webauthn.core.trust import AttestationPolicy

NOW = 1_795_228_800
SESSION_ID = bytes(range(16))
CHALLENGE = bytes(range(32))
FRAME = bytes(range(8))
KEY_ID = bytes(range(100, 116))
CODE = "402718"
WIDGET_PRIVATE_KEY = bytes(range(200, 232))
WIDGET_KEY = X25519PrivateKey.from_private_bytes(WIDGET_PRIVATE_KEY).public_key().public_bytes_raw()
USER_ID = bytes(range(150, 182))
ACCOUNTS = "/webauthn/accounts"


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
    is_bound: bool = False
    conveyance: Conveyance = Conveyance.NONE
    #: Where a bound login ends; empty for a path of our own.
    refresh_url: str = ""
    #: What the widget opened.
    opened: str = ""
    registration: RegistrationState | None = None
    registered: VerifiedRegistration | None = None

    @property
    def origin(self) -> str:
        parts = urlsplit(self.server)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def party(self) -> RelyingParty:
        return RelyingParty(id=urlsplit(self.origin).hostname or "", name="Tana", origins=frozenset({self.origin}))

    def login_link(
        self, *, frame: bytes = FRAME, server: str | None = None, widget_key: bytes | None = WIDGET_KEY
    ) -> str:
        """Of a bound login, with the widget's key."""
        key = f"#key={b64url(widget_key)}" if self.is_bound and widget_key is not None else ""
        return self._login_link(frame, server) + key

    def assertion_options(self) -> dict[str, Any]:
        """What the other device's page asks its browser for."""
        return self._authentication()[0]

    def verify_assertion(self, credential: dict[str, Any], *, sign_count: int = 0) -> VerifiedAuthentication:
        """What that page got, verified."""
        assert self.registered is not None
        return verify_authentication(
            read_authentication(credential),
            expected_state=self._authentication()[1],
            expected_party=self.party,
            credential=StoredCredential(
                credential_id=self.registered.credential_id,
                public_key=self.registered.public_key,
                sign_count=sign_count,
                user_handle=self.registered.user_handle,
                is_backup_eligible=False,
            ),
            now=NOW,
        )

    def _authentication(self) -> tuple[dict[str, Any], Any]:
        assert self.registered is not None
        return begin_authentication(
            self.party,
            challenge=CHALLENGE,
            now=NOW,
            allow=[Descriptor(self.registered.credential_id, ("hybrid",))],
            user_handle=self.registered.user_handle,
            hints=[Hint.HYBRID],
        )

    def _login_link(self, frame: bytes, server: str | None) -> str:
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
        elif scope["method"] == "PUT":
            self._register(path, json.loads(body))
            status, headers, content = 204, {}, b""
        else:
            status, headers = 201 if path == ACCOUNTS else 200, {"content-type": "application/json"}
            content = json.dumps(self._answer(path, json.loads(body))).encode()
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, path: str, body: dict[str, Any]) -> dict[str, object]:
        if path == f"/session/{b64url(SESSION_ID)}":
            assert body["type"] == "scan"
            assert un_b64url(body["keyId"], 16) == KEY_ID
            context = {name: getattr(self.context, name) for name in RequestContext.__struct_fields__}
            binding = {"binding": True} if self.is_bound else {}
            return {"context": context, "expiresAt": "2026-11-21T02:45:00Z", "expiresIn": 290, **binding}
        if path == ACCOUNTS:
            return self._open_account(body)
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
        if self.is_bound:
            return {
                "status": "approved",
                "refreshUrl": self.refresh_url or f"{self.server}/session/refresh/{'t' * 43}",
            }
        return {"status": "approved", **({"code": self.code} if self.code else {})}

    def _open_account(self, body: dict[str, Any]) -> dict[str, object]:
        assert self.decision is Decision.APPROVE
        self.opened = open_refresh_url(
            body["sealedRefreshUrl"], private_key=WIDGET_PRIVATE_KEY, session_id=body["widgetSessionId"]
        )
        assert body["widgetSessionId"] == b64url(SESSION_ID)
        options, self.registration = begin_registration(
            self.party,
            User(USER_ID, "Tana", "Tana"),
            challenge=CHALLENGE,
            now=NOW,
            resident_key=ResidentKey.DISCOURAGED,
            conveyance=self.conveyance,
            attestation_formats=body["attestationFormats"],
        )
        return {"userId": b64url(USER_ID), "options": options}

    def _register(self, path: str, body: dict[str, Any]) -> None:
        assert path == f"{ACCOUNTS}/{b64url(USER_ID)}"
        assert self.registration is not None
        self.registered = verify_registration(
            read_registration(body["credential"]),
            expected_state=self.registration,
            expected_party=self.party,
            policy=AttestationPolicy(),
            is_known=False,
            now=NOW,
        )

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
