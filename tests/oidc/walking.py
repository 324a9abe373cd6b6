"""A login as its sequence diagram: every arrow between browser, app, provider and store, and every event, in order."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2

from tests.actors import Answer, Browser
from tests.oidc.world import CLIENT, FORM, ISSUER, KEYS, World, opened
from tests.qr.conftest import Clock
from useid_middleware import Event
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.driver import Arrival
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.http.asgi import ASGIApp, Message, Receive, Scope, Send
from useid_middleware.stores.memory import MemoryStore

#: What the store is asked about logins; the rest is limits, locks and last uses.
_KEPT = ("session:", "session-secret:", "oidc-attempt:", "oidc-logout:", "oidc-jti:")


@dataclass
class Recorder:
    """The arrows so far."""

    arrows: list[str] = field(default_factory=list)

    def take(self) -> list[str]:
        """The arrows since the last time."""
        arrows, self.arrows = self.arrows, []
        return arrows

    def wire(self, caller: str, callee: str, app: ASGIApp) -> ASGIApp:
        """``app`` as ``caller`` reaches it."""

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope["path"]
            if path.startswith("/interaction/"):
                path = "/interaction"
            self.arrows.append(f"{caller} > {callee}: {scope['method']} {path}")

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    location = dict(message["headers"]).get(b"location", b"").decode()
                    where = f" {urlsplit(location).path}" if location else ""
                    if "/interaction/" in where:
                        where = " /interaction"
                    self.arrows.append(f"{callee} > {caller}: {message['status']}{where}")
                await send(message)

            await app(scope, receive, answer)

        return call

    def hear(self, event: Event) -> None:
        """A listener of everything."""
        self.arrows.append(f"event: {type(event).__name__}")


class RecordedStore(MemoryStore):
    """A store whose changes are arrows."""

    def __init__(self, recorder: Recorder, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self._recorder = recorder

    def _note(self, verb: str, key: str) -> None:
        if key.startswith(_KEPT):
            self._recorder.arrows.append(f"store: {verb} {key.partition(':')[0]}")

    async def put(self, key: str, value: bytes, *, ttl: float, indexes: Sequence[str] = ()) -> bool:
        """See the store."""
        self._note("put", key)
        return await super().put(key, value, ttl=ttl, indexes=indexes)

    async def replace(
        self, key: str, value: bytes, *, expected_version: int, ttl: float, message: bytes | None = None
    ) -> bool:
        """See the store."""
        if not key.startswith("session:"):  # That is the note of a session's last use.
            self._note("replace", key)
        return await super().replace(key, value, expected_version=expected_version, ttl=ttl, message=message)

    async def take(self, key: str) -> Any:
        """See the store."""
        if not key.startswith("session"):  # The memory's own way to delete.
            self._note("take", key)
        return await super().take(key)

    async def delete(self, key: str) -> bool:
        """See the store."""
        self._note("delete", key)
        return await super().delete(key)


@dataclass
class Walk:
    """A world whose arrows are recorded, one browser in it, and the same browser as the provider sees it."""

    world: World
    recorder: Recorder
    app: ASGIApp
    browser: Browser
    at_provider: httpx2.AsyncClient

    async def follow(self, path: str) -> Answer:
        """The browser opens an address of the app."""
        parts = urlsplit(path)
        return await self.browser.send("GET", parts.path + (f"?{parts.query}" if parts.query else ""))

    async def approve(self, address: str, *, person: str = "ada") -> Arrival:
        """The person logs in at the provider."""
        return await self.world.approve(address, person=person, client=self.at_provider)

    async def log_in(self, *, person: str = "ada") -> Answer:
        """A whole login; the answer of the callback."""
        begun = await self.follow("/auth/login?provider=op")
        return await self.follow((await self.approve(begun.header("location"), person=person)).url)

    def take(self) -> list[str]:
        """The arrows since the last time."""
        return self.recorder.take()


@asynccontextmanager
async def walk(*, policy: Policy | None = None, **settings: Any) -> AsyncIterator[Walk]:
    """A world to walk through; ``settings`` as for :func:`.world.open_world`."""
    recorder, clock = Recorder(), Clock()
    apps: list[ASGIApp] = []

    async def post(url: str, form: Mapping[str, str]) -> int:
        body = urlencode(form).encode()
        caller = Browser(recorder.wire("provider", "app", apps[0]))
        return (await caller.send("POST", urlsplit(url).path, body, {"content-type": FORM})).status

    op = Provider(ISSUER, clients=[CLIENT], keys=KEYS, policy=policy, clock=clock, post=post)
    transport = httpx2.ASGITransport(app=recorder.wire("app", "provider", op))
    store = RecordedStore(recorder, clock=clock)
    async with opened(op=op, clock=clock, store=store, transport=transport, **settings) as world:
        apps.append(world.app)
        world.events.on(Event)(recorder.hear)
        app = recorder.wire("browser", "app", world.app)
        wire = httpx2.ASGITransport(app=recorder.wire("browser", "provider", op))
        async with httpx2.AsyncClient(transport=wire) as at_provider:
            yield Walk(world, recorder, app, Browser(app, headers={"accept": "text/html"}), at_provider)
