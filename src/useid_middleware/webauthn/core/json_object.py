"""JSON as a browser or a service writes it: one object, each member once."""

from json import JSONDecoder
from typing import Any, Final

_BOM: Final = b"\xef\xbb\xbf"
_WHITESPACE: Final = " \t\n\r"


class JSONRefused(ValueError):
    """The bytes are not such an object; the message quotes nothing of them."""


def read_object(document: bytes) -> dict[str, Any]:
    """The object in UTF-8, or :class:`JSONRefused`; a byte order mark is stripped, as WebAuthn §7.1 step 5 asks.

    Duplicate members are refused, since two parsers could see two documents; so are NaN and infinities.
    """
    try:
        text = document.removeprefix(_BOM).decode().strip(_WHITESPACE)
        value, end = _decode(text)
    except (ValueError, RecursionError):
        raise JSONRefused("expected one JSON object in UTF-8, each member once") from None
    if end != len(text):
        raise JSONRefused("expected one JSON object in UTF-8, each member once")
    if type(value) is not dict:
        raise JSONRefused("expected a JSON object")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JSONRefused("expected each member once")
    return members


def _constant(name: str) -> float:
    raise JSONRefused("expected numbers, not NaN or an infinity")


_decode: Final = JSONDecoder(object_pairs_hook=_members, parse_constant=_constant).raw_decode
