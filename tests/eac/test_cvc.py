"""CV certificates: the worked example byte for byte, what we build, what others read, and everything that is none."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1
from hypothesis import example as given_example
from hypothesis import given
from hypothesis import strategies as st

from tests.eac.conftest import WorkedExample, mutations, truncations
from tests.eac.issuing import CURVE, CVCA, DV, DV_CERTIFICATE, ROOT, TERMINAL, TERMINAL_CERTIFICATE, Party
from useid_middleware.eac.authentication_errors import CertificateError, CertificateSignatureError
from useid_middleware.eac.chat import Role, TerminalType
from useid_middleware.eac.curves import (
    BRAINPOOL_P384R1,
    BRAINPOOL_P512R1,
    P224,
    P256,
    P384,
    P521,
    Curve,
    key_pair,
    private_key,
)
from useid_middleware.eac.cvc import (
    Certificate,
    CertificateKey,
    Extension,
    VerificationKey,
    ecdsa_signer,
    encode_point,
    parse_certificate,
    parse_signed,
    sign_certificate,
)
from useid_middleware.eac.oids import OID, encode_oid
from useid_middleware.eac.tlv import TLV, build, parse

HASHED = Extension(OID.EXTENSION_DESCRIPTION, ((0x80, bytes(32)),))
SECTORS = Extension(OID.EXTENSION_TERMINAL_SECTOR, ((0x80, b"1" * 32), (0x81, b"2" * 32)))
EXTENDED = DV.issue(replace(TERMINAL, extensions=(HASHED, SECTORS)))


@pytest.mark.parametrize("name", ["cvca_cert", "dv_cert", "ta_cert"])
def test_the_worked_examples_certificates_come_back_byte_for_byte(example: WorkedExample, name: str) -> None:
    certificate = parse_certificate(example[name])
    assert certificate.says.encode() == certificate.body
    assert certificate.encode() == example[name]
    assert parse_signed(certificate.signed) == certificate


def test_the_worked_examples_certificates_say_what_they_say(example: WorkedExample) -> None:
    cvca, dv, terminal = (parse_certificate(example[name]) for name in ("cvca_cert", "dv_cert", "ta_cert"))
    assert cvca.self_signed
    assert cvca.says.key.curve is BRAINPOOL_P512R1
    assert cvca.says.chat.terminal_type is TerminalType.INSPECTION_SYSTEM
    assert (cvca.says.effective, cvca.says.expiration) == (date(2010, 9, 30), date(2011, 9, 25))
    assert not dv.self_signed
    assert (dv.says.authority_reference, dv.says.holder_reference) == (b"DECVCAAT00001", b"DETESTDVDE019")
    assert dv.says.chat.role is Role.DV_OFFICIAL
    assert (dv.says.key.protocol, dv.says.key.curve) == (OID.TA_ECDSA_SHA_512, None)
    assert terminal.says.chat.names == ("CAN_ALLOWED", "READ_DG1")
    assert terminal.description_hash is None
    assert terminal.sector_hashes == (None, None)


def test_the_worked_examples_signatures_verify_down_to_the_terminal(example: WorkedExample) -> None:
    cvca, dv, terminal = (parse_certificate(example[name]) for name in ("cvca_cert", "dv_cert", "ta_cert"))
    root = cvca.says.key.on(BRAINPOOL_P512R1)
    for certificate in (cvca, dv):
        root.verify(certificate.signature, certificate.body)
    dv.says.key.on(BRAINPOOL_P512R1).verify(terminal.signature, terminal.body)
    with pytest.raises(CertificateSignatureError):
        root.verify(terminal.signature, terminal.body)


@pytest.mark.parametrize(
    ("curve", "protocol"),
    [
        (P224, OID.TA_ECDSA_SHA_224),
        (P256, OID.TA_ECDSA_SHA_256),
        (CURVE, OID.TA_ECDSA_SHA_256),
        (P384, OID.TA_ECDSA_SHA_384),
        (BRAINPOOL_P384R1, OID.TA_ECDSA_SHA_512),
        (P521, OID.TA_ECDSA_SHA_512),
    ],
)
def test_certificates_are_built_and_read_on_every_curve(curve: Curve, protocol: str) -> None:
    party = replace(CVCA, curve=curve, protocol=protocol)
    certificate = party.issue(party)
    assert parse_certificate(certificate.encode()) == certificate
    assert len(certificate.signature) == 2 * curve.order_size
    key = certificate.says.key.on(curve)
    key.verify(certificate.signature, certificate.body)
    for changed in (certificate.signature[:-1] + b"\0\0", certificate.signature[:-1], b""):
        with pytest.raises(CertificateSignatureError) as refusal:
            key.verify(changed, certificate.body)
        assert refusal.value.code == "certificate_signature_invalid"
    with pytest.raises(CertificateSignatureError, match="does not verify"):
        key.verify(bytes(2 * curve.order_size), certificate.body)
    with pytest.raises(CertificateSignatureError, match="does not verify"):
        key.verify(certificate.signature, certificate.body + b"\0")


def test_old_signatures_with_sha_1_verify() -> None:
    signature = private_key(CURVE, 7).sign(b"data", ec.ECDSA(SHA1()))
    plain = b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))
    key = VerificationKey(OID.TA_ECDSA_SHA_1, key_pair(7, generator=CURVE.generator).public)
    key.verify(plain, b"data")
    with pytest.raises(CertificateSignatureError):
        key.verify(plain, b"other")


def test_signatures_are_deterministic() -> None:
    assert CVCA.issue(DV) == DV_CERTIFICATE
    assert CVCA.issue(replace(DV, private=1)).signature != DV_CERTIFICATE.signature


def test_extensions_come_back() -> None:
    found = parse_certificate(EXTENDED.encode())
    assert found == EXTENDED
    assert found.description_hash == bytes(32)
    assert found.sector_hashes == (b"1" * 32, b"2" * 32)
    assert found.extension(OID.TA) == {}


parties = st.builds(
    Party,
    st.binary(min_size=7, max_size=16),
    st.sampled_from(Role),
    st.integers(1, CURVE.n - 1),
    rights=st.integers(0, (1 << 38) - 1),
    effective=st.dates(date(2000, 1, 1), date(2049, 12, 31)),
    expiration=st.dates(date(2050, 1, 1), date(2099, 12, 31)),
    extensions=st.sampled_from([(), (HASHED,), (HASHED, SECTORS)]),
)


@given(parties)
def test_every_certificate_comes_back(party: Party) -> None:
    certificate = sign_certificate(party.says(b"DETESTCVCA00001"), sign=lambda body: b"signature")
    assert parse_certificate(certificate.encode()) == certificate
    assert certificate.says == party.says(b"DETESTCVCA00001")


@given(st.binary(max_size=60) | mutations(ROOT.encode(), EXTENDED.encode()))
@given_example(b"")
def test_bytes_are_a_certificate_or_one_error(data: bytes) -> None:
    try:
        certificate = parse_certificate(data)
    except CertificateError:
        return
    assert certificate.encode() == data


def test_every_truncation_is_refused() -> None:
    for data in truncations(TERMINAL_CERTIFICATE.encode()):
        with pytest.raises(CertificateError):
            parse_certificate(data)


def changed(certificate: Certificate, tag: int, new: bytes) -> bytes:
    """The certificate with another object, or none, in the place of a member of its body."""
    body = parse(certificate.body)
    members = (new if item.tag == tag else item.encoded for item in body.children)
    return build(0x7F21, build(0x7F4E, *members), build(0x5F37, certificate.signature))


def with_key(change: Callable[[tuple[TLV, ...]], list[bytes]]) -> bytes:
    """The CVCA's certificate with another public key."""
    key = parse(ROOT.body).child(0x7F49)
    return changed(ROOT, 0x7F49, build(0x7F49, *change(key.children)))


