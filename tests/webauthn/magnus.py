"""Who is on the page "Magnus flow" with WebAuthn: the bank, our plugin as its WebAuthn server, an eID server, a phone.

As in :mod:`tests.eid.magnus` whoever acts draws an arrow at that moment, and what happens besides is written down.
"""

import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from tests.actors import Answer, Stream
from tests.eid import magnus
from tests.eid.magnus import ASKED, BACKEND, BANK, EID_SERVER, Drawing
from tests.eid.watched_store import WatchedStore
from tests.eid.world import SecureBrowser
from tests.emulation.card.world import NOW, stream
from tests.emulation.card.world import pki as country
from tests.http.test_pins import certificate_of
from tests.qr.conftest import Clock, make_settings
from tests.webauthn.world import Authenticator
from useid_middleware import Event, Events, UseID, UseIDMiddleware
from useid_middleware._codec import b64url, un_b64url_any
from useid_middleware.eid.core.attributes import EIDResult
from useid_middleware.eid.core.tctoken import TCToken, WebAuthnServer, build_tctoken
from useid_middleware.emulation import paos
from useid_middleware.emulation.client.actions import (
    Action,
    Authentication,
    Connect,
    CreateCredential,
    Fetched,
    PasswordRequest,
    Post,
    Put,
)
from useid_middleware.emulation.client.flow import Outcome
from useid_middleware.emulation.server.app import Site
from useid_middleware.emulation.server.routes import PAOS_PATH, PAOSRoutes
from useid_middleware.emulation.server.service import EmbeddedEIDServer
from useid_middleware.emulation.server.terminal import with_terminal
from useid_middleware.http.asgi import ASGIApp, Receive, Scope, Send
from useid_middleware.http.pins import pin_of
from useid_middleware.stores.memory import MemoryStore
from useid_middleware.webauthn.core.sealing import open_refresh_url

CREATE: Final = "POST /auth/webauthn/accounts"


@cache
def certificate(host: str) -> bytes:
    """The TLS certificate of a host, in DER."""
    return certificate_of(generate_private_key(SECP256R1()), days=90 + len(host)).public_bytes(Encoding.DER)


class Bank(magnus.Bank):
    """The bank's eID integration; its tcToken says who binds, which is all that it has changed."""

    async def index(self, query: dict[str, str], cookie: str) -> Answer:
        number = b64url(b"number of a login")
        tc_token_url = f"https://{BANK}/eid/tctoken?session={number}"
        script = f'<script src="https://{BACKEND}/auth/embed.js" data-tenant="bank" data-tc-token-url="{tc_token_url}">'
        headers = [(b"set-cookie", f"bank={b64url(b'a browser')}; Secure; HttpOnly; SameSite=Lax".encode())]
        return Answer(200, headers, f"<h1>Bank</h1>{script}</script>".encode())

    async def tc_token(self, query: dict[str, str], cookie: str) -> Answer:
        number = query["session"]
        if number in self.fetched:
            return Answer(404, [], b"")
        self.fetched.add(number)
        self.drawing.arrow("eService", "server", "start session")
        session = await self.server.use_id(ASKED)
        self.drawing.arrow("server", "eService", "return session identifier <br>[eIDSessionId]")
        self.logins[number] = (b64url(b"a browser"), session)
        refresh = f"https://{BANK}/eid/refresh?session={number}"
        binds = WebAuthnServer(BACKEND, (pin_of(certificate(BACKEND)),))
        token = TCToken(f"https://{EID_SERVER}{PAOS_PATH}", session.psk_id, refresh, refresh, webauthn_server=binds)
        self.drawing.arrow("eService", "app", "return <br>[tcToken, cert hash + domain of WAS]")
        return Answer(200, [(b"content-type", b"text/xml")], build_tctoken(token))

    async def refresh(self, query: dict[str, str], cookie: str) -> Answer:
        expected, session = self.logins[query["session"]]
        if cookie != expected or query["ResultMajor"] != "ok":
            return Answer(403, [], b"")
        self.drawing.arrow("eService", "server", "get identity data <br>[eIDSessionId]")
        result: EIDResult = await self.server.get_result(session.id, counter=1)
        self.drawing.arrow("server", "eService", "return <br>[identity data]")
        data = result.personal_data
        return Answer(200, [], f"<h1>Welcome {data.given_names} {data.family_names}</h1>".encode())


