"""PAOS messages on the wire: what we write can be read, what a stock client writes too, and nothing else."""

import re
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from useid_middleware.eid.core.results import MAJOR_ERROR, MAJOR_OK, ClientMinor
from useid_middleware.emulation import paos
from useid_middleware.emulation.paos import (
    Body,
    DIDAuthenticate,
    DIDAuthenticateResponse,
    DIDList,
    DIDListResponse,
    EAC1Input,
    EAC1Output,
    EAC2Input,
    EAC2Output,
    EACAdditionalInput,
    Envelope,
    InitializeFramework,
    InitializeFrameworkResponse,
    InputAPDU,
    PAOSError,
    Result,
    StartPAOS,
    StartPAOSResponse,
    Transmit,
    TransmitResponse,
    decode,
    encode,
)

OK = Result(MAJOR_OK)
ERROR = Result(MAJOR_ERROR, ClientMinor.CANCELLATION_BY_USER, "no, <thanks> & bye")

EAC1 = EAC1Input(
    certificates=(b"\x01", b"\x02"),
    certificate_description=b"\x03",
    required_chat=b"\x04",
    optional_chat=b"\x05",
    auxiliary_data=b"\x06",
    transaction_info="A door & a <key>",
    accepted_eid_types=("CardCertified", "SECertified"),
)
OUTPUT = EAC1Output(b"\x01", (b"DETESTCVCA00002", b"DETESTCVCA00001"), b"\x02", b"\x03", b"\x04")

MESSAGES: dict[str, Body] = {
    "StartPAOS": StartPAOS("session", "00", "context", "client/1.26.2", ((1, 1, 5), (1, 1, 2))),
    "StartPAOS without the rest": StartPAOS("session", "00"),
    "StartPAOSResponse": StartPAOSResponse(OK),
    "StartPAOSResponse with an error": StartPAOSResponse(ERROR),
    "InitializeFramework": InitializeFramework(),
    "InitializeFrameworkResponse": InitializeFrameworkResponse(OK, ((1, 1, 5),)),
    "DIDList": DIDList("00", "context"),
    "DIDListResponse": DIDListResponse(OK, ("PIN",)),
    "DIDListResponse without names": DIDListResponse(ERROR),
    "EAC1Input": DIDAuthenticate("00", "PIN", EAC1, "context"),
    "EAC1Input without the rest": DIDAuthenticate("00", "PIN", EAC1Input((b"\x01",), b"\x02")),
    "EAC2Input": DIDAuthenticate("00", "PIN", EAC2Input((b"\x01",), b"\x02", b"\x03")),
    "EAC2Input without a signature": DIDAuthenticate("00", "PIN", EAC2Input((), b"\x02", None)),
    "EACAdditionalInput": DIDAuthenticate("00", "PIN", EACAdditionalInput(b"\x01")),
    "EAC1Output": DIDAuthenticateResponse(OK, OUTPUT),
    "EAC1Output without the rest": DIDAuthenticateResponse(OK, EAC1Output(None, (), b"\x02", b"\x03", b"\x04")),
    "EAC2Output with a challenge": DIDAuthenticateResponse(OK, EAC2Output(challenge=b"\x01")),
    "EAC2Output": DIDAuthenticateResponse(OK, EAC2Output(card_security=b"\x01", token=b"\x02", nonce=b"\x03")),
    "DIDAuthenticateResponse with an error": DIDAuthenticateResponse(ERROR, None),
    "Transmit": Transmit("00", (InputAPDU(b"\x00\xa4", (b"\x90\x00", b"\x63")), InputAPDU(b"\x01"))),
    "TransmitResponse": TransmitResponse(OK, (b"\x90\x00", b"\x63\xc1")),
    "TransmitResponse with an error": TransmitResponse(ERROR, (b"\x6a\x82",)),
}


def written(name: str) -> str:
    """A message of ``MESSAGES`` as text."""
    return encode(Envelope("urn:uuid:1", MESSAGES[name], "urn:uuid:0")).decode()


def refusal(xml: str) -> PAOSError:
    """How this is refused."""
    with pytest.raises(PAOSError) as caught:
        decode(xml.encode())
    assert caught.value.code == "paos_invalid"
    return caught.value


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_written_can_be_read(name: str) -> None:
    envelope = Envelope("urn:uuid:1", MESSAGES[name], "urn:uuid:0")
    assert decode(encode(envelope)) == envelope


