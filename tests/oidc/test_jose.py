"""Signed tokens: what verifies, and how everything else is refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OctKey

from tests.oidc.conftest import ISSUER, Signers, forge, jwks, segment
from useid_middleware.errors import ProviderError
from useid_middleware.oidc.core.jose import (
    MAX_TOKEN,
    claimed_issuer,
    sign_token,
    verify_token,
)
from useid_middleware.oidc.core.keys import KeySet

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
CLAIMS = {"iss": ISSUER, "sub": "ada"}

#: RFC 7515 A.2 and A.3: key and token.
RFC7515 = {
    "RS256": (
        {
            "kty": "RSA",
            "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
            "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
            "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
            "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
            "e": "AQAB",
        },
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnV"
        "lfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr"
        "7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12j"
        "zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe"
        "77Rw",
    ),
    "ES256": (
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        },
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnV"
        "lfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ),
}


def refusal(token: str, keys: KeySet, **options: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        verify_token(token, keys, **{"algorithms": ALGORITHMS, "name": "id_token", **options})
    assert caught.value.details["token"] == "id_token"
    assert caught.value.message.startswith("id_token: ")
    return caught.value


@pytest.mark.parametrize("algorithm", RFC7515)
def test_the_examples_of_rfc_7515_verify(algorithm: str) -> None:
    key, token = RFC7515[algorithm]
    header, claims = verify_token(token, KeySet.parse(jwks(key)), algorithms=[algorithm], name="id_token")
    assert header == {"alg": algorithm}
    assert claims == {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_we_sign_verifies_with_every_algorithm(signers: Signers, published: KeySet, algorithm: str) -> None:
    token = sign_token(CLAIMS, signers.key(algorithm), algorithm=algorithm, typ="JWT")
    header, claims = verify_token(token, published, algorithms=ALGORITHMS, name="id_token")
    assert header == {"alg": algorithm, "typ": "JWT", "kid": signers.key(algorithm).kid}
    assert claims == CLAIMS
    others = [name for name in ALGORITHMS if name != algorithm]
    assert refusal(token, published, algorithms=others).code == "token_algorithm_refused"


def test_a_header_says_what_it_is_told(signers: Signers, published: KeySet) -> None:
    jwk = signers.ec.as_dict(private=False)
    token = sign_token(CLAIMS, signers.ec, algorithm="ES256", typ="dpop+jwt", kid="", header={"jwk": jwk})
    header, _ = verify_token(token, published, algorithms=["ES256"], name="proof")
    assert header == {"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk}
    token = sign_token(CLAIMS, signers.ec, algorithm="ES256", typ="JWT", kid="other")
    assert refusal(token, published).code == "token_key_unknown"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_the_client_secret_verifies_where_the_operator_allows_it(published: KeySet, algorithm: str) -> None:
    secret = "s" * 64
    key = OctKey.import_key(secret)
    token = forge({"alg": algorithm, "kid": "whatever"}, CLAIMS, key, algorithm=algorithm)
    keys = published.joined(KeySet.of_secret(secret))
    assert verify_token(token, keys, algorithms=[algorithm], name="id_token")[1] == CLAIMS
    assert refusal(token, keys).code == "token_algorithm_refused"
    assert refusal(token, published, algorithms=[algorithm]).code == "token_key_unknown"
    other = published.joined(KeySet.of_secret("t" * 64))
    assert refusal(token, other, algorithms=[algorithm]).code == "token_signature_invalid"


@pytest.mark.parametrize("published_as", ["n", "pem"])
def test_a_public_key_is_never_the_secret_of_a_mac(signers: Signers, published: KeySet, published_as: str) -> None:
    raw = signers.rsa.as_pem(private=False) if published_as == "pem" else str(signers.rsa["n"]).encode()
    token = forge({"alg": "HS256", "kid": "rsa-1"}, CLAIMS, OctKey(raw, raw), algorithm="HS256")
    assert refusal(token, published).code == "token_algorithm_refused"
    assert refusal(token, published, algorithms=["HS256", "RS256"]).code == "token_key_unknown"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_a_token_without_signature_is_refused_even_if_it_were_allowed(published: KeySet, algorithm: str) -> None:
    token = forge({"alg": algorithm}, CLAIMS)
    assert refusal(token, published).code == "token_algorithm_refused"
    assert refusal(token, published, algorithms=[algorithm]).code == "token_algorithm_refused"


def test_keys_that_a_token_brings_along_are_not_looked_at(signers: Signers, published: KeySet) -> None:
    brought = {"jwk": signers.stranger.as_dict(private=False), "jku": "https://evil.example", "x5c": ["MII"], "x5u": 7}
    token = forge({"alg": "RS256", "kid": "rsa-1", **brought}, CLAIMS, signers.stranger)
    assert refusal(token, published).code == "token_signature_invalid"
    token = forge({"alg": "RS256", "kid": "rsa-1", **brought}, CLAIMS, signers.rsa)
    assert verify_token(token, published, algorithms=["RS256"], name="id_token")[1] == CLAIMS


def test_a_token_without_key_name_is_tried_with_every_key_that_fits(signers: Signers) -> None:
    keys = KeySet.parse(jwks(signers.decryption, signers.stranger, signers.ec, signers.rsa))
    for signer in (signers.rsa, signers.stranger):
        token = forge({"alg": "RS256"}, CLAIMS, signer)
        assert verify_token(token, keys, algorithms=["RS256"], name="id_token")[1] == CLAIMS
    token = forge({"alg": "RS256"}, CLAIMS, signers.rsa)
    assert refusal(token, KeySet.parse(jwks(signers.stranger))).code == "token_signature_invalid"


def with_signature(token: str, change: Callable[[str], str]) -> str:
    signing_input, _, signature = token.rpartition(".")
    return f"{signing_input}.{change(signature)}"


def good(signers: Signers, **header: object) -> str:
    return forge({"alg": "RS256", "kid": "rsa-1", **header}, CLAIMS, signers.rsa)


def text(payload: str | bytes) -> Callable[[Signers], str]:
    return lambda s: forge({"alg": "RS256", "kid": "rsa-1"}, payload, s.rsa)


TOKENS: dict[str, tuple[Callable[[Signers], str], str]] = {
    "empty": (lambda s: "", "token_malformed"),
    "dots alone": (lambda s: "..", "token_malformed"),
    "two parts": (lambda s: good(s).rpartition(".")[0], "token_malformed"),
    "four parts": (lambda s: good(s) + ".AA", "token_malformed"),
    "five parts": (lambda s: good(s) + ".AA.AA", "token_malformed"),
    "not ASCII": (lambda s: good(s) + "é", "token_malformed"),
    "a line break at the end": (lambda s: good(s) + "\n", "token_malformed"),
    "a blank in front": (lambda s: " " + good(s), "token_malformed"),
    "a line break inside": (lambda s: good(s).replace(".", ".\n", 1), "token_signature_invalid"),
    "padding": (lambda s: with_signature(good(s), lambda sig: sig + "=="), "token_malformed"),
    "base64 in place of base64url": (
        lambda s: with_signature(good(s), lambda sig: "+/" + sig[2:]),
        "token_malformed",
    ),
    "unused bits set": (lambda s: with_signature(good(s), lambda sig: sig[:-1] + "_"), "token_malformed"),
    "a signature of impossible length": (lambda s: with_signature(good(s), lambda sig: sig[:-1]), "token_malformed"),
    "no signature": (lambda s: with_signature(good(s), lambda sig: ""), "token_signature_invalid"),
    "half a signature": (lambda s: with_signature(good(s), lambda sig: sig[:160]), "token_signature_invalid"),
    "a changed signature": (
        lambda s: with_signature(good(s), lambda sig: ("A" if sig[0] != "A" else "B") + sig[1:]),
        "token_signature_invalid",
    ),
    "a changed payload": (
        lambda s: ".".join([good(s).split(".")[0], segment({**CLAIMS, "sub": "eve"}), good(s).split(".")[2]]),
        "token_signature_invalid",
    ),
    "a stranger's signature": (
        lambda s: forge({"alg": "RS256", "kid": "rsa-1"}, CLAIMS, s.stranger),
        "token_signature_invalid",
    ),
    "another algorithm's signature": (
        lambda s: forge({"alg": "PS256", "kid": "rsa-1"}, CLAIMS, s.rsa, algorithm="RS256"),
        "token_signature_invalid",
    ),
    "ECDSA in DER": (
        lambda s: with_signature(
            forge({"alg": "ES256", "kid": "ec-1"}, CLAIMS, s.ec, algorithm="ES256"), lambda sig: "MEUC" + sig
        ),
        "token_signature_invalid",
    ),
    "ECDSA of zeros": (
        lambda s: with_signature(
            forge({"alg": "ES256", "kid": "ec-1"}, CLAIMS, s.ec, algorithm="ES256"), lambda sig: "A" * 86
        ),
        "token_signature_invalid",
    ),
    "Ed25519 of zeros": (
        lambda s: with_signature(
            forge({"alg": "EdDSA", "kid": "ed-1"}, CLAIMS, s.ed, algorithm="EdDSA"), lambda sig: "A" * 86
        ),
        "token_signature_invalid",
    ),
    "an unknown key": (lambda s: good(s, kid="rsa-2"), "token_key_unknown"),
    "an empty key name": (lambda s: good(s, kid=""), "token_key_unknown"),
    "a key of another type": (lambda s: good(s, kid="ec-1"), "token_key_unknown"),
    "a curve that is not the algorithm's": (lambda s: good(s, alg="ES256", kid="ec-384"), "token_key_unknown"),
    "a key name that is no text": (lambda s: good(s, kid=7), "token_malformed"),
    "an algorithm that is no text": (lambda s: good(s, alg=["RS256"]), "token_malformed"),
    "an algorithm in lower case": (lambda s: good(s, alg="rs256"), "token_algorithm_refused"),
    "an unknown algorithm": (lambda s: good(s, alg="ES256K"), "token_algorithm_refused"),
    "an algorithm for encryption": (lambda s: good(s, alg="RSA-OAEP"), "token_algorithm_refused"),
    "no algorithm": (lambda s: forge({"kid": "rsa-1"}, CLAIMS, s.rsa), "token_malformed"),
    "a type that is no text": (lambda s: good(s, typ=1), "token_malformed"),
    "an extension": (lambda s: good(s, crit=["exp"], exp=1), "token_malformed"),
    "an empty extension": (lambda s: good(s, crit=[]), "token_malformed"),
    "an unencoded payload": (lambda s: good(s, b64=False, crit=["b64"]), "token_malformed"),
    "a payload said to be encoded": (lambda s: good(s, b64=True), "token_malformed"),
    "a header that is no JSON": (lambda s: forge("RS256", CLAIMS, s.rsa), "token_malformed"),
    "a header that is a list": (lambda s: forge(["RS256"], CLAIMS, s.rsa), "token_malformed"),
    "two algorithms": (
        lambda s: forge('{"alg":"none","alg":"RS256","kid":"rsa-1"}', CLAIMS, s.rsa),
        "token_malformed",
    ),
    "a payload that is no JSON": (text("hello"), "token_malformed"),
    "an empty payload": (text(""), "token_malformed"),
    "a payload that is a list": (text('[{"sub":"ada"}]'), "token_malformed"),
    "a payload that is null": (text("null"), "token_malformed"),
    "two subjects": (text('{"sub":"ada","sub":"eve"}'), "token_malformed"),
    "two subjects, one escaped": (text('{"sub":"ada","\\u0073ub":"eve"}'), "token_malformed"),
    "two members inside": (text('{"a":{"b":1,"b":2}}'), "token_malformed"),
    "NaN": (text('{"exp":NaN}'), "token_malformed"),
    "an infinity": (text('{"exp":Infinity}'), "token_malformed"),
    "an infinity in digits": (text('{"exp":1e999}'), "token_malformed"),
    "a number beyond 64 bits": (text('{"exp":' + "9" * 20 + "}"), "token_malformed"),
    "a number of many digits": (text('{"exp":' + "9" * 10_000 + "}"), "token_malformed"),
    "half a surrogate pair": (text('{"sub":"\\ud83d"}'), "token_malformed"),
    "half a surrogate pair in a name": (text('{"a":[{"\\uDE00":1}]}'), "token_malformed"),
    "bytes that are no UTF-8": (text(b'{"sub":"\xff"}'), "token_malformed"),
    "UTF-16": (text('{"sub":"ada"}'.encode("utf-16")), "token_malformed"),
    "a byte order mark": (text(b'\xef\xbb\xbf{"sub":"ada"}'), "token_malformed"),
    "deep nesting": (text('{"a":' + "[" * 40 + "]" * 40 + "}"), "token_malformed"),
    "very deep nesting": (text('{"a":' + "[" * 20_000 + "]" * 20_000 + "}"), "token_malformed"),
    "too much of everything": (text("{}" + " " * MAX_TOKEN), "token_too_large"),
    "dots without end": (lambda s: "." * MAX_TOKEN, "token_malformed"),
    "more dots": (lambda s: "." * (MAX_TOKEN + 1), "token_too_large"),
}


@pytest.mark.parametrize("case", TOKENS)
def test_a_token_that_is_not_right_is_refused(signers: Signers, published: KeySet, case: str) -> None:
    make, code = TOKENS[case]
    error = refusal(make(signers), published)
    assert error.code == code
    assert error.status_hint == 502
    assert "ada" not in error.message


def test_the_algorithm_is_judged_before_anything_else_in_the_header(published: KeySet) -> None:
    token = forge({"alg": "none", "crit": ["b64"], "b64": False, "typ": "at+jwt", "kid": "nobody"}, "no JSON")
    assert refusal(token, published, expected_types=["jwt"]).code == "token_algorithm_refused"


def test_text_beyond_ascii_numbers_and_long_headers_are_fine(signers: Signers, published: KeySet) -> None:
    claims = {"name": "Ada 🦋 Łovelace", "height": 1.65, "big": 9_007_199_254_740_993, "deep": [[[{"a": [1]}]]] * 20}
    payload = json.dumps(claims) + " "
    token = forge({"alg": "RS256", "kid": "rsa-1", "x5c": ["M" * 8000]}, payload, signers.rsa)
    assert verify_token(token, published, algorithms=["RS256"], name="id_token")[1] == claims


@pytest.mark.parametrize(
    ("typ", "expected", "accepted"),
    [
        ("JWT", ("jwt", ""), True),
        ("jwt", ("jwt", ""), True),
        ("application/JWT", ("jwt",), True),
        ("Application/Logout+JWT", ("logout+jwt",), True),
        (None, ("jwt", ""), True),
        (None, ("jwt",), False),
        ("at+jwt", ("jwt", ""), False),
        ("logout+jwt", ("jwt", ""), False),
        ("JWT ", ("jwt", ""), False),
        ("text/jwt", ("jwt", ""), False),
        ("at+jwt", None, True),
        (None, None, True),
    ],
)
def test_the_type_is_compared_as_a_media_type(
    signers: Signers, published: KeySet, typ: str | None, expected: tuple[str, ...] | None, accepted: bool
) -> None:
    token = good(signers, typ=typ) if typ is not None else good(signers)
    if accepted:
        verify_token(token, published, algorithms=["RS256"], name="id_token", expected_types=expected)
    else:
        error = refusal(token, published, expected_types=expected)
        assert (error.code, error.details["claim"]) == ("token_claim_invalid", "typ")


def test_what_a_caller_does_to_a_header_does_not_reach_the_next_token(signers: Signers, published: KeySet) -> None:
    token = good(signers)
    verify_token(token, published, algorithms=["RS256"], name="id_token")[0]["alg"] = "none"
    assert verify_token(token, published, algorithms=["RS256"], name="id_token")[0]["alg"] == "RS256"


@given(st.text(max_size=60) | st.text(alphabet="eyJhbGciOiJub25lIn0._-=", max_size=120))
def test_any_text_is_refused_as_a_token_with_one_kind_of_error(published: KeySet, token: str) -> None:
    assert refusal(token, published).code in ("token_malformed", "token_algorithm_refused")


@given(header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "enc"]), st.text() | st.integers()))
def test_any_header_is_refused_as_a_token_with_one_kind_of_error(published: KeySet, header: dict[str, Any]) -> None:
    for algorithm in (header.get("alg"), "RS256"):
        refusal(forge({**header, "alg": algorithm}, CLAIMS), published)


def test_the_claimed_issuer_is_read_without_believing_it(signers: Signers) -> None:
    assert claimed_issuer(good(signers)) == ISSUER
    assert claimed_issuer(forge({"alg": "none"}, CLAIMS)) == ISSUER


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a.b",
        "a.AAAA.c",
        "é.é.é",
        "x" * (MAX_TOKEN + 1),
        forge({}, {}),
        forge({}, {"iss": 7}),
        forge({}, {"iss": None}),
        forge({}, []),
        forge({}, '{"iss":"a","iss":"b"}'),
    ],
)
def test_a_token_without_a_readable_issuer_claims_none(token: str) -> None:
    assert claimed_issuer(token) == ""


@given(st.text())
def test_reading_a_claimed_issuer_never_fails(token: str) -> None:
    assert claimed_issuer(token) == ""