@dataclass
class App(magnus.App):
    """The phone's app; it makes its passkeys with the phone's authenticator."""

    smartphone: Authenticator = field(default_factory=lambda: Authenticator(f"https://{BACKEND}"))

    async def open(self, client_url: str) -> Outcome:
        """What the link asks for."""
        self.drawing.arrow("smartphone", "app", "open via link embedded in QR code")
        return await self.run(client_url)

    async def _perform(self, action: Action, transmit: Callable[[bytes], bytes]) -> object:
        drawing = self.drawing
        match action:
            case Connect(url=url):
                if urlsplit(url).netloc == BACKEND:
                    drawing.arrow("app", "webAuthnServer", "create TLS connection")
                    drawing.arrow("webAuthnServer", "app", "return <br>[TLS certificate]")
                return certificate(urlsplit(url).netloc)
            case Post(url=url, headers=headers, body=body) if "sealedRefreshUrl" in body.decode("latin-1"):
                # It has gone on with the certificate that it was shown, and with nothing but a sealed address.
                drawing.arrow("app", "app", "validate TLS connection with info from eService")
                drawing.arrow("app", "app", "encrypt the determined refreshURL")
                assert BANK.encode() not in body
                return await self._ask("POST", url, body, dict(headers))
            case CreateCredential(options=options):
                drawing.arrow("app", "smartphone", "create key pair <br> [userId, challenge]")
                credential = self.smartphone.create(dict(options))
                drawing.arrow("smartphone", "app", "returns <br> [signed challenge, generated public key]")
                return credential
            case Put(url=url, headers=headers, body=body):
                return await self._ask("PUT", url, body, dict(headers))
            case Authentication() | PasswordRequest():
                return frozenset(action.optional) if isinstance(action, Authentication) else "123456"
            case _:
                return await super()._perform(action, transmit)

    def _transmit(self, apdu: bytes, transmit: Callable[[bytes], bytes]) -> bytes:
        return transmit(apdu)

    def certificate_of(self, host: str) -> bytes:
        return certificate(host)

    async def _ask_server(self, url: str, body: bytes, headers: dict[str, str]) -> Fetched:
        if isinstance(paos.decode(body).body, paos.StartPAOS):
            self.drawing.arrow("app", "server", "establish connection")
        answer = await self._ask("POST", url, body, headers)
        told = paos.decode(answer.body).body
        if isinstance(told, paos.StartPAOSResponse):
            assert told.result.is_ok, told.result
            self.drawing.arrow("server", "app", "return success of eId interaction")
        return answer


