"""WS-Security of the SOAP interface: what is signed is what is read, and nothing else passes."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.eid.signers import NAMES, NOW, WSU_ID, Signer, changed, copy_of, ec_key, new_signer, one, resigned, rsa_key
from useid_middleware._xml import Element, text
from useid_middleware.eid.core.algorithms import EXCLUSIVE_C14N
from useid_middleware.eid.core.attributes import Operation, UseIDRequest, Wish
from useid_middleware.eid.core.requests import GetResultRequest, build_request, parse_request
from useid_middleware.eid.core.responses import parse_use_id_response
from useid_middleware.eid.core.results import Minor
from useid_middleware.eid.core.signing import LIFETIME, SKEW, KeyReference, VerifiedBody, verify_envelope
from useid_middleware.eid.core.soap import DS, MAX_MESSAGE, SOAP, WSSE
from useid_middleware.errors import EIDServerError

MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
DIGEST: Final = ".//ds:DigestMethod"
METHOD: Final = ".//ds:SignatureMethod"
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

REQUEST: Final = GetResultRequest("00112233445566778899aabbccddeeff", 1)
MINE: Final = new_signer(ec_key())
RSA: Final = new_signer(rsa_key())
VECTORS: Final = Path(__file__).parent / "vectors"


def message(signer: Signer = MINE, *, key_reference: KeyReference = KeyReference.ISSUER_SERIAL) -> bytes:
    return signer.sign(build_request(REQUEST), key_reference=key_reference)


def verified(data: bytes, *, expected: Signer = MINE, now: float = NOW) -> VerifiedBody:
    return verify_envelope(data, expected_certificates=[expected.certificate], now=now)


def refused(data: bytes, *, expected: Signer = MINE, now: float = NOW) -> str:
    """Why it is refused, which the peer is told as an internal error."""
    with pytest.raises(EIDServerError) as caught:
        verified(data, expected=expected, now=now)
    assert caught.value.minor == Minor.INTERNAL_ERROR
    return caught.value.message.removeprefix("WS-Security: ")


def put(path: str, attribute: str, value: str) -> Callable[[Element], None]:
    """A change: this attribute of every element at this path."""

    def change(root: Element) -> None:
        for element in root.findall(path, NAMES):
            element.set(attribute, value)

    return change


def remove(path: str) -> Callable[[Element], None]:
    """A change: without the one element at this path."""

    def change(root: Element) -> None:
        element = one(root, path)
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)

    return change


def twice(path: str) -> Callable[[Element], None]:
    """A change: the one element at this path comes once more, right behind itself."""
    return lambda root: one(root, path).addnext(copy_of(one(root, path)))


# what is good


@pytest.mark.parametrize("key_reference", KeyReference)
@pytest.mark.parametrize(
    "key",
    [rsa_key(), ec_key(), ec_key("secp384r1"), ec_key("secp521r1")],
    ids=["RSA-2048", "P-256", "P-384", "P-521"],
)
def test_what_one_signs_the_other_reads(key: object, key_reference: KeyReference) -> None:
    signer = new_signer(key)  # type: ignore[arg-type]  # a list of two kinds of keys
    body = verified(message(signer, key_reference=key_reference), expected=signer)
    assert parse_request(body) == REQUEST
    assert body.certificate == signer.certificate


@pytest.mark.parametrize("digest", [f"{MORE}sha384", "http://www.w3.org/2001/04/xmlenc#sha512"])
@pytest.mark.parametrize("signer", [RSA, MINE], ids=["RSA", "ECDSA"])
@pytest.mark.parametrize("size", [256, 384, 512])
def test_each_hash_of_sha_2_is_understood(size: int, signer: Signer, digest: str) -> None:
    family = "rsa" if signer is RSA else "ecdsa"
    data = resigned(
        message(signer),
        signer,
        put(METHOD, "Algorithm", f"{MORE}{family}-sha{size}"),
        put(DIGEST, "Algorithm", digest),
    )
    assert parse_request(verified(data, expected=signer)) == REQUEST


def test_a_message_that_another_program_signed_is_read() -> None:
    """The vector was signed by xmlsec1 1.2.37, in the form that Java's libraries give such messages."""
    certificate = x509.load_pem_x509_certificate((VECTORS / "xmlsec1.pem").read_bytes())
    now = datetime(2026, 3, 1, 12, 1, tzinfo=UTC).timestamp()
    body = verify_envelope((VECTORS / "xmlsec1.xml").read_bytes(), expected_certificates=[certificate], now=now)
    session = parse_use_id_response(body)
    assert session.id == "1234567890abcdef1234567890abcdef"
    assert session.psk == "fedcba0987654321fedcba0987654321"