def test_the_first_message_relates_to_none() -> None:
    envelope = Envelope("urn:uuid:1", MESSAGES["StartPAOS"])
    assert b"RelatesTo" not in encode(envelope)
    assert decode(encode(envelope)) == envelope


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co", "Cn")), max_size=40).map(str.strip)
BYTES = st.binary(max_size=40)


@settings(max_examples=60)
@given(
    st.builds(
        EAC1Input,
        certificates=st.lists(BYTES, min_size=1, max_size=4).map(tuple),
        certificate_description=BYTES,
        required_chat=st.none() | BYTES,
        optional_chat=st.none() | BYTES,
        auxiliary_data=st.none() | BYTES,
        transaction_info=TEXTS,
        accepted_eid_types=st.lists(TEXTS, max_size=3).map(tuple),
    ),
    TEXTS,
)
def test_any_request_can_be_read_as_it_was_written(data: EAC1Input, slot: str) -> None:
    envelope = Envelope("urn:uuid:1", DIDAuthenticate(slot, "PIN", data, slot))
    assert decode(encode(envelope)) == envelope


@settings(max_examples=60)
@given(
    st.lists(st.builds(InputAPDU, BYTES, st.lists(BYTES, max_size=3).map(tuple)), min_size=1, max_size=4).map(tuple),
    st.lists(BYTES, max_size=4).map(tuple),
)
def test_any_commands_and_answers_can_be_read_as_they_were_written(
    apdus: tuple[InputAPDU, ...], answers: tuple[bytes, ...]
) -> None:
    for body in (Transmit("00", apdus), TransmitResponse(OK, answers)):
        envelope = Envelope("urn:uuid:1", body)
        assert decode(encode(envelope)) == envelope


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(PAOSError):
        decode(data)


@settings(max_examples=100)
@given(st.sampled_from(sorted(MESSAGES)), st.integers(0, 5000), st.binary(min_size=1, max_size=3))
def test_a_damaged_message_is_read_or_refused_and_nothing_else(name: str, place: int, damage: bytes) -> None:
    data = written(name).encode()
    at = place % len(data)
    with suppress(PAOSError):
        decode(data[:at] + damage + data[at + len(damage) :])


# ── spellings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


STOCK_START = """<?xml version="1.0" encoding="UTF-8"?>
<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:paos="urn:liberty:paos:2006-08"
  xmlns:wsa="http://www.w3.org/2005/03/addressing" xmlns:dss="urn:oasis:names:tc:dss:1.0:core:schema"
  xmlns:ecard="http://www.bsi.bund.de/ecard/api/1.1" xmlns:iso="urn:iso:std:iso-iec:24727:tech:schema">
 <soap:Header>
  <paos:PAOS soap:actor="http://schemas.xmlsoap.org/soap/actor/next" soap:mustUnderstand="1"/>
  <wsa:ReplyTo><wsa:Address>http://www.projectliberty.org/2006/02/role/paos</wsa:Address></wsa:ReplyTo>
  <wsa:MessageID>urn:uuid:7</wsa:MessageID>
 </soap:Header>
 <soap:Body>
  <StartPAOS xmlns="urn:iso:std:iso-iec:24727:tech:schema">
   <SessionIdentifier>psk</SessionIdentifier>
   <ConnectionHandle xsi:type="ConnectionHandle">
    <CardApplication>e80704007f00070302</CardApplication><SlotHandle>00</SlotHandle>
   </ConnectionHandle>
   <UserAgent><Name>AusweisApp2</Name><VersionMajor>1</VersionMajor><VersionMinor>26</VersionMinor>
    <VersionSubminor>2</VersionSubminor></UserAgent>
   <SupportedAPIVersions><Major>1</Major><Minor>1</Minor><Subminor>5</Subminor></SupportedAPIVersions>
   <SupportedDIDProtocols>urn:oid:1.3.162.15480.3.0.14.2</SupportedDIDProtocols>
  </StartPAOS>
 </soap:Body>
</soap:Envelope>"""


