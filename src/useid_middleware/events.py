"""What happened, and who wants to know.

Events are frozen and named in the past tense. A host app subscribes::

    events = Events()

    @events.on(LoginCompleted)
    async def greet(event: LoginCompleted) -> None: ...

Listeners are sync or async and run in the order of their registration; a listener of a base class also hears its
subclasses. A listener that fails is logged and does not disturb the login or the listeners after it. The one exception
are events with ``may_refuse``: there, raising :class:`Refuse` (or failing in any other way) refuses the login.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from .errors import RefusedError
from .identity import Identity, Level

logger = logging.getLogger("useid_middleware")


class Refuse(Exception):  # it is a verdict, not an error
    """Raised by a listener to refuse; the text is shown to the user."""


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events. ``at`` is Unix seconds."""

    may_refuse: ClassVar[bool] = False

    at: float


@dataclass(frozen=True, slots=True)
class QRLoginStarted(Event):
    """A desktop asked for a QR code."""

    session_id: str


@dataclass(frozen=True, slots=True)
class QRScanned(Event):
    """A phone scanned the code and holds the session now."""

    session_id: str
    device_id: str


@dataclass(frozen=True, slots=True)
class QRApproved(Event):
    """The user approved on the phone; the desktop may claim."""

    session_id: str
    device_id: str
    account_id: str


@dataclass(frozen=True, slots=True)
class QRRejected(Event):
    """The user rejected on the phone (``user``), or the desktop spent its attempts at the code (``code``)."""

    session_id: str
    account_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class QRExpired(Event):
    """The session ran out while somebody watched it."""

    session_id: str


@dataclass(frozen=True, slots=True)
class LoginSucceeded(Event):
    """Somebody proved who they are; no session exists yet. A listener may refuse."""

    may_refuse: ClassVar[bool] = True

    identity: Identity
    ip: str = ""


@dataclass(frozen=True, slots=True)
class LoginCompleted(Event):
    """A login session exists. ``session_id`` is its public id, not the cookie's secret."""

    account_id: str
    session_id: str
    level: Level
    provider: str


@dataclass(frozen=True, slots=True)
class LoginFailed(Event):
    """A login attempt was refused; ``code`` is the error's stable code."""

    code: str
    provider: str


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    """A login session was ended: ``logout``, ``revoked``, ``rotated``."""

    account_id: str
    session_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeviceEnrolled(Event):
    """A phone's key was confirmed for an account."""

    account_id: str
    device_id: str


@dataclass(frozen=True, slots=True)
class DeviceRevoked(Event):
    """A phone's key was revoked; sessions it opened were ended."""

    account_id: str
    device_id: str


E = TypeVar("E", bound=Event)
Listener = Callable[[E], Awaitable[None] | None]


class Events:
    """Registry of listeners; one per plugin."""

    def __init__(self) -> None:
        self._listeners: dict[type[Event], list[Listener[Event]]] = {}

    def on(self, kind: type[E]) -> Callable[[Listener[E]], Listener[E]]:
        """Decorate a listener for ``kind`` and its subclasses."""

        def register(listener: Listener[E]) -> Listener[E]:
            self._listeners.setdefault(kind, []).append(listener)  # type: ignore[arg-type]
            return listener

        return register

    async def emit(self, event: Event) -> None:
        """Tell every listener, in order of registration within each class, most specific class first.

        Raises :class:`~.errors.RefusedError` when the event may refuse and a listener raised :class:`Refuse` or failed.
        """
        if not self._listeners:
            return
        for kind in type(event).__mro__:
            for listener in self._listeners.get(kind, ()):
                await self._call(listener, event)

    async def _call(self, listener: Listener[Event], event: Event) -> None:
        try:
            answer = listener(event)
            if inspect.isawaitable(answer):
                await answer
        except Exception as error:
            refusing = isinstance(error, Refuse)
            if not refusing:
                # The type alone: a listener's message may hold what its author put there, personal data included.
                logger.error("listener for %s failed with %s", type(event).__name__, type(error).__name__)
            if event.may_refuse:
                raise (RefusedError(str(error)) if refusing and str(error) else RefusedError()) from error
            if refusing:
                logger.error("listener for %s tried to refuse, which this event does not allow", type(event).__name__)
