"""What is done to a fleet in the middle of a login, drawn from a seed: workers killed, connections of Redis' cut."""

import asyncio
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

import redis.asyncio

from tests.workers.fleet import Fleet
from tests.workers.router import Served, Turns

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

_STEPS: Final = (
    ("create", re.compile(r"POST /auth/(session/create|eid/start|passkeys/login/options)|GET /auth/login")),
    ("events", re.compile(r"GET /auth/(eid/)?session/[^/]+/events")),
    ("scan", re.compile(r"POST /auth/session/[^/]{22}|GET /auth/eid/tctoken/.*")),
    ("card", re.compile(r"POST /auth/eid/paos")),
    ("approve", re.compile(r"POST /auth/(approve|eid/session/[^/]+/sealed)")),
    ("account", re.compile(r"POST /auth/webauthn/accounts")),
    ("register", re.compile(r"PUT /auth/webauthn/accounts/[^/]+")),
    ("prove", re.compile(r"POST /auth/webauthn/accounts/[^/]+/assertions")),
    ("claim", re.compile(r"POST /auth/(session/[^/]+/claim|passkeys/login)|GET /auth/(callback|.*/refresh/.*)")),
)
#: The steps of each kind of login. What is named twice is hit twice as often.
_BOUND: Final = ("account", "register", "prove")
STEPS: Final[dict[str, tuple[str, ...]]] = {
    "qr": ("create", "events", "scan", "approve", "approve", "approve", "claim"),
    "qr-known": ("create", "events", "scan", "approve", "approve", "approve", "claim"),
    "oidc": ("create", "claim"),
    "passkey": ("create", "claim"),
    "eid-same-device": ("create", "scan", "card", "claim"),
    "eid-integrated": ("create", "events", "scan", "card", "approve", "approve", "claim"),
    "eid-bound": ("create", "events", "scan", "card", *_BOUND, "claim"),
    "bound-qr": ("create", "events", "scan", "approve", "approve", *_BOUND, "claim"),
}
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
    step = random.choice(STEPS[login])
    choices = [What.WORKER, What.WORKER, What.COMMANDS, What.NEWS, What.REDIS]
    events = _EVENTS.get((login.partition("-")[0], step), ())
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
        self._striking: asyncio.Task[None] | None = None

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

    async def over(self) -> bool:
        """Wait for it; whether it has come at all."""
        if self._striking is None:
            return False
        await self._striking
        return True

    async def _strike(self, worker: int) -> None:
        await asyncio.sleep(self._fault.delay)
        match self._fault.what:
            case What.WORKER:
                self._fleet.kill(worker)
            case What.STREAM:
                self._fleet.kill(self._turns.worker_of("/events"))
            case What.COMMANDS:
                await self._cut("normal")
            case What.NEWS:
                await self._cut("pubsub")
            case What.REDIS:
                await self._cut("normal")
                await self._cut("pubsub")

    async def _cut(self, kind: str) -> None:
        await self._cutter.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")  # type: ignore[no-untyped-call]


def step_of(method: str, path: str) -> str:
    """Which step of a login a request is; empty for all others."""
    line = f"{method} {path}"
    return next((name for name, pattern in _STEPS if pattern.fullmatch(line)), "")
