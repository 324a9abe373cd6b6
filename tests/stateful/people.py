"""Two desktops, two phones and an attacker with a browser, a phone and an account of his own; all by HTTP alone.

What is public (ids, links, challenges, refresh addresses, what phones have signed) everybody knows, the attacker too.
What only a person sees, the code on their phone, and what only a phone near a desktop can do, the rules of the machine
keep apart. Each person has an account of the host app's, one by the provider and one by their card.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx2
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from nacl.signing import SigningKey

from tests.actors import Answer, Browser, Phone
from tests.eid.eid_server import ScriptedEIDServer
from tests.oidc.world import FORM, ISSUER, KEYS
from tests.openapi.world import SHOP, SHOP_AT_PROVIDER
from tests.qr.conftest import Clock, host_app, make_settings
from tests.stateful.routes import Routes
from tests.stateful.things import Device, Told
from tests.stateful.turns import CourteousAccounts, CourteousStore, Turns
from tests.webauthn.authenticator import UP, UV
from tests.webauthn.bound import HOST, ORIGIN, SERVER, Desktop
from tests.webauthn.world import Authenticator
from useid_middleware import UseID, UseIDMiddleware
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.people import Person as PersonThere

DESKTOPS: Final = ("office", "home", "attacker")
PEOPLE: Final = ("alice", "bob", "mallory")
HONEST: Final = frozenset({"office", "home"})
MALLORY: Final = "mallory"
THERE: Final = tuple(PersonThere(f"{name}-1", f"{name}.op", name) for name in PEOPLE)
T = TypeVar("T")


@dataclass
class Person:
    """Somebody with a phone: the keys that it holds, by the device that each was enrolled as, and authenticators."""

    name: str
    phone: Browser
    keys: list[tuple[Device, Phone]] = field(default_factory=list)
    #: What browsers reach when the phone is near.
    authenticator: Authenticator = field(default_factory=lambda: Authenticator(ORIGIN, UP | UV))
    #: What holds their passkeys.
    own: Authenticator = field(default_factory=lambda: Authenticator(ORIGIN, UP | UV))


class World:
    """The plugin in memory, a clock that moves, and everybody around it. Each call is run to its end.

    Only :meth:`at_once` lets calls overlap. What is drawn, the plugin's part of it, is the same in each run. ``seen``
    counts the calls.
    """

    def __init__(self, level: str, seen: "Counter[tuple[str, bool]]") -> None:
        self.clock, self.turns, self.random = Clock(), Turns(), Random(0)
        self.cards = ScriptedEIDServer()
        self.provider = Provider(
            ISSUER, clients=[SHOP_AT_PROVIDER], people=THERE, keys=KEYS, clock=self.clock, post=self._from_provider
        )
        there = {"issuer": ISSUER, "client_id": "shop", "client_secret": SHOP_AT_PROVIDER.client_secret}
        settings = make_settings(
            assurance=level,
            webauthn={"enabled": True},
            oidc={"providers": {"op": there | {"callback_path": "/callback/op"}}},
            eid={"required": ["RestrictedID", "GivenNames"], "username": "GivenNames"},
            embed={"tenants": {"shop": SHOP}},
        )
        self.useid = UseID(
            settings,
            clock=self.clock,
            store=CourteousStore(self.turns, clock=self.clock),
            accounts=CourteousAccounts(self.turns, self.random),
            random_bytes=self.random.randbytes,
            transport=httpx2.ASGITransport(app=self.provider),
            eid_server=self.cards,
        )
        self.app = Routes(UseIDMiddleware(host_app, useid=self.useid), self.useid, seen)
        self._runner = asyncio.Runner()
        self.desktops = {
            name: Desktop(
                Browser(self.app, host=HOST, ip=f"192.0.2.{i}"),
                X25519PrivateKey.from_private_bytes(self.random.randbytes(32)),
            )
            for i, name in enumerate(DESKTOPS)
        }
        self.people = {
            name: Person(name, Browser(self.app, host=HOST, ip=f"198.51.100.{i}")) for i, name in enumerate(PEOPLE)
        }

    def close(self) -> None:
        """End everything."""
        self._runner.run(self.useid.stop())
        self._runner.close()

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        """Wait for it; no answer is ever a 500."""
        done = self._runner.run(doing)
        assert not isinstance(done, Answer) or done.status in (502, 503) or done.status < 500, done.body
        return done

    def at_once(self, calls: Sequence[Awaitable[Answer]], turns: int) -> list[Answer]:
        """All of them, one in the middle of the other, as the turns are drawn."""

        async def together() -> list[Answer]:
            return list(await asyncio.gather(*calls))

        self.turns.drawn = Random(turns)
        try:
            answers = self._runner.run(together())
        finally:
            self.turns.drawn = None
        assert all(answer.status < 500 for answer in answers), [answer.body for answer in answers]
        return answers

    def phone(self) -> Phone:
        """A new key."""
        return Phone(self.app, key=SigningKey(self.random.randbytes(32)), server=SERVER, now=self.clock)

    # ── what desktops do ──────────────────────────────────────────────────────────────────────────────────────────────

    def browser(self, name: str) -> Browser:
        """The browser of a desktop, or that of a person's phone."""
        return self.desktops[name].browser if name in self.desktops else self.people[name].phone

    def get(self, desktop: str, path: str, headers: dict[str, str] | None = None) -> Answer:
        """A desktop asks."""
        return self.run(self.browser(desktop).get(path, headers))

    def post(self, desktop: str, path: str, body: Any = None) -> Answer:
        """A desktop sends."""
        return self.run(self.browser(desktop).post(path, body))

    def delete(self, desktop: str, path: str) -> Answer:
        """A desktop deletes."""
        return self.run(self.browser(desktop).delete(path))

    def patch(self, desktop: str, path: str, body: Any) -> Answer:
        """A desktop changes."""
        headers = {"content-type": "application/json", "origin": ORIGIN}
        return self.run(self.browser(desktop).send("PATCH", f"/auth{path}", json.dumps(body).encode(), headers))

    async def submit(self, name: str, path: str, **fields: str) -> Answer:
        """A browser sends a form of our pages."""
        headers = {"content-type": FORM, "origin": ORIGIN}
        return await self.browser(name).send("POST", f"/auth{path}", urlencode(fields).encode(), headers)

    def who(self, desktop: str) -> str:
        """Who the host app thinks is there."""
        return self.run(self.browser(desktop).send("GET", "/")).body.decode().partition(" ")[0]

    # ── what phones and others do ─────────────────────────────────────────────────────────────────────────────────────

    async def post_bare(self, path: str, data: bytes, content_type: str, *, method: str = "POST") -> Answer:
        """Somebody sends: without cookies, without an Origin."""
        client = Browser(self.app, ip="198.51.100.7", host=HOST)
        return await client.send(method, f"/auth{path}", data, {"content-type": content_type})

    async def send(self, path: str, body: dict[str, Any], *, method: str = "POST") -> Answer:
        """A phone sends JSON."""
        return await self.post_bare(path, json.dumps(body).encode(), "application/json", method=method)

    async def send_form(self, path: str, **fields: str) -> Answer:
        """A server, or a page of another site's, sends a form."""
        return await self.post_bare(path, urlencode(fields).encode(), FORM)

    async def _from_provider(self, url: str, form: Mapping[str, str]) -> int:
        return (await self.send_form(urlsplit(url).path.removeprefix("/auth"), **form)).status


def owner(account: str) -> str:
    """Whose account it is."""
    return account.partition(".")[0]


def told(answer: Answer) -> Told:
    """Status and code; of a page or of a check of WebAuthn, the status is what counts."""
    if answer.status < 400 or not answer.header("content-type").startswith("application/json"):
        return Told(answer.status)
    code = str(answer.json().get("code", ""))
    return Told(answer.status, "" if code.startswith("webauthn_") else code)
