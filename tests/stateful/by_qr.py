"""The steps of a login by QR, by honest devices and by others."""

import re
from collections.abc import Awaitable
from html import unescape
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.actors import Answer, Phone
from tests.stateful.base import DESKTOP, PERSON, PICK
from tests.stateful.calls import Call, Public, Sent, nth, other_than
from tests.stateful.own_sessions import OwnSessions
from tests.stateful.people import DESKTOPS, HONEST, MALLORY, PEOPLE
from tests.stateful.things import FRAME_PERIOD, Device, Login, Signed, Told, Wire
from useid_middleware._codec import b64url
from useid_middleware.qr.core.signing import Decision

EMPTY: Final = dict.fromkeys(("appName", "origin", "ip", "city", "browser", "requestedAt"), "")

#: Where a signed answer is sent, what it says, and what of it is not as it should be.
PATH: Final = st.sampled_from(["approve", "approve", "reject"])
DECISION: Final = st.sampled_from(["approve", "approve", "reject"])
CHANGE: Final = st.sampled_from(["", "", "", "login", "frame", "early", "late", "key", "context"])
TYPED: Final = st.sampled_from(["shown", "shown", "shown", "wrong", ""])


class ByQR(OwnSessions):
    """Start, look, scan, answer, claim."""

    @rule(desktop=DESKTOP)
    def start(self, desktop: str) -> None:
        answer = self.world.post(desktop, "/session/create")
        self._expect(answer, Told(201))
        login_id = answer.json()["sessionId"]
        self.model.create(desktop, login_id)
        self.public[login_id] = Public(answer.json()["qrData"])
        self._note_frame(login_id, link_frame(answer.json()["qrData"]))

    @precondition(lambda self: self.public)
    @rule(pick=PICK, desktop=DESKTOP)
    def look(self, pick: int, desktop: str) -> None:
        self._look(self._login(pick), desktop)

    @precondition(lambda self: self.public)
    @rule(pick=PICK, desktop=st.sampled_from([None, None, *DESKTOPS]), seen=st.sampled_from([-1, 0, 1, None]))
    def follow_stream(self, pick: int, desktop: str | None, seen: int | None) -> None:
        login, desktop = self._login(pick), desktop or self._login(pick).browser
        path, expected = f"/session/{login.id}/events", self.model.look(login.id, desktop)
        for name, data in self._follow(desktop, path, login, seen, expected):
            assert name == ("authenticate" if login.state_at(self.model.now) == "authenticating" else "status")
            self._compare(login, data)

    @precondition(lambda self: self.public)
    @rule(pick=PICK, desktop=DESKTOP)
    def look_at_picture(self, pick: int, desktop: str) -> None:
        login = self._login(pick)
        answer = self.world.get(desktop, f"/session/{login.id}/qr.svg")
        self._expect(answer, self.model.picture(login.id, desktop))

    @precondition(lambda self: self.public)
    @rule(pick=PICK, name=PERSON, device=PICK, frame=st.sampled_from([None, None, 0, 1, 2, 3]))
    def scan(self, pick: int, name: str, device: int, frame: int | None) -> None:
        """With the frame that is on show, or with one that was."""
        self._do(self._scanning(self._login(pick), *self._key(name, device), frame))

    def _scanning(self, login: Login, held: Device, phone: Phone, frame: int | None) -> Call:
        public = self.public[login.id]
        if frame is None:
            shown = self.world.get(login.browser, f"/session/{login.id}").json()
            self._note_frame(login.id, shown.get("frame", ""))
        with_frame = nth(list(public.frames), frame or 0)
        counter = int((self.model.now - login.begun) // FRAME_PERIOD)
        valid = frozenset(each for each, shown_at in public.frames.items() if counter - 1 <= shown_at <= counter)

        def then(answer: Answer) -> None:
            if answer.status == 200:
                public.context = answer.json()["context"]
                assert answer.json().get("binding", False) is (self.LEVEL == "L2")

        return Call(
            None,
            lambda: phone.scan(in_link(public.link, with_frame)),
            lambda _: self.model.scan(login.id, held, frame=with_frame, frames=valid),
            then,
        )

    @precondition(lambda self: self.public)
    @rule(pick=PICK, name=PERSON, device=PICK, path=PATH, decision=DECISION, change=CHANGE, other=PICK)
    def answer(self, pick: int, name: str, device: int, path: str, decision: str, change: str, other: int) -> None:
        """A signed answer, with one thing in it that is not as it should be, perhaps."""
        sent = self._sign(self._login(pick), *self._key(name, device), decision, change, other)
        self.sent.append(sent)
        self._do(self._answering(self._login(pick), path, sent))

    def _sign(self, login: Login, held: Device, phone: Phone, decision: str, change: str = "", other: int = 0) -> Sent:
        public = self.public[login.id]
        signed_for = self._login(other).id if change == "login" else login.id
        frame = nth(list(public.frames), other) if change == "frame" else login.frame
        issued_at = int(self.model.now) + {"early": -121, "late": 122}.get(change, 0)
        context = dict(public.context or EMPTY)
        if change == "context":
            context["ip"] = "203.0.113.99"
        is_whole = public.context is not None and context == public.context
        link = in_link(self.public[signed_for].link, frame if self.LEVEL != "L0" else "")
        body = phone.answer_body(link, context, Decision(decision), issued_at=issued_at) | {"sessionId": login.id}
        if change == "key":
            body["publicKey"] = self._body_key(other)
        by_this_key = body["publicKey"] == self._body_key_of(phone)
        signed = Signed(signed_for if is_whole else "", frame, decision, issued_at, by_this_key)
        return Sent(login.id, held, body, signed)

    @precondition(lambda self: self.sent)
    @rule(pick=PICK, path=PATH, to=st.one_of(st.none(), PICK))
    def replay(self, pick: int, path: str, to: int | None) -> None:
        """The attacker sends a signed answer once more; for another login, perhaps."""
        sent = nth(self.sent, pick)
        login = self.model.logins[sent.login] if to is None else self._login(to)
        self._do(self._answering(login, path, sent))

    def _answering(self, login: Login, path: str, sent: Sent) -> Call:
        def then(answer: Answer) -> None:
            if answer.status == 200 and path == "approve":
                self.approved.add((sent.device.account, login.id))
                login.code = answer.json().get("code", "")
                self.public[login.id].refresh_url = answer.json().get("refreshUrl", "")
                assert bool(login.code) is self.model.needs_code(login)

        return Call(
            None,
            lambda: self.world.send(f"/{path}", sent.body | {"sessionId": login.id}),
            lambda _: self.model.answer(login.id, sent.device, path, sent.signed),
            then,
        )

    @precondition(lambda self: self.public)
    @rule(pick=PICK, desktop=DESKTOP, typed=TYPED, plainly=st.sampled_from([False, False, True]))
    def claim(self, pick: int, desktop: str, typed: str, plainly: bool) -> None:
        """A person types what their phone shows; the attacker does not see the phones of others."""
        self._do(self._claiming(self._login(pick), desktop, typed, plainly=plainly))

    def _claiming(self, login: Login, desktop: str, typed: str = "shown", *, plainly: bool = False) -> Call:
        """``plainly``: by the form of a browser without JavaScript."""
        sees = desktop in HONEST or (login.device is not None and login.device.person == MALLORY)
        code = {"shown": login.code if sees else other_than(login.code), "": ""}.get(typed, other_than(login.code))
        browser = self.world.browser(desktop)

        def step(wire: Wire) -> Told:
            told = self.model.claim(login.id, desktop, wire, code=code)
            return self._plainly(login, desktop, Told(303) if told.status == 200 else told) if plainly else told

        def then(answer: Answer) -> None:
            if answer.status < 400:
                self._logged_in(login, desktop)

        def send() -> Awaitable[Answer]:
            if plainly:
                return self.world.submit(desktop, f"/plain/{login.id}", code=code)
            return browser.post(f"/session/{login.id}/claim", {"code": code})

        return Call(browser, send, step, then, lambda wire: self.model.finish_late(login.id, wire))

    @rule(desktop=DESKTOP)
    def start_plainly(self, desktop: str) -> None:
        """A browser without JavaScript begins; not where a phone has to be near."""
        answer = self.world.run(self.world.submit(desktop, "/plain"))
        self._expect(answer, Told(409 if self.LEVEL == "L2" else 303))
        if answer.status == 303:
            login_id = answer.header("location").rpartition("/")[2]
            self.model.create(desktop, login_id)
            page = self.world.get(desktop, f"/plain/{login_id}").body.decode()
            (link,) = set(re.findall(r'href="(tana:[^"]+)"', page))
            self.public[login_id] = Public(unescape(link))
            self._note_frame(login_id, link_frame(unescape(link)))

    @precondition(lambda self: self.public)
    @rule(pick=PICK, desktop=DESKTOP)
    def look_plainly(self, pick: int, desktop: str) -> None:
        login = self._login(pick)
        answer = self.world.get(desktop, f"/plain/{login.id}")
        self._expect(answer, self._plainly(login, desktop, self.model.look(login.id, desktop)))
        assert (answer.status == 200 and login.state_at(self.model.now) == "waiting") is (b'"tana:' in answer.body)

    def _plainly(self, login: Login, desktop: str, expected: Told) -> Told:
        """What a browser without JavaScript is told: no form asks for a phone nearby."""
        is_own = self.LEVEL == "L2" and self.model.look(login.id, desktop).status == 200
        return Told(409 if is_own else expected.status)

    def _body_key(self, pick: int) -> str:
        return self._body_key_of(self._key(nth(list(PEOPLE), pick), pick)[1])

    @staticmethod
    def _body_key_of(phone: Phone) -> str:
        return b64url(phone.public_key)


def link_frame(link: str) -> str:
    """The frame in a link, empty for none."""
    return link.partition("&frame=")[2]


def in_link(link: str, frame: str) -> str:
    """The link with this frame."""
    bare = link.partition("&frame=")[0]
    return f"{bare}&frame={frame}" if frame else bare
