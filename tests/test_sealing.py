"""Sealing: what went in comes out for the same secret and purpose, and for nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from useid_middleware._sealing import SealBroken, seal, unseal

NONCE = bytes(range(12))


@given(st.binary(max_size=300), st.binary(min_size=32, max_size=64), st.binary(max_size=50))
def test_what_is_sealed_is_unsealed(plaintext: bytes, secret: bytes, purpose: bytes) -> None:
    sealed = seal(plaintext, secret=secret, purpose=purpose, nonce=NONCE)
    assert unseal(sealed, secret=secret, purpose=purpose) == plaintext


def test_another_secret_another_purpose_and_every_changed_byte_are_noticed() -> None:
    sealed = seal(b"tokens", secret=b"s" * 32, purpose=b"session", nonce=NONCE)
    assert b"tokens" not in sealed
    for secret, purpose in ((b"t" * 32, b"session"), (b"s" * 32, b"attempt"), (b"", b"session")):
        with pytest.raises(SealBroken):
            unseal(sealed, secret=secret, purpose=purpose)
    for index in range(len(sealed)):
        changed = sealed[:index] + bytes([sealed[index] ^ 1]) + sealed[index + 1 :]
        with pytest.raises(SealBroken):
            unseal(changed, secret=b"s" * 32, purpose=b"session")
    for cut in (0, 5, 12, 20, len(sealed) - 1):
        with pytest.raises(SealBroken):
            unseal(sealed[:cut], secret=b"s" * 32, purpose=b"session")
