"""A whole login in Chromium through nginx: HTTP/2, an event stream, secure cookies, and the browser's own address."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.harbour import SETTINGS
from tests.browser.people import enrol, gathered
from tests.proxies.nginx import CA, PROXY, Nginx, program
from tests.servers import free_port
from tests.serving import Server


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    """The example app behind nginx."""
    program()
    nginx = Nginx(tmp_path, CA(tmp_path))
    settings = SETTINGS | {"USEID_ORIGIN": nginx.origin, "USEID_NETWORK__TRUSTED_PROXIES": f'["{PROXY}"]'}
    server = Server("example_app.app:app", port=free_port(), folder=tmp_path, env=settings, factory=False)
    server._command.append("--no-proxy-headers")
    server.start()
    try:
        nginx.start(server.url.removeprefix("http://"))
        yield nginx
    finally:
        nginx.stop()
        server.stop()


def test_somebody_logs_in_with_a_phone_through_nginx(nginx: Nginx, browser: Browser) -> None:
    unknown_ca = {"ignore_https_errors": True}
    with gathered(browser, nginx.origin) as crowd:
        owner, phone = crowd.desktop(**unknown_ca), crowd.phone(**unknown_ca)
        enrol(owner, phone, "Pocket phone")
        phone.done()
        desktop = crowd.desktop(**unknown_ca)
        desktop.open("/protected")
        phone.scan(desktop.qr_link())
        phone.sees_request()
        # The page hears of it by its stream, which nginx does not hold back.
        desktop.widget_shows("scanned")
        phone.approve()
        desktop.type_code(phone.code())
        desktop.arrives("/protected")
        protocol = desktop.page.evaluate("() => performance.getEntriesByType('navigation')[0].nextHopProtocol")
        assert protocol == "h2"
        cookies = desktop.page.context.cookies()
        names = {cookie["name"] for cookie in cookies if cookie["name"].startswith(("useid", "__Host-"))}
        assert names == {"__Host-useid-session", "__Host-useid-browser"}
        assert all(cookie["secure"] and cookie["httpOnly"] for cookie in cookies if cookie["name"] in names)
        shown = desktop.page.evaluate("async () => (await (await fetch('/auth/sessions')).json()).sessions")
        assert {session["ip"] for session in shown} == {"127.0.0.1"}
