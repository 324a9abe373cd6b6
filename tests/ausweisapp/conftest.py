"""What the tests with AusweisApp2 share: each start of a program costs seconds, so that a module has one of each.

Not the whole run: all PC/SC programs of a machine share one daemon, and other tests start one of their own.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.ausweisapp.client import AusweisApp, running
from tests.ausweisapp.desktop import Desktop
from tests.ausweisapp.reader import Slot
from tests.ausweisapp.serving import Country, TLSServer, found_country
from tests.emulation.card.ausweisapp import SDK
from tests.emulation.card.pcsc import daemon, inserted
from useid_middleware.emulation.card.chip import Card
from useid_middleware.emulation.card.library import personality_named

#: Puts a card into the reader, in the place of the one that is there; returns a new connection to AusweisApp2.
Present = Callable[[Card], SDK]


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Country:
    """The country whose cards are in the reader."""
    return found_country(tmp_path_factory.mktemp("country") / "pki", generations=2)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The reader's port for cards."""
    with daemon(tmp_path_factory.mktemp("pcscd")) as port:
        yield port


@pytest.fixture(scope="module")
def slot(port: int, country: Country) -> Iterator[Slot]:
    """The reader, with somebody's card in it."""
    slot = Slot(country.card(personality_named("erika")))
    with inserted(slot, port=port):
        yield slot


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, country: Country) -> Iterator[TLSServer]:
    """The example app."""
    server = TLSServer(tmp_path_factory.mktemp("server"), country=country.folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def ausweisapp(
    tmp_path_factory: pytest.TempPathFactory, port: int, country: Country, server: TLSServer
) -> Iterator[AusweisApp]:
    """AusweisApp2, which trusts the country.

    It ends before the server, which would wait for connections that it does not give up.
    """
    with running(tmp_path_factory.mktemp("ausweisapp"), trusted=country.trust) as app:
        yield app


@pytest.fixture
def present(slot: Slot, ausweisapp: AusweisApp) -> Iterator[Present]:
    """What a person does with a card: before AusweisApp2 looks for readers, it is in one."""
    with ExitStack() as connection:

        def present(card: Card) -> SDK:
            connection.close()
            slot.card = card
            return connection.enter_context(ausweisapp.connected())

        yield present


@pytest.fixture
def desktop(server: TLSServer) -> Iterator[Desktop]:
    """Somebody's browser."""
    with Desktop(server) as desktop:
        yield desktop
