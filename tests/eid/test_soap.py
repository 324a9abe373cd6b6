"""The messages of TR-03130-1: as the schema says, in both directions, and strict about everything."""

from collections.abc import Callable
from datetime import date
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Final

import pytest
from lxml import etree

from tests.eid.signers import NOW, copy_of, ec_key, new_signer, one
from useid_middleware._xml import Element, serialize
from useid_middleware.eid.core.attributes import (
    EIDResult,
    EIDType,
    GeneralDate,
    Operation,
    Outcome,
    PersonalData,
    Place,
    RestrictedID,
    ServerInfo,
    UseIDRequest,
    UseIDSession,
    Wish,
)
from useid_middleware.eid.core.requests import (
    GetResultRequest,
    GetServerInfoRequest,
    Request,
    build_request,
    called_function,
    concerned_session,
    parse_request,
    requested_function,
)
from useid_middleware.eid.core.responses import (
    Response,
    build_refusal,
    build_response,
    parse_get_result_response,
    parse_get_server_info_response,
    parse_use_id_response,
)
from useid_middleware.eid.core.results import MAJOR_OK, Minor
from useid_middleware.eid.core.signing import VerifiedBody, verify_envelope
from useid_middleware.eid.core.soap import DSS, EID, SOAP, Function
from useid_middleware.errors import EIDServerError, UnavailableError

SIGNER: Final = new_signer(ec_key())
SESSION: Final = "1234567890abcdef1234567890abcdef"
PSK: Final = "fedcba0987654321fedcba0987654321"

WHOLE_REQUEST: Final = UseIDRequest(
    dict.fromkeys(Operation, Wish.REQUIRED) | {Operation.ARTISTIC_NAME: Wish.ALLOWED},
    age=18,
    community_id="02760503150000",
    transaction_info=" Konto eröffnen: <Nr. 1 & 2>\nweiter ",
    level_of_assurance="hoch",
    eid_types={EIDType.SE_CERTIFIED: "ALLOWED", EIDType.HW_KEY_STORE: "DENIED"},
    psk_id="0987654321abcdef1234567890abcdef",
    psk=PSK,
)
REQUESTS: Final[list[Request]] = [
    WHOLE_REQUEST,
    UseIDRequest({Operation.RESTRICTED_ID: Wish.REQUIRED}),
    UseIDRequest({}),
    GetResultRequest(SESSION, 1),
    GetResultRequest(SESSION, 2**31 - 1),
    GetServerInfoRequest(),
]
DATA: Final = PersonalData(
    document_type="ID",
    issuing_state="D",
    date_of_expiry=date(2029, 10, 31),
    given_names="ERIKA",
    family_names="MUSTERMANN",
    artistic_name="O'Nym",
    academic_title="Dr.",
    date_of_birth=GeneralDate("19640812", date(1964, 8, 12)),
    place_of_birth=Place(freetext="BERLIN"),
    nationality="D",
    birth_name="GABLER",
    place_of_residence=Place(street="HEIDESTRASSE 17", city="KÖLN", state="NW", country="D", zip_code="51147"),
    community_id="02760503150000",
    residence_permit_i="AUFENTHALTSERLAUBNIS",
    restricted_id=RestrictedID(bytes(range(32)), bytes(range(32, 64))),
)
WHOLE_RESULT: Final = EIDResult(
    DATA,
    fulfils_age_verification=True,
    fulfils_place_verification=False,
    operations_allowed_by_user=dict.fromkeys(Operation, Outcome.ALLOWED)
    | {Operation.ACADEMIC_TITLE: Outcome.NOT_ON_CHIP, Operation.ARTISTIC_NAME: Outcome.PROHIBITED},
    level_of_assurance="hoch",
    eid_type="CardCertified",
)
SPARE_RESULT: Final = EIDResult(
    PersonalData(
        date_of_birth=GeneralDate("1964    "),
        place_of_birth=Place(no_place_info="unknown"),
        place_of_residence=Place(city="KÖLN", country="D"),
        restricted_id=RestrictedID(b"\x01"),
    ),
    operations_allowed_by_user=dict.fromkeys(Operation, Outcome.PROHIBITED),
)
OPENED: Final = UseIDSession(SESSION, "https://eid.example/paos?a=1&b=2", "0987654321abcdef1234567890abcdef", PSK)
INFO: Final = ServerInfo(
    "2.4.0", {each: Wish.PROHIBITED if each is Operation.BIRTH_NAME else Wish.ALLOWED for each in Operation}
)
RESPONSES: Final[list[Response]] = [OPENED, UseIDSession(SESSION), WHOLE_RESULT, SPARE_RESULT, INFO]
PARSERS: Final[dict[Function, Callable[[VerifiedBody], Response]]] = {
    Function.USE_ID: parse_use_id_response,
    Function.GET_RESULT: parse_get_result_response,
    Function.GET_SERVER_INFO: parse_get_server_info_response,
}


