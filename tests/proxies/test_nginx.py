"""All logins through Debian's nginx with TLS and HTTP/2, and whose word counts about where they come from."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from tests.hosts.country import country as country
from tests.hosts.logins import LOGINS
from tests.hosts.people import Caller
from tests.hosts.served import HostServer, OnNetwork
from tests.proxies.nginx import CA, PROXY, Nginx, program
from tests.servers import PATIENCE
from tests.test_docs import page
from useid_middleware import Settings
from useid_middleware.settings.network import NetworkSettings

#: Addresses of this machine that browsers come from; so far from any that the documentation reserves for examples.
HERE, ELSEWHERE, FORGED = "127.0.0.2", "127.0.0.3", "203.0.113.9"
TRUSTING: Final[dict[str, Any]] = {"trusted_proxies": [PROXY]}
#: Each with the plugin around it.
FRAMEWORKS: Final = ("starlette", "fastapi", "litestar", "quart", "django", "bare")
#: Where the app is, by who says so: nobody needs to; the proxy; the server.
PLACES: Final[dict[str, tuple[str, dict[str, Any], list[str]]]] = {
    "root": ("/", TRUSTING, []),
    "prefix": ("/shop", TRUSTING | {"forwarded": ["for", "proto", "prefix"]}, []),
    "root_path": ("/shop", TRUSTING, ["--root-path", "/shop"]),
}


#: Everybody is told of the prefix by either; without one Starlette stands for all.
DEPLOYED: Final = [
    ("starlette", "root"),
    *((host, place) for host in FRAMEWORKS for place in ("prefix", "root_path")),
]


@dataclass(frozen=True)
class Deployed:
    """An app and the nginx in front of it."""

    server: HostServer
    nginx: Nginx
    place: OnNetwork

    def stop(self) -> None:
        """End both."""
        self.nginx.stop()
        self.server.stop()


def deploy(
    folder: Path,
    pki: Path,
    *,
    host: str = "starlette",
    place: str = "/",
    arguments: list[str] | None = None,
    **settings: Any,
) -> Deployed:
    """Start both; uvicorn itself believes no header."""
    program()
    folder.mkdir(parents=True)
    ca = CA(folder)
    nginx = Nginx(folder, ca, place=place)
    url = nginx.origin + place.rstrip("/")
    server = HostServer(
        host,
        folder=folder,
        pki=pki,
        url=url,
        arguments=["--no-proxy-headers", *(arguments or [])],
        eid={"server_tls_certificate": ca.certificate},
        **settings,
    )
    server.start()
    try:
        nginx.start(server.upstream)
    except BaseException:
        server.stop()
        raise
    addresses = {each: each for each in (HERE, ELSEWHERE)}
    return Deployed(server, nginx, OnNetwork(url, pki, {"http2": True, "verify": ca.trust}, addresses))


@pytest.fixture(scope="module", params=DEPLOYED, ids="-".join)
def deployed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, country: Path
) -> Iterator[Deployed]:
    """An app of each framework."""
    host, name = request.param
    place, network, arguments = PLACES[name]
    folder = tmp_path_factory.mktemp("nginx") / "a"
    made = deploy(folder, country, host=host, place=place, arguments=arguments, network=network)
    yield made
    made.stop()


@pytest.fixture
async def place(deployed: Deployed) -> AsyncIterator[OnNetwork]:
    """The app as browsers know it."""
    yield deployed.place
    await deployed.place.close()


def test_the_how_to_shows_the_settings_that_these_tests_use(tmp_path: Path) -> None:
    shown = []
    for text in re.findall(r"```toml\n(.*?)```", page("howto/reverse-proxy.md"), re.DOTALL):
        (tmp_path / "useid.toml").write_text(text)
        network = Settings(config_file=tmp_path / "useid.toml").network
        # Only the proxy's address differs: the tests' nginx has one of its own on this machine.
        assert network.trusted_proxies == ("127.0.0.1",)
        shown.append(network.model_copy(update={"trusted_proxies": (PROXY,)}))
    assert shown == [NetworkSettings(**PLACES[name][1]) for name in ("root", "prefix")]


@pytest.mark.parametrize("login", LOGINS)
async def test_a_login_works_through_nginx(place: OnNetwork, login: str) -> None:
    await LOGINS[login](place)
    browsers = [browser for browser in place.browsers if browser.versions]
    assert {version for browser in browsers for version in browser.versions} == {"HTTP/2"}
    cookies = {name for browser in browsers for name in browser.cookies}
    assert cookies
    assert all(name.startswith("__Host-useid-") for name in cookies), cookies


async def test_the_phone_and_the_session_list_show_the_browsers_address(place: OnNetwork) -> None:
    desktop, phone, owner = place.browser(ip=HERE), Caller(place), place.browser(ip=ELSEWHERE)
    path = place.url.removeprefix(desktop.origin)
    assert (await owner.send("GET", f"{path}/as/alice")).status == 200
    await phone.enrol(owner)
    created = (await desktop.post("/session/create", headers={"x-forwarded-for": FORGED})).json()
    scanned = (await phone.scan(created["qrData"])).json()
    assert scanned["context"]["ip"] == HERE
    sessions = (await owner.get("/sessions")).json()["sessions"]
    assert [session["ip"] for session in sessions if session["current"]] == [ELSEWHERE]


@dataclass
class Limited:
    """An app that answers one login a minute from each address."""

    deployed: Deployed

    async def create(self, ip: str, *, past_nginx: bool = False, **headers: str) -> int:
        """The status of a login that somebody begins."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if past_nginx:
            transport = httpx2.AsyncHTTPTransport(local_address=ip)
            async with httpx2.AsyncClient(transport=transport, timeout=PATIENCE) as client:
                url = f"http://{self.deployed.server.upstream}/auth/session/create"
                return (await client.post(url, headers=named)).status_code
        browser = self.deployed.place.browser(ip=ip)
        return (await browser.post("/session/create", headers=named)).status


