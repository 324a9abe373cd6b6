"""What the tests over TLS share: one country, one site, and the people."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import pytest

from tests.ausweisapp.serving import Country, found_country
from tests.emulation.over_tls.people import Browser
from tests.emulation.over_tls.site import CERTIFICATE, FOLDER, MOVED, OTHER_CERTIFICATE, PKIS
from tests.servers import free_port
from tests.serving import Server
from useid_middleware.emulation.client.demo_tls import prepare_demo_tls

APP: Final = "tests.emulation.over_tls.site:make_app"

#: Opens a new browser at the app of this path.
OpenBrowser = Callable[[str], Browser]


class Site(Server):
    """The apps of :mod:`.site`, served over TLS."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.origin = f"https://localhost:{self.port}"
        self.certificate, key = prepare_demo_tls(folder / "tls")
        other, _ = prepare_demo_tls(folder / "other-tls")
        environment = {
            "USEID_ORIGIN": self.origin,
            FOLDER: str(folder),
            CERTIFICATE: str(self.certificate),
            OTHER_CERTIFICATE: str(other),
        }
        super().__init__(APP, port=self.port, folder=folder, env=environment, factory=True)
        self._command += ["--ssl-certfile", str(self.certificate), "--ssl-keyfile", str(key)]
        self.trust = ssl.create_default_context(cafile=self.certificate)

    def moved(self, url: str) -> str:
        """An address here that leads there."""
        return f"{self.origin}/{MOVED}?{urlencode({'to': url})}"


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the site keeps what it has."""
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="package")
def country(folder: Path) -> Country:
    """The country whose cards and terminals these are."""
    first, *others = PKIS
    made = found_country(folder / first, generations=1)
    for name in others:
        made.copy(folder / name)
    return made


@pytest.fixture(scope="package")
def site(folder: Path, country: Country) -> Iterator[Site]:
    """The apps, served."""
    server = Site(folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def open_browser(site: Site) -> Iterator[OpenBrowser]:
    """Browsers, closed after the test."""
    with ExitStack() as stack:

        def open_browser(path: str) -> Browser:
            return stack.enter_context(Browser(f"{site.origin}/{path}", trust=site.trust))

        yield open_browser
