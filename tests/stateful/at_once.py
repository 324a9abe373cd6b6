"""The steps that two take at the same moment: one call in the middle of the other, and one alone wins."""

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.stateful.base import DESKTOP, PERSON, PICK
from tests.stateful.calls import Call, nth
from tests.stateful.card import MODE, ByCard
from tests.stateful.people import DESKTOPS, HONEST, MALLORY
from tests.stateful.phones import at_home
from tests.stateful.things import Login

#: Whose turn it is, when.
TURNS: Final = st.integers(0, 10_000)


class AtOnce(ByCard):
    """Two phones, two tabs, a user and an attacker, each in the middle of the other's call."""

    @rule(desktop=DESKTOP, name=PERSON)
    def approve_one(self, desktop: str, name: str) -> None:
        self.start(desktop)
        self.scan(0, name, 0, None)
        self.answer(0, name, 0, "approve", "approve", "", 0)
        if self.LEVEL == "L2":
            self.bind(0, name)

    @precondition(lambda self: self.LEVEL == "L2" and self.public)
    @rule(pick=PICK, name=PERSON)
    def bind(self, pick: int, name: str) -> None:
        self.open_account(pick, None)
        if self.opened:
            self.register(0, name, None)

    @rule(desktop=DESKTOP, first=PERSON, second=PERSON, turns=TURNS)
    def scan_at_once(self, desktop: str, first: str, second: str, turns: int) -> None:
        """Two phones scan the same code; or one phone twice."""
        self.start(desktop)
        login = self._login(0)
        self._at_once(turns, *(self._scanning(login, *self._key(name, 0), None) for name in (first, second)))

    @rule(desktop=DESKTOP, name=PERSON, other=PERSON, second=st.sampled_from(["approve", "reject"]), turns=TURNS)
    def answer_at_once(self, desktop: str, name: str, other: str, second: str, turns: int) -> None:
        """Both buttons, or one of them twice; or two phones, of which one has scanned."""
        self.start(desktop)
        self.scan(0, name, 0, None)
        login = self._login(0)
        sent = [
            (path, self._sign(login, *self._key(who, 0), path)) for path, who in (("approve", name), (second, other))
        ]
        self.sent += [each for _, each in sent]
        self._at_once(turns, *(self._answering(login, path, each) for path, each in sent))

    @rule(
        desktop=DESKTOP,
        name=PERSON,
        what=st.sampled_from(["claim", "mistype", "plainly", "steal", "leave", "revoke", "end", "host", "look"]),
        turns=TURNS,
    )
    def claim_at_once(self, desktop: str, name: str, what: str, turns: int) -> None:
        """A login is fetched while somebody does something else that matters to it."""
        home = elsewhere(desktop, name)
        if what in ("revoke", "end"):
            if home == desktop:
                return
            self.log_in_at_host(home, name)
            self.list_what_is_ones_own(home)
        self.approve_one(desktop, name)
        if self.LEVEL == "L2":
            self.prove(0, desktop, "near", 0)
        login = self._login(0)
        thief = nth([each for each in DESKTOPS if each != desktop], turns)
        other: Call
        match what:
            case "mistype" if self.LEVEL != "L2":
                other = self._claiming(login, desktop, "wrong")
            case "plainly" if self.LEVEL != "L2":
                other = self._claiming(login, desktop, plainly=True)
            case "steal":
                other = self._fetching_login(login, thief)
            case "leave":
                other = self._leaving(desktop)
            case "revoke" if login.device is not None:
                other = self._revoking(login.device, home)
            case "end":
                other = self._ending_others(home)
            case "host" if (desktop in HONEST) == (name != MALLORY):
                other = self._at_host(desktop, name)
            case _:
                other = self._fetching_login(login, desktop)
        self._at_once(turns, self._fetching_login(login, desktop), other)

    def _fetching_login(self, login: Login, desktop: str) -> Call:
        return self._following(login, desktop) if self.LEVEL == "L2" else self._claiming(login, desktop)

    @rule(name=PERSON, other=PERSON, typed=st.sampled_from(["right", "wrong"]), revokes=st.booleans(), turns=TURNS)
    def enrol_at_once(self, name: str, other: str, typed: str, revokes: bool, turns: int) -> None:
        """Two phones prove their key for one enrolment; then the code is typed in two tabs."""
        desktop = at_home(name)
        self.log_in_at_host(desktop, name)
        self.offer(desktop)
        enrolment = self._enrolment(0)
        self._at_once(turns, self._proving_key(enrolment, name), self._proving_key(enrolment, other))
        device, _ = self._key(name, 0)
        second = self._revoking(device, desktop) if revokes else self._confirming(enrolment, desktop, typed)
        self._at_once(turns, self._confirming(enrolment, desktop), second)

    @rule(desktop=DESKTOP, name=PERSON, what=st.sampled_from(["again", "remove", "leave"]), turns=TURNS)
    def come_by_passkey_at_once(self, desktop: str, name: str, what: str, turns: int) -> None:
        """An assertion comes twice; or its passkey is deleted, or the session left, at this moment."""
        self.get_a_passkey(name)
        self.begin_ceremony(desktop, "login", "")
        ceremony_id, home = list(self.options)[-1], elsewhere(desktop, name)
        made = self._make(ceremony_id, ceremony_id, name, "own") if self._is_at(name, ceremony_id) else None
        if made is None or made.passkey is None:
            return
        other = self._leaving(desktop) if what == "leave" else self._proving(made, desktop)
        if what == "remove" and home != desktop:
            self.log_in_at_host(home, name)
            other = self._removing(made.passkey, home)
        self._at_once(turns, self._proving(made, desktop), other)

    @rule(name=PERSON, turns=TURNS)
    def prove_more_at_once(self, name: str, turns: int) -> None:
        """A session is raised, while it is left."""
        self.get_a_passkey(name)
        desktop = at_home(name)
        self.begin_ceremony(desktop, "step-up", "")
        ceremony_id = list(self.options)[-1]
        made = self._make(ceremony_id, ceremony_id, name, "own")
        if made is not None and self._is_at(name, ceremony_id):
            self._at_once(turns, self._proving(made, desktop), self._leaving(desktop))

    @rule(desktop=DESKTOP, name=PERSON, what=st.sampled_from(["again", "steal", "leave"]), turns=TURNS)
    def come_back_at_once(self, desktop: str, name: str, what: str, turns: int) -> None:
        """The provider's answer comes twice, from here or from elsewhere; or the session is left at this moment."""
        if (desktop in HONEST) != (name != MALLORY):
            return
        self.leave_for_provider(desktop, "/login?provider=op")
        self.agree_there(0, name)
        arrival = self.model.arrivals[-1]
        thief = nth([each for each in DESKTOPS if each != desktop], turns)
        other = (
            self._leaving(desktop)
            if what == "leave"
            else self._coming_back(arrival, thief if what == "steal" else desktop)
        )
        self._at_once(turns, self._coming_back(arrival, desktop), other)

    @rule(desktop=DESKTOP, name=PERSON, mode=MODE, what=st.sampled_from(["again", "cancel", "steal"]), turns=TURNS)
    def use_card_at_once(self, desktop: str, name: str, mode: str, what: str, turns: int) -> None:
        """Each step twice at the same moment: the page at the phone, the tcToken, the way back, the code."""
        self.begin_with_card(desktop, mode, False)
        card = self._card(0)
        if mode == "standard":
            other = name if what == "again" else nth(["alice", "bob", "mallory"], turns)
            self._at_once(turns, *(self._taking_to_phone(card.id, each) for each in (name, other)))
        self._at_once(turns, self._fetching(card.id), self._fetching(card.id))
        self.read_card(0, name)
        thief = nth([each for each in DESKTOPS if each != desktop], turns)
        back = self._refreshing(card.id, thief if what == "steal" else None, is_fine=what != "cancel")
        self._at_once(turns, self._refreshing(card.id), back)
        if mode == "standard" and card.code:
            typed = "wrong" if what == "cancel" else "shown"
            self._at_once(
                turns, self._claiming_with_card(card, desktop), self._claiming_with_card(card, desktop, typed)
            )


def elsewhere(desktop: str, name: str) -> str:
    """A desktop of this person's, another one if they have two."""
    return at_home(name) if name == MALLORY or desktop != "home" else "office"
