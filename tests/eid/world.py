"""The plugin with an eID server that tests script, a clock that they move, and the browsers and eID clients around."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from tests.actors import Answer, Browser
from tests.eid.eid_server import ScriptedEIDServer as ScriptedEIDServer
from tests.eid.watched_store import WatchedStore
from tests.qr.conftest import Clock, make_settings
from useid_middleware import Event, Events, Identity, UseID, UseIDMiddleware, login
from useid_middleware._codec import b64url
from useid_middleware.eid.core.attributes import (
    EIDResult,
    GeneralDate,
    PersonalData,
    Place,
    RestrictedID,
)
from useid_middleware.eid.core.link import parse_link
from useid_middleware.eid.core.sealing import open_refresh_url, seal_refresh_url
from useid_middleware.eid.core.session import EIDLogin
from useid_middleware.eid.core.tctoken import TCToken, parse_tctoken
from useid_middleware.errors import EIDServerError
from useid_middleware.http.asgi import Receive, Scope, Send
from useid_middleware.stores.base import Store

FORM: Final = "application/x-www-form-urlencoded"
SECRET: Final = bytes(range(32))
NONCE: Final = bytes(range(12))

ERIKA: Final = PersonalData(
    given_names="ERIKA",
    family_names="MUSTERMANN",
    academic_title="Dr. h. c.",
    date_of_birth=GeneralDate("19640812", date(1964, 8, 12)),
    place_of_residence=Place(street="HEIDESTRASSE 17", city="KÖLN", country="D", zip_code="51147"),
    restricted_id=RestrictedID(b"erika's pseudonym for this site."),
)
MAX: Final = PersonalData(
    given_names="MAX", family_names="KELLER", restricted_id=RestrictedID(b"max's pseudonym for this site...")
)
#: What says who Erika is, in the spellings in which it could be found somewhere.
PERSONAL: Final = ("ERIKA", "MUSTERMANN", "Dr. h. c.", "1964", "HEIDESTRASSE", "KÖLN", "51147")
#: Asks for all that Erika has to tell.
CURIOUS: Final[dict[str, Any]] = {
    "required": ("RestrictedID", "GivenNames", "FamilyNames"),
    "optional": ("AcademicTitle", "DateOfBirth", "PlaceOfResidence"),
}


class SecureBrowser(Browser):
    """A browser on an https site."""

    async def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """POST JSON below the prefix, as a page of that site does it."""
        return await super().post(path, body, {"origin": f"https://{self.host}", **(headers or {})})


async def host_app(scope: Scope, receive: Receive, send: Send) -> None:
    """The app behind: who is there at /, what the eID told at /told, a login of its own at /as/{name}."""
    if scope["type"] != "http":
        return
    auth = scope["auth"]
    if scope["path"].startswith("/as/"):
        name = scope["path"].removeprefix("/as/")
        await login(SimpleNamespace(scope=scope), Identity("host", name, username=name))
    told = {"acr": auth.acr, "amr": list(auth.amr), "scopes": auth.scopes, "attributes": await auth.attributes()}
    body = json.dumps(told) if scope["path"] == "/told" else scope["user"].display_name
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})


@dataclass
class World:
    """Everybody."""

    app: UseIDMiddleware
    server: ScriptedEIDServer
    clock: Clock
    heard: list[Event] = field(default_factory=list)

    @property
    def useid(self) -> UseID:
        """The plugin."""
        return self.app.useid

    @property
    def watched(self) -> WatchedStore:
        """The store, where the test did not bring one."""
        assert isinstance(self.useid.store, WatchedStore)
        return self.useid.store

    def browser(self, *, ip: str = "192.0.2.1") -> Browser:
        """A browser without cookies."""
        return Browser(self.app, ip=ip, headers={"accept": "text/html"})

    def phone(self) -> Browser:
        """The browser of a phone."""
        return self.browser(ip="198.51.100.7")

    async def start(self, browser: Browser, **body: str) -> dict[str, Any]:
        """Begin a login."""
        answer = await browser.post("/eid/start", body)
        assert answer.status == 201, answer.body
        started: dict[str, Any] = answer.json()
        return started

    async def status(self, browser: Browser, started: dict[str, Any]) -> dict[str, Any]:
        """What the browser that began is told when it polls."""
        answer = await browser.get(f"/eid/session/{started['sessionId']}")
        assert answer.status == 200, answer.body
        told: dict[str, Any] = answer.json()
        return told

    async def claim(self, browser: Browser, started: dict[str, Any], **body: str) -> Answer:
        """Claim a login with the code."""
        return await browser.post(f"/eid/session/{started['sessionId']}/claim", body)

    async def record(self, started: dict[str, Any]) -> EIDLogin:
        """The login as it is kept."""
        assert self.useid.eid is not None
        return (await self.useid.eid.service.records.load(started["sessionId"])).record

    async def fetch(self, tc_token_url: str) -> Answer:
        """An eID client fetches an address."""
        return await Browser(self.app, ip="198.51.100.7").send("GET", path_of(tc_token_url))

    async def fetch_token(self, tc_token_url: str) -> TCToken:
        """The tcToken."""
        answer = await self.fetch(tc_token_url)
        assert answer.status == 200, answer.body
        return parse_tctoken(answer.body)

    async def run_client(self, tc_token_url: str, *, data: PersonalData = ERIKA, minor: str = "", **result: Any) -> str:
        """An eID client with a card: the refresh address that it opens at the end."""
        token = await self.fetch_token(tc_token_url)
        self.server.of(token).answer = (
            EIDServerError(minor, "getResult: the card was refused") if minor else EIDResult(data, **result)
        )
        return f"{token.refresh_address}?ResultMajor=ok"

    async def open(self, browser: Browser, url: str, *, method: str = "GET") -> Answer:
        """The browser opens an address of ours."""
        return await browser.send(method, path_of(url))

    async def begin_on_phone(self, phone: Browser, start_url: str) -> Answer:
        """The phone's user goes on from the start page."""
        headers = {"origin": f"http://{phone.host}", "content-type": FORM, "sec-fetch-site": "same-origin"}
        return await phone.send("POST", path_of(start_url), b"", headers)

    async def to_code(self, phone: Browser, started: dict[str, Any], **result: Any) -> str:
        """The whole way on the phone; returns the code that it shows."""
        opened = await self.begin_on_phone(phone, started["startUrl"])
        page = await self.open(phone, await self.run_client(token_url_in(opened), **result))
        assert page.status == 200, page.body
        return code_in(page)

    async def log_in(self, browser: Browser, **result: Any) -> Answer:
        """A whole login on the device of the browser; the answer of the refresh address."""
        started = await self.start(browser, mode="same-device")
        return await self.open(browser, await self.run_client(started["tcTokenUrl"], **result))

    async def seal(self, started: dict[str, Any], sealed: str) -> Answer:
        """A phone's client sends what it has sealed."""
        body = json.dumps({"sealedRefreshUrl": sealed}).encode()
        path = f"/auth/eid/session/{started['sessionId']}/sealed"
        return await Browser(self.app, ip="198.51.100.7").send("POST", path, body, {"content-type": "application/json"})

    async def told(self, browser: Browser) -> dict[str, Any]:
        """What the host app knows of this browser's session."""
        told: dict[str, Any] = json.loads((await browser.send("GET", "/told")).body)
        return told

    async def who(self, browser: Browser) -> str:
        """Whom the host app sees; empty for nobody."""
        return (await browser.send("GET", "/")).body.decode()

    def names(self) -> list[str]:
        """The names of the events so far."""
        return [type(event).__name__ for event in self.heard]

    def heard_of(self, kind: type[Event]) -> list[Any]:
        """The events of a kind so far."""
        return [event for event in self.heard if isinstance(event, kind)]


