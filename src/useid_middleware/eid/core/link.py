"""The link that starts an eID client: of a stock one, or of one that knows the widget (the integrated mode).

::

    eid://127.0.0.1:24727/eID-Client?tcTokenURL=…
    eid://127.0.0.1:24727/eID-Client?tcTokenURL=…&widgetSessionId=…&server=…#widgetSessionSecret=…
    eid://127.0.0.1:24727/eID-Client?tcTokenURL=…&widgetSessionId=…&server=…#widgetPublicKey=…

Of the second and the third, the widget alone adds the fragment: no server ever sees the secret, nor has a word in
which key the client seals for. With the third the login is bound by WebAuthn as well.
"""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from ..._codec import DecodeError, is_b64url, un_b64url
from ...errors import RequestError
from .tctoken import CLIENT, LOOPBACK_CLIENT, client_url

SECRET_SIZE: Final = 32
PUBLIC_KEY_SIZE: Final = 32
_SECRET: Final = "widgetSessionSecret="
_PUBLIC_KEY: Final = "widgetPublicKey="
_MAX_LENGTH: Final = 2000
_STARTS: Final = (CLIENT, LOOPBACK_CLIENT, "http://localhost:24727/eID-Client")


@dataclass(frozen=True, slots=True)
class Widget:
    """The widget that waits: its session, its backend (origin and prefix), and what the refresh address is sealed with.

    That is either the secret that client and widget share, or the widget's public key (X25519).
    """

    session_id: str
    server: str
    secret: bytes = field(default=b"", repr=False)
    public_key: bytes = b""

    def __post_init__(self) -> None:
        """A widget has one of the two."""
        if bool(self.secret) is bool(self.public_key):
            raise ValueError("widget: expected a secret or a public key")


@dataclass(frozen=True, slots=True)
class ClientLink:
    """What an eID client is asked to do; without a ``widget`` as TR-03124-1 has it."""

    tc_token_url: str
    widget: Widget | None = None


def build_widget_link(*, tc_token_url: str, session_id: str, server: str) -> str:
    """The link for a client that knows the widget, without the fragment."""
    return f"{client_url(tc_token_url)}&widgetSessionId={session_id}&server={quote(server, safe='')}"


def parse_link(link: str) -> ClientLink:
    """What the link asks for; ``link_malformed`` for any other. Addresses are not judged here."""
    address, _, fragment = link.partition("#")
    start, _, query = address.partition("?")
    if len(link) > _MAX_LENGTH or start not in _STARTS:
        raise _malformed(f"a link that begins with {CLIENT} or {LOOPBACK_CLIENT}")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=10)
    except ValueError:
        raise _malformed("parameters") from None
    members = dict(pairs)
    if len(members) != len(pairs) or not members.get("tcTokenURL"):
        raise _malformed("tcTokenURL, once")
    if "widgetSessionId" not in members:
        if fragment:
            raise _malformed("no fragment without widgetSessionId")
        return ClientLink(members["tcTokenURL"])
    session_id, server = members["widgetSessionId"], members.get("server", "")
    if not is_b64url(session_id, 16):
        raise _malformed("widgetSessionId of 16 bytes of base64url")
    if not _is_web_address(server):
        raise _malformed("server as a web address")
    return ClientLink(members["tcTokenURL"], _read_fragment(fragment, session_id=session_id, server=server))


def _read_fragment(fragment: str, *, session_id: str, server: str) -> Widget:
    try:
        if fragment.startswith(_SECRET):
            return Widget(session_id, server, secret=un_b64url(fragment.removeprefix(_SECRET), SECRET_SIZE))
        if fragment.startswith(_PUBLIC_KEY):
            public_key = un_b64url(fragment.removeprefix(_PUBLIC_KEY), PUBLIC_KEY_SIZE)
            return Widget(session_id, server, public_key=public_key)
    except DecodeError:
        pass
    raise _malformed(f"in the fragment widgetSessionSecret or widgetPublicKey of {SECRET_SIZE} bytes of base64url")


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and bool(parts.hostname)


def _malformed(expected: str) -> RequestError:
    # Of what was found nothing is quoted: it may hold the secret.
    return RequestError("link_malformed", f"link: expected {expected}")
