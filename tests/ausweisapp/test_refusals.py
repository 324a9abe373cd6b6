"""What the stock client refuses to show a card to, and what our side makes of that: nothing remains, nobody is in.

All servers are the example's plugin over TLS. Each does one thing wrong.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.ausweisapp.client import AusweisApp, Dialogue, Person
from tests.ausweisapp.conftest import Present
from tests.ausweisapp.desktop import Desktop
from tests.ausweisapp.serving import Country, TLSServer, found_country
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.client.demo_tls import prepare_demo_tls

#: What becomes of an authentication at this server.
Refused = Callable[..., Dialogue]


class Serve(Protocol):
    """Starts a server that does something wrong; it is stopped after the test."""

    def __call__(
        self, *, country: Path, described: Path | None = None, paos_host: str = "localhost", app: str = "make_app"
    ) -> TLSServer: ...


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Servers in a folder of their own."""
    servers: list[TLSServer] = []

    def serve(
        *, country: Path, described: Path | None = None, paos_host: str = "localhost", app: str = "make_app"
    ) -> TLSServer:
        folder = tmp_path / "server"
        folder.mkdir()
        server = TLSServer(folder, country=country, described=described, paos_host=paos_host, app=app)
        servers.append(server)
        server.start()
        return server

    yield serve
    for server in servers:
        server.stop()


@pytest.fixture
def refused(present: Present, country: Country, ausweisapp: AusweisApp) -> Refused:
    """An authentication that the client refuses; checks that our side has ended the login and knows nobody."""

    def refused(server: TLSServer, *, host: str = "localhost") -> Dialogue:
        sdk = present(country.card(personality_named("erika")))
        with Desktop(server) as desktop:
            started = desktop.start()
            with desktop.watching(started["sessionId"]) as statuses:
                token_url = started["tcTokenUrl"].replace("localhost", host)
                dialogue = desktop.use_client(ausweisapp, sdk, token_url, Person())
                *_, last = statuses
            assert (last["status"], last["reason"]) == ("rejected", "failed")
            if dialogue.url:
                assert "The login did not work" in desktop.follow(dialogue.url).text
            assert desktop.told()["user"] == ""
        assert dialogue.major == "error"
        # Nobody was asked for consent or PIN.
        assert dialogue.asked == []
        assert b"ERIKA" not in server.stored()
        with closing(sqlite3.connect(server.folder / "useid.db")) as database:
            assert database.execute("SELECT count(*) FROM useid_accounts").fetchone() == (0,)
        return dialogue

    return refused


def test_a_server_whose_tls_certificate_is_not_in_the_description_is_refused(
    serve: Serve, refused: Refused, country: Country, tmp_path: Path
) -> None:
    other, _ = prepare_demo_tls(tmp_path / "other")
    dialogue = refused(serve(country=country.copy(tmp_path / "pki").folder, described=other))
    assert dialogue.minor == "trustedChannelEstablishmentFailed"
    assert dialogue.reason.startswith("Hash of TLS certificate not in certificate description")
    # What is at the refresh address is not trusted either: the client says so at the one for such errors.
    assert parse_qs(urlsplit(dialogue.url).query) == {"ResultMajor": ["error"], "ResultMinor": ["communicationError"]}


def test_a_tctoken_from_another_origin_than_the_certificate_names_is_refused(
    serve: Serve, refused: Refused, country: Country, tmp_path: Path
) -> None:
    server = serve(country=country.copy(tmp_path / "pki").folder, paos_host="127.0.0.1")
    dialogue = refused(server, host="127.0.0.1")
    assert dialogue.minor == "parameterError"
    assert dialogue.reason.startswith("The subject URL in the certificate description and the TCToken URL do not")
    assert parse_qs(urlsplit(dialogue.url).query) == {"ResultMajor": ["error"], "ResultMinor": ["serverError"]}


def test_a_terminal_whose_certificate_has_expired_is_refused(
    serve: Serve, refused: Refused, country: Country, tmp_path: Path
) -> None:
    server = serve(country=country.copy(tmp_path / "pki").folder, app="make_app_of_last_month")
    assert refused(server).minor == "invalidCertificatePath"


@pytest.mark.parametrize("generations", [1, 2], ids=["by another name", "by a name that it knows"])
def test_a_terminal_of_an_unknown_cvca_is_refused(
    serve: Serve, refused: Refused, tmp_path: Path, generations: int
) -> None:
    abroad = found_country(tmp_path / "pki", generations=generations)
    assert refused(serve(country=abroad.folder)).minor == "invalidCertificatePath"


def test_a_client_that_cannot_begin_with_our_eid_server_sends_the_browser_to_tell_us(
    present: Present, country: Country, ausweisapp: AusweisApp, server: TLSServer
) -> None:
    # The tcToken comes from one origin and names an eID server at another one that has the same TLS session.
    sdk = present(country.card(personality_named("erika")))
    with Desktop(server) as desktop:
        started = desktop.start()
        token_url = started["tcTokenUrl"].replace("localhost", "127.0.0.1")
        dialogue = desktop.use_client(ausweisapp, sdk, token_url, Person())
        assert dialogue.minor == "trustedChannelEstablishmentFailed"
        assert desktop.status(started["sessionId"])["status"] == "scanned"
        assert "The login did not work" in desktop.follow(dialogue.url).text
        status = desktop.status(started["sessionId"])
        assert (status["status"], status["reason"]) == ("rejected", "failed")
        assert desktop.told()["user"] == ""
