"""All dialogues of one emulated phone: each in a thread of its own, bounded in number and time, ended at shutdown."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Final, Protocol

from ..._codec import b64url
from ...eid.core.results import MAJOR_ERROR
from ...errors import StateError, UnavailableError, UseIDError
from ..card.session import Random
from .dialogue import Dialogue
from .flow import Outcome
from .wallet import AnyCard

logger = logging.getLogger("useid_middleware")

#: Seconds from the first to the last message of a dialogue; whoever reads the terms of usage gets the time for it.
LIFETIME: Final = 600.0
#: So many dialogues run at once, and so many are remembered.
MAX_RUNNING: Final = 8
MAX_KEPT: Final = 32
#: Seconds that the end of all dialogues may take; their requests to a server have limits of their own.
CLOSING: Final = 15.0
_ID_SIZE: Final = 16


class Client(Protocol):
    """An eID client: does what a link asks for, in a thread of its own. The dialogue is its person and its card."""

    def __call__(self, link: str, dialogue: Dialogue) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class _Running:
    dialogue: Dialogue
    thread: Thread


class Dialogues:
    """What runs and what has run. ``clock`` is in seconds from any beginning."""

    def __init__(
        self,
        client: Client,
        *,
        random: Random,
        clock: Callable[[], float] = time.monotonic,
        lifetime: float = LIFETIME,
    ) -> None:
        self._client = client
        self._random = random
        self._clock = clock
        self._lifetime = lifetime
        self._kept: dict[str, _Running] = {}
        self._lock = Lock()

    def start(self, link: str, card: AnyCard, *, on_end: Callable[[AnyCard], None]) -> str:
        """Begin a dialogue; its id, which nobody can guess. ``dialogues_busy`` when too many are under way.

        ``on_end`` gets the card back, in the dialogue's thread.
        """
        with self._lock:
            over = [name for name, each in self._kept.items() if each.dialogue.view.is_over]
            if len(self._kept) - len(over) >= MAX_RUNNING:
                raise UnavailableError("dialogues_busy", f"expected at most {MAX_RUNNING} dialogues at once")
            for name in over[: max(0, len(self._kept) - MAX_KEPT + 1)]:
                del self._kept[name]
            dialogue = Dialogue(card, deadline=self._clock() + self._lifetime, clock=self._clock)
            # A daemon: a server that answers byte by byte must not keep the process.
            thread = Thread(target=self._run, args=(link, dialogue, card, on_end), daemon=True, name="eid-dialogue")
            dialogue_id = b64url(self._random(_ID_SIZE))
            self._kept[dialogue_id] = _Running(dialogue, thread)
            thread.start()
        return dialogue_id

    def find(self, dialogue_id: str) -> Dialogue:
        """The dialogue of this id, or ``dialogue_unknown``."""
        with self._lock:
            running = self._kept.get(dialogue_id)
        if running is None:
            raise StateError("dialogue_unknown", "no such dialogue, or one that ended long ago", status_hint=404)
        return running.dialogue

    def close(self) -> None:
        """Give all up, and wait for their last words."""
        with self._lock:
            kept = list(self._kept.values())
        for each in kept:
            each.dialogue.give_up()
        end = time.monotonic() + CLOSING
        for each in kept:
            each.thread.join(max(0.0, end - time.monotonic()))

    def _run(self, link: str, dialogue: Dialogue, card: AnyCard, on_end: Callable[[AnyCard], None]) -> None:
        try:
            outcome = self._client(link, dialogue)
        except UseIDError as error:
            outcome = Outcome("", MAJOR_ERROR, message=error.message, code=error.code)
        except Exception as error:
            logger.exception("an eID dialogue of the emulated phone ended with a mistake in the program")
            outcome = Outcome("", MAJOR_ERROR, message=type(error).__name__, code="internal_error")
        # First the card, then the news: whoever hears that it is over may take the card again.
        on_end(card)
        dialogue.end(outcome)
