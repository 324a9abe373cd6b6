"""A stand-in for the server of an eID login: its calls, the pages with ``<useid-eid>``, and a shop that embeds one.

The shop's page is at ``localhost`` and the server at ``127.0.0.1``, so they are two origins of one port.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import FrameLocator, Locator, Page, expect

from tests.browser.card import Card
from tests.browser.wire import SESSION, Answer, Receive, Scope, Send, Wire
from useid_middleware.eid.core.link import ClientLink, parse_link
from useid_middleware.eid.core.sealing import NONCE_SIZE, seal_refresh_url
from useid_middleware.widget.eid_pages import WIDGET_PERMISSIONS, eid_login_page, widget_page, widget_policy
from useid_middleware.widget.serve import LOGIN_POLICY

START = "POST /session/create"
CLAIM = "POST /session/{id}/claim"
NONCE = bytes(range(NONCE_SIZE))
CLIENT = "//127.0.0.1:24727/eID-Client"
#: Every status of the card, some of them by how they are reached.
EID_STATES = (
    "loading", "waiting", "scanned", "code", "code-wrong", "approved", "rejected", "expired", "error", "offline",
    "here", "here-scanned", "here-approved",
)  # fmt: skip


@dataclass
class EIDWire(Wire):
    """The server's state, which tests set. A login's mode is what the browser asks for, else ``default_mode``."""

    default_mode: str = "standard"
    mode: str = "standard"
    reason: str = "cancelled"
    sealed: str = ""
    #: None for the server's own origin.
    refresh_origins: list[str] | None = None
    tc_token_url: str = ""
    theme: str = "auto"
    back: str = ""
    lang: str = "en"
    #: What the shop's page has around and on its script.
    shop: str = '<script src="{embed}" data-tenant="shop" async></script>'
    shop_head: str = ""
    #: Headers of every request for a page, by path.
    sent: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """The server's origin."""
        return self.url

    @property
    def shop_origin(self) -> str:
        """The embedding site's origin."""
        return self.url.replace("127.0.0.1", "localhost")

    @property
    def stranger_origin(self) -> str:
        """A third party's."""
        return self.url.replace("127.0.0.1", "stranger.localhost")

    @property
    def link(self) -> str:
        """What the QR code holds, without the widget's secret."""
        if self.mode == "standard":
            return f"{self.url}/auth/eid/phone/{'s' * 44}"
        return f"{self.client_url}&widgetSessionId={SESSION}&server={quote(self.url + '/auth', safe='')}"

    @property
    def client_url(self) -> str:
        """Starts the eID client on this device."""
        token_url = self.tc_token_url or f"{self.url}/auth/eid/tctoken/{'t' * 44}"
        return f"eid:{CLIENT}?tcTokenURL={quote(token_url, safe='')}"

    def seal(self, link: str, refresh_url: str) -> None:
        """Approve as an integrated client that read ``link`` does."""
        widget = parse_link(link).widget
        assert widget is not None
        self.sealed = seal_refresh_url(refresh_url, secret=widget.secret, session_id=widget.session_id, nonce=NONCE)
        self.move("approved")

    def snapshot(self) -> dict[str, Any]:
        """The *status* of the reference."""
        found = super().snapshot()
        found.pop("frame", None)
        if self.status == "approved":
            found["codeRequired"] = self.mode == "standard"
            if self.mode == "integrated":
                found["sealedRefreshUrl"] = self.sealed
        if self.status == "rejected":
            found["reason"] = self.reason
        return found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what an eID login needs; the calls themselves are the device switch's at another address."""
        path = scope["path"].removeprefix("/auth")
        lang = "de" if path.endswith("/de") else self.lang
        page, policy, permissions = b"", LOGIN_POLICY, ""
        if path.startswith("/eid/session/") or path == "/eid/start":
            moved = path.removeprefix("/eid") if path != "/eid/start" else "/session/create"
            await super().__call__({**scope, "path": f"/auth{moved}"}, receive, send)
            return
        if path == "/eid/plain":
            await super().__call__({**scope, "path": "/auth/plain"}, receive, send)
            return
        if path == "/embed.js":
            await super().__call__({**scope, "path": "/auth/widget/embed.js"}, receive, send)
            return
        if path in ("/eid", "/eid/de"):
            page = eid_login_page(
                server="/auth", app_name="Acme Shop", return_url="/orders", lang=lang, heartbeat=self.heartbeat
            )
        elif path == "/widget":
            policy, permissions = widget_policy(self.shop_origin), WIDGET_PERMISSIONS
            page = widget_page(
                server="/auth", tenant="shop", origin=self.shop_origin, tc_token_url=self.tc_token_url,
                theme=self.theme, back=self.back, lang=lang, heartbeat=self.heartbeat,
            )  # fmt: skip
        elif path in ("/shop", "/shop/de"):
            # The site's own policy lets the server's script run and its page be framed, and a stranger's page as well.
            policy = f"default-src 'none'; script-src {self.origin}; frame-src {self.origin} {self.stranger_origin}"
            body = self.shop.format(embed=f"{self.origin}/auth/embed.js")
            text = f"<title>Shop</title>{self.shop_head}<main><h1>Shop</h1>{body}</main>"
            page = f'<!doctype html><html lang="{lang}">{text}</html>'.encode()
        else:
            await super().__call__(scope, receive, send)
            return
        query = scope["query_string"].decode()
        self.sent[path] = {name.decode(): value.decode() for name, value in scope["headers"]} | {"?": query}
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-security-policy", policy.encode())]
        headers += [(b"permissions-policy", permissions.encode())] if permissions else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": page})

    async def _json(self, call: str, body: bytes, send: Send) -> None:
        if call != START:
            await super()._json(call, body, send)
            return
        asked = json.loads(body)
        self.bodies.append(asked)
        self.status, self.version = "waiting", 1
        self.mode = asked.get("mode", self.default_mode)
        here = self.mode == "same-device"
        links = {
            "qrData": "" if here else self.link,
            "clientUrl": self.client_url if here else self.link if self.mode in ("integrated", "bound") else "",
            "loopbackUrl": self.client_url.replace("eid:", "http:", 1) if here else "",
            "startUrl": self.link if self.mode == "standard" else "",
            "tcTokenUrl": self.tc_token_url,
            "refreshOrigins": [self.origin] if self.refresh_origins is None else self.refresh_origins,
        }
        answer = {**self.snapshot(), **links, "sessionId": SESSION, "mode": self.mode}
        head = {"type": "http.response.start", "status": 201, "headers": [(b"content-type", b"application/json")]}
        await send(head)
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


