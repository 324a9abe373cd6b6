"""The keys of the SOAP interface: what the server signs with, and the eServices that it listens to.

Those that are made here lie in the PKI's folder, self-signed, and say that they are a test's.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import mkstemp
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from ...eid.core.algorithms import is_strong
from ...errors import ConfigurationError
from .terminal import alone

#: Below the PKI's folder: what the server signs with, and an eService to try it with.
SIGNING: Final = "soap/signing"
CLIENT: Final = "soap/client"
_NAMES: Final = {SIGNING: "TEST eID server", CLIENT: "TEST eService"}
_LIFETIME: Final = timedelta(days=365)
#: A certificate that ends sooner is replaced.
_RESERVE: Final = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A certificate and its key, and the files (PEM) that they are in."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate_file: Path
    key_file: Path


def prepare_key(folder: Path, name: str, *, now: datetime) -> SigningKey:
    """The key ``SIGNING`` or ``CLIENT`` of the PKI in ``folder``, made where there is none that is still valid.

    ``now`` is an aware date. ``ConfigurationError`` if the files cannot be used.
    """
    certificate_file, key_file = folder / f"{name}.pem", folder / f"{name}.key.pem"
    try:
        with alone(folder):
            if not certificate_file.exists() or not key_file.exists() or _is_over(certificate_file, now=now):
                certificate_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _make(_NAMES[name], certificate_file, key_file, now=now)
            key = load_pem_private_key(key_file.read_bytes(), password=None)
            certificate = _read(certificate_file)
    except OSError as error:
        raise ConfigurationError(f"{error.filename or folder}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise ConfigurationError(f"{key_file}: expected a private key in PEM, without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ConfigurationError(f"{key_file}: expected the key of the certificate beside it; delete both")
    return SigningKey(certificate, key, certificate_file, key_file)


def read_clients(paths: Iterable[Path]) -> tuple[x509.Certificate, ...]:
    """The certificates (PEM) of the eServices; ``ConfigurationError`` for a file without one, or with a weak key."""
    found: list[x509.Certificate] = []
    for path in paths:
        try:
            certificates = x509.load_pem_x509_certificates(path.read_bytes())
        except OSError as error:
            raise ConfigurationError(f"eid.soap_clients: {path}: {error.strerror}") from None
        except ValueError:
            raise ConfigurationError(f"eid.soap_clients: {path}: expected an X.509 certificate in PEM") from None
        if not all(is_strong(each.public_key()) for each in certificates):
            raise ConfigurationError(f"eid.soap_clients: {path}: expected RSA of 2048 bits or an EC key of 256 bits")
        found += certificates
    return tuple(found)


def _is_over(path: Path, *, now: datetime) -> bool:
    return _read(path).not_valid_after_utc < now + _RESERVE


def _read(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError:
        raise ConfigurationError(f"{path}: expected an X.509 certificate in PEM") from None


def _make(common_name: str, certificate_file: Path, key_file: Path, *, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{common_name} of useid-middleware")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    _write(key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    _write(certificate_file, certificate.public_bytes(Encoding.PEM))


def _write(path: Path, content: bytes) -> None:
    # mkstemp creates for the owner alone from the first instant; a crash before the renaming leaves the old file whole.
    descriptor, new = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with open(descriptor, "wb") as file:
        file.write(content)
    os.replace(new, path)
