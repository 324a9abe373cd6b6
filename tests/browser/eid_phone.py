"""The emulated phone with an ID card for the tests in a browser: how it is served, and what a person does with it."""

import socket
import threading
from dataclasses import dataclass
from typing import Literal

import uvicorn
from playwright.sync_api import Page, expect

from tests.browser.people import shoot
from useid_middleware.http.asgi import ASGIApp


class _Server(uvicorn.Server):
    """Says when the port is open."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.open = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.open.set()


class Served:
    """An app on a free port of this machine, in a thread of its own."""

    def __init__(self, app: ASGIApp, *, lifespan: Literal["on", "off"] = "off") -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        config = uvicorn.Config(app, log_level="error", lifespan=lifespan, timeout_graceful_shutdown=1)
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()
        assert self._server.open.wait(30)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)


@dataclass
class CardPhone:
    """Somebody with the phone in a hand. ``url`` is the phone's own page."""

    page: Page
    url: str

    def switch_on(self, address: str = "") -> None:
        self.page.goto(self.url + address)
        expect(self.page.get_by_role("combobox", name="Card")).to_have_value("erika")

    def open_link(self, link: str) -> None:
        self.page.get_by_label("Link", exact=True).fill(link)
        self.page.get_by_role("button", name="Open").click()

    def agree(self) -> None:
        self.shows("Identify yourself?")
        self.page.get_by_role("button", name="Continue to PIN").click()
        self.shows("Hold your card to the phone")
        self.page.get_by_role("button", name="Hold the card to the phone").click()

    def type(self, digits: str) -> None:
        expect(self.page.locator("#digits")).to_be_focused()
        self.page.keyboard.type(digits)
        self.page.keyboard.press("Enter")

    def shows(self, heading: str) -> None:
        expect(self.page.get_by_role("heading", name=heading, exact=True, level=1)).to_be_visible()

    def shoot(self, name: str) -> None:
        shoot(self.page, f"eid-phone-{name}")
