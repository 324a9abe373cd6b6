"""Verifying an authentication assertion: the steps of WebAuthn Level 3 §7.2, in their order."""

from hashlib import sha256
from hmac import compare_digest

from ..._codec import Record
from .authenticator_data import AuthenticatorData, check_flags, parse_authenticator_data
from .client_data import CeremonyType, check_client_data
from .cose import CREDENTIAL_ALGORITHMS, SignatureRefused, stored_public_key
from .errors import CeremonyError
from .extensions import AuthenticationOutputs, check_authentication_outputs
from .options import AuthenticationState, UserVerification, check_time
from .registration import check_party
from .relying_party import RelyingParty
from .response import AuthenticationResponse


class StoredCredential(Record, frozen=True):
    """What a registration left behind, as far as an assertion is held against it (§4 "credential record")."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    user_handle: bytes
    is_backup_eligible: bool


class VerifiedAuthentication(Record, frozen=True):
    """Whose credential it was, and what is to be kept in its record. Only :func:`verify_authentication` makes one."""

    credential_id: bytes
    user_handle: bytes
    sign_count: int
    is_user_verified: bool
    is_backed_up: bool
    attachment: str
    origin: str
    top_origin: str
    extensions: AuthenticationOutputs


def verify_authentication(
    response: AuthenticationResponse,
    *,
    expected_state: AuthenticationState,
    expected_party: RelyingParty,
    credential: StoredCredential | None,
    now: float,
) -> VerifiedAuthentication:
    """The authentication, once all of §7.2 holds; ``CeremonyError``, always HTTP 401, with a code for each check.

    ``credential`` is the record of ``response.credential_id``. ``None`` says that there is none, which is answered with
    ``webauthn_credential_unknown`` (a page then calls ``signalUnknownCredential``). The state must have been taken.
    Raises also ``StateError`` (``webauthn_challenge_expired``).
    """
    check_time(expected_state, now=now)
    try:
        return _verify(response, expected_state, expected_party, credential)
    except CeremonyError as error:
        # Whatever was wrong with it: nobody has been authenticated.
        error.status_hint = 401
        raise


def _verify(
    response: AuthenticationResponse,
    state: AuthenticationState,
    party: RelyingParty,
    credential: StoredCredential | None,
) -> VerifiedAuthentication:
    check_party(state.rp_id, party)
    # Steps 5 and 6.
    if state.allowed and response.credential_id not in state.allowed:
        raise CeremonyError("webauthn_credential_not_allowed", "rawId: expected one of the allowed credentials")
    if credential is None or not compare_digest(credential.credential_id, response.credential_id):
        raise CeremonyError("webauthn_credential_unknown", "rawId: expected a credential that is registered")
    _check_user(response, state, credential)
    # Steps 8 to 14.
    client_data = check_client_data(
        response.client_data,
        expected_type=CeremonyType.GET,
        expected_challenge=state.challenge,
        expected_party=party,
    )
    # Step 23 comes first in one point: which hash of an rp id to expect (§10.1.1).
    data = parse_authenticator_data(response.authenticator_data, allowed=CREDENTIAL_ALGORITHMS)
    extensions = check_authentication_outputs(
        state.extensions,
        credential_id=credential.credential_id,
        client=response.extension_results,
        authenticator=data.extensions,
    )
    # Steps 15 to 19.
    check_flags(
        data,
        expected_id_hash=sha256(state.extensions.app_id.encode()).digest() if extensions.app_id_used else party.id_hash,
        requires_verification=state.user_verification is UserVerification.REQUIRED,
    )
    _check_record(data, credential)
    # Steps 20 and 21.
    try:
        stored_public_key(credential.public_key).verify(data.raw + client_data.hash, response.signature)
    except SignatureRefused:
        raise signature_refused() from None
    # Step 22.
    if (data.sign_count or credential.sign_count) and data.sign_count <= credential.sign_count:
        raise CeremonyError(
            "webauthn_sign_count", "signCount: expected more than at the last time; the authenticator may be cloned"
        )
    # Step 24.
    return VerifiedAuthentication(
        credential_id=credential.credential_id,
        user_handle=credential.user_handle,
        sign_count=data.sign_count,
        is_user_verified=data.is_user_verified,
        is_backed_up=data.is_backed_up,
        attachment=response.attachment,
        origin=client_data.origin,
        top_origin=client_data.top_origin,
        extensions=extensions,
    )


def signature_refused() -> CeremonyError:
    """The error for a signature that is not the credential's."""
    message = "signature: expected one by the credential's key over this ceremony"
    return CeremonyError("webauthn_signature_invalid", message, status_hint=401)


def _check_user(response: AuthenticationResponse, state: AuthenticationState, credential: StoredCredential) -> None:
    """Step 6: the credential is the user's that we know, or else the one that the authenticator names."""
    if state.user_handle and not compare_digest(state.user_handle, credential.user_handle):
        raise CeremonyError("webauthn_credential_of_other", "rawId: expected a credential of the user who is known")
    if not response.user_handle:
        if not state.user_handle and not state.allowed:
            raise CeremonyError("webauthn_user_handle_missing", "userHandle: expected one, since nobody is known")
    elif not compare_digest(response.user_handle, credential.user_handle):
        raise CeremonyError("webauthn_user_handle_mismatch", "userHandle: expected that of the credential's user")


def _check_record(data: AuthenticatorData, credential: StoredCredential) -> None:
    """Step 19: whether a credential may be backed up is settled when it is made; an assertion brings no new one."""
    if data.attested is not None:
        raise CeremonyError("webauthn_attested_data_unexpected", "authenticator data: expected no flag AT")
    if data.is_backup_eligible is not credential.is_backup_eligible:
        raise CeremonyError("webauthn_backup_eligibility_changed", "authenticator data: flag BE: expected no change")
