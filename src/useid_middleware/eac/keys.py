"""Keys of TR-03110: their derivation from secrets and passwords, and what is computed with them (AES only)."""

from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha1, sha256
from hmac import compare_digest
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from cryptography.hazmat.primitives.cmac import CMAC

from .curves import Point
from .errors import KeyMaterialError
from .oids import Cipher, cipher_of, encode_oid
from .tlv import build

BLOCK: Final = 16
#: TR-03110 uses the first eight bytes of a CMAC, as a token and in secure messaging.
MAC_SIZE: Final = 8

_COUNTER_ENC: Final = 1
_COUNTER_MAC: Final = 2
_COUNTER_PASSWORD: Final = 3


class PasswordId(IntEnum):
    """The passwords of PACE by their number in MSE:Set AT (TR-03110-3 B.11.1, data object 83)."""

    MRZ = 1
    CAN = 2
    PIN = 3
    PUK = 4


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """The keys that PACE or Chip Authentication end with: AES keys of one size, kept out of ``repr``.

    Secure messaging uses each of them for every command and response, so what OpenSSL needs of them is made once.
    """

    enc: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    _block: CipherContext = field(init=False, repr=False, compare=False)
    _decryptor: CipherContext = field(init=False, repr=False, compare=False)
    _cmac: CMAC = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.enc) != len(self.mac):
            raise KeyMaterialError("expected two keys of one size")
        for key in (self.enc, self.mac):
            _check_key(key)
        object.__setattr__(self, "_block", BlockCipher(AES(self.enc), ECB()).encryptor())
        object.__setattr__(self, "_decryptor", BlockCipher(AES(self.enc), CBC(bytes(BLOCK))).decryptor())
        object.__setattr__(self, "_cmac", CMAC(AES(self.mac)))

    def encrypt_block(self, block: bytes) -> bytes:
        """AES-ECB of one block, which makes the IV of secure messaging from its counter (TR-03110-3 F.2)."""
        _check_blocks(block)
        return self._block.update(block)

    def decrypt(self, encrypted: bytes, *, iv: bytes) -> bytes:
        """See :func:`decrypt`."""
        _check_blocks(encrypted)
        # To CBC the IV is the block before the first one, whatever came before that: one context serves all messages.
        return self._decryptor.update(iv + encrypted)[BLOCK:]

    def mac_of(self, data: bytes) -> bytes:
        """See :func:`mac`."""
        return _finished(self._cmac.copy(), data)

    def is_mac_of(self, data: bytes, found: bytes) -> bool:
        """Whether ``found`` is the MAC of ``data``; takes the same time wherever they differ."""
        return compare_digest(found, self.mac_of(data))


def derive_session_keys(secret: bytes, *, protocol: str, nonce: bytes = b"") -> SessionKeys:
    """KDF_Enc and KDF_MAC of a shared secret, and of the chip's nonce in Chip Authentication (TR-03110-3 A.2.3).

    ``protocol`` is that of PACE or CA and fixes the cipher; ``OIDError`` for any other.
    """
    cipher = cipher_of(protocol)
    return SessionKeys(
        enc=_derive(secret + nonce, _COUNTER_ENC, cipher),
        mac=_derive(secret + nonce, _COUNTER_MAC, cipher),
    )


def derive_password_key(password: bytes, *, protocol: str) -> bytes:
    """K_π = KDF_π of a CAN, PIN or PUK as its ISO 8859-1 characters (TR-03110-3 A.2.3, A.2.4)."""
    if not password:
        raise KeyMaterialError("expected a password, found none")
    return _derive(password, _COUNTER_PASSWORD, cipher_of(protocol))


def mac(key: bytes, data: bytes) -> bytes:
    """The first eight bytes of AES-CMAC (NIST SP 800-38B, TR-03110-3 A.2.4)."""
    _check_key(key)
    return _finished(CMAC(AES(key)), data)


def authentication_token(key: bytes, *, protocol: str, public: Point) -> bytes:
    """The token of PACE and CA over a public key: its MAC as 7F49{06 protocol, 86 point} (TR-03110-3 A.2.4)."""
    return mac(key, build(0x7F49, build(0x06, encode_oid(protocol)), build(0x86, public.encode())))


def encrypt(key: bytes, plain: bytes, *, iv: bytes = bytes(BLOCK)) -> bytes:
    """AES-CBC of whole blocks, without padding. The zero IV is that of PACE's nonce (TR-03110-3 A.3.3)."""
    _check_key(key)
    _check_blocks(plain)
    encryptor = BlockCipher(AES(key), CBC(iv)).encryptor()
    return encryptor.update(plain) + encryptor.finalize()


def decrypt(key: bytes, encrypted: bytes, *, iv: bytes = bytes(BLOCK)) -> bytes:
    """The inverse of :func:`encrypt`."""
    _check_key(key)
    _check_blocks(encrypted)
    decryptor = BlockCipher(AES(key), CBC(iv)).decryptor()
    return decryptor.update(encrypted) + decryptor.finalize()


def pad(data: bytes) -> bytes:
    """Data and 80 00 …, to whole blocks (ISO 7816-4 §10.2.3.1)."""
    return data + b"\x80" + bytes(-(len(data) + 1) % BLOCK)


def unpad(data: bytes) -> bytes | None:
    """Data without its padding; ``None`` if it has none."""
    stripped = data.rstrip(b"\0")
    if not stripped.endswith(b"\x80") or len(data) - len(stripped) >= BLOCK:
        return None
    return stripped[:-1]


def _derive(secret: bytes, counter: int, cipher: Cipher) -> bytes:
    """H(secret ‖ counter), cut to the key's size: SHA-1 for AES-128, SHA-256 for the longer ones (A.2.3.1)."""
    digest = sha1 if cipher is Cipher.AES_128 else sha256
    return digest(secret + counter.to_bytes(4, "big")).digest()[:cipher]


def _finished(state: CMAC, data: bytes) -> bytes:
    state.update(data)
    return state.finalize()[:MAC_SIZE]


def _check_key(key: bytes) -> None:
    if len(key) not in (Cipher.AES_128, Cipher.AES_192, Cipher.AES_256):
        raise KeyMaterialError(f"expected an AES key of 16, 24 or 32 bytes, found {len(key)}")


def _check_blocks(data: bytes) -> None:
    if not data or len(data) % BLOCK:
        raise KeyMaterialError(f"expected whole blocks of {BLOCK} bytes, found {len(data)} bytes")
