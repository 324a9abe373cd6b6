"""The provider's pages and scripts in a real Chromium: what needs a browser to be true."""

import socket
import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.emulation.provider.world import CHALLENGE, a_client
from tests.servers import free_port
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.http.asgi import ASGIApp, Receive, Scope, Send
from useid_middleware.http.requests import Request

_WATCH_POLICY = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""
_ASK = """([issuer, message]) => new Promise((resolve) => {
  addEventListener("message", (event) => resolve([event.data, event.origin]), { once: true });
  document.querySelector("iframe").contentWindow.postMessage(message, issuer);
})"""


class _Server(uvicorn.Server):
    """Says when the port is open."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.open = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.open.set()


class _Served:
    """An app on a port of this machine, in a thread of its own."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off", interface="asgi3")
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        assert self._server.open.wait(30)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)


class Site:
    """A provider and a relying party that shows what it gets."""

    def __init__(self) -> None:
        ports = free_port(), free_port()
        self.issuer, self.origin = (f"http://127.0.0.1:{port}" for port in ports)
        client = a_client(
            redirect_uris=(f"{self.origin}/callback",),
            post_logout_redirect_uris=(f"{self.origin}/bye",),
            frontchannel_logout_uri=f"{self.origin}/front",
            frontchannel_logout_session_required=True,
            backchannel_logout_uri="",
        )
        self.provider = Provider(self.issuer, clients=[client])
        self.posted: list[dict[str, list[str]]] = []
        self.framed: list[str] = []
        self._servers = [_Served(self.provider, ports[0]), _Served(self._relying_party, ports[1])]

    def stop(self) -> None:
        for server in self._servers:
            server.stop()

    def login_url(self, **params: str) -> str:
        good = {
            "client_id": "rp",
            "redirect_uri": f"{self.origin}/callback",
            "response_type": "code",
            "scope": "openid email",
            "state": "s",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return f"{self.issuer}/authorize?{urlencode(good | params)}"

    async def _relying_party(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive, prefix="", origin=self.origin, params={}).body()
        if scope["path"] == "/callback" and scope["method"] == "POST":
            self.posted.append(parse_qs(body.decode()))
        if scope["path"] == "/front":
            self.framed.append(scope["query_string"].decode())
        frame = f'<iframe src="{self.issuer}/check-session"></iframe>' if scope["path"] == "/monitor" else ""
        page = f"<!doctype html><title>RP</title><h1>RP {scope['path']}</h1>{frame}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": page})


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a browser of its own, which must not violate a policy."""
    context = browser.new_context(locale="de-DE")
    page = context.new_page()
    page.add_init_script(_WATCH_POLICY)
    yield page
    assert page.evaluate("window.violations") == []
    context.close()


def accessible(page: Page) -> bool:
    """Whether axe finds nothing against WCAG 2.2 AA."""
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()
    return True


def log_in(page: Page, site: Site, **params: str) -> dict[str, list[str]]:
    page.goto(site.login_url(**params))
    page.get_by_role("button", name="Ada Lovelace").click()
    page.get_by_role("button", name="Erlauben").click()
    expect(page.get_by_role("heading", name="RP /callback")).to_be_visible()
    return parse_qs(urlsplit(page.url).query)


def test_a_person_logs_in_on_accessible_pages_and_comes_back(page: Page, site: Site) -> None:
    page.goto(site.login_url(prompt="consent"))
    expect(page.get_by_role("note")).to_contain_text("Testprovider")
    assert accessible(page)
    page.get_by_label("Benutzername").fill("ada")
    page.get_by_label("Passwort (alle").fill("wrong")
    page.get_by_role("button", name="Anmelden").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert accessible(page)
    page.get_by_label("Passwort (alle").fill("test")
    page.get_by_role("button", name="Anmelden").click()
    expect(page.get_by_text("Relying Party bittet Ada Lovelace um Zugriff")).to_be_visible()
    assert accessible(page)
    page.get_by_role("button", name="Erlauben").click()
    expect(page.get_by_role("heading", name="RP /callback")).to_be_visible()
    assert set(parse_qs(urlsplit(page.url).query)) == {"code", "state", "iss", "session_state"}


def test_form_post_sends_itself(page: Page, site: Site) -> None:
    log_in(page, site, response_mode="form_post")
    assert page.url == f"{site.origin}/callback"
    assert site.posted[-1]["state"] == ["s"]


def test_the_check_session_iframe_notices_a_logout(page: Page, site: Site) -> None:
    state = log_in(page, site)["session_state"][0]
    page.goto(f"{site.origin}/monitor")
    page.frame_locator("iframe").locator("body").wait_for(state="attached")
    assert page.evaluate(_ASK, [site.issuer, f"rp {state}"]) == ["unchanged", site.issuer]
    assert page.evaluate(_ASK, [site.issuer, f"other {state}"]) == ["changed", site.issuer]
    assert page.evaluate(_ASK, [site.issuer, "rp"]) == ["error", site.issuer]
    assert page.evaluate(_ASK, [site.issuer, 7]) == ["error", site.issuer]
    second = page.context.new_page()
    second.goto(f"{site.issuer}/end-session")
    second.get_by_role("button", name="Abmelden").click()
    expect(second.get_by_role("heading", name="Sie sind abgemeldet.")).to_be_visible()
    assert page.evaluate(_ASK, [site.issuer, f"rp {state}"]) == ["changed", site.issuer]


def test_a_front_channel_logout_frames_the_application_and_goes_on(page: Page, site: Site) -> None:
    log_in(page, site)
    params = {"client_id": "rp", "post_logout_redirect_uri": f"{site.origin}/bye", "state": "s"}
    page.goto(f"{site.issuer}/end-session?{urlencode(params)}")
    assert accessible(page)
    page.get_by_role("button", name="Abmelden").click()
    expect(page.get_by_role("heading", name="RP /bye")).to_be_visible()
    assert page.url == f"{site.origin}/bye?state=s"
    assert set(parse_qs(site.framed[-1])) == {"iss", "sid"}


def test_a_device_is_allowed_on_an_accessible_page(page: Page, site: Site) -> None:
    page.goto(f"{site.issuer}/device?user_code=WRONG")
    assert accessible(page)
    page.get_by_role("button", name="Weiter").click()
    expect(page.get_by_role("alert")).to_be_visible()
