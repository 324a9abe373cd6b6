"""Public keys and signatures (RFC 9052, RFC 9053; WebAuthn Level 3 §5.8.5, §6.5.1, §6.5.5).

A key is checked once, when it is registered or read: the labels that its type has and no others, the curve that its
algorithm demands, a point on it, no point of small order, an RSA modulus of a size worth having. ``fido2`` makes COSE
keys of certificates' keys; it does not verify here, since it would load the key anew for each signature, and expects
of PS256 another length of salt than the 32 bytes of the standard (RFC 8230 §2). Ed25519 is libsodium's, which also
refuses signatures that have more than one spelling.
"""

from collections.abc import Collection, Mapping
from enum import IntEnum
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512
from fido2.cose import CoseKey
from nacl.bindings import crypto_core_ed25519_is_valid_point, crypto_sign_open
from nacl.exceptions import BadSignatureError

from ..._codec import Record
from .cbor import decode_prefix
from .errors import CeremonyError

RSA_BITS: Final = range(2048, 8193)
#: COSE labels: of all keys, of elliptic curves and octet key pairs, of RSA.
KTY, ALG, CRV, X, Y = 1, 3, -1, -2, -3
RSA_N, RSA_E = -1, -2
_OKP, _EC2, _RSA = 1, 2, 3

ED448_PRIME: Final = 2**448 - 2**224 - 1


class Algorithm(IntEnum):
    """COSE algorithms that we verify; the names are those of the IANA registry."""

    ES256 = -7
    EDDSA = -8
    ESP256 = -9
    ED25519 = -19
    ES384 = -35
    ES512 = -36
    PS256 = -37
    ES256K = -47
    ESP384 = -51
    ESP512 = -52
    ED448 = -53
    RS256 = -257
    #: SHA-1, of older TPMs: only for attestation, and only where the policy asks for it.
    RS1 = -65535


#: What we ask for, best first; every authenticator has one of them (WebAuthn Level 3 §5.4 ``pubKeyCredParams``).
DEFAULT_ALGORITHMS: Final = (Algorithm.EDDSA, Algorithm.ES256, Algorithm.RS256)
#: What a credential may have, if the caller asks for it.
CREDENTIAL_ALGORITHMS: Final = frozenset(Algorithm) - {Algorithm.RS1}

#: Type, curve (0 for RSA) and size of a coordinate, by algorithm.
_FORMS: Final[dict[int, tuple[int, int, int]]] = {
    Algorithm.ES256: (_EC2, 1, 32),
    Algorithm.ESP256: (_EC2, 1, 32),
    Algorithm.ES384: (_EC2, 2, 48),
    Algorithm.ESP384: (_EC2, 2, 48),
    Algorithm.ES512: (_EC2, 3, 66),
    Algorithm.ESP512: (_EC2, 3, 66),
    Algorithm.ES256K: (_EC2, 8, 32),
    Algorithm.EDDSA: (_OKP, 6, 32),
    Algorithm.ED25519: (_OKP, 6, 32),
    Algorithm.ED448: (_OKP, 7, 57),
    Algorithm.RS256: (_RSA, 0, 0),
    Algorithm.PS256: (_RSA, 0, 0),
    Algorithm.RS1: (_RSA, 0, 0),
}
_CURVES: Final[dict[int, ec.EllipticCurve]] = {
    1: ec.SECP256R1(),
    2: ec.SECP384R1(),
    3: ec.SECP521R1(),
    8: ec.SECP256K1(),
}
#: What stands before the coordinates of an ES256 key in canonical CBOR: labels 1, 3 and -1, then -2; and -3.
_ES256: Final = int(Algorithm.ES256)
ES256_X: Final = bytes.fromhex("a5 0102 0326 2001 215820")
ES256_Y: Final = bytes.fromhex("225820")
#: What the key's ``verify`` wants to know besides signature and message.
_SCHEMES: Final[dict[int, tuple[Any, ...]]] = {
    Algorithm.ES256: (ec.ECDSA(SHA256()),),
    Algorithm.ESP256: (ec.ECDSA(SHA256()),),
    Algorithm.ES256K: (ec.ECDSA(SHA256()),),
    Algorithm.ES384: (ec.ECDSA(SHA384()),),
    Algorithm.ESP384: (ec.ECDSA(SHA384()),),
    Algorithm.ES512: (ec.ECDSA(SHA512()),),
    Algorithm.ESP512: (ec.ECDSA(SHA512()),),
    Algorithm.ED448: (),
    Algorithm.RS256: (padding.PKCS1v15(), SHA256()),
    Algorithm.PS256: (padding.PSS(padding.MGF1(SHA256()), 32), SHA256()),
    Algorithm.RS1: (padding.PKCS1v15(), SHA1()),
}


