"""The calls of a login with an ID card."""

from collections.abc import Mapping
from typing import Any, Final, NotRequired, TypedDict

from ..eid.core.session import Mode, Reason, State
from ..eid.routes import ClaimBody, SealedBody, StartBody
from .operations import (
    EVENTS,
    LAST_EVENT_ID,
    PAGE,
    Base64URL,
    By,
    Bytes16,
    Bytes32,
    Group,
    LoggedIn,
    Media,
    Operation,
    Options,
    Seconds,
    Time,
)


class EIDLoginStarted(TypedDict):
    """A login that waits for an eID client. Members that do not apply to its mode are empty."""

    sessionId: Bytes16
    mode: Mode
    expiresAt: Time
    expiresIn: Seconds
    qrData: str
    clientUrl: str
    loopbackUrl: str
    startUrl: str
    tcTokenUrl: str
    refreshOrigins: list[str]


class EIDLoginStatus(TypedDict):
    """What the waiting page may know: nothing about the person. ``reason`` when rejected."""

    status: State
    version: int
    expiresAt: Time
    expiresIn: Seconds
    codeRequired: NotRequired[bool]
    userId: NotRequired[Bytes32]
    options: NotRequired[Options]
    sealedRefreshUrl: NotRequired[Base64URL]
    reason: NotRequired[Reason]


_STATE: Final = "session_unknown wrong_state session_expired"
_RESULT: Final = "result_pending requirements_not_met eid_server_refused eid_server_unavailable login_refused"

OPERATIONS: Final[Mapping[str, Operation]] = {
    "POST /eid/start": Operation(
        summary="Begin a login; the answer sets the browser's cookie, unless it has one.",
        body=StartBody,
        body_is_optional=True,
        answers={201: EIDLoginStarted},
        errors="return_url_refused mode_refused tenant_unknown token_url_refused not_found",
    ),
    "GET /eid/session/{id}": Operation(
        summary="The status, for those who poll.",
        by=By.BROWSER_OR_FRAME,
        answers={200: EIDLoginStatus},
        errors="session_unknown",
    ),
    "GET /eid/session/{id}/events": Operation(
        summary="The status as it changes; 204 when there is nothing left to say.",
        by=By.BROWSER_OR_FRAME,
        headers=LAST_EVENT_ID,
        answers={200: EVENTS, 204: None},
        events={"status": EIDLoginStatus, "authenticate": EIDLoginStatus},
        errors="session_unknown",
    ),
    "POST /eid/session/{id}/claim": Operation(
        summary="The desktop fetches its login, with the code that the phone shows.",
        by=By.BROWSER,
        body=ClaimBody,
        body_is_optional=True,
        answers={200: LoggedIn},
        errors=f"{_STATE} code_required code_wrong {_RESULT}",
    ),
    "POST /eid/session/{id}/sealed": Operation(
        summary="The phone's client is done: the sealed refresh address, once.",
        body=SealedBody,
        answers={204: None},
        errors=f"sealed_invalid {_STATE}",
    ),
    "GET /eid/tctoken/{token}": Operation(
        summary="The tcToken, once.",
        answers={200: Media("text/xml")},
        errors=_STATE,
    ),
    "GET /eid/refresh/{token}": Operation(
        summary="Where the eID client brings the browser: on to where the login leads, or a page.",
        by=By.BROWSER,
        query={
            "ResultMajor": "Empty or ok after a success.",
            "ResultMinor": "What went wrong.",
            "ResultMessage": "Not looked at.",
        },
        answers={200: PAGE, 303: None},
        pages=f"browser_cookie_missing malformed_request {_STATE} {_RESULT} store_unavailable",
        never="malformed_request",
    ),
    "GET /eid": Operation(
        summary="The page with the widget.",
        query={"return": "Where the login leads; an address that it may not lead to is dropped."},
        answers={200: PAGE},
    ),
    "POST /eid/plain": Operation(
        summary="Begin a login on this device without JavaScript.",
        form={"returnUrl": "Where the login leads; an address that it may not lead to is dropped."},
        answers={200: PAGE},
        pages="mode_refused rate_limited store_unavailable",
    ),
    "GET /eid/phone/{token}": Operation(
        summary="The page behind the QR code. Changes nothing.",
        answers={200: PAGE},
        pages="session_unknown wrong_state store_unavailable",
    ),
    "POST /eid/phone/{token}": Operation(
        summary="The phone's user goes on: links that open the eID client.",
        answers={200: PAGE},
        pages=f"{_STATE} rate_limited store_unavailable",
    ),
    "GET /widget": Operation(
        summary="The page in another site's frame.",
        query={
            "id": "The site, as the settings name it.",
            "origin": "The origin of its page.",
            "tcTokenUrl": "One of its own.",
            "lang": "The language of the texts.",
            "theme": "light or dark, where the site leaves that open.",
        },
        answers={200: PAGE},
        errors="tenant_unknown token_url_refused",
    ),
    "POST /eid/paos": Operation(
        summary="The embedded eID server's PAOS, for eID clients (TR-03112-7).",
        takes=Media("application/vnd.paos+xml"),
        answers={200: Media("application/vnd.paos+xml")},
    ),
    "POST /eid/soap": Operation(
        summary="The embedded eID server's interface for other eServices (TR-03130-1).",
        takes=Media("text/xml"),
        answers={200: Media("text/xml")},
    ),
}

MEMBERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "mode": {"enum": ["", *Mode]},
    "code": {"pattern": "^[ -]*([0-9][ -]*){6}$|^[ -]*$"},
    "sealedRefreshUrl": {"pattern": "^[A-Za-z0-9_-]+$", "maxLength": 4096},
}

GROUP: Final = Group("eID", "Login with an ID card, and the widget in pages of other sites.", OPERATIONS, MEMBERS)
