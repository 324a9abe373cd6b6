"""The beginnings: options for the browser, and the state against which its answer will be held.

A state is kept by the service, once, until it is taken (single use is the store's ``take``), and it says itself how
long it holds. Options are JSON as ``PublicKeyCredential.parseCreationOptionsFromJSON`` and its sibling read it
(WebAuthn Level 3 §5.1.8, §5.1.9).
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

from ..._codec import Record, b64url
from ...errors import StateError
from .cose import CREDENTIAL_ALGORITHMS, DEFAULT_ALGORITHMS
from .extensions import AuthenticationExtensions, RegistrationExtensions
from .relying_party import RelyingParty

MIN_CHALLENGE: Final = 16
USER_HANDLE_SIZES: Final = range(1, 65)


class UserVerification(StrEnum):
    """§5.8.6."""

    REQUIRED = "required"
    PREFERRED = "preferred"
    DISCOURAGED = "discouraged"


class ResidentKey(StrEnum):
    """Whether the authenticator keeps the credential and finds it by the rp id (§5.4.6)."""

    REQUIRED = "required"
    PREFERRED = "preferred"
    DISCOURAGED = "discouraged"


class Attachment(StrEnum):
    """§5.4.5; empty for either."""

    ANY = ""
    PLATFORM = "platform"
    CROSS_PLATFORM = "cross-platform"


class Conveyance(StrEnum):
    """What is asked about the authenticator (§5.4.7)."""

    NONE = "none"
    INDIRECT = "indirect"
    DIRECT = "direct"
    ENTERPRISE = "enterprise"


class Hint(StrEnum):
    """What the browser should offer first (§5.8.7)."""

    SECURITY_KEY = "security-key"
    CLIENT_DEVICE = "client-device"
    HYBRID = "hybrid"


#: What is at hand first, then the phone, then what has to be looked for.
ALL_HINTS: Final = (Hint.CLIENT_DEVICE, Hint.HYBRID, Hint.SECURITY_KEY)
#: By which transports a credential of each kind is reached (§5.8.4).
_REACHED_BY: Final = {
    Hint.CLIENT_DEVICE: frozenset(("internal",)),
    Hint.HYBRID: frozenset(("hybrid", "cable")),
    Hint.SECURITY_KEY: frozenset(("usb", "nfc", "ble", "smart-card")),
}


class User(Record, frozen=True):
    """The account (§5.4.3). ``id`` is the user handle: 1 to 64 bytes that say nothing about the person."""

    id: bytes
    name: str
    display_name: str = ""


class Descriptor(Record, frozen=True):
    """A credential that is known (§5.8.3)."""

    id: bytes
    transports: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As ``PublicKeyCredentialDescriptorJSON``."""
        described: dict[str, Any] = {"type": "public-key", "id": b64url(self.id)}
        if self.transports:
            described["transports"] = list(self.transports)
        return described


def hints_for(known: Iterable[Descriptor]) -> tuple[Hint, ...]:
    """What the browser should offer for one of these credentials; all, where nobody knows how one is reached."""
    transports = [frozenset(each.transports) for each in known]
    if not all(transports):
        return ALL_HINTS
    return tuple(hint for hint in ALL_HINTS if any(_REACHED_BY[hint] & each for each in transports)) or ALL_HINTS


class RegistrationState(Record, frozen=True):
    """A registration under way. Times are Unix seconds."""

    challenge: bytes
    rp_id: str
    user_handle: bytes
    created_at: float
    expires_at: float
    algorithms: tuple[int, ...]
    user_verification: UserVerification
    extensions: RegistrationExtensions
    #: The browser may create the credential by the way, without a gesture (``mediation: "conditional"``).
    is_conditional: bool = False


class AuthenticationState(Record, frozen=True):
    """An authentication under way. Times are Unix seconds.

    ``allowed`` is empty where any credential of ours will do; ``user_handle`` is empty where the user is not known yet.
    """

    challenge: bytes
    rp_id: str
    created_at: float
    expires_at: float
    allowed: tuple[bytes, ...]
    user_handle: bytes
    user_verification: UserVerification
    extensions: AuthenticationExtensions


