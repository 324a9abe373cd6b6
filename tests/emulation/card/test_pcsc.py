"""Other people's programs take the card for one: PC/SC's daemon with a virtual reader, and OpenSC."""

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.emulation.card.pcsc import PATIENCE, daemon, inserted
from tests.emulation.card.world import card
from useid_middleware.eac.security_info_parsing import parse_security_infos
from useid_middleware.eac.security_infos import choose_pace
from useid_middleware.emulation.card.chip import ATR

#: Each takes a program's start; reached only when something is wrong.
_ATTEMPTS = 1000


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if shutil.which("opensc-tool") is None:
        pytest.skip("needs Debian's package opensc")
    with daemon(tmp_path_factory.mktemp("pcscd")) as port, inserted(card(), port=port):
        # The daemon looks at its readers a few times a second.
        assert any(" Yes " in _row() for _ in range(_ATTEMPTS))
        yield port


def _row() -> str:
    """OpenSC's line about the first reader."""
    done = subprocess.run(["opensc-tool", "--list-readers"], capture_output=True, timeout=PATIENCE, check=True)
    return next(line for line in done.stdout.decode().splitlines() if line.startswith("0"))


def _opensc(*arguments: str) -> str:
    done = subprocess.run(
        ["opensc-tool", "--reader", "0", *arguments], capture_output=True, timeout=PATIENCE, check=True
    )
    return done.stdout.decode(errors="replace")


def _answers(output: str) -> list[tuple[str, bytes]]:
    """Status words and data of what OpenSC prints for each APDU: a table of hex and characters."""
    found = []
    for part in output.split("Received (")[1:]:
        head, *rows = part.splitlines()
        word = re.match(r"SW1=0x(..), SW2=0x(..)", head)
        assert word is not None
        pairs = (re.findall(r"[0-9A-F]{2} ", row[:48]) for row in rows if re.match(r"[0-9A-F]{2} ", row))
        found.append((word[1] + word[2], bytes.fromhex("".join("".join(row) for row in pairs))))
    return found


def test_the_reader_is_listed_with_a_card_in_it(port: int) -> None:
    row = _row()
    assert "useid test" in row
    assert " Yes " in row


def test_its_answer_to_reset_is_that_of_an_id_card(port: int) -> None:
    assert _opensc("--atr").strip().replace(":", "").upper() == ATR.hex().upper()


def test_the_directory_and_the_card_access_file_can_be_read(port: int) -> None:
    output = _opensc(
        *("--send-apdu", "00A4000C023F00"),
        *("--send-apdu", "00A4020C022F00", "--send-apdu", "00B0000000"),
        *("--send-apdu", "00A4020C02011C", "--send-apdu", "00B0000000"),
        *("--send-apdu", "00A4040C09E80704007F00070302"),
    )
    words, contents = zip(*_answers(output), strict=True)
    assert words == ("9000",) * 6
    assert contents[2].startswith(bytes.fromhex("61104F09E80704007F000703025003"))
    info, curve = choose_pace(parse_security_infos(contents[4]))
    assert (info.version, curve.name) == (2, "brainpoolP256r1")


def test_what_the_card_does_not_know_comes_back_as_its_own_status_word(port: int) -> None:
    output = _opensc("--send-apdu", "00CA000000", "--send-apdu", "00A4020C020101")
    assert [word for word, _ in _answers(output)] == ["6D00", "6A82"]