@pytest.fixture
async def limited(tmp_path: Path, country: Path) -> AsyncIterator[Limited]:
    """One for this test alone."""
    made = deploy(tmp_path / "b", country, network=TRUSTING, limits={"per_ip": 1})
    yield Limited(made)
    await made.place.close()
    made.stop()


async def test_limits_count_the_real_address_whatever_headers_say(limited: Limited) -> None:
    assert [await limited.create(HERE) for _ in range(2)] == [201, 429]
    # A header of the browser's own stands left of what nginx adds.
    assert await limited.create(HERE, x_forwarded_for=FORGED) == 429
    assert await limited.create(HERE, forwarded=f"for={FORGED}", x_real_ip=FORGED) == 429
    # Others are not held up: they are not all the proxy.
    assert await limited.create(ELSEWHERE) == 201


async def test_a_peer_that_is_no_trusted_proxy_is_not_believed(limited: Limited) -> None:
    assert await limited.create(HERE, past_nginx=True, x_forwarded_for=FORGED) == 201
    assert await limited.create(HERE, past_nginx=True, x_forwarded_for="203.0.113.10") == 429
    assert await limited.create(HERE, past_nginx=True, forwarded="for=203.0.113.11") == 429
    # Nor has it used up the limit of whom it named.
    assert await limited.create(PROXY, past_nginx=True, x_forwarded_for=FORGED) == 201


async def test_with_no_proxy_trusted_all_browsers_share_the_proxys_address(tmp_path: Path, country: Path) -> None:
    """What a missing setting looks like, and that the tests above would notice."""
    made = deploy(tmp_path / "c", country, limits={"per_ip": 1}, origin="https://shop.example")
    limited = Limited(made)
    try:
        statuses = [await limited.create(ip, origin="https://shop.example") for ip in (HERE, ELSEWHERE)]
    finally:
        await made.place.close()
        made.stop()
    assert statuses == [201, 429]


async def test_events_arrive_one_by_one_while_the_response_is_open(place: OnNetwork) -> None:
    desktop, phone, owner = place.browser(), Caller(place), place.browser()
    path = place.url.removeprefix(desktop.origin)
    assert (await owner.send("GET", f"{path}/as/alice")).status == 200
    await phone.enrol(owner)
    created = (await desktop.post("/session/create")).json()
    async with desktop.stream(f"/session/{created['sessionId']}/events") as stream:
        assert await stream.next_status() == "waiting"
        assert [name for name, _ in stream.events()] == ["status"]
        assert (await phone.scan(created["qrData"])).status == 200
        assert await stream.next_status() == "scanned"
        assert (await phone.reject(created["qrData"])).status == 200
        assert await stream.next_status() == "rejected"
        await stream.end()
