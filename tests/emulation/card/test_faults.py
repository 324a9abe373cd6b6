"""Cards that misbehave: each fault shows where it should, as the error that a terminal must be ready for."""

import pytest

from tests.emulation.card.world import TODAY, Dialogue, faulty_card, pki, stream
from useid_middleware.eac.apdu import Command, Ins
from useid_middleware.eac.authentication_errors import ChipAuthenticationError
from useid_middleware.eac.errors import PACEError, SecureMessagingError, StatusWordError
from useid_middleware.eac.keys import PasswordId
from useid_middleware.emulation.card.faults import FAULTS, CardLost, fault_named
from useid_middleware.emulation.card.issuing import issue_card
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.card.state import PinStatus
from useid_middleware.errors import ConfigurationError


@pytest.mark.parametrize(
    ("fault", "status"), [("pin-suspended", 0x6985), ("pin-blocked", 0x63C0), ("pin-deactivated", 0x6283)]
)
def test_a_pin_in_trouble_is_refused(fault: str, status: int) -> None:
    with pytest.raises(StatusWordError) as caught:
        Dialogue(faulty_card(fault)).pace()
    assert caught.value.status_word == status


def test_after_one_wrong_pin_two_tries_are_left() -> None:
    assert Dialogue(faulty_card("pin-second-try")).pace().set_at_status == 0x63C2


def test_a_used_up_puk_unblocks_nothing() -> None:
    dialogue = Dialogue(faulty_card("puk-used-up"))
    dialogue.pace(PasswordId.PUK)
    assert dialogue.sw(Command(Ins.RESET_RETRY_COUNTER, 3, 3)) == 0x6985


def test_the_transport_pin_can_be_exchanged() -> None:
    Dialogue(faulty_card("transport-pin")).pace(password=b"12345", rights=None)


def test_a_card_is_taken_out_in_pace() -> None:
    with pytest.raises(CardLost, match="taken out"):
        Dialogue(faulty_card("card-lost-in-pace")).pace()


def test_a_card_is_taken_out_when_the_server_proves_who_it_is() -> None:
    dialogue = Dialogue(faulty_card("card-lost"))
    dialogue.pace()
    with pytest.raises(CardLost):
        dialogue.authenticate_terminal()
    # Put in again, it has forgotten the terminal.
    dialogue.session = None
    dialogue.pace()


def test_a_card_is_taken_out_while_it_is_read() -> None:
    dialogue = Dialogue(faulty_card("card-lost-while-reading"))
    dialogue.pace()
    dialogue.authenticate_terminal()
    with pytest.raises(CardLost):
        dialogue.authenticate_chip()


def test_wrong_macs_are_noticed_at_the_first_protected_answer() -> None:
    dialogue = Dialogue(faulty_card("wrong-mac"))
    dialogue.pace()
    with pytest.raises(SecureMessagingError, match="does not verify"):
        dialogue.authenticate_terminal()


def test_a_card_that_does_not_know_the_password_is_noticed() -> None:
    with pytest.raises(PACEError, match="card's token does not verify"):
        Dialogue(faulty_card("wrong-token")).pace()


def test_a_clone_fails_chip_authentication() -> None:
    dialogue = Dialogue(faulty_card("cloned"))
    dialogue.pace()
    dialogue.authenticate_terminal()
    with pytest.raises(ChipAuthenticationError, match="token does not verify"):
        dialogue.authenticate_chip()


def test_a_card_out_of_order_says_nothing_useful() -> None:
    dialogue = Dialogue(faulty_card("out-of-order"))
    dialogue.pace()
    with pytest.raises(SecureMessagingError) as caught:
        dialogue.authenticate_terminal()
    assert caught.value.status_word == 0x6F00


def test_a_card_without_its_open_file_offers_nothing() -> None:
    with pytest.raises(StatusWordError) as caught:
        Dialogue(faulty_card("no-card-access")).pace()
    assert caught.value.status_word == 0x6A82


def test_a_slow_card_is_right_in_the_end() -> None:
    card = faulty_card("slow")
    assert card.delay > 0
    Dialogue(card).log_in()


def test_a_faulty_card_is_otherwise_a_card() -> None:
    card = faulty_card("pin-suspended")
    assert card.last is None
    assert card.transmit(bytes.fromhex("00A4000C023F00")) == b"\x90\x00"
    assert getattr(card.last, "answered", None) == b"\x90\x00"
    assert card.state.pin_status is PinStatus.SUSPENDED
    card.reset()


def test_what_is_no_command_passes_a_fault_unharmed() -> None:
    for name in FAULTS:
        assert faulty_card(name).transmit(b"\x00") == b"\x67\x00"


def test_a_fault_is_known_by_its_name() -> None:
    for name, fault in FAULTS.items():
        assert fault_named(name) is fault
        assert fault.about
        issue_card(personality_named("erika"), pki=pki(), today=TODAY, random=stream("x"), fault=fault)
    with pytest.raises(ConfigurationError, match="one of pin-second-try"):
        fault_named("rain")
