"""The browser phone's files, for whoever serves them: an app of the demo mounts :func:`find_asset` under one path."""

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Final

from ...http.asgi import Headers

PAGE: Final = "phone.html"

#: File name to media type: nothing else is served.
_ASSETS: Final[Mapping[str, bytes]] = {
    PAGE: b"text/html; charset=utf-8",
    "phone.css": b"text/css; charset=utf-8",
    "phone.js": b"text/javascript; charset=utf-8",
    "screens.js": b"text/javascript; charset=utf-8",
    "protocol.js": b"text/javascript; charset=utf-8",
    "client.js": b"text/javascript; charset=utf-8",
    "keystore.js": b"text/javascript; charset=utf-8",
    "authenticator.js": b"text/javascript; charset=utf-8",
    "credentials.js": b"text/javascript; charset=utf-8",
    "binding.js": b"text/javascript; charset=utf-8",
    "hpke-seal.js": b"text/javascript; charset=utf-8",
    "nearby.js": b"text/javascript; charset=utf-8",
    # For the pages of the app: it stands between them and the phone.
    "hybrid.js": b"text/javascript; charset=utf-8",
    "texts.js": b"text/javascript; charset=utf-8",
}

#: The page talks to its own origin alone, and no string ever becomes code or markup.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
)


def find_asset(name: str, *, scheme: str = "tana", universal_link: str | None = None) -> tuple[int, Headers, bytes]:
    """Status, headers and body for the file ``name``; the empty name is the page itself. Unknown names give 404.

    ``scheme`` and ``universal_link`` say which links this phone answers to. The page loads its parts by relative
    address, so the path it is mounted under must end with a slash.
    """
    name = name or PAGE
    media_type = _ASSETS.get(name)
    if media_type is None:
        return 404, _headers(b"text/plain; charset=utf-8"), b"No such file.\n"
    body = files(__package__).joinpath("static", name).read_bytes()
    if name != PAGE:
        return 200, _headers(media_type), body
    for placeholder, value in (("{{scheme}}", scheme), ("{{universal-link}}", universal_link or "")):
        body = body.replace(placeholder.encode(), escape(value).encode())
    policy = (b"content-security-policy", CONTENT_SECURITY_POLICY.encode())
    return 200, [*_headers(media_type), policy], body


def _headers(media_type: bytes) -> Headers:
    return [
        (b"content-type", media_type),
        (b"cache-control", b"no-cache"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]
