"""The temporary account by which a browser proves that it is where the phone is (the flow page "Magnus with WebAuthn").

::

    created --register--> registered --take--> gone

The phone creates it with the sealed refresh address and registers a credential for it; the browser that waits proves
with an assertion that this phone is at hand, and gets what is sealed. Each step uses up its challenge.
"""

from collections.abc import Sequence
from typing import Any, Final

from ..._codec import Record, is_b64url, replace
from ...errors import RequestError
from .authentication import StoredCredential, VerifiedAuthentication, verify_authentication
from .options import (
    AuthenticationState,
    Conveyance,
    Descriptor,
    Hint,
    RegistrationState,
    ResidentKey,
    User,
    UserVerification,
    begin_authentication,
    begin_registration,
)
from .registration import verify_registration
from .relying_party import RelyingParty
from .response import AuthenticationResponse, RegistrationResponse
from .trust import AttestationPolicy

USER_ID_SIZE: Final = 32
#: How a browser reaches a phone (WebAuthn Level 3 §5.8.4): nothing but being near is enough.
_TRANSPORTS: Final = ("hybrid",)


class TemporaryAccount(Record, frozen=True):
    """An account of one login. ``sealed`` is the sealed refresh address; the states are of the ceremony under way."""

    user_id: str
    session_id: str
    sealed: str
    registration: RegistrationState
    authentication: AuthenticationState | None = None
    credential: StoredCredential | None = None


def new_account(
    party: RelyingParty,
    *,
    user_id: str,
    user_handle: bytes,
    session_id: str,
    sealed: str,
    challenge: bytes,
    now: float,
    lifetime: float,
    conveyance: Conveyance,
    attestation_formats: Sequence[str],
) -> tuple[dict[str, Any], TemporaryAccount]:
    """``PublicKeyCredentialCreationOptionsJSON`` for the phone, and the account.

    The phone keeps no passkey of it (``residentKey`` discouraged), and verifies its user.
    """
    options, state = begin_registration(
        party,
        User(user_handle, party.name, party.name),
        challenge=challenge,
        now=now,
        lifetime=lifetime,
        user_verification=UserVerification.REQUIRED,
        resident_key=ResidentKey.DISCOURAGED,
        conveyance=conveyance,
        attestation_formats=attestation_formats,
    )
    return options, TemporaryAccount(user_id, session_id, sealed, state)


def register(
    account: TemporaryAccount,
    response: RegistrationResponse,
    *,
    party: RelyingParty,
    policy: AttestationPolicy,
    challenge: bytes,
    now: float,
    lifetime: float,
) -> tuple[dict[str, Any], TemporaryAccount]:
    """``PublicKeyCredentialRequestOptionsJSON`` for the browser, and the account with its credential.

    ``CeremonyError`` for a registration that does not hold. The credential is the account's alone, so that nobody else
    can have registered it.
    """
    verified = verify_registration(
        response, expected_state=account.registration, expected_party=party, policy=policy, is_known=False, now=now
    )
    credential = StoredCredential(
        credential_id=verified.credential_id,
        public_key=verified.public_key,
        sign_count=verified.sign_count,
        user_handle=verified.user_handle,
        is_backup_eligible=verified.is_backup_eligible,
    )
    options, state = begin_authentication(
        party,
        challenge=challenge,
        now=now,
        lifetime=lifetime,
        allow=(Descriptor(credential.credential_id, _TRANSPORTS),),
        user_handle=verified.user_handle,
        user_verification=UserVerification.REQUIRED,
        hints=(Hint.HYBRID,),
    )
    return options, replace(account, credential=credential, authentication=state)


def verify_assertion(
    account: TemporaryAccount, response: AuthenticationResponse, *, party: RelyingParty, now: float
) -> VerifiedAuthentication:
    """The browser's proof; ``CeremonyError``, always HTTP 401. ``binding_unknown`` before there is a credential."""
    if account.authentication is None:
        raise binding_unknown()
    return verify_authentication(
        response, expected_state=account.authentication, expected_party=party, credential=account.credential, now=now
    )


def check_user_id(user_id: str) -> str:
    """The id, if it can be one; ``binding_unknown``."""
    if not is_b64url(user_id, USER_ID_SIZE):
        raise binding_unknown()
    return user_id


def binding_unknown() -> RequestError:
    """One answer for an account that is unknown, over, or of somebody else's login."""
    return RequestError("binding_unknown", "userId: expected a temporary account of this login", status_hint=404)
