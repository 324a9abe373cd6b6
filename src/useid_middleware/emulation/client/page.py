"""The files of the emulated phone's pages."""

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Final

from ...http.responses import HTML, Asset

PAGE: Final = "phone.html"
#: The window by which a browser nearby asks for a passkey. It has an address of its own, and no name among the files.
AUTHENTICATOR: Final = "authenticator.html"
_SCRIPT: Final = b"text/javascript; charset=utf-8"

#: File name to media type: nothing else is served.
_ASSETS: Final[Mapping[str, bytes]] = {
    "phone.css": b"text/css; charset=utf-8",
    "cards.css": b"text/css; charset=utf-8",
    "phone.js": _SCRIPT,
    "calls.js": _SCRIPT,
    "link.js": _SCRIPT,
    "screens.js": _SCRIPT,
    "pinpad.js": _SCRIPT,
    "texts.js": _SCRIPT,
    "rights.js": _SCRIPT,
    "authenticator.js": _SCRIPT,
    "authenticator-texts.js": _SCRIPT,
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
    if name in ("", PAGE):
        return find_page(PAGE, app_url=app_url)
    media_type = _ASSETS.get(name)
    return None if media_type is None else _asset(_read(name), media_type)


def find_page(name: str, *, app_url: str = "") -> Asset:
    """A page, with the policy that all of them have. Its parts are beside it."""
    body = _read(name).replace(b"{{app-url}}", escape(app_url).encode())
    return _asset(body, HTML, (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()))


def _read(name: str) -> bytes:
    return files(__package__).joinpath("static", name).read_bytes()


def _asset(body: bytes, media_type: bytes, *more: tuple[bytes, bytes]) -> Asset:
    headers = [
        (b"content-type", media_type),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-cache"),
        (b"x-content-type-options", b"nosniff"),
        # The address of the page may hold a tcTokenURL, and so may whatever is asked for from it.
        (b"referrer-policy", b"no-referrer"),
        *more,
    ]
    return Asset(200, body, headers=headers)
