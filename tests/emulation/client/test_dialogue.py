"""The dialogue's table: each stage is reached, each step is decided, and what is over stays so."""

import itertools
from collections.abc import Callable

import pytest

from tests.emulation.card.world import card
from tests.emulation.client.scripted import PASSKEY, REQUEST
from useid_middleware.eac.keys import PasswordId
from useid_middleware.eid.core.results import MAJOR_ERROR
from useid_middleware.emulation.card.faults import CardLost
from useid_middleware.emulation.client.actions import PasswordRequest
from useid_middleware.emulation.client.dialogue import (
    TRANSITIONS,
    Dialogue,
    Stage,
    Step,
    View,
    advance,
)
from useid_middleware.emulation.client.flow import Outcome
from useid_middleware.errors import StateError

PIN = PasswordRequest(PasswordId.PIN, 6)
CANCELLED = Outcome("", MAJOR_ERROR, code="cancelled")
#: What a person may answer.
ANSWERS: dict[Step, Callable[[Dialogue], None]] = {
    Step.CONSENT: lambda dialogue: dialogue.grant(frozenset()),
    Step.ENTER_PASSWORD: lambda dialogue: dialogue.enter("123456"),
    Step.MAKE_PASSKEY: lambda dialogue: dialogue.make_passkey(),
}


def _new(*, deadline: float = 10.0) -> Dialogue:
    return Dialogue(card(), deadline=deadline, clock=lambda: 0.0)


def _views() -> dict[Stage, View]:
    """A view at each stage that can be reached."""
    reached = {Stage.CONNECTING: View()}
    for _ in Stage:
        for (source, step), target in TRANSITIONS.items():
            if source in reached and target not in reached:
                over = {"outcome": CANCELLED} if step in (Step.SUCCEED, Step.FAIL) else {}
                reached[target] = advance(reached[source], step, **over)
    return reached


def _at(stage: Stage) -> Dialogue:
    dialogue = _new()
    dialogue._view = _views()[stage]
    return dialogue


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_is_reached(stage: Stage) -> None:
    assert _views()[stage].stage is stage


@pytest.mark.parametrize(("stage", "step"), list(itertools.product(Stage, Step)))
def test_a_step_leads_where_the_table_says_and_no_other_is_taken(stage: Stage, step: Step) -> None:
    view = _views()[stage]
    if (stage, step) in TRANSITIONS:
        after = advance(view, step)
        assert (after.stage, after.version) == (TRANSITIONS[stage, step], view.version + 1)
    else:
        with pytest.raises(StateError, match=f"{step}: expected another step, found a dialogue at {stage}"):
            advance(view, step)


@pytest.mark.parametrize("stage", Stage)
def test_nothing_follows_an_end_and_something_follows_everything_else(stage: Stage) -> None:
    steps = [step for source, step in TRANSITIONS if source is stage]
    assert bool(steps) is not (stage in (Stage.DONE, Stage.FAILED))


@pytest.mark.parametrize(
    ("stage", "step"),
    [(stage, step) for stage, step in itertools.product(Stage, ANSWERS) if (stage, step) not in TRANSITIONS],
)
def test_a_person_cannot_take_a_step_that_is_not_in_the_table(stage: Stage, step: Step) -> None:
    dialogue = _at(stage)
    before = dialogue.view
    with pytest.raises(StateError, match="expected another step"):
        ANSWERS[step](dialogue)
    assert dialogue.view == before


@pytest.mark.parametrize("stage", Stage)
def test_giving_up_is_possible_until_the_end_and_changes_nothing_afterwards(stage: Stage) -> None:
    dialogue = _at(stage)
    before = dialogue.view
    dialogue.give_up()
    after = dialogue.view
    dialogue.give_up()
    assert dialogue.view == after
    assert (after == before) is before.is_over


def test_who_has_given_up_is_not_asked_again_and_the_card_is_gone() -> None:
    dialogue = _new()
    dialogue.give_up()
    assert dialogue.confirm(REQUEST) is None
    assert dialogue.enter_password(PIN) is None
    assert dialogue.confirm_passkey(PASSKEY) is False
    with pytest.raises(CardLost):
        dialogue.transmit(bytes.fromhex("00A4000C023F00"))
    dialogue.end(CANCELLED)
    assert dialogue.view.stage is Stage.FAILED


def test_who_does_not_answer_before_the_deadline_has_given_up() -> None:
    dialogue = _new(deadline=0.0)
    assert dialogue.confirm(REQUEST) is None
    dialogue.end(CANCELLED)
    assert dialogue.view.stage is Stage.FAILED


def test_who_does_not_answer_whether_a_passkey_is_to_be_made_does_not_want_one() -> None:
    dialogue = _new(deadline=0.0)
    dialogue._view = _views()[Stage.READING]
    assert dialogue.confirm_passkey(PASSKEY) is False
    assert dialogue.view.stage is Stage.BINDING


def test_each_answer_of_the_card_is_counted() -> None:
    dialogue = _new()
    for _ in range(2):
        dialogue.transmit(bytes.fromhex("00A4000C023F00"))
    assert dialogue.view.commands == 2
