"""Whose word counts about where a request comes from: the headers of trusted proxies, and nobody else's."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from useid_middleware.http.forwarded import (
    MOST_HOPS,
    Hop,
    TrustedProxies,
    parse_address,
    parse_forwarded,
    parse_x_forwarded_for,
)
from useid_middleware.settings.network import NetworkSettings

NEAR, FAR, CLIENT = "10.0.0.5", "10.0.0.6", "203.0.113.9"
OWN_PORT = 40000


def proxies(*, trusted: tuple[str, ...] = ("10.0.0.0/24",), **settings: Any) -> TrustedProxies:
    return TrustedProxies(NetworkSettings(trusted_proxies=trusted, **settings))


def scope_of(*headers: tuple[str, str], peer: str | None = NEAR, **changes: Any) -> dict[str, Any]:
    """A request as the server reports it; a peer of ``None`` speaks over a Unix socket."""
    return {
        "type": "http",
        "scheme": "http",
        "path": "/auth/login",
        "raw_path": b"/auth/login",
        "root_path": "",
        "client": None if peer is None else (peer, OWN_PORT),
        "headers": [(b"host", b"app:8000"), *((name.encode(), value.encode("latin-1")) for name, value in headers)],
    } | changes


def applied(proxies: TrustedProxies, *headers: tuple[str, str], **changes: Any) -> dict[str, Any]:
    scope = scope_of(*headers, **changes)
    proxies.apply(scope)
    return scope


def client_of(proxies: TrustedProxies, *headers: tuple[str, str], **changes: Any) -> str:
    client = applied(proxies, *headers, **changes)["client"]
    return str(client[0]) if client else ""


@pytest.mark.parametrize(
    ("said", "client"),
    [
        (CLIENT, CLIENT),
        (f"{CLIENT}, {FAR}", CLIENT),
        (f"{CLIENT},{FAR} , 10.0.0.7", CLIENT),
        (f"198.51.100.1, {CLIENT}, {FAR}", CLIENT),
        (f"10.0.0.9, {CLIENT}", CLIENT),
        (f"{FAR}, 10.0.0.7", FAR),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:0DB8::0001", "2001:db8::1"),
        (f"{CLIENT}:4711", CLIENT),
        (f"::ffff:{CLIENT}", CLIENT),
        (f"{CLIENT}, ::ffff:{FAR}", CLIENT),
        # The nearest proxy does not say, so it is the one that we know.
        ("unknown", NEAR),
        ("", NEAR),
        (f"{CLIENT}, ", NEAR),
        (f"{CLIENT}, evil.example", NEAR),
        (f"{CLIENT}, 10.0.0.300", NEAR),
        (f"{CLIENT}, 1.2.3.4:99999", NEAR),
        ("fe80::1%eth0", NEAR),
        # A farther one does not: it is he.
        (f"unknown, {FAR}", FAR),
    ],
)
def test_the_client_is_the_first_address_from_the_right_that_is_no_proxys(said: str, client: str) -> None:
    assert client_of(proxies(), ("x-forwarded-for", said)) == client


def test_several_headers_are_one_list() -> None:
    said = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", CLIENT), ("x-forwarded-for", FAR)]
    assert client_of(proxies(), *said) == CLIENT


def test_the_port_is_that_of_the_header_or_unknown() -> None:
    assert applied(proxies(), ("x-forwarded-for", f"{CLIENT}:4711"))["client"] == (CLIENT, 4711)
    assert applied(proxies(), ("x-forwarded-for", CLIENT))["client"] == (CLIENT, 0)
    assert applied(proxies())["client"] == (NEAR, OWN_PORT)


EVERYTHING = [
    ("x-forwarded-for", CLIENT),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-prefix", "/evil"),
    ("forwarded", f"for={CLIENT};proto=https;host=evil.example"),
]
PARTS = ("for", "proto", "host", "prefix")


@pytest.mark.parametrize("kind", ["x-forwarded", "forwarded"])
@pytest.mark.parametrize(
    ("trusted", "peer"),
    [
        ((), NEAR),
        (("10.0.0.6",), NEAR),
        (("10.0.0.0/24",), "10.0.1.5"),
        (("10.0.0.0/24",), "2001:db8::1"),
        (("10.0.0.0/24",), "testclient"),
        (("10.0.0.0/24",), None),
        (("2001:db8::/32",), NEAR),
        (("unix",), NEAR),
    ],
)
def test_a_peer_that_is_no_trusted_proxy_changes_nothing(trusted: tuple[str, ...], peer: str | None, kind: str) -> None:
    scope = applied(proxies(trusted=trusted, forwarded=PARTS, forwarded_by=kind), *EVERYTHING, peer=peer)
    scope.pop("useid_forwarded", None)
    assert scope == scope_of(*EVERYTHING, peer=peer)


@pytest.mark.parametrize(
    ("trusted", "peer"),
    [("10.0.0.5", NEAR), ("10.0.0.0/8", NEAR), ("::1", "::1"), ("127.0.0.1", "::ffff:127.0.0.1"), ("unix", None)],
)
def test_a_trusted_proxy_is_an_address_a_network_or_a_socket(trusted: str, peer: str | None) -> None:
    assert client_of(proxies(trusted=(trusted,)), ("x-forwarded-for", CLIENT), peer=peer) == CLIENT


def test_headers_of_the_other_kind_are_a_clients_own() -> None:
    standard, usual = ("forwarded", "for=198.51.100.1;proto=https"), ("x-forwarded-for", CLIENT)
    assert client_of(proxies(), standard, usual) == CLIENT
    assert client_of(proxies(), standard) == NEAR
    assert applied(proxies(), standard, usual)["scheme"] == "http"
    assert client_of(proxies(forwarded_by="forwarded"), standard, usual) == "198.51.100.1"
    assert client_of(proxies(forwarded_by="forwarded"), usual) == NEAR


def test_what_the_settings_do_not_name_is_not_believed() -> None:
    assert applied(proxies(), *EVERYTHING)["headers"][0] == (b"host", b"app:8000")
    assert applied(proxies(), *EVERYTHING)["root_path"] == ""
    assert applied(proxies(forwarded=("proto",)), *EVERYTHING)["client"] == (NEAR, OWN_PORT)
    assert applied(proxies(forwarded=("for",)), *EVERYTHING)["scheme"] == "http"


@pytest.mark.parametrize(
    ("kind", "scheme", "said", "expected"),
    [
        ("http", "http", "https", "https"),
        ("http", "https", "http", "http"),
        ("http", "http", "HTTPS", "https"),
        ("http", "http", "http, https", "https"),
        ("http", "http", "https, http", "http"),
        ("http", "http", "gopher", "http"),
        ("http", "https", "", "https"),
        ("websocket", "ws", "https", "wss"),
        ("websocket", "ws", "wss", "wss"),
        ("websocket", "wss", "http", "ws"),
    ],
)
def test_the_scheme_is_the_one_that_the_nearest_proxy_saw(kind: str, scheme: str, said: str, expected: str) -> None:
    scope = applied(proxies(), ("x-forwarded-proto", said), type=kind, scheme=scheme)
    assert scope["scheme"] == expected


def test_a_websocket_whose_server_names_no_scheme_becomes_one_over_tls() -> None:
    scope = scope_of(("x-forwarded-proto", "https"), type="websocket")
    del scope["scheme"]
    proxies().apply(scope)
    assert scope["scheme"] == "wss"


@pytest.mark.parametrize(
    ("said", "host"),
    [
        ("shop.example", b"shop.example"),
        ("Shop.Example:8443", b"shop.example:8443"),
        ("[2001:db8::1]:8443", b"[2001:db8::1]:8443"),
        ("evil.example, shop.example", b"shop.example"),
        ("shop.example/path", b"app:8000"),
        ("user@shop.example", b"app:8000"),
        ("shop example", b"app:8000"),
        ("", b"app:8000"),
    ],
)
def test_the_host_is_replaced_by_one_that_is_a_host(said: str, host: bytes) -> None:
    scope = applied(proxies(forwarded=("host",)), ("x-forwarded-host", said))
    assert [value for name, value in scope["headers"] if name == b"host"] == [host]


@pytest.mark.parametrize(
    ("said", "root"),
    [
        ("/shop", "/shop"),
        ("/shop/", "/shop"),
        ("/a/b-c.d", "/a/b-c.d"),
        ("/evil, /shop", "/shop"),
        ("//evil.example", ""),
        ("/shop//x", ""),
        ("/shop/../x", ""),
        ("shop", ""),
        ("https://evil.example", ""),
        ("/shop?x", ""),
        ("/%2e", ""),
        ("/", ""),
    ],
)
def test_a_prefix_that_the_proxy_took_away_is_where_the_app_is(said: str, root: str) -> None:
    scope = applied(proxies(forwarded=("prefix",)), ("x-forwarded-prefix", said))
    path = f"{root}/auth/login"
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == (root, path, path.encode())


def test_a_prefix_comes_before_a_root_path_of_the_server() -> None:
    scope = scope_of(("x-forwarded-prefix", "/shop"), root_path="/app", path="/app/x")
    del scope["raw_path"]
    proxies(forwarded=("prefix",)).apply(scope)
    assert (scope["root_path"], scope["path"], "raw_path" in scope) == ("/shop/app", "/shop/app/x", False)


def test_a_request_is_looked_at_once() -> None:
    scope = scope_of(("x-forwarded-for", FAR), ("x-forwarded-prefix", "/shop"))
    trusting = proxies(forwarded=PARTS)
    trusting.apply(scope)
    trusting.apply(scope)
    assert (scope["client"][0], scope["root_path"]) == (FAR, "/shop")


@pytest.mark.parametrize(
    ("values", "client", "scheme"),
    [
        ([f"for={CLIENT};proto=https"], CLIENT, "https"),
        ([f"For={CLIENT} ; PROTO=https"], CLIENT, "https"),
        ([f"by={NEAR};for={CLIENT};host=a.example;proto=https"], CLIENT, "https"),
        (['for="[2001:db8::1]:4711";proto="https"'], "2001:db8::1", "https"),
        ([f'for="{CLIENT}:4711"'], CLIENT, "http"),
        ([f"for={CLIENT};proto=https;"], CLIENT, "https"),
        ([f"for={CLIENT}, , for={FAR}"], CLIENT, "http"),
        # Each proxy's element tells what that proxy saw: the browser's scheme is in the one with its address.
        ([f"for={CLIENT};proto=https, for={FAR};proto=http"], CLIENT, "https"),
        ([f"for={CLIENT};proto=https", f"for={FAR};proto=http"], CLIENT, "https"),
        ([f"for=198.51.100.1;proto=http, for={CLIENT};proto=https, for={FAR};proto=http"], CLIENT, "https"),
        ([f"for={FAR};proto=https"], FAR, "https"),
        # Hidden: it came by this scheme, from whom is not said.
        (["for=unknown;proto=https"], NEAR, "https"),
        (["for=_hidden;proto=https"], NEAR, "https"),
        (['for="_hidden:_port"'], NEAR, "http"),
        ([f"for=_hidden;proto=https, for={FAR};proto=http"], FAR, "https"),
        (["proto=https"], NEAR, "https"),
        ([f'for="1.2.3.4, for={CLIENT}'], CLIENT, "http"),
        ([f'for={CLIENT};ext="a, for=198.51.100.1"'], CLIENT, "http"),
        ([f'for={CLIENT};ext="a=\\", for=198.51.100.1"'], CLIENT, "http"),
        ([f'for={CLIENT};ext="a\\\\"'], CLIENT, "http"),
        ([f'for={CLIENT};ext="a\\"'], NEAR, "http"),
        ([f'for={CLIENT};ext="a"b"'], NEAR, "http"),
        ([f'for={CLIENT};ext="{"a" * 501}"'], NEAR, "http"),
        ([f"for={CLIENT};for=198.51.100.1"], NEAR, "http"),
        ([f"for = {CLIENT}"], NEAR, "http"),
        (["for=[2001:db8::1]"], NEAR, "http"),
        (["\x00"], NEAR, "http"),
        ([""], NEAR, "http"),
    ],
)
def test_forwarded_is_read_as_rfc_7239_has_it(values: list[str], client: str, scheme: str) -> None:
    scope = applied(proxies(forwarded_by="forwarded"), *(("forwarded", value) for value in values))
    assert (scope["client"][0], scope["scheme"]) == (client, scheme)


def test_an_open_quotation_mark_of_a_client_does_not_swallow_what_the_proxy_adds() -> None:
    trusting = proxies(forwarded_by="forwarded")
    swallowing = ("forwarded", 'for=198.51.100.1;ext="')
    assert client_of(trusting, swallowing, ("forwarded", f'for={CLIENT};proto="https"')) == CLIENT
    # Nor in one header, which is read from the right.
    joined = f'{swallowing[1]}, for={CLIENT};proto="https"'
    assert client_of(trusting, ("forwarded", joined)) == CLIENT


def test_escapes_in_a_quoted_string_are_undone() -> None:
    assert list(parse_forwarded(['host="a\\"b\\\\c"'])) == [Hop(host='a"b\\c')]


@given(st.lists(st.text(alphabet='for=;,"\\ [].:10ab_ptoh', max_size=60), max_size=3))
def test_any_forwarded_header_is_read_or_is_one_empty_hop(values: list[str]) -> None:
    for hop in parse_forwarded(values):
        assert hop.address is None or parse_address(str(hop.address)) == hop.address


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=80), st.ip_addresses())
def test_whatever_a_client_writes_further_left_the_client_is_whom_the_proxy_saw(left: str, address: Any) -> None:
    seen = parse_address(str(address))
    trusting = proxies(trusted=(NEAR,))
    if seen is None or trusting.trust(seen):
        return
    headers = ("x-forwarded-for", f"{left}, {address}")
    assert client_of(trusting, headers) == str(seen)
    assert next(parse_x_forwarded_for([headers[1]])) == Hop(seen)


class Watchful(TrustedProxies):
    """Notes whom it was asked about."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(NetworkSettings(trusted_proxies=("10.0.0.0/8",), **settings))
        self.asked: list[Any] = []

    def trust(self, address: Any) -> bool:
        self.asked.append(address)
        return super().trust(address)


