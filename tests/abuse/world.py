"""A plugin with everything on, and further ones on the same store with limits that a test is about."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx2

from tests.actors import Answer, Browser, Phone
from tests.eid.eid_server import ScriptedEIDServer
from tests.eid.watched_store import WatchedStore
from tests.oidc.world import ISSUER, KEYS, provider_settings
from tests.qr.conftest import Clock, host_app, make_settings
from tests.webauthn.world import Authenticator
from useid_middleware import Event, Events, UseID, UseIDMiddleware
from useid_middleware._codec import b64url
from useid_middleware.accounts.memory import MemoryAccounts
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.http.asgi import Receive, Scope, Send
from useid_middleware.oidc.keygen import new_client_keys

HOST: Final = "localhost:8000"
SERVER: Final = f"http://{HOST}/auth"
FORM: Final = "application/x-www-form-urlencoded"
#: Another site, whose pages embed the widget.
SHOP: Final = {
    "origins": ("http://shop.localhost:9000",),
    "token_urls": ("http://shop.localhost:9000/eid/tctoken",),
    "client": "bound",
}
#: Limits that nobody reaches.
FREE: Final[dict[str, int]] = dict.fromkeys(
    ("per_ip", "per_account", "per_key", "looks_per_ip", "under_way", "streams_per_ip", "streams"), 10**8
)


@dataclass
class World:
    """Everybody, and the plugin that they use when the test is not about limits."""

    store: WatchedStore
    accounts: MemoryAccounts
    clock: Clock
    server: ScriptedEIDServer
    keys: Path
    heard: list[Event] = field(default_factory=list)
    #: Requests to the provider.
    asked: list[str] = field(default_factory=list)
    made: list[UseIDMiddleware] = field(default_factory=list)

    def plugin(self, **values: Any) -> UseIDMiddleware:
        """One more process with the plugin; ``values`` are settings, and ``limits`` those that are to be reached."""
        limits = FREE | values.pop("limits", {})
        provider = provider_settings(request_object="reference", private_keys=self.keys)
        settings = make_settings(
            limits=limits,
            **{
                "webauthn": {"enabled": True},
                "eid": {"client": "bound"},
                "embed": {"tenants": {"shop": SHOP}},
                "oidc": {"providers": {"op": provider}},
                "levels": {"/payments": "L2"},
                **values,
            },
        )
        op = Provider(ISSUER, clients=[], keys=KEYS, clock=self.clock)

        async def network(scope: Scope, receive: Receive, send: Send) -> None:
            self.asked.append(scope["path"])
            await op(scope, receive, send)

        events = Events()
        events.on(Event)(self.heard.append)
        useid = UseID(
            settings,
            events,
            store=self.store,
            accounts=self.accounts,
            clock=self.clock,
            eid_server=self.server,
            transport=httpx2.ASGITransport(app=network),
        )
        self.made.append(UseIDMiddleware(host_app, useid=useid))
        return self.made[-1]

    async def state(self) -> dict[str, Any]:
        """All that a request could have changed, but for the limits themselves."""
        return {
            "store": await self.store.living(),
            "accounts": repr(vars(self.accounts)),
            "events": len(self.heard),
            "provider": len(self.asked),
            "eid server": (len(self.server.sessions), len(self.server.counters)),
        }


@cache
def client_keys() -> bytes:
    """Our keys towards the provider, but for the RSA keys, which take a while to read."""
    made = json.loads(new_client_keys()[0])
    return json.dumps({"keys": [key for key in made["keys"] if key["kty"] == "EC"]}).encode()


@asynccontextmanager
async def opened(tmp_path: Path) -> AsyncIterator[World]:
    """A world, closed at the end of the block."""
    keys = tmp_path / "keys.json"
    keys.write_bytes(client_keys())
    clock = Clock()
    world = World(WatchedStore(clock), MemoryAccounts(), clock, ScriptedEIDServer(), keys)
    try:
        yield world
    finally:
        for app in world.made:
            await app.useid.stop()


@dataclass
class Scene:
    """Alice, who is logged in and has a phone and a passkey, and one of each thing under way."""

    app: UseIDMiddleware
    alice: Browser
    phone: Phone
    authenticator: Authenticator
    desktop: Browser
    session_id: str
    link: str
    enrolment: dict[str, Any]
    eid: dict[str, Any]
    account: dict[str, Any]

    @classmethod
    async def set(cls, world: World) -> "Scene":
        """Prepare it."""
        app = world.plugin()
        alice, desktop = Browser(app, host=HOST), Browser(app, host=HOST)
        await alice.send("GET", "/as/alice")
        phone = Phone(app, server=SERVER, now=world.clock)
        await phone.enrol(alice)
        authenticator = Authenticator(f"http://{HOST}")
        begun = (await alice.post("/passkeys/options")).json()
        created = {"ceremonyId": begun["ceremonyId"], "credential": authenticator.create(begun["options"])}
        assert (await alice.post("/passkeys", created)).status == 201
        session = (await desktop.post("/session/create")).json()
        enrolment = (await alice.post("/devices/enrol")).json()
        eid = (await desktop.post("/eid/start", {"mode": "bound", "tenant": "shop"})).json()
        scene = cls(
            app, alice, phone, authenticator, desktop, session["sessionId"], session["qrData"], enrolment, eid, {}
        )
        scene.account = (await scene.open_account(phone)).json()
        world.clock.advance(1)  # What this took from the limits is back.
        return scene

    async def open_account(self, phone: Phone) -> Answer:
        """A temporary account for the login with an ID card."""
        session_id = self.eid["sessionId"]
        body = {"widgetSessionId": session_id, "sealedRefreshUrl": b64url(bytes(100))}
        return await phone.post("/webauthn/accounts", body)

    def at(self, app: UseIDMiddleware, ip: str) -> "Scene":
        """The same people with another process, from another address."""
        return replace(
            self,
            app=app,
            alice=replace(self.alice, app=app, ip=ip, cookies=dict(self.alice.cookies)),
            phone=replace(self.phone, app=app, ip=ip),
            desktop=replace(self.desktop, app=app, ip=ip, cookies=dict(self.desktop.cookies)),
        )

    async def form(self, path: str, **fields: str) -> Answer:
        """Post a form, as a page of ours without script does."""
        body = "&".join(f"{name}={value}" for name, value in fields.items()).encode()
        return await self.desktop.send("POST", f"/auth{path}", body, {"content-type": FORM, "origin": f"http://{HOST}"})

    async def put(self, path: str, body: Any, method: str = "PUT", browser: Browser | None = None) -> Answer:
        """Send JSON by another method than POST."""
        headers = {"content-type": "application/json"}
        return await (browser or self.phone.client).send(method, f"/auth{path}", json.dumps(body).encode(), headers)


Call = Callable[[Scene], Awaitable[Answer]]
