"""The calls of WebAuthn: passkeys, and the binding of a login to the browser that began it."""

from collections.abc import Mapping
from typing import Any, Final, TypedDict

from ..webauthn.binding_routes import AccountBody
from ..webauthn.binding_routes import CredentialBody as BoundCredentialBody
from ..webauthn.routes import CredentialBody, LoginOptionsBody, RenameBody
from .operations import (
    PAGE,
    Base64URL,
    By,
    Bytes16,
    Bytes32,
    Group,
    LoggedIn,
    Operation,
    Options,
    Time,
    base64url,
)


class Begun(TypedDict):
    """A ceremony, to be finished by the one who began it."""

    ceremonyId: Bytes16
    options: Options


class Passkey(TypedDict):
    """A passkey of the account."""

    id: Bytes16
    label: str
    createdAt: Time
    lastUsedAt: Time | None
    isBackedUp: bool
    isDiscoverable: bool
    transports: list[str]
    credentialId: Base64URL


class Passkeys(TypedDict):
    """The account's passkeys, and what the ``signal…`` methods of ``PublicKeyCredential`` take."""

    passkeys: list[Passkey]
    userHandle: Base64URL
    rpId: str
    username: str
    displayName: str


class TemporaryAccount(TypedDict):
    """The account that binds one login."""

    userId: Bytes32
    options: Options


class Released(TypedDict):
    """What the phone has sealed, and the SHA-256 of the eService's public key; empty where there is no TLS."""

    sealedRefreshUrl: Base64URL
    eServiceCertificateHash: str


#: What a registration or an assertion that does not hold is refused with.
_REGISTRATION: Final = "webauthn_*@400 webauthn_*@403 webauthn_challenge_expired webauthn_metadata_outdated"
_ASSERTION: Final = "webauthn_*@400 webauthn_*@401 webauthn_challenge_expired"
_LOGIN: Final = "session_unknown wrong_state session_expired"

OPERATIONS: Final[Mapping[str, Operation]] = {
    "POST /passkeys/options": Operation(
        summary="Begin a registration.",
        by=By.SESSION,
        answers={200: Begun},
        errors="level_required passkey_limit",
    ),
    "POST /passkeys": Operation(
        summary="A new passkey.",
        by=By.SESSION,
        body=CredentialBody,
        answers={201: Passkey},
        errors=f"ceremony_unknown level_required passkey_limit {_REGISTRATION}",
    ),
    "GET /passkeys": Operation(summary="The account's passkeys.", by=By.SESSION, answers={200: Passkeys}),
    "PATCH /passkeys/{id}": Operation(
        summary="Another name for a passkey.",
        by=By.SESSION,
        body=RenameBody,
        answers={204: None},
        errors="not_found",
    ),
    "DELETE /passkeys/{id}": Operation(
        summary="Delete a passkey; sessions that it opened end as well.",
        by=By.SESSION,
        answers={204: None},
        errors="not_found",
    ),
    "POST /passkeys/login/options": Operation(
        summary="Begin a login; the answer sets the browser's cookie, unless it has one.",
        body=LoginOptionsBody,
        body_is_optional=True,
        answers={200: Begun},
    ),
    "POST /passkeys/login": Operation(
        summary="Log in.",
        by=By.BROWSER,
        body=CredentialBody,
        answers={200: LoggedIn},
        errors=f"ceremony_unknown return_url_refused login_refused {_ASSERTION}",
    ),
    "POST /passkeys/step-up/options": Operation(
        summary="Begin to raise the session's level.",
        by=By.SESSION,
        answers={200: Begun},
        errors="passkey_missing",
    ),
    "POST /passkeys/step-up": Operation(
        summary="Raise it: the session goes on under a new id.",
        by=By.SESSION,
        body=CredentialBody,
        answers={200: LoggedIn},
        errors=f"ceremony_unknown return_url_refused login_refused {_ASSERTION}",
    ),
    "GET /passkeys/manage": Operation(
        summary="The page on which a person adds, names and deletes passkeys.", answers={200: PAGE, 303: None}
    ),
    "POST /webauthn/accounts": Operation(
        summary="A phone is done: a temporary account with the sealed refresh address.",
        body=AccountBody,
        answers={201: TemporaryAccount},
        errors=f"sealed_invalid {_LOGIN}",
    ),
    "PUT /webauthn/accounts/{id}": Operation(
        summary="The phone's credential for it.",
        body=BoundCredentialBody,
        answers={204: None},
        errors=f"binding_unknown {_LOGIN} {_REGISTRATION}",
    ),
    "POST /webauthn/accounts/{id}/assertions": Operation(
        summary="The browser proves that the phone is at hand, and gets what the phone sealed.",
        by=By.BROWSER_OR_FRAME,
        body=BoundCredentialBody,
        answers={200: Released},
        errors=f"binding_unknown {_LOGIN} {_ASSERTION} eservice_refused eservice_unavailable",
    ),
}

MEMBERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "widgetSessionId": {"pattern": base64url(16)},
    "sealedRefreshUrl": {"pattern": "^[A-Za-z0-9_-]+$", "maxLength": 4096},
    "attestationFormats": {"maxItems": 16, "items": {"type": "string", "pattern": "^[ -~]{1,32}$"}},
}

GROUP: Final = Group(
    "WebAuthn", "Passkeys, and the binding of a login to the browser that began it.", OPERATIONS, MEMBERS
)
