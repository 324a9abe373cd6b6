"""The state machine: every (state, step) pair, each step, and time to the instant."""

from typing import Any

import pytest

from useid_middleware._codec import b64url, replace
from useid_middleware.eid.core import session as core
from useid_middleware.eid.core.session import TRANSITIONS, EIDLogin, Mode, Reason, State, Step
from useid_middleware.errors import AuthenticationError, StateError
from useid_middleware.waiting.code import code_required, code_wrong
from useid_middleware.waiting.tokens import digest, is_secret, make_token, record_of

NOW = 1000.0
ID = b64url(b"i" * 16)
START, TOKEN, REFRESH = (make_token(ID, drawn * 16) for drawn in (b"s", b"t", b"r"))
CODE = "123456"

#: What each step leads to from each state; all that is not here is refused.
EXPECTED = {
    ("waiting", "scan"): "scanned",
    ("waiting", "fetch"): "scanned",
    ("waiting", "seal"): "approved",
    ("waiting", "ask"): "authenticating",
    ("waiting", "reject"): "rejected",
    ("waiting", "expire"): "expired",
    ("scanned", "fetch"): "scanned",
    ("scanned", "approve"): "approved",
    ("scanned", "seal"): "approved",
    ("scanned", "ask"): "authenticating",
    ("scanned", "claim"): "claiming",
    ("scanned", "reject"): "rejected",
    ("scanned", "expire"): "expired",
    ("authenticating", "release"): "approved",
    ("authenticating", "reject"): "rejected",
    ("authenticating", "expire"): "expired",
    ("approved", "claim"): "claiming",
    ("approved", "reject"): "rejected",
    ("approved", "fail"): "rejected",
    ("approved", "expire"): "expired",
    ("claiming", "resume"): "approved",
    ("claiming", "return"): "scanned",
    ("claiming", "finish"): "claimed",
    ("claiming", "fail"): "rejected",
    ("claiming", "expire"): "expired",
}


def make(mode: Mode = Mode.STANDARD, **changes: Any) -> EIDLogin:
    """A login that waits, with its first secret."""
    starts = mode is Mode.STANDARD
    login = EIDLogin(
        id=ID,
        mode=mode,
        browser=b"b" * 32,
        server="https://app.example/auth",
        return_to="",
        created_at=NOW,
        deadline=NOW + 300,
        start=digest(START) if starts else b"",
        token=b"" if starts else digest(TOKEN),
    )
    return replace(login, **changes)


def scanned() -> EIDLogin:
    return core.begin_on_phone(make(), phone=b"p" * 32, token=TOKEN, deadline=NOW + 300)


def fetched(mode: Mode = Mode.SAME_DEVICE) -> EIDLogin:
    login = scanned() if mode is Mode.STANDARD else make(mode)
    return core.note_session(core.fetch_token(login, refresh=REFRESH, deadline=NOW + 300), "eid-session")


def approved() -> EIDLogin:
    return core.approve(fetched(Mode.STANDARD), code=CODE, deadline=NOW + 120)


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
    login = make(state=state)
    assert core.at_time(login, now=NOW + 299.999999) is login
    expired = core.at_time(login, now=NOW + 300)
    assert (expired.state, expired.deadline) == (State.EXPIRED, NOW + 300)


def test_whoever_looks_late_sees_the_login_as_it_ended_then() -> None:
    late = core.at_time(fetched(), now=NOW + 400)
    assert late == core.at_time(fetched(), now=NOW + 300)
    assert (late.eid_session, late.token, late.start, late.sealed) == ("", b"", b"", "")


@pytest.mark.parametrize("state", sorted(core.FINAL))
def test_a_final_state_stays(state: State) -> None:
    login = make(state=state)
    assert core.at_time(login, now=NOW + 10_000) is login


def test_the_phone_that_begins_spends_the_start_page_and_is_given_a_token() -> None:
    login = scanned()
    assert login.state is State.SCANNED
    assert (login.start, login.phone, login.deadline) == (b"", b"p" * 32, NOW + 300)
    assert is_secret(TOKEN, login.token)


def test_a_second_phone_comes_too_late() -> None:
    with pytest.raises(StateError, match="wrong_state"):
        core.begin_on_phone(scanned(), phone=b"q" * 32, token=TOKEN, deadline=NOW + 300)