def replaced(tag: int, value: bytes) -> bytes:
    return with_key(lambda items: [build(tag, value) if item.tag == tag else item.encoded for item in items])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (build(0x7F21), "expected a body"),
        (build(0x7F21, TERMINAL_CERTIFICATE.body), "expected a body"),
        (build(0x7F22, TERMINAL_CERTIFICATE.signed), "expected 7F21"),
        (build(0x7F21, TERMINAL_CERTIFICATE.signed) + b"\x04\0", "expected one data object"),
        (changed(ROOT, 0x5F29, build(0x5F29, b"\1")), "version 1"),
        (changed(ROOT, 0x5F29, b""), "expected 5F29 42"),
        (changed(ROOT, 0x42, build(0x42, b"DETEST")), "42: expected a reference of 7 to 16 bytes, found 6"),
        (changed(ROOT, 0x5F20, build(0x5F20, b"D" * 17)), "5F20: expected a reference of 7 to 16 bytes, found 17"),
        (changed(ROOT, 0x7F4C, build(0x7F4C)), "expected 06 53"),
        (changed(ROOT, 0x5F25, build(0x5F25, bytes(5))), "5F25: expected a date of six digits"),
        (changed(ROOT, 0x5F25, build(0x5F25, bytes([2, 10, 0, 1, 0, 1]))), "5F25: expected a date of six digits"),
        (changed(ROOT, 0x5F24, build(0x5F24, bytes([2, 6, 0, 2, 3, 0]))), "5F24: expected a day of the calendar"),
        (changed(ROOT, 0x5F24, build(0x5F24, bytes([2, 5, 1, 2, 3, 1]))), "expiration date not before"),
        (changed(ROOT, 0x5F24, build(0x5F25, bytes([2, 6, 1, 2, 3, 1]))), "expected 5F29 42"),
        (changed(EXTENDED, 0x65, build(0x66)), "expected 5F29 42"),
        (changed(EXTENDED, 0x65, build(0x65, build(0x30))), "templates"),
        (changed(EXTENDED, 0x65, build(0x65, build(0x73))), "templates"),
        (changed(EXTENDED, 0x65, build(0x65, build(0x73, build(0x80, b"")))), "templates"),
        (changed(EXTENDED, 0x65, build(0x65, build(0x73, build(0x06, b"\x80")))), "whole arcs"),
        (
            changed(EXTENDED, 0x65, build(0x65, build(0x73, build(0x06, b"\1"), build(0x80), build(0x80)))),
            "each data object once",
        ),
        (with_key(lambda items: [item.encoded for item in items[:-1]]), "06 and 86, or 06 and 81 to 87"),
        (with_key(lambda items: [item.encoded for item in reversed(items)]), "06 and 86, or 06 and 81 to 87"),
        (with_key(lambda items: []), "06 and 86, or 06 and 81 to 87"),
        (replaced(0x06, encode_oid(OID.TA_RSA_PSS_SHA_256)), "expected a TA-ECDSA protocol"),
        (replaced(0x06, encode_oid(OID.PK_ECDH)), "expected a TA-ECDSA protocol"),
        (replaced(0x81, (CURVE.p - 2).to_bytes(32, "big")), "domain parameters of a known curve"),
        (replaced(0x82, (CURVE.a + 1).to_bytes(32, "big")), "domain parameters of a known curve"),
        (replaced(0x84, key_pair(2, generator=CURVE.generator).public.encode()), "domain parameters of a known curve"),
        (replaced(0x85, (CURVE.n + 2).to_bytes(32, "big")), "domain parameters of a known curve"),
        (replaced(0x86, b"\4" + bytes(64)), "expected a point on the curve"),
        (replaced(0x86, b"\0"), "expected 04"),
        (replaced(0x87, b"\2"), "domain parameters of a known curve"),
    ],
)
def test_what_is_no_certificate_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(CertificateError, match=reason) as refusal:
        parse_certificate(data)
    assert refusal.value.code == "certificate_invalid"


