"""The plugin with passkeys, a clock that tests move, browsers, and the authenticators of their people."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from secrets import token_bytes
from types import SimpleNamespace
from typing import Any, Final

from tests.actors import Answer, Browser
from tests.eid.watched_store import WatchedStore
from tests.qr.conftest import Clock, make_settings
from tests.webauthn.authenticator import AT, UP, UV, Authenticating, Registering
from tests.webauthn.certificates import PrivateKey
from useid_middleware import Event, Events, Identity, Level, UseID, UseIDMiddleware, login
from useid_middleware._codec import b64url, un_b64url_any
from useid_middleware.accounts.base import Accounts, Passkey
from useid_middleware.accounts.memory import MemoryAccounts
from useid_middleware.http.asgi import Receive, Scope, Send, route_path
from useid_middleware.sessions.records import Session
from useid_middleware.stores.base import Store

HOST: Final = "localhost:8000"
ORIGIN: Final = f"http://{HOST}"
#: By purpose: where a ceremony begins, and where it ends.
CALLS: Final = {
    "register": ("/passkeys/options", "/passkeys"),
    "login": ("/passkeys/login/options", "/passkeys/login"),
    "step-up": ("/passkeys/step-up/options", "/passkeys/step-up"),
}


async def host_app(scope: Scope, receive: Receive, send: Send) -> None:
    """The app behind: a login of its own at /as/{name}; everywhere it tells what it knows of the session."""
    if scope["type"] != "http":
        return
    path = route_path(scope)
    if path.startswith("/as/"):
        name = path.removeprefix("/as/")
        await login(SimpleNamespace(scope=scope), Identity("host", name, username=name, amr=("pwd",)))
    auth = scope["auth"]
    told = {
        "name": scope["user"].display_name,
        "id": scope["user"].identity,
        "acr": auth.acr,
        "amr": list(auth.amr),
        "roles": list(auth.roles),
        "scopes": list(auth.scopes),
        "authTime": auth.auth_time,
        "provider": auth.session.provider if auth.session else "",
        "attributes": await auth.attributes(),
    }
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


@dataclass(frozen=True)
class Begun:
    """A ceremony under way."""

    id: str
    options: dict[str, Any]


@dataclass
class Credential:
    """What an authenticator keeps of a passkey."""

    id: bytes
    key: PrivateKey
    user_handle: bytes
    sign_count: int


@dataclass
class Authenticator:
    """A person's authenticator and the browser around it. It does as the options say, unless a test changes something.

    ``changes`` are ingredients of :class:`~.authenticator.Registering` and :class:`~.authenticator.Authenticating`.
    """

    origin: str = ORIGIN
    flags: int = UP | UV
    #: It counts its signatures; else its counter stays zero.
    counts: bool = False
    credentials: list[Credential] = field(default_factory=list)

    def create(self, options: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """``navigator.credentials.create()``, as JSON."""
        ceremony = Registering(
            **{
                "client_data": self._client_data("webauthn.create", options["challenge"]),
                "rp_id": options["rp"]["id"],
                "flags": self.flags | AT,
                "sign_count": 1 if self.counts else 0,
                "credential_id": token_bytes(32),
                "client_outputs": {"credProps": {"rk": True}},
                **changes,
            }
        )
        user_handle = un_b64url_any(options["user"]["id"])
        self.credentials.append(Credential(ceremony.credential_id, ceremony.key, user_handle, ceremony.sign_count))
        return ceremony.response()

    def get(self, options: dict[str, Any], *, credential: Credential | None = None, **changes: Any) -> dict[str, Any]:
        """``navigator.credentials.get()``, as JSON, with the newest passkey that the options allow."""
        credential = credential or self.choose(options)
        if self.counts:
            credential.sign_count += 1
        ceremony = Authenticating(
            **{
                "client_data": self._client_data("webauthn.get", options["challenge"]),
                "rp_id": options["rpId"],
                "flags": self.flags,
                "sign_count": credential.sign_count,
                "user_handle": credential.user_handle,
                **changes,
            }
        )
        ceremony.key = credential.key
        return ceremony.response() | {"id": b64url(credential.id), "rawId": b64url(credential.id)}

    def choose(self, options: dict[str, Any]) -> Credential:
        """The newest passkey that the options allow."""
        allowed = {each["id"] for each in options["allowCredentials"]}
        return next(each for each in reversed(self.credentials) if not allowed or b64url(each.id) in allowed)

    def _client_data(self, kind: str, challenge: str) -> dict[str, Any]:
        return {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}


@dataclass
class World:
    """Everybody."""

    app: UseIDMiddleware
    clock: Clock
    heard: list[Event] = field(default_factory=list)
    #: The sessions that :meth:`step_up` made.
    raised: list[str] = field(default_factory=list)

    @property
    def useid(self) -> UseID:
        """The plugin."""
        return self.app.useid

    @property
    def watched(self) -> WatchedStore:
        """The store, where the test did not bring one."""
        assert isinstance(self.useid.store, WatchedStore)
        return self.useid.store

    def browser(self, *, host: str = HOST, ip: str = "192.0.2.1") -> Browser:
        """A browser without cookies."""
        return Browser(self.app, host=host, ip=ip, headers={"accept": "text/html"})

    async def log_in(self, name: str = "alice") -> Browser:
        """A browser that the host app logged in by a password."""
        browser = self.browser()
        await browser.send("GET", f"/as/{name}")
        return browser

    async def logged_in_as(self, identity: Identity) -> Browser:
        """A browser that some way to log in logged in."""
        await self.useid.start()
        browser = self.browser()
        made = await self.useid.log_in(browser.scope("GET", "/", {}), identity)
        browser.cookies["useid-session"] = made.token
        return browser

    async def step_up(self, browser: Browser) -> None:
        """Let the browser's session be of level L2, if its account has a passkey."""
        token = browser.cookies.get("useid-session", "")
        session = await self.useid.sessions.load(token)
        if session is None or session.level >= Level.L2 or not await self.useid.accounts.passkeys(session.account_id):
            return
        proved = Identity(session.provider, session.subject, account_id=session.account_id, level=Level.L2)
        made = await self.useid.log_in(browser.scope("GET", "/", {}), proved)
        browser.cookies["useid-session"] = made.token
        self.raised.append(made.session.id)

    async def begin(self, browser: Browser, purpose: str) -> Begun:
        """Begin a ceremony; who has a passkey already has stepped up before another one."""
        if purpose == "register":
            await self.step_up(browser)
        answer = await browser.post(CALLS[purpose][0])
        assert answer.status == 200, answer.body
        return Begun(answer.json()["ceremonyId"], answer.json()["options"])

    async def finish(
        self, browser: Browser, purpose: str, begun: Begun, credential: dict[str, Any], **more: Any
    ) -> Answer:
        """End a ceremony."""
        return await browser.post(CALLS[purpose][1], {"ceremonyId": begun.id, "credential": credential, **more})

    async def register(
        self, browser: Browser, authenticator: Authenticator, *, label: str = "", **changes: Any
    ) -> dict[str, Any]:
        """A new passkey of whoever is logged in at this browser, as it is shown."""
        begun = await self.begin(browser, "register")
        answer = await self.finish(
            browser, "register", begun, authenticator.create(begun.options, **changes), label=label
        )
        assert answer.status == 201, answer.body
        shown: dict[str, Any] = answer.json()
        return shown

    async def member(self, name: str = "alice", **changes: Any) -> tuple[Browser, Authenticator]:
        """Somebody who is logged in by a password and has a passkey."""
        browser, authenticator = await self.log_in(name), Authenticator()
        await self.register(browser, authenticator, **changes)
        return browser, authenticator

    async def use(
        self, purpose: str, browser: Browser, authenticator: Authenticator, *, return_url: str = "", **changes: Any
    ) -> Answer:
        """A whole login or step-up."""
        begun = await self.begin(browser, purpose)
        credential = authenticator.get(begun.options, **changes)
        return await self.finish(browser, purpose, begun, credential, returnUrl=return_url)

    async def passkeys(self, browser: Browser) -> list[dict[str, Any]]:
        """The passkeys of whoever is logged in at this browser."""
        answer = await browser.get("/passkeys")
        assert answer.status == 200, answer.body
        shown: list[dict[str, Any]] = answer.json()["passkeys"]
        return shown

    async def rename(self, browser: Browser, passkey_id: str, body: object) -> Answer:
        """Give a passkey another name."""
        headers = {"content-type": "application/json", "origin": f"http://{browser.host}"}
        return await browser.send("PATCH", f"/auth/passkeys/{passkey_id}", json.dumps(body).encode(), headers)

    async def told(self, browser: Browser) -> dict[str, Any]:
        """What the host app knows of this browser's session."""
        told: dict[str, Any] = json.loads((await browser.send("GET", "/told")).body)
        return told

    async def session(self, browser: Browser) -> Session:
        """The session of this browser as it is kept."""
        session = await self.useid.sessions.load(browser.cookies["useid-session"])
        assert session is not None
        return session

    def heard_of(self, kind: type[Event]) -> list[Any]:
        """The events of a kind so far."""
        return [event for event in self.heard if isinstance(event, kind)]


