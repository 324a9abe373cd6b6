"""The cards that somebody can hold to the emulated phone: those of the package, each one the same card all day."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from threading import Lock
from typing import Final, TypeAlias

from ...errors import ConfigurationError, RequestError, StateError
from ..card.chip import Card
from ..card.faults import FAULTS, FaultyCard
from ..card.issuing import issue_card
from ..card.library import names, personality_named
from ..card.personalisation import Personality, PinState, parse_personality
from ..card.session import Random
from ..card.state import PinStatus
from ..pki import PKI

AnyCard: TypeAlias = Card | FaultyCard

_STATUS: Final = {
    PinStatus.THREE_TRIES: "ready",
    PinStatus.TWO_TRIES: "two_tries",
    PinStatus.SUSPENDED: "suspended",
    PinStatus.RESUMED: "suspended",
    PinStatus.BLOCKED: "blocked",
}
_FRESH: Final = {3: "ready", 2: "two_tries", 1: "suspended", 0: "blocked"}


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a person knows who has this card and its letter: the passwords too, for these are nobody's."""

    name: str
    title: str
    holder: str
    expiry: str
    pin: str
    can: str
    puk: str
    status: str


class Wallet:
    """The cards of one test PKI, made when they are first held to the phone.

    ``today`` is the day they are handed over; ``random`` gives as many bytes as it is asked for.
    """

    def __init__(self, pki: PKI, *, today: Callable[[], date], random: Random) -> None:
        self._pki = pki
        self._today = today
        self._random = random
        self._personalities = {name: personality_named(name) for name in names()}
        self._cards: dict[str, AnyCard] = {}
        self._out: set[str] = set()
        self._lock = Lock()

    def cards(self) -> list[CardFacts]:
        """All of them, with what has become of each."""
        return [self._facts(name, personality) for name, personality in self._personalities.items()]

    def take(self, name: str, *, fault: str = "") -> AnyCard:
        """The card of this name, for one dialogue at a time; with a ``fault`` it is another one, made for this.

        Raises ``card_unknown``, ``fault_unknown`` or ``card_busy``. Whoever takes also calls :meth:`put_back`.
        """
        personality = self._personalities.get(name)
        if personality is None:
            raise RequestError("card_unknown", f"card: expected one of {', '.join(self._personalities)}")
        if fault:
            return self._issue(personality, fault=fault)
        with self._lock:
            self._check_free(name)
            if name not in self._cards:
                self._cards[name] = self._issue(personality)
            self._out.add(name)
            return self._cards[name]

    def take_described(self, toml: str, *, fault: str = "") -> AnyCard:
        """A card made for this dialogue from what a user wrote; ``card_malformed`` if it describes none."""
        try:
            personality = parse_personality(toml)
        except ConfigurationError as error:
            raise RequestError("card_malformed", error.message) from None
        if personality.document.revoked:
            # The eID server reads its revocation list when it starts; without an entry the card would be good.
            raise RequestError(
                "card_malformed", "personality: expected a card that is not revoked, or one of the package"
            )
        return self._issue(personality, fault=fault)

    def put_back(self, card: AnyCard) -> None:
        """The dialogue is over. A card that was made for it alone is gone."""
        card.reset()
        with self._lock:
            self._out = {name for name in self._out if self._cards[name] is not card}

    def renew(self, name: str) -> None:
        """Have the card as it left the factory: PIN and tries as its letter says."""
        if name not in self._personalities:
            raise RequestError("card_unknown", f"card: expected one of {', '.join(self._personalities)}")
        with self._lock:
            self._check_free(name)
            self._cards.pop(name, None)

    def _check_free(self, name: str) -> None:
        if name in self._out:
            raise StateError("card_busy", "this card is being read in another dialogue")

    def _issue(self, personality: Personality, *, fault: str = "") -> AnyCard:
        if fault and fault not in FAULTS:
            raise RequestError("fault_unknown", f"fault: expected one of {', '.join(FAULTS)}")
        return issue_card(
            personality,
            pki=self._pki,
            today=self._today(),
            random=self._random,
            fault=FAULTS[fault] if fault else None,
        )

    def _facts(self, name: str, personality: Personality) -> CardFacts:
        holder, secrets = personality.holder, personality.secrets
        card = self._cards.get(name)
        return CardFacts(
            name=name,
            title=personality.title,
            holder=" ".join(part for part in (holder.academic_title, holder.given_names, holder.family_names) if part),
            expiry=personality.document.date_of_expiry.isoformat(),
            pin=card.state.pin if card else secrets.pin,
            can=secrets.can,
            puk=secrets.puk,
            status=_status(personality, card),
        )


def _status(personality: Personality, card: AnyCard | None) -> str:
    """``ready``, ``two_tries``, ``suspended``, ``blocked``, ``transport`` or ``deactivated``."""
    secrets = personality.secrets
    active = card.state.pin_active if card else secrets.pin_state is not PinState.DEACTIVATED
    if not active:
        return "deactivated"
    status = _STATUS[card.state.pin_status] if card else _FRESH[secrets.pin_tries]
    if (
        status == "ready"
        and secrets.pin_state is PinState.TRANSPORT
        and (card is None or card.state.pin == secrets.pin)
    ):
        return "transport"
    return status
