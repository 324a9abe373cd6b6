"""A login with an ID card as a state machine: one record, one table, and the steps as pure functions.

::

    waiting --scan--> scanned              the phone began (its start page, or its client fetched the tcToken)
    waiting, scanned --fetch--> scanned    the client fetched the tcToken, once
    scanned --approve--> approved          standard client: it came back to the phone's browser
    waiting, scanned --seal--> approved    integrated client: it sent the sealed refresh address
    waiting, scanned --ask--> authenticating    bound: the phone has a credential, for which the browser is asked
    authenticating --release--> approved   bound: the browser has proved that the phone is at hand
    scanned, approved --claim--> claiming  the browser that began asks for its login; the eID server is asked
    claiming --finish--> claimed
    claiming --resume--> approved, --return--> scanned    the eID server had no result yet, or did not answer
    waiting, scanned, authenticating, approved --reject--> rejected    the user, the client or the eID server ended it
    claiming --fail--> rejected, approved --fail--> rejected (five wrong codes)
    waiting, scanned, authenticating, approved, claiming --expire--> expired
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
from ...waiting.code import MAX_CODE_ATTEMPTS, code_required, code_wrong
from ...waiting.tokens import digest


class Mode(StrEnum):
    """How browser and eID client meet."""

    #: The QR code opens a page on the phone, whose stock client comes back to the phone's browser.
    STANDARD = "standard"
    #: The phone's client knows the widget and sends it the sealed refresh address.
    INTEGRATED = "integrated"
    #: The same, and the browser gets the sealed address once it has proved by WebAuthn that the phone is at hand.
    BOUND = "bound"
    #: The client is on the device of the browser.
    SAME_DEVICE = "same-device"


class State(StrEnum):
    """The states, as the events name them."""

    WAITING = "waiting"
    SCANNED = "scanned"
    AUTHENTICATING = "authenticating"
    APPROVED = "approved"
    CLAIMING = "claiming"
    CLAIMED = "claimed"
    REJECTED = "rejected"
    EXPIRED = "expired"


class Step(StrEnum):
    """What can happen to a login."""

    SCAN = "scan"
    FETCH = "fetch"
    APPROVE = "approve"
    SEAL = "seal"
    ASK = "ask"
    RELEASE = "release"
    CLAIM = "claim"
    RESUME = "resume"
    RETURN = "return"
    FINISH = "finish"
    REJECT = "reject"
    FAIL = "fail"
    EXPIRE = "expire"


class Reason(StrEnum):
    """Why a login was rejected."""

    CANCELLED = "cancelled"
    FAILED = "failed"
    CODE = "code"
    DOCUMENT = "document"
    REQUIREMENTS = "requirements"
    BINDING = "binding"


TRANSITIONS: Final[dict[tuple[State, Step], State]] = {
    (State.WAITING, Step.SCAN): State.SCANNED,
    (State.WAITING, Step.FETCH): State.SCANNED,
    (State.SCANNED, Step.FETCH): State.SCANNED,
    (State.SCANNED, Step.APPROVE): State.APPROVED,
    (State.WAITING, Step.SEAL): State.APPROVED,
    (State.SCANNED, Step.SEAL): State.APPROVED,
    (State.WAITING, Step.ASK): State.AUTHENTICATING,
    (State.SCANNED, Step.ASK): State.AUTHENTICATING,
    (State.AUTHENTICATING, Step.RELEASE): State.APPROVED,
    (State.SCANNED, Step.CLAIM): State.CLAIMING,
    (State.APPROVED, Step.CLAIM): State.CLAIMING,
    (State.CLAIMING, Step.FINISH): State.CLAIMED,
    (State.CLAIMING, Step.RESUME): State.APPROVED,
    (State.CLAIMING, Step.RETURN): State.SCANNED,
    (State.WAITING, Step.REJECT): State.REJECTED,
    (State.SCANNED, Step.REJECT): State.REJECTED,
    (State.AUTHENTICATING, Step.REJECT): State.REJECTED,
    (State.APPROVED, Step.REJECT): State.REJECTED,
    (State.APPROVED, Step.FAIL): State.REJECTED,
    (State.CLAIMING, Step.FAIL): State.REJECTED,
    (State.WAITING, Step.EXPIRE): State.EXPIRED,
    (State.SCANNED, Step.EXPIRE): State.EXPIRED,
    (State.AUTHENTICATING, Step.EXPIRE): State.EXPIRED,
    (State.APPROVED, Step.EXPIRE): State.EXPIRED,
    (State.CLAIMING, Step.EXPIRE): State.EXPIRED,
}
FINAL: Final = frozenset({State.REJECTED, State.EXPIRED, State.CLAIMED})


class EIDLogin(Record, frozen=True):
    """One login with an ID card. Times are Unix seconds.

    Secrets are kept as their SHA-256, empty once they are spent: ``browser`` is the cookie of the browser that began,
    ``phone`` that of the phone's; ``start`` opens the page on the phone, ``token`` fetches the tcToken, ``refresh``
    comes back. ``eid_session`` is the eID server's session, ``counter`` the last number it was asked with. ``user_id``
    and ``options`` are what the browser is asked to prove. ``tenant`` and ``tc_token_url`` belong to a login of another
    site.
    """

    id: str
    mode: Mode
    browser: bytes
    server: str
    return_to: str
    created_at: float
    deadline: float
    state: State = State.WAITING
    phone: bytes = b""
    start: bytes = b""
    token: bytes = b""
    refresh: bytes = b""
    eid_session: str = ""
    counter: int = 0
    code_hash: bytes = b""
    attempts: int = 0
    user_id: str = ""
    options: Mapping[str, Any] | None = None
    sealed: str = ""
    reason: str = ""
    tenant: str = ""
    tc_token_url: str = ""
    #: Where it was before the eID server was asked, and until when it would have been there.
    came_from: State = State.SCANNED
    came_until: float = 0.0


#: A login that nobody has, and which no code opens: what unknown and foreign logins are treated like.
DECOY: Final = EIDLogin(
    id="A" * 22,
    mode=Mode.STANDARD,
    browser=bytes(32),
    server="https://app.example/auth",
    return_to="",
    created_at=0.0,
    deadline=2.0**40,
    state=State.APPROVED,
    phone=bytes(32),
    eid_session="A" * 32,
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


def at_time(login: EIDLogin, *, now: float) -> EIDLogin:
    """The login as it is at ``now``: expired from its deadline on, to the instant, whoever looks first."""
    if is_past(created_at=login.created_at, deadline=login.deadline, now=now) and login.state not in FINAL:
        return ended(login, next_state(login.state, Step.EXPIRE), now=login.deadline)
    return login


def begin_on_phone(login: EIDLogin, *, phone: bytes, token: str, deadline: float) -> EIDLogin:
    """Standard client: the phone's user wants to go on; the first phone has it."""
    if login.mode is not Mode.STANDARD:
        raise StateError("wrong_state", "scan: not possible in this mode")
    following = next_state(login.state, Step.SCAN)
    return replace(login, state=following, phone=phone, start=b"", token=digest(token), deadline=deadline)


