"""What only a browser does: the frames of npm ``oidc-provider`` 6 and the example app's, in real Chromium."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.browser.harbour import SETTINGS
from tests.browser.people import Crowd, Desktop, gathered
from tests.peers.providers import SECRET, Peer, StartPeer, client
from tests.peers.relying import Listener
from tests.peers.relying import listener as listener
from tests.peers.sites import SCOPES, registered
from tests.servers import free_port
from tests.serving import Server

#: Keeps what the monitor tells the page around it.
WATCH: Final = """
window.told = [];
addEventListener("message", ({data, origin}) => {
  if (origin === location.origin && data?.useid === "session") told.push(data.state);
});
"""


class Site:
    """The example app and a provider 6 that knows it: of ``channels`` of it, and with ``features`` of its own."""

    def __init__(
        self,
        start: StartPeer,
        tmp_path_factory: pytest.TempPathFactory,
        *,
        host: str,
        elsewhere: str,
        channels: Mapping[str, str],
        features: Mapping[str, Mapping[str, object]],
    ) -> None:
        #: Where another application at the same provider is.
        self.elsewhere = elsewhere
        app_port, peer_port = free_port(), free_port()
        configured = {"issuer": f"http://{host}:{peer_port}", "client_id": "useid", "client_secret": SECRET}
        env = SETTINGS | {
            "USEID_OIDC__PROVIDERS": json.dumps({"op": {**configured, "label": "Peer", "scopes": SCOPES}}),
            "USEID_OIDC__CHECK_SESSION_INTERVAL": "1",
        }
        folder = tmp_path_factory.mktemp("app")
        self.app = Server("example_app.app:app", port=app_port, folder=folder, env=env, factory=False)
        known: dict[str, Any] = {"frontchannel_logout_session_required": True} if channels else {}
        known |= {name: f"{self.app.url}/auth{path}" for name, path in channels.items()}
        self.peer: Peer = start(
            [
                registered(self.app.url, **known),
                client(elsewhere, client_id="other"),
            ],
            host=host,
            port=peer_port,
            features=features,
        )
        self.app.start()

    def log_in(self, desktop: Desktop, name: str) -> None:
        """From the app's login page, to the members' page."""
        desktop.open("/login?next=/protected")
        desktop.page.get_by_role("link", name="Log in with Peer").click()
        log_in_as(desktop.page, name)
        desktop.arrives("/protected")
        desktop.sees(name)

    def log_out_elsewhere(self, desktop: Desktop) -> None:
        """In another window of the same browser, at the provider itself."""
        window = desktop.page.context.new_page()
        window.goto(f"{self.peer.issuer}/session/end")
        window.get_by_role("button", name="Log out").click()
        expect(window.get_by_role("heading", name="Logged out")).to_be_visible()


def log_in_as(page: Page, name: str) -> None:
    """On the provider's page."""
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Log in").click()


def is_told(desktop: Desktop, why: str) -> None:
    """The page says that the session has ended and why, and there is none."""
    desktop.look()
    notice = desktop.page.get_by_role("alertdialog")
    expect(notice).to_contain_text("You have been logged out")
    expect(notice).to_contain_text(why)
    desktop.open("/protected")
    assert "/login" in desktop.page.url


FRONT: Final = {"frontchannel_logout_uri": "/frontchannel-logout"}
NO_BACK: Final = {"backchannelLogout": {"enabled": False}}


@pytest.fixture(scope="module")
def near(start_provider6: StartPeer, tmp_path_factory: pytest.TempPathFactory, listener: Listener) -> Iterator[Site]:
    """A provider on the app's own site, that logs out by frames and has no other way."""
    features = {**NO_BACK, "sessionManagement": {"enabled": False}}
    elsewhere = f"{listener.origin}/elsewhere"
    site = Site(
        start_provider6, tmp_path_factory, host="127.0.0.1", elsewhere=elsewhere, channels=FRONT, features=features
    )
    yield site
    site.app.stop()


@pytest.fixture(scope="module")
def afar(start_provider6: StartPeer, tmp_path_factory: pytest.TempPathFactory, listener: Listener) -> Iterator[Site]:
    """A provider on another site, whose frames are sent no cookies on ours, nor ours on its."""
    elsewhere = f"{listener.origin}/elsewhere"
    site = Site(
        start_provider6, tmp_path_factory, host="localhost", elsewhere=elsewhere, channels=FRONT, features=NO_BACK
    )
    yield site
    site.app.stop()


@pytest.fixture(scope="module")
def monitored(
    start_provider6: StartPeer, tmp_path_factory: pytest.TempPathFactory, listener: Listener
) -> Iterator[Site]:
    """A provider that tells nobody of a logout: whoever wants to know asks its iframe."""
    elsewhere = f"{listener.origin}/elsewhere"
    site = Site(start_provider6, tmp_path_factory, host="127.0.0.1", elsewhere=elsewhere, channels={}, features={})
    yield site
    site.app.stop()


