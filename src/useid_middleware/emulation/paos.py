"""PAOS: the messages between eID client and eID server, in both directions (TR-03112-7 §2.6, §3.6; TR-03130-1).

A client asks by answering: each POST carries the response to what the server asked before, the first one StartPAOS.
Messages travel in SOAP 1.1, and headers of WS-Addressing tie each to the one before. Every message knows how to be
written and read; :func:`encode` and :func:`decode` add the envelope.

Bytes are hexadecimal digits on the wire. Elements that are not named here are passed over: the schema has more.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

from ..eid.core.results import ClientMinor
from .paos_eac import EAC1Input as EAC1Input
from .paos_eac import EAC1Output as EAC1Output
from .paos_eac import EAC2Input as EAC2Input
from .paos_eac import EAC2Output as EAC2Output
from .paos_eac import EACAdditionalInput as EACAdditionalInput
from .paos_eac import Input, Output, read_input, read_output, write_data
from .paos_elements import ADDRESSING, ISO, PAOS, Reading, Writing, read_envelope, write_envelope
from .paos_elements import MAX_SIZE as MAX_SIZE
from .paos_elements import PAOSError as PAOSError
from .paos_start import DIDList as DIDList
from .paos_start import DIDListResponse as DIDListResponse
from .paos_start import InitializeFramework as InitializeFramework
from .paos_start import InitializeFrameworkResponse as InitializeFrameworkResponse
from .paos_start import Result as Result
from .paos_start import StartPAOS as StartPAOS
from .paos_start import StartPAOSResponse as StartPAOSResponse
from .paos_start import read_connection, write_connection

CONTENT_TYPE: Final = "application/vnd.paos+xml"
#: The HTTP header ``PAOS`` of a client.
PAOS_HEADER: Final = f'ver="{PAOS}"'

_ROLE: Final = "http://www.projectliberty.org/2006/01/role/paos"
_REPLY_ROLE: Final = "http://www.projectliberty.org/2006/02/role/paos"
_SERVICE: Final = "http://www.bsi.bund.de/ecard/api/1.1/PAOS/GetNextCommand"
_NEXT: Final = "http://schemas.xmlsoap.org/soap/actor/next"


@dataclass(frozen=True, slots=True)
class DIDAuthenticate:
    """The server asks for a step of EAC with the password ``did_name``."""

    ns: ClassVar[str] = ISO
    slot_handle: str
    did_name: str
    data: Input
    context_handle: str = ""

    def write(self, to: Writing) -> None:
        write_connection(to, self.context_handle, self.slot_handle)
        to.text("DIDName", self.did_name)
        write_data(to, self.data)

    @classmethod
    def read(cls, of: Reading) -> "DIDAuthenticate":
        context_handle, slot_handle = read_connection(of)
        data = read_input(of.only("AuthenticationProtocolData"))
        return cls(slot_handle, of.text("DIDName"), data, context_handle)


@dataclass(frozen=True, slots=True)
class DIDAuthenticateResponse:
    """What came of it; ``data`` only if it went well."""

    ns: ClassVar[str] = ISO
    result: Result
    data: Output | None

    def write(self, to: Writing) -> None:
        self.result.write(to)
        if self.data is not None:
            write_data(to, self.data)

    @classmethod
    def read(cls, of: Reading) -> "DIDAuthenticateResponse":
        result = Result.read(of)
        # Clients send data of their choice along with an error, mostly an element without content.
        return cls(result, read_output(of.only("AuthenticationProtocolData")) if result.is_ok else None)


@dataclass(frozen=True, slots=True)
class InputAPDU:
    """A command for the card; ``acceptable`` are status words or their beginnings, all if there are none."""

    apdu: bytes
    acceptable: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Transmit:
    """Commands for the card, in secure messaging that the client cannot read."""

    ns: ClassVar[str] = ISO
    slot_handle: str
    apdus: tuple[InputAPDU, ...]

    def write(self, to: Writing) -> None:
        to.text("SlotHandle", self.slot_handle)
        for each in self.apdus:
            info = to.inside("InputAPDUInfo")
            info.hex("InputAPDU", each.apdu)
            for status in each.acceptable:
                # AusweisApp2 compares texts, and gives the card's status in small letters.
                info.text("AcceptableStatusCode", status.hex())

    @classmethod
    def read(cls, of: Reading) -> "Transmit":
        apdus = tuple(
            InputAPDU(each.hex("InputAPDU"), each.hexes("AcceptableStatusCode")) for each in of.all("InputAPDUInfo")
        )
        if not apdus:
            raise PAOSError("Transmit: expected InputAPDUInfo")
        return cls(of.text("SlotHandle"), apdus)


@dataclass(frozen=True, slots=True)
class TransmitResponse:
    """The card's answers, with an error those up to the one that was not acceptable."""

    ns: ClassVar[str] = ISO
    result: Result
    apdus: tuple[bytes, ...]

    def write(self, to: Writing) -> None:
        self.result.write(to)
        to.hexes("OutputAPDU", self.apdus)

    @classmethod
    def read(cls, of: Reading) -> "TransmitResponse":
        return cls(Result.read(of), of.hexes("OutputAPDU"))


