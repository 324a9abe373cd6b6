"""What the URL of a Redis says: one server, Sentinels that know which, or a cluster; how to connect, and as whom.

``redis://[user:password@]host[:6379][/db]``, ``unix://[user:password@]/path[?db=0]``,
``redis+sentinel://[user:password@]host[:26379],host…/name[/db]``, ``redis+cluster://[user:password@]host[:6379],host…``;
``rediss`` in the place of ``redis`` is over TLS. Options follow as a query.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio.connection import AbstractConnection, Connection, RedisSSLContext, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ...errors import ConfigurationError

Address = tuple[str, int]

_TLS_OPTIONS: Final = frozenset(
    ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password", "ssl_check_hostname")
)
_SENTINEL_OPTIONS: Final = frozenset(("sentinel_username", "sentinel_password"))
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:/?#@,]+)(?::([0-9]{1,5}))?").fullmatch
_CONNECT_WAIT: Final = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class RedisURL:
    """A URL, checked. ``topology`` is empty for one server, or ``sentinel`` or ``cluster``."""

    topology: str
    addresses: tuple[Address, ...]
    path: str
    service: str
    login: Mapping[str, Any] = field(repr=False)
    options: Mapping[str, Any] = field(repr=False)
    #: Read once, since reading takes many milliseconds, in which nothing else would happen.
    tls: RedisSSLContext | None = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> "RedisURL":
        """Read ``url``; ``ConfigurationError`` says what is wrong with it, and repeats no password."""
        parts = urlsplit(url)
        transport, _, topology = parts.scheme.partition("+")
        is_known = topology in ("", "sentinel", "cluster") and (
            transport in ("redis", "rediss") or parts.scheme == "unix"
        )
        if not is_known:
            raise _wrong("the scheme must be redis, rediss or unix, or one of the first two with +sentinel or +cluster")
        userinfo, _, hosts = parts.netloc.rpartition("@")
        username, _, password = userinfo.partition(":")
        segments = [unquote(segment) for segment in parts.path.split("/")[1:] if segment]
        service = ""
        if topology == "sentinel":
            if not segments:
                raise _wrong(
                    "the name of the primary must follow the Sentinels, as in redis+sentinel://host:26379/mymaster"
                )
            service = segments.pop(0)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if transport != "unix" and segments:
            query.setdefault("db", segments.pop(0))
            if segments:
                raise _wrong("there is more behind the number of the database")
        options = _checked(query, tls=transport == "rediss", topology=topology, socket=transport == "unix")
        login = {
            "username": unquote(username) or options.pop("username", None),
            "password": unquote(password) or options.pop("password", None),
        }
        default_port = 26379 if topology == "sentinel" else 6379
        addresses = () if transport == "unix" else _addresses(hosts, default_port, many=bool(topology))
        tls = _tls(options) if transport == "rediss" else None
        return cls(topology, addresses, unquote(parts.path), service, login, options, tls)

    def connect_to(self, address: Address) -> AbstractConnection:
        """A new connection to a server at ``address``, not connected yet."""
        host, port = address
        if self.tls is None:
            return Connection(host=host, port=port, **self.settings())
        connection = SSLConnection(host=host, port=port, **self.settings())
        connection.ssl_context = self.tls
        return connection

    def connect_to_sentinel(self, address: Address) -> AbstractConnection:
        """The same to a Sentinel, which has users of its own."""
        connection = self.connect_to(address)
        connection.username = self.options.get("sentinel_username")
        connection.password = self.options.get("sentinel_password")
        connection.db = 0
        return connection

    def settings(self) -> dict[str, Any]:
        """What every connection of a store is made with, besides the address."""
        tls_and_db = {name: value for name, value in self.options.items() if name not in _SENTINEL_OPTIONS}
        return {**_COMMON, **tls_and_db, **self.login}


# Answers have their own deadline, one per batch; a second attempt is ours to make, since it could carry a command out
# twice. RESP2, because its messages come as plain replies, in order with the confirmations. No CLIENT SETINFO, which
# would be one more right for the user and one more round trip.
_COMMON: Final[Mapping[str, Any]] = {
    "protocol": 2,
    "socket_timeout": None,
    "socket_connect_timeout": _CONNECT_WAIT,
    "retry": Retry(NoBackoff(), 0),
    "driver_info": None,
}


def _checked(query: dict[str, str], *, tls: bool, topology: str, socket: bool) -> dict[str, Any]:
    allowed = {"db"} | ({"username", "password"} if socket else set())
    allowed |= (_TLS_OPTIONS if tls else frozenset()) | (_SENTINEL_OPTIONS if topology == "sentinel" else frozenset())
    unknown = sorted(query.keys() - allowed)
    if unknown:
        raise _wrong(f"there is no option {unknown[0]!r} for this scheme; there are {', '.join(sorted(allowed))}")
    options: dict[str, Any] = dict(query)
    number = options.pop("db", "0")
    if not (number.isascii() and number.isdigit()) or (topology == "cluster" and int(number)):
        raise _wrong("the database must be a number, and 0 in a cluster")
    if int(number):
        options["db"] = int(number)
    if "ssl_check_hostname" in options:
        if options["ssl_check_hostname"] not in ("true", "false"):
            raise _wrong("ssl_check_hostname must be true or false")
        options["ssl_check_hostname"] = options["ssl_check_hostname"] == "true"
    return options


def _tls(options: Mapping[str, Any]) -> RedisSSLContext:
    context = RedisSSLContext(
        ca_certs=options.get("ssl_ca_certs"),
        ca_path=options.get("ssl_ca_path"),
        certfile=options.get("ssl_certfile"),
        keyfile=options.get("ssl_keyfile"),
        password=options.get("ssl_password"),
        cert_reqs=ssl.CERT_REQUIRED,
        check_hostname=options.get("ssl_check_hostname", True),
    )
    try:
        context.get()
    except (OSError, ssl.SSLError) as error:
        raise _wrong(f"the files for TLS cannot be used: {error}") from None
    return context


def _addresses(hosts: str, default_port: int, *, many: bool) -> tuple[Address, ...]:
    addresses = []
    for host in hosts.split(","):
        matched = _HOST(host)
        if matched is None or int(matched[2] or default_port) > 65535:
            raise _wrong("it must name hosts, each with a port or without, such as cache.internal:6379")
        addresses.append((unquote(matched[1].strip("[]")), int(matched[2] or default_port)))
    if len(addresses) > 1 and not many:
        raise _wrong("several hosts need redis+sentinel:// or redis+cluster://")
    return tuple(addresses)


def _wrong(message: str) -> ConfigurationError:
    return ConfigurationError(f"store: the URL of Redis is wrong: {message}")