def test_lengths_that_are_not_minimal_are_refused() -> None:
    data = build(0x7F4E, bytes(10))
    with pytest.raises(CertificateError, match="shortest form"):
        parse_signed(data[:2] + b"\x81" + data[2:])


def test_a_date_that_six_digits_cannot_say_is_refused() -> None:
    with pytest.raises(CertificateError, match="dates from 2000 to 2099"):
        CVCA.issue(replace(CVCA, effective=date(2026, 1, 1), expiration=date(2126, 1, 1)))


def test_a_point_without_curve_is_checked_where_the_curve_is_known() -> None:
    key = CertificateKey(OID.TA_ECDSA_SHA_256, b"\4" + bytes(64))
    with pytest.raises(CertificateError, match="public key: brainpoolP256r1: expected a point on the curve"):
        key.on(CURVE)
    with pytest.raises(CertificateError, match="public key: P-384: expected 04"):
        CertificateKey(OID.TA_ECDSA_SHA_256, DV_CERTIFICATE.says.key.point).on(P384)


def test_only_ecdsa_signs() -> None:
    with pytest.raises(CertificateError, match="TA-ECDSA"):
        ecdsa_signer(1, curve=CURVE, protocol=OID.TA_RSA_V1_5_SHA_256)


def test_a_public_key_data_object_can_have_another_tag() -> None:
    public = key_pair(3, generator=CURVE.generator).public
    data = encode_point(OID.RI_ECDH_SHA_256, public, tag=0xA0)
    assert parse(data).value == parse(encode_point(OID.RI_ECDH_SHA_256, public), tag=0x7F49).value
    assert parse(data, tag=0xA0).child(0x86).value == public.encode()


