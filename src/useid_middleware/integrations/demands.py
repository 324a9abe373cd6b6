"""What the guards of all frameworks ask of a request that went through the plugin."""

from collections.abc import Mapping

from ..errors import AuthenticationError, ConfigurationError
from ..identity import Level
from ..sessions.auth import Credentials, login_required
from ..sessions.records import Session


def credentials_of(scope: Mapping[str, object]) -> Credentials:
    """What the request's session may do; :class:`~..errors.ConfigurationError` where no plugin is around the app."""
    credentials = scope.get("auth")
    if not isinstance(credentials, Credentials):
        raise ConfigurationError('scope["auth"]: expected UseIDMiddleware around this app, outside of its middlewares')
    return credentials


def session_of(scope: Mapping[str, object], *, level: Level | None = None) -> Session:
    """The session of whoever is logged in; ``login_required`` (401), or ``level_required`` (403) if it proves less."""
    session = credentials_of(scope).session
    if session is None:
        raise login_required()
    if level is not None and session.level < level:
        raise AuthenticationError("level_required", f"this call needs a session of level {level.name}")
    return session


def level_named(name: str) -> Level:
    """``L0`` … ``L3``; :class:`~..errors.ConfigurationError` for anything else, when the guard is made."""
    if name not in Level.__members__:
        raise ConfigurationError(f"level: expected one of {', '.join(Level.__members__)}, found {name!r}")
    return Level[name]
