"""Numbers by time slot, of which several processes have one part each. Pure.

Whatever comes at one process and leaves at another is counted up here and down there, in the slot in which its time is
over. So the numbers of one process mean nothing, and below zero is nothing odd: the sum over all processes is what is
there. What is left of a slot that has passed stayed until its time was over, and nobody need have looked.

The slots are in a ring of cells, which are used again. A cell has three numbers: its slot; what all slots before it
left there; the same and what this slot has. They are written in such an order that whoever reads in between, or after
a kill in between, sees what was before or what is afterwards.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from .series import Numbers

#: Cells of a ring.
CELLS: Final = 512
#: Numbers of a ring.
RING_SIZE: Final = 3 * CELLS
#: What was on its way when its time was over may be counted so much later (s); only then it is sure what is left.
GRACE: Final = 10.0

_SLOT, _BEFORE, _ALL = 0, 1, 2


class Found(NamedTuple):
    """What a ring says: how many are ``there``, and how many are still there ``left`` of all whose time is over."""

    there: float
    left: float


@dataclass(frozen=True, slots=True)
class Ring:
    """One process' part. ``width`` is that of a slot, in seconds; times are Unix seconds."""

    numbers: Numbers
    width: int

    def add(self, amount: float, *, until: float, now: float) -> None:
        """So many come (or leave, below zero) whose time is over at ``until``."""
        numbers, slot = self.numbers, -(-until // self.width)
        at = int(slot % CELLS) * 3
        if numbers[at] != slot:
            if self._is_over(numbers[at], now=now):
                self._turn(at, slot)
            else:
                # Long after its time, or long before: that slot has no cell, and was or will be counted as over.
                numbers[at + _BEFORE] += amount
        numbers[at + _ALL] += amount

    def absorb(self, other: Sequence[float], *, now: float) -> None:
        """Add another part of the same width."""
        numbers = self.numbers
        for cell, (slot, before, all_) in enumerate(_cells(other)):
            at = 3 * cell
            if numbers[at] != slot and self._is_over(numbers[at], now=now) and not self._is_over(slot, now=now):
                self._turn(at, slot)
            numbers[at + _BEFORE] += before if numbers[at] == slot else all_
            numbers[at + _ALL] += all_

    def _turn(self, at: int, slot: float) -> None:
        self.numbers[at + _BEFORE] = self.numbers[at + _ALL]
        self.numbers[at] = slot

    def _is_over(self, slot: float, *, now: float) -> bool:
        end = slot * self.width
        # A slot so far ahead is from before a clock was set back.
        return not slot or now - end >= GRACE or end - now > CELLS * self.width


def read(numbers: Sequence[float], *, width: int, now: float) -> Found:
    """What one part says; the sum over all parts is true."""
    there = left = 0.0
    if not any(numbers):
        return Found(there, left)  # A state that few settings lead to.
    farthest = now + CELLS * width
    for slot, before, all_ in _cells(numbers):
        end = slot * width
        if now < end <= farthest:
            there += all_ - before
            left += before
        else:
            left += before if 0 <= now - end < GRACE else all_
    return Found(there, left)


def _cells(numbers: Sequence[float]) -> Iterator[tuple[float, float, float]]:
    return zip(numbers[_SLOT::3], numbers[_BEFORE::3], numbers[_ALL::3], strict=True)