class SignatureRefused(ValueError):
    """The signature is not this key's over these bytes; the caller says in which step."""


class _VerifyingKey(Protocol):
    """What the library's keys have in common."""

    def verify(self, signature: bytes, message: bytes, *scheme: Any) -> None: ...


class PublicKey(Record, frozen=True):
    """A key that was checked, ready for use. :func:`read_public_key` and its siblings make one.

    ``algorithm`` is the COSE algorithm, ``cose`` the COSE key by its labels. ``key`` is ``None`` for Ed25519, which
    needs the bytes alone.
    """

    algorithm: int
    cose: Mapping[int, Any]
    key: _VerifyingKey | None

    def verify(self, message: bytes, signature: bytes) -> None:
        """``SignatureRefused`` unless ``signature`` is this key's over ``message``."""
        try:
            if self.key is None:
                crypto_sign_open(signature + message, self.cose[X])
            else:
                self.key.verify(signature, message, *_SCHEMES[self.algorithm])
        except (InvalidSignature, BadSignatureError, ValueError):
            raise SignatureRefused("not this key's signature") from None


def read_public_key(key: object, *, allowed: Collection[int]) -> PublicKey:
    """The credential's key out of its decoded COSE map.

    Raises ``webauthn_algorithm_refused`` for one that is not among the ``allowed`` algorithms, and
    ``webauthn_key_malformed``, ``webauthn_key_refused`` (off its curve, of small order, RSA too small).
    """
    if not isinstance(key, dict):
        raise _malformed("expected a COSE key")
    algorithm = key.get(ALG)
    if type(algorithm) is not int:
        raise _malformed("expected an algorithm")
    if algorithm not in allowed or algorithm not in _FORMS:
        raise CeremonyError(
            "webauthn_algorithm_refused", "credential key: alg: expected one of the algorithms that were asked for"
        )
    kind, curve, size = _FORMS[algorithm]
    labels = {_EC2: {KTY, ALG, CRV, X, Y}, _OKP: {KTY, ALG, CRV, X}, _RSA: {KTY, ALG, RSA_N, RSA_E}}[kind]
    if set(key) != labels or type(key[KTY]) is not int or key[KTY] != kind:
        raise _malformed("expected the labels of its type, and those alone")
    if kind == _RSA:
        return PublicKey(algorithm, key, _rsa_key(key))
    if type(key[CRV]) is not int or key[CRV] != curve:
        raise _malformed("crv: expected the curve of the algorithm")
    for label in (X, Y)[: len(labels) - 3]:
        if not isinstance(key[label], bytes) or len(key[label]) != size:
            raise _malformed(f"expected coordinates of {size} bytes")
    return PublicKey(algorithm, key, _curve_key(key, _CURVES[curve]) if kind == _EC2 else _edwards_key(key[X], curve))