def begin_registration(
    party: RelyingParty,
    user: User,
    *,
    challenge: bytes,
    now: float,
    lifetime: float = 300.0,
    algorithms: Sequence[int] = DEFAULT_ALGORITHMS,
    exclude: Sequence[Descriptor] = (),
    user_verification: UserVerification = UserVerification.REQUIRED,
    resident_key: ResidentKey = ResidentKey.DISCOURAGED,
    attachment: Attachment = Attachment.ANY,
    hints: Sequence[Hint] = (),
    conveyance: Conveyance = Conveyance.NONE,
    attestation_formats: Sequence[str] = (),
    extensions: RegistrationExtensions = RegistrationExtensions(),  # noqa: B008 - it is immutable
    is_conditional: bool = False,
) -> tuple[dict[str, Any], RegistrationState]:
    """``PublicKeyCredentialCreationOptionsJSON`` and the state (§7.1 step 1).

    ``challenge`` are 16 random bytes or more (§13.4.3); ``lifetime`` is in seconds. ``ValueError`` for arguments that
    no ceremony could begin with: they are the caller's own.
    """
    _check_challenge(challenge, lifetime)
    if len(user.id) not in USER_HANDLE_SIZES:
        raise ValueError("user handle: expected 1 to 64 bytes")
    if not algorithms or not CREDENTIAL_ALGORITHMS.issuperset(algorithms):
        raise ValueError("algorithms: expected some of those that we verify")
    selection: dict[str, Any] = {
        "residentKey": resident_key.value,
        "requireResidentKey": resident_key is ResidentKey.REQUIRED,
        "userVerification": user_verification.value,
    }
    if attachment:
        selection["authenticatorAttachment"] = attachment.value
    options: dict[str, Any] = {
        "rp": {"id": party.id, "name": party.name},
        "user": {"id": b64url(user.id), "name": user.name, "displayName": user.display_name or user.name},
        "challenge": b64url(challenge),
        "pubKeyCredParams": [{"type": "public-key", "alg": int(each)} for each in algorithms],
        "timeout": int(lifetime * 1000),
        "excludeCredentials": [each.to_json() for each in exclude],
        "authenticatorSelection": selection,
        "hints": [each.value for each in hints],
        "attestation": conveyance.value,
        "attestationFormats": list(attestation_formats),
        "extensions": extensions.to_json(),
    }
    state = RegistrationState(
        challenge=challenge,
        rp_id=party.id,
        user_handle=user.id,
        created_at=now,
        expires_at=now + lifetime,
        algorithms=tuple(int(each) for each in algorithms),
        user_verification=user_verification,
        extensions=extensions,
        is_conditional=is_conditional,
    )
    return options, state


def begin_authentication(
    party: RelyingParty,
    *,
    challenge: bytes,
    now: float,
    lifetime: float = 300.0,
    allow: Sequence[Descriptor] = (),
    user_handle: bytes = b"",
    user_verification: UserVerification = UserVerification.REQUIRED,
    hints: Sequence[Hint] = (),
    extensions: AuthenticationExtensions = AuthenticationExtensions(),  # noqa: B008 - it is immutable
) -> tuple[dict[str, Any], AuthenticationState]:
    """``PublicKeyCredentialRequestOptionsJSON`` and the state (§7.2 step 1).

    Without ``allow`` the authenticator offers what it keeps for us. ``user_handle`` names the user where one is known.
    ``ValueError`` as for :func:`begin_registration`.
    """
    _check_challenge(challenge, lifetime)
    allowed = tuple(each.id for each in allow)
    if not set(allowed).issuperset(name for name, _ in extensions.prf_by_credential):
        raise ValueError("prf_by_credential: expected ids of allowed credentials (§10.1.4)")
    if extensions.large_blob_write and (len(allowed) != 1 or extensions.large_blob_read):
        raise ValueError("large_blob_write: expected one allowed credential, and nothing to read (§10.1.5)")
    options: dict[str, Any] = {
        "rpId": party.id,
        "challenge": b64url(challenge),
        "timeout": int(lifetime * 1000),
        "allowCredentials": [each.to_json() for each in allow],
        "userVerification": user_verification.value,
        "hints": [each.value for each in hints],
        "extensions": extensions.to_json(),
    }
    state = AuthenticationState(
        challenge=challenge,
        rp_id=party.id,
        created_at=now,
        expires_at=now + lifetime,
        allowed=allowed,
        user_handle=user_handle,
        user_verification=user_verification,
        extensions=extensions,
    )
    return options, state


def check_time(state: RegistrationState | AuthenticationState, *, now: float) -> None:
    """``webauthn_challenge_expired`` from the end of the state's lifetime on, and before its beginning."""
    if not state.created_at <= now < state.expires_at:
        raise StateError("webauthn_challenge_expired", "challenge: expected one that still holds", status_hint=410)


def _check_challenge(challenge: bytes, lifetime: float) -> None:
    if len(challenge) < MIN_CHALLENGE:
        raise ValueError(f"challenge: expected at least {MIN_CHALLENGE} bytes")
    if lifetime <= 0:
        raise ValueError("lifetime: expected more than no time")
