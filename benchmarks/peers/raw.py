"""A QR login in raw ASGI: a dict, direct sends, one sweeper for heartbeats, msgspec for JSON, PyNaCl for Ed25519."""

import asyncio
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
from nacl.bindings import crypto_sign_open

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

LIFETIME = 300
JSON_HEADERS = [(b"content-type", b"application/json")]
SSE_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
PING = {"type": "http.response.body", "body": b"event: ping\ndata: {}\n\n", "more_body": True}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class _Login:
    __slots__ = ("challenge", "expires_at", "id", "key_id", "return_url", "send", "status")

    def __init__(self, login_id: str, challenge: bytes, expires_at: float, return_url: str) -> None:
        self.id = login_id
        self.challenge = challenge
        self.expires_at = expires_at
        self.return_url = return_url
        self.status = "waiting"
        self.key_id = ""
        self.send: Send | None = None


class RawApp:
    """The whole server. ``keys``: key id -> (public key, user name)."""

    def __init__(self, keys: dict[str, tuple[bytes, str]], *, heartbeat: float = 15) -> None:
        self._keys = keys
        self._heartbeat = heartbeat
        self._logins: dict[str, _Login] = {}
        self._tokens: dict[str, str] = {}
        self._streams: set[Send] = set()
        self._sweeper: asyncio.Task[None] | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await _lifespan(receive, send)
            return
        parts = scope["path"].split("/")
        if scope["method"] == "GET":
            await self._events(self._logins[parts[3]], receive, send)
            return
        body = await _body(receive)
        if parts[2] == "approve":
            await self._approve(body, send)
        elif parts[3] == "create":
            await self._create(body, send)
        elif parts[-1] == "claim":
            await self._claim(self._logins[parts[3]], send)
        else:
            await self._scan(self._logins[parts[3]], body, scope, send)

    async def _create(self, body: Any, send: Send) -> None:
        challenge = secrets.token_bytes(32)
        login = _Login(secrets.token_urlsafe(16), challenge, time.time() + LIFETIME, body.get("returnUrl", "/"))
        self._logins[login.id] = login
        text = urlsafe_b64encode(challenge).decode()
        link = f"tana://auth?session={login.id}&challenge={text}&server=https%3A%2F%2Fapp.example%2Fauth"
        answer = {"sessionId": login.id, "challenge": text, "expiresAt": login.expires_at, "qrData": link}
        await _respond(send, 201, answer)

    async def _events(self, login: _Login, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": SSE_HEADERS})
        await send({"type": "http.response.body", "body": _event(login), "more_body": True})
        login.send = send
        self._streams.add(send)
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep())
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            login.send = None
            self._streams.discard(send)

    async def _scan(self, login: _Login, body: Any, scope: MutableMapping[str, Any], send: Send) -> None:
        if login.status != "waiting" or body["keyId"] not in self._keys:
            await _respond(send, 409, {"code": "wrong_state"})
            return
        login.status, login.key_id = "scanned", body["keyId"]
        if login.send is not None:
            await login.send({"type": "http.response.body", "body": _event(login), "more_body": True})
        agent = dict(scope["headers"]).get(b"user-agent", b"").decode()
        await _respond(send, 200, {"context": {"appName": "App", "ip": scope["client"][0], "browser": agent}})

    async def _approve(self, body: Any, send: Send) -> None:
        login = self._logins[body["sessionId"]]
        public_key, _ = self._keys[body["keyId"]]
        if login.status != "scanned" or login.key_id != body["keyId"] or time.time() >= login.expires_at:
            await _respond(send, 409, {"code": "wrong_state"})
            return
        crypto_sign_open(urlsafe_b64decode(body["signature"] + "==") + login.challenge, public_key)
        login.status = "approved"
        if login.send is not None:
            # The page has nothing more to wait for; the stream ends.
            await login.send({"type": "http.response.body", "body": _event(login), "more_body": False})
            self._streams.discard(login.send)
        await _respond(send, 200, {"status": "approved"})

    async def _claim(self, login: _Login, send: Send) -> None:
        if login.status != "approved":
            await _respond(send, 409, {"code": "wrong_state"})
            return
        del self._logins[login.id]
        token, user = secrets.token_urlsafe(32), self._keys[login.key_id][1]
        self._tokens[token] = user
        cookie = (b"set-cookie", f"session={token}; Path=/; HttpOnly; SameSite=Lax".encode())
        await _respond(send, 200, {"redirectTo": login.return_url, "username": user}, [*JSON_HEADERS, cookie])

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat)
            for send in tuple(self._streams):
                await send(PING)


def _event(login: _Login) -> bytes:
    return b"event: status\ndata: %s\n\n" % _encode({"status": login.status, "expiresAt": login.expires_at})


async def _body(receive: Receive) -> Any:
    message = await receive()
    body: bytes = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    return _decode(body)


async def _respond(send: Send, status: int, answer: object, headers: list[tuple[bytes, bytes]] = JSON_HEADERS) -> None:
    body = _encode(answer)
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
