"""Random sequences of what terminals do, against a model of a card that is written down here a second time."""

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.emulation.card.world import CAN, PUK, Dialogue, card
from useid_middleware.eac.apdu import Command, Ins, StatusWord
from useid_middleware.eac.errors import StatusWordError
from useid_middleware.eac.exchange import Exchange, T
from useid_middleware.eac.keys import PasswordId
from useid_middleware.eac.terminal import (
    activate_pin,
    change_pin,
    deactivate_pin,
    select_eid_application,
    select_master_file,
    unblock_pin,
)
from useid_middleware.emulation.card.state import decode_state, encode_state


@dataclass
class Model:
    """What a card is, as simply as it can be said."""

    pin: bytes = b"123456"
    tries: int = 3
    active: bool = True
    puk_uses: int = 10
    channel: PasswordId | None = None
    can_was_right: bool = False
    terminal: bool = False
    chip: bool = False

    def lose_channel(self) -> None:
        self.channel, self.can_was_right, self.terminal, self.chip = None, False, False, False

    def open_channel(self, which: PasswordId) -> None:
        self.lose_channel()
        self.channel = which
        self.can_was_right = which == PasswordId.CAN

    def pin_refusal(self) -> int | None:
        """Why PACE with the PIN does not even begin, or ``None``."""
        if not self.active:
            return 0x6283
        if self.tries == 0:
            return 0x63C0
        return 0x6985 if self.tries == 1 and not self.can_was_right else None


class CardMachine(RuleBasedStateMachine):
    """One card, one terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.dialogue = Dialogue(card())
        self.model = Model()

    def expect(self, exchange: Exchange[T], status: int | None) -> None:
        """Run it: a refusal with this status word, or none."""
        if status is None:
            self.dialogue.run(exchange)
            return
        with pytest.raises(StatusWordError) as caught:
            self.dialogue.run(exchange)
        assert caught.value.status_word == status

    def pace(self, which: PasswordId, password: bytes, status: int | None) -> None:
        if status is None:
            self.dialogue.pace(which, password)
            return
        with pytest.raises(StatusWordError) as caught:
            self.dialogue.pace(which, password)
        assert caught.value.status_word == status

    @rule(right=st.booleans())
    def pace_with_the_pin(self, right: bool) -> None:
        model = self.model
        refusal = model.pin_refusal()
        if refusal is None and right:
            model.tries = 3
            model.open_channel(PasswordId.PIN)
        elif refusal is None:
            model.tries -= 1
            refusal = 0x63C0 + model.tries
        self.pace(PasswordId.PIN, model.pin if right else b"999999", refusal)

    @rule(which=st.sampled_from([(PasswordId.CAN, CAN), (PasswordId.PUK, PUK)]), right=st.booleans())
    def pace_with_another_password(self, which: tuple[PasswordId, bytes], right: bool) -> None:
        number, password = which
        self.pace(number, password if right else b"000000", None if right else 0x6300)
        if right:
            self.model.open_channel(number)

    @precondition(lambda self: self.model.channel is not None and not self.model.terminal)
    @rule()
    def the_terminal_authenticates_itself(self) -> None:
        self.dialogue.run(select_master_file())
        self.dialogue.authenticate_terminal()
        self.model.terminal = True

    @precondition(lambda self: self.model.terminal)
    @rule()
    def the_chip_authenticates_itself(self) -> None:
        self.dialogue.run(select_master_file())
        self.dialogue.authenticate_chip()
        self.model.chip = True

    @rule()
    def a_data_group_is_read(self) -> None:
        self.dialogue.run(select_eid_application())
        may_read = self.model.chip and self.model.channel is not PasswordId.PUK
        expected = StatusWord.OK if may_read else StatusWord.SECURITY_STATUS_NOT_SATISFIED
        assert self.dialogue.sw(Command(Ins.READ_BINARY, 0x84, 0, ne=256)) == expected

    @rule(digits=st.sampled_from([b"111111", b"222222"]))
    def the_pin_is_changed(self, digits: bytes) -> None:
        may = self.model.channel is PasswordId.PIN or self.model.chip
        self.expect(change_pin(digits), None if may else 0x6982)
        if may:
            self.model.pin = digits

    @rule()
    def the_pin_is_unblocked(self) -> None:
        model = self.model
        if model.chip:
            status = None
        elif model.channel is not PasswordId.PUK:
            status = 0x6982
        elif model.puk_uses == 0:
            status = 0x6985
        else:
            model.puk_uses -= 1
            status = None
        if status is None:
            model.tries = 3
        self.expect(unblock_pin(), status)

    @rule(active=st.booleans())
    def the_pin_is_switched(self, active: bool) -> None:
        self.expect(activate_pin() if active else deactivate_pin(), None if self.model.chip else 0x6982)
        if self.model.chip:
            self.model.active = active

    @rule()
    def a_plain_command_comes(self) -> None:
        assert self.dialogue.plain("00A4000C023F00") == "9000"
        self._channel_is_lost()

    @precondition(lambda self: self.model.channel is not None)
    @rule()
    def a_wrong_mac_comes(self) -> None:
        assert self.dialogue.plain("0C8400000A8E08000000000000000000") == "6988"
        self._channel_is_lost()

    @rule()
    def the_power_goes(self) -> None:
        self.dialogue.card.reset()
        self._channel_is_lost()

    @rule()
    def the_state_goes_through_a_file(self) -> None:
        self.dialogue.card.reset()
        self.dialogue.card = card(state=decode_state(encode_state(self.dialogue.card.state)))
        self._channel_is_lost()

    def _channel_is_lost(self) -> None:
        self.dialogue.session = None
        self.model.lose_channel()

    @invariant()
    def what_the_card_remembers_is_what_the_model_says(self) -> None:
        state, model = self.dialogue.card.state, self.model
        expected = {3: "three tries", 2: "two tries", 1: "suspended", 0: "blocked"}[model.tries]
        if model.tries == 1 and model.can_was_right:
            expected = "resumed"
        assert state.pin_status == expected
        assert (state.pin, state.pin_active, state.puk_uses) == (model.pin.decode(), model.active, model.puk_uses)


CardMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None, derandomize=True)
TestCard = CardMachine.TestCase
