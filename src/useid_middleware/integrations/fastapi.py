"""FastAPI: a dependency that is the logged-in user, and that OpenAPI shows.

``user: Annotated[User, Security(logged_in)]``, or ``Security(logged_in, scopes=["L2"])`` to demand a level.
"""

from fastapi import HTTPException
from fastapi.openapi.models import APIKey, APIKeyIn
from fastapi.requests import HTTPConnection
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase

from ..errors import AuthenticationError
from ..sessions.auth import User as User
from ..sessions.cookie import SESSION_COOKIE
from .demands import level_named, session_of

_DESCRIPTION = "The login session. Over plain http, in development, the cookie is called without `__Host-`."


class LoggedIn(SecurityBase):
    """The dependency. ``scheme_name`` is what OpenAPI calls it."""

    def __init__(self, *, scheme_name: str = "useid", description: str = _DESCRIPTION) -> None:
        cookie = SESSION_COOKIE.name(secure=True)
        self.model = APIKey.model_validate({"in": APIKeyIn.cookie, "name": cookie, "description": description})
        self.scheme_name = scheme_name

    async def __call__(self, request: HTTPConnection, wanted: SecurityScopes) -> User:
        """The user. 401 for nobody; 403 where a scope is a level that the session has not reached.

        The body is ``{"detail": {"code": …, "message": …}}``.
        """
        level = max(map(level_named, wanted.scopes), default=None)
        try:
            return User(session_of(request.scope, level=level))
        except AuthenticationError as error:
            detail = {"code": error.code, "message": error.message}
            raise HTTPException(error.status_hint, detail) from None


#: The one that most apps need.
logged_in = LoggedIn()
