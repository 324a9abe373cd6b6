"""SecurityInfos: every kind comes back, other forms are kept or refused, and the two files must agree."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eac.conftest import mutations, truncations
from useid_middleware.eac.curves import BRAINPOOL_P256R1, BRAINPOOL_P384R1, P256, multiply
from useid_middleware.eac.errors import SecurityInfoError
from useid_middleware.eac.oids import OID, encode_oid
from useid_middleware.eac.security_info_parsing import parse_security_infos
from useid_middleware.eac.security_infos import (
    CardInfoLocator,
    ChipAuthenticationDomainParameterInfo,
    ChipAuthenticationInfo,
    ChipAuthenticationPublicKeyInfo,
    OtherInfo,
    PACEInfo,
    PrivilegedTerminalInfo,
    RestrictedIdentificationDomainParameterInfo,
    RestrictedIdentificationInfo,
    SecurityInfo,
    SecurityInfos,
    TerminalAuthenticationInfo,
    check_consistency,
    choose_chip_authentication,
    choose_pace,
)
from useid_middleware.eac.tlv import build, build_unsigned

PACE = PACEInfo(OID.PACE_ECDH_GM_AES_CBC_CMAC_128, parameter_id=13)
CA = ChipAuthenticationInfo(OID.CA_ECDH_AES_CBC_CMAC_128, key_id=1)
CA_KEY = ChipAuthenticationPublicKeyInfo(multiply(7, BRAINPOOL_P256R1.generator), key_id=1)
ALL: tuple[SecurityInfo, ...] = (
    PACE,
    CA,
    ChipAuthenticationDomainParameterInfo(13, key_id=1),
    CA_KEY,
    TerminalAuthenticationInfo(),
    RestrictedIdentificationInfo(OID.RI_ECDH_SHA_256, key_id=1, authorized_only=False, max_key_length=256),
    RestrictedIdentificationInfo(OID.RI_ECDH_SHA_256, key_id=2, authorized_only=True),
    RestrictedIdentificationDomainParameterInfo(13),
    CardInfoLocator("https://card.example/info"),
    PrivilegedTerminalInfo(SecurityInfos((replace(CA, key_id=2), ChipAuthenticationDomainParameterInfo(13, 2)))),
    OtherInfo(OID.EID_SECURITY, build(0x30, build(0x06, encode_oid(OID.EID_SECURITY)), build(0x04, b"digest"))),
)
EVERYTHING = SecurityInfos(ALL)

numbers = st.integers(0, 1 << 40)
maybe = st.none() | numbers
infos = st.one_of(
    st.builds(PACEInfo, st.sampled_from([PACE.protocol, OID.PACE_ECDH_GM_3DES_CBC_CBC]), numbers, maybe),
    st.builds(ChipAuthenticationInfo, st.just(CA.protocol), numbers, maybe),
    st.builds(ChipAuthenticationDomainParameterInfo, numbers, maybe),
    st.builds(TerminalAuthenticationInfo, numbers),
    st.builds(RestrictedIdentificationInfo, st.just(str(OID.RI_ECDH_SHA_1)), numbers, st.booleans(), numbers, maybe),
    st.builds(CardInfoLocator, st.text(st.characters(max_codepoint=127))),
)


def info(protocol: str, *parts: bytes) -> bytes:
    return build(0x30, build(0x06, encode_oid(protocol)), *parts)


def algorithm(protocol: str = OID.STANDARDIZED_DOMAIN_PARAMETERS, parameters: bytes = build_unsigned(13)) -> bytes:
    return info(protocol, parameters)


def encoded(item: SecurityInfo) -> bytes:
    return item.encode()


@given(st.lists(infos, max_size=6))
def test_every_built_set_comes_back(infos: list[SecurityInfo]) -> None:
    built = SecurityInfos(tuple(infos)).encode()
    parsed = parse_security_infos(built)
    assert list(parsed.infos) == sorted(infos, key=encoded)
    assert parsed.encode() == built


def test_every_kind_comes_back() -> None:
    parsed = parse_security_infos(EVERYTHING.encode())
    assert list(parsed.infos) == sorted(ALL, key=encoded)
    assert parsed.of(TerminalAuthenticationInfo) == (TerminalAuthenticationInfo(2),)
    assert len(parsed.of(RestrictedIdentificationInfo)) == 2


@given(st.binary(max_size=64) | mutations(EVERYTHING.encode(), *(build(0x31, item.encode()) for item in ALL)))
def test_bytes_are_security_infos_or_one_error(data: bytes) -> None:
    try:
        parsed = parse_security_infos(data)
    except SecurityInfoError:
        return
    assert parse_security_infos(parsed.encode()).encode() == parsed.encode()


def test_every_truncation_is_refused() -> None:
    for data in truncations(EVERYTHING.encode()):
        with pytest.raises(SecurityInfoError):
            parse_security_infos(data)


@pytest.mark.parametrize(
    "item",
    [
        info(OID.CA_ECDH, algorithm("1.2.840.10045.2.1", build(0x30))),
        info(OID.RI_ECDH, algorithm("1.2.840.10045.2.1", build(0x30))),
        info(OID.RI_ECDH, algorithm(), build_unsigned(1)),
        info(OID.PK_ECDH, build(0x30, algorithm("1.2.840.10045.2.1", build(0x30)), build(0x03, b"\0\4"))),
        info(OID.PK_ECDH, build(0x30, algorithm(parameters=build_unsigned(14)), build(0x03, b"\0\4"))),
        info(OID.TA, build_unsigned(1), build(0x30, build(0x04, b"\1\x1c"))),
        info(OID.CI, build(0x16, b"https://card.example"), build(0x30, build(0x04, b"\1\x1c"))),
        info(OID.CI, build(0x16, "https://kärte.example".encode())),
        info(OID.CI, build(0x0C, b"https://card.example")),
        info(OID.PT, build(0x30)),
        info(OID.PT, build(0x31), build_unsigned(1)),
        info("1.2.3", build(0x04)),
    ],
)
def test_forms_without_a_type_are_kept_as_they_are(item: bytes) -> None:
    (other,) = parse_security_infos(build(0x31, item)).infos
    assert isinstance(other, OtherInfo)
    assert other.encode() == item


POINT = CA_KEY.public.encode()


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (build(0x31), "expected a SEQUENCE"),
        (build(0x30), "expected a SEQUENCE"),
        (build(0x30, build(0x06, b"\x2a")), "expected a SEQUENCE"),
        (info("1.2.3", build(0x04), build(0x04), build(0x04)), "expected a SEQUENCE"),
        (build(0x30, build(0x04, b"\x2a"), build(0x04)), "OBJECT IDENTIFIER"),
        (build(0x30, build(0x06, b"\x80"), build(0x04)), "whole arcs"),
        (info(PACE.protocol, build(0x04, b"\2")), "INTEGER"),
        (info(PACE.protocol, build(0x02, b"\xff")), "INTEGER"),
        (info(PACE.protocol, build(0x02, b"\2"), build(0x04)), "INTEGER"),
        (info(OID.CA_ECDH, build_unsigned(13)), "AlgorithmIdentifier"),
        (info(OID.CA_ECDH, build(0x30, build_unsigned(13))), "AlgorithmIdentifier"),
        (info(OID.PK_ECDH, build(0x30, algorithm())), "expected 30 03"),
        (info(OID.PK_ECDH, build(0x30, algorithm(), build(0x03, b""))), "BIT STRING of whole bytes"),
        (info(OID.PK_ECDH, build(0x30, algorithm(), build(0x03, b"\1", POINT))), "BIT STRING of whole bytes"),
        (info(OID.PK_ECDH, build(0x30, algorithm(), build(0x03, b"\0", bytes(65)))), "expected 04"),
        (info(OID.PK_ECDH, build(0x30, algorithm(), build(0x03, b"\0", POINT[:-1] + b"\0"))), "on the curve"),
        (info(OID.RI_ECDH_SHA_256, build(0x30, build_unsigned(1), build_unsigned(1))), "expected 02 02 01"),
        (
            info(
                OID.RI_ECDH_SHA_256,
                build(0x30, build_unsigned(1), build_unsigned(1), build(0x01, b"\1")),
            ),
            "BOOLEAN",
        ),
    ],
)
def test_other_forms_than_the_protocol_prescribes_are_refused(item: bytes, reason: str) -> None:
    with pytest.raises(SecurityInfoError, match=reason):
        parse_security_infos(build(0x31, item))


def test_only_der_is_read() -> None:
    data = bytes.fromhex("318100")
    with pytest.raises(SecurityInfoError, match=r"SecurityInfos: .*DER"):
        parse_security_infos(data)
    assert parse_security_infos(bytes.fromhex("3100")).infos == ()


def test_the_first_offer_of_pace_that_can_be_run_is_taken() -> None:
    no_offers: tuple[SecurityInfo, ...] = (
        replace(PACE, version=1),
        replace(PACE, parameter_id=None),
        replace(PACE, parameter_id=14),
        replace(PACE, protocol=OID.PACE_ECDH_GM_3DES_CBC_CBC),
        CA,
    )
    with pytest.raises(SecurityInfoError, match="no such offer"):
        choose_pace(SecurityInfos(no_offers))
    other = PACEInfo(OID.PACE_ECDH_GM_AES_CBC_CMAC_256, parameter_id=16)
    assert choose_pace(SecurityInfos((*no_offers, PACE, other))) == (PACE, BRAINPOOL_P256R1)
    assert choose_pace(SecurityInfos((*no_offers, other, PACE))) == (other, BRAINPOOL_P384R1)


def test_the_first_offer_of_chip_authentication_with_its_key_is_taken() -> None:
    no_offers: tuple[SecurityInfo, ...] = (
        replace(CA, version=1),
        replace(CA, key_id=None),
        replace(CA, key_id=2),
        replace(CA, protocol=OID.CA_ECDH_3DES_CBC_CBC),
    )
    with pytest.raises(SecurityInfoError, match="no such pair"):
        choose_chip_authentication(SecurityInfos((*no_offers, CA_KEY)))
    with pytest.raises(SecurityInfoError, match="no such pair"):
        choose_chip_authentication(SecurityInfos((CA,)))
    assert choose_chip_authentication(SecurityInfos((*no_offers, CA_KEY, CA))) == (CA, CA_KEY)
    nameless = ChipAuthenticationPublicKeyInfo(multiply(7, P256.generator))
    assert choose_chip_authentication(SecurityInfos((*no_offers, CA_KEY, nameless))) == (no_offers[1], nameless)


def test_all_of_ef_cardaccess_must_be_signed_in_ef_cardsecurity() -> None:
    access = SecurityInfos((PACE, CA, *EVERYTHING.of(PrivilegedTerminalInfo)))
    signed = SecurityInfos((CA_KEY, CA, PACE))
    check_consistency(card_access=access, card_security=signed)
    for missing in (PACE, CA):
        less = SecurityInfos(tuple(item for item in signed.infos if item != missing))
        with pytest.raises(SecurityInfoError, match=type(missing).__name__):
            check_consistency(card_access=access, card_security=less)
    changed = SecurityInfos((replace(PACE, parameter_id=12), CA))
    with pytest.raises(SecurityInfoError, match=r"PACEInfo of EF\.CardAccess"):
        check_consistency(card_access=changed, card_security=signed)