class Headers(list[str]):
    """The values of many headers, which notes how many were taken."""

    taken = 0

    def __reversed__(self) -> Iterator[str]:
        for value in super().__reversed__():
            self.taken += 1
            yield value


@pytest.mark.parametrize(
    ("kind", "header", "entry"),
    [("x-forwarded", "x-forwarded-for", "{}"), ("forwarded", "forwarded", "for={};proto=https")],
)
def test_of_a_chain_that_is_longer_than_any_so_many_are_looked_at(kind: str, header: str, entry: str) -> None:
    long = [f"10.{number // 256}.{number % 256}.1" for number in range(10_000)]
    trusting = Watchful(forwarded_by=kind)
    client = client_of(trusting, (header, ", ".join(entry.format(each) for each in long)))
    assert len(trusting.asked) == 1 + MOST_HOPS
    # As where a proxy does not say whom it saw: it is the proxy's own address, the last that was looked at.
    assert client == long[-MOST_HOPS]


@pytest.mark.parametrize(
    ("kind", "header", "entry"), [("x-forwarded", "x-forwarded-for", "{}"), ("forwarded", "forwarded", "for={}")]
)
@pytest.mark.parametrize("filling", ["x", "198.51.100.1", "", '"', "\\"])
def test_what_stands_left_of_the_client_is_not_looked_at(kind: str, header: str, entry: str, filling: str) -> None:
    trusting = Watchful(forwarded_by=kind)
    said = ",".join([*[entry.format(filling)] * 20_000, entry.format(CLIENT), entry.format(FAR)])
    assert client_of(trusting, (header, said)) == CLIENT
    assert [str(address) for address in trusting.asked] == [NEAR, FAR, CLIENT]


@pytest.mark.parametrize("parse", [parse_x_forwarded_for, parse_forwarded])
def test_headers_are_read_one_by_one_from_the_right(parse: Any) -> None:
    values = Headers(["for=1.2.3.4"] * 10_000)
    hops = parse(values)
    assert values.taken == 0
    next(hops)
    assert values.taken == 1


@pytest.mark.parametrize("filling", [";", ",", "a=b,", ";,"])
def test_a_header_of_more_parts_than_anybody_writes_cannot_be_read(filling: str) -> None:
    assert client_of(proxies(forwarded_by="forwarded"), ("forwarded", f"for={CLIENT}," + filling * 20_000)) == NEAR


def test_a_parameter_of_many_is_still_one_elements() -> None:
    many = ";".join(f"x{number}=1" for number in range(20_000))
    assert list(parse_forwarded([many])) == [Hop()]


@pytest.mark.parametrize("proxy", ["0.0.0.0/0", "::/0", "10.0.0.5/24", "proxy.example", "*", ""])
def test_a_trusted_proxy_that_is_no_network_or_everybody_is_refused(proxy: str) -> None:
    with pytest.raises(ValidationError, match="trusted_proxies"):
        NetworkSettings(trusted_proxies=(proxy,))
