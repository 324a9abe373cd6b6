"""``none``, ``packed`` and ``fido-u2f``: the formats of the FIDO world (WebAuthn Level 3 §8.7, §8.2, §8.6)."""

from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from ..cose import Algorithm, X, Y
from ..errors import AttestationError
from .statement import (
    Attestation,
    AttestationType,
    Subject,
    algorithm_member,
    bytes_member,
    certificate_refused,
    certificates_member,
    check_aaguid,
    check_leaf,
    check_members,
    malformed,
    verify,
    verify_by_certificate,
)

_UNIT: Final = "Authenticator Attestation"


def verify_none(statement: object, subject: Subject) -> Attestation:
    """Nothing is stated (§8.7), and nothing may be."""
    check_members(statement, required=())
    return Attestation("none", AttestationType.NONE)


def verify_packed(statement: object, subject: Subject) -> Attestation:
    """Signed by an attestation key with a certificate, or by the credential's own key (§8.2)."""
    members = check_members(statement, required=("alg", "sig"), optional=("x5c",))
    algorithm, signature = algorithm_member(members, subject), bytes_member(members, "sig")
    if "x5c" not in members:
        if algorithm != subject.public_key.algorithm:
            raise AttestationError(
                "webauthn_attestation_key_mismatch", "attestation: alg: expected that of the credential's key"
            )
        verify(subject.public_key, subject.signed, signature)
        return Attestation("packed", AttestationType.SELF)
    path = certificates_member(members)
    verify_by_certificate(path[0], algorithm=algorithm, message=subject.signed, signature=signature)
    check_leaf(path[0])
    _check_names(path[0].subject)
    check_aaguid(path[0], subject.aaguid)
    return Attestation("packed", AttestationType.BASIC, path)


def verify_fido_u2f(statement: object, subject: Subject) -> Attestation:
    """Signed as U2F registrations are (§8.6): P-256 throughout, one certificate."""
    members = check_members(statement, required=("sig", "x5c"))
    signature, path = bytes_member(members, "sig"), certificates_member(members)
    if len(path) != 1:
        raise malformed("x5c: expected one certificate")
    if subject.public_key.algorithm not in (Algorithm.ES256, Algorithm.ESP256):
        raise AttestationError(
            "webauthn_attestation_key_mismatch", "attestation: expected a credential key on P-256, as U2F has it"
        )
    key = subject.public_key.cose
    message = b"".join(
        (b"\0", subject.rp_id_hash, subject.client_data_hash, subject.credential_id, b"\x04", key[X], key[Y])
    )
    verify_by_certificate(path[0], algorithm=Algorithm.ES256, message=message, signature=signature)
    return Attestation("fido-u2f", AttestationType.BASIC, path)


def _check_names(subject: x509.Name) -> None:
    """Subject-C, -O, -OU and -CN are set as §8.2.1 says."""
    country, organisation, unit, name = (
        [str(each.value) for each in subject.get_attributes_for_oid(oid)]
        for oid in (
            NameOID.COUNTRY_NAME,
            NameOID.ORGANIZATION_NAME,
            NameOID.ORGANIZATIONAL_UNIT_NAME,
            NameOID.COMMON_NAME,
        )
    )
    if not (len(country) == 1 and len(country[0]) == 2 and country[0].isalpha()):
        raise certificate_refused("subject: expected a country of two letters")
    if not any(organisation) or not any(name):
        raise certificate_refused("subject: expected organisation and common name")
    if unit != [_UNIT]:
        raise certificate_refused(f"subject: expected the organisational unit {_UNIT!r}")
