"""What the card is asked in one trip, and what its answers say; secure messaging is left to the dialogue's tests."""

import pytest

from tests.emulation.card.world import pki
from useid_middleware.eac.apdu import Command, Ins, Response, StatusWord
from useid_middleware.eac.errors import APDUError, EACError, StatusWordError
from useid_middleware.eac.keys import SessionKeys
from useid_middleware.eac.secure_messaging import SecureSession, unprotect_command
from useid_middleware.eac.terminal import PART
from useid_middleware.eac.tlv import build
from useid_middleware.eid.core.attributes import Operation
from useid_middleware.emulation.server.data_groups import DataGroupError
from useid_middleware.emulation.server.reading import (
    Asked,
    Questions,
    commands_in,
    protected,
    rest_of_files,
    results_of,
    with_rest,
)

OK = Response()
NAMES = Operation.GIVEN_NAMES
#: SELECT, VERIFY, MSE:Set AT and GENERAL AUTHENTICATE, then the files.
IDENTIFIER = Response(build(0x7C, build(0x81, bytes(32))))
BEFORE = (OK, OK, OK, IDENTIFIER)


def questions(*files: Operation, asks_age: bool = False) -> Questions:
    return Questions(
        sectors=(pki().sectors.keys[0], None),
        revocation_key=1,
        pseudonym_key=None,
        asks_age=asks_age,
        asks_place=False,
        files=files,
    )


def given_names(size: int) -> bytes:
    return build(0x64, build(0x0C, b"A" * size))


def test_there_is_an_answer_for_each_command() -> None:
    asked = questions(NAMES, Operation.FAMILY_NAMES, asks_age=True).asked()
    assert commands_in(asked) == sum(len(each.commands()) for each in asked) == 7


@pytest.mark.parametrize("at", range(5))
def test_a_card_that_refuses_ends_the_reading(at: int) -> None:
    responses = [*BEFORE, Response(given_names(3))]
    responses[at] = Response(sw=StatusWord.SECURITY_STATUS_NOT_SATISFIED)
    with pytest.raises(StatusWordError):
        questions(NAMES).answered(responses)


def test_fewer_answers_than_commands_end_the_reading() -> None:
    with pytest.raises(APDUError):
        questions(NAMES).answered(BEFORE)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Response(given_names(3)), given_names(3)),
        (Response(given_names(3), StatusWord.END_OF_FILE), given_names(3)),
        (Response(sw=StatusWord.WRONG_P1_P2), b""),
        (Response(sw=StatusWord.FILE_NOT_FOUND), None),
    ],
)
def test_a_file_is_there_empty_or_absent(answer: Response, expected: bytes | None) -> None:
    answers = questions(NAMES).answered((*BEFORE, answer))
    assert answers.beginnings == {NAMES: expected}
    assert answers.is_valid


def test_a_card_sends_no_more_than_it_was_asked_for() -> None:
    with pytest.raises(APDUError):
        questions(NAMES).answered((*BEFORE, Response(bytes(PART + 1))))


def test_a_card_that_does_not_know_whether_it_is_valid_is_not() -> None:
    unknown = Response(sw=StatusWord.REFERENCED_DATA_NOT_FOUND)
    no = Response(sw=StatusWord.WARNING_CHANGED_STATE)
    for answer in (unknown, no):
        assert not questions().answered((OK, answer, *BEFORE[2:])).is_valid


@pytest.mark.parametrize("size", [0, 100, 219, 220, 221, 400, 1000, 4000])
def test_long_files_are_read_in_parts_from_where_they_stopped(size: int) -> None:
    whole = given_names(size)
    beginning = whole[:PART]
    (asked,) = rest_of_files({NAMES: beginning}) or (None,)
    if len(whole) <= PART:
        assert asked is None
        assert with_rest({NAMES: beginning}, ()) == {NAMES: whole}
        return
    assert asked is not None
    commands = asked.commands()
    assert [each.ne for each in commands] == [min(PART, len(whole) - at) for at in range(PART, len(whole), PART)]
    assert commands[0].p1 == 0x84
    responses = [Response(whole[at : at + PART]) for at in range(PART, len(whole), PART)]
    assert with_rest({NAMES: beginning}, responses) == {NAMES: whole}


def test_a_file_that_says_it_is_endless_is_not_read() -> None:
    with pytest.raises(DataGroupError):
        rest_of_files({NAMES: b"\x64\x82\xff\xff" + bytes(100)})


def test_a_rest_that_the_card_refuses_ends_the_reading() -> None:
    beginning = given_names(300)[:PART]
    with pytest.raises(EACError):
        with_rest({NAMES: beginning}, [Response(sw=StatusWord.END_OF_FILE)])


def test_a_dialogue_that_wants_more_answers_than_it_said_is_refused() -> None:
    (asked,) = rest_of_files({NAMES: given_names(600)[:PART]})
    with pytest.raises(APDUError):
        results_of([Asked(asked.exchange, count=1)], [Response(bytes(PART))])


def test_each_command_is_protected_for_the_answers_before_it() -> None:
    session = SecureSession(SessionKeys(b"e" * 16, b"m" * 16), 4)
    apdus = protected(session, questions(NAMES).asked())
    found = []
    for apdu in apdus:
        session, command = unprotect_command(session, Command.decode(apdu.apdu))
        session = session.next()
        found.append(command.ins)
    assert found == [
        Ins.SELECT,
        Ins.VERIFY,
        Ins.MANAGE_SECURITY_ENVIRONMENT,
        Ins.GENERAL_AUTHENTICATE,
        Ins.READ_BINARY,
    ]
    assert apdus[0].acceptable == (b"\x90\x00",)
    assert b"\x63\x00" in apdus[1].acceptable
    assert b"\x6a\x82" in apdus[4].acceptable
