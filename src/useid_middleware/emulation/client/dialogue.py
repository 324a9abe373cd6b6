"""One dialogue of the emulated client with a person in front of a page: where two threads meet.

The client's thread asks, the page shows the question and answers, and both can be late: a dialogue that is not over in
time, or that its person gives up, ends as cancelled, and the website is told. A password is kept from the answer to its
use, and never written anywhere.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from threading import Condition
from typing import Any, Final

from ...errors import StateError, malformed
from ..card.faults import CardLost
from .actions import Authentication, CreateCredential, PasswordRequest
from .flow import Outcome
from .wallet import AnyCard


class Stage(StrEnum):
    """Where a dialogue is, as the page shows it."""

    CONNECTING = "connecting"
    CONFIRM = "confirm"
    PASSWORD = "password"
    READING = "reading"
    PASSKEY = "passkey"
    BINDING = "binding"
    DONE = "done"
    FAILED = "failed"


class Step(StrEnum):
    """What happens in a dialogue."""

    ASK_CONSENT = "ask_consent"
    CONSENT = "consent"
    ASK_PASSWORD = "ask_password"
    ENTER_PASSWORD = "enter_password"
    TRANSMIT = "transmit"
    ASK_PASSKEY = "ask_passkey"
    MAKE_PASSKEY = "make_passkey"
    GIVE_UP = "give_up"
    SUCCEED = "succeed"
    FAIL = "fail"


#: Nothing else happens. Giving up leads to a last word to the website, and that to the end.
TRANSITIONS: Final[Mapping[tuple[Stage, Step], Stage]] = {
    (Stage.CONNECTING, Step.ASK_CONSENT): Stage.CONFIRM,
    (Stage.CONNECTING, Step.TRANSMIT): Stage.CONNECTING,
    (Stage.CONNECTING, Step.GIVE_UP): Stage.CONNECTING,
    (Stage.CONNECTING, Step.FAIL): Stage.FAILED,
    (Stage.CONFIRM, Step.CONSENT): Stage.READING,
    (Stage.CONFIRM, Step.GIVE_UP): Stage.CONNECTING,
    (Stage.READING, Step.ASK_PASSWORD): Stage.PASSWORD,
    (Stage.READING, Step.TRANSMIT): Stage.READING,
    (Stage.READING, Step.GIVE_UP): Stage.READING,
    (Stage.READING, Step.SUCCEED): Stage.DONE,
    (Stage.READING, Step.FAIL): Stage.FAILED,
    (Stage.PASSWORD, Step.ENTER_PASSWORD): Stage.READING,
    (Stage.PASSWORD, Step.GIVE_UP): Stage.READING,
    # A bound login: the card has been read, and the browser that waits will ask for a passkey of this phone.
    (Stage.READING, Step.ASK_PASSKEY): Stage.PASSKEY,
    (Stage.PASSKEY, Step.MAKE_PASSKEY): Stage.BINDING,
    (Stage.PASSKEY, Step.GIVE_UP): Stage.BINDING,
    (Stage.BINDING, Step.GIVE_UP): Stage.BINDING,
    (Stage.BINDING, Step.SUCCEED): Stage.DONE,
    (Stage.BINDING, Step.FAIL): Stage.FAILED,
}


@dataclass(frozen=True, slots=True)
class View:
    """A dialogue as the page is told; ``version`` grows with each change."""

    stage: Stage = Stage.CONNECTING
    version: int = 1
    request: Authentication | None = None
    question: PasswordRequest | None = None
    passkey: CreateCredential | None = None
    #: So many commands has the card answered.
    commands: int = 0
    outcome: Outcome | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing follows."""
        return self.outcome is not None


def advance(view: View, step: Step, **changes: Any) -> View:
    """The view after a step; ``wrong_state`` for one that does not fit."""
    stage = TRANSITIONS.get((view.stage, step))
    if stage is None:
        raise StateError("wrong_state", f"{step}: expected another step, found a dialogue at {view.stage}")
    return replace(view, stage=stage, version=view.version + 1, **changes)


