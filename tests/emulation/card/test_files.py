"""The file system: what is where, how it is selected, and who may read and write what."""

import pytest

from tests.emulation.card.world import CURVE, Dialogue, card, without
from useid_middleware.eac.apdu import Command, Ins, StatusWord
from useid_middleware.eac.chat import AuthenticationRight
from useid_middleware.eac.errors import APDUError, StatusWordError
from useid_middleware.eac.exchange import run
from useid_middleware.eac.keys import PasswordId
from useid_middleware.eac.security_info_parsing import parse_security_infos
from useid_middleware.eac.security_infos import choose_pace
from useid_middleware.eac.terminal import (
    read_card_access,
    read_data_groups,
    read_file,
    select_eid_application,
    select_master_file,
    write_data_group,
)
from useid_middleware.emulation.card.data_groups import encode_data_groups
from useid_middleware.emulation.card.files import CAPACITY
from useid_middleware.emulation.card.library import names, personality_named

SELECT_EID = "00A4040C09E80704007F00070302"
EF_DIR = "61104F09E80704007F00070302500365494 4".replace(" ", "")
DG17 = 0x0111


def exchanged(dialogue: Dialogue, *pairs: tuple[str, str]) -> None:
    for sent, expected in pairs:
        assert dialogue.plain(sent) == expected, sent


def test_who_has_proved_nothing_reads_two_files() -> None:
    dialogue = Dialogue(card())
    exchanged(
        dialogue,
        ("00A4020C022F00", "9000"),
        ("00B0000000", EF_DIR + "9000"),
        ("00A4020C02011D", "9000"),
        ("00B0000000", "6982"),
        (SELECT_EID, "9000"),
        ("00B0810000", "6982"),
    )
    _, infos = dialogue.run(read_card_access())
    assert choose_pace(infos)[1] is CURVE


@pytest.mark.parametrize(
    ("select", "answer"),
    [
        ("00A4000C", "9000"),
        ("00A4000C023F00", "9000"),
        ("00A4000C02011C", "9000"),
        ("00A4020C02011C", "9000"),
        ("00A4080C02011C", "9000"),
        ("00A4090C02011C", "9000"),
        ("00A4030C", "9000"),
        ("00A4030C0100", "6A87"),
        ("00A4000C020101", "6A82"),
        ("00A4010C027F01", "6A82"),
        ("00A4020C0101", "6A87"),
        ("00A4020C03011C00", "6A87"),
        ("00A4050C02011C", "6A86"),
        ("00A4020802011C", "6A86"),
        ("00A4040C09E80704007F00070301", "6A82"),
        ("00A4040C", "6A82"),
    ],
)
def test_a_file_is_selected_in_every_way_there_is(select: str, answer: str) -> None:
    exchanged(Dialogue(card()), (select, answer))


@pytest.mark.parametrize(
    ("select", "answer"),
    [
        ("00A4020402011C00", "620E8002008482010183020 11C8801E09000".replace(" ", "")),
        ("00A4020002011C00", "6F0E8002008482010183020 11C8801E09000".replace(" ", "")),
        ("00A4000400", "620782013883023F009000"),
        ("00A4040409E80704007F0007030200", "620E820138 8409E80704007F000703029000".replace(" ", "")),
        # Without Le, nothing is asked for; with too small a one, it does not fit.
        ("00A4020402011C", "9000"),
        ("00A4020402011C05", "6700"),
    ],
)
def test_the_answer_to_select_describes_the_file(select: str, answer: str) -> None:
    exchanged(Dialogue(card()), (select, answer))


def test_a_failed_select_leaves_one_where_one_was() -> None:
    dialogue = Dialogue(card())
    exchanged(dialogue, ("00A4020C022F00", "9000"), ("00A4020C02FFFF", "6A82"), ("00B0000001", "619000"))


