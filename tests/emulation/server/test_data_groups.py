"""Data groups as a card sends them: what a personality says comes back, and nothing malformed gets through."""

import zlib
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from useid_middleware.eac.tlv import build
from useid_middleware.eid.core.attributes import GeneralDate, Operation, PersonalData, Place, RestrictedID
from useid_middleware.emulation.card.data_groups import encode, encode_data_groups
from useid_middleware.emulation.card.library import personality_named, personality_of
from useid_middleware.emulation.server.data_groups import (
    MAX_DATA_GROUP,
    NUMBERS,
    DataGroupError,
    declared_size,
    is_on_chip,
    personal_data,
)


def _of(personality: str) -> PersonalData:
    groups = encode_data_groups(personality_named(personality))
    return personal_data({each: groups[number] for each, number in NUMBERS.items() if number in groups})


def test_erikas_card_says_who_she_is() -> None:
    assert _of("erika") == PersonalData(
        document_type="ID",
        issuing_state="D",
        date_of_expiry=date(2099, 10, 31),
        given_names="ERIKA",
        family_names="MUSTERMANN",
        artistic_name="LADY CONDOR",
        academic_title="DR.",
        date_of_birth=GeneralDate("19640812", date(1964, 8, 12)),
        place_of_birth=Place(freetext="BERLIN"),
        nationality="D",
        birth_name="GABLER",
        place_of_residence=Place(street="HEIDESTRAẞE 17", city="KÖLN", country="D", zip_code="51147"),
        community_id="02760503150000",
    )


def test_a_residence_permit_has_its_conditions_and_no_artistic_name() -> None:
    found = _of("residence-permit")
    assert found.residence_permit_i == "Aufenthaltserlaubnis § 18b AufenthG, Erwerbstätigkeit erlaubt"
    assert found.artistic_name is None
    assert (found.document_type, found.nationality) == ("AR", "TUR")


def test_a_day_of_birth_that_is_not_wholly_known_is_no_day() -> None:
    assert _of("no-academic-title").date_of_birth == GeneralDate("1990    ")


def test_a_pseudonym_is_data_too() -> None:
    pseudonym = RestrictedID(b"1", b"2")
    found = personal_data({}, restricted_id=pseudonym)
    assert found == PersonalData(restricted_id=pseudonym)
    assert is_on_chip(Operation.RESTRICTED_ID, found)
    assert not is_on_chip(Operation.GIVEN_NAMES, found)
    assert not is_on_chip(Operation.AGE_VERIFICATION, found)


def test_an_empty_file_and_an_empty_text_are_not_the_same() -> None:
    empty_text = encode(6, build(0x0C, b""))
    found = personal_data({Operation.ACADEMIC_TITLE: b"", Operation.ARTISTIC_NAME: empty_text})
    assert (found.academic_title, found.artistic_name) == (None, "")


def test_what_follows_the_data_object_in_a_file_is_padding() -> None:
    padded = encode(18, build(0x04, bytes.fromhex("027605"))) + bytes(12)
    assert personal_data({Operation.COMMUNITY_ID: padded}).community_id == "027605"


def test_places_come_in_three_forms_and_a_residence_in_a_fourth() -> None:
    structured = build(0x30, build(0xAB, build(0x0C, b"ULM")), build(0xAD, build(0x13, b"D")))
    several = build(0x31, structured)
    no_place = build(0xA2, build(0x0C, b"keine"))
    for value, expected in ((structured, Place(city="ULM", country="D")), (no_place, Place(no_place_info="keine"))):
        assert personal_data({Operation.PLACE_OF_BIRTH: encode(9, value)}).place_of_birth == expected
    found = personal_data({Operation.PLACE_OF_RESIDENCE: encode(17, several)})
    assert found.place_of_residence == Place(city="ULM", country="D")


def test_a_packed_text_is_unpacked() -> None:
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress("Erwerbstätigkeit".encode()) + packer.flush()
    content = encode(19, build(0xA2, build(0x04, packed)))
    assert personal_data({Operation.RESIDENCE_PERMIT_I: content}).residence_permit_i == "Erwerbstätigkeit"


