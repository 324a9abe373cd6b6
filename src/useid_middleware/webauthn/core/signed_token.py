"""Compact JWS that bring their signer's certificates along (RFC 7515 §4.1.6): SafetyNet answers, metadata BLOBs."""

from base64 import b64decode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, Key, RSAKey
from joserfc.jws import JWSRegistry

from ..._codec import un_b64url_any
from .certificates import MAX_PATH, read_certificate
from .errors import AttestationError
from .json_object import JSONRefused, read_object

_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
ALGORITHMS: Final = frozenset({*_CURVES, "RS256", "PS256"})


class TokenRefused(ValueError):
    """Not such a token, or not signed by its own first certificate. The message quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class SignedToken:
    """Claims under the signature of ``path[0]``. Whether to believe that certificate is another question."""

    claims: Mapping[str, Any]
    path: tuple[x509.Certificate, ...]


def read_signed_token(token: bytes, *, algorithms: Collection[str] = ALGORITHMS, max_size: int) -> SignedToken:
    """The token's claims, once its signature verified by its own certificate, or :class:`TokenRefused`."""
    if len(token) > max_size:
        raise TokenRefused(f"expected at most {max_size} bytes")
    try:
        head, payload, signature = token.decode("ascii").split(".")
        header = read_object(un_b64url_any(head))
        claims = read_object(un_b64url_any(payload))
        raw = un_b64url_any(signature)
    except (ValueError, JSONRefused):
        raise TokenRefused("expected a compact JWS") from None
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS.intersection(algorithms):
        raise TokenRefused("alg: expected one of the allowed algorithms")
    if "crit" in header or "b64" in header:
        raise TokenRefused("expected no extensions")
    path = _certificates(header.get("x5c"))
    key = _key(path[0], algorithm)
    if not JWSRegistry.algorithms[algorithm].verify(token.rpartition(b".")[0], raw, key):
        raise TokenRefused("expected a signature by the first certificate")
    return SignedToken(claims, path)


def _certificates(x5c: object) -> tuple[x509.Certificate, ...]:
    if not isinstance(x5c, list) or not 1 <= len(x5c) <= MAX_PATH or not all(isinstance(each, str) for each in x5c):
        raise TokenRefused(f"x5c: expected 1 to {MAX_PATH} certificates")
    try:
        return tuple(read_certificate(b64decode(each, validate=True)) for each in x5c)
    except (ValueError, AttestationError):
        raise TokenRefused("x5c: expected X.509 certificates in base64") from None


def _key(certificate: x509.Certificate, algorithm: str) -> Key:
    """The certificate's key, if it is one for the algorithm."""
    key = certificate.public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if algorithm in _CURVES and isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == _CURVES[algorithm]:
        return ECKey.import_key(pem)
    if algorithm not in _CURVES and isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
        return RSAKey.import_key(pem)
    raise TokenRefused("x5c: expected a certificate with a key for the algorithm")
