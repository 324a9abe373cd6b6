"""One row of the table, its judgement, and the ways of showing rows: a table for people, JSON for programs.

``python -m benchmarks.rows FILE`` prints the table of docs/performance.md from the JSON of a run.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

#: Ends the unit of rows whose goal is absolute.
ON_TOP = "on top"


@dataclass(frozen=True, slots=True)
class Row:
    """A comparison; the package's docstring says what each field means."""

    name: str
    ours: float
    peer: float
    unit: str
    ratio: float
    goal: float
    met: bool
    note: str


def row(name: str, *, ours: float, peer: float, unit: str, goal: float, why: str = "") -> Row:
    """Compare two figures and judge them by ``goal``; ``why``: what keeps it from being met, where that is known."""
    ratio = ours / peer if peer > 0 else 0.0
    is_absolute = unit.endswith(ON_TOP)
    met = ours <= goal if is_absolute else peer > 0 and ratio <= goal
    note = "" if met else _miss((ours if is_absolute else ratio) / goal - 1, why)
    return Row(name, round(ours, 2), round(peer, 2), unit, round(ratio, 3), round(goal, 3), met, note)


def _miss(excess: float, why: str) -> str:
    if excess <= 0:
        return "not comparable: the peer's figure drowned in noise"
    return f"missed by {excess:.0%}: {why or 'no reason known, so either noise or a regression'}"


def as_json(rows: Sequence[Row]) -> str:
    """The rows as the list that the package's docstring describes."""
    return json.dumps([asdict(each) for each in rows], indent=1, ensure_ascii=False) + "\n"


def as_table(rows: Sequence[Row]) -> str:
    """The rows under a heading, one line each, columns aligned; below one whose goal is missed, by how much and why."""
    lines = [("", "ours", "peer", "unit", "ratio", "goal", "met")]
    for each in rows:
        goal = f"≤ {each.goal:g}" if each.unit.endswith(ON_TOP) else f"≤ {each.goal:.2f} ×"
        met = "yes" if each.met else "NO"
        lines.append((each.name, f"{each.ours:.1f}", f"{each.peer:.1f}", each.unit, f"{each.ratio:.2f} ×", goal, met))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    notes = ["", *(each.note for each in rows)]
    return "\n".join(
        _aligned(line, widths) + (f"\n    {note}" if note else "") for line, note in zip(lines, notes, strict=True)
    )


def as_markdown(rows: Sequence[Row]) -> str:
    """The rows as they stand in the documentation."""
    lines = ["| work | ours | peer | ratio | goal | met |", "|---|---|---|---|---|---|"]
    for each in rows:
        is_absolute = each.unit.endswith(ON_TOP)
        goal = f"{each.goal:g} {each.unit.removesuffix(ON_TOP).strip()}" if is_absolute else f"{each.goal:g}"
        met = "yes" if each.met else "no"
        figures = f"{each.ours:,.1f} {each.unit} | {each.peer:,.1f} {each.unit} | {each.ratio:.3g}"
        lines.append(f"| {each.name} | {figures} | ≤ {goal} | {met} |")
    return "\n".join(lines)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    left = {0, 3, 6}
    padded = [
        cell.ljust(width) if column in left else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


if __name__ == "__main__":
    print(as_markdown([Row(**each) for each in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))]))
