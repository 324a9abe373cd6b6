"""From the settings to the question, and from the eID server's answer to who logged in."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from useid_middleware.eid.core.attributes import (
    DATA,
    MEMBERS,
    EIDResult,
    GeneralDate,
    Operation,
    Outcome,
    PersonalData,
    Place,
    RestrictedID,
    UseIDRequest,
    Wish,
)
from useid_middleware.eid.core.identity import RequirementsNotMet, identity_of, person_of, use_id_request
from useid_middleware.eid.core.results import Minor
from useid_middleware.eid.core.session import Mode, Reason
from useid_middleware.errors import EIDServerError
from useid_middleware.identity import Level
from useid_middleware.settings import EIDSettings

PSEUDONYM = bytes(range(32))
EVERYTHING = PersonalData(
    document_type="ID",
    issuing_state="D",
    date_of_expiry=date(2029, 10, 31),
    given_names="ERIKA",
    family_names="MUSTERMANN",
    artistic_name="Lady Condor",
    academic_title="Dr. h. c.",
    date_of_birth=GeneralDate("19640812", date(1964, 8, 12)),
    place_of_birth=Place(freetext="BERLIN"),
    nationality="D",
    birth_name="GABLER",
    place_of_residence=Place(street="HEIDESTRASSE 17", city="KÖLN", country="D", zip_code="51147"),
    community_id="02760503150000",
    residence_permit_i="NEBENBESTIMMUNG I",
    restricted_id=RestrictedID(PSEUDONYM),
)
#: What becomes of each datum: plain values, as JSON has them.
PLAIN: dict[str, object] = {
    "DocumentType": "ID",
    "IssuingState": "D",
    "DateOfExpiry": "2029-10-31",
    "GivenNames": "ERIKA",
    "FamilyNames": "MUSTERMANN",
    "ArtisticName": "Lady Condor",
    "AcademicTitle": "Dr. h. c.",
    "DateOfBirth": "1964-08-12",
    "PlaceOfBirth": {"freetext": "BERLIN"},
    "Nationality": "D",
    "BirthName": "GABLER",
    "PlaceOfResidence": {"street": "HEIDESTRASSE 17", "city": "KÖLN", "country": "D", "zip_code": "51147"},
    "CommunityID": "02760503150000",
    "ResidencePermitI": "NEBENBESTIMMUNG I",
}


def asking(**values: Any) -> UseIDRequest:
    """What is asked with these settings; ``required`` are further data."""
    required = ("RestrictedID", *values.pop("required", ()))
    return use_id_request(EIDSettings(required=required, **values))


def result(data: PersonalData = EVERYTHING, **values: Any) -> EIDResult:
    return EIDResult(data, **values)


def test_every_operation_with_a_datum_has_its_member_and_no_other_has_one() -> None:
    assert set(MEMBERS) == set(DATA) == set(Operation) - {Operation.AGE_VERIFICATION, Operation.PLACE_VERIFICATION}
    assert sorted(MEMBERS.values()) == sorted(PersonalData.__dataclass_fields__)


def test_the_least_that_is_asked_is_the_pseudonym() -> None:
    assert asking() == UseIDRequest({Operation.RESTRICTED_ID: Wish.REQUIRED})


def test_settings_become_the_question() -> None:
    asked = asking(
        required=("GivenNames",),
        optional=("AcademicTitle",),
        age=18,
        community_id="0276",
        transaction_info="Order 7",
        level_of_assurance="hoch",
    )
    assert asked == UseIDRequest(
        {
            Operation.RESTRICTED_ID: Wish.REQUIRED,
            Operation.GIVEN_NAMES: Wish.REQUIRED,
            Operation.ACADEMIC_TITLE: Wish.ALLOWED,
            Operation.AGE_VERIFICATION: Wish.REQUIRED,
            Operation.PLACE_VERIFICATION: Wish.REQUIRED,
        },
        age=18,
        community_id="0276",
        transaction_info="Order 7",
        level_of_assurance="hoch",
    )


@pytest.mark.parametrize("name", PLAIN)
def test_each_kind_of_datum_becomes_a_plain_value(name: str) -> None:
    for asked in (asking(required=(name,)), asking(optional=(name,))):
        person = person_of(result(), asked=asked)
        assert person.pseudonym == PSEUDONYM.hex()
        assert person.attributes == {name: PLAIN[name]}


def test_what_was_not_asked_is_dropped_though_the_server_tells_it() -> None:
    assert person_of(result(), asked=asking()).attributes == {}


def test_what_was_told_is_not_shown_by_accident() -> None:
    person = person_of(result(), asked=asking(required=tuple(PLAIN)))
    identity = identity_of(person, settings=EIDSettings(), mode=Mode.STANDARD, emulated=False, now=1.0)
    for shown in (repr(person), repr(identity)):
        assert "ERIKA" not in shown
        assert "1964" not in shown


def test_a_birthday_that_is_not_fully_known_stays_as_the_card_has_it() -> None:
    data = replace(EVERYTHING, date_of_birth=GeneralDate("1964    "))
    assert person_of(result(data), asked=asking(required=("DateOfBirth",))).attributes == {"DateOfBirth": "1964"}


def test_a_person_without_a_fixed_abode_has_a_place_that_says_so() -> None:
    data = replace(EVERYTHING, place_of_residence=Place(no_place_info="keine Wohnung in Deutschland"))
    told = person_of(result(data), asked=asking(required=("PlaceOfResidence",))).attributes
    assert told == {"PlaceOfResidence": {"no_place_info": "keine Wohnung in Deutschland"}}


def test_an_optional_datum_that_was_taken_away_is_missing_and_the_login_goes_on() -> None:
    told = result(
        replace(EVERYTHING, academic_title=None),
        operations_allowed_by_user={Operation.ACADEMIC_TITLE: Outcome.PROHIBITED},
    )
    assert person_of(told, asked=asking(optional=("AcademicTitle",))).attributes == {}


def test_a_required_datum_that_was_withheld_does_not_suffice() -> None:
    told = result(
        replace(EVERYTHING, given_names=None), operations_allowed_by_user={Operation.GIVEN_NAMES: Outcome.PROHIBITED}
    )
    with pytest.raises(RequirementsNotMet, match="GivenNames") as caught:
        person_of(told, asked=asking(required=("GivenNames",)))
    assert caught.value.reason is Reason.REQUIREMENTS


def test_a_required_datum_that_the_card_does_not_have_suffices() -> None:
    told = result(
        replace(EVERYTHING, academic_title=None),
        operations_allowed_by_user={Operation.ACADEMIC_TITLE: Outcome.NOT_ON_CHIP},
    )
    assert person_of(told, asked=asking(required=("AcademicTitle",))).attributes == {}


@pytest.mark.parametrize("fulfils", [False, None])
def test_whoever_is_not_shown_to_be_old_enough_is_not_logged_in(fulfils: bool | None) -> None:
    with pytest.raises(RequirementsNotMet, match="AgeVerification"):
        person_of(result(fulfils_age_verification=fulfils), asked=asking(age=18))


@pytest.mark.parametrize("fulfils", [False, None])
def test_whoever_is_not_shown_to_live_there_is_not_logged_in(fulfils: bool | None) -> None:
    with pytest.raises(RequirementsNotMet, match="PlaceVerification"):
        person_of(result(fulfils_place_verification=fulfils), asked=asking(community_id="0276"))


def test_fulfilled_verifications_are_told() -> None:
    told = result(fulfils_age_verification=True, fulfils_place_verification=True)
    asked = asking(age=18, community_id="0276")
    assert person_of(told, asked=asked).attributes == {"AgeVerification": True, "PlaceVerification": True}


def test_verifications_that_were_not_asked_decide_nothing_and_are_not_told() -> None:
    told = result(fulfils_age_verification=False, fulfils_place_verification=False)
    assert person_of(told, asked=asking()).attributes == {}


@pytest.mark.parametrize(
    ("wanted", "given", "suffices"),
    [
        ("", "", True),
        ("", "hoch", True),
        ("substantiell", "hoch", True),
        ("substantiell", "substantiell", True),
        ("hoch", "substantiell", False),
        ("hoch", "normal", False),
        ("normal", "undefined", False),
        ("normal", "", False),
        ("normal", "excellent", False),
    ],
)
def test_the_level_of_assurance_must_reach_what_was_asked(wanted: str, given: str, suffices: bool) -> None:
    told, asked = result(level_of_assurance=given), asking(level_of_assurance=wanted)
    if suffices:
        assert person_of(told, asked=asked).pseudonym == PSEUDONYM.hex()
    else:
        with pytest.raises(RequirementsNotMet, match="LevelOfAssurance"):
            person_of(told, asked=asked)


@pytest.mark.parametrize("missing", [None, RestrictedID(b"")])
def test_a_result_without_a_pseudonym_is_the_servers_fault(missing: RestrictedID | None) -> None:
    with pytest.raises(EIDServerError) as caught:
        person_of(result(replace(EVERYTHING, restricted_id=missing)), asked=asking())
    assert caught.value.minor == Minor.INTERNAL_ERROR


def test_while_the_sector_changes_the_other_pseudonym_is_known_too() -> None:
    moving = replace(EVERYTHING, restricted_id=RestrictedID(PSEUDONYM, b"\x01\x02"))
    assert person_of(result(moving), asked=asking()).old_pseudonym == "0102"
    assert person_of(result(), asked=asking()).old_pseudonym == ""


def identity(mode: Mode = Mode.SAME_DEVICE, *, emulated: bool = False, **values: Any) -> Any:
    settings = EIDSettings.model_validate({"required": ("RestrictedID", *PLAIN), **values})
    person = person_of(result(), asked=use_id_request(settings))
    return identity_of(person, settings=settings, mode=mode, emulated=emulated, now=7.0)


def test_the_person_is_found_by_the_pseudonym() -> None:
    made = identity()
    assert (made.provider, made.subject, made.auth_time) == ("eid", PSEUDONYM.hex(), 7.0)


def test_nothing_is_kept_and_nobody_named_unless_the_settings_say_so() -> None:
    made = identity()
    assert (made.secret, made.username) == (b"", "")
    assert made.claims == PLAIN


def test_the_session_keeps_what_the_settings_name_for_as_long_as_they_say() -> None:
    made = identity(keep=("GivenNames", "PlaceOfResidence"), keep_lifetime=60)
    assert json.loads(made.secret) == {name: PLAIN[name] for name in ("GivenNames", "PlaceOfResidence")}
    assert made.secret_lifetime == 60


def test_what_was_not_told_is_not_kept() -> None:
    settings = EIDSettings(optional=("AcademicTitle",), keep=("AcademicTitle",))
    told = result(replace(EVERYTHING, academic_title=None))
    person = person_of(told, asked=use_id_request(settings))
    assert identity_of(person, settings=settings, mode=Mode.SAME_DEVICE, emulated=False, now=1.0).secret == b""


def test_a_datum_names_the_account_where_the_settings_say_so() -> None:
    assert identity(username="GivenNames").username == "ERIKA"


@pytest.mark.parametrize(
    ("mode", "level", "amr"),
    [
        (Mode.SAME_DEVICE, Level.L3, ("sc", "pin", "mfa")),
        (Mode.INTEGRATED, Level.L3, ("sc", "pin", "mfa")),
        (Mode.STANDARD, Level.L1, ("sc", "pin", "mfa", "mca")),
    ],
)
def test_the_assurance_is_that_of_the_way(mode: Mode, level: Level, amr: tuple[str, ...]) -> None:
    made = identity(mode)
    assert (made.level, made.acr, made.amr) == (level, level.name, amr)


def test_whom_an_emulated_card_names_is_marked() -> None:
    assert identity(emulated=True).acr == "L3-emulated"
    assert identity(Mode.STANDARD, emulated=True).acr == "L1-emulated"
