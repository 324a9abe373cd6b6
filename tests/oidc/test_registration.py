"""Dynamic registration: what we ask for, and what we keep of the answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from useid_middleware.errors import ProviderError, UseIDError
from useid_middleware.oidc.core.registration import Registration, parse_registration, registration_request

#: After the example of Dynamic Client Registration 1.0 §3.2.
ANSWER: dict[str, Any] = {
    "client_id": "s6BhdRkqt3",
    "client_secret": "ZJYCqe3GGRvdrudKyZS0XhGv_Z45DuKhCUk0gBR1vZk",
    "client_secret_expires_at": 1577858400,
    "registration_access_token": "this.is.an.access.token.value.ffx83",
    "registration_client_uri": "https://server.example.com/connect/register?client_id=s6BhdRkqt3",
    "token_endpoint_auth_method": "client_secret_basic",
    "application_type": "web",
    "redirect_uris": ["https://client.example.org/callback"],
}


def parse(status: int = 201, **changes: Any) -> Registration:
    """The answer with changed members; ``None`` removes one."""
    members = {name: value for name, value in (ANSWER | changes).items() if value is not None}
    return parse_registration(status, json.dumps(members).encode())


def test_the_least_request_asks_for_the_code_flow() -> None:
    assert registration_request(redirect_uris=["https://app.example/auth/callback"]) == {
        "application_type": "web",
        "redirect_uris": ["https://app.example/auth/callback"],
        "response_types": ["code"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "client_secret_basic",
    }


def test_everything_that_we_can_do_can_be_registered() -> None:
    request = registration_request(
        redirect_uris=["https://app.example/auth/callback"],
        client_name="Shop",
        response_type="code id_token",
        token_endpoint_auth_method="private_key_jwt",
        scopes=["openid", "email"],
        post_logout_redirect_uris=["https://app.example/auth/logout/done"],
        initiate_login_uri="https://app.example/auth/initiate",
        backchannel_logout_uri="https://app.example/auth/backchannel-logout",
        frontchannel_logout_uri="https://app.example/auth/frontchannel-logout",
        jwks={"keys": [{"kty": "EC"}]},
        id_token_signed_response_alg="PS256",
        userinfo_signed_response_alg="PS256",
        authorization_signed_response_alg="PS256",
        request_object_signing_alg="PS256",
        require_pushed_authorization_requests=True,
        dpop_bound_access_tokens=True,
        tls_client_certificate_bound_access_tokens=True,
    )
    assert (
        request.items()
        >= {
            "client_name": "Shop",
            "scope": "openid email",
            "jwks": {"keys": [{"kty": "EC"}]},
            "backchannel_logout_session_required": True,
            "frontchannel_logout_session_required": True,
            "dpop_bound_access_tokens": True,
            "request_object_signing_alg": "PS256",
        }.items()
    )
    assert request["response_types"] == ["code id_token"]
    assert request["grant_types"] == ["authorization_code", "refresh_token", "implicit"]
    assert json.loads(json.dumps(request)) == request


def test_an_answer_becomes_a_registration() -> None:
    registration = parse()
    assert registration.client_id == "s6BhdRkqt3"
    assert registration.client_secret == ANSWER["client_secret"]
    assert registration.secret_expires_at == 1577858400
    assert registration.registration_client_uri == ANSWER["registration_client_uri"]
    assert registration.registration_access_token == ANSWER["registration_access_token"]
    assert registration.metadata["redirect_uris"] == ["https://client.example.org/callback"]


def test_a_registration_shows_and_lists_no_secret() -> None:
    registration = parse()
    for secret in (ANSWER["client_secret"], ANSWER["registration_access_token"]):
        assert secret not in repr(registration)
        assert secret not in json.dumps(dict(registration.metadata))


def test_a_public_client_has_an_id_alone() -> None:
    assert parse_registration(200, b'{"client_id": "c"}') == Registration("c", metadata={"client_id": "c"})


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("client_id", None),
        ("client_id", ""),
        ("client_id", 5),
        ("client_id", "new\nline"),
        ("client_id", "x" * 1001),
        ("client_secret", 5),
        ("client_secret", "ümlaut"),
        ("client_secret", ["secret"]),
        ("client_secret_expires_at", "0"),
        ("client_secret_expires_at", -1),
        ("client_secret_expires_at", True),
        ("client_secret_expires_at", 1.5),
        ("registration_client_uri", None),
        ("registration_client_uri", []),
        ("registration_client_uri", "http://server.example.com/register"),
        ("registration_client_uri", "javascript:alert(1)"),
        ("registration_access_token", 5),
        ("registration_access_token", "two words"),
        ("registration_access_token", "new\nline"),
    ],
)
def test_a_wrong_member_is_refused_by_its_name(member: str, value: Any) -> None:
    with pytest.raises(ProviderError) as caught:
        parse(**{member: value})
    assert (caught.value.code, caught.value.details) == ("registration_invalid", {"member": member})


def test_an_address_without_its_token_is_refused() -> None:
    with pytest.raises(ProviderError, match="registration_invalid"):
        parse(registration_access_token=None)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"<html>", b'{"client_id":"a","client_id":"b"}', b'{"client_id":"a","x":"' + b"x" * 262144 + b'"}'],
)
def test_what_is_not_one_json_object_of_a_sensible_size_is_refused(body: bytes) -> None:
    with pytest.raises(ProviderError) as caught:
        parse_registration(201, body)
    assert (caught.value.code, caught.value.details) == ("registration_invalid", {"member": "document"})


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"error":"invalid_redirect_uri","error_description":"no"}', "invalid_redirect_uri"),
        (401, b"", "unknown"),
        (403, b"<html>", "unknown"),
        (400, b'{"error":"a\\nb"}', "unknown"),
        (302, b'{"client_id":"a"}', "unknown"),
    ],
)
def test_a_refused_registration_names_the_error_code(status: int, body: bytes, error: str) -> None:
    with pytest.raises(ProviderError) as caught:
        parse_registration(status, body)
    assert caught.value.code == "registration_refused"
    assert caught.value.details == {"error": error, "status": status}


@given(status=st.sampled_from([200, 201, 400, 500]), body=st.binary(max_size=200))
def test_no_answer_does_more_than_raise_our_error(status: int, body: bytes) -> None:
    with pytest.raises(UseIDError):
        parse_registration(status, body)
