"""What the card knows while it has power: where the terminal stands, what it has proved, what comes next.

A :class:`Situation` is all that a command can depend on, and all that it can change. Commands are functions from a
situation to the next one and an answer; one that cannot be done raises a ``Refusal`` or an ``EACError``, and the
situation stays, but for an authentication under way, which ends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..._codec import Record, replace
from ...eac import pace
from ...eac.apdu import Command, Response, StatusWord
from ...eac.certificate_chain import Verified
from ...eac.chat import CHAT, AuthenticationRight, effective
from ...eac.keys import PasswordId
from ...eac.secure_messaging import SecureSession
from ...eac.terminal_authentication import AuthenticatedTerminal, SetAT
from .files import Location
from .making import Chip
from .refusal import Refusal
from .security import Step, step
from .state import CardState

#: As many random bytes as it is asked for.
Random: TypeAlias = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class PACEUnderWay:
    """MSE:Set AT chose PACE; ``phase`` is what the steps so far have led to."""

    request: pace.SetAT
    chat: CHAT | None
    phase: pace.Started | pace.Mapped | pace.Agreed | None = None


@dataclass(frozen=True, slots=True)
class ChipAuthenticationChosen:
    """MSE:Set AT chose Chip Authentication."""


@dataclass(frozen=True, slots=True)
class RestrictedIdentificationChosen:
    """MSE:Set AT chose Restricted Identification with this key of the card."""

    key_id: int


UnderWay: TypeAlias = PACEUnderWay | ChipAuthenticationChosen | RestrictedIdentificationChosen


class Channel(Record, frozen=True):
    """Secure messaging as PACE has opened it, and what the terminal has proved inside.

    ``chat`` is what the terminal said in PACE it would use at most; without it, it cannot authenticate itself.
    """

    messaging: SecureSession
    password: PasswordId
    id_picc: bytes
    chat: CHAT | None
    #: Certificates verified in this channel, besides the trust points.
    certificates: tuple[Verified, ...] = ()
    #: Whose key verifies the next certificate.
    issuer: Verified | None = None
    announced: SetAT | None = None
    challenge: bytes | None = None
    terminal: AuthenticatedTerminal | None = None
    chip_authenticated: bool = False

    def __repr__(self) -> str:
        return f"Channel(password={self.password!r}, chat={self.chat!r}, chip_authenticated={self.chip_authenticated})"


class Session(Record, frozen=True):
    """What is gone without power. Without secure messaging there is no channel."""

    location: Location = Location()
    channel: Channel | None = None
    under_way: UnderWay | None = None


class Situation(Record, frozen=True):
    """The chip, what it remembers, and what it knows while it has power."""

    chip: Chip
    state: CardState
    session: Session = Session()

    def with_channel(self, channel: Channel) -> "Situation":
        """The same with this channel."""
        return replace(self, session=replace(self.session, channel=channel))

    def with_state(self, state: CardState) -> "Situation":
        """The same with this to remember."""
        return replace(self, state=state)

    def at(self, location: Location) -> "Situation":
        """The same at another place."""
        return replace(self, session=replace(self.session, location=location))

    def with_under_way(self, under_way: UnderWay | None) -> "Situation":
        """The same with this to go on with."""
        return replace(self, session=replace(self.session, under_way=under_way))

    def without_channel(self) -> "Situation":
        """After an error of secure messaging: nothing is proved any more (TR-03110-3 F.3)."""
        session = Session(location=self.session.location)
        return replace(self, state=step(self.state, Step.CHANNEL_LOST), session=session)

    def after_reset(self) -> "Situation":
        """After power was lost."""
        return replace(self, state=step(self.state, Step.CHANNEL_LOST), session=Session())


@dataclass(frozen=True, slots=True)
class Request:
    """A command, what was under way when it came, and a source of randomness.

    ``room`` is how many bytes the answer can have: what was asked for, and what fits into secure messaging.
    """

    command: Command
    under_way: UnderWay | None
    random: Random
    room: int


Outcome: TypeAlias = tuple[Situation, Response]
Handler: TypeAlias = Callable[[Situation, Request], Outcome]

OK: Final = Response()

#: Which rights a password leaves: the CAN alone is enough only for those who may use it, or manage PINs.
_PIN_MANAGEMENT: Final = AuthenticationRight.PIN_MANAGEMENT


def open_channel(situation: Situation) -> Channel:
    """The channel; 6982 if there is none."""
    channel = situation.session.channel
    if channel is None:
        raise Refusal(StatusWord.SECURITY_STATUS_NOT_SATISFIED)
    return channel


def authenticated_terminal(situation: Situation) -> AuthenticatedTerminal:
    """The terminal that has authenticated itself; 6982 if none has."""
    channel = situation.session.channel
    if channel is None or channel.terminal is None:
        raise Refusal(StatusWord.SECURITY_STATUS_NOT_SATISFIED)
    return channel.terminal


def rights(situation: Situation) -> AuthenticationRight:
    """The effective rights: those of the certificates, of PACE's CHAT, and that the password allows.

    None before Chip Authentication (TR-03110-2 §3.1.1).
    """
    channel = situation.session.channel
    if channel is None or channel.terminal is None or channel.chat is None or not channel.chip_authenticated:
        return AuthenticationRight(0)
    both = AuthenticationRight(effective(channel.chat, channel.terminal.chat).rights)
    if channel.password is PasswordId.PIN:
        return both
    if channel.password is PasswordId.CAN and AuthenticationRight.CAN_ALLOWED in both:
        return both
    return both & _PIN_MANAGEMENT


def require(situation: Situation, right: AuthenticationRight) -> None:
    """6982 unless this right is effective."""
    if right not in rights(situation):
        raise Refusal(StatusWord.SECURITY_STATUS_NOT_SATISFIED)
