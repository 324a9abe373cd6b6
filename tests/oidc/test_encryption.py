"""Encrypted tokens: what opens, and how everything else is refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwe import JWERegistry, encrypt_compact
from joserfc.jwk import ECKey, Key, OctKey, OKPKey

from tests.oidc.conftest import ISSUER, Signers, forge, segment
from useid_middleware.errors import ProviderError
from useid_middleware.oidc.core.jose import ENCRYPTIONS, KEY_MANAGEMENT, MAX_TOKEN, decrypt_token, is_encrypted
from useid_middleware.oidc.core.keys import ClientKeys


@pytest.fixture(scope="module")
def ours(signers: Signers) -> ClientKeys:
    keys: list[Key] = [
        signers.decryption,
        ECKey.generate_key("P-256", {"kid": "agree-1"}),
        OKPKey.generate_key("X25519"),
    ]
    return ClientKeys.parse(json.dumps({"keys": [key.as_dict(private=True) for key in keys]}).encode())


def encrypted(plaintext: str, key: Key, *, alg: str, enc: str = "A256GCM", **header: object) -> str:
    registry = JWERegistry(algorithms=[alg, enc, "DEF"], strict_check_header=False)
    public: Key = key if isinstance(key, OctKey) else type(key).import_key(key.as_dict(private=False))
    return encrypt_compact({"alg": alg, "enc": enc, **header}, plaintext, public, registry=registry)


def opened(token: str, keys: ClientKeys, **options: Any) -> str:
    return decrypt_token(token, keys, name="id_token", **options)


@pytest.mark.parametrize("enc", sorted(ENCRYPTIONS))
@pytest.mark.parametrize("alg", sorted(KEY_MANAGEMENT))
def test_what_is_encrypted_for_us_opens(ours: ClientKeys, alg: str, enc: str) -> None:
    for key in ours.decrypting(None, alg):
        for header in ({}, {"kid": key.kid}):
            token = encrypted("the inner token", key, alg=alg, enc=enc, cty="JWT", iss=ISSUER, **header)
            assert is_encrypted(token)
            assert opened(token, ours) == "the inner token"


def test_each_of_our_keys_is_tried_where_the_token_names_none(signers: Signers) -> None:
    keys = ClientKeys.parse(
        json.dumps({"keys": [key.as_dict(private=True) for key in (signers.stranger, signers.decryption)]}).encode()
    )
    assert opened(encrypted("inner", signers.decryption, alg="RSA-OAEP-256"), keys) == "inner"


def replaced(token: str, index: int, part: str) -> str:
    parts = token.split(".")
    parts[index] = part
    return ".".join(parts)


def header_of(**members: object) -> str:
    return segment({"alg": "RSA-OAEP-256", "enc": "A256GCM", **members})


SECRET = OctKey.import_key("s" * 32)
Case = Callable[[Signers, str], str]
ENCRYPTED: dict[str, tuple[Case, str]] = {
    "empty": (lambda s, t: "", "token_malformed"),
    "a signed token": (lambda s, t: forge({"alg": "RS256", "kid": "rsa-1"}, {"sub": "ada"}, s.rsa), "token_malformed"),
    "dots alone": (lambda s, t: "....", "token_malformed"),
    "six parts": (lambda s, t: t + ".AA", "token_malformed"),
    "not ASCII": (lambda s, t: t + "é", "token_malformed"),
    "a header that is no JSON": (lambda s, t: replaced(t, 0, "AAAA"), "token_malformed"),
    "two algorithms": (lambda s, t: replaced(t, 0, segment('{"alg":"dir","alg":"RSA-OAEP"}')), "token_malformed"),
    "an extension": (lambda s, t: replaced(t, 0, header_of(crit=["exp"], exp=1)), "token_malformed"),
    "too large": (lambda s, t: t + "A" * MAX_TOKEN, "token_too_large"),
    "compressed": (
        lambda s, t: encrypted("x" * 999, s.decryption, alg="RSA-OAEP", zip="DEF"),
        "token_encryption_refused",
    ),
    "RSA1_5": (lambda s, t: replaced(t, 0, header_of(alg="RSA1_5")), "token_encryption_refused"),
    "direct": (lambda s, t: encrypted("x", SECRET, alg="dir"), "token_encryption_refused"),
    "wrapped with a secret": (lambda s, t: encrypted("x", SECRET, alg="A256KW"), "token_encryption_refused"),
    "under a password": (
        lambda s, t: replaced(t, 0, header_of(alg="PBES2-HS256+A128KW", p2c=10**9, p2s="AA")),
        "token_encryption_refused",
    ),
    "an unknown algorithm": (lambda s, t: replaced(t, 0, header_of(alg="ROT13")), "token_encryption_refused"),
    "an unknown encryption": (lambda s, t: replaced(t, 0, header_of(enc="A192GCM")), "token_encryption_refused"),
    "an encryption that is no text": (
        lambda s, t: replaced(t, 0, header_of(enc=["A256GCM"])),
        "token_encryption_refused",
    ),
    "no encryption": (lambda s, t: replaced(t, 0, segment({"alg": "RSA-OAEP"})), "token_encryption_refused"),
    "for another key": (lambda s, t: encrypted("x", s.rsa, alg="RSA-OAEP-256"), "token_encryption_refused"),
    "for a key we do not have": (
        lambda s, t: encrypted("x", s.decryption, alg="RSA-OAEP-256", kid="enc-2"),
        "token_encryption_refused",
    ),
    "a changed header": (lambda s, t: replaced(t, 0, header_of(a=1)), "token_encryption_refused"),
    "no key inside": (lambda s, t: replaced(t, 1, ""), "token_encryption_refused"),
    "a changed key": (lambda s, t: replaced(t, 1, "A" * 342), "token_encryption_refused"),
    "no initialization vector": (lambda s, t: replaced(t, 2, ""), "token_encryption_refused"),
    "a changed ciphertext": (lambda s, t: replaced(t, 3, "AAAA"), "token_encryption_refused"),
    "no ciphertext": (lambda s, t: replaced(t, 3, ""), "token_encryption_refused"),
    "no tag": (lambda s, t: replaced(t, 4, ""), "token_encryption_refused"),
    "a short tag": (lambda s, t: replaced(t, 4, t.split(".")[4][:8]), "token_encryption_refused"),
    "a changed tag": (lambda s, t: replaced(t, 4, "A" * 22), "token_encryption_refused"),
    "blanks in the ciphertext": (lambda s, t: replaced(t, 3, "AA AA"), "token_encryption_refused"),
    "no ephemeral key": (lambda s, t: replaced(t, 0, header_of(alg="ECDH-ES")), "token_encryption_refused"),
}


EPHEMERAL_KEYS: tuple[object, ...] = (
    7,
    {},
    {"kty": "EC"},
    {"kty": "EC", "crv": "P-257", "x": "AA", "y": "AA"},
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    {"kty": "EC", "crv": ["P-256"], "x": 1, "y": None},
    {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
    {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
)


@pytest.mark.parametrize("epk", EPHEMERAL_KEYS)
def test_an_ephemeral_key_that_is_none_is_refused(ours: ClientKeys, epk: object) -> None:
    token = f"{header_of(alg='ECDH-ES', epk=epk)}..AAAA.AAAA.AAAA"
    with pytest.raises(ProviderError) as caught:
        opened(token, ours)
    assert caught.value.code == "token_encryption_refused"


@pytest.mark.parametrize("case", ENCRYPTED)
def test_what_is_not_encrypted_for_us_as_it_should_be_is_refused(signers: Signers, ours: ClientKeys, case: str) -> None:
    make, code = ENCRYPTED[case]
    with pytest.raises(ProviderError) as caught:
        opened(make(signers, encrypted("inner", signers.decryption, alg="RSA-OAEP-256")), ours)
    assert caught.value.code == code
    assert caught.value.details["token"] == "id_token"


def test_the_caller_may_allow_less_and_not_more(signers: Signers, ours: ClientKeys) -> None:
    token = encrypted("inner", signers.decryption, alg="RSA-OAEP")
    assert opened(token, ours, algorithms=["RSA-OAEP"], encryptions=["A256GCM"]) == "inner"
    more = encrypted("inner", signers.decryption, alg="RSA-OAEP", enc="A192GCM")
    for refused, options in (
        (token, {"algorithms": ["RSA-OAEP-256"]}),
        (token, {"encryptions": ["A128GCM"]}),
        (more, {"encryptions": ["A192GCM"]}),
    ):
        with pytest.raises(ProviderError) as caught:
            opened(refused, ours, **options)
        assert caught.value.code == "token_encryption_refused"


@given(
    st.lists(st.text(alphabet="AZaz09-_=", max_size=24), min_size=5, max_size=5),
    st.sampled_from(sorted(KEY_MANAGEMENT)),
)
def test_any_five_parts_are_refused_with_one_kind_of_error(ours: ClientKeys, parts: list[str], alg: str) -> None:
    for head in (parts[0], header_of(alg=alg)):
        with pytest.raises(ProviderError) as caught:
            opened(".".join([head, *parts[1:]]), ours)
        assert caught.value.code in ("token_malformed", "token_encryption_refused")
