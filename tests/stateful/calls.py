"""Calls and what is known of them: who sends what, what must come of it, and what everybody has seen."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.actors import Answer, Browser
from tests.stateful.things import WRONG_STATE, Device, Signed, Told, Wire

T = TypeVar("T")


@dataclass
class Public:
    """What everybody knows of a login: its link, the frames that were on show, what its phone was told."""

    link: str
    frames: dict[str, int] = field(default_factory=dict)
    context: dict[str, str] | None = None
    refresh_url: str = ""


@dataclass
class Sent:
    """An answer that a phone has signed, and that others may send again."""

    login: str
    device: Device
    body: dict[str, Any]
    signed: Signed


@dataclass
class Call:
    """What somebody sends, what must come of it, and what is done with the answer."""

    browser: Browser | None
    send: Callable[[], Awaitable[Answer]]
    step: Callable[[Wire], Told]
    then: Callable[[Answer], None] = lambda _: None
    #: What must come of it, if it was looked at before another call came, and went on after that.
    late: Callable[[Wire], Told] = lambda _: WRONG_STATE
    carried: dict[str, str] = field(default_factory=dict)

    async def go(self) -> Answer:
        """Send it, with the cookies of this moment."""
        self.carried = dict(self.browser.cookies) if self.browser is not None else {}
        return await self.send()

    def wire(self, answer: Answer) -> Wire:
        """The cookies that travelled."""
        return Wire(self.carried, cookies_of(answer))


def cookies_of(answer: Answer) -> dict[str, str]:
    """The cookies that an answer sets, and, empty, those that it takes away."""
    pairs = [value.decode().partition(";")[0] for name, value in answer.headers if name == b"set-cookie"]
    return dict(pair.split("=", 1) for pair in pairs)


def nth(found: list[T], pick: int) -> T:
    """One of them, the newest first."""
    return found[-1 - pick % len(found)]


def other_than(code: str) -> str:
    """Six digits that are not these."""
    return "111111" if code != "111111" else "222222"
