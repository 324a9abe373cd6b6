"""What all steps stand on: the plugin, the model beside it, what is public, and what always holds."""

from collections import Counter
from itertools import permutations
from typing import Any, ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.actors import Answer, Phone
from tests.openapi.checking import events_in
from tests.stateful.calls import Call, Public, Sent, nth
from tests.stateful.model.everything import Model
from tests.stateful.people import DESKTOPS, HONEST, MALLORY, PEOPLE, World, owner, told
from tests.stateful.things import (
    FRAME_PERIOD,
    SESSION,
    SNAPSHOT,
    Device,
    Login,
    Told,
    Waiting,
)

#: The newest of something, most of the time.
PICK: Final = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3])
DESKTOP: Final = st.sampled_from(DESKTOPS)
PERSON: Final = st.sampled_from(PEOPLE)


class Everybody(RuleBasedStateMachine):
    """One plugin at one level, and time, which passes."""

    LEVEL: ClassVar[str] = "L1"
    #: Over all runs of a level.
    COUNTS: ClassVar[Counter[str]] = Counter()
    #: What was asked, over all runs.
    ROUTES: ClassVar[Counter[tuple[str, bool]]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.LEVEL, self.ROUTES)
        self.model = Model(self.LEVEL, self.world.clock.now)
        self.public: dict[str, Public] = {}
        self.sent: list[Sent] = []
        self.enrolling: dict[str, str] = {}
        #: The keys that wait for their code, by enrolment.
        self.keys: dict[str, Phone] = {}
        #: The ids of sessions, by their cookies, as far as they were listed.
        self.session_ids: dict[str, str] = {}
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
        self._go_on(max(0.0, self._login(pick).deadline + off - self.model.now))

    def _go_on(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.model.now = self.world.clock.now

    # ── what always holds ─────────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def everybody_is_who_the_model_says(self) -> None:
        for desktop in DESKTOPS:
            assert self.world.who(desktop) == self._who(desktop), desktop

    @invariant()
    def the_attacker_is_nobody_else(self) -> None:
        if self.LEVEL != "L0":
            assert owner(self.world.who("attacker")) in ("", MALLORY)

    @invariant()
    def the_newest_login_is_as_the_model_says(self) -> None:
        if self.public:
            login = self._login(0)
            self._look(login, login.browser)

    # ── the machine's own ─────────────────────────────────────────────────────────────────────────────────────────────

    def _held(self, desktop: str) -> str:
        """The cookie that opens a desktop's session."""
        return self.world.browser(desktop).cookies.get(SESSION, "")

    def _who(self, desktop: str) -> str:
        return self.model.who(self._held(desktop))

    def _expect(self, answer: Answer, expected: Told) -> None:
        self.COUNTS["steps"] += 1
        found = told(answer)
        self.COUNTS["refused" if found.status >= 400 else "done"] += 1
        assert found == expected, answer.body

    def _do(self, call: Call) -> Answer:
        answer = self.world.run(call.go())
        self._expect(answer, call.step(call.wire(answer)))
        call.then(answer)
        return answer

    def _at_once(self, turns: int, *calls: Call) -> list[Answer]:
        """All of them, one in the middle of the other: what comes of it is what would come of some order.

        Whoever was looked at before the one that won is told that they have lost, and has changed nothing; where that
        call says otherwise, it is ``late``.
        """
        answers = self.world.at_once([call.go() for call in calls], turns)
        wires = [call.wire(answer) for call, answer in zip(calls, answers, strict=True)]
        found = [told(answer) for answer in answers]
        self.COUNTS["at once"] += 1
        restore, expected = self.model.saved(), list[list[Told]]()

        def take(order: tuple[int, ...], *, is_late: bool) -> list[Told]:
            restore()
            steps = {each: calls[each].step for each in order}
            if is_late:
                steps[order[-1]] = calls[order[-1]].late
            come = {each: steps[each](wires[each]) for each in order}
            return [come[each] for each in range(len(calls))]

        orders = [(order, is_late) for is_late in (False, True) for order in permutations(range(len(calls)))]
        fitting = []
        for order, is_late in orders:
            expected.append(take(order, is_late=is_late))
            if _are_alike(expected[-1], found):
                fitting.append((order, is_late))
                if self._agrees():
                    break  # Two orders may tell everybody the same, and leave something else behind.
        else:
            assert fitting, f"at once: found {found}, expected one of {expected}"
            take(fitting[0][0], is_late=fitting[0][1])
        for each in fitting[-1][0]:
            calls[each].then(answers[each])
        self.COUNTS["lost to another"] += fitting[-1][1]
        return answers

    def _agrees(self) -> bool:
        """Whether everybody is who the model says, and the newest of what waits is as it says."""
        return all(self.world.who(each) == self._who(each) for each in DESKTOPS) and (
            not self.public or self._is_shown(f"/session/{self._login(0).id}", self._login(0), self._login(0).browser)
        )

    def _is_shown(self, path: str, waiting: Waiting, browser: str) -> bool:
        answer = self.world.get(browser, path)
        now = self.model.now
        shown = answer.json() if answer.status == 200 else None
        return shown is None or (shown["status"], shown["version"]) == (waiting.state_at(now), waiting.version_at(now))

    def _logged_in(self, login: Login, desktop: str) -> None:
        assert login.device is not None
        assert (login.device.account, login.id) in self.approved, "nobody has approved this"
        assert login.id not in self.claimed, "claimed twice"
        assert login.browser == desktop
        self.claimed.add(login.id)
        self.COUNTS["logins"] += 1
        if desktop not in HONEST and login.device.person != MALLORY:
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

    def _follow(
        self, desktop: str, path: str, waiting: Waiting, seen: int | None, expected: Told
    ) -> list[tuple[str, Any]]:
        """A stream's beginning, for who comes for the first time, or has seen this version or another one."""
        now, state = self.model.now, waiting.state_at(self.model.now)
        headers = {} if seen is None else {"last-event-id": str(waiting.version_at(now) + seen)}
        answer = self.world.get(desktop, path, headers)
        if expected.status == 200 and state in waiting.FINAL and (now >= waiting.deadline + SNAPSHOT or seen == 0):
            expected = Told(204)
        self._expect(answer, expected)
        events = list(events_in({"content-type": answer.header("content-type")}, answer.body))
        assert len(events) == (answer.status == 200 and seen != 0)
        return events

    def _note_frame(self, login_id: str, frame: str) -> None:
        public, login = self.public[login_id], self.model.logins[login_id]
        counter = int((self.model.now - login.begun) // FRAME_PERIOD)
        if frame or not public.frames:
            assert public.frames.setdefault(frame, counter) == counter, "a frame came back"

    def _login(self, pick: int) -> Login:
        return self.model.logins[nth(list(self.public), pick)]

    def _key(self, name: str, pick: int) -> tuple[Device, Phone]:
        return nth(self.world.people[name].keys, pick)


def _are_alike(expected: list[Told], found: list[Told]) -> bool:
    """Of a page, the status is all there is."""
    return all(have in (want, Told(want.status)) for want, have in zip(expected, found, strict=True))
