"""APDUs: every case of ISO 7816-3 there and back, and one error for the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eac.conftest import mutations
from useid_middleware.eac.apdu import Command, Ins, Response, StatusWord, describe, retries, retries_left
from useid_middleware.eac.errors import APDUError

octets = st.integers(0, 0xFF)
commands = st.builds(
    Command,
    ins=st.sampled_from(Ins) | octets,
    p1=octets,
    p2=octets,
    data=st.binary(max_size=300),
    ne=st.sampled_from([0, 1, 255, 256, 257, 65535, 65536]),
    cla=octets,
)


@given(commands)
def test_every_command_comes_back(command: Command) -> None:
    assert Command.decode(command.encode()) == command


@given(st.binary(max_size=16) | commands.flatmap(lambda command: mutations(command.encode())))
def test_bytes_are_a_command_or_one_error(data: bytes) -> None:
    try:
        command = Command.decode(data)
    except APDUError:
        return
    assert Command.decode(command.encode()) == command


@given(st.binary(max_size=300), st.integers(0, 0xFFFF))
def test_every_response_comes_back(data: bytes, sw: int) -> None:
    assert Response.decode(Response(data, sw).encode()) == Response(data, sw)


@pytest.mark.parametrize(
    ("data", "ne", "apdu"),
    [
        (b"", 0, "00A40000"),
        (b"", 1, "00A4000001"),
        (b"", 256, "00A4000000"),
        (b"a", 0, "00A400000161"),
        (b"a", 256, "00A40000016100"),
        (b"", 257, "00A40000000101"),
        (b"", 65536, "00A40000000000"),
        (b"a" * 256, 0, "00A40000000100" + "61" * 256),
        (b"a", 65536, "00A40000000001610000"),
        (b"a" * 256, 255, "00A40000000100" + "61" * 256 + "00FF"),
    ],
    ids=["1", "2S", "2S all", "3S", "4S", "2E", "2E all", "3E", "4E all", "4E"],
)
def test_each_case_has_its_form(data: bytes, ne: int, apdu: str) -> None:
    command = Command(Ins.SELECT, 0, 0, data, ne)
    assert command.encode().hex().upper() == apdu
    assert Command.decode(bytes.fromhex(apdu)) == command


@pytest.mark.parametrize(
    ("apdu", "data", "ne"),
    [("00A4000000000161", b"a", 0), ("00A400000000016100FF", b"a", 255), ("00A40000000010", b"", 16)],
)
def test_extended_forms_of_short_lengths_are_read(apdu: str, data: bytes, ne: int) -> None:
    assert Command.decode(bytes.fromhex(apdu)) == Command(Ins.SELECT, 0, 0, data, ne)


@pytest.mark.parametrize(
    "apdu",
    [
        "",
        "00A400",
        "00A400000261",
        "00A4000001616100",
        "00A400000000",
        "00A4000000000061",
        "00A40000000002616161",
        "00A40000000001616161616161",
        "00A4000000000361",
    ],
)
def test_lengths_of_no_case_are_refused(apdu: str) -> None:
    with pytest.raises(APDUError):
        Command.decode(bytes.fromhex(apdu))


def test_values_that_fit_no_apdu_are_refused() -> None:
    for cla, ins, p1, p2, ne in (
        (256, 0, 0, 0, 0),
        (0, -1, 0, 0, 0),
        (0, 0, 256, 0, 0),
        (0, 0, 0, 256, 0),
        (0, 0, 0, 0, -1),
        (0, 0, 0, 0, 65537),
    ):
        with pytest.raises(APDUError):
            Command(ins, p1, p2, ne=ne, cla=cla)
    with pytest.raises(APDUError, match="at most 65535"):
        Command(0xA4, 0, 0, bytes(65536))
    with pytest.raises(APDUError, match="at most 65536"):
        Response(bytes(65537))
    for sw in (-1, 0x10000):
        with pytest.raises(APDUError, match="two bytes"):
            Response(b"", sw)
    for data in (b"", b"\x90"):
        with pytest.raises(APDUError, match="status word"):
            Response.decode(data)


def test_a_read_instruction_has_its_name_and_an_unknown_one_its_number() -> None:
    assert Command.decode(bytes.fromhex("00B00000")).ins is Ins.READ_BINARY
    assert Command.decode(bytes.fromhex("FF9A0101")).ins == 0x9A


def test_the_class_byte_tells_chaining_and_secure_messaging() -> None:
    told = {
        cla: (Command(0xA4, 0, 0, cla=cla).chained, Command(0xA4, 0, 0, cla=cla).secured)
        for cla in (0x00, 0x04, 0x08, 0x0C, 0x10, 0x1C, 0x4C, 0x50, 0x8C, 0x90, 0xFF)
    }
    assert told == {
        0x00: (False, False),
        0x04: (False, False),
        0x08: (False, False),
        0x0C: (False, True),
        0x10: (True, False),
        0x1C: (True, True),
        0x4C: (False, False),
        0x50: (True, False),
        0x8C: (False, True),
        0x90: (False, False),
        0xFF: (False, False),
    }


def test_retry_counters_go_into_status_words_and_come_out() -> None:
    assert [retries(left) for left in (0, 1, 2, 15, 99)] == [0x63C0, 0x63C1, 0x63C2, 0x63CF, 0x63CF]
    assert [retries_left(sw) for sw in (0x63C0, 0x63CF, 0x6300, 0x9000)] == [0, 15, None, None]


@pytest.mark.parametrize(
    ("sw", "text"),
    [
        (StatusWord.OK, "9000 (ok)"),
        (0x6982, "6982 (security status not satisfied)"),
        (0x63C1, "63C1 (1 try left)"),
        (0x63C0, "63C0 (0 tries left)"),
        (0x6110, "6110 (16 more bytes wait)"),
        (0x6C10, "6C10 (wrong Le, 16 bytes wait)"),
        (0x1234, "1234 (unknown status)"),
    ],
)
def test_status_words_are_described(sw: int, text: str) -> None:
    assert describe(sw) == text
