"""The PIN in every state: what the card answers, what moves it on, and who may change it."""

from dataclasses import replace

import pytest

from tests.emulation.card.world import PUK, Dialogue, card, without
from useid_middleware.eac.apdu import Command, Ins, StatusWord
from useid_middleware.eac.chat import AuthenticationRight
from useid_middleware.eac.errors import StatusWordError
from useid_middleware.eac.keys import PasswordId
from useid_middleware.eac.pace import SetAT
from useid_middleware.eac.terminal import activate_pin, change_can, change_pin, deactivate_pin, unblock_pin
from useid_middleware.emulation.card.making import PACE_PROTOCOL
from useid_middleware.emulation.card.security import TRANSITIONS, TRIES, Step, step
from useid_middleware.emulation.card.state import CardState, PinStatus
from useid_middleware.emulation.pki_certificates import ALL_RIGHTS

WRONG = b"000000"
SELECT_PIN = Command(Ins.MANAGE_SECURITY_ENVIRONMENT, 0xC1, 0xA4, SetAT(PACE_PROTOCOL, PasswordId.PIN).encode())
START = Command(Ins.GENERAL_AUTHENTICATE, 0, 0, bytes.fromhex("7C00"), ne=256, cla=0x10)

#: A step that cannot happen, since PACE is refused before it starts.
IMPOSSIBLE = {
    (status, what) for status in (PinStatus.SUSPENDED, PinStatus.BLOCKED) for what in (Step.RIGHT, Step.WRONG)
}


def status_of(dialogue: Dialogue) -> PinStatus:
    return dialogue.card.state.pin_status


def state(status: PinStatus = PinStatus.THREE_TRIES) -> CardState:
    return replace(card().state, pin_status=status)


def refused(dialogue: Dialogue, which: PasswordId = PasswordId.PIN, password: bytes | None = None) -> int:
    with pytest.raises(StatusWordError) as caught:
        dialogue.pace(which, password)
    return caught.value.status_word


def test_every_pair_of_state_and_step_is_decided() -> None:
    pairs = {(status, what) for status in PinStatus for what in Step}
    assert set(TRANSITIONS) == pairs - IMPOSSIBLE
    assert set(TRIES) == set(PinStatus)


@pytest.mark.parametrize(("before", "what"), sorted(set(TRANSITIONS)))
def test_no_step_but_the_right_pin_and_unblocking_gives_tries_back(before: PinStatus, what: Step) -> None:
    after = step(state(before), what).pin_status
    if what in (Step.RIGHT, Step.UNBLOCK):
        assert after is PinStatus.THREE_TRIES
    else:
        assert TRIES[after] == TRIES[before] - (what is Step.WRONG)


@pytest.mark.parametrize(
    ("personality", "selected", "started"),
    [
        ("erika", 0x9000, 0x9000),
        ("transport-pin", 0x9000, 0x9000),
        ("pin-suspended", 0x63C1, 0x6985),
        ("pin-blocked", 0x63C0, 0x6983),
        ("deactivated", 0x6283, 0x6984),
    ],
)
def test_selecting_the_pin_says_its_state_and_pace_starts_only_if_it_can_be_used(
    personality: str, selected: int, started: int
) -> None:
    dialogue = Dialogue(card(personality))
    assert dialogue.sw(SELECT_PIN) == selected
    assert dialogue.sw(START) == started


def test_three_wrong_pins_suspend_and_block_with_the_can_before_the_last() -> None:
    dialogue = Dialogue(card())
    assert refused(dialogue, password=WRONG) == StatusWord.RETRIES_2
    assert dialogue.sw(SELECT_PIN) == StatusWord.RETRIES_2
    assert refused(dialogue, password=WRONG) == StatusWord.RETRIES_1
    # Suspended: not even the right PIN is looked at.
    assert refused(dialogue) == StatusWord.CONDITIONS_NOT_SATISFIED
    assert status_of(dialogue) is PinStatus.SUSPENDED
    dialogue.pace(PasswordId.CAN)
    assert refused(dialogue, password=WRONG) == StatusWord.RETRIES_0
    assert refused(dialogue) == StatusWord.RETRIES_0
    assert dialogue.sw(START) == StatusWord.AUTHENTICATION_METHOD_BLOCKED
    assert dialogue.sw(START) == StatusWord.CONDITIONS_NOT_SATISFIED
    assert status_of(dialogue) is PinStatus.BLOCKED


