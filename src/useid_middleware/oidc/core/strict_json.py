"""JSON as a peer must send it (RFC 8259, RFC 7493): one object, each member once, nothing we could not pass on."""

import re
from json import JSONDecoder
from typing import Any, Final

#: Of an answer that is read whole.
MAX_ANSWER: Final = 256 * 1024
#: Digits of a number that every format we keep claims in can hold.
_MAX_DIGITS: Final = 19
_MAX_DEPTH: Final = 32
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]").search


class JSONRefused(ValueError):
    """The text is not such an object. The message quotes nothing of it."""


def read_object(document: bytes) -> dict[str, Any]:
    """The object in UTF-8 without a byte order mark, or :class:`JSONRefused`. Bound the size first.

    Refused as well: duplicate members (two parsers could see two documents), NaN, infinities and numbers of more than
    19 digits, nesting deeper than 32, half surrogate pairs.
    """
    try:
        text = document.decode()
        value = _decode(text)
        if type(value) is not dict:
            raise JSONRefused("expected a JSON object")
        if text.count("{") + text.count("[") > _MAX_DEPTH:
            _check_depth(value, _MAX_DEPTH)
        if "\\u" in text and _SURROGATE(text):
            _check_text(value)
    except (ValueError, RecursionError):
        # The library's own messages quote the text.
        raise JSONRefused("expected one JSON object in UTF-8, each member once, numbers within 64 bits") from None
    return value


def read_answer(media_type: str, body: bytes) -> dict[str, Any] | None:
    """The object in an answer of a JSON type (RFC 6839 included) and a sensible size; ``None`` for others."""
    kind = media_type.partition(";")[0].strip().lower()
    if len(body) > MAX_ANSWER or not (kind == "application/json" or kind.endswith("+json")):
        return None
    try:
        return read_object(body)
    except JSONRefused:
        return None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JSONRefused("expected each member once")
    return members


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise JSONRefused("expected numbers within 64 bits")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise JSONRefused("expected finite numbers")
    return number


def _constant(name: str) -> float:
    raise JSONRefused("expected numbers, not NaN or an infinity")


def _check_depth(value: Any, left: int) -> None:
    if isinstance(value, dict | list):
        if left == 0:
            raise JSONRefused("expected less nesting")
        for each in value.values() if isinstance(value, dict) else value:
            _check_depth(each, left - 1)


def _check_text(value: Any) -> None:
    """Raise ``UnicodeEncodeError`` for half a surrogate pair: it is no character, and no store takes it."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict):
        for name, each in value.items():
            name.encode()
            _check_text(each)
    elif isinstance(value, list):
        for each in value:
            _check_text(each)


_decode: Final = JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_number, parse_constant=_constant
).decode
