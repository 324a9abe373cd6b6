"""What is done to a fleet in the middle of a login, drawn from a seed: workers killed, connections of Redis' cut."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

import redis.asyncio

from tests.workers.fleet import Fleet
from tests.workers.router import Served, Turns
from tests.workers.steps import STEPS, step_of

#: The longest that a fault waits after the request has left (s); most requests have been answered by then.
_LONGEST: Final = 0.03


class What(StrEnum):
    """What happens."""

    #: ``kill -9`` of the worker that has this request: at any moment …
    WORKER = "worker"
    #: … or between a step's being taken and its being answered.
    EVENT = "event"
    #: ``kill -9`` of the worker that holds the login's stream.
    STREAM = "stream"
    #: Redis cuts the workers' connections for commands, those for news, or all.
    COMMANDS = "commands"
    NEWS = "news"
    REDIS = "redis"


#: Those that happen to Redis.
CUTS: Final = (What.COMMANDS, What.NEWS, What.REDIS)

#: Steps that are hit so many times as often as others, by the first word of the kind of login.
_WEIGHTS: Final = {("qr", "approve"): 3, ("bound", "approve"): 2, ("eid", "approve"): 2}
_LOGGED_IN: Final = ("LoginSucceeded", "LoginCompleted")
#: What a worker says to its listeners within a step, by the first word of the kind of login.
_EVENTS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("qr", "create"): ("QRLoginStarted",),
    ("qr", "scan"): ("QRScanned",),
    ("qr", "approve"): ("QRApproved",),
    ("qr", "claim"): _LOGGED_IN,
    ("bound", "create"): ("QRLoginStarted",),
    ("bound", "scan"): ("QRScanned",),
    ("bound", "approve"): ("QRApproved",),
    ("bound", "prove"): ("LoginBound",),
    ("bound", "claim"): _LOGGED_IN,
    ("eid", "create"): ("EIDLoginStarted",),
    ("eid", "scan"): ("EIDScanned",),
    ("eid", "approve"): ("EIDApproved",),
    ("eid", "prove"): ("EIDApproved", "LoginBound"),
    ("eid", "claim"): _LOGGED_IN,
    ("oidc", "claim"): _LOGGED_IN,
    ("passkey", "claim"): _LOGGED_IN,
}


@dataclass(frozen=True)
class Fault:
    """What happens, at which step, and how long (s) after its request has left.

    ``event`` is the one at which a worker dies.
    """

    what: What
    step: str
    delay: float
    event: str = ""
    #: The person walks away afterwards.
    leaves: bool = False


class LeftError(Exception):
    """The person has walked away."""


def draw_fault(login: str, random: Random, *, among: Collection[What] = tuple(What)) -> Fault:
    """A fault for a login of this kind, ``among`` these."""
    kind = login.partition("-")[0]
    [step] = random.choices(STEPS[login], [_WEIGHTS.get((kind, step), 1) for step in STEPS[login]])
    choices = [What.WORKER, What.WORKER, What.COMMANDS, What.NEWS, What.REDIS]
    events = _EVENTS.get((kind, step), ())
    if events:
        choices += [What.EVENT, What.EVENT]
    if "events" in STEPS[login] and step not in ("create", "events"):
        choices += [What.STREAM, What.STREAM]
    what = random.choice([what for what in choices if what in among])
    event = random.choice(events) if what is What.EVENT else ""
    return Fault(what, step, random.uniform(0, _LONGEST), event, leaves=random.random() < 0.1)


class Trouble:
    """Brings one fault over one login; told of its requests by :class:`~.router.Turns`."""

    def __init__(self, fault: Fault, *, fleet: Fleet, turns: Turns, cutter: "redis.asyncio.Redis") -> None:
        self._fault = fault
        self._fleet = fleet
        self._turns = turns
        self._cutter = cutter
        self._striking: asyncio.Task[bool] | None = None

    def __call__(self, served: Served) -> None:
        """A request leaves."""
        if self._striking is not None:
            if self._fault.leaves and self._striking.done():
                raise LeftError
            return
        if step_of(served.method, served.path) == self._fault.step:
            if self._fault.what is What.EVENT:
                self._fleet.doom(self._fault.event)
            self._striking = asyncio.create_task(self._strike(served.worker))

    @property
    def has_come(self) -> bool:
        """Whether the login has got as far."""
        return self._striking is not None

    async def over(self) -> bool:
        """Wait for it; whether it has hit something. Deaths at events are not its own: the fleet counts them."""
        return self._striking is not None and await self._striking

    async def _strike(self, worker: int) -> bool:
        await asyncio.sleep(self._fault.delay)
        match self._fault.what:
            case What.WORKER:
                return self._fleet.kill(worker)
            case What.EVENT:
                return False
            case What.STREAM:
                return self._fleet.kill(self._turns.worker_of("/events"))
            case What.COMMANDS:
                return await self._cut("normal")
            case What.NEWS:
                return await self._cut("pubsub")
            case What.REDIS:
                return any([await self._cut("normal"), await self._cut("pubsub")])

    async def _cut(self, kind: str) -> bool:
        command = ("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        # The answer is how many connections it was.
        return bool(await self._cutter.execute_command(*command))  # type: ignore[no-untyped-call]
