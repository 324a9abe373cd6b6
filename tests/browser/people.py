"""People of the end-to-end tests: somebody at a desktop, a phone in a browser, a phone at the command line.

Each does what a person does, by names and roles that a person sees, and knows nothing of the wire.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
#: Milliseconds that a step of a page may take; reached only when something is wrong.
PATIENCE = 20_000
expect.set_options(timeout=PATIENCE)

_WATCH_POLICY = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""
#: Chromium itself logs every failed request; servers go away here on purpose.
_FAILED_REQUEST = "Failed to load resource"


class Crowd:
    """Everybody at one server. Every page of theirs must keep its policy and log no error of its own."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.url = url
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._complaints: list[str] = []

    def desktop(self, **options: Any) -> "Desktop":
        """Somebody with a browser that nobody has used before; ``options`` are Playwright's for a new context."""
        return Desktop(self._page({"viewport": {"width": 1180, "height": 900}} | options), self.url)

    def phone(self, **options: Any) -> "BrowserPhone":
        """Somebody with a new phone."""
        phone = BrowserPhone(self._page({"viewport": {"width": 480, "height": 920}} | options), self.url)
        phone.switch_on()
        return phone

    def leave(self) -> None:
        """Everybody goes; raises what their pages complained about."""
        for context in self._contexts:
            context.close()
        assert not self._complaints, "\n".join(self._complaints)

    def _page(self, options: dict[str, Any]) -> Page:
        context = self._browser.new_context(**({"locale": "en-GB"} | options))
        context.set_default_timeout(PATIENCE)
        context.add_init_script(_WATCH_POLICY)
        context.on("console", self._note)
        context.on("weberror", lambda error: self._complaints.append(str(error.error)))
        self._contexts.append(context)
        return context.new_page()

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_FAILED_REQUEST):
            self._complaints.append(f"{message.page.url if message.page else ''}: {message.text}")


@contextmanager
def gathered(browser: Browser, url: str) -> Iterator[Crowd]:
    """People for a while."""
    crowd = Crowd(browser, url)
    yield crowd
    crowd.leave()


@dataclass(frozen=True)
class Desktop:
    """Somebody at a desktop browser on the example app."""

    page: Page
    url: str

    @property
    def card(self) -> Locator:
        """The widget's card."""
        return self.page.locator("useid-login .card")

    def open(self, path: str) -> "Desktop":
        """Go to a page."""
        self.page.goto(self.url + path)
        return self

    def look(self) -> None:
        """Bring this window to the front, where two share a browser: those behind are slow, as they are for people."""
        self.page.bring_to_front()

    def arrives(self, path: str) -> None:
        """Wait until this page is there."""
        self.page.wait_for_url(self.url + path)

    def press(self, name: str) -> None:
        """Press the button of this name."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def sees(self, text: str) -> None:
        """Wait until the page says so."""
        expect(self.page.get_by_role("main")).to_contain_text(text)

    def log_in_with_password(self, password: str = "wonderland") -> None:
        """As alice, on the page that is open."""
        form = self.page.get_by_role("region", name="With your password")
        form.get_by_label("User name").fill("alice")
        form.get_by_label("Password", exact=True).fill(password)
        form.get_by_role("button", name="Log in").click()

    def offer_phone(self) -> str:
        """On the page ``Phones``: ask for an enrolment; returns the link in the QR code."""
        self.press("Add a phone")
        expect(self.page.get_by_role("img", name="QR code for adding a phone")).to_be_visible()
        return self.page.get_by_role("textbox", name="Link").input_value()

    def confirm_phone(self, label: str, code: str) -> None:
        """Type the phone's code."""
        expect(self.page.get_by_role("heading", name=f"“{label}” shows a code")).to_be_visible()
        self.page.get_by_label("Code from the phone").fill(code)
        self.press("Confirm")
        expect(self.page.get_by_role("heading", name=f"“{label}” is added")).to_be_visible()

    def widget_shows(self, status: str) -> None:
        """Wait until the widget is in this state."""
        expect(self.card).to_have_attribute("data-status", status)

    def qr_link(self) -> str:
        """What the widget's QR code says now."""
        self.widget_shows("waiting")
        return str(self.page.locator("useid-login").evaluate("(element) => element.qrData"))

    def type_code(self, code: str) -> None:
        """Type the phone's code into the widget."""
        self.widget_shows("code")
        self.card.get_by_role("textbox").fill(code)
        self.card.get_by_role("button", name="Confirm").click()

    def shoot(self, name: str) -> None:
        """A screenshot for people to look at."""
        shoot(self.page, name)