@dataclass
class Widget:
    """What the widget's scripts do in the bank's page, in the order of the page."""

    drawing: Drawing
    frame: SecureBrowser
    key: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    session_id: str = ""
    refresh_origins: list[str] = field(default_factory=list)
    page: str = ""

    async def load(self, *, tenant: str, tc_token_url: str) -> None:
        """The page in the frame."""
        query = urlencode({"id": tenant, "origin": f"https://{BANK}", "tcTokenUrl": tc_token_url}, quote_via=quote)
        self.drawing.arrow("eService", "widget", "inserts TcToken url into iframe")
        answer = await self.frame.get(f"/widget?{query}")
        self.page = answer.body.decode()

    async def start(self) -> str:
        """A login, the widget's key pair, and the QR code as the camera sees it."""
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', re.findall(r"<useid-eid ([^>]*)>", self.page)[0]))
        self.drawing.arrow("widget", "widget", "create key pair used for encryption of refreshURL")
        body = {"tenant": attributes["tenant"], "tcTokenUrl": attributes["tc-token-url"]}
        answer = await self.frame.post("/eid/start", body)
        assert answer.status == 201, answer.body
        started = answer.json()
        assert started["mode"] == "bound"
        self.session_id, self.refresh_origins = started["sessionId"], started["refreshOrigins"]
        self.drawing.arrow("widget", "user", "display QR code with TcTokenUrl + public key")
        return f"{started['qrData']}#widgetPublicKey={b64url(self.key.public_key().public_bytes_raw())}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Stream]:
        """The event stream."""
        async with self.frame.stream(f"/eid/session/{self.session_id}/events") as opened:
            yield opened

    def ask_browser(self, options: dict[str, Any], smartphone: Authenticator) -> dict[str, Any]:
        """``credentials.get()``: the browser shows its menu, and the phone nearby signs."""
        drawing = self.drawing
        drawing.arrow("widget", "browser", "request WebAuthn credentials by providing challenge")
        assert options["hints"] == ["hybrid"]
        drawing.arrow("browser", "user", "show WebAuthn interaction menu")
        drawing.arrow("user", "smartphone", "use smartphone to provide credentials")
        client_data = {
            "type": "webauthn.get",
            "challenge": options["challenge"],
            "origin": f"https://{BACKEND}",
            "crossOrigin": True,
            "topOrigin": f"https://{BANK}",
        }
        credential = smartphone.get(options, client_data=client_data)
        drawing.arrow("smartphone", "browser", "signs challenge using the credentials")
        drawing.arrow("browser", "widget", "returns signed challenge")
        return credential

    async def prove(self, user_id: str, credential: dict[str, Any]) -> str:
        """Send the signed challenge; where the browser is to go."""
        answer = await self.frame.post(f"/webauthn/accounts/{user_id}/assertions", {"credential": credential})
        assert answer.status == 200, answer.body
        released = answer.json()
        assert un_b64url_any(released["eServiceCertificateHash"]) == pin_of(certificate(BANK))
        target = open_refresh_url(
            released["sealedRefreshUrl"], private_key=self.key.private_bytes_raw(), session_id=self.session_id
        )
        self.drawing.arrow("widget", "widget", "decrypts refreshURL")
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
        drawing, plugin = self.drawing, UseIDMiddleware(magnus.host_app, useid=self.useid)
        self._sites: dict[tuple[str, str], ASGIApp] = {
            ("browser", BANK): drawing.wire(
                self.bank,
                lambda asked: (
                    "browser",
                    "eService",
                    {"GET /": "access webapp", "GET /eid/refresh": "access success page"}[asked],
                ),
                {
                    "GET /eid/refresh": ("eService", "browser", "display success page"),
                    "GET /": ("eService", "browser", "sends page with embedded iframe"),
                },
            ),
            ("app", BANK): drawing.wire(
                self.bank,
                lambda asked: ("app", "eService", {"GET /eid/tctoken": "get tcToken from tcTokenURL"}[asked]),
                {},
            ),
            ("app", EID_SERVER): Site(PAOSRoutes(self.bank.server).routes(), origin=f"https://{EID_SERVER}"),
            ("browser", BACKEND): drawing.wire(plugin, lambda asked: ("browser", "webAuthnServer", ""), {}),
            ("widget", BACKEND): self._draw_widget(plugin),
            ("app", BACKEND): self._draw_app(plugin),
        }

    def _draw_widget(self, plugin: ASGIApp) -> ASGIApp:
        drawing = self.drawing

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            asked = f"{scope['method']} {scope['path']}"
            if asked == "GET /auth/widget":
                drawing.arrow("widget", "webAuthnServer", "(iframe) get widget page")
            elif asked.endswith("/assertions"):
                drawing.arrow("widget", "webAuthnServer", "returns signed challenge")
            else:
                drawing.note(f"widget > webAuthnServer: {asked}")

            async def tell(message: Any) -> None:
                if message["type"] == "http.response.start" and message["status"] == 200:
                    if asked == "GET /auth/widget":
                        drawing.arrow("webAuthnServer", "widget", "return widget page")
                    elif asked.endswith("/assertions"):
                        drawing.arrow("webAuthnServer", "webAuthnServer", "validate challenge")
                        words = "returns <br>[success, encrypted refreshURL, hash of eService certificate]"
                        drawing.arrow("webAuthnServer", "widget", words)
                elif b"event: authenticate" in message.get("body", b""):
                    [account] = re.findall(rb'"userId":"([^"]+)"', message["body"])
                    kept = await self.useid.store.get(f"webauthn-account:{account.decode()}")
                    assert kept is not None
                    assert b"public_key" in kept.value
                    words = "validate challenge + store public key with userId"
                    drawing.arrow("webAuthnServer", "webAuthnServer", words)
                    words = "send event to start WebAuthn authentication <br> [userId, challenge]"
                    drawing.arrow("webAuthnServer", "widget", words)
                await send(message)

            await plugin(scope, receive, tell)

        return call

    def _draw_app(self, plugin: ASGIApp) -> ASGIApp:
        drawing = self.drawing

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            asked = f"{scope['method']} {scope['path']}"
            creates = asked == CREATE
            words = "create Webauthn account + send <br> [encrypted refreshURL]"
            if not creates:
                words = "sends <br> [userId, signed challenge, generated public key]"
            drawing.arrow("app", "webAuthnServer", words)

            async def tell(message: Any) -> None:
                if message["type"] == "http.response.start":
                    assert message["status"] == (201 if creates else 204)
                    if creates:
                        drawing.arrow("webAuthnServer", "app", "returns <br> [userId, challenge]")
                await send(message)

            await plugin(scope, receive, tell)

        return call

    def network(self, caller: str, host: str) -> SecureBrowser:
        """Somebody at a host, without cookies."""
        return SecureBrowser(self._sites[caller, host], host=host)

    async def look_at_eservice(self, host: str, port: int, context: ssl.SSLContext) -> bytes:
        """The WebAuthn server looks whether the eService is the one that it knows."""
        assert (host, port) == (BANK, 443)
        self.drawing.note("webAuthnServer > eService: TLS")
        return certificate(BANK)