def test_one_of_several_expected_certificates_has_signed() -> None:
    others = [new_signer().certificate, new_signer(serial=MINE.certificate.serial_number).certificate]
    body = verify_envelope(message(), expected_certificates=[*others, MINE.certificate], now=NOW)
    assert body.certificate == MINE.certificate


def test_a_text_arrives_as_it_was_signed() -> None:
    said = 'Größe <&> "x" ]]>\r\n\t.'
    request = UseIDRequest({Operation.RESTRICTED_ID: Wish.REQUIRED}, transaction_info=said)
    read = parse_request(verified(MINE.sign(build_request(request))))
    assert isinstance(read, UseIDRequest)
    assert read.transaction_info == said


def test_comments_change_nothing() -> None:
    data = message().replace(b"<ds:SignedInfo>", b"<ds:SignedInfo><!-- x -->").replace(b"aabb", b"aa<!-- y -->bb")
    assert parse_request(verified(data)) == REQUEST


def test_a_header_may_be_signed_too() -> None:
    def add_header(root: Element) -> None:
        header = etree.SubElement(one(root, "s:Header"), "{urn:x}To")
        header.set(WSU_ID, "to")
        reference = copy_of(root.findall(".//ds:Reference", NAMES)[0])
        reference.set("URI", "#to")
        one(root, ".//ds:SignedInfo").append(reference)

    assert parse_request(verified(resigned(message(), MINE, add_header))) == REQUEST


def test_the_lines_of_base64_may_be_broken() -> None:
    def breaking(root: Element) -> None:
        value = one(root, ".//ds:SignatureValue")
        value.text = "\n  ".join((value.text or "")[at : at + 20] for at in range(0, 100, 20))

    assert parse_request(verified(changed(message(), breaking))) == REQUEST


# what is not signed


def test_an_unsigned_message_is_refused() -> None:
    data = etree.tostring(build_request(REQUEST))
    assert refused(data) == "Security: expected once, found 0 times"


def test_a_message_without_header_is_refused() -> None:
    assert refused(changed(message(), remove("s:Header"))) == "Header: expected in Envelope, found none"


@pytest.mark.parametrize("part", ["ds:Signature", "wsu:Timestamp"])
def test_a_security_header_without_signature_or_timestamp_is_refused(part: str) -> None:
    assert refused(changed(message(), remove(f".//{part}"))).startswith("Security: expected one Timestamp")


def test_a_changed_body_is_refused() -> None:
    data = message().replace(b"<eid:RequestCounter>1<", b"<eid:RequestCounter>2<")
    assert refused(data) == "Reference: expected the digest of Body, found another"


def test_a_changed_timestamp_is_refused() -> None:
    data = message().replace(b"T08:05:00.000Z", b"T08:06:00.000Z")
    assert refused(data) == "Reference: expected the digest of Timestamp, found another"


def test_a_changed_signature_is_refused() -> None:
    def change(root: Element) -> None:
        value = one(root, ".//ds:SignatureValue")
        signature = b64decode(value.text or "")
        # A bit turned over: any fixed byte is what one signature in 256 ends with.
        value.text = b64encode(signature[:-1] + bytes((signature[-1] ^ 1,))).decode()

    assert refused(changed(message(), change)).startswith("Signature: expected one by the certificate")


def test_an_empty_signature_is_refused() -> None:
    assert "Signature: expected one by" in refused(
        changed(message(), lambda root: setattr(one(root, ".//ds:SignatureValue"), "text", ""))
    )


def test_a_signature_that_is_not_base64_is_refused() -> None:
    data = changed(message(), lambda root: setattr(one(root, ".//ds:SignatureValue"), "text", "?"))
    assert refused(data) == "SignatureValue: expected Base64"


def test_an_ecdsa_signature_in_asn_1_is_refused() -> None:
    def encode(root: Element) -> None:
        value = one(root, ".//ds:SignatureValue")
        raw = b64decode(value.text or "")
        pair = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        value.text = b64encode(pair).decode()

    assert "Signature: expected one by" in refused(changed(message(), encode))


