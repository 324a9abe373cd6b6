"""How many logins are under way in which state, as far as the events of this process tell.

A login that another process moves on stays here in the state that was seen last, until it would have run out.
"""

from collections.abc import Mapping
from typing import Final

WAITING: Final = "waiting"
SCANNED: Final = "scanned"
APPROVED: Final = "approved"


class LoginsUnderWay:
    """The logins of one kind. ``lifetimes`` say how long one stays in a state at most, in seconds."""

    def __init__(self, lifetimes: Mapping[str, float]) -> None:
        self._lifetimes = lifetimes
        #: By state and id: when it began, if it began here, and since when it is in that state. In the order of that.
        self._logins: dict[str, dict[str, tuple[float | None, float]]] = {state: {} for state in lifetimes}

    def move(self, login_id: str, state: str, *, now: float) -> float | None:
        """A login is in this state now, or is over; returns the seconds since it began, if that was here."""
        began_at: float | None = now if state == WAITING else None
        for logins in self._logins.values():
            if login_id in logins:
                began_at, _ = logins.pop(login_id)
        if state in self._logins:
            self._logins[state][login_id] = (began_at, now)
        return None if began_at is None else now - began_at

    def end_one(self, *states: str) -> None:
        """One of these was claimed. Its event does not tell which, and to a count it is all the same."""
        for state in states:
            oldest = next(iter(self._logins[state]), None)
            if oldest is not None:
                del self._logins[state][oldest]
                return

    def forget(self, now: float) -> None:
        """Those that nobody saw end."""
        for state, logins in self._logins.items():
            while logins:
                login_id, (_, since) = next(iter(logins.items()))
                if now < since + self._lifetimes[state]:
                    break
                del logins[login_id]

    def counts(self) -> dict[str, int]:
        """By state."""
        return {state: len(logins) for state, logins in self._logins.items()}