def test_the_parent_of_the_application_is_the_master_file() -> None:
    exchanged(Dialogue(card()), (SELECT_EID, "9000"), ("00A4030C", "9000"), ("00A4020C022F00", "9000"))


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        ("00B0000002", "61109000"),
        ("00B0001002", "49449000"),
        ("00B0001104", "446282"),
        ("00B0001200", "9000"),
        ("00B0001204", "6282"),
        ("00B0001301", "6B00"),
        ("00B07FFF01", "6B00"),
        ("00B0000001FF00", "6700"),
        ("00B00000", "6700"),
        ("00B19E0002", "6A82"),
    ],
)
def test_reading_says_where_the_file_ends(read: str, answer: str) -> None:
    exchanged(Dialogue(card()), ("00A4020C022F00", "9000"), (read, answer))


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        ("00B0000001", "6986"),
        ("00B09E0002", "61109000"),
        ("00B09E1002", "49449000"),
        ("00B09F0001", "6A82"),
        ("00B0800001", "6A82"),
        ("00B0BE0001", "6A86"),
        ("00B0DE0001", "6A86"),
    ],
)
def test_a_short_identifier_selects_a_file_too(read: str, answer: str) -> None:
    exchanged(Dialogue(card()), (read, answer))


def test_after_reading_by_short_identifier_the_file_stays_selected() -> None:
    exchanged(Dialogue(card()), ("00B09E0001", "619000"), ("00B0000101", "109000"))


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        ("00B1000003540100 00", "6986"),
        ("00B1001E0354010008", "530461104F099000"),
        ("00B12F000354010008", "530461104F099000"),
        ("00B12F00045402001008", "530249446282"),
        ("00B12F0004540200FF08", "6B00"),
        ("00B12F000454020080 08", "6B00"),
        ("00B12F000354017F08", "6B00"),
        ("00B12F0003540180 08", "6B00"),
        ("00B12F000354010004", "53009000"),
        ("00B12F000354010003", "53009000"),
        ("00B12F0002540000", "6A80"),
        ("00B12F0003550100 08", "6A80"),
        ("00B12F0007540500000000 0008", "6A80"),
        ("00B12F00035401 00", "6700"),
        ("00B12FFF0354010008", "6A82"),
    ],
)
def test_with_the_odd_instruction_offsets_and_data_are_data_objects(read: str, answer: str) -> None:
    exchanged(Dialogue(card()), (read.replace(" ", ""), answer))


@pytest.mark.parametrize("personality", names())
def test_every_personality_can_be_read_as_it_was_made(personality: str) -> None:
    secrets = personality_named(personality).secrets
    dialogue = Dialogue(card(personality))
    if secrets.pin_tries < 3 or secrets.pin_state != "operational":
        dialogue.log_in(PasswordId.CAN)
    else:
        dialogue.log_in()
    found = dialogue.run(read_data_groups(range(1, 23)))
    assert found == encode_data_groups(personality_named(personality))


def test_a_data_group_is_read_by_its_right_and_by_no_other() -> None:
    dialogue = Dialogue(card()).log_in(rights=without(AuthenticationRight.READ_DG4))
    with pytest.raises(StatusWordError) as caught:
        dialogue.run(read_data_groups([5, 4]))
    assert caught.value.status_word == StatusWord.SECURITY_STATUS_NOT_SATISFIED
    assert dialogue.run(read_data_groups([5])) == {5: b"\x65\x0c\x0c\x0aMUSTERMANN"}


def test_the_certificate_limits_what_the_terminal_asked_for() -> None:
    # The terminal "default" may not read DG11, whatever its CHAT in PACE says.
    dialogue = Dialogue(card()).log_in(terminal="default")
    assert dialogue.sw(Command(Ins.READ_BINARY, 0x84, 0, ne=256)) == StatusWord.OK
    assert dialogue.sw(Command(Ins.READ_BINARY, 0x8B, 0, ne=256)) == StatusWord.SECURITY_STATUS_NOT_SATISFIED


def test_rights_count_after_chip_authentication_only() -> None:
    dialogue = Dialogue(card())
    dialogue.pace()
    dialogue.run(select_eid_application())
    read = Command(Ins.READ_BINARY, 0x84, 0, ne=256)
    assert dialogue.sw(read) == StatusWord.SECURITY_STATUS_NOT_SATISFIED
    dialogue.authenticate_terminal()
    assert dialogue.sw(read) == StatusWord.SECURITY_STATUS_NOT_SATISFIED
    dialogue.run(select_master_file())
    dialogue.authenticate_chip()
    dialogue.run(select_eid_application())
    assert dialogue.sw(read) == StatusWord.OK


