"""Germany's own eID client takes our card for an ID card, through PC/SC, with its tries and all."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.emulation.card.ausweisapp import SDK, running
from tests.emulation.card.pcsc import daemon, inserted
from tests.emulation.card.world import card
from useid_middleware.emulation.card.chip import Card
from useid_middleware.emulation.card.state import PinStatus


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    if shutil.which("AusweisApp2") is None:
        pytest.skip("needs Debian's package ausweisapp2")
    with daemon(tmp_path) as port:
        yield port


def with_tries(status: PinStatus) -> Card:
    return card(state=replace(card().state, pin_status=status))


def reader_with_card(sdk: SDK) -> dict[str, Any]:
    """What the client says of the reader once it has looked at the card."""
    while True:
        reader = sdk.receive("READER")
        if reader.get("card"):
            return reader


@pytest.mark.parametrize(
    ("status", "tries"), [(PinStatus.THREE_TRIES, 3), (PinStatus.TWO_TRIES, 2), (PinStatus.SUSPENDED, 1)]
)
def test_the_client_sees_an_eid_card_and_its_tries(status: PinStatus, tries: int, port: int, tmp_path: Path) -> None:
    with running(tmp_path) as sdk, inserted(with_tries(status), port=port):
        reader = reader_with_card(sdk)
        assert "useid test" in reader["name"]
        assert reader["attached"] is True
        assert (reader["card"]["retryCounter"], reader["card"]["inoperative"]) == (tries, False)
        assert reader["card"]["deactivated"] is False
        sdk.send("GET_READER_LIST")
        # The virtual reader has two slots; one of them is empty.
        assert reader["card"] in [each["card"] for each in sdk.receive("READER_LIST")["readers"]]


def test_the_client_sees_that_the_eid_function_is_switched_off(port: int, tmp_path: Path) -> None:
    with running(tmp_path) as sdk, inserted(card("deactivated"), port=port):
        assert reader_with_card(sdk)["card"]["deactivated"] is True
