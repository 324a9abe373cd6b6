"""What must come of every step of a login with an ID card."""

from dataclasses import dataclass, field

from tests.stateful.model.provider import AtProvider
from tests.stateful.things import CLAIM_LIFETIME, LIFETIME, NO_COOKIE, UNKNOWN, WRONG_STATE, Card, Told, Wire

#: What a result proves, with the client at hand or elsewhere.
L1, L3 = 1, 3


@dataclass
class ByCard(AtProvider):
    """Logins with an ID card."""

    cards: dict[str, Card] = field(default_factory=dict)

    def card_begun(self, card_id: str, mode: str, browser: str, *, start: str, token: str) -> None:
        """A browser begins."""
        self.cookies.add(browser)
        self.cards[card_id] = Card(
            card_id, self.now + LIFETIME, "waiting", mode=mode, browser=browser, start=start, token=token
        )

    def card(self, card_id: str) -> Card | None:
        """A login that is not forgotten."""
        card = self.cards.get(card_id)
        return None if card is None or card.is_gone(self.now) else card

    def look_at_card(self, card_id: str, browser: str) -> Told:
        """A browser asks how far it is."""
        if browser not in self.cookies:
            return NO_COOKIE
        card = self.card(card_id)
        return UNKNOWN if card is None or card.browser != browser else Told(200)

    def start_page(self, card_id: str) -> Told:
        """A phone looks at what is behind the QR code."""
        card = self.card(card_id)
        if card is None:
            return Told(404)
        return Told(200 if card.state_at(self.now) == "waiting" else 409)

    def take_to_phone(self, card_id: str, phone: str) -> Told:
        """A phone's user goes on: the first phone has it."""
        card = self.card(card_id)
        if card is None:
            return Told(404)
        refusal = card.refusal("scan", self.now)
        if refusal is not None:
            return Told(refusal.status)
        card.go("scanned", deadline=self.now + LIFETIME)
        card.phone, card.start = phone, ""
        self.cookies.add(phone)
        return Told(200)

    def fetch(self, card_id: str, token: str) -> Told:
        """A client fetches the tcToken, once."""
        card = self.card(card_id)
        if card is None or card.token != token or card.refusal("fetch", self.now):
            return UNKNOWN
        card.go("scanned", deadline=self.now + LIFETIME)
        card.version += 1  # The session at the eID server is written down after it was opened.
        card.token, card.has_session = "", True
        return Told(200)

    def seal(self, card_id: str) -> Told:
        """Somebody sends what the browser would open."""
        card = self.card(card_id)
        if card is None:
            return UNKNOWN
        if card.mode != "integrated" or card.state_at(self.now) == "waiting":
            return WRONG_STATE
        refusal = card.refusal("seal", self.now)
        if refusal is None:
            card.go("approved", deadline=self.now + CLAIM_LIFETIME)
        return refusal or Told(204)

    def refresh_late(self, card_id: str) -> Told:
        """A browser came, and while the eID server was asked another call has cancelled it."""
        card = self.cards[card_id]
        if card.mode == "standard" or card.state != "rejected":
            return WRONG_STATE
        card.version += 1
        return Told(404) if card.holder else Told(409)

    def cancel_late(self, card_id: str) -> Told:
        """A browser's client says that it was cancelled, while another call goes on: what goes on is cancelled."""
        card = self.cards[card_id]
        if card.state not in card.FINAL:
            card.go("rejected", deadline=self.now)
        return Told(200)

    def refresh(self, card_id: str, address: str, browser: str, wire: Wire, *, is_fine: bool) -> Told:
        """A browser comes where the client leads it; ``is_fine``: the client says that it is done."""
        card = self.card(card_id)
        if card is None or not card.refresh or card.refresh != address:
            return Told(404)
        if browser not in self.cookies or browser != (card.phone if card.mode == "standard" else card.browser):
            return Told(401)
        if card.state_at(self.now) in card.FINAL:
            return Told(409)
        if not is_fine:
            card.go("rejected", deadline=self.now)
            return Told(200)
        if card.mode == "standard":
            card.go("approved", deadline=self.now + CLAIM_LIFETIME)
            card.refresh = ""
            return Told(200)
        told = self._result(card, wire)
        return Told(303 if told.status == 200 else told.status)

    def claim_card(self, card_id: str, browser: str, wire: Wire, *, code: str) -> Told:
        """A desktop types the code that the phone's browser shows."""
        told = self.look_at_card(card_id, browser)
        if told.status != 200:
            return told
        card = self.cards[card_id]
        refusal = card.refusal("claim", self.now)
        if refusal is not None:
            return refusal
        if card.mode != "standard" or card.state != "approved":
            return WRONG_STATE
        if not code:
            return Told(403, "code_required")
        if code != card.code:
            card.miss(self.now)
            return Told(403, "code_wrong")
        return self._result(card, wire)

    def _result(self, card: Card, wire: Wire) -> Told:
        """The eID server is asked; before the card was read, it is as it was afterwards."""
        card.version += 1
        if not card.holder:
            card.version += 1
            return Told(409, "result_pending")
        card.go("claimed", deadline=self.now)
        card.refresh = ""
        self.log_in(wire, card.holder, way="card", level=L1 if card.mode == "standard" else L3)
        return Told(200)
