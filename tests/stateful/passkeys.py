"""The steps of passkeys: registration, login and step-up by the right authenticator and by others, and the list."""

from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.actors import Answer
from tests.stateful.base import DESKTOP, PERSON, PICK
from tests.stateful.bound import stranger
from tests.stateful.calls import Call, nth
from tests.stateful.people import HONEST, MALLORY, PEOPLE
from tests.stateful.phones import Phones, at_home
from tests.stateful.things import Device, Told, Wire
from tests.webauthn.world import CALLS, Authenticator, Credential
from useid_middleware._codec import b64url

PURPOSE: Final = st.sampled_from(["register", "login", "login", "step-up"])
#: Whose hand is on which key: the person's own, a stranger's for the same credential, theirs for a page like ours.
BY: Final = st.sampled_from(["own", "own", "own", "stranger", "phished"])


@dataclass
class Made:
    """What an authenticator has made, and whether it would hold: for this ceremony, at our origin, by this passkey."""

    ceremony: str
    credential: dict[str, Any]
    passkey: Device | None
    holds: bool


class Passkeys(Phones):
    """Begin, end, replay, and what one does with one's own."""

    def __init__(self) -> None:
        super().__init__()
        #: By ceremony: the options, and whose page shows them.
        self.options: dict[str, dict[str, Any]] = {}
        self.begun_at: dict[str, str] = {}
        self.made: list[Made] = []
        #: The credentials behind the passkeys, by their ids.
        self.credentials: dict[str, Credential] = {}

    @rule(desktop=DESKTOP, purpose=PURPOSE, name=st.sampled_from(["", *PEOPLE, "nobody"]))
    def begin_ceremony(self, desktop: str, purpose: str, name: str) -> None:
        body = {"username": name} if purpose == "login" and name else None
        answer = self.world.post(desktop, CALLS[purpose][0], body)
        held = self._held(desktop)
        self._expect(answer, self.model.begin_ceremony(purpose, held))
        if answer.status == 200:
            ceremony_id = answer.json()["ceremonyId"]
            self.model.ceremony_begun(ceremony_id, purpose, desktop, held)
            self.options[ceremony_id], self.begun_at[ceremony_id] = answer.json()["options"], desktop

    @precondition(lambda self: self.options)
    @rule(pick=PICK, desktop=DESKTOP, name=PERSON, by=BY, options_of=st.one_of(st.none(), st.none(), PICK))
    def end_ceremony(self, pick: int, desktop: str, name: str, by: str, options_of: int | None) -> None:
        """The authenticator of somebody at the page answers; what it made is sent by whichever browser."""
        ceremony_id = nth(list(self.options), pick)
        source = ceremony_id if options_of is None else nth(list(self.options), options_of)
        kinds = {self.model.ceremonies[each].purpose == "register" for each in (ceremony_id, source)}
        if len(kinds) == 2 or not self._is_at(name, source):
            return
        if kinds == {True}:
            self._do(self._adding(ceremony_id, source, desktop, name, by))
            return
        made = self._make(ceremony_id, source, name, by)
        if made is not None:
            self.made.append(made)
            self._do(self._proving(made, desktop))

    def _is_at(self, name: str, ceremony_id: str) -> bool:
        """Nobody uses their authenticator at a page of the attacker's."""
        return (self.begun_at[ceremony_id] in HONEST) == (name != MALLORY)

    @precondition(lambda self: self.made)
    @rule(pick=PICK, desktop=DESKTOP, of=st.one_of(st.none(), PICK))
    def send_again(self, pick: int, desktop: str, of: int | None) -> None:
        """What an authenticator made comes again, from anywhere; for another ceremony, perhaps."""
        made = nth(self.made, pick)
        other = made.ceremony if of is None else nth(self.made, of).ceremony
        self._do(
            self._proving(Made(other, made.credential, made.passkey, made.holds and other == made.ceremony), desktop)
        )

    def _make(self, ceremony_id: str, source: str, name: str, by: str) -> Made | None:
        own, options = self.world.people[name].own, self.options[source]
        allowed = {each["id"] for each in options["allowCredentials"]}
        found = [each for each in own.credentials if not allowed or _id(each) in allowed]
        if not found:
            return None
        credential = found[-1]
        held = next((each for each in self.model.passkeys if self.credentials[each.id] is credential), None)
        if by == "stranger":
            return Made(ceremony_id, stranger({**options, "allowCredentials": [{"id": _id(credential)}]}), held, False)
        browser = Authenticator("http://phish.localhost") if by == "phished" else own
        return Made(
            ceremony_id, browser.get(options, credential=credential), held, by == "own" and source == ceremony_id
        )

    def _proving(self, made: Made, desktop: str) -> Call:
        """The end of a login or of a step-up."""
        browser, purpose = self.world.browser(desktop), self.model.ceremonies[made.ceremony].purpose
        body = {"ceremonyId": made.ceremony, "credential": made.credential}

        def step(wire: Wire) -> Told:
            if purpose == "step-up":
                return self.model.step_up(made.ceremony, made.passkey, wire, holds=made.holds)
            return self.model.log_in_by_passkey(made.ceremony, desktop, made.passkey, wire, holds=made.holds)

        def then(answer: Answer) -> None:
            if answer.status == 200:
                self.COUNTS["by passkey"] += 1

        def late(wire: Wire) -> Told:
            return self.model.log_in_late(made.ceremony, desktop, made.passkey, wire)

        return Call(browser, lambda: browser.post(CALLS[purpose][1], body), step, then, late)

    def _adding(self, ceremony_id: str, source: str, desktop: str, name: str, by: str) -> Call:
        """The end of a registration, which is somebody else's, perhaps."""
        own, browser = self.world.people[name].own, self.world.browser(desktop)
        at = own if by == "own" else Authenticator("http://phish.localhost")
        body = {"ceremonyId": ceremony_id, "credential": at.create(self.options[source]), "label": name}
        credential = at.credentials[-1]
        holds = by == "own" and source == ceremony_id

        def step(wire: Wire) -> Told:
            # A session adds the key that its own person holds: whoever is tricked into another's is not ours to know.
            return self.model.add_passkey(ceremony_id, wire.held, holds=holds)

        def then(answer: Answer) -> None:
            if answer.status == 201:
                passkey = Device(name, self.model.ceremonies[ceremony_id].account, answer.json()["id"], label=name)
                self.model.passkeys.append(passkey)
                self.credentials[passkey.id] = credential

        return Call(browser, lambda: browser.post("/passkeys", body), step, then)

    @rule(desktop=DESKTOP)
    def list_passkeys(self, desktop: str) -> None:
        account = self._who(desktop)
        answer = self.world.get(desktop, "/passkeys")
        self._expect(answer, Told(200) if account else Told(401, "login_required"))
        if account:
            found = [(each["id"], each["label"]) for each in answer.json()["passkeys"]]
            assert sorted(found) == sorted((each.id, each.label) for each in self.model.passkeys_of(account))

    @precondition(lambda self: self.model.passkeys)
    @rule(pick=PICK, desktop=DESKTOP, label=st.sampled_from(["Key", "Schlüssel", "k" * 20]))
    def rename_passkey(self, pick: int, desktop: str, label: str) -> None:
        passkey = nth(self.model.passkeys, pick)
        answer = self.world.patch(desktop, f"/passkeys/{passkey.id}", {"label": label})
        self._expect(answer, self.model.rename_passkey(self._held(desktop), passkey, label))

    @precondition(lambda self: self.model.passkeys)
    @rule(pick=PICK, desktop=DESKTOP, sure=st.sampled_from([False, True]))
    def remove_passkey(self, pick: int, desktop: str, sure: bool) -> None:
        passkey = nth(self.model.passkeys, pick)
        if sure or passkey.account != self._who(desktop):
            self._do(self._removing(passkey, desktop))

    def _removing(self, passkey: Device, desktop: str) -> Call:
        browser = self.world.browser(desktop)
        return Call(
            browser,
            lambda: browser.delete(f"/passkeys/{passkey.id}"),
            lambda wire: self.model.remove_passkey(wire.held, passkey),
        )

    # ── whole stretches ───────────────────────────────────────────────────────────────────────────────────────────────

    @rule(name=PERSON)
    def get_a_passkey(self, name: str) -> None:
        """A first one, or another one, which nobody gets before they have proved the one that is there."""
        desktop = at_home(name)
        self.log_in_at_host(desktop, name)
        self.begin_ceremony(desktop, "register", "")
        self.prove_more(desktop, name)
        self.begin_ceremony(desktop, "register", "")
        if self.options:
            self.end_ceremony(0, desktop, name, "own", None)

    @rule(desktop=DESKTOP, name=PERSON)
    def prove_more(self, desktop: str, name: str) -> None:
        """Whoever is logged in proves that they hold a passkey."""
        self.begin_ceremony(desktop, "step-up", "")
        if self.options:
            self.end_ceremony(0, desktop, name, "own", None)

    @rule(desktop=DESKTOP, name=PERSON, by=BY, thief=DESKTOP)
    def come_by_passkey(self, desktop: str, name: str, by: str, thief: str) -> None:
        """A login by passkey, which another browser tries to steal before and after."""
        self.get_a_passkey(name)
        self.begin_ceremony(desktop, "login", name)
        ceremony_id = list(self.options)[-1]
        made = self._make(ceremony_id, ceremony_id, name, by) if self._is_at(name, ceremony_id) else None
        if made is not None:
            self.made.append(made)
            for place in (thief, desktop, desktop):
                self._do(self._proving(made, place))

    @rule(desktop=DESKTOP, name=PERSON)
    def lose_a_passkey(self, desktop: str, name: str) -> None:
        """What it has opened ends with it."""
        self.come_by_passkey(desktop, name, "own", desktop)
        self.log_in_at_host(at_home(name), name)
        self._do(self._removing(self.model.passkeys[-1], at_home(name)))


def _id(credential: Credential) -> str:
    return b64url(credential.id)
