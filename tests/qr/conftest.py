"""One plugin in memory with a clock that tests move, a logged-in desktop, and an enrolled phone."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tests.actors import Browser, Phone
from useid_middleware import (
    Event,
    Events,
    Identity,
    LimitSettings,
    QRSettings,
    Settings,
    UseID,
    UseIDMiddleware,
    login,
)
from useid_middleware.accounts.base import Accounts
from useid_middleware.http.asgi import Receive, Scope, Send


@dataclass
class Clock:
    """A wall clock that moves when told to."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


async def host_app(scope: Scope, receive: Receive, send: Send) -> None:
    """An app with a login of its own at /as/{name}; elsewhere it says who is there."""
    if scope["type"] != "http":
        return
    if scope["path"].startswith("/as/"):
        name = scope["path"].removeprefix("/as/")
        await login(SimpleNamespace(scope=scope), Identity("host", name, username=name))
    body = f"{scope['user'].display_name} {' '.join(scope['auth'].scopes)}".strip().encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def make_settings(*, assurance: str = "L1", **values: Any) -> Settings:
    """Everything in memory, limits out of the way unless the test is about them."""
    defaults: dict[str, Any] = {
        "store": "memory://",
        "accounts": "memory://",
        "app_name": "Example",
        "limits": LimitSettings(per_ip=10_000, per_account=10_000, per_key=10_000, looks_per_ip=1_000_000),
        "qr": QRSettings.model_validate({"assurance": assurance}),
    }
    return Settings(from_env=False, **{**defaults, **values})


@dataclass
class World:
    """The plugin and everybody around it."""

    app: UseIDMiddleware
    clock: Clock
    heard: list[Event] = field(default_factory=list)

    def browser(self, *, ip: str = "192.0.2.1") -> Browser:
        """A browser without cookies."""
        return Browser(self.app, ip=ip)

    def phone(self) -> Phone:
        """A phone with a key of its own, enrolled nowhere."""
        return Phone(self.app, now=self.clock)

    async def log_in(self, name: str = "alice") -> Browser:
        """A browser that the host app logged in."""
        browser = self.browser()
        await browser.send("GET", f"/as/{name}")
        return browser

    async def enrolled_phone(self, name: str = "alice") -> Phone:
        """A phone of this user."""
        phone = self.phone()
        await phone.enrol(await self.log_in(name))
        return phone

    async def start(self, desktop: Browser, **body: str) -> tuple[str, str]:
        """A waiting session: its id and its link."""
        answer = await desktop.post("/session/create", body)
        assert answer.status == 201, answer.body
        return answer.json()["sessionId"], answer.json()["qrData"]

    async def who(self, browser: Browser) -> str:
        """Who the host app thinks this browser is, and its scopes."""
        return (await browser.send("GET", "/")).body.decode()

    def told(self, kind: type[Event]) -> list[Event]:
        """The events of a kind so far."""
        return [event for event in self.heard if isinstance(event, kind)]


async def open_world(settings: Settings, *, accounts: Accounts | None = None) -> World:
    """A world with these settings."""
    clock, events = Clock(), Events()
    app = UseIDMiddleware(
        host_app, useid=UseID(settings, events, accounts=accounts, clock=clock, locate=lambda ip: "Berlin")
    )
    world = World(app, clock)
    events.on(Event)(world.heard.append)
    return world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Everything in memory at the default assurance (L1)."""
    world = await open_world(make_settings())
    yield world
    await world.app.useid.stop()


@pytest.fixture
async def plain_world() -> AsyncIterator[World]:
    """The same at L0: the page's own flow, without frames and codes."""
    world = await open_world(make_settings(assurance="L0"))
    yield world
    await world.app.useid.stop()