@lru_cache
def schema() -> etree.XMLSchema:
    """The schema that comes with the package."""
    with as_file(files("useid_middleware.eid") / "schema") as folder:
        return etree.XMLSchema(file=str(folder / "eid.xsd"))


def payload_of(envelope: Element) -> Element:
    """What is in the body, alone."""
    return etree.fromstring(etree.tostring(one(envelope, "s:Body")[0]))


def problems(envelope: Element) -> list[str]:
    """What the schema finds wrong with what is in the body."""
    schema().validate(payload_of(envelope))
    return [str(each.message) for each in schema().error_log]


def signed(envelope: Element) -> VerifiedBody:
    """The body of the envelope, once it is signed and verified."""
    return verify_envelope(SIGNER.sign(envelope), expected_certificates=[SIGNER.certificate], now=NOW)


def function_of(response: Response) -> Function:
    return {UseIDSession: Function.USE_ID, EIDResult: Function.GET_RESULT, ServerInfo: Function.GET_SERVER_INFO}[
        type(response)
    ]


def read(response: Response, *changes: Callable[[Element], object]) -> Response:
    """What our side reads in this answer of a server, after changes."""
    envelope = build_response(response)
    for change in changes:
        change(envelope)
    return PARSERS[function_of(response)](signed(envelope))


def violated(request: Request, *changes: Callable[[Element], object]) -> str:
    """Why the server's side finds that a request breaks the schema; the schema agrees."""
    envelope = build_request(request)
    for change in changes:
        change(envelope)
    with pytest.raises(EIDServerError) as caught:
        parse_request(signed(envelope))
    assert caught.value.minor == Minor.SCHEMA_VIOLATION
    assert problems(envelope)
    return caught.value.message


def disbelieved(response: Response, *changes: Callable[[Element], object]) -> str:
    """Why our side does not believe an answer; the schema agrees."""
    with pytest.raises(UnavailableError) as caught:
        read(response, *changes)
    assert caught.value.code == "eid_server_unavailable"
    assert not caught.value.retry_is_safe
    envelope = build_response(response)
    for change in changes:
        change(envelope)
    assert problems(envelope)
    return caught.value.message


# changes


def say(path: str, content: str) -> Callable[[Element], None]:
    """Another text in the one element at this path."""

    def change(envelope: Element) -> None:
        one(envelope, f".//{path}").text = content

    return change


def drop(path: str) -> Callable[[Element], None]:
    """Without the one element at this path."""

    def change(envelope: Element) -> None:
        element = one(envelope, f".//{path}")
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)

    return change


def double(path: str) -> Callable[[Element], None]:
    """The one element at this path twice."""

    def change(envelope: Element) -> None:
        element = one(envelope, f".//{path}")
        element.addnext(copy_of(element))

    return change


def rename(path: str, name: str) -> Callable[[Element], None]:
    """Another name, in Clark notation, for the one element at this path."""

    def change(envelope: Element) -> None:
        one(envelope, f".//{path}").tag = name

    return change