def fetch_token(login: EIDLogin, *, refresh: str, deadline: float) -> EIDLogin:
    """The client fetches the tcToken: it is spent, and where the client comes back is settled."""
    following = next_state(login.state, Step.FETCH)
    return replace(login, state=following, token=b"", refresh=digest(refresh), deadline=deadline)


def note_session(login: EIDLogin, eid_session: str) -> EIDLogin:
    """The eID server's session, once it is open; ``wrong_state`` if the login ended meanwhile."""
    return replace(login, state=next_state(login.state, Step.FETCH), eid_session=eid_session)


def approve(login: EIDLogin, *, code: str, deadline: float) -> EIDLogin:
    """Standard client: it came back to the phone's browser, which shows the code."""
    following = next_state(login.state, Step.APPROVE)
    return replace(login, state=following, refresh=b"", code_hash=code_hash(login, code), deadline=deadline)


def seal(login: EIDLogin, *, sealed: str, deadline: float) -> EIDLogin:
    """Integrated client: the refresh address has come, sealed; once."""
    if login.mode is not Mode.INTEGRATED:
        raise StateError("wrong_state", "seal: not possible in this mode")
    if not login.tenant and login.state is State.WAITING:
        raise StateError("wrong_state", "seal: expected the tcToken to be fetched before")
    following = next_state(login.state, Step.SEAL)
    return replace(login, state=following, sealed=sealed, deadline=deadline)


def check_unbound(login: EIDLogin) -> EIDLogin:
    """The login, if its client may bring a temporary account; ``wrong_state``."""
    if login.mode is not Mode.BOUND:
        raise StateError("wrong_state", "ask: not possible in this mode")
    if not login.tenant and login.state is State.WAITING:
        raise StateError("wrong_state", "ask: expected the tcToken to be fetched before")
    next_state(login.state, Step.ASK)
    return login


def ask(login: EIDLogin, *, user_id: str, options: Mapping[str, Any], deadline: float) -> EIDLogin:
    """The phone has a credential, and the browser is asked to prove that it is at hand."""
    following = next_state(check_unbound(login).state, Step.ASK)
    return replace(login, state=following, user_id=user_id, options=options, deadline=deadline)


