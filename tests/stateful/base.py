"""What all steps stand on: the plugin, the model beside it, what is public, and what always holds."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.actors import Answer, Phone
from tests.stateful.model import Model
from tests.stateful.people import DESKTOPS, HONEST, MALLORY, PEOPLE, World, told
from tests.stateful.things import FRAME_PERIOD, Device, Login, Signed, Told

T = TypeVar("T")
#: The newest of something, most of the time.
PICK: Final = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3])
DESKTOP: Final = st.sampled_from(DESKTOPS)
PERSON: Final = st.sampled_from(PEOPLE)


@dataclass
class Public:
    """What everybody knows of a login: its link, the frames that were on show, what its phone was told."""

    link: str
    frames: dict[str, int] = field(default_factory=dict)
    context: dict[str, str] | None = None
    refresh_url: str = ""


@dataclass
class Sent:
    """An answer that a phone has signed, and that others may send again."""

    login: str
    device: Device
    body: dict[str, Any]
    signed: Signed


class Everybody(RuleBasedStateMachine):
    """One plugin at one level, and time, which passes."""

    LEVEL: ClassVar[str] = "L1"
    #: Over all runs of a level.
    COUNTS: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.LEVEL)
        self.model = Model(self.LEVEL, self.world.clock.now)
        self.public: dict[str, Public] = {}
        self.sent: list[Sent] = []
        self.enrolling: dict[str, str] = {}
        #: The keys that wait for their code, by enrolment.
        self.keys: dict[str, Phone] = {}
        self.opened: dict[str, dict[str, Any]] = {}
        self.asked: dict[str, dict[str, Any]] = {}
        #: Assertions that were sent, and which account each would hold for.
        self.proofs: list[tuple[dict[str, Any], str]] = []
        #: Which accounts' phones have approved which login, and which were claimed: checked apart from the model.
        self.approved: set[tuple[str, str]] = set()
        self.claimed: set[str] = set()

    def teardown(self) -> None:
        self.COUNTS["runs"] += 1
        self.world.close()

    @rule(seconds=st.sampled_from([0.5, 7, 29, 30, 31, 59, 60, 119, 120, 121, 300, 12 * 3600]))
    def wait(self, seconds: float) -> None:
        self._go_on(seconds)

    @precondition(lambda self: self.public)
    @rule(pick=PICK, off=st.sampled_from([-0.001, 0, 0.001]))
    def wait_for_a_deadline(self, pick: int, off: float) -> None:
        seconds = self._login(pick).deadline + off - self.model.now
        if seconds > 0:
            self._go_on(seconds)

    def _go_on(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.model.now = self.world.clock.now

    @rule(desktop=DESKTOP, name=PERSON)
    def log_in_at_host(self, desktop: str, name: str) -> None:
        if (desktop in HONEST) == (name != MALLORY):
            self.world.log_in_at_host(desktop, name)
            self.model.log_in(desktop, name)

    @rule(desktop=DESKTOP)
    def log_out(self, desktop: str) -> None:
        self._expect(self.world.post(desktop, "/logout"), Told(204))
        self.model.log_out(desktop)

    @rule(desktop=DESKTOP)
    def list_what_is_ones_own(self, desktop: str) -> None:
        account = self.model.who(desktop)
        expected = Told(200) if account else Told(401, "login_required")
        for path in ("/sessions", "/devices"):
            answer = self.world.get(desktop, path)
            self._expect(answer, expected)
            if account and path == "/sessions":
                assert len(answer.json()["sessions"]) == self.model.sessions_of(account)
            elif account:
                own = {each.id for each in self.model.devices if each.account == account and not each.is_revoked}
                assert {each["id"] for each in answer.json()["devices"]} == own

    # ── what always holds ─────────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def everybody_is_who_the_model_says(self) -> None:
        for desktop in DESKTOPS:
            assert self.world.who(desktop) == self.model.who(desktop), desktop

    @invariant()
    def the_attacker_is_nobody_else(self) -> None:
        if self.LEVEL != "L0":
            assert self.world.who("attacker") in ("", MALLORY)

    @invariant()
    def the_newest_login_is_as_the_model_says(self) -> None:
        if self.public:
            login = self._login(0)
            self._look(login, login.browser)

    # ── the machine's own ─────────────────────────────────────────────────────────────────────────────────────────────

    def _expect(self, answer: Answer, expected: Told) -> None:
        self.COUNTS["steps"] += 1
        found = told(answer)
        self.COUNTS["refused" if found.status >= 400 else "done"] += 1
        assert found == expected, answer.body

    def _logged_in(self, login: Login, desktop: str) -> None:
        assert login.device is not None
        assert (login.device.account, login.id) in self.approved, "nobody has approved this"
        assert login.id not in self.claimed, "claimed twice"
        assert login.browser == desktop
        self.claimed.add(login.id)
        self.COUNTS["logins"] += 1
        if desktop not in HONEST and login.device.account != MALLORY:
            # What the QR code alone cannot keep away, and docs/security.md says so.
            assert self.LEVEL == "L0"
            self.COUNTS["relayed at L0"] += 1

    def _look(self, login: Login, desktop: str) -> None:
        answer = self.world.get(desktop, f"/session/{login.id}")
        self._expect(answer, self.model.look(login.id, desktop))
        if answer.status == 200:
            self._compare(login, answer.json())

    def _compare(self, login: Login, shown: dict[str, Any]) -> None:
        now, state = self.model.now, login.state_at(self.model.now)
        assert (shown["status"], shown["version"]) == (state, login.version_at(now))
        assert shown.get("codeRequired") == (bool(login.code) if state == "approved" else None)
        assert ("frame" in shown) is (state == "waiting" and self.LEVEL != "L0")
        assert ("options" in shown) is (state == "authenticating")
        assert ("sealedRefreshUrl" in shown) is (state == "approved" and self.LEVEL == "L2")
        if state == "waiting":
            self._note_frame(login.id, shown.get("frame", ""))

    def _note_frame(self, login_id: str, frame: str) -> None:
        public, login = self.public[login_id], self.model.logins[login_id]
        counter = int((self.model.now - login.begun) // FRAME_PERIOD)
        if frame or not public.frames:
            assert public.frames.setdefault(frame, counter) == counter, "a frame came back"

    def _login(self, pick: int) -> Login:
        return self.model.logins[nth(list(self.public), pick)]

    def _key(self, name: str, pick: int) -> tuple[Device, Phone]:
        return nth(self.world.people[name].keys, pick)


def nth(found: list[T], pick: int) -> T:
    """One of them, the newest first."""
    return found[-1 - pick % len(found)]


def other_than(code: str) -> str:
    """Six digits that are not these."""
    return "111111" if code != "111111" else "222222"
