"""The trace says in words what goes over the wire, and keeps secrets unless it is asked not to."""

import pytest

from tests.emulation.card.world import TODAY, Dialogue, card
from useid_middleware.eac.apdu import Command, Ins
from useid_middleware.eac.auxiliary_data import AuxiliaryData
from useid_middleware.eac.terminal import change_pin, read_data_groups
from useid_middleware.eac.tlv import build
from useid_middleware.emulation.card.chip import Card
from useid_middleware.emulation.card.trace import describe_transmission


def trace(it: Card | object, *, with_secrets: bool = False) -> str:
    assert isinstance(it, Card)
    assert it.last is not None
    return describe_transmission(it.last, with_secrets=with_secrets)


class Traced(Dialogue):
    """Writes down everything."""

    def __init__(self, *, with_secrets: bool = False) -> None:
        super().__init__(card())
        self.with_secrets = with_secrets
        self.lines: list[str] = []

    def transmit(self, apdu: bytes) -> bytes:
        answer = super().transmit(apdu)
        self.lines += trace(self.card, with_secrets=self.with_secrets).splitlines()
        return answer


def test_a_login_reads_like_the_protocol() -> None:
    dialogue = Traced()
    dialogue.log_in(auxiliary=AuxiliaryData(born_by=TODAY))
    dialogue.run(read_data_groups([4]))
    commands = [line.removeprefix("--> ") for line in dialogue.lines if line.startswith("-->")]
    protected = " (secure messaging)"
    assert commands[:8] == [
        "SELECT MF",
        "SELECT EF.CardAccess",
        "READ BINARY offset 0",
        "MSE:Set AT (PACE)",
        *("GENERAL AUTHENTICATE",) * 4,
    ]
    assert commands[8:15] == [
        "MSE:Set DST" + protected,
        "PSO:Verify Certificate" + protected,
        "MSE:Set DST" + protected,
        "PSO:Verify Certificate" + protected,
        "MSE:Set AT (Terminal Authentication)" + protected,
        "GET CHALLENGE" + protected,
        "EXTERNAL AUTHENTICATE" + protected,
    ]
    names = ("SELECT eID application", "SELECT EF.DG4", "READ BINARY offset 0")
    assert commands[-3:] == [name + protected for name in names]
    text = "\n".join(dialogue.lines)
    for expected in (
        "83 password: PIN",
        "80 protocol: id-PACE-ECDH-GM-AES-CBC-CMAC-128",
        "7F4C CHAT: authentication terminal, age_verification,",
        "87 CAR: 'DETESTCVCA00001'",
        "5F20 CHR: 'DETESTAT00002'",
        "5F25 effective: 2026-03-01",
        "06 kind: id-AUXILIARY-DATE-OF-BIRTH",
        "64 DG4 given names\n       0C: 'ERIKA'",
        "<-- 6282 (end of file)  9 bytes",
    ):
        assert expected in text, expected


def test_new_passwords_and_session_keys_are_shown_only_to_who_asks() -> None:
    for with_secrets in (False, True):
        dialogue = Traced(with_secrets=with_secrets)
        dialogue.pace(rights=None)
        assert dialogue.session is not None
        key = dialogue.session.keys.enc.hex()
        dialogue.run(change_pin(b"654321"))
        text = "\n".join(dialogue.lines).lower()
        assert (b"654321".hex() in text) is with_secrets
        assert (key in text) is with_secrets
        assert ("new password: 6 bytes, not shown" in text) is not with_secrets


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("", "--> nothing: no command that this card can read\n<-- 6700 (wrong length)"),
        ("00A4", "--> 00A4: no command that this card can read\n<-- 6700 (wrong length)"),
        ("00A4000C", "--> SELECT MF\n     00 A4 00 0C\n<-- 9000 (ok)"),
        ("00A4020C02ABCD", "--> SELECT ABCD\n     00 A4 02 0C  Lc 2\n<-- 6A82 (file not found)"),
        (
            "00B09C0A05",
            "--> READ BINARY SFI 1C, offset 10\n     00 B0 9C 0A  Ne 5\n<-- 9000 (ok)  5 bytes\n     0007020202",
        ),
        ("00CA0000", "--> INS CA\n     00 CA 00 00\n<-- 6D00 (ins not supported)"),
        ("002241B6", "--> MSE\n     00 22 41 B6\n<-- 6A86 (incorrect p1 p2)"),
        ("00220000018000", "--> MSE\n     00 22 00 00  Lc 1  Ne 256\n     80\n<-- 6A86 (incorrect p1 p2)"),
    ],
)
def test_whatever_comes_has_a_line(sent: str, expected: str) -> None:
    it = card()
    it.transmit(bytes.fromhex(sent))
    assert trace(it) == expected


def test_what_is_wrong_inside_is_shown_as_it_is() -> None:
    it = card()
    data = build(0x80, b"\x80\x01") + build(0x83, b"\x07") + build(0x7F4C, build(0x53, b"\x01"))
    it.transmit(Command(Ins.MANAGE_SECURITY_ENVIRONMENT, 0xC1, 0xA4, data).encode())
    text = trace(it)
    assert "80 protocol: 8001" in text
    assert "83 password: 7" in text
    assert "7F4C CHAT: 530101" in text
    data = build(0x7F4E, build(0x06, b"\x2a\x03"), build(0x5F25, b"\x09" * 6), build(0x5F24, b"\x01"))
    it.transmit(Command(Ins.PERFORM_SECURITY_OPERATION, 0, 0xBE, data).encode())
    text = trace(it)
    assert "06 protocol: 1.2.3" in text
    assert "5F25 effective: 090909090909" in text
    assert "5F24 expires: 01" in text


def test_long_values_are_cut() -> None:
    it = card()
    it.transmit(Command(Ins.GENERAL_AUTHENTICATE, 0, 0, bytes([0x30]) * 100).encode())
    assert f"{'30' * 48}… (100 bytes)" in trace(it)