def _packed(text: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return build(0xA2, build(0x04, packer.compress(text) + packer.flush()))


UTF8 = 0x0C
MALFORMED: dict[str, tuple[Operation, bytes]] = {
    "another data group": (Operation.GIVEN_NAMES, encode(5, build(UTF8, b"ERIKA"))),
    "no value": (Operation.GIVEN_NAMES, encode(4, b"")),
    "two values": (Operation.GIVEN_NAMES, encode(4, build(UTF8, b"A") + build(UTF8, b"B"))),
    "truncated": (Operation.GIVEN_NAMES, encode(4, build(UTF8, b"ERIKA"))[:-1]),
    "another type": (Operation.GIVEN_NAMES, encode(4, build(0x13, b"ERIKA"))),
    "no UTF-8": (Operation.GIVEN_NAMES, encode(4, build(UTF8, b"\xff\xfe"))),
    "a surrogate": (Operation.GIVEN_NAMES, encode(4, build(UTF8, b"\xed\xa0\x80"))),
    "a NUL, which XML cannot say": (Operation.GIVEN_NAMES, encode(4, build(UTF8, b"A\x00"))),
    "a noncharacter": (Operation.GIVEN_NAMES, encode(4, build(UTF8, "\uffff".encode()))),
    "no PrintableString": (Operation.NATIONALITY, encode(10, build(0x13, b"<D>"))),
    "no ASCII": (Operation.NATIONALITY, encode(10, build(0x13, b"\xc4"))),
    "half a date": (Operation.DATE_OF_EXPIRY, encode(3, build(0x12, b"2099    "))),
    "no day of the calendar": (Operation.DATE_OF_EXPIRY, encode(3, build(0x12, b"20990231"))),
    "year zero": (Operation.DATE_OF_BIRTH, encode(8, build(0x12, b"00000101"))),
    "letters for a date": (Operation.DATE_OF_BIRTH, encode(8, build(0x12, b"1964AUG1"))),
    "blanks in the middle of a date": (Operation.DATE_OF_BIRTH, encode(8, build(0x12, b"1964  12"))),
    "no place": (Operation.PLACE_OF_BIRTH, encode(9, build(UTF8, b"BERLIN"))),
    "an empty place": (Operation.PLACE_OF_BIRTH, encode(9, build(0x30))),
    "two cities": (
        Operation.PLACE_OF_BIRTH,
        encode(9, build(0x30, *(build(0xAB, build(UTF8, b"ULM")),) * 2, build(0xAD, build(0x13, b"D")))),
    ),
    "a country before the city": (
        Operation.PLACE_OF_BIRTH,
        encode(9, build(0x30, build(0xAD, build(0x13, b"D")), build(0xAB, build(UTF8, b"ULM")))),
    ),
    "an unknown part of a place": (Operation.PLACE_OF_BIRTH, encode(9, build(0x30, build(0xAF, b"")))),
    "no residence at all": (Operation.PLACE_OF_RESIDENCE, encode(17, build(0x31))),
    "an empty community": (Operation.COMMUNITY_ID, encode(18, build(0x04, b""))),
    "a permit in another form": (Operation.RESIDENCE_PERMIT_I, encode(19, build(UTF8, b"x"))),
    "a permit that does not unpack": (Operation.RESIDENCE_PERMIT_I, encode(19, build(0xA2, build(0x04, b"\xff")))),
    "a permit that unpacks without end": (Operation.RESIDENCE_PERMIT_I, encode(19, _packed(bytes(1 << 20)))),
    "a packed NUL": (Operation.RESIDENCE_PERMIT_I, encode(19, _packed(b"\x00"))),
    "a long text": (Operation.GIVEN_NAMES, encode(4, build(UTF8, b"A" * (MAX_DATA_GROUP + 1)))),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_data_group_that_does_not_parse_is_refused_and_not_quoted(name: str) -> None:
    operation, content = MALFORMED[name]
    with pytest.raises(DataGroupError) as caught:
        personal_data({operation: content})
    assert caught.value.code == "data_group_invalid"
    assert "ERIKA" not in caught.value.message


@given(content=st.binary(max_size=80), number=st.sampled_from(sorted(NUMBERS.values())))
def test_no_bytes_of_a_card_raise_anything_else(content: bytes, number: int) -> None:
    operation = next(each for each, its in NUMBERS.items() if its == number)
    for candidate in (content, encode(number, content)):
        with suppress(DataGroupError):
            declared_size(candidate)
            personal_data({operation: candidate})


def test_the_beginning_tells_how_long_the_file_is() -> None:
    for size in (0, 5, 0x7F, 0x80, 0xFF, 0x100, 2000):
        whole = encode(4, bytes(size))
        assert declared_size(whole[:5]) == len(whole)
    assert declared_size(b"") == 0


@pytest.mark.parametrize("beginning", ["64", "6480", "6483000001", "6484", "64821001", "6482FFFF", "6481"])
def test_a_length_that_cannot_be_is_refused(beginning: str) -> None:
    with pytest.raises(DataGroupError):
        declared_size(bytes.fromhex(beginning))


def test_a_users_own_card_with_raw_bytes_is_read_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        'title = "own"\n[holder]\ngiven_names = "A"\nfamily_names = "B"\ndate_of_birth = 2000-01-01\n'
        '[raw]\n5 = "65050C03FFFFFF"\n',
        encoding="utf-8",
    )
    groups = encode_data_groups(personality_of(str(path)))
    with pytest.raises(DataGroupError):
        personal_data({Operation.FAMILY_NAMES: groups[5]})
