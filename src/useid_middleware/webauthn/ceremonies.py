"""Ceremonies under way: kept for one browser or session, and taken once."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from hmac import compare_digest
from typing import Any, Final

from .._codec import Record, RecordType, b64url, is_b64url
from ..errors import RequestError
from ..stores.base import Store
from ..stores.limits import Places
from ..waiting.browser import browser_hash
from .core.extensions import AuthenticationExtensions
from .core.options import AuthenticationState, RegistrationState, UserVerification

ID_SIZE: Final = 16


class Purpose(StrEnum):
    """What a ceremony is for."""

    REGISTER = "register"
    LOGIN = "login"
    STEP_UP = "step-up"


class Ceremony(Record, frozen=True):
    """A ceremony under way; ``bound`` is the SHA-256 of the secret of the browser or session that began it."""

    purpose: Purpose
    bound: bytes
    account_id: str = ""
    registration: RegistrationState | None = None
    authentication: AuthenticationState | None = None

    @property
    def began_at(self) -> float:
        """Unix seconds."""
        state = self.registration or self.authentication
        assert state is not None
        return state.created_at


@dataclass(frozen=True, slots=True)
class Begun:
    """A ceremony's id, and the options for the browser."""

    id: str
    options: dict[str, Any]


_ceremonies: Final = RecordType(Ceremony)
#: What an unknown ceremony is treated like, so that time does not tell it from somebody else's.
_decoy: Final = _ceremonies.encode(
    Ceremony(
        Purpose.LOGIN,
        bytes(32),
        authentication=AuthenticationState(
            challenge=bytes(32),
            rp_id="app.example",
            created_at=0.0,
            expires_at=0.0,
            allowed=(),
            user_handle=b"",
            user_verification=UserVerification.REQUIRED,
            extensions=AuthenticationExtensions(),
        ),
    )
)


class Ceremonies:
    """The ceremonies of one plugin; each must be finished within ``lifetime`` seconds."""

    def __init__(self, *, store: Store, lifetime: float, places: Places, random_bytes: Callable[[int], bytes]) -> None:
        self._store = store
        self._lifetime = lifetime
        self._places = places
        self._random_bytes = random_bytes

    async def keep(self, ceremony: Ceremony, options: dict[str, Any]) -> Begun:
        """What the browser is told of a ceremony that is kept from now on. Its place has been taken."""
        ceremony_id = b64url(self._random_bytes(ID_SIZE))
        await self._store.put(_key(ceremony_id), _ceremonies.encode(ceremony), ttl=self._lifetime)
        return Begun(ceremony_id, options)

    async def take(self, ceremony_id: str, purpose: Purpose, *, secret: str, account_id: str = "") -> Ceremony:
        """The ceremony, once: whatever comes of it, its challenge is used up. One answer for all that is not so."""
        bound = browser_hash(secret)
        found = await self._store.get(_key(ceremony_id)) if is_b64url(ceremony_id, ID_SIZE) else None
        ceremony = _ceremonies.decode(_decoy if found is None else found.value)
        if found is None:
            raise _ceremony_unknown()
        if ceremony.purpose is not purpose or not compare_digest(ceremony.bound, bound):
            # Not this browser's: it must not use up another one's challenge either.
            raise _ceremony_unknown()
        if await self._store.take(_key(ceremony_id)) is None:
            raise _ceremony_unknown()
        await self._places.give_back(ceremony.began_at)
        if ceremony.account_id != account_id:
            raise _ceremony_unknown()
        return ceremony


def _ceremony_unknown() -> RequestError:
    """One answer for a ceremony that is unknown, over, or somebody else's."""
    return RequestError("ceremony_unknown", "ceremonyId: expected one that this browser has begun", status_hint=404)


def _key(ceremony_id: str) -> str:
    return f"webauthn:{ceremony_id}"
