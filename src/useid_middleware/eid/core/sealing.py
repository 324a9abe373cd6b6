"""The sealed refresh address of the integrated mode: only the widget can read where the login ends.

AES-256-GCM under the secret of the QR code's fragment, bound to the widget's session; base64url of nonce (12 bytes),
ciphertext and tag. docs/reference/eid.md has vectors.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..._codec import DecodeError, b64url, un_b64url_any
from ...errors import RequestError

NONCE_SIZE: Final = 12
_TAG_SIZE: Final = 16
_CONTEXT: Final = b"useid-refresh-v1\n"
MAX_SIZE: Final = 4096


def seal_refresh_url(refresh_url: str, *, secret: bytes, session_id: str, nonce: bytes) -> str:
    """The refresh address, sealed for the widget session ``session_id``; ``nonce`` is 12 random bytes."""
    sealed = AESGCM(secret).encrypt(nonce, refresh_url.encode(), _CONTEXT + session_id.encode())
    return b64url(nonce + sealed)


def open_refresh_url(sealed: str, *, secret: bytes, session_id: str) -> str:
    """The refresh address; ``sealed_invalid`` if it was not sealed under this secret for this session."""
    content = decode_sealed(sealed)
    try:
        opened = AESGCM(secret).decrypt(content[:NONCE_SIZE], content[NONCE_SIZE:], _CONTEXT + session_id.encode())
        return opened.decode()
    except (InvalidTag, ValueError):
        raise _invalid() from None


def decode_sealed(sealed: str) -> bytes:
    """The bytes of a sealed address, as far as they can be judged without the secret; ``sealed_invalid``."""
    try:
        content = un_b64url_any(sealed) if len(sealed) <= MAX_SIZE else b""
    except DecodeError:
        raise _invalid() from None
    if len(content) <= NONCE_SIZE + _TAG_SIZE:
        raise _invalid()
    return content


def _invalid() -> RequestError:
    return RequestError("sealed_invalid", "sealedRefreshUrl: expected an address sealed for this session")
