"""Random interleavings of two desktops, two phones and an attacker, at each level of assurance."""

from collections import Counter

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz.effort import effort
from tests.stateful.machine import DeviceSwitch

#: Runs of each level, and steps of a run.
RUNS = 45
STEPS = 40


@pytest.mark.parametrize("level", ["L0", "L1", "L2"])
def test_whatever_anybody_does_everything_is_as_the_model_says(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    machine = type(f"DeviceSwitch{level}", (DeviceSwitch,), {"LEVEL": level, "COUNTS": counts})
    run_state_machine_as_test(machine, settings=effort(RUNS, stateful_step_count=STEPS))
    told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    with capsys.disabled():
        print(f"\n{level}: {told}")
    assert counts["logins"] > 0
