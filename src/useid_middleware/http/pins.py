"""Pins of TLS keys: the SHA-256 of a SubjectPublicKeyInfo, which outlives its certificates (RFC 7469 §2.4)."""

import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from ..errors import ConfigurationError

_PEM: Final = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)


def pin_of(certificate: bytes) -> bytes:
    """The pin of a certificate's key; ``ValueError`` for what is no certificate in DER."""
    return _pin(x509.load_der_x509_certificate(certificate).public_key())


def read_pins(setting: str, paths: Iterable[Path]) -> tuple[bytes, ...]:
    """The pins of all certificates and public keys in PEM files, each once; ``ConfigurationError`` with the setting."""
    pins: dict[bytes, None] = {}
    for path in paths:
        try:
            blocks = [(match[1], match[0]) for match in _PEM.finditer(path.read_bytes())]
            if not blocks:
                raise ValueError
            pins |= dict.fromkeys(_pin(_key(label, block)) for label, block in blocks)
        except OSError as error:
            raise ConfigurationError(f"{setting}: {path}: {error.strerror}") from None
        except (ValueError, UnsupportedAlgorithm):
            raise ConfigurationError(f"{setting}: {path}: expected certificates or public keys in PEM") from None
    return tuple(pins)


def _key(label: bytes, block: bytes) -> PublicKeyTypes:
    if label == b"CERTIFICATE":
        return x509.load_pem_x509_certificate(block).public_key()
    if label == b"PUBLIC KEY":
        return load_pem_public_key(block)
    raise ValueError


def _pin(key: PublicKeyTypes) -> bytes:
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
