"""The simple types of TR-03130-1's schema (§3.3), read and written; :class:`XMLError` for what is not of the type."""

import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Final, TypeVar

from ..._xml import Element, XMLError, add, local_name, sequence, text
from .attributes import Operation, Wish
from .soap import EID

_LEVEL: Final = "http://bsi.bund.de/eID/LoA/"
#: Levels of assurance by their short name; eIDAS calls the same three by names of its own.
_LEVELS: Final[Mapping[str, str]] = {
    **{_LEVEL + level: level for level in ("undefined", "normal", "substantiell", "hoch")},
    "http://eidas.europa.eu/LoA/low": "normal",
    "http://eidas.europa.eu/LoA/substantial": "substantiell",
    "http://eidas.europa.eu/LoA/high": "hoch",
}
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_INTEGER: Final = re.compile(r"[+-]?\d{1,10}", re.ASCII).fullmatch
_DATE: Final = re.compile(r"(\d{4}-\d\d-\d\d)(Z|[+-]\d\d:\d\d)?", re.ASCII).fullmatch
_HEX: Final = re.compile(r"([0-9a-fA-F]{2})*", re.ASCII).fullmatch
_MAX_INT: Final = 2**31 - 1
_MAX_SESSION_ID: Final = 1024
_E = TypeVar("_E", bound=StrEnum)


def only(element: Element, name: str) -> Element:
    """The one child, of this name."""
    return sequence(element, name, ns=EID, required=(name,))[name]


def read_string(element: Element) -> str:
    """An ``xs:string``, with its white space."""
    text(element)
    return element.text or ""


def read_integer(element: Element) -> int:
    """An ``xs:int``."""
    digits = text(element)
    if not _INTEGER(digits) or not -_MAX_INT - 1 <= int(digits) <= _MAX_INT:
        raise XMLError(f"{local_name(element)}: expected an integer")
    return int(digits)


def read_boolean(element: Element) -> bool:
    """An ``xs:boolean``."""
    value = _BOOLEANS.get(text(element))
    if value is None:
        raise XMLError(f"{local_name(element)}: expected true or false")
    return value


def read_date(element: Element) -> date:
    """An ``xs:date``; a time zone says nothing of a date on a card."""
    found = _DATE(text(element))
    try:
        return date.fromisoformat(found[1] if found else "")
    except ValueError:
        raise XMLError(f"{local_name(element)}: expected a date") from None


def read_hex(element: Element) -> bytes:
    """An ``xs:hexBinary``, of one byte or more."""
    digits = text(element)
    if not digits or not _HEX(digits):
        raise XMLError(f"{local_name(element)}: expected hexadecimal digits")
    return bytes.fromhex(digits)


def read_session(element: Element) -> str:
    """The identifier in a ``SessionType``, which means nothing to anybody but the server (§3.3.1)."""
    identifier = text(only(element, "ID"))
    if not 0 < len(identifier) <= _MAX_SESSION_ID:
        raise XMLError(f"ID: expected a session's identifier of at most {_MAX_SESSION_ID} characters")
    return identifier


def level_uri(level: str) -> str:
    """A level of assurance as messages have it (``LevelOfAssuranceType``), from its short name such as ``hoch``."""
    return _LEVEL + level


def read_level(element: Element) -> str:
    """A level of assurance, by its short name."""
    uri = text(element)
    if uri not in _LEVELS:
        raise XMLError(f"{local_name(element)}: expected a level of assurance")
    return _LEVELS[uri]


def add_operations(parent: Element, chosen: Mapping[Operation, StrEnum]) -> None:
    """All operations in the schema's order; those not chosen are prohibited (§3.3.6 to §3.3.8)."""
    for operation in Operation:
        add(parent, operation.value, chosen.get(operation, Wish.PROHIBITED).value, ns=EID)


def read_operations(element: Element, values: type[_E], *, default: _E) -> dict[Operation, _E]:
    """One of ``values`` for each operation that is named; an empty element is the schema's default."""
    chosen: dict[Operation, _E] = {}
    for name, each in sequence(element, *Operation, ns=EID).items():
        value = text(each) or default
        try:
            chosen[Operation(name)] = values(value)
        except ValueError:
            raise XMLError(f"{name}: expected one of {', '.join(values)}") from None
    return chosen
