"""The files of the emulated phone's page."""

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Final

from ...http.responses import HTML, Asset

PAGE: Final = "phone.html"
_SCRIPT: Final = b"text/javascript; charset=utf-8"

#: File name to media type: nothing else is served.
_ASSETS: Final[Mapping[str, bytes]] = {
    PAGE: HTML,
    "phone.css": b"text/css; charset=utf-8",
    "cards.css": b"text/css; charset=utf-8",
    "phone.js": _SCRIPT,
    "calls.js": _SCRIPT,
    "link.js": _SCRIPT,
    "screens.js": _SCRIPT,
    "pinpad.js": _SCRIPT,
    "texts.js": _SCRIPT,
    "rights.js": _SCRIPT,
}

#: The page talks to its own origin alone, and no string ever becomes code or markup.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


def find_asset(name: str, *, app_url: str = "") -> Asset | None:
    """The file ``name``; the empty name is the page itself. ``None`` for any other.

    The page loads its parts by relative address, so the path it is mounted under must end with a slash.
    """
    name = name or PAGE
    media_type = _ASSETS.get(name)
    if media_type is None:
        return None
    body = files(__package__).joinpath("static", name).read_bytes()
    headers = [
        (b"content-type", media_type),
        (b"cache-control", b"no-cache"),
        (b"x-content-type-options", b"nosniff"),
        # The address of the page may hold a tcTokenURL, and so may whatever is asked for from it.
        (b"referrer-policy", b"no-referrer"),
    ]
    if name == PAGE:
        body = body.replace(b"{{app-url}}", escape(app_url).encode())
        headers.append((b"content-security-policy", CONTENT_SECURITY_POLICY.encode()))
    return Asset(200, body, headers=[*headers, (b"content-length", b"%d" % len(body))])
