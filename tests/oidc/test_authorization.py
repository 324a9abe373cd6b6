"""The authorization request: what an attempt is made of, what is asked, and by which way."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from useid_middleware._codec import is_b64url, replace
from useid_middleware.errors import ConfigurationError, ProviderError, UseIDError
from useid_middleware.oidc.core.authorization import (
    Attempt,
    authorization_request,
    authorization_url,
    code_challenge,
    error_code,
    new_attempt,
    parse_pushed_response,
    pushed_url,
    request_object,
)
from useid_middleware.oidc.core.jose import verify_token
from useid_middleware.oidc.core.keys import KeySet

NOW = 1_700_000_000
ENDPOINT = "https://sso.example/auth"


def attempt(**changes: Any) -> Attempt:
    """An attempt with every random byte its own."""
    values: dict[str, Any] = {
        "provider": "sso",
        "random": bytes(range(96)),
        "redirect_uri": "https://app.example/auth/callback",
        "return_to": "/orders",
        "scopes": ("openid", "email"),
        "now": NOW,
    }
    return new_attempt(**(values | changes))


def request(each: Attempt | None = None, **wishes: Any) -> dict[str, str]:
    """The parameters of an attempt."""
    return authorization_request(each or attempt(), client_id="client-1", **wishes)


def query(url: str) -> dict[str, str]:
    """The parameters of an address, each of which is there once."""
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_the_code_challenge_is_that_of_rfc_7636_appendix_b() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert code_challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_state_nonce_and_verifier_are_32_random_bytes_each() -> None:
    made = attempt()
    secrets = {made.state, made.nonce, made.verifier}
    assert len(secrets) == 3
    assert all(is_b64url(each, 32) for each in secrets)
    other = attempt(random=bytes(range(1, 97)))
    assert secrets.isdisjoint({other.state, other.nonce, other.verifier})


@pytest.mark.parametrize("size", [0, 32, 95, 97])
def test_an_attempt_takes_no_other_amount_of_randomness(size: int) -> None:
    with pytest.raises(ValueError, match="96 bytes"):
        attempt(random=bytes(size))


def test_an_attempt_shows_none_of_its_secrets() -> None:
    made = attempt(dpop_key=b'{"d":"very-secret"}')
    shown = repr(made)
    assert not any(secret in shown for secret in (made.state, made.nonce, made.verifier, "very-secret"))


def test_the_plain_request_asks_for_a_code_with_pkce() -> None:
    made = attempt()
    assert request() == {
        "response_type": "code",
        "client_id": "client-1",
        "scope": "openid email",
        "redirect_uri": "https://app.example/auth/callback",
        "state": made.state,
        "nonce": made.nonce,
        "code_challenge": code_challenge(made.verifier),
        "code_challenge_method": "S256",
    }


def test_everything_that_can_be_asked_for_is() -> None:
    made = attempt(max_age=0, acr_values=("loa3", "loa2"), prompt="login", response_mode="form_post")
    wished = request(
        made,
        login_hint="joe@example.com",
        id_token_hint="a.b.c",
        ui_locales="de en",
        claims={"id_token": {"email": None}},
        resource="https://api.example",
        extra={"kc_idp_hint": "ldap"},
        dpop_jkt="thumb",
    )
    assert (
        wished.items()
        >= {
            "max_age": "0",
            "acr_values": "loa3 loa2",
            "prompt": "login",
            "response_mode": "form_post",
            "login_hint": "joe@example.com",
            "id_token_hint": "a.b.c",
            "ui_locales": "de en",
            "claims": '{"id_token":{"email":null}}',
            "resource": "https://api.example",
            "kc_idp_hint": "ldap",
            "dpop_jkt": "thumb",
        }.items()
    )


@pytest.mark.parametrize(
    ("scopes", "sent"),
    [
        (("openid", "email"), "openid email"),
        (("email", "openid"), "openid email"),
        (("email",), "openid email"),
        ((), "openid"),
        (("openid", "email", "email", "openid"), "openid email"),
        (["https://api.example/read"], "openid https://api.example/read"),
    ],
)
def test_openid_is_the_first_scope_and_each_is_there_once(scopes: Any, sent: str) -> None:
    assert request(attempt(scopes=scopes))["scope"] == sent


@pytest.mark.parametrize("scope", ["", "two words", 'quo"te', "back\\slash", "ümlaut", "new\nline", "x" * 201])
def test_a_scope_that_is_none_is_refused(scope: str) -> None:
    with pytest.raises(ConfigurationError, match="scopes"):
        attempt(scopes=("openid", scope))


def test_a_silent_attempt_asks_without_the_person() -> None:
    assert request(attempt(silent=True, prompt="login"))["prompt"] == "none"


@pytest.mark.parametrize(
    ("asked", "sent"),
    [("", "form_post"), ("form_post", "form_post"), ("jwt", "form_post.jwt"), ("form_post.jwt", "form_post.jwt")],
)
def test_a_hybrid_response_comes_by_form_post(asked: str, sent: str) -> None:
    made = attempt(response_type="code id_token", response_mode=asked)
    assert request(made)["response_mode"] == sent


@pytest.mark.parametrize("mode", ["query", "query.jwt", "fragment"])
def test_a_mode_that_would_leak_or_lose_a_hybrid_response_is_refused(mode: str) -> None:
    with pytest.raises(ConfigurationError, match="response_mode"):
        attempt(response_type="code id_token", response_mode=mode)


@pytest.mark.parametrize(
    "name",
    [
        *("response_type", "client_id", "scope", "redirect_uri", "state", "nonce", "code_challenge", "max_age"),
        *("code_challenge_method", "response_mode", "prompt", "acr_values", "id_token_hint", "dpop_jkt", "request"),
        *("request_uri", "client_assertion", "client_assertion_type", "client_secret"),
        *("iss", "sub", "aud", "exp", "nbf", "iat", "jti"),
    ],
)
def test_extras_cannot_change_what_the_protocol_needs(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        request(extra={name: "x"})


@pytest.mark.parametrize("name", ["", "two words", "ümlaut", "new\nline", "x" * 101])
def test_an_extra_has_a_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match="parameters: a name"):
        request(extra={name: "x"})


def test_extras_may_change_hints() -> None:
    assert request(login_hint="a", extra={"login_hint": "b"})["login_hint"] == "b"


@given(value=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_whatever_a_hint_holds_it_stays_one_parameter(value: str) -> None:
    sent = request(login_hint=value)
    assert query(authorization_url(ENDPOINT, sent)) == sent


def test_the_query_of_an_endpoint_stays() -> None:
    url = authorization_url(ENDPOINT + "?p=policy%201", {"state": "a b"})
    assert url == ENDPOINT + "?p=policy%201&state=a%20b"


@pytest.mark.parametrize(
    "endpoint", [ENDPOINT + "?state=x", ENDPOINT + "?a=1&client_id=", ENDPOINT + "#x", ENDPOINT + "#"]
)
def test_an_endpoint_that_fixes_our_parameters_is_refused(endpoint: str) -> None:
    with pytest.raises(ProviderError) as caught:
        authorization_url(endpoint, request())
    assert caught.value.code == "metadata_invalid"


def test_a_pushed_request_is_referred_to_by_two_parameters() -> None:
    url = pushed_url(ENDPOINT, client_id="client-1", request_uri="urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014")
    assert query(url) == {
        "client_id": "client-1",
        "request_uri": "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014",
    }


def signed(parameters: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of the parameters' request object, verified with the public key."""
    key = ECKey.generate_key("P-256", {"kid": "k1"})
    token = request_object(
        parameters,
        key,
        algorithm="ES256",
        client_id="client-1",
        audience="https://sso.example",
        now=NOW,
        jti="id-1",
    )
    keys = KeySet.parse(json.dumps({"keys": [key.as_dict(private=False)]}).encode())
    return verify_token(token, keys, algorithms=["ES256"], name="request", expected_types=["oauth-authz-req+jwt"])


