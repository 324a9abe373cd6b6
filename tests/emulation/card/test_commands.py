"""``useid card`` on the command line: what it prints, what it keeps, and how it ends."""

import signal
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.emulation.card.test_vpcd import PATIENCE, SELECT_MF, Slot
from tests.emulation.card.world import NOW, Dialogue, card, stream
from useid_middleware.eac.errors import StatusWordError
from useid_middleware.eac.keys import PasswordId
from useid_middleware.eac.terminal import write_data_group
from useid_middleware.emulation.card.commands import add_commands
from useid_middleware.emulation.card.faults import FAULTS
from useid_middleware.emulation.card.library import names
from useid_middleware.emulation.card.state import PinStatus
from useid_middleware.emulation.card.state_file import read_state, write_state
from useid_middleware.emulation.pki import new_pki
from useid_middleware.emulation.pki_files import create_pki, read_pki
from useid_middleware.errors import ConfigurationError

_PROGRAM = """
import signal, sys
from tests.emulation.card.test_commands import useid
# A shell that runs the tests in the background has them ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    sys.exit(useid(*sys.argv[1:]))
except KeyboardInterrupt:
    sys.exit(130)
"""


def useid(*arguments: str) -> int:
    """Run a command as the program does."""
    parser = ArgumentParser(prog="useid")
    add_commands(parser.add_subparsers())
    options = parser.parse_args(["card", *arguments])
    return int(options.func(options))


@contextmanager
def running(slot: Slot, *arguments: str) -> Iterator[list[str]]:
    """The program with its card in this reader; its output is there when the block has ended, by Ctrl-C."""
    output: list[str] = []
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, "--vpcd", f"127.0.0.1:{slot.port}", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        slot.accept()
        yield output
    finally:
        process.send_signal(signal.SIGINT)
        output += process.communicate(timeout=PATIENCE)[0].splitlines()
    assert process.returncode == 130, output


@pytest.fixture
def slot() -> Iterator[Slot]:
    slot = Slot()
    try:
        yield slot
    finally:
        slot.close()


class Remote:
    """The card in the reader, for a :class:`Dialogue`: it goes over the socket."""

    def __init__(self, slot: Slot) -> None:
        self.transmit = slot.ask


def dialogue_at(slot: Slot) -> Dialogue:
    dialogue = Dialogue(card())
    dialogue.card = Remote(slot)  # type: ignore[assignment]
    return dialogue


def test_a_card_without_a_pki_of_its_own_can_be_talked_to(slot: Slot) -> None:
    with running(slot) as output:
        dialogue_at(slot).pace()
    assert output[0].startswith("no --pki: the card trusts a PKI made for this run alone")
    assert output[1:] == ["Erika Mustermann; end with Ctrl-C", f"in the reader at 127.0.0.1:{slot.port}"]


def test_wrong_pins_are_remembered_in_the_state_file(slot: Slot, tmp_path: Path) -> None:
    state = tmp_path / "card.json"
    for status, left in ((0x63C2, PinStatus.TWO_TRIES), (0x63C1, PinStatus.SUSPENDED)):
        with running(slot, "--state", str(state)):
            with pytest.raises(StatusWordError) as caught:
                dialogue_at(slot).pace(password=b"000000")
            assert caught.value.status_word == status
        kept = read_state(state)
        assert kept is not None
        assert kept.pin_status is left


def test_the_trace_shows_each_command_and_secrets_on_request(slot: Slot) -> None:
    for option, is_shown in (("--trace", False), ("--trace-secrets", True)):
        with running(slot, option) as output:
            dialogue_at(slot).pace()
        assert "--> MSE:Set AT (PACE)" in output
        assert "     83 password: PIN" in output
        assert any("session keys" in line for line in output) is is_shown


def test_a_fault_and_a_personality_can_be_chosen(slot: Slot) -> None:
    with running(slot, "--fault", "pin-blocked", "--personality", "residence-permit") as output:
        with pytest.raises(StatusWordError) as caught:
            dialogue_at(slot).pace()
        assert caught.value.status_word == 0x63C0
    assert "Ayşe Yılmaz, residence permit; end with Ctrl-C" in output


def test_a_revoked_card_gets_on_the_list_of_its_pki_once(slot: Slot, tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    create_pki(folder, new_pki(now=NOW, random=stream("country")))
    for _ in range(2):
        with running(slot, "--pki", str(folder), "--personality", "revoked"):
            assert slot.ask(SELECT_MF) == b"\x90\x00"
        assert len(read_pki(folder).sectors.revoked) == 1


def test_show_prints_what_is_on_a_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert useid("show") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "Erika Mustermann",
        "  PIN 123456 (operational, 3 tries)  CAN 500540  PUK 9876543210",
    ]
    assert "  DG4  given names" in lines
    assert "         0C: 'ERIKA'" in lines


def test_show_says_that_a_card_is_revoked(capsys: pytest.CaptureFixture[str]) -> None:
    assert useid("show", "revoked") == 0
    assert "\n  revoked\n" in capsys.readouterr().out


def test_show_prints_what_has_become_of_a_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "card.json"
    assert useid("show", "--state", str(path)) == 0
    assert "state" not in capsys.readouterr().out.splitlines()
    dialogue = Dialogue(card("deactivated"))
    dialogue.log_in(PasswordId.CAN).run(write_data_group(17, b"\x71\x00"))
    write_state(path, dialogue.card.state)
    assert useid("show", "deactivated", "--state", str(path)) == 0
    assert capsys.readouterr().out.splitlines()[-5:] == [
        "state",
        "  PIN three tries (3 tries left), deactivated; PUK good for 10",
        "  date 2026-03-01",
        "  trusts DETESTCVCA00001",
        "  DG17 was written",
    ]


def test_list_names_all_personalities_and_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert useid("--list") == 0
    first_words = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert {*names(), *FAULTS} <= first_words


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--vpcd", "35963"), "HOST:PORT"),
        (("--vpcd", "localhost:0"), "HOST:PORT"),
        (("--vpcd", "localhost:70000"), "HOST:PORT"),
        (("--vpcd", "[::1]:1", "--personality", "hans"), "one of erika"),
        (("--vpcd", "localhost:1", "--fault", "rain"), "one of pin-second-try"),
        (("--vpcd", "localhost:1", "--pki", "/nowhere"), "useid pki init"),
    ],
)
def test_a_wrong_value_is_named(arguments: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        useid(*arguments)


def test_a_card_must_be_told_where_to_go(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        useid()
    assert caught.value.code == 2
    assert "--vpcd HOST:PORT" in capsys.readouterr().err