def read_encoded_key(data: bytes, start: int, *, allowed: Collection[int]) -> tuple[PublicKey, int]:
    """The credential's key that begins at ``start``, and where it ends.

    Raises what :func:`read_public_key` and :func:`.cbor.decode_prefix` do.
    """
    # A key of P-256 has one canonical spelling, and most keys are such. Who finds it there has read it.
    if _ES256 in allowed and data.startswith(ES256_X, start) and data.startswith(ES256_Y, start + 42):
        x, y, end = data[start + 10 : start + 42], data[start + 45 : start + 77], start + 77
        if len(y) == 32:
            key: dict[int, Any] = {KTY: _EC2, ALG: _ES256, CRV: 1, X: x, Y: y}
            return PublicKey(_ES256, key, _curve_key(key, _CURVES[1])), end
    value, end = decode_prefix(data, start, name="credential key")
    return read_public_key(value, allowed=allowed), end


def stored_public_key(encoded: bytes) -> PublicKey:
    """The COSE key that a registration left behind.

    None is kept loaded: whoever logs in has seldom been among the last thousand, and with each miss such a cache costs
    a third of what a hit saves.
    """
    key, end = read_encoded_key(encoded, 0, allowed=CREDENTIAL_ALGORITHMS)
    if end != len(encoded):
        raise CeremonyError("webauthn_cbor_trailing", "credential key: expected nothing after the CBOR value")
    return key


def key_of_certificate(key: CertificatePublicKeyTypes, *, algorithm: int) -> PublicKey | None:
    """A certificate's key as one of this algorithm; ``None`` if it is of another kind or not worth having."""
    expected: type | None = {
        _EC2: ec.EllipticCurvePublicKey,
        _RSA: rsa.RSAPublicKey,
        _OKP: ed448.Ed448PublicKey if algorithm == Algorithm.ED448 else ed25519.Ed25519PublicKey,
    }.get(_FORMS.get(algorithm, (0, 0, 0))[0])
    if expected is None or not isinstance(key, expected):
        return None
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name != _CURVES[_FORMS[algorithm][1]].name:
        return None
    try:
        return read_public_key(dict(CoseKey.for_alg(algorithm).from_cryptography_key(key)), allowed=(algorithm,))
    except CeremonyError:
        return None


def _curve_key(key: dict[int, Any], curve: ec.EllipticCurve) -> _VerifyingKey:
    try:
        # SEC 1 §2.3.4. Whether the point is on the curve is checked there.
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + key[X] + key[Y])
    except (ValueError, UnsupportedAlgorithm):
        raise _refused("expected a point on its curve") from None


def _edwards_key(x: bytes, curve: int) -> _VerifyingKey | None:
    """With a key of small order, one signature verifies for many messages."""
    if curve == 6:
        if not crypto_core_ed25519_is_valid_point(x):
            raise _small_order()
        return None
    # The points of order 1, 2 and 4 have y = 1, -1 and 0 (RFC 8032 §5.2).
    y = int.from_bytes(x[:56], "little")
    if not 1 < y < ED448_PRIME - 1 or x[56] not in (0x00, 0x80):
        raise _small_order()
    return ed448.Ed448PublicKey.from_public_bytes(x)


def _rsa_key(key: dict[int, Any]) -> _VerifyingKey:
    n, e = key[RSA_N], key[RSA_E]
    if not isinstance(n, bytes) or not isinstance(e, bytes) or n[:1] in (b"", b"\0") or e[:1] in (b"", b"\0"):
        raise _malformed("expected modulus and exponent without leading zeros")
    modulus, exponent = int.from_bytes(n, "big"), int.from_bytes(e, "big")
    if modulus.bit_length() not in RSA_BITS or not modulus & 1:
        raise _refused(f"expected an odd modulus of {RSA_BITS.start} to {RSA_BITS.stop - 1} bits")
    if len(e) > 4 or exponent < 3 or not exponent & 1:
        raise _refused("expected an odd exponent of at least 3 in at most four bytes")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _small_order() -> CeremonyError:
    return _refused("expected a canonical point, and none of small order")


def _malformed(problem: str) -> CeremonyError:
    return CeremonyError("webauthn_key_malformed", f"credential key: {problem}")


def _refused(problem: str) -> CeremonyError:
    return CeremonyError("webauthn_key_refused", f"credential key: {problem}")
