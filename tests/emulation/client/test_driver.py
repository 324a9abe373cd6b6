"""The eID client's way to servers: real TLS with certificates that nobody vouches for, and bounds on what they send."""

import gzip
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest

from useid_middleware.emulation.client.actions import (
    Authentication,
    Connect,
    CreateCredential,
    Fetch,
    Flow,
    PasswordRequest,
    Post,
    Put,
    Transmit,
    Unreachable,
)
from useid_middleware.emulation.client.demo_tls import prepare_demo_tls
from useid_middleware.emulation.client.driver import MAX_ANSWER, Authenticator, Network, run_flow
from useid_middleware.errors import RequestError


@dataclass
class Site:
    """A website at ``url`` whose TLS certificate is ``der``."""

    url: str
    der: bytes
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    certificate, key = prepare_demo_tls(tmp_path_factory.mktemp("tls"))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(302 if self.path == "/redirect" else 200)

        def do_POST(self) -> None:
            self._answer(200)

        def do_PUT(self) -> None:
            self._answer(200)

        def _answer(self, status: int) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            found.requests.append((self.command, self.path, body))
            found.connections.add(self.client_address)
            self.send_response(status)
            self.send_header("content-type", "text/plain; charset=utf-8")
            self.send_header("content-length", "5")
            self.send_header("location", "/elsewhere")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *arguments: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        found = Site(f"https://127.0.0.1:{server.server_address[1]}", _der(certificate))
        Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


def _der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text())


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


def test_a_self_signed_certificate_is_taken_and_told(site: Site, network: Network) -> None:
    fetched = network.fetch(Fetch(f"{site.url}/a?b"))
    assert (fetched.status, fetched.body, fetched.content_type) == (200, b"hello", "text/plain; charset=utf-8")
    assert fetched.tls_certificate == site.der
    assert fetched.url == f"{site.url}/a?b"


def test_the_certificate_is_told_without_a_request_too(site: Site, network: Network) -> None:
    before = len(site.requests)
    assert network.connect(Connect(f"{site.url}/a")) == site.der
    assert len(site.requests) == before
    assert network.connect(Connect("http://127.0.0.1:1/")) is None


def test_a_redirect_is_told_and_not_followed(site: Site, network: Network) -> None:
    fetched = network.fetch(Fetch(f"{site.url}/redirect"))
    assert (fetched.status, fetched.location) == (302, "/elsewhere")
    assert site.requests[-1][1] == "/redirect"


def test_a_message_goes_out_as_it_is_and_connections_are_kept(site: Site, network: Network) -> None:
    site.connections.clear()
    for number in range(3):
        answer = network.post(Post(f"{site.url}/post", {"content-type": "text/xml"}, b"<a>%d</a>" % number))
        assert answer.tls_certificate == site.der
    assert [body for _, path, body in site.requests if path == "/post"] == [b"<a>0</a>", b"<a>1</a>", b"<a>2</a>"]
    assert len(site.connections) == 1


def test_what_is_put_goes_out_as_it_is_and_its_server_is_told(site: Site, network: Network) -> None:
    answer = network.put(Put(f"{site.url}/put/1", {"content-type": "application/json"}, b"{}"))
    assert (answer.status, answer.tls_certificate) == (200, site.der)
    assert site.requests[-1] == ("PUT", "/put/1", b"{}")


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"https://127.0.0.1:{taken.getsockname()[1]}/"


def test_a_server_that_is_not_there_is_unreachable(nobody: str, network: Network) -> None:
    for call in (
        lambda: network.fetch(Fetch(nobody)),
        lambda: network.post(Post(nobody, {}, b"")),
        lambda: network.put(Put(nobody, {}, b"")),
        lambda: network.connect(Connect(nobody)),
    ):
        with pytest.raises(Unreachable) as caught:
            call()
        assert caught.value.code == "server_unreachable"


def test_a_server_without_tls_is_unreachable(network: Network) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"

        def answer() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                connection.close()

        thread = Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(Unreachable):
            network.fetch(Fetch(url))
        with pytest.raises(Unreachable):
            network.connect(Connect(url))
        thread.join()


Handler = Callable[[httpx2.Request], httpx2.Response]


