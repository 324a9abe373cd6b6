"""The authorization response: nothing but the answer to our own question leads to a token request."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from useid_middleware.errors import AuthenticationError, ProviderError, RequestError, StateError, UseIDError
from useid_middleware.oidc.core.authorization import Attempt, new_attempt
from useid_middleware.oidc.core.callback import CheckedCallback, check_callback, read_parameters, token_request
from useid_middleware.oidc.core.metadata import ProviderMetadata

NOW = 1_700_000_000.0
ISSUER = "https://sso.example"
PLAIN = ProviderMetadata(issuer=ISSUER, authorization_endpoint=f"{ISSUER}/auth", token_endpoint=f"{ISSUER}/token")
PROMISING = ProviderMetadata(
    issuer=ISSUER,
    authorization_endpoint=f"{ISSUER}/auth",
    token_endpoint=f"{ISSUER}/token",
    authorization_response_iss_parameter_supported=True,
)


def attempt(response_type: str = "code") -> Attempt:
    """An attempt of this moment."""
    return new_attempt(
        provider="sso",
        random=bytes(range(96)),
        redirect_uri="https://app.example/auth/callback",
        return_to="",
        scopes=(),
        response_type=response_type,
        now=NOW,
    )


CODE = attempt()
HYBRID = attempt("code id_token")


def check(
    parameters: dict[str, str],
    *,
    to: Attempt = CODE,
    metadata: ProviderMetadata = PLAIN,
    requires_issuer: bool = False,
    now: float = NOW + 10,
) -> CheckedCallback:
    """What becomes of a response."""
    return check_callback(
        read_parameters(list(parameters.items())),
        to,
        metadata=metadata,
        requires_issuer=requires_issuer,
        now=now,
        lifetime=300,
    )


def response(**changes: str) -> dict[str, str]:
    """A good response, with changes."""
    return {"state": CODE.state, "code": "SplxlOBeZQQYbYS6WxSbIA"} | changes


def test_a_good_response_becomes_a_token_request() -> None:
    checked = check(response(session_state="abc.def", iss=ISSUER, something="else"))
    assert checked.session_state == "abc.def"
    assert checked.id_token == ""
    assert token_request(checked) == {
        "grant_type": "authorization_code",
        "code": "SplxlOBeZQQYbYS6WxSbIA",
        "redirect_uri": "https://app.example/auth/callback",
        "code_verifier": CODE.verifier,
    }


def test_a_hybrid_response_brings_its_id_token() -> None:
    checked = check(response(state=HYBRID.state, id_token="a.b.c"), to=HYBRID)
    assert (checked.code, checked.id_token) == ("SplxlOBeZQQYbYS6WxSbIA", "a.b.c")


def test_nobody_else_makes_a_checked_callback() -> None:
    with pytest.raises(TypeError, match="check_callback"):
        CheckedCallback("code", "", "", CODE, None)  # type: ignore[arg-type]


def test_a_checked_callback_shows_neither_code_nor_token() -> None:
    shown = repr(check(response(state=HYBRID.state, code="code-1", id_token="a.b.c"), to=HYBRID))
    assert "code-1" not in shown
    assert "a.b.c" not in shown


@pytest.mark.parametrize("state", ["", "x", CODE.state[:-1], CODE.state + "A", CODE.state.lower(), "ümlaut", "\ud800"])
def test_another_state_is_a_mismatch(state: str) -> None:
    with pytest.raises(StateError) as caught:
        check(response(state=state))
    assert (caught.value.code, caught.value.status_hint) == ("state_mismatch", 400)


def test_no_state_is_a_mismatch() -> None:
    with pytest.raises(StateError, match="state_mismatch"):
        check({"code": "SplxlOBeZQQYbYS6WxSbIA"})


@pytest.mark.parametrize("late", [300.0, 301.0, 1e9])
def test_a_late_response_has_expired(late: float) -> None:
    with pytest.raises(StateError) as caught:
        check(response(), now=NOW + late)
    assert (caught.value.code, caught.value.status_hint) == ("login_expired", 410)


def test_a_response_in_the_last_second_is_in_time() -> None:
    assert check(response(), now=NOW + 299.9).code


@pytest.mark.parametrize("issuer", ["", "https://evil.example", ISSUER + "/", ISSUER.upper(), "http://sso.example"])
@pytest.mark.parametrize("metadata", [PLAIN, PROMISING])
def test_a_response_of_another_issuer_is_refused(issuer: str, metadata: ProviderMetadata) -> None:
    with pytest.raises(ProviderError) as caught:
        check(response(iss=issuer), metadata=metadata)
    assert caught.value.code == "callback_issuer_mismatch"


def test_a_promised_issuer_must_be_there() -> None:
    with pytest.raises(ProviderError, match="callback_issuer_mismatch"):
        check(response(), metadata=PROMISING)


def test_a_demanded_issuer_must_be_there() -> None:
    with pytest.raises(ProviderError, match="callback_issuer_mismatch"):
        check(response(), requires_issuer=True)


def test_the_right_issuer_satisfies_promise_and_demand() -> None:
    assert check(response(iss=ISSUER), metadata=PROMISING, requires_issuer=True).code


def test_the_providers_refusal_is_told_with_its_code_and_description() -> None:
    with pytest.raises(AuthenticationError) as caught:
        check({"state": CODE.state, "error": "access_denied", "error_description": "The user said no."})
    assert caught.value.code == "authorization_refused"
    assert caught.value.details == {"error": "access_denied", "description": "The user said no."}
    assert "The user" not in caught.value.message


def test_a_refusal_counts_even_with_a_code_beside_it() -> None:
    with pytest.raises(AuthenticationError, match="authorization_refused"):
        check(response(error="access_denied"))


@pytest.mark.parametrize(
    ("error", "description", "details"),
    [
        ("", "", {"error": "unknown", "description": ""}),
        ('a"b', "", {"error": "unknown", "description": ""}),
        ("a\nb", "x\r\n\ty\x00z\u202e!", {"error": "unknown", "description": "x y z !"}),
        ("x" * 101, "y" * 1000, {"error": "unknown", "description": "y" * 300}),
        ("server_error", " " * 5000, {"error": "server_error", "description": ""}),
    ],
)
def test_what_a_refusal_says_is_cleaned(error: str, description: str, details: dict[str, str]) -> None:
    with pytest.raises(AuthenticationError) as caught:
        check({"state": CODE.state, "error": error, "error_description": description})
    assert caught.value.details == details


def test_a_refusal_by_a_stranger_is_a_state_mismatch() -> None:
    with pytest.raises(StateError, match="state_mismatch"):
        check({"state": "x", "error": "access_denied"})


def test_a_refusal_by_another_issuer_is_an_issuer_mismatch() -> None:
    with pytest.raises(ProviderError, match="callback_issuer_mismatch"):
        check({"state": CODE.state, "error": "access_denied", "iss": "https://evil.example"})


@pytest.mark.parametrize("code", ["", "ümlaut", "new\nline", "x" * 4097, "\x7f"])
def test_a_code_that_is_none_is_refused(code: str) -> None:
    with pytest.raises(RequestError) as caught:
        check(response(code=code))
    assert caught.value.code == "callback_invalid"
    assert code == "" or code not in str(caught.value)


def test_a_response_without_a_code_is_refused() -> None:
    with pytest.raises(RequestError, match="callback_invalid"):
        check({"state": CODE.state})


@pytest.mark.parametrize(
    "extra", [{"access_token": "x"}, {"id_token": "a.b.c"}, {"access_token": ""}, {"id_token": ""}]
)
def test_tokens_that_were_not_asked_for_are_refused(extra: dict[str, str]) -> None:
    with pytest.raises(RequestError, match="callback_invalid"):
        check(response(**extra))


@pytest.mark.parametrize("extra", [{}, {"id_token": ""}, {"id_token": "a.b.c", "access_token": "x"}])
def test_a_hybrid_response_has_an_id_token_and_no_access_token(extra: dict[str, str]) -> None:
    with pytest.raises(RequestError, match="callback_invalid"):
        check(response(state=HYBRID.state, **extra), to=HYBRID)


@pytest.mark.parametrize("session_state", ["two words", "new\nline", "ü", "x" * 513])
def test_a_session_state_that_cannot_be_posted_is_refused(session_state: str) -> None:
    with pytest.raises(RequestError, match="callback_invalid"):
        check(response(session_state=session_state))


@pytest.mark.parametrize(
    "pairs",
    [
        [("code", "a"), ("code", "a")],
        [("code", "a"), ("code", "b")],
        [("state", "a"), ("code", "b"), ("state", "")],
        [("unknown", "a"), ("unknown", "b")],
        [(str(number), "") for number in range(51)],
        [("code", "x" * (16 * 1024 + 1))],
        [("unknown", "x" * (16 * 1024 + 1))],
        [("x" * (16 * 1024 + 1), "")],
        [("response", "x" * (64 * 1024 + 1))],
    ],
)
def test_duplicated_too_many_and_huge_parameters_are_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(RequestError) as caught:
        read_parameters(pairs)
    assert caught.value.code == "callback_invalid"


def test_parameters_are_read_up_to_the_limits() -> None:
    pairs = [("response", "x" * 64 * 1024), ("code", "y" * 16 * 1024), *((str(number), "") for number in range(48))]
    assert dict(read_parameters(pairs)) == dict(pairs)


@given(st.lists(st.tuples(st.sampled_from(["state", "code", "iss", "error", "id_token", "x"]), st.text()), max_size=8))
def test_no_response_of_a_stranger_gets_through(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(UseIDError):
        check_callback(read_parameters(pairs), CODE, metadata=PLAIN, requires_issuer=False, now=NOW)


parameters = st.dictionaries(
    st.sampled_from(["code", "iss", "error", "error_description", "id_token", "session_state", "access_token"]),
    st.text() | st.sampled_from([ISSUER, "code-1", "a.b.c"]),
)


@given(given_parameters=parameters, to=st.sampled_from([CODE, HYBRID]))
def test_with_the_right_state_too_there_is_a_code_or_our_error(given_parameters: dict[str, str], to: Attempt) -> None:
    answer: dict[str, Any] = given_parameters | {"state": to.state}
    try:
        checked = check(answer, to=to)
    except UseIDError:
        return
    assert checked.code == answer["code"]
    assert answer.get("iss", ISSUER) == ISSUER
    assert "error" not in answer
