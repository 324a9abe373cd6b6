"""Bad input: whatever comes in, the card answers with the status word of the standards, and stays usable."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.emulation.card.world import CURVE, PIN, Dialogue, card, chat
from useid_middleware.eac import pace
from useid_middleware.eac.apdu import Command, Ins, Response, StatusWord
from useid_middleware.eac.curves import key_pair
from useid_middleware.eac.keys import PasswordId
from useid_middleware.eac.secure_messaging import protect_command, unprotect_response
from useid_middleware.eac.terminal import read_file
from useid_middleware.eac.tlv import build
from useid_middleware.emulation.card.chip import ATR
from useid_middleware.emulation.card.making import PACE_PROTOCOL

SET_AT = pace.SetAT(PACE_PROTOCOL, PasswordId.PIN, chat=chat())
SELECT_PACE = Command(Ins.MANAGE_SECURITY_ENVIRONMENT, 0xC1, 0xA4, SET_AT.encode())


def opened() -> Dialogue:
    dialogue = Dialogue(card())
    dialogue.pace()
    return dialogue


def step(data: bytes, *, cla: int = 0x10, ne: int = 256) -> Command:
    return Command(Ins.GENERAL_AUTHENTICATE, 0, 0, data, ne=ne, cla=cla)


def point(scalar: int) -> bytes:
    return key_pair(scalar, generator=CURVE.generator).public.encode()


def test_the_answer_to_reset_carries_its_check_byte() -> None:
    check = 0
    for byte in ATR[1:]:
        check ^= byte
    assert check == 0


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        # Neither a command nor one of its lengths.
        ("", "6700"),
        ("00", "6700"),
        ("00A400", "6700"),
        ("00A4000C023F", "6700"),
        ("00A4000C023F0000FF", "6700"),
        ("00A4000C0000", "6700"),
        ("00A4000C000000FF", "6700"),
        # Classes: other channels, proprietary, reserved; chaining and secure messaging where they are not.
        ("01A4000C023F00", "6E00"),
        ("40A4000C023F00", "6E00"),
        ("80A4000C023F00", "6D00"),
        ("A0A4000C023F00", "6E00"),
        ("FFA4000C023F00", "6D00"),
        ("FF9A010100", "6D00"),
        ("10A4000C023F00", "6884"),
        ("04A4000C023F00", "6882"),
        ("08A4000C023F00", "6882"),
        ("0CA4000C023F00", "6882"),
        ("8C208000", "6882"),
        ("1C860000027C00", "6882"),
        # Instructions and parameters.
        ("00CA0000", "6D00"),
        ("00200001", "6D00"),
        ("00FF0000", "6D00"),
        ("0022C1A4", "6A80"),
        ("0022C1B6", "6A86"),
        ("002241A6", "6A86"),
        ("002A00BC", "6A86"),
        ("0086000100", "6A86"),
        ("0084000108", "6A86"),
        ("00820100", "6A86"),
        ("00860000027C0000", "6985"),
        ("002C0303", "6982"),
        ("00441003", "6982"),
        ("00D69E000100", "6982"),
    ],
)
def test_bad_commands_have_their_status_words(sent: str, expected: str) -> None:
    dialogue = Dialogue(card())
    assert dialogue.plain(sent) == expected
    dialogue.pace()


def test_every_class_and_instruction_is_answered() -> None:
    it = card()
    known = set(StatusWord)
    for cla, ins in product(range(256), repeat=2):
        answer = it.transmit(bytes((cla, ins, 0, 0)))
        assert len(answer) == 2
        assert int.from_bytes(answer, "big") in known
    Dialogue(it).pace()


MAPPED = [SELECT_PACE, step(b"\x7c\x00"), step(build(0x7C, build(0x81, point(5))))]
AGREED = [*MAPPED, step(build(0x7C, build(0x83, point(5))))]

PACE_FAULTS = {
    "no MSE": ([step(b"\x7c\x00")], 0x6985),
    "data in the first step": ([SELECT_PACE, step(build(0x7C, build(0x81, point(5))))], 0x6A80),
    "another template": ([SELECT_PACE, step(b"\x7d\x00")], 0x6A80),
    "truncated template": ([SELECT_PACE, step(b"\x7c\x01")], 0x6A80),
    "indefinite length": ([SELECT_PACE, step(b"\x7c\x80\x00\x00")], 0x6A80),
    "no data": ([SELECT_PACE, step(b"")], 0x6A80),
    "no Le": ([SELECT_PACE, step(b"\x7c\x00", ne=0)], 0x6700),
    "not chained": ([SELECT_PACE, step(b"\x7c\x00", cla=0)], 0x6985),
    "interrupted": ([*MAPPED, Command(Ins.SELECT, 0, 0x0C), step(build(0x7C, build(0x83, point(5))))], 0x6985),
    "off the curve": ([*MAPPED[:2], step(build(0x7C, build(0x81, b"\x04" + bytes(63) + b"\x01")))], 0x6A80),
    "infinity": ([*MAPPED[:2], step(build(0x7C, build(0x81, b"\x00")))], 0x6A80),
    "compressed point": ([*MAPPED[:2], step(build(0x7C, build(0x81, b"\x02" + point(5)[1:33])))], 0x6A80),
    "another step's point": ([*MAPPED[:2], step(build(0x7C, build(0x83, point(5))))], 0x6A80),
    "two points": ([*MAPPED[:2], step(build(0x7C, build(0x81, point(5)), build(0x81, point(6))))], 0x6A80),
    "agreement off the curve": ([*MAPPED, step(build(0x7C, build(0x83, b"\x04" + bytes(64))))], 0x6A80),
    "repeated step": ([*MAPPED, MAPPED[-1]], 0x6A80),
    "last step chained": ([*AGREED, step(build(0x7C, build(0x85, bytes(8))))], 0x6883),
    "wrong token": ([*AGREED, step(build(0x7C, build(0x85, bytes(8))), cla=0)], 0x63C2),
    "short token": ([*AGREED, step(build(0x7C, build(0x85, bytes(7))), cla=0)], 0x63C2),
    "no token": ([*AGREED, step(b"\x7c\x00", cla=0)], 0x63C2),
    "other protocol between": ([*MAPPED, SELECT_PACE, step(build(0x7C, build(0x83, point(5))))], 0x6A80),
}


@pytest.mark.parametrize("fault", PACE_FAULTS)
def test_pace_ends_at_whatever_does_not_belong_there(fault: str) -> None:
    commands, expected = PACE_FAULTS[fault]
    dialogue = Dialogue(card())
    *before, last = commands
    for command in before:
        assert dialogue.sw(command) == StatusWord.OK
    assert dialogue.sw(last) == expected
    # What was under way is over, and a new attempt succeeds.
    assert dialogue.sw(step(b"\x7c\x00")) == StatusWord.CONDITIONS_NOT_SATISFIED
    dialogue.pace()


def test_a_reflected_key_does_not_fool_the_card() -> None:
    dialogue = Dialogue(card())
    for command in MAPPED[:2]:
        dialogue.send(command)
    # The card's own mapping key comes from the same stream in an equal card.
    twin = Dialogue(card())
    for command in MAPPED[:2]:
        twin.send(command)
    own = twin.send(MAPPED[2]).data[-65:]
    assert dialogue.sw(step(build(0x7C, build(0x81, own)))) == StatusWord.WRONG_DATA


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", 0x6987),
        (b"\x97\x01\x00", 0x6987),
        (b"\x8e\x08" + bytes(8), 0x6988),
        (b"\x8e\x07" + bytes(7), 0x6988),
        (b"\x8e\x08", 0x6988),
        (b"\x87\x11\x02" + bytes(16) + b"\x8e\x08" + bytes(8), 0x6988),
        (b"\x8e\x08" + bytes(8) + b"\x97\x01\x00", 0x6987),
        (b"\x99\x02\x90\x00\x8e\x08" + bytes(8), 0x6988),
    ],
)
def test_wrong_protection_ends_secure_messaging_and_nothing_else(body: bytes, expected: int) -> None:
    dialogue = opened()
    answer = dialogue.card.transmit(Command(Ins.GET_CHALLENGE, 0, 0, body, ne=256, cla=0x0C).encode())
    assert answer == expected.to_bytes(2, "big")
    assert dialogue.card.transmit(Command(Ins.GET_CHALLENGE, 0, 0, ne=8).encode()) == b"\x69\x82"
    # What was once protected by the old keys is no longer understood.
    assert dialogue.session is not None
    _, old = protect_command(dialogue.session, Command(Ins.GET_CHALLENGE, 0, 0, ne=8))
    assert dialogue.card.transmit(old.encode()) == b"\x68\x82"
    dialogue.session = None
    dialogue.pace()


def test_a_replayed_command_ends_secure_messaging() -> None:
    dialogue = opened()
    assert dialogue.session is not None
    session, command = protect_command(dialogue.session, Command(Ins.GET_CHALLENGE, 0, 0, ne=8))
    first = Response.decode(dialogue.card.transmit(command.encode()))
    unprotect_response(session, first)
    assert dialogue.card.transmit(command.encode()) == b"\x69\x88"


def test_wrong_padding_inside_a_right_mac_ends_secure_messaging() -> None:
    dialogue = opened()
    assert dialogue.session is not None
    _, command = protect_command(dialogue.session, Command(Ins.SELECT, 0, 0x0C, bytes(20)))
    for position in range(len(command.data)):
        other = bytearray(command.data)
        other[position] ^= 0x01
        attempt = opened()
        apdu = Command(Ins.SELECT, 0, 0x0C, bytes(other), ne=256, cla=0x0C)
        assert attempt.card.transmit(apdu.encode()) in (b"\x69\x88", b"\x69\x87")


@pytest.mark.parametrize("apdu", ["00A4000C023F00", "00", "0022C1A4", "00CA0000"])
def test_a_plain_command_ends_secure_messaging(apdu: str) -> None:
    dialogue = Dialogue(card()).log_in()
    dialogue.plain(apdu)
    assert dialogue.plain("00A4040C09E80704007F00070302") == "9000"
    assert dialogue.plain("00B0810000") == "6982"


def test_a_command_for_the_reader_does_not_reach_the_card() -> None:
    dialogue = Dialogue(card())
    dialogue.send(SELECT_PACE)
    assert dialogue.plain("FF9A010100") == "6D00"
    assert dialogue.sw(step(b"\x7c\x00")) == StatusWord.OK
    dialogue.log_in()
    assert dialogue.plain("FF9A010100") == "6D00"
    assert dialogue.sw(Command(Ins.GET_CHALLENGE, 0, 0, ne=8)) == StatusWord.OK


def test_an_error_inside_secure_messaging_is_protected_and_does_not_end_it() -> None:
    dialogue = opened()
    for command, expected in (
        (Command(Ins.SELECT, 2, 0x0C, b"\xff\xff"), 0x6A82),
        (Command(0xCA, 0, 0), 0x6D00),
        (Command(Ins.MANAGE_SECURITY_ENVIRONMENT, 0x81, 0xB6), 0x6A80),
        (Command(Ins.GET_CHALLENGE, 0, 0, ne=8), 0x9000),
    ):
        assert dialogue.sw(command) == expected


def test_reset_forgets_everything_but_the_state() -> None:
    dialogue = Dialogue(card()).log_in()
    state = dialogue.card.state
    dialogue.card.reset()
    dialogue.session = None
    assert dialogue.card.state == state
    assert dialogue.sw(Command(Ins.READ_BINARY, 0, 0, ne=1)) == StatusWord.COMMAND_NOT_ALLOWED
    dialogue.log_in()


def test_secure_messaging_works_with_extended_lengths() -> None:
    dialogue = opened()
    dialogue.authenticate_terminal()
    content = dialogue.run(read_file(0x011D, part=0x10000))
    assert content[:2] == b"\x30\x82"
    assert len(content) > 1000


def test_the_last_command_can_be_seen_without_its_protection() -> None:
    assert card().last is None
    it = card()
    dialogue = Dialogue(it)
    dialogue.pace()
    dialogue.send(Command(Ins.GET_CHALLENGE, 0, 0, ne=8))
    last = it.last
    assert last is not None
    assert last.command == Command(Ins.GET_CHALLENGE, 0, 0, ne=8)
    assert last.protected
    assert len(last.response.data) == 8
    assert last.response.data not in last.answered
    assert PIN not in repr(it.state).encode()
    assert last.keys is not None
    assert last.keys.enc.hex() not in repr(last)


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_bytes_at_all_make_it_raise(apdus: list[bytes]) -> None:
    it = card()
    for apdu in apdus:
        assert len(it.transmit(apdu)) >= 2


_HEADERS = st.sampled_from(
    [
        *("0022C1A4", "002281A4", "002241A4", "002281B6", "002A00BE", "10860000", "00860000", "00820000", "00840000"),
        *("00A4040C", "00A4020C", "00B08100", "00B1011C", "00D69100", "002C0203", "00441003", "80208000"),
    ]
)
_TAGS = st.sampled_from([0x06, 0x53, 0x54, 0x67, 0x73, 0x80, 0x81, 0x83, 0x84, 0x85, 0x91, 0x7C, 0x7F4C, 0x7F4E, 0xA0])


@given(
    commands=st.lists(
        st.tuples(
            _HEADERS, st.lists(st.tuples(_TAGS, st.binary(max_size=24)), max_size=3), st.sampled_from([0, 8, 256])
        ),
        max_size=6,
    )
)
def test_no_data_objects_make_it_raise_in_secure_messaging_or_out_of_it(
    commands: list[tuple[str, list[tuple[int, bytes]], int]],
) -> None:
    inside = opened()
    outside = Dialogue(card())
    for header, objects, ne in commands:
        cla, ins, p1, p2 = bytes.fromhex(header)
        command = Command(ins, p1, p2, b"".join(build(tag, value) for tag, value in objects), ne, cla)
        outside.send(command)
        inside.send(command)
    inside.session = None
    inside.card.reset()
    inside.log_in()
