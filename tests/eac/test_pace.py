"""PACE: both sides meet with the same password only, and each refuses what the other must not send."""

from collections.abc import Callable, Generator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eac.conftest import mutations
from useid_middleware.eac.apdu import Command, Ins, Response, retries_left
from useid_middleware.eac.curves import BRAINPOOL_P256R1, BRAINPOOL_P384R1, P521, Curve, Point, key_pair, multiply
from useid_middleware.eac.errors import EACError, OIDError, PACEError, PointError, StatusWordError
from useid_middleware.eac.exchange import Exchange, run
from useid_middleware.eac.keys import PasswordId, derive_password_key, encrypt
from useid_middleware.eac.oids import OID, encode_oid
from useid_middleware.eac.pace import (
    PACEResult,
    SetAT,
    agree_keys,
    confirm,
    establish_pace,
    map_generator,
    map_nonce,
    nonce_size,
    start,
)
from useid_middleware.eac.tlv import build, parse

AES_128 = OID.PACE_ECDH_GM_AES_CBC_CMAC_128
PIN = b"123456"
CURVE = BRAINPOOL_P256R1
CHAT = build(0x7F4C, build(0x06, encode_oid(OID.ROLE_AT)), build(0x53, bytes(5)))
CARS = (b"DETESTCVCA00002", b"DETESTCVCA00001")

Answers = Callable[[int, bytes], bytes]


class Card:
    """The four steps behind APDUs; ``result`` is there once the terminal has proved the password."""

    def __init__(
        self,
        *,
        password: bytes = PIN,
        protocol: str = AES_128,
        curve: Curve = CURVE,
        references: tuple[bytes, ...] = (),
        set_at_status: int = 0x9000,
        change: Answers = lambda step, answer: answer,
    ) -> None:
        self.commands: list[Command] = []
        self.result: PACEResult | None = None
        self._set_at_status = set_at_status
        self._change = change
        self._steps = self._dialogue(password, protocol, curve, references)
        next(self._steps)

    def _dialogue(
        self, password: bytes, protocol: str, curve: Curve, references: tuple[bytes, ...]
    ) -> Generator[bytes, bytes, None]:
        nonce = bytes(range(1, 1 + nonce_size(protocol)))
        data = yield b""
        started, answer = start(data, password=password, protocol=protocol, curve=curve, nonce=nonce)
        data = yield answer
        mapped, answer = map_nonce(started, data, mapping_key=1001)
        data = yield answer
        agreed, answer = agree_keys(mapped, data, agreement_key=1003)
        data = yield answer
        self.result, answer = confirm(agreed, data, references=references)
        yield answer

    def transmit(self, apdu: bytes) -> bytes:
        command = Command.decode(apdu)
        self.commands.append(command)
        if command.ins == Ins.MANAGE_SECURITY_ENVIRONMENT:
            return Response(b"", self._set_at_status).encode()
        try:
            answer = self._steps.send(command.data)
        except PACEError:
            return Response(b"", 0x63C2).encode()
        return Response(self._change(len(self.commands) - 2, answer)).encode()


def terminal(
    *, password: bytes = PIN, protocol: str = AES_128, curve: Curve = CURVE, agreement_key: int = 2003
) -> Exchange[PACEResult]:
    return establish_pace(
        password,
        password_id=PasswordId.PIN,
        protocol=protocol,
        curve=curve,
        mapping_key=2001,
        agreement_key=agreement_key,
        parameter_id=curve.parameter_id,
        chat=CHAT,
    )


@pytest.mark.parametrize(
    ("protocol", "curve", "key_size"),
    [
        (AES_128, BRAINPOOL_P256R1, 16),
        (OID.PACE_ECDH_GM_AES_CBC_CMAC_192, BRAINPOOL_P384R1, 24),
        (OID.PACE_ECDH_GM_AES_CBC_CMAC_256, P521, 32),
    ],
)
def test_both_sides_end_with_the_same_keys(protocol: str, curve: Curve, key_size: int) -> None:
    card = Card(protocol=protocol, curve=curve, references=CARS)
    result = run(terminal(protocol=protocol, curve=curve), card.transmit)
    assert result == card.result
    assert len(result.keys.enc) == len(result.keys.mac) == key_size
    assert result.references == CARS
    assert len(result.id_picc) == len(result.id_pcd) == curve.size
    assert result.id_picc != result.id_pcd


def test_the_commands_are_those_of_the_standard() -> None:
    card = Card()
    run(terminal(), card.transmit)
    assert [command.header.hex() for command in card.commands] == ["0022c1a4", *["10860000"] * 3, "00860000"]
    assert [command.ne for command in card.commands] == [0, 256, 256, 256, 256]
    assert card.commands[1].data == bytes.fromhex("7c00")


def test_no_reference_or_one_comes_without_a_second() -> None:
    for references in ((), CARS[:1]):
        card = Card(references=references)
        assert run(terminal(), card.transmit).references == references


