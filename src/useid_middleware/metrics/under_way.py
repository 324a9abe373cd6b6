"""How many logins are in which state, and how many ran out, whichever process moves them on. Pure.

A process counts the moves that it makes itself, see :mod:`.slots`; a login's record tells where it comes from, and when
its time there would have been over.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from math import ceil
from typing import Final, Protocol

from .._lifetime import CLOCK_SLACK
from .series import Allocate, Numbers, SeriesName, Snapshot, in_memory
from .slots import CELLS, GRACE, RING_SIZE, Ring, read

QR: Final = "qr"
EID: Final = "eid"
APPROVED: Final = "approved"
CLAIMING: Final = "claiming"
EXPIRED: Final = "expired"
#: By flow: the states of logins that are not over.
STATES: Final[Mapping[str, tuple[str, ...]]] = {
    QR: ("waiting", "scanned", "confirmed", "authenticating", APPROVED),
    EID: ("waiting", "scanned", "authenticating", APPROVED, CLAIMING),
}

#: The names of what processes tell each other; a ring's goes on with flow, state and width.
_RING: Final = "logins_in_slots"
_TOLD: Final = "logins_told_expired"
_SINCE: Final = "logins_counted_since"


class Login(Protocol):
    """What is needed of a login's record. ``deadline`` ends the present state (Unix seconds)."""

    @property
    def state(self) -> StrEnum: ...
    @property
    def created_at(self) -> float: ...
    @property
    def deadline(self) -> float: ...


class LoginsUnderWay:
    """One process' part of the numbers. ``lifetimes`` say by flow how long a login stays in a state at most (s)."""

    def __init__(self, lifetimes: Mapping[str, float], *, now: float) -> None:
        self._widths = {flow: ceil((most + GRACE + CLOCK_SLACK) / CELLS) for flow, most in lifetimes.items()}
        self._allocate: Allocate = in_memory
        self._numbers: dict[SeriesName, Numbers] = {}
        self._rings: dict[SeriesName, Ring] = {}
        #: By flow and state.
        self._places: dict[str, dict[str, Ring]] = {}
        self.clear(now=now)

    def note(self, flow: str, before: Login | None, after: Login, *, now: float) -> None:
        """A login begins (``before`` is ``None``), goes on, or is over."""
        since = self._since
        if now < since[0]:
            since[0] = now  # The clock was set back.
        if after.created_at < since[0]:
            return  # Its beginning was not counted, so what comes of it would be too much.
        places, is_expired = self._places[flow], after.state == EXPIRED
        # One that ran out is left in its slot, unless a clock that was set back has ended it before its time.
        if before is not None and not (is_expired and now >= before.deadline):
            ring = places[before.state]
            ring.add(-1, until=before.deadline, now=now)
            if is_expired:
                ring.add(1, until=now, now=now)
        ring_after = places.get(after.state)
        if ring_after is not None:
            ring_after.add(1, until=after.deadline, now=now)

    def move(self, allocate: Allocate) -> None:
        """Keep all numbers elsewhere from now on."""
        held, self._allocate = self._numbers, allocate
        self._numbers, self._rings = {}, {}
        for name, old in held.items():
            values = list(old)
            numbers = self._named(name, len(values))
            for index, value in enumerate(values):
                numbers[index] = value
        self._find()

    def clear(self, *, now: float) -> None:
        """Begin again in memory, with nothing."""
        self._allocate = in_memory
        self._numbers, self._rings = {}, {}
        self._find()
        self._since[0] = now

    def snapshot(self) -> dict[SeriesName, list[float]]:
        """All numbers as they are."""
        return {name: list(numbers) for name, numbers in self._numbers.items()}

    def agree(self, snapshots: Iterable[Snapshot]) -> None:
        """Count all logins that began since the first of these processes counts."""
        for snapshot in snapshots:
            since = snapshot.get((_SINCE,), ())
            if len(since) == 1 and since[0]:
                self._since[0] = min(self._since[0], since[0])

    def absorb(self, snapshot: Snapshot, *, now: float) -> None:
        """Go on with the part of a process that is gone."""
        self.agree([snapshot])
        for name, values in self.parts(snapshot).items():
            if name[0] == _RING:
                self._ring(name).absorb(values, now=now)
            elif name[0] == _TOLD:
                told = self._named(name, 1)
                told[0] = max(told[0], values[0])

    @staticmethod
    def parts(snapshot: Snapshot) -> Snapshot:
        """What a snapshot has of these numbers; nothing of what another version may have there."""
        return {
            name: values
            for name, values in snapshot.items()
            if (name[0] == _RING and len(values) == RING_SIZE and len(name) == 4 and name[3].isdecimal())
            or (name[0] in (_TOLD, _SINCE) and len(values) == 1)
        }

    def tell(
        self, snapshots: Iterable[Snapshot], *, now: float
    ) -> tuple[dict[tuple[str, str], float], dict[str, float]]:
        """What all parts say together: logins under way by flow and state, and by flow those that ran out."""
        there = {(flow, state): 0.0 for flow in self._widths for state in STATES[flow]}
        expired = dict.fromkeys(self._widths, 0.0)
        told = {flow: self._named((_TOLD, flow), 1) for flow in self._widths}
        known = {flow: numbers[0] for flow, numbers in told.items()}
        for snapshot in snapshots:
            for name, values in self.parts(snapshot).items():
                if name[0] == _RING and name[1:3] in there:
                    found = read(values, width=int(name[3]), now=now)
                    there[name[1], name[2]] += found.there
                    expired[name[1]] += found.left
                elif name[0] == _TOLD and name[1] in known:
                    known[name[1]] = max(known[name[1]], values[0])
        for flow, numbers in told.items():
            # A counter never goes back, though a process may be killed between a step and its count.
            numbers[0] = expired[flow] = max(known[flow], expired[flow])
        return there, expired

    def _find(self) -> None:
        self._since = self._named((_SINCE,), 1)
        self._places = {
            flow: {state: self._ring((_RING, flow, state, str(width))) for state in STATES[flow]}
            for flow, width in self._widths.items()
        }

    def _ring(self, name: SeriesName) -> Ring:
        ring = self._rings.get(name)
        if ring is None:
            ring = self._rings[name] = Ring(self._named(name, RING_SIZE), int(name[3]))
        return ring

    def _named(self, name: SeriesName, size: int) -> Numbers:
        numbers = self._numbers.get(name)
        if numbers is None:
            numbers = self._numbers[name] = self._allocate(name, size)
        return numbers
