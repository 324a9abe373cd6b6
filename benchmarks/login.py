"""A whole login by QR in one process: create, event stream, scan, approve with a signature, claim.

Logins run in batches, call by call, so that the phone's signing, the reading of answers and the building of requests
stay outside the measured time. What is measured is the app, and the driver's two small functions that stand for a
server's ``receive`` and ``send``, the same for all.

A strawman's stream ends with ``approved``; ours also tells that the login was claimed.
"""

import asyncio
import gc
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter_ns, process_time_ns, time
from typing import Any, Protocol

from nacl.signing import SigningKey

from useid_middleware.http.asgi import ASGIApp
from useid_middleware.qr.core.signing import Decision, RequestContext, decision_message

from .driver import PHONE, Call
from .ours import ORIGIN, enrol, plugin
from .peers.raw import RawApp
from .peers.starlette_sse import starlette_app
from .rows import Row, row

KEY_ID = bytes(range(16))


@dataclass(frozen=True, slots=True)
class Size:
    """How much to measure: rounds of each app, logins in a round."""

    rounds: int
    logins: int


FULL = Size(rounds=25, logins=200)
QUICK = Size(rounds=5, logins=30)


class Phone(Protocol):
    """The bodies that a phone and the desktop send, in one app's dialect."""

    def scan(self, created: Any) -> dict[str, Any]:
        """For a created login."""

    def approve(self, created: Any, scanned: Any) -> dict[str, Any]:
        """Signed."""

    def claim(self, approved: Any) -> dict[str, Any]:
        """The desktop's part."""


class NaivePhone:
    """Signs the bare challenge, as the strawmen expect."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    def scan(self, created: Any) -> dict[str, Any]:
        """For a created login."""
        return {"type": "scan", "keyId": _text(KEY_ID)}

    def approve(self, created: Any, scanned: Any) -> dict[str, Any]:
        """Signed."""
        signature = self._key.sign(urlsafe_b64decode(created["challenge"] + "==")).signature
        return _approval(created["sessionId"], self._key, signature, int(time()))

    def claim(self, approved: Any) -> dict[str, Any]:
        """The desktop's part: nothing to tell."""
        return {}


class OurPhone:
    """Signs what docs/reference/device-switch.md says."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    def scan(self, created: Any) -> dict[str, Any]:
        """For a created login."""
        frame = created["qrData"].partition("frame=")[2]
        return {"type": "scan", "keyId": _text(KEY_ID), "frame": frame}

    def approve(self, created: Any, scanned: Any) -> dict[str, Any]:
        """Signed."""
        issued_at = int(time())
        message = decision_message(
            Decision.APPROVE,
            server=f"{ORIGIN}/auth",
            session_id=_bytes(created["sessionId"]),
            challenge=_bytes(created["challenge"]),
            frame=_bytes(created["qrData"].partition("frame=")[2]),
            context_digest=RequestContext(**scanned["context"]).digest(),
            key_id=KEY_ID,
            issued_at=issued_at,
        )
        return _approval(created["sessionId"], self._key, self._key.sign(message).signature, issued_at)

    def claim(self, approved: Any) -> dict[str, Any]:
        """The desktop's part: the code that the phone shows."""
        return {"code": approved["code"]}


@dataclass(slots=True)
class Contender:
    """An app, its phone, and what was measured: one figure each for every round."""

    app: ASGIApp
    phone: Phone
    cpu: list[float] = field(default_factory=list)
    approve_to_event: list[float] = field(default_factory=list)

    @property
    def cpu_per_login(self) -> float:
        """Median of the rounds, µs."""
        return median(self.cpu)

    @property
    def event_after(self) -> float:
        """Median of the rounds' medians, µs."""
        return median(self.approve_to_event)


async def contenders() -> tuple[Contender, Contender, Contender]:
    """Ours, Starlette with sse-starlette, raw ASGI."""
    key = SigningKey.generate()
    public_key = bytes(key.verify_key)
    keys = {_text(KEY_ID): (public_key, "alice")}
    ours = plugin()
    await enrol(ours.useid, key_id=KEY_ID, public_key=public_key)
    return (
        Contender(ours, OurPhone(key)),
        Contender(starlette_app(keys), NaivePhone(key)),
        Contender(RawApp(keys), NaivePhone(key)),
    )


