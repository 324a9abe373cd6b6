"""The certificate description: DER there and back, tied to its certificate by a hash and to TLS servers by theirs."""

import shutil
import subprocess
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eac.conftest import mutations, truncations
from tests.eac.issuing import DV, TERMINAL, TERMINAL_CERTIFICATE
from useid_middleware.eac.authentication_errors import CertificateDescriptionError
from useid_middleware.eac.certificate_description import (
    CertificateDescription,
    DescriptionType,
    check_tls_certificate,
    description_extension,
    parse_description,
    verify_description,
)
from useid_middleware.eac.oids import OID, encode_oid
from useid_middleware.eac.tlv import build

FULL = CertificateDescription(
    description_type=DescriptionType.PLAIN,
    issuer_name="TEST Stelle für Zertifikate",
    issuer_url="https://issuer.example/a_b?c&d",
    subject_name="TEST Überweisungen",
    subject_url="https://service.example",
    terms_of_usage="Nur zum Prüfen".encode(),
    redirect_url="https://service.example/redirect",
    tls_hashes=(b"\1" * 32, b"\2" * 32),
)
SHORT = CertificateDescription(DescriptionType.PDF, "issuer", "subject", b"%PDF-1.7")
HTML = replace(SHORT, description_type=DescriptionType.HTML, terms_of_usage=b"<p>terms</p>")

texts = st.text(st.characters(codec="utf-8"), max_size=40)
urls = st.none() | st.text(st.characters(codec="ascii"), max_size=40)
descriptions = st.builds(
    CertificateDescription,
    st.just(DescriptionType.PLAIN),
    texts,
    texts,
    texts.map(str.encode),
    urls,
    urls,
    urls,
    st.lists(st.binary(min_size=32, max_size=32), max_size=3).map(sorted).map(tuple),
)


@given(descriptions)
def test_every_description_comes_back(description: CertificateDescription) -> None:
    assert parse_description(description.encode()) == description


@pytest.mark.parametrize(("description", "text"), [(FULL, "Nur zum Prüfen"), (HTML, "<p>terms</p>"), (SHORT, None)])
def test_terms_are_text_or_a_document(description: CertificateDescription, text: str | None) -> None:
    assert parse_description(description.encode()).text == text


def test_hashes_are_sorted_as_der_asks() -> None:
    turned = replace(FULL, tls_hashes=FULL.tls_hashes[::-1])
    assert turned.encode() == FULL.encode()


def test_the_encoding_is_that_of_the_standard() -> None:
    assert SHORT.encode() == bytes.fromhex(
        "302d060a04007f00070301030103a1080c06697373756572a3090c077375626a656374a50a0408255044462d312e37"
    )


@given(st.binary(max_size=40) | mutations(FULL.encode(), SHORT.encode(), HTML.encode()))
def test_bytes_are_a_description_or_one_error(data: bytes) -> None:
    try:
        description = parse_description(data)
    except CertificateDescriptionError:
        return
    assert parse_description(description.encode()) == replace(
        description, tls_hashes=tuple(sorted(description.tls_hashes, key=lambda each: (len(each), each)))
    )


def test_every_truncation_is_refused() -> None:
    for data in truncations(FULL.encode()):
        with pytest.raises(CertificateDescriptionError):
            parse_description(data)


