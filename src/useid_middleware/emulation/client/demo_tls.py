"""A TLS certificate for the demo: self-signed, for this machine alone, kept in a folder.

A self-signed one is good enough for eID clients: its hash stands in the terminal certificate's description. P-256 is
what the stock client's cipher list and every browser have in common.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from tempfile import mkstemp
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ...errors import ConfigurationError

CERTIFICATE: Final = "tls.pem"
KEY: Final = "tls.key.pem"
DEMO_HOSTS: Final = ("localhost", "127.0.0.1")
_LIFETIME: Final = timedelta(days=90)
#: A certificate that ends sooner is replaced: a demo runs for some hours.
_RESERVE: Final = timedelta(days=1)


def prepare_demo_tls(
    folder: Path, *, hosts: Sequence[str] = DEMO_HOSTS, now: datetime | None = None
) -> tuple[Path, Path]:
    """Certificate and key for these names and addresses, as paths of PEM files; the key is for its owner alone.

    They are those of last time, unless they fit no longer or end soon. ``ConfigurationError`` if they cannot be kept.
    """
    now = now or datetime.now(UTC)
    certificate, key = folder / CERTIFICATE, folder / KEY
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _fits(certificate, key, hosts=hosts, now=now):
            new_certificate, new_key = _make(hosts, now=now)
            _write(key, new_key)
            _write(certificate, new_certificate)
    except OSError as error:
        raise ConfigurationError(f"{error.filename or folder}: {error.strerror}") from None
    return certificate, key


def _fits(certificate: Path, key: Path, *, hosts: Sequence[str], now: datetime) -> bool:
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        found_key = load_pem_private_key(key.read_bytes(), password=None)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    is_pair = found.public_key().public_bytes(*form) == found_key.public_key().public_bytes(*form)
    in_time = found.not_valid_before_utc <= now <= found.not_valid_after_utc - _RESERVE
    return is_pair and in_time and set(names) == set(_names(hosts))


def _make(hosts: Sequence[str], *, now: datetime) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "TEST useid demo")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName(_names(hosts)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, SHA256())
    )
    pem = Encoding.PEM
    return certificate.public_bytes(pem), key.private_bytes(pem, PrivateFormat.PKCS8, NoEncryption())


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    return [_name(host) for host in hosts]


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(path: Path, content: bytes) -> None:
    # mkstemp creates with mode 0600 from the first instant; a crash before the rename leaves the old file whole.
    descriptor, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
