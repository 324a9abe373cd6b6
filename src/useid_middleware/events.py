"""What happened, and who wants to know; what is about to happen, and who has a say in it.

Facts are frozen and named in the past tense. A host app subscribes::

    events = Events()

    @events.on(LoginCompleted)
    async def greet(event: LoginCompleted) -> None: ...

Listeners are sync or async and run in the order of their registration; a listener of a base class also hears its
subclasses. A listener that fails is logged and does not disturb the login or the listeners after it. The one exception
are events with ``may_refuse``: there, raising :class:`Refuse` (or failing in any other way) refuses the login.

Questions are asked before something is done. A listener changes their fields, and what it leaves there is done: other
scopes, other roles, another target, or its own ``response``, any ASGI app, in place of ours::

    @events.on(PreLogin)
    def ask_for_more(event: PreLogin) -> None:
        event.scopes += ("phone",)
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from .errors import RefusedError
from .identity import Account, Identity, Level

logger = logging.getLogger("useid_middleware")


class Refuse(Exception):  # it is a verdict, not an error
    """Raised by a listener to refuse; the text is shown to the user."""


#: An ASGI app that answers a request in our place.
Response = Callable[..., Awaitable[None]]


class Answered(Exception):  # it is an answer, not an error
    """A listener answered a request in our place."""

    def __init__(self, response: Response) -> None:
        super().__init__("a listener answered")
        self.response = response


class Event:
    """Base of all events. Each has ``at``, Unix seconds."""

    __slots__ = ()
    may_refuse: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Fact(Event):
    """Base of what happened."""

    at: float


@dataclass(frozen=True, slots=True)
class Step(Fact):
    """Base of what happened to a waiting login. ``session_id`` is its id, and no login session's."""

    session_id: str


@dataclass(slots=True)
class Question(Event):
    """Base of what is about to happen: listeners change its fields."""

    at: float


@dataclass(frozen=True, slots=True)
class QRLoginStarted(Step):
    """A desktop asked for a QR code."""


@dataclass(frozen=True, slots=True)
class QRScanned(Step):
    """A phone scanned the code and holds the session now."""

    device_id: str


@dataclass(frozen=True, slots=True)
class QRApproved(Step):
    """The user approved on the phone; the desktop may claim."""

    device_id: str
    account_id: str


@dataclass(frozen=True, slots=True)
class QRRejected(Step):
    """The user rejected on the phone (``user``), or the desktop did not prove enough.

    ``code``: it spent its attempts at the code; ``binding``: its assertion did not hold.
    """

    account_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class QRExpired(Step):
    """The session ran out while somebody watched it."""


@dataclass(frozen=True, slots=True)
class EIDLoginStarted(Step):
    """A browser began a login with an ID card.

    ``mode``: ``standard``, ``integrated``, ``bound`` or ``same-device``.
    """

    mode: str
    #: The site that embeds the widget, where one does.
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class EIDScanned(Step):
    """The QR code was opened on a phone, or an eID client fetched the tcToken."""


@dataclass(frozen=True, slots=True)
class EIDApproved(Step):
    """The eID client is done and came back; the browser that began may claim."""


@dataclass(frozen=True, slots=True)
class EIDRejected(Step):
    """The login with an ID card ended without success.

    ``reason``: ``cancelled`` by the user, ``failed``, ``code`` (wrong ones), ``document`` (a card that is revoked,
    expired or not genuine), ``requirements`` (age, place or a required datum), ``binding`` (the browser's assertion did
    not hold). ``minor`` is the eID server's or client's ResultMinor where there is one.
    """

    reason: str
    minor: str = ""


@dataclass(frozen=True, slots=True)
class EIDExpired(Step):
    """The login ran out while somebody watched it."""


@dataclass(frozen=True, slots=True)
class LoginBound(Step):
    """A browser has proved by WebAuthn that the phone of its login is at hand. ``tenant``: as of EIDLoginStarted."""

    tenant: str = ""


@dataclass(slots=True)
class PreLogin(Question):
    """A browser is about to be sent to a provider. ``scope`` is its request's ASGI scope."""

    may_refuse: ClassVar[bool] = True

    provider: str
    scope: Any = field(repr=False)
    scopes: tuple[str, ...]
    #: Further parameters of the authorization request, such as ``login_hint``.
    parameters: dict[str, str]
    response: Response | None = None


