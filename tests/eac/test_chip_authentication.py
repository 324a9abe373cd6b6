"""Chip Authentication: the worked example from both sides, and chips that are not what they say."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eac.conftest import WorkedExample, mutations
from useid_middleware.eac.apdu import Command, Ins, Response
from useid_middleware.eac.authentication_errors import ChipAuthenticationError
from useid_middleware.eac.chip_authentication import (
    ChipAnswer,
    SetAT,
    answer_terminal,
    authenticate_chip,
    verify_chip,
)
from useid_middleware.eac.curves import BRAINPOOL_P256R1, BRAINPOOL_P384R1, Curve, KeyPair, key_pair
from useid_middleware.eac.errors import EACError, PointError, SecurityInfoError, StatusWordError
from useid_middleware.eac.exchange import run
from useid_middleware.eac.keys import SessionKeys
from useid_middleware.eac.oids import OID, encode_oid
from useid_middleware.eac.security_info_parsing import parse_security_infos
from useid_middleware.eac.security_infos import (
    ChipAuthenticationInfo,
    ChipAuthenticationPublicKeyInfo,
    SecurityInfos,
)
from useid_middleware.eac.tlv import build, parse

CURVE = BRAINPOOL_P256R1
AES_128 = OID.CA_ECDH_AES_CBC_CMAC_128
NONCE = b"8 bytes!"
STATIC = key_pair(31, generator=CURVE.generator)
EPHEMERAL = key_pair(37, generator=CURVE.generator)


def infos(*, protocol: str = AES_128, static: KeyPair = STATIC, key_id: int | None = 1) -> SecurityInfos:
    return SecurityInfos(
        (
            ChipAuthenticationInfo(protocol, key_id=key_id),
            ChipAuthenticationPublicKeyInfo(static.public, key_id=key_id),
        )
    )


class Chip:
    """The chip's part behind APDUs."""

    def __init__(
        self,
        *,
        private: int = STATIC.private,
        curve: Curve = CURVE,
        expected: bytes = EPHEMERAL.public.x_bytes,
        change: Callable[[bytes], bytes] = lambda answer: answer,
    ) -> None:
        self.commands: list[Command] = []
        self.keys: SessionKeys | None = None
        self._private = private
        self._curve = curve
        self._expected = expected
        self._change = change
        self._protocol = ""

    def transmit(self, apdu: bytes) -> bytes:
        command = Command.decode(apdu)
        self.commands.append(command)
        if command.ins == Ins.MANAGE_SECURITY_ENVIRONMENT:
            self._protocol = SetAT.decode(command.data).protocol
            return b"\x90\x00"
        self.keys, answer = answer_terminal(
            command.data,
            protocol=self._protocol,
            private=self._private,
            curve=self._curve,
            expected_ephemeral=self._expected,
            nonce=NONCE,
        )
        return Response(self._change(answer)).encode()


@pytest.mark.parametrize(
    ("protocol", "curve", "key_id", "size"),
    [
        (AES_128, CURVE, 1, 16),
        (AES_128, CURVE, None, 16),
        (OID.CA_ECDH_AES_CBC_CMAC_192, BRAINPOOL_P384R1, 0, 24),
        (OID.CA_ECDH_AES_CBC_CMAC_256, BRAINPOOL_P384R1, 300, 32),
    ],
)
def test_both_sides_end_with_the_same_keys(protocol: str, curve: Curve, key_id: int | None, size: int) -> None:
    static, ephemeral = (key_pair(private, generator=curve.generator) for private in (31, 37))
    chip = Chip(private=31, curve=curve, expected=ephemeral.public.x_bytes)
    keys = run(
        authenticate_chip(infos(protocol=protocol, static=static, key_id=key_id), ephemeral=ephemeral), chip.transmit
    )
    assert keys == chip.keys
    assert len(keys.enc) == size


