"""Secrets at rest: sealed under a key that only the browser brings, so that a copy of the store opens nothing.

AES-256-GCM under a key derived from a random secret of at least 32 bytes of ours (a cookie's), never from a password.
"""

from hashlib import blake2b
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_SIZE: Final = 12
_PERSON: Final = b"useid-seal-1"


class SealBroken(ValueError):
    """The bytes were not sealed under this secret for this purpose, or they were changed."""


def seal(plaintext: bytes, *, secret: bytes, purpose: bytes, nonce: bytes) -> bytes:
    """``nonce`` (12 random bytes), ciphertext and tag. ``purpose`` is bound, not kept: unsealing must name it again."""
    return nonce + AESGCM(_key(secret)).encrypt(nonce, plaintext, purpose)


def unseal(sealed: bytes, *, secret: bytes, purpose: bytes) -> bytes:
    """What was sealed, or :class:`SealBroken`."""
    try:
        return AESGCM(_key(secret)).decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], purpose)
    except (InvalidTag, ValueError):
        raise SealBroken("sealed under another secret or purpose, or changed") from None


def _key(secret: bytes) -> bytes:
    return blake2b(secret, digest_size=32, person=_PERSON).digest()
