"""The state as a file: everything comes back, and nothing else is taken for one."""

import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.emulation.card.world import NOW, Dialogue, card, pki, stream
from useid_middleware.emulation.card.state import CardState, PinStatus, decode_state, encode_state
from useid_middleware.emulation.card.state_file import read_state, write_state
from useid_middleware.emulation.pki import renew
from useid_middleware.errors import ConfigurationError


def used() -> CardState:
    """A state in which nothing is as it was at first: two links on, the first trust point is forgotten."""
    dialogue = Dialogue(card("pin-blocked"))
    country = pki()
    for label in ("second", "third"):
        country = renew(country, now=NOW, random=stream(label), new_cvca=True)
    dialogue.card = card(state=replace(dialogue.card.state, pin_status=PinStatus.THREE_TRIES))
    dialogue.pace()
    dialogue.authenticate_terminal(pki=country)
    return replace(
        dialogue.card.state, pin_status=PinStatus.TWO_TRIES, pin_active=False, puk_uses=3, written={17: b"\x71\x00"}
    )


def test_a_state_survives_being_written_and_read() -> None:
    state = used()
    again = decode_state(encode_state(state))
    assert again == state
    assert [each.reference for each in again.trust.points] == [b"DETESTCVCA00003", b"DETESTCVCA00002"]


def test_what_was_resumed_is_suspended_in_the_file() -> None:
    state = replace(card().state, pin_status=PinStatus.RESUMED)
    assert decode_state(encode_state(state)).pin_status is PinStatus.SUSPENDED


def test_a_card_goes_on_from_its_state() -> None:
    dialogue = Dialogue(card(state=decode_state(encode_state(card().state))))
    dialogue.log_in()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"seed": "AAAA"},
        {"pin": "1234"},
        {"pin": "12345a"},
        {"pin": "١٢٣٤٥٦"},
        {"can": "12345"},
        {"puk": "123"},
        {"pukUses": 11},
        {"pukUses": -1},
        {"pinStatus": "resumed"},
        {"pinStatus": "lost"},
        {"pinActive": "no"},
        {"today": "yesterday"},
        {"trustPoints": []},
        {"trustPoints": [{"certificate": "AAAA", "curve": 13}]},
        {"written": {"23": ""}},
        {"written": {"x": ""}},
    ],
)
def test_other_values_are_no_state(change: dict[str, Any]) -> None:
    content = json.loads(encode_state(card().state)) | change
    with pytest.raises(ConfigurationError, match="not a state file"):
        decode_state(json.dumps(content).encode())


def test_a_trust_point_on_an_unknown_curve_is_no_state() -> None:
    content = json.loads(encode_state(card().state))
    content["trustPoints"][0]["curve"] = 99
    with pytest.raises(ConfigurationError, match="not a state file"):
        decode_state(json.dumps(content).encode())


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"[" * 10000])
def test_other_bytes_are_no_state(content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="not a state file"):
        decode_state(content)


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    assert read_state(path) is None
    state = used()
    write_state(path, card().state)
    write_state(path, state)
    assert read_state(path) == state
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_at_fault_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    write_state(path, card().state)
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_state(path)
    path.chmod(0o600)
    path.write_bytes(b"no state")
    with pytest.raises(ConfigurationError, match=r"card\.json: the card's state: not a state file"):
        read_state(path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="plain file"):
        read_state(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        read_state(tmp_path / "link")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_state(tmp_path / "nowhere" / "card.json", card().state)


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "card.json").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_state(tmp_path / "card.json", card().state)
    assert [each.name for each in tmp_path.iterdir()] == ["card.json"]


def test_no_secret_of_the_state_is_in_its_text() -> None:
    state = card().state
    for secret in (state.pin, state.can, state.puk, state.seed.hex(), repr(state.seed)):
        assert secret not in repr(state)
