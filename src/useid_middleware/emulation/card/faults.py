"""Cards that misbehave, by name: for what terminals must endure (``useid card --fault NAME``).

A fault changes the state that a card starts with, its keys, or its answers. A wrong PIN is no fault but input.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ...eac.apdu import Ins, Response, StatusWord
from ...errors import ConfigurationError, UseIDError
from .chip import Card
from .state import CardState, PinStatus
from .transmission import Transmission

#: Seconds for each answer of a slow card; a login takes some 30 answers.
SLOW: Final = 0.5

_CLA_SECURE: Final = 0x0C
_MAC_AND_STATUS: Final = 10


class CardLost(UseIDError):
    """The card was taken out of the reader before it answered."""

    status_hint = 400

    def __init__(self) -> None:
        super().__init__("card_lost", "the card was taken out of the reader before it answered")


@dataclass(frozen=True, slots=True)
class Fault:
    """``starts`` changes the state at the beginning; ``answers`` the answer to a command, or raises ``CardLost``.

    A ``cloned`` card has copied files, and cannot have copied the key for Chip Authentication.
    """

    about: str
    starts: Callable[[CardState], CardState] = lambda state: state
    answers: Callable[[Transmission], bytes] = lambda transmission: transmission.answered
    delay: float = 0.0
    cloned: bool = False


class FaultyCard:
    """A card with a fault, in the place of a card."""

    def __init__(self, card: Card, fault: Fault) -> None:
        self.card = card
        self.delay = fault.delay
        self._fault = fault
        self._last: Transmission | None = None

    @property
    def last(self) -> Transmission | None:
        """The command that was answered last, and the answer as the fault has left it."""
        return self._last

    @property
    def state(self) -> CardState:
        """What the card remembers without power."""
        return self.card.state

    def transmit(self, apdu: bytes) -> bytes:
        """The answer that the fault makes of the card's."""
        self.card.transmit(apdu)
        transmission = self.card.last
        assert transmission is not None
        try:
            answered = self._fault.answers(transmission)
        except CardLost:
            self.card.reset()
            raise
        self._last = replace(transmission, answered=answered)
        return answered

    def reset(self) -> None:
        """Take the power away."""
        self.card.reset()


def fault_named(name: str) -> Fault:
    """The fault of this name; ``ConfigurationError`` that lists them all if there is none."""
    fault = FAULTS.get(name)
    if fault is None:
        raise ConfigurationError(f"fault: expected one of {', '.join(FAULTS)}")
    return fault


def _is(transmission: Transmission, *, ins: Ins, p1: int | None = None) -> bool:
    command = transmission.command
    return command is not None and command.ins == ins and p1 in (None, command.p1)


def _lost_in_pace(transmission: Transmission) -> bytes:
    if _is(transmission, ins=Ins.GENERAL_AUTHENTICATE):
        raise CardLost
    return transmission.answered


def _lost_in_terminal_authentication(transmission: Transmission) -> bytes:
    if _is(transmission, ins=Ins.EXTERNAL_AUTHENTICATE):
        raise CardLost
    return transmission.answered


def _lost_while_reading(transmission: Transmission) -> bytes:
    if transmission.protected and _is(transmission, ins=Ins.READ_BINARY):
        raise CardLost
    return transmission.answered


def _wrong_mac(transmission: Transmission) -> bytes:
    """The last byte of the MAC, which stands before the status word, is another one."""
    answered = transmission.answered
    if not transmission.protected or len(answered) < _MAC_AND_STATUS:
        return answered
    return answered[:-3] + bytes((answered[-3] ^ 1,)) + answered[-2:]


def _wrong_token(transmission: Transmission) -> bytes:
    """The last answer of PACE, which bears the card's token, is another one."""
    answered = transmission.answered
    if transmission.protected or not _is(transmission, ins=Ins.GENERAL_AUTHENTICATE):
        return answered
    # 7C L 86 08: the token begins behind four bytes.
    return answered[:4] + bytes((answered[4] ^ 1,)) + answered[5:] if answered[2:3] == b"\x86" else answered


def _out_of_order(transmission: Transmission) -> bytes:
    """Everything protected fails without a precise diagnosis."""
    return Response(sw=StatusWord.NO_PRECISE_DIAGNOSIS).encode() if transmission.protected else transmission.answered


def _no_card_access(transmission: Transmission) -> bytes:
    """Reading without protection gives nothing: neither EF.DIR nor EF.CardAccess."""
    if transmission.protected or not _is(transmission, ins=Ins.READ_BINARY):
        return transmission.answered
    return Response(sw=StatusWord.FILE_NOT_FOUND).encode()


FAULTS: Final[Mapping[str, Fault]] = {
    "pin-second-try": Fault(
        "one wrong PIN was entered: two tries are left",
        starts=lambda state: replace(state, pin_status=PinStatus.TWO_TRIES),
    ),
    "pin-suspended": Fault(
        "two wrong PINs were entered: the CAN comes first",
        starts=lambda state: replace(state, pin_status=PinStatus.SUSPENDED),
    ),
    "pin-blocked": Fault(
        "three wrong PINs were entered: the PUK comes first",
        starts=lambda state: replace(state, pin_status=PinStatus.BLOCKED),
    ),
    "puk-used-up": Fault(
        "the PIN is blocked and the PUK was used ten times",
        starts=lambda state: replace(state, pin_status=PinStatus.BLOCKED, puk_uses=0),
    ),
    "pin-deactivated": Fault("the eID function is switched off", starts=lambda state: replace(state, pin_active=False)),
    "transport-pin": Fault(
        "the PIN is 12345, the digits of the letter", starts=lambda state: replace(state, pin="12345")
    ),
    "card-lost-in-pace": Fault("taken out while the PIN is verified", answers=_lost_in_pace),
    "card-lost": Fault("taken out when the server proves who it is", answers=_lost_in_terminal_authentication),
    "card-lost-while-reading": Fault("taken out when files are read", answers=_lost_while_reading),
    "slow": Fault(f"takes {SLOW} seconds for each answer", delay=SLOW),
    "wrong-mac": Fault("answers with wrong MACs", answers=_wrong_mac),
    "wrong-token": Fault("does not know the password itself: its PACE token is wrong", answers=_wrong_token),
    "out-of-order": Fault("answers everything protected with 6F00", answers=_out_of_order),
    "no-card-access": Fault("has no file that can be read without a password", answers=_no_card_access),
    "cloned": Fault("has another card's files, not its key: Chip Authentication fails", cloned=True),
}