def append(path: str, name: str) -> Callable[[Element], None]:
    """A new last child, of this name in Clark notation, in the one element at this path."""

    def change(envelope: Element) -> None:
        etree.SubElement(one(envelope, f".//{path}"), name)

    return change


def last_first(path: str) -> Callable[[Element], None]:
    """The last child of the one element at this path becomes the first."""

    def change(envelope: Element) -> None:
        element = one(envelope, f".//{path}")
        element.insert(0, element[-1])

    return change


# the schema, both ways


@pytest.mark.parametrize("request_", REQUESTS, ids=repr)
def test_each_request_is_as_the_schema_says(request_: Request) -> None:
    assert problems(build_request(request_)) == []


@pytest.mark.parametrize("request_", REQUESTS, ids=repr)
def test_each_request_is_read_as_it_was_built(request_: Request) -> None:
    expected = request_
    if isinstance(request_, UseIDRequest):
        operations = {each: request_.operations.get(each, Wish.PROHIBITED) for each in Operation}
        expected = UseIDRequest(
            operations,
            age=request_.age,
            community_id=request_.community_id,
            transaction_info=request_.transaction_info,
            level_of_assurance=request_.level_of_assurance,
            eid_types=request_.eid_types,
            psk_id=request_.psk_id,
            psk=request_.psk,
        )
    body = signed(build_request(request_))
    assert parse_request(body) == expected
    assert called_function(body) is requested_function(request_)


@pytest.mark.parametrize("response", RESPONSES, ids=lambda each: type(each).__name__)
def test_each_answer_is_as_the_schema_says(response: Response) -> None:
    assert problems(build_response(response)) == []


@pytest.mark.parametrize("response", RESPONSES, ids=lambda each: type(each).__name__)
def test_each_answer_is_read_as_it_was_built(response: Response) -> None:
    assert read(response) == response


@pytest.mark.parametrize("function", Function)
@pytest.mark.parametrize("minor", Minor)
def test_each_refusal_is_as_the_schema_says_and_is_raised_on_our_side(function: Function, minor: Minor) -> None:
    envelope = build_refusal(function, EIDServerError(minor, "step: expected this, found that"))
    assert problems(envelope) == []
    with pytest.raises(EIDServerError) as caught:
        PARSERS[function](signed(envelope))
    assert caught.value.minor == minor
    assert caught.value.message == f"{function}: expected ok, found {minor.rpartition('/')[2]}"


def test_a_refusal_says_in_english_what_was_wrong() -> None:
    envelope = build_refusal(Function.USE_ID, EIDServerError(Minor.INVALID_PSK, "PSK: expected more"))
    message = one(envelope, ".//dss:ResultMessage")
    assert message.text == "PSK: expected more"
    assert message.get("{http://www.w3.org/XML/1998/namespace}lang") == "en"


def test_the_schema_is_one_that_refuses() -> None:
    envelope = build_request(GetResultRequest(SESSION, 1))
    append("eid:getResultRequest", "{urn:x}Other")(envelope)
    assert problems(envelope)


# as others write it


def test_the_example_of_the_guideline_is_read() -> None:
    """TR-03130-1 §3.6.1: empty elements stand for the default, and white space surrounds addresses."""
    envelope = build_request(WHOLE_REQUEST)
    say("eid:LevelOfAssuranceRequest", "\n  http://bsi.bund.de/eID/LoA/hoch\n ")(envelope)
    for name in ("CommunityID", "ResidencePermitI"):
        one(envelope, f".//eid:UseOperations/eid:{name}").text = None
    request = parse_request(signed(envelope))
    assert isinstance(request, UseIDRequest)
    assert request.level_of_assurance == "hoch"
    assert request.operations[Operation.COMMUNITY_ID] is Wish.PROHIBITED
    assert request.operations[Operation.RESTRICTED_ID] is Wish.REQUIRED


