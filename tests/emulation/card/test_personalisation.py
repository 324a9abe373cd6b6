"""Personalities: what users write, what the card makes of it, and what is refused with the key's name."""

from pathlib import Path

import pytest

from tests.emulation.card.world import card, pki
from useid_middleware.emulation.card.data_groups import DataGroup, encode_data_groups
from useid_middleware.emulation.card.library import DEFAULT, names, personality_named, personality_of
from useid_middleware.emulation.card.personalisation import PinState, parse_personality
from useid_middleware.emulation.card.security import TRIES
from useid_middleware.emulation.card.state import new_state
from useid_middleware.errors import ConfigurationError

MINIMAL = 'title = "T"\n[holder]\ngiven_names = "A"\nfamily_names = "B"\ndate_of_birth = 2000-01-31\n'


def groups(toml: str) -> dict[int, bytes]:
    return dict(encode_data_groups(parse_personality(toml)))


def test_the_smallest_personality_is_a_name_and_a_day_of_birth() -> None:
    found = groups(MINIMAL)
    assert sorted(found) == [1, 2, 3, 4, 5, 8, 9, 10, 15, 17]
    assert found[4] == b"\x64\x03\x0c\x01A"
    assert found[8] == b"\x68\x0a\x12\x0820000131"


def test_erikas_data_groups_are_encoded_as_the_technical_guidelines_say() -> None:
    found = encode_data_groups(personality_named("erika"))
    expected = {
        DataGroup.DOCUMENT_TYPE: "610413024944",
        DataGroup.ISSUING_STATE: "6203130144",
        DataGroup.DATE_OF_EXPIRY: "630a12083230393931303331",
        DataGroup.GIVEN_NAMES: "64070c054552494b41",
        DataGroup.FAMILY_NAMES: "650c0c0a4d55535445524d414e4e",
        DataGroup.DATE_OF_BIRTH: "680a12083139363430383132",
        DataGroup.PLACE_OF_BIRTH: "690aa1080c064245524c494e",
        DataGroup.NATIONALITY: "6a03130144",
        DataGroup.SEX: "6b03130146",
        DataGroup.BIRTH_NAME: "6d080c064741424c4552",
        DataGroup.COMMUNITY_ID: "7209040702760503150000",
        DataGroup.PLACE_OF_RESIDENCE: "712d302b"
        + "aa120c10" + "HEIDESTRAẞE 17".encode().hex()
        + "ab070c05" + "KÖLN".encode().hex()
        + "ad03130144"
        + "ae071305" + b"51147".hex(),
    }  # fmt: skip
    for number, content in expected.items():
        assert found[number].hex() == content, number


@pytest.mark.parametrize(
    ("lines", "number", "content"),
    [
        ('[place_of_residence]\nnone = "ohne"', 17, "7108a2060c046f686e65"),
        ('[place_of_residence]\ntext = "X"', 17, "7105a1030c0158"),
        ('[place_of_residence]\ncity = "X"\nstate = "Y"\ncountry = "F"', 17, "71113 00fab030c0158ac030c0159ad03130146"),
        ('[document]\nresidence_permit_1 = "P"', 19, "7305a1030c0150"),
        ('[document]\nresidence_permit_2 = "P"', 20, "7405a1030c0150"),
        ('[raw]\n12 = "6c00"', 12, "6c00"),
        ('[raw]\n4 = "64"', 4, "64"),
    ],
)
def test_everything_that_a_data_group_can_hold_can_be_said(lines: str, number: int, content: str) -> None:
    assert groups(MINIMAL + lines)[number].hex() == content.replace(" ", "")


@pytest.mark.parametrize(
    ("line", "number", "content"),
    [
        ('artistic_name = ""', 6, "66020c00"),
        ('phone_number = "+49 30 1"', 21, "750a13082b343920333020 31"),
        ('email_address = "a@b"', 22, "76051603614062"),
        ('sex = " "', 11, "6b03130120"),
    ],
)
def test_a_holder_has_what_the_file_says(line: str, number: int, content: str) -> None:
    assert groups(MINIMAL + line)[number].hex() == content.replace(" ", "")


