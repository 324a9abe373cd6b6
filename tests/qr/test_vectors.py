"""The published test vectors, recomputed: docs/reference/device-switch-vectors.json is what our code does."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from useid_middleware._codec import DecodeError, b64url, un_b64url
from useid_middleware.errors import AuthenticationError, RequestError
from useid_middleware.qr.core.link import Link, LinkType, parse_link
from useid_middleware.qr.core.signing import (
    CONTEXT,
    DECISION,
    ENROLMENT,
    Decision,
    RequestContext,
    check_public_key,
    decision_message,
    enrolment_message,
    framed,
    verify_signature,
)

Vector = Mapping[str, Any]

VECTORS = json.loads(Path(__file__).parents[2].joinpath("docs/reference/device-switch-vectors.json").read_text("utf-8"))
CONTEXTS = {vector["name"]: RequestContext(**vector["context"]) for vector in VECTORS["contexts"]}


def _each(*path: str) -> pytest.MarkDecorator:
    vectors: Any = VECTORS
    for name in path:
        vectors = vectors[name]
    return pytest.mark.parametrize("vector", [pytest.param(entry, id=_id(entry)) for entry in vectors])


def _id(vector: Vector) -> str:
    return str(vector.get("name") or vector.get("why") or vector.get("text") or vector.get("spelling"))


def _by_hand(context: bytes, fields: list[str]) -> bytes:
    """The framing as the reference puts it, written once more."""
    framed_fields = [bytes.fromhex(field) for field in fields]
    return context + b"\0" + b"".join(bytes([len(field) >> 8, len(field) & 255]) + field for field in framed_fields)


@_each("contexts")
def test_a_request_context_has_these_bytes_and_this_digest(vector: Vector) -> None:
    context = RequestContext(**vector["context"])
    message = framed(CONTEXT, *(bytes.fromhex(field) for field in vector["fields"]))
    assert message == _by_hand(CONTEXT, vector["fields"]) == bytes.fromhex(vector["bytes"])
    assert [bytes.fromhex(field).decode() for field in vector["fields"]] == list(vector["context"].values())
    assert context.digest() == sha256(message).digest() == bytes.fromhex(vector["sha256"])


@_each("decisions")
def test_a_decision_has_these_bytes_and_this_signature(vector: Vector) -> None:
    message = decision_message(
        Decision(vector["decision"]),
        server=vector["server"],
        session_id=bytes.fromhex(vector["sessionId"]),
        challenge=bytes.fromhex(vector["challenge"]),
        frame=bytes.fromhex(vector["frame"]),
        context_digest=CONTEXTS[vector["context"]].digest(),
        key_id=bytes.fromhex(vector["keyId"]),
        issued_at=vector["issuedAt"],
    )
    assert message == _by_hand(DECISION, vector["fields"])
    _check_signed(vector, message)


@_each("enrolments")
def test_an_enrolment_has_these_bytes_and_this_signature(vector: Vector) -> None:
    message = enrolment_message(
        server=vector["server"],
        enrolment_id=bytes.fromhex(vector["enrolmentId"]),
        challenge=bytes.fromhex(vector["challenge"]),
        public_key=bytes.fromhex(vector["publicKey"]),
        label=vector["label"],
        issued_at=vector["issuedAt"],
    )
    assert message == _by_hand(ENROLMENT, vector["fields"])
    _check_signed(vector, message)


def _check_signed(vector: Vector, message: bytes) -> None:
    assert message == bytes.fromhex(vector["bytes"])
    assert sha256(message).hexdigest() == vector["sha256"]
    key = SigningKey(bytes.fromhex(vector["seed"]))
    public_key, signature = bytes.fromhex(vector["publicKey"]), bytes.fromhex(vector["signature"])
    assert check_public_key(public_key) == bytes(key.verify_key)
    assert key.sign(message).signature == signature
    now = vector["issuedAt"]
    verify_signature(message, signature=signature, public_key=public_key, issued_at=now, now=now)


def test_no_two_signed_messages_are_alike() -> None:
    messages = [vector["bytes"] for kind in ("contexts", "decisions", "enrolments") for vector in VECTORS[kind]]
    assert len(set(messages)) == len(messages) == 10


@_each("links", "valid")
def test_a_valid_link_parses_to_this(vector: Vector) -> None:
    links = VECTORS["links"]
    assert parse_link(vector["text"], scheme=links["scheme"], universal_link=links["universalLink"]) == Link(
        type=LinkType(vector["type"]),
        id=bytes.fromhex(vector["id"]),
        challenge=bytes.fromhex(vector["challenge"]),
        server=vector["server"],
        frame=bytes.fromhex(vector["frame"]),
    )


@_each("links", "invalid")
def test_an_invalid_link_is_refused(vector: Vector) -> None:
    links = VECTORS["links"]
    with pytest.raises(RequestError) as caught:
        parse_link(vector["text"], scheme=links["scheme"], universal_link=links["universalLink"])
    assert caught.value.code == vector["code"]


@_each("base64url", "valid")
def test_bytes_have_this_one_spelling(vector: Vector) -> None:
    value = bytes.fromhex(vector["bytes"])
    assert b64url(value) == vector["spelling"]
    assert un_b64url(vector["spelling"], len(value)) == value


@_each("base64url", "invalid")
def test_t13_another_spelling_is_refused(vector: Vector) -> None:
    with pytest.raises(DecodeError):
        un_b64url(vector["spelling"], vector["size"])


@_each("refusedKeys")
def test_t13_a_key_that_is_small_mixed_or_not_canonical_is_refused(vector: Vector) -> None:
    with pytest.raises(RequestError) as caught:
        check_public_key(bytes.fromhex(vector["publicKey"]))
    assert caught.value.code == vector["code"]


@_each("refusedSignatures")
def test_t13_a_signature_over_other_bytes_or_in_another_spelling_is_refused(vector: Vector) -> None:
    with pytest.raises(AuthenticationError) as caught:
        verify_signature(
            bytes.fromhex(vector["bytes"]),
            signature=bytes.fromhex(vector["signature"]),
            public_key=bytes.fromhex(vector["publicKey"]),
            issued_at=0,
            now=0,
        )
    assert caught.value.code == vector["code"]