Body: TypeAlias = (
    StartPAOS
    | StartPAOSResponse
    | InitializeFramework
    | InitializeFrameworkResponse
    | DIDList
    | DIDListResponse
    | DIDAuthenticate
    | DIDAuthenticateResponse
    | Transmit
    | TransmitResponse
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message with its name and that of the message it answers, empty for the first (WS-Addressing)."""

    message_id: str
    body: Body
    relates_to: str = ""


def encode(envelope: Envelope) -> bytes:
    """The message as bytes; ``PAOSError`` with ``internalError`` for text that XML cannot say."""
    header, body, written = write_envelope()
    paos = header.inside("PAOS", ns=PAOS, soap={"actor": _NEXT, "mustUnderstand": "1"})
    paos.text("Version", PAOS)
    endpoint = paos.inside("EndpointReference")
    endpoint.text("Address", _ROLE)
    endpoint.inside("MetaData").text("ServiceType", _SERVICE)
    header.inside("ReplyTo", ns=ADDRESSING).text("Address", _REPLY_ROLE)
    addressing = header.within(ADDRESSING)
    addressing.text("RelatesTo", envelope.relates_to or None)
    addressing.text("MessageID", envelope.message_id)
    message = envelope.body
    message.write(body.inside(type(message).__name__, ns=message.ns))
    return written()


def decode(data: bytes) -> Envelope:
    """The message in these bytes; ``PAOSError`` for anything else.

    Its minor is ``incorrectParameter`` for elements that are missing, come twice or say nothing of their kind,
    ``unknownAPIFunction`` for a message that is not known here, ``internalError`` for what is no envelope.
    """
    header, body = read_envelope(data)
    addressing = header.within(ADDRESSING)
    message_id, relates_to = addressing.text("MessageID"), addressing.optional_text("RelatesTo")
    found = body.elements()
    if len(found) != 1:
        raise PAOSError(f"Body: expected one message, found {len(found)}")
    (message,) = found
    kind = _MESSAGES.get(message.name)
    # A stock client gives its DIDListResponse no namespace.
    if kind is None or message.namespace not in (kind.ns, *(("",) if kind is DIDListResponse else ())):
        raise PAOSError("Body: expected a known message", minor=ClientMinor.UNKNOWN_API_FUNCTION)
    return Envelope(message_id, kind.read(message), relates_to)


_MESSAGES: Final[dict[str, type[Body]]] = {
    each.__name__: each
    for each in (
        StartPAOS,
        StartPAOSResponse,
        InitializeFramework,
        InitializeFrameworkResponse,
        DIDList,
        DIDListResponse,
        DIDAuthenticate,
        DIDAuthenticateResponse,
        Transmit,
        TransmitResponse,
    )
}
