"""Proofs that we hold the key which a token is bound to (DPoP, RFC 9449)."""

import json
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key

from ..._codec import b64url
from ...errors import ConfigurationError
from .jose import sign_token
from .strict_json import read_object

RANDOM_SIZE: Final = 48
ALGORITHM: Final = "ES256"
_PUBLIC: Final = ("kty", "crv", "x", "y")
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


def new_dpop_key(random: bytes) -> bytes:
    """A new P-256 key out of 48 random bytes (by HKDF), as a private JWK in JSON."""
    if len(random) != RANDOM_SIZE:
        raise ValueError(f"random must have {RANDOM_SIZE} bytes")
    return json.dumps(ECKey.derive_key(random, "P-256").as_dict(private=True)).encode()


def dpop_key_from(private_jwk: bytes) -> ECKey:
    """The key in a private JWK. ``ConfigurationError`` for any but one on P-256; it says nothing of the content."""
    try:
        key = ECKey.import_key(read_object(private_jwk))
        if key.is_private and key.curve_name == "P-256":
            return key
    except (JoseError, ValueError, KeyError, TypeError):
        pass
    raise ConfigurationError("DPoP key: expected a private JWK on P-256")


def thumbprint(key: Key) -> str:
    """The SHA-256 thumbprint of a key (RFC 7638), which binds tokens (``jkt``) and codes (``dpop_jkt``) to it."""
    return key.thumbprint()


def thumbprint_of(private_jwk: bytes) -> str:
    """The same, of a key as it is kept."""
    return thumbprint(dpop_key_from(private_jwk))


def dpop_proof(
    key: ECKey, *, method: str, url: str, now: int, jti: str, access_token: str | None = None, nonce: str = ""
) -> str:
    """A proof for one request (RFC 9449 §4.2), signed by ES256.

    ``url`` is that of the request; ``access_token`` the token that goes with it, ``nonce`` the server's last one.
    """
    claims: dict[str, Any] = {"jti": jti, "htm": method, "htu": target_uri(url), "iat": now}
    if access_token is not None:
        claims["ath"] = token_hash(access_token)
    if nonce:
        claims["nonce"] = nonce
    public = {name: key[name] for name in _PUBLIC}
    return sign_token(claims, key, algorithm=ALGORITHM, typ="dpop+jwt", kid="", header={"jwk": public})


def target_uri(url: str) -> str:
    """``htu``: the address without query and fragment, normalised as clients send it (RFC 9449 §4.2, §4.3)."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    authority = f"[{host}]" if ":" in host else host
    if parts.port is not None and parts.port != _DEFAULT_PORTS.get(parts.scheme):
        authority += f":{parts.port}"
    return f"{parts.scheme}://{authority}{parts.path or '/'}"


def token_hash(access_token: str) -> str:
    """``ath``: SHA-256 of the access token (RFC 9449 §4.2)."""
    return b64url(sha256(access_token.encode("ascii")).digest())
