"""Secrets that find their record: the id, and random bytes behind it. Records keep their SHA-256."""

from hashlib import sha256
from hmac import compare_digest
from typing import Final

from .._codec import b64url, is_b64url

#: Bytes of an id, and of the secret behind it.
ID_SIZE: Final = 16
_HALF: Final = 22


def make_token(record_id: str, drawn: bytes) -> str:
    """The secret of the record with this id; ``drawn`` are 16 random bytes."""
    return record_id + b64url(drawn)


def record_of(token: str) -> str:
    """The id of the record that a secret belongs to; empty for what is no such secret."""
    if len(token) != 2 * _HALF or not (is_b64url(token[:_HALF], ID_SIZE) and is_b64url(token[_HALF:], ID_SIZE)):
        return ""
    return token[:_HALF]


def is_secret(token: str, expected: bytes) -> bool:
    """Whether this is the secret that was kept as ``expected``; nothing is where that is spent."""
    return bool(expected) and compare_digest(digest(token), expected)


def digest(secret: str) -> bytes:
    """What is kept of a secret."""
    return sha256(secret.encode()).digest()
