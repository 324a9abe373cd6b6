"""Pseudonyms and questions: what the card says about its holder without showing any data, all through ``transmit``."""

from datetime import date

import pytest

from tests.emulation.card.world import TODAY, Dialogue, card, pki, without
from useid_middleware.eac.apdu import Command, Ins, StatusWord
from useid_middleware.eac.auxiliary_data import AuxiliaryData, latest_birth, verify
from useid_middleware.eac.chat import AuthenticationRight
from useid_middleware.eac.chip_authentication import SetAT as KeySetAT
from useid_middleware.eac.cvc import encode_point
from useid_middleware.eac.errors import StatusWordError
from useid_middleware.eac.oids import OID, encode_oid
from useid_middleware.eac.restricted_identification import Identifiers, request_identifiers
from useid_middleware.eac.terminal import write_data_group
from useid_middleware.eac.tlv import build
from useid_middleware.emulation.card.issuing import with_revocations
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.card.making import RI_PSEUDONYM_KEY, RI_REVOCATION_KEY


def _choose(protocol: str, key_id: int | None = None) -> Command:
    return Command(Ins.MANAGE_SECURITY_ENVIRONMENT, 0x41, 0xA4, KeySetAT(protocol, key_id).encode())


def _identifiers(dialogue: Dialogue, key_id: int, *, both: bool = True) -> Identifiers:
    first, second = pki().sectors.keys
    return dialogue.run(request_identifiers(key_id=key_id, first=first, second=second if both else None))


def test_pseudonyms_are_the_same_in_a_sector_and_others_elsewhere() -> None:
    found = _identifiers(Dialogue(card()).log_in(), RI_PSEUDONYM_KEY)
    assert found == _identifiers(Dialogue(card()).log_in(), RI_PSEUDONYM_KEY)
    others = {
        _identifiers(Dialogue(card()).log_in(), RI_REVOCATION_KEY).first,
        _identifiers(Dialogue(card("residence-permit")).log_in(), RI_PSEUDONYM_KEY).first,
    }
    assert found.second is not None
    assert len({found.first, found.second} | others) == 4


def test_both_identifiers_can_come_in_a_chain() -> None:
    dialogue = Dialogue(card()).log_in()
    found = _identifiers(dialogue, RI_PSEUDONYM_KEY)
    dialogue.send(_choose(OID.RI_ECDH_SHA_256, RI_PSEUDONYM_KEY))
    answers = []
    for tag, key, cla in ((0xA0, pki().sectors.keys[0], 0x10), (0xA2, pki().sectors.keys[1], 0x00)):
        data = build(0x7C, encode_point(key.protocol, key.public, tag=tag))
        answers.append(dialogue.send(Command(Ins.GENERAL_AUTHENTICATE, 0, 0, data, ne=256, cla=cla)).data)
    assert found.second is not None
    assert answers == [build(0x7C, build(0x81, found.first)), build(0x7C, build(0x83, found.second))]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (_choose(OID.RI_ECDH_SHA_256, RI_REVOCATION_KEY), 0x9000),
        (_choose(OID.RI_ECDH_SHA_256, RI_PSEUDONYM_KEY), 0x6982),
        (_choose(OID.RI_ECDH_SHA_256, 3), 0x6A88),
        (_choose(OID.RI_ECDH_SHA_256), 0x6A88),
        (_choose(OID.RI_ECDH_SHA_512, RI_PSEUDONYM_KEY), 0x6A80),
    ],
)
def test_pseudonyms_take_a_right_and_the_revocation_list_takes_none(command: Command, expected: int) -> None:
    rights = without(AuthenticationRight.RESTRICTED_IDENTIFICATION)
    assert Dialogue(card()).log_in(rights=rights).sw(command) == expected


def test_no_terminal_learns_a_pseudonym_of_anothers_sector() -> None:
    dialogue = Dialogue(card()).log_in(terminal="default")
    first, second = pki().sectors.keys
    with pytest.raises(StatusWordError) as caught:
        dialogue.run(request_identifiers(key_id=RI_PSEUDONYM_KEY, first=second))
    assert caught.value.status_word == StatusWord.WRONG_DATA
    dialogue.run(request_identifiers(key_id=RI_PSEUDONYM_KEY, first=first))


