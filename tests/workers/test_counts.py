"""A fault run fails where too little happened: its promise is about what was killed and cut, at every turn."""

from collections import Counter
from typing import Final

import pytest

from tests.workers.counts import FULL, Counts
from tests.workers.faults import CUTS, What

#: The fewest that will do: 100 kills and 100 cuts, of each kind some, and some of each at an approval.
HITS: Final = {
    (What.WORKER, "scan"): 38,
    (What.WORKER, "approve"): 1,
    (What.STREAM, "claim"): 31,
    (What.COMMANDS, "create"): 49,
    (What.NEWS, "approve"): 1,
    (What.REDIS, "claim"): 50,
}
DEATHS: Final = {"LoginCompleted": 30}


def counts_of(hits: dict[tuple[What, str], int], deaths: dict[str, int], *, logins: int = FULL) -> Counts:
    counts = Counts(logins=logins, hits=Counter(hits), deaths=Counter(deaths))
    counts.kills = sum(number for (what, _), number in hits.items() if what not in CUTS) + sum(deaths.values())
    return counts


def test_a_full_run_is_200_kills_and_cuts_of_every_kind() -> None:
    counts = counts_of(HITS, DEATHS)
    assert (counts.kills, counts.cuts, counts.failures()) == (100, 100, [])
    assert counts_of(HITS, DEATHS, logins=FULL + 1).failures() == []
    # 242 of them need one more.
    assert counts_of(HITS, DEATHS, logins=FULL + 2).failures() == ["missing: 100 kills and 100 cuts are fewer than 201"]


@pytest.mark.parametrize("fault", HITS, ids="-".join)
def test_a_run_with_one_kill_or_cut_fewer_is_too_small(fault: tuple[What, str]) -> None:
    [*_, failure] = counts_of({**HITS, fault: HITS[fault] - 1}, DEATHS).failures()
    assert failure.endswith("are fewer than 200")


def test_a_run_in_which_nothing_happened_says_all_that_is_missing() -> None:
    assert Counts(logins=FULL).failures() == [
        "missing: no kill of a worker with a request",
        "missing: no kill of a worker between a step and its answer",
        "missing: no kill of a worker with the page's stream",
        "missing: no cut of Redis' connections for commands",
        "missing: no cut of Redis' connections for news",
        "missing: no cut of Redis' connections of both kinds",
        "missing: no kill of the worker that approves",
        "missing: no cut at the step approve",
        "missing: 0 kills and 0 cuts are fewer than 200",
    ]


@pytest.mark.parametrize(
    ("fault", "missing"),
    [
        ((What.STREAM, "claim"), "no kill of a worker with the page's stream"),
        ((What.WORKER, "approve"), "no kill of the worker that approves"),
        ((What.NEWS, "approve"), "no cut of Redis' connections for news"),
        ((What.NEWS, "approve"), "no cut at the step approve"),
    ],
)
def test_enough_of_one_kind_do_not_stand_for_another(fault: tuple[What, str], missing: str) -> None:
    others = {(What.WORKER, "create"): 200, **HITS}
    del others[fault]
    assert f"missing: {missing}" in counts_of(others, DEATHS).failures()


def test_a_worker_that_dies_between_an_approval_and_its_answer_is_an_approver() -> None:
    hits = {fault: number for fault, number in HITS.items() if fault != (What.WORKER, "approve")}
    assert counts_of(hits, {"LoginCompleted": 30, "EIDApproved": 1}).failures() == []


def test_a_worker_that_nobody_killed_is_a_failure() -> None:
    counts = counts_of(HITS, DEATHS)
    counts.kills += 1
    assert counts.failures() == ["died by themselves: 1 workers"]


def test_whatever_was_lost_doubled_or_stuck_is_a_failure() -> None:
    counts = counts_of(HITS, DEATHS)
    counts.lost, counts.doubled, counts.stuck = ["lost: a"], ["doubled: b"], ["stuck: c"]
    assert counts.failures() == ["lost: a", "doubled: b", "stuck: c"]
    assert "lost 1, doubled 1, stuck 1" in counts.lines()
