"""X.509 as attestation uses it: certificates without hosts and purposes of TLS, so the libraries' web rules do not fit.

:func:`verify_path` is RFC 5280 §6.1 for what occurs here: signatures, names, dates, CA flag, path length, key usage,
critical extensions. A certificate that issued itself ends no path unless it is one of ours.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID

from ...errors import ConfigurationError
from .errors import AttestationError, UntrustedError

E = TypeVar("E", bound=x509.ExtensionType)

MAX_PATH: Final = 8
_HASHES: Final = (SHA256, SHA384, SHA512)
#: Critical extensions that are looked at here, or where the format is judged. Policies of certificates bind nobody who
#: demands none (RFC 5280 §6.1.1: user-initial-policy-set is any-policy).
_PROCESSED: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.CERTIFICATE_POLICIES,
    }
)


@dataclass(frozen=True, slots=True)
class RawExtension:
    """An extension's DER, and whether it is critical."""

    der: bytes
    critical: bool


def parse_certificate(der: bytes) -> x509.Certificate:
    """A certificate of which everything that is used here can be read, or ``ValueError``.

    The library reads a part when it is asked for it, so that a certificate may fail later than here.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        tuple(certificate.extensions)
        certificate.public_key()
        _ = certificate.subject, certificate.issuer, certificate.signature_hash_algorithm
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except Exception:
        # The library has an error of its own for each thing that it cannot read, and warnings that may be errors.
        raise ValueError("expected an X.509 certificate in DER") from None
    if certificate.serial_number <= 0:
        raise ValueError("expected a serial number above zero (RFC 5280 §4.1.2.2)")
    return certificate


def read_certificate(der: bytes) -> x509.Certificate:
    """A certificate out of ``x5c``, or ``webauthn_certificate_malformed``."""
    try:
        return parse_certificate(der)
    except ValueError:
        raise AttestationError("webauthn_certificate_malformed", "x5c: expected X.509 certificates in DER") from None


def load_anchors(data: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of one file, PEM (any number) or DER, or ``ConfigurationError``."""
    try:
        ders = [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(data)]
    except (ValueError, x509.InvalidVersion):
        ders = [data]
    try:
        return tuple(parse_certificate(der) for der in ders)
    except ValueError:
        raise ConfigurationError("webauthn: trust anchors must be certificates in PEM or DER") from None


def extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    """The value of an extension that the certificate may have once."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def raw_extension(certificate: x509.Certificate, oid: str) -> RawExtension | None:
    """An extension that the library does not know."""
    for each in certificate.extensions:
        if each.oid.dotted_string == oid and isinstance(each.value, x509.UnrecognizedExtension):
            return RawExtension(each.value.value, each.critical)
    return None


def spki(certificate: x509.Certificate) -> bytes:
    """SubjectPublicKeyInfo in DER: what makes two certificates those of one key."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def verify_path(
    path: Sequence[x509.Certificate], *, expected_anchors: Collection[x509.Certificate], now: datetime
) -> x509.Certificate:
    """The anchor that vouches for ``path[0]`` by way of the certificates behind it (WebAuthn Level 3 §7.1 step 24).

    The leaf itself is vouched for if it is one of the anchors to the byte. The path may end with the anchor; a root
    that is none of ours is refused, and so is anything behind the anchor. Anchors are believed whatever their dates:
    that is what an anchor is. Raises ``UntrustedError`` with ``webauthn_path_expired``, ``webauthn_path_signature``,
    ``webauthn_path_issuer``, ``webauthn_path_extension``, ``webauthn_path_self_signed``, ``webauthn_path_length``,
    ``webauthn_path_untrusted``.
    """
    if len(path) > MAX_PATH:
        raise UntrustedError("webauthn_path_length", f"x5c: expected at most {MAX_PATH} certificates")
    certificate = path[0]
    _check_certificate(certificate, now=now)
    if certificate in expected_anchors:
        return certificate
    for depth in range(len(path)):
        anchor = next((each for each in expected_anchors if _may_issue(each, certificate, depth)), None)
        if anchor is not None:
            _check_end(path[depth + 1 :], anchor)
            return anchor
        if depth + 1 < len(path):
            certificate = _check_next(certificate, path[depth + 1], depth, now=now)
    raise UntrustedError("webauthn_path_untrusted", "x5c: expected a path to one of our trust anchors")


def _check_end(rest: Sequence[x509.Certificate], anchor: x509.Certificate) -> None:
    """Behind the last certificate stands nothing, or the anchor: a root may have been issued again, with its key."""
    if rest and not (len(rest) == 1 and rest[0].subject == anchor.subject and spki(rest[0]) == spki(anchor)):
        raise UntrustedError("webauthn_path_length", "x5c: expected nothing behind the trust anchor")


def _check_next(
    certificate: x509.Certificate, issuer: x509.Certificate, below: int, *, now: datetime
) -> x509.Certificate:
    """``issuer``, once it has issued ``certificate``, may have, and is not a root of its own making."""
    if issuer.subject == issuer.issuer:
        raise UntrustedError("webauthn_path_self_signed", "x5c: expected no root but one that we trust")
    _check_certificate(issuer, now=now)
    _check_issuer(issuer, below)
    if not _signed(certificate, issuer):
        raise UntrustedError("webauthn_path_signature", "x5c: expected each certificate to be signed by the next")
    return issuer


def _check_certificate(certificate: x509.Certificate, *, now: datetime) -> None:
    """What every certificate of a path has: its time, a key and signature of today, no critical unknown."""
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise UntrustedError("webauthn_path_expired", "x5c: expected certificates that are valid now")
    if certificate.signature_hash_algorithm is not None and not isinstance(
        certificate.signature_hash_algorithm, _HASHES
    ):
        raise UntrustedError("webauthn_path_signature", "x5c: expected signatures with SHA-256, SHA-384 or SHA-512")
    if any(each.critical and each.oid not in _PROCESSED for each in certificate.extensions):
        raise UntrustedError("webauthn_path_extension", "x5c: expected no critical extension that we do not process")


def _check_issuer(issuer: x509.Certificate, below: int) -> None:
    """``issuer`` is a CA, and ``below`` intermediate certificates may stand between it and the leaf."""
    constraints = extension(issuer, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise UntrustedError("webauthn_path_issuer", "x5c: expected issuers that are CAs")
    if constraints.path_length is not None and constraints.path_length < below:
        raise UntrustedError(
            "webauthn_path_issuer", "x5c: expected no more certificates below an issuer than it allows"
        )
    usage = extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise UntrustedError("webauthn_path_issuer", "x5c: expected issuers whose keys may sign certificates")


def _may_issue(anchor: x509.Certificate, certificate: x509.Certificate, below: int) -> bool:
    """Whether this anchor issued that certificate, and may."""
    if not _signed(certificate, anchor):
        return False
    _check_issuer(anchor, below)
    return True


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