def test_operations_may_be_left_out() -> None:
    request = parse_request(signed(_changed(build_request(WHOLE_REQUEST), drop("eid:UseOperations/eid:GivenNames"))))
    assert isinstance(request, UseIDRequest)
    assert Operation.GIVEN_NAMES not in request.operations
    assert request.operations[Operation.FAMILY_NAMES] is Wish.REQUIRED


@pytest.mark.parametrize(
    ("uri", "level"),
    [
        ("http://eidas.europa.eu/LoA/low", "normal"),
        ("http://eidas.europa.eu/LoA/substantial", "substantiell"),
        ("http://eidas.europa.eu/LoA/high", "hoch"),
        ("http://bsi.bund.de/eID/LoA/undefined", "undefined"),
    ],
)
def test_levels_of_assurance_have_two_spellings(uri: str, level: str) -> None:
    result = read(WHOLE_RESULT, say("eid:LevelOfAssuranceResult", uri))
    assert isinstance(result, EIDResult)
    assert result.level_of_assurance == level


@pytest.mark.parametrize(("said", "meant"), [("1", True), ("true", True), ("0", False), (" false ", False)])
def test_booleans_have_two_spellings(said: str, meant: bool) -> None:
    result = read(WHOLE_RESULT, say("eid:FulfilsAgeVerification/eid:FulfilsRequest", said))
    assert isinstance(result, EIDResult)
    assert result.fulfils_age_verification is meant


@pytest.mark.parametrize("said", ["2029-10-31Z", "2029-10-31+01:00", " 2029-10-31\n"])
def test_a_date_may_have_a_time_zone(said: str) -> None:
    result = read(WHOLE_RESULT, say("eid:PersonalData/eid:DateOfExpiry", said))
    assert isinstance(result, EIDResult)
    assert result.personal_data.date_of_expiry == date(2029, 10, 31)


def test_hexadecimal_digits_are_read_in_both_cases() -> None:
    result = read(WHOLE_RESULT, say("eid:RestrictedID/eid:ID", "aBcD"))
    assert isinstance(result, EIDResult)
    assert result.personal_data.restricted_id == RestrictedID(b"\xab\xcd", bytes(range(32, 64)))


@pytest.mark.parametrize(("counter", "number"), [("+7", 7), ("007", 7), ("-1", -1), (" 1 ", 1)])
def test_integers_have_many_spellings(counter: str, number: int) -> None:
    body = signed(_changed(build_request(GetResultRequest(SESSION, 1)), say("eid:RequestCounter", counter)))
    assert parse_request(body) == GetResultRequest(SESSION, number)


def test_a_refusal_may_have_a_session_too() -> None:
    envelope = build_response(OPENED)
    say("dss:ResultMajor", "http://www.bsi.bund.de/ecard/api/1.1/resultmajor#error")(envelope)
    etree.SubElement(one(envelope, ".//dss:Result"), f"{{{DSS}}}ResultMinor").text = Minor.TOO_MANY_OPEN_SESSIONS
    with pytest.raises(EIDServerError) as caught:
        parse_use_id_response(signed(envelope))
    assert caught.value.minor == Minor.TOO_MANY_OPEN_SESSIONS


def test_a_refusal_without_reason_is_an_internal_error() -> None:
    envelope = build_refusal(Function.GET_RESULT, EIDServerError(Minor.NO_RESULT_YET, ""))
    drop("dss:ResultMinor")(envelope)
    with pytest.raises(EIDServerError) as caught:
        parse_get_result_response(signed(envelope))
    assert caught.value.minor == Minor.INTERNAL_ERROR


def test_a_server_s_own_words_are_not_repeated() -> None:
    envelope = build_refusal(Function.GET_RESULT, EIDServerError(Minor.INVALID_DOCUMENT, "of ERIKA MUSTERMANN"))
    with pytest.raises(EIDServerError) as caught:
        parse_get_result_response(signed(envelope))
    assert "ERIKA" not in str(caught.value)