def release(login: EIDLogin, *, user_id: str, sealed: str, deadline: float) -> EIDLogin:
    """The browser has proved it: it gets the sealed refresh address."""
    following = next_state(login.state, Step.RELEASE)
    if login.user_id != user_id:
        raise StateError("wrong_state", "release: expected the account that the browser was asked for")
    return replace(login, state=following, user_id="", options=None, sealed=sealed, deadline=deadline)


def refuse(login: EIDLogin, *, user_id: str, now: float) -> EIDLogin:
    """The browser has proved nothing."""
    if login.state is not State.AUTHENTICATING or login.user_id != user_id:
        raise StateError("wrong_state", "refuse: expected the account that the browser was asked for")
    return reject(login, reason=Reason.BINDING, now=now)


def check_code(login: EIDLogin, *, code: str, now: float, deadline: float) -> tuple[EIDLogin, UseIDError | None]:
    """What becomes of the login when the desktop claims it with this code, and the error to tell it, if any.

    A wrong code costs an attempt, the fifth ends the login; so the new record has to be stored in either case.
    """
    next_state(login.state, Step.CLAIM)
    if login.mode is not Mode.STANDARD or login.state is not State.APPROVED:
        raise StateError("wrong_state", f"claim: not possible in state {login.state}")
    left = MAX_CODE_ATTEMPTS - login.attempts
    if not code:
        raise code_required(left)
    if compare_digest(code_hash(login, code), login.code_hash):
        return claim(login, deadline=deadline), None
    error = code_wrong(left - 1)
    tried = replace(login, attempts=login.attempts + 1)
    if left > 1:
        return tried, error
    return fail(tried, reason=Reason.CODE, now=now), error


def claim(login: EIDLogin, *, deadline: float) -> EIDLogin:
    """The browser that began asks for its login: the eID server is asked with the next number.

    ``deadline`` is for the answer, and holds only until that is there: :func:`resume` brings the old one back.
    """
    following = next_state(login.state, Step.CLAIM)
    if login.mode is Mode.BOUND and login.state is not State.APPROVED:
        # Who knows the refresh address, and has proved nothing, is refused here.
        raise StateError("wrong_state", "claim: expected the browser to be bound before")
    return replace(
        login,
        state=following,
        counter=login.counter + 1,
        came_from=login.state,
        came_until=login.deadline,
        deadline=max(deadline, login.deadline),
    )


def resume(login: EIDLogin, *, asked: bool) -> EIDLogin:
    """There is no result yet: as before. Unless the eID server was ``asked``, the number can be used again."""
    step = Step.RESUME if login.came_from is State.APPROVED else Step.RETURN
    counter = login.counter if asked else login.counter - 1
    return replace(login, state=next_state(login.state, step), counter=counter, deadline=login.came_until)


def finish(login: EIDLogin, *, now: float) -> EIDLogin:
    """The login is made, and the way back is used up."""
    return replace(ended(login, next_state(login.state, Step.FINISH), now=now), refresh=b"")


def reject(login: EIDLogin, *, reason: Reason, now: float) -> EIDLogin:
    """The user, the client or the eID server ended it."""
    return replace(ended(login, next_state(login.state, Step.REJECT), now=now), reason=reason.value)


def fail(login: EIDLogin, *, reason: Reason, now: float) -> EIDLogin:
    """It ended while its result was being fetched, or by wrong codes."""
    return replace(ended(login, next_state(login.state, Step.FAIL), now=now), reason=reason.value)


def ended(login: EIDLogin, state: State, *, now: float) -> EIDLogin:
    """The login in a final state, which it entered at ``now``; what could lead further is gone.

    But for the way back: the client brings the browser there, which is told how it ended.
    """
    return replace(login, state=state, deadline=now, start=b"", token=b"", eid_session="", sealed="", options=None)


def code_hash(login: EIDLogin, code: str) -> bytes:
    """What is kept of a confirmation code."""
    return sha256(b"".join((login.browser, login.phone, login.id.encode(), code.encode()))).digest()


def status(login: EIDLogin, *, version: int, now: float) -> dict[str, object]:
    """What the browser that began may know: nothing about the person, and no secret."""
    data: dict[str, object] = {
        "status": login.state.value,
        "version": version,
        "expiresAt": timestamp(login.deadline),
        "expiresIn": max(0, ceil(login.deadline - now)),
    }
    if login.state is State.APPROVED:
        data["codeRequired"] = login.mode is Mode.STANDARD
        if login.sealed:
            data["sealedRefreshUrl"] = login.sealed
    elif login.state is State.AUTHENTICATING:
        data |= {"userId": login.user_id, "options": login.options}
    elif login.state is State.REJECTED:
        data["reason"] = login.reason
    return data