def test_the_right_pin_gives_all_tries_back() -> None:
    dialogue = Dialogue(card())
    refused(dialogue, password=WRONG)
    assert dialogue.pace().set_at_status == StatusWord.RETRIES_2
    assert dialogue.sw(SELECT_PIN) == StatusWord.OK


def test_after_the_can_the_right_pin_in_its_channel_ends_the_suspension() -> None:
    dialogue = Dialogue(card("pin-suspended"))
    dialogue.pace(PasswordId.CAN)
    dialogue.pace()
    assert status_of(dialogue) is PinStatus.THREE_TRIES


@pytest.mark.parametrize("end", ["plain command", "reset", "wrong MAC", "PUK"])
def test_the_last_try_is_only_in_the_channel_of_the_can(end: str) -> None:
    dialogue = Dialogue(card("pin-suspended"))
    dialogue.pace(PasswordId.CAN)
    assert status_of(dialogue) is PinStatus.RESUMED
    match end:
        case "plain command":
            dialogue.plain("00A4000C023F00")
        case "reset":
            dialogue.card.reset()
        case "wrong MAC":
            dialogue.plain("0CA4000C0A8E080000000000000000")
        case _:
            dialogue.pace(PasswordId.PUK)
    assert status_of(dialogue) is PinStatus.SUSPENDED


def test_wrong_cans_and_puks_cost_nothing() -> None:
    dialogue = Dialogue(card("pin-blocked"))
    before = dialogue.card.state
    for which, wrong in ((PasswordId.CAN, WRONG), (PasswordId.PUK, b"0" * 10)):
        assert refused(dialogue, which, wrong) == StatusWord.WARNING_CHANGED_STATE
    assert dialogue.card.state == before


def test_the_mrz_is_no_password_of_this_card() -> None:
    assert refused(Dialogue(card()), PasswordId.MRZ, b"x" * 20) == StatusWord.REFERENCED_DATA_NOT_FOUND


def test_the_puk_unblocks_ten_times() -> None:
    dialogue = Dialogue(card("pin-blocked"))
    dialogue.pace(PasswordId.PUK)
    for _ in range(10):
        dialogue.run(unblock_pin())
    assert status_of(dialogue) is PinStatus.THREE_TRIES
    with pytest.raises(StatusWordError) as caught:
        dialogue.run(unblock_pin())
    assert caught.value.status_word == StatusWord.CONDITIONS_NOT_SATISFIED
    dialogue.pace()


def test_unblocking_leaves_the_pin_as_it_was() -> None:
    dialogue = Dialogue(card("pin-blocked"))
    dialogue.pace(PasswordId.PUK)
    dialogue.run(unblock_pin())
    dialogue.pace()


@pytest.mark.parametrize("which", [None, PasswordId.CAN, PasswordId.PIN])
def test_without_the_puk_nobody_unblocks(which: PasswordId | None) -> None:
    dialogue = Dialogue(card())
    if which is not None:
        dialogue.pace(which)
    assert dialogue.sw(Command(Ins.RESET_RETRY_COUNTER, 3, 3)) == StatusWord.SECURITY_STATUS_NOT_SATISFIED


def test_who_knows_the_pin_can_change_it() -> None:
    dialogue = Dialogue(card())
    dialogue.pace(rights=None)
    dialogue.run(change_pin(b"654321"))
    assert refused(dialogue) == StatusWord.RETRIES_2
    dialogue.pace(password=b"654321")


def test_the_transport_pin_is_good_for_choosing_a_pin_and_for_nothing_else() -> None:
    dialogue = Dialogue(card("transport-pin"))
    assert refused(dialogue, password=b"12345") == StatusWord.CONDITIONS_NOT_SATISFIED
    dialogue.pace(password=b"12345", rights=None)
    dialogue.run(change_pin(b"112233"))
    dialogue.session = None
    dialogue.card.reset()
    dialogue.pace(password=b"112233")


def test_a_wrong_transport_pin_costs_a_try() -> None:
    dialogue = Dialogue(card("transport-pin"))
    with pytest.raises(StatusWordError) as caught:
        dialogue.pace(password=b"54321", rights=None)
    assert caught.value.status_word == StatusWord.RETRIES_2


@pytest.mark.parametrize("digits", [b"", b"12345", b"1234567", b"12345a", "١٢٣".encode()])
def test_a_new_pin_has_six_digits(digits: bytes) -> None:
    dialogue = Dialogue(card())
    dialogue.pace(rights=None)
    assert dialogue.sw(Command(Ins.RESET_RETRY_COUNTER, 2, 3, digits)) == StatusWord.WRONG_DATA
    dialogue.pace()


