"""Counters, gauges and histograms, and their text for Prometheus (exposition format 0.0.4). Pure.

A family of series has a name; a series of it has values for the family's labels, and some numbers: one, or of a
histogram one for each bucket (not cumulated), one for what is above them, and the sum.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

#: Series of one family; whatever comes beyond is counted together, for somebody else may choose the labels' values.
MAX_SERIES: Final = 200
OTHER: Final = "other"

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"


class Kind(StrEnum):
    """What a family is."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """Series that measure one thing. ``buckets`` are a histogram's upper bounds, ascending."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """How many numbers a series has."""
        return len(self.buckets) + 2 if self.kind is Kind.HISTOGRAM else 1

    def fits(self, name: "SeriesName", values: Sequence[float]) -> bool:
        """Whether these can be a series of this family."""
        return (len(name), len(values)) == (1 + len(self.labels), self.size)


class Numbers(Protocol):
    """A fixed number of floats, wherever they are kept."""

    def __getitem__(self, index: int, /) -> float: ...
    def __setitem__(self, index: int, value: float, /) -> None: ...
    def __iter__(self) -> Iterator[float]: ...


#: A series: its family's name, and the values of the labels.
SeriesName: TypeAlias = tuple[str, ...]
#: The numbers of all series, at one moment.
Snapshot: TypeAlias = Mapping[SeriesName, Sequence[float]]
#: Where the numbers of a new series are kept.
Allocate: TypeAlias = Callable[[SeriesName, int], Numbers]


def in_memory(name: SeriesName, size: int) -> Numbers:
    """The :data:`Allocate` of a process that shares its numbers with nobody."""
    return array("d", bytes(8 * size))


class Registry:
    """The series of one process."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = {family.name: family for family in families}
        self._series: dict[str, dict[SeriesName, Numbers]] = {name: {} for name in self._families}
        self._allocate: Allocate = in_memory
        for family in self._families.values():
            if not family.labels:
                self._numbers(family, ())  # Zero is something to say.

    def add(self, family: Family, *labels: str, amount: float = 1) -> None:
        """Count."""
        numbers = self._numbers(family, labels)
        numbers[0] += amount

    def set(self, family: Family, *labels: str, value: float) -> None:
        """Tell how much there is."""
        self._numbers(family, labels)[0] = value

    def observe(self, family: Family, *labels: str, value: float) -> None:
        """Put a value into its bucket."""
        numbers = self._numbers(family, labels)
        numbers[bisect_left(family.buckets, value)] += 1
        numbers[len(family.buckets) + 1] += value

    def snapshot(self) -> dict[SeriesName, list[float]]:
        """All numbers as they are."""
        return {name: list(numbers) for series in self._series.values() for name, numbers in series.items()}

    def absorb(self, snapshot: Snapshot) -> None:
        """Count what another process counted. What it had at the moment is no more."""
        for name, values in self.counted(snapshot).items():
            numbers = self._numbers(self._families[name[0]], name[1:])
            for index, value in enumerate(values):
                numbers[index] += value

    def counted(self, snapshot: Snapshot) -> Snapshot:
        """The counters and histograms in it, as far as we know them."""
        return {
            name: values
            for name, values in snapshot.items()
            if (family := self._families.get(name[0])) is not None
            and family.kind is not Kind.GAUGE
            and family.fits(name, values)
        }

    def move(self, allocate: Allocate, *, is_empty: bool = False) -> None:
        """Keep all numbers elsewhere from now on, or begin there with none."""
        self._allocate = allocate
        for family in self._families.values():
            held, self._series[family.name] = self._series[family.name], {}
            for name, old in held.items():
                numbers = self._numbers(family, name[1:])
                for index, value in enumerate(old):
                    numbers[index] = 0.0 if is_empty else value

    def render(self, snapshots: Iterable[Snapshot]) -> bytes:
        """The sums of these snapshots as text."""
        totals: dict[str, dict[SeriesName, list[float]]] = {name: {} for name in self._families}
        for snapshot in snapshots:
            for name, values in snapshot.items():
                family = self._families.get(name[0])
                if family is not None and family.fits(name, values):  # Another version's may not.
                    held = totals[family.name].get(name, [0.0] * family.size)
                    totals[family.name][name] = [one + other for one, other in zip(held, values, strict=True)]
        lines: list[str] = []
        for family in self._families.values():
            lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
            for name, values in sorted(totals[family.name].items()):
                lines += _samples(family, name[1:], values)
        return ("\n".join(lines) + "\n").encode()

    def _numbers(self, family: Family, labels: tuple[str, ...]) -> Numbers:
        series = self._series[family.name]
        name = (family.name, *labels)
        numbers = series.get(name)
        if numbers is None:
            if len(series) >= MAX_SERIES:
                name = (family.name, *(OTHER for _ in family.labels))
                if name in series:
                    return series[name]
            numbers = series[name] = self._allocate(name, family.size)
        return numbers


def _samples(family: Family, labels: tuple[str, ...], values: Sequence[float]) -> list[str]:
    pairs = [f'{name}="{_escaped(value)}"' for name, value in zip(family.labels, labels, strict=True)]
    if family.kind is not Kind.HISTOGRAM:
        return [_sample(family.name, pairs, values[0])]
    lines, count = [], 0.0
    for bound, value in zip((*map(_number, family.buckets), "+Inf"), values, strict=False):
        count += value
        lines.append(_sample(f"{family.name}_bucket", [*pairs, f'le="{bound}"'], count))
    return [*lines, _sample(f"{family.name}_sum", pairs, values[-1]), _sample(f"{family.name}_count", pairs, count)]


def _sample(name: str, pairs: Sequence[str], value: float) -> str:
    return f"{name}{{{','.join(pairs)}}} {_number(value)}" if pairs else f"{name} {_number(value)}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
