"""Fixtures of the browser's tests: a stand-in server, and a page that notices every violation of its policy."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.browser.wire import Wire

# What is waited for takes a few seconds at most, backing off included, on a machine that has nothing else to do.
expect.set_options(timeout=20_000)

#: Chromium itself logs every failed request; the widget's tests make requests fail on purpose.
_FAILED_REQUEST = "Failed to load resource"
_WATCH_POLICY = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


@pytest.fixture
def wire() -> Iterator[Wire]:
    """The stand-in server, started."""
    server = Wire()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser of one test's own: cookies, storage, permissions. English unless a page says otherwise."""
    context = browser.new_context(locale="en-GB", viewport={"width": 900, "height": 760})
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page. When the test is over, it must not have violated its policy nor logged an error of its own."""
    page = context.new_page()
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_FAILED_REQUEST):
            errors.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_init_script(_WATCH_POLICY)
    yield page
    assert page.evaluate("window.violations") == []
    assert errors == []
