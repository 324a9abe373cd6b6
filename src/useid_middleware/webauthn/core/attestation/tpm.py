"""``tpm``: a TPM certifies the key it made, under an attestation identity key (WebAuthn Level 3 §8.3)."""

import re
from hashlib import new as new_hash
from hmac import compare_digest
from typing import Final

from cryptography import x509

from ..certificates import extension
from ..cose import Algorithm
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
    verify_by_certificate,
)
from .tpm_structures import read_attest, read_public_area

VERSION: Final = "2.0"
AIK_CERTIFICATE: Final = x509.ObjectIdentifier("2.23.133.8.3")
#: tcg-at-tpmManufacturer, -Model, -Version (TCG EK Credential Profile §3.2.9).
_MANUFACTURER, _MODEL, _VERSION = (x509.ObjectIdentifier(f"2.23.133.2.{number}") for number in (1, 2, 3))
_MANUFACTURER_ID: Final = re.compile(r"id:[0-9A-Fa-f]{8}").fullmatch

#: The hash of each signature algorithm, as hashlib calls it.
_HASHES: Final[dict[int, str]] = {
    Algorithm.ES256: "sha256",
    Algorithm.ESP256: "sha256",
    Algorithm.RS256: "sha256",
    Algorithm.PS256: "sha256",
    Algorithm.ES384: "sha384",
    Algorithm.ESP384: "sha384",
    Algorithm.ES512: "sha512",
    Algorithm.ESP512: "sha512",
    Algorithm.RS1: "sha1",
}


def verify_tpm(statement: object, subject: Subject) -> Attestation:
    """The statement of a TPM 2.0 about this very key, for this very ceremony (§8.3)."""
    members = check_members(statement, required=("ver", "alg", "x5c", "sig", "certInfo", "pubArea"))
    if members["ver"] != VERSION:
        raise malformed(f"ver: expected {VERSION}")
    algorithm = algorithm_member(members, subject)
    if algorithm not in _HASHES:
        raise malformed("alg: expected an algorithm with a hash of its own")
    path = certificates_member(members)
    certificate_info = bytes_member(members, "certInfo")
    area = read_public_area(bytes_member(members, "pubArea"))
    if not area.is_of(dict(subject.public_key.cose)):
        raise AttestationError("webauthn_attestation_key_mismatch", "pubArea: expected the credential's key")
    verify_by_certificate(
        path[0], algorithm=algorithm, message=certificate_info, signature=bytes_member(members, "sig")
    )
    attest = read_attest(certificate_info)
    if not compare_digest(attest.extra_data, new_hash(_HASHES[algorithm], subject.signed).digest()):
        raise AttestationError(
            "webauthn_attestation_challenge_mismatch", "certInfo: extraData: expected the hash of what was to be signed"
        )
    if not compare_digest(attest.name, area.name):
        raise AttestationError("webauthn_attestation_key_mismatch", "certInfo: name: expected that of pubArea")
    _check_certificate(path[0])
    check_aaguid(path[0], subject.aaguid)
    return Attestation("tpm", AttestationType.ATT_CA, path)


def _check_certificate(certificate: x509.Certificate) -> None:
    """§8.3.1: no subject, the TPM's maker and model as alternative name, the purpose of an AIK."""
    check_leaf(certificate)
    if len(certificate.subject.rdns):
        raise certificate_refused("subject: expected it to be empty")
    usage = extension(certificate, x509.ExtendedKeyUsage)
    if usage is None or AIK_CERTIFICATE not in usage:
        raise certificate_refused("extended key usage: expected tcg-kp-AIKCertificate")
    names = extension(certificate, x509.SubjectAlternativeName)
    directory = names.get_values_for_type(x509.DirectoryName) if names is not None else []
    found = {each.oid: str(each.value) for name in directory for each in name}
    if not _MANUFACTURER_ID(found.get(_MANUFACTURER, "")) or not found.get(_MODEL) or not found.get(_VERSION):
        raise certificate_refused("subject alternative name: expected the TPM's manufacturer, model and version")
