"""The steps of a login with an ID card: on the same device, by a phone's page, by a client that knows the widget."""

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.actors import Answer
from tests.eid.world import SECRET, code_in, path_of, token_url_in
from tests.stateful.base import DESKTOP, PERSON, PICK
from tests.stateful.calls import Call, nth, other_than
from tests.stateful.people import DESKTOPS, HONEST, MALLORY, PEOPLE
from tests.stateful.provider import AtProvider
from tests.stateful.things import Card, Told
from tests.webauthn.bound import ORIGIN
from useid_middleware.eid.core.attributes import EIDResult, PersonalData, RestrictedID
from useid_middleware.eid.core.sealing import seal_refresh_url
from useid_middleware.eid.core.tctoken import parse_tctoken

MODE: Final = st.sampled_from(["standard", "integrated", "same-device"])
CARDS: Final = {
    name: PersonalData(given_names=f"{name}.eid", restricted_id=RestrictedID(name.ljust(32, ".").encode()))
    for name in PEOPLE
}


class ByCard(AtProvider):
    """Begin, take it to a phone, fetch the tcToken, read the card, come back, type the code."""

    def __init__(self) -> None:
        super().__init__()
        #: By login: the secrets that were seen of it, also when they are spent.
        self.starts: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self.addresses: dict[str, str] = {}
        #: The eID server's session of each login.
        self.at_server: dict[str, Any] = {}

    @rule(desktop=DESKTOP, mode=MODE, plainly=st.sampled_from([False, False, True]))
    def begin_with_card(self, desktop: str, mode: str, plainly: bool) -> None:
        """``plainly``: a browser without JavaScript, which can have a client on the same device alone."""
        if plainly:
            answer = self.world.run(self.world.submit(desktop, "/eid/plain"))
            self._expect(answer, Told(200))
            token = token_url_in(answer).rpartition("/")[2]
            self._begun_with_card(token[:22], "same-device", desktop, token=token)
            return
        answer = self.world.post(desktop, "/eid/start", {"mode": mode})
        self._expect(answer, Told(201))
        started = answer.json()
        start, token = (started[each].rpartition("/")[2] for each in ("startUrl", "tcTokenUrl"))
        self._begun_with_card(started["sessionId"], mode, desktop, start=start, token=token)

    def _begun_with_card(self, card_id: str, mode: str, desktop: str, *, start: str = "", token: str = "") -> None:
        self.model.card_begun(card_id, mode, desktop, start=start, token=token)
        if start:
            self.starts[card_id] = start
        if token:
            self.tokens[card_id] = token

    @precondition(lambda self: self.model.cards)
    @rule(pick=PICK, desktop=DESKTOP, seen=st.sampled_from([None, -1, 0, 1]), streams=st.booleans())
    def look_at_card(self, pick: int, desktop: str, seen: int | None, streams: bool) -> None:
        card = self._card(pick)
        path, expected = f"/eid/session/{card.id}", self.model.look_at_card(card.id, desktop)
        if streams:
            shown = [data for _, data in self._follow(desktop, f"{path}/events", card, seen, expected)]
        else:
            answer = self.world.get(desktop, path)
            self._expect(answer, expected)
            shown = [answer.json()] if answer.status == 200 else []
        for each in shown:
            now, state = self.model.now, card.state_at(self.model.now)
            assert (each["status"], each["version"]) == (state, card.version_at(now))
            assert each.get("codeRequired") == (card.mode == "standard" if state == "approved" else None)
            assert each.get("sealedRefreshUrl", "") == (card.sealed if state == "approved" else "")

    @precondition(lambda self: self.starts)
    @rule(pick=PICK, name=PERSON, looks_only=st.sampled_from([False, False, True]))
    def take_to_phone(self, pick: int, name: str, looks_only: bool) -> None:
        """A phone's camera opens what is behind the QR code, and its user goes on."""
        card_id = nth(list(self.starts), pick)
        answer = self.world.get(name, f"/eid/phone/{self.starts[card_id]}")
        self._expect(answer, self.model.start_page(card_id))
        if not looks_only:
            self._do(self._taking_to_phone(card_id, name))

    def _taking_to_phone(self, card_id: str, name: str) -> Call:
        def then(answer: Answer) -> None:
            if answer.status == 200:
                self.tokens[card_id] = token_url_in(answer).rpartition("/")[2]
                self.model.cards[card_id].token = self.tokens[card_id]

        return Call(
            self.world.browser(name),
            lambda: self.world.submit(name, f"/eid/phone/{self.starts[card_id]}"),
            lambda _: self.model.take_to_phone(card_id, name),
            then,
        )

    @precondition(lambda self: self.tokens)
    @rule(pick=PICK)
    def fetch_token(self, pick: int) -> None:
        self._do(self._fetching(nth(list(self.tokens), pick)))

    def _fetching(self, card_id: str) -> Call:
        token = self.tokens[card_id]

        def then(answer: Answer) -> None:
            if answer.status == 200:
                fetched = parse_tctoken(answer.body)
                self.at_server[card_id] = self.world.cards.of(fetched)
                self.addresses[card_id] = self.model.cards[card_id].refresh = path_of(fetched.refresh_address)

        return Call(
            None,
            lambda: self.world.post_bare(f"/eid/tctoken/{token}", b"", "text/plain", method="GET"),
            lambda _: self.model.fetch(card_id, token),
            then,
        )

    @precondition(lambda self: self.at_server)
    @rule(pick=PICK, name=PERSON)
    def read_card(self, pick: int, name: str) -> None:
        """A person's card is at the client: their own, for a login that they see."""
        card_id = nth(list(self.at_server), pick)
        card, server = self.model.cards[card_id], self.at_server[card_id]
        if server.answer is None and self._is_theirs(card, name):
            server.answer = EIDResult(CARDS[name])
            card.holder = f"{name}.eid"

    def _is_theirs(self, card: Card, name: str) -> bool:
        """With a client on the same device, or one that knows the widget, nobody reads what another has begun."""
        return card.phone == name if card.mode == "standard" else (card.browser in HONEST) == (name != MALLORY)

    @precondition(lambda self: self.addresses)
    @rule(
        pick=PICK,
        at=st.one_of(st.none(), st.none(), st.sampled_from([*DESKTOPS, *PEOPLE])),
        is_fine=st.sampled_from([True, True, False]),
    )
    def come_back_with_card(self, pick: int, at: str | None, is_fine: bool) -> None:
        """A browser at the refresh address: the right one, or one to which it has leaked."""
        self._do(self._refreshing(nth(list(self.addresses), pick), at, is_fine=is_fine))

    def _refreshing(self, card_id: str, at: str | None = None, *, is_fine: bool = True) -> Call:
        card, address = self.model.cards[card_id], self.addresses[card_id]
        name = at or (card.phone if card.mode == "standard" else card.browser)
        browser = self.world.browser(name)
        query = "ResultMajor=ok" if is_fine else "ResultMajor=error&ResultMinor=cancellationByUser"

        def then(answer: Answer) -> None:
            if answer.status == 200 and is_fine:
                card.code = code_in(answer).replace(" ", "")
            self.COUNTS["by card"] += answer.status == 303

        return Call(
            browser,
            lambda: browser.send("GET", f"{address}?{query}", headers={"accept": "text/html"}),
            lambda wire: self.model.refresh(card_id, address, name, wire, is_fine=is_fine),
            then,
            lambda _: self.model.refresh_late(card_id) if is_fine else self.model.cancel_late(card_id),
        )

    @precondition(lambda self: self.model.cards)
    @rule(pick=PICK, made_up=st.booleans())
    def seal(self, pick: int, made_up: bool) -> None:
        """The client that knows the widget sends where the browser goes on; anybody who knows the id, anything."""
        card = self._card(pick)
        url = ORIGIN + ("/x" if made_up else self.addresses.get(card.id, "/x"))
        sealed = seal_refresh_url(url, secret=SECRET, session_id=card.id, nonce=bytes(12))
        answer = self.world.run(self.world.send(f"/eid/session/{card.id}/sealed", {"sealedRefreshUrl": sealed}))
        self._expect(answer, self.model.seal(card.id))
        if answer.status == 204:
            card.sealed = sealed

    @precondition(lambda self: self.model.cards)
    @rule(pick=PICK, desktop=DESKTOP, typed=st.sampled_from(["shown", "shown", "wrong", ""]))
    def claim_with_card(self, pick: int, desktop: str, typed: str) -> None:
        """A person types what their phone's browser shows."""
        self._do(self._claiming_with_card(self._card(pick), desktop, typed))

    def _claiming_with_card(self, card: Card, desktop: str, typed: str = "shown") -> Call:
        sees = (desktop in HONEST) == (card.phone != MALLORY)
        code = {"shown": card.code if sees else other_than(card.code), "": ""}.get(typed, other_than(card.code))
        browser = self.world.browser(desktop)

        def then(answer: Answer) -> None:
            self.COUNTS["by card"] += answer.status == 200

        return Call(
            browser,
            lambda: browser.post(f"/eid/session/{card.id}/claim", {"code": code}),
            lambda wire: self.model.claim_card(card.id, desktop, wire, code=code),
            then,
        )

    # ── whole stretches ───────────────────────────────────────────────────────────────────────────────────────────────

    @rule(desktop=DESKTOP, name=PERSON, mode=MODE)
    def prepare_card(self, desktop: str, name: str, mode: str) -> None:
        """As far as the card is read."""
        self.begin_with_card(desktop, mode, False)
        if mode == "standard":
            self.take_to_phone(0, name, False)
        self.fetch_token(0)
        self.read_card(0, name)

    @rule(desktop=DESKTOP, name=PERSON, mode=MODE, thief=st.sampled_from([*DESKTOPS, *PEOPLE]))
    def log_in_with_card(self, desktop: str, name: str, mode: str, thief: str) -> None:
        """All the way; what leads back leaks to others before and after."""
        self.prepare_card(desktop, name, mode)
        if mode == "integrated":
            self.seal(0, False)
        for at in (thief, None, thief):
            self.come_back_with_card(0, at, True)
        if mode == "standard":
            for place in (thief if thief in DESKTOPS else desktop, desktop):
                self.claim_with_card(0, place, "shown")

    @invariant()
    def the_newest_login_with_a_card_is_as_the_model_says(self) -> None:
        if self.model.cards:
            self.look_at_card(0, self._card(0).browser, None, False)

    def _agrees(self) -> bool:
        return super()._agrees() and (
            not self.model.cards
            or self._is_shown(f"/eid/session/{self._card(0).id}", self._card(0), self._card(0).browser)
        )

    def _card(self, pick: int) -> Card:
        return self.model.cards[nth(list(self.model.cards), pick)]
