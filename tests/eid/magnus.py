"""Who is on the page "Magnus flow": a bank with an eID integration of its own, our plugin, an eID server, a phone.

All of them in one process. Whoever acts draws an arrow at that moment; what happens besides is written down too. The
widget is played here, as its scripts have it; that they do the same is for the tests in a browser.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from tests.actors import Answer, Stream
from tests.eid.watched_store import WatchedStore
from tests.eid.world import SecureBrowser
from tests.emulation.card.world import NOW, stream
from tests.emulation.card.world import pki as country
from tests.qr.conftest import Clock, make_settings
from useid_middleware import Event, Events, UseID, UseIDMiddleware
from useid_middleware._codec import b64url
from useid_middleware.eid.core.attributes import EIDResult, Operation, UseIDRequest, UseIDSession, Wish
from useid_middleware.eid.core.sealing import open_refresh_url
from useid_middleware.eid.core.tctoken import TCToken, build_tctoken
from useid_middleware.emulation import paos
from useid_middleware.emulation.card.issuing import issue_card
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.client.actions import (
    Action,
    Authentication,
    Connect,
    Fetch,
    Fetched,
    PasswordRequest,
    Post,
    Transmit,
)
from useid_middleware.emulation.client.flow import Outcome, open_link
from useid_middleware.emulation.client.session import Circumstances
from useid_middleware.emulation.server.app import Site
from useid_middleware.emulation.server.routes import PAOS_PATH, PAOSRoutes
from useid_middleware.emulation.server.service import EmbeddedEIDServer
from useid_middleware.emulation.server.terminal import with_terminal
from useid_middleware.http.asgi import ASGIApp, Message, Receive, Scope, Send
from useid_middleware.stores.memory import MemoryStore

BANK, BACKEND, EID_SERVER = "www.bank.example", "auth.example", "eid.example"
#: The TLS certificates that an eID client sees.
TLS: Final = {BANK: b"certificate of the bank", EID_SERVER: b"of the eID server", BACKEND: b"of the widget's backend"}
SECRET: Final = bytes(range(32))
ASKED: Final = UseIDRequest(
    {
        Operation.RESTRICTED_ID: Wish.REQUIRED,
        Operation.GIVEN_NAMES: Wish.REQUIRED,
        Operation.FAMILY_NAMES: Wish.REQUIRED,
        Operation.ACADEMIC_TITLE: Wish.ALLOWED,
    }
)


@dataclass
class Drawing:
    """The arrows so far, and what is no arrow of the page."""

    arrows: list[tuple[str, str, str]] = field(default_factory=list)
    undrawn: list[str] = field(default_factory=list)

    def arrow(self, source: str, target: str, words: str) -> None:
        """Draw an arrow."""
        self.arrows.append((source, target, words))

    def once(self, source: str, target: str, words: str) -> None:
        """Draw an arrow where the page has one for several messages."""
        if (source, target, words) not in self.arrows:
            self.arrow(source, target, words)

    def note(self, words: str) -> None:
        """Write down what the page does not draw."""
        self.undrawn.append(words)

    def wire(self, app: ASGIApp, says: Callable[[str], tuple[str, str, str]], answers: Mapping[str, Any]) -> ASGIApp:
        """``app``, with an arrow for each request and, by the call, for each answer.

        ``says`` gives source, target and words of a request; without words the page does not draw it.
        """

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            asked = f"{scope['method']} {scope['path']}"
            source, target, words = says(asked)
            if words:
                self.arrow(source, target, words)
            else:
                self.note(f"{source} > {target}: {asked}")
            answered = next((each for beginning, each in answers.items() if asked.startswith(beginning)), None)

            async def tell(message: Message) -> None:
                if answered and message["type"] == "http.response.start":
                    assert message["status"] in (200, 204), asked
                    self.arrow(*answered)
                elif b"sealedRefreshUrl" in message.get("body", b"") and asked.endswith("/events"):
                    words = "inform about success (via SSE) <br>[encrypted refreshURL, widgetSessionId]"
                    self.arrow("backend", "widget", words)
                await send(message)

            await app(scope, receive, tell)

        return call


@dataclass
class Bank:
    """A site with an eID integration of its own, as it was before it had our widget: TR-03124-1 and nothing of ours."""

    server: EmbeddedEIDServer
    drawing: Drawing
    #: The cookie of the browser, and what the eID server has opened for it; by the number in the addresses.
    logins: dict[str, tuple[str, UseIDSession]] = field(default_factory=dict)
    fetched: set[str] = field(default_factory=set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        pages: dict[str, Callable[[dict[str, str], str], Awaitable[Answer]]] = {
            "/": self.index,
            "/eid/tctoken": self.tc_token,
            "/eid/refresh": self.refresh,
        }
        jar = SimpleCookie(dict(scope["headers"]).get(b"cookie", b"").decode())
        answer = await pages[scope["path"]](query, jar["bank"].value if "bank" in jar else "")
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def index(self, query: dict[str, str], cookie: str) -> Answer:
        self.drawing.arrow("eService", "server", "start session")
        session = await self.server.use_id(ASKED)
        self.drawing.arrow("server", "eService", "return session identifier <br>[eIDsessionId]")
        number, cookie = b64url(b"number of a login"), b64url(b"a browser at the bank's")
        self.logins[number] = (cookie, session)
        tc_token_url = f"https://{BANK}/eid/tctoken?session={number}"
        self.drawing.arrow("eService", "eService", "generate <br>[tcTokenURL]")
        script = f'<script src="https://{BACKEND}/auth/embed.js" data-tenant="bank" data-tc-token-url="{tc_token_url}">'
        headers = [(b"set-cookie", f"bank={cookie}; Secure; HttpOnly; SameSite=Lax".encode())]
        return Answer(200, headers, f"<h1>Bank</h1>{script}</script>".encode())

    async def tc_token(self, query: dict[str, str], cookie: str) -> Answer:
        number = query["session"]
        if number not in self.logins or number in self.fetched:
            return Answer(404, [], b"")
        self.fetched.add(number)
        _, session = self.logins[number]
        refresh = f"https://{BANK}/eid/refresh?session={number}"
        token = TCToken(f"https://{EID_SERVER}{PAOS_PATH}", session.psk_id, refresh, refresh)
        return Answer(200, [(b"content-type", b"text/xml")], build_tctoken(token))

    async def refresh(self, query: dict[str, str], cookie: str) -> Answer:
        expected, session = self.logins[query["session"]]
        if cookie != expected or query["ResultMajor"] != "ok":
            return Answer(403, [], b"")
        self.drawing.arrow("eService", "server", "get identity data <br>[eIDsessionId]")
        result: EIDResult = await self.server.get_result(session.id, counter=1)
        self.drawing.arrow("server", "eService", "return identity data <br>[identity data]")
        data = result.personal_data
        return Answer(200, [], f"<h1>Welcome {data.given_names} {data.family_names}</h1>".encode())


@dataclass
class App:
    """The phone's app: the emulated client with a card at the phone, and the person who holds both."""

    drawing: Drawing
    network: Callable[[str], SecureBrowser]

    async def open(self, client_url: str) -> Outcome:
        """What the link asks for."""
        self.drawing.arrow(
            "smartphone", "app", "open via eIDClientURL <br>[tcTokenURL, widgetSessionId, widgetSessionSecret]"
        )
        return await self.run(client_url)

    async def run(self, client_url: str) -> Outcome:
        """The client's flow, to its end."""
        card = issue_card(personality_named("erika"), pki=country(), today=NOW.date(), random=stream("card"))
        known = Circumstances(trusted=country().trust_points, today=NOW.date(), random=stream("client"))
        flow = open_link(client_url, known)
        try:
            action = next(flow)
            while True:
                action = flow.send(await self._perform(action, card.transmit))
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome

    async def _perform(self, action: Action, transmit: Callable[[bytes], bytes]) -> object:
        match action:
            case Transmit(apdu=apdu):
                return self._transmit(apdu, transmit)
            case Authentication():
                self.drawing.arrow("app", "user", "display requested data")
                assert "READ_DG4" in action.required
                self.drawing.arrow("user", "app", "approve data request")
                return frozenset(action.optional)
            case PasswordRequest():
                return "123456"
            case Connect(url=url):
                return self.certificate_of(urlsplit(url).netloc)
            case Fetch(url=url):
                return await self._ask("GET", url)
            case Post(url=url, headers=headers, body=body):
                if "sealedRefreshUrl" in body.decode("latin-1"):
                    words = "encrypt refreshURL with widgetSessionSecret <br>[encrypted refreshURL]"
                    self.drawing.arrow("app", "app", words)
                    return await self._ask("POST", url, body, dict(headers))
                return await self._ask_server(url, body, dict(headers))
            case _:
                raise AssertionError(f"expected no {type(action).__name__}")

    def certificate_of(self, host: str) -> bytes:
        """The TLS certificate that the client sees there."""
        return TLS[host]

    def _transmit(self, apdu: bytes, transmit: Callable[[bytes], bytes]) -> bytes:
        self.drawing.once("app", "smartphone", "access NFC reader")
        self.drawing.once("smartphone", "id", "scan NFC chip")
        answer = transmit(apdu)
        if self.drawing.undrawn[-1] == "server > app: Transmit":
            # In the eID server's channel, which neither app nor phone can read.
            assert b"ERIKA" not in answer
            self.drawing.once("id", "smartphone", "return <br>[encrypted identity data]")
            self.drawing.once("smartphone", "app", "return <br>[encrypted identity data]")
        return answer

    async def _ask(self, method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Fetched:
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        answer = await self.network(parts.netloc).send(method, path, body, headers)
        content_type = answer.header("content-type")
        return Fetched(url, answer.status, content_type, "", answer.body, self.certificate_of(parts.netloc))

    async def _ask_server(self, url: str, body: bytes, headers: dict[str, str]) -> Fetched:
        """PAOS, of which the page has the first message and the last one in each direction."""
        asked = paos.decode(body).body
        match asked:
            case paos.StartPAOS():
                self.drawing.arrow("app", "server", "establish connection")
            case paos.TransmitResponse():
                self.drawing.arrow("app", "server", "send <br>[encrypted identity data]")
            case paos.DIDAuthenticateResponse():
                self.drawing.note(f"app > server: {type(asked.data).__name__}")
        answer = await self._ask("POST", url, body, headers)
        told = paos.decode(answer.body).body
        match told:
            case paos.DIDAuthenticate(data=paos.EAC1Input()):
                self.drawing.arrow("server", "app", "return <br>[list of requested data]")
            case paos.DIDAuthenticate():
                self.drawing.note(f"server > app: {type(told.data).__name__}")
            case paos.StartPAOSResponse():
                assert told.result.is_ok, told.result
                self.drawing.arrow("server", "app", "return success")
            case _:
                self.drawing.note(f"server > app: {type(told).__name__}")
        return answer


@dataclass
class Widget:
    """What the widget's scripts do in the bank's page, in the order of the page."""

    drawing: Drawing
    frame: SecureBrowser
    session_id: str = ""
    refresh_origins: list[str] = field(default_factory=list)
    page: str = ""

    async def load(self, *, tenant: str, tc_token_url: str) -> None:
        """The page in the frame."""
        query = urlencode({"id": tenant, "origin": f"https://{BANK}", "tcTokenUrl": tc_token_url}, quote_via=quote)
        answer = await self.frame.get(f"/widget?{query}")
        assert f"frame-ancestors https://{BANK};" in answer.header("content-security-policy")
        self.page = answer.body.decode()

    async def start(self) -> str:
        """A login: the widget's session, its secret, and the link that is in the QR code."""
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', re.findall(r"<useid-eid ([^>]*)>", self.page)[0]))
        body = {"tenant": attributes["tenant"], "tcTokenUrl": attributes["tc-token-url"]}
        answer = await self.frame.post("/eid/start", body)
        assert answer.status == 201, answer.body
        assert list(self.frame.cookies) == ["__Host-useid-frame"]
        started = answer.json()
        self.session_id, self.refresh_origins = started["sessionId"], started["refreshOrigins"]
        self.drawing.arrow("widget", "widget", "generate <br>[widgetSessionSecret]")
        return f"{started['qrData']}#widgetSessionSecret={b64url(SECRET)}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Stream]:
        """The event stream."""
        async with self.frame.stream(f"/eid/session/{self.session_id}/events") as opened:
            yield opened

    def show(self, link: str) -> str:
        """The QR code, as the camera sees it."""
        self.drawing.arrow(
            "widget",
            "widget",
            "generate QR Code <br>[eIDClientURL incl. tcTokenURL, widgetSessionId, widgetSessionSecret]",
        )
        self.drawing.arrow("widget", "user", "display widget")
        return link

    def decrypt(self, sealed: str) -> str:
        """Where the browser is to go."""
        target = open_refresh_url(sealed, secret=SECRET, session_id=self.session_id)
        self.drawing.arrow("widget", "widget", "decrypt refreshURL with widgetSessionSecret <br>[refreshURL]")
        parts = urlsplit(target)
        assert f"{parts.scheme}://{parts.netloc}" in self.refresh_origins
        return target


@dataclass
class World:
    """Everybody, and what they draw."""

    drawing: Drawing
    bank: Bank
    useid: UseID
    heard: list[Event]

    def __post_init__(self) -> None:
        drawing, plugin = self.drawing, UseIDMiddleware(host_app, useid=self.useid)
        paos_site = Site(PAOSRoutes(self.bank.server).routes(), origin=f"https://{EID_SERVER}")
        self._sites: dict[tuple[str, str], ASGIApp] = {
            ("browser", BANK): drawing.wire(
                self.bank,
                lambda asked: (
                    "browser",
                    "eService",
                    {"GET /": "access webapp", "GET /eid/refresh": "access success page"}[asked],
                ),
                {
                    "GET /eid/refresh": ("eService", "browser", "refresh page"),
                    "GET /": ("eService", "widget", "integrate script which creates iframe <br>[tcTokenURL]"),
                },
            ),
            ("app", BANK): drawing.wire(
                self.bank,
                lambda asked: ("app", "eService", {"GET /eid/tctoken": "get tcToken from tcTokenURL"}[asked]),
                {"GET /eid/tctoken": ("eService", "app", "return <br>[tcToken]")},
            ),
            # Its messages have arrows of their own.
            ("app", EID_SERVER): paos_site,
            ("browser", BACKEND): drawing.wire(plugin, lambda asked: ("browser", "backend", ""), {}),
            ("widget", BACKEND): drawing.wire(plugin, self._asked_by_widget, WIDGET_ANSWERS),
            ("app", BACKEND): drawing.wire(
                plugin,
                lambda asked: ("app", "backend", "inform about success <br>[encrypted refreshURL, widgetSessionId]"),
                {},
            ),
        }

    def _asked_by_widget(self, asked: str) -> tuple[str, str, str]:
        words = {"GET /auth/widget": "(iframe) get widget page"}.get(asked, "")
        if asked.endswith("/events"):
            words = "open SSE channel <br>[widgetSessionId]"
        return "widget", "backend", words

    def network(self, caller: str, host: str) -> SecureBrowser:
        """Somebody at a host, without cookies."""
        return SecureBrowser(self._sites[caller, host], host=host)

    async def session_ended(self, session_id: str, minor: str) -> None:
        """The eID server has a result, or knows that there will be none."""
        assert minor == ""
        self.drawing.arrow("server", "server", "decrypt data <br>[identity data]")


WIDGET_ANSWERS: Final = {
    "GET /auth/widget": ("backend", "widget", "return widget page <br>[widgetSessionId]"),
    "GET /auth/eid/session/": ("backend", "widget", "return"),
}


async def host_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Behind the plugin there is nothing."""
    raise AssertionError(f"expected calls of the plugin alone, found {scope['path']}")


@asynccontextmanager
async def magnus() -> AsyncIterator[World]:
    """The world of the page."""
    clock, drawing, events = Clock(NOW.timestamp()), Drawing(), Events()
    pki = with_terminal(
        country(),
        origin=f"https://{BANK}",
        tls_ders=[TLS[BANK], TLS[EID_SERVER]],
        now=NOW,
        random=stream("terminal of the bank"),
    )
    server = EmbeddedEIDServer(MemoryStore(clock=clock), pki, clock=clock, random_bytes=stream("server"))
    tenant = {"origins": [f"https://{BANK}"], "token_urls": [f"https://{BANK}/eid/tctoken?session="]}
    settings = make_settings(origin=f"https://{BACKEND}", embed={"tenants": {"bank": tenant}})
    useid = UseID(settings, events, store=WatchedStore(clock), clock=clock)
    world = World(drawing, Bank(server, drawing), useid, [])
    server.on_end = world.session_ended
    events.on(Event)(world.heard.append)
    try:
        yield world
    finally:
        await useid.stop()
