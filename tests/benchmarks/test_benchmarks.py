"""The benchmarks run, and their rows are what the package's docstring says. No figure is judged here."""

import json
import subprocess
import sys
from dataclasses import asdict
from math import isclose
from pathlib import Path

import pytest

from benchmarks import drawing, eac, eid, login, oidc, over_redis, redis_server, request, session_writes, webauthn
from benchmarks.ours import nothing_here
from benchmarks.rows import Row, as_json, as_markdown, as_table, row
from useid_middleware.http.asgi import Receive, Scope, Send

ROOT = Path(__file__).parents[2]
NAMES = ["name", "ours", "peer", "unit", "ratio", "goal", "met", "note"]


def check(found: Row, *, unit: str) -> None:
    """A row of a measurement that took place, judged by its own figures."""
    assert list(asdict(found)) == NAMES
    assert found.unit == unit
    assert " vs " in found.name
    assert found.ours > 0
    assert found.peer > 0
    # Figures are rounded to two places for showing, the ratio is that of the figures before.
    assert isclose(found.ratio, found.ours / found.peer, rel_tol=0.05, abs_tol=0.01)


async def test_whole_logins_through_ours_and_both_strawmen_give_three_rows() -> None:
    logins, event = await login.rows(login.Size(rounds=1, logins=3))
    assert len(logins) == 2
    for found in (*logins, event):
        check(found, unit="µs")
    assert logins[0].ours == logins[1].ours


async def test_requests_of_the_host_app_give_one_row_each_for_anonymous_and_logged_in() -> None:
    rows = await request.rows(request.Size(rounds=3, requests=50))
    assert [list(asdict(each)) for each in rows] == [NAMES, NAMES]
    assert [(each.unit, each.goal) for each in rows] == [("µs on top", 10), ("µs on top", 40)]


needs_redis = pytest.mark.skipif(
    not redis_server.is_installed(), reason="redis-server is not installed (Debian: apt-get install redis-server)"
)


async def test_a_stream_that_never_opens_fails_the_run_and_does_not_hold_it_up() -> None:
    people = login.People(1)
    ours = await people.ours()

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        refused = scope["path"].endswith("/events")
        await (nothing_here if refused else ours.app)(scope, receive, send)

    with pytest.raises(RuntimeError, match="ended too early"):
        await login.run_round(login.Contender(refuse, ours.phones))


@needs_redis
async def test_logins_over_redis_give_rows_for_the_worker_and_for_redis_itself() -> None:
    rows = await over_redis.rows(over_redis.Size(rounds=1, logins=6, at_once=3), stream_memory=12.0)
    worker, its_redis, memory = rows
    check(worker, unit="µs")
    check(its_redis, unit="µs")
    check(memory, unit="KiB")
    assert (worker.goal, its_redis.goal, memory.goal) == (1.0, 0.5, 0.25)
    assert its_redis.peer == worker.ours
    assert memory.peer == 12.0


@needs_redis
async def test_a_request_with_its_session_in_redis_gives_a_row() -> None:
    [found] = await request.rows_over_redis(request.Size(rounds=3, requests=80))
    assert (found.unit, found.goal) == ("µs on top", 150)


async def test_sessions_written_to_sqlite_are_there_and_give_a_row() -> None:
    [found] = await session_writes.rows(session_writes.Size(rounds=1, sessions=40, at_once=8))
    check(found, unit="µs")
    assert found.goal == 0.556


async def test_a_qr_code_drawn_on_request_gives_a_row() -> None:
    [found] = await drawing.rows(drawing.Size(rounds=1, pictures=2))
    check(found, unit="µs")


