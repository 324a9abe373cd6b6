"""Bound logins in real browsers: the example app that wants them, and people with phones that are near or are not."""

import io
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes
from time import time
from typing import Any, TypeVar

from playwright.sync_api import Locator, Page, expect

from tests.browser.harbour import SETTINGS, at_localhost
from tests.browser.people import CommandLinePhone, Crowd, Desktop
from tests.browser.virtual import Asked, watch
from tests.servers import free_port
from tests.serving import Server
from useid_middleware.emulation.phone.app import Phone, Terminal
from useid_middleware.emulation.phone.authenticator import CredentialSource
from useid_middleware.emulation.phone.driver import new_client
from useid_middleware.emulation.phone.keys import KeyFile

T = TypeVar("T")

PROCEED = "Continue with your phone"


@contextmanager
def bound_harbour(folder: Path, **env: str) -> Iterator[Server]:
    """The example app, whose logins by QR code are bound; ``env`` are further settings."""
    settings = SETTINGS | {"USEID_QR__ASSURANCE": "L2"} | env
    server = Server("example_app.app:app", port=free_port(), folder=folder, env=settings, factory=False)
    at_localhost(server)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def apart(work: Callable[[], T]) -> T:
    """What ``work`` returns, done in a thread of its own: this one has the browser's event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


class PocketPhone(CommandLinePhone):
    """``useid phone`` without a process of its own; its passkeys can be brought near a browser."""

    def enrol(self, link: str, label: str) -> str:
        said = self._do(lambda phone: phone.enrol(link, label=label, trust=True))
        shown = re.search(r"^ *(\d{3} \d{3})$", said, re.MULTILINE)
        assert shown is not None
        return shown[1]

    def approve(self, link: str) -> str:
        return self._do(lambda phone: phone.approve(link, username=None, yes=True))

    @property
    def newest(self) -> CredentialSource:
        """The passkey of the login that was approved last."""
        return KeyFile(self.home).credentials()[-1]

    def _do(self, what: Callable[[Phone], None]) -> str:
        output = io.StringIO()
        phone = Phone(
            keys=KeyFile(self.home), terminal=Terminal(io.StringIO(), output), new_client=new_client, clock=time,
            new_seed=lambda: token_bytes(32), scheme="tana",
        )  # fmt: skip
        apart(lambda: what(phone))
        return output.getvalue()


@dataclass
class Waiter:
    """Somebody at a desktop who waits for a bound login; ``element`` is the widget's."""

    desktop: Desktop
    element: str
    asked: Asked
    #: All that the console has said.
    said: list[str] = field(default_factory=list)

    @property
    def page(self) -> Page:
        """The window."""
        return self.desktop.page

    @property
    def card(self) -> Locator:
        """The widget's card."""
        return self.page.locator(f"{self.element} .card")

    @property
    def alert(self) -> Locator:
        """What the card says is wrong."""
        return self.card.locator("[role=alert].failure")

    def shows(self, status: str) -> None:
        """Wait until the widget is in this state."""
        expect(self.card).to_have_attribute("data-status", status)

    @property
    def session(self) -> str:
        """The login's id."""
        return str(self.state()["sessionId"])

    def begin(self, path: str) -> str:
        """Open the login page; returns what its QR code holds."""
        self.desktop.open(path)
        self.shows("waiting")
        return str(self.page.locator(self.element).evaluate("(element) => element.qrData"))

    def press(self, name: str = PROCEED) -> None:
        """Press one of the card's buttons."""
        self.card.get_by_role("button", name=name, exact=True).click()

    def state(self) -> dict[str, Any]:
        """The element's ``state``."""
        state: dict[str, Any] = self.page.locator(self.element).evaluate("(element) => element.state")
        return state

    def is_nobody(self) -> None:
        """Members' pages are closed."""
        self.desktop.open("/protected")
        assert "/login" in self.page.url


def waiter(crowd: Crowd, *, element: str = "useid-login", **options: Any) -> Waiter:
    """Somebody new; ``options`` are Playwright's for a new context."""
    desktop = crowd.desktop(**options)
    waiter = Waiter(desktop, element, watch(desktop.page))
    desktop.page.context.on("console", lambda message: waiter.said.append(message.text))
    return waiter


def cookies(waiter: Waiter) -> list[str]:
    """The values of this browser's cookies that let somebody in: all that no script can read."""
    return [cookie["value"] for cookie in waiter.page.context.cookies() if cookie.get("httpOnly")]


def markup(page: Page) -> str:
    """The page with all of its open shadow trees."""
    found: str = page.evaluate(
        """() => {
          const roots = [...document.querySelectorAll("*")].map(({ shadowRoot }) => shadowRoot).filter(Boolean);
          return document.documentElement.getHTML({ serializableShadowRoots: true, shadowRoots: roots });
        }"""
    )
    return found
