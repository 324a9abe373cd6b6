"""What an eService sends to an eID server (TR-03130-1 §3.2), built and read.

Reading takes what was signed, and is as strict as the schema: order, number and namespace of each element.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ..._xml import Element, XMLError, add, child, local_name, namespace, sequence, text
from ...errors import EIDServerError
from .attributes import EIDType, UseIDRequest, Wish
from .results import Minor
from .schema_types import (
    add_operations,
    level_uri,
    only,
    read_integer,
    read_level,
    read_operations,
    read_session,
    read_string,
)
from .signing import VerifiedBody
from .soap import EID, Function, new_envelope

_USE_ID: Final = (
    "UseOperations",
    "AgeVerificationRequest",
    "PlaceVerificationRequest",
    "TransactionInfo",
    "TransactionAttestationRequest",
    "LevelOfAssuranceRequest",
    "EIDTypeRequest",
    "PSK",
)
_GET_RESULT: Final = ("Session", "RequestCounter")
_PSK: Final = ("ID", "Key")
_SELECTIONS: Final = ("ALLOWED", "DENIED")


@dataclass(frozen=True, slots=True)
class GetResultRequest:
    """A ``getResultRequest``."""

    session_id: str = field(repr=False)
    counter: int


@dataclass(frozen=True, slots=True)
class GetServerInfoRequest:
    """A ``getServerInfoRequest``, which has no parameters."""


Request: TypeAlias = UseIDRequest | GetResultRequest | GetServerInfoRequest


def build_request(request: Request) -> Element:
    """The envelope of a request, without signature (TR-03130-1 §3.2).

    ``EIDServerError`` (``common#schemaViolation``) for a text that XML cannot carry.
    """
    function = requested_function(request)
    envelope, element = new_envelope(f"{function.value}Request")
    try:
        match request:
            case UseIDRequest():
                _add_use_id(element, request)
            case GetResultRequest():
                add(add(element, "Session", ns=EID), "ID", request.session_id, ns=EID)
                add(element, "RequestCounter", str(request.counter), ns=EID)
            case GetServerInfoRequest():
                pass
    except XMLError as error:
        raise EIDServerError(Minor.SCHEMA_VIOLATION, f"{function.value}: {error}") from None
    return envelope


def parse_request(body: VerifiedBody) -> Request:
    """The request in a signed message (TR-03130-1 §3.2); ``EIDServerError`` for anything else.

    That is ``common#schemaViolation``, but for a PSK without key (``useID#invalidPSK``) and for an attestation of
    transactions, which no server of ours gives (``common#internalError``).
    """
    element = body.payload
    name = local_name(element)
    try:
        if namespace(element) != EID or name not in _READERS:
            raise XMLError("Body: expected a request to an eID server")
        return _READERS[name](element)
    except XMLError as error:
        raise EIDServerError(Minor.SCHEMA_VIOLATION, str(error)) from None


def requested_function(request: Request) -> Function:
    """The function that a request calls."""
    return _FUNCTIONS[type(request)]


def called_function(body: VerifiedBody) -> Function | None:
    """Which function a signed message calls, also where it does so wrongly; ``None`` for none that there is."""
    name = local_name(body.payload)
    return next((each for each in Function if name == f"{each.value}Request"), None)


def concerned_session(body: VerifiedBody) -> str:
    """The session that a signed message is about, also where it breaks the schema otherwise; empty for none."""
    try:
        session = child(body.payload, "Session", ns=EID)
        return "" if session is None else read_session(session)
    except XMLError:
        return ""


def _add_use_id(element: Element, request: UseIDRequest) -> None:
    add_operations(add(element, "UseOperations", ns=EID), request.operations)
    if request.age is not None:
        add(add(element, "AgeVerificationRequest", ns=EID), "Age", str(request.age), ns=EID)
    if request.community_id:
        add(add(element, "PlaceVerificationRequest", ns=EID), "CommunityID", request.community_id, ns=EID)
    if request.transaction_info:
        add(element, "TransactionInfo", request.transaction_info, ns=EID)
    if request.level_of_assurance:
        add(element, "LevelOfAssuranceRequest", level_uri(request.level_of_assurance), ns=EID)
    if request.eid_types:
        types = add(element, "EIDTypeRequest", ns=EID)
        for each in EIDType:
            if each in request.eid_types:
                add(types, each.value, request.eid_types[each], ns=EID)
    if request.psk or request.psk_id:
        psk = add(element, "PSK", ns=EID)
        add(psk, "ID", request.psk_id, ns=EID)
        add(psk, "Key", request.psk, ns=EID)


def _read_use_id(element: Element) -> UseIDRequest:
    found = sequence(element, *_USE_ID, ns=EID, required=("UseOperations",))
    if "TransactionAttestationRequest" in found:
        raise EIDServerError(
            Minor.INTERNAL_ERROR, "useID: TransactionAttestationRequest: expected none, found what is not offered"
        )
    psk_id, psk = _read_psk(found["PSK"]) if "PSK" in found else ("", "")
    place = found.get("PlaceVerificationRequest")
    return UseIDRequest(
        read_operations(found["UseOperations"], Wish, default=Wish.PROHIBITED),
        age=_read_age(found["AgeVerificationRequest"]) if "AgeVerificationRequest" in found else None,
        community_id=text(only(place, "CommunityID")) if place is not None else "",
        transaction_info=read_string(found["TransactionInfo"]) if "TransactionInfo" in found else "",
        level_of_assurance=read_level(found["LevelOfAssuranceRequest"]) if "LevelOfAssuranceRequest" in found else "",
        eid_types=_read_types(found["EIDTypeRequest"]) if "EIDTypeRequest" in found else {},
        psk_id=psk_id,
        psk=psk,
    )


def _read_age(element: Element) -> int:
    age = read_integer(only(element, "Age"))
    if age < 0:
        raise XMLError("Age: expected a number of years")
    return age


def _read_psk(element: Element) -> tuple[str, str]:
    """Identifier and key as they stand there; what is wrong with them is not the schema's to say."""
    found = sequence(element, *_PSK, ns=EID, required=_PSK)
    psk_id, psk = (text(found[name]) for name in _PSK)
    if not psk:
        raise EIDServerError(Minor.INVALID_PSK, "useID: PSK: expected a key, found none")
    return psk_id, psk


def _read_types(element: Element) -> Mapping[EIDType, str]:
    selected = {EIDType(name): text(each) for name, each in sequence(element, *EIDType, ns=EID).items()}
    if not {*selected.values()} <= {*_SELECTIONS}:
        raise XMLError(f"EIDTypeRequest: expected {' or '.join(_SELECTIONS)}")
    return selected


def _read_get_result(element: Element) -> GetResultRequest:
    found = sequence(element, *_GET_RESULT, ns=EID, required=_GET_RESULT)
    return GetResultRequest(read_session(found["Session"]), read_integer(found["RequestCounter"]))


def _read_get_server_info(element: Element) -> GetServerInfoRequest:
    sequence(element, ns=EID)
    return GetServerInfoRequest()


_READERS: Final[Mapping[str, Callable[[Element], Request]]] = {
    "useIDRequest": _read_use_id,
    "getResultRequest": _read_get_result,
    "getServerInfoRequest": _read_get_server_info,
}
_FUNCTIONS: Final[Mapping[type, Function]] = {
    UseIDRequest: Function.USE_ID,
    GetResultRequest: Function.GET_RESULT,
    GetServerInfoRequest: Function.GET_SERVER_INFO,
}