@pytest.mark.parametrize("mode", [Mode.INTEGRATED, Mode.SAME_DEVICE])
def test_without_a_start_page_no_phone_begins(mode: Mode) -> None:
    with pytest.raises(StateError, match="wrong_state"):
        core.begin_on_phone(make(mode), phone=b"p" * 32, token=TOKEN, deadline=NOW + 300)


def test_the_tctoken_is_spent_by_fetching_it_and_says_where_to_come_back() -> None:
    login = core.fetch_token(make(Mode.SAME_DEVICE), refresh=REFRESH, deadline=NOW + 310)
    assert (login.state, login.token, login.deadline) == (State.SCANNED, b"", NOW + 310)
    assert is_secret(REFRESH, login.refresh)
    assert not is_secret(TOKEN, login.token)


@pytest.mark.parametrize("state", sorted({State.APPROVED, State.CLAIMING, *core.FINAL}))
def test_a_session_that_the_eid_server_opened_too_late_is_not_noted(state: State) -> None:
    with pytest.raises(StateError):
        core.note_session(make(Mode.SAME_DEVICE, state=state), "eid-session")


def test_approving_spends_the_way_back_and_starts_the_time_to_claim() -> None:
    login = approved()
    assert (login.state, login.refresh) == (State.APPROVED, b"")
    assert core.at_time(login, now=NOW + 119).state is State.APPROVED
    assert core.at_time(login, now=NOW + 120).state is State.EXPIRED


def test_the_code_itself_is_not_kept() -> None:
    assert CODE.encode() not in repr(approved()).encode()
    assert approved().code_hash != core.approve(fetched(Mode.STANDARD), code="123457", deadline=NOW).code_hash


def test_a_code_of_one_login_says_nothing_about_the_same_code_of_another() -> None:
    other = replace(fetched(Mode.STANDARD), id=b64url(b"j" * 16))
    assert core.code_hash(other, CODE) != approved().code_hash
    assert core.code_hash(replace(approved(), phone=b"q" * 32), CODE) != approved().code_hash


def test_the_sealed_address_is_taken_once_and_after_the_tctoken() -> None:
    sealed = core.seal(fetched(Mode.INTEGRATED), sealed="c2VhbGVk", deadline=NOW + 120)
    assert (sealed.state, sealed.sealed, sealed.deadline) == (State.APPROVED, "c2VhbGVk", NOW + 120)
    assert is_secret(REFRESH, sealed.refresh)
    for login in (sealed, make(Mode.INTEGRATED)):
        with pytest.raises(StateError, match="wrong_state"):
            core.seal(login, sealed="YWdhaW4", deadline=NOW + 120)


def test_another_sites_tctoken_is_not_ours_to_see_so_its_sealed_address_may_come_at_once() -> None:
    login = make(Mode.INTEGRATED, token=b"", tenant="shop", tc_token_url="https://shop.example/tctoken")
    assert core.seal(login, sealed="c2VhbGVk", deadline=NOW + 120).state is State.APPROVED


@pytest.mark.parametrize("mode", [Mode.STANDARD, Mode.SAME_DEVICE])
def test_in_other_modes_nothing_is_sealed(mode: Mode) -> None:
    with pytest.raises(StateError, match="wrong_state"):
        core.seal(fetched(mode), sealed="c2VhbGVk", deadline=NOW + 120)


def test_the_right_code_claims_and_the_number_for_the_eid_server_grows() -> None:
    login, error = core.check_code(approved(), code=CODE, now=NOW, deadline=NOW + 30)
    assert error is None
    assert (login.state, login.counter, login.attempts) == (State.CLAIMING, 1, 0)


def test_a_wrong_code_costs_an_attempt_and_the_fifth_ends_the_login() -> None:
    login = approved()
    for left in (4, 3, 2, 1):
        login, error = core.check_code(login, code="000000", now=NOW, deadline=NOW + 30)
        assert error is not None
        assert (error.code, error.details) == ("code_wrong", {"attemptsLeft": left})
        assert login.state is State.APPROVED
    assert core.check_code(login, code=CODE, now=NOW, deadline=NOW + 30)[1] is None
    login, error = core.check_code(login, code="000000", now=NOW, deadline=NOW + 30)
    assert error is not None
    assert (login.state, login.reason, error.details) == (State.REJECTED, Reason.CODE, {"attemptsLeft": 0})


def test_a_code_not_given_costs_nothing() -> None:
    with pytest.raises(AuthenticationError) as caught:
        core.check_code(approved(), code="", now=NOW, deadline=NOW + 30)
    assert (caught.value.code, caught.value.details) == ("code_required", {"attemptsLeft": 5})


