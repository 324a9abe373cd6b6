"""What a request of the host app costs more with the plugin in front: anonymous, and logged in over two stores.

Measured around a bare app that answers at once; the peer is Starlette's SessionMiddleware and AuthenticationMiddleware
together, which keep the session in its cookie. Requests come one after the other, so each waits for Redis by itself.
"""

import gc
from dataclasses import dataclass, field
from statistics import median
from time import process_time_ns

from useid_middleware import Identity, UseIDMiddleware
from useid_middleware.http.asgi import ASGIApp, Receive, Scope, Send
from useid_middleware.sessions.cookie import SESSION_COOKIE

from .driver import Call
from .ours import plugin
from .peers.auth import authenticated
from .redis_server import redis_server
from .rows import ON_TOP, Row, row


@dataclass(frozen=True, slots=True)
class Size:
    """How much to measure: rounds of each app, requests in a round."""

    rounds: int
    requests: int


FULL = Size(rounds=41, requests=2000)
QUICK = Size(rounds=7, requests=300)


@dataclass(slots=True)
class Contender:
    """An app, the cookie that its request carries, and µs per request, one figure a round."""

    app: ASGIApp
    cookie: str = ""
    cpu: list[float] = field(default_factory=list)


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """The host app."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def rows(size: Size) -> list[Row]:
    """Measure all in turn and compare."""
    ours = plugin(app=bare)
    theirs, their_cookie = authenticated(bare)
    nothing = Contender(bare)
    us, us_logged_in = Contender(ours), Contender(ours, await _logged_in(ours))
    them, them_logged_in = Contender(theirs), Contender(theirs, their_cookie)
    await _measure([nothing, us, them, us_logged_in, them_logged_in], size.rounds, size.requests)
    return [
        _compare("anonymous", us, them, nothing, goal=10),
        _compare("with session in memory", us_logged_in, them_logged_in, nothing, goal=40),
    ]


async def rows_over_redis(size: Size) -> list[Row]:
    """The same with the session in a Redis, which has to be installed."""
    theirs, their_cookie = authenticated(bare)
    nothing, them = Contender(bare), Contender(theirs, their_cookie)
    with redis_server() as server:
        ours = plugin(store=server.url, app=bare)
        await ours.useid.start()
        try:
            us = Contender(ours, await _logged_in(ours))
            await _measure([nothing, us, them], size.rounds, size.requests // 4)
        finally:
            await ours.useid.stop()
    return [_compare("with session in Redis", us, them, nothing, goal=150)]


async def _logged_in(ours: UseIDMiddleware) -> str:
    login = await ours.useid.log_in(Call("GET", "/").scope, Identity("host", "alice", username="alice"))
    return f"{SESSION_COOKIE.name(secure=True)}={login.token}"


async def _measure(everybody: list[Contender], rounds: int, requests: int) -> None:
    for number in range(rounds + 1):
        for contender in everybody:
            await run_round(contender, requests)
            if number == 0:  # The first one warms up.
                contender.cpu.clear()


async def run_round(contender: Contender, requests: int) -> None:
    """So many requests, one after the other."""
    app = contender.app
    calls = [Call("GET", "/page", cookie=contender.cookie) for _ in range(requests)]
    gc.collect()
    gc.freeze()
    started = process_time_ns()
    for call in calls:
        await call.to(app)
    spent = process_time_ns() - started
    gc.unfreeze()
    if calls[-1].status != 200 or ("user" in calls[-1].scope) == (app is bare):
        raise RuntimeError("the host app's request went wrong")
    contender.cpu.append(spent / requests / 1000)


def _compare(who: str, ours: Contender, theirs: Contender, nothing: Contender, *, goal: float) -> Row:
    return row(
        f"plugin's cost on a request, {who} vs Starlette's session and authentication middleware",
        ours=_on_top(ours, nothing),
        peer=_on_top(theirs, nothing),
        unit=f"µs {ON_TOP}",
        goal=goal,
    )


def _on_top(contender: Contender, nothing: Contender) -> float:
    """Median over rounds of what is more than the bare app of the same round."""
    return median(some - none for some, none in zip(contender.cpu, nothing.cpu, strict=True))
