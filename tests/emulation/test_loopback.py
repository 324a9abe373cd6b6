"""Serving at localhost: listeners at both loopback addresses, and the way from an address to the name."""

import socket

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tests.actors import Answer, Browser
from tests.servers import free_port
from useid_middleware.emulation.loopback import AtLocalhost, listen_at_localhost
from useid_middleware.errors import ConfigurationError

PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def has_ipv6() -> bool:
    """Whether this machine has ::1."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what was asked of it."""
    await PlainTextResponse(f"{scope['method']} {scope['path']}")(scope, receive, send)


async def ask(host: str, path: str, *, method: str = "GET", accept: dict[str, str] = PAGE) -> Answer:
    """The answer to a request for this host."""
    return await Browser(AtLocalhost(app), host=host, prefix="").send(method, path, b"", accept)


# ── listeners ──


def test_one_port_is_listened_at_for_each_address_that_localhost_may_mean() -> None:
    listeners = listen_at_localhost(0)
    try:
        port = listeners[0].getsockname()[1]
        assert [each.getsockname()[:2] for each in listeners] == [("127.0.0.1", port), ("::1", port)][: len(listeners)]
        assert len(listeners) == 1 + has_ipv6()
        for listener in listeners:
            socket.create_connection(listener.getsockname()[:2], timeout=15).close()
    finally:
        for listener in listeners:
            listener.close()


def test_a_port_that_somebody_has_is_told_in_one_line() -> None:
    listeners = listen_at_localhost(0)
    port = listeners[0].getsockname()[1]
    try:
        with pytest.raises(ConfigurationError) as caught:
            listen_at_localhost(port)
    finally:
        for listener in listeners:
            listener.close()
    assert caught.value.message == f"port {port} of 127.0.0.1: Address already in use; choose another"


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_a_port_that_somebody_has_at_the_other_address_alone_is_left_to_them_at_both() -> None:
    with socket.socket(socket.AF_INET6) as other:
        other.bind(("::1", free_port()))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} of ::1: Address already in use"):
            listen_at_localhost(port)
    # Nothing is left open at the first.
    with socket.socket() as again:
        again.bind(("127.0.0.1", port))


# ── from an address to the name ──


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("127.0.0.1:8000", "http://localhost:8000"),
        ("127.0.0.1", "http://localhost"),
        ("127.1.2.3:1", "http://localhost:1"),
        ("[::1]:8000", "http://localhost:8000"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_page_at_an_address_of_this_machine_is_at_localhost(host: str, place: str, method: str) -> None:
    answer = await ask(host, "/login?next=%2Fa%20b", method=method)
    assert (answer.status, answer.header("location")) == (307, f"{place}/login?next=%2Fa%20b")
    assert answer.header("cache-control") == "no-store"
    assert answer.body == b""


@pytest.mark.parametrize(
    "host",
    [
        "localhost:8000", "app.localhost", "192.0.2.1:8000", "[2001:db8::1]", "127.0.0.1.evil.example",
        "127.0.0.1@evil.example", "127.0.0.1:port", "127.0.0.1:99999", "[::1", "::1", "",
    ],
)  # fmt: skip
async def test_a_page_at_any_other_host_is_the_app_s(host: str) -> None:
    answer = await ask(host, "/login")
    assert (answer.status, answer.body) == (200, b"GET /login")


@pytest.mark.parametrize("accept", [{"accept": "*/*"}, {"accept": "application/json"}, {"accept": ""}])
async def test_a_program_is_answered_where_it_asks(accept: dict[str, str]) -> None:
    assert (await ask("127.0.0.1:8000", "/auth/session/x", accept=accept)).body == b"GET /auth/session/x"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_what_changes_something_is_not_moved(method: str) -> None:
    assert (await ask("127.0.0.1:8000", "/login", method=method)).status == 200