@pytest.fixture(scope="module")
def cvc_print() -> str:
    """Debian's ``openpace``, an independent reader."""
    program = shutil.which("cvc-print")
    if program is None:
        pytest.skip("cvc-print is not installed (Debian: openpace)")
    return program


# The other program looks at the clock.
LONG_CVCA, LONG_DV = (replace(party, expiration=date(2099, 12, 31)) for party in (CVCA, DV))
LONG_TERMINAL = replace(TERMINAL, expiration=date(2099, 12, 31), extensions=(HASHED, SECTORS))


def test_another_program_reads_and_verifies_our_certificates(cvc_print: str, tmp_path: Path) -> None:
    certificates = (LONG_CVCA.issue(LONG_CVCA), LONG_CVCA.issue(LONG_DV), LONG_DV.issue(LONG_TERMINAL))
    for certificate in certificates:
        (tmp_path / certificate.says.holder_reference.decode()).write_bytes(certificate.encode())
    for certificate, role in zip(certificates, ("CVCA", "DV", "Terminal"), strict=True):
        says = certificate.says
        command = [cvc_print, f"--cvc={tmp_path / says.holder_reference.decode()}", f"--cvc-dir={tmp_path}"]
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        assert f"CAR: {says.authority_reference.decode()}" in found
        assert f"CHR: {says.holder_reference.decode()}" in found
        assert f"{role} certificate" in found
        assert all(right in found for right in ("Age Verification", "Read DG 4 ", "Read DG 5 "))
        assert "Read DG 6" not in found
        assert f"Effective Date: {says.effective}" in found
        assert f"Expiration Date: {says.expiration}" in found
        assert "certificate verified" in found


def test_another_program_does_not_verify_a_certificate_of_another_key(cvc_print: str, tmp_path: Path) -> None:
    for certificate in (LONG_CVCA.issue(LONG_CVCA), replace(LONG_CVCA, private=1).issue(LONG_DV)):
        (tmp_path / certificate.says.holder_reference.decode()).write_bytes(certificate.encode())
    command = [cvc_print, f"--cvc={tmp_path / DV.name.decode()}", f"--cvc-dir={tmp_path}"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
    assert "certificate not verified" in found
