"""What waits, and who is enrolled and logged in: the things that the model of the device switch is made of."""

from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

#: Seconds; those of the settings by default, and of docs/reference/device-switch.md.
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


class Told(NamedTuple):
    """What a caller is told: the status, and the code of an error."""

    status: int
    code: str = ""


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
        return Told(410, "session_expired") if state == "expired" else Told(409, "wrong_state")

    def go(self, state: str, *, deadline: float | None = None) -> None:
        """A change."""
        self.state = state
        self.version += 1
        if deadline is not None:
            self.deadline = deadline


@dataclass
class Device:
    """An enrolled key of a person's phone. ``account`` is who is logged in by it."""

    person: str
    account: str
    id: str
    is_revoked: bool = False


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
class Temporary:
    """A temporary account that binds a login; ``prover`` is whose authenticator has its credential."""

    login: Login
    ends: float
    prover: str = ""
    is_gone: bool = False


@dataclass
class Session:
    """A login session."""

    account: str
    begun: float
    seen: float
    device: Device | None = None
    has_ended: bool = False

    def lives(self, now: float) -> bool:
        """Neither ended nor run out."""
        return not self.has_ended and now < min(self.begun + ABSOLUTE, self.seen + IDLE)


class Signed(NamedTuple):
    """What a phone has signed."""

    login: str
    frame: str
    decision: str
    issued_at: int
    #: The public key that comes along is the enrolled one.
    by_this_key: bool = True
