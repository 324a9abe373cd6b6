"""The steps of a login by QR, by honest devices and by others."""

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.actors import Phone
from tests.openapi.checking import events_in
from tests.stateful.base import DESKTOP, PERSON, PICK, Everybody, Public, Sent, nth, other_than
from tests.stateful.people import DESKTOPS, HONEST, MALLORY, PEOPLE
from tests.stateful.things import FRAME_PERIOD, SNAPSHOT, Device, Login, Signed, Told
from useid_middleware._codec import b64url
from useid_middleware.qr.core.signing import Decision

EMPTY: Final = dict.fromkeys(("appName", "origin", "ip", "city", "browser", "requestedAt"), "")

#: Where a signed answer is sent, what it says, and what of it is not as it should be.
PATH: Final = st.sampled_from(["approve", "approve", "reject"])
DECISION: Final = st.sampled_from(["approve", "approve", "reject"])
CHANGE: Final = st.sampled_from(["", "", "", "login", "frame", "early", "late", "key", "context"])


class ByQR(Everybody):
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
        """The stream's beginning, for who comes for the first time, or has seen this version or another one."""
        login, now = self._login(pick), self.model.now
        desktop = desktop or login.browser
        version = login.version_at(now)
        headers = {} if seen is None else {"last-event-id": str(version + seen)}
        answer = self.world.get(desktop, f"/session/{login.id}/events", headers)
        expected = self.model.look(login.id, desktop)
        state = login.state_at(now)
        if expected.status == 200 and state in Login.FINAL and (now >= login.deadline + SNAPSHOT or seen == 0):
            expected = Told(204)
        self._expect(answer, expected)
        if answer.status == 200:
            events = list(events_in({"content-type": answer.header("content-type")}, answer.body))
            assert len(events) == (0 if seen == 0 else 1)
            for name, data in events:
                assert name == ("authenticate" if state == "authenticating" else "status")
                self._compare(login, data)

    @precondition(lambda self: self.public)
    @rule(pick=PICK, name=PERSON, device=PICK, frame=st.sampled_from([None, None, 0, 1, 2, 3]))
    def scan(self, pick: int, name: str, device: int, frame: int | None) -> None:
        """With the frame that is on show, or with one that was."""
        login, public = self._login(pick), self.public[self._login(pick).id]
        if frame is None:
            shown = self.world.get(login.browser, f"/session/{login.id}").json()
            self._note_frame(login.id, shown.get("frame", ""))
        with_frame = nth(list(public.frames), frame or 0)
        held, phone = self._key(name, device)
        counter = int((self.model.now - login.begun) // FRAME_PERIOD)
        valid = frozenset(each for each, shown_at in public.frames.items() if counter - 1 <= shown_at <= counter)
        answer = self.world.run(phone.scan(in_link(public.link, with_frame)))
        self._expect(answer, self.model.scan(login.id, held, frame=with_frame, frames=valid))
        if answer.status == 200:
            public.context = answer.json()["context"]
            assert answer.json().get("binding", False) is (self.LEVEL == "L2")

    @precondition(lambda self: self.public)
    @rule(pick=PICK, name=PERSON, device=PICK, path=PATH, decision=DECISION, change=CHANGE, other=PICK)
    def answer(self, pick: int, name: str, device: int, path: str, decision: str, change: str, other: int) -> None:
        """A signed answer, with one thing in it that is not as it should be, perhaps."""
        login, public = self._login(pick), self.public[self._login(pick).id]
        held, phone = self._key(name, device)
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
        self.sent.append(Sent(login.id, held, body, signed))
        self._answer(login, held, path, body, signed)

    @precondition(lambda self: self.sent)
    @rule(pick=PICK, path=PATH, to=st.one_of(st.none(), PICK))
    def replay(self, pick: int, path: str, to: int | None) -> None:
        """The attacker sends a signed answer once more; for another login, perhaps."""
        sent = nth(self.sent, pick)
        login = self.model.logins[sent.login] if to is None else self._login(to)
        self._answer(login, sent.device, path, sent.body | {"sessionId": login.id}, sent.signed)

    def _answer(self, login: Login, device: Device, path: str, body: dict[str, Any], signed: Signed) -> None:
        answer = self.world.send(f"/{path}", body)
        self._expect(answer, self.model.answer(login.id, device, path, signed))
        if answer.status == 200 and path == "approve":
            self.approved.add((device.account, login.id))
            assert ("code" in answer.json()) is self.model.needs_code(login)
            login.code = answer.json().get("code", "")
            self.public[login.id].refresh_url = answer.json().get("refreshUrl", "")

    @precondition(lambda self: self.public)
    @rule(pick=PICK, desktop=DESKTOP, typed=st.sampled_from(["shown", "shown", "shown", "wrong", ""]))
    def claim(self, pick: int, desktop: str, typed: str) -> None:
        """A person types what their phone shows; the attacker does not see the phones of others."""
        login = self._login(pick)
        sees = desktop in HONEST or (login.device is not None and login.device.person == MALLORY)
        code = {"shown": login.code if sees else other_than(login.code), "wrong": other_than(login.code), "": ""}[typed]
        answer = self.world.post(desktop, f"/session/{login.id}/claim", {"code": code})
        self._expect(answer, self.model.claim(login.id, desktop, code=code))
        if answer.status == 200:
            self._logged_in(login, desktop)

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
