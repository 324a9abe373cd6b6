"""Auxiliary data: three questions, signed by the terminal and answered by the chip with yes or no."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eac.conftest import mutations, truncations
from useid_middleware.eac.apdu import Command, Response
from useid_middleware.eac.authentication_errors import AuxiliaryDataError
from useid_middleware.eac.auxiliary_data import (
    AuxiliaryData,
    Facts,
    answer,
    latest_birth,
    parse_auxiliary_data,
    question_in,
    verify,
)
from useid_middleware.eac.errors import StatusWordError
from useid_middleware.eac.exchange import run
from useid_middleware.eac.oids import OID, encode_oid
from useid_middleware.eac.tlv import build

BERLIN = bytes.fromhex("02760011000000")
FULL = AuxiliaryData(born_by=date(2008, 3, 1), valid_on=date(2026, 3, 1), community_id=BERLIN)
FACTS = Facts(date_of_birth=date(2008, 3, 1), date_of_expiry=date(2026, 3, 1), community_id=BERLIN)
AGE, VALIDITY, COMMUNITY = OID.AUXILIARY_DATE_OF_BIRTH, OID.AUXILIARY_DATE_OF_EXPIRY, OID.AUXILIARY_COMMUNITY_ID

questions = st.builds(
    AuxiliaryData,
    st.none() | st.dates(date(1, 1, 1)),
    st.none() | st.dates(date(1, 1, 1)),
    st.none() | st.binary(min_size=1, max_size=8),
)


def template(question: str, argument: bytes) -> bytes:
    return build(0x73, build(0x06, encode_oid(question)), build(0x53, argument))


def test_the_encoding_is_that_of_the_standard() -> None:
    assert AuxiliaryData(born_by=date(2008, 3, 1)).encode() == build(0x67, template(AGE, b"20080301"))
    assert FULL.encode() == build(
        0x67, template(AGE, b"20080301"), template(VALIDITY, b"20260301"), template(COMMUNITY, BERLIN)
    )
    assert AuxiliaryData().encode() == b""


@given(questions)
def test_all_questions_come_back(asked: AuxiliaryData) -> None:
    assert parse_auxiliary_data(asked.encode()) == asked


@given(st.binary(max_size=40) | mutations(FULL.encode()))
def test_bytes_are_auxiliary_data_or_one_error(data: bytes) -> None:
    try:
        asked = parse_auxiliary_data(data)
    except AuxiliaryDataError:
        return
    assert parse_auxiliary_data(asked.encode()) == asked


def test_every_truncation_is_refused() -> None:
    for data in truncations(FULL.encode()):
        if data:
            with pytest.raises(AuxiliaryDataError):
                parse_auxiliary_data(data)


def test_questions_of_another_kind_are_left_out() -> None:
    assert parse_auxiliary_data(build(0x67, template(OID.TA, b"?"))) == AuxiliaryData()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (build(0x66), "expected 67"),
        (build(0x67, build(0x74)), "expected templates"),
        (build(0x67, build(0x73)), "expected 06 53"),
        (build(0x67, template(AGE, b"20080301") * 2), "each question once"),
        (build(0x67, template(AGE, b"2008031")), "YYYYMMDD"),
        (build(0x67, template(AGE, b"2008-3-1")), "YYYYMMDD"),
        (build(0x67, template(AGE, b"20080230")), "YYYYMMDD"),
        (build(0x67, template(VALIDITY, b"00000101")), "YYYYMMDD"),
        (build(0x67, template(AGE, "２００８".encode()[:8])), "YYYYMMDD"),
        (build(0x67, template(COMMUNITY, b"")), "at least one byte"),
        (build(0x67, build(0x73, build(0x06, b"\x80"), build(0x53))), "whole arcs"),
    ],
)
def test_what_is_no_auxiliary_data_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(AuxiliaryDataError, match=reason) as refusal:
        parse_auxiliary_data(data)
    assert refusal.value.code == "auxiliary_data_invalid"


@pytest.mark.parametrize(
    ("question", "asked", "yes"),
    [
        (AGE, AuxiliaryData(born_by=date(2008, 3, 1)), True),
        (AGE, AuxiliaryData(born_by=date(2008, 3, 2)), True),
        (AGE, AuxiliaryData(born_by=date(2008, 2, 29)), False),
        (VALIDITY, AuxiliaryData(valid_on=date(2026, 3, 1)), True),
        (VALIDITY, AuxiliaryData(valid_on=date(2026, 2, 28)), True),
        (VALIDITY, AuxiliaryData(valid_on=date(2026, 3, 2)), False),
        (COMMUNITY, AuxiliaryData(community_id=BERLIN), True),
        (COMMUNITY, AuxiliaryData(community_id=BERLIN[:2]), True),
        (COMMUNITY, AuxiliaryData(community_id=BERLIN[:2] + b"\1"), False),
        (COMMUNITY, AuxiliaryData(community_id=BERLIN + b"\0"), False),
    ],
)
def test_the_chip_answers_yes_or_no(question: str, asked: AuxiliaryData, yes: bool) -> None:
    assert answer(question, asked=asked, facts=FACTS) is yes


@pytest.mark.parametrize(
    ("question", "asked", "facts"),
    [
        (AGE, AuxiliaryData(valid_on=date(2026, 1, 1)), FACTS),
        (VALIDITY, AuxiliaryData(born_by=date(2026, 1, 1)), FACTS),
        (COMMUNITY, AuxiliaryData(), FACTS),
        (COMMUNITY, FULL, Facts(date(2008, 3, 1), date(2026, 3, 1))),
        (OID.TA, FULL, FACTS),
    ],
)
def test_the_chip_answers_what_was_asked_and_what_it_knows(question: str, asked: AuxiliaryData, facts: Facts) -> None:
    with pytest.raises(AuxiliaryDataError, match="that the chip can answer"):
        answer(question, asked=asked, facts=facts)


@pytest.mark.parametrize(
    ("age", "today", "latest"),
    [
        (18, date(2026, 3, 1), date(2008, 3, 1)),
        (18, date(2026, 2, 28), date(2008, 2, 28)),
        (18, date(2028, 2, 29), date(2010, 2, 28)),
        (16, date(2028, 2, 29), date(2012, 2, 29)),
        (0, date(2026, 3, 1), date(2026, 3, 1)),
    ],
)
def test_the_latest_day_of_birth_of_an_age(age: int, today: date, latest: date) -> None:
    assert latest_birth(age=age, today=today) == latest


@pytest.mark.parametrize("age", [-1, 2026])
def test_an_age_nobody_has_is_refused(age: int) -> None:
    with pytest.raises(AuxiliaryDataError, match="age"):
        latest_birth(age=age, today=date(2026, 3, 1))


@pytest.mark.parametrize(("sw", "yes"), [(0x9000, True), (0x6300, False)])
def test_the_terminal_asks_by_the_questions_name(sw: int, yes: bool) -> None:
    sent: list[bytes] = []

    def transmit(apdu: bytes) -> bytes:
        sent.append(apdu)
        return Response(b"", sw).encode()

    assert run(verify(AGE), transmit) is yes
    assert sent == [bytes.fromhex("802080000b060904007f000703010401")]
    assert question_in(Command.decode(sent[0]).data) == AGE


def test_a_chip_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(StatusWordError, match="expected 9000 or 6300, found 6A88") as refusal:
        run(verify(AGE), lambda apdu: b"\x6a\x88")
    assert refusal.value.status_word == 0x6A88


@pytest.mark.parametrize("data", [b"", b"\x06\x00", b"\x53\x00", build(0x06, b"\x80"), build(0x06, b"\1") * 2])
def test_a_question_without_a_name_is_refused(data: bytes) -> None:
    with pytest.raises(AuxiliaryDataError, match="VERIFY"):
        question_in(data)
