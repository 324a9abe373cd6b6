"""What waits, and who is enrolled and logged in: the things that the model of the logins is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, NamedTuple

#: Seconds; those of the settings by default, and of docs/reference.
LIFETIME: Final = 300.0
CLAIM_LIFETIME: Final = 120.0
FRAME_PERIOD: Final = 30.0
SNAPSHOT: Final = 60.0
RECORD: Final = 120.0
SKEW: Final = 120
IDLE: Final = 12 * 3600.0
ABSOLUTE: Final = 7 * 86400.0
TOUCH: Final = 60.0
TRIES: Final = 5
#: The names of our cookies over http.
SESSION: Final = "useid-session"
ATTEMPT: Final = "useid-oidc"
RESTART: Final = "useid-oidc-restart"


class Told(NamedTuple):
    """What a caller is told: the status, and the code of an error."""

    status: int
    code: str = ""


UNKNOWN: Final = Told(404, "session_unknown")
NO_DEVICE: Final = Told(403, "device_unknown")
NO_COOKIE: Final = Told(401, "browser_cookie_missing")
NOT_LOGGED_IN: Final = Told(401, "login_required")
NOT_FOUND: Final = Told(404, "not_found")
WRONG_STATE: Final = Told(409, "wrong_state")


@dataclass(frozen=True)
class Wire:
    """The cookies that a call carried, and those that its answer set; empty is one that was taken away."""

    carried: Mapping[str, str] = field(default_factory=dict)
    set: Mapping[str, str] = field(default_factory=dict)

    @property
    def held(self) -> str:
        """What opens the session of whoever called."""
        return self.carried.get(SESSION, "")

    @property
    def given(self) -> str:
        """What opens the session that was made."""
        return self.set.get(SESSION, "")


@dataclass
class Waiting:
    """Something that waits: a state, and when it ends."""

    #: Where each step leads, and what nothing leaves.
    NEXT: ClassVar[dict[tuple[str, str], str]] = {}
    FINAL: ClassVar[frozenset[str]] = frozenset()

    id: str
    deadline: float
    state: str
    version: int = 1
    code: str = ""
    tries: int = 0

    def state_at(self, now: float) -> str:
        """Expired from the deadline on, to the instant."""
        return "expired" if now >= self.deadline and self.state not in self.FINAL else self.state

    def version_at(self, now: float) -> int:
        """An expiry is a change like any other."""
        return self.version + (self.state_at(now) != self.state)

    def is_gone(self, now: float) -> bool:
        """Forgotten."""
        return now >= self.deadline + RECORD

    def refusal(self, step: str, now: float) -> Told | None:
        """What is told to who takes a step that does not fit."""
        state = self.state_at(now)
        if (state, step) in self.NEXT:
            return None
        return Told(410, "session_expired") if state == "expired" else WRONG_STATE

    def go(self, state: str, *, deadline: float | None = None) -> None:
        """A change."""
        self.state = state
        self.version += 1
        if deadline is not None:
            self.deadline = deadline

    def miss(self, now: float) -> None:
        """A wrong code; the last one ends it."""
        self.tries += 1
        self.go("rejected" if self.tries == TRIES else self.state)
        if self.state == "rejected":
            self.deadline = now


@dataclass
class Device:
    """An enrolled key of a person's phone, or a passkey. ``account`` is who is logged in by it."""

    person: str
    account: str
    id: str
    is_revoked: bool = False
    label: str = ""


@dataclass
class Login(Waiting):
    """A login by QR; ``browser`` is whose cookie it belongs to."""

    NEXT = {  # noqa: RUF012 - as in the base
        ("waiting", "scan"): "scanned",
        ("scanned", "approve"): "approved",
        ("scanned", "confirm"): "confirmed",
        ("scanned", "reject"): "rejected",
        ("confirmed", "reject"): "rejected",
        ("confirmed", "ask"): "authenticating",
        ("authenticating", "release"): "approved",
        ("approved", "claim"): "claimed",
    }
    FINAL = frozenset({"rejected", "expired", "claimed"})

    browser: str = ""
    begun: float = 0.0
    device: Device | None = None
    frame: str = ""


@dataclass
class Enrolment(Waiting):
    """An enrolment for an account; ``person`` is whose phone has proved its key."""

    NEXT = {("offered", "prove"): "proved", ("proved", "confirm"): "confirmed"}  # noqa: RUF012 - as in the base
    FINAL = frozenset({"rejected", "expired", "confirmed"})

    account: str = ""
    person: str = ""


@dataclass
class Card(Waiting):
    """A login with an ID card. ``token`` fetches the tcToken, ``refresh`` comes back: empty before, and once spent.

    ``phone`` is the browser that has the login at a phone, ``holder`` whose card the eID server has read.
    """

    NEXT = {  # noqa: RUF012 - as in the base
        ("waiting", "scan"): "scanned",
        ("waiting", "fetch"): "scanned",
        ("scanned", "fetch"): "scanned",
        ("scanned", "approve"): "approved",
        ("scanned", "seal"): "approved",
        ("scanned", "claim"): "claimed",
        ("approved", "claim"): "claimed",
    }
    FINAL = frozenset({"rejected", "expired", "claimed"})

    mode: str = ""
    browser: str = ""
    start: str = ""
    token: str = ""
    refresh: str = ""
    phone: str = ""
    holder: str = ""
    has_session: bool = False
    sealed: str = ""


@dataclass
class Temporary:
    """A temporary account that binds a login; ``prover`` is whose authenticator has its credential."""

    login: Login
    ends: float
    prover: str = ""
    is_gone: bool = False


@dataclass
class Session:
    """A login session; ``way`` is how it was made, ``device`` what it hangs on, ``sid`` the provider's session."""

    account: str
    begun: float
    seen: float
    device: Device | None = None
    way: str = "host"
    level: int = 0
    sid: str = ""
    has_ended: bool = False

    def lives(self, now: float) -> bool:
        """Neither ended nor run out."""
        return not self.has_ended and now < min(self.begun + ABSOLUTE, self.seen + IDLE)


@dataclass
class Ceremony:
    """A ceremony of passkeys under way; ``bound`` is the cookie of the browser or session that it is for."""

    purpose: str
    bound: str
    ends: float
    account: str = ""
    is_spent: bool = False


@dataclass
class Attempt:
    """A login at the provider under way; ``secret`` is the cookie of who began it. ``silent``: nobody is asked."""

    state: str
    secret: str
    begun: float
    silent: bool = False
    is_spent: bool = False


@dataclass
class Arrival:
    """What the provider sent a browser back with, and to which attempt. ``sid`` is its session there."""

    state: str
    url: str
    account: str
    sid: str
    at: float
    is_spent: bool = False


class Signed(NamedTuple):
    """What a phone has signed."""

    login: str
    frame: str
    decision: str
    issued_at: int
    #: The public key that comes along is the enrolled one.
    by_this_key: bool = True
