"""A QR login that WebAuthn binds to its browser: the desktop, its widget's key, and the phone with its credential."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.actors import Answer, Browser, Phone
from tests.eid.watched_store import WatchedStore
from tests.qr.conftest import Clock, World, host_app, make_settings
from tests.webauthn.authenticator import UP, UV
from tests.webauthn.world import Authenticator
from useid_middleware import Event, Events, UseID, UseIDMiddleware
from useid_middleware.qr.core.signing import Decision
from useid_middleware.webauthn.core.sealing import open_refresh_url, seal_refresh_url

HOST: Final = "localhost:8000"
ORIGIN: Final = f"http://{HOST}"
SERVER: Final = f"{ORIGIN}/auth"


@dataclass
class Desktop:
    """A browser with the widget in it. Everything that an attacker would change is an argument."""

    browser: Browser
    #: What the page's script draws for each login; its public part is in the QR code.
    key: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    session_id: str = ""
    link: str = ""

    @property
    def public_key(self) -> bytes:
        """As the QR code's fragment has it."""
        return self.key.public_key().public_bytes_raw()

    async def start(self, **body: str) -> str:
        """A QR code: its link without the fragment."""
        answer = await self.browser.post("/session/create", body)
        assert answer.status == 201, answer.body
        self.session_id, self.link = answer.json()["sessionId"], answer.json()["qrData"]
        return self.link

    async def status(self) -> dict[str, Any]:
        """What the page is told."""
        answer = await self.browser.get(f"/session/{self.session_id}")
        assert answer.status == 200, answer.body
        told: dict[str, Any] = answer.json()
        return told

    async def prove(self, told: dict[str, Any], near: Authenticator, **changes: Any) -> Answer:
        """``credentials.get()`` with the authenticators that are near, and the answer to what comes of it."""
        return await self.assertion(told["userId"], near.get(told["options"], **changes))

    async def assertion(self, user_id: str, credential: dict[str, Any]) -> Answer:
        """Send an assertion."""
        return await self.browser.post(f"/webauthn/accounts/{user_id}/assertions", {"credential": credential})

    def open(self, sealed: str) -> str:
        """The refresh address: of our origin, path and query."""
        url = open_refresh_url(sealed, private_key=self.key.private_bytes_raw(), session_id=self.session_id)
        assert url.startswith(f"{ORIGIN}/")
        return url.removeprefix(ORIGIN)

    async def follow(self, sealed: str) -> Answer:
        """Go where the sealed address leads."""
        return await self.browser.send("GET", self.open(sealed), headers={"accept": "text/html"})


@dataclass
class BoundPhone:
    """The phone's app: an enrolled key, and an authenticator that other devices reach when they are near."""

    phone: Phone
    authenticator: Authenticator = field(default_factory=lambda: Authenticator(ORIGIN, UP | UV))

    async def approve(self, link: str) -> str:
        """Scan and approve: the refresh address."""
        answer = await self.phone.approve(link)
        assert answer.status == 200, answer.body
        return str(answer.json()["refreshUrl"])

    async def create(self, session_id: str, refresh_url: str, *, public_key: bytes, **more: Any) -> Answer:
        """A temporary account with the sealed address."""
        sealed = seal_refresh_url(refresh_url, public_key=public_key, session_id=session_id)
        return await self.phone.post(
            "/webauthn/accounts", {"widgetSessionId": session_id, "sealedRefreshUrl": sealed} | more
        )

    async def register(self, opened: dict[str, Any], **changes: Any) -> Answer:
        """A credential for the account."""
        credential = self.authenticator.create(opened["options"], **changes)
        return await self.put(opened["userId"], {"credential": credential})

    async def put(self, user_id: str, body: Any) -> Answer:
        """Send a registration."""
        data = json.dumps(body).encode()
        return await self.phone.client.send(
            "PUT", f"/auth/webauthn/accounts/{user_id}", data, {"content-type": "application/json"}
        )

    async def take_part(self, desktop: Desktop) -> dict[str, Any]:
        """All of the phone's part, for the QR code of this desktop; returns the temporary account."""
        refresh_url = await self.approve(desktop.link)
        answer = await self.create(desktop.session_id, refresh_url, public_key=desktop.public_key)
        assert answer.status == 201, answer.body
        opened: dict[str, Any] = answer.json()
        registered = await self.register(opened)
        assert registered.status == 204, registered.body
        return opened

    async def reject(self, link: str, context: dict[str, str]) -> Answer:
        """The user changes their mind after approving."""
        return await self.phone.post("/reject", self.phone.answer_body(link, context, Decision.REJECT))


class BoundWorld(World):
    """The plugin at L2 and everybody around it."""

    def desktop(self, *, ip: str = "192.0.2.1") -> Desktop:
        """A desktop whose page is on show."""
        return Desktop(Browser(self.app, ip=ip, host=HOST))

    async def bound_phone(self, name: str = "alice") -> BoundPhone:
        """A phone of this user, enrolled."""
        browser = Browser(self.app, host=HOST)
        await browser.send("GET", f"/as/{name}")
        phone = Phone(self.app, server=SERVER, now=self.clock)
        await phone.enrol(browser)
        return BoundPhone(phone)

    @property
    def watched(self) -> WatchedStore:
        """The store."""
        assert isinstance(self.app.useid.store, WatchedStore)
        return self.app.useid.store


@asynccontextmanager
async def bound_world(*, assurance: str = "L2", **values: Any) -> AsyncIterator[BoundWorld]:
    """A world in which logins by QR are bound."""
    clock, events = Clock(), Events()
    settings = make_settings(assurance=assurance, **{"webauthn": {"enabled": True}, **values})
    useid = UseID(settings, events, store=WatchedStore(clock), clock=clock)
    world = BoundWorld(UseIDMiddleware(host_app, useid=useid), clock)
    events.on(Event)(world.heard.append)
    try:
        yield world
    finally:
        await useid.stop()
