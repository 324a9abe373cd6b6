"""The issuing country's side of a test PKI: a CSCA and a document signer below it, X.509 as in ICAO Doc 9303-12.

Pure: the day, the scalars and the serial numbers are arguments.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from ..eac.card_security import build_card_security
from ..eac.curves import BRAINPOOL_P256R1, key_pair, private_key
from ..eac.security_infos import SecurityInfos
from ..errors import ConfigurationError

CSCA_DAYS: Final = 3650
SIGNER_DAYS: Final = 1825
SERIAL_SIZE: Final = 16

_USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True, slots=True)
class DocumentKey:
    """An X.509 certificate and its private scalar, on brainpoolP256r1."""

    certificate: x509.Certificate
    private: int = field(repr=False)

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """The private key of ``cryptography``."""
        return private_key(BRAINPOOL_P256R1, self.private)


def issue_csca(*, private: int, serial: bytes, now: datetime) -> DocumentKey:
    """A self-signed country signing CA, named as a test. ``serial`` is ``SERIAL_SIZE`` random bytes."""
    name = _name("TEST CSCA")
    public = _public(private)
    certificate = (
        _builder(name, public, serial=serial, now=now, days=CSCA_DAYS)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(private_key(BRAINPOOL_P256R1, private), SHA256(), ecdsa_deterministic=True)
    )
    return DocumentKey(certificate, private)


def issue_signer(csca: DocumentKey, *, private: int, serial: bytes, now: datetime) -> DocumentKey:
    """A document signer below this CSCA, valid no longer than it; ``ConfigurationError`` if the CSCA has expired."""
    left = csca.certificate.not_valid_after_utc - now
    if left.days < 1:
        raise ConfigurationError("the CSCA's certificate has expired; make a new PKI with useid pki init")
    certificate = (
        _builder(
            _name("TEST Document Signer"),
            _public(private),
            serial=serial,
            now=now,
            days=min(SIGNER_DAYS, left.days),
        )
        .issuer_name(csca.certificate.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature"), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(csca.key.public_key()), critical=False)
        .sign(csca.key, SHA256(), ecdsa_deterministic=True)
    )
    return DocumentKey(certificate, private)


def sign_card_security(infos: SecurityInfos, *, signer: DocumentKey) -> bytes:
    """EF.CardSecurity with these infos, signed by this document signer."""
    return build_card_security(infos, signer=signer.certificate, key=signer.key)


def _public(private: int) -> ec.EllipticCurvePublicKey:
    return key_pair(private, generator=BRAINPOOL_P256R1.generator).public.public_key()


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "TEST useid-middleware"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    name: x509.Name, public: ec.EllipticCurvePublicKey, *, serial: bytes, now: datetime, days: int
) -> x509.CertificateBuilder:
    begin = now.replace(microsecond=0)
    # RFC 5280 §4.1.2.2: a positive number of at most 20 bytes.
    number = int.from_bytes(serial[:SERIAL_SIZE], "big") + 1
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(public)
        .serial_number(number)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*usages: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in usages for usage in _USAGES})