def mocked(handler: Handler) -> Network:
    """A network with this server alone."""
    return Network(transport=httpx2.MockTransport(handler))


def test_an_answer_has_an_end() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1024)

    with (
        mocked(lambda request: httpx2.Response(200, content=endless())) as network,
        pytest.raises(Unreachable) as caught,
    ):
        network.fetch(Fetch("https://a.example/"))
    assert str(MAX_ANSWER) in caught.value.message


def test_a_compressed_answer_is_refused() -> None:
    bomb = gzip.compress(bytes(10_000_000))

    def handler(request: httpx2.Request) -> httpx2.Response:
        assert request.headers["accept-encoding"] == "identity"
        return httpx2.Response(200, headers={"content-encoding": "gzip"}, content=bomb)

    with mocked(handler) as network, pytest.raises(Unreachable) as caught:
        network.fetch(Fetch("https://a.example/"))
    assert "Content-Encoding" in caught.value.message


def test_an_address_that_the_library_refuses_is_unreachable() -> None:
    with Network() as network, pytest.raises(Unreachable):
        network.fetch(Fetch("https://a.example:99999/"))


# ── running a flow ────────────────────────────────────────────────────────────────────────────────────────────────────


class Somebody:
    """A card, a person and an authenticator in one, with an answer to everything."""

    def __init__(self, *, makes_passkeys: bool = True) -> None:
        self.makes_passkeys = makes_passkeys
        self.made: list[CreateCredential] = []

    def transmit(self, apdu: bytes) -> bytes:
        if apdu == b"lost":
            raise Unreachable("lost")
        return apdu[::-1]

    def confirm(self, request: Authentication) -> frozenset[str] | None:
        return None

    def enter_password(self, request: PasswordRequest) -> str | None:
        return "123456"

    def confirm_passkey(self, request: CreateCredential) -> bool:
        return self.makes_passkeys

    def create(self, request: CreateCredential) -> dict[str, Any]:
        self.made.append(request)
        return {"id": "made"}


def run(flow: Flow[object], somebody: Somebody | None = None, authenticator: Authenticator | None = None) -> object:
    somebody = somebody or Somebody()
    with mocked(lambda request: httpx2.Response(200, content=iter([request.content]))) as network:
        return run_flow(flow, network=network, card=somebody, person=somebody, authenticator=authenticator)


def test_each_action_gets_its_answer() -> None:
    def flow() -> Flow[object]:
        first = yield Transmit(b"ab")
        second = yield Post("https://a.example/", {}, b"body")
        third = yield Connect("http://a.example/")
        fourth = yield Put("https://a.example/", {}, b"more")
        return first, second.body, third, fourth.body

    assert run(flow()) == (b"ba", b"body", None, b"more")


PASSKEY = CreateCredential({}, origin="https://a.example", rp_id="a.example", account="Harbour")


def passkey() -> Flow[object]:
    """Asks for one."""
    return (yield PASSKEY)


def test_a_passkey_is_made_once_the_person_has_agreed() -> None:
    somebody = Somebody()
    assert run(passkey(), somebody, somebody) == {"id": "made"}
    assert somebody.made == [PASSKEY]


def test_without_the_persons_word_no_passkey_is_made() -> None:
    somebody = Somebody(makes_passkeys=False)
    assert run(passkey(), somebody, somebody) is None
    assert somebody.made == []


def test_a_device_without_an_authenticator_makes_no_passkey_and_the_flow_hears_it() -> None:
    def flow() -> Flow[object]:
        with pytest.raises(RequestError) as caught:
            yield PASSKEY
        return caught.value.code

    assert run(flow()) == "authenticator_missing"


def test_what_goes_wrong_is_thrown_into_the_flow_and_it_may_go_on() -> None:
    def flow() -> Flow[object]:
        with pytest.raises(Unreachable) as caught:
            yield Transmit(b"lost")
        answer: bytes = yield Transmit(b"ab")
        return caught.value.message, answer

    assert run(flow()) == ("lost", b"ba")


def test_what_the_flow_does_not_expect_comes_out() -> None:
    def flow() -> Flow[object]:
        return (yield Transmit(b"lost"))

    with pytest.raises(Unreachable):
        run(flow())
