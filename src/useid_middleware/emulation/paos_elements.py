"""The elements that PAOS messages are made of: read strictly, with the minor for what is wrong, and written."""

import re
from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Final

from .._xml import Element, XMLError, child, children, local_name, namespace, parse_xml, text
from ..eid.core.results import ClientMinor
from ..errors import UseIDError

SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
ADDRESSING: Final = "http://www.w3.org/2005/03/addressing"
PAOS: Final = "urn:liberty:paos:2006-08"
ISO: Final = "urn:iso:std:iso-iec:24727:tech:schema"
ECARD: Final = "http://www.bsi.bund.de/ecard/api/1.1"
DSS: Final = "urn:oasis:names:tc:dss:1.0:core:schema"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
#: Outside of the production Char (XML 1.0 §2.2).
_UNSPEAKABLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]").search
_MAX_DIGITS: Final = 6

#: Larger than any message: certificates, EF.CardSecurity or the content of all data groups, in hexadecimal digits.
MAX_SIZE: Final = 256 * 1024

_PREFIXES: Final = {"soap": SOAP, "wsa": ADDRESSING, "paos": PAOS, "iso": ISO, "ecard": ECARD, "dss": DSS, "xsi": XSI}
_TYPE: Final = f"{{{XSI}}}type"


class PAOSError(UseIDError):
    """What was received is no message of this dialogue. ``minor`` is what the other party is told (TR-03112-1)."""

    status_hint = 400

    def __init__(self, message: str, *, minor: ClientMinor = ClientMinor.INCORRECT_PARAMETER) -> None:
        super().__init__("paos_invalid", message, details={"minor": minor})
        self.minor = minor


class Reading:
    """An element whose children are read by name, in the element's namespace unless another is given.

    Children that nobody asks for are passed over; one that is asked for must not come twice. What is missing or no
    value of its kind is a ``PAOSError`` that names it and quotes nothing.
    """

    def __init__(self, element: Element, ns: str | None = None) -> None:
        self._element = element
        self.name = local_name(element)
        self.namespace = namespace(element) if ns is None else ns

    @property
    def type_name(self) -> str:
        """The type that ``xsi:type`` names, whatever its prefix; empty without one."""
        return self.attribute(_TYPE).rpartition(":")[2]

    def attribute(self, name: str) -> str:
        """An attribute without surrounding white space, empty if there is none."""
        return (self._element.get(name) or "").strip()

    def within(self, ns: str) -> "Reading":
        """The same element, its children read in another namespace."""
        return Reading(self._element, ns)

    def optional(self, name: str, *, ns: str | None = None) -> "Reading | None":
        """The child of this name."""
        try:
            found = child(self._element, name, ns=self.namespace if ns is None else ns)
        except XMLError as error:
            raise PAOSError(f"{self.name}: {error}") from None
        return None if found is None else Reading(found)

    def only(self, name: str, *, ns: str | None = None) -> "Reading":
        """The child of this name, which must be there."""
        found = self.optional(name, ns=ns)
        if found is None:
            raise PAOSError(f"{self.name}: expected {name}")
        return found

    def all(self, name: str) -> "list[Reading]":
        """The children of this name, in their order."""
        return [Reading(each) for each in children(self._element, name, ns=self.namespace)]

    def elements(self) -> "list[Reading]":
        """All children."""
        return [Reading(each) for each in self._element.iterchildren("*")]

    def value(self) -> str:
        """The text; an element with children is refused."""
        try:
            return text(self._element)
        except XMLError as error:
            raise PAOSError(str(error)) from None

    def hex_value(self) -> bytes:
        """The bytes that the text gives in hexadecimal digits of any case."""
        try:
            return bytes.fromhex(self.value())
        except ValueError:
            raise PAOSError(f"{self.name}: expected pairs of hexadecimal digits") from None

    def number_value(self) -> int:
        """The natural number that the text gives."""
        digits = self.value()
        if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
            raise PAOSError(f"{self.name}: expected a number of at most {_MAX_DIGITS} digits")
        return int(digits)

    def text(self, name: str) -> str:
        """The text of a child that must be there."""
        return self.only(name).value()

    def optional_text(self, name: str) -> str:
        """The text of a child, empty if there is none."""
        found = self.optional(name)
        return "" if found is None else found.value()

    def number(self, name: str) -> int:
        """The number in a child that must be there."""
        return self.only(name).number_value()

    def optional_number(self, name: str) -> int:
        """The number in a child, 0 if there is none."""
        found = self.optional(name)
        return 0 if found is None else found.number_value()

    def hex(self, name: str) -> bytes:
        """The bytes in a child that must be there."""
        return self.only(name).hex_value()

    def optional_hex(self, name: str) -> bytes | None:
        """The bytes in a child; ``None`` if there is none."""
        found = self.optional(name)
        return None if found is None else found.hex_value()

    def hexes(self, name: str) -> tuple[bytes, ...]:
        """The bytes in each child of this name."""
        return tuple(each.hex_value() for each in self.all(name))


