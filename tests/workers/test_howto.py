"""docs/howto/workers.md says what the tests do."""

import re

import pytest

from tests.test_docs import page
from tests.workers.servers import KINDS

PAGE = page("howto/workers.md")
#: What the tests need and nobody else: where to listen.
PLACE = {"--port", "--bind"}


def options_in(command: str) -> set[str]:
    """The names of the options."""
    return set(re.findall(r"--[a-z0-9-]+", command))


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_is_started_with_the_options_that_the_page_shows(kind: str) -> None:
    command = KINDS[kind].arguments
    name = command.partition(" ")[0]
    [shown] = re.findall(rf"`({name} app:app [^`]+)`", PAGE.partition("## Stop them")[0].partition("\n**")[0])
    assert options_in(command) - PLACE <= options_in(shown)
