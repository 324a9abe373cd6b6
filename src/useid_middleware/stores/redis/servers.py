"""Where the connections of a store lead: to one server, or to the primary that Sentinels name."""

import asyncio
from collections import Counter
from typing import Any, Final, Protocol

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from .connections import ask
from .url import Address, RedisURL

_SENTINEL_WAIT: Final = 0.5  # seconds for the answer of a Sentinel, connecting included


class Servers(Protocol):
    """Where connections come from."""

    def connection(self) -> AbstractConnection:
        """A new connection, not connected yet."""
        ...


class Server:
    """One server at a fixed address, or a socket."""

    def __init__(self, url: RedisURL) -> None:
        self._url = url

    def connection(self) -> AbstractConnection:
        """See :meth:`Servers.connection`."""
        if self._url.addresses:
            return self._url.connect_to(self._url.addresses[0])
        return UnixDomainSocketConnection(path=self._url.path, **self._url.settings())


class Sentinels:
    """The primary that most Sentinels name at the moment of connecting.

    A Sentinel that was away may name a primary of old times, so the first answer alone would not do.
    """

    def __init__(self, url: RedisURL) -> None:
        self._url = url

    def connection(self) -> AbstractConnection:
        """See :meth:`Servers.connection`."""
        if self._url.tls is None:
            return _FoundConnection(sentinels=self, **self._url.settings())
        connection = _FoundTLSConnection(sentinels=self, **self._url.settings())
        connection.ssl_context = self._url.tls
        return connection

    async def primary(self) -> Address:
        """Its address: what more than half say, or else what most of those say who can be asked."""
        named: Counter[Address] = Counter()
        asking = {asyncio.create_task(self._ask(address)) for address in self._url.addresses}
        majority = len(asking) // 2 + 1
        try:
            while asking:
                answered, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
                for answer in answered:
                    address = answer.result()
                    if address is not None:
                        named[address] += 1
                        if named[address] == majority:
                            return address
        finally:
            for task in asking:
                task.cancel()
            if asking:
                await asyncio.wait(asking)
        if not named:
            raise RedisConnectionError("no Sentinel names the primary")
        return named.most_common(1)[0][0]

    async def _ask(self, address: Address) -> Address | None:
        connection = self._url.connect_to_sentinel(address)
        reply = await ask(connection, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._url.service, wait=_SENTINEL_WAIT)
        match reply:
            case [bytes(host), bytes(port)] if port.isdigit():
                return host.decode("utf-8", "replace"), int(port)
            case _:
                return None


class _FoundConnection(Connection):
    """A connection whose server is looked up whenever it connects."""

    def __init__(self, *, sentinels: Sentinels, **settings: Any) -> None:
        self._sentinels = sentinels
        super().__init__(**settings)

    async def connect(self) -> None:
        """Find the primary and connect to it."""
        if not self.is_connected:
            self.host, self.port = await self._sentinels.primary()
        await super().connect()  # type: ignore[no-untyped-call]


class _FoundTLSConnection(_FoundConnection, SSLConnection):
    """The same over TLS."""


def servers_of(url: RedisURL) -> Servers:
    """Where the connections of a store with this URL lead."""
    return Sentinels(url) if url.topology == "sentinel" else Server(url)
