"""What an ID token costs to verify, beside joserfc alone; and what a callback costs, beside its two unavoidable parts.

The callback's peer is one token request over a shared HTTP client and one ID token decoded and validated by joserfc:
no state, no session, no account. The provider of both is a stub in a process of its own, which signs what the code
asks for; figures are CPU time of this process.
"""

import asyncio
import gc
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from time import process_time_ns, time
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import KeySet as JoseKeySet
from joserfc.jwk import RSAKey

from useid_middleware import Settings, UseID, UseIDMiddleware
from useid_middleware.oidc.core.keys import KeySet
from useid_middleware.oidc.core.tokens import ExpectedIdToken, verify_id_token
from useid_middleware.sessions.cookie import SESSION_COOKIE

from .driver import Call
from .request import bare
from .rows import Row, row

CLIENT: Final = "bench"
_STARTS_WITHIN: Final = 20.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much to measure: rounds, and tokens and callbacks in a round; logins that come back all at once."""

    rounds: int
    tokens: int
    callbacks: int
    at_once: int


FULL = Size(rounds=21, tokens=300, callbacks=60, at_once=1000)
QUICK = Size(rounds=3, tokens=20, callbacks=5, at_once=20)


@dataclass(slots=True)
class Figures:
    """µs for each, one figure a round."""

    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)


async def rows(size: Size) -> list[Row]:
    """Measure and compare. Raises where one of the logins that came back at once failed."""
    with stub_provider() as issuer:
        tokens = id_tokens(size)
        callbacks = await _callbacks(issuer, size)
        await _all_at_once(issuer, size.at_once)
    return [
        row(
            "ID token, RS256, decoded and fully validated, CPU vs joserfc alone",
            ours=median(tokens.ours),
            peer=median(tokens.peer),
            unit="µs",
            goal=1.1,
        ),
        row(
            "OIDC callback to session, CPU vs token request + joserfc",
            ours=median(callbacks.ours),
            peer=median(callbacks.peer),
            unit="µs",
            goal=1.5,
        ),
    ]


def id_tokens(size: Size) -> Figures:
    """Our whole validation and joserfc's decode and claims check, of one token."""
    key = RSAKey.generate_key(2048, {"kid": "k", "use": "sig", "alg": "RS256"})
    issuer, now = "https://op.example", int(time())
    token = jwt.encode({"alg": "RS256", "kid": "k"}, id_token_claims(issuer, "n" * 43, now), key)
    document: Any = {"keys": [key.as_dict(private=False)]}
    keys, theirs = KeySet.parse(json.dumps(document).encode()), JoseKeySet.import_key_set(document)
    expected = ExpectedIdToken(issuer=issuer, client_id=CLIENT, nonce="n" * 43, algorithms=("RS256", "ES256"))
    registry = claims_registry(issuer, "n" * 43)
    figures = Figures()

    def ours() -> None:
        verify_id_token(token, keys, expected=expected, now=now)

    def peer() -> None:
        registry.validate(jwt.decode(token, theirs, algorithms=["RS256", "ES256"]).claims)

    for number in range(size.rounds + 1):
        for work, found in ((ours, figures.ours), (peer, figures.peer)):
            gc.collect()
            started = process_time_ns()
            for _ in range(size.tokens):
                work()
            if number:  # The first round warms up.
                found.append((process_time_ns() - started) / size.tokens / 1000)
    return figures


def claims_registry(issuer: str, nonce: str) -> jwt.JWTClaimsRegistry:
    """What a careful user of joserfc has it check."""
    return jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": CLIENT},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
        nonce={"essential": True, "value": nonce},
    )


def id_token_claims(issuer: str, nonce: str, now: int) -> dict[str, Any]:
    """An ID token as providers send it."""
    return {
        "iss": issuer,
        "sub": "248289761001",
        "aud": CLIENT,
        "exp": now + 300,
        "iat": now,
        "auth_time": now,
        "nonce": nonce,
        "sid": "08a5019c-17e1-4977-8f42-65a12843ea02",
        "acr": "urn:mace:incommon:iap:silver",
        "amr": ["pwd", "otp"],
        "email": "jane.doe@example.com",
        "preferred_username": "jane",
    }


async def _callbacks(issuer: str, size: Size) -> Figures:
    app = _app(issuer)
    figures = Figures()
    async with httpx2.AsyncClient() as client:
        keys = JoseKeySet.import_key_set((await client.get(f"{issuer}/jwks")).json())
        for number in range(size.rounds + 1):
            begun = [await _begin(app) for _ in range(size.callbacks)]
            gc.collect()
            started = process_time_ns()
            for call in begun:
                await call.to(app)
                _check(call)
            ours = (process_time_ns() - started) / size.callbacks / 1000
            gc.collect()
            started = process_time_ns()
            for _ in range(size.callbacks):
                await _peer_callback(client, issuer, keys)
            peer = (process_time_ns() - started) / size.callbacks / 1000
            if number:
                figures.ours.append(ours)
                figures.peer.append(peer)
    await app.useid.stop()
    return figures


async def _peer_callback(client: httpx2.AsyncClient, issuer: str, keys: JoseKeySet) -> None:
    nonce = "n" * 43
    form = {"grant_type": "authorization_code", "code": nonce, "redirect_uri": "x", "code_verifier": "v" * 43}
    answer = await client.post(f"{issuer}/token", data=form, auth=(CLIENT, "secret"))
    claims = jwt.decode(answer.json()["id_token"], keys, algorithms=["RS256"]).claims
    claims_registry(issuer, nonce).validate(claims)


async def _all_at_once(issuer: str, count: int) -> None:
    """So many browsers come back at the same moment; every one of them is logged in."""
    app = _app(issuer)
    begun = [await _begin(app) for _ in range(count)]
    await asyncio.gather(*(call.to(app) for call in begun))
    for call in begun:
        _check(call)
    await app.useid.stop()


def _app(issuer: str) -> UseIDMiddleware:
    settings = Settings(
        from_env=False,
        store="memory://",
        accounts="memory://",
        origin="https://bench.example",
        limits={"per_ip": 10**6},
        oidc={"providers": {"op": {"issuer": issuer, "client_id": CLIENT, "client_secret": "secret"}}, "timeout": 30},
    )
    return UseIDMiddleware(bare, useid=UseID(settings))


async def _begin(app: UseIDMiddleware) -> Call:
    """A login that has been begun: the browser's call of the callback, ready to be made."""
    start = Call("GET", "/auth/login", query="provider=op")
    await start.to(app)
    start.expect(303)
    location = dict(start.headers)[b"location"].decode()
    sent = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    # The stub signs the nonce that the code says.
    query = urlencode({"code": sent["nonce"], "state": sent["state"]})
    return Call("GET", "/auth/callback", query=query, cookie=start.cookies())


def _check(call: Call) -> None:
    call.expect(303)
    if SESSION_COOKIE.name(secure=True) not in call.cookies():
        raise RuntimeError("a login failed")


@contextmanager
def stub_provider() -> Iterator[str]:
    """The stub in a process of its own; its issuer."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(2048)
        issuer = f"http://127.0.0.1:{listening.getsockname()[1]}"
        os.set_inheritable(listening.fileno(), True)
        command = [sys.executable, "-m", "benchmarks.peers.provider", str(listening.fileno()), issuer]
        process = subprocess.Popen(command, pass_fds=[listening.fileno()])
    try:
        httpx2.get(f"{issuer}/jwks", timeout=_STARTS_WITHIN)
        yield issuer
    finally:
        process.terminate()
        process.wait()