def test_the_commands_are_those_of_the_standard() -> None:
    chip = Chip()
    run(authenticate_chip(infos(), ephemeral=EPHEMERAL), chip.transmit)
    set_at, authenticate = chip.commands
    assert (set_at.header, set_at.ne) == (bytes.fromhex("002241a4"), 0)
    assert set_at.data == build(0x80, encode_oid(AES_128)) + build(0x84, b"\1")
    assert (authenticate.header, authenticate.ne) == (bytes.fromhex("00860000"), 256)
    assert authenticate.data == build(0x7C, build(0x80, EPHEMERAL.public.encode()))


def test_the_worked_example_from_the_chips_side(example: WorkedExample) -> None:
    public = example["ca_pcd_pub_key"]
    keys, answer = answer_terminal(
        build(0x7C, build(0x80, public)),
        protocol=AES_128,
        private=example.number("ca_picc_priv_key"),
        curve=CURVE,
        expected_ephemeral=public[1:33],
        nonce=example["ca_nonce"],
    )
    assert keys == SessionKeys(enc=example["ca_k_enc"], mac=example["ca_k_mac"])
    assert answer == build(0x7C, build(0x81, example["ca_nonce"]), build(0x82, example["ca_picc_token"]))


def test_the_worked_example_from_the_terminals_side(example: WorkedExample) -> None:
    static = key_pair(example.number("ca_picc_priv_key"), generator=CURVE.generator)
    assert static.public.encode() == example["ca_picc_pub_key"]
    ephemeral = key_pair(example.number("ca_pcd_priv_key"), generator=CURVE.generator)
    assert ephemeral.public.encode() == example["ca_pcd_pub_key"]
    # The example's EF.CardSecurity signs these infos with SHA-256; its signer is tested where CMS is.
    data = example["ef_cardsecurity"]
    start = data.index(bytes.fromhex("31820137"))
    card_security = parse_security_infos(data[start : start + 4 + 0x137])
    answer = ChipAnswer(example["ca_nonce"], example["ca_picc_token"])
    keys = verify_chip(answer, card_security=card_security, ephemeral=ephemeral)
    assert keys == SessionKeys(enc=example["ca_k_enc"], mac=example["ca_k_mac"])


def test_a_copied_chip_without_the_private_key_is_found_out() -> None:
    with pytest.raises(ChipAuthenticationError, match="the chip's token does not verify") as refusal:
        run(authenticate_chip(infos(), ephemeral=EPHEMERAL), Chip(private=32).transmit)
    assert refusal.value.code == "chip_authentication_failed"


def inside(*objects: bytes) -> bytes:
    return build(0x7C, *objects)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "expected one data object"),
        (inside(), "expected 81 82"),
        (inside(build(0x81, NONCE)), "expected 81 82"),
        (inside(build(0x82, NONCE), build(0x81, NONCE)), "expected 81 82"),
        (inside(build(0x81, NONCE), build(0x82, b"")), "expected 8 and 8 bytes"),
        (inside(build(0x81, b""), build(0x82, NONCE)), "expected 8 and 8 bytes"),
        (inside(build(0x81, NONCE), build(0x82, NONCE)), "does not verify"),
        (build(0x30, build(0x81, NONCE), build(0x82, NONCE)), "expected 7C"),
    ],
)
def test_the_terminal_refuses_what_a_chip_must_not_answer(answer: bytes, reason: str) -> None:
    with pytest.raises(ChipAuthenticationError, match=reason):
        run(authenticate_chip(infos(), ephemeral=EPHEMERAL), Chip(change=lambda _: answer).transmit)


@given(st.binary(max_size=40) | mutations(inside(build(0x81, NONCE), build(0x82, bytes(8)))))
def test_a_chips_bytes_never_verify_without_its_key(data: bytes) -> None:
    with pytest.raises(ChipAuthenticationError):
        run(authenticate_chip(infos(), ephemeral=EPHEMERAL), Chip(change=lambda _: data).transmit)


