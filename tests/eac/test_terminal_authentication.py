"""Terminal Authentication: the worked example's signature, both sides against each other, and every forged message."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eac.conftest import WorkedExample, mutations
from tests.eac.issuing import (
    CURVE,
    CVCA,
    DV,
    DV_CERTIFICATE,
    LINK,
    ROOT,
    TERMINAL,
    TERMINAL_CERTIFICATE,
    TODAY,
)
from useid_middleware.eac.apdu import Command, Ins, Response
from useid_middleware.eac.authentication_errors import CertificateError, TerminalAuthenticationError
from useid_middleware.eac.auxiliary_data import AuxiliaryData
from useid_middleware.eac.certificate_chain import (
    TrustStore,
    Verified,
    import_certificate,
    trust,
    verify_chain,
)
from useid_middleware.eac.chat import CHAT, Role, TerminalType
from useid_middleware.eac.curves import BRAINPOOL_P256R1, Point, key_pair
from useid_middleware.eac.cvc import Certificate, Sign, parse_certificate, parse_signed
from useid_middleware.eac.errors import StatusWordError
from useid_middleware.eac.exchange import run
from useid_middleware.eac.oids import OID, encode_oid
from useid_middleware.eac.terminal_authentication import (
    AuthenticatedTerminal,
    SetAT,
    authenticate_terminal,
    reference_in,
    signed_data,
    verify_terminal,
)
from useid_middleware.eac.tlv import build

CHALLENGE = b"8 bytes!"
ID_PICC = b"\x11" * 32
EPHEMERAL = key_pair(77, generator=CURVE.generator).public
AUXILIARY = AuxiliaryData(born_by=date(2008, 3, 1)).encode()
POINT = trust(ROOT)
SET_AT = SetAT(OID.TA_ECDSA_SHA_256, TERMINAL.name, EPHEMERAL.x_bytes, AUXILIARY)
VERIFIED = verify_chain([DV_CERTIFICATE, TERMINAL_CERTIFICATE], trusted=[POINT], today=TODAY)


def test_the_worked_examples_signature_verifies(example: WorkedExample) -> None:
    cvca, dv, terminal = (parse_certificate(example[name]) for name in ("cvca_cert", "dv_cert", "ta_cert"))
    # Its CVCA is one of inspection systems: the terminal's key is on the curve of that certificate all the same.
    key = terminal.says.key.on(trust(cvca).key.public.curve)
    verified = Verified(terminal, key, terminal.says.chat, accurate=True)
    id_picc = Point.decode(BRAINPOOL_P256R1, example["picc_pub_key"]).x_bytes
    ephemeral = Point.decode(BRAINPOOL_P256R1, example["ca_pcd_pub_key"]).x_bytes
    set_at = SetAT(OID.TA_ECDSA_SHA_512, b"DETESTATDE019", ephemeral)
    found = verify_terminal(
        example["ta_pcd_signature"],
        terminal=verified,
        set_at=set_at,
        id_picc=id_picc,
        challenge=example["ta_nonce"],
    )
    assert found == AuthenticatedTerminal(
        terminal, CHAT(TerminalType.AUTHENTICATION_TERMINAL, Role.TERMINAL, 0x110), ephemeral, AuxiliaryData()
    )
    assert dv.says.holder_reference == terminal.says.authority_reference


class Chip:
    """The chip's part behind APDUs, without a file system and states."""

    def __init__(self, *, challenge: bytes = CHALLENGE, refuse: Callable[[Command], bool] = lambda command: False):
        self.commands: list[Command] = []
        self.store = TrustStore((POINT,), TODAY)
        self.terminal: AuthenticatedTerminal | None = None
        self._current: Verified | None = None
        self._imported: Verified | None = None
        self._set_at: SetAT | None = None
        self._challenge = challenge
        self._refuse = refuse

    def transmit(self, apdu: bytes) -> bytes:
        command = Command.decode(apdu)
        self.commands.append(command)
        if self._refuse(command):
            return b"\x69\x82"
        return Response(self._answer(command)).encode()

    def _answer(self, command: Command) -> bytes:
        match command.ins, command.p1, command.p2:
            case Ins.MANAGE_SECURITY_ENVIRONMENT, 0x81, 0xB6:
                self._set_dst(reference_in(command.data))
            case Ins.PERFORM_SECURITY_OPERATION, 0x00, 0xBE:
                assert self._current
                certificate = parse_signed(command.data)
                self.store, self._imported = import_certificate(self.store, certificate, issuer=self._current)
            case Ins.MANAGE_SECURITY_ENVIRONMENT, 0x81, 0xA4:
                self._set_at = SetAT.decode(command.data)
            case Ins.GET_CHALLENGE, 0, 0:
                assert command.ne == 8
                return self._challenge
            case Ins.EXTERNAL_AUTHENTICATE, 0, 0:
                assert self._set_at
                assert self._imported
                self.terminal = verify_terminal(
                    command.data,
                    terminal=self._imported,
                    set_at=self._set_at,
                    id_picc=ID_PICC,
                    challenge=CHALLENGE,
                )
        return b""

    def _set_dst(self, reference: bytes) -> None:
        found = self.store.find(reference, terminal_type=TerminalType.AUTHENTICATION_TERMINAL)
        self._current = found or self._imported
        assert self._current
        assert self._current.reference == reference