# requests that break the schema


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (drop("eid:UseOperations"), "UseOperations: expected in useIDRequest, found none"),
        (double("eid:UseOperations"), "UseOperations: expected once, found twice"),
        (rename("eid:UseOperations", "{urn:x}UseOperations"), "useIDRequest: expected other elements"),
        (rename("eid:UseOperations", "UseOperations"), "useIDRequest: expected other elements"),
        (append("eid:useIDRequest", f"{{{EID}}}Other"), "useIDRequest: expected other elements"),
        (last_first("eid:useIDRequest"), "useIDRequest: expected its elements in order"),
        (say("eid:useIDRequest", "text"), "useIDRequest: expected elements, found text"),
        (double("eid:UseOperations/eid:GivenNames"), "GivenNames: expected once, found twice"),
        (append("eid:UseOperations", f"{{{EID}}}EyeColour"), "UseOperations: expected other elements"),
        (last_first("eid:UseOperations"), "UseOperations: expected its elements in order"),
        (
            say("eid:UseOperations/eid:GivenNames", "required"),
            "GivenNames: expected one of ALLOWED, PROHIBITED, REQUIRED",
        ),
        (append("eid:UseOperations/eid:GivenNames", f"{{{EID}}}x"), "GivenNames: expected a text, found elements"),
        (double("eid:AgeVerificationRequest"), "AgeVerificationRequest: expected once, found twice"),
        (drop("eid:Age"), "Age: expected in AgeVerificationRequest, found none"),
        (say("eid:Age", "eighteen"), "Age: expected an integer"),
        (say("eid:Age", ""), "Age: expected an integer"),
        (say("eid:Age", "-1"), "Age: expected a number of years"),
        (say("eid:Age", "١٨"), "Age: expected an integer"),
        (
            drop("eid:PlaceVerificationRequest/eid:CommunityID"),
            "CommunityID: expected in PlaceVerificationRequest, found none",
        ),
        (double("eid:TransactionInfo"), "TransactionInfo: expected once, found twice"),
        (append("eid:TransactionInfo", f"{{{EID}}}x"), "TransactionInfo: expected a text, found elements"),
        (say("eid:LevelOfAssuranceRequest", "hoch"), "LevelOfAssuranceRequest: expected a level of assurance"),
        (say("eid:SECertified", "MAYBE"), "EIDTypeRequest: expected ALLOWED or DENIED"),
        (append("eid:EIDTypeRequest", f"{{{EID}}}Paper"), "EIDTypeRequest: expected other elements"),
        (double("eid:PSK"), "PSK: expected once, found twice"),
        (drop("eid:PSK/eid:Key"), "Key: expected in PSK, found none"),
        (double("eid:PSK/eid:ID"), "ID: expected once, found twice"),
    ],
)
def test_a_use_id_request_that_breaks_the_schema_is_refused(change: Callable[[Element], object], reason: str) -> None:
    assert violated(WHOLE_REQUEST, change) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (drop("eid:Session"), "Session: expected in getResultRequest, found none"),
        (drop("eid:RequestCounter"), "RequestCounter: expected in getResultRequest, found none"),
        (double("eid:Session"), "Session: expected once, found twice"),
        (double("eid:RequestCounter"), "RequestCounter: expected once, found twice"),
        (double("eid:Session/eid:ID"), "ID: expected once, found twice"),
        (drop("eid:Session/eid:ID"), "ID: expected in Session, found none"),
        (say("eid:Session/eid:ID", ""), "ID: expected a session's identifier of at most 1024 characters"),
        (say("eid:Session/eid:ID", "x" * 1025), "ID: expected a session's identifier of at most 1024 characters"),
        (last_first("eid:getResultRequest"), "getResultRequest: expected its elements in order"),
        (rename("eid:RequestCounter", "{urn:x}RequestCounter"), "getResultRequest: expected other elements"),
    ],
)
def test_a_get_result_request_that_breaks_the_schema_is_refused(
    change: Callable[[Element], object], reason: str
) -> None:
    assert violated(GetResultRequest(SESSION, 1), change) == reason


