"""What all attestation statement formats have in common: what they speak of, what they come to, their members."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from cryptography import x509

from ..certificates import MAX_PATH, extension, raw_extension, read_certificate
from ..cose import Algorithm, PublicKey, SignatureRefused, key_of_certificate
from ..errors import AttestationError

#: id-fido-gen-ce-aaguid (WebAuthn Level 3 §8.2.1).
AAGUID_EXTENSION: Final = "1.3.6.1.4.1.45724.1.1.4"
#: What may sign an attestation; SHA-1 may not, unless the policy says so.
ATTESTATION_ALGORITHMS: Final = frozenset(Algorithm) - {Algorithm.RS1}


class AttestationType(StrEnum):
    """§6.5.3. ``BASIC`` stands for Basic or AttCA where the format does not tell them apart."""

    NONE = "none"
    SELF = "self"
    BASIC = "basic"
    ATT_CA = "attca"
    ANON_CA = "anonca"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRules:
    """What the formats leave to the relying party.

    ``algorithms`` may sign an attestation. ``demands_trusted_environment``: an Android key must be guarded by hardware
    (§8.4). ``accepts_android_keys_that_do_not_state_origin_and_purpose`` is for test vectors: §8.4 wants both stated.
    """

    algorithms: frozenset[int] = ATTESTATION_ALGORITHMS
    demands_trusted_environment: bool = False
    accepts_android_keys_that_do_not_state_origin_and_purpose: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a statement speaks of. ``now`` is in Unix seconds."""

    authenticator_data: bytes
    client_data_hash: bytes
    rp_id_hash: bytes
    aaguid: bytes
    credential_id: bytes
    public_key: PublicKey
    now: float
    rules: StatementRules = field(default_factory=StatementRules)

    @property
    def signed(self) -> bytes:
        """The bytes that most formats sign: authenticator data and the hash of the client data."""
        return self.authenticator_data + self.client_data_hash


@dataclass(frozen=True, slots=True)
class Attestation:
    """A statement that verified. Whether to trust ``path`` is another question; ``parts`` are a compound's."""

    format: str
    type: AttestationType
    path: tuple[x509.Certificate, ...] = ()
    parts: "tuple[Attestation, ...]" = ()


def check_members(statement: object, *, required: Collection[str], optional: Collection[str] = ()) -> Mapping[str, Any]:
    """The statement as a map with these members and no others, or ``webauthn_attestation_malformed``."""
    if not isinstance(statement, dict):
        raise malformed("expected a map")
    missing = set(required) - set(statement)
    if missing:
        raise malformed(f"expected the members {', '.join(sorted(missing))}")
    if set(statement) - set(required) - set(optional):
        raise malformed("expected no members but those of the format")
    return statement


def bytes_member(statement: Mapping[str, Any], name: str) -> bytes:
    """A byte string that is not empty."""
    value = statement[name]
    if not isinstance(value, bytes) or not value:
        raise malformed(f"{name}: expected bytes")
    return value


def algorithm_member(statement: Mapping[str, Any], subject: Subject) -> int:
    """``alg``, once the policy allows it; ``webauthn_attestation_algorithm_refused``."""
    value = statement["alg"]
    if type(value) is not int:
        raise malformed("alg: expected a COSE algorithm")
    if value not in subject.rules.algorithms:
        raise AttestationError(
            "webauthn_attestation_algorithm_refused", "attestation: alg: expected one of the allowed algorithms"
        )
    return value


def certificates_member(statement: Mapping[str, Any]) -> tuple[x509.Certificate, ...]:
    """``x5c``: one certificate at least, leaf first."""
    value = statement["x5c"]
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_PATH:
        raise malformed(f"x5c: expected 1 to {MAX_PATH} certificates")
    if not all(isinstance(each, bytes) for each in value):
        raise malformed("x5c: expected byte strings")
    return tuple(read_certificate(each) for each in value)


def verify_by_certificate(
    certificate: x509.Certificate, *, algorithm: int, message: bytes, signature: bytes
) -> PublicKey:
    """Verify a signature by the certificate's key: its key, or ``webauthn_attestation_signature_invalid``."""
    key = key_of_certificate(certificate.public_key(), algorithm=algorithm)
    if key is None:
        raise AttestationError(
            "webauthn_attestation_key_mismatch", "attestation: expected a certificate with a key for the algorithm"
        )
    verify(key, message, signature)
    return key


def verify(key: PublicKey, message: bytes, signature: bytes) -> None:
    """``webauthn_attestation_signature_invalid`` unless the signature is this key's."""
    try:
        key.verify(message, signature)
    except SignatureRefused:
        raise AttestationError(
            "webauthn_attestation_signature_invalid", "attestation: sig: expected a signature by the attestation key"
        ) from None


def check_leaf(certificate: x509.Certificate) -> None:
    """Version 3 and no CA (§8.2.1, §8.3.1), or ``webauthn_attestation_certificate_refused``."""
    constraints = extension(certificate, x509.BasicConstraints)
    if certificate.version is not x509.Version.v3 or constraints is None or constraints.ca:
        raise certificate_refused("expected version 3 and basic constraints that say it is no CA")


def check_aaguid(certificate: x509.Certificate, aaguid: bytes) -> None:
    """The extension with the authenticator's model, where there is one, is this model's (§8.2.1)."""
    found = raw_extension(certificate, AAGUID_EXTENSION)
    if found is None:
        return
    if found.critical:
        raise certificate_refused("id-fido-gen-ce-aaguid: expected it not to be critical")
    if found.der != b"\x04\x10" + aaguid:
        raise AttestationError(
            "webauthn_attestation_aaguid_mismatch",
            "attestation certificate: AAGUID: expected the credential's",
        )


def check_same_key(key: PublicKey | None, subject: Subject) -> None:
    """The certificate's key is the credential's, or ``webauthn_attestation_key_mismatch``."""
    if key is None or dict(key.cose) != dict(subject.public_key.cose):
        raise AttestationError("webauthn_attestation_key_mismatch", "credCert: expected the credential's key")


def malformed(problem: str) -> AttestationError:
    """The error for a statement that is not of its format's syntax."""
    return AttestationError("webauthn_attestation_malformed", f"attestation: {problem}")


def certificate_refused(problem: str) -> AttestationError:
    """The error for a certificate that does not meet its format's requirements."""
    return AttestationError("webauthn_attestation_certificate_refused", f"attestation certificate: {problem}")
