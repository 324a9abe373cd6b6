"""Bound logins in another site's page: over TLS, and in a Chromium that blocks the cookies of third parties.

The shop's page is at a name below ``localhost``, which browsers alone resolve. The plugin and the shop's refresh
address are at ``localhost`` itself, so that the phone's eID client reaches the one, and the plugin the other.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes
from time import time

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from playwright.sync_api import Browser, FrameLocator, Page, expect

from tests.browser.bound import PROCEED, apart
from tests.browser.test_embed import strict_browser as strict_browser
from tests.browser.two_sites import SHOP, App, Receive, Scope, Send, Sites, answer_page, make_certificate, serving
from tests.browser.virtual import Asked, come_near, watch
from tests.emulation.client.website import Person
from tests.emulation.server.world import card_of
from tests.servers import free_port
from useid_middleware import Settings, UseIDMiddleware
from useid_middleware._codec import un_b64url_any
from useid_middleware.eid.core.link import parse_link
from useid_middleware.eid.core.tctoken import WebAuthnServer, domain_of
from useid_middleware.emulation.client.binding import bind
from useid_middleware.emulation.client.driver import Network, run_flow
from useid_middleware.emulation.client.passkeys import MemoryCredentials, Passkeys
from useid_middleware.emulation.phone.authenticator import CredentialSource
from useid_middleware.http.pins import pin_of

#: What keeps a frame from asking for a passkey: the page's own policy, or a frame that was not given leave.
CLOSED, BARE = "/closed", "/bare"


@dataclass
class BoundSites(Sites):
    """The shop, some of whose pages do not let the frame have what it needs."""

    refresh: str = ""
    certificate: Path = field(default_factory=Path)

    async def shop_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == CLOSED:
            denied = (b"permissions-policy", b"publickey-credentials-get=(self)")
            await answer_page(send, self._embedding(), denied)
        elif scope["path"] == BARE:
            token_url = f"{self.shop}/eid/tctoken?session=1"
            source = f"{self.plugin}/auth/widget?id=shop&amp;origin={self.shop}&amp;tcTokenUrl={token_url}"
            await answer_page(send, f'<iframe title="Login" width="600" height="700" src="{source}"></iframe>')
        else:
            await super().shop_app(scope, receive, send)

    def _embedding(self) -> str:
        address = f"{self.shop}/eid/tctoken?session=1"
        return f'<script src="{self.plugin}/auth/embed.js" data-tenant="shop" data-tc-token-url="{address}"></script>'

    def identify(self, link: str) -> CredentialSource:
        """Do as an eID client whose eID server has told success; returns the passkey that it has made for the login.

        The tcToken that the shop would have sent vouches for the plugin's TLS key, which the client then looks at.
        """
        widget = parse_link(link).widget
        assert widget is not None
        assert widget.server == f"{self.plugin}/auth"
        pin = pin_of(load_pem_x509_certificate(self.certificate.read_bytes()).public_bytes(Encoding.DER))
        server = WebAuthnServer(domain_of(self.plugin), (pin,))
        kept = MemoryCredentials()
        passkeys = Passkeys(kept, random=token_bytes, clock=time)

        def work() -> None:
            flow = bind(self.refresh, widget, server, allow_loopback_http=False)
            with Network() as network:
                run_flow(flow, network=network, card=card_of(), person=Person(), authenticator=passkeys)

        apart(work)
        [passkey] = kept.credentials()
        return passkey


@contextmanager
def _served(folder: Path) -> Iterator[BoundSites]:
    certificate, key = make_certificate(folder)
    ports = free_port(), free_port()
    shop, plugin = f"https://{SHOP}:{ports[0]}", f"https://localhost:{ports[1]}"
    behind = f"https://localhost:{ports[0]}"
    sites = BoundSites(shop, "", plugin, refresh=f"{behind}/eid/refresh?session=1", certificate=certificate)
    tenant = {
        "origins": [shop],
        "token_urls": [f"{shop}/eid/"],
        "refresh_origins": [behind],
        "client": "bound",
        "server_keys": [certificate],
    }
    settings = Settings(
        from_env=False,
        app_name="Acme",
        origin=plugin,
        store="memory://",
        accounts="memory://",
        webauthn={"enabled": True},
        embed={"tenants": {"shop": tenant}},
    )
    app: App = sites.noting(UseIDMiddleware(sites.host_app, settings=settings))
    with serving(sites.shop_app, ports[0], certificate, key), serving(app, ports[1], certificate, key):
        yield sites


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoundSites]:
    with _served(tmp_path_factory.mktemp("sites")) as sites:
        yield sites


@dataclass
class Customer:
    """Somebody at the shop's login page."""

    page: Page
    sites: BoundSites
    asked: Asked

    @property
    def frame(self) -> FrameLocator:
        """The widget's frame."""
        return self.page.frame_locator("iframe")

    def open(self, path: str = "/login") -> str:
        """Open the page; returns what the QR code holds."""
        self.page.goto(self.sites.shop + path)
        self.shows("waiting")
        return self.frame.locator("useid-eid .link").text_content() or ""

    def shows(self, status: str) -> None:
        """Wait until the widget is in this state."""
        expect(self.frame.locator("useid-eid .card")).to_have_attribute("data-status", status)

    def proceed(self) -> None:
        """Press the button."""
        self.shows("authenticate")
        self.frame.get_by_role("button", name=PROCEED).click()

    def asked_of_plugin(self, ending: str) -> list[str]:
        """The cookies with which a path was asked for."""
        return [sent for path, sent, _ in self.sites.asked if path.endswith(ending)]


