"""The token endpoint's answers: what becomes tokens, and what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oidc.conftest import NOW, json_values
from useid_middleware.errors import ProviderError, UseIDError
from useid_middleware.oidc.core.tokens import TokenSet, parse_token_response

GONE = object()
ANSWER: dict[str, Any] = {
    "access_token": "access-1",
    "token_type": "Bearer",
    "expires_in": 600,
    "refresh_token": "refresh-1",
    "id_token": "a.b.c",
    "scope": "openid email",
}
PARSING: dict[str, Any] = {"now": float(NOW), "expects_id_token": True, "expected_token_type": "Bearer"}


def answered(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in {**ANSWER, **changes}.items() if value is not GONE}).encode()


def test_an_answer_of_the_token_endpoint_becomes_tokens() -> None:
    assert parse_token_response(200, "application/json", answered(), **PARSING) == TokenSet(
        access_token="access-1",
        token_type="Bearer",
        expires_at=NOW + 600,
        refresh_token="refresh-1",
        id_token="a.b.c",
        scope="openid email",
    )


@pytest.mark.parametrize(
    ("changes", "member", "value"),
    [
        ({"expires_in": GONE}, "expires_at", None),
        ({"expires_in": None}, "expires_at", None),
        ({"expires_in": "600"}, "expires_at", NOW + 600.0),
        ({"expires_in": "0.5"}, "expires_at", NOW + 0.5),
        ({"expires_in": 599.5}, "expires_at", NOW + 599.5),
        ({"expires_in": 0}, "expires_at", NOW),
        ({"token_type": "bearer"}, "token_type", "Bearer"),
        ({"token_type": "BEARER"}, "token_type", "Bearer"),
        ({"refresh_token": GONE}, "refresh_token", ""),
        ({"refresh_token": None}, "refresh_token", ""),
        ({"refresh_token": ""}, "refresh_token", ""),
        ({"scope": GONE}, "scope", ""),
        ({"scope": None}, "scope", ""),
        ({"unknown": [1]}, "scope", "openid email"),
    ],
)
def test_an_answer_may_differ_where_the_standard_or_custom_lets_it(
    changes: dict[str, Any], member: str, value: object
) -> None:
    found = parse_token_response(200, "application/json;charset=UTF-8", answered(**changes), **PARSING)
    assert getattr(found, member) == value


@pytest.mark.parametrize("spelling", ["DPoP", "dpop", "DPOP"])
def test_a_token_type_is_compared_without_case_and_kept_in_one_spelling(spelling: str) -> None:
    options = {**PARSING, "expected_token_type": "DPoP"}
    found = parse_token_response(200, "application/json", answered(token_type=spelling), **options)
    assert found.token_type == "DPoP"


def test_an_id_token_may_be_left_out_where_none_is_expected() -> None:
    options = {**PARSING, "expects_id_token": False}
    assert parse_token_response(200, "application/json", answered(id_token=GONE), **options).id_token == ""
    assert parse_token_response(200, "application/json", answered(), **options).id_token == "a.b.c"


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"access_token": GONE}, "access_token"),
        ({"access_token": None}, "access_token"),
        ({"access_token": ""}, "access_token"),
        ({"access_token": 7}, "access_token"),
        ({"access_token": "a\r\nset-cookie: b"}, "access_token"),
        ({"access_token": "a b"}, "access_token"),
        ({"access_token": "é"}, "access_token"),
        ({"access_token": "a" * 65_537}, "access_token"),
        ({"token_type": GONE}, "token_type"),
        ({"token_type": None}, "token_type"),
        ({"token_type": "DPoP"}, "token_type"),
        ({"token_type": "mac"}, "token_type"),
        ({"token_type": "N_A"}, "token_type"),
        ({"token_type": ["Bearer"]}, "token_type"),
        ({"expires_in": -1}, "expires_in"),
        ({"expires_in": "-1"}, "expires_in"),
        ({"expires_in": "soon"}, "expires_in"),
        ({"expires_in": ""}, "expires_in"),
        ({"expires_in": "٣٠٠"}, "expires_in"),
        ({"expires_in": True}, "expires_in"),
        ({"expires_in": [600]}, "expires_in"),
        ({"expires_in": 10**12}, "expires_in"),
        ({"expires_in": "9999999999"}, "expires_in"),
        ({"expires_in": 1e300}, "expires_in"),
        ({"refresh_token": 7}, "refresh_token"),
        ({"refresh_token": "a\nb"}, "refresh_token"),
        ({"id_token": GONE}, "id_token"),
        ({"id_token": ""}, "id_token"),
        ({"id_token": {}}, "id_token"),
        ({"scope": ["openid"]}, "scope"),
        ({"scope": "öpenid"}, "scope"),
    ],
)
def test_an_answer_without_the_tokens_asked_for_is_refused(changes: dict[str, Any], member: str) -> None:
    with pytest.raises(ProviderError) as caught:
        parse_token_response(200, "application/json", answered(**changes), **PARSING)
    assert (caught.value.code, caught.value.details["member"]) == ("token_response_invalid", member)


def test_a_bearer_token_in_the_place_of_a_bound_one_is_refused() -> None:
    with pytest.raises(ProviderError) as caught:
        parse_token_response(200, "application/json", answered(), **{**PARSING, "expected_token_type": "DPoP"})
    assert caught.value.details["member"] == "token_type"


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("text/html", answered()),
        ("", answered()),
        ("application/x-www-form-urlencoded", b"access_token=access-1&token_type=bearer"),
        ("application/json", b""),
        ("application/json", b"null"),
        ("application/json", b"[]"),
        ("application/json", answered()[:-1]),
        ("application/json", b"\xff" + answered()),
        ("application/json", answered()[:-1] + b', "access_token": "access-2"}'),
        ("application/json", answered(filler="x" * 262_144)),
    ],
)
def test_what_is_no_answer_is_refused(media_type: str, body: bytes) -> None:
    with pytest.raises(ProviderError) as caught:
        parse_token_response(200, media_type, body, **PARSING)
    assert (caught.value.code, caught.value.details["member"]) == ("token_response_invalid", "body")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"error": "invalid_grant", "error_description": "<b>expired</b>"}', "invalid_grant"),
        (401, b'{"error": "invalid_client"}', "invalid_client"),
        (400, b'{"error": "use_dpop_nonce"}', "use_dpop_nonce"),
        (200, b'{"error": "bad_verification_code"}', "bad_verification_code"),
        (400, b'{"error": "a\\nb"}', "unknown"),
        (400, b'{"error": "<b>\\"</b>"}', "unknown"),
        (400, b'{"error": ""}', "unknown"),
        (400, b'{"error": 7}', "unknown"),
        (400, b'{"error": "' + b"x" * 101 + b'"}', "unknown"),
        (400, b'{"error": "a", "error": "b"}', "unknown"),
        (400, b"{}", "unknown"),
        (500, b"<html>", "unknown"),
        (201, answered(), "unknown"),
        (204, b"", "unknown"),
    ],
)
def test_a_refusal_says_why_if_the_endpoint_does(status: int, body: bytes, error: str) -> None:
    with pytest.raises(ProviderError) as caught:
        parse_token_response(status, "application/json", body, **PARSING)
    assert caught.value.code == "token_refused"
    assert caught.value.details == {"error": error, "status": status}
    assert "expired" not in caught.value.message


@given(
    status=st.sampled_from([200, 400]),
    body=st.binary(max_size=100) | st.dictionaries(st.sampled_from([*ANSWER, "error"]), json_values),
)
def test_any_answer_becomes_tokens_or_one_kind_of_error(status: int, body: bytes | dict[str, Any]) -> None:
    content = body if isinstance(body, bytes) else json.dumps({**ANSWER, **body}).encode()
    try:
        code = parse_token_response(status, "application/json", content, **PARSING).token_type
    except UseIDError as error:
        code = error.code
    assert code in ("Bearer", "token_refused", "token_response_invalid")
