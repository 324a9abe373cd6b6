"""The WebAuthn server's TLS certificate, over real TLS: only a key that the eService vouches for gets anything."""

import json
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_bytes
from threading import Thread
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.emulation.client.website import Person
from tests.emulation.server.world import card_of
from useid_middleware._codec import b64url
from useid_middleware.eid.core.link import Widget
from useid_middleware.eid.core.tctoken import WebAuthnServer
from useid_middleware.emulation.client.binding import bind
from useid_middleware.emulation.client.demo_tls import prepare_demo_tls
from useid_middleware.emulation.client.driver import Network, run_flow
from useid_middleware.emulation.client.failure import Failure
from useid_middleware.emulation.client.passkeys import MemoryCredentials, Passkeys
from useid_middleware.webauthn.core.options import User, begin_registration
from useid_middleware.webauthn.core.relying_party import RelyingParty
from useid_middleware.webauthn.core.sealing import open_refresh_url

NOW: Final = 1_800_000_000.0
REFRESH: Final = "https://shop.example/refresh?ResultMajor=ok"
WIDGET: Final = "AAAAAAAAAAAAAAAAAAAAAA"
KEY: Final = X25519PrivateKey.from_private_bytes(bytes(range(32)))
HANDLE: Final = bytes(range(32))
PARTY: Final = RelyingParty(id="localhost", name="Harbour", origins=frozenset({"https://localhost"}))


class WebAuthnSite:
    """A server whose connections show these certificates, one after the other, and the last one ever after.

    Each answer ends its connection, so that each request shows one.
    """

    def __init__(self, *shown: tuple[Path, Path]) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        contexts = [_context(*pair) for pair in shown]
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                options, _ = begin_registration(PARTY, User(HANDLE, "Harbour", "Harbour"), challenge=bytes(32), now=NOW)
                self._answer(201, json.dumps({"userId": b64url(HANDLE), "options": options}).encode())

            def do_PUT(self) -> None:
                self._answer(204, b"")

            def _answer(self, status: int, body: bytes) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
                site.requests.append((self.command, self.path, sent))
                self.send_response(status)
                if body:
                    self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def get_request(self) -> tuple[ssl.SSLSocket, Any]:
                connection, address = super().get_request()
                context = contexts.pop(0) if len(contexts) > 1 else contexts[0]
                return context.wrap_socket(connection, server_side=True), address

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever)
        self.url = f"https://localhost:{self._server.server_address[1]}/auth"

    def __enter__(self) -> "WebAuthnSite":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


Serve = Callable[..., WebAuthnSite]


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Sequence[tuple[Path, Path]]:
    """Two certificates for the same host, each with a key of its own."""
    return [prepare_demo_tls(tmp_path_factory.mktemp(name)) for name in ("usual", "other")]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves a site until the test is over."""
    with ExitStack() as stack:
        yield lambda *shown: stack.enter_context(WebAuthnSite(*shown))


def vouch(site: WebAuthnSite, *pairs: tuple[Path, Path]) -> WebAuthnServer:
    """What an eService says of the server whose keys these are."""
    return WebAuthnServer(
        site.url.removeprefix("https://").removesuffix("/auth"), tuple(_pin(each) for each, _ in pairs)
    )


def _pin(path: Path) -> bytes:
    key = x509.load_pem_x509_certificate(path.read_bytes()).public_key()
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def seal(site: WebAuthnSite, vouched: WebAuthnServer) -> None:
    """What the client does after the eID server's success."""
    widget = Widget(WIDGET, site.url, public_key=KEY.public_key().public_bytes_raw())
    passkeys = Passkeys(MemoryCredentials(), random=token_bytes, clock=lambda: NOW)
    with Network() as network:
        flow = bind(REFRESH, widget, vouched, allow_loopback_http=False)
        run_flow(flow, network=network, card=card_of(), person=Person(), authenticator=passkeys)


def test_the_server_with_the_key_gets_the_sealed_address_and_the_passkey(
    serve: Serve, pairs: Sequence[tuple[Path, Path]]
) -> None:
    usual, _ = pairs
    site = serve(usual)
    seal(site, vouch(site, usual))
    [(_, _, account), (_, _, registered)] = site.requests
    assert [(method, path) for method, path, _ in site.requests] == [
        ("POST", "/auth/webauthn/accounts"),
        ("PUT", f"/auth/webauthn/accounts/{b64url(HANDLE)}"),
    ]
    sealed = account["sealedRefreshUrl"]
    assert open_refresh_url(sealed, private_key=KEY.private_bytes_raw(), session_id=WIDGET) == REFRESH
    assert registered["credential"]["type"] == "public-key"


def test_a_certificate_may_be_renewed_while_the_eservice_vouches_for_both_keys(
    serve: Serve, pairs: Sequence[tuple[Path, Path]]
) -> None:
    usual, other = pairs
    site = serve(usual, other)
    seal(site, vouch(site, usual, other))
    assert [method for method, _, _ in site.requests] == ["POST", "PUT"]


def test_a_server_with_another_key_gets_no_request(serve: Serve, pairs: Sequence[tuple[Path, Path]]) -> None:
    usual, other = pairs
    site = serve(other)
    with pytest.raises(Failure, match="was_refused"):
        seal(site, vouch(site, usual))
    assert site.requests == []


@pytest.mark.parametrize(("usual_for", "sent"), [(1, ["POST"]), (2, ["POST", "PUT"])])
def test_a_certificate_that_changes_on_the_way_ends_it(
    serve: Serve, pairs: Sequence[tuple[Path, Path]], usual_for: int, sent: list[str]
) -> None:
    usual, other = pairs
    site = serve(*[usual] * usual_for, other)
    with pytest.raises(Failure, match="was_refused"):
        seal(site, vouch(site, usual))
    assert [method for method, _, _ in site.requests] == sent


def test_a_server_that_the_eservice_does_not_name_is_not_even_connected_to(
    serve: Serve, pairs: Sequence[tuple[Path, Path]]
) -> None:
    usual, _ = pairs
    site, elsewhere = serve(usual), serve(usual)
    with pytest.raises(Failure, match="was_unknown"):
        seal(site, vouch(elsewhere, usual))
    assert site.requests == elsewhere.requests == []
