"""What the tables say of a call, and the words that they share.

A table maps a route, with its default path, to an :class:`Operation`. What holds for every call of a kind (what a body
that is none is answered with, say) is not in the tables: :mod:`.document` adds it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Final, NotRequired, TypeAlias, TypedDict

from msgspec import Meta

#: Binary values travel as base64url without padding; of the last character, unused bits are zero (RFC 4648 §3.5).
_LAST: Final = ("", "[A-Za-z0-9_-][AQgw]", "[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048]")


def base64url(size: int) -> str:
    """The pattern of ``size`` bytes in their one spelling."""
    whole, rest = divmod(size, 3)
    return f"^[A-Za-z0-9_-]{{{4 * whole}}}{_LAST[rest]}$"


Bytes8: TypeAlias = Annotated[str, Meta(pattern=base64url(8), description="8 bytes, base64url")]
Bytes16: TypeAlias = Annotated[str, Meta(pattern=base64url(16), description="16 bytes, base64url")]
Bytes32: TypeAlias = Annotated[str, Meta(pattern=base64url(32), description="32 bytes, base64url")]
Base64URL: TypeAlias = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]*$", description="base64url without padding")]
Code: TypeAlias = Annotated[str, Meta(pattern="^[0-9]{6}$")]
Time: TypeAlias = Annotated[
    str,
    Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", extra_json_schema={"format": "date-time"}),
]
Seconds: TypeAlias = Annotated[int, Meta(ge=0, description="whole seconds from now")]
#: What ``PublicKeyCredential.parse…OptionsFromJSON`` reads.
Options: TypeAlias = dict[str, Any]


class LoggedIn(TypedDict):
    """A login that is done; the answer sets the session's cookie. With ``sessions.bearer`` the token comes as well."""

    redirectTo: str
    userId: str
    username: str
    acr: str
    amr: list[str]
    sessionToken: NotRequired[Bytes32]
    expiresAt: NotRequired[Time]


class Error(TypedDict):
    """Every error. ``code`` is stable and for programs, ``message`` is for developers."""

    code: str
    message: str
    attemptsLeft: NotRequired[Annotated[int, Meta(ge=0, description="of a confirmation code")]]
    minor: NotRequired[Annotated[str, Meta(description="the eID server's ResultMinor")]]


class Nothing(TypedDict):
    """No member."""


class Farewell(TypedDict):
    """The server goes down in order: connect again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Media:
    """A body that is not JSON."""

    content_type: str


PAGE: Final = Media("text/html")
EVENTS: Final = Media("text/event-stream")
FORM: Final = Media("application/x-www-form-urlencoded")


class By(Enum):
    """Whose call it is: which of our cookies, or of the description's other schemes, it needs."""

    ANYONE = ()
    #: The browser that began.
    BROWSER = ("browser",)
    #: The same, also in a frame of another site's page.
    BROWSER_OR_FRAME = ("browser", "frame")
    SESSION = ("session",)
    #: Whoever has the token of the metrics.
    METRICS = ("metrics",)


#: An answer's body: JSON of a type, something else, or none.
Answer: TypeAlias = type | Media | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call. ``answers`` are those of success, by status.

    Codes of errors stand in one text with spaces between them. Those of ``errors`` are answered as JSON, those of
    ``pages`` by a page for a person; ``never`` are those of its kind that this call does not give. A code of several
    statuses is written ``code@status``, and ``webauthn_*`` is every code that begins so.
    """

    summary: str
    answers: Mapping[int, Answer]
    by: By = By.ANYONE
    body: type | None = None
    #: No body stands for one without members.
    body_is_optional: bool = False
    #: A body of another kind than JSON.
    takes: Media | None = None
    form: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    #: By name, what the data of an event stream's events are.
    events: Mapping[str, type] = field(default_factory=dict)
    errors: str = ""
    pages: str = ""
    never: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """The calls of one kind."""

    name: str
    description: str
    operations: Mapping[str, Operation]
    #: What a request's member must be besides its type, as JSON schema; alike wherever it stands in the group.
    members: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


LAST_EVENT_ID: Final = {"Last-Event-ID": "The version that the client has seen: it is not told again."}
#: Every stream has these besides its own events.
STREAM_EVENTS: Final[Mapping[str, type]] = {"ping": Nothing, "away": Nothing, "bye": Farewell}
