"""The card: command APDUs in, response APDUs out. Nothing that comes in makes it raise, or stop answering.

A command goes through secure messaging, if it is on, to the function that ``_COMMANDS`` has for it, and its answer goes
back the same way. Commands without protection end secure messaging first (TR-03110-3 F.3).
"""

from collections.abc import Mapping
from typing import Final

from ..._codec import replace
from ...eac.apdu import Command, Ins, Response, StatusWord
from ...eac.authentication_errors import (
    CertificateChainError,
    CertificateExpired,
    CertificateIssuerUnknown,
    CertificateNotYetValid,
    CertificateSignatureError,
)
from ...eac.errors import APDUError, EACError, SecureMessagingError
from ...eac.secure_messaging import SecureSession, largest_plain, protect_response, unprotect_command
from . import authentication_commands as authentication
from . import file_commands, pace_commands, pin_commands
from .making import Chip
from .refusal import Refusal
from .session import (
    ChipAuthenticationChosen,
    Handler,
    Outcome,
    PACEUnderWay,
    Random,
    Request,
    RestrictedIdentificationChosen,
    Situation,
)
from .state import CardState
from .transmission import Transmission

#: Answer to reset of a contactless card: T=1, historical bytes as German ID cards have them.
ATR: Final = bytes.fromhex("3B8A80018031F873F741E082900075")

_INTERINDUSTRY: Final = 0x00
_PROPRIETARY: Final = 0x80
_CHAINING: Final = 0x10
_SECURE: Final = 0x0C
#: Commands of this class are for readers (PC/SC part 3) and never reach a card; this reader knows none of them.
_READER: Final = 0xFF
_SHORT: Final = 0x100


class Card:
    """One card, from the factory or from a state that was written down. ``random`` gives as many bytes as asked for."""

    #: Seconds for each answer.
    delay: float = 0.0

    def __init__(self, chip: Chip, state: CardState, *, random: Random) -> None:
        self._situation = Situation(chip, state)
        self._random = random
        self._last: Transmission | None = None

    @property
    def state(self) -> CardState:
        """What the card remembers without power."""
        return self._situation.state

    @property
    def last(self) -> Transmission | None:
        """The last command and its answer, with what secure messaging hid."""
        return self._last

    def reset(self) -> None:
        """Power off and on again."""
        self._situation = self._situation.after_reset()

    def transmit(self, apdu: bytes) -> bytes:
        """The answer to a command: 6700 for bytes that are none, 6987 or 6988 for one that is protected wrongly."""
        situation = self._situation
        try:
            raw = Command.decode(apdu)
        except APDUError:
            return self._answer(apdu, situation.without_channel(), Response(sw=StatusWord.WRONG_LENGTH), None)
        if raw.cla == _READER:
            return self._answer(apdu, situation, Response(sw=StatusWord.INS_NOT_SUPPORTED), raw)
        channel = situation.session.channel
        if channel is None or not raw.secured:
            situation = situation if channel is None else situation.without_channel()
            situation, response = _execute(situation, raw, room=raw.ne, random=self._random)
            return self._answer(apdu, situation, response, raw)
        try:
            messaging, command = unprotect_command(channel.messaging, raw)
        except SecureMessagingError as error:
            return self._answer(apdu, situation.without_channel(), Response(sw=error.status_word), None)
        situation = situation.with_channel(replace(channel, messaging=messaging))
        room = min(command.ne, largest_plain(raw.ne or _SHORT))
        situation, response = _execute(situation, command, room=room, random=self._random)
        return self._answer_protected(apdu, situation, response, command, messaging)

    def _answer_protected(
        self, apdu: bytes, situation: Situation, response: Response, command: Command, messaging: SecureSession
    ) -> bytes:
        """The answer goes in the channel that the command came in, though that may have opened another one."""
        after, protected = protect_response(messaging, response, odd=bool(command.ins & 1))
        channel = situation.session.channel
        if channel is not None and channel.messaging is messaging:
            situation = situation.with_channel(replace(channel, messaging=after))
        return self._answer(apdu, situation, protected, command, plain=response)

    def _answer(
        self,
        apdu: bytes,
        situation: Situation,
        response: Response,
        command: Command | None,
        plain: Response | None = None,
    ) -> bytes:
        self._situation = situation
        answered = response.encode()
        channel = situation.session.channel
        self._last = Transmission(
            sent=apdu,
            answered=answered,
            command=command,
            response=plain or response,
            protected=plain is not None,
            keys=channel.messaging.keys if channel else None,
        )
        return answered


def _execute(situation: Situation, command: Command, *, room: int, random: Random) -> Outcome:
    """The next situation and the answer. What cannot be done changes nothing, but ends what was under way."""
    under_way = situation.session.under_way
    situation = situation.with_under_way(None)
    try:
        after, response = _handler(command)(situation, Request(command, under_way, random, room))
        if len(response.data) > room:
            raise Refusal(StatusWord.WRONG_LENGTH)
    except Refusal as refusal:
        return situation, Response(sw=refusal.status_word)
    except EACError as error:
        return situation, Response(sw=_status_of(error))
    return after, response


