"""A session of the eID server as it is kept between two messages, and the one table of what can follow what.

::

    starting   --initialize--> framework                   StartPAOS -> InitializeFramework
    starting, framework, listing --request--> chip         -> DIDAuthenticate(EAC1InputType)
    framework  --list--> listing                           InitializeFrameworkResponse -> DIDList
    chip       --prove--> genuine                          EAC1OutputType -> EAC2InputType with the signature
    chip       --announce--> challenge                     EAC1OutputType -> EAC2InputType without
    challenge  --prove--> genuine                          EAC2OutputType{Challenge} -> EACAdditionalInputType
    genuine    --read--> reading                           EAC2OutputType -> Transmit
    reading    --read--> rest                              TransmitResponse -> Transmit, if a file is long
    reading, rest --complete--> completed                  TransmitResponse -> StartPAOSResponse
    all of them but completed --fail--> failed             -> StartPAOSResponse with an error
"""

from collections.abc import Mapping
from enum import IntFlag, StrEnum
from hmac import compare_digest
from typing import Final, TypeAlias

from ..._codec import Record, replace
from ...eid.core.attributes import EIDResult, Operation, UseIDRequest
from ...eid.core.results import ClientMinor, Minor
from ...errors import EIDServerError, StateError
from ..paos import Body
from .results import SERVICE_MINORS, Failure


class State(StrEnum):
    """What the server waits for."""

    #: StartPAOS.
    STARTING = "starting"
    #: InitializeFrameworkResponse.
    FRAMEWORK = "framework"
    #: DIDListResponse.
    LISTING = "listing"
    #: EAC1OutputType: the user's consent, and who the chip is.
    CHIP = "chip"
    #: EAC2OutputType with a challenge and nothing else.
    CHALLENGE = "challenge"
    #: EAC2OutputType with the proof that the chip is genuine.
    GENUINE = "genuine"
    #: TransmitResponse with answers and files.
    READING = "reading"
    #: TransmitResponse with the rest of long files.
    REST = "rest"
    #: getResult.
    COMPLETED = "completed"
    #: getResult, which will say why.
    FAILED = "failed"


class Step(StrEnum):
    """What the server does next."""

    INITIALIZE = "initialize"
    LIST = "list"
    REQUEST = "request"
    ANNOUNCE = "announce"
    PROVE = "prove"
    READ = "read"
    COMPLETE = "complete"
    FAIL = "fail"


class Variant(IntFlag):
    """The ways that TR-03112-7 leaves a server between StartPAOS and the proof of its key."""

    DIRECT = 0
    INITIALIZE_FRAMEWORK = 1
    #: After InitializeFramework.
    DID_LIST = 2
    #: The signature comes after a challenge of its own.
    EAC_ADDITIONAL = 4


TRANSITIONS: Final[dict[tuple[State, Step], State]] = {
    (State.STARTING, Step.INITIALIZE): State.FRAMEWORK,
    (State.STARTING, Step.REQUEST): State.CHIP,
    (State.FRAMEWORK, Step.LIST): State.LISTING,
    (State.FRAMEWORK, Step.REQUEST): State.CHIP,
    (State.LISTING, Step.REQUEST): State.CHIP,
    (State.CHIP, Step.ANNOUNCE): State.CHALLENGE,
    (State.CHIP, Step.PROVE): State.GENUINE,
    (State.CHALLENGE, Step.PROVE): State.GENUINE,
    (State.GENUINE, Step.READ): State.READING,
    (State.READING, Step.READ): State.REST,
    (State.READING, Step.COMPLETE): State.COMPLETED,
    (State.REST, Step.COMPLETE): State.COMPLETED,
    (State.STARTING, Step.FAIL): State.FAILED,
    (State.FRAMEWORK, Step.FAIL): State.FAILED,
    (State.LISTING, Step.FAIL): State.FAILED,
    (State.CHIP, Step.FAIL): State.FAILED,
    (State.CHALLENGE, Step.FAIL): State.FAILED,
    (State.GENUINE, Step.FAIL): State.FAILED,
    (State.READING, Step.FAIL): State.FAILED,
    (State.REST, Step.FAIL): State.FAILED,
}
FINAL: Final = frozenset({State.COMPLETED, State.FAILED})


