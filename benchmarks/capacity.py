"""How many logins can wait at once, worked out from a run: ``python -m benchmarks.capacity FILE``.

``FILE`` is what ``make bench JSON=FILE`` wrote. Each login waits for ``--wait`` seconds on average, with its stream
open, and is then carried through, so as many begin as end: waiting / wait a second. From that and the measured costs
follows what one process, one Redis and one network interface can bear, each at most at ``--use`` of its time. The
*bottleneck* of a number of waiting logins is, of these bounds that it passes, the one whose answer costs most; among
equals the lowest. Below all of them it is what comes next.

Taken from the run, always ``ours``: CPU of a whole login in the worker and in Redis, of a connect and of a heartbeat;
memory of an idle stream, and of its record in Redis. A login has five requests, and each is counted with a whole
connect on top, which is more than a server's own part of it. The other inputs are in :class:`Site`.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import ceil
from pathlib import Path

from useid_middleware.http.sse import PING

WAITING = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
_REQUESTS = 5
#: Calls of the store in a login, and those of them that count waiting logins in a single key.
_STORE_CALLS = 19
_CAP_CALLS = 2
#: Around a chunk: chunked coding 7, TLS 1.3 record 22, TCP/IP with time stamps 52, Ethernet 38 with its gap; the
#: acknowledgement is a frame of its own, in the other direction.
_AROUND = 7 + 22 + 52 + 38
_GIB = 2**30


class Answer(IntEnum):
    """What is done about a bound, what costs most last."""

    WORKERS = 1
    CLUSTER = 2
    NETWORK = 3
    SITES = 4

    def __str__(self) -> str:
        return ("more workers", "Redis Cluster", "several ways in", "several sites with a cluster each")[self - 1]


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured: seconds of CPU and bytes."""

    login: float
    login_in_redis: float
    connect: float
    heartbeat: float
    stream: float
    record: float


@dataclass(frozen=True, slots=True)
class Site:
    """What is assumed of a deployment."""

    #: Seconds that a login waits.
    wait: float = 60.0
    #: Of a core, at most; above, answers begin to queue.
    use: float = 0.6
    #: Seconds, the default of ``sse.heartbeat``.
    heartbeat: float = 15.0
    #: Streams of one process: the default of ``limits.streams``, within 65,536 file descriptors.
    streams: int = 50_000
    #: Of one worker, for streams; and of one Redis.
    memory: float = 1 * _GIB
    redis_memory: float = 16 * _GIB
    #: On the wire for a login besides heartbeats, a new TLS connection for page and phone included.
    login_bytes: int = 14_000
    #: Bits a second of the way in, one direction.
    network: float = 10e9


@dataclass(frozen=True, slots=True)
class Bound:
    """As many logins as can wait before ``what`` is used up, and what is done about it."""

    what: str
    waiting: float
    answer: Answer


@dataclass(frozen=True, slots=True)
class Plan:
    """What so many waiting logins need."""

    waiting: int
    logins: float
    workers: int
    worker_memory: float
    redis: int
    redis_memory: float
    bits: float
    bottleneck: str


def read_costs(rows: Sequence[Mapping[str, object]]) -> Costs:
    """The costs from the rows of a run; ``LookupError`` names the row that is missing."""

    def ours(beginning: str) -> float:
        for row in rows:
            if str(row["name"]).startswith(beginning):
                return float(str(row["ours"]))
        raise LookupError(f"no row begins with {beginning!r}; was redis-server installed?")

    return Costs(
        login=ours("whole QR login over Redis, one worker, CPU") / 1e6,
        login_in_redis=ours("whole QR login over Redis, CPU of Redis") / 1e6,
        connect=ours("SSE connect, CPU") / 1e6,
        heartbeat=ours("SSE heartbeat, CPU") / 1e6,
        stream=ours("SSE memory (USS) of one of") * 1024,
        record=ours("memory of a waiting login, in Redis") * 1024,
    )


