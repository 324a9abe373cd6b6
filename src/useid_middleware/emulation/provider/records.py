"""What the provider remembers, in memory: it is a tool for development, and forgets everything when it ends."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClaimsRequest:
    """The ``claims`` parameter (OpenID Connect Core 1.0 §5.5): names by place, and the values that bind the login."""

    id_token: tuple[str, ...] = ()
    userinfo: tuple[str, ...] = ()
    subject: str = ""
    acr_values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """An authorization request that has been checked; only :func:`.authorization.read_request` makes one."""

    client_id: str
    redirect_uri: str
    response_type: str
    response_mode: str
    scopes: tuple[str, ...]
    state: str = ""
    nonce: str = ""
    prompts: tuple[str, ...] = ()
    max_age: int | None = None
    login_hint: str = ""
    hinted_subject: str = ""
    acr_values: tuple[str, ...] = ()
    ui_locales: str = ""
    claims: ClaimsRequest = ClaimsRequest()
    code_challenge: str = ""
    dpop_jkt: str = ""

    def returns(self, kind: str) -> bool:
        """Whether the response carries ``code``, ``token`` or ``id_token``."""
        return kind in self.response_type.split()


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody logged in at the provider, in one browser. ``browser_state`` is what the check-session iframe hashes."""

    id: str
    sid: str
    subject: str
    auth_time: int
    acr: str
    amr: tuple[str, ...]
    browser_state: str
    client_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Interaction:
    """An authorization request that waits for the person.

    ``login_at``: when they logged in for it, 0 for not yet. ``is_chosen``: they go on as who they are.
    """

    id: str
    request: AuthorizationRequest
    login_at: int = 0
    is_chosen: bool = False
    is_consented: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody allowed a client: the root of a family of tokens. ``subject`` empty: the client acts for itself."""

    id: str
    client_id: str
    subject: str
    scopes: tuple[str, ...]
    auth_time: int = 0
    acr: str = ""
    amr: tuple[str, ...] = ()
    sid: str = ""
    nonce: str = ""
    redirect_uri: str = ""
    code_challenge: str = ""
    claims: ClaimsRequest = ClaimsRequest()
    jkt: str = ""
    x5t: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code, kept after its use so that a second use is noticed (RFC 6749 §4.1.2)."""

    grant: Grant
    is_used: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """An access or refresh token. A rotated refresh token is kept as used, so that its reuse is noticed."""

    grant: Grant
    scopes: tuple[str, ...]
    issued_at: int
    expires_at: float
    is_used: bool = False


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A login on a device without a browser (RFC 8628). ``grant`` once allowed."""

    device_code: str
    user_code: str
    client_id: str
    scopes: tuple[str, ...]
    interval: int
    polled_at: float = 0.0
    grant: Grant | None = None
    is_denied: bool = False


@dataclass(slots=True)
class Shelf(Generic[T]):
    """Values by key, each for a time."""

    _values: dict[str, tuple[T, float]] = field(default_factory=dict)
    _sweep_at: int = 256

    def put(self, key: str, value: T, *, expires_at: float, now: float) -> None:
        """Keep ``value``. What has expired is dropped whenever the shelf has doubled."""
        if len(self._values) >= self._sweep_at:
            self._values = {name: entry for name, entry in self._values.items() if entry[1] > now}
            self._sweep_at = max(256, 2 * len(self._values))
        self._values[key] = (value, expires_at)

    def change(self, key: str, value: T) -> None:
        """Another value under a key that is there, for the same time."""
        self._values[key] = (value, self._values[key][1])

    def get(self, key: str, *, now: float) -> T | None:
        """The value, or ``None``."""
        found = self._values.get(key)
        return found[0] if found is not None and found[1] > now else None

    def take(self, key: str, *, now: float) -> T | None:
        """The value, once."""
        value = self.get(key, now=now)
        self._values.pop(key, None)
        return value

    def items(self, *, now: float) -> Iterator[tuple[str, T]]:
        """What has not expired."""
        yield from [(key, value) for key, (value, end) in self._values.items() if end > now]

    def values(self, *, now: float) -> Iterator[T]:
        """What has not expired, without the keys."""
        yield from [value for value, end in self._values.values() if end > now]


@dataclass(slots=True)
class Records:
    """Everything at once."""

    sessions: Shelf[Session] = field(default_factory=Shelf)
    interactions: Shelf[Interaction] = field(default_factory=Shelf)
    pushed: Shelf[tuple[str, dict[str, Any]]] = field(default_factory=Shelf)
    codes: Shelf[Code] = field(default_factory=Shelf)
    access_tokens: Shelf[Token] = field(default_factory=Shelf)
    refresh_tokens: Shelf[Token] = field(default_factory=Shelf)
    devices: Shelf[DeviceRequest] = field(default_factory=Shelf)
    used_ids: Shelf[bool] = field(default_factory=Shelf)
    #: Scopes that somebody allowed a client: by subject and client id.
    consents: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    def revoke(self, grant_id: str, *, now: float) -> None:
        """End a whole family: every access and refresh token that stems from one grant."""
        for shelf in (self.access_tokens, self.refresh_tokens):
            for key, token in shelf.items(now=now):
                if token.grant.id == grant_id:
                    shelf.take(key, now=now)

    def use_once(self, key: str, *, expires_at: float, now: float) -> bool:
        """Whether ``key`` (the id of an assertion or proof) was not seen before."""
        if self.used_ids.get(key, now=now):
            return False
        self.used_ids.put(key, True, expires_at=expires_at, now=now)
        return True
