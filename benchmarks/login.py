"""A whole login by QR in one process: create, event stream, scan, approve with a signature, claim.

Logins run in batches, call by call, so that the phone's signing, the reading of answers and the building of requests
stay outside the measured time. What is measured is the app, and the driver's two small functions that stand for a
server's ``receive`` and ``send``, the same for all.

Each login of a round is another person's, and what a round leaves of sessions is gone before the next: so a round finds
what the one before found. A strawman's stream ends with ``approved``; ours also tells that the login was claimed.
"""

import asyncio
import gc
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Coroutine, Sequence
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

    def __init__(self, key_id: bytes, key: SigningKey) -> None:
        self._key_id = key_id
        self._key = key

    def scan(self, created: Any) -> dict[str, Any]:
        """For a created login."""
        return {"type": "scan", "keyId": _text(self._key_id)}

    def approve(self, created: Any, scanned: Any) -> dict[str, Any]:
        """Signed."""
        signature = self._key.sign(urlsafe_b64decode(created["challenge"] + "==")).signature
        return _approval(created["sessionId"], self._key_id, self._key, signature, int(time()))

    def claim(self, approved: Any) -> dict[str, Any]:
        """The desktop's part: nothing to tell."""
        return {}


class OurPhone:
    """Signs what docs/reference/device-switch.md says."""

    def __init__(self, key_id: bytes, key: SigningKey) -> None:
        self._key_id = key_id
        self._key = key

    def scan(self, created: Any) -> dict[str, Any]:
        """For a created login."""
        frame = created["qrData"].partition("frame=")[2]
        return {"type": "scan", "keyId": _text(self._key_id), "frame": frame}

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
            key_id=self._key_id,
            issued_at=issued_at,
        )
        return _approval(created["sessionId"], self._key_id, self._key, self._key.sign(message).signature, issued_at)

    def claim(self, approved: Any) -> dict[str, Any]:
        """The desktop's part: the code that the phone shows."""
        return {"code": approved["code"]}


async def _nothing_left() -> None:
    """The strawmen keep a token a login, which nothing looks through, and hold nothing open."""


@dataclass(slots=True)
class Contender:
    """An app, everybody's phones, and what was measured: one figure each for every round."""

    app: ASGIApp
    phones: Sequence[Phone]
    #: Forgets the sessions of the round before.
    log_out: Callable[[], Awaitable[None]] = _nothing_left
    #: Releases what the app holds open.
    close: Callable[[], Awaitable[None]] = _nothing_left
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


class People:
    """Those who log in: a key each."""

    def __init__(self, count: int) -> None:
        self.keys = {number.to_bytes(16, "big"): SigningKey.generate() for number in range(count)}

    async def ours(self, *, store: str = "memory://") -> Contender:
        """With our plugin."""
        app = plugin(store=store)
        accounts = [
            await enrol(app.useid, key_id=key_id, public_key=bytes(key.verify_key)) for key_id, key in self.keys.items()
        ]

        async def log_out() -> None:
            for account in accounts:
                await app.useid.sessions.end_account(account.id, reason="logout")

        return Contender(app, [OurPhone(*each) for each in self.keys.items()], log_out, app.useid.stop)

    def starlette(self) -> Contender:
        """With Starlette and sse-starlette."""
        return Contender(starlette_app(self._known()), self._naive())

    def raw(self) -> Contender:
        """With raw ASGI."""
        return Contender(RawApp(self._known()), self._naive())

    def _known(self) -> dict[str, tuple[bytes, str]]:
        return {_text(key_id): (bytes(key.verify_key), f"user-{key_id.hex()}") for key_id, key in self.keys.items()}

    def _naive(self) -> list[NaivePhone]:
        return [NaivePhone(*each) for each in self.keys.items()]


