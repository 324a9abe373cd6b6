"""``apple``: Apple's anonymous CA certifies the credential key, for one ceremony (WebAuthn Level 3 §8.8)."""

from hashlib import sha256
from hmac import compare_digest
from typing import Final

from ..certificates import raw_extension
from ..cose import key_of_certificate
from ..errors import AttestationError
from .statement import (
    Attestation,
    AttestationType,
    Subject,
    certificates_member,
    check_members,
    check_same_key,
    malformed,
)

NONCE: Final = "1.2.840.113635.100.8.2"


def verify_apple(statement: object, subject: Subject) -> Attestation:
    """A certificate of Apple's anonymous attestation CA, made for this ceremony (§8.8)."""
    # Apple's devices send the algorithm along; the specification has no place for it.
    members = check_members(statement, required=("x5c",), optional=("alg",))
    path = certificates_member(members)
    found = raw_extension(path[0], NONCE)
    # SEQUENCE { [1] { OCTET STRING } }, all of fixed size.
    expected = b"\x30\x24\xa1\x22\x04\x20" + sha256(subject.signed).digest()
    if found is None:
        raise malformed("credCert: expected the extension with the nonce")
    if not compare_digest(found.der, expected):
        raise AttestationError(
            "webauthn_attestation_challenge_mismatch", "credCert: nonce: expected the hash of what was to be signed"
        )
    key = key_of_certificate(path[0].public_key(), algorithm=subject.public_key.algorithm)
    check_same_key(key, subject)
    return Attestation("apple", AttestationType.ANON_CA, path)