@pytest.mark.parametrize("counter", ["", "one", "1.0", "1e3", "0x1", "1 2", str(2**31), str(-(2**31) - 1), "9" * 40])
def test_a_counter_that_is_no_integer_breaks_the_schema(counter: str) -> None:
    change = say("eid:RequestCounter", counter)
    assert violated(GetResultRequest(SESSION, 1), change) == "RequestCounter: expected an integer"


def test_get_server_info_has_no_parameters() -> None:
    change = append("eid:getServerInfoRequest", f"{{{EID}}}Session")
    assert violated(GetServerInfoRequest(), change) == "getServerInfoRequest: expected other elements"


@pytest.mark.parametrize(
    "name", [f"{{{EID}}}deleteID", "{urn:x}useIDRequest", "useIDRequest", f"{{{EID}}}useIDResponse"]
)
def test_another_request_breaks_the_schema(name: str) -> None:
    envelope = build_request(GetServerInfoRequest())
    rename("eid:getServerInfoRequest", name)(envelope)
    with pytest.raises(EIDServerError, match="Body: expected a request to an eID server") as caught:
        parse_request(signed(envelope))
    assert caught.value.minor == Minor.SCHEMA_VIOLATION


def test_the_session_of_a_request_that_breaks_the_schema_is_known() -> None:
    """It has ended then (TR-03130-1 §3.2.2)."""
    broken = build_request(GetResultRequest(SESSION, 1))
    say("eid:RequestCounter", "one")(broken)
    body = signed(broken)
    assert (called_function(body), concerned_session(body)) == (Function.GET_RESULT, SESSION)


@pytest.mark.parametrize("change", [drop("eid:Session"), double("eid:Session"), drop("eid:Session/eid:ID")])
def test_a_request_without_one_session_concerns_none(change: Callable[[Element], object]) -> None:
    assert concerned_session(signed(_changed(build_request(GetResultRequest(SESSION, 1)), change))) == ""


def test_a_psk_without_key_is_an_invalid_one() -> None:
    with pytest.raises(EIDServerError) as caught:
        parse_request(signed(_changed(build_request(WHOLE_REQUEST), say("eid:PSK/eid:Key", ""))))
    assert caught.value.minor == Minor.INVALID_PSK


def test_what_is_wrong_with_a_psk_is_not_the_schema_s_to_say() -> None:
    request = parse_request(signed(_changed(build_request(WHOLE_REQUEST), say("eid:PSK/eid:Key", "not hex"))))
    assert isinstance(request, UseIDRequest)
    assert request.psk == "not hex"


def test_no_transactions_are_attested() -> None:
    def ask(envelope: Element) -> None:
        one(envelope, ".//eid:TransactionInfo").addnext(etree.Element(f"{{{EID}}}TransactionAttestationRequest"))

    with pytest.raises(EIDServerError) as caught:
        parse_request(signed(_changed(build_request(WHOLE_REQUEST), ask)))
    assert caught.value.minor == Minor.INTERNAL_ERROR


@pytest.mark.parametrize("said", ["\x00", "\x1b[31m", "\ud800"])
def test_what_xml_cannot_carry_is_not_sent(said: str) -> None:
    with pytest.raises(EIDServerError, match="useID: TransactionInfo: expected characters that XML has"):
        build_request(UseIDRequest({}, transaction_info=said))
    with pytest.raises(EIDServerError, match="getResult: GivenNames: expected characters that XML has"):
        build_response(EIDResult(PersonalData(given_names=said)))


@pytest.mark.parametrize("version", ["", "2", "two.four", "2.4.0.1", "2.4-beta"])
def test_a_version_is_made_of_numbers(version: str) -> None:
    with pytest.raises(EIDServerError, match="ServerVersion: expected two or three numbers with dots between"):
        build_response(ServerInfo(version, {}))