def test_a_whole_login_draws_no_qr_code_on_the_server() -> None:
    program = """
import asyncio, sys
from benchmarks import login

async def run():
    ours = await login.People(1).ours()
    await login.run_round(ours)

asyncio.run(run())
print("segno" in sys.modules)
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert finished.stdout == "False\n"


async def test_logins_at_a_provider_give_a_row_for_the_id_token_and_one_for_the_callback() -> None:
    rows = await oidc.rows(oidc.Size(rounds=1, tokens=5, callbacks=2, at_once=30))
    for found, goal in zip(rows, (1.1, 1.5), strict=True):
        check(found, unit="µs")
        assert found.goal == goal


def test_assertions_and_registrations_of_passkeys_give_a_row_each() -> None:
    assertion, beside_fido2, registration = webauthn.rows(webauthn.Size(rounds=1, passkeys=2))
    for found, goal in ((assertion, 0.833), (beside_fido2, 0.833), (registration, 1.0)):
        check(found, unit="µs")
        assert found.goal == goal


def test_the_elliptic_curve_part_of_pace_gives_a_row() -> None:
    [found] = eac.rows(eac.Size(rounds=1, sides=2))
    check(found, unit="µs")


def test_whole_eid_logins_one_by_one_and_at_once_give_a_row() -> None:
    [found] = eid.rows(eid.Size(rounds=1, logins=1, at_once=5))
    check(found, unit="ms")
    assert found.goal == 2.0


def test_a_whole_reading_of_the_card_is_told_step_by_step() -> None:
    *steps, whole = eac.steps(eac.Size(rounds=1, sides=1))
    assert [step.name for step in steps] == ["PACE", "Terminal Authentication", "Chip Authentication", "DG1 to DG9"]
    assert isclose(whole.milliseconds, sum(step.milliseconds for step in steps))


@pytest.mark.parametrize(("ours", "met"), [(49.9, True), (50.0, True), (50.1, False)])
def test_a_goal_is_the_most_that_the_ratio_may_be(ours: float, met: bool) -> None:
    judged = row("a vs b", ours=ours, peer=100, unit="µs", goal=0.5, why="so it is")
    note = "" if met else "missed by 0%: so it is"
    assert judged == Row("a vs b", ours, 100, "µs", round(ours / 100, 3), 0.5, met, note)


@pytest.mark.parametrize(("ours", "met"), [(10.0, True), (10.01, False)])
def test_on_top_of_the_bare_app_a_goal_is_the_most_that_ours_may_be(ours: float, met: bool) -> None:
    assert row("a vs b", ours=ours, peer=1, unit="µs on top", goal=10).met is met


@pytest.mark.parametrize(
    ("ours", "unit", "goal", "note"),
    [
        (75, "µs", 0.5, "missed by 50%: no reason known, so either noise or a regression"),
        (12, "µs on top", 10, "missed by 20%: no reason known, so either noise or a regression"),
    ],
)
def test_a_row_says_by_how_much_its_goal_is_missed(ours: float, unit: str, goal: float, note: str) -> None:
    assert row("a vs b", ours=ours, peer=100, unit=unit, goal=goal).note == note


def test_a_peer_that_drowns_in_noise_meets_no_goal() -> None:
    judged = row("a vs b", ours=1, peer=-0.1, unit="µs", goal=0.5)
    assert not judged.met
    assert judged.note == "not comparable: the peer's figure drowned in noise"


def test_json_is_a_list_of_objects_with_exactly_the_documented_members() -> None:
    written = json.loads(as_json([row("a vs b", ours=1, peer=4, unit="KiB", goal=0.5)]))
    assert written == [
        {"name": "a vs b", "ours": 1, "peer": 4, "unit": "KiB", "ratio": 0.25, "goal": 0.5, "met": True, "note": ""}
    ]


def test_the_table_has_a_line_for_each_row_and_says_what_is_not_met() -> None:
    rows = [
        row("a vs b", ours=1, peer=4, unit="KiB", goal=0.5),
        row("c vs d", ours=9, peer=1, unit="µs", goal=1.3, why="sleep"),
    ]
    heading, first, second, note = as_table(rows).splitlines()
    assert heading.split() == ["ours", "peer", "unit", "ratio", "goal", "met"]
    assert first.split() == ["a", "vs", "b", "1.0", "4.0", "KiB", "0.25", "×", "≤", "0.50", "×", "yes"]
    assert second.split() == ["c", "vs", "d", "9.0", "1.0", "µs", "9.00", "×", "≤", "1.30", "×", "NO"]
    assert note == "    missed by 592%: sleep"


def test_the_table_of_the_documentation_is_written_from_the_rows() -> None:
    rows = [
        row("a vs b", ours=1234.56, peer=4000, unit="KiB", goal=1 / 3.5),
        row("c vs d", ours=12.3, peer=9, unit="µs on top", goal=10),
    ]
    *_, first, second = as_markdown(rows).splitlines()
    assert first == "| a vs b | 1,234.6 KiB | 4,000.0 KiB | 0.309 | ≤ 0.286 | no |"
    assert second == "| c vs d | 12.3 µs on top | 9.0 µs on top | 1.37 | ≤ 10 µs | no |"


def test_the_readme_shows_the_figures_of_the_page_about_performance() -> None:
    readme, page = (
        (ROOT / name).read_text(encoding="utf-8").splitlines() for name in ("README.md", "docs/performance.md")
    )
    heading = "| work | ours | peer | ratio | goal | met |"
    start, end = page.index(heading), page.index("", page.index(heading))
    shown = [line for line in readme[readme.index(heading) :] if line.startswith("| ")]
    assert shown == [line for line in page[start:end] if line.startswith("| ")]