class EIDCard(Card):
    """The card of the stand-in server's eID login page."""

    wire: EIDWire

    def __init__(self, page: Page, wire: EIDWire, *, within: FrameLocator | None = None) -> None:
        super().__init__(page, wire)
        self.root = (within or page).locator("useid-eid .card")
        self.status = self.root.locator(".message[role=status]")
        self.alert = self.root.locator("[role=alert].failure")
        self.field = self.root.locator("input")
        self.qr = self.root.locator(".qr svg")
        self.timer = self.root.get_by_role("timer")
        self.announcer = self.root.locator(".unseen[role=status]")

    def open(self, path: str = "/auth/eid") -> "EIDCard":
        """Load the login page."""
        super().open(path)
        return self

    def shows(self, status: str) -> "EIDCard":
        """Wait until the card is in ``status``."""
        super().shows(status)
        return self

    def state(self) -> Mapping[str, Any]:
        """The element's ``state``."""
        state: Mapping[str, Any] = self.page.locator("useid-eid").evaluate("(element) => element.state")
        return state

    @property
    def opener(self) -> Locator:
        """The link that starts the eID client on this device."""
        return self.root.get_by_role("link", name=re.compile("^(Open AusweisApp|AusweisApp öffnen)$"))

    def read_link(self) -> str:
        """What the QR code holds, as the help below it shows."""
        return self.root.locator(".link").text_content() or ""

    def scan(self) -> ClientLink:
        """What an integrated client reads from the QR code."""
        return parse_link(self.read_link())

    def reach(self, state: str, path: str = "/auth/eid") -> None:
        """Bring the card into one of :data:`EID_STATES`."""
        if state in ("code", "code-wrong"):
            self.wire.code = "482913"
        if state == "approved":
            self.wire.default_mode = "integrated"
        if state == "loading":
            self.page.route("**/eid/start", lambda route: None)
        if state == "error":
            self.wire.instead["/create"] = Answer(503)
        if state.startswith("here"):
            # No eID client runs on the machine of the tests.
            self.page.route("http://127.0.0.1:24727/**", lambda route: route.fulfill(status=204))
        self.open(path)
        if state in ("loading", "error"):
            self.shows(state)
            return
        self.shows("waiting")
        if state.startswith("here"):
            self.root.get_by_role("button", name=re.compile("^(The eID client is|Der eID-Client ist)")).click()
            expect(self.opener).to_be_visible()
            if state == "here-approved":
                self.wire.move("claimed")
            elif state == "here-scanned":
                self.wire.move("scanned")
            self.shows({"here": "waiting", "here-scanned": "scanned", "here-approved": "approved"}[state])
            return
        if state in ("code", "code-wrong"):
            self.wire.move("approved")
            if state == "code-wrong":
                self.shows("code").field.fill("482 914")
                self.root.locator("button[type=submit]").click()
                expect(self.root.locator(".code-error")).not_to_be_empty()
        elif state == "approved":
            self.wire.seal(self.read_link(), f"{self.wire.origin}/done")
        elif state == "offline":
            self.wire.stop()
        elif state != "waiting":
            self.wire.move(state)
        self.shows("code" if state == "code-wrong" else state)


@pytest.fixture
def wire() -> Iterator[EIDWire]:
    """The stand-in server, started."""
    server = EIDWire()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def card(page: Page, wire: EIDWire) -> EIDCard:
    """The card of a page that is not open yet. No eID client runs on the machine of the tests."""
    page.route("http://127.0.0.1:24727/**", lambda route: route.fulfill(status=204))
    return EIDCard(page, wire)
