"""The sealed refresh address of the channel binding: only the widget that drew the QR code can read where a login ends.

HPKE in base mode (RFC 9180) with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-128-GCM, in one shot: base64url of
``enc`` (32 bytes), ciphertext and tag. The widget's session is bound as part of ``info``, which the key schedule takes
in; the library has no associated data for single shots, and what is sealed once needs none besides.

The ephemeral key is the one piece of chance that is no argument here: drawn twice, it would reveal what was sealed, so
the library draws it and takes none.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from ..._codec import DecodeError, b64url, un_b64url_any
from ...errors import RequestError

PUBLIC_KEY_SIZE: Final = 32
#: Characters of a sealed address.
MAX_SIZE: Final = 4096
_OVERHEAD: Final = 32 + 16
_CONTEXT: Final = b"useid-refresh-hpke-v1\n"
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)


def seal_refresh_url(refresh_url: str, *, public_key: bytes, session_id: str) -> str:
    """The refresh address, sealed for the widget session ``session_id`` (RFC 9180 §6.1, ``SealBase``).

    ``public_key`` are the 32 bytes of the QR code; ``widget_key_invalid`` for anything that is no such key, and for
    points of small order, with which anybody could open it.
    """
    try:
        sealed = _SUITE.encrypt(
            refresh_url.encode(), X25519PublicKey.from_public_bytes(public_key), info=_info(session_id)
        )
    except ValueError:
        raise RequestError("widget_key_invalid", "public key: expected one of X25519, 32 bytes") from None
    return b64url(sealed)


def open_refresh_url(sealed: str, *, private_key: bytes, session_id: str) -> str:
    """The refresh address; ``sealed_invalid`` if it was not sealed for this key and session (``OpenBase``)."""
    content = decode_sealed(sealed)
    try:
        return _SUITE.decrypt(
            content, X25519PrivateKey.from_private_bytes(private_key), info=_info(session_id)
        ).decode()
    except (InvalidTag, UnicodeDecodeError):
        raise _invalid() from None


def decode_sealed(sealed: str) -> bytes:
    """The bytes of a sealed address, as far as they can be judged without the key; ``sealed_invalid``."""
    try:
        content = un_b64url_any(sealed) if len(sealed) <= MAX_SIZE else b""
    except DecodeError:
        content = b""
    if len(content) <= _OVERHEAD:
        raise _invalid()
    return content


def _info(session_id: str) -> bytes:
    return _CONTEXT + session_id.encode()


def _invalid() -> RequestError:
    return RequestError("sealed_invalid", "sealedRefreshUrl: expected an address sealed for this session")
