"""The table of attestation statement formats, and ``compound``, which is made of others (WebAuthn Level 3 §8)."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from ..errors import AttestationError, UntrustedError
from .android_key import verify_android_key
from .android_safetynet import verify_android_safetynet
from .apple import verify_apple
from .fido import verify_fido_u2f, verify_none, verify_packed
from .statement import Attestation, Subject, check_members, malformed
from .tpm import verify_tpm

COMPOUND: Final = "compound"
MAX_PARTS: Final = 8

Verifier = Callable[[object, Subject], Attestation]

VERIFIERS: Final[Mapping[str, Verifier]] = {
    "none": verify_none,
    "packed": verify_packed,
    "tpm": verify_tpm,
    "android-key": verify_android_key,
    "android-safetynet": verify_android_safetynet,
    "fido-u2f": verify_fido_u2f,
    "apple": verify_apple,
}
FORMATS: Final = frozenset({*VERIFIERS, COMPOUND})


def verify_statement(
    statement_format: object, statement: object, subject: Subject, *, accepted: Collection[str] = FORMATS
) -> Attestation:
    """The statement, once it verified by its format's procedure (§7.1 steps 21 and 22).

    All parts of a compound must verify: a statement that somebody sent along and that does not hold is no reason to
    believe the rest. Raises ``webauthn_attestation_format_unknown``, ``webauthn_attestation_format_refused`` and what
    the format raises.
    """
    if not isinstance(statement_format, str) or statement_format not in FORMATS:
        raise AttestationError("webauthn_attestation_format_unknown", "fmt: expected a format of WebAuthn Level 3")
    if statement_format not in accepted:
        raise UntrustedError("webauthn_attestation_format_refused", "fmt: expected a format that the policy accepts")
    if statement_format != COMPOUND:
        return VERIFIERS[statement_format](statement, subject)
    if not isinstance(statement, list) or not 2 <= len(statement) <= MAX_PARTS:
        raise malformed(f"expected 2 to {MAX_PARTS} statements")
    parts = []
    for each in statement:
        members = check_members(each, required=("fmt", "attStmt"))
        if members["fmt"] == COMPOUND:
            raise malformed("expected no compound inside a compound")
        parts.append(verify_statement(members["fmt"], members["attStmt"], subject, accepted=accepted))
    strongest = next((part.type for part in parts if part.path), parts[0].type)
    return Attestation(COMPOUND, strongest, (), tuple(parts))
