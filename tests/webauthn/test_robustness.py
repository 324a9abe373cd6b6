"""Whatever comes in, the answer is one of our errors: bits flipped, bytes cut out and put in, in every format."""

import base64
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from fido2 import cbor as other
from hypothesis import given
from hypothesis import strategies as st

from tests.webauthn.authenticator import Authenticating, Registering
from tests.webauthn.statements import STATEMENTS, cose_key, new_key
from useid_middleware._codec import b64url
from useid_middleware.errors import UseIDError
from useid_middleware.webauthn.core import cbor
from useid_middleware.webauthn.core.attestation.tpm_structures import read_attest, read_public_area
from useid_middleware.webauthn.core.authenticator_data import parse_authenticator_data
from useid_middleware.webauthn.core.cose import (
    CREDENTIAL_ALGORITHMS,
    Algorithm,
    PublicKey,
    read_encoded_key,
    read_public_key,
    stored_public_key,
)
from useid_middleware.webauthn.core.errors import CeremonyError
from useid_middleware.webauthn.core.response import read_authentication, read_registration

ROUNDS = 400
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def mutations(data: bytes, seed: str) -> list[bytes]:
    """Copies with a bit flipped, a piece cut out, or bytes put in, the same in every run."""
    chance = random.Random(seed)
    found = []
    for _ in range(ROUNDS):
        at, size = chance.randrange(len(data)), chance.randrange(1, 9)
        kind = chance.randrange(3)
        if kind == 0:
            changed = bytearray(data)
            changed[at] ^= 1 << chance.randrange(8)
            found.append(bytes(changed))
        elif kind == 1:
            found.append(data[:at] + data[at + size :])
        else:
            found.append(data[:at] + chance.randbytes(size) + data[at:])
    return found


def _spoilt(at: int, data: bytes) -> bytes:
    """``data`` with one bit of the byte at ``at`` flipped, cut off before it where there is none."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] if at < len(data) else data[:-1]


def status(step: Callable[[], object]) -> int:
    """The HTTP status of our error, or zero. Any other exception is a failure of the test."""
    try:
        step()
    except UseIDError as error:
        return error.status_hint
    return 0


@pytest.mark.parametrize(("name", "statement"), [(name.replace("self", "packed"), name) for name in STATEMENTS])
def test_a_spoilt_attestation_object_ends_in_one_of_our_errors_or_not_at_all(name: str, statement: str) -> None:
    template = Registering(format=name, statement=statement)
    response = template.response()
    attestation_object = base64.urlsafe_b64decode(response["response"]["attestationObject"] + "==")
    template.response = lambda: response  # type: ignore[method-assign]
    statuses = []
    for changed in mutations(attestation_object, seed=statement):
        response["response"]["attestationObject"] = b64url(changed)
        statuses.append(status(template.run))
    assert set(statuses) <= {0, 400, 403}
    assert 400 in statuses


@pytest.mark.parametrize("member", ["clientDataJSON", "authenticatorData", "signature"])
def test_a_spoilt_assertion_is_never_accepted(member: str) -> None:
    ceremony = Authenticating()
    response = ceremony.response()
    ceremony.response = lambda: response  # type: ignore[method-assign]
    value = response["response"][member]
    for changed in mutations(base64.urlsafe_b64decode(value + "=="), seed=member):
        response["response"][member] = b64url(changed)
        with pytest.raises(UseIDError) as refused:
            ceremony.run()
        assert 400 <= refused.value.status_hint < 500


@pytest.mark.parametrize("edit", [lambda key: key, *(partial(_spoilt, at) for at in range(78))])
def test_a_key_in_its_one_spelling_is_read_as_the_general_reader_would(edit: Callable[[bytes], bytes]) -> None:
    """Every byte of an ES256 key matters, and matters alike to the quick reader and to the thorough one."""
    encoded = edit(other.encode(cose_key(new_key(Algorithm.ES256), Algorithm.ES256)))

    def quick() -> tuple[PublicKey, int]:
        return read_encoded_key(encoded, 0, allowed=CREDENTIAL_ALGORITHMS)

    def thorough() -> tuple[PublicKey, int]:
        value, end = cbor.decode_prefix(encoded, 0, name="credential key")
        return read_public_key(value, allowed=CREDENTIAL_ALGORITHMS), end

    outcomes: list[tuple[object, ...]] = []
    for read in (quick, thorough):
        try:
            key, end = read()
        except CeremonyError as error:
            outcomes.append((error.code, error.message))
        else:
            outcomes.append((key.algorithm, dict(key.cose), end))
    assert outcomes[0] == outcomes[1]


def test_nothing_may_follow_the_key_of_a_record() -> None:
    encoded = other.encode(cose_key(new_key(Algorithm.ES256), Algorithm.ES256))
    assert stored_public_key(encoded).algorithm == Algorithm.ES256
    with pytest.raises(CeremonyError) as refused:
        stored_public_key(encoded + b"\0")
    assert refused.value.code == "webauthn_cbor_trailing"


def test_a_key_that_was_not_asked_for_is_refused_in_its_one_spelling_too() -> None:
    encoded = other.encode(cose_key(new_key(Algorithm.ES256), Algorithm.ES256))
    with pytest.raises(CeremonyError) as refused:
        read_encoded_key(encoded, 0, allowed=(Algorithm.EDDSA,))
    assert refused.value.code == "webauthn_algorithm_refused"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    readers: list[Any] = [
        lambda: cbor.decode(data, name="data"),
        lambda: parse_authenticator_data(data, allowed=CREDENTIAL_ALGORITHMS),
        lambda: read_public_area(data),
        lambda: read_attest(data),
    ]
    for read in readers:
        assert status(read) in (0, 400)


@given(JSON)
def test_any_json_is_read_or_refused(value: Any) -> None:
    for read in (read_registration, read_authentication):
        with pytest.raises(CeremonyError):
            read(value)


@given(JSON, st.sampled_from(["type", "id", "rawId", "response", "clientExtensionResults", "authenticatorAttachment"]))
def test_any_json_in_a_members_place_is_read_or_refused(value: Any, member: str) -> None:
    for read, ceremony in ((read_registration, Registering()), (read_authentication, Authenticating())):
        response = ceremony.response() | {member: value}
        assert status(partial(read, response)) in (0, 400)


def test_what_another_library_writes_is_read() -> None:
    value = {1: 2, 3: -7, -1: 1, -2: b"x" * 300, "text": ["ü", True, False, 2**40, -(2**33), {}]}
    assert cbor.decode(other.encode(value), name="value") == value
    assert cbor.decode(b"\xf6", name="value") is None