def test_a_version_may_have_two_numbers() -> None:
    info = read(ServerInfo("2.4", {}))
    assert isinstance(info, ServerInfo)
    assert info.version == "2.4"


# answers that cannot be believed


@pytest.mark.parametrize(
    ("response", "change", "reason"),
    [
        (OPENED, drop("eid:Session"), "Session: expected in useIDResponse, found none"),
        (OPENED, double("eid:Session"), "Session: expected once, found twice"),
        (OPENED, drop("dss:Result"), "Result: expected in useIDResponse, found none"),
        (OPENED, double("dss:Result"), "Result: expected once, found twice"),
        (OPENED, rename("dss:Result", f"{{{EID}}}Result"), "useIDResponse: expected other elements"),
        (OPENED, drop("dss:ResultMajor"), "ResultMajor: expected in Result, found none"),
        (OPENED, append("dss:Result", "{urn:x}y"), "Result: expected other elements"),
        (OPENED, drop("eid:PSK/eid:Key"), "Key: expected in PSK, found none"),
        (OPENED, last_first("eid:useIDResponse"), "useIDResponse: expected its elements in order"),
        (WHOLE_RESULT, drop("eid:PersonalData"), "PersonalData: expected in getResultResponse, found none"),
        (WHOLE_RESULT, double("eid:PersonalData"), "PersonalData: expected once, found twice"),
        (
            WHOLE_RESULT,
            drop("eid:OperationsAllowedByUser"),
            "OperationsAllowedByUser: expected in getResultResponse, found none",
        ),
        (
            WHOLE_RESULT,
            say("eid:OperationsAllowedByUser/eid:GivenNames", "YES"),
            "GivenNames: expected one of ALLOWED, PROHIBITED, NOTONCHIP",
        ),
        (WHOLE_RESULT, double("eid:PersonalData/eid:GivenNames"), "GivenNames: expected once, found twice"),
        (WHOLE_RESULT, append("eid:PersonalData", "{urn:x}EyeColour"), "PersonalData: expected other elements"),
        (WHOLE_RESULT, say("eid:PersonalData/eid:DateOfExpiry", "31.10.2029"), "DateOfExpiry: expected a date"),
        (WHOLE_RESULT, say("eid:PersonalData/eid:DateOfExpiry", "2029-02-30"), "DateOfExpiry: expected a date"),
        (WHOLE_RESULT, say("eid:DateString", "1964-08-12"), "DateString: expected eight digits or blanks"),
        (WHOLE_RESULT, drop("eid:DateString"), "DateString: expected in DateOfBirth, found none"),
        (WHOLE_RESULT, say("eid:DateValue", "soon"), "DateValue: expected a date"),
        (WHOLE_RESULT, say("eid:RestrictedID/eid:ID", "abc"), "ID: expected hexadecimal digits"),
        (WHOLE_RESULT, say("eid:RestrictedID/eid:ID2", "xy"), "ID2: expected hexadecimal digits"),
        (WHOLE_RESULT, drop("eid:RestrictedID/eid:ID"), "ID: expected in RestrictedID, found none"),
        (WHOLE_RESULT, drop("eid:StructuredPlace/eid:City"), "City: expected in StructuredPlace, found none"),
        (
            WHOLE_RESULT,
            append("eid:PersonalData/eid:PlaceOfBirth", f"{{{EID}}}NoPlaceInfo"),
            "place: expected one of StructuredPlace, FreetextPlace, NoPlaceInfo",
        ),
        (
            WHOLE_RESULT,
            drop("eid:FreetextPlace"),
            "place: expected one of StructuredPlace, FreetextPlace, NoPlaceInfo",
        ),
        (
            WHOLE_RESULT,
            say("eid:FulfilsAgeVerification/eid:FulfilsRequest", "perhaps"),
            "FulfilsRequest: expected true or false",
        ),
        (
            WHOLE_RESULT,
            drop("eid:FulfilsPlaceVerification/eid:FulfilsRequest"),
            "FulfilsRequest: expected in FulfilsPlaceVerification, found none",
        ),
        (
            WHOLE_RESULT,
            say("eid:LevelOfAssuranceResult", "urn:high"),
            "LevelOfAssuranceResult: expected a level of assurance",
        ),
        (WHOLE_RESULT, say("eid:EIDTypeResponse/eid:CardCertified", ""), "EIDTypeResponse: expected one USED"),
        (WHOLE_RESULT, append("eid:EIDTypeResponse", f"{{{EID}}}HWKeyStore"), "EIDTypeResponse: expected one USED"),
        (INFO, drop("eid:ServerVersion"), "ServerVersion: expected in getServerInfoResponse, found none"),
        (INFO, drop("eid:Major"), "Major: expected in ServerVersion, found none"),
        (INFO, say("eid:Minor", "four"), "Minor: expected an integer"),
        (
            INFO,
            drop("eid:DocumentVerificationRights"),
            "DocumentVerificationRights: expected in getServerInfoResponse, found none",
        ),
        (
            INFO,
            say("eid:DocumentVerificationRights/eid:GivenNames", "SURE"),
            "GivenNames: expected one of ALLOWED, PROHIBITED, REQUIRED",
        ),
    ],
)
def test_an_answer_that_breaks_the_schema_is_not_believed(
    response: Response, change: Callable[[Element], object], reason: str
) -> None:
    assert disbelieved(response, change) == f"{function_of(response)}: {reason}"