class Dialogue:
    """One dialogue, to the client its person and its card in one.

    The client's thread asks with the first half of the methods, the page answers with the others.
    """

    def __init__(self, card: AnyCard, *, deadline: float, clock: Callable[[], float]) -> None:
        self._card = card
        self._deadline = deadline
        self._clock = clock
        self._news = Condition()
        self._view = View()
        self._granted: frozenset[str] | None = None
        self._password: str | None = None
        self._makes_passkey = False
        self._given_up = False
        self._listeners: set[Callable[[], None]] = set()

    # ── the client's thread ───────────────────────────────────────────────────────────────────────────────────────

    def confirm(self, request: Authentication) -> frozenset[str] | None:
        """The optional rights that the person grants; ``None`` if they give up."""
        with self._news:
            if not self._given_up:
                self._step(Step.ASK_CONSENT, request=request)
                self._wait(lambda: self._granted is not None)
            return self._granted

    def enter_password(self, request: PasswordRequest) -> str | None:
        """What the person types; ``None`` if they give up."""
        with self._news:
            if not self._given_up:
                self._step(Step.ASK_PASSWORD, question=request)
                self._wait(lambda: self._password is not None)
            password, self._password = self._password, None
            return password

    def confirm_passkey(self, request: CreateCredential) -> bool:
        """Whether the person wants the passkey to be made; not if they give up."""
        with self._news:
            if not self._given_up:
                self._step(Step.ASK_PASSKEY, passkey=request)
                self._wait(lambda: self._makes_passkey)
            return self._makes_passkey

    def transmit(self, apdu: bytes) -> bytes:
        """The card's answer to a command; ``CardLost`` once the person has given up: the card is taken away."""
        with self._news:
            if self._news.wait_for(self._has_given_up, self._card.delay):
                raise CardLost
            self._step(Step.TRANSMIT, commands=self._view.commands + 1)
        return self._card.transmit(apdu)

    def end(self, outcome: Outcome) -> None:
        """The last word."""
        with self._news:
            self._step(Step.SUCCEED if outcome.is_ok else Step.FAIL, outcome=outcome, question=None)

    # ── the page ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def view(self) -> View:
        """What the page shows."""
        with self._news:
            return self._view

    def grant(self, rights: frozenset[str]) -> None:
        """The person agrees, and leaves these of the optional rights."""
        with self._news:
            after = advance(self._view, Step.CONSENT)
            if after.request is None or not rights <= set(after.request.optional):
                raise malformed("granted", "rights among those that are optional")
            self._granted = rights
            self._tell(after)

    def enter(self, password: str) -> None:
        """The person has typed a password."""
        with self._news:
            question = self._view.question
            digits = question.digits if question else 0
            after = advance(self._view, Step.ENTER_PASSWORD, question=None)
            if not (password.isascii() and password.isdigit()) or len(password) != digits:
                raise malformed("password", f"{digits} digits")
            self._password = password
            self._tell(after)

    def make_passkey(self) -> None:
        """The person agrees to the passkey, and is who owns this phone."""
        with self._news:
            after = advance(self._view, Step.MAKE_PASSKEY)
            self._makes_passkey = True
            self._tell(after)

    def give_up(self) -> None:
        """The person cancels, or takes the card away. Does nothing once it is over."""
        with self._news:
            if not self._view.is_over and not self._given_up:
                self._given_up = True
                self._step(Step.GIVE_UP, question=None)

    async def news(self, version: int, *, patience: float) -> View:
        """The view as soon as it is newer than ``version``, or after so many seconds."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            loop.call_soon_threadsafe(changed.set)

        with self._news:
            if self._view.version > version or self._view.is_over:
                return self._view
            self._listeners.add(tell)
        try:
            async with asyncio.timeout(patience):
                await changed.wait()
        except TimeoutError:
            pass
        finally:
            with self._news:
                self._listeners.discard(tell)
        return self.view

    def _wait(self, answered: Callable[[], bool]) -> None:
        self._news.wait_for(lambda: answered() or self._given_up, max(0.0, self._deadline - self._clock()))
        if not answered():
            self.give_up()

    def _has_given_up(self) -> bool:
        return self._given_up or self._clock() > self._deadline

    def _step(self, step: Step, **changes: Any) -> None:
        self._tell(advance(self._view, step, **changes))

    def _tell(self, view: View) -> None:
        self._view = view
        self._news.notify_all()
        for tell in self._listeners:
            tell()