@pytest.mark.parametrize("which", [None, PasswordId.CAN, PasswordId.PUK])
def test_without_the_pin_nobody_changes_it(which: PasswordId | None) -> None:
    dialogue = Dialogue(card())
    if which is not None:
        dialogue.pace(which)
    command = Command(Ins.RESET_RETRY_COUNTER, 2, 3, b"654321")
    assert dialogue.sw(command) == StatusWord.SECURITY_STATUS_NOT_SATISFIED


def test_the_pin_alone_does_not_change_the_can() -> None:
    dialogue = Dialogue(card())
    dialogue.pace()
    command = Command(Ins.RESET_RETRY_COUNTER, 2, 2, b"654321")
    assert dialogue.sw(command) == StatusWord.SECURITY_STATUS_NOT_SATISFIED


@pytest.mark.parametrize("which", [PasswordId.PIN, PasswordId.CAN, PasswordId.PUK])
def test_a_terminal_that_manages_pins_changes_them_with_any_password(which: PasswordId) -> None:
    dialogue = Dialogue(card()).log_in(which)
    dialogue.run(change_pin(b"654321"))
    dialogue.run(change_can(b"123123"))
    dialogue.run(deactivate_pin())
    assert refused(dialogue) == StatusWord.DEACTIVATED
    dialogue.run(activate_pin())
    dialogue.pace(password=b"654321")
    dialogue.pace(PasswordId.CAN, b"123123")


def test_a_terminal_that_manages_pins_unblocks_without_using_the_puk_up() -> None:
    dialogue = Dialogue(card("pin-blocked")).log_in(PasswordId.CAN)
    dialogue.run(unblock_pin())
    assert status_of(dialogue) is PinStatus.THREE_TRIES
    assert dialogue.card.state.puk_uses == 10


def test_a_deactivated_card_is_activated_with_the_can() -> None:
    dialogue = Dialogue(card("deactivated")).log_in(PasswordId.CAN)
    dialogue.run(activate_pin())
    dialogue.pace()


@pytest.mark.parametrize("command", [Command(Ins.ACTIVATE, 0x10, 3), Command(Ins.DEACTIVATE, 0x10, 3)])
def test_without_the_right_no_terminal_switches_the_pin(command: Command) -> None:
    dialogue = Dialogue(card()).log_in(rights=without(AuthenticationRight.PIN_MANAGEMENT))
    before = dialogue.card.state
    assert dialogue.sw(command) == StatusWord.SECURITY_STATUS_NOT_SATISFIED
    assert dialogue.card.state == before


@pytest.mark.parametrize("ins", [Ins.ACTIVATE, Ins.DEACTIVATE])
def test_only_the_pin_can_be_switched(ins: Ins) -> None:
    dialogue = Dialogue(card()).log_in()
    assert dialogue.sw(Command(ins, 0x10, 2)) == StatusWord.INCORRECT_P1_P2
    assert dialogue.sw(Command(ins, 0x10, 3, b"x")) == StatusWord.WRONG_LENGTH


@pytest.mark.parametrize("parameters", [(0, 3), (1, 3), (2, 4), (3, 2)])
def test_other_ways_of_resetting_do_not_exist(parameters: tuple[int, int]) -> None:
    dialogue = Dialogue(card()).log_in()
    assert dialogue.sw(Command(Ins.RESET_RETRY_COUNTER, *parameters)) == StatusWord.INCORRECT_P1_P2


def test_unblocking_takes_no_data() -> None:
    dialogue = Dialogue(card())
    dialogue.pace(PasswordId.PUK)
    assert dialogue.sw(Command(Ins.RESET_RETRY_COUNTER, 3, 3, PUK)) == StatusWord.WRONG_LENGTH


def test_the_can_alone_is_enough_only_for_terminals_that_may_use_it() -> None:
    read = Command(Ins.READ_BINARY, 0x81, 0, ne=256)
    assert Dialogue(card()).log_in(PasswordId.CAN).sw(read) == StatusWord.OK
    rights = without(AuthenticationRight.CAN_ALLOWED)
    assert Dialogue(card()).log_in(PasswordId.CAN, rights=rights).sw(read) == StatusWord.SECURITY_STATUS_NOT_SATISFIED
    assert Dialogue(card()).log_in(PasswordId.PUK, rights=ALL_RIGHTS).sw(read) == 0x6982
