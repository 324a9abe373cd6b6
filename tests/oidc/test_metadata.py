"""Provider metadata: what is believed, what is refused, and which addresses move for containers."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from useid_middleware.errors import ProviderError, UseIDError
from useid_middleware.oidc.core.metadata import (
    ProviderMetadata,
    check_metadata,
    discovery_url,
    is_address,
    parse_metadata,
    rewrite,
)

ISSUER = "https://sso.example/realms/staff"
DOCUMENT: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://sso.example/realms/staff/auth?tenant=1",
    "token_endpoint": "https://sso.example/realms/staff/token",
    "jwks_uri": "https://sso.example/realms/staff/keys",
    "userinfo_endpoint": "https://sso.example/realms/staff/me",
    "end_session_endpoint": "https://sso.example/realms/staff/logout",
    "check_session_iframe": "https://sso.example/realms/staff/check.html",
    "pushed_authorization_request_endpoint": "https://sso.example/realms/staff/par",
    "mtls_endpoint_aliases": {"token_endpoint": "https://mtls.sso.example/token", "x": 5},
    "authorization_response_iss_parameter_supported": True,
    "code_challenge_methods_supported": ["plain", "S256"],
    "something_new": {"of": ["any", "kind"]},
}


def parse(**changes: Any) -> ProviderMetadata:
    """The document with changed members; ``None`` removes one."""
    members = {name: value for name, value in (DOCUMENT | changes).items() if value is not None}
    return parse_metadata(json.dumps(members).encode(), expected_issuer=ISSUER)


def test_what_a_document_says_is_read() -> None:
    metadata = parse()
    assert metadata.issuer == ISSUER
    assert metadata.authorization_endpoint == DOCUMENT["authorization_endpoint"]
    assert metadata.pushed_authorization_request_endpoint == DOCUMENT["pushed_authorization_request_endpoint"]
    assert metadata.code_challenge_methods_supported == ("plain", "S256")
    assert metadata.authorization_response_iss_parameter_supported is True


def test_aliases_for_mutual_tls_are_kept_for_endpoints_alone() -> None:
    assert parse().mtls_endpoint_aliases == {"token_endpoint": "https://mtls.sso.example/token"}


def test_what_a_document_does_not_say_is_empty_or_false() -> None:
    metadata = parse(userinfo_endpoint=None, mtls_endpoint_aliases=None, code_challenge_methods_supported=None)
    assert (metadata.userinfo_endpoint, metadata.revocation_endpoint) == ("", "")
    assert (metadata.mtls_endpoint_aliases, metadata.code_challenge_methods_supported) == ({}, ())
    assert metadata.backchannel_logout_supported is False


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://example.com", "https://example.com/.well-known/openid-configuration"),
        ("https://example.com/", "https://example.com/.well-known/openid-configuration"),
        ("https://example.com/issuer1", "https://example.com/issuer1/.well-known/openid-configuration"),
        ("https://example.com/a/b/", "https://example.com/a/b/.well-known/openid-configuration"),
        ("http://localhost:9000", "http://localhost:9000/.well-known/openid-configuration"),
    ],
)
def test_discovery_keeps_the_issuers_path_and_doubles_no_slash(issuer: str, url: str) -> None:
    assert discovery_url(issuer) == url


@pytest.mark.parametrize(
    "issuer",
    [
        ISSUER + "/",
        ISSUER.upper(),
        "https://sso.example",
        "https://evil.example/realms/staff",
        "http://sso.example/realms/staff",
        "https://sso.example:443/realms/staff",
        "",
    ],
)
def test_the_document_of_another_issuer_is_refused(issuer: str) -> None:
    with pytest.raises(ProviderError) as caught:
        parse(issuer=issuer)
    assert caught.value.code == "issuer_mismatch"
    assert issuer == "" or issuer not in str(caught.value)


BAD_MEMBERS: list[tuple[str, Any]] = [
    ("issuer", None),
    ("issuer", 5),
    ("issuer", [ISSUER]),
    ("authorization_endpoint", None),
    ("token_endpoint", None),
    ("jwks_uri", None),
    ("token_endpoint", ""),
    ("token_endpoint", 5),
    ("token_endpoint", ["https://sso.example/token"]),
    ("token_endpoint", "http://sso.example/token"),
    ("token_endpoint", "//sso.example/token"),
    ("token_endpoint", "/token"),
    ("token_endpoint", "https:///token"),
    ("token_endpoint", "https://user:pass@sso.example/token"),
    ("token_endpoint", "https://sso.example/token#x"),
    ("token_endpoint", "https://sso.example/token#"),
    ("token_endpoint", "https://sso.example/to ken"),
    ("token_endpoint", "https://sso.example\\@evil.example/"),
    ("token_endpoint", "https://sso.example/\r\nx"),
    ("token_endpoint", "https://sso.example:99999/token"),
    ("token_endpoint", "https://sso.example:0/token"),
    ("token_endpoint", "https://[::1/token"),
    ("token_endpoint", "https://sso.example/" + "a" * 2000),
    ("jwks_uri", "file:///etc/passwd"),
    ("jwks_uri", "ftp://sso.example/keys"),
    ("authorization_endpoint", "javascript:alert(1)"),
    ("end_session_endpoint", "data:text/html,x"),
    ("check_session_iframe", "http://sso.example/check.html"),
    ("userinfo_endpoint", {"url": "https://sso.example/me"}),
    ("mtls_endpoint_aliases", ["https://mtls.sso.example"]),
    ("mtls_endpoint_aliases", {"token_endpoint": "http://mtls.sso.example/token"}),
    ("authorization_response_iss_parameter_supported", "true"),
    ("require_pushed_authorization_requests", 1),
    ("backchannel_logout_supported", []),
    ("code_challenge_methods_supported", "S256"),
    ("code_challenge_methods_supported", ["S256", 5]),
    ("code_challenge_methods_supported", ["S256"] * 501),
    ("id_token_signing_alg_values_supported", {"RS256": True}),
]


@pytest.mark.parametrize(("member", "value"), BAD_MEMBERS)
def test_a_wrong_member_is_refused_by_its_name(member: str, value: Any) -> None:
    with pytest.raises(ProviderError) as caught:
        parse(**{member: value})
    assert caught.value.code == "metadata_invalid"
    assert caught.value.details == {
        "member": "token_endpoint" if member == "mtls_endpoint_aliases" and isinstance(value, dict) else member
    }


def test_a_null_is_no_value() -> None:
    document = json.dumps(DOCUMENT | {"userinfo_endpoint": None}).encode()
    with pytest.raises(ProviderError, match="metadata_invalid"):
        parse_metadata(document, expected_issuer=ISSUER)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"<!doctype html>",
        b"\xff\xfe",
        b"\xef\xbb\xbf" + json.dumps(DOCUMENT).encode(),
        json.dumps(DOCUMENT).encode()[:-1],
        json.dumps(DOCUMENT).encode()[:-1] + b', "issuer": "https://evil.example"}',
        json.dumps(DOCUMENT | {"padding": "x" * 256 * 1024}).encode(),
        b"[" * 100_000,
    ],
)
def test_what_is_not_one_json_object_of_a_sensible_size_is_refused(document: bytes) -> None:
    with pytest.raises(ProviderError) as caught:
        parse_metadata(document, expected_issuer=ISSUER)
    assert caught.value.code == "metadata_invalid"


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1:9000", "[::1]:9000", "op.localhost"])
def test_plain_http_is_accepted_on_this_machine(host: str) -> None:
    assert parse(token_endpoint=f"http://{host}/token").token_endpoint == f"http://{host}/token"


def test_static_metadata_may_leave_the_keys_to_the_settings() -> None:
    members = {name: DOCUMENT[name] for name in ("issuer", "authorization_endpoint", "token_endpoint")}
    assert check_metadata(members, expected_issuer=ISSUER).jwks_uri == ""


def test_static_metadata_of_another_issuer_is_refused() -> None:
    with pytest.raises(ProviderError, match="issuer_mismatch"):
        check_metadata(DOCUMENT, expected_issuer="https://other.example")


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_raise_our_error(document: bytes) -> None:
    with pytest.raises(UseIDError):
        parse_metadata(document, expected_issuer=ISSUER)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(ProviderMetadata.__struct_fields__), json_values, max_size=6))
def test_no_member_does_more_than_raise_our_error(changes: dict[str, Any]) -> None:
    try:
        metadata = check_metadata(DOCUMENT | changes, expected_issuer=ISSUER)
    except UseIDError:
        return
    assert is_address(metadata.token_endpoint)
    assert metadata.issuer == ISSUER


INTERNAL, PUBLIC = "https://keycloak.internal:8443", "https://sso.example"


def test_in_containers_we_call_the_internal_origin_and_browsers_go_to_the_public_one() -> None:
    moved = rewrite(
        parse(authorization_endpoint=f"{INTERNAL}/auth", check_session_iframe=INTERNAL),
        internal=INTERNAL,
        public=PUBLIC,
    )
    assert moved.authorization_endpoint == f"{PUBLIC}/auth"
    assert moved.check_session_iframe == PUBLIC
    assert moved.end_session_endpoint == DOCUMENT["end_session_endpoint"]
    assert moved.token_endpoint == f"{INTERNAL}/realms/staff/token"
    assert moved.jwks_uri == f"{INTERNAL}/realms/staff/keys"
    assert moved.userinfo_endpoint == f"{INTERNAL}/realms/staff/me"
    assert moved.pushed_authorization_request_endpoint == f"{INTERNAL}/realms/staff/par"
    assert moved.revocation_endpoint == ""
    assert moved.issuer == ISSUER


def test_addresses_at_third_origins_do_not_move() -> None:
    elsewhere = [
        "https://sso.example.net/token",
        "https://sso.example:8443/token",
        "https://evil.example/https://sso.example/",
    ]
    for url in elsewhere:
        assert rewrite(parse(token_endpoint=url), internal=INTERNAL, public=PUBLIC).token_endpoint == url


def test_addresses_for_mutual_tls_move_as_well() -> None:
    metadata = parse(mtls_endpoint_aliases={"token_endpoint": f"{PUBLIC}/mtls/token"})
    moved = rewrite(metadata, internal=INTERNAL, public=PUBLIC)
    assert moved.mtls_endpoint_aliases == {"token_endpoint": f"{INTERNAL}/mtls/token"}


def test_with_one_origin_nothing_moves() -> None:
    metadata = parse()
    assert rewrite(metadata, internal=PUBLIC, public=PUBLIC) is metadata
