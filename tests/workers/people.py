"""People in front of a fleet: the browsers, the phone and the ID card of one login, which share their turns."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httpx2
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.actors import Answer
from tests.emulation.client.website import Person
from tests.hosts.people import Surfer, erika, fetched, path_of
from tests.servers import PATIENCE
from tests.workers.fleet import Fleet
from tests.workers.router import Router, Turns
from useid_middleware._codec import b64url
from useid_middleware.eid.core.sealing import open_refresh_url as open_with_secret
from useid_middleware.emulation.client.actions import (
    Action,
    Authentication,
    Connect,
    CreateCredential,
    Fetch,
    PasswordRequest,
    Post,
    Put,
    Transmit,
    Unreachable,
)
from useid_middleware.emulation.client.driver import Card
from useid_middleware.emulation.client.flow import Outcome, open_link
from useid_middleware.emulation.client.passkeys import MemoryCredentials, Passkeys
from useid_middleware.emulation.phone.authenticator_client import Page
from useid_middleware.webauthn.core.sealing import open_refresh_url as open_with_key
from useid_middleware.webauthn.core.sealing import seal_refresh_url

JSON: Final = {"content-type": "application/json"}


class Site(Protocol):
    """Where people log in, over a network; see :class:`~tests.hosts.people.Place`."""

    url: str
    pki: Path

    def browser(self, *, ip: str = ...) -> Surfer: ...
    def at_provider(self) -> httpx2.AsyncClient: ...
    async def use_card(self, tc_token_url: str) -> Outcome: ...


@dataclass
class Visit:
    """A :class:`Site` for the people of one login, who come from ``address``, one of this machine's."""

    fleet: Fleet
    pki: Path
    address: str = "127.0.0.1"
    url: str = field(init=False)
    turns: Turns = field(init=False)
    browsers: list[Surfer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.url = self.fleet.url
        self.turns = Turns([worker.port for worker in self.fleet.workers])

    def browser(self, *, ip: str = "") -> Surfer:
        """A browser without cookies; also what apps send their requests with."""
        transport = Router(self.turns, local_address=self.address)
        made = Surfer(
            http=httpx2.AsyncClient(transport=transport, timeout=PATIENCE),
            host=urlsplit(self.url).netloc,
            origin=self.url,
        )
        self.browsers.append(made)
        return made

    def at_provider(self) -> httpx2.AsyncClient:
        """The browser as the OpenID provider sees it."""
        return httpx2.AsyncClient(timeout=PATIENCE)

    async def use_card(self, tc_token_url: str) -> Outcome:
        """An eID client with Erika's card."""
        return await EIDClient(self).open(tc_token_url)

    async def close(self) -> None:
        """Everybody leaves."""
        for browser in self.browsers:
            await browser.http.aclose()


class EIDClient:
    """The emulated eID client on a phone, with a card and an authenticator of its own."""

    def __init__(self, site: Site) -> None:
        self._http = site.browser()
        self._origin = site.url
        self._card, self._known = erika(site.pki)
        self._person = Person()
        self.passkeys = Passkeys(MemoryCredentials(), random=token_bytes, clock=self._known.today.toordinal)

    async def open(self, link: str) -> Outcome:
        """Open a link and do all that it asks for."""
        flow = open_link(link, self._known)
        try:
            action = next(flow)
            while True:
                try:
                    answer = await self._perform(action, self._card)
                except httpx2.TransportError as error:
                    action = flow.throw(Unreachable(type(error).__name__))
                else:
                    action = flow.send(answer)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome

    async def bind(self, session_id: str, refresh_url: str, public_key: bytes) -> Answer:
        """The phone's part at the end of a bound login by QR: a temporary account, and its passkey."""
        sealed = seal_refresh_url(refresh_url, public_key=public_key, session_id=session_id)
        end = {"widgetSessionId": session_id, "sealedRefreshUrl": sealed, "attestationFormats": ["packed"]}
        opened = await self._send("POST", "/webauthn/accounts", end)
        if opened.status != 201:
            return opened
        account = opened.json()
        request = CreateCredential(account["options"], origin=self._origin, rp_id="localhost", account="")
        made = {"credential": self.passkeys.create(request)}
        return await self._send("PUT", f"/webauthn/accounts/{account['userId']}", made)

    async def _send(self, method: str, path: str, body: Mapping[str, Any]) -> Answer:
        return await self._http.send(method, self._http.prefix + path, json.dumps(body).encode(), JSON)

    async def _perform(self, action: Action, card: Card) -> object:
        match action:
            case Fetch(url=url):
                return fetched(url, await self._http.send("GET", path_of(url)))
            case Post(url=url, headers=headers, body=body):
                return fetched(url, await self._http.send("POST", path_of(url), body, dict(headers)))
            case Put(url=url, headers=headers, body=body):
                return fetched(url, await self._http.send("PUT", path_of(url), body, dict(headers)))
            case Connect():
                return None  # There is no TLS here.
            case Transmit(apdu=apdu):
                return card.transmit(apdu)
            case PasswordRequest():
                return self._person.enter_password(action)
            case Authentication():
                return self._person.confirm(action)
            case CreateCredential():
                return self.passkeys.create(action)


@dataclass
class Widget:
    """What the page of a login keeps for itself: a secret or a key, which is in the fragment of its QR code."""

    site: Site
    browser: Surfer
    key: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    secret: bytes = field(default_factory=lambda: token_bytes(32))

    @property
    def public_key(self) -> bytes:
        """As the QR code has it."""
        return self.key.public_key().public_bytes_raw()

    def link(self, started: Mapping[str, Any]) -> str:
        """What the QR code of a login with an ID card says."""
        name, value = ("widgetPublicKey", self.public_key)
        if started["mode"] == "integrated":
            name, value = ("widgetSessionSecret", self.secret)
        return f"{started['qrData']}#{name}={b64url(value)}"

    def unseal(self, session_id: str, sealed: str, *, bound: bool) -> str:
        """The refresh address: path and query."""
        if bound:
            url = open_with_key(sealed, private_key=self.key.private_bytes_raw(), session_id=session_id)
        else:
            url = open_with_secret(sealed, secret=self.secret, session_id=session_id)
        assert url.startswith(f"{self.site.url}/")
        return path_of(url)

    def assertion(self, told: Mapping[str, Any], passkeys: Passkeys) -> dict[str, Any]:
        """What the phone signs for this page while it is near."""
        return {"credential": passkeys.sign(told["options"], page=Page(self.site.url))}