def bounds(costs: Costs, site: Site) -> list[Bound]:
    """What gives out, in the order in which it does."""
    found = [
        Bound("CPU of one worker", site.use / _worker_cpu(costs, site), Answer.WORKERS),
        Bound("file descriptors of one worker", site.streams, Answer.WORKERS),
        Bound("memory of one worker", site.memory / costs.stream, Answer.WORKERS),
        Bound("CPU of one Redis", site.use * site.wait / costs.login_in_redis, Answer.CLUSTER),
        Bound("memory of one Redis", site.redis_memory / costs.record, Answer.CLUSTER),
        Bound(
            "one key: the cap on waiting logins",
            site.use * site.wait * _STORE_CALLS / _CAP_CALLS / costs.login_in_redis,
            Answer.SITES,
        ),
        Bound("network", site.network / _bits(1, site), Answer.NETWORK),
    ]
    return sorted(found, key=lambda bound: bound.waiting)


def plan(waiting: int, costs: Costs, site: Site) -> Plan:
    """What ``waiting`` logins need at once."""
    logins = waiting / site.wait
    workers = max(
        waiting * _worker_cpu(costs, site) / site.use, waiting / site.streams, waiting * costs.stream / site.memory
    )
    redis = max(logins * costs.login_in_redis / site.use, waiting * costs.record / site.redis_memory)
    everything = bounds(costs, site)
    passed = [bound for bound in everything if bound.waiting < waiting]
    if passed:
        worst = max(passed, key=lambda bound: (bound.answer, -bound.waiting))
        bottleneck = f"{worst.what}: {worst.answer}"
    else:
        bottleneck = f"none; nearest is {everything[0].what}, at {waiting / everything[0].waiting:.0%}"
    return Plan(
        waiting=waiting,
        logins=logins,
        workers=ceil(workers),
        worker_memory=waiting * costs.stream / ceil(workers),
        redis=ceil(redis),
        redis_memory=waiting * costs.record,
        bits=_bits(waiting, site),
        bottleneck=bottleneck,
    )


def _worker_cpu(costs: Costs, site: Site) -> float:
    """Of one worker's second, for each waiting login."""
    return (costs.login + _REQUESTS * costs.connect) / site.wait + costs.heartbeat / site.heartbeat


def _bits(waiting: float, site: Site) -> float:
    """A second, towards the browsers."""
    return 8 * waiting * ((len(PING) + _AROUND) / site.heartbeat + site.login_bytes / site.wait)


def as_markdown(costs: Costs, site: Site) -> str:
    """The bounds and the table of docs/performance.md."""
    lines = ["| bound | waiting logins |", "|---|---|"]
    lines += [f"| {bound.what} | {_rounded(bound.waiting)} |" for bound in bounds(costs, site)]
    lines += [
        "",
        "| waiting | logins/s | workers | streams' memory, each | Redis primaries | records in Redis | network out |"
        " bottleneck and answer |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for waiting in WAITING:
        each = plan(waiting, costs, site)
        lines.append(
            f"| {each.waiting:,} | {each.logins:,.0f} | {each.workers:,} | {_size(each.worker_memory)}"
            f" | {each.redis} | {_size(each.redis_memory)} | {each.bits / 1e6:,.0f} Mbit/s | {each.bottleneck} |"
        )
    return "\n".join(lines)


def _rounded(number: float) -> str:
    """To two digits: the costs are not known better."""
    return f"{float(f'{number:.2g}'):,.0f}"


def _size(count: float) -> str:
    return f"{count / _GIB:,.1f} GiB" if count >= _GIB else f"{count / 2**20:,.0f} MiB"


def main() -> None:
    """Read a run and print."""
    usual = Site()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description="Capacity, from a run's costs.")
    parser.add_argument("json", type=Path, help="what `make bench JSON=FILE` wrote")
    parser.add_argument("--wait", type=float, default=usual.wait, help="seconds that a login waits (%(default)g)")
    parser.add_argument("--use", type=float, default=usual.use, help="of a core, at most (%(default)g)")
    options = parser.parse_args()
    costs = read_costs(json.loads(options.json.read_text(encoding="utf-8")))
    print(as_markdown(costs, Site(wait=options.wait, use=options.use)))


if __name__ == "__main__":
    main()
