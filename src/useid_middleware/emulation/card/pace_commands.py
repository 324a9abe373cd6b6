"""PACE on the card (TR-03110-3 B.1, B.11.1, B.11.2): MSE:Set AT chooses it, four GENERAL AUTHENTICATE run it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from ...eac import pace
from ...eac.apdu import Response, StatusWord
from ...eac.chat import CHAT, TerminalType
from ...eac.curves import EXTRA_RANDOM, scalar
from ...eac.errors import EACError
from ...eac.secure_messaging import SecureSession
from .making import CURVE, PACE_PROTOCOL
from .refusal import Refusal
from .security import after_right, after_wrong, check_usable, password, selection_status
from .session import Channel, Outcome, PACEUnderWay, Random, Request, Situation

_Phase: TypeAlias = pace.Started | pace.Mapped | pace.Agreed | None


def choose_pace(situation: Situation, request: Request) -> Outcome:
    """MSE:Set AT: 9000, or a warning about the password; 6A80 another protocol, 6A88 another password or terminal."""
    asked = pace.SetAT.decode(request.command.data)
    if asked.protocol != PACE_PROTOCOL:
        raise Refusal(StatusWord.WRONG_DATA)
    if asked.parameter_id not in (None, CURVE.parameter_id):
        raise Refusal(StatusWord.REFERENCED_DATA_NOT_FOUND)
    chat = CHAT.decode(asked.chat) if asked.chat else None
    if chat is not None and chat.terminal_type is not TerminalType.AUTHENTICATION_TERMINAL:
        raise Refusal(StatusWord.REFERENCED_DATA_NOT_FOUND)
    password(situation.state, asked.password_id)
    status = selection_status(situation.state, asked.password_id)
    return situation.with_under_way(PACEUnderWay(asked, chat)), Response(sw=status)


def run_pace(situation: Situation, request: Request, under_way: PACEUnderWay) -> Outcome:
    """GENERAL AUTHENTICATE: the next step. All but the last are chained: 6985 if not, 6883 if the last is."""
    step = _STEPS[type(under_way.phase)]
    if request.command.chained is step.is_last:
        is_late = step.is_last
        raise Refusal(StatusWord.LAST_COMMAND_OF_CHAIN_EXPECTED if is_late else StatusWord.CONDITIONS_NOT_SATISFIED)
    return step.run(situation, request, under_way)


def _start(situation: Situation, request: Request, under_way: PACEUnderWay) -> Outcome:
    asked = under_way.request
    check_usable(situation.state, asked.password_id, has_chat=under_way.chat is not None)
    phase, answer = pace.start(
        request.command.data,
        password=password(situation.state, asked.password_id),
        protocol=PACE_PROTOCOL,
        curve=CURVE,
        nonce=request.random(pace.nonce_size(PACE_PROTOCOL)),
    )
    return _next(situation, under_way, phase, answer)


def _map(situation: Situation, request: Request, under_way: PACEUnderWay) -> Outcome:
    assert isinstance(under_way.phase, pace.Started)
    phase, answer = pace.map_nonce(under_way.phase, request.command.data, mapping_key=_scalar(request.random))
    return _next(situation, under_way, phase, answer)


def _agree(situation: Situation, request: Request, under_way: PACEUnderWay) -> Outcome:
    assert isinstance(under_way.phase, pace.Mapped)
    phase, answer = pace.agree_keys(under_way.phase, request.command.data, agreement_key=_scalar(request.random))
    return _next(situation, under_way, phase, answer)


def _confirm(situation: Situation, request: Request, under_way: PACEUnderWay) -> Outcome:
    """The terminal shows that it knows the password. Whatever it sends instead of the right token is a wrong try."""
    assert isinstance(under_way.phase, pace.Agreed)
    which = under_way.request.password_id
    references = situation.state.trust.references(TerminalType.AUTHENTICATION_TERMINAL) if under_way.chat else ()
    try:
        result, answer = pace.confirm(under_way.phase, request.command.data, references=references)
    except EACError:
        state, status = after_wrong(situation.state, which)
        return situation.with_state(state), Response(sw=status)
    channel = Channel(SecureSession(result.keys), which, id_picc=result.id_picc, chat=under_way.chat)
    opened = situation.with_state(after_right(situation.state, which)).with_channel(channel)
    return opened, Response(answer)


def _next(situation: Situation, under_way: PACEUnderWay, phase: _Phase, answer: bytes) -> Outcome:
    return situation.with_under_way(PACEUnderWay(under_way.request, under_way.chat, phase)), Response(answer)


def _scalar(random: Random) -> int:
    return scalar(CURVE, random(CURVE.order_size + EXTRA_RANDOM))


@dataclass(frozen=True, slots=True)
class _Step:
    run: Callable[[Situation, Request, PACEUnderWay], Outcome]
    is_last: bool = False


_STEPS: Final[dict[type[_Phase], _Step]] = {
    type(None): _Step(_start),
    pace.Started: _Step(_map),
    pace.Mapped: _Step(_agree),
    pace.Agreed: _Step(_confirm, is_last=True),
}
