"""The capacity that is worked out from a run: what is counted, and which bound is named."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import capacity
from benchmarks.capacity import Answer, Costs, Site, bounds, plan, read_costs
from benchmarks.rows import Row, as_json, row

COSTS = Costs(
    login=800e-6, login_in_redis=200e-6, connect=200e-6, heartbeat=15e-6, stream=12 * 1024.0, record=1.25 * 1024
)
SITE = Site()


def rows() -> list[Row]:
    """Those that capacity is worked out from, and one that it is not."""
    return [
        row("whole QR login in memory, CPU vs raw ASGI", ours=400, peer=1, unit="µs", goal=1),
        row("whole QR login over Redis, one worker, CPU vs a", ours=800, peer=1, unit="µs", goal=1),
        row("whole QR login over Redis, CPU of Redis vs b", ours=200, peer=1, unit="µs", goal=1),
        row("memory of a waiting login, in Redis vs c", ours=1.25, peer=1, unit="KiB", goal=1),
        row("SSE memory (USS) of one of 10,000 idle streams vs d", ours=12, peer=1, unit="KiB", goal=1),
        row("SSE connect, CPU vs e", ours=200, peer=1, unit="µs", goal=1),
        row("SSE heartbeat, CPU vs e", ours=15, peer=1, unit="µs", goal=1),
    ]


def test_costs_are_read_from_the_rows_of_a_run() -> None:
    assert read_costs(json.loads(as_json(rows()))) == COSTS


@pytest.mark.parametrize("missing", range(1, 7))
def test_a_run_without_one_of_the_rows_is_refused_with_its_name(missing: int) -> None:
    kept = json.loads(as_json(rows()))
    name = str(kept.pop(missing)["name"]).partition(" vs ")[0]
    with pytest.raises(LookupError) as refused:
        read_costs(kept)
    assert any(name.startswith(part) for part in str(refused.value).split("'"))


def test_a_worker_bears_so_many_logins_that_its_core_is_used_as_far_as_allowed() -> None:
    [worker] = [bound for bound in bounds(COSTS, SITE) if bound.what == "CPU of one worker"]
    # A login every 60 s for 1,800 µs, and a heartbeat every 15 s for 15 µs: 31 µs a second of each.
    assert worker.waiting == pytest.approx(0.6 / 31e-6)


def test_idle_logins_cost_redis_nothing_but_memory() -> None:
    patient = replace(SITE, wait=6000.0)
    impatient, relaxed = (plan(1_000_000, COSTS, site) for site in (SITE, patient))
    assert relaxed.logins == pytest.approx(impatient.logins / 100)
    assert relaxed.redis == 1 < impatient.redis
    assert relaxed.redis_memory == impatient.redis_memory


def test_more_logins_never_need_less_of_anything() -> None:
    plans = [plan(waiting, COSTS, SITE) for waiting in capacity.WAITING]
    for name in ("logins", "workers", "redis", "redis_memory", "bits"):
        figures = [getattr(each, name) for each in plans]
        assert figures == sorted(figures)
    for each in plans:
        assert each.workers * SITE.streams >= each.waiting
        assert each.worker_memory <= SITE.memory


def test_the_bottleneck_is_what_costs_most_to_answer() -> None:
    named = [plan(waiting, COSTS, SITE).bottleneck for waiting in capacity.WAITING]
    assert named[0].startswith("none; nearest is CPU of one worker, at ")
    assert named[2] == "CPU of one worker: more workers"
    assert named[3] == "CPU of one Redis: Redis Cluster"
    assert named[4] == "one key: the cap on waiting logins: several sites with a cluster each"


def test_every_answer_can_be_told() -> None:
    assert len({str(answer) for answer in Answer}) == len(Answer)


def test_the_table_of_a_run_has_a_line_for_each_number_of_logins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run.json"
    run.write_text(as_json(rows()), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["capacity", str(run), "--wait", "60"])
    capacity.main()
    lines = capsys.readouterr().out.splitlines()
    for waiting in capacity.WAITING:
        assert sum(line.startswith(f"| {waiting:,} |") for line in lines) == 1
