"""The steps of logins at an OpenID provider, of their way back, and of logouts by either side."""

import json
from typing import Final
from urllib.parse import urlencode, urlsplit

import httpx2
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.actors import Answer
from tests.oidc.world import ISSUER, asked
from tests.stateful.base import DESKTOP, PERSON, PICK
from tests.stateful.calls import Call, nth
from tests.stateful.passkeys import Passkeys
from tests.stateful.people import HONEST, MALLORY
from tests.stateful.things import NOT_LOGGED_IN, Arrival, Session, Told, Wire
from useid_middleware._codec import un_b64url_any
from useid_middleware.emulation.provider.driver import approve, log_out

#: How a browser leaves for the provider.
LEAVE: Final = ("/login?provider=op", f"/initiate?{urlencode({'iss': ISSUER})}", "form")
#: How it comes back: as it should, by a form that the provider posts, with a refusal, with another login's state.
BACK: Final = st.sampled_from(["own", "own", "own", "posted", "refused", "other"])


class AtProvider(Passkeys):
    """Leave, come back right and wrong, be logged out."""

    def __init__(self) -> None:
        super().__init__()
        #: By state: the address at the provider, and whose browser was sent there.
        self.left: dict[str, tuple[str, str]] = {}
        #: The browsers with a session at the provider, by its sid, and whose it is.
        self.there: dict[str, tuple[httpx2.AsyncClient, str]] = {}
        #: Where logouts go on to, and from which session there.
        self.leaving: list[tuple[str, str]] = []
        self.delivered = 0

    @rule(desktop=DESKTOP, by=st.sampled_from(LEAVE))
    def leave_for_provider(self, desktop: str, by: str) -> None:
        browser = self.world.browser(desktop)
        if by == "form":
            call = Call(browser, lambda: self.world.submit(desktop, "/initiate", iss=ISSUER), lambda _: Told(303))
        else:
            call = Call(browser, lambda: browser.get(by), lambda _: Told(303))
        self._left(desktop, self._do(call), call)

    @rule(desktop=DESKTOP, own=st.sampled_from([True, True, False]))
    def ask_silently(self, desktop: str, own: bool) -> None:
        """Whether the provider's session is still there: in the browser that has it, or in another one."""
        session, browser = self.model.living(self._held(desktop)), self.world.browser(desktop)
        asks = session is not None and session.way == "provider"
        call = Call(
            browser,
            lambda: browser.get("/session-monitor/renew"),
            lambda _: Told(303 if asks else 200) if session is not None else NOT_LOGGED_IN,
        )
        answer = self._do(call)
        if asks and session is not None:
            state = self._left(desktop, answer, call, silent=True)
            client, account = self.there[session.sid] if own else (self._client(), "")
            self._arrive(state, client, account)
            self._do(self._coming_back(self.model.arrivals[-1], desktop))

    def _left(self, desktop: str, answer: Answer, call: Call, *, silent: bool = False) -> str:
        address = answer.header("location")
        state = asked(address)["state"]
        self.model.begun_there(state, call.wire(answer), silent=silent)
        self.left[state] = (address, desktop)
        return state

    @precondition(lambda self: self.left)
    @rule(pick=PICK, name=PERSON)
    def agree_there(self, pick: int, name: str) -> None:
        """A person logs in at the provider, in the browser that was sent there."""
        state = nth(list(self.left), pick)
        if (self.left[state][1] in HONEST) == (name != MALLORY) and not self.model.attempts[state].silent:
            self._arrive(state, self._client(), f"{name}.op")

    def _arrive(self, state: str, client: httpx2.AsyncClient, account: str) -> None:
        person, address = account.partition(".")[0] or "alice", self.left[state][0]
        arrival = self.world.run(approve(client, address, person=f"{person}.op", remember_consent=True))
        known = {each.id: each.sid for each in self.world.provider.realm.records.sessions.values(now=self.model.now)}
        sid = next((known[each.value] for each in client.cookies.jar if each.value in known), "")
        if "code" not in arrival.params:
            account = ""
        elif account:
            self.there[sid] = (client, account)
        self.model.arrivals.append(Arrival(state, arrival.url, account, sid, self.model.now))

    @precondition(lambda self: self.model.arrivals)
    @rule(pick=PICK, desktop=st.one_of(st.none(), st.none(), DESKTOP), how=BACK, other=PICK)
    def come_back(self, pick: int, desktop: str | None, how: str, other: int) -> None:
        arrival = nth(self.model.arrivals, pick)
        state = nth(list(self.left), other) if how == "other" else arrival.state
        self._do(self._coming_back(arrival, desktop or self.left[arrival.state][1], how, state))

    def _coming_back(self, arrival: Arrival, desktop: str, how: str = "own", state: str = "") -> Call:
        """A browser at our callback. It may be another one than was sent to the provider."""
        browser, state, target = self.world.browser(desktop), state or arrival.state, urlsplit(arrival.url)
        given = asked(arrival.url) | {"state": state}
        if how == "refused":
            given = {"error": "access_denied", "state": state, "iss": ISSUER}
        path = f"{target.path}?{urlencode(given)}"
        if how == "posted":
            path = self.world.run(self.world.send_form("/callback/op", **given)).header("location")
        got = arrival if "code" in given else None

        def then(answer: Answer) -> None:
            self.COUNTS["by provider"] += "useid-session" in dict(call.wire(answer).set)

        call = Call(
            browser,
            lambda: browser.send("GET", path),
            lambda wire: self.model.come_back(wire, state, got),
            then,
            self.model.come_back_late,
        )
        return call

    # ── logouts ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _left_by(self, session: Session | None, answer: Answer) -> None:
        """A logout goes on at the provider, if it does."""
        if answer.status == 200 and session is not None:
            self.leaving.append((answer.json()["redirectTo"], session.sid))

    @precondition(lambda self: self.leaving)
    @rule(pick=PICK, desktop=DESKTOP, by_stranger=st.booleans())
    def log_out_there(self, pick: int, desktop: str, by_stranger: bool) -> None:
        """The browser goes on to the provider's logout and comes back; a stranger's browser, perhaps."""
        address, sid = nth(self.leaving, pick)
        there = self._client() if by_stranger else self.there[sid][0]
        answer = self.world.run(log_out(there, address))
        self._hear()
        path = answer.headers["location"].removeprefix("http://localhost:8000") if answer.is_redirect else ""
        self._expect(self.world.get(desktop, path.removeprefix("/auth") or "/logout/done?state=x"), Told(303))

    @precondition(lambda self: self.there)
    @rule(pick=PICK)
    def be_logged_out_there(self, pick: int) -> None:
        """The provider ends a person's session and tells everybody."""
        self.world.run(self.world.provider.logout(sid=nth(list(self.there), pick)))
        self._hear()

    def _hear(self) -> None:
        """What the provider has told us by the back channel."""
        new = self.world.provider.deliveries[self.delivered :]
        self.delivered += len(new)
        for delivery in new:
            assert delivery.status == 200
            claims = json.loads(un_b64url_any(delivery.logout_token.split(".")[1]))
            self.model.logged_out_there({claims["sid"]}, claims["sub"].replace("-1", ".op"))

    @rule(pick=PICK, made_up=st.booleans())
    def lie_about_a_logout(self, pick: int, made_up: bool) -> None:
        """An attacker sends a logout token that was used before, or none that is one."""
        sent = self.world.provider.deliveries
        token = "x.y.z" if made_up or not sent else nth(sent, pick).logout_token
        self._expect(self.world.run(self.world.send_form("/backchannel-logout", logout_token=token)), Told(400))

    @precondition(lambda self: self.there)
    @rule(pick=PICK, desktop=DESKTOP, made_up=st.sampled_from([False, True]))
    def hear_in_a_frame(self, pick: int, desktop: str, made_up: bool) -> None:
        """A page of the provider's loads our front-channel logout; a page of anybody's, with an id that nobody has."""
        sid = "A" * 32 if made_up else nth(list(self.there), pick)
        browser = self.world.browser(desktop)

        def step(wire: Wire) -> Told:
            self.model.living(wire.held)
            self.model.logged_out_there({sid}, "")
            return Told(200)

        path = f"/frontchannel-logout?{urlencode({'iss': ISSUER, 'sid': sid})}"
        self._do(Call(browser, lambda: browser.get(path), step))

    # ── whole stretches ───────────────────────────────────────────────────────────────────────────────────────────────

    @rule(desktop=DESKTOP, name=PERSON, thief=DESKTOP, how=BACK)
    def log_in_at_provider(self, desktop: str, name: str, thief: str, how: str) -> None:
        """There and back; what comes back is stolen on the way, and sent again afterwards."""
        if (desktop in HONEST) != (name != MALLORY):
            return
        self.leave_for_provider(desktop, LEAVE[0])
        self.agree_there(0, name)
        if thief != desktop:
            self.come_back(0, thief, "own", 0)
        for each in (how, "own"):
            self.come_back(0, desktop, each, 1)

    @rule(desktop=st.sampled_from(sorted(HONEST)), name=PERSON, where=st.sampled_from(["here", "there", "silent"]))
    def end_a_session_of_the_provider(self, desktop: str, name: str, where: str) -> None:
        """By the user, by the provider, or because the provider knows nobody any more."""
        self.log_in_at_provider(desktop, name, desktop, "own")
        if where == "silent":
            self.ask_silently(desktop, False)
        elif where == "there" and self.there:
            self.be_logged_out_there(0)
        else:
            self.log_out(desktop)
            if self.leaving:
                self.log_out_there(0, desktop, False)
        self.lie_about_a_logout(0, False)

    def _client(self) -> httpx2.AsyncClient:
        """A browser, as the provider sees it."""
        transport = httpx2.ASGITransport(app=self.world.provider)
        return httpx2.AsyncClient(transport=transport, trust_env=False)