async def open_world(
    *,
    server: ScriptedEIDServer | None = None,
    eid: dict[str, Any] | None = None,
    store: Store | str | None = None,
    without_server: bool = False,
    **values: Any,
) -> World:
    """A world; ``eid`` are the settings of that group, ``store`` is one or the setting of one.

    ``without_server``: the widget and its backend alone.
    """
    clock, events, server = Clock(), Events(), server or ScriptedEIDServer()
    named = {"store": store} if isinstance(store, str) else {}
    useid = UseID(
        make_settings(eid=eid or {}, **named, **values),
        events,
        store=None if isinstance(store, str) else store or WatchedStore(clock),
        clock=clock,
        eid_server=None if without_server else server,
    )
    world = World(UseIDMiddleware(host_app, useid=useid), server, clock)
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


def path_of(url: str) -> str:
    """Path and query of an address of ours."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def token_url_in(page: Answer) -> str:
    """The tcTokenURL behind the link that opens the eID client."""
    assert page.status == 200, page.body
    [link] = set(re.findall(r'href="(eid://[^"]+)"', page.body.decode()))
    [token_url] = parse_qs(urlsplit(str(link)).query)["tcTokenURL"]
    return token_url


def code_in(page: Answer) -> str:
    """The code that a page shows."""
    [code] = re.findall(r"<strong[^>]*>(\d{3} \d{3})</strong>", page.body.decode())
    return str(code)


def ending_of(page: Answer) -> str:
    """Which ending a page tells of. It is a page of ours: HTML, without scripts, in nobody's frame."""
    assert page.header("content-type") == "text/html; charset=utf-8"
    policy = page.header("content-security-policy")
    assert policy.startswith("default-src 'none'; style-src 'self';")
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.header("cache-control") == "no-store"
    [code] = re.findall(r'data-code="([^"]*)"', page.body.decode())
    return str(code)


def seal_for(started: dict[str, Any], refresh_url: str) -> str:
    """What a client that knows the widget's secret sends."""
    return seal_refresh_url(refresh_url, secret=SECRET, session_id=started["sessionId"], nonce=NONCE)


def unseal(started: dict[str, Any], sealed: str) -> str:
    """What the widget makes of it."""
    return open_refresh_url(sealed, secret=SECRET, session_id=started["sessionId"])


def scanned_link(started: dict[str, Any]) -> Any:
    """What a client reads from the QR code that the widget draws."""
    return parse_link(f"{started['qrData']}#widgetSessionSecret={b64url(SECRET)}")


def with_result(url: str, **query: str) -> str:
    """A refresh address with another result in its query."""
    return f"{url.partition('?')[0]}?{urlencode(query, quote_via=quote)}"


def person(data: PersonalData, **changes: Any) -> PersonalData:
    """The same person with something else to tell."""
    return replace(data, **changes)
