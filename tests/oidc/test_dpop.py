"""DPoP: the values of the RFCs, and proofs that say what they are for."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, RSAKey

from useid_middleware.errors import ConfigurationError
from useid_middleware.oidc.core.dpop import (
    dpop_key_from,
    dpop_proof,
    new_dpop_key,
    target_uri,
    thumbprint,
    thumbprint_of,
    token_hash,
)
from useid_middleware.oidc.core.jose import verify_token
from useid_middleware.oidc.core.keys import KeySet

NOW = 1_700_000_000
RANDOM = bytes(range(48))
#: RFC 9449 §4.1 and §6.1: the key of the examples, and its thumbprint.
RFC_KEY: dict[str, str | list[str]] = {
    "kty": "EC",
    "crv": "P-256",
    "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
}
RFC_THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
#: RFC 7638 §3.1.
RFC_RSA_KEY: dict[str, str | list[str]] = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3o"
    "knjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5haj"
    "rn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}


def proof(url: str = "https://sso.example/token", **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a proof, verified with the key in its header."""
    key = dpop_key_from(new_dpop_key(RANDOM))
    values: dict[str, Any] = {"method": "POST", "url": url, "now": NOW, "jti": "id-1"}
    token = dpop_proof(key, **(values | changes))
    keys = KeySet.parse(json.dumps({"keys": [key.as_dict(private=False)]}).encode())
    return verify_token(token, keys, algorithms=["ES256"], name="dpop", expected_types=["dpop+jwt"])


def test_the_hash_of_an_access_token_is_that_of_rfc_9449_section_7() -> None:
    token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    assert token_hash(token) == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"


def test_the_thumbprint_is_that_of_rfc_9449_section_6() -> None:
    assert thumbprint(ECKey.import_key(RFC_KEY)) == RFC_THUMBPRINT


def test_the_thumbprint_is_that_of_rfc_7638_section_3() -> None:
    assert thumbprint(RSAKey.import_key(RFC_RSA_KEY)) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_a_proof_for_the_token_endpoint_names_method_address_and_time() -> None:
    header, claims = proof()
    assert claims == {"jti": "id-1", "htm": "POST", "htu": "https://sso.example/token", "iat": NOW}
    public = dpop_key_from(new_dpop_key(RANDOM)).as_dict(private=False)
    assert header == {
        "alg": "ES256",
        "typ": "dpop+jwt",
        "jwk": {name: public[name] for name in ("kty", "crv", "x", "y")},
    }


def test_a_proof_for_a_resource_is_bound_to_token_and_nonce() -> None:
    _, claims = proof(method="GET", access_token="Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU", nonce="nonce-1")
    assert claims["ath"] == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
    assert (claims["htm"], claims["nonce"]) == ("GET", "nonce-1")


@pytest.mark.parametrize(
    ("url", "htu"),
    [
        # RFC 9449 §4.1 and §7.1.
        ("https://server.example.com/token", "https://server.example.com/token"),
        ("https://resource.example.org/protectedresource", "https://resource.example.org/protectedresource"),
        ("https://api.example/a?b=c", "https://api.example/a"),
        ("https://api.example/a#b", "https://api.example/a"),
        ("https://api.example/a?b#c", "https://api.example/a"),
        ("https://api.example/a%20b/", "https://api.example/a%20b/"),
        ("https://api.example", "https://api.example/"),
        ("https://api.example?x", "https://api.example/"),
        ("HTTPS://API.Example:443/A", "https://api.example/A"),
        ("http://localhost:80/a", "http://localhost/a"),
        ("https://api.example:80/a", "https://api.example:80/a"),
        ("https://api.example:8443/a", "https://api.example:8443/a"),
        ("http://[::1]:9000/a", "http://[::1]:9000/a"),
        ("https://user:pass@api.example/a", "https://api.example/a"),
    ],
)
def test_the_address_in_a_proof_is_the_one_that_the_server_sees(url: str, htu: str) -> None:
    assert target_uri(url) == htu
    assert proof(url)[1]["htu"] == htu


def test_a_key_is_made_of_the_random_bytes_and_of_nothing_else() -> None:
    assert new_dpop_key(RANDOM) == new_dpop_key(RANDOM) != new_dpop_key(RANDOM[::-1])


@pytest.mark.parametrize("size", [0, 32, 47, 49])
def test_a_key_takes_no_other_amount_of_randomness(size: int) -> None:
    with pytest.raises(ValueError, match="48 bytes"):
        new_dpop_key(bytes(size))


def test_a_kept_key_has_the_thumbprint_of_its_public_part() -> None:
    kept = new_dpop_key(RANDOM)
    public = ECKey.import_key(ECKey.import_key(json.loads(kept)).as_dict(private=False))
    assert thumbprint_of(kept) == thumbprint(public)


BAD_KEYS = [
    b"",
    b"null",
    b"{}",
    b"-----BEGIN PRIVATE KEY-----",
    json.dumps(RFC_KEY).encode(),
    json.dumps(RFC_RSA_KEY).encode(),
    json.dumps(RFC_KEY | {"d": "AA"}).encode(),
    json.dumps(RFC_KEY | {"crv": "P-257", "d": "AA"}).encode(),
    json.dumps(ECKey.generate_key("P-384").as_dict(private=True)).encode(),
    json.dumps({"kty": "oct", "k": "c2VjcmV0"}).encode(),
]


@pytest.mark.parametrize("kept", BAD_KEYS)
def test_a_key_that_cannot_prove_anything_is_refused(kept: bytes) -> None:
    with pytest.raises(ConfigurationError, match="DPoP key"):
        dpop_key_from(kept)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise_our_error(kept: bytes) -> None:
    with pytest.raises(ConfigurationError):
        dpop_key_from(kept)