TYPE = build(0x06, encode_oid(OID.DESCRIPTION_PLAIN_FORMAT))
ISSUER = build(0xA1, build(0x0C, b"i"))
SUBJECT = build(0xA3, build(0x0C, b"s"))
TERMS = build(0xA5, build(0x0C, b"t"))


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([], "its type first"),
        ([ISSUER, SUBJECT, TERMS], "its type first"),
        ([TYPE, SUBJECT, TERMS], r"expected \[1\], \[3\], \[5\]"),
        ([TYPE, ISSUER, SUBJECT], r"expected \[1\], \[3\], \[5\]"),
        ([TYPE, SUBJECT, ISSUER, TERMS], "in order"),
        ([TYPE, ISSUER, ISSUER, SUBJECT, TERMS], "in order"),
        ([TYPE, ISSUER, SUBJECT, TERMS, build(0xA8)], "in order"),
        ([build(0x06, encode_oid(OID.TA)), ISSUER, SUBJECT, TERMS], "known type"),
        ([build(0x06, b"\x80"), ISSUER, SUBJECT, TERMS], "whole arcs"),
        ([TYPE, build(0xA1, build(0x13, b"i")), SUBJECT, TERMS], "expected 0C, found 13"),
        ([TYPE, build(0xA1, build(0x0C, b"\xff")), SUBJECT, TERMS], "text in utf-8"),
        ([TYPE, ISSUER, build(0xA2, build(0x13, b"\xc3\xa4")), SUBJECT, TERMS], "text in ascii"),
        ([TYPE, ISSUER, SUBJECT, build(0xA5, build(0x16, b"t"))], "expected 0C, found 16"),
        ([TYPE, ISSUER, SUBJECT, build(0xA5, build(0x0C, b"\xff"))], "text in utf-8"),
        ([TYPE, ISSUER, SUBJECT, TERMS, build(0xA7, build(0x30))], "expected 31, found 30"),
        ([TYPE, ISSUER, SUBJECT, TERMS, build(0xA7, build(0x31, build(0x0C)))], "set of octet strings"),
    ],
)
def test_what_is_no_description_is_refused(members: list[bytes], reason: str) -> None:
    with pytest.raises(CertificateDescriptionError, match=reason) as refusal:
        parse_description(build(0x30, *members))
    assert refusal.value.code == "certificate_description_invalid"


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        (replace(FULL, subject_url="https://überweisung.example"), "text in ascii"),
        (replace(FULL, terms_of_usage=b"\xff"), "text in utf-8"),
        (replace(HTML, terms_of_usage="ü".encode()), "text in ascii"),
    ],
)
def test_what_der_cannot_say_is_not_built(description: CertificateDescription, reason: str) -> None:
    with pytest.raises(CertificateDescriptionError, match=reason):
        description.encode()


def test_a_description_belongs_to_the_certificate_with_its_hash() -> None:
    data = FULL.encode()
    certificate = DV.issue(replace(TERMINAL, extensions=(description_extension(data),)))
    assert certificate.description_hash == sha256(data).digest()
    assert verify_description(data, certificate=certificate) == FULL
    for other, holder in ((SHORT.encode(), certificate), (data, TERMINAL_CERTIFICATE)):
        with pytest.raises(CertificateDescriptionError, match="whose hash the certificate has"):
            verify_description(other, certificate=holder)


def test_a_tls_certificate_must_be_named() -> None:
    description = replace(FULL, tls_hashes=(sha256(b"certificate").digest(),))
    check_tls_certificate(description, der=b"certificate")
    for other in (replace(description, tls_hashes=()), FULL):
        with pytest.raises(CertificateDescriptionError, match="TLS certificate"):
            check_tls_certificate(other, der=b"certificate")


def test_another_program_reads_our_description(tmp_path: Path) -> None:
    program = shutil.which("cvc-print")
    if program is None:
        pytest.skip("cvc-print is not installed (Debian: openpace)")
    data = FULL.encode()
    (tmp_path / "description").write_bytes(data)
    certificate = DV.issue(replace(TERMINAL, extensions=(description_extension(data),)))
    (tmp_path / "certificate").write_bytes(certificate.encode())
    command = [program, f"--cvc={tmp_path / 'certificate'}", f"--description={tmp_path / 'description'}"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
    for text in (FULL.issuer_name, FULL.subject_name, FULL.subject_url, FULL.text, FULL.redirect_url):
        assert str(text) in found
    assert "doesn't match" not in found
