"""Aggregated and distributed claims: where they come from, whose are believed, and what they cannot say."""

from typing import Any

import pytest
from hypothesis import given

from tests.oidc.conftest import CLIENT, ISSUER, NOW, Signers, json_values, jwks
from useid_middleware.errors import ProviderError
from useid_middleware.oidc.core.claims_sources import (
    Aggregated,
    Distributed,
    claims_sources,
    merge_claims,
    verify_source,
)
from useid_middleware.oidc.core.jose import claimed_issuer, sign_token
from useid_middleware.oidc.core.keys import KeySet

CLAIMS_PROVIDER = "https://bank.example"
#: OpenID Connect Core §5.6.2.1 and §5.6.2.2, in one.
CLAIMS: dict[str, Any] = {
    "sub": "jane",
    "name": "Jane Doe",
    "_claim_names": {
        "address": "src1",
        "phone_number": "src1",
        "payment_info": "src2",
        "shipping_address": "src2",
        "credit_score": "src3",
    },
    "_claim_sources": {
        "src1": {"JWT": "a.b.c"},
        "src2": {"endpoint": "https://bank.example.com/claim_source"},
        "src3": {"endpoint": "https://creditagency.example.com/claims_here", "access_token": "ksj3n283dke"},
    },
}


def test_the_sources_of_the_standards_examples_are_found() -> None:
    assert claims_sources(CLAIMS) == [
        Aggregated(("address", "phone_number"), "a.b.c"),
        Distributed(("payment_info", "shipping_address"), "https://bank.example.com/claim_source"),
        Distributed(("credit_score",), "https://creditagency.example.com/claims_here", "ksj3n283dke"),
    ]


def test_claims_without_sources_have_none() -> None:
    assert claims_sources({"sub": "jane"}) == []
    assert claims_sources({"_claim_names": {}, "_claim_sources": {}}) == []


def test_a_source_that_no_claim_comes_from_is_not_asked() -> None:
    assert claims_sources({"_claim_names": {}, "_claim_sources": {"src1": {"endpoint": "https://a.example"}}}) == []


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "nonce", "sid", "_claim_names", "_claim_sources"])
def test_no_source_may_say_who_somebody_is_or_what_a_token_is(name: str) -> None:
    claims = {"_claim_names": {name: "src1"}, "_claim_sources": {"src1": {"JWT": "a.b.c"}}}
    assert claims_sources(claims) == []


def source(**members: object) -> dict[str, Any]:
    return {"_claim_names": {"address": "src1"}, "_claim_sources": {"src1": members}}


@pytest.mark.parametrize(
    "claims",
    [
        {"_claim_names": ["address"], "_claim_sources": {}},
        {"_claim_names": {"address": "src1"}},
        {"_claim_names": {"address": "src1"}, "_claim_sources": None},
        {"_claim_names": {"address": "src2"}, "_claim_sources": {"src1": {"JWT": "a.b.c"}}},
        {"_claim_names": {"address": ["src1"]}, "_claim_sources": {"src1": {"JWT": "a.b.c"}}},
        {"_claim_names": {"address": "src1"}, "_claim_sources": {"src1": "a.b.c"}},
        {"_claim_names": {}, "_claim_sources": {f"src{number}": {} for number in range(11)}},
        {"_claim_names": {f"c{number}": "src1" for number in range(101)}, "_claim_sources": {"src1": {"JWT": "a"}}},
        source(),
        source(JWT=7),
        source(JWT=""),
        source(JWT="x" * 65_537),
        source(JWT="a.b.c", endpoint="https://a.example"),
        source(endpoint=7),
        source(endpoint=""),
        source(endpoint="claims"),
        source(endpoint="http://a.example/claims"),
        source(endpoint="ftp://a.example/claims"),
        source(endpoint="https:///claims"),
        source(endpoint="https://user@a.example/claims"),
        source(endpoint="https://a.example/claims#part"),
        source(endpoint="https://a.example/cl aims"),
        source(endpoint="https://a.example/\r\nx: y"),
        source(endpoint="https://a.example:99999/"),
        source(endpoint="https://[a.example/"),
        source(endpoint="https://a.example/" + "x" * 2000),
        source(endpoint="https://a.example", access_token=7),
        source(endpoint="https://a.example", access_token="a b"),
        source(endpoint="https://a.example", access_token="a\r\nb"),
        source(endpoint="https://a.example", access_token="é"),
    ],
)
def test_sources_that_are_not_as_the_standard_says_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(ProviderError) as caught:
        claims_sources(claims)
    assert caught.value.code == "claims_source_invalid"


