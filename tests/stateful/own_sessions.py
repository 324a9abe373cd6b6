"""The steps of whoever is logged in: the host app's own login, the list of sessions, their ends, and the pages."""

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.actors import Answer
from tests.openapi.checking import events_in
from tests.openapi.world import SHOP
from tests.stateful.base import DESKTOP, PERSON, PICK, Everybody
from tests.stateful.calls import Call, nth
from tests.stateful.people import HONEST, MALLORY
from tests.stateful.things import NOT_FOUND, NOT_LOGGED_IN, Session, Told, Wire

#: What anybody may look at.
FOR_ALL: Final = (
    "/login", "/error?code=state_mismatch", "/eid", "/openapi.json", "/embed.js", "/widget/qr-auth.js",
    "/widget/locales/de.js", f"/widget?id=shop&origin={SHOP['origins'][0]}",
)  # fmt: skip
#: And what nobody gets: a file that is not there, another site's widget.
FOR_NONE: Final = {
    "/widget/keys.js": NOT_FOUND,
    "/widget/locales/xx.js": NOT_FOUND,
    "/widget?id=shop&origin=https://evil.example": Told(403, "tenant_unknown"),
}
#: What a session is needed for, and what is told to whoever has none: an error, or the way to the login or home.
FOR_USERS: Final = {
    "/profile": NOT_LOGGED_IN,
    "/session-monitor": NOT_LOGGED_IN,
    "/logout": Told(303),
    "/passkeys/manage": Told(303),
}


class OwnSessions(Everybody):
    """Log in at the host app, look, end one's own sessions; the attacker tries those of others."""

    @rule(desktop=DESKTOP, name=PERSON)
    def log_in_at_host(self, desktop: str, name: str) -> None:
        if (desktop in HONEST) == (name != MALLORY):
            self._do(self._at_host(desktop, name))

    def _at_host(self, desktop: str, name: str) -> Call:
        browser = self.world.browser(desktop)

        def step(wire: Wire) -> Told:
            self.model.log_in(wire, name)
            return Told(200)

        return Call(browser, lambda: browser.send("GET", f"/as/{name}"), step)

    @rule(desktop=DESKTOP)
    def log_out(self, desktop: str) -> None:
        self._do(self._leaving(desktop))

    def _leaving(self, desktop: str) -> Call:
        browser = self.world.browser(desktop)
        session = self.model.living(self._held(desktop))
        return Call(
            browser, lambda: browser.post("/logout"), self.model.log_out, lambda answer: self._left_by(session, answer)
        )

    def _left_by(self, session: Session | None, answer: Answer) -> None:
        """A session was left by its user."""

    @rule(desktop=DESKTOP)
    def list_what_is_ones_own(self, desktop: str) -> None:
        held = self._held(desktop)
        account = self.model.who(held)
        expected = Told(200) if account else NOT_LOGGED_IN
        for path in ("/sessions", "/devices"):
            answer = self.world.get(desktop, path)
            self._expect(answer, expected)
            if account and path == "/sessions":
                sessions = answer.json()["sessions"]
                assert len(sessions) == len(self.model.of(account))
                (self.session_ids[held],) = [each["id"] for each in sessions if each["current"]]
                assert {each["id"] for each in sessions} >= {
                    self.session_ids[held]
                    for held, session in self.model.sessions.items()
                    if session in self.model.of(account) and held in self.session_ids
                }
            elif account:
                own = {each.id for each in self.model.devices if each.account == account and not each.is_revoked}
                assert {each["id"] for each in answer.json()["devices"]} == own

    @precondition(lambda self: self.session_ids)
    @rule(pick=PICK, desktop=DESKTOP, made_up=st.sampled_from([False, False, False, True]))
    def end_a_session(self, pick: int, desktop: str, made_up: bool) -> None:
        """By its id, which may have been seen by others; or one that nobody has."""
        self._do(self._ending(nth(list(self.session_ids), pick), desktop, made_up=made_up))

    def _ending(self, cookie: str, desktop: str, *, made_up: bool = False) -> Call:
        browser, session = self.world.browser(desktop), self.model.sessions[cookie]
        session_id = "A" * 43 if made_up else self.session_ids[cookie]
        return Call(
            browser,
            lambda: browser.delete(f"/sessions/{session_id}"),
            lambda wire: self.model.end_one(wire.held, None if made_up else session),
        )

    @rule(desktop=DESKTOP)
    def end_all_other_sessions(self, desktop: str) -> None:
        self._do(self._ending_others(desktop))

    def _ending_others(self, desktop: str) -> Call:
        browser = self.world.browser(desktop)
        return Call(browser, lambda: browser.delete("/sessions"), lambda wire: self.model.end_others(wire.held))

    @rule(desktop=DESKTOP, other=DESKTOP, name=PERSON)
    def be_at_two_places(self, desktop: str, other: str, name: str) -> None:
        """Somebody is logged in twice, and ends the one session from the other."""
        for place in (desktop, other):
            self.log_in_at_host(place, name)
            self.list_what_is_ones_own(place)
        if self._held(other) in self.session_ids:
            self._do(self._ending(self._held(other), desktop))

    @rule(desktop=DESKTOP)
    def watch_the_session(self, desktop: str) -> None:
        is_there = bool(self._who(desktop))
        answer = self.world.get(desktop, "/sessions/current/events")
        self._expect(answer, Told(200) if is_there else NOT_LOGGED_IN)
        events = list(events_in({"content-type": answer.header("content-type")}, answer.body))
        assert [name for name, _ in events] == ["alive"] * is_there

    @rule(desktop=DESKTOP)
    def look_at_pages(self, desktop: str) -> None:
        for page in (*FOR_ALL, *FOR_NONE):
            self._expect(self.world.get(desktop, page), FOR_NONE.get(page, Told(200)))
        for page, otherwise in FOR_USERS.items():
            self._expect(self.world.get(desktop, page), Told(200) if self._who(desktop) else otherwise)

    @rule(desktop=DESKTOP)
    def look_where_to_prove_more(self, desktop: str) -> None:
        session = self.model.living(self._held(desktop))
        self._expect(self.world.get(desktop, "/step-up"), Told(200 if session and session.level < 2 else 303))