def _handler(command: Command) -> Handler:
    """The function for a command; 6E00 for a class, 6D00 for an instruction, 6A86 for parameters that are not here."""
    chained = command.cla & _CHAINING
    base = command.cla & ~_CHAINING
    if base & _SECURE and base & ~_SECURE in (_INTERINDUSTRY, _PROPRIETARY):
        raise Refusal(StatusWord.SECURE_MESSAGING_NOT_SUPPORTED)
    handlers = _COMMANDS.get(base)
    if handlers is None:
        raise Refusal(StatusWord.CLA_NOT_SUPPORTED)
    handler = handlers.get(command.ins)
    if handler is None:
        raise Refusal(StatusWord.INS_NOT_SUPPORTED)
    if chained and command.ins != Ins.GENERAL_AUTHENTICATE:
        raise Refusal(StatusWord.CHAINING_NOT_SUPPORTED)
    return handler


def _manage_security_environment(situation: Situation, request: Request) -> Outcome:
    return _at(_SECURITY_ENVIRONMENTS, request.command)(situation, request)


def _perform_security_operation(situation: Situation, request: Request) -> Outcome:
    return _at(_SECURITY_OPERATIONS, request.command)(situation, request)


def _general_authenticate(situation: Situation, request: Request) -> Outcome:
    """What goes on is what MSE:Set AT has chosen; 6985 if nothing."""
    _check_parameters(request)
    match request.under_way:
        case PACEUnderWay() as under_way:
            return pace_commands.run_pace(situation, request, under_way)
        case ChipAuthenticationChosen():
            return authentication.authenticate_chip(situation, request)
        case RestrictedIdentificationChosen() as chosen:
            return authentication.identify(situation, request, chosen)
        case _:
            raise Refusal(StatusWord.CONDITIONS_NOT_SATISFIED)


def _get_challenge(situation: Situation, request: Request) -> Outcome:
    _check_parameters(request)
    return authentication.get_challenge(situation, request)


def _external_authenticate(situation: Situation, request: Request) -> Outcome:
    _check_parameters(request)
    return authentication.authenticate_terminal(situation, request)


def _check_parameters(request: Request) -> None:
    if (request.command.p1, request.command.p2) != (0, 0):
        raise Refusal(StatusWord.INCORRECT_P1_P2)


def _at(handlers: Mapping[tuple[int, int], Handler], command: Command) -> Handler:
    handler = handlers.get((command.p1, command.p2))
    if handler is None:
        raise Refusal(StatusWord.INCORRECT_P1_P2)
    return handler


def _status_of(error: EACError) -> int:
    return next((_STATUS_WORDS[kind] for kind in type(error).__mro__ if kind in _STATUS_WORDS), StatusWord.WRONG_DATA)


_SECURITY_ENVIRONMENTS: Final[Mapping[tuple[int, int], Handler]] = {
    (0xC1, 0xA4): pace_commands.choose_pace,
    (0x81, 0xA4): authentication.announce_key,
    (0x41, 0xA4): authentication.choose_key,
    (0x81, 0xB6): authentication.choose_issuer,
}
_SECURITY_OPERATIONS: Final[Mapping[tuple[int, int], Handler]] = {
    (0x00, 0xBE): authentication.verify_certificate,
}
#: By class and instruction.
_COMMANDS: Final[Mapping[int, Mapping[int, Handler]]] = {
    _INTERINDUSTRY: {
        Ins.SELECT: file_commands.select_file,
        Ins.READ_BINARY: file_commands.read_binary,
        Ins.READ_BINARY_ODD: file_commands.read_binary_odd,
        Ins.UPDATE_BINARY: file_commands.update_binary,
        Ins.MANAGE_SECURITY_ENVIRONMENT: _manage_security_environment,
        Ins.PERFORM_SECURITY_OPERATION: _perform_security_operation,
        Ins.GENERAL_AUTHENTICATE: _general_authenticate,
        Ins.GET_CHALLENGE: _get_challenge,
        Ins.EXTERNAL_AUTHENTICATE: _external_authenticate,
        Ins.RESET_RETRY_COUNTER: pin_commands.reset_retry_counter,
        Ins.ACTIVATE: pin_commands.activate,
        Ins.DEACTIVATE: pin_commands.deactivate,
    },
    _PROPRIETARY: {
        Ins.VERIFY: authentication.verify_auxiliary_data,
    },
}
#: What an error of the protocols is as a status word; anything else is 6A80, wrong data.
_STATUS_WORDS: Final[Mapping[type, int]] = {
    CertificateIssuerUnknown: StatusWord.REFERENCED_DATA_NOT_FOUND,
    CertificateChainError: StatusWord.WARNING_CHANGED_STATE,
    CertificateExpired: StatusWord.WARNING_CHANGED_STATE,
    CertificateNotYetValid: StatusWord.WARNING_CHANGED_STATE,
    CertificateSignatureError: StatusWord.WARNING_CHANGED_STATE,
}