def test_errors_about_the_code_say_how_many_attempts_are_left_and_no_digit() -> None:
    assert code_required(3).details == code_wrong(3).details == {"attemptsLeft": 3}
    assert code_wrong(3).status_hint == code_required(3).status_hint == 403


@pytest.mark.parametrize("state", sorted({*State} - {State.APPROVED, State.EXPIRED}))
def test_a_code_is_checked_once_the_phone_is_done(state: State) -> None:
    with pytest.raises(StateError, match="wrong_state"):
        core.check_code(replace(approved(), state=state), code=CODE, now=NOW, deadline=NOW + 30)


def test_a_code_for_an_expired_login_is_told_that_it_has_expired() -> None:
    with pytest.raises(StateError) as caught:
        core.check_code(replace(approved(), state=State.EXPIRED), code=CODE, now=NOW, deadline=NOW + 30)
    assert (caught.value.code, caught.value.status_hint) == ("session_expired", 410)


@pytest.mark.parametrize("mode", [Mode.INTEGRATED, Mode.SAME_DEVICE])
def test_a_code_claims_no_login_of_another_mode(mode: Mode) -> None:
    login = replace(approved(), mode=mode)
    with pytest.raises(StateError, match="wrong_state"):
        core.check_code(login, code=CODE, now=NOW, deadline=NOW + 30)


def test_a_login_that_has_no_code_yet_is_not_claimed_with_an_empty_one() -> None:
    login = replace(fetched(Mode.STANDARD), state=State.APPROVED)
    with pytest.raises(AuthenticationError, match="code_required"):
        core.check_code(login, code="", now=NOW, deadline=NOW + 30)
    assert core.check_code(login, code=CODE, now=NOW, deadline=NOW + 30)[1] is not None


def test_claiming_gives_the_answer_time_and_never_shortens_the_login() -> None:
    assert core.claim(fetched(), deadline=NOW + 330).deadline == NOW + 330
    assert core.claim(fetched(), deadline=NOW + 30).deadline == NOW + 300


@pytest.mark.parametrize(("asked", "counter"), [(True, 1), (False, 0)])
def test_without_a_result_the_login_goes_on_where_it_was_and_dies_when_it_would_have(asked: bool, counter: int) -> None:
    for login in (fetched(), approved()):
        again = core.resume(core.claim(login, deadline=NOW + 999), asked=asked)
        assert (again.state, again.deadline, again.counter) == (login.state, login.deadline, counter)
        assert again.code_hash == login.code_hash


def test_numbers_for_the_eid_server_grow_by_one_with_each_question_that_it_was_asked() -> None:
    login = fetched()
    for expected in (1, 2, 3):
        login = core.claim(login, deadline=NOW + 30)
        assert login.counter == expected
        login = core.resume(login, asked=True)


def test_what_is_finished_keeps_no_secret_and_leads_nowhere() -> None:
    login = core.finish(core.claim(fetched(), deadline=NOW + 30), now=NOW + 5)
    assert (login.state, login.deadline) == (State.CLAIMED, NOW + 5)
    assert (login.start, login.token, login.refresh, login.eid_session, login.sealed) == (b"", b"", b"", "", "")


@pytest.mark.parametrize("mode", Mode)
def test_a_login_that_ends_before_it_began_cannot_begin_any_more(mode: Mode) -> None:
    for login in (core.reject(make(mode), reason=Reason.FAILED, now=NOW), core.at_time(make(mode), now=NOW + 300)):
        assert (login.start, login.token) == (b"", b"")


def test_what_is_rejected_says_why_and_keeps_the_way_back_so_that_the_browser_is_told() -> None:
    login = core.reject(fetched(), reason=Reason.CANCELLED, now=NOW + 5)
    assert (login.state, login.reason, login.deadline) == (State.REJECTED, "cancelled", NOW + 5)
    assert (login.eid_session, login.token) == ("", b"")
    assert is_secret(REFRESH, login.refresh)


def test_a_login_can_fail_while_its_result_is_fetched() -> None:
    claiming = core.claim(fetched(), deadline=NOW + 30)
    with pytest.raises(StateError, match="wrong_state"):
        core.reject(claiming, reason=Reason.FAILED, now=NOW)
    assert core.fail(claiming, reason=Reason.DOCUMENT, now=NOW).reason == "document"