@dataclass(frozen=True)
class BrowserPhone:
    """Somebody with the emulated phone in a browser."""

    page: Page
    url: str

    def switch_on(self) -> None:
        """Open the app."""
        self.page.goto(f"{self.url}/phone/")
        self._shows("Your keys")

    def look(self) -> None:
        """Bring this window to the front, where two share a browser: those behind are slow, as they are for people."""
        self.page.bring_to_front()

    def scan(self, link: str) -> None:
        """Scan by pasting the link."""
        self.page.get_by_label("Link of the QR code").fill(link)
        self.page.get_by_role("button", name="Open link").click()

    def enrol(self, link: str, label: str) -> str:
        """Trust the server and add a key; returns the code."""
        self.scan(link)
        self._shows("Add this phone?")
        self.page.get_by_label("Name of this phone").fill(label)
        self.page.get_by_role("button", name="Trust and add").click()
        self._shows("Almost done")
        return self.code()

    def sees_request(self) -> None:
        """Wait until the phone asks."""
        self._shows("Log in?")

    def approve(self) -> None:
        """Say yes to what is asked."""
        self.page.get_by_role("button", name="Approve").click()
        self._shows("Approved")

    def reject(self) -> None:
        """Say no to what is asked."""
        self.page.get_by_role("button", name="Reject").click()
        self._shows("Rejected")

    def code(self) -> str:
        """The code on the screen, in its two groups."""
        return self.page.locator("#code").inner_text()

    def done(self) -> None:
        """Back to the first screen."""
        self.page.get_by_role("button", name="Done").click()
        self._shows("Your keys")

    def shoot(self, name: str) -> None:
        """A screenshot for people to look at."""
        shoot(self.page, name)

    def _shows(self, heading: str) -> None:
        expect(self.page.get_by_role("heading", name=heading, exact=True, level=1)).to_be_visible()


@dataclass(frozen=True)
class CommandLinePhone:
    """Somebody with ``useid phone`` in a terminal."""

    home: Path

    def enrol(self, link: str, label: str) -> str:
        """Add a key; returns the code."""
        return self._run("enrol", link, "--trust", "--label", label)

    def approve(self, link: str) -> str:
        """Say yes; returns the code, empty when none is asked for."""
        return self._run("approve", link, "--yes")

    def _run(self, *arguments: str) -> str:
        program = "import sys; from useid_middleware.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", program, "phone", *arguments, "--home", str(self.home)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ))
        assert done.returncode == 0, done.stderr
        shown = re.search(r"^ *(\d{3} \d{3})$", done.stdout, re.MULTILINE)
        return shown[1] if shown else ""


def enrol(desktop: Desktop, phone: BrowserPhone | CommandLinePhone, label: str) -> None:
    """Log in with the password where needed, and add the phone."""
    desktop.open("/phones")
    if "/login" in desktop.page.url:
        desktop.log_in_with_password()
        desktop.arrives("/phones")
    desktop.confirm_phone(label, phone.enrol(desktop.offer_phone(), label))


def shoot(page: Page, name: str) -> None:
    """A screenshot of the whole page in ``build/screenshots``."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True, animations="disabled")


def serious_findings(page: Page, *, rules: Sequence[str] = ()) -> list[str]:
    """What axe finds serious or critical on the page as it is, one line a node; ``rules`` alone where named."""
    # Preloading style sheets means inline styles of axe's own, which the page's policy rightly forbids.
    options: dict[str, Any] = {"preload": False, "resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = list(rules)
    return [
        f"{found['id']}: {node['html']}: {node['failureSummary']}"
        for found in Axe().run(page, options=options).response["violations"]
        if found["impact"] in ("serious", "critical")
        for node in found["nodes"]
    ]
