"""Watching the provider's session (OpenID Connect Session Management 1.0): what is posted, and what the answer does.

::

    idle --unchanged--> watching --changed--> renewing --refused--> ended
                           '------renewed--------'
    idle --changed--> renewing
    idle, watching, renewing --error--> stopped

``idle`` has no answer yet. The script ``widget/session-monitor.js`` runs this table in the browser; a test compares the
two.
"""

import re
from enum import StrEnum
from typing import Final

from ...errors import RequestError

MAX_SESSION_STATE: Final = 512
#: Printable ASCII without the space, which separates the two parts of a message (§3.1).
_SESSION_STATE: Final = re.compile(rf"[!-~]{{1,{MAX_SESSION_STATE}}}").fullmatch


class MonitorState(StrEnum):
    """The states, as the monitor tells its parent."""

    IDLE = "idle"
    WATCHING = "watching"
    RENEWING = "renewing"
    ENDED = "ended"
    STOPPED = "stopped"


class MonitorStep(StrEnum):
    """What can happen: the three answers of the provider's iframe, and the two ends of a login with ``prompt=none``."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    ERROR = "error"
    RENEWED = "renewed"
    REFUSED = "refused"


TRANSITIONS: Final[dict[tuple[MonitorState, MonitorStep], MonitorState]] = {
    (MonitorState.IDLE, MonitorStep.UNCHANGED): MonitorState.WATCHING,
    (MonitorState.IDLE, MonitorStep.CHANGED): MonitorState.RENEWING,
    (MonitorState.WATCHING, MonitorStep.UNCHANGED): MonitorState.WATCHING,
    (MonitorState.WATCHING, MonitorStep.CHANGED): MonitorState.RENEWING,
    (MonitorState.RENEWING, MonitorStep.RENEWED): MonitorState.WATCHING,
    (MonitorState.RENEWING, MonitorStep.REFUSED): MonitorState.ENDED,
    # §3.1: after an error nothing is asked again, and nobody is logged out for it.
    (MonitorState.IDLE, MonitorStep.ERROR): MonitorState.STOPPED,
    (MonitorState.WATCHING, MonitorStep.ERROR): MonitorState.STOPPED,
    (MonitorState.RENEWING, MonitorStep.ERROR): MonitorState.STOPPED,
}
FINAL: Final = frozenset({MonitorState.ENDED, MonitorState.STOPPED})


def next_state(state: MonitorState, step: MonitorStep) -> MonitorState:
    """The state behind ``step``; the same where the table has none, for then the step came late."""
    return TRANSITIONS.get((state, step), state)


def check_session_state(session_state: str) -> str:
    """A ``session_state`` (§2) that can be posted, or ``callback_invalid``, for with the callback it came."""
    if _SESSION_STATE(session_state) is None:
        raise RequestError(
            "callback_invalid",
            f"session_state: expected 1 to {MAX_SESSION_STATE} printable ASCII characters without a space",
        )
    return session_state


def message(client_id: str, session_state: str) -> str:
    """What the RP's iframe posts to the provider's (§3.1)."""
    return f"{client_id} {check_session_state(session_state)}"
