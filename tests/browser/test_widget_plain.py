"""The login without JavaScript, as its pages come out of the browser."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_widget_access import LOOKS, serious_findings
from tests.browser.wire import Wire
from useid_middleware.widget.serve import plain_page

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
QR = "/auth/widget/none.svg"
PAGES: dict[str, dict[str, Any]] = {
    "waiting": {"state": "waiting"},
    "scanned": {"state": "scanned"},
    "code": {"state": "approved", "code_required": True, "error": "That code is not right. 4 attempts left."},
    "approved": {"state": "approved"},
    "rejected": {"state": "rejected"},
    "expired": {"state": "expired"},
}
CODE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 65 65"><path fill="#fff" d="M0 0h65v65H0z"/>'
    '<path d="M4 4h7v7H4zm50 0h7v7h-7zM4 54h7v7H4zM20 20h30v3H20zm0 10h20v3H20zm0 12h26v3H20z"/></svg>'
)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_every_plain_page_passes_axe_and_fits_the_screen(browser: Browser, wire: Wire, name: str, look: str) -> None:
    context = browser.new_context(reduced_motion="reduce", **LOOKS[look])
    page = context.new_page()
    page.route("**/*.svg", lambda route: route.fulfill(body=CODE, content_type="image/svg+xml"))
    wire.plain = plain_page(
        server="/auth", app_name="Acme Shop", session_id="AbC", qr_url=QR, link="tana://auth?session=AbC",
        seconds_left=272, lang="de" if look == "german" else "en", **PAGES[name],
    )  # fmt: skip
    page.goto(wire.url + "/auth/plain/AbC")
    expect(page.locator(".card")).to_be_visible()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"plain-{name}-{look}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # A page without scripts cannot follow a login but by loading itself again.
    assert serious_findings(page, disabled=("meta-refresh",)) == []
    context.close()


def test_without_scripts_the_login_page_leads_to_the_plain_one(browser: Browser, wire: Wire) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(wire.url + "/auth/login")
    expect(page.locator("useid-login")).to_be_hidden()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "plain-start.png")
    wire.plain = b"<!doctype html><title>Plain</title>"
    page.get_by_role("button", name="Log in without JavaScript").click()
    assert page.title() == "Plain"
    assert wire.bodies == ["returnUrl=%2Forders"]
    context.close()


def test_the_plain_page_keeps_its_policy(page: Page, wire: Wire) -> None:
    page.route("**/*.svg", lambda route: route.fulfill(body=CODE, content_type="image/svg+xml"))
    for arguments in PAGES.values():
        wire.plain = plain_page(server="/auth", app_name="A", session_id="AbC", qr_url=QR, link="tana://x", **arguments)
        page.goto(wire.url + "/auth/plain/AbC")
        assert page.evaluate("violations") == []
