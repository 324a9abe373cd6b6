"""Userinfo: plain, signed and encrypted, about the person who logged in and nobody else."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwe import JWERegistry, encrypt_compact
from joserfc.jwk import RSAKey

from tests.oidc.conftest import CLIENT, ISSUER, Signers, forge, json_values
from useid_middleware.errors import ProviderError
from useid_middleware.oidc.core.jose import sign_token
from useid_middleware.oidc.core.keys import ClientKeys, KeySet
from useid_middleware.oidc.core.userinfo import read_userinfo

ALGORITHMS = ("RS256", "ES256")
GONE = object()
INFO = {"sub": "248289761001", "name": "Ada", "email": "ada@example.org"}


def read(body: object, keys: KeySet, client_keys: ClientKeys | None = None, **options: Any) -> dict[str, Any]:
    if isinstance(body, str):
        media_type, content = "application/jwt", body.encode()
    else:
        media_type, content = "application/json", body if isinstance(body, bytes) else json.dumps(body).encode()
    status = options.pop("status", 200)
    return read_userinfo(
        status,
        options.pop("media_type", media_type),
        content,
        keys,
        client_keys,
        **{
            "expected_subject": INFO["sub"],
            "expected_issuer": ISSUER,
            "expected_audience": CLIENT,
            "algorithms": ALGORITHMS,
            **options,
        },
    )


def signed_info(signers: Signers, **changes: Any) -> str:
    claims = {**INFO, "iss": ISSUER, "aud": CLIENT, **changes}
    return sign_token(
        {name: value for name, value in claims.items() if value is not GONE}, signers.rsa, algorithm="RS256", typ="JWT"
    )


def sealed(plaintext: str, key: RSAKey) -> str:
    registry = JWERegistry(algorithms=["RSA-OAEP-256", "A256GCM"])
    return encrypt_compact({"alg": "RSA-OAEP-256", "enc": "A256GCM"}, plaintext, key, registry=registry)


@pytest.fixture(scope="module")
def ours(signers: Signers) -> ClientKeys:
    return ClientKeys.parse(json.dumps(signers.decryption.as_dict(private=True)).encode())


Info = Callable[[Signers], object]
READ: dict[str, tuple[Info, bool]] = {
    "JSON": (lambda s: INFO, False),
    "JSON with our issuer and audience": (lambda s: {**INFO, "iss": ISSUER, "aud": ["api", CLIENT]}, False),
    "signed": (lambda s: signed_info(s), True),
    "signed, for several audiences": (lambda s: signed_info(s, aud=[CLIENT, "api"]), True),
    "signed, with a line break at the end": (lambda s: signed_info(s) + "\r\n", True),
    "encrypted": (lambda s: sealed(json.dumps(INFO), s.decryption), False),
    "signed and encrypted": (lambda s: sealed(signed_info(s), s.decryption), True),
}


@pytest.mark.parametrize("case", READ)
def test_userinfo_is_read_in_every_form(signers: Signers, published: KeySet, ours: ClientKeys, case: str) -> None:
    make, signed = READ[case]
    claims = read(make(signers), published, ours)
    assert {name: claims[name] for name in INFO} == INFO
    if signed:
        assert read(make(signers), published, ours, requires_signature=True) == claims
    else:
        with pytest.raises(ProviderError) as caught:
            read(make(signers), published, ours, requires_signature=True)
        assert caught.value.code == "userinfo_invalid"


UNREAD: dict[str, tuple[Info, str, dict[str, Any]]] = {
    "another subject": (lambda s: {**INFO, "sub": "248289761002"}, "userinfo_invalid", {}),
    "no subject": (lambda s: {"name": "Ada"}, "userinfo_invalid", {}),
    "a null subject": (lambda s: {**INFO, "sub": None}, "userinfo_invalid", {}),
    "a subject in a list": (lambda s: {**INFO, "sub": [INFO["sub"]]}, "userinfo_invalid", {}),
    "a subject that is a number": (lambda s: {**INFO, "sub": 248289761001}, "userinfo_invalid", {}),
    "a subject beyond ASCII": (lambda s: {**INFO, "sub": "é"}, "userinfo_invalid", {}),
    "an empty subject": (lambda s: {**INFO, "sub": ""}, "userinfo_invalid", {}),
    "another issuer": (lambda s: {**INFO, "iss": "https://evil.example"}, "token_claim_invalid", {}),
    "another audience": (lambda s: {**INFO, "aud": "client-2"}, "token_claim_invalid", {}),
    "a null audience": (lambda s: {**INFO, "aud": None}, "token_claim_invalid", {}),
    "not found": (lambda s: INFO, "userinfo_invalid", {"status": 404}),
    "not authorized": (lambda s: b"", "userinfo_invalid", {"status": 401}),
    "HTML": (lambda s: b"<html>", "userinfo_invalid", {"media_type": "text/html"}),
    "JSON said to be text": (lambda s: INFO, "userinfo_invalid", {"media_type": "text/plain"}),
    "broken JSON": (lambda s: b"{", "userinfo_invalid", {}),
    "a list": (lambda s: [INFO], "userinfo_invalid", {}),
    "two subjects": (lambda s: b'{"sub":"248289761001","sub":"eve"}', "userinfo_invalid", {}),
    "too much": (lambda s: {**INFO, "filler": "x" * 262_144}, "userinfo_invalid", {}),
    "JSON said to be a token": (lambda s: INFO, "token_malformed", {"media_type": "application/jwt"}),
    "a token said to be JSON": (lambda s: signed_info(s), "userinfo_invalid", {"media_type": "application/json"}),
    "bytes said to be a token": (lambda s: b"\xff", "token_malformed", {"media_type": "application/jwt"}),
    "a token without signature": (lambda s: forge({"alg": "none"}, INFO), "token_algorithm_refused", {}),
    "a stranger's token": (
        lambda s: forge({"alg": "RS256", "kid": "rsa-1"}, {**INFO, "iss": ISSUER, "aud": CLIENT}, s.stranger),
        "token_signature_invalid",
        {},
    ),
    "signed without issuer": (lambda s: signed_info(s, iss=GONE), "token_claim_invalid", {}),
    "signed by another issuer": (lambda s: signed_info(s, iss=ISSUER + "/"), "token_claim_invalid", {}),
    "signed without audience": (lambda s: signed_info(s, aud=GONE), "token_claim_invalid", {}),
    "signed for another audience": (lambda s: signed_info(s, aud=["client-2"]), "token_claim_invalid", {}),
    "signed for another subject": (lambda s: signed_info(s, sub="eve"), "userinfo_invalid", {}),
    "an access token": (
        lambda s: sign_token({**INFO, "iss": ISSUER, "aud": CLIENT}, s.rsa, algorithm="RS256", typ="at+jwt"),
        "token_claim_invalid",
        {},
    ),
    "encrypted for another": (lambda s: sealed(json.dumps(INFO), s.rsa), "token_encryption_refused", {}),
    "encrypted for another subject": (
        lambda s: sealed(json.dumps({**INFO, "sub": "eve"}), s.decryption),
        "userinfo_invalid",
        {},
    ),
    "encrypted nonsense": (lambda s: sealed("{nonsense", s.decryption), "userinfo_invalid", {}),
    "encrypted without signature": (
        lambda s: sealed(forge({"alg": "none"}, INFO), s.decryption),
        "token_algorithm_refused",
        {},
    ),
    "encrypted twice": (lambda s: sealed(sealed(json.dumps(INFO), s.decryption), s.decryption), "token_malformed", {}),
}


@pytest.mark.parametrize("case", UNREAD)
def test_userinfo_that_is_not_about_this_login_is_refused(
    signers: Signers, published: KeySet, ours: ClientKeys, case: str
) -> None:
    make, code, options = UNREAD[case]
    with pytest.raises(ProviderError) as caught:
        read(make(signers), published, ours, **options)
    assert caught.value.code == code
    assert caught.value.details["token"] == "userinfo"


def test_encrypted_userinfo_is_refused_without_a_key_of_ours(signers: Signers, published: KeySet) -> None:
    with pytest.raises(ProviderError) as caught:
        read(sealed(json.dumps(INFO), signers.decryption), published, None)
    assert caught.value.code == "token_encryption_refused"


@given(body=st.binary(max_size=80) | json_values, media_type=st.sampled_from(["application/json", "application/jwt"]))
def test_any_userinfo_is_refused_with_one_kind_of_error(published: KeySet, body: Any, media_type: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(ProviderError):
        read(content, published, media_type=media_type)