def authenticate(
    chip: Chip,
    *,
    chain: tuple[Certificate, ...] = (LINK, DV_CERTIFICATE, TERMINAL_CERTIFICATE),
    sign: Sign = TERMINAL.sign,
    auxiliary: bytes = AUXILIARY,
) -> None:
    run(
        authenticate_terminal(chain, sign=sign, id_picc=ID_PICC, ephemeral=EPHEMERAL, auxiliary=auxiliary),
        chip.transmit,
    )


def test_a_terminal_proves_its_rights_key_and_questions() -> None:
    chip = Chip()
    authenticate(chip)
    assert chip.terminal == AuthenticatedTerminal(
        TERMINAL_CERTIFICATE, TERMINAL_CERTIFICATE.says.chat, EPHEMERAL.x_bytes, AuxiliaryData(date(2008, 3, 1))
    )
    assert [each.reference for each in chip.store.points] == [b"DETESTCVCA00002", b"DETESTCVCA00001"]


def test_the_commands_are_those_of_the_standard() -> None:
    chip = Chip()
    authenticate(chip, chain=(DV_CERTIFICATE, TERMINAL_CERTIFICATE))
    assert [(command.cla, command.ins, command.p1, command.p2, command.ne) for command in chip.commands] == [
        (0, 0x22, 0x81, 0xB6, 0),
        (0, 0x2A, 0x00, 0xBE, 0),
        (0, 0x22, 0x81, 0xB6, 0),
        (0, 0x2A, 0x00, 0xBE, 0),
        (0, 0x22, 0x81, 0xA4, 0),
        (0, 0x84, 0x00, 0x00, 8),
        (0, 0x82, 0x00, 0x00, 0),
    ]
    assert chip.commands[0].data == build(0x83, b"DETESTCVCA00001")
    assert chip.commands[1].data == DV_CERTIFICATE.body + build(0x5F37, DV_CERTIFICATE.signature)
    assert chip.commands[4].data == (
        build(0x80, encode_oid(OID.TA_ECDSA_SHA_256))
        + build(0x83, b"DETESTAT00001")
        + AUXILIARY
        + build(0x91, EPHEMERAL.x_bytes)
    )
    assert len(chip.commands[6].data) == 64


def test_auxiliary_data_is_left_out_if_nothing_is_asked() -> None:
    chip = Chip()
    authenticate(chip, auxiliary=b"")
    assert chip.terminal
    assert chip.terminal.auxiliary == AuxiliaryData()


def test_a_signature_by_another_key_is_refused() -> None:
    chip = Chip()
    with pytest.raises(TerminalAuthenticationError, match="EXTERNAL AUTHENTICATE: the signature does not") as refusal:
        authenticate(chip, sign=replace(TERMINAL, private=1).sign)
    assert refusal.value.code == "terminal_authentication_failed"
    assert chip.terminal is None


@pytest.mark.parametrize("at", range(9))
def test_the_terminal_stops_where_the_chip_refuses(at: int) -> None:
    chip = Chip(refuse=lambda command: len(chip.commands) == at + 1)
    with pytest.raises(StatusWordError, match="found 6982"):
        authenticate(chip)
    assert len(chip.commands) == at + 1


@pytest.mark.parametrize("challenge", [b"", b"7 bytes", b"nine byte"])
def test_a_challenge_of_another_size_is_refused(challenge: bytes) -> None:
    with pytest.raises(TerminalAuthenticationError, match=f"expected 8 bytes, found {len(challenge)}"):
        authenticate(Chip(challenge=challenge))


def check(
    *,
    terminal: Verified = VERIFIED,
    set_at: SetAT = SET_AT,
    id_picc: bytes = ID_PICC,
    challenge: bytes = CHALLENGE,
) -> AuthenticatedTerminal:
    """The chip's check of a signature over what all these are by default."""
    data = signed_data(id_picc=ID_PICC, challenge=CHALLENGE, ephemeral=EPHEMERAL.x_bytes, auxiliary=AUXILIARY)
    return verify_terminal(TERMINAL.sign(data), terminal=terminal, set_at=set_at, id_picc=id_picc, challenge=challenge)


