"""The passwords of the card: what each is good for, and how the tries of the PIN go (TR-03110-2 §2.3, TR-03127 §3.5).

``TRANSITIONS`` is the whole of the PIN's states. CAN and PUK have no counter of tries: a card answers slowly instead.
"""

from dataclasses import replace
from enum import StrEnum
from typing import Final

from ...eac.apdu import StatusWord, retries
from ...eac.keys import PasswordId
from .refusal import Refusal
from .state import CardState, PinStatus

PIN_SIZE: Final = 6
CAN_SIZE: Final = 6


class Step(StrEnum):
    """What happens to the PIN."""

    RIGHT = "right PIN"
    WRONG = "wrong PIN"
    CAN = "right CAN"
    #: With the PUK, or by a terminal that may manage PINs.
    UNBLOCK = "unblocked"
    #: Power, secure messaging or the session is gone.
    CHANNEL_LOST = "channel lost"


#: A step that is not here does not happen in that state: PACE is refused before it starts.
TRANSITIONS: Final[dict[tuple[PinStatus, Step], PinStatus]] = {
    (PinStatus.THREE_TRIES, Step.RIGHT): PinStatus.THREE_TRIES,
    (PinStatus.THREE_TRIES, Step.WRONG): PinStatus.TWO_TRIES,
    (PinStatus.THREE_TRIES, Step.CAN): PinStatus.THREE_TRIES,
    (PinStatus.THREE_TRIES, Step.UNBLOCK): PinStatus.THREE_TRIES,
    (PinStatus.THREE_TRIES, Step.CHANNEL_LOST): PinStatus.THREE_TRIES,
    (PinStatus.TWO_TRIES, Step.RIGHT): PinStatus.THREE_TRIES,
    (PinStatus.TWO_TRIES, Step.WRONG): PinStatus.SUSPENDED,
    (PinStatus.TWO_TRIES, Step.CAN): PinStatus.TWO_TRIES,
    (PinStatus.TWO_TRIES, Step.UNBLOCK): PinStatus.THREE_TRIES,
    (PinStatus.TWO_TRIES, Step.CHANNEL_LOST): PinStatus.TWO_TRIES,
    (PinStatus.SUSPENDED, Step.CAN): PinStatus.RESUMED,
    (PinStatus.SUSPENDED, Step.UNBLOCK): PinStatus.THREE_TRIES,
    (PinStatus.SUSPENDED, Step.CHANNEL_LOST): PinStatus.SUSPENDED,
    (PinStatus.RESUMED, Step.RIGHT): PinStatus.THREE_TRIES,
    (PinStatus.RESUMED, Step.WRONG): PinStatus.BLOCKED,
    (PinStatus.RESUMED, Step.CAN): PinStatus.RESUMED,
    (PinStatus.RESUMED, Step.UNBLOCK): PinStatus.THREE_TRIES,
    (PinStatus.RESUMED, Step.CHANNEL_LOST): PinStatus.SUSPENDED,
    (PinStatus.BLOCKED, Step.CAN): PinStatus.BLOCKED,
    (PinStatus.BLOCKED, Step.UNBLOCK): PinStatus.THREE_TRIES,
    (PinStatus.BLOCKED, Step.CHANNEL_LOST): PinStatus.BLOCKED,
}

#: How many tries each state leaves.
TRIES: Final = {
    PinStatus.THREE_TRIES: 3,
    PinStatus.TWO_TRIES: 2,
    PinStatus.SUSPENDED: 1,
    PinStatus.RESUMED: 1,
    PinStatus.BLOCKED: 0,
}


def step(state: CardState, what: Step) -> CardState:
    """The state after a step of ``TRANSITIONS``."""
    return replace(state, pin_status=TRANSITIONS[state.pin_status, what])


def selection_status(state: CardState, password: PasswordId) -> int:
    """The answer to MSE:Set AT (TR-03110-3 B.11.1): 6283 deactivated, 63Cx tries left, 9000 all of them."""
    if password is not PasswordId.PIN:
        return StatusWord.OK
    if not state.pin_active:
        return StatusWord.DEACTIVATED
    left = TRIES[state.pin_status]
    return StatusWord.OK if left == TRIES[PinStatus.THREE_TRIES] else retries(left)


def password(state: CardState, which: PasswordId) -> bytes:
    """The password as PACE takes it; 6A88 for the MRZ, with which an ID card's eID function has nothing to do."""
    passwords = {PasswordId.CAN: state.can, PasswordId.PIN: state.pin, PasswordId.PUK: state.puk}
    if which not in passwords:
        raise Refusal(StatusWord.REFERENCED_DATA_NOT_FOUND)
    return passwords[which].encode("ascii")


def check_usable(state: CardState, which: PasswordId, *, has_chat: bool) -> None:
    """A refusal if PACE cannot start (B.11.2): 6984 deactivated, 6983 blocked, 6985 suspended.

    With a CHAT, the terminal wants to authenticate itself afterwards; the transport PIN is not for that: 6985.
    """
    if which is not PasswordId.PIN:
        return
    if not state.pin_active:
        raise Refusal(StatusWord.REFERENCE_DATA_NOT_USABLE)
    if state.pin_status is PinStatus.BLOCKED:
        raise Refusal(StatusWord.AUTHENTICATION_METHOD_BLOCKED)
    if state.pin_status is PinStatus.SUSPENDED or (has_chat and is_transport_pin(state)):
        raise Refusal(StatusWord.CONDITIONS_NOT_SATISFIED)


def is_transport_pin(state: CardState) -> bool:
    """Whether the PIN is still the five digits of the letter."""
    return len(state.pin) < PIN_SIZE


def after_right(state: CardState, which: PasswordId) -> CardState:
    """The state after PACE succeeded with this password."""
    match which:
        case PasswordId.PIN:
            return step(state, Step.RIGHT)
        case PasswordId.CAN:
            return step(state, Step.CAN)
        case _:
            # The channel of the CAN, if there was one, is replaced by one of the PUK.
            return step(state, Step.CHANNEL_LOST)


def after_wrong(state: CardState, which: PasswordId) -> tuple[CardState, int]:
    """The state after PACE failed in its last step, and the status word that says so."""
    if which is not PasswordId.PIN:
        return state, StatusWord.WARNING_CHANGED_STATE
    state = step(state, Step.WRONG)
    return state, retries(TRIES[state.pin_status])


def with_pin(state: CardState, digits: bytes) -> CardState:
    """The state with another PIN, of six digits; 6A80 otherwise. Tries stay as they are (TR-03110-3 B.11.9)."""
    return replace(state, pin=_digits(digits, PIN_SIZE))


def with_can(state: CardState, digits: bytes) -> CardState:
    """The state with another CAN, of six digits; 6A80 otherwise."""
    return replace(state, can=_digits(digits, CAN_SIZE))


def unblocked_by_puk(state: CardState) -> CardState:
    """The state after unblocking with the PUK; 6985 when the PUK has been used as often as it may be."""
    if state.puk_uses == 0:
        raise Refusal(StatusWord.CONDITIONS_NOT_SATISFIED)
    return step(replace(state, puk_uses=state.puk_uses - 1), Step.UNBLOCK)


def _digits(data: bytes, size: int) -> str:
    if len(data) != size or not data.isdigit():
        raise Refusal(StatusWord.WRONG_DATA)
    return data.decode("ascii")
