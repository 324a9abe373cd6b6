"""The example app, really served, for the end-to-end tests: imported by the modules that use it."""

import os
import re
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.people import BrowserPhone, Crowd, enrol, gathered
from tests.servers import free_port
from tests.serving import Server

#: All people of a test share an address, an account and a phone, and are quicker than people.
SETTINGS = {
    "USEID_LIMITS__PER_IP": "100000",
    "USEID_LIMITS__PER_ACCOUNT": "100000",
    "USEID_LIMITS__PER_KEY": "100000",
    "USEID_SSE__RETRY": "0.1",
}


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The example app on its default, one SQLite file. A test that stops it starts it again."""
    server = Server(
        "example_app.app:app", port=free_port(), folder=tmp_path_factory.mktemp("harbour"), env=SETTINGS, factory=False
    )
    at_localhost(server)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def crowd(browser: Browser, harbour: Server) -> Iterator[Crowd]:
    """People for one test."""
    with gathered(browser, harbour.url) as crowd:
        yield crowd


@pytest.fixture(scope="module")
def phone(browser: Browser, harbour: Server) -> Iterator[BrowserPhone]:
    """Alice's phone, enrolled."""
    with gathered(browser, harbour.url) as crowd:
        phone = crowd.phone()
        enrol(crowd.desktop(), phone, "Alice’s phone")
        phone.done()
        yield phone


def at_localhost(server: Server) -> None:
    """Have people come to its name, as to the demo: browsers know no passkeys of an address."""
    server.url = server.url.replace("127.0.0.1", "localhost")


def kill(server: Server) -> None:
    """End the server's process as a power cut does."""
    pid = re.findall(r"Started server process \[(\d+)\]", server.log())[-1]
    os.kill(int(pid), signal.SIGKILL)
    server.stop()
