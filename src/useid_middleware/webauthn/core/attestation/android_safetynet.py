"""``android-safetynet``: what phones before the key store sent (WebAuthn Level 3 §8.5, deprecated there)."""

from base64 import b64encode
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from ..certificates import extension
from ..errors import AttestationError
from ..signed_token import SignedToken, TokenRefused, read_signed_token
from .statement import (
    Attestation,
    AttestationType,
    Subject,
    bytes_member,
    certificate_refused,
    check_members,
    malformed,
)

HOST: Final = "attest.android.com"
#: How old an answer may be, and how far ahead of us its clock, in seconds.
MAX_AGE: Final = 60
MAX_SKEW: Final = 10
_MAX_RESPONSE: Final = 32 * 1024


def verify_android_safetynet(statement: object, subject: Subject) -> Attestation:
    """A fresh answer of the SafetyNet service about a device that passes its tests (§8.5)."""
    members = check_members(statement, required=("ver", "response"))
    if not isinstance(members["ver"], str) or not members["ver"]:
        raise malformed("ver: expected a version")
    try:
        token = read_signed_token(bytes_member(members, "response"), max_size=_MAX_RESPONSE)
    except TokenRefused as refused:
        raise malformed(f"response: {refused}") from None
    _check_claims(token, subject)
    if HOST not in _hosts(token.path[0]):
        raise certificate_refused(f"expected one issued to {HOST}")
    return Attestation("android-safetynet", AttestationType.BASIC, token.path)


def _check_claims(token: SignedToken, subject: Subject) -> None:
    claims = token.claims
    nonce = claims.get("nonce")
    expected = b64encode(sha256(subject.signed).digest())
    if not isinstance(nonce, str) or not compare_digest(nonce.encode("utf-8", "replace"), expected):
        raise AttestationError(
            "webauthn_attestation_challenge_mismatch", "response: nonce: expected the hash of what was to be signed"
        )
    if claims.get("ctsProfileMatch") is not True:
        raise AttestationError(
            "webauthn_attestation_device_refused", "response: ctsProfileMatch: expected a device that passes"
        )
    timestamp = claims.get("timestampMs")
    if type(timestamp) is not int or not -MAX_SKEW <= subject.now - timestamp / 1000 <= MAX_AGE:
        raise AttestationError(
            "webauthn_attestation_stale", f"response: timestampMs: expected one of the last {MAX_AGE} s"
        )


def _hosts(certificate: x509.Certificate) -> list[str]:
    """The hosts of a certificate; its common name where it has no alternative names."""
    names = extension(certificate, x509.SubjectAlternativeName)
    if names is not None:
        return names.get_values_for_type(x509.DNSName)
    return [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
