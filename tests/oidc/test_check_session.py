"""Watching the provider's session: every pair of state and step is decided, and the script decides the same."""

import re
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import useid_middleware
from useid_middleware.errors import RequestError
from useid_middleware.oidc.core.check_session import (
    FINAL,
    TRANSITIONS,
    MonitorState,
    MonitorStep,
    check_session_state,
    message,
    next_state,
)

SCRIPT = Path(useid_middleware.__file__).parent / "widget" / "session-monitor.js"


def run(*steps: str) -> MonitorState:
    """The state behind these steps."""
    state = MonitorState.IDLE
    for step in steps:
        state = next_state(state, MonitorStep(step))
    return state


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ("unchanged", "watching"),
        ("unchanged unchanged", "watching"),
        ("changed", "renewing"),
        ("unchanged changed", "renewing"),
        ("unchanged changed renewed", "watching"),
        ("unchanged changed renewed unchanged changed refused", "ended"),
        ("unchanged changed refused", "ended"),
        ("error", "stopped"),
        ("unchanged error", "stopped"),
        ("unchanged changed error", "stopped"),
        # What comes late, changes nothing.
        ("unchanged changed unchanged", "renewing"),
        ("unchanged changed changed", "renewing"),
        ("unchanged refused", "watching"),
        ("unchanged renewed", "watching"),
    ],
)
def test_a_dialogue_leads_where_the_standard_says(steps: str, state: str) -> None:
    assert run(*steps.split()) == state


@pytest.mark.parametrize(("state", "step"), [*product(MonitorState, MonitorStep)])
def test_every_pair_is_decided(state: MonitorState, step: MonitorStep) -> None:
    assert next_state(state, step) is TRANSITIONS.get((state, step), state)
    assert state not in FINAL or next_state(state, step) is state


def test_an_error_never_ends_our_session() -> None:
    assert MonitorState.ENDED not in {TRANSITIONS.get((state, MonitorStep.ERROR)) for state in MonitorState}


def test_every_state_can_be_reached_and_all_but_the_final_ones_left() -> None:
    assert {*TRANSITIONS.values(), MonitorState.IDLE} == set(MonitorState)
    assert {state for state, _ in TRANSITIONS} == set(MonitorState) - FINAL


def test_the_browsers_script_has_the_same_table() -> None:
    (table,) = re.findall(r"TRANSITIONS = Object\.freeze\(\{(.*?)\}\);", SCRIPT.read_text(), re.S)
    rows = re.findall(r"(\w+): \{(.*?)\}", table)
    found = {(state, step): following for state, row in rows for step, following in re.findall(r'(\w+): "(\w+)"', row)}
    assert [state for state, _ in rows] == list(MonitorState)
    assert found == TRANSITIONS


def test_the_message_is_client_id_space_session_state() -> None:
    assert message("client-1", "ab12.salt") == "client-1 ab12.salt"


@pytest.mark.parametrize("session_state", ["", " ", "two words", "new\nline", "ü", "\x7f", "x" * 513])
def test_a_session_state_that_cannot_be_posted_is_refused(session_state: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_session_state(session_state)
    assert caught.value.code == "callback_invalid"
    with pytest.raises(RequestError):
        message("client-1", session_state)


@given(st.text())
def test_a_session_state_passes_whole_or_not_at_all(session_state: str) -> None:
    try:
        assert check_session_state(session_state) == session_state
    except RequestError:
        return
    assert message("client-1", session_state).split(" ") == ["client-1", session_state]