def test_a_stock_clients_first_message_can_be_read() -> None:
    assert decode(STOCK_START.encode()) == Envelope(
        "urn:uuid:7", StartPAOS("psk", "00", "", "AusweisApp2/1.26.2", ((1, 1, 5),))
    )


def test_a_stock_clients_list_of_passwords_has_no_namespace() -> None:
    xml = written("DIDListResponse")
    xml = re.sub(r"iso:(DIDListResponse|DIDNameList|DIDName)\b", r"\1", xml)
    assert decode(xml.encode()).body == DIDListResponse(OK, ("PIN",))


def test_other_messages_must_have_their_namespace() -> None:
    xml = re.sub(r"\b(dss:)?iso:", "", written("TransmitResponse"))
    assert refusal(xml).minor == ClientMinor.UNKNOWN_API_FUNCTION


def test_a_stock_client_sends_an_element_without_content_along_with_an_error() -> None:
    xml = written("EAC1Output").replace(MAJOR_OK, MAJOR_ERROR)
    xml = re.sub(r"(<iso:AuthenticationProtocolData[^>]*)>.*</iso:AuthenticationProtocolData>", r"\1/>", xml)
    assert decode(xml.encode()).body == DIDAuthenticateResponse(Result(MAJOR_ERROR), None)


@pytest.mark.parametrize("spelling", ["SubMinor", "Subminor"])
def test_both_spellings_of_the_last_number_of_a_version_are_known(spelling: str) -> None:
    xml = written("InitializeFrameworkResponse").replace("SubMinor", spelling)
    assert decode(xml.encode()).body == InitializeFrameworkResponse(OK, ((1, 1, 5),))


@pytest.mark.parametrize("prefix", ["iso:", "", "ns4:", "urn:iso:std:iso-iec:24727:tech:schema:"])
def test_the_type_is_told_by_its_name_whatever_the_prefix(prefix: str) -> None:
    xml = written("EAC2Output with a challenge").replace("iso:EAC2OutputType", f"{prefix}EAC2OutputType")
    assert decode(xml.encode()).body == MESSAGES["EAC2Output with a challenge"]


def test_hexadecimal_digits_may_be_small_and_lines_may_break() -> None:
    xml = written("Transmit").replace("00A4", "\n  00\n  a4\n")
    assert decode(xml.encode()).body == MESSAGES["Transmit"]


def test_unknown_elements_are_passed_over() -> None:
    xml = written("EAC1Input").replace(
        "<iso:CertificateDescription>", "<iso:ProviderInfo/><iso:CertificateDescription>"
    )
    assert decode(xml.encode()).body == MESSAGES["EAC1Input"]


def test_a_comment_does_not_cut_a_value_in_two() -> None:
    xml = written("EACAdditionalInput").replace("<iso:Signature>01", "<iso:Signature>0<!-- 2 -->1")
    assert decode(xml.encode()).body == MESSAGES["EACAdditionalInput"]


# ── malformed ─────────────────────────────────────────────────────────────────────────────────────────────────────────

REQUIRED = [
    ("StartPAOS", "SessionIdentifier"),
    ("StartPAOS", "ConnectionHandle"),
    ("StartPAOS", "SlotHandle"),
    ("StartPAOS", "Major"),
    ("StartPAOSResponse", "Result"),
    ("StartPAOSResponse", "ResultMajor"),
    ("InitializeFrameworkResponse", "Result"),
    ("DIDList", "ConnectionHandle"),
    ("DIDListResponse", "Result"),
    ("EAC1Input", "ConnectionHandle"),
    ("EAC1Input", "DIDName"),
    ("EAC1Input", "AuthenticationProtocolData"),
    ("EAC1Input", "Certificate"),
    ("EAC1Input", "CertificateDescription"),
    ("EAC2Input", "EphemeralPublicKey"),
    ("EACAdditionalInput", "Signature"),
    ("EAC1Output", "Result"),
    ("EAC1Output", "AuthenticationProtocolData"),
    ("EAC1Output", "EFCardAccess"),
    ("EAC1Output", "IDPICC"),
    ("EAC1Output", "Challenge"),
    ("Transmit", "SlotHandle"),
    ("Transmit", "InputAPDUInfo"),
    ("Transmit", "InputAPDU"),
    ("TransmitResponse", "Result"),
]
OPTIONAL = [
    ("StartPAOS", "ContextHandle"),
    ("StartPAOS", "UserAgent"),
    ("StartPAOSResponse with an error", "ResultMinor"),
    ("StartPAOSResponse with an error", "ResultMessage"),
    ("DIDListResponse", "DIDNameList"),
    ("EAC1Input", "RequiredCHAT"),
    ("EAC1Input", "OptionalCHAT"),
    ("EAC1Input", "AuthenticatedAuxiliaryData"),
    ("EAC1Input", "TransactionInfo"),
    ("EAC2Input", "Signature"),
    ("EAC1Output", "CertificateHolderAuthorizationTemplate"),
    ("EAC2Output", "EFCardSecurity"),
    ("EAC2Output", "AuthenticationToken"),
    ("EAC2Output", "Nonce"),
    ("EAC2Output with a challenge", "Challenge"),
]
#: Those of which there may be several.
REPEATED = {"Certificate", "InputAPDUInfo", "Major"}