class Writing:
    """An element that gets children, in its own namespace unless another is given. ``None`` leaves a child out.

    Texts are escaped where they are written; the whole is put together at the end.
    """

    def __init__(self, tag: str, ns: str, attributes: str = "") -> None:
        self._tag = tag
        self._ns = ns
        self._attributes = attributes
        self._content: list[str | Writing] = []

    def within(self, ns: str) -> "Writing":
        """The same element, its children written in another namespace."""
        other = Writing(self._tag, ns, self._attributes)
        other._content = self._content
        return other

    def inside(
        self,
        name: str,
        *,
        ns: str | None = None,
        type_name: str = "",
        soap: Mapping[str, str] | None = None,
        **attributes: str,
    ) -> "Writing":
        """A new child with elements of its own. ``soap`` are attributes of SOAP, ``type_name`` is ``xsi:type``."""
        chosen = self._ns if ns is None else ns
        found = {**attributes, **{f"soap:{each}": value for each, value in (soap or {}).items()}}
        if type_name:
            found["xsi:type"] = type_name
        element = Writing(_prefixed(name, chosen), chosen, _written(found))
        self._content.append(element)
        return element

    def text(self, name: str, value: str | None, *, lang: str = "") -> None:
        """A child with this text; ``PAOSError`` for characters that XML cannot say."""
        if value is None:
            return
        if _UNSPEAKABLE(value):
            raise PAOSError(f"{name}: expected text that XML can say", minor=ClientMinor.INTERNAL_ERROR)
        tag = _prefixed(name, self._ns)
        attributes = _written({"xml:lang": lang}) if lang else ""
        # Who reads a bare carriage return takes it for a line feed (XML 1.0 §2.11).
        content = escape(value, quote=False).replace("\r", "&#13;")
        self._content.append(f"<{tag}{attributes}>{content}</{tag}>")

    def hex(self, name: str, value: bytes | None) -> None:
        """A child with these bytes in hexadecimal digits."""
        self.text(name, None if value is None else value.hex().upper())

    def hexes(self, name: str, values: Iterable[bytes]) -> None:
        """A child for each of the values."""
        for each in values:
            self.hex(name, each)

    def __str__(self) -> str:
        content = "".join(map(str, self._content))
        opening = f"<{self._tag}{self._attributes}"
        return f"{opening}>{content}</{self._tag}>" if content else f"{opening}/>"


def write_envelope() -> tuple[Writing, Writing, Callable[[], bytes]]:
    """A SOAP 1.1 envelope: its header and its body to write in, and how to get the bytes afterwards."""
    envelope = Writing("soap:Envelope", SOAP, _NAMESPACES)
    return envelope.inside("Header"), envelope.inside("Body"), lambda: f"{_DECLARATION}{envelope}".encode()


def read_envelope(data: bytes) -> tuple[Reading, Reading]:
    """Header and body of a SOAP 1.1 envelope; ``PAOSError`` with ``internalError`` for what is none."""
    try:
        envelope = Reading(parse_xml(data, max_size=MAX_SIZE))
    except XMLError as error:
        raise PAOSError(str(error), minor=ClientMinor.INTERNAL_ERROR) from None
    if (envelope.namespace, envelope.name) != (SOAP, "Envelope"):
        raise PAOSError("expected a SOAP 1.1 envelope", minor=ClientMinor.INTERNAL_ERROR)
    return envelope.only("Header"), envelope.only("Body")


def _prefixed(name: str, ns: str) -> str:
    return f"{_PREFIX_OF[ns]}:{name}"


def _written(attributes: Mapping[str, str]) -> str:
    return "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())


_PREFIX_OF: Final = {uri: prefix for prefix, uri in _PREFIXES.items()}
_NAMESPACES: Final = _written({f"xmlns:{prefix}": uri for prefix, uri in _PREFIXES.items()})
