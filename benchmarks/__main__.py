"""``python -m benchmarks [--json FILE] [--quick]``: run everything, print the table."""

import argparse
import asyncio
import sys
from pathlib import Path

from . import eac, eid, login, oidc, request, sse, webauthn
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
    _say("requests of the host app, in this process")
    requests = asyncio.run(request.rows(request.QUICK if quick else request.FULL))
    _say("logins at an OpenID provider")
    providers = asyncio.run(oidc.rows(oidc.QUICK if quick else oidc.FULL))
    _say("passkeys, in this process")
    passkeys = webauthn.rows(webauthn.QUICK if quick else webauthn.FULL)
    _say("PACE, in this process")
    cards = eac.rows(eac.QUICK if quick else eac.FULL)
    _say("whole eID logins, in this process")
    people = eid.rows(eid.QUICK if quick else eid.FULL)
    return [*logins, *streams, event, *requests, *providers, *passkeys, *cards, *people]


def _say(what: str) -> None:
    print(f"measuring {what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
