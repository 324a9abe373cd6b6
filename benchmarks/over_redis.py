"""The same logins over Redis, one worker: CPU of the worker, CPU and memory of Redis.

Several calls are under way at the same time, as in a worker that has something to do; so Redis is asked for several in
one message. The peer, Starlette's strawman, keeps all in its own memory and is called in just the same way.

Redis' own figures are what a capacity is worked out from (``capacity``): its CPU time for a whole login, beside the
worker's; and what it keeps for a login that waits and has its stream open, beside what the worker keeps for a stream
(``sse``).
"""

import asyncio
from dataclasses import dataclass
from statistics import median

from .driver import Call
from .login import Contender, People, run_round, run_rounds
from .redis_server import RedisServer, redis_server
from .rows import Row, row


@dataclass(frozen=True, slots=True)
class Size:
    """How much to measure: rounds of each app, logins in a round, calls under way at once."""

    rounds: int
    logins: int
    at_once: int


FULL = Size(rounds=15, logins=192, at_once=32)
QUICK = Size(rounds=3, logins=32, at_once=16)


async def rows(size: Size, *, stream_memory: float) -> list[Row]:
    """Measure and compare. ``stream_memory``: what the worker keeps for an idle stream, KiB."""
    people = People(size.logins)
    with redis_server() as server:
        ours = await people.ours(store=server.url)
        starlette = people.starlette()
        redis_cpu: list[float] = []
        try:
            await run_rounds([ours, starlette], 0, at_once=size.at_once)
            for _ in range(size.rounds):
                spent = server.cpu()
                await run_round(ours, at_once=size.at_once)
                redis_cpu.append((server.cpu() - spent) * 1e6 / size.logins)
                await ours.log_out()
                await run_round(starlette, at_once=size.at_once)
            kept = await _kept_while_waiting(ours, server, size.logins)
        finally:
            await ours.close()
    return [
        row(
            "whole QR login over Redis, one worker, CPU vs Starlette + sse-starlette in memory",
            ours=ours.cpu_per_login,
            peer=starlette.cpu_per_login,
            unit="µs",
            goal=1.0,
            why="beside the login itself it leaves 9 µs for each of 22 exchanges with Redis",
        ),
        row(
            "whole QR login over Redis, CPU of Redis vs CPU of the worker",
            ours=median(redis_cpu),
            peer=ours.cpu_per_login,
            unit="µs",
            goal=0.5,
        ),
        row(
            "memory of a waiting login, in Redis vs its idle stream in the worker",
            ours=kept / 1024,
            peer=stream_memory,
            unit="KiB",
            goal=0.25,
        ),
    ]


async def _kept_while_waiting(ours: Contender, server: RedisServer, logins: int) -> float:
    """Bytes in Redis for each login that waits, with its subscription; what its limits take is among them."""
    before = server.memory()
    create = [Call("POST", "/auth/session/create", body={"returnUrl": "/account"}) for _ in range(logins)]
    await asyncio.gather(*(call.to(ours.app) for call in create))
    streams = [
        Call("GET", f"/auth/session/{call.answer(201)['sessionId']}/events", cookie=call.cookies()) for call in create
    ]
    opened = [call.want(b"waiting") for call in streams]
    tasks = [asyncio.create_task(call.serve(ours.app)) for call in streams]
    await asyncio.gather(*opened)
    kept = server.memory() - before
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return kept / logins
