"""The cookie that binds what a browser waits for to this browser."""

from hashlib import sha256
from typing import Final

from .._codec import is_b64url
from ..errors import AuthenticationError
from ..http.cookies import Cookie
from ..http.requests import Request

#: Kept after a confirmed login to recognise the browser.
BROWSER_COOKIE: Final = Cookie("useid-browser")
#: In frames of other sites' pages, where browsers block all cookies but those that are kept apart for each such site.
FRAME_COOKIE: Final = Cookie("useid-frame", partitioned=True)
SECRET_SIZE: Final = 32


def browser_secret(request: Request, cookie: Cookie = BROWSER_COOKIE) -> str | None:
    """The secret that the browser holds, if it holds one of ours."""
    value = cookie.read(request.raw_headers, secure=request.secure)
    return value if value is not None and is_b64url(value, SECRET_SIZE) else None


def required_browser_secret(request: Request, cookie: Cookie = BROWSER_COOKIE) -> str:
    """The same, or ``browser_cookie_missing``."""
    secret = browser_secret(request, cookie)
    if secret is None:
        raise browser_cookie_missing()
    return secret


def browser_secrets(request: Request) -> tuple[str, ...]:
    """All that the browser holds of ours: of this site, and of frames in other sites' pages."""
    held = (browser_secret(request, cookie) for cookie in (BROWSER_COOKIE, FRAME_COOKIE))
    return tuple(secret for secret in held if secret is not None)


def browser_cookie_missing() -> AuthenticationError:
    """The error for a browser that did not begin anything."""
    message = "cookie: expected the one that was set when this login began"
    return AuthenticationError("browser_cookie_missing", message, status_hint=401)


def browser_hash(secret: str) -> bytes:
    """What is kept of the secret."""
    return sha256(secret.encode()).digest()
