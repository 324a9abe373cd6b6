"""One suite of logins at every host, with the plugin put in by every way that the how-to shows, at several places."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.hosts.apps import APPS
from tests.hosts.country import country as country
from tests.hosts.logins import LOGINS, own_login
from tests.hosts.people import Visitor, use_card_here
from tests.hosts.settings import make_plugin
from useid_middleware.emulation.client.flow import Outcome
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.http.asgi import ASGIApp

ISSUER: Final = "http://127.0.0.1:9000"
HOST: Final = "localhost:8000"
PROXY, STRANGER = "192.0.2.10", "192.0.2.1"
#: Where the app is: at the root; below a path that the server announces (``root_path``); below another app.
PLACES: Final = ("root", "root_path", "mounted")


@dataclass
class InProcess:
    """A host app in the process; see :class:`~tests.hosts.people.Place`."""

    app: ASGIApp
    url: str
    pki: Path
    provider: Provider
    root_path: str = ""

    def browser(self, *, ip: str = "192.0.2.1") -> Visitor:
        below = self.url.partition(HOST)[2]
        return Visitor(self.app, ip=ip, host=HOST, prefix=f"{below}/auth", root_path=self.root_path)

    def at_provider(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.provider))

    async def use_card(self, tc_token_url: str) -> Outcome:
        return await use_card_here(tc_token_url, pki=self.pki, client=self.browser(ip="198.51.100.7"))


@asynccontextmanager
async def opened(host: str, place: str, pki: Path, **settings: Any) -> AsyncIterator[InProcess]:
    """This host at this place."""
    below = "" if place == "root" else "/shop"
    url = f"http://{HOST}{below}"
    useid, provider = make_plugin(url, issuer=ISSUER, pki=pki, **settings)
    app = APPS[host](useid)
    if place == "mounted":
        app = Starlette(routes=[Mount(below, app=app)])
    try:
        yield InProcess(app, url, pki, provider, root_path=below if place == "root_path" else "")
    finally:
        await useid.stop()


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("host", APPS)
async def test_a_login_works_at_every_host_and_place(host: str, place: str, login: str, country: Path) -> None:
    async with opened(host, place, country) as where:
        await LOGINS[login](where)


@pytest.mark.parametrize("host", APPS)
async def test_every_host_is_where_a_trusted_proxy_says_and_knows_the_client_behind_it(
    host: str, country: Path
) -> None:
    said = {"x-forwarded-for": "203.0.113.9", "x-forwarded-prefix": "/shop"}
    network = {"trusted_proxies": [PROXY], "forwarded": ["for", "prefix"]}
    async with opened(host, "root", country, network=network) as where:
        for ip, root, seen in ((PROXY, "/shop", "203.0.113.9"), (STRANGER, "", STRANGER)):
            browser = where.browser(ip=ip)
            browser.headers |= said
            assert (await browser.send("GET", "/as/alice")).status < 300
            assert json.loads((await browser.send("GET", "/who")).body)["root"] == root
            sessions = (await browser.get("/sessions")).json()["sessions"]
            assert [session["ip"] for session in sessions if session["current"]] == [seen]
            # The link names the server as phones reach it, below the prefix that the proxy took away.
            link = (await browser.post("/session/create")).json()["qrData"]
            assert f"server={quote(f'http://{HOST}{root}/auth', safe='')}&" in link


@pytest.mark.parametrize("host", APPS)
async def test_addresses_that_are_not_ours_stay_the_hosts(host: str, country: Path) -> None:
    async with opened(host, "root", country) as where:
        browser = where.browser()
        for path in ("/nowhere", "/authority", "/authority/login"):
            answer = await browser.send("GET", path)
            assert (answer.status, b"no such address" in answer.body) == (404, False), path
        assert (await browser.send("GET", "/auth/nowhere")).status == 404
        await own_login(where)