def _elements(name: str) -> Callable[[str, str], str]:
    """Replaces all elements of this name: the pattern's group 0 is the whole one."""
    pattern = re.compile(rf"<(\w+:{name})\b(?:[^>]*/>|.*?</\1>)", re.DOTALL)

    def replaced(xml: str, by: str) -> str:
        assert pattern.search(xml), name
        return pattern.sub(by, xml)

    return replaced


@pytest.mark.parametrize(("message", "element"), REQUIRED)
def test_a_missing_element_is_refused(message: str, element: str) -> None:
    error = refusal(_elements(element)(written(message), ""))
    assert error.minor == ClientMinor.INCORRECT_PARAMETER
    assert element in error.message


@pytest.mark.parametrize(("message", "element"), [each for each in REQUIRED + OPTIONAL if each[1] not in REPEATED])
def test_an_element_that_comes_twice_is_refused(message: str, element: str) -> None:
    error = refusal(_elements(element)(written(message), r"\g<0>\g<0>"))
    assert error.minor == ClientMinor.INCORRECT_PARAMETER
    assert error.message.endswith("found 2 times")


@pytest.mark.parametrize(
    ("message", "element"),
    [each for each in REQUIRED if each[1] not in ("DIDName", "SlotHandle")],
)
def test_an_element_of_another_namespace_is_not_the_one(message: str, element: str) -> None:
    xml = re.sub(rf"<(/?)\w+:{element}\b", rf"<\1wsa:{element}", written(message))
    assert refusal(xml).minor == ClientMinor.INCORRECT_PARAMETER


@pytest.mark.parametrize("element", ["Challenge", "EFCardAccess", "IDPICC"])
@pytest.mark.parametrize("value", ["0", "0G", "\N{FULLWIDTH DIGIT ZERO}0", "<iso:X/>"])
def test_what_is_no_hexadecimal_digits_is_refused(element: str, value: str) -> None:
    xml = _elements(element)(written("EAC1Output"), f"<iso:{element}>{value}</iso:{element}>")
    error = refusal(xml)
    assert error.minor == ClientMinor.INCORRECT_PARAMETER
    assert element in error.message


@pytest.mark.parametrize("number", ["", "-1", "1.0", "x", "1234567"])
def test_what_is_no_number_is_refused(number: str) -> None:
    xml = _elements("Minor")(written("StartPAOS"), f"<iso:Minor>{number}</iso:Minor>")
    assert refusal(xml).minor == ClientMinor.INCORRECT_PARAMETER


@pytest.mark.parametrize("kind", ["EAC1OutputType", "EAC2InputTypes", "", "XEAC1InputType"])
def test_a_server_cannot_ask_for_another_type(kind: str) -> None:
    xml = written("EAC1Input").replace('"iso:EAC1InputType"', f'"iso:{kind}"')
    assert refusal(xml).minor == ClientMinor.INCORRECT_PARAMETER


@pytest.mark.parametrize("kind", ["EAC1InputType", "EAC1OutputTyp", ""])
def test_a_client_cannot_answer_with_another_type(kind: str) -> None:
    xml = written("EAC1Output").replace('"iso:EAC1OutputType"', f'"iso:{kind}"')
    assert refusal(xml).minor == ClientMinor.INCORRECT_PARAMETER


