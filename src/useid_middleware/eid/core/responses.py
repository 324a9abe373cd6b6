"""What an eID server answers (TR-03130-1 §3.2), built and read.

A refusal is an answer too: the response of the function with nothing but a Result.
"""

import re
from typing import Final, TypeAlias

from ..._xml import Element, XMLError, add, local_name, namespace, sequence, text
from ...errors import EIDServerError, UnavailableError
from .attributes import EIDResult, EIDType, Outcome, ServerInfo, UseIDSession, Wish
from .personal_data import add_personal_data, read_personal_data
from .results import MAJOR_ERROR, MAJOR_OK, Minor
from .schema_types import (
    add_operations,
    level_uri,
    only,
    read_boolean,
    read_integer,
    read_level,
    read_operations,
    read_session,
)
from .signing import VerifiedBody
from .soap import EID, RESULT, Function, Result, add_result, new_envelope, read_result

Response: TypeAlias = UseIDSession | EIDResult | ServerInfo

_USE_ID: Final = ("Session", "eCardServerAddress", "PSK", RESULT)
_GET_RESULT: Final = (
    "PersonalData",
    "FulfilsAgeVerification",
    "FulfilsPlaceVerification",
    "OperationsAllowedByUser",
    "TransactionAttestationResponse",
    "LevelOfAssuranceResult",
    "EIDTypeResponse",
    RESULT,
)
_GET_SERVER_INFO: Final = ("ServerVersion", "DocumentVerificationRights", RESULT)
_VERSION: Final = ("VersionString", "Major", "Minor", "Bugfix")
_NUMBERS: Final = re.compile(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?", re.ASCII).fullmatch
_PSK: Final = ("ID", "Key")


def build_response(response: Response) -> Element:
    """The envelope of an answer, without signature (TR-03130-1 §3.2).

    ``EIDServerError`` (``common#internalError``) for a text that XML cannot carry.
    """
    function = _function_of(response)
    envelope, element = new_envelope(f"{function.value}Response")
    try:
        match response:
            case UseIDSession():
                _add_session(element, response)
            case EIDResult():
                _add_eid_result(element, response)
            case ServerInfo():
                _add_server_info(element, response)
    except XMLError as error:
        raise EIDServerError(Minor.INTERNAL_ERROR, f"{function.value}: {error}") from None
    # The schema has no Result in getServerInfoResponse.
    if function is not Function.GET_SERVER_INFO:
        add_result(element, Result(MAJOR_OK))
    return envelope


def build_refusal(function: Function, error: EIDServerError) -> Element:
    """The envelope of an answer that refuses, without signature (TR-03130-1 §3.4)."""
    envelope, element = new_envelope(f"{function.value}Response")
    add_result(element, Result(MAJOR_ERROR, error.minor, error.message))
    return envelope


def parse_use_id_response(body: VerifiedBody) -> UseIDSession:
    """The session in a useIDResponse (TR-03130-1 §3.2.1.2).

    ``EIDServerError`` with the server's minor if it refused, ``UnavailableError`` for what cannot be believed. So do
    the other two.
    """
    try:
        found = _members(body, Function.USE_ID, *_USE_ID, required=("Session", "Result"))
        psk = sequence(found["PSK"], *_PSK, ns=EID, required=_PSK) if "PSK" in found else {}
        return UseIDSession(
            read_session(found["Session"]),
            text(found["eCardServerAddress"]) if "eCardServerAddress" in found else "",
            *(text(psk[name]) if psk else "" for name in _PSK),
        )
    except XMLError as error:
        raise _unbelievable(Function.USE_ID, error) from None


def parse_get_result_response(body: VerifiedBody) -> EIDResult:
    """The result in a getResultResponse (TR-03130-1 §3.2.2.2); errors as above."""
    try:
        required = ("PersonalData", "OperationsAllowedByUser", "Result")
        found = _members(body, Function.GET_RESULT, *_GET_RESULT, required=required)
        used = sequence(found["EIDTypeResponse"], *EIDType, ns=EID) if "EIDTypeResponse" in found else {}
        if used and (len(used) != 1 or any(text(each) != "USED" for each in used.values())):
            raise XMLError("EIDTypeResponse: expected one USED")
        age, place = (found.get(name) for name in ("FulfilsAgeVerification", "FulfilsPlaceVerification"))
        return EIDResult(
            read_personal_data(found["PersonalData"]),
            fulfils_age_verification=None if age is None else read_boolean(only(age, "FulfilsRequest")),
            fulfils_place_verification=None if place is None else read_boolean(only(place, "FulfilsRequest")),
            operations_allowed_by_user=read_operations(
                found["OperationsAllowedByUser"], Outcome, default=Outcome.PROHIBITED
            ),
            level_of_assurance=read_level(found["LevelOfAssuranceResult"]) if "LevelOfAssuranceResult" in found else "",
            eid_type=next(iter(used), ""),
        )
    except XMLError as error:
        raise _unbelievable(Function.GET_RESULT, error) from None


def parse_get_server_info_response(body: VerifiedBody) -> ServerInfo:
    """The version and the rights in a getServerInfoResponse (TR-03130-1 §3.2.3.2); errors as above."""
    try:
        required = ("ServerVersion", "DocumentVerificationRights")
        found = _members(body, Function.GET_SERVER_INFO, *_GET_SERVER_INFO, required=required)
        version = sequence(found["ServerVersion"], *_VERSION, ns=EID, required=_VERSION[:3])
        numbers = [read_integer(version[name]) for name in _VERSION[1:] if name in version]
        rights = read_operations(found["DocumentVerificationRights"], Wish, default=Wish.PROHIBITED)
        return ServerInfo(".".join(map(str, numbers)), rights)
    except XMLError as error:
        raise _unbelievable(Function.GET_SERVER_INFO, error) from None


def _members(body: VerifiedBody, function: Function, *names: str, required: tuple[str, ...]) -> dict[str, Element]:
    """The elements of an answer to this function; :class:`EIDServerError` if it is a refusal."""
    element = body.payload
    if namespace(element) != EID or local_name(element) != f"{function.value}Response":
        raise XMLError(f"Body: expected {function.value}Response")
    found = sequence(element, *names, ns=EID)
    result = read_result(found["Result"]) if "Result" in found else Result(MAJOR_OK)
    if result.major == MAJOR_ERROR:
        # The server's own words are for its operator: they could quote anything.
        minor = result.minor or Minor.INTERNAL_ERROR
        raise EIDServerError(minor, f"{function.value}: expected ok, found {minor.rpartition('/')[2]}")
    for name in required:
        if name not in found:
            raise XMLError(f"{name}: expected in {function.value}Response, found none")
    return found


def _add_session(element: Element, session: UseIDSession) -> None:
    add(add(element, "Session", ns=EID), "ID", session.id, ns=EID)
    if session.ecard_server_address:
        add(element, "eCardServerAddress", session.ecard_server_address, ns=EID)
    if session.psk_id:
        psk = add(element, "PSK", ns=EID)
        add(psk, "ID", session.psk_id, ns=EID)
        add(psk, "Key", session.psk, ns=EID)


def _add_eid_result(element: Element, result: EIDResult) -> None:
    add_personal_data(element, result.personal_data)
    for name, fulfilled in (
        ("FulfilsAgeVerification", result.fulfils_age_verification),
        ("FulfilsPlaceVerification", result.fulfils_place_verification),
    ):
        if fulfilled is not None:
            add(add(element, name, ns=EID), "FulfilsRequest", "true" if fulfilled else "false", ns=EID)
    add_operations(add(element, "OperationsAllowedByUser", ns=EID), result.operations_allowed_by_user)
    if result.level_of_assurance:
        add(element, "LevelOfAssuranceResult", level_uri(result.level_of_assurance), ns=EID)
    if result.eid_type:
        add(add(element, "EIDTypeResponse", ns=EID), result.eid_type, "USED", ns=EID)


def _add_server_info(element: Element, info: ServerInfo) -> None:
    version = add(element, "ServerVersion", ns=EID)
    add(version, "VersionString", info.version, ns=EID)
    numbers = _NUMBERS(info.version)
    if numbers is None:
        raise XMLError("ServerVersion: expected two or three numbers with dots between")
    for name, number in zip(_VERSION[1:], numbers.groups(), strict=True):
        if number is not None:
            add(version, name, number, ns=EID)
    allowed = {each: Wish.ALLOWED for each, wish in info.rights.items() if wish is not Wish.PROHIBITED}
    add_operations(add(element, "DocumentVerificationRights", ns=EID), allowed)


def _function_of(response: Response) -> Function:
    match response:
        case UseIDSession():
            return Function.USE_ID
        case EIDResult():
            return Function.GET_RESULT
        case ServerInfo():
            return Function.GET_SERVER_INFO


def _unbelievable(function: Function, error: XMLError) -> UnavailableError:
    return UnavailableError("eid_server_unavailable", f"{function.value}: {error}")
