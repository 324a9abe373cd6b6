"""Who really sent a request that came through reverse proxies: ``X-Forwarded-…`` or ``Forwarded`` (RFC 7239).

Anybody can write these headers. So they are read only when the peer is a trusted proxy, only those that the proxies
write, and from the right, where each proxy adds what it saw: the first address that is no proxy's is the client's.
Whatever a client put further left is never looked at, so that a long header costs no more than a short one.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice
from typing import Final, TypeAlias

from ..settings.network import UNIX_SOCKET, NetworkSettings
from .asgi import Headers, Scope

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

#: In the scope of a request whose headers have been looked at.
_DONE: Final = "useid_forwarded"
_SECURE: Final = {"http": "https", "ws": "wss"}
_PLAIN: Final = {secure: plain for plain, secure in _SECURE.items()}
_HOST: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?").fullmatch
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+").fullmatch
_NODE: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::([0-9]{1,5}|_[A-Za-z0-9._-]+))?").fullmatch
#: RFC 7239 §4: ``token "=" ( token / quoted-string )`` read backwards, and what stands between two of them. A quotation
#: mark behind ``=`` opens a string: inside of one it would have a backslash before it.
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_RIAP: Final = re.compile(rf'(?:({_TOKEN})|"(.{{0,500}}?)")=({_TOKEN})').match
_QUOTED: Final = re.compile(r'(?:[^"\\]|\\.)*+').fullmatch
_NEXT: Final = re.compile(r"[ \t]*([;,]|\Z)[ \t]*").match
#: Proxies in a row, at most: an address that is said to be behind more of them is not looked for.
MOST_HOPS: Final = 100
#: Parameters and marks between them, at most, that one header of RFC 7239 is read for.
_MOST_PARTS: Final = 8 * MOST_HOPS


@dataclass(frozen=True, slots=True)
class Hop:
    """What one proxy says of the request as it got it. Empty and ``None``: it does not say, or not legibly."""

    address: Address | None = None
    port: int = 0
    proto: str = ""
    host: str = ""


class TrustedProxies:
    """The proxies in front, as the settings name them."""

    def __init__(self, settings: NetworkSettings) -> None:
        self._networks = tuple(ip_network(each) for each in settings.trusted_proxies if each != UNIX_SOCKET)
        self._trusts_socket = UNIX_SOCKET in settings.trusted_proxies
        self._is_standard = settings.forwarded_by == "forwarded"
        self._believed = frozenset(settings.forwarded)
        self._is_empty = not settings.trusted_proxies

    def trust(self, address: Address | None) -> bool:
        """Whether this is one of them; ``None``: the other end of a Unix socket."""
        if address is None:
            return self._trusts_socket
        return any(address in network for network in self._networks)

    def apply(self, scope: Scope) -> None:
        """Write into the scope of a request what trusted proxies say of it. Idempotent.

        ``client``, ``scheme``, ``Host`` and ``root_path`` (with ``path``, which begins with it) become those that the
        browser knows. What is illegible, hidden (``_x``) or ``unknown`` changes nothing: the proxy's address stays.
        """
        if self._is_empty or scope.get(_DONE):
            return
        scope[_DONE] = True
        client = scope.get("client")
        peer = parse_address(client[0]) if client and client[0] else None
        if (client and client[0] and peer is None) or not self.trust(peer):
            return
        headers: Headers = scope["headers"]
        if self._is_standard:
            hop = self._walk(parse_forwarded(_values(headers, b"forwarded")))
        else:
            hop = self._walk(parse_x_forwarded_for(_values(headers, b"x-forwarded-for")))
            # These are no lists with an entry for each hop. The nearest proxy vouches for what stands last.
            hop = Hop(
                hop.address,
                hop.port,
                proto=_last(headers, b"x-forwarded-proto").lower(),
                host=_last(headers, b"x-forwarded-host").lower(),
            )
        self._write(scope, hop)
        if "prefix" in self._believed:
            _mount(scope, _last(headers, b"x-forwarded-prefix").rstrip("/"))

    def _walk(self, hops: Iterator[Hop]) -> Hop:
        """From the nearest proxy outwards, as long as a proxy speaks of another one.

        Where the chain is longer than any, it is the last proxy's address that stays, as where one does not say.
        """
        said = Hop()
        for hop in islice(hops, MOST_HOPS):
            if hop.address is None:
                # What this proxy saw is true; whom, it does not say. The address is that of the proxy itself.
                return Hop(said.address, said.port, hop.proto or said.proto, hop.host or said.host)
            said = hop
            if not self.trust(hop.address):
                break
        return said

    def _write(self, scope: Scope, hop: Hop) -> None:
        if "for" in self._believed and hop.address is not None:
            scope["client"] = (str(hop.address), hop.port)
        if "proto" in self._believed and hop.proto in _PLAIN | _SECURE:
            # A proxy may call a WebSocket's scheme http as well.
            scheme = scope.get("scheme", "ws" if scope["type"] == "websocket" else "http")
            scope["scheme"] = (_SECURE if hop.proto in _PLAIN else _PLAIN).get(scheme, scheme)
        if "host" in self._believed and _HOST(hop.host):
            others = [header for header in scope["headers"] if header[0] != b"host"]
            scope["headers"] = [(b"host", hop.host.encode()), *others]


def parse_address(text: str) -> Address | None:
    """An IP address, that of IPv4 in its own form where IPv6 carries it; ``None`` if it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def parse_x_forwarded_for(values: Sequence[str]) -> Iterator[Hop]:
    """The entries of all ``X-Forwarded-For`` headers from the right; with a port where one is given."""
    return (_hop(entry.strip()) for value in reversed(values) for entry in _entries(value))