@pytest.mark.parametrize("major", ["", "ok", MAJOR_OK.replace("#ok", "#warning"), MAJOR_OK + "x"])
def test_a_result_is_ok_or_an_error(major: str) -> None:
    with pytest.raises(UnavailableError, match="useID: ResultMajor: expected ok or error"):
        read(OPENED, say("dss:ResultMajor", major))


@pytest.mark.parametrize("minor", ["x" * 201, "urn:ü", "urn:a\tb"])
def test_a_minor_that_is_no_uri_is_not_believed(minor: str) -> None:
    envelope = build_refusal(Function.USE_ID, EIDServerError(minor, ""))
    with pytest.raises(UnavailableError, match="ResultMinor: expected a URI of at most 200 characters"):
        parse_use_id_response(signed(envelope))


def test_an_answer_to_another_question_is_not_believed() -> None:
    for function, parse in PARSERS.items():
        other = next(each for each in RESPONSES if function_of(each) is not function)
        with pytest.raises(UnavailableError, match=f"{function}: Body: expected {function}Response"):
            parse(signed(build_response(other)))


def test_a_fault_is_not_believed() -> None:
    envelope = build_response(OPENED)
    body = one(envelope, "s:Body")
    body.remove(body[0])
    etree.SubElement(body, f"{{{SOAP}}}Fault")
    with pytest.raises(UnavailableError, match="useID: Body: expected useIDResponse"):
        parse_use_id_response(signed(envelope))


# the words of HTTP


def test_functions_have_the_actions_of_the_interface() -> None:
    assert [each.action for each in Function] == [
        '"http://bsi.bund.de/eID/useID"',
        '"http://bsi.bund.de/eID/getResult"',
        '"http://bsi.bund.de/eID/getServerInfo"',
    ]


@pytest.mark.parametrize("action", ['"http://bsi.bund.de/eID/getResult"', "http://bsi.bund.de/eID/getResult"])
def test_an_action_is_understood_with_and_without_quotes(action: str) -> None:
    assert Function.of_action(action) is Function.GET_RESULT


@pytest.mark.parametrize("action", ["", '""', "getResult", "http://bsi.bund.de/eID/", "urn:x"])
def test_another_action_is_none(action: str) -> None:
    assert Function.of_action(action) is None


def _changed(envelope: Element, *changes: Callable[[Element], object]) -> Element:
    for change in changes:
        change(envelope)
    return etree.fromstring(serialize(envelope))