def test_what_is_not_said_is_not_on_the_card() -> None:
    assert 6 not in encode_data_groups(personality_named("no-artistic-name"))
    assert 7 not in encode_data_groups(personality_named("no-academic-title"))
    assert {6, 7, 11} <= set(encode_data_groups(personality_named("erika")))


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("title", "not TOML"),
        ('title = "T"', "holder"),
        (MINIMAL + "surname = 1", "holder.surname"),
        (MINIMAL + "[document]\ntype = 1", "document.type"),
        (MINIMAL + '[document]\ntype = "IDX"', "document.type"),
        (MINIMAL + '[document]\ndate_of_expiry = "2030-01-01"', "document.date_of_expiry"),
        (MINIMAL + '[secrets]\npin = "12345"', "five digits"),
        (MINIMAL + '[secrets]\npin_state = "transport"', "five digits"),
        (MINIMAL + '[secrets]\npin_state = "lost"', "secrets.pin_state"),
        (MINIMAL + "[secrets]\npin_tries = 4", "secrets.pin_tries"),
        (MINIMAL + '[secrets]\npuk = "1"', "secrets.puk"),
        (MINIMAL + '[raw]\n23 = "00"', "raw"),
        (MINIMAL + '[raw]\n1 = "0"', "pairs of hex digits"),
        (MINIMAL + "[raw]\n1 = 0", "raw"),
        (MINIMAL.replace("2000-01-31", '"20000231"'), "holder.date_of_birth"),
        (MINIMAL.replace("2000-01-31", '"2000 1 1"'), "holder.date_of_birth"),
        (MINIMAL.replace('"A"', '""'), "holder.given_names"),
        ('community_id = "0"\n' + MINIMAL, "community_id"),
    ],
)
def test_what_no_card_can_hold_is_refused_by_its_name(toml: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        parse_personality(toml)


@pytest.mark.parametrize("digits", ["2000    ", "200002  ", "20000229"])
def test_a_day_of_birth_may_be_known_in_part(digits: str) -> None:
    assert groups(MINIMAL.replace("2000-01-31", f'"{digits}"'))[8].endswith(digits.encode())


def test_the_library_has_the_promised_personalities() -> None:
    assert names()[0] == DEFAULT
    assert set(names()) == {
        *("erika", "no-artistic-name", "no-academic-title", "residence-permit", "expired", "revoked"),
        *("pin-suspended", "pin-blocked", "transport-pin", "deactivated"),
    }
    for name in names():
        assert personality_of(name) == personality_named(name)


@pytest.mark.parametrize(
    ("name", "tries", "state"),
    [
        ("erika", 3, PinState.OPERATIONAL),
        ("pin-suspended", 1, PinState.OPERATIONAL),
        ("pin-blocked", 0, PinState.OPERATIONAL),
        ("transport-pin", 3, PinState.TRANSPORT),
        ("deactivated", 3, PinState.DEACTIVATED),
    ],
)
def test_a_new_card_is_in_the_state_that_its_personality_says(name: str, tries: int, state: PinState) -> None:
    personality = personality_named(name)
    made = new_state(personality, seed=bytes(32), trust=card().state.trust)
    assert TRIES[made.pin_status] == tries
    assert made.pin_active is (state is not PinState.DEACTIVATED)
    assert (len(made.pin) == 5) is (state is PinState.TRANSPORT)
    assert [each.reference for each in made.trust.points] == [each.reference for each in pki().trust_points]


def test_a_personality_of_ones_own_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "me.toml"
    path.write_text(MINIMAL)
    assert personality_of(str(path)) == parse_personality(MINIMAL)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "No such file"), (b"\xff\xfe", "UTF-8"), (b"#" * 70000, "too large"), (b"x = 1", "title")],
)
def test_a_file_that_is_no_personality_is_named(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "me.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=problem):
        personality_of(str(path))


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="one of erika, deactivated, expired"):
        personality_of("hans")