def test_the_type_must_be_that_of_the_schema_instance_namespace() -> None:
    xml = written("EAC1Output").replace('xsi:type="iso:EAC1OutputType"', 'type="iso:EAC1OutputType"')
    assert refusal(xml).minor == ClientMinor.INCORRECT_PARAMETER


@pytest.mark.parametrize("protocol", ["urn:oid:1.3.162.15480.3.0.9", ""])
def test_another_protocol_is_refused(protocol: str) -> None:
    xml = written("EAC1Output").replace("urn:oid:1.3.162.15480.3.0.14.2", protocol)
    assert refusal(xml).minor == ClientMinor.INCORRECT_PARAMETER


def test_a_name_of_an_authority_must_be_one_in_latin_letters() -> None:
    xml = written("EAC1Output").replace("DETESTCVCA00001", "DE\N{GREEK CAPITAL LETTER OMEGA}0001")
    assert refusal(xml).minor == ClientMinor.INCORRECT_PARAMETER


@pytest.mark.parametrize("found", ["", "<iso:StartPAOS/><iso:StartPAOS/>"])
def test_there_is_exactly_one_message(found: str) -> None:
    xml = _elements("StartPAOS")(written("StartPAOS"), found)
    error = refusal(xml)
    assert error.minor == ClientMinor.INCORRECT_PARAMETER
    assert "one message" in error.message


def test_a_message_that_is_not_known_here_is_an_unknown_function() -> None:
    xml = _elements("InitializeFramework")(written("InitializeFramework"), "<iso:Disconnect/>")
    assert refusal(xml).minor == ClientMinor.UNKNOWN_API_FUNCTION


def test_a_known_message_in_another_namespace_is_an_unknown_function() -> None:
    xml = written("InitializeFramework").replace("<ecard:InitializeFramework", "<iso:InitializeFramework")
    assert refusal(xml).minor == ClientMinor.UNKNOWN_API_FUNCTION


@pytest.mark.parametrize("element", ["Header", "Body"])
def test_an_envelope_has_one_header_and_one_body(element: str) -> None:
    for by in ("", r"\g<0>\g<0>"):
        assert refusal(_elements(element)(written("StartPAOS"), by)).minor == ClientMinor.INCORRECT_PARAMETER


@pytest.mark.parametrize("element", ["MessageID", "RelatesTo"])
def test_the_headers_that_tie_messages_together_come_once(element: str) -> None:
    xml = _elements(element)(written("StartPAOS"), r"\g<0>\g<0>")
    assert refusal(xml).minor == ClientMinor.INCORRECT_PARAMETER


def test_a_message_without_a_name_is_refused() -> None:
    error = refusal(_elements("MessageID")(written("StartPAOS"), ""))
    assert error.minor == ClientMinor.INCORRECT_PARAMETER
    assert "MessageID" in error.message


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "no XML",
        "<a/>",
        written("StartPAOS").replace(
            "http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope"
        ),
        written("StartPAOS").replace("<soap:Envelope", "<!DOCTYPE x><soap:Envelope"),
        written("StartPAOS").replace("<soap:Envelope", "<?x y?><soap:Envelope"),
        written("StartPAOS")[:-20],
        written("StartPAOS").replace("session", "x" * paos.MAX_SIZE),
    ],
    ids=["nothing", "text", "another element", "SOAP 1.2", "DOCTYPE", "instruction", "cut off", "too large"],
)
def test_what_is_no_envelope_is_an_internal_error(xml: str) -> None:
    assert refusal(xml).minor == ClientMinor.INTERNAL_ERROR


def test_an_error_quotes_nothing_of_the_message() -> None:
    xml = written("EAC1Output").replace("<iso:Challenge>04", "<iso:Challenge>secret")
    assert "secret" not in str(refusal(xml))


def test_text_that_xml_cannot_say_is_not_written() -> None:
    with pytest.raises(PAOSError) as caught:
        encode(Envelope("urn:uuid:1", StartPAOSResponse(Result(MAJOR_ERROR, "", "a\x00b"))))
    assert caught.value.minor == ClientMinor.INTERNAL_ERROR


def test_the_session_identifier_is_kept_out_of_logs() -> None:
    assert "psk-secret" not in repr(Envelope("urn:uuid:1", StartPAOS("psk-secret", "00")))
