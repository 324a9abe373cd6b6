"""The machine: every step that somebody may take, in any order, held against the model."""

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.stateful.at_once import AtOnce
from tests.stateful.base import DESKTOP, PERSON, PICK
from tests.stateful.by_qr import CHANGE, DECISION, PATH
from tests.stateful.calls import nth
from tests.stateful.people import DESKTOPS, HONEST, PEOPLE
from tests.stateful.phones import at_home
from tests.stateful.things import FRAME_PERIOD


class EveryLogin(AtOnce):
    """All of it; and the stretches of a login by QR as honest devices go them without a pause."""

    @initialize()
    def enrol_everybody(self) -> None:
        """Everybody has a phone. They are logged in nowhere yet."""
        for name in PEOPLE:
            self.enrol_another(name)
            self.log_out(at_home(name))
        assert len(self.model.devices) == len(PEOPLE)

    @rule(desktop=DESKTOP, name=PERSON)
    def go_all_the_way(self, desktop: str, name: str) -> None:
        """With the attacker's QR code in front of another's phone it is a relay."""
        self.approve_one(desktop, name)
        self.finish(0)

    @precondition(lambda self: self.public)
    @rule(pick=PICK)
    def finish(self, pick: int) -> None:
        desktop = self._login(pick).browser
        if self.LEVEL != "L2":
            self.claim(pick, desktop, "shown", False)
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
                self.claim(0, other, "shown", False)
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

    @rule(desktop=st.sampled_from(sorted(HONEST)), name=st.sampled_from(PEOPLE[:2]))
    def lose_what_rests_on_the_provider(self, desktop: str, name: str) -> None:
        """A phone that was enrolled with the provider's account logs in elsewhere, and the provider ends it all."""
        self.log_in_at_provider(desktop, name, desktop, "own")
        self.offer(desktop)
        self.prove_key(0, name)
        self.confirm(0, desktop, "right")
        self.go_all_the_way(nth(sorted(HONEST - {desktop}), 0), name)
        self.be_logged_out_there(0)

    @precondition(lambda self: self.public)
    @rule(pick=PICK)
    def lose_the_phone(self, pick: int) -> None:
        """A person revokes the phone that is in the middle of a login."""
        device = self._login(pick).device
        if device is not None:
            self.log_in_at_host(at_home(device.person), device.person)
            self._do(self._revoking(device, at_home(device.person)))
