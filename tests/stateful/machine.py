"""The machine: every step that somebody may take, in any order, held against the model."""

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.stateful.base import DESKTOP, PERSON, PICK, nth, other_than
from tests.stateful.bound import Bound
from tests.stateful.by_qr import CHANGE, DECISION, PATH
from tests.stateful.people import DESKTOPS, HONEST, MALLORY, PEOPLE
from tests.stateful.things import FRAME_PERIOD, Device
from useid_middleware._codec import un_b64url_any


class DeviceSwitch(Bound):
    """All of it: phones are enrolled and revoked as well."""

    @initialize()
    def enrol_everybody(self) -> None:
        """Everybody has a phone. They are logged in nowhere yet."""
        for name in PEOPLE:
            self.enrol_another(name)
            self.log_out(at_home(name))
        assert len(self.model.devices) == len(PEOPLE)

    @rule(desktop=DESKTOP)
    def offer(self, desktop: str) -> None:
        answer = self.world.post(desktop, "/devices/enrol")
        self._expect(answer, self.model.offer(desktop))
        if answer.status == 201:
            enrolment_id = answer.json()["enrolmentId"]
            self.model.offered(desktop, enrolment_id)
            self.enrolling[enrolment_id] = answer.json()["qrData"]

    @precondition(lambda self: self.enrolling)
    @rule(pick=PICK, name=PERSON)
    def prove_key(self, pick: int, name: str) -> None:
        enrolment = self.model.enrolments[nth(list(self.enrolling), pick)]
        phone = self.world.phone()
        answer = self.world.run(phone.prove(self.enrolling[enrolment.id]))
        self._expect(answer, self.model.prove_key(enrolment.id, name))
        if answer.status == 200:
            enrolment.code = answer.json()["code"]
            phone.key_id = un_b64url_any(answer.json()["keyId"])
            self.keys[enrolment.id] = phone

    @precondition(lambda self: self.enrolling)
    @rule(pick=PICK, desktop=DESKTOP, typed=st.sampled_from(["right", "right", "wrong", ""]))
    def confirm(self, pick: int, desktop: str, typed: str) -> None:
        """Nobody types a code that another person's phone shows."""
        enrolment = self.model.enrolments[nth(list(self.enrolling), pick)]
        sees = enrolment.person == self.model.who(desktop)
        code = {"right": enrolment.code if sees else other_than(enrolment.code), "": ""}.get(
            typed, other_than(enrolment.code)
        )
        answer = self.world.post(desktop, f"/devices/enrol/{enrolment.id}/confirm", {"code": code})
        self._expect(answer, self.model.confirm(enrolment.id, desktop, code=code))
        if answer.status == 200:
            assert enrolment.person == enrolment.account, "somebody else's phone was enrolled"
            device = Device(enrolment.person, enrolment.account, answer.json()["id"])
            self.model.devices.append(device)
            self.world.people[enrolment.person].keys.append((device, self.keys[enrolment.id]))

    @rule(pick=PICK, desktop=DESKTOP, sure=st.sampled_from([False, False, True]))
    def revoke(self, pick: int, desktop: str, sure: bool) -> None:
        device = nth(self.model.devices, pick)
        if sure or device.account != self.model.who(desktop):
            answer = self.world.delete(desktop, f"/devices/{device.id}")
            self._expect(answer, self.model.revoke(desktop, device))

    # ── whole stretches, as honest devices go them without a pause ────────────────────────────────────────────────────

    @rule(desktop=DESKTOP, name=PERSON)
    def go_all_the_way(self, desktop: str, name: str) -> None:
        """With the attacker's QR code in front of another's phone it is a relay."""
        self.approve_one(desktop, name)
        self.finish(0)

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

    @precondition(lambda self: self.public)
    @rule(pick=PICK)
    def finish(self, pick: int) -> None:
        desktop = self._login(pick).browser
        if self.LEVEL != "L2":
            self.claim(pick, desktop, "shown")
            return
        self.prove(0, desktop, "near", 0)
        self.follow(pick, desktop, False)

    @rule(desktop=DESKTOP, name=PERSON, path=PATH, decision=DECISION, change=CHANGE, other=PICK)
    def scan_and_answer(self, desktop: str, name: str, path: str, decision: str, change: str, other: int) -> None:
        self.start(desktop)
        self.scan(0, name, 0, None)
        self.answer(0, name, 0, path, decision, change, other)

    @rule(desktop=DESKTOP, name=PERSON, turns=st.integers(1, 3))
    def scan_a_picture_of_the_code(self, desktop: str, name: str, turns: int) -> None:
        """The frame has turned so often since."""
        self.start(desktop)
        self._go_on(turns * FRAME_PERIOD)
        self.scan(0, name, 0, 0)

    @rule(desktop=DESKTOP, name=PERSON)
    def bind_to_the_wrong_browser(self, desktop: str, name: str) -> None:
        """What was made for one browser comes from another first."""
        self.approve_one(desktop, name)
        for other in DESKTOPS:
            if other != desktop and self.LEVEL == "L2":
                self.prove(0, other, "leaked", 0)
            elif other != desktop:
                self.claim(0, other, "shown")
        self.finish(0)

    @precondition(lambda self: self.LEVEL == "L2")
    @rule(desktop=DESKTOP, name=PERSON, by=st.sampled_from(["phished", "stranger", "replayed"]))
    def answer_in_the_place_of_the_phone(self, desktop: str, name: str, by: str) -> None:
        """Somebody else is asked, or the phone by a page that looks like ours; then the phone answers after all."""
        self.approve_one(desktop, name)
        self.prove(0, desktop, by, 0)
        self.finish(0)

    @rule(desktop=st.sampled_from(sorted(HONEST)), name=st.sampled_from(PEOPLE[:2]), loses=st.booleans())
    def come_again(self, desktop: str, name: str, loses: bool) -> None:
        """A browser that passed the code need not do so again, until a phone of the account is revoked."""
        self.go_all_the_way(desktop, name)
        if loses:
            self.lose_the_phone(0)
            self.enrol_another(name)
        self.go_all_the_way(desktop, name)

    @rule(desktop=DESKTOP, name=PERSON)
    def lose_the_phone_in_the_middle(self, desktop: str, name: str) -> None:
        self.approve_one(desktop, name)
        self.lose_the_phone(0)
        self.finish(0)
        self.enrol_another(name)

    @rule(name=PERSON)
    def enrol_another(self, name: str) -> None:
        """A person adds a phone, or a new key of their phone."""
        desktop = at_home(name)
        self.log_in_at_host(desktop, name)
        self.offer(desktop)
        self.prove_key(0, name)
        self.confirm(0, desktop, "right")

    @precondition(lambda self: self.public)
    @rule(pick=PICK)
    def lose_the_phone(self, pick: int) -> None:
        """A person revokes the phone that is in the middle of a login."""
        device = self._login(pick).device
        if device is not None:
            desktop = at_home(device.person)
            self.log_in_at_host(desktop, device.person)
            self._expect(self.world.delete(desktop, f"/devices/{device.id}"), self.model.revoke(desktop, device))


def at_home(name: str) -> str:
    """The desktop of this person."""
    return "attacker" if name == MALLORY else "home"