def test_an_ecdsa_signature_of_another_length_is_refused() -> None:
    def lengthen(root: Element) -> None:
        value = one(root, ".//ds:SignatureValue")
        raw = b64decode(value.text or "")
        value.text = b64encode(raw[:32] + b"\x00" + raw[32:]).decode()

    assert "Signature: expected one by" in refused(changed(message(), lengthen))


@pytest.mark.parametrize(("index", "part"), [(0, "timestamp"), (1, "body")])
def test_body_and_timestamp_must_both_be_signed(index: int, part: str) -> None:
    def drop(root: Element) -> None:
        info = one(root, ".//ds:SignedInfo")
        info.remove(info.findall("ds:Reference", NAMES)[index])

    assert refused(resigned(message(), MINE, drop)) == "Signature: expected to be over the body and the timestamp", part


def test_a_signature_over_nothing_is_refused() -> None:
    def drop(root: Element) -> None:
        info = one(root, ".//ds:SignedInfo")
        for reference in info.findall("ds:Reference", NAMES):
            info.remove(reference)

    assert refused(resigned(message(), MINE, drop)) == "Signature: expected to be over the body and the timestamp"


def test_too_many_references_are_refused() -> None:
    def add_references(root: Element) -> None:
        first = root.findall(".//ds:Reference", NAMES)[0]
        for _ in range(7):
            first.addnext(copy_of(first))

    assert refused(resigned(message(), MINE, add_references)).startswith("SignedInfo: expected two methods and at most")


# weak algorithms


@pytest.mark.parametrize(
    "method",
    [
        "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
        f"{MORE}ecdsa-sha1",
        "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
        f"{MORE}hmac-sha256",
    ],
)
def test_sha_1_and_hmac_are_refused_as_signatures(method: str) -> None:
    signer = RSA if "rsa" in method else MINE
    data = resigned(message(signer), signer, put(METHOD, "Algorithm", method))
    assert refused(data, expected=signer) == "SignatureMethod: expected RSA or ECDSA with SHA-256 or better"


def test_sha_1_is_refused_as_digest() -> None:
    data = resigned(message(), MINE, put(DIGEST, "Algorithm", "http://www.w3.org/2000/09/xmldsig#sha1"))
    assert refused(data) == "DigestMethod: expected SHA-256 or better"


def test_a_method_of_another_kind_of_key_is_refused() -> None:
    data = changed(message(), put(METHOD, "Algorithm", f"{MORE}rsa-sha256"))
    assert "Signature: expected one by" in refused(data)


@pytest.mark.parametrize("path", [METHOD, DIGEST])
def test_algorithms_with_parameters_are_refused(path: str) -> None:
    def add_length(root: Element) -> None:
        etree.SubElement(root.findall(path, NAMES)[0], f"{{{DS}}}HMACOutputLength").text = "8"

    assert refused(resigned(message(), MINE, add_length)).endswith("Method: expected no parameters")


def test_a_short_rsa_key_is_refused() -> None:
    weak = new_signer(rsa_key(1024))
    expected = "certificate: expected an RSA key of 2048 bits or an EC key of 256 bits"
    assert refused(message(weak), expected=weak) == expected


@pytest.mark.parametrize(
    "algorithm",
    [
        "http://www.w3.org/2000/09/xmldsig#enveloped-signature",
        "http://www.w3.org/TR/1999/REC-xpath-19991116",
        "http://www.w3.org/TR/1999/REC-xslt-19991116",
        "http://www.w3.org/2000/09/xmldsig#base64",
        "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#STR-Transform",
        "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
        "http://www.w3.org/2001/10/xml-exc-c14n#WithComments",
        "urn:unknown",
        "",
    ],
)
def test_other_transforms_than_exclusive_canonical_xml_are_refused(algorithm: str) -> None:
    data = resigned(message(), MINE, put(".//ds:Transform", "Algorithm", algorithm))
    assert refused(data) == "Transform: expected exclusive canonical XML without comments"


def test_a_second_transform_is_refused() -> None:
    def add_transform(root: Element) -> None:
        first = root.findall(".//ds:Transform", NAMES)[0]
        first.addnext(copy_of(first))

    assert refused(resigned(message(), MINE, add_transform)) == "Transform: expected once, found twice"


