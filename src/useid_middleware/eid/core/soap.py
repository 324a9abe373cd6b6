"""The envelope of TR-03130-1 §3: SOAP 1.1, three functions, and the Result of an answer."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ..._xml import Element, XMLError, add, new_element, sequence, text
from .results import MAJOR_ERROR, MAJOR_OK

SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
EID: Final = "http://bsi.bund.de/eID/"
DSS: Final = "urn:oasis:names:tc:dss:1.0:core:schema"
WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
DS: Final = "http://www.w3.org/2000/09/xmldsig#"
#: Result as it stands in an answer of the eID namespace.
RESULT: Final = f"{{{DSS}}}Result"

CONTENT_TYPE: Final = "text/xml;charset=utf-8"
#: No message of the interface comes near it; what is larger is not read.
MAX_MESSAGE: Final = 256 * 1024

_PREFIXES: Final = {"soapenv": SOAP, "eid": EID, "dss": DSS, "wsse": WSSE, "wsu": WSU, "ds": DS}
_MAX_MINOR: Final = 200
_LANGUAGE: Final = "{http://www.w3.org/XML/1998/namespace}lang"


class Function(StrEnum):
    """What an eService can call (TR-03130-1 §3.2)."""

    USE_ID = "useID"
    GET_RESULT = "getResult"
    GET_SERVER_INFO = "getServerInfo"

    @property
    def action(self) -> str:
        """The value of the header ``SOAPAction``, in its quotes."""
        return f'"{EID}{self.value}"'

    @classmethod
    def of_action(cls, action: str) -> "Function | None":
        """The function that a ``SOAPAction`` names, with or without quotes; ``None`` for another."""
        return next((each for each in cls if action.strip().strip('"') == f"{EID}{each.value}"), None)


@dataclass(frozen=True, slots=True)
class Result:
    """``dss:Result``. ``message`` is for people, and is not part of what is decided on."""

    major: str
    minor: str = ""
    message: str = ""


def new_envelope(name: str) -> tuple[Element, Element]:
    """An envelope with an empty header, and the element of this name in its body."""
    envelope = new_element("Envelope", ns=SOAP, prefixes=_PREFIXES)
    add(envelope, "Header", ns=SOAP)
    return envelope, add(add(envelope, "Body", ns=SOAP), name, ns=EID)


def add_result(parent: Element, result: Result) -> None:
    """Append a ``dss:Result``."""
    element = add(parent, "Result", ns=DSS)
    add(element, "ResultMajor", result.major, ns=DSS)
    if result.minor:
        add(element, "ResultMinor", result.minor, ns=DSS)
    if result.message:
        # The language is not optional in OASIS DSS.
        add(element, "ResultMessage", result.message, ns=DSS).set(_LANGUAGE, "en")


def read_result(element: Element) -> Result:
    """A ``dss:Result``; :class:`XMLError` for one with another major than ok and error."""
    names = ("ResultMajor", "ResultMinor", "ResultMessage")
    found = sequence(element, *names, ns=DSS, required=("ResultMajor",))
    major, minor, message = (text(found[name]) if name in found else "" for name in names)
    if major not in (MAJOR_OK, MAJOR_ERROR):
        raise XMLError("ResultMajor: expected ok or error")
    if len(minor) > _MAX_MINOR or not minor.isascii() or not minor.isprintable():
        raise XMLError(f"ResultMinor: expected a URI of at most {_MAX_MINOR} characters")
    return Result(major, minor, message)
