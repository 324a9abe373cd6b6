"""The device switch as a state machine: one record, one table, and the steps as pure functions.

States and steps are those of the flow page; ``claimed`` is ours (the login is fetched by the desktop, once)::

    waiting --scan--> scanned --approve--> approved --claim--> claimed
                         |                     '--fail--> rejected   (five wrong codes)
                         '--reject--> rejected
    waiting, scanned, approved --expire--> expired

Where the browser has to prove that the phone is at hand (L2), there are two states more::

    scanned --confirm--> confirmed --ask--> authenticating --release--> approved
                             |                     '--fail--> rejected   (an assertion that does not hold)
                             '--reject--> rejected
    confirmed, authenticating --expire--> expired
"""

from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from math import ceil
from typing import Any, Final

from ..._codec import Record, replace, timestamp
from ..._lifetime import is_past
from ...errors import StateError, UseIDError
from ...identity import Level
from ...waiting.code import MAX_CODE_ATTEMPTS, code_required, code_wrong
from ...waiting.tokens import digest, is_secret
from .frame import frame_at, is_frame_current
from .signing import CheckedDecision, Decision, RequestContext


class State(StrEnum):
    """The states, as the events name them."""

    WAITING = "waiting"
    SCANNED = "scanned"
    CONFIRMED = "confirmed"
    AUTHENTICATING = "authenticating"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CLAIMED = "claimed"


class Step(StrEnum):
    """What can happen to a session."""

    SCAN = "scan"
    APPROVE = "approve"
    CONFIRM = "confirm"
    ASK = "ask"
    RELEASE = "release"
    REJECT = "reject"
    CLAIM = "claim"
    FAIL = "fail"
    EXPIRE = "expire"


TRANSITIONS: Final[dict[tuple[State, Step], State]] = {
    (State.WAITING, Step.SCAN): State.SCANNED,
    (State.SCANNED, Step.APPROVE): State.APPROVED,
    (State.SCANNED, Step.REJECT): State.REJECTED,
    (State.SCANNED, Step.CONFIRM): State.CONFIRMED,
    (State.CONFIRMED, Step.REJECT): State.REJECTED,
    (State.CONFIRMED, Step.ASK): State.AUTHENTICATING,
    (State.AUTHENTICATING, Step.RELEASE): State.APPROVED,
    (State.AUTHENTICATING, Step.FAIL): State.REJECTED,
    (State.APPROVED, Step.CLAIM): State.CLAIMED,
    (State.APPROVED, Step.FAIL): State.REJECTED,
    (State.WAITING, Step.EXPIRE): State.EXPIRED,
    (State.SCANNED, Step.EXPIRE): State.EXPIRED,
    (State.CONFIRMED, Step.EXPIRE): State.EXPIRED,
    (State.AUTHENTICATING, Step.EXPIRE): State.EXPIRED,
    (State.APPROVED, Step.EXPIRE): State.EXPIRED,
}
FINAL: Final = frozenset({State.REJECTED, State.EXPIRED, State.CLAIMED})


