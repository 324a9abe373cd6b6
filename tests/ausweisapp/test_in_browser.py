"""The same with the real Chromium: what people see from the login page to the protected one.

AusweisApp2 listens where the tests want it, and browsers look for it on port 24727; the one thing that is not as it is
at home is that Chromium is sent to the other port.
"""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.ausweisapp.client import AusweisApp, Dialogue, Person, answer
from tests.ausweisapp.conftest import Present
from tests.ausweisapp.serving import Country, TLSServer
from tests.browser.people import Crowd, Desktop, gathered
from tests.emulation.card.ausweisapp import SDK
from useid_middleware.emulation.card.library import personality_named

_CLIENT = "http://127.0.0.1:24727/"


@pytest.fixture
def crowd(browser: Browser, server: TLSServer) -> Iterator[Crowd]:
    """People for one test."""
    with gathered(browser, server.origin) as crowd:
        yield crowd


@pytest.fixture
def visitor(crowd: Crowd, ausweisapp: AusweisApp) -> Callable[[], Desktop]:
    """Gives people with a browser of their own, on whose device AusweisApp2 runs."""

    def go_on(route: Route) -> None:
        route.continue_(url=route.request.url.replace(_CLIENT, f"http://127.0.0.1:{ausweisapp.port}/", 1))

    def visitor() -> Desktop:
        desktop = crowd.desktop(ignore_https_errors=True)
        desktop.page.route(f"{_CLIENT}**", go_on)
        return desktop

    return visitor


@contextmanager
def at_the_card(sdk: SDK, person: Person) -> Iterator[Future[Dialogue]]:
    """Somebody answers AusweisApp2 while the browser waits for it."""
    with ThreadPoolExecutor(1) as somebody:
        yield somebody.submit(answer, sdk, person)


def widget_shows(page: Page, status: str) -> Locator:
    """Wait until the widget's card is in this state."""
    card = page.locator("useid-eid .card")
    expect(card).to_have_attribute("data-status", status)
    return card


def begin_on_phone(desktop: Desktop, phone: Desktop) -> Locator:
    """From the QR code on the desktop to the link on the phone that starts the client."""
    widget_shows(desktop.page, "waiting")
    phone.page.goto(desktop.page.locator("useid-eid").evaluate("(element) => element.qrData"))
    phone.sees("Go on only if you yourself opened the login page there")
    phone.press("Continue")
    return phone.page.get_by_role("link", name="The app runs on this computer")


def test_on_one_device_the_browser_comes_back_to_the_protected_page(
    visitor: Callable[[], Desktop], present: Present, country: Country
) -> None:
    sdk = present(country.card(personality_named("erika")))
    desktop = visitor().open("/auth/eid?return=/protected")
    widget_shows(desktop.page, "waiting")
    with at_the_card(sdk, Person()) as dialogue:
        desktop.page.get_by_role("button", name="on this computer").click()
        desktop.arrives("/protected")
    assert dialogue.result().major == "ok"
    expect(desktop.page.locator("#acr")).to_have_text("L3-emulated")
    expect(desktop.page.locator("#sessions li").first).to_be_visible()


def test_who_cancels_on_one_device_comes_back_to_a_page_that_says_so(
    visitor: Callable[[], Desktop], present: Present, country: Country
) -> None:
    sdk = present(country.card(personality_named("erika")))
    desktop = visitor().open("/auth/eid?return=/protected")
    widget_shows(desktop.page, "waiting")
    with at_the_card(sdk, Person(cancels_at="ACCESS_RIGHTS")):
        desktop.page.get_by_role("button", name="on this computer").click()
        desktop.sees("You cancelled it in your ID card app.")
    desktop.open("/protected")
    assert "/login" in desktop.page.url


def test_from_the_phone_the_waiting_desktop_is_logged_in(
    visitor: Callable[[], Desktop], present: Present, country: Country
) -> None:
    sdk = present(country.card(personality_named("erika")))
    desktop, phone = visitor().open("/auth/eid?return=/protected"), visitor()
    with at_the_card(sdk, Person()) as dialogue:
        begin_on_phone(desktop, phone).click()
        phone.sees("Type it where you began")
    assert dialogue.result().major == "ok"
    code = re.sub(r"\s", "", phone.page.locator(".code-shown").inner_text())
    desktop.look()
    card = widget_shows(desktop.page, "code")
    card.get_by_role("textbox").fill(code)
    card.get_by_role("button", name="Confirm").click()
    desktop.arrives("/protected")
    expect(desktop.page.locator("#acr")).to_have_text("L1-emulated")
    # The phone has lent its card reader and nothing else.
    phone.open("/protected")
    assert "/login" in phone.page.url


def test_who_cancels_on_the_phone_need_not_wait_at_the_desktop(
    visitor: Callable[[], Desktop], present: Present, country: Country
) -> None:
    sdk = present(country.card(personality_named("erika")))
    desktop, phone = visitor().open("/auth/eid?return=/protected"), visitor()
    with at_the_card(sdk, Person(cancels_at="ENTER_PIN")):
        begin_on_phone(desktop, phone).click()
        phone.sees("You cancelled it in your ID card app.")
    desktop.look()
    widget_shows(desktop.page, "rejected")
