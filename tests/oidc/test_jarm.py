"""Signed authorization responses: whose, for whom, until when; and then parameters like any others."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from useid_middleware.errors import ProviderError, UseIDError
from useid_middleware.oidc.core.callback import read_parameters
from useid_middleware.oidc.core.jarm import read_jarm
from useid_middleware.oidc.core.jose import sign_token
from useid_middleware.oidc.core.keys import KeySet

NOW = 1_700_000_000
KEY = ECKey.generate_key("P-256", {"kid": "k1"})
STRANGER = ECKey.generate_key("P-256", {"kid": "k1"})
KEYS = KeySet.parse(json.dumps({"keys": [KEY.as_dict(private=False)]}).encode())
CLAIMS: dict[str, Any] = {
    "iss": "https://sso.example",
    "aud": "client-1",
    "exp": NOW + 60,
    "iat": NOW,
    "code": "code-1",
    "state": "state-1",
    "session_state": "abc.def",
    "expires_in": 3600,
}


def read(token: str, *, now: float = NOW) -> list[tuple[str, str]]:
    """What a response says to ``client-1``."""
    return read_jarm(
        token, KEYS, expected_issuer="https://sso.example", expected_audience="client-1", algorithms=["ES256"], now=now
    )


def signed(*, key: ECKey = KEY, typ: str = "JWT", **changes: Any) -> str:
    """The response with changed claims; ``None`` removes one."""
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return sign_token(claims, key, algorithm="ES256", typ=typ)


def test_a_signed_response_becomes_its_parameters() -> None:
    assert read(signed()) == [
        ("iss", "https://sso.example"),
        ("code", "code-1"),
        ("state", "state-1"),
        ("session_state", "abc.def"),
    ]


def test_a_signed_refusal_becomes_its_parameters() -> None:
    token = signed(code=None, session_state=None, error="access_denied", error_description="no")
    assert dict(read(token)) == {
        "iss": "https://sso.example",
        "state": "state-1",
        "error": "access_denied",
        "error_description": "no",
    }


def test_the_parameters_go_through_the_same_door_as_others() -> None:
    with pytest.raises(UseIDError, match="callback_invalid"):
        read_parameters(read(signed(code="x" * (16 * 1024 + 1))))


@pytest.mark.parametrize("changes", [{"aud": ["client-1"]}, {"exp": NOW - 29}, {"exp": NOW + 0.5}, {"iat": None}])
def test_what_is_right_in_another_way_is_accepted(changes: dict[str, Any]) -> None:
    assert ("code", "code-1") in read(signed(**changes))


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", None),
        ("iss", "https://evil.example"),
        ("iss", "https://sso.example/"),
        ("iss", ["https://sso.example"]),
        ("aud", None),
        ("aud", "client-2"),
        ("aud", []),
        ("aud", ["client-1", "client-2"]),
        ("aud", {"client-1": 1}),
        ("exp", None),
        ("exp", NOW - 30),
        ("exp", NOW - 86400),
        ("exp", str(NOW + 60)),
        ("exp", True),
        ("nbf", NOW + 31),
        ("nbf", "soon"),
    ],
)
def test_a_wrong_claim_is_refused_by_its_name(claim: str, value: Any) -> None:
    with pytest.raises(ProviderError) as caught:
        read(signed(**{claim: value}))
    assert (caught.value.code, caught.value.details) == ("token_claim_invalid", {"token": "jarm", "claim": claim})


@pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", "dpop+jwt", "oauth-authz-req+jwt"])
def test_a_token_of_another_kind_is_refused(typ: str) -> None:
    with pytest.raises(ProviderError) as caught:
        read(signed(typ=typ))
    assert (caught.value.code, caught.value.details["claim"]) == ("token_claim_invalid", "typ")


def test_the_signature_of_a_stranger_is_refused() -> None:
    with pytest.raises(ProviderError, match="token_signature_invalid"):
        read(signed(key=STRANGER))


def test_a_changed_response_is_refused() -> None:
    head, _, signature = signed().split(".")
    other = signed(code="other").split(".")[1]
    with pytest.raises(ProviderError, match="token_signature_invalid"):
        read(f"{head}.{other}.{signature}")


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("eyJhbGciOiJub25lIn0.e30.", "token_algorithm_refused"),
        ("", "token_malformed"),
        ("a.b.c", "token_malformed"),
        ("x" * 65537, "token_too_large"),
    ],
)
def test_what_is_no_signed_response_is_refused(token: str, code: str) -> None:
    with pytest.raises(ProviderError) as caught:
        read(token)
    assert caught.value.code == code


def test_an_algorithm_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(ProviderError, match="token_algorithm_refused"):
        read_jarm(
            signed(),
            KEYS,
            expected_issuer="https://sso.example",
            expected_audience="client-1",
            algorithms=["PS256"],
            now=NOW,
        )


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*", fullmatch=True))
def test_no_text_does_more_than_raise_our_error(token: str) -> None:
    with pytest.raises(UseIDError):
        read(token)