class QRSession(Record, frozen=True):
    """One login by QR. Times are Unix seconds. Ids, challenge and frame are base64url; keys and hashes raw.

    ``browser`` is the SHA-256 of the cookie of the browser that asked; ``deadline`` ends the present state. ``frame``
    is the one that was scanned. ``code_hash`` is empty when no code is asked for. Of a bound login ``refresh`` is the
    SHA-256 of the refresh address' secret; ``user_id`` and ``options`` are what the browser is asked to prove.
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
    refresh: bytes = b""
    user_id: str = ""
    options: Mapping[str, Any] | None = None
    sealed: str = ""

    @property
    def is_bound(self) -> bool:
        """Whether the browser has to prove that the phone is at hand."""
        return self.level >= Level.L2

    @property
    def rotates(self) -> bool:
        """Whether the QR carries a frame."""
        return self.level >= Level.L1


#: A session that nobody has, and which no code opens: what unknown and foreign sessions are treated like.
DECOY: Final = QRSession(
    id="A" * 22,
    challenge="A" * 43,
    browser=bytes(32),
    frame_key=bytes(16),
    frame_period=30,
    server="https://app.example/auth",
    context=RequestContext("Application", "https://app.example", "192.0.2.1", "", "Chrome on Linux", timestamp(0)),
    context_digest=bytes(32),
    level=Level.L1,
    return_to="",
    created_at=0.0,
    deadline=2.0**40,
    state=State.APPROVED,
    key_id=bytes(16),
    device_id="A" * 22,
    account_id="A" * 22,
    frame="A" * 11,
    code_hash=bytes(32),
)


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
    if is_past(created_at=session.created_at, deadline=session.deadline, now=now) and session.state not in FINAL:
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


def approving(session: QRSession) -> Step:
    """What an approval does to this session."""
    return Step.CONFIRM if session.is_bound else Step.APPROVE


def decide(
    session: QRSession, checked: CheckedDecision, *, code: str = "", refresh: str = "", deadline: float
) -> QRSession:
    """Approve or reject, as the verified decision says.

    ``code`` is empty when the desktop need not type one; ``refresh`` is the secret of a bound login's refresh address.
    """
    step = approving(session) if checked.decision is Decision.APPROVE else Step.REJECT
    following = next_state(session.state, step)
    if following is State.REJECTED:
        return ended(session, following, now=checked.now)
    return replace(
        session,
        state=following,
        deadline=deadline,
        code_hash=code_hash(session, code) if code else b"",
        refresh=digest(refresh) if refresh else b"",
    )


def check_unbound(session: QRSession) -> QRSession:
    """The session, if its phone may bring a temporary account; ``wrong_state``."""
    next_state(session.state, Step.ASK)
    return session


def ask(session: QRSession, *, user_id: str, options: Mapping[str, Any], deadline: float) -> QRSession:
    """The phone has a credential, and the browser is asked to prove that it is at hand."""
    return replace(
        session, state=next_state(session.state, Step.ASK), user_id=user_id, options=options, deadline=deadline
    )


def release(session: QRSession, *, user_id: str, sealed: str, deadline: float) -> QRSession:
    """The browser has proved it: it gets the sealed refresh address."""
    following = next_state(session.state, Step.RELEASE)
    if session.user_id != user_id:
        raise StateError("wrong_state", "release: expected the account that the browser was asked for")
    return replace(session, state=following, user_id="", options=None, sealed=sealed, deadline=deadline)


def refuse(session: QRSession, *, user_id: str, now: float) -> QRSession:
    """The browser has proved nothing."""
    if session.state is not State.AUTHENTICATING or session.user_id != user_id:
        raise StateError("wrong_state", "refuse: expected the account that the browser was asked for")
    return ended(session, next_state(session.state, Step.FAIL), now=now)


def claim_bound(session: QRSession, *, refresh: str, now: float) -> QRSession:
    """What becomes of a bound session when its browser is at the refresh address."""
    if not session.is_bound or not is_secret(refresh, session.refresh):
        raise StateError("wrong_state", "claim: expected the refresh address of this login")
    return ended(session, next_state(session.state, Step.CLAIM), now=now)


def claim(session: QRSession, *, code: str, now: float) -> tuple[QRSession, UseIDError | None]:
    """What becomes of the session when the desktop claims it, and the error to tell it, if any.

    A wrong code costs an attempt, the fifth ends the session; so the new session has to be stored in either case.
    """
    following = next_state(session.state, Step.CLAIM)
    if session.is_bound:
        raise StateError("wrong_state", "claim: this login ends at its refresh address")
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
    return replace(session, state=state, deadline=now, options=None, sealed="")


def code_hash(session: QRSession, code: str) -> bytes:
    """What is kept of a confirmation code."""
    return sha256(session.frame_key + session.id.encode() + code.encode()).digest()


def status(session: QRSession, *, version: int, now: float) -> dict[str, object]:
    """What the desktop may know of the session: nothing about the person, and no secret but the QR's frame."""
    data: dict[str, object] = {
        "status": session.state,
        "version": version,
        "expiresAt": timestamp(session.deadline),
        "expiresIn": max(0, ceil(session.deadline - now)),
    }
    if session.state is State.WAITING and session.rotates:
        data["frame"] = frame_at(session, now=now)
    elif session.state is State.AUTHENTICATING:
        data |= {"userId": session.user_id, "options": session.options}
    elif session.state is State.APPROVED:
        data["codeRequired"] = bool(session.code_hash)
        if session.sealed:
            data["sealedRefreshUrl"] = session.sealed
    return data