@pytest.fixture
def customer(strict_browser: Browser, sites: BoundSites) -> Iterator[Customer]:
    sites.asked.clear()
    context = strict_browser.new_context(
        locale="en-GB", viewport={"width": 900, "height": 800}, ignore_https_errors=True
    )
    context.set_default_timeout(20_000)
    page = context.new_page()
    yield Customer(page, sites, watch(page))
    context.close()


def test_the_frame_proves_that_the_phone_is_near_and_the_shops_page_goes_on(
    customer: Customer, sites: BoundSites
) -> None:
    come_near(customer.page, sites.identify(customer.open()))
    customer.proceed()
    customer.page.wait_for_url(sites.refresh)
    expect(customer.page.get_by_role("heading", name="Welcome back")).to_be_visible()

    [options] = customer.asked.options
    assert (options["rpId"], options["hints"]) == ("localhost", ["hybrid"])
    assert [each["transports"] for each in options["allowCredentials"]] == [["hybrid"]]
    # The browser says whose frame it was, and the server has checked it.
    [credential] = customer.asked.ends
    client_data = json.loads(un_b64url_any(credential["response"]["clientDataJSON"]))
    assert client_data["type"] == "webauthn.get"
    assert (client_data["origin"], client_data["crossOrigin"]) == (sites.plugin, True)
    assert client_data["topOrigin"] == sites.shop
    # The frame's own cookie, since all others are blocked here; and no address with what nobody is to see.
    [sent] = customer.asked_of_plugin("/assertions?")
    assert sent.startswith("__Host-useid-frame=")
    assert [path for path, _, _ in sites.asked if "Key" in path or "refresh" in path] == []


@pytest.mark.parametrize("path", [CLOSED, BARE])
def test_a_frame_that_was_not_given_leave_says_so_and_nobody_is_logged_in(
    customer: Customer, sites: BoundSites, path: str
) -> None:
    come_near(customer.page, sites.identify(customer.open(path)))
    customer.proceed()
    expect(customer.frame.locator("[role=alert].failure")).to_contain_text("Your phone was not reached")
    customer.shows("authenticate")
    assert customer.asked.ends == [{"error": "NotAllowedError"}]
    assert customer.asked_of_plugin("/assertions?") == []
    assert customer.page.url == sites.shop + path


def test_an_address_that_is_not_the_shops_is_not_gone_to(customer: Customer, sites: BoundSites) -> None:
    refresh, sites.refresh = sites.refresh, f"{sites.plugin}/eid/refresh?session=1"
    try:
        passkey = sites.identify(customer.open())
    finally:
        sites.refresh = refresh
    come_near(customer.page, passkey)
    customer.proceed()
    customer.shows("error")
    expect(customer.frame.locator("[role=alert].failure")).to_contain_text("Address refused")
    assert customer.page.url == f"{sites.shop}/login"