def test_another_canonical_form_of_the_signature_is_refused() -> None:
    data = changed(message(), put(".//ds:CanonicalizationMethod", "Algorithm", "urn:unknown"))
    assert refused(data) == "CanonicalizationMethod: expected exclusive canonical XML without comments"


@pytest.mark.parametrize("method", ["CanonicalizationMethod", "SignatureMethod"])
def test_a_signature_names_its_methods(method: str) -> None:
    expected = "SignedInfo: expected CanonicalizationMethod and SignatureMethod"
    assert refused(changed(message(), remove(f".//ds:{method}"))) == expected


def test_the_methods_come_in_their_order() -> None:
    def swap(root: Element) -> None:
        info = one(root, ".//ds:SignedInfo")
        info.insert(0, info[1])

    assert refused(changed(message(), swap)) == "SignedInfo: expected CanonicalizationMethod and SignatureMethod"


def test_prefixes_without_number_are_refused() -> None:
    def add_prefixes(root: Element) -> None:
        transform = root.findall(".//ds:Transform", NAMES)[0]
        etree.SubElement(transform, f"{{{EXCLUSIVE_C14N}}}InclusiveNamespaces").set("PrefixList", "x " * 33)

    assert refused(changed(message(), add_prefixes)) == "PrefixList: expected at most 32 prefixes"


# signature wrapping


def test_a_signed_body_that_was_moved_into_a_header_is_refused() -> None:
    """The classic: the signed body goes where nobody looks, and another one takes its place."""

    def wrap(root: Element) -> None:
        body = one(root, "s:Body")
        forged = copy_of(body)
        forged.set(WSU_ID, "forged")
        one(forged, ".//eid:RequestCounter").text = "2"
        body.addnext(forged)
        etree.SubElement(one(root, "s:Header"), "{urn:x}Wrapper").append(body)

    assert refused(changed(message(), wrap)).startswith("Reference: expected the body, a header, the timestamp")


def test_a_forged_body_without_name_is_refused() -> None:
    def wrap(root: Element) -> None:
        body = one(root, "s:Body")
        forged = copy_of(body)
        del forged.attrib[WSU_ID]
        body.addnext(forged)
        one(root, "s:Header").append(body)

    # The signed body is now a header, and one that may be signed; the body in its place is not.
    assert refused(changed(message(), wrap)) == "Signature: expected to be over the body and the timestamp"


def test_a_forged_body_of_the_same_name_is_refused() -> None:
    def wrap(root: Element) -> None:
        body = one(root, "s:Body")
        body.addnext(copy_of(body))
        etree.SubElement(one(root, "s:Header"), "{urn:x}Wrapper").append(body)

    assert refused(changed(message(), wrap)) == "Id: expected unique, found twice"


@pytest.mark.parametrize("attribute", ["Id", "ID", "id", "{http://www.w3.org/XML/1998/namespace}id", "{urn:x}Id"])
def test_a_name_is_unique_however_its_attribute_is_called(attribute: str) -> None:
    def repeat(root: Element) -> None:
        one(root, ".//eid:Session").set(attribute, str(one(root, ".//wsu:Timestamp").get(WSU_ID)))

    assert refused(resigned(message(), MINE, repeat)) == "Id: expected unique, found twice"


def test_a_signed_body_inside_a_forged_one_is_refused() -> None:
    def wrap(root: Element) -> None:
        body = one(root, "s:Body")
        forged = etree.SubElement(root, f"{{{SOAP}}}Body")
        etree.SubElement(forged, "{http://bsi.bund.de/eID/}getServerInfoRequest").append(body)

    assert refused(changed(message(), wrap)).startswith("Reference: expected the body")


def test_a_signed_timestamp_elsewhere_is_refused() -> None:
    def wrap(root: Element) -> None:
        timestamp = one(root, ".//wsu:Timestamp")
        forged = copy_of(timestamp)
        forged.set(WSU_ID, "forged")
        timestamp.addnext(forged)
        etree.SubElement(one(root, "s:Header"), "{urn:x}Wrapper").append(timestamp)

    assert refused(changed(message(), wrap)).startswith("Reference: expected the body")


