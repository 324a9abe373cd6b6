"""HPKE in base mode, written from RFC 9180 alone, ephemeral key and all: what our sealing is held against.

Only the suite of the channel binding: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.
"""

from hashlib import sha256
from hmac import digest

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

_KEM = b"KEM" + (0x0020).to_bytes(2, "big")
_HPKE = b"HPKE" + b"".join(each.to_bytes(2, "big") for each in (0x0020, 0x0001, 0x0001))


def seal(plaintext: bytes, *, public_key: bytes, ephemeral: bytes, info: bytes, aad: bytes) -> bytes:
    """``enc``, ciphertext and tag (§5.1.1, §5.2); ``ephemeral`` is the private key of the sender."""
    private = X25519PrivateKey.from_private_bytes(ephemeral)
    enc = private.public_key().public_bytes_raw()
    agreed = private.exchange(X25519PublicKey.from_public_bytes(public_key))
    key, nonce = _key_schedule(_shared_secret(agreed, enc, public_key), info)
    return enc + AESGCM(key).encrypt(nonce, plaintext, aad)


def open_sealed(sealed: bytes, *, private_key: bytes, info: bytes, aad: bytes) -> bytes:
    """The plaintext, or ``InvalidTag``."""
    private = X25519PrivateKey.from_private_bytes(private_key)
    agreed = private.exchange(X25519PublicKey.from_public_bytes(sealed[:32]))
    shared = _shared_secret(agreed, sealed[:32], private.public_key().public_bytes_raw())
    key, nonce = _key_schedule(shared, info)
    return AESGCM(key).decrypt(nonce, sealed[32:], aad)


def _shared_secret(agreed: bytes, enc: bytes, public_key: bytes) -> bytes:
    return _expand(_extract(b"", "eae_prk", agreed, _KEM), "shared_secret", enc + public_key, 32, _KEM)


def _key_schedule(shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    context = b"\0" + _extract(b"", "psk_id_hash", b"", _HPKE) + _extract(b"", "info_hash", info, _HPKE)
    secret = _extract(shared, "secret", b"", _HPKE)
    return _expand(secret, "key", context, 16, _HPKE), _expand(secret, "base_nonce", context, 12, _HPKE)


def _extract(salt: bytes, label: str, material: bytes, suite: bytes) -> bytes:
    return digest(salt, b"HPKE-v1" + suite + label.encode() + material, sha256)


def _expand(secret: bytes, label: str, info: bytes, size: int, suite: bytes) -> bytes:
    labelled = size.to_bytes(2, "big") + b"HPKE-v1" + suite + label.encode() + info
    return HKDFExpand(SHA256(), size, labelled).derive(secret)
