"""The ID token: what is accepted, and every way of not being it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OctKey

from tests.oidc.conftest import CLIENT, ISSUER, NOW, Signers, forge, json_values
from useid_middleware.errors import ProviderError
from useid_middleware.oidc.core.jose import sign_token
from useid_middleware.oidc.core.keys import KeySet
from useid_middleware.oidc.core.tokens import (
    ExpectedIdToken,
    IdToken,
    TokenSet,
    half_hash,
    verify_id_token,
)

#: OpenID Connect Core, Appendix A.6: access token, at_hash, code, c_hash (RS256).
ACCESS_TOKEN, AT_HASH = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"
CODE, C_HASH = "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk", "LDktKdoQak3Pk0cnXxCltA"

NONCE = "n-0S6_WzA2Mj"
ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "RS384", "RS512")
EXPECTED = ExpectedIdToken(issuer=ISSUER, client_id=CLIENT, nonce=NONCE, algorithms=ALGORITHMS)
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "248289761001",
    "aud": CLIENT,
    "exp": NOW + 300,
    "iat": NOW - 2,
    "nonce": NONCE,
}
GONE = object()


def id_token(signers: Signers, *, typ: str = "JWT", **changes: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not GONE}
    return sign_token(claims, signers.rsa, algorithm="RS256", typ=typ)


def test_an_id_token_says_who_logged_in_when_and_how(signers: Signers, published: KeySet) -> None:
    more: dict[str, Any] = {
        "auth_time": NOW - 60.5,
        "acr": "urn:loa:2",
        "amr": ["pwd", "otp"],
        "sid": "s-1",
        "azp": CLIENT,
    }
    token = id_token(signers, **more, name="Ada 🦋", at_hash=AT_HASH, nbf=NOW)
    found = verify_id_token(token, published, expected=EXPECTED, now=NOW, access_token=ACCESS_TOKEN)
    assert found == IdToken(
        issuer=ISSUER,
        subject="248289761001",
        audience=(CLIENT,),
        issued_at=NOW - 2,
        expires_at=NOW + 300,
        auth_time=NOW - 60.5,
        nonce=NONCE,
        acr="urn:loa:2",
        amr=("pwd", "otp"),
        sid="s-1",
        claims={**CLAIMS, **more, "name": "Ada 🦋", "at_hash": AT_HASH, "nbf": NOW},
        encoded=token,
    )


def test_the_smallest_id_token_leaves_the_rest_empty(signers: Signers, published: KeySet) -> None:
    found = verify_id_token(id_token(signers), published, expected=EXPECTED, now=NOW)
    assert (found.auth_time, found.acr, found.amr, found.sid, found.audience) == (None, "", (), "", (CLIENT,))


def test_neither_tokens_nor_people_are_in_what_is_logged_of_them(signers: Signers, published: KeySet) -> None:
    found = verify_id_token(id_token(signers, name="Ada"), published, expected=EXPECTED, now=NOW)
    assert "Ada" not in repr(found)
    assert found.subject not in repr(found)
    assert found.encoded not in repr(found)
    tokens = TokenSet("access-1", refresh_token="refresh-1", id_token="id-1", scope="openid")
    assert repr(tokens) == "TokenSet(token_type='Bearer', expires_at=None, scope='openid')"


ACCEPTED: dict[str, tuple[dict[str, Any], ExpectedIdToken]] = {
    "the audience in a list": ({"aud": [CLIENT]}, EXPECTED),
    "our client as authorized party": ({"azp": CLIENT}, EXPECTED),
    "a trusted audience": ({"aud": [CLIENT, "api"], "azp": CLIENT}, replace(EXPECTED, trusted_audiences=("api",))),
    "just not expired": ({"exp": NOW - 29}, EXPECTED),
    "issued a little ahead of our clock": ({"iat": NOW + 30, "nbf": NOW + 30}, EXPECTED),
    "issued as long ago as may be": ({"iat": NOW - 630}, EXPECTED),
    "dated back by five minutes": ({"iat": NOW - 300, "nbf": NOW - 300}, EXPECTED),
    "times with fractions": ({"exp": NOW + 0.5, "iat": NOW - 0.5}, EXPECTED),
    "the longest subject": ({"sub": "s" * 255}, EXPECTED),
    "a subject with blanks": ({"sub": "auth0|ada lovelace"}, EXPECTED),
    "a hash without what it is of": ({"at_hash": AT_HASH, "c_hash": C_HASH}, EXPECTED),
    "a login within max_age": ({"auth_time": NOW - 3600}, replace(EXPECTED, max_age=3600)),
    "a login within max_age and skew": ({"auth_time": NOW - 3630}, replace(EXPECTED, max_age=3600)),
    "a fresh login whose pages took an hour": (
        {"auth_time": NOW - 3500},
        replace(EXPECTED, max_age=0, authorized_at=NOW - 3600.0),
    ),
    "one of the demanded contexts": ({"acr": "b"}, replace(EXPECTED, acr_values=("a", "b"))),
    "another nonce where none is expected": ({"nonce": "other"}, replace(EXPECTED, nonce=None)),
    "no nonce where none is expected": ({"nonce": GONE}, replace(EXPECTED, nonce=None)),
    "a clock that is far off, if that is allowed": ({"exp": NOW - 200}, replace(EXPECTED, skew=300)),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_an_id_token_may_differ_where_the_standard_lets_it(signers: Signers, published: KeySet, case: str) -> None:
    changes, expected = ACCEPTED[case]
    token = id_token(signers, **changes)
    assert verify_id_token(token, published, expected=expected, now=NOW).encoded == token


#: What is changed, the claim that the refusal names, and what is expected apart from the usual.
Refused = tuple[dict[str, Any], str] | tuple[dict[str, Any], str, dict[str, Any]]
REFUSED: dict[str, Refused] = {
    "another issuer": ({"iss": "https://evil.example"}, "iss"),
    "the issuer with a slash": ({"iss": ISSUER + "/"}, "iss"),
    "the issuer in capitals": ({"iss": ISSUER.upper()}, "iss"),
    "the issuer in a list": ({"iss": [ISSUER]}, "iss"),
    "no issuer": ({"iss": GONE}, "iss"),
    "a null issuer": ({"iss": None}, "iss"),
    "another audience": ({"aud": "client-2"}, "aud"),
    "another audience and our client as authorized party": ({"aud": "client-2", "azp": CLIENT}, "aud"),
    "no audience": ({"aud": GONE}, "aud"),
    "a null audience": ({"aud": None}, "aud"),
    "an empty audience": ({"aud": []}, "aud"),
    "an audience that begins like ours": ({"aud": CLIENT + "0"}, "aud"),
    "our audience among words": ({"aud": f"x {CLIENT}"}, "aud"),
    "an object for audience": ({"aud": {CLIENT: True}}, "aud"),
    "an audience too many": ({"aud": [CLIENT, "unknown"], "azp": CLIENT}, "aud"),
    "an audience that is no text": ({"aud": [CLIENT, 7], "azp": CLIENT}, "aud"),
    "an audience that is an object": ({"aud": [CLIENT, {}], "azp": CLIENT}, "aud", {"trusted_audiences": {"api"}}),
    "a nested audience": ({"aud": [[CLIENT]]}, "aud"),
    "a trusted audience alone": ({"aud": ["api"], "azp": CLIENT}, "aud", {"trusted_audiences": ("api",)}),
    "several audiences and no authorized party": ({"aud": [CLIENT, "api"]}, "azp", {"trusted_audiences": ("api",)}),
    "our audience twice and no authorized party": ({"aud": [CLIENT, CLIENT]}, "azp"),
    "another authorized party": ({"azp": "client-2"}, "azp"),
    "an authorized party in a list": ({"azp": [CLIENT]}, "azp"),
    "a null authorized party": ({"azp": None}, "azp"),
    "no subject": ({"sub": GONE}, "sub"),
    "a null subject": ({"sub": None}, "sub"),
    "an empty subject": ({"sub": ""}, "sub"),
    "a subject too long": ({"sub": "s" * 256}, "sub"),
    "a subject that is a number": ({"sub": 248289761001}, "sub"),
    "a subject beyond ASCII": ({"sub": "adа"}, "sub"),
    "a subject with a zero byte": ({"sub": "ada\0"}, "sub"),
    "a subject with a line break": ({"sub": "ada\n"}, "sub"),
    "no expiry": ({"exp": GONE}, "exp"),
    "a null expiry": ({"exp": None}, "exp"),
    "expired": ({"exp": NOW - 30}, "exp"),
    "expired long ago": ({"exp": NOW - 400}, "exp"),
    "an expiry in words": ({"exp": str(NOW + 300)}, "exp"),
    "an expiry that is true": ({"exp": True}, "exp"),
    "an expiry in a list": ({"exp": [NOW + 300]}, "exp"),
    "no time of issue": ({"iat": GONE}, "iat"),
    "a null time of issue": ({"iat": None}, "iat"),
    "a time of issue in words": ({"iat": str(NOW)}, "iat"),
    "a time of issue that is false": ({"iat": False}, "iat"),
    "issued in the future": ({"iat": NOW + 31}, "iat"),
    "issued too long ago": ({"iat": NOW - 631}, "iat"),
    "issued in milliseconds": ({"iat": NOW * 1000}, "iat"),
    "not yet valid": ({"nbf": NOW + 31}, "nbf"),
    "a beginning in words": ({"nbf": "now"}, "nbf"),
    "a null beginning": ({"nbf": None}, "nbf"),
    "another nonce": ({"nonce": NONCE[::-1]}, "nonce"),
    "no nonce": ({"nonce": GONE}, "nonce"),
    "a null nonce": ({"nonce": None}, "nonce"),
    "an empty nonce": ({"nonce": ""}, "nonce"),
    "half a nonce": ({"nonce": NONCE[:6]}, "nonce"),
    "a longer nonce": ({"nonce": NONCE + "x"}, "nonce"),
    "a nonce in other letters": ({"nonce": NONCE.lower()}, "nonce"),
    "a nonce beyond ASCII": ({"nonce": "é"}, "nonce"),
    "a nonce in a list": ({"nonce": [NONCE]}, "nonce"),
    "a nonce that is no text, where none is expected": ({"nonce": 7}, "nonce", {"nonce": None}),
    "no time of login after max_age": ({}, "auth_time", {"max_age": 3600}),
    "no time of login after a fresh one was asked for": ({}, "auth_time", {"max_age": 0}),
    "a login before max_age": ({"auth_time": NOW - 3631}, "auth_time", {"max_age": 3600}),
    "an old login where a fresh one was asked for": ({"auth_time": NOW - 31}, "auth_time", {"max_age": 0}),
    "a login from before we asked": (
        {"auth_time": NOW - 3700},
        "auth_time",
        {"max_age": 0, "authorized_at": NOW - 3600.0},
    ),
    "a login in the future": ({"auth_time": NOW + 31}, "auth_time"),
    "a time of login in words": ({"auth_time": str(NOW)}, "auth_time"),
    "a time of login that is true": ({"auth_time": True}, "auth_time"),
    "a null time of login": ({"auth_time": None}, "auth_time"),
    "no context where one is demanded": ({}, "acr", {"acr_values": ("a",)}),
    "another context than demanded": ({"acr": "0"}, "acr", {"acr_values": ("a", "b")}),
    "two contexts": ({"acr": ["a"]}, "acr"),
    "a context that is a number": ({"acr": 2}, "acr"),
    "methods in one text": ({"amr": "pwd"}, "amr"),
    "methods that are no texts": ({"amr": ["pwd", 7]}, "amr"),
    "methods that are false": ({"amr": False}, "amr"),
    "a session id that is a number": ({"sid": 7}, "sid"),
    "an empty session id": ({"sid": ""}, "sid"),
    "a session id with a line break": ({"sid": "a\nb"}, "sid"),
    "another token's hash": ({"at_hash": C_HASH}, "at_hash"),
    "a hash in padding": ({"at_hash": AT_HASH + "=="}, "at_hash"),
    "a whole hash": ({"at_hash": half_hash(ACCESS_TOKEN, algorithm="RS512")}, "at_hash"),
    "an empty hash": ({"at_hash": ""}, "at_hash"),
    "a null hash": ({"at_hash": None}, "at_hash"),
    "a hash beyond ASCII": ({"at_hash": "é"}, "at_hash"),
    "another code's hash": ({"c_hash": AT_HASH}, "c_hash"),
    "a hash that is no text": ({"c_hash": 7}, "c_hash"),
    "an access token": ({"typ": "at+jwt"}, "typ"),
    "a logout token by its type": ({"typ": "logout+jwt"}, "typ"),
    "a type of its own": ({"typ": "application/secevent+jwt"}, "typ"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_id_token_that_is_not_for_this_login_is_refused(signers: Signers, published: KeySet, case: str) -> None:
    changes, claim, *options = REFUSED[case]
    expected = replace(EXPECTED, **dict(*options))
    with pytest.raises(ProviderError) as caught:
        verify_id_token(
            id_token(signers, **changes), published, expected=expected, now=NOW, access_token=ACCESS_TOKEN, code=CODE
        )
    assert caught.value.code == "token_claim_invalid"
    assert caught.value.details == {"token": "id_token", "claim": claim}
    found = changes.get(claim)
    assert not isinstance(found, str) or found in ("", str(NOW), "now") or found not in caught.value.message


@pytest.mark.parametrize(
    ("algorithm", "code"),
    [("none", "token_algorithm_refused"), ("HS256", "token_algorithm_refused"), ("RS512", "token_signature_invalid")],
)
def test_an_id_token_by_another_algorithm_is_refused(published: KeySet, algorithm: str, code: str) -> None:
    secret = OctKey.import_key("s" * 64)
    token = forge({"alg": algorithm, "kid": "rsa-1"}, CLAIMS, secret, algorithm="HS512")
    with pytest.raises(ProviderError) as caught:
        verify_id_token(token, published, expected=EXPECTED, now=NOW)
    assert caught.value.code == code


def test_claims_are_not_looked_at_before_the_signature(signers: Signers, published: KeySet) -> None:
    token = forge({"alg": "RS256", "kid": "rsa-1"}, {**CLAIMS, "iss": "https://evil.example"}, signers.stranger)
    with pytest.raises(ProviderError) as caught:
        verify_id_token(token, published, expected=EXPECTED, now=NOW)
    assert caught.value.code == "token_signature_invalid"


def test_the_hashes_are_those_of_the_standards_example() -> None:
    assert half_hash(ACCESS_TOKEN, algorithm="RS256") == AT_HASH
    assert half_hash(CODE, algorithm="RS256") == C_HASH


@pytest.mark.parametrize(
    ("algorithm", "size"),
    [("RS256", 22), ("PS256", 22), ("ES256", 22), ("HS256", 22), ("ES384", 32), ("RS512", 43), ("EdDSA", 43)],
)
def test_a_hash_is_half_that_of_the_signature(algorithm: str, size: int) -> None:
    assert len(half_hash(ACCESS_TOKEN, algorithm=algorithm)) == size


def test_a_hash_is_compared_by_the_tokens_own_algorithm(signers: Signers, published: KeySet) -> None:
    for algorithm in ALGORITHMS:
        claims = {**CLAIMS, "at_hash": half_hash(ACCESS_TOKEN, algorithm=algorithm)}
        token = sign_token(claims, signers.key(algorithm), algorithm=algorithm, typ="JWT")
        verify_id_token(token, published, expected=EXPECTED, now=NOW, access_token=ACCESS_TOKEN, requires_at_hash=True)
        with pytest.raises(ProviderError, match="at_hash"):
            verify_id_token(token, published, expected=EXPECTED, now=NOW, access_token=CODE)


def test_a_token_from_the_front_channel_must_vouch_for_what_came_along(signers: Signers, published: KeySet) -> None:
    hashes: dict[str, Any] = {"at_hash": AT_HASH, "c_hash": C_HASH}
    both: dict[str, Any] = {
        "requires_at_hash": True,
        "requires_c_hash": True,
        "access_token": ACCESS_TOKEN,
        "code": CODE,
    }
    token = id_token(signers, **hashes)
    assert verify_id_token(token, published, expected=EXPECTED, now=NOW, **both).encoded == token
    for missing in ("at_hash", "c_hash"):
        token = id_token(signers, **hashes | {missing: GONE})
        with pytest.raises(ProviderError) as caught:
            verify_id_token(token, published, expected=EXPECTED, now=NOW, **both)
        assert caught.value.details["claim"] == missing


def test_a_required_hash_is_never_taken_for_compared(signers: Signers, published: KeySet) -> None:
    token = id_token(signers, c_hash=C_HASH)
    with pytest.raises(ProviderError, match="c_hash"):
        verify_id_token(token, published, expected=EXPECTED, now=NOW, requires_c_hash=True)


@given(
    changes=st.dictionaries(
        st.sampled_from([*CLAIMS, "azp", "nbf", "acr", "amr", "sid", "auth_time", "at_hash"]), json_values
    )
)
def test_whatever_a_claim_holds_the_answer_is_a_token_or_one_kind_of_error(
    signers: Signers, published: KeySet, changes: dict[str, Any]
) -> None:
    token = forge({"alg": "EdDSA", "kid": "ed-1"}, {**CLAIMS, **changes}, signers.ed, algorithm="EdDSA")
    try:
        found = verify_id_token(token, published, expected=EXPECTED, now=NOW, access_token=ACCESS_TOKEN)
    except ProviderError as error:
        code = error.code
    else:
        code = ""
        assert (found.issuer, found.audience, found.nonce) == (ISSUER, (CLIENT,), NONCE)
    assert code in ("", "token_claim_invalid", "token_malformed")