@pytest.mark.parametrize("uri", ["", "#", "body", "http://127.0.0.1:9/", "cid:x"])
def test_references_to_anything_but_an_element_by_its_name_are_refused(uri: str) -> None:
    data = resigned(message(), MINE, put(".//ds:Reference[2]", "URI", uri))
    assert refused(data) == "Reference: expected an element of this document, by its Id"


def test_a_reference_of_a_certain_type_is_refused() -> None:
    data = resigned(message(), MINE, put(".//ds:Reference[2]", "Type", f"{DS}Manifest"))
    assert refused(data) == "Reference: expected an element of this document, by its Id"


def test_an_xpointer_names_no_element() -> None:
    data = resigned(message(), MINE, put(".//ds:Reference[2]", "URI", "#xpointer(/)"))
    assert refused(data).startswith("Reference: expected the body")


def test_a_name_in_another_attribute_is_not_one() -> None:
    def rename(root: Element) -> None:
        body = one(root, "s:Body")
        body.set("Id", body.attrib.pop(WSU_ID))

    assert refused(resigned(message(), MINE, rename)).startswith("Reference: expected the body")


def test_a_second_body_is_refused() -> None:
    def add_body(root: Element) -> None:
        payload = copy_of(one(root, "s:Body")[0])
        etree.SubElement(root, f"{{{SOAP}}}Body").append(payload)

    assert refused(changed(message(), add_body)) == "Body: expected once, found twice"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("s:Header", "Header: expected once, found twice"),
        (".//wsse:Security", "Security: expected once, found 2 times"),
        (".//ds:Signature", "Security: expected one Timestamp, one Signature and at most one BinarySecurityToken"),
        (".//wsu:Timestamp", "Security: expected one Timestamp, one Signature and at most one BinarySecurityToken"),
        (".//ds:SignedInfo", "SignedInfo: expected once, found twice"),
        (".//ds:SignatureValue", "SignatureValue: expected once, found twice"),
        (".//ds:KeyInfo", "KeyInfo: expected once, found twice"),
        (".//wsse:SecurityTokenReference", "SecurityTokenReference: expected once, found twice"),
    ],
)
def test_what_may_come_once_is_refused_twice(path: str, reason: str) -> None:
    def unname_second(root: Element) -> None:
        """Lest two of one name are what is refused."""
        _, second = root.findall(path, NAMES)
        for element in second.iter():
            element.attrib.pop(WSU_ID, None)

    assert refused(changed(message(), twice(path), unname_second)) == reason


def test_a_second_beginning_is_refused() -> None:
    assert refused(resigned(message(), MINE, twice(".//wsu:Created"))) == "Created: expected once, found twice"


@pytest.mark.parametrize(
    ("path", "name", "reason"),
    [
        (".//ds:Signature", f"{{{DS}}}Object", "Signature: expected other elements"),
        (".//wsse:Security", f"{{{WSSE}}}UsernameToken", "Security: expected no other elements"),
        (".", "{urn:x}Tail", "Envelope: expected other elements"),
        (".//ds:KeyInfo", f"{{{DS}}}KeyValue", "KeyInfo: expected other elements"),
    ],
)
def test_what_has_no_business_there_is_refused(path: str, name: str, reason: str) -> None:
    assert refused(changed(message(), lambda root: etree.SubElement(one(root, path), name))) == reason


def test_a_header_that_must_be_understood_is_refused() -> None:
    def add_header(root: Element) -> None:
        etree.SubElement(one(root, "s:Header"), "{urn:x}Pay").set(f"{{{SOAP}}}mustUnderstand", "1")

    assert refused(changed(message(), add_header)).startswith("Header: expected no header but Security")


@pytest.mark.parametrize("number", [0, 2])
def test_a_body_has_one_element(number: int) -> None:
    def repeat(root: Element) -> None:
        body = one(root, "s:Body")
        payload = body[0]
        body.remove(payload)
        for _ in range(number):
            body.append(copy_of(payload))

    assert refused(resigned(message(), MINE, repeat)) == "Body: expected one element"


def test_what_is_read_has_nothing_of_what_was_not_signed() -> None:
    data = changed(message(), lambda root: etree.SubElement(one(root, "s:Header"), "{urn:x}Unsigned"))
    payload = verified(data).payload
    root = payload.getroottree().getroot()
    assert root.tag == f"{{{SOAP}}}Body"
    assert [each.tag for each in root] == [payload.tag]