def test_a_third_reference_is_not_sent() -> None:
    card = Card(references=(*CARS, b"DETESTCVCA00000"))
    assert run(terminal(), card.transmit).references == CARS
    assert card.result is not None
    assert card.result.references == CARS


def test_a_wrong_password_fails_at_the_card_in_the_last_step() -> None:
    card = Card(password=b"654321")
    with pytest.raises(StatusWordError, match=r"mutual authentication.*2 tries left") as caught:
        run(terminal(), card.transmit)
    assert retries_left(caught.value.status_word) == 2
    assert len(card.commands) == 5
    assert card.result is None


@pytest.mark.parametrize("status", [0x63C3, 0x63C2, 0x63C1])
def test_a_warning_about_tries_left_does_not_stop_the_terminal(status: int) -> None:
    assert run(terminal(), Card(set_at_status=status).transmit).set_at_status == status


@pytest.mark.parametrize("status", [0x63C0, 0x6283, 0x6A80, 0x6A88])
def test_a_password_that_cannot_be_used_stops_the_terminal(status: int) -> None:
    card = Card(set_at_status=status)
    with pytest.raises(StatusWordError, match="MSE:Set AT") as caught:
        run(terminal(), card.transmit)
    assert caught.value.status_word == status
    assert len(card.commands) == 1


def swapped(step: int, new: bytes) -> Answers:
    """The card's answers, but for the one of ``step`` (0 to 3)."""
    return lambda at, answer: new if at == step else answer


def inside(tag: int, value: bytes) -> bytes:
    return build(0x7C, build(tag, value))


