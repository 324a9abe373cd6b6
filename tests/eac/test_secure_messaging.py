"""Secure messaging: both sides understand each other, and neither takes anything changed, missing or replayed."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eac.conftest import mutations
from useid_middleware._codec import replace
from useid_middleware.eac.apdu import Command, Ins, Response
from useid_middleware.eac.errors import SecureMessagingError, StatusWordError
from useid_middleware.eac.exchange import Exchange, expect_ok, run
from useid_middleware.eac.keys import SessionKeys, encrypt, mac, pad
from useid_middleware.eac.secure_messaging import (
    SecureSession,
    largest_plain,
    protect_command,
    protect_exchange,
    protect_response,
    unprotect_command,
    unprotect_response,
)
from useid_middleware.eac.tlv import build, parse_all

KEYS = SessionKeys(bytes(range(16)), bytes(range(16, 32)))
SESSION = SecureSession(KEYS)
READ = Command(Ins.READ_BINARY, 0x84, 0, ne=256)
UPDATE = Command(Ins.UPDATE_BINARY, 0x84, 0, b"content")

ins = st.sampled_from([Ins.READ_BINARY, Ins.READ_BINARY_ODD, Ins.UPDATE_BINARY_ODD, Ins.GENERAL_AUTHENTICATE])
commands = st.builds(
    Command,
    ins=ins,
    p1=st.integers(0, 255),
    p2=st.integers(0, 255),
    data=st.binary(max_size=400),
    ne=st.sampled_from([0, 1, 255, 256, 257, 65535, 65536]),
    cla=st.sampled_from([0x00, 0x10]),
)
keys = st.sampled_from([16, 24, 32]).map(lambda size: SessionKeys(bytes(range(size)), bytes(range(1, size + 1))))


@given(commands, keys, st.binary(max_size=400), st.integers(0, 0xFFFF))
def test_command_and_response_come_back(command: Command, keys: SessionKeys, data: bytes, sw: int) -> None:
    odd = bool(command.ins & 1)
    terminal, protected = protect_command(SecureSession(keys), command)
    card, plain = unprotect_command(SecureSession(keys), Command.decode(protected.encode()))
    assert plain == command
    card, answer = protect_response(card, Response(data, sw), odd=odd)
    terminal, response = unprotect_response(terminal, Response.decode(answer.encode()), odd=odd)
    assert response == Response(data, sw)
    assert terminal == card == SecureSession(keys, 2)


@given(commands.flatmap(lambda command: mutations(protect_command(SESSION, command)[1].data)), ins)
def test_data_of_a_command_verify_or_there_is_one_error(data: bytes, ins: int) -> None:
    command = Command(ins, 0, 0, data, 256, 0x0C)
    with pytest.raises(SecureMessagingError) as caught:
        unprotect_command(SESSION.next(), command)
    assert caught.value.status_word in (0x6987, 0x6988)


def with_mac(data: bytes, header: bytes = b"") -> bytes:
    """Data objects with a right MAC for the first command or response of the session, whatever they are."""
    covered = (pad(header) if header else b"") + (pad(data) if data else b"")
    return data + build(0x8E, mac(KEYS.mac, (1).to_bytes(16, "big") + covered))


def cryptogram(plain: bytes) -> bytes:
    return encrypt(KEYS.enc, plain, iv=encrypt(KEYS.enc, (1).to_bytes(16, "big")))


def test_a_command_without_data_and_le_has_nothing_but_its_mac() -> None:
    _, protected = protect_command(SESSION, Command(Ins.RESET_RETRY_COUNTER, 3, 3))
    assert protected.encode()[:7] == bytes.fromhex("0C2C03030A8E08")
    assert protected.data == with_mac(b"", bytes.fromhex("0C2C0303"))


@pytest.mark.parametrize(
    ("command", "tags", "extended"),
    [
        (READ, [0x97, 0x8E], False),
        (UPDATE, [0x87, 0x8E], False),
        (replace(UPDATE, ins=0xD7), [0x85, 0x8E], False),
        (replace(UPDATE, ne=256), [0x87, 0x97, 0x8E], False),
        (replace(UPDATE, ne=257), [0x87, 0x97, 0x8E], True),
        (replace(UPDATE, data=bytes(223)), [0x87, 0x8E], False),
        (replace(UPDATE, data=bytes(240)), [0x87, 0x8E], True),
    ],
)
def test_a_command_carries_the_objects_of_its_case(command: Command, tags: list[int], extended: bool) -> None:
    _, protected = protect_command(SESSION, command)
    assert [item.tag for item in parse_all(protected.data)] == tags
    assert protected.needs_extended is extended
    assert protected.ne == (65536 if extended else 256)
    assert protected.cla == 0x0C


@pytest.mark.parametrize(
    ("ne", "le"), [(1, "01"), (255, "FF"), (256, "00"), (257, "0101"), (65535, "FFFF"), (65536, "0000")]
)
def test_le_keeps_its_form_inside(ne: int, le: str) -> None:
    _, protected = protect_command(SESSION, replace(READ, ne=ne))
    assert parse_all(protected.data)[0].value == bytes.fromhex(le)


def test_a_longer_le_may_ask_for_little() -> None:
    header = bytes.fromhex("0CB08400")
    command = Command.decode(header + bytes((14,)) + with_mac(bytes.fromhex("97020005"), header) + b"\0")
    assert unprotect_command(SESSION, command)[1].ne == 5


def test_a_replayed_command_is_refused() -> None:
    _, protected = protect_command(SESSION, READ)
    card, _ = unprotect_command(SESSION, protected)
    for later in (card, card.next(), replace(SESSION, counter=5)):
        with pytest.raises(SecureMessagingError, match="does not verify"):
            unprotect_command(later, protected)


def test_a_replayed_response_is_refused() -> None:
    _, answer = protect_response(SESSION, Response(b"content"))
    terminal, _ = unprotect_response(SESSION, answer)
    with pytest.raises(SecureMessagingError, match="does not verify"):
        unprotect_response(terminal.next(), answer)


def test_a_response_is_not_taken_for_a_command_of_another_session() -> None:
    other = SecureSession(SessionKeys(bytes(16), bytes(16)))
    with pytest.raises(SecureMessagingError, match="does not verify"):
        unprotect_response(other, protect_response(SESSION, Response(b"content"))[1])


def test_every_changed_bit_of_a_command_is_noticed() -> None:
    apdu = protect_command(SESSION, replace(UPDATE, ne=256))[1].encode()
    # Lc and the outer Le are not covered by the MAC: Lc is checked by parsing, Le is the transport's.
    for position in {*range(1, 4), *range(5, len(apdu) - 1)}:
        for bit in range(8):
            changed = bytearray(apdu)
            changed[position] ^= 1 << bit
            with pytest.raises(SecureMessagingError):
                unprotect_command(SESSION, Command.decode(bytes(changed)))


def test_every_changed_bit_of_a_response_is_noticed() -> None:
    apdu = protect_response(SESSION, Response(b"content"))[1].encode()
    for position in range(len(apdu)):
        for bit in range(8):
            changed = bytearray(apdu)
            changed[position] ^= 1 << bit
            with pytest.raises(SecureMessagingError):
                unprotect_response(SESSION, Response.decode(bytes(changed)))


def test_a_plain_command_is_told_what_it_misses() -> None:
    for cla in (0x00, 0x04, 0x08, 0x4C, 0x80):
        with pytest.raises(SecureMessagingError, match="expected a command with secure messaging") as caught:
            unprotect_command(SESSION, replace(READ, cla=cla))
        assert caught.value.status_word == 0x6987
    for data in (b"", build(0x97, b"\0")):
        with pytest.raises(SecureMessagingError, match="expected a MAC") as caught:
            unprotect_command(SESSION, replace(READ, cla=0x0C, data=data))
        assert caught.value.status_word == 0x6987


def test_a_bare_status_word_ends_the_session_and_is_passed_on() -> None:
    with pytest.raises(SecureMessagingError, match="status word alone") as caught:
        unprotect_response(SESSION, Response(b"", 0x6988))
    assert caught.value.status_word == 0x6988


BLOCKS = bytes(16)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (build(0x97, b"\0") + build(0x87, b"\1", BLOCKS), "in this order"),
        (build(0x97, b"\0") + build(0x97, b"\0"), "in this order"),
        (build(0x87, b"\1", BLOCKS) * 2, "in this order"),
        (build(0x85, BLOCKS), "in this order"),
        (build(0x81, b"plain"), "in this order"),
        (build(0x8E, bytes(8)), "in this order"),
        (build(0x97, b""), "one or two bytes, found 0"),
        (build(0x97, b"\0\0\0"), "one or two bytes, found 3"),
        (build(0x87, b""), "padding indicator"),
        (build(0x87, b"\2", BLOCKS), "padding indicator"),
        (build(0x87, b"\1"), "whole blocks"),
        (build(0x87, b"\1", bytes(15)), "whole blocks"),
        (build(0x87, b"\1", cryptogram(BLOCKS)), "padded data"),
        (build(0x87, b"\1", cryptogram(b"\x80" + bytes(31))), "padded data"),
    ],
)
def test_objects_with_a_right_mac_and_a_wrong_form_are_refused(data: bytes, reason: str) -> None:
    header = bytes.fromhex("0CB08400")
    command = Command(0xB0, 0x84, 0, with_mac(data, header), 256, 0x0C)
    with pytest.raises(SecureMessagingError, match=reason) as caught:
        unprotect_command(SESSION, command)
    assert caught.value.status_word == 0x6988


def test_an_odd_instruction_has_no_padding_indicator() -> None:
    header = bytes.fromhex("0CD78400")
    data = with_mac(build(0x85, cryptogram(pad(b"content"))), header)
    assert unprotect_command(SESSION, Command(0xD7, 0x84, 0, data, 256, 0x0C))[1].data == b"content"
    with pytest.raises(SecureMessagingError, match="in this order"):
        unprotect_command(SESSION, Command(0xD6, 0x84, 0, with_mac(data, header), 256, 0x0C))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "expected a protected status word"),
        (build(0x87, b"\1", BLOCKS), "expected a protected status word"),
        (build(0x99, b"\x6a\x82"), "the response's own"),
        (build(0x99, b"\x90\x00\x00"), "the response's own"),
        (build(0x99, b"\x90\x00") + build(0x87, b"\1", BLOCKS), "in this order"),
    ],
)
def test_responses_with_a_right_mac_and_a_wrong_form_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(SecureMessagingError, match=reason):
        unprotect_response(SESSION, Response(with_mac(data)))


def test_what_is_no_tlv_is_refused() -> None:
    with pytest.raises(SecureMessagingError, match="secure messaging: "):
        unprotect_response(SESSION, Response(b"\x8e\x80"))


def card_with(*contents: bytes) -> Callable[[bytes], bytes]:
    """A card that answers each command with the next content, and the data of the command after it."""
    session, left = SESSION, list(contents)

    def transmit(apdu: bytes) -> bytes:
        nonlocal session
        session, command = unprotect_command(session, Command.decode(apdu))
        sw = 0x9000 if left else 0x6A82
        content = left.pop(0) + command.data if left else b""
        session, response = protect_response(session, Response(content, sw), odd=bool(command.ins & 1))
        return response.encode()

    return transmit


def read_three() -> Exchange[list[bytes]]:
    first = expect_ok("first", (yield READ))
    second = expect_ok("second", (yield UPDATE))
    third = expect_ok("third", (yield replace(UPDATE, ins=0xD7)))
    return [first, second, third]


def test_a_whole_exchange_can_be_protected() -> None:
    result, session = run(protect_exchange(read_three(), SESSION), card_with(b"a", b"b", b"c"))
    assert result == [b"a", b"bcontent", b"ccontent"]
    assert session.counter == 6


def test_a_refusal_inside_the_session_reaches_the_exchange() -> None:
    with pytest.raises(StatusWordError, match="third: expected 9000, found 6A82"):
        run(protect_exchange(read_three(), SESSION), card_with(b"a", b"b"))


def test_a_lost_session_ends_the_exchange_inside() -> None:
    closed: list[bool] = []

    def inner() -> Exchange[None]:
        try:
            yield READ
        finally:
            closed.append(True)

    with pytest.raises(SecureMessagingError):
        run(protect_exchange(inner(), SESSION), lambda _: bytes.fromhex("6988"))
    assert closed == [True]


@pytest.mark.parametrize("limit", [*range(60), *range(120, 180), 255, 256, 257, 300, 65000])
def test_the_largest_plain_response_fits_and_a_larger_one_does_not(limit: int) -> None:
    size = largest_plain(limit)
    if size:
        assert len(protect_response(SESSION, Response(bytes(size)))[1].data) <= limit
    assert len(protect_response(SESSION, Response(bytes(size + 1)))[1].data) > limit