class CourteousAccounts(MemoryAccounts):
    """Accounts that let others go first after a look, as a database does, so that calls at once interleave."""

    async def passkey_by_credential(self, credential_id: bytes) -> Passkey | None:
        found = await super().passkey_by_credential(credential_id)
        await asyncio.sleep(0)
        return found


async def open_world(
    *,
    webauthn: dict[str, Any] | None = None,
    store: Store | str | None = None,
    accounts: Accounts | str | None = None,
    **values: Any,
) -> World:
    """A world; ``webauthn`` are settings of that group, store and accounts are ready ones or the settings of such."""
    clock, events = Clock(), Events()
    named = {name: value for name, value in (("store", store), ("accounts", accounts)) if isinstance(value, str)}
    useid = UseID(
        make_settings(webauthn={"enabled": True, **(webauthn or {})}, **named, **values),
        events,
        store=None if isinstance(store, str) else store or WatchedStore(clock),
        accounts=None if isinstance(accounts, str) else accounts,
        clock=clock,
    )
    world = World(UseIDMiddleware(host_app, useid=useid), clock)
    events.on(Event)(world.heard.append)
    return world


@asynccontextmanager
async def opened(**values: Any) -> AsyncIterator[World]:
    """:func:`open_world`, closed at the end of the block."""
    world = await open_world(**values)
    try:
        yield world
    finally:
        await world.useid.stop()


def respond(authenticator: Authenticator, purpose: str, begun: Begun, **changes: Any) -> dict[str, Any]:
    """What the authenticator answers to a ceremony of this purpose."""
    step = authenticator.create if purpose == "register" else authenticator.get
    return step(begun.options, **changes)


def done(purpose: str) -> int:
    """The status of a ceremony that ends well."""
    return 201 if purpose == "register" else 200