@pytest.mark.parametrize("at", [1, 2])
def test_the_terminal_stops_where_the_chip_refuses(at: int) -> None:
    sent: list[bytes] = []

    def transmit(apdu: bytes) -> bytes:
        sent.append(apdu)
        return b"\x69\x85" if len(sent) == at else b"\x90\x00"

    with pytest.raises(StatusWordError, match="found 6985"):
        run(authenticate_chip(infos(), ephemeral=EPHEMERAL), transmit)
    assert len(sent) == at


def test_the_terminal_needs_a_key_on_the_chips_curve() -> None:
    other = key_pair(37, generator=BRAINPOOL_P384R1.generator)
    with pytest.raises(ChipAuthenticationError, match="on the curve of the chip's key"):
        verify_chip(ChipAnswer(NONCE, NONCE), card_security=infos(), ephemeral=other)
    with pytest.raises(SecurityInfoError):
        verify_chip(ChipAnswer(NONCE, NONCE), card_security=SecurityInfos(()), ephemeral=EPHEMERAL)


def answer(
    data: bytes = inside(build(0x80, EPHEMERAL.public.encode())),
    *,
    protocol: str = AES_128,
    private: int = STATIC.private,
    expected: bytes = EPHEMERAL.public.x_bytes,
    nonce: bytes = NONCE,
) -> bytes:
    keys, found = answer_terminal(
        data, protocol=protocol, private=private, curve=CURVE, expected_ephemeral=expected, nonce=nonce
    )
    assert parse(found).child(0x81).value == nonce
    assert len(keys.mac) == 16
    return found


@pytest.mark.parametrize(
    ("refused", "error", "reason"),
    [
        (lambda: answer(b""), ChipAuthenticationError, "expected one data object"),
        (lambda: answer(inside()), ChipAuthenticationError, "expected 80"),
        (lambda: answer(inside(build(0x81, b""))), ChipAuthenticationError, "expected 80"),
        (lambda: answer(inside(build(0x80, b""))), PointError, "expected 04"),
        (lambda: answer(inside(build(0x80, b"\4" + bytes(64)))), PointError, "on the curve"),
        (lambda: answer(expected=bytes(32)), ChipAuthenticationError, "the key that the terminal has signed"),
        (lambda: answer(expected=b""), ChipAuthenticationError, "the key that the terminal has signed"),
        (lambda: answer(protocol=OID.CA_ECDH_3DES_CBC_CBC), ChipAuthenticationError, "protocol with AES"),
        (lambda: answer(protocol=OID.PACE_ECDH_GM_AES_CBC_CMAC_128), ChipAuthenticationError, "protocol with AES"),
        (lambda: answer(private=0), PointError, "scalar"),
        (lambda: answer(nonce=b"short"), ChipAuthenticationError, "nonce: expected 8 bytes, found 5"),
    ],
)
def test_the_chip_refuses_what_does_not_fit(refused: Callable[[], bytes], error: type[EACError], reason: str) -> None:
    with pytest.raises(error, match=reason):
        refused()


SET_AT = SetAT(str(AES_128), 0x41)


@given(st.builds(SetAT, st.sampled_from([str(AES_128), str(OID.RI_ECDH_SHA_256)]), st.none() | st.integers(0, 1 << 30)))
def test_every_set_at_comes_back(set_at: SetAT) -> None:
    assert SetAT.decode(set_at.encode()) == set_at


@given(st.binary(max_size=30) | mutations(SET_AT.encode()))
def test_bytes_are_a_set_at_or_one_error(data: bytes) -> None:
    try:
        set_at = SetAT.decode(data)
    except ChipAuthenticationError:
        return
    assert SetAT.decode(set_at.encode()) == set_at


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        build(0x84, b"\1"),
        build(0x80, b"\x80"),
        SET_AT.encode() * 2,
        SET_AT.encode() + build(0x83),
        replace(SET_AT, key_id=None).encode() + build(0x83),
    ],
)
def test_a_set_at_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(ChipAuthenticationError, match="MSE:Set AT"):
        SetAT.decode(data)
