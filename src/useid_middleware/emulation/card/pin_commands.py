"""Managing passwords: RESET RETRY COUNTER, ACTIVATE and DEACTIVATE (TR-03110-3 B.11.9, B.11.10)."""

from dataclasses import replace
from typing import Final

from ...eac.apdu import StatusWord
from ...eac.chat import AuthenticationRight
from ...eac.keys import PasswordId
from .refusal import Refusal
from .security import Step, step, unblocked_by_puk, with_can, with_pin
from .session import OK, Handler, Outcome, Request, Situation, open_channel, require, rights

_PIN_MANAGEMENT: Final = AuthenticationRight.PIN_MANAGEMENT
_PIN_REFERENCE: Final = (0x10, 0x03)


def reset_retry_counter(situation: Situation, request: Request) -> Outcome:
    """A new PIN, a new CAN, or the PIN unblocked; 6A86 for anything else."""
    handler = _RESETS.get((request.command.p1, request.command.p2))
    if handler is None:
        raise Refusal(StatusWord.INCORRECT_P1_P2)
    return handler(situation, request)


def _new_pin(situation: Situation, request: Request) -> Outcome:
    """By whoever knows the PIN, or a terminal with the right; both 6982."""
    if open_channel(situation).password is not PasswordId.PIN:
        require(situation, _PIN_MANAGEMENT)
    return situation.with_state(with_pin(situation.state, request.command.data)), OK


def _new_can(situation: Situation, request: Request) -> Outcome:
    require(situation, _PIN_MANAGEMENT)
    return situation.with_state(with_can(situation.state, request.command.data)), OK


def _unblock(situation: Situation, request: Request) -> Outcome:
    """By whoever knows the PUK, ten times, or a terminal with the right."""
    if request.command.data:
        raise Refusal(StatusWord.WRONG_LENGTH)
    if _PIN_MANAGEMENT in rights(situation):
        return situation.with_state(step(situation.state, Step.UNBLOCK)), OK
    if open_channel(situation).password is not PasswordId.PUK:
        raise Refusal(StatusWord.SECURITY_STATUS_NOT_SATISFIED)
    return situation.with_state(unblocked_by_puk(situation.state)), OK


def activate(situation: Situation, request: Request) -> Outcome:
    """Switch the PIN, and with it the eID function, on."""
    return _switched(situation, request, active=True)


def deactivate(situation: Situation, request: Request) -> Outcome:
    """Switch the PIN, and with it the eID function, off."""
    return _switched(situation, request, active=False)


def _switched(situation: Situation, request: Request, *, active: bool) -> Outcome:
    command = request.command
    if (command.p1, command.p2) != _PIN_REFERENCE:
        raise Refusal(StatusWord.INCORRECT_P1_P2)
    if command.data:
        raise Refusal(StatusWord.WRONG_LENGTH)
    require(situation, _PIN_MANAGEMENT)
    return situation.with_state(replace(situation.state, pin_active=active)), OK


_RESETS: Final[dict[tuple[int, int], Handler]] = {
    (0x02, 0x02): _new_can,
    (0x02, 0x03): _new_pin,
    (0x03, 0x03): _unblock,
}
