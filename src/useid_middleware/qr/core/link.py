"""The links that QR codes carry: building them, and parsing them as a phone does before it shows anything."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from ..._codec import DecodeError, un_b64url
from ...errors import ConfigurationError, RequestError
from ...settings import is_loopback

MAX_LINK: Final = 300
#: Bytes that a version 10 QR code holds at error correction level M (ISO/IEC 18004, table 7).
QR_CAPACITY: Final = 213
#: What the widget adds to the link of a login that is to be bound: its public key, which no server sees.
_FRAGMENT: Final = "#key="
_KEY_SIZE: Final = 32
#: Characters of it.
KEY_ROOM: Final = len(_FRAGMENT) + 43


class LinkType(StrEnum):
    """What a link asks the phone to do; the host part of the URL, or ``type`` in a universal link."""

    AUTH = "auth"
    ENROL = "enrol"


#: What may stand in a server's address; no character of it means anything to a terminal, a page or a URL parser.
_SERVER: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~-]+)*").fullmatch


@dataclass(frozen=True, slots=True)
class Link:
    """A parsed link. ``id`` and ``challenge`` are raw bytes; ``frame`` is empty when the QR does not rotate.

    ``widget_key`` is what the phone seals the login's end to (X25519); empty when the link has none.
    """

    type: LinkType
    id: bytes
    challenge: bytes
    server: str
    frame: bytes = b""
    widget_key: bytes = b""


_ID_NAME: Final = {LinkType.AUTH: "session", LinkType.ENROL: "enrolment"}


def build_link(
    link_type: LinkType,
    *,
    id: str,
    challenge: str,
    server: str,
    frame: str = "",
    scheme: str,
    universal_link: str | None,
) -> str:
    """The link's text; ids, challenge and frame are in their base64url spelling. The widget's key is the widget's."""
    query = f"{_ID_NAME[link_type]}={id}&challenge={challenge}&server={_escape(server)}"
    if frame:
        query += f"&frame={frame}"
    if universal_link is not None:
        return f"{universal_link}?type={link_type.value}&{query}"
    return f"{scheme}://{link_type.value}?{query}"


@lru_cache(maxsize=16)  # It is mostly one server.
def _escape(server: str) -> str:
    return quote(server, safe="")


def check_link_fits(*, server: str, scheme: str, universal_link: str | None, with_key: bool = False) -> None:
    """Refuse addresses so long that the QR code of a login would not fit version 10-M.

    ``with_key`` leaves room for the key that the widget adds.
    """
    link = build_link(
        LinkType.AUTH,
        id="x" * 22,
        challenge="x" * 43,
        server=server,
        frame="x" * 11,
        scheme=scheme,
        universal_link=universal_link,
    )
    size = len(link) + (KEY_ROOM if with_key else 0)
    if size > QR_CAPACITY:
        raise ConfigurationError(
            f"origin, prefix, qr.scheme and qr.universal_link make a QR code of {size} characters;"
            f" {QR_CAPACITY} is all it holds: shorten them by {size - QR_CAPACITY}"
        )


def parse_link(text: str, *, scheme: str, universal_link: str | None = None) -> Link:
    """The link, checked as the reference says, or ``link_refused``. Trust in ``server`` is the caller's to judge."""
    if len(text) > MAX_LINK or not text.isascii() or not text.isprintable() or " " in text:
        raise _refused(f"expected at most {MAX_LINK} printable ASCII characters without spaces")
    text, mark, fragment = text.partition("#")
    try:
        parts = urlsplit(text)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise _refused("expected a URL with a query") from None
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise _refused("expected each parameter once")
    base = text.partition("?")[0]
    if universal_link is not None and base == universal_link:
        type_name = parameters.pop("type", "")
    elif parts.scheme == scheme and parts.path == "" and base == f"{scheme}://{parts.netloc}":
        type_name = parts.netloc
    else:
        raise _refused("expected the scheme of this app")
    if type_name not in ("auth", "enrol"):
        raise _refused("expected type auth or enrol")
    link_type = LinkType(type_name)
    expected = {_ID_NAME[link_type], "challenge", "server"}
    allowed = expected | {"frame"} if link_type is LinkType.AUTH else expected
    if not expected <= parameters.keys() <= allowed:
        raise _refused("expected the parameters of the reference and no others")
    if mark and link_type is not LinkType.AUTH:
        raise _refused("expected no fragment")
    try:
        return Link(
            type=link_type,
            id=un_b64url(parameters[_ID_NAME[link_type]], 16),
            challenge=un_b64url(parameters["challenge"], 32),
            server=_check_server(parameters["server"]),
            frame=un_b64url(parameters["frame"], 8) if "frame" in parameters else b"",
            widget_key=_read_key(mark + fragment) if mark else b"",
        )
    except DecodeError:
        raise _refused("expected base64url ids of the right length") from None


def _read_key(fragment: str) -> bytes:
    if not fragment.startswith(_FRAGMENT):
        raise _refused("fragment: expected the widget's key and nothing else")
    return un_b64url(fragment.removeprefix(_FRAGMENT), _KEY_SIZE)


def _check_server(server: str) -> str:
    try:
        parts = urlsplit(server)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _refused("server: expected an https address") from None
    if not _SERVER(server) or not host or port == 0:
        raise _refused("server: expected an https address without userinfo, query, fragment and escapes")
    if parts.scheme == "http" and not is_loopback(host):
        raise _refused("server: expected https; http is for loopback hosts alone")
    return server


def _refused(message: str) -> RequestError:
    return RequestError("link_refused", message)
