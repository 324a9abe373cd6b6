"""Certificates for tests: authorities, attestation certificates of each format, and what can be wrong with them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.hashes import SHA224, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

NOW = 1_800_000_000.0
MOMENT = datetime.fromtimestamp(NOW, UTC)
DAY = timedelta(days=1)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
Extensions = Sequence[tuple[x509.ExtensionType, bool]]


def name(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def common_name(text: str) -> x509.Name:
    return name((NameOID.COMMON_NAME, text))


#: What a packed attestation certificate calls itself.
PACKED_SUBJECT = name(
    (NameOID.COUNTRY_NAME, "DE"),
    (NameOID.ORGANIZATION_NAME, "Maker"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Authenticator Attestation"),
    (NameOID.COMMON_NAME, "Model 1"),
)
A_CA: Extensions = ((x509.BasicConstraints(ca=True, path_length=None), True),)
NOT_A_CA: Extensions = ((x509.BasicConstraints(ca=False, path_length=None), True),)


def usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True)
class Authority:
    """Somebody who issues certificates, and the certificate for that."""

    key: PrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def issue(
        self,
        public_key: CertificatePublicKeyTypes,
        *,
        subject: x509.Name = PACKED_SUBJECT,
        extensions: Iterable[tuple[x509.ExtensionType, bool]] = NOT_A_CA,
        not_before: datetime = MOMENT - DAY,
        not_after: datetime = MOMENT + DAY,
        algorithm: SHA224 | SHA256 | None = None,
    ) -> x509.Certificate:
        """A certificate signed by this authority."""
        return build(
            self.certificate.subject,
            self.key,
            public_key,
            subject=subject,
            extensions=extensions,
            not_before=not_before,
            not_after=not_after,
            algorithm=algorithm,
        )

    def below(
        self,
        text: str,
        *,
        extensions: Extensions = A_CA,
        not_after: datetime = MOMENT + DAY,
        algorithm: SHA224 | SHA256 | None = None,
    ) -> "Authority":
        """An intermediate authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.issue(
            key.public_key(),
            subject=common_name(text),
            extensions=extensions,
            not_after=not_after,
            algorithm=algorithm,
        )
        return Authority(key, certificate)


def build(
    issuer: x509.Name,
    key: PrivateKey,
    public_key: CertificatePublicKeyTypes,
    *,
    subject: x509.Name,
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
    not_before: datetime,
    not_after: datetime,
    algorithm: SHA224 | SHA256 | None,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    is_edwards = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return builder.sign(key, None if is_edwards else algorithm or SHA256())


def new_root(
    text: str,
    *,
    extensions: Extensions = A_CA,
    key: PrivateKey | None = None,
    not_after: datetime = MOMENT + 100 * DAY,
) -> Authority:
    """A self-signed authority."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    certificate = build(
        common_name(text),
        key,
        key.public_key(),
        subject=common_name(text),
        extensions=extensions,
        not_before=MOMENT - DAY,
        not_after=not_after,
        algorithm=None,
    )
    return Authority(key, certificate)


@cache
def root() -> Authority:
    """The root that the tests' policies trust."""
    return new_root("Tests' attestation root")


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Slow to make, so made once."""
    return rsa.generate_private_key(65537, bits)


@cache
def p256_key() -> ec.EllipticCurvePrivateKey:
    """An attestation key."""
    return ec.generate_private_key(ec.SECP256R1())


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