async def rows(size: Size) -> tuple[list[Row], Row]:
    """Measure the three in turn: CPU of a login beside both peers, and the time until the desktop is told."""
    ours, starlette, raw = everybody = await contenders()
    for contender in everybody:
        await run_round(contender, size.logins)
        contender.cpu.clear()
        contender.approve_to_event.clear()
    for _ in range(size.rounds):
        for contender in everybody:
            await run_round(contender, size.logins)
    logins = [
        row(
            "whole QR login in memory, CPU vs Starlette + sse-starlette",
            ours=ours.cpu_per_login,
            peer=starlette.cpu_per_login,
            unit="µs",
            goal=0.5,
        ),
        row(
            "whole QR login in memory, CPU vs raw ASGI",
            ours=ours.cpu_per_login,
            peer=raw.cpu_per_login,
            unit="µs",
            goal=1.3,
        ),
    ]
    event = row(
        "approve -> event p50 vs Starlette + sse-starlette",
        ours=ours.event_after,
        peer=starlette.event_after,
        unit="µs",
        goal=1 / 1.6,
    )
    return logins, event


async def run_round(contender: Contender, logins: int) -> None:
    """So many logins at the same time, one call of all of them after the other."""
    app, phone = contender.app, contender.phone
    # What earlier rounds left is not looked through by this one's garbage collections.
    gc.collect()
    gc.freeze()
    spent = 0

    async def run(calls: Sequence[Call], each: Callable[[Call], Awaitable[None]]) -> None:
        nonlocal spent
        started = process_time_ns()
        for call in calls:
            await each(call)
        spent += process_time_ns() - started

    async def simply(call: Call) -> None:
        await call.to(app)

    create = [Call("POST", "/auth/session/create", body={"returnUrl": "/account"}) for _ in range(logins)]
    await run(create, simply)
    created = [call.answer(201) for call in create]
    cookies = [call.cookies() for call in create]

    paths = [f"/auth/session/{each['sessionId']}" for each in created]
    streams = [Call("GET", f"{path}/events", cookie=cookie) for path, cookie in zip(paths, cookies, strict=True)]
    tasks: list[asyncio.Task[None]] = []

    async def open_stream(call: Call) -> None:
        opened = call.want(b"waiting")
        tasks.append(asyncio.create_task(_coroutine(call, app)))
        await opened

    await run(streams, open_stream)

    bodies = [phone.scan(each) for each in created]
    scans = [Call("POST", path, headers=PHONE, body=body) for path, body in zip(paths, bodies, strict=True)]
    await run(scans, simply)
    scanned = [call.answer() for call in scans]

    bodies = [phone.approve(*each) for each in zip(created, scanned, strict=True)]
    approvals = [Call("POST", "/auth/approve", headers=PHONE, body=body) for body in bodies]
    stream_of = dict(zip(map(id, approvals), streams, strict=True))
    took: list[int] = []

    async def approve(call: Call) -> None:
        stream = stream_of[id(call)]
        told = stream.want(b"approved")
        started = perf_counter_ns()
        await call.to(app)
        call.expect(200)
        await told
        took.append(stream.seen_at - started)

    await run(approvals, approve)

    bodies = [phone.claim(call.answer()) for call in approvals]
    claims = [
        Call("POST", f"{path}/claim", body=body, cookie=cookie)
        for path, body, cookie in zip(paths, bodies, cookies, strict=True)
    ]
    await run(claims, simply)

    started = process_time_ns()
    await asyncio.gather(*tasks)
    spent += process_time_ns() - started
    for call in claims:
        if call.answer()["username"] != "alice":
            raise RuntimeError("a login did not log alice in")
    gc.unfreeze()
    contender.cpu.append(spent / logins / 1000)
    contender.approve_to_event.append(median(took) / 1000)


async def _coroutine(call: Call, app: ASGIApp) -> None:
    await call.to(app)


def _approval(session_id: str, key: SigningKey, signature: bytes, issued_at: int) -> dict[str, Any]:
    return {
        "sessionId": session_id,
        "keyId": _text(KEY_ID),
        "publicKey": _text(bytes(key.verify_key)),
        "signature": _text(signature),
        "issuedAt": issued_at,
    }


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "==")
