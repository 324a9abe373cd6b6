"""The login card on a page, as a user finds it."""

from collections.abc import Mapping
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.wire import Answer, Wire

STATES = (
    "loading", "waiting", "scanned", "code", "code-wrong", "approved", "rejected", "expired", "error", "offline",
)  # fmt: skip


class Card:
    """The card of the stand-in server's login page."""

    def __init__(self, page: Page, wire: Wire) -> None:
        self.page = page
        self.wire = wire
        self.root = page.locator("useid-login .card")
        self.status = self.root.locator(".message[role=status]")
        self.alert = self.root.locator("[role=alert].failure")
        self.field = self.root.locator("input")
        self.qr = self.root.locator(".qr svg")
        self.timer = self.root.get_by_role("timer")
        self.announcer = self.root.locator(".unseen[role=status]")

    def open(self, path: str = "/auth/login") -> "Card":
        """Load the login page."""
        self.page.goto(self.wire.url + path)
        return self

    def shows(self, status: str) -> "Card":
        """Wait until the card is in ``status``."""
        expect(self.root).to_have_attribute("data-status", status)
        return self

    def button(self, name: str) -> Locator:
        """The button of that name."""
        return self.root.get_by_role("button", name=name)

    def state(self) -> Mapping[str, Any]:
        """The element's ``state``."""
        state: Mapping[str, Any] = self.page.locator("useid-login").evaluate("(element) => element.state")
        return state

    def reach(self, state: str, path: str = "/auth/login") -> None:
        """Bring the card into one of :data:`STATES`."""
        if state in ("code", "code-wrong"):
            self.wire.code = "482913"
        if state == "loading":
            self.page.route("**/session/create", lambda route: None)
        if state == "error":
            self.wire.instead["/create"] = Answer(503)
        if state in ("loading", "error"):
            self.open(path).shows(state)
            return
        self.open(path).shows("waiting")
        if state == "scanned":
            self.wire.move("scanned")
        elif state in ("code", "code-wrong", "approved"):
            self.wire.move("approved")
            if state == "code-wrong":
                self.shows("code").field.fill("482 914")
                self.root.locator("button[type=submit]").click()
                expect(self.root.locator(".code-error")).not_to_be_empty()
        elif state in ("rejected", "expired"):
            self.wire.move(state)
        elif state == "offline":
            self.wire.stop()
        self.shows("code" if state == "code-wrong" else state)