def test_the_signed_file_agrees_with_the_open_one_and_is_read_in_parts_of_any_size() -> None:
    dialogue = Dialogue(card())
    dialogue.pace()
    dialogue.authenticate_terminal()
    whole = dialogue.run(read_file(0x011D))
    for part in (1 + len(whole) // 2, len(whole), 0x10000):
        assert dialogue.run(read_file(0x011D, part=part)) == whole
    assert parse_security_infos(dialogue.run(read_file(0x011C))).encode() == card().transmit(
        bytes.fromhex("00B09C0000")
    ).removesuffix(b"\x90\x00")


def test_an_answer_in_secure_messaging_fits_into_what_was_asked_for() -> None:
    dialogue = Dialogue(card())
    dialogue.pace()
    dialogue.authenticate_terminal()
    response = dialogue.send(Command(Ins.READ_BINARY, 0x9D, 0, ne=256))
    assert (len(response.data), response.sw) == (223, StatusWord.OK)
    assert len(dialogue.send(Command(Ins.READ_BINARY, 0x9D, 0, ne=0x10000)).data) > 256
    assert dialogue.send(Command(Ins.READ_BINARY_ODD, 0, 0x1D, bytes.fromhex("540100"), ne=16)).data[:2] == b"\x53\x0c"


def test_a_file_without_an_end_is_not_read_for_ever() -> None:
    def endless(apdu: bytes) -> bytes:
        return bytes(200 if apdu[1] == Ins.READ_BINARY else 0) + b"\x90\x00"

    with pytest.raises(APDUError, match="less than 32768 bytes"):
        run(read_file(0x0101), endless)


def test_an_authority_writes_the_new_address() -> None:
    dialogue = Dialogue(card()).log_in()
    address = bytes.fromhex("7105A2030C0141") + bytes(40)
    dialogue.run(write_data_group(17, address))
    assert dialogue.run(read_data_groups([17])) == {17: address}
    # It is still there without power, and in the state.
    dialogue.card.reset()
    dialogue.session = None
    assert dialogue.log_in().run(read_data_groups([17])) == {17: address}
    assert dialogue.card.state.written == {17: address}


def test_long_contents_are_written_in_parts_up_to_what_the_file_can_hold() -> None:
    dialogue = Dialogue(card("residence-permit")).log_in()
    content = bytes(range(256)) * (CAPACITY // 256)
    dialogue.run(write_data_group(19, content))
    assert dialogue.run(read_data_groups([19])) == {19: content}
    with pytest.raises(StatusWordError) as caught:
        dialogue.run(write_data_group(19, content + b"x"))
    assert caught.value.status_word == StatusWord.NOT_ENOUGH_MEMORY


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (Command(Ins.UPDATE_BINARY, 0x91, 0, b"x"), 0x6982),
        (Command(Ins.UPDATE_BINARY, 0x92, 0, b"x"), 0x9000),
        (Command(Ins.UPDATE_BINARY, 0x84, 0, b"x"), 0x6982),
        (Command(Ins.UPDATE_BINARY, 0x92, 0), 0x6700),
        (Command(Ins.UPDATE_BINARY, 0x92, 0xFF, b"x"), 0x6B00),
        (Command(Ins.UPDATE_BINARY, 0x93, 0, b"x"), 0x6A82),
        (Command(Ins.UPDATE_BINARY, 0, 0, b"x"), 0x6986),
    ],
)
def test_writing_takes_the_right_to_write_that_data_group(command: Command, expected: int) -> None:
    dialogue = Dialogue(card()).log_in(rights=without(AuthenticationRight.WRITE_DG17))
    assert dialogue.sw(command) == expected


def test_nobody_writes_what_is_in_the_master_file() -> None:
    dialogue = Dialogue(card()).log_in()
    dialogue.run(select_master_file())
    assert dialogue.sw(Command(Ins.UPDATE_BINARY, 0x9C, 0, b"x")) == StatusWord.SECURITY_STATUS_NOT_SATISFIED
