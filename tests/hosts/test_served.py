"""The same suite at every host under a real uvicorn, where an event must arrive while the response is open."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.hosts.apps import APPS
from tests.hosts.country import country as country
from tests.hosts.logins import LOGINS
from tests.hosts.served import HostServer, OnNetwork


@pytest.fixture(scope="module", params=APPS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, country: Path
) -> Iterator[HostServer]:
    """A host, served."""
    made = HostServer(request.param, folder=tmp_path_factory.mktemp("served"), pki=country)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def place(server: HostServer, country: Path) -> AsyncIterator[OnNetwork]:
    """The host as its browsers know it."""
    made = OnNetwork(server.url, country)
    yield made
    await made.close()


@pytest.mark.parametrize("login", LOGINS)
async def test_a_login_works_over_a_real_server(place: OnNetwork, login: str) -> None:
    await LOGINS[login](place)


async def test_a_waiting_page_hears_bye_when_the_server_stops(server: HostServer, place: OnNetwork) -> None:
    """The last test of each server: whichever way the plugin was put in, it hears of the stop in time."""
    desktop = place.browser()
    created = (await desktop.post("/session/create")).json()
    async with desktop.stream(f"/session/{created['sessionId']}/events") as stream:
        assert await stream.next_status() == "waiting"
        server.stop()
        await stream.end()
    assert stream.events()[-1][0] == "bye"
    assert "Cancel" not in server.log()
    assert "Finished server process" in server.log()
