"""The calls that are there whatever the settings say: a user's sessions, the pages of login and logout, the widget."""

from collections.abc import Mapping
from typing import Final, TypedDict

from .operations import (
    EVENTS,
    PAGE,
    Answer,
    By,
    Bytes32,
    Group,
    Media,
    Nothing,
    Operation,
    Time,
)


class Session(TypedDict):
    """A login session. ``current``: the one that asks."""

    id: Bytes32
    current: bool
    createdAt: Time
    lastSeenAt: Time
    expiresAt: Time
    ip: str
    browser: str
    acr: str
    amr: list[str]


class Sessions(TypedDict):
    """The account's sessions, newest first."""

    sessions: list[Session]


class Ended(TypedDict):
    """The session has ended; the last event."""

    reason: str


class LoggedOut(TypedDict):
    """The logout goes on at the provider."""

    redirectTo: str


_LOGIN: Final = {
    "return": "Where the login leads; an address that it may not lead to is dropped.",
    "provider": "Go on to this provider at once.",
    "login_hint": "For the provider: who wants to log in.",
}
#: What a login can fail with before the browser is at its provider.
BEGIN: Final = (
    "rate_limited login_refused store_unavailable provider_unreachable provider_answer_invalid metadata_invalid"
    " issuer_mismatch jwks_invalid par_invalid par_refused token_encryption_refused"
)
_CACHED: Final = {"If-None-Match": "The tag of what the client has."}
_FILES: Final[Mapping[int, Answer]] = {200: Media("*/*"), 304: None}

OPERATIONS: Final[Mapping[str, Operation]] = {
    "GET /openapi.json": Operation(
        summary="This description.",
        headers=_CACHED,
        answers={200: Media("application/json"), 304: None},
    ),
    "GET /sessions": Operation(summary="The user's sessions.", by=By.SESSION, answers={200: Sessions}),
    "DELETE /sessions": Operation(summary="Revoke all but this one.", by=By.SESSION, answers={204: None}),
    "DELETE /sessions/{id}": Operation(summary="Revoke one.", by=By.SESSION, answers={204: None}, errors="not_found"),
    "GET /sessions/current/events": Operation(
        summary="Says when this session has ended.",
        by=By.SESSION,
        answers={200: EVENTS},
        events={"alive": Nothing, "ended": Ended},
    ),
    "GET /logout": Operation(
        summary="The page that asks first; on to the landing page when nobody is logged in.",
        answers={200: PAGE, 303: None},
    ),
    "POST /logout": Operation(
        summary="End this session. A form is sent on, a script is told where to go.",
        answers={200: LoggedOut, 204: None, 303: None},
    ),
    "GET /login": Operation(
        summary="The page with all ways to log in, or the way to the only one.",
        query=_LOGIN,
        answers={200: PAGE, 303: None},
        pages=BEGIN,
    ),
    "GET /step-up": Operation(
        summary="The page on which a session proves more.",
        query={"return": "Where to go on afterwards.", "level": "What is demanded."},
        answers={200: PAGE, 303: None},
    ),
    "GET /widget/{file}": Operation(
        summary="A file of the widget.", headers=_CACHED, answers=_FILES, errors="not_found"
    ),
    "GET /widget/locales/{file}": Operation(
        summary="The widget's texts in one language.", headers=_CACHED, answers=_FILES, errors="not_found"
    ),
    "GET /embed.js": Operation(
        summary="The script that pages of other sites include.", headers=_CACHED, answers=_FILES
    ),
}

GROUP: Final = Group("sessions", "A user's sessions, the pages of login and logout, the widget's files.", OPERATIONS)
