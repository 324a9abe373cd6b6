"""The steps of an enrolment, and of the end of a phone."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.actors import Answer
from tests.stateful.base import DESKTOP, PERSON, PICK
from tests.stateful.bound import Bound
from tests.stateful.calls import Call, nth, other_than
from tests.stateful.people import MALLORY, owner
from tests.stateful.things import Device, Enrolment
from useid_middleware._codec import un_b64url_any


class Phones(Bound):
    """Offer, prove a key, type the code, revoke; and look how far it is."""

    @rule(desktop=DESKTOP)
    def offer(self, desktop: str) -> None:
        held = self._held(desktop)
        answer = self.world.post(desktop, "/devices/enrol")
        self._expect(answer, self.model.offer(held))
        if answer.status == 201:
            enrolment_id = answer.json()["enrolmentId"]
            self.model.offered(held, enrolment_id)
            self.enrolling[enrolment_id] = answer.json()["qrData"]

    @precondition(lambda self: self.enrolling)
    @rule(pick=PICK, desktop=DESKTOP)
    def look_at_enrolment(self, pick: int, desktop: str) -> None:
        enrolment = self._enrolment(pick)
        answer = self.world.get(desktop, f"/devices/enrol/{enrolment.id}")
        self._expect(answer, self.model.look_at_enrolment(enrolment.id, self._held(desktop)))
        if answer.status == 200:
            self._compare_enrolment(enrolment, answer.json())

    @precondition(lambda self: self.enrolling)
    @rule(pick=PICK, desktop=DESKTOP, seen=st.sampled_from([-1, 0, 1, None]))
    def follow_enrolment(self, pick: int, desktop: str, seen: int | None) -> None:
        enrolment = self._enrolment(pick)
        expected = self.model.look_at_enrolment(enrolment.id, self._held(desktop))
        path = f"/devices/enrol/{enrolment.id}/events"
        for _, data in self._follow(desktop, path, enrolment, seen, expected):
            self._compare_enrolment(enrolment, data)

    def _compare_enrolment(self, enrolment: Enrolment, shown: dict[str, object]) -> None:
        now = self.model.now
        assert (shown["status"], shown["version"]) == (enrolment.state_at(now), enrolment.version_at(now))

    @precondition(lambda self: self.enrolling)
    @rule(pick=PICK, name=PERSON)
    def prove_key(self, pick: int, name: str) -> None:
        self._do(self._proving_key(self._enrolment(pick), name))

    def _proving_key(self, enrolment: Enrolment, name: str) -> Call:
        phone = self.world.phone()

        def then(answer: Answer) -> None:
            if answer.status == 200:
                enrolment.code = answer.json()["code"]
                phone.key_id = un_b64url_any(answer.json()["keyId"])
                self.keys[enrolment.id] = phone

        return Call(
            None,
            lambda: phone.prove(self.enrolling[enrolment.id]),
            lambda _: self.model.prove_key(enrolment.id, name),
            then,
        )

    @precondition(lambda self: self.enrolling)
    @rule(pick=PICK, desktop=DESKTOP, typed=st.sampled_from(["right", "right", "wrong", ""]))
    def confirm(self, pick: int, desktop: str, typed: str) -> None:
        """Nobody types a code that another person's phone shows."""
        self._do(self._confirming(self._enrolment(pick), desktop, typed))

    def _confirming(self, enrolment: Enrolment, desktop: str, typed: str = "right") -> Call:
        sees = enrolment.person == owner(self._who(desktop))
        wrong, browser = other_than(enrolment.code), self.world.browser(desktop)
        code = {"right": enrolment.code if sees else wrong, "": ""}.get(typed, wrong)

        def then(answer: Answer) -> None:
            if answer.status == 200:
                assert enrolment.person == owner(enrolment.account), "somebody else's phone was enrolled"
                device = Device(enrolment.person, enrolment.account, answer.json()["id"])
                self.model.devices.append(device)
                self.world.people[enrolment.person].keys.append((device, self.keys[enrolment.id]))

        return Call(
            browser,
            lambda: browser.post(f"/devices/enrol/{enrolment.id}/confirm", {"code": code}),
            lambda wire: self.model.confirm(enrolment.id, wire.held, code=code),
            then,
        )

    @rule(pick=PICK, desktop=DESKTOP, sure=st.sampled_from([False, False, True]))
    def revoke(self, pick: int, desktop: str, sure: bool) -> None:
        device = nth(self.model.devices, pick)
        if sure or device.account != self._who(desktop):
            self._do(self._revoking(device, desktop))

    def _revoking(self, device: Device, desktop: str) -> Call:
        browser = self.world.browser(desktop)
        return Call(
            browser,
            lambda: browser.delete(f"/devices/{device.id}"),
            lambda wire: self.model.revoke(wire.held, device),
        )

    def _enrolment(self, pick: int) -> Enrolment:
        return self.model.enrolments[nth(list(self.enrolling), pick)]

    @rule(name=PERSON)
    def enrol_another(self, name: str) -> None:
        """A person adds a phone, or a new key of their phone, without a pause."""
        desktop = at_home(name)
        self.log_in_at_host(desktop, name)
        self.offer(desktop)
        self.prove_key(0, name)
        self.confirm(0, desktop, "right")


def at_home(name: str) -> str:
    """The desktop of this person."""
    return "attacker" if name == MALLORY else "home"