@dataclass(slots=True)
class UserQuestion(Question):
    """Base of what is asked about the account of a login. A listener may change it, or refuse the login."""

    may_refuse: ClassVar[bool] = True

    account: Account
    claims: Mapping[str, Any] = field(repr=False)
    #: The tokens as they came, for calls to the provider's APIs; not kept unless the listener keeps them.
    tokens: Any = field(repr=False)


@dataclass(slots=True)
class UserCreated(UserQuestion):
    """Somebody logged in for the first time and has an account now; refused, it is gone again."""


@dataclass(slots=True)
class UserUpdated(UserQuestion):
    """Somebody who has an account logged in again, and the login told something about them."""


@dataclass(slots=True)
class LoginSucceeded(Question):
    """Somebody proved who they are; no session exists yet. A listener may refuse, change roles and target, or answer.

    With a ``response`` nobody is logged in. ``target`` is where the browser goes; empty where the page decides.
    """

    may_refuse: ClassVar[bool] = True

    identity: Identity
    ip: str = ""
    roles: tuple[str, ...] = ()
    target: str = ""
    response: Response | None = None


@dataclass(frozen=True, slots=True)
class LoginCompleted(Fact):
    """A login session exists. ``session_id`` is its public id, not the cookie's secret."""

    account_id: str
    session_id: str
    level: Level
    provider: str


@dataclass(slots=True)
class LoginFailed(Question):
    """A login attempt failed; ``code`` is the error's stable code. A listener may answer.

    ``error`` and ``description`` are the provider's own words, where it refused: text from outside, to be escaped.
    """

    code: str
    provider: str
    error: str = ""
    description: str = ""
    response: Response | None = None


@dataclass(frozen=True, slots=True)
class AttemptRefused(Fact):
    """A step was refused that nobody should get wrong by accident often; ``code`` is the error's stable code.

    ``flow``: ``qr``, ``eid``, ``oidc``, ``webauthn``; empty elsewhere. ``session_id`` is that of the waiting login,
    where the request names one. What ends a login, or comes to :class:`LoginFailed`, is told by those.
    """

    flow: str
    code: str
    session_id: str = ""


@dataclass(slots=True)
class PreLogout(Question):
    """Somebody is about to be logged out. A listener may answer (nobody is logged out then), or spare the provider."""

    account_id: str
    session_id: str
    provider: str
    #: End our session alone, and leave the provider's.
    skip_sso: bool = False
    response: Response | None = None


@dataclass(frozen=True, slots=True)
class TokenRefreshed(Fact):
    """A session's tokens were replaced. Times are Unix seconds; ``None`` where the provider told none."""

    session_id: str
    previous_expires_at: float | None
    expires_at: float | None
    #: The new tokens, for a listener that hands them on; they are not for logs.
    tokens: Any = field(repr=False)


@dataclass(slots=True)
class ProviderLogout(Question):
    """Base of the logouts that a provider starts. Our sessions end whoever listens.

    ``subject`` or ``sid`` is empty where the provider did not name it.
    """

    issuer: str
    subject: str
    sid: str
    handled: bool = False

    def mark_handled(self) -> None:
        """Say that the app has ended what it keeps itself."""
        self.handled = True


@dataclass(slots=True)
class BackchannelLogout(ProviderLogout):
    """The provider told us, server to server, that a session is over."""


@dataclass(slots=True)
class FrontchannelLogout(ProviderLogout):
    """The provider told us, by an iframe in the browser, that a session is over."""


@dataclass(frozen=True, slots=True)
class SessionChanged(Fact):
    """The browser's session at the provider is not the one we know, and ours was ended.

    ``reason`` is the provider's error, such as ``login_required``, or ``other_user``.
    """

    account_id: str
    session_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class SessionEnded(Fact):
    """A login session was ended.

    ``reason``: ``logout``, ``revoked``, ``rotated`` (a new login took its place), ``backchannel_logout``,
    ``frontchannel_logout``, ``session_changed``.
    """

    account_id: str
    session_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeviceEnrolled(Fact):
    """A phone's key was confirmed for an account."""

    account_id: str
    device_id: str


@dataclass(frozen=True, slots=True)
class DeviceRevoked(Fact):
    """A phone's key was revoked; sessions it opened were ended."""

    account_id: str
    device_id: str


@dataclass(frozen=True, slots=True)
class PasskeyAdded(Fact):
    """An account has a new passkey."""

    account_id: str
    passkey_id: str


@dataclass(frozen=True, slots=True)
class PasskeyRemoved(Fact):
    """A passkey was deleted."""

    account_id: str
    passkey_id: str


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
