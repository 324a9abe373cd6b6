"""The PAOS dialogue of the eID server: from a session and a message of the client to the next session and the answer.

Pure: time, keys and random bytes are arguments. Nothing that a client or a card sends raises; it ends the session,
and the answer is a StartPAOSResponse that says so (TR-03112-7, TR-03130-1).
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Any, Final, TypeAlias

from ..._codec import replace
from ...eac.curves import EXTRA_RANDOM, P521
from ...eac.errors import EACError
from ...eid.core.results import MAJOR_ERROR
from .. import paos
from .authentication import on_challenge, on_chip, on_genuine, request_chip
from .identification import on_answers, on_rest
from .material import ServerMaterial, Turn
from .names import MESSAGE_SIZE, message_id
from .results import CLIENT_MINORS, Failure, SessionFailed, check_result
from .session import FINAL, Answer, EACSession, State, Step, Variant, failed, next_state

#: Random bytes that one message takes: a name for the answer, and an ephemeral key on the largest curve.
DRAWN_SIZE: Final = MESSAGE_SIZE + P521.order_size + EXTRA_RANDOM
#: Names that a client gives and wants back are no longer than this.
_MAX_HANDLE: Final = 1024

_Handler: TypeAlias = Callable[[EACSession, Any, Turn], Answer]


def advance(
    session: EACSession, message: paos.Envelope, *, now: float, material: ServerMaterial, drawn: bytes
) -> tuple[EACSession, paos.Envelope]:
    """The session behind a message of the client, and the answer to it (TR-03112-7 §2.6, §3.6).

    ``drawn`` are ``DRAWN_SIZE`` fresh random bytes. A session that has ended stays as it is. Deadlines are the
    caller's to move on.
    """
    name = message_id(session.psk_id, drawn[:MESSAGE_SIZE])
    if session.state in FINAL:
        return session, refusal(Failure.OTHER, "the session has ended", name=name, relates_to=message.message_id)
    turn = Turn(datetime.fromtimestamp(now, UTC), material, drawn[MESSAGE_SIZE:])
    expected, handle = _HANDLERS[session.state]
    try:
        _check_next(session, message, expected=expected, now=now)
        step, changed, body = handle(session, message.body, turn)
    except SessionFailed as end:
        after = failed(session, end.failure, client_minor=end.client_minor)
        return after, refusal(end.failure, end.step, name=name, relates_to=message.message_id)
    except EACError as error:
        after = failed(session, Failure.OTHER)
        return after, refusal(Failure.OTHER, error.message, name=name, relates_to=message.message_id)
    if changed.state not in FINAL:
        changed = replace(changed, state=next_state(session.state, step), message_id=name)
    return changed, paos.Envelope(name, body, message.message_id)


def refusal(failure: Failure, step: str, *, name: str, relates_to: str) -> paos.Envelope:
    """StartPAOSResponse with an error, as the message of this name."""
    result = paos.Result(MAJOR_ERROR, CLIENT_MINORS[failure], step)
    return paos.Envelope(name, paos.StartPAOSResponse(result), relates_to)


def _check_next(session: EACSession, message: paos.Envelope, *, expected: type[object], now: float) -> None:
    """Whether this is the message that the session waits for."""
    if now >= session.deadline:
        raise SessionFailed(Failure.OTHER, "expected the message before the session ran out")
    if not isinstance(message.body, expected):
        raise SessionFailed(Failure.OTHER, f"expected {expected.__name__}, found {type(message.body).__name__}")
    if session.state is State.STARTING:
        return
    if not compare_digest(message.relates_to.encode(), session.message_id.encode()):
        raise SessionFailed(Failure.OTHER, "RelatesTo: expected the last message of this session")


def _on_start(session: EACSession, body: paos.StartPAOS, turn: Turn) -> Answer:
    if not compare_digest(body.session_identifier.encode(), session.psk_id.encode()):
        raise SessionFailed(Failure.OTHER, "SessionIdentifier: expected that of the tcToken")
    if max(len(body.slot_handle), len(body.context_handle)) > _MAX_HANDLE:
        raise SessionFailed(Failure.BAD_PARAMETER, f"ConnectionHandle: expected at most {_MAX_HANDLE} characters")
    session = replace(session, slot_handle=body.slot_handle, context_handle=body.context_handle)
    if Variant.INITIALIZE_FRAMEWORK in session.variant:
        return Step.INITIALIZE, session, paos.InitializeFramework()
    return request_chip(session, turn)


def _on_framework(session: EACSession, body: paos.InitializeFrameworkResponse, turn: Turn) -> Answer:
    check_result(body.result)
    if Variant.DID_LIST in session.variant:
        return Step.LIST, session, paos.DIDList(session.slot_handle, session.context_handle)
    return request_chip(session, turn)


def _on_list(session: EACSession, body: paos.DIDListResponse, turn: Turn) -> Answer:
    check_result(body.result)
    return request_chip(session, turn)


_HANDLERS: Final[Mapping[State, tuple[type[object], _Handler]]] = {
    State.STARTING: (paos.StartPAOS, _on_start),
    State.FRAMEWORK: (paos.InitializeFrameworkResponse, _on_framework),
    State.LISTING: (paos.DIDListResponse, _on_list),
    State.CHIP: (paos.DIDAuthenticateResponse, on_chip),
    State.CHALLENGE: (paos.DIDAuthenticateResponse, on_challenge),
    State.GENUINE: (paos.DIDAuthenticateResponse, on_genuine),
    State.READING: (paos.TransmitResponse, on_answers),
    State.REST: (paos.TransmitResponse, on_rest),
}
