"""Enrolling a phone: the desktop offers, the phone proves its key, the desktop confirms with the phone's code.

::

    offered --prove--> proved --confirm--> confirmed
                          '--fail--> rejected   (five wrong codes)
    offered, proved --expire--> expired
"""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from math import ceil
from typing import Final

from ..._codec import Record, replace, timestamp, un_b64url
from ..._lifetime import is_past
from ...errors import StateError, UseIDError, malformed
from ...waiting.code import MAX_CODE_ATTEMPTS, code_required, code_wrong
from .signing import check_public_key, enrolment_message, verify_signature

MAX_LABEL: Final = 60


class EnrolmentState(StrEnum):
    """The states, as the status names them."""

    OFFERED = "offered"
    PROVED = "proved"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    EXPIRED = "expired"


class EnrolmentStep(StrEnum):
    """What can happen to an enrolment."""

    PROVE = "prove"
    CONFIRM = "confirm"
    FAIL = "fail"
    EXPIRE = "expire"


ENROLMENT_TRANSITIONS: Final[dict[tuple[EnrolmentState, EnrolmentStep], EnrolmentState]] = {
    (EnrolmentState.OFFERED, EnrolmentStep.PROVE): EnrolmentState.PROVED,
    (EnrolmentState.PROVED, EnrolmentStep.CONFIRM): EnrolmentState.CONFIRMED,
    (EnrolmentState.PROVED, EnrolmentStep.FAIL): EnrolmentState.REJECTED,
    (EnrolmentState.OFFERED, EnrolmentStep.EXPIRE): EnrolmentState.EXPIRED,
    (EnrolmentState.PROVED, EnrolmentStep.EXPIRE): EnrolmentState.EXPIRED,
}
ENROLMENT_FINAL: Final = frozenset({EnrolmentState.CONFIRMED, EnrolmentState.REJECTED, EnrolmentState.EXPIRED})


class Enrolment(Record, frozen=True):
    """One enrolment. ``key_id`` is drawn at the start; the phone learns it when it has proved its key."""

    id: str
    challenge: str
    account_id: str
    server: str
    key_id: bytes
    deadline: float
    state: EnrolmentState = EnrolmentState.OFFERED
    public_key: bytes = b""
    label: str = ""
    code_hash: bytes = b""
    attempts: int = 0
    created_at: float = 0.0


#: An enrolment that nobody has, and which no code opens: what unknown and foreign enrolments are treated like.
ENROLMENT_DECOY: Final = Enrolment(
    id="A" * 22,
    challenge="A" * 43,
    account_id="A" * 22,
    server="https://app.example/auth",
    key_id=bytes(16),
    deadline=2.0**40,
    state=EnrolmentState.PROVED,
    public_key=bytes(32),
    label="Phone",
    code_hash=bytes(32),
)


@dataclass(frozen=True, slots=True)
class ProvedKey:
    """A key whose holder signed this enrolment. Only :func:`check_proof` makes one."""

    public_key: bytes
    label: str


def next_enrolment_state(state: EnrolmentState, step: EnrolmentStep) -> EnrolmentState:
    """The state behind ``step``, or ``session_expired`` / ``wrong_state``."""
    following = ENROLMENT_TRANSITIONS.get((state, step))
    if following is not None:
        return following
    if state is EnrolmentState.EXPIRED:
        raise StateError("session_expired", f"{step}: the enrolment has expired; start again", status_hint=410)
    raise StateError("wrong_state", f"{step}: not possible in state {state}")


def enrolment_at_time(enrolment: Enrolment, *, now: float) -> Enrolment:
    """The enrolment as it is at ``now``."""
    is_over = is_past(created_at=enrolment.created_at, deadline=enrolment.deadline, now=now)
    if is_over and enrolment.state not in ENROLMENT_FINAL:
        return replace(enrolment, state=next_enrolment_state(enrolment.state, EnrolmentStep.EXPIRE))
    return enrolment


def check_label(label: str) -> str:
    """A name for the phone that can be shown anywhere: 1 to 60 printable characters."""
    label = label.strip()
    if not 1 <= len(label) <= MAX_LABEL or not label.isprintable():
        raise malformed("label", f"1 to {MAX_LABEL} printable characters")
    return label


def check_proof(
    enrolment: Enrolment, *, public_key: bytes, signature: bytes, label: str, issued_at: int, now: float
) -> ProvedKey:
    """Verify the proof of possession, or raise ``key_refused`` / ``signature_invalid``."""
    check_public_key(public_key)
    message = enrolment_message(
        server=enrolment.server,
        enrolment_id=un_b64url(enrolment.id, 16),
        challenge=un_b64url(enrolment.challenge, 32),
        public_key=public_key,
        label=label,
        issued_at=issued_at,
    )
    verify_signature(message, signature=signature, public_key=public_key, issued_at=issued_at, now=now)
    return ProvedKey(public_key, check_label(label))


def prove(enrolment: Enrolment, proved: ProvedKey, *, code: str) -> Enrolment:
    """The phone holds its key; the desktop has to type ``code``."""
    following = next_enrolment_state(enrolment.state, EnrolmentStep.PROVE)
    return replace(
        enrolment,
        state=following,
        public_key=proved.public_key,
        label=proved.label,
        code_hash=_code_hash(enrolment, code),
    )


def confirm(enrolment: Enrolment, *, code: str, now: float) -> tuple[Enrolment, UseIDError | None]:
    """What becomes of the enrolment when the desktop types ``code``, and the error to tell it, if any."""
    following = next_enrolment_state(enrolment.state, EnrolmentStep.CONFIRM)
    left = MAX_CODE_ATTEMPTS - enrolment.attempts - 1
    if not code:
        raise code_required(left + 1)
    if compare_digest(_code_hash(enrolment, code), enrolment.code_hash):
        return replace(enrolment, state=following, deadline=now), None
    tried = replace(enrolment, attempts=enrolment.attempts + 1)
    error = code_wrong(left)
    if left > 0:
        return tried, error
    return replace(tried, state=next_enrolment_state(enrolment.state, EnrolmentStep.FAIL), deadline=now), error


def enrolment_status(enrolment: Enrolment, *, version: int, now: float) -> dict[str, object]:
    """What the desktop is told."""
    data: dict[str, object] = {
        "status": enrolment.state.value,
        "version": version,
        "expiresAt": timestamp(enrolment.deadline),
        "expiresIn": max(0, ceil(enrolment.deadline - now)),
    }
    if enrolment.label:
        data["label"] = enrolment.label
    return data


def _code_hash(enrolment: Enrolment, code: str) -> bytes:
    return sha256(enrolment.key_id + enrolment.id.encode() + code.encode()).digest()