def test_a_request_object_says_who_for_whom_when_and_what() -> None:
    parameters = request()
    header, claims = signed(parameters)
    assert header == {"alg": "ES256", "typ": "oauth-authz-req+jwt", "kid": "k1"}
    assert claims == parameters | {
        "iss": "client-1",
        "aud": "https://sso.example",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 300,
        "jti": "id-1",
    }


def test_a_request_object_has_numbers_and_objects_as_json_has_them() -> None:
    _, claims = signed(request(attempt(max_age=60), claims={"userinfo": {"email": {"essential": True}}}))
    assert claims["max_age"] == 60
    assert claims["claims"] == {"userinfo": {"email": {"essential": True}}}


REQUEST_URI = "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c"


def pushed(status: int = 201, **changes: Any) -> str:
    """What an answer with changed members says; ``None`` removes one."""
    members = {"request_uri": REQUEST_URI, "expires_in": 60} | changes
    body = {name: value for name, value in members.items() if value is not None}
    return parse_pushed_response(status, json.dumps(body).encode())


def test_the_answer_to_a_pushed_request_is_its_address() -> None:
    assert pushed() == REQUEST_URI


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("request_uri", None),
        ("request_uri", ""),
        ("request_uri", 5),
        ("request_uri", "no-scheme"),
        ("request_uri", "urn:with space"),
        ("request_uri", "urn:new\nline"),
        ("request_uri", "urn:ümlaut"),
        ("request_uri", "urn:" + "x" * 1501),
        ("expires_in", None),
        ("expires_in", 0),
        ("expires_in", -5),
        ("expires_in", "60"),
        ("expires_in", True),
        ("expires_in", 60.5),
    ],
)
def test_an_answer_to_a_pushed_request_that_is_none_is_refused(member: str, value: Any) -> None:
    with pytest.raises(ProviderError) as caught:
        pushed(**{member: value})
    assert (caught.value.code, caught.value.details) == ("par_invalid", {"member": member})


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b'{"request_uri":"urn:a","request_uri":"urn:b","expires_in":60}']
)
def test_an_answer_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(ProviderError) as caught:
        parse_pushed_response(201, body)
    assert caught.value.code == "par_invalid"


