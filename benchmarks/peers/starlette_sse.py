"""A QR login as one writes it with Starlette and sse-starlette: a queue per stream, JSONResponse, a dict, PyNaCl."""

import asyncio
import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from nacl.signing import VerifyKey
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

LIFETIME = 300


@dataclass
class _Login:
    id: str
    challenge: str
    return_url: str
    expires_at: float
    status: str = "waiting"
    key_id: str = ""
    listeners: list[asyncio.Queue[str]] = field(default_factory=list)

    def change(self, status: str) -> None:
        self.status = status
        for queue in self.listeners:
            queue.put_nowait(status)


def starlette_app(keys: dict[str, tuple[bytes, str]], *, heartbeat: float = 15) -> Starlette:
    """The app. ``keys``: key id -> (public key, user name)."""
    logins: dict[str, _Login] = {}
    tokens: dict[str, str] = {}

    def find(login_id: str) -> _Login:
        login = logins.get(login_id)
        if login is None or time.time() >= login.expires_at:
            raise HTTPException(404)
        return login

    async def create(request: Request) -> Response:
        body = await request.json()
        login = _Login(
            id=secrets.token_urlsafe(16),
            challenge=urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            return_url=body.get("returnUrl", "/"),
            expires_at=time.time() + LIFETIME,
        )
        logins[login.id] = login
        server = quote("https://app.example/auth", safe="")
        answer = {
            "sessionId": login.id,
            "challenge": login.challenge,
            "expiresAt": login.expires_at,
            "qrData": f"tana://auth?session={login.id}&challenge={login.challenge}&server={server}",
        }
        return JSONResponse(answer, status_code=201)

    async def events(request: Request) -> Response:
        login = find(request.path_params["login_id"])

        async def stream() -> AsyncIterator[dict[str, Any]]:
            queue: asyncio.Queue[str] = asyncio.Queue()
            login.listeners.append(queue)
            try:
                status = login.status
                while True:
                    data = json.dumps({"status": status, "expiresAt": login.expires_at})
                    yield {"event": "status", "data": data}
                    if status == "approved":
                        return
                    status = await queue.get()
            finally:
                login.listeners.remove(queue)

        return EventSourceResponse(stream(), ping=heartbeat)

    async def scan(request: Request) -> Response:
        login = find(request.path_params["login_id"])
        body = await request.json()
        if login.status != "waiting" or body["keyId"] not in keys:
            raise HTTPException(409)
        login.key_id = body["keyId"]
        login.change("scanned")
        client = request.client.host if request.client else ""
        agent = request.headers.get("user-agent", "")
        return JSONResponse({"context": {"appName": "App", "ip": client, "browser": agent}})

    async def approve(request: Request) -> Response:
        body = await request.json()
        login = find(body["sessionId"])
        if login.status != "scanned" or login.key_id != body["keyId"]:
            raise HTTPException(409)
        public_key, _ = keys[body["keyId"]]
        signature = urlsafe_b64decode(body["signature"] + "==")
        VerifyKey(public_key).verify(urlsafe_b64decode(login.challenge), signature)
        login.change("approved")
        return JSONResponse({"status": "approved"})

    async def claim(request: Request) -> Response:
        login = find(request.path_params["login_id"])
        if login.status != "approved":
            raise HTTPException(409)
        del logins[login.id]
        token, user = secrets.token_urlsafe(32), keys[login.key_id][1]
        tokens[token] = user
        response = JSONResponse({"redirectTo": login.return_url, "username": user})
        response.set_cookie("session", token, httponly=True, samesite="lax")
        return response

    return Starlette(
        routes=[
            Route("/auth/session/create", create, methods=["POST"]),
            Route("/auth/session/{login_id}/events", events),
            Route("/auth/session/{login_id}", scan, methods=["POST"]),
            Route("/auth/approve", approve, methods=["POST"]),
            Route("/auth/session/{login_id}/claim", claim, methods=["POST"]),
        ]
    )