@pytest.mark.parametrize(("name", "relation"), [("near", "same-site"), ("afar", "cross-site")])
def test_a_logout_at_the_provider_reaches_us_in_a_frame_with_or_without_our_cookie(
    browser: Browser, request: pytest.FixtureRequest, name: str, relation: str
) -> None:
    site: Site = request.getfixturevalue(name)
    sent: list[dict[str, str]] = []

    def note(asked: Request) -> None:
        if "/auth/frontchannel-logout?" in asked.url:
            sent.append(asked.all_headers())

    with gathered(browser, site.app.url) as crowd:
        here, there = crowd.desktop(), crowd.desktop()
        site.log_in(here, "ada")
        site.log_in(there, "ada")
        here.page.context.on("requestfinished", note)
        site.log_out_elsewhere(here)
        is_told(here, "You logged out at your login provider.")
        # The same person in another browser is logged in there by another session of the provider's.
        there.open("/protected")
        there.sees("ada")
    [headers] = sent
    assert (headers["sec-fetch-site"], headers["sec-fetch-dest"]) == (relation, "iframe")
    assert ("useid-session=" in headers.get("cookie", "")) == (relation == "same-site")


def test_a_monitor_whose_provider_may_not_see_its_cookies_stops_and_logs_nobody_out(
    browser: Browser, afar: Site
) -> None:
    with gathered(browser, afar.app.url) as crowd:
        desktop = monitored_desktop(crowd, afar, "ada")
        desktop.page.wait_for_function("() => told.length > 0")
        assert desktop.page.evaluate("told") == ["stopped"]
        desktop.open("/protected")
        desktop.sees("ada")


def watched(desktop: Desktop) -> None:
    """Wait until the provider's iframe has said "unchanged" twice more, and nothing else was said."""
    desktop.page.wait_for_function("() => told.length > 0")
    monitor = next(frame for frame in desktop.page.frames if frame.url.endswith("/auth/session-monitor"))
    answers = monitor.evaluate(
        """() => new Promise((resolve) => {
            const said = [];
            addEventListener("message", ({data}) => said.push(data) === 2 && resolve(said));
        })"""
    )
    assert answers == ["unchanged"] * 2
    assert desktop.page.evaluate("told") == ["watching"]


def monitored_desktop(crowd: Crowd, site: Site, name: str) -> Desktop:
    """Somebody who is logged in, and whose page watches the provider's session."""
    desktop = crowd.desktop()
    desktop.page.add_init_script(WATCH)
    site.log_in(desktop, name)
    return desktop


def test_the_monitor_sees_no_change_while_the_person_is_logged_in_at_the_provider(
    browser: Browser, monitored: Site
) -> None:
    with gathered(browser, monitored.app.url) as crowd:
        desktop = monitored_desktop(crowd, monitored, "ada")
        watched(desktop)
        desktop.open("/protected")
        desktop.sees("ada")


def test_the_monitor_sees_the_end_of_the_providers_session_and_ends_ours(browser: Browser, monitored: Site) -> None:
    with gathered(browser, monitored.app.url) as crowd:
        desktop = monitored_desktop(crowd, monitored, "ada")
        watched(desktop)
        before = len(monitored.peer.events("authorization.error"))
        monitored.log_out_elsewhere(desktop)
        # The provider was asked without the person, and said that nobody is there.
        desktop.look()
        refused = monitored.peer.wait_for("authorization.error", count=before + 1)
        assert refused["error"] == "login_required"
        expect(desktop.page.get_by_role("alertdialog")).to_be_visible()
        # The stream of the session's end may be quicker than the monitor's own word for it.
        assert desktop.page.evaluate("told.slice(0, 2)") == ["watching", "renewing"]
        is_told(desktop, "You are not logged in at your login provider any more, or as somebody else.")


def elsewhere(site: Site, **more: str) -> str:
    """The address at which another application begins a login at the provider."""
    asked = {"client_id": "other", "response_type": "code", "scope": "openid", "redirect_uri": site.elsewhere}
    challenge = {"code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method": "S256"}
    return f"{site.peer.issuer}/auth?{urlencode({**asked, **challenge, **more})}"


def test_the_monitor_sees_that_somebody_else_logged_in_at_the_provider(browser: Browser, monitored: Site) -> None:
    with gathered(browser, monitored.app.url) as crowd:
        desktop = monitored_desktop(crowd, monitored, "ada")
        watched(desktop)
        window = desktop.page.context.new_page()
        window.goto(elsewhere(monitored, prompt="login"))
        log_in_as(window, "grace")
        window.wait_for_url(f"{monitored.elsewhere}?**")
        is_told(desktop, "You are not logged in at your login provider any more, or as somebody else.")


def test_a_login_of_the_same_person_for_another_application_changes_nothing(browser: Browser, monitored: Site) -> None:
    with gathered(browser, monitored.app.url) as crowd:
        desktop = monitored_desktop(crowd, monitored, "ada")
        watched(desktop)
        window = desktop.page.context.new_page()
        window.goto(elsewhere(monitored))
        window.wait_for_url(f"{monitored.elsewhere}?**")
        desktop.look()
        watched(desktop)
        desktop.open("/protected")
        desktop.sees("ada")
