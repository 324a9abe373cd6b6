"""Registering a new credential: the steps of WebAuthn Level 3 §7.1, in their order."""

from collections.abc import Mapping
from typing import Any

from ..._codec import Record
from .attestation.formats import verify_statement
from .attestation.statement import AttestationType, Subject
from .authenticator_data import AttestedCredential, AuthenticatorData, check_flags, parse_authenticator_data
from .cbor import decode
from .client_data import CeremonyType, check_client_data
from .errors import CeremonyError
from .extensions import RegistrationOutputs, check_registration_outputs
from .options import RegistrationState, UserVerification, check_time
from .relying_party import RelyingParty
from .response import RegistrationResponse
from .trust import AttestationPolicy, assess


class VerifiedRegistration(Record, frozen=True):
    """A credential record (§4), and how its authenticator was attested. Only :func:`verify_registration` makes one.

    ``public_key`` is the COSE key as the authenticator encoded it. ``is_trusted`` says that a trust anchor vouched.
    """

    credential_id: bytes
    public_key: bytes
    algorithm: int
    sign_count: int
    user_handle: bytes
    is_user_verified: bool
    is_backup_eligible: bool
    is_backed_up: bool
    transports: tuple[str, ...]
    attachment: str
    aaguid: bytes
    attestation_format: str
    attestation_type: AttestationType
    is_trusted: bool
    origin: str
    top_origin: str
    extensions: RegistrationOutputs


def verify_registration(
    response: RegistrationResponse,
    *,
    expected_state: RegistrationState,
    expected_party: RelyingParty,
    policy: AttestationPolicy,
    is_known: bool,
    now: float,
) -> VerifiedRegistration:
    """The new credential, once all of §7.1 holds; ``CeremonyError`` with a code for each check that does not.

    ``is_known`` says that the credential's id is registered already, for whomever. The state must have been taken:
    whoever verifies twice with one state has let a challenge be used twice. Raises also ``StateError``
    (``webauthn_challenge_expired``) and ``UnavailableError`` (``webauthn_metadata_outdated``).
    """
    check_time(expected_state, now=now)
    check_party(expected_state.rp_id, expected_party)
    # Steps 5 to 12.
    client_data = check_client_data(
        response.client_data,
        expected_type=CeremonyType.CREATE,
        expected_challenge=expected_state.challenge,
        expected_party=expected_party,
    )
    # Step 13, and 20: the algorithm is one of those asked for.
    members = _attestation_object(response.attestation_object)
    data = parse_authenticator_data(members["authData"], allowed=expected_state.algorithms)
    # Steps 14 to 17.
    check_flags(
        data,
        expected_id_hash=expected_party.id_hash,
        requires_presence=not expected_state.is_conditional,
        requires_verification=expected_state.user_verification is UserVerification.REQUIRED,
    )
    credential = _attested(data, response)
    # Steps 21 and 22.
    attestation = verify_statement(
        members["fmt"],
        members["attStmt"],
        Subject(
            authenticator_data=data.raw,
            client_data_hash=client_data.hash,
            rp_id_hash=data.rp_id_hash,
            aaguid=credential.aaguid,
            credential_id=credential.id,
            public_key=credential.public_key,
            now=now,
            rules=policy.rules,
        ),
        accepted=policy.accepted_formats,
    )
    # Steps 23 and 24. Step 25 was taken when the authenticator data were parsed.
    is_trusted = assess(attestation, aaguid=credential.aaguid, policy=policy, now=now)
    # Step 26.
    if is_known:
        raise CeremonyError("webauthn_credential_known", "credentialId: expected one that nobody has registered")
    # Step 28.
    extensions = check_registration_outputs(
        expected_state.extensions, client=response.extension_results, authenticator=data.extensions
    )
    # Step 27.
    return VerifiedRegistration(
        credential_id=credential.id,
        public_key=credential.cose_key,
        algorithm=credential.public_key.algorithm,
        sign_count=data.sign_count,
        user_handle=expected_state.user_handle,
        is_user_verified=data.is_user_verified,
        is_backup_eligible=data.is_backup_eligible,
        is_backed_up=data.is_backed_up,
        transports=response.transports,
        attachment=response.attachment,
        aaguid=credential.aaguid,
        attestation_format=attestation.format,
        attestation_type=attestation.type,
        is_trusted=is_trusted,
        origin=client_data.origin,
        top_origin=client_data.top_origin,
        extensions=extensions,
    )


def check_party(rp_id: str, party: RelyingParty) -> None:
    """The ceremony began for this relying party, or ``webauthn_party_mismatch``."""
    if rp_id != party.id:
        raise CeremonyError("webauthn_party_mismatch", "state: expected a ceremony of this rp id")


def _attestation_object(raw: bytes) -> Mapping[str, Any]:
    """§6.5.4: a map of format, authenticator data and statement, and nothing else."""
    value = decode(raw, name="attestationObject")
    if not isinstance(value, dict) or set(value) != {"fmt", "attStmt", "authData"}:
        raise _malformed("expected fmt, attStmt and authData")
    if not isinstance(value["authData"], bytes):
        raise _malformed("authData: expected bytes")
    return {str(name): member for name, member in value.items()}


def _attested(data: AuthenticatorData, response: RegistrationResponse) -> AttestedCredential:
    if data.attested is None:
        raise CeremonyError("webauthn_attested_data_missing", "authenticator data: expected the flag AT")
    if data.attested.id != response.credential_id:
        raise CeremonyError("webauthn_credential_id_mismatch", "credentialId: expected the same as rawId")
    return data.attested


def _malformed(problem: str) -> CeremonyError:
    return CeremonyError("webauthn_attestation_object_malformed", f"attestationObject: {problem}")