@asynccontextmanager
async def bound_magnus() -> AsyncIterator[World]:
    """The world of the page."""
    clock, drawing, events = Clock(NOW.timestamp()), Drawing(), Events()
    pki = with_terminal(
        country(),
        origin=f"https://{BANK}",
        tls_ders=[certificate(BANK), certificate(EID_SERVER)],
        now=NOW,
        random=stream("terminal of the bank"),
    )
    server = EmbeddedEIDServer(MemoryStore(clock=clock), pki, clock=clock, random_bytes=stream("server"))
    with TemporaryDirectory() as folder:
        known = Path(folder) / "bank.pem"
        known.write_bytes(load_der_x509_certificate(certificate(BANK)).public_bytes(Encoding.PEM))
        tenant = {
            "origins": [f"https://{BANK}"],
            "token_urls": [f"https://{BANK}/eid/tctoken?session="],
            "client": "bound",
            "server_keys": [known],
        }
        settings = make_settings(
            origin=f"https://{BACKEND}", embed={"tenants": {"bank": tenant}}, webauthn={"enabled": True}
        )
        world: World

        async def connect(host: str, port: int, context: ssl.SSLContext) -> bytes:
            return await world.look_at_eservice(host, port, context)

        useid = UseID(settings, events, store=WatchedStore(clock), clock=clock, connect=connect)
        world = World(drawing, Bank(server, drawing), useid, [])
    events.on(Event)(world.heard.append)
    try:
        yield world
    finally:
        await useid.stop()
