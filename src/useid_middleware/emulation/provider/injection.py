"""How a fault gets into the provider: it is data, a small change to one value at one named stage."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Generic, TypeAlias, TypeVar

from ...errors import ConfigurationError
from ...http.asgi import Headers
from .keys import Keys, Unsigned

T = TypeVar("T")

Document: TypeAlias = dict[str, Any]
Pairs: TypeAlias = list[tuple[str, str]]


class Pace(Enum):
    """How an answer travels: at once, one byte after the other without end, or never."""

    WHOLE = "whole"
    DRIPPING = "dripping"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer about to be sent."""

    status: int
    headers: Headers
    body: bytes
    pace: Pace = Pace.WHOLE


@dataclass(frozen=True, slots=True)
class Setting:
    """What a change may know of the moment it is made in. ``number`` is what stood behind the fault's name."""

    issuer: str
    client_id: str
    now: int
    keys: Keys
    signing_algorithm: str
    new_id: Callable[[], str]
    path: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Stage(Generic[T]):
    """A place in the provider where a value of one type passes by."""

    name: str


NOW: Final[Stage[float]] = Stage("the provider's clock")
DISCOVERY: Final[Stage[Document]] = Stage("the provider's metadata")
JWKS: Final[Stage[Document]] = Stage("the JWK Set")
TOKEN_RESPONSE: Final[Stage[Document]] = Stage("the token endpoint's JSON")
USERINFO: Final[Stage[Document]] = Stage("the userinfo claims")
ID_TOKEN: Final[Stage[Unsigned]] = Stage("any ID token")
REFRESHED_ID_TOKEN: Final[Stage[Unsigned]] = Stage("the ID token of a refresh")
USERINFO_TOKEN: Final[Stage[Unsigned]] = Stage("a signed userinfo answer")
JARM: Final[Stage[Unsigned]] = Stage("a signed authorization response")
LOGOUT_TOKEN: Final[Stage[Unsigned]] = Stage("a logout token")
CALLBACK: Final[Stage[Pairs]] = Stage("the parameters of the authorization response")
POST_LOGOUT: Final[Stage[Pairs]] = Stage("the parameters of the return after a logout")
FRONTCHANNEL: Final[Stage[Pairs]] = Stage("the parameters of a front-channel logout")
USERINFO_NONCE: Final[Stage[bool]] = Stage("whether userinfo demands a DPoP nonce")
ANSWERS: Final[Mapping[str, Stage[Answer]]] = {
    endpoint: Stage(f"the answer of {endpoint}") for endpoint in ("discovery", "jwks", "token", "userinfo")
}


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """What happens to the value at one stage."""

    stage: Stage[T]
    alter: Callable[[T, Setting], T]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to be wrong (or unusual): ``about`` is for people, ``takes_number`` allows ``name:number``."""

    about: str
    changes: tuple[Change[Any], ...]
    takes_number: bool = False


@dataclass(slots=True)
class Faults:
    """The faults in force, out of a table of all there are."""

    table: Mapping[str, Fault]
    _active: dict[str, int] = field(default_factory=dict)

    @property
    def active(self) -> tuple[str, ...]:
        """The faults in force, spelled as :meth:`inject` takes them."""
        return tuple(
            f"{name}:{number}" if self.table[name].takes_number else name for name, number in self._active.items()
        )

    def inject(self, *names: str) -> None:
        """Put faults in force: ``name``, or ``name:number`` where the fault takes one. They add up."""
        for spelled in names:
            name, _, number = spelled.partition(":")
            fault = self.table.get(name)
            if fault is None:
                raise ConfigurationError(f"inject: no fault is called {name[:60]!r}; useid provider --list shows all")
            if bool(number) != fault.takes_number or (number and not number.removeprefix("-").isdigit()):
                form = f"{name}:NUMBER" if fault.takes_number else name
                raise ConfigurationError(f"inject: expected {form}")
            self._active[name] = int(number or 0)

    def clear(self) -> None:
        """Be correct again."""
        self._active = {}

    def numbers(self, stage: Stage[Any]) -> list[tuple[Callable[[Any, Setting], Any], int]]:
        """The changes in force at ``stage``, each with its fault's number."""
        return [
            (change.alter, number)
            for name, number in self._active.items()
            for change in self.table[name].changes
            if change.stage is stage
        ]
