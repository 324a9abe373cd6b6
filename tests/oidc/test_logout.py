"""Logout tokens, front-channel requests and the way to the provider's logout page."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oidc.conftest import CLIENT, ISSUER, NOW, Signers, forge, json_values
from useid_middleware.errors import ProviderError, RequestError
from useid_middleware.oidc.core.jose import claimed_issuer, sign_token
from useid_middleware.oidc.core.keys import KeySet
from useid_middleware.oidc.core.logout import (
    BACKCHANNEL_LOGOUT,
    LogoutToken,
    check_frontchannel,
    end_session_url,
    verify_logout_token,
)

CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "248289761001",
    "aud": CLIENT,
    "iat": NOW - 2,
    "exp": NOW + 120,
    "jti": "bWJq",
    "sid": "08a5019c-17e1-4977-8f42-65a12843ea02",
    "events": {BACKCHANNEL_LOGOUT: {}},
}
GONE = object()


def logout_token(signers: Signers, *, typ: str = "logout+jwt", **changes: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not GONE}
    return sign_token(claims, signers.rsa, algorithm="RS256", typ=typ)


def verified(token: str, keys: KeySet, **options: Any) -> LogoutToken:
    usual = {"expected_issuer": ISSUER, "expected_audience": CLIENT, "algorithms": ("RS256",), "now": NOW}
    return verify_logout_token(token, keys, **{**usual, **options})


def test_a_logout_token_says_whose_sessions_end(signers: Signers, published: KeySet) -> None:
    token = logout_token(signers)
    assert claimed_issuer(token) == ISSUER
    assert verified(token, published) == LogoutToken(
        issuer=ISSUER,
        subject="248289761001",
        sid="08a5019c-17e1-4977-8f42-65a12843ea02",
        jti="bWJq",
        issued_at=NOW - 2,
    )


ACCEPTED: dict[str, dict[str, Any]] = {
    "only a subject": {"sid": GONE},
    "only a session": {"sub": GONE},
    "no expiry": {"exp": GONE},
    "the type of any token": {"typ": "JWT"},
    "the type in full": {"typ": "application/logout+jwt"},
    "the audience in a list": {"aud": [CLIENT]},
    "an event with content": {"events": {BACKCHANNEL_LOGOUT: {"reason": "idle"}}},
    "another event as well": {"events": {BACKCHANNEL_LOGOUT: {}, "https://op.example/other": 1}},
    "issued as long ago as may be": {"iat": NOW - 630},
    "issued a little ahead of our clock": {"iat": NOW + 30},
    "just not expired": {"exp": NOW - 29},
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_logout_token_may_differ_where_the_standard_lets_it(signers: Signers, published: KeySet, case: str) -> None:
    assert verified(logout_token(signers, **ACCEPTED[case]), published).jti == "bWJq"


def test_a_logout_token_needs_no_type(signers: Signers, published: KeySet) -> None:
    assert verified(forge({"alg": "RS256", "kid": "rsa-1"}, CLAIMS, signers.rsa), published).jti == "bWJq"


def test_a_trusted_audience_may_stand_beside_ours(signers: Signers, published: KeySet) -> None:
    token = logout_token(signers, aud=[CLIENT, "api"])
    assert verified(token, published, trusted_audiences=("api",)).jti == "bWJq"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"iss": "https://evil.example"}, "iss"),
    "no issuer": ({"iss": GONE}, "iss"),
    "another audience": ({"aud": "client-2"}, "aud"),
    "no audience": ({"aud": GONE}, "aud"),
    "an audience too many": ({"aud": [CLIENT, "unknown"]}, "aud"),
    "no time of issue": ({"iat": GONE}, "iat"),
    "a time of issue in words": ({"iat": str(NOW)}, "iat"),
    "a time of issue that is true": ({"iat": True}, "iat"),
    "stale": ({"iat": NOW - 631}, "iat"),
    "issued in the future": ({"iat": NOW + 31}, "iat"),
    "expired": ({"exp": NOW - 30}, "exp"),
    "a null expiry": ({"exp": None}, "exp"),
    "not yet valid": ({"nbf": NOW + 31}, "nbf"),
    "no events": ({"events": GONE}, "events"),
    "null events": ({"events": None}, "events"),
    "no event": ({"events": {}}, "events"),
    "events in a list": ({"events": [BACKCHANNEL_LOGOUT]}, "events"),
    "events in a text": ({"events": BACKCHANNEL_LOGOUT}, "events"),
    "another event": ({"events": {"http://schemas.openid.net/event/other": {}}}, "events"),
    "the event with https": ({"events": {BACKCHANNEL_LOGOUT.replace("http:", "https:"): {}}}, "events"),
    "a null event": ({"events": {BACKCHANNEL_LOGOUT: None}}, "events"),
    "a true event": ({"events": {BACKCHANNEL_LOGOUT: True}}, "events"),
    "an event with a list": ({"events": {BACKCHANNEL_LOGOUT: []}}, "events"),
    "a nonce": ({"nonce": "n-1"}, "nonce"),
    "an empty nonce": ({"nonce": ""}, "nonce"),
    "a null nonce": ({"nonce": None}, "nonce"),
    "neither subject nor session": ({"sub": GONE, "sid": GONE}, "sub"),
    "an empty subject": ({"sub": ""}, "sub"),
    "a subject that is a number": ({"sub": 7}, "sub"),
    "a null subject beside a session": ({"sub": None}, "sub"),
    "an empty session": ({"sid": ""}, "sid"),
    "a session that is a number": ({"sid": 7}, "sid"),
    "a session too long": ({"sid": "s" * 513}, "sid"),
    "no token id": ({"jti": GONE}, "jti"),
    "an empty token id": ({"jti": ""}, "jti"),
    "a token id that is a number": ({"jti": 7}, "jti"),
    "a token id too long": ({"jti": "j" * 513}, "jti"),
    "a token id with a zero byte": ({"jti": "a\0"}, "jti"),
    "an access token": ({"typ": "at+jwt"}, "typ"),
    "another security event": ({"typ": "secevent+jwt"}, "typ"),
    "an ID token": ({"typ": "JWT", "events": GONE, "nonce": "n-1", "jti": GONE, "exp": NOW + 300}, "events"),
    "an ID token without nonce": ({"typ": "JWT", "events": GONE}, "events"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_logout_token_that_is_not_right_ends_nothing(signers: Signers, published: KeySet, case: str) -> None:
    changes, claim = REFUSED[case]
    with pytest.raises(ProviderError) as caught:
        verified(logout_token(signers, **changes), published)
    assert caught.value.code == "token_claim_invalid"
    assert caught.value.details == {"token": "logout_token", "claim": claim}


def test_the_bounds_of_time_are_the_callers(signers: Signers, published: KeySet) -> None:
    token = logout_token(signers, iat=NOW - 100, exp=GONE)
    assert verified(token, published, max_age=100, skew=0).issued_at == NOW - 100
    with pytest.raises(ProviderError):
        verified(token, published, max_age=99, skew=0)


@pytest.mark.parametrize(
    ("algorithm", "code"),
    [
        ("none", "token_algorithm_refused"),
        ("PS256", "token_algorithm_refused"),
        ("HS256", "token_algorithm_refused"),
        ("RS256", "token_signature_invalid"),
    ],
)
def test_a_logout_token_that_the_provider_did_not_sign_ends_nothing(
    signers: Signers, published: KeySet, algorithm: str, code: str
) -> None:
    token = forge({"alg": algorithm, "kid": "rsa-1", "typ": "logout+jwt"}, CLAIMS, signers.stranger)
    with pytest.raises(ProviderError) as caught:
        verified(token, published)
    assert caught.value.code == code


@given(changes=st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "nonce"]), json_values))
def test_whatever_a_claim_holds_the_answer_is_a_token_or_one_kind_of_error(
    signers: Signers, published: KeySet, changes: dict[str, Any]
) -> None:
    token = forge({"alg": "EdDSA", "kid": "ed-1"}, {**CLAIMS, **changes}, signers.ed, algorithm="EdDSA")
    try:
        found = verified(token, published, algorithms=("EdDSA",))
    except ProviderError as error:
        code = error.code
    else:
        code = ""
        assert found.subject or found.sid
        assert "nonce" not in changes
    assert code in ("", "token_claim_invalid", "token_malformed")


def test_a_front_channel_request_names_the_session() -> None:
    assert check_frontchannel(ISSUER, "s-1", expected_issuer=ISSUER) == "s-1"


@pytest.mark.parametrize(
    ("issuer", "sid"),
    [
        ("", ""),
        (ISSUER, ""),
        ("", "s-1"),
        ("https://evil.example", "s-1"),
        (ISSUER + "/", "s-1"),
        (ISSUER, "s" * 513),
        (ISSUER, "s\n1"),
        (ISSUER, "é"),
    ],
)
def test_a_front_channel_request_without_both_parameters_is_refused(issuer: str, sid: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_frontchannel(issuer, sid, expected_issuer=ISSUER)
    assert (caught.value.code, caught.value.status_hint) == ("logout_refused", 400)


def test_the_way_out_names_the_token_the_client_and_where_to_return() -> None:
    url = end_session_url(
        "https://op.example/logout",
        id_token_hint="a.b.c",
        post_logout_redirect_uri="https://app.example/auth/logout?a=b&c",
        state="st+te&x=y",
        client_id=CLIENT,
        logout_hint="ada lovelace",
    )
    assert urlsplit(url)[:3] == ("https", "op.example", "/logout")
    assert parse_qsl(urlsplit(url).query) == [
        ("id_token_hint", "a.b.c"),
        ("post_logout_redirect_uri", "https://app.example/auth/logout?a=b&c"),
        ("state", "st+te&x=y"),
        ("client_id", CLIENT),
        ("logout_hint", "ada lovelace"),
    ]


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://op.example/logout", "https://op.example/logout?state=s"),
        ("https://op.example/logout?", "https://op.example/logout?state=s"),
        ("https://op.example/?p=B2C_1&x=%20", "https://op.example/?p=B2C_1&x=%20&state=s"),
        ("https://op.example/?state=theirs&p=1", "https://op.example/?p=1&state=s"),
        ("https://op.example/logout#part", "https://op.example/logout?state=s"),
    ],
)
def test_an_endpoint_keeps_its_own_query(endpoint: str, expected: str) -> None:
    assert end_session_url(endpoint, state="s") == expected


def test_parameters_that_are_empty_are_left_out() -> None:
    assert end_session_url("https://op.example/logout") == "https://op.example/logout"
    assert end_session_url("https://op.example/logout?p=1") == "https://op.example/logout?p=1"
