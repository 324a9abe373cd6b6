"""The calls of the device switch: login by QR, and a user's phones."""

from collections.abc import Mapping
from typing import Any, Final, Literal, NotRequired, TypedDict

from ..qr.core.enrolment import MAX_LABEL, EnrolmentState
from ..qr.core.session import State
from ..qr.core.signing import RequestContext
from ..qr.device_routes import ConfirmBody, EnrolBody, ProofBody
from ..qr.routes import AnswerBody, ClaimBody, CreateBody, ScanBody
from .operations import (
    EVENTS,
    LAST_EVENT_ID,
    PAGE,
    Base64URL,
    By,
    Bytes8,
    Bytes16,
    Bytes32,
    Code,
    Group,
    LoggedIn,
    Media,
    Operation,
    Options,
    Seconds,
    Time,
    base64url,
)


class LoginStarted(TypedDict):
    """A login that waits for a phone. ``qrData`` is the QR code's text; at L2 the page adds its key's fragment."""

    sessionId: Bytes16
    challenge: Bytes32
    expiresAt: Time
    expiresIn: Seconds
    qrData: str
    assurance: Literal["L0", "L1", "L2"]
    refreshOrigins: NotRequired[list[str]]


class LoginStatus(TypedDict):
    """What the waiting page may know. ``frame`` while waiting, ``userId`` and ``options`` while authenticating."""

    status: State
    version: int
    expiresAt: Time
    expiresIn: Seconds
    frame: NotRequired[Bytes8]
    codeRequired: NotRequired[bool]
    userId: NotRequired[Bytes32]
    options: NotRequired[Options]
    sealedRefreshUrl: NotRequired[Base64URL]


class Frame(TypedDict):
    """The QR code's new frame."""

    frame: Bytes8


class Scanned(TypedDict):
    """What the phone is asked to approve, to be shown whole. ``binding``: only with the key of the link's fragment."""

    context: RequestContext
    expiresAt: Time
    expiresIn: Seconds
    binding: NotRequired[Literal[True]]


class Approved(TypedDict):
    """``code`` is for the phone to show, ``refreshUrl`` (at L2) for it to seal."""

    status: Literal["approved"]
    code: NotRequired[Code]
    refreshUrl: NotRequired[str]


class Rejected(TypedDict):
    """Nobody is logged in."""

    status: Literal["rejected"]


class EnrolmentStarted(TypedDict):
    """An enrolment that waits for a phone."""

    enrolmentId: Bytes16
    challenge: Bytes32
    expiresAt: Time
    expiresIn: Seconds
    qrData: str


class EnrolmentStatus(TypedDict):
    """How far an enrolment is."""

    status: EnrolmentState
    version: int
    expiresAt: Time
    expiresIn: Seconds
    label: NotRequired[str]


class Proved(TypedDict):
    """What the phone keeps, and the code that it shows."""

    keyId: Bytes16
    username: str
    appName: str
    code: Code


class Device(TypedDict):
    """A phone of the account."""

    id: Bytes16
    label: str
    createdAt: Time
    lastUsedAt: Time | None


class Devices(TypedDict):
    """The account's phones, oldest first."""

    devices: list[Device]


_CLAIM: Final = (
    "session_unknown wrong_state session_expired device_unknown code_required code_wrong login_refused rate_limited"
)
_ANSWER: Final = "session_unknown wrong_state session_expired device_unknown key_refused signature_invalid"
_ENROLMENT: Final = "session_unknown wrong_state session_expired"

