"""Keys: which of a provider's are used, for what, and what our own may be."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from tests.oidc.conftest import Signers, json_values, jwks
from useid_middleware._codec import b64url
from useid_middleware.errors import ConfigurationError, ProviderError
from useid_middleware.oidc.core.keys import MAX_CANDIDATES, MAX_DOCUMENT, MAX_KEYS, ClientKeys, KeySet

#: RFC 7638 §3.1: the key and its thumbprint.
RFC7638_KEY = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
    "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qM"
    "QvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnq"
    "DKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
RFC7638_THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def public(key: Key, **members: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **members}


def kids(keys: KeySet, algorithm: str, kid: str | None = None) -> list[str | None]:
    return [key.kid for key in keys.candidates(kid=kid, algorithm=algorithm)]


@pytest.mark.parametrize(
    ("algorithm", "kid"),
    [
        *((name, "rsa-1") for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        ("ES256", "ec-1"),
        ("ES384", "ec-384"),
        ("ES512", "ec-521"),
        ("EdDSA", "ed-1"),
        ("Ed25519", "ed-1"),
    ],
)
def test_a_key_is_found_by_name_and_without_one_for_the_algorithms_of_its_type_and_curve(
    published: KeySet, algorithm: str, kid: str
) -> None:
    assert kids(published, algorithm, kid) == [kid]
    assert kids(published, algorithm) == [kid]
    for other in {"rsa-1", "ec-1", "ec-384", "ec-521", "ed-1"} - {kid}:
        assert kids(published, algorithm, other) == []


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES256K", "RSA-OAEP", "", "rs256"])
def test_no_published_key_serves_an_algorithm_that_is_not_asymmetric_and_known(
    published: KeySet, algorithm: str
) -> None:
    assert kids(published, algorithm, "rsa-1") == kids(published, algorithm) == []


def test_an_unknown_name_finds_nothing_rather_than_any_key(published: KeySet) -> None:
    assert kids(published, "RS256", "rsa-2") == kids(published, "RS256", "") == []


def test_keys_of_one_name_are_all_tried_and_so_are_all_where_the_token_names_none(signers: Signers) -> None:
    same, other = public(signers.stranger), public(signers.decryption, kid="rsa-2")
    keys = KeySet.parse(jwks(signers.rsa, same, other, signers.ec))
    assert kids(keys, "RS256", "rsa-1") == ["rsa-1", "rsa-1"]
    assert kids(keys, "RS256") == ["rsa-1", "rsa-1", "rsa-2"]


def test_at_most_ten_keys_are_tried_for_one_token(signers: Signers) -> None:
    keys = KeySet.parse(jwks(*(public(signers.ec, kid=f"ec-{number}") for number in range(30))))
    assert len(keys) == 30
    assert len(kids(keys, "ES256")) == MAX_CANDIDATES
    assert kids(keys, "ES256", "ec-29") == ["ec-29"]


def test_a_key_serves_only_what_it_says_it_is_for(signers: Signers) -> None:
    only_ps256 = KeySet.parse(jwks(public(signers.rsa, alg="PS256", use="sig", key_ops=["verify"])))
    assert kids(only_ps256, "PS256") == ["rsa-1"]
    assert kids(only_ps256, "RS256") == []
    # Ed25519 has two names for one thing.
    assert kids(KeySet.parse(jwks(public(signers.ed, alg="EdDSA"))), "Ed25519") == ["ed-1"]
    assert kids(KeySet.parse(jwks(public(signers.ed, alg="Ed25519"))), "EdDSA") == ["ed-1"]


def small_rsa() -> dict[str, Any]:
    numbers = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
    return {"kty": "RSA", "n": b64url(numbers.n.to_bytes(128, "big")), "e": "AQAB"}


UNUSABLE: dict[str, Callable[[Signers], object]] = {
    "no object": lambda s: "key",
    "null": lambda s: None,
    "no kty": lambda s: {"n": public(s.rsa)["n"], "e": "AQAB"},
    "an unknown kty": lambda s: {"kty": "AKP", "pub": "AAAA"},
    "a kty that is no text": lambda s: public(s.rsa, kty=["RSA"]),
    "a symmetric key": lambda s: {"kty": "oct", "k": "A" * 43},
    "for encryption": lambda s: public(s.rsa, use="enc"),
    "for an unknown use": lambda s: public(s.rsa, use="tls"),
    "an encryption algorithm": lambda s: public(s.rsa, alg="RSA-OAEP"),
    "HS256 with an RSA key": lambda s: public(s.rsa, alg="HS256"),
    "operations without verify": lambda s: public(s.rsa, key_ops=["encrypt"]),
    "operations of another use": lambda s: public(s.rsa, use="sig", key_ops=["encrypt", "verify"]),
    "operations that are no list": lambda s: public(s.rsa, key_ops=7),
    "a kid that is no text": lambda s: public(s.rsa, kid=7),
    "RSA of 1024 bits": lambda s: small_rsa(),
    "RSA of 1024 bits behind zeros": lambda s: {**small_rsa(), "n": "A" * 200 + small_rsa()["n"]},
    "RSA of 16384 bits": lambda s: public(s.rsa, n="_" * 2730 + "w"),
    "RSA without modulus": lambda s: public(s.rsa, n=""),
    "RSA with a number for a modulus": lambda s: public(s.rsa, n=12345),
    "RSA with exponent 1": lambda s: public(s.rsa, e="AQ"),
    "RSA with a huge exponent": lambda s: public(s.rsa, e="_" * 12),
    "RSA with its modulus for exponent": lambda s: public(s.rsa, e=public(s.rsa)["n"]),
    "RSA in base64 rather than base64url": lambda s: public(s.rsa, n=public(s.rsa)["n"] + "=="),
    "EC off the curve": lambda s: public(s.ec, x=public(s.ec)["y"]),
    "EC on an unknown curve": lambda s: public(s.ec, crv="P-257"),
    "EC with a curve that is no text": lambda s: public(s.ec, crv=["P-256"]),
    "EC on another's curve": lambda s: public(s.ec, crv="P-384"),
    "EC on secp256k1": lambda s: public(ECKey.generate_key("secp256k1")),
    "EC without y": lambda s: {name: value for name, value in public(s.ec).items() if name != "y"},
    "Ed448": lambda s: public(OKPKey.import_key(ed448.Ed448PrivateKey.generate())),
    "X25519": lambda s: public(OKPKey.generate_key("X25519")),
    "Ed25519 too short": lambda s: public(s.ed, x="AAAA"),
    "a private key": lambda s: s.rsa.as_dict(private=True),
    "a private EC key": lambda s: s.ec.as_dict(private=True),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_key_that_cannot_be_used_is_left_out_and_spoils_nothing(signers: Signers, case: str) -> None:
    keys = KeySet.parse(jwks(UNUSABLE[case](signers), signers.ed))
    assert len(keys) == 1
    assert kids(keys, "EdDSA") == ["ed-1"]
    assert len(KeySet.parse(jwks(UNUSABLE[case](signers)))) == 0


def test_members_that_are_not_about_the_key_are_not_looked_at(signers: Signers) -> None:
    odd = public(signers.rsa, x5u="ftp://elsewhere.example", x5c="none", jku=7, whatever={"a": [1]})
    assert kids(KeySet.parse(jwks(odd)), "RS256") == ["rsa-1"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b"{}",
        b'{"keys": null}',
        b'{"keys": {}}',
        b'{"keys": "none"}',
        b'{"keys": [], "keys": []}',
        b'{"keys": [{"kty": "oct", "kty": "RSA"}]}',
        b'{"keys": [NaN]}',
        b'{"keys": [1e999]}',
        b'{"keys": [' + b"1" * 20 + b"]}",
        b'{"keys": ["\\ud800"]}',
        b'{"keys": ["\xff"]}',
        b'\xef\xbb\xbf{"keys": []}',
        b'{"keys": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"keys": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"keys": []} trailing',
        b'{"keys": [' + b",".join([b"{}"] * (MAX_KEYS + 1)) + b"]}",
        b'{"keys": [], "filler": "' + b"x" * MAX_DOCUMENT + b'"}',
    ],
    ids=lambda document: repr(document[:40]),
)
def test_what_is_no_jwk_set_is_refused(document: bytes) -> None:
    with pytest.raises(ProviderError) as caught:
        KeySet.parse(document)
    assert caught.value.code == "jwks_invalid"
    assert caught.value.status_hint == 502


def test_an_empty_set_is_a_set(signers: Signers) -> None:
    assert len(KeySet.parse(b'{"keys": []}')) == 0


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    assert KeySet.parse(jwks(RFC7638_KEY)).fingerprints == {("2011-04-29", "RS256", RFC7638_THUMBPRINT)}


def test_fingerprints_tell_whether_a_document_brought_anything_new(signers: Signers) -> None:
    before = KeySet.parse(jwks(signers.rsa, signers.ec)).fingerprints
    assert KeySet.parse(jwks(signers.ec, signers.rsa)).fingerprints == before
    assert KeySet.parse(jwks(signers.rsa)).fingerprints != before
    assert KeySet.parse(jwks(signers.stranger, signers.ec)).fingerprints != before, "another key of the same name"
    assert KeySet.parse(jwks(public(signers.rsa, kid="new"), signers.ec)).fingerprints != before, "a new name"


@pytest.mark.parametrize(
    ("size", "served"),
    [(32, {"HS256"}), (47, {"HS256"}), (48, {"HS256", "HS384"}), (64, {"HS256", "HS384", "HS512"})],
)
def test_a_client_secret_serves_the_algorithms_that_it_is_long_enough_for(size: int, served: set[str]) -> None:
    keys = KeySet.of_secret("s" * size)
    assert {
        name for name in ("HS256", "HS384", "HS512", "RS256") if keys.candidates(kid=None, algorithm=name)
    } == served
    assert len(keys.candidates(kid="any", algorithm="HS256")) == 1


@pytest.mark.parametrize("secret", ["", "short", "s" * 31])
def test_a_client_secret_too_short_for_any_is_the_operators_mistake(secret: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        KeySet.of_secret(secret)
    assert "client_secret" in caught.value.message
    assert secret == "" or secret not in caught.value.message


def test_joined_sets_have_the_keys_of_both(published: KeySet) -> None:
    both = published.joined(KeySet.of_secret("s" * 32))
    assert kids(both, "RS256", "rsa-1") == ["rsa-1"]
    assert len(both.candidates(kid="rsa-1", algorithm="HS256")) == 1
    assert both.fingerprints == published.fingerprints
    assert kids(published, "HS256") == []


def outcome(document: bytes) -> int | str:
    """How many keys a document has, or the code of its refusal."""
    try:
        return len(KeySet.parse(document))
    except ProviderError as error:
        return error.code


@given(st.binary(max_size=200))
def test_parsing_any_bytes_gives_keys_or_one_error(document: bytes) -> None:
    assert outcome(document) in (0, "jwks_invalid")


members = st.fixed_dictionaries(
    {"kty": st.sampled_from(["RSA", "EC", "OKP", "oct"]) | json_values},
    optional={
        name: json_values | st.sampled_from(["P-256", "Ed25519", "AQAB", "_" * 342, "A" * 43, "sig", "RS256", "verify"])
        for name in ("n", "e", "crv", "x", "y", "d", "use", "alg", "kid", "key_ops", "x5c")
    },
)


@given(st.lists(members | json_values, max_size=4))
def test_parsing_any_keys_gives_keys_or_one_error(keys: list[Any]) -> None:
    assert outcome(json.dumps({"keys": keys}).encode()) in (*range(len(keys) + 1), "jwks_invalid")


@given(members | json_values)
def test_reading_any_private_key_gives_keys_or_a_configuration_error(key: Any) -> None:
    for document in (key, {"keys": [key]}):
        with pytest.raises(ConfigurationError):
            ClientKeys.parse(json.dumps(document).encode())


def pem(key: Key, *, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes = b"") -> bytes:
    return pem_of(key.private_key, form=form, password=password)


def pem_of(raw: Any, *, form: PrivateFormat = PrivateFormat.PKCS8, password: bytes = b"") -> bytes:
    sealing = BestAvailableEncryption(password) if password else NoEncryption()
    written: bytes = raw.private_bytes(Encoding.PEM, form, sealing)
    return written


@pytest.mark.parametrize("form", ["jwk", "jwks", "pkcs8", "traditional", "several"])
def test_our_keys_are_read_in_every_form_that_people_keep_them_in(signers: Signers, form: str) -> None:
    private = signers.rsa.as_dict(private=True)
    document = {
        "jwk": json.dumps(private).encode(),
        "jwks": json.dumps({"keys": [private]}).encode(),
        "pkcs8": pem(signers.rsa),
        "traditional": b"my key\n" + pem(signers.rsa, form=PrivateFormat.TraditionalOpenSSL),
        "several": pem(signers.rsa) + b"\n" + pem(signers.ec),
    }[form]
    key, algorithm = ClientKeys.parse(document).signing()
    assert (key.thumbprint(), algorithm) == (signers.rsa.thumbprint(), "PS256")
    assert key.kid == ("rsa-1" if form.startswith("jwk") else signers.rsa.thumbprint())


@pytest.mark.parametrize(
    "document",
    [
        lambda s: b"",
        lambda s: b"{}",
        lambda s: b"[]",
        lambda s: b"not a key",
        lambda s: b'{"keys": []}',
        lambda s: b'{"keys": 7}',
        lambda s: b'{"keys": ["secret-part"]}',
        lambda s: jwks(s.rsa),
        lambda s: json.dumps({"kty": "oct", "k": "secret-part" * 5}).encode(),
        lambda s: json.dumps({**s.rsa.as_dict(private=True), "p": "secret-part"}).encode(),
        lambda s: json.dumps({**s.ec.as_dict(private=True), "d": "secret-part"}).encode(),
        lambda s: json.dumps({**s.ed.as_dict(private=True), "crv": "P-256"}).encode(),
        lambda s: pem(s.rsa, password=b"secret-part"),
        lambda s: pem(s.rsa)[:-40],
        lambda s: pem(s.rsa).replace(b"M", b"x", 40),
        lambda s: s.rsa.as_pem(private=False),
        lambda s: pem(s.rsa) + s.rsa.as_pem(private=False),
        lambda s: pem_of(rsa.generate_private_key(65537, 1024)),
        lambda s: pem_of(ec.generate_private_key(ec.BrainpoolP256R1())),
        lambda s: pem_of(dsa.generate_private_key(1024)),
        lambda s: b"-----BEGIN PRIVATE KEY-----\nsecret-part\n-----END PRIVATE KEY-----",
    ],
)
def test_what_is_no_private_key_of_ours_is_refused_and_not_quoted(signers: Signers, document: Any) -> None:
    content = document(signers)
    with pytest.raises(ConfigurationError) as caught:
        ClientKeys.parse(content)
    assert caught.value.message.startswith("private_keys: ")
    assert "secret-part" not in caught.value.message


@pytest.fixture
def ours(signers: Signers) -> ClientKeys:
    signing = {**signers.ec.as_dict(private=True), "use": "sig"}
    opening = {**signers.decryption.as_dict(private=True), "use": "enc", "alg": "RSA-OAEP-256"}
    agreeing = {**OKPKey.generate_key("X25519").as_dict(private=True), "kid": "x-1"}
    return ClientKeys.parse(
        json.dumps({"keys": [opening, signing, agreeing, signers.ed.as_dict(private=True)]}).encode()
    )


def test_the_key_to_sign_with_is_the_first_that_can(ours: ClientKeys) -> None:
    def named(algorithm: str | None) -> tuple[str | None, str]:
        key, name = ours.signing(algorithm)
        return key.kid, name

    assert named(None) == ("ec-1", "ES256")
    assert named("ES256") == ("ec-1", "ES256")
    assert named("EdDSA") == ("ed-1", "EdDSA")
    assert named("Ed25519") == ("ed-1", "Ed25519")


@pytest.mark.parametrize("algorithm", ["PS256", "RS256", "ES384", "none", "HS256", ""])
def test_an_algorithm_that_none_of_our_keys_is_for_is_the_operators_mistake(ours: ClientKeys, algorithm: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a key that signs"):
        ours.signing(algorithm)


def test_a_key_that_names_its_algorithm_signs_with_it(signers: Signers) -> None:
    keys = ClientKeys.parse(json.dumps({**signers.rsa.as_dict(private=True), "alg": "RS256"}).encode())
    assert keys.signing()[1] == "RS256"
    assert (
        ClientKeys.parse(json.dumps({**signers.ed.as_dict(private=True), "alg": "Ed25519"}).encode()).signing()[1]
        == "Ed25519"
    )
    with pytest.raises(ConfigurationError):
        keys.signing("PS256")


@pytest.mark.parametrize(
    ("kid", "algorithm", "found"),
    [
        (None, "RSA-OAEP-256", ["enc-1"]),
        ("enc-1", "RSA-OAEP-256", ["enc-1"]),
        (None, "RSA-OAEP", []),
        ("enc-2", "RSA-OAEP-256", []),
        (None, "ECDH-ES", ["x-1"]),
        ("ec-1", "ECDH-ES", []),
        ("ed-1", "ECDH-ES+A256KW", []),
    ],
)
def test_the_keys_to_open_with_are_those_that_fit_the_algorithm_the_name_and_the_use(
    ours: ClientKeys, kid: str | None, algorithm: str, found: list[str]
) -> None:
    assert [key.kid for key in ours.decrypting(kid, algorithm)] == found


def test_a_key_in_pem_both_signs_and_opens(signers: Signers) -> None:
    keys = ClientKeys.parse(pem(signers.rsa))
    assert keys.signing("RS256")[0] is keys.decrypting(None, "RSA-OAEP")[0]


def test_what_we_publish_holds_no_private_part(ours: ClientKeys, signers: Signers) -> None:
    published = ours.public_jwks()
    private = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
    assert [private & set(key) for key in published["keys"]] == [set()] * 4
    assert [key["kid"] for key in published["keys"]] == ["enc-1", "ec-1", "x-1", "ed-1"]
    assert kids(KeySet.parse(json.dumps(published).encode()), "ES256") == ["ec-1"]


def test_what_we_publish_of_a_pem_key_is_its_public_key(signers: Signers) -> None:
    (published,) = ClientKeys.parse(pem(signers.rsa)).public_jwks()["keys"]
    assert set(published) == {"kty", "n", "e", "kid"}
    read = RSAKey.import_key(published).public_key
    encoding = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert read.public_bytes(*encoding) == signers.rsa.public_key.public_bytes(*encoding)
