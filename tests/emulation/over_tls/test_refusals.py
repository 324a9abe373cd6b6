"""Whom our eID client does not show a card to, over real TLS: nobody is asked, and our side ends the login cleanly."""

import ssl
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.ausweisapp.serving import Country, found_country
from tests.emulation.over_tls.conftest import OpenBrowser, Site
from tests.emulation.over_tls.people import Browser, Holder, ending_of, told_by
from tests.emulation.over_tls.site import DIRECT, LAST_MONTH, UNDESCRIBED
from useid_middleware.eid.core.results import ClientMinor
from useid_middleware.emulation import paos
from useid_middleware.emulation.client.addresses import MAX_REDIRECTS
from useid_middleware.emulation.client.demo_tls import CERTIFICATE, KEY


@pytest.fixture
def elsewhere(folder: Path, site: Site) -> Iterator[str]:
    """A server with a TLS certificate that no description has, which leads wherever the query's ``to`` says.

    It closes each connection behind its answer.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            [target] = parse_qs(urlsplit(self.path).query)["to"]
            self.send_response(302)
            self.send_header("location", target)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "other-tls" / CERTIFICATE, folder / "other-tls" / KEY)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        running = Thread(target=server.serve_forever)
        running.start()
        yield f"https://localhost:{server.server_address[1]}/"
        server.shutdown()
        running.join()


def over(server: str, url: str) -> str:
    """An address at this server that leads there."""
    return f"{server}?{urlencode({'to': url})}"


def refused(desktop: Browser, holder: Holder, token_url: Callable[[str], str] = str) -> paos.Result:
    """Why the client refuses this login, as it tells the eID server; the desktop is told before any browser moves.

    ``token_url`` makes the address that the client is given out of the tcTokenURL.
    """
    started = desktop.start()
    with desktop.watching(started) as statuses:
        outcome = holder.use(token_url(started["tcTokenUrl"]))
        assert not outcome.is_ok
        *_, last = statuses
    assert (last["status"], last["reason"]) == ("rejected", "failed")
    assert holder.met == [("StartPAOS", "EAC1Input"), ("refusal", "StartPAOSResponse")]
    assert holder.person.shown is None
    assert holder.person.asked == []
    assert told_by(outcome)["ResultMajor"] == "error"
    assert ending_of(desktop.open(outcome.address)) == "failed"
    assert desktop.told()["user"] == ""
    assert holder.refusal is not None
    return holder.refusal


def test_a_server_whose_tls_certificate_is_not_in_the_description_is_refused(
    open_browser: OpenBrowser, country: Country
) -> None:
    refusal = refused(open_browser(UNDESCRIBED), Holder(country))
    assert refusal.minor == ClientMinor.TRUSTED_CHANNEL_FAILED
    assert refusal.message.startswith("TLS certificate:")


def test_a_tctoken_from_another_origin_than_the_certificate_names_is_refused(
    open_browser: OpenBrowser, country: Country
) -> None:
    refusal = refused(open_browser(DIRECT), Holder(country), lambda url: url.replace("localhost", "127.0.0.1"))
    assert refusal.minor == ClientMinor.INCORRECT_PARAMETER
    assert refusal.message.startswith("subjectURL:")


def test_a_tctokenurl_of_another_server_that_leads_here_is_refused(
    open_browser: OpenBrowser, country: Country, elsewhere: str
) -> None:
    refusal = refused(open_browser(DIRECT), Holder(country), lambda url: over(elsewhere, url))
    assert refusal.minor == ClientMinor.INCORRECT_PARAMETER
    assert refusal.message.startswith("subjectURL:")


def test_a_redirect_over_a_server_that_is_not_described_is_refused(
    open_browser: OpenBrowser, country: Country, site: Site, elsewhere: str
) -> None:
    refusal = refused(open_browser(DIRECT), Holder(country), lambda url: site.moved(over(elsewhere, url)))
    assert refusal.minor == ClientMinor.TRUSTED_CHANNEL_FAILED
    assert refusal.message.startswith("TLS certificate:")


def test_a_terminal_whose_certificate_has_expired_is_refused(open_browser: OpenBrowser, country: Country) -> None:
    refusal = refused(open_browser(LAST_MONTH), Holder(country))
    assert refusal.minor == ClientMinor.SECURITY_CONDITION_NOT_SATISFIED
    assert refusal.message.endswith("found one until an earlier day")


@pytest.mark.parametrize("generations", [1, 2], ids=["by a name that it knows", "by another name"])
def test_a_terminal_of_an_unknown_cvca_is_refused(
    open_browser: OpenBrowser, country: Country, tmp_path: Path, generations: int
) -> None:
    # CVCAs are named by their numbers: the first ones of two countries have the same name.
    newest, *_ = found_country(tmp_path / "pki", generations=generations).pki.trust_points
    refusal = refused(open_browser(DIRECT), Holder(country, trusted=[newest]))
    assert refusal.minor == ClientMinor.SECURITY_CONDITION_NOT_SATISFIED
    reasons = {1: "the signature does not verify", 2: "expected a chain from a trust point of the chip, found none"}
    assert refusal.message == reasons[generations]


def test_a_redirect_to_where_there_is_no_tls_is_not_followed(
    open_browser: OpenBrowser, country: Country, site: Site
) -> None:
    desktop = open_browser(DIRECT)
    started = desktop.start()
    outcome = Holder(country).use(site.moved(started["tcTokenUrl"].replace("https:", "http:")))
    assert (outcome.code, outcome.address) == ("address_refused", "")
    assert desktop.status(started)["status"] == "waiting"


def test_one_redirect_more_than_allowed_is_too_many(open_browser: OpenBrowser, country: Country, site: Site) -> None:
    desktop = open_browser(DIRECT)
    started = desktop.start()
    address = started["tcTokenUrl"]
    for _ in range(MAX_REDIRECTS + 1):
        address = site.moved(address)
    outcome = Holder(country).use(address)
    assert (outcome.code, outcome.address) == ("channel_failed", "")
    assert desktop.status(started)["status"] == "waiting"


def test_who_comes_second_gets_no_tctoken(open_browser: OpenBrowser, country: Country) -> None:
    desktop = open_browser(DIRECT)
    started = desktop.start()
    assert Holder(country).use(started["tcTokenUrl"]).is_ok
    second = Holder(country)
    outcome = second.use(started["tcTokenUrl"])
    assert (outcome.code, outcome.address, second.met) == ("channel_failed", "", [])