async def rows(size: Size) -> tuple[list[Row], Row]:
    """Measure the three in turn: CPU of a login beside both peers, and the time until the desktop is told."""
    people = People(size.logins)
    ours, starlette, raw = await people.ours(), people.starlette(), people.raw()
    await run_rounds([ours, starlette, raw], size.rounds)
    logins = [
        row(
            "whole QR login in memory, CPU vs Starlette + sse-starlette",
            ours=ours.cpu_per_login,
            peer=starlette.cpu_per_login,
            unit="µs",
            goal=0.5,
            why="without libsodium's part no step of ours is worth more than 2 % of it",
        ),
        row(
            "whole QR login in memory, CPU vs raw ASGI",
            ours=ours.cpu_per_login,
            peer=raw.cpu_per_login,
            unit="µs",
            goal=1.3,
            why="the signature, which both pay, leaves 30 µs for every safety rule",
        ),
    ]
    event = row(
        "approve -> event p50 vs Starlette + sse-starlette",
        ours=ours.event_after,
        peer=starlette.event_after,
        unit="µs",
        goal=1 / 1.6,
        why="half of it is the signature, which both pay",
    )
    return logins, event


async def run_rounds(contenders: Sequence[Contender], rounds: int, *, at_once: int = 1) -> None:
    """So many rounds of each in turn, behind one that warms them up."""
    for number in range(rounds + 1):
        for contender in contenders:
            await run_round(contender, at_once=at_once)
            await contender.log_out()
            if number == 0:
                contender.cpu.clear()
                contender.approve_to_event.clear()


async def run_round(contender: Contender, *, at_once: int = 1) -> None:
    """One login of each person, one call of all of them after the other; ``at_once`` calls are under way together."""
    app, phones = contender.app, contender.phones
    # What earlier rounds left is not looked through by this one's garbage collections.
    gc.collect()
    gc.freeze()
    spent = 0

    async def run(calls: Sequence[Call], each: Callable[[Call], Coroutine[Any, Any, None]]) -> None:
        nonlocal spent
        started = process_time_ns()
        if at_once == 1:
            for call in calls:
                await each(call)
        else:
            for start in range(0, len(calls), at_once):
                await asyncio.gather(*map(each, calls[start : start + at_once]))
        spent += process_time_ns() - started

    async def simply(call: Call) -> None:
        await call.to(app)

    create = [Call("POST", "/auth/session/create", body={"returnUrl": "/account"}) for _ in phones]
    await run(create, simply)
    created = [call.answer(201) for call in create]
    cookies = [call.cookies() for call in create]

    paths = [f"/auth/session/{each['sessionId']}" for each in created]
    streams = [Call("GET", f"{path}/events", cookie=cookie) for path, cookie in zip(paths, cookies, strict=True)]
    tasks: list[asyncio.Task[None]] = []

    async def open_stream(call: Call) -> None:
        opened = call.want(b"waiting")
        tasks.append(asyncio.create_task(call.serve(app)))
        await opened

    await run(streams, open_stream)

    bodies = [phone.scan(each) for phone, each in zip(phones, created, strict=True)]
    scans = [Call("POST", path, headers=PHONE, body=body) for path, body in zip(paths, bodies, strict=True)]
    await run(scans, simply)
    scanned = [call.answer() for call in scans]

    bodies = [phone.approve(*each) for phone, *each in zip(phones, created, scanned, strict=True)]
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

    bodies = [phone.claim(call.answer()) for phone, call in zip(phones, approvals, strict=True)]
    claims = [
        Call("POST", f"{path}/claim", body=body, cookie=cookie)
        for path, body, cookie in zip(paths, bodies, cookies, strict=True)
    ]
    await run(claims, simply)

    started = process_time_ns()
    await asyncio.gather(*tasks)
    spent += process_time_ns() - started
    if len({call.answer()["username"] for call in claims}) != len(phones):
        raise RuntimeError("a login did not log its own person in")
    gc.unfreeze()
    contender.cpu.append(spent / len(phones) / 1000)
    contender.approve_to_event.append(median(took) / 1000)


def _approval(session_id: str, key_id: bytes, key: SigningKey, signature: bytes, issued_at: int) -> dict[str, Any]:
    return {
        "sessionId": session_id,
        "keyId": _text(key_id),
        "publicKey": _text(bytes(key.verify_key)),
        "signature": _text(signature),
        "issuedAt": issued_at,
    }


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "==")
