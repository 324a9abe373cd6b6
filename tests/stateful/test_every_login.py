"""Random interleavings of two desktops, two phones and an attacker, at each level of assurance.

They are the same in each run of the tests; ``make fuzz`` draws others, and many more. A failure prints the steps that
lead to it; ``STATEFUL_SEED`` in the environment draws the same ones again.
"""

import logging
import os
from collections import Counter
from pathlib import Path
from typing import Final

import pytest
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz.effort import effort
from tests.hosts.country import country as country
from tests.openapi.world import everything
from tests.stateful.every_route import drive_every_route
from tests.stateful.machine import EveryLogin

LEVELS: Final = ("L0", "L1", "L2")
#: Short runs of each level, and the steps of each: many of them are several calls.
RUNS: Final = 800
STEPS: Final = 8
#: The same of long ones.
LONG_RUNS: Final = 45
LONG_STEPS: Final = 40
SEED: Final = int(os.environ.get("STATEFUL_SEED") or 7)

#: What is not driven here, and why.
ARGUED: Final = {
    "GET /callback/other": "as that of the provider which answers",
    "POST /callback/other": "the same",
    "GET /request-object/{handle}": "no state but its lifetime: tests/oidc/test_at_rest.py",
    "POST /eid/paos": "of the emulated eID server, which production has not: tests/emulation",
    "POST /eid/soap": "the same",
    "GET /metrics": "of whoever watches, and not of whoever logs in: tests/test_metrics.py",
}


def run(level: str, drawn: settings) -> "Counter[str]":
    """The machine at this level: what happened."""
    counts: Counter[str] = Counter()
    machine = type(f"EveryLogin{level}", (EveryLogin,), {"LEVEL": level, "COUNTS": counts})
    logging.disable(logging.WARNING)  # The attacker's attempts are many.
    try:
        run_state_machine_as_test(seed(SEED + LEVELS.index(level))(machine), settings=drawn)
    finally:
        logging.disable(logging.NOTSET)
    return counts


@pytest.mark.parametrize("level", LEVELS)
def test_whatever_anybody_does_everything_is_as_the_model_says(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = effort(RUNS, stateful_step_count=STEPS)
    counts = run(level, settings(drawn, derandomize=False, database=None, print_blob=True))
    told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    with capsys.disabled():
        print(f"\n{level}, STATEFUL_SEED={SEED}: {told}")
    assert counts["runs"] >= RUNS
    for what in ("logins", "by passkey", "by provider", "by card", "at once", "lost to another"):
        assert counts[what], what


@pytest.mark.parametrize("level", LEVELS)
def test_so_it_is_in_longer_runs(level: str) -> None:
    drawn = effort(LONG_RUNS, stateful_step_count=LONG_STEPS)
    assert run(level, settings(drawn, derandomize=False, database=None))["runs"] >= LONG_RUNS


def test_the_steps_drive_every_route_with_success_or_it_is_said_why_not(country: Path, tmp_path: Path) -> None:
    routes = drive_every_route()
    driven = {route for route, succeeded in routes if succeeded}
    useid, _ = everything(country, tmp_path)
    assert driven | ARGUED.keys() == set(useid.router.routes)
    assert not driven & ARGUED.keys()