# time


def test_a_message_is_good_until_it_expires() -> None:
    assert verified(message(), now=NOW + LIFETIME + SKEW - 1).expires == NOW + LIFETIME + SKEW
    assert refused(message(), now=NOW + LIFETIME + SKEW) == "Expires: expected a moment to come"


def test_a_message_of_the_future_is_refused() -> None:
    assert parse_request(verified(message(), now=NOW - SKEW)) == REQUEST
    assert refused(message(), now=NOW - SKEW - 1) == "Created: expected a moment that has passed"


def test_a_sender_cannot_make_its_message_good_for_long() -> None:
    data = MINE.sign(build_request(REQUEST), lifetime=86400)
    assert refused(data, now=NOW + LIFETIME + SKEW) == "Expires: expected a moment to come"


def test_a_sender_can_make_its_message_good_for_a_short_time() -> None:
    data = MINE.sign(build_request(REQUEST), lifetime=10)
    assert refused(data, now=NOW + 10 + SKEW) == "Expires: expected a moment to come"


@pytest.mark.parametrize("part", ["Created", "Expires"])
def test_a_timestamp_without_beginning_or_end_is_refused(part: str) -> None:
    data = resigned(message(), MINE, remove(f".//wsu:{part}"))
    assert refused(data) == f"{part}: expected in Timestamp, found none"


@pytest.mark.parametrize(
    "moment",
    [
        "",
        "now",
        "2027-01-15",
        "2027-01-15T08:00:00",
        "2027-01-15T08:00:00+01:00",
        "2027-13-01T00:00:00Z",
        "٢027-01-15T08:00:00Z",
    ],
)
def test_a_moment_that_is_none_in_utc_is_refused(moment: str) -> None:
    data = resigned(message(), MINE, lambda root: setattr(one(root, ".//wsu:Created"), "text", moment))
    assert refused(data) == "Created: expected a moment in UTC"


# certificates


@pytest.mark.parametrize("key_reference", KeyReference)
def test_a_foreign_certificate_is_refused(key_reference: KeyReference) -> None:
    data = message(new_signer(), key_reference=key_reference)
    assert refused(data) == "SecurityTokenReference: expected a certificate that is trusted, found another"


def test_a_certificate_of_the_same_issuer_and_number_is_refused() -> None:
    data = message(new_signer(serial=MINE.certificate.serial_number))
    assert refused(data) == "Signature: expected one by the certificate that it names"


def test_a_signature_by_another_key_in_the_name_of_a_trusted_one_is_refused() -> None:
    other = new_signer()
    for key_reference in KeyReference:
        data = resigned(message(key_reference=key_reference), other)
        assert refused(data) == "Signature: expected one by the certificate that it names"


def test_a_renewed_certificate_of_the_same_key_is_foreign_until_it_is_configured() -> None:
    assert "found another" in refused(message(new_signer(ec_key()), key_reference=KeyReference.BINARY_TOKEN))


@pytest.mark.parametrize(
    ("begins", "ends"),
    [(timedelta(days=-2), timedelta(seconds=-1)), (timedelta(seconds=1), timedelta(days=1))],
    ids=["expired", "not valid yet"],
)
def test_a_certificate_out_of_its_time_is_refused(begins: timedelta, ends: timedelta) -> None:
    signer = new_signer(begins=begins, ends=ends)
    assert refused(message(signer), expected=signer) == "certificate: expected one that is valid today"


def test_no_certificate_is_trusted_without_being_expected() -> None:
    with pytest.raises(EIDServerError, match="found another"):
        verify_envelope(message(key_reference=KeyReference.BINARY_TOKEN), expected_certificates=[], now=NOW)


def test_the_token_must_be_the_one_that_is_referred_to() -> None:
    data = changed(message(key_reference=KeyReference.BINARY_TOKEN), put(".//wsse:Reference", "URI", "#other"))
    assert refused(data) == "SecurityTokenReference: expected a reference to the BinarySecurityToken"


@pytest.mark.parametrize("attribute", ["ValueType", "EncodingType"])
def test_a_token_of_another_type_is_refused(attribute: str) -> None:
    data = message(key_reference=KeyReference.BINARY_TOKEN)
    changed_token = changed(data, put(".//wsse:BinarySecurityToken", attribute, "urn:other"))
    assert refused(changed_token) == "BinarySecurityToken: expected an X.509 certificate in Base64"


