"""Starlette's own way to a user on each request: SessionMiddleware and AuthenticationMiddleware around a bare app."""

import json
from base64 import b64encode
from secrets import token_hex

from itsdangerous import TimestampSigner
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp


class _SessionUser(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        name = conn.session.get("user")
        return None if name is None else (AuthCredentials(["authenticated"]), SimpleUser(name))


def authenticated(app: ASGIApp) -> tuple[ASGIApp, str]:
    """``app`` behind both middlewares, and the cookie of a logged-in user."""
    secret = token_hex(32)
    cookie = TimestampSigner(secret).sign(b64encode(json.dumps({"user": "alice"}).encode())).decode()
    wrapped = SessionMiddleware(AuthenticationMiddleware(app, backend=_SessionUser()), secret_key=secret)
    return wrapped, f"session={cookie}"