def test_a_huge_answer_is_refused() -> None:
    with pytest.raises(ProviderError, match="par_invalid"):
        pushed(padding="x" * 256 * 1024)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"error":"invalid_request","error_description":"no"}', "invalid_request"),
        (401, b'{"error":"invalid_client"}', "invalid_client"),
        (500, b"<html>", "unknown"),
        (400, b'{"error":"<script>\\n"}', "unknown"),
        (400, b'{"error":["invalid_request"]}', "unknown"),
        (200, json.dumps({"request_uri": REQUEST_URI, "expires_in": 60}).encode(), "unknown"),
    ],
)
def test_a_refused_push_names_the_error_code(status: int, body: bytes, error: str) -> None:
    with pytest.raises(ProviderError) as caught:
        parse_pushed_response(status, body)
    assert caught.value.code == "par_refused"
    assert caught.value.details == {"error": error, "status": status}


@given(status=st.integers(100, 599), body=st.binary(max_size=200))
def test_no_answer_does_more_than_raise_our_error(status: int, body: bytes) -> None:
    with pytest.raises(UseIDError):
        parse_pushed_response(status, body)


@pytest.mark.parametrize("value", [None, 5, "", "ünknown", 'a"b', "a\\b", "a\nb", "x" * 101])
def test_an_error_code_that_is_none_is_unknown(value: object) -> None:
    assert error_code(value) == "unknown"


def test_an_error_code_stays() -> None:
    assert error_code("login_required") == "login_required"


def test_the_code_challenge_follows_the_verifier() -> None:
    other = replace(attempt(), verifier=attempt().state)
    assert request(other)["code_challenge"] == code_challenge(attempt().state) != request()["code_challenge"]
