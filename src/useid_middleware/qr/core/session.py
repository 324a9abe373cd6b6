"""The device switch as a state machine: one record, one table, and the steps as pure functions.

States and steps are those of the flow page; ``claimed`` is ours (the login is fetched by the desktop, once)::

    waiting --scan--> scanned --approve--> approved --claim--> claimed
                         |                     '--fail--> rejected   (five wrong codes)
                         '--reject--> rejected
    waiting, scanned, approved --expire--> expired
"""

from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from math import ceil
from typing import Final

from ..._codec import Record, replace, timestamp
from ...errors import StateError, UseIDError
from ...identity import Level
from ...waiting.code import MAX_CODE_ATTEMPTS, code_required, code_wrong
from .frame import frame_at, is_frame_current
from .signing import CheckedDecision, Decision, RequestContext


class State(StrEnum):
    """The states, as the events name them."""

    WAITING = "waiting"
    SCANNED = "scanned"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CLAIMED = "claimed"


class Step(StrEnum):
    """What can happen to a session."""

    SCAN = "scan"
    APPROVE = "approve"
    REJECT = "reject"
    CLAIM = "claim"
    FAIL = "fail"
    EXPIRE = "expire"


TRANSITIONS: Final[dict[tuple[State, Step], State]] = {
    (State.WAITING, Step.SCAN): State.SCANNED,
    (State.SCANNED, Step.APPROVE): State.APPROVED,
    (State.SCANNED, Step.REJECT): State.REJECTED,
    (State.APPROVED, Step.CLAIM): State.CLAIMED,
    (State.APPROVED, Step.FAIL): State.REJECTED,
    (State.WAITING, Step.EXPIRE): State.EXPIRED,
    (State.SCANNED, Step.EXPIRE): State.EXPIRED,
    (State.APPROVED, Step.EXPIRE): State.EXPIRED,
}
FINAL: Final = frozenset({State.REJECTED, State.EXPIRED, State.CLAIMED})


class QRSession(Record, frozen=True):
    """One login by QR. Times are Unix seconds. Ids, challenge and frame are base64url; keys and hashes raw.

    ``browser`` is the SHA-256 of the cookie of the browser that asked; ``deadline`` ends the present state. ``frame``
    is the one that was scanned. ``code_hash`` is empty when no code is asked for.
    """

    id: str
    challenge: str
    browser: bytes
    frame_key: bytes
    frame_period: float
    server: str
    context: RequestContext
    context_digest: bytes
    level: Level
    return_to: str
    created_at: float
    deadline: float
    state: State = State.WAITING
    key_id: bytes = b""
    device_id: str = ""
    account_id: str = ""
    frame: str = ""
    code_hash: bytes = b""
    attempts: int = 0

    @property
    def rotates(self) -> bool:
        """Whether the QR carries a frame."""
        return self.level >= Level.L1


def next_state(state: State, step: Step) -> State:
    """The state behind ``step``, or ``session_expired`` / ``wrong_state``."""
    following = TRANSITIONS.get((state, step))
    if following is not None:
        return following
    if state is State.EXPIRED:
        raise StateError("session_expired", f"{step}: the session has expired; start again", status_hint=410)
    raise StateError("wrong_state", f"{step}: not possible in state {state}")


def at_time(session: QRSession, *, now: float) -> QRSession:
    """The session as it is at ``now``: expired from its deadline on, to the instant, whoever looks first."""
    if now >= session.deadline and session.state not in FINAL:
        return replace(session, state=next_state(session.state, Step.EXPIRE))
    return session


def scan(session: QRSession, *, now: float, key_id: bytes, device_id: str, account_id: str, frame: str) -> QRSession:
    """The first scanner holds the session. The same phone may scan again; it changes nothing."""
    if session.state is State.SCANNED:
        if compare_digest(session.key_id, key_id):
            return session
        raise StateError("already_scanned", "scan: another phone has scanned this code")
    following = next_state(session.state, Step.SCAN)
    if session.rotates and not is_frame_current(frame, session, now=now):
        raise StateError("frame_stale", "frame: expected the frame of this moment; scan again")
    return replace(
        session,
        state=following,
        key_id=key_id,
        device_id=device_id,
        account_id=account_id,
        frame=frame if session.rotates else "",
    )


def decide(session: QRSession, checked: CheckedDecision, *, code: str, deadline: float) -> QRSession:
    """Approve or reject, as the verified decision says. ``code`` is empty when the desktop need not type one."""
    step = Step.APPROVE if checked.decision is Decision.APPROVE else Step.REJECT
    following = next_state(session.state, step)
    if following is State.REJECTED:
        return ended(session, following, now=checked.now)
    return replace(session, state=following, deadline=deadline, code_hash=code_hash(session, code) if code else b"")


def claim(session: QRSession, *, code: str, now: float) -> tuple[QRSession, UseIDError | None]:
    """What becomes of the session when the desktop claims it, and the error to tell it, if any.

    A wrong code costs an attempt, the fifth ends the session; so the new session has to be stored in either case.
    """
    following = next_state(session.state, Step.CLAIM)
    if not session.code_hash:
        return ended(session, following, now=now), None
    left = MAX_CODE_ATTEMPTS - session.attempts
    if not code:
        raise code_required(left)
    if compare_digest(code_hash(session, code), session.code_hash):
        return ended(session, following, now=now), None
    error = code_wrong(left - 1)
    tried = replace(session, attempts=session.attempts + 1)
    if left > 1:
        return tried, error
    return ended(tried, next_state(session.state, Step.FAIL), now=now), error


def ended(session: QRSession, state: State, *, now: float) -> QRSession:
    """The session in a final state, which it entered at ``now``."""
    return replace(session, state=state, deadline=now)


def code_hash(session: QRSession, code: str) -> bytes:
    """What is kept of a confirmation code."""
    return sha256(session.frame_key + session.id.encode() + code.encode()).digest()


def status(session: QRSession, *, version: int, now: float) -> dict[str, object]:
    """What the desktop may know of the session: nothing about the person, and no secret but the QR's frame."""
    data: dict[str, object] = {
        "status": session.state.value,
        "version": version,
        "expiresAt": timestamp(session.deadline),
        "expiresIn": max(0, ceil(session.deadline - now)),
    }
    if session.state is State.WAITING and session.rotates:
        data["frame"] = frame_at(session, now=now)
    elif session.state is State.APPROVED:
        data["codeRequired"] = bool(session.code_hash)
    return data
