"""What has come of a fault run: what was done to it, what that has cost, and whether it was enough to show anything."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tests.workers.faults import CUTS, What

#: Of so many logins so many must meet a fault that hits something: what a full run is.
FULL: Final = 240
_ENOUGH: Final = 200
_WORDS: Final = {
    What.WORKER: "with a request",
    What.EVENT: "between a step and its answer",
    What.STREAM: "with the page's stream",
    What.COMMANDS: "for commands",
    What.NEWS: "for news",
    What.REDIS: "of both kinds",
}
#: Said when a login counts as approved.
_APPROVALS: Final = ("QRApproved", "EIDApproved")


@dataclass
class Counts:
    """Of ``lost``, ``doubled`` and ``stuck`` there must be none: each says what it is."""

    logins: int = 0
    left: int = 0
    attempts: int = 0
    #: All workers that have died.
    kills: int = 0
    #: Faults that hit something, by what they are and the step at which they came …
    hits: Counter[tuple[What, str]] = field(default_factory=Counter)
    #: … but for workers that died at an event: by that.
    deaths: Counter[str] = field(default_factory=Counter)
    #: Why somebody had to begin anew, and how often.
    anew: Counter[str] = field(default_factory=Counter)
    #: Sessions whose cookie has never arrived; they end as unused ones do.
    orphans: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    log: str = ""

    def of(self, *kinds: What, step: str = "") -> int:
        """How many faults of these kinds hit something, at all steps or at one."""
        found = sum(number for (what, at), number in self.hits.items() if what in kinds and step in ("", at))
        return found + (self.deaths.total() if What.EVENT in kinds and not step else 0)

    @property
    def cuts(self) -> int:
        """How often Redis' connections were cut."""
        return self.of(*CUTS)

    @property
    def approvers(self) -> int:
        """Kills of the worker that had an approval, just before it answered or around then."""
        return self.of(What.WORKER, step="approve") + sum(self.deaths[event] for event in _APPROVALS)

    def missing(self) -> list[str]:
        """What has not happened, or not often enough, though the run was to show that it does no harm."""
        found = [f"missing: no {_named(what)}" for what in What if not self.of(what)]
        if not self.approvers:
            found.append("missing: no kill of the worker that approves")
        if not self.of(*CUTS, step="approve"):
            found.append("missing: no cut at the step approve")
        least = self.logins * _ENOUGH // FULL
        if self.kills + self.cuts < least:
            found.append(f"missing: {self.kills} kills and {self.cuts} cuts are fewer than {least}")
        return found

    def unexplained(self) -> list[str]:
        """Workers that nobody has killed."""
        known = self.of(*(what for what in What if what not in CUTS))
        return [f"died by themselves: {self.kills - known} workers"] if self.kills > known else []

    def failures(self) -> list[str]:
        """Why the run has failed, if it has."""
        return [*self.lost, *self.doubled, *self.stuck, *self.unexplained(), *self.missing()]

    def lines(self) -> list[str]:
        """For people."""
        anew = ", ".join(f"{name} {number}" for name, number in sorted(self.anew.items())) or "nobody"
        killed = ", ".join(f"{_WORDS[what]} {self.of(what)}" for what in What if what not in CUTS)
        cut = ", ".join(f"{_WORDS[what]} {self.of(what)}" for what in CUTS)
        return [
            f"logins {self.logins} (walked away: {self.left}), attempts {self.attempts}",
            f"kills {self.kills}, cuts of Redis' connections {self.cuts}",
            f"killed: {killed}; of these, with an approval {self.approvers}",
            f"cut: {cut}; of these, at an approval {self.of(*CUTS, step='approve')}",
            f"begun anew, because what is given once died with its worker: {anew}; sessions nobody has: {self.orphans}",
            f"lost {len(self.lost)}, doubled {len(self.doubled)}, stuck {len(self.stuck)}",
        ]


def _named(what: What) -> str:
    return f"cut of Redis' connections {_WORDS[what]}" if what in CUTS else f"kill of a worker {_WORDS[what]}"
