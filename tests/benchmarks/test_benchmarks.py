"""The benchmarks run, and their rows are what the package's docstring says. No figure is judged here."""

import json
from dataclasses import asdict
from math import isclose

import pytest

from benchmarks import eac, eid, login, oidc, request, webauthn
from benchmarks.rows import Row, as_json, as_table, row

NAMES = ["name", "ours", "peer", "unit", "ratio", "goal", "met"]


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


async def test_logins_at_a_provider_give_a_row_for_the_id_token_and_one_for_the_callback() -> None:
    rows = await oidc.rows(oidc.Size(rounds=1, tokens=5, callbacks=2, at_once=30))
    for found, goal in zip(rows, (1.1, 1.5), strict=True):
        check(found, unit="µs")
        assert found.goal == goal


def test_assertions_and_registrations_of_passkeys_give_a_row_each() -> None:
    assertion, registration = webauthn.rows(webauthn.Size(rounds=1, passkeys=2))
    for found, goal in ((assertion, 0.833), (registration, 1.0)):
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
    judged = row("a vs b", ours=ours, peer=100, unit="µs", goal=0.5)
    assert judged == Row("a vs b", ours, 100, "µs", round(ours / 100, 3), 0.5, met)


@pytest.mark.parametrize(("ours", "met"), [(10.0, True), (10.01, False)])
def test_on_top_of_the_bare_app_a_goal_is_the_most_that_ours_may_be(ours: float, met: bool) -> None:
    assert row("a vs b", ours=ours, peer=1, unit="µs on top", goal=10).met is met


def test_a_peer_that_drowns_in_noise_meets_no_goal() -> None:
    judged = row("a vs b", ours=1, peer=-0.1, unit="µs", goal=0.5)
    assert not judged.met


def test_json_is_a_list_of_objects_with_exactly_the_documented_members() -> None:
    written = json.loads(as_json([row("a vs b", ours=1, peer=4, unit="KiB", goal=0.5)]))
    assert written == [{"name": "a vs b", "ours": 1, "peer": 4, "unit": "KiB", "ratio": 0.25, "goal": 0.5, "met": True}]


def test_the_table_has_a_line_for_each_row_and_says_what_is_not_met() -> None:
    rows = [row("a vs b", ours=1, peer=4, unit="KiB", goal=0.5), row("c vs d", ours=9, peer=1, unit="µs", goal=1.3)]
    heading, first, second = as_table(rows).splitlines()
    assert heading.split() == ["ours", "peer", "unit", "ratio", "goal", "met"]
    assert first.split() == ["a", "vs", "b", "1.0", "4.0", "KiB", "0.25", "×", "≤", "0.50", "×", "yes"]
    assert second.split() == ["c", "vs", "d", "9.0", "1.0", "µs", "9.00", "×", "≤", "1.30", "×", "NO"]