def test_a_secret_leads_to_its_login_and_nothing_else_does() -> None:
    assert record_of(TOKEN) == ID
    for other in ("", ID, TOKEN[:-1], TOKEN + "A", "!" + TOKEN[1:], TOKEN[:-1] + "B", "ä" * len(TOKEN)):
        assert record_of(other) == ""


def test_nothing_is_the_secret_of_a_login_that_has_spent_it() -> None:
    assert is_secret(TOKEN, digest(TOKEN))
    assert not is_secret(REFRESH, digest(TOKEN))
    assert not is_secret("", b"")
    assert not is_secret(TOKEN, b"")


def test_the_status_names_the_rest_of_the_time_and_no_secret() -> None:
    login = fetched()
    told = core.status(login, version=4, now=NOW + 0.5)
    assert told == {"status": "scanned", "version": 4, "expiresAt": "1970-01-01T00:21:40Z", "expiresIn": 300}
    assert core.status(login, version=4, now=NOW + 999)["expiresIn"] == 0


def test_what_an_approved_login_needs_depends_on_the_mode() -> None:
    assert core.status(approved(), version=3, now=NOW)["codeRequired"] is True
    sealed = core.status(core.seal(fetched(Mode.INTEGRATED), sealed="c2VhbGVk", deadline=NOW + 120), version=3, now=NOW)
    assert (sealed["codeRequired"], sealed["sealedRefreshUrl"]) == (False, "c2VhbGVk")
    assert "sealedRefreshUrl" not in core.status(approved(), version=3, now=NOW)


@pytest.mark.parametrize("reason", Reason)
def test_a_rejected_login_says_why(reason: Reason) -> None:
    told = core.status(core.reject(fetched(), reason=reason, now=NOW), version=5, now=NOW)
    assert (told["status"], told["reason"]) == ("rejected", reason.value)


# ── bound by WebAuthn ──────────────────────────────────────────────────────────────────────────────────────────────

USER, OTHER = "u" * 43, "v" * 43


def asked(**changes: Any) -> EIDLogin:
    return core.ask(fetched(Mode.BOUND), user_id=USER, options={"hints": ["hybrid"]}, deadline=NOW + 120, **changes)


def test_a_bound_login_is_released_after_its_proof_alone() -> None:
    login = asked()
    assert core.status(login, version=3, now=NOW)["options"] == {"hints": ["hybrid"]}
    with pytest.raises(StateError, match="wrong_state"):
        core.seal(login, sealed="sealed", deadline=NOW + 120)
    released = core.release(login, user_id=USER, sealed="sealed", deadline=NOW + 120)
    told = core.status(released, version=4, now=NOW)
    assert (told["status"], told["sealedRefreshUrl"]) == ("approved", "sealed")
    assert "options" not in told


@pytest.mark.parametrize("mode", [Mode.STANDARD, Mode.INTEGRATED, Mode.SAME_DEVICE])
def test_no_login_of_another_mode_is_bound(mode: Mode) -> None:
    with pytest.raises(StateError, match="wrong_state"):
        core.check_unbound(fetched(mode))


def test_a_client_that_never_fetched_the_tctoken_brings_nothing_unless_another_site_has_it() -> None:
    with pytest.raises(StateError, match="expected the tcToken to be fetched"):
        core.check_unbound(make(Mode.BOUND))
    login = make(Mode.BOUND, tenant="bank")
    assert core.check_unbound(login) is login


def test_a_bound_login_is_not_claimed_before_its_proof() -> None:
    for login in (fetched(Mode.BOUND), asked()):
        with pytest.raises(StateError, match="wrong_state"):
            core.claim(login, deadline=NOW + 30)
    released = core.release(asked(), user_id=USER, sealed="sealed", deadline=NOW + 120)
    assert core.claim(released, deadline=NOW + 30).state is State.CLAIMING


def test_the_proof_of_another_account_changes_nothing() -> None:
    with pytest.raises(StateError, match="wrong_state"):
        core.release(asked(), user_id=OTHER, sealed="sealed", deadline=NOW + 120)
    for login, user_id in ((asked(), OTHER), (fetched(Mode.BOUND), "")):
        with pytest.raises(StateError, match="wrong_state"):
            core.refuse(login, user_id=user_id, now=NOW)


def test_a_proof_that_does_not_hold_ends_the_login() -> None:
    refused = core.refuse(asked(), user_id=USER, now=NOW)
    assert (refused.state, refused.reason, refused.options) == (State.REJECTED, "binding", None)