def test_a_revoked_card_is_on_the_list_of_its_pki_and_no_other_card_is() -> None:
    listed = with_revocations(pki(), personality_named("revoked"))
    assert with_revocations(pki(), personality_named("erika")) is pki()
    assert with_revocations(listed, personality_named("revoked"), state=card("revoked").state) is listed
    revoked = listed.sectors.revoked_identifiers
    assert _identifiers(Dialogue(card("revoked")).log_in(), RI_REVOCATION_KEY).first in revoked
    assert _identifiers(Dialogue(card()).log_in(), RI_REVOCATION_KEY).first not in revoked


@pytest.mark.parametrize(
    ("personality", "age", "expected"), [("erika", 18, True), ("erika", 99, False), ("no-academic-title", 35, True)]
)
def test_the_card_says_whether_its_holder_is_old_enough(personality: str, age: int, expected: bool) -> None:
    auxiliary = AuxiliaryData(born_by=latest_birth(age=age, today=TODAY))
    dialogue = Dialogue(card(personality)).log_in(auxiliary=auxiliary)
    assert dialogue.run(verify(OID.AUXILIARY_DATE_OF_BIRTH)) is expected


def test_of_an_unknown_day_of_birth_the_last_day_counts() -> None:
    for born_by, expected in ((date(1990, 12, 31), True), (date(1990, 12, 30), False)):
        dialogue = Dialogue(card("no-academic-title")).log_in(auxiliary=AuxiliaryData(born_by=born_by))
        assert dialogue.run(verify(OID.AUXILIARY_DATE_OF_BIRTH)) is expected


@pytest.mark.parametrize(("personality", "expected"), [("erika", True), ("expired", False)])
def test_the_card_says_whether_it_is_valid_to_any_terminal(personality: str, expected: bool) -> None:
    dialogue = Dialogue(card(personality)).log_in(rights=0, auxiliary=AuxiliaryData(valid_on=TODAY))
    assert dialogue.run(verify(OID.AUXILIARY_DATE_OF_EXPIRY)) is expected


@pytest.mark.parametrize(
    ("community", "expected"), [("0276", True), ("02760503150000", True), ("02760504", False), ("0277", False)]
)
def test_the_card_says_whether_its_holder_lives_there(community: str, expected: bool) -> None:
    dialogue = Dialogue(card()).log_in(auxiliary=AuxiliaryData(community_id=bytes.fromhex(community)))
    assert dialogue.run(verify(OID.AUXILIARY_COMMUNITY_ID)) is expected


@pytest.mark.parametrize(("content", "expected"), [("72050403027609", 0x9000), ("7205", 0x6A88), ("7200", 0x6A88)])
def test_who_has_moved_lives_where_the_authority_has_written(content: str, expected: int) -> None:
    dialogue = Dialogue(card()).log_in(auxiliary=AuxiliaryData(community_id=bytes.fromhex("027609")))
    assert dialogue.run(verify(OID.AUXILIARY_COMMUNITY_ID)) is False
    # Zeros where there was more before.
    dialogue.run(write_data_group(18, bytes.fromhex(content).ljust(11, b"\0")))
    assert dialogue.sw(question(OID.AUXILIARY_COMMUNITY_ID)) == expected


def question(oid: str) -> Command:
    return Command(Ins.VERIFY, 0x80, 0, build(6, encode_oid(oid)), cla=0x80)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (question(OID.AUXILIARY_DATE_OF_BIRTH), 0x6982),
        # Not signed, unknown, no question at all.
        (question(OID.AUXILIARY_COMMUNITY_ID), 0x6A88),
        (question(OID.AUXILIARY_DATE_OF_EXPIRY), 0x6A88),
        (question(OID.PK_ECDH), 0x6A88),
        (Command(Ins.VERIFY, 0x80, 0, b"\x06", cla=0x80), 0x6A80),
        (Command(Ins.VERIFY, 0x80, 1, b"\x06\x00", cla=0x80), 0x6A86),
    ],
)
def test_a_question_takes_a_right_and_a_signature(command: Command, expected: int) -> None:
    rights = without(AuthenticationRight.AGE_VERIFICATION)
    dialogue = Dialogue(card()).log_in(rights=rights, auxiliary=AuxiliaryData(born_by=TODAY))
    assert dialogue.sw(command) == expected


def test_questions_are_answered_after_chip_authentication_only() -> None:
    dialogue = Dialogue(card())
    dialogue.pace()
    dialogue.authenticate_terminal(auxiliary=AuxiliaryData(valid_on=TODAY))
    assert dialogue.sw(question(OID.AUXILIARY_DATE_OF_EXPIRY)) == StatusWord.SECURITY_STATUS_NOT_SATISFIED
