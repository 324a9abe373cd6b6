"""The state machine: every (state, step) pair, and time to the instant."""

import pytest

from useid_middleware._codec import b64url, replace
from useid_middleware.errors import AuthenticationError, StateError
from useid_middleware.identity import Level
from useid_middleware.qr.core import session as core
from useid_middleware.qr.core.frame import frame_at, is_frame_current, next_frame_in
from useid_middleware.qr.core.session import TRANSITIONS, QRSession, State, Step
from useid_middleware.qr.core.signing import CheckedDecision, Decision, RequestContext
from useid_middleware.waiting.code import check_code_format, confirmation_code

CONTEXT = RequestContext("Example", "https://app.example", "192.0.2.1", "", "Firefox", "2026-11-21T00:00:00Z")
NOW = 1000.0

#: What each step leads to from each state; all that is not here is refused.
EXPECTED = {
    ("waiting", "scan"): "scanned",
    ("waiting", "expire"): "expired",
    ("scanned", "approve"): "approved",
    ("scanned", "confirm"): "confirmed",
    ("scanned", "reject"): "rejected",
    ("scanned", "expire"): "expired",
    ("confirmed", "ask"): "authenticating",
    ("confirmed", "reject"): "rejected",
    ("confirmed", "expire"): "expired",
    ("authenticating", "release"): "approved",
    ("authenticating", "fail"): "rejected",
    ("authenticating", "expire"): "expired",
    ("approved", "claim"): "claimed",
    ("approved", "fail"): "rejected",
    ("approved", "expire"): "expired",
}


def make(*, level: Level = Level.L1, **changes: object) -> QRSession:
    session = QRSession(
        id=b64url(b"i" * 16),
        challenge=b64url(b"c" * 32),
        browser=b"b" * 32,
        frame_key=b"k" * 16,
        frame_period=30,
        server="https://app.example/auth",
        context=CONTEXT,
        context_digest=CONTEXT.digest(),
        level=level,
        return_to="",
        created_at=NOW,
        deadline=NOW + 300,
    )
    return replace(session, **changes)


def scan(session: QRSession, *, now: float = NOW, key_id: bytes = b"p" * 16, frame: str | None = None) -> QRSession:
    frame = frame_at(session, now=now) if frame is None else frame
    return core.scan(session, now=now, key_id=key_id, device_id="d", account_id="a", frame=frame)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("step", Step)
def test_every_pair_of_state_and_step_is_decided(state: State, step: Step) -> None:
    expected = EXPECTED.get((state.value, step.value))
    if expected is not None:
        assert core.next_state(state, step) == expected
        return
    with pytest.raises(StateError) as caught:
        core.next_state(state, step)
    is_over = state is State.EXPIRED
    assert caught.value.code == ("session_expired" if is_over else "wrong_state")
    assert caught.value.status_hint == (410 if is_over else 409)


def test_the_table_has_no_pair_that_this_test_does_not_know() -> None:
    assert {(state.value, step.value): after.value for (state, step), after in TRANSITIONS.items()} == EXPECTED


def test_final_states_are_those_that_nothing_leaves() -> None:
    assert {state for state, _ in TRANSITIONS} == set(State) - core.FINAL


@pytest.mark.parametrize("state", sorted(set(State) - core.FINAL))
def test_a_state_that_is_not_final_expires_at_its_deadline_to_the_instant(state: State) -> None:
    session = make(state=state)
    assert core.at_time(session, now=NOW + 299.999999).state is state
    assert core.at_time(session, now=NOW + 300).state is State.EXPIRED


@pytest.mark.parametrize("state", sorted(core.FINAL))
def test_a_final_state_stays(state: State) -> None:
    assert core.at_time(make(state=state), now=NOW + 10_000).state is state


def test_approving_starts_the_time_to_claim() -> None:
    approved = core.decide(scan(make()), CheckedDecision(Decision.APPROVE, NOW + 10), code="123456", deadline=NOW + 130)
    assert core.at_time(approved, now=NOW + 129).state is State.APPROVED
    assert core.at_time(approved, now=NOW + 130).state is State.EXPIRED


def test_the_same_phone_may_scan_again_and_another_may_not() -> None:
    scanned = scan(make())
    assert scan(scanned, frame="") is scanned
    with pytest.raises(StateError, match="already_scanned"):
        scan(scanned, key_id=b"q" * 16)


def test_a_frame_lives_for_its_period_and_one_more() -> None:
    session = make()
    frame = frame_at(session, now=NOW + 29.9)
    assert is_frame_current(frame, session, now=NOW)
    assert is_frame_current(frame, session, now=NOW + 59.9)
    assert not is_frame_current(frame, session, now=NOW + 60)
    assert not is_frame_current("", session, now=NOW)
    assert next_frame_in(session, now=NOW + 29) == pytest.approx(1)
    assert not is_frame_current(frame, replace(session, frame_key=b"x" * 16), now=NOW)


def test_at_l0_no_frame_is_asked_for_and_none_is_kept() -> None:
    scanned = scan(make(level=Level.L0), frame="whatever")
    assert (scanned.state, scanned.frame) == (State.SCANNED, "")


def test_a_wrong_code_costs_an_attempt_and_the_fifth_ends_the_session() -> None:
    session = core.decide(scan(make()), CheckedDecision(Decision.APPROVE, NOW), code="123456", deadline=NOW + 120)
    for left in (4, 3, 2, 1):
        session, error = core.claim(session, code="000000", now=NOW)
        assert error is not None
        assert (session.state, error.details["attemptsLeft"]) == (State.APPROVED, left)
    session, error = core.claim(session, code="000000", now=NOW)
    assert error is not None
    assert (session.state, error.details["attemptsLeft"]) == (State.REJECTED, 0)


def test_a_code_not_given_costs_nothing() -> None:
    session = core.decide(scan(make()), CheckedDecision(Decision.APPROVE, NOW), code="123456", deadline=NOW + 120)
    with pytest.raises(AuthenticationError, match="code_required"):
        core.claim(session, code="", now=NOW)


@pytest.mark.parametrize("typed", ["123456", "123 456", "123-456", " 123456 "])
def test_a_code_may_be_typed_as_people_type(typed: str) -> None:
    assert check_code_format(typed) == "123456"


@pytest.mark.parametrize("typed", ["12345", "1234567", "abcdef", "12345٣", "１２３４５６"])
def test_what_is_no_code_is_refused_before_it_costs_an_attempt(typed: str) -> None:
    with pytest.raises(Exception, match="malformed_request"):
        check_code_format(typed)


def test_the_status_tells_a_frame_while_waiting_and_nothing_about_the_person() -> None:
    waiting = core.status(make(), version=1, now=NOW)
    assert waiting == {
        "status": "waiting",
        "version": 1,
        "expiresAt": "1970-01-01T00:21:40Z",
        "expiresIn": 300,
        "frame": frame_at(make(), now=NOW),
    }
    approved = core.status(make(state=State.APPROVED, code_hash=b"x", account_id="a"), version=3, now=NOW + 299.5)
    assert approved == {
        "status": "approved",
        "version": 3,
        "expiresAt": "1970-01-01T00:21:40Z",
        "expiresIn": 1,
        "codeRequired": True,
    }


@pytest.mark.parametrize(
    ("drawn", "code"),
    [(bytes(8), "000000"), ((7).to_bytes(8, "big"), "000007"), ((123_456_789).to_bytes(8, "big"), "456789")],
)
def test_a_code_has_six_digits_whatever_was_drawn(drawn: bytes, code: str) -> None:
    assert confirmation_code(drawn) == code