def _entries(value: str) -> Iterator[str]:
    end = len(value)
    while end >= 0:
        start = value.rfind(",", 0, end)
        yield value[start + 1 : end]
        end = start


def parse_forwarded(values: Sequence[str]) -> Iterator[Hop]:
    """The elements of all ``Forwarded`` headers from the right (RFC 7239 §4); an empty hop where one cannot be read.

    What a proxy added is read first and is whole, so that nothing that a client wrote before it, such as a quotation
    mark that is left open, can swallow it.
    """
    for value in reversed(values):
        try:
            yield from map(_element, _elements(value.strip()[::-1]))
        except ValueError:
            yield Hop()


def _elements(backwards: str) -> Iterator[dict[str, str]]:
    pairs: dict[str, str] = {}
    at = 0
    for _ in range(_MOST_PARTS):
        found = _RIAP(backwards, at)
        if found is not None:
            token, quoted, name = (part and part[::-1] for part in found.groups())
            if name.lower() in pairs:
                raise ValueError("a parameter twice")  # At most once in an element (§4).
            if token is None and not _QUOTED(quoted):
                raise ValueError("a quotation mark in a quoted string")
            pairs[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if token is None else token
            at = found.end()
        between = _NEXT(backwards, at)
        if between is None:
            raise ValueError("neither a pair nor an end")
        end, at = between[1], between.end()
        if end != ";" and pairs:
            yield pairs
            pairs = {}
        if not end:
            return
    raise ValueError("more parts than anybody writes")


def _element(pairs: dict[str, str]) -> Hop:
    hop = _hop(pairs.get("for", ""))
    return Hop(hop.address, hop.port, proto=pairs.get("proto", "").lower(), host=pairs.get("host", "").lower())


def _hop(node: str) -> Hop:
    """``192.0.2.1``, ``192.0.2.1:4711``, ``[2001:db8::1]:4711`` (RFC 7239 §6), or a bare ``2001:db8::1``."""
    address = parse_address(node)
    if address is not None:
        return Hop(address)
    found = _NODE(node)
    if found is None:
        return Hop()
    v6, v4, port = found.groups()
    number = int(port) if port and port.isdigit() else 0
    address = parse_address(v6 or v4)
    return Hop(address, number) if address is not None and number < 65536 else Hop()


def _values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1") for header, value in headers if header == name]


def _last(headers: Headers, name: bytes) -> str:
    values = _values(headers, name)
    return values[-1].rpartition(",")[2].strip() if values else ""


def _mount(scope: Scope, prefix: str) -> None:
    """The proxy took this from the path's beginning. ASGI wants it there: ``path`` begins with ``root_path``."""
    if not _PREFIX(prefix):
        return
    scope["root_path"] = prefix + scope.get("root_path", "")
    scope["path"] = prefix + scope["path"]
    if scope.get("raw_path") is not None:
        scope["raw_path"] = prefix.encode() + scope["raw_path"]