class EACSession(Record, frozen=True):
    """One session. Times are Unix seconds.

    ``id`` is what the eService asks with, ``psk_id`` what the client begins PAOS with; neither tells the other.
    ``counter`` is that of the last getResult. ``message_id`` is that of our last message, which the next must relate
    to; ``terminal`` the name of the terminal that was presented. ``ephemeral`` is our private scalar for Chip
    Authentication, on the curve ``curve``; ``auxiliary`` what the terminal's signature covers of the questions.
    ``enc``, ``mac`` and ``ssc`` are secure messaging behind the last answer. What the card has said so far is in
    ``answers`` and ``contents``; the client's own reason for an error in ``client_minor``.

    Of a session that has ended there are only the names, the counter, and the result or the failure.
    """

    id: str
    psk_id: str
    owner: str
    deadline: float
    state: State = State.STARTING
    counter: int = 0
    variant: Variant = Variant.DIRECT
    request: UseIDRequest | None = None
    message_id: str = ""
    terminal: str = ""
    context_handle: str = ""
    slot_handle: str = ""
    rights: int = 0
    card_access: bytes = b""
    id_picc: bytes = b""
    challenge: bytes = b""
    curve: int = 0
    ephemeral: bytes = b""
    auxiliary: bytes = b""
    revocation_key: int = 0
    pseudonym_key: int | None = None
    enc: bytes = b""
    mac: bytes = b""
    ssc: int = 0
    is_old_enough: bool | None = None
    lives_there: bool | None = None
    pseudonyms: tuple[bytes, ...] = ()
    contents: Mapping[Operation, bytes] = {}
    result: EIDResult | None = None
    failure: Failure | None = None
    client_minor: str = ""


#: What a message leads to: the step, the session without its new state, and what to answer.
Answer: TypeAlias = tuple[Step, EACSession, Body]


def request_of(session: EACSession) -> UseIDRequest:
    """What the eService asked for, in a session that has not ended."""
    assert session.request is not None
    return session.request


def next_state(state: State, step: Step) -> State:
    """The state behind ``step``, or ``wrong_state``."""
    following = TRANSITIONS.get((state, step))
    if following is None:
        raise StateError("wrong_state", f"{step}: not possible in state {state}")
    return following


def failed(session: EACSession, failure: Failure, *, client_minor: str = "") -> EACSession:
    """The session ended without a result: nothing but why remains of it."""
    state = next_state(session.state, Step.FAIL)
    return replace(_bare(session), state=state, failure=failure, client_minor=client_minor)


def completed(session: EACSession, result: EIDResult) -> EACSession:
    """The session ended with a result, and nothing but that remains of it."""
    return replace(_bare(session), state=next_state(session.state, Step.COMPLETE), result=result)


def end_minor(session: EACSession) -> str:
    """Why an ended session has no result; empty if it has one. That the user did not want to is worth to be told."""
    if session.failure is None:
        return ""
    if session.client_minor == ClientMinor.CANCELLATION_BY_USER:
        return session.client_minor
    return SERVICE_MINORS[session.failure]


def asked_for_result(session: EACSession, *, session_id: str, owner: str, counter: int) -> EACSession:
    """The session after getResult with this counter (TR-03130-1 §3.3); ``EIDServerError`` for a foreign session.

    ``invalidCounter`` ends the session: the caller must delete it. A session that still runs is ``noResultYet`` after
    the caller has stored what is returned here.
    """
    if not (compare_digest(session_id.encode(), session.id.encode()) and owner == session.owner):
        raise EIDServerError(Minor.INVALID_SESSION, "getResult: expected a session of this eService")
    if counter != session.counter + 1:
        raise EIDServerError(Minor.INVALID_COUNTER, "getResult: RequestCounter: expected the next number")
    return replace(session, counter=counter)


def result_of(session: EACSession) -> EIDResult:
    """The result; ``EIDServerError`` with the minor of the failure, or ``noResultYet``."""
    if session.result is not None:
        return session.result
    if session.failure is not None:
        raise EIDServerError(
            SERVICE_MINORS[session.failure], f"getResult: the authentication failed: {session.failure}"
        )
    raise EIDServerError(Minor.NO_RESULT_YET, "getResult: the eID client is not done yet")


def _bare(session: EACSession) -> EACSession:
    return EACSession(
        session.id, session.psk_id, session.owner, session.deadline, state=session.state, counter=session.counter
    )
