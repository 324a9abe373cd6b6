"""Client authentication: credentials and assertions as the standards want them."""

import json
from base64 import b64decode
from typing import get_args
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import RSAKey

from useid_middleware.errors import ConfigurationError
from useid_middleware.oidc.core.client_authentication import (
    METHODS,
    Credential,
    basic_credentials,
    client_assertion,
    secret_assertion,
)
from useid_middleware.oidc.core.jose import verify_token
from useid_middleware.oidc.core.keys import KeySet
from useid_middleware.settings.oidc import ClientAuthentication, OIDCProvider

NOW = 1_700_000_000
SECRET = "s" * 32
CLAIMS = {
    "iss": "client-1",
    "sub": "client-1",
    "aud": "https://sso.example",
    "iat": NOW,
    "exp": NOW + 60,
    "jti": "id-1",
}


def test_basic_credentials_are_those_of_rfc_6749_section_2_3_1() -> None:
    assert basic_credentials("s6BhdRkqt3", "gX1fBat3bV") == "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"


@pytest.mark.parametrize(
    ("client_id", "secret", "pair"),
    [
        ("a:b", "c", "a%3Ab:c"),
        ("a", "c:d", "a:c%3Ad"),
        ("a b", "c+d", "a+b:c%2Bd"),
        ("a", "100%", "a:100%25"),
        ("a", "ü€", "a:%C3%BC%E2%82%AC"),
        ("https://app.example/", "&=?", "https%3A%2F%2Fapp.example%2F:%26%3D%3F"),
    ],
)
def test_id_and_secret_are_form_encoded_before_they_are_joined(client_id: str, secret: str, pair: str) -> None:
    assert b64decode(basic_credentials(client_id, secret).removeprefix("Basic ")).decode() == pair


@given(client_id=st.text(st.characters(exclude_categories=["Cs"])), secret=st.text(st.characters(codec="utf-8")))
def test_a_server_reads_id_and_secret_back(client_id: str, secret: str) -> None:
    pair = b64decode(basic_credentials(client_id, secret).removeprefix("Basic ")).decode()
    assert tuple(map(unquote_plus, pair.split(":"))) == (client_id, secret)


def test_an_assertion_is_by_and_about_us_for_the_issuer_alone() -> None:
    key = RSAKey.generate_key(2048, {"kid": "k1"})
    token = client_assertion(
        key, algorithm="PS256", client_id="client-1", audience="https://sso.example", now=NOW, jti="id-1"
    )
    keys = KeySet.parse(json.dumps({"keys": [key.as_dict(private=False)]}).encode())
    header, claims = verify_token(token, keys, algorithms=["PS256"], name="client_assertion")
    assert header == {"alg": "PS256", "typ": "JWT", "kid": "k1"}
    assert claims == CLAIMS


def test_a_secret_signs_an_assertion_as_well() -> None:
    token = secret_assertion(SECRET, client_id="client-1", audience="https://sso.example", now=NOW, jti="id-1")
    header, claims = verify_token(token, KeySet.of_secret(SECRET), algorithms=["HS256"], name="client_assertion")
    assert header == {"alg": "HS256", "typ": "JWT"}
    assert claims == CLAIMS


@pytest.mark.parametrize("secret", ["", "short", "s" * 31])
def test_a_secret_that_can_be_searched_for_signs_nothing(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="client_secret_jwt") as caught:
        secret_assertion(secret, client_id="client-1", audience="https://sso.example", now=NOW, jti="id-1")
    assert secret == "" or secret not in caught.value.message


def test_the_table_has_the_methods_of_the_settings_and_their_names_for_what_each_needs() -> None:
    assert set(METHODS) == set(get_args(ClientAuthentication))
    assert {each.value for each in Credential} - {""} <= set(OIDCProvider.model_fields)
