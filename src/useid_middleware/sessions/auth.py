"""``scope["user"]`` and ``scope["auth"]`` in Starlette's sense: ``request.user``, ``request.auth``, ``@requires``."""

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.authentication import AuthCredentials, BaseUser

from ..errors import AuthenticationError
from ..http.asgi import Scope
from ..identity import Level
from .records import Session


class User(BaseUser):
    """The logged-in user of a request."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def is_authenticated(self) -> bool:
        """Always true; an anonymous request has :class:`AnonymousUser`."""
        return True

    @property
    def display_name(self) -> str:
        """The account's name for people."""
        return self._session.username

    @property
    def identity(self) -> str:
        """The account's id."""
        return self._session.account_id


class AnonymousUser(BaseUser):
    """Nobody."""

    @property
    def is_authenticated(self) -> bool:
        """Always false."""
        return False

    @property
    def display_name(self) -> str:
        """Empty."""
        return ""

    @property
    def identity(self) -> str:
        """Empty."""
        return ""


#: By level: being logged in, and every level up to it.
_SCOPES: Final[Mapping[Level, Sequence[str]]] = {
    reached: ("authenticated", *(level.name for level in Level if level <= reached)) for reached in Level
}


class Credentials(AuthCredentials):
    """What the session may do and how it came about.

    ``scopes`` hold ``authenticated`` and every level reached (``L0`` … ``L3``), so ``@requires("L1")`` demands
    assurance.
    """

    def __init__(self, session: Session | None) -> None:
        super().__init__(_SCOPES[session.level] if session is not None else ())
        self.session = session

    @property
    def acr(self) -> str:
        """``L0`` … ``L3``; empty without a session."""
        return self.session.level.name if self.session else ""

    @property
    def amr(self) -> Sequence[str]:
        """Authentication methods (RFC 8176)."""
        return self.session.amr if self.session else ()

    @property
    def auth_time(self) -> float | None:
        """Unix seconds of the authentication."""
        return self.session.auth_time if self.session else None


def current_session(scope: Scope) -> Session | None:
    """The login session of a request that went through the plugin."""
    credentials = scope.get("auth")
    return credentials.session if isinstance(credentials, Credentials) else None


def required_session(scope: Scope) -> Session:
    """The same, or ``login_required``."""
    session = current_session(scope)
    if session is None:
        raise AuthenticationError("login_required", "this call needs a logged-in user", status_hint=401)
    return session
