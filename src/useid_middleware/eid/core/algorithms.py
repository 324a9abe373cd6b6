"""The algorithms of XML Signature that TR-03116-4 §4.3 leaves: SHA-2 with RSA or ECDSA. No SHA-1, no HMAC, no DSA."""

from collections.abc import Mapping
from hashlib import sha256, sha384, sha512
from typing import Any, Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

MIN_RSA: Final = 2048
MIN_EC: Final = 256

#: Exclusive canonical XML without comments: for what is signed, and for the signature's own description.
EXCLUSIVE_C14N: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
SHA256: Final = "http://www.w3.org/2001/04/xmlenc#sha256"
_MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
#: By DigestMethod (RFC 9231 §2.1).
DIGESTS: Final[Mapping[str, Any]] = {
    SHA256: sha256,
    f"{_MORE}sha384": sha384,
    "http://www.w3.org/2001/04/xmlenc#sha512": sha512,
}
_HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_RSA: Final = {f"{_MORE}rsa-{name}": algorithm for name, algorithm in _HASHES.items()}
_ECDSA: Final = {f"{_MORE}ecdsa-{name}": algorithm for name, algorithm in _HASHES.items()}


def is_strong(key: object) -> bool:
    """Whether it is a key, private or public, that we sign with and accept: RSA from 2048 bits, EC from 256."""
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return key.key_size >= MIN_RSA
    return isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) and key.key_size >= MIN_EC


def signature_method(key: PrivateKey) -> str:
    """The SignatureMethod that suits a key (RFC 9231 §2.3)."""
    if isinstance(key, rsa.RSAPrivateKey):
        return f"{_MORE}rsa-sha256"
    size = 256 if key.key_size < 384 else 384 if key.key_size < 512 else 512
    return f"{_MORE}ecdsa-sha{size}"


def signature_of(data: bytes, *, key: PrivateKey) -> bytes:
    """The SignatureValue; with ECDSA, r and s of the order's size, one behind the other."""
    method = signature_method(key)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), _RSA[method])
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(_ECDSA[method])))
    size = _size(key)
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def is_signature(value: bytes, data: bytes, *, method: str, expected_key: object) -> bool:
    """Whether ``value`` is the signature of ``data`` by this key with this method, and the method is one of ours."""
    try:
        if method in _RSA and isinstance(expected_key, rsa.RSAPublicKey):
            expected_key.verify(value, data, padding.PKCS1v15(), _RSA[method])
            return True
        if method in _ECDSA and isinstance(expected_key, ec.EllipticCurvePublicKey):
            size = _size(expected_key)
            if len(value) != 2 * size:
                return False
            pair = encode_dss_signature(int.from_bytes(value[:size], "big"), int.from_bytes(value[size:], "big"))
            expected_key.verify(pair, data, ec.ECDSA(_ECDSA[method]))
            return True
    except InvalidSignature:
        return False
    return False


def is_known(method: str) -> bool:
    """Whether it is a SignatureMethod of ours."""
    return method in _RSA or method in _ECDSA


def _size(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) -> int:
    return (key.key_size + 7) // 8