def test_a_chain_of_certificates_is_refused() -> None:
    authority = new_signer(name="authority TEST", is_authority=True)
    leaf = new_signer(issuer=authority)
    assert "found another" in refused(message(leaf, key_reference=KeyReference.BINARY_TOKEN), expected=authority)


@pytest.mark.parametrize("number", ["", "x", "1.5", "1" * 61])
def test_a_serial_number_that_is_none_is_refused(number: str) -> None:
    data = changed(message(), lambda root: setattr(one(root, ".//ds:X509SerialNumber"), "text", number))
    assert refused(data) == "X509SerialNumber: expected an integer"


@pytest.mark.parametrize("name", [f"{{{WSSE}}}KeyIdentifier", f"{{{WSSE}}}Embedded", f"{{{DS}}}KeyName"])
def test_other_ways_to_name_a_key_are_refused(name: str) -> None:
    def rename(root: Element) -> None:
        reference = one(root, ".//wsse:SecurityTokenReference")
        reference.remove(reference[0])
        etree.SubElement(reference, name).text = "x"

    assert refused(changed(message(), rename)) == "SecurityTokenReference: expected other elements"


def test_a_reference_that_names_nothing_is_refused() -> None:
    data = changed(message(), remove(".//ds:X509Data"))
    assert refused(data) == "SecurityTokenReference: expected a Reference or X509Data"


# replay


def test_the_same_message_has_the_same_replay_key() -> None:
    data = message(RSA)
    assert verified(data, expected=RSA).replay_key == verified(data, expected=RSA, now=NOW + 60).replay_key


def test_two_messages_of_the_same_moment_have_different_replay_keys() -> None:
    keys = {
        verified(RSA.sign(build_request(REQUEST), nonce=bytes([each]) * 16), expected=RSA).replay_key for each in (1, 2)
    }
    assert len(keys) == 2


def test_a_signature_that_is_spelt_anew_does_not_make_a_new_message() -> None:
    """To r and s belong r and order minus s, which everybody can calculate; Base64 has its own spellings."""
    data = message()

    def mirror(root: Element) -> None:
        value = one(root, ".//ds:SignatureValue")
        raw = b64decode(value.text or "")
        mirrored = P256_ORDER - int.from_bytes(raw[32:], "big")
        value.text = "\n" + b64encode(raw[:32] + mirrored.to_bytes(32, "big")).decode()

    mirrored = changed(data, mirror)
    assert text(one(etree.fromstring(mirrored), ".//ds:SignatureValue")) not in data.decode()
    assert verified(mirrored).replay_key == verified(data).replay_key


def test_unsigned_additions_do_not_make_a_new_message() -> None:
    data = message()
    added = changed(data, lambda root: etree.SubElement(one(root, "s:Header"), "{urn:x}Unsigned"))
    assert verified(added).replay_key == verified(data).replay_key


# what is no message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"<a/>",
        b'<Envelope xmlns="http://www.w3.org/2003/05/soap-envelope"/>',
        b"<!DOCTYPE a><a/>",
        b" " * (MAX_MESSAGE + 1),
    ],
)
def test_what_is_no_soap_message_breaks_the_schema(data: bytes) -> None:
    with pytest.raises(EIDServerError) as caught:
        verified(data)
    assert caught.value.minor == Minor.SCHEMA_VIOLATION


@given(st.data())
def test_whatever_is_changed_nothing_else_is_read(data: st.DataObject) -> None:
    """Some bytes elsewhere: refused as it should be, or as good as unchanged."""
    changed_message = bytearray(message(key_reference=KeyReference.BINARY_TOKEN))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(changed_message) - 1))
        piece = data.draw(st.sampled_from([b"", b"<", b">", b'"', b"&", b"/", b"\x00", b"\xff", b"a", b"1", b" "]))
        changed_message[position : position + 1] = piece
    with suppress(EIDServerError):
        assert parse_request(verified(bytes(changed_message))) == REQUEST


def test_messages_say_nothing_of_what_they_refuse() -> None:
    secret = "0badc0de"
    data = message().replace(b"00112233", secret.encode())
    assert secret not in refused(data)
