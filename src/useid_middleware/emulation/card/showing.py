"""A card as text: what is on it, and what has become of it."""

from collections.abc import Iterator

from .data_groups import DataGroup, encode_data_groups
from .personalisation import Personality
from .security import TRIES
from .state import CardState
from .trace import describe_objects


def describe_personality(personality: Personality) -> Iterator[str]:
    """The passwords and all data groups, line by line. An emulated card has no secrets from its user."""
    secrets = personality.secrets
    yield personality.title
    yield f"  PIN {secrets.pin} ({secrets.pin_state}, {secrets.pin_tries} tries)  CAN {secrets.can}  PUK {secrets.puk}"
    if personality.document.revoked:
        yield "  revoked"
    for number, content in sorted(encode_data_groups(personality).items()):
        yield f"  DG{number:<3}{DataGroup(number).name.replace('_', ' ').lower()}"
        yield from (f"       {line}" for line in describe_objects(content))


def describe_state(state: CardState) -> Iterator[str]:
    """What a state file says, line by line, without passwords and keys."""
    yield "state"
    activity = "" if state.pin_active else ", deactivated"
    yield f"  PIN {state.pin_status} ({TRIES[state.pin_status]} tries left){activity}; PUK good for {state.puk_uses}"
    yield f"  date {state.trust.today}"
    yield f"  trusts {', '.join(each.reference.decode('latin-1') for each in state.trust.points)}"
    for number in sorted(state.written):
        yield f"  DG{number} was written"
