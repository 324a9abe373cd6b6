"""``scope["user"]`` and ``scope["auth"]`` in Starlette's sense: ``request.user``, ``request.auth``, ``@requires``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from starlette.authentication import AuthCredentials, BaseUser

from ..errors import AuthenticationError, NotAuthenticated
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


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token to call APIs with: ``kind`` is ``Bearer`` or ``DPoP``; ``key`` a private JWK for the latter's proofs."""

    value: str = field(repr=False)
    kind: str = "Bearer"
    key: bytes = field(default=b"", repr=False)


class TokenSource(Protocol):
    """Whoever keeps and renews the tokens of sessions."""

    async def access(self, session: Session, token: str, *, refused: str = "") -> AccessToken:
        """The session's access token, renewed where it is due or is the one that was ``refused``."""
        ...


class AttributeSource(Protocol):
    """Whoever keeps what a login told about its person."""

    async def attributes(self, session: Session, token: str) -> Mapping[str, object]:
        """What the session still keeps, by the names of the standard."""
        ...


class Credentials(AuthCredentials):
    """What the session may do and how it came about.

    ``scopes`` hold ``authenticated`` and every level reached (``L0`` … ``L3``), so ``@requires("L1")`` demands
    assurance.
    """

    def __init__(
        self,
        session: Session | None,
        *,
        token: str = "",
        source: TokenSource | None = None,
        kept: AttributeSource | None = None,
    ) -> None:
        super().__init__(_SCOPES[session.level] if session is not None else ())
        self.session = session
        #: The cookie's secret. It opens what the session keeps sealed.
        self.session_token = token
        self._source = source
        self._kept = kept

    @property
    def acr(self) -> str:
        """``L0`` … ``L3``, with ``-emulated`` behind it where an emulated card logged in; empty without a session."""
        return self.session.acr if self.session else ""

    @property
    def amr(self) -> Sequence[str]:
        """Authentication methods (RFC 8176)."""
        return self.session.amr if self.session else ()

    @property
    def auth_time(self) -> float | None:
        """Unix seconds of the authentication."""
        return self.session.auth_time if self.session else None

    @property
    def roles(self) -> Sequence[str]:
        """What the login gave the user to be, as the provider or a listener said."""
        return self.session.roles if self.session else ()

    async def attributes(self) -> Mapping[str, object]:
        """What an eID login told and the settings let the session keep (``GivenNames`` …); else empty."""
        if self.session is None or self._kept is None:
            return {}
        return await self._kept.attributes(self.session, self.session_token)

    async def access_token(self) -> str:
        """A valid access token of the session's provider; raises :class:`~..errors.NotAuthenticated` without one."""
        return (await self.token()).value

    async def token(self, *, refused: str = "") -> AccessToken:
        """The same with what belongs to it; a token that an API ``refused`` is renewed."""
        if self.session is None or self._source is None:
            raise NotAuthenticated("not_authenticated", "this session has no access token")
        return await self._source.access(self.session, self.session_token, refused=refused)


def current_session(scope: Scope) -> Session | None:
    """The login session of a request that went through the plugin."""
    credentials = scope.get("auth")
    return credentials.session if isinstance(credentials, Credentials) else None


def session_token(scope: Scope) -> str:
    """The secret of the request's session, which opens what it keeps sealed; empty without a session."""
    credentials = scope.get("auth")
    return credentials.session_token if isinstance(credentials, Credentials) else ""


def required_session(scope: Scope) -> Session:
    """The same, or ``login_required``."""
    session = current_session(scope)
    if session is None:
        raise login_required()
    return session


def login_required() -> AuthenticationError:
    """The error for those who should log in first."""
    return AuthenticationError("login_required", "this call needs a logged-in user", status_hint=401)