@pytest.mark.parametrize(
    ("step", "answer", "error", "reason"),
    [
        (0, b"", PACEError, "expected one data object"),
        (0, inside(0x80, b""), PACEError, "one or two blocks, found 0"),
        (0, inside(0x80, bytes(8)), PACEError, "one or two blocks, found 8"),
        (0, inside(0x81, bytes(16)), PACEError, "expected 7C with 80"),
        (0, build(0x80, bytes(16)), PACEError, "expected 7C, found 80"),
        (0, build(0x7C), PACEError, "expected 7C with 80"),
        (1, inside(0x82, b"\x00"), PointError, "expected 04"),
        (1, inside(0x82, b"\x04" + bytes(64)), PointError, "on the curve"),
        (1, inside(0x82, multiply(2001, CURVE.generator).encode()), PACEError, "another point than one's own"),
        (2, inside(0x84, b"\x00"), PointError, "expected 04"),
        (2, inside(0x84, b"\x04" + bytes(64)), PointError, "on the curve"),
        (3, inside(0x86, bytes(8)), PACEError, "the card's token does not verify"),
        (3, inside(0x86, b""), PACEError, "the card's token does not verify"),
        (3, build(0x7C, build(0x86, bytes(8)), build(0x88, b"A")), PACEError, "expected 7C with 86 87 88"),
        (3, build(0x7C, build(0x87, b"A")), PACEError, "expected 7C with 86 87 88"),
    ],
)
def test_the_terminal_refuses_what_a_card_must_not_answer(
    step: int, answer: bytes, error: type[EACError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        run(terminal(), Card(change=swapped(step, answer)).transmit)


@pytest.mark.parametrize("size", [0, 17])
def test_the_terminal_refuses_references_of_no_or_too_many_bytes(size: int) -> None:
    with pytest.raises(PACEError, match=f"87: expected a CAR of 1 to 16 bytes, found {size}"):
        run(terminal(), Card(references=(b"A" * size,)).transmit)


def test_the_terminal_refuses_its_own_key_as_the_cards() -> None:
    key: list[bytes] = []

    def reflect(apdu: bytes) -> bytes:
        answer = card.transmit(apdu)
        command = card.commands[-1]
        if command.data[2:3] == b"\x83":
            key.append(parse(command.data).child(0x83).value)
            return Response(inside(0x84, key[0])).encode()
        return answer

    card = Card()
    with pytest.raises(PACEError, match="another public key than one's own"):
        run(terminal(), reflect)
    assert key


def test_a_nonce_that_decrypts_to_zero_is_refused() -> None:
    zero = encrypt(derive_password_key(PIN, protocol=AES_128), bytes(16))
    with pytest.raises(PointError, match="infinity"):
        run(terminal(), Card(change=swapped(0, inside(0x80, zero))).transmit)


def test_a_mapping_that_leads_to_infinity_is_refused() -> None:
    own = key_pair(5, generator=CURVE.generator)
    other = multiply(-7, CURVE.generator)
    with pytest.raises(PointError, match="infinity"):
        map_generator((35).to_bytes(16, "big"), own=own, other=other)


def test_the_card_refuses_a_nonce_of_another_size() -> None:
    for size in (0, 8, 32):
        with pytest.raises(PACEError, match=f"expected 16 bytes, found {size}"):
            start(bytes.fromhex("7c00"), password=PIN, protocol=AES_128, curve=CURVE, nonce=bytes(size))
    assert nonce_size(OID.PACE_ECDH_GM_AES_CBC_CMAC_192) == nonce_size(OID.PACE_ECDH_GM_AES_CBC_CMAC_256) == 32
    with pytest.raises(OIDError):
        nonce_size(OID.PACE_ECDH_GM)


def test_the_card_refuses_what_a_terminal_must_not_send() -> None:
    def bad(data: bytes) -> None:
        with pytest.raises(PACEError, match="GENERAL AUTHENTICATE"):
            start(data, password=PIN, protocol=AES_128, curve=CURVE, nonce=bytes(16))

    for data in (b"", b"\x7c", b"\x7c\x01", b"\x30\x00", inside(0x80, b""), bytes.fromhex("7c007c00")):
        bad(data)
    started, _ = start(bytes.fromhex("7c00"), password=PIN, protocol=AES_128, curve=CURVE, nonce=b"n" * 16)
    point = multiply(2001, CURVE.generator).encode()
    for data in (bytes.fromhex("7c00"), inside(0x83, point), build(0x7C, build(0x81, point), build(0x81, point))):
        with pytest.raises(PACEError, match="expected 7C with 81"):
            map_nonce(started, data, mapping_key=1001)
    with pytest.raises(PointError):
        map_nonce(started, inside(0x81, b"\x00"), mapping_key=1001)
    with pytest.raises(PACEError, match="another point than one's own"):
        map_nonce(started, inside(0x81, multiply(1001, CURVE.generator).encode()), mapping_key=1001)
    with pytest.raises(PointError, match="from 1 to n-1"):
        map_nonce(started, inside(0x81, point), mapping_key=0)
    mapped, _ = map_nonce(started, inside(0x81, point), mapping_key=1001)
    own = multiply(1003, mapped.generator).encode()
    with pytest.raises(PACEError, match="another public key than one's own"):
        agree_keys(mapped, inside(0x83, own), agreement_key=1003)
    with pytest.raises(PACEError, match="expected 7C with 83"):
        agree_keys(mapped, inside(0x81, point), agreement_key=1003)
    agreed, answer = agree_keys(mapped, inside(0x83, point), agreement_key=1003)
    assert Point.decode(CURVE, parse(answer).child(0x84).value) == agreed.own
    for token in (b"", bytes(8), bytes(16)):
        with pytest.raises(PACEError, match="the terminal's token does not verify"):
            confirm(agreed, inside(0x85, token))


def test_states_do_not_show_their_secrets() -> None:
    started, _ = start(bytes.fromhex("7c00"), password=PIN, protocol=AES_128, curve=CURVE, nonce=b"n" * 16)
    assert "nnnn" not in repr(started)


set_ats = st.builds(
    SetAT,
    st.sampled_from([str(AES_128), str(OID.PACE_ECDH_GM_AES_CBC_CMAC_256)]),
    st.sampled_from(PasswordId),
    st.none() | st.integers(0, 255),
    st.sampled_from([b"", CHAT]),
)
SET_AT = SetAT(str(AES_128), PasswordId.CAN, 13, CHAT)


@given(set_ats)
def test_every_set_at_comes_back(set_at: SetAT) -> None:
    assert SetAT.decode(set_at.encode()) == set_at


@given(st.binary(max_size=40) | mutations(SET_AT.encode()))
def test_bytes_are_a_set_at_or_one_error(data: bytes) -> None:
    try:
        set_at = SetAT.decode(data)
    except PACEError:
        return
    assert set_at.password_id in PasswordId


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        SET_AT.encode() + build(0x85, b"\1"),
        SET_AT.encode() + CHAT,
        SET_AT.encode()[:12],
        build(0x83, b"\3"),
        build(0x80, b"\x80") + build(0x83, b"\3"),
        build(0x80, encode_oid(OID.TA_ECDSA_SHA_256)) + build(0x83, b"\3"),
        build(0x80, encode_oid(OID.PACE_ECDH_GM_3DES_CBC_CBC)) + build(0x83, b"\3"),
        build(0x80, encode_oid(AES_128)) + build(0x83, b""),
        build(0x80, encode_oid(AES_128)) + build(0x83, b"\5"),
    ],
)
def test_a_set_at_for_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(PACEError, match="MSE:Set AT"):
        SetAT.decode(data)


def test_the_order_of_a_set_at_is_free() -> None:
    data = CHAT + build(0x83, b"\2") + build(0x84, b"\x0d") + build(0x80, encode_oid(AES_128))
    assert SetAT.decode(data) == SET_AT
    assert SetAT.decode(build(0x83, b"\2") + build(0x80, encode_oid(AES_128))) == replace(
        SET_AT, parameter_id=None, chat=b""
    )
