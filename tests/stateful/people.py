"""Two desktops, two phones and an attacker with a browser, a phone and an account of his own; all by HTTP alone.

What is public (ids, links, challenges, refresh addresses, what phones have signed) everybody knows, the attacker too.
What only a person sees, the code on their phone, and what only a phone near a desktop can do, the rules of the machine
keep apart.
"""

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from nacl.signing import SigningKey

from tests.actors import Answer, Browser, Phone
from tests.qr.conftest import Clock, host_app, make_settings
from tests.stateful.things import Device, Told
from tests.webauthn.authenticator import UP, UV
from tests.webauthn.bound import HOST, ORIGIN, SERVER, Desktop
from tests.webauthn.world import Authenticator
from useid_middleware import UseID, UseIDMiddleware

DESKTOPS: Final = ("office", "home", "attacker")
PEOPLE: Final = ("alice", "bob", "mallory")
HONEST: Final = frozenset({"office", "home"})
MALLORY: Final = "mallory"
T = TypeVar("T")


@dataclass
class Person:
    """Somebody with a phone: the keys that it holds, by the device that each was enrolled as, and its authenticator."""

    name: str
    keys: list[tuple[Device, Phone]] = field(default_factory=list)
    authenticator: Authenticator = field(default_factory=lambda: Authenticator(ORIGIN, UP | UV))


class World:
    """The plugin in memory, a clock that moves, and everybody around it. Each call is run to its end."""

    def __init__(self, level: str) -> None:
        self.clock = Clock()
        settings = make_settings(assurance=level, webauthn={"enabled": True})
        self._useid = UseID(settings, clock=self.clock)
        self.app = UseIDMiddleware(host_app, useid=self._useid)
        self._runner = asyncio.Runner()
        self.desktops = {
            name: Desktop(Browser(self.app, host=HOST, ip=f"192.0.2.{i}")) for i, name in enumerate(DESKTOPS)
        }
        self.people = {name: Person(name) for name in PEOPLE}

    def close(self) -> None:
        """End everything."""
        self._runner.run(self._useid.stop())
        self._runner.close()

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        """Wait for it; no answer is ever a 500."""
        done = self._runner.run(doing)
        assert not isinstance(done, Answer) or done.status < 500, done.body
        return done

    def phone(self) -> Phone:
        """A new key."""
        return Phone(self.app, key=SigningKey.generate(), server=SERVER, now=self.clock)

    # ── what desktops do ──────────────────────────────────────────────────────────────────────────────────────────────

    def browser(self, desktop: str) -> Browser:
        """The browser of a desktop."""
        return self.desktops[desktop].browser

    def get(self, desktop: str, path: str, headers: dict[str, str] | None = None) -> Answer:
        """A desktop asks."""
        return self.run(self.browser(desktop).get(path, headers))

    def post(self, desktop: str, path: str, body: Any = None) -> Answer:
        """A desktop sends."""
        return self.run(self.browser(desktop).post(path, body))

    def delete(self, desktop: str, path: str) -> Answer:
        """A desktop deletes."""
        return self.run(self.browser(desktop).delete(path))

    def log_in_at_host(self, desktop: str, name: str) -> None:
        """A login of the host app's own."""
        assert self.run(self.browser(desktop).send("GET", f"/as/{name}")).status == 200

    def who(self, desktop: str) -> str:
        """Who the host app thinks is there."""
        return self.run(self.browser(desktop).send("GET", "/")).body.decode().partition(" ")[0]

    # ── what phones do ────────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, path: str, body: dict[str, Any], *, method: str = "POST") -> Answer:
        """A phone sends: without cookies, without an Origin."""
        data = json.dumps(body).encode()
        client = Browser(self.app, ip="198.51.100.7", host=HOST)
        return self.run(client.send(method, f"/auth{path}", data, {"content-type": "application/json"}))


def told(answer: Answer) -> Told:
    """Status and code; of a page or of a check of WebAuthn, the status is what counts."""
    if answer.status < 400 or not answer.header("content-type").startswith("application/json"):
        return Told(answer.status)
    return Told(answer.status, "" if answer.code.startswith("webauthn_") else answer.code)