def test_the_signature_covers_everything() -> None:
    assert check().ephemeral == EPHEMERAL.x_bytes
    other = AuxiliaryData(date(2009, 3, 1)).encode()
    refusal = pytest.raises(TerminalAuthenticationError, match="the signature does not verify")
    with refusal:
        check(id_picc=b"\x12" * 32)
    with refusal:
        check(challenge=b"8 bytes?")
    for set_at in (
        replace(SET_AT, ephemeral=bytes(32)),
        replace(SET_AT, auxiliary=b""),
        replace(SET_AT, auxiliary=other),
    ):
        with refusal:
            check(set_at=set_at)


def test_only_the_terminals_own_certificate_and_protocol_count() -> None:
    _, dv = import_certificate(TrustStore((POINT,), TODAY), DV_CERTIFICATE, issuer=POINT)
    for terminal in (dv, VERIFIED):
        with pytest.raises(TerminalAuthenticationError, match="the reference of the terminal's verified certificate"):
            check(terminal=terminal, set_at=replace(SET_AT, reference=DV.name))
    with pytest.raises(TerminalAuthenticationError, match="the protocol of the terminal's key"):
        check(set_at=replace(SET_AT, protocol=OID.TA_ECDSA_SHA_512))


set_ats = st.builds(
    SetAT,
    st.sampled_from([str(OID.TA_ECDSA_SHA_256), str(OID.TA_ECDSA_SHA_512)]),
    st.binary(min_size=1, max_size=16),
    st.binary(max_size=66),
    st.sampled_from([b"", AUXILIARY]),
)


@given(set_ats)
def test_every_set_at_comes_back(set_at: SetAT) -> None:
    assert SetAT.decode(set_at.encode()) == set_at


@given(st.binary(max_size=60) | mutations(SET_AT.encode()))
def test_bytes_are_a_set_at_or_one_error(data: bytes) -> None:
    try:
        set_at = SetAT.decode(data)
    except TerminalAuthenticationError:
        return
    assert 0 < len(set_at.reference) <= 16


def test_auxiliary_data_stays_as_it_was_sent() -> None:
    longer = b"\x67\x81" + AUXILIARY[1:]
    assert SetAT.decode(replace(SET_AT, auxiliary=longer).encode()).auxiliary == longer


PROTOCOL, REFERENCE, KEY = build(0x80, encode_oid(OID.TA_ECDSA_SHA_256)), build(0x83, b"AT"), build(0x91, b"x" * 32)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "expected 80, 83, 91"),
        (PROTOCOL + REFERENCE, "expected 80, 83, 91"),
        (PROTOCOL + KEY, "expected 80, 83, 91"),
        (REFERENCE + KEY, "expected 80, 83, 91"),
        (PROTOCOL + REFERENCE + KEY + build(0x84, b""), "expected 80, 83, 91"),
        (PROTOCOL + REFERENCE + KEY + KEY, "expected one 91, found 2"),
        (PROTOCOL + build(0x83, b"") + KEY, "83: expected a reference of 1 to 16 bytes, found 0"),
        (PROTOCOL + build(0x83, b"A" * 17) + KEY, "83: expected a reference of 1 to 16 bytes, found 17"),
        (build(0x80, b"\x80") + REFERENCE + KEY, "whole arcs"),
        (PROTOCOL + REFERENCE + KEY + build(0x67, build(0x74)), "expected templates"),
        (PROTOCOL + b"\x83", "expected another byte"),
    ],
)
def test_a_set_at_of_another_form_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(TerminalAuthenticationError, match=reason):
        SetAT.decode(data)


@pytest.mark.parametrize("data", [b"", b"\x83", build(0x84, b"A"), REFERENCE * 2, build(0x83), build(0x83, b"A" * 17)])
def test_a_set_dst_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(TerminalAuthenticationError, match=r"MSE:Set DST|83: expected"):
        reference_in(data)


@given(st.binary(max_size=30))
def test_bytes_are_a_reference_or_one_error(data: bytes) -> None:
    try:
        reference = reference_in(data)
    except TerminalAuthenticationError:
        return
    assert data.endswith(reference)


def test_a_certificate_of_a_stranger_does_not_get_in() -> None:
    chip = Chip()
    with pytest.raises(CertificateError):
        authenticate(chip, chain=(replace(CVCA, private=9).issue(DV), TERMINAL_CERTIFICATE))
    assert chip.terminal is None