OPERATIONS: Final[Mapping[str, Operation]] = {
    "POST /session/create": Operation(
        summary="Begin a login; the answer sets the browser's cookie, unless it has one.",
        body=CreateBody,
        body_is_optional=True,
        answers={201: LoginStarted},
        errors="app_name_refused return_url_refused",
    ),
    "GET /session/{id}": Operation(
        summary="The status, for those who poll.",
        by=By.BROWSER,
        answers={200: LoginStatus},
        errors="session_unknown",
    ),
    "GET /session/{id}/events": Operation(
        summary="The status as it changes; 204 when there is nothing left to say.",
        by=By.BROWSER,
        headers=LAST_EVENT_ID,
        answers={200: EVENTS, 204: None},
        events={"status": LoginStatus, "authenticate": LoginStatus, "frame": Frame},
        errors="session_unknown",
    ),
    "GET /session/{id}/qr.svg": Operation(
        summary="The QR code of this moment as a picture.",
        by=By.BROWSER,
        answers={200: Media("image/svg+xml")},
        errors="session_unknown wrong_state session_expired",
    ),
    "POST /session/{id}": Operation(
        summary="A phone scans.",
        body=ScanBody,
        answers={200: Scanned},
        errors="session_unknown already_scanned wrong_state frame_stale session_expired device_unknown",
    ),
    "POST /approve": Operation(
        summary="The phone's signed yes.", body=AnswerBody, answers={200: Approved}, errors=_ANSWER
    ),
    "POST /reject": Operation(
        summary="The phone's signed no.", body=AnswerBody, answers={200: Rejected}, errors=_ANSWER
    ),
    "POST /session/{id}/claim": Operation(
        summary="The desktop fetches its login, with the code if one is asked for.",
        by=By.BROWSER,
        body=ClaimBody,
        body_is_optional=True,
        answers={200: LoggedIn},
        errors=_CLAIM,
    ),
    "GET /session/refresh/{token}": Operation(
        summary="Where a bound login ends, once.",
        by=By.BROWSER,
        answers={303: None},
        pages="browser_cookie_missing session_unknown wrong_state session_expired device_unknown login_refused"
        " rate_limited store_unavailable",
    ),
    "POST /plain": Operation(
        summary="Begin a login without JavaScript.",
        form={"returnUrl": "Where the login leads."},
        answers={303: None},
        errors="return_url_refused",
        pages="wrong_state",
    ),
    "GET /plain/{id}": Operation(
        summary="The page that refreshes itself.",
        by=By.BROWSER,
        answers={200: PAGE},
        pages="browser_cookie_missing session_unknown store_unavailable",
    ),
    "POST /plain/{id}": Operation(
        summary="Finish a login without JavaScript.",
        by=By.BROWSER,
        form={"code": "The code that the phone shows, if one is asked for."},
        answers={303: None},
        pages=f"malformed_request browser_cookie_missing store_unavailable {_CLAIM}",
        errors="malformed_request",
    ),
    "GET /devices": Operation(summary="The user's phones.", by=By.SESSION, answers={200: Devices}),
    "DELETE /devices/{id}": Operation(
        summary="Revoke one; sessions that it opened end as well.",
        by=By.SESSION,
        answers={204: None},
        errors="not_found",
    ),
    "POST /devices/enrol": Operation(
        summary="Add a phone.",
        by=By.SESSION,
        body=EnrolBody,
        body_is_optional=True,
        answers={201: EnrolmentStarted},
    ),
    "GET /devices/enrol/{id}": Operation(
        summary="The enrolment's status.",
        by=By.SESSION,
        answers={200: EnrolmentStatus},
        errors="session_unknown",
    ),
    "GET /devices/enrol/{id}/events": Operation(
        summary="The enrolment's status as it changes; 204 when there is nothing left to say.",
        by=By.SESSION,
        headers=LAST_EVENT_ID,
        answers={200: EVENTS, 204: None},
        events={"status": EnrolmentStatus},
        errors="session_unknown",
    ),
    "POST /devices/enrol/{id}": Operation(
        summary="A phone proves its key.",
        body=ProofBody,
        answers={200: Proved},
        errors=f"{_ENROLMENT} key_refused signature_invalid",
    ),
    "POST /devices/enrol/{id}/confirm": Operation(
        summary="The user types the phone's code: from now on the key counts.",
        by=By.SESSION,
        body=ConfirmBody,
        answers={200: Device},
        errors=f"{_ENROLMENT} code_required code_wrong key_refused",
    ),
}

_CODE: Final[Mapping[str, Any]] = {"pattern": "^[ -]*([0-9][ -]*){6}$|^[ -]*$"}
MEMBERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "type": {"const": "scan"},
    "sessionId": {"pattern": base64url(16)},
    "keyId": {"pattern": base64url(16)},
    "publicKey": {"pattern": base64url(32)},
    "signature": {"pattern": base64url(64)},
    "frame": {"pattern": f"{base64url(8)}|^$"},
    "code": _CODE,
    "issuedAt": {"minimum": 0, "exclusiveMaximum": 10**11},
    "label": {"minLength": 1, "maxLength": MAX_LABEL},
}

GROUP: Final = Group("device switch", "Login by QR code with a phone that holds the key.", OPERATIONS, MEMBERS)
