"""Which phones are enrolled: what must come of each step of an enrolment."""

from dataclasses import dataclass, field

from tests.stateful.model.sessions import Sessions
from tests.stateful.things import LIFETIME, NOT_FOUND, NOT_LOGGED_IN, UNKNOWN, Device, Enrolment, Told


@dataclass
class Phones(Sessions):
    """Enrolments, phones, and the browsers that were trusted on their word."""

    enrolments: dict[str, Enrolment] = field(default_factory=dict)
    devices: list[Device] = field(default_factory=list)
    #: Accounts and the browsers that have passed the code.
    known: set[tuple[str, str]] = field(default_factory=set)

    def offer(self, held: str) -> Told:
        """A user wants to add a phone."""
        return Told(201) if self.who(held) else NOT_LOGGED_IN

    def offered(self, held: str, enrolment_id: str) -> None:
        """The enrolment is there."""
        self.enrolments[enrolment_id] = Enrolment(enrolment_id, self.now + LIFETIME, "offered", account=self.who(held))

    def enrolment(self, enrolment_id: str) -> Enrolment | None:
        """An enrolment that is not forgotten."""
        enrolment = self.enrolments.get(enrolment_id)
        return None if enrolment is None or enrolment.is_gone(self.now) else enrolment

    def look_at_enrolment(self, enrolment_id: str, held: str) -> Told:
        """A user asks how far it is."""
        account, enrolment = self.who(held), self.enrolment(enrolment_id)
        if not account:
            return NOT_LOGGED_IN
        return UNKNOWN if enrolment is None or enrolment.account != account else Told(200)

    def prove_key(self, enrolment_id: str, person: str) -> Told:
        """A person's phone proves its key."""
        enrolment = self.enrolment(enrolment_id)
        if enrolment is None:
            return UNKNOWN
        refusal = enrolment.refusal("prove", self.now)
        if refusal is None:
            enrolment.go("proved")
            enrolment.person = person
        return refusal or Told(200)

    def confirm(self, enrolment_id: str, held: str, *, code: str) -> Told:
        """A user types a code."""
        told = self.look_at_enrolment(enrolment_id, held)
        if told.status != 200:
            return told
        enrolment = self.enrolments[enrolment_id]
        refusal = enrolment.refusal("confirm", self.now)
        if refusal is not None:
            return refusal
        if not code:
            return Told(403, "code_required")
        if code == enrolment.code:
            enrolment.go("confirmed", deadline=self.now)
            return Told(200)
        enrolment.miss(self.now)
        return Told(403, "code_wrong")

    def revoke(self, held: str, device: Device) -> Told:
        """A user revokes a phone; its sessions end, and each browser has to show a code again."""
        account = self.who(held)
        if not account:
            return NOT_LOGGED_IN
        if device.is_revoked or device.account != account:
            return NOT_FOUND
        device.is_revoked = True
        self.end_of(device)
        self.known = {(owner, each) for owner, each in self.known if owner != account}
        return Told(204)
