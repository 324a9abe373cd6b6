"""``python -m benchmarks [--json FILE] [--quick]``: run everything, print the table."""

import argparse
import asyncio
import sys
from pathlib import Path

from . import drawing, eac, eid, login, oidc, over_redis, request, session_writes, sse, webauthn
from .redis_server import is_installed
from .rows import Row, as_json, as_table


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ours beside peers, from one run.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there, as JSON")
    parser.add_argument("--quick", action="store_true", help="small counts, to see that it works; figures are rough")
    options = parser.parse_args()
    rows = run(quick=options.quick)
    print(as_table(rows))
    print("\nreading the emulated card, both sides, CPU:")
    for step in eac.steps(eac.QUICK if options.quick else eac.FULL):
        print(f"  {step.name:<24}{step.milliseconds:6.1f} ms")
    if options.json is not None:
        options.json.write_text(as_json(rows), encoding="utf-8")


def run(*, quick: bool) -> list[Row]:
    """All rows, in the order of the table. What is being measured is said on standard error."""
    _say("whole QR logins, in this process")
    logins, event = asyncio.run(login.rows(login.QUICK if quick else login.FULL))
    _say("event streams, over loopback")
    streams = sse.rows(sse.QUICK if quick else sse.FULL)
    requests = _requests(quick=quick)
    redis_logins = _redis_logins(quick=quick, stream_memory=streams[0].ours)
    _say("sessions written to SQLite, and QR codes drawn")
    sessions = asyncio.run(session_writes.rows(session_writes.QUICK if quick else session_writes.FULL))
    pictures = asyncio.run(drawing.rows(drawing.QUICK if quick else drawing.FULL))
    _say("logins at an OpenID provider")
    providers = asyncio.run(oidc.rows(oidc.QUICK if quick else oidc.FULL))
    _say("passkeys, in this process")
    passkeys = webauthn.rows(webauthn.QUICK if quick else webauthn.FULL)
    _say("PACE, in this process")
    cards = eac.rows(eac.QUICK if quick else eac.FULL)
    _say("whole eID logins, in this process")
    people = eid.rows(eid.QUICK if quick else eid.FULL)
    switch = [*logins, *redis_logins, *streams, event, *requests, *sessions, *pictures]
    return [*switch, *providers, *passkeys, *cards, *people]


def _requests(*, quick: bool) -> list[Row]:
    _say("requests of the host app, in this process")
    size = request.QUICK if quick else request.FULL
    rows = asyncio.run(request.rows(size))
    return rows + asyncio.run(request.rows_over_redis(size)) if is_installed() else rows


def _redis_logins(*, quick: bool, stream_memory: float) -> list[Row]:
    if not is_installed():
        print("nothing is measured over Redis: redis-server is not installed", file=sys.stderr)
        return []
    _say("whole QR logins over Redis")
    size = over_redis.QUICK if quick else over_redis.FULL
    return asyncio.run(over_redis.rows(size, stream_memory=stream_memory))


def _say(what: str) -> None:
    print(f"measuring {what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