def test_an_endpoint_on_this_machine_needs_no_tls() -> None:
    assert claims_sources(source(endpoint="http://127.0.0.1:8000/claims")) == [
        Distributed(("address",), "http://127.0.0.1:8000/claims")
    ]


@given(names=json_values, sources=json_values, inside=json_values)
def test_any_sources_are_read_or_refused_with_one_kind_of_error(names: Any, sources: Any, inside: Any) -> None:
    for claims in (
        {"_claim_names": names, "_claim_sources": sources},
        {"_claim_names": {"a": "src1"}, "_claim_sources": {"src1": inside}},
        source(endpoint=inside, access_token=names),
    ):
        try:
            code = str(len(claims_sources(claims)))
        except ProviderError as error:
            code = error.code
        assert code in ("0", "claims_source_invalid")


def signed(signers: Signers, *, typ: str = "JWT", **claims: Any) -> str:
    return sign_token({"iss": CLAIMS_PROVIDER, **claims}, signers.ec, algorithm="ES256", typ=typ)


def verified(token: str, keys: KeySet, algorithms: tuple[str, ...] = ("ES256",)) -> dict[str, Any]:
    return verify_source(token, keys, expected_issuer=CLAIMS_PROVIDER, algorithms=algorithms, now=NOW)


def test_what_a_believed_claims_provider_says_is_merged_for_the_claims_it_was_named_for(
    signers: Signers, published: KeySet
) -> None:
    token = signed(signers, address="1 Main St", sub="eve", email="eve@example.org", name="Eve", exp=NOW + 60)
    assert claimed_issuer(token) == CLAIMS_PROVIDER
    merged = merge_claims(CLAIMS, Aggregated(("address", "phone_number", "name"), token), verified(token, published))
    assert merged == {**CLAIMS, "address": "1 Main St"}


def test_merging_changes_neither_of_what_it_merges() -> None:
    claims, found = {"sub": "jane"}, {"address": "1 Main St"}
    merge_claims(claims, Aggregated(("address",), ""), found)
    assert (claims, found) == ({"sub": "jane"}, {"address": "1 Main St"})


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"iss": ISSUER}, "token_claim_invalid"),
        ({"exp": NOW - 31}, "token_claim_invalid"),
        ({"exp": "never"}, "token_claim_invalid"),
        ({"nbf": NOW + 31}, "token_claim_invalid"),
        ({"typ": "at+jwt"}, "token_claim_invalid"),
    ],
)
def test_what_a_source_says_of_itself_must_hold(
    signers: Signers, published: KeySet, claims: dict[str, Any], code: str
) -> None:
    with pytest.raises(ProviderError) as caught:
        verified(signed(signers, **claims), published)
    assert (caught.value.code, caught.value.details["token"]) == (code, "claims_source")


def test_a_source_must_be_signed_by_the_claims_provider(signers: Signers, published: KeySet) -> None:
    token = signed(signers, address="1 Main St", aud=CLIENT)
    for keys, algorithms, code in (
        (KeySet.parse(jwks(signers.rsa)), ("ES256",), "token_key_unknown"),
        (published, ("RS256",), "token_algorithm_refused"),
    ):
        with pytest.raises(ProviderError) as caught:
            verified(token, keys, algorithms)
        assert caught.value.code == code
    with pytest.raises(ProviderError) as caught:
        verified(token[:-10] + "A" * 10, published)
    assert caught.value.code == "token_signature_invalid"
