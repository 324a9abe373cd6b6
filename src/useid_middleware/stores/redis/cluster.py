"""A Redis cluster: who has which slot, and the way of a command to whoever has its key's.

Every server of the cluster knows the whole map; what it says of a slot that moved (``MOVED``, ``ASK``) is followed at
once, and the map is fetched anew before the next command.
"""

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import Hashable
from typing import Any, Final, NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, ReadOnlyError, RedisError

from ...errors import UnavailableError
from .connections import AnswerLost, Argument, Commands, NotSent, Silence, Timing, ask
from .url import Address, RedisURL

_REDIRECTIONS: Final = 4  # that one command follows
_REFRESH_PAUSE: Final = 0.2  # seconds between two fetches of the map, however often it is doubted


class _Range(NamedTuple):
    first: int
    last: int
    owner: Address


class ClusterMap:
    """Who has which slot: the :class:`~.subscriptions.Nodes` of a cluster. Fetched when it is first needed."""

    def __init__(self, url: RedisURL, timing: Timing) -> None:
        self._url = url
        self._timing = timing
        self._ranges: list[_Range] = []
        self._is_doubtful = True
        self._fetched_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    @property
    def owners(self) -> frozenset[Address]:
        """All servers that have slots."""
        return frozenset(entry.owner for entry in self._ranges)

    def owner(self, channel: str) -> Address:
        """The server that has the slot of a key, or of a channel."""
        slot = key_slot(channel.encode())
        position = bisect_right(self._ranges, slot, key=lambda entry: entry.first) - 1
        if position >= 0 and slot <= self._ranges[position].last:
            return self._ranges[position].owner
        self.distrust()
        raise UnavailableError("store_unavailable", "no server of the Redis cluster has the slot")

    def connection(self, owner: Hashable) -> AbstractConnection:
        """See :meth:`.subscriptions.Nodes.connection`."""
        assert isinstance(owner, tuple)
        return self._url.connect_to(owner)

    def distrust(self) -> None:
        """Fetch the map again before it is used the next time."""
        self._is_doubtful = True

    async def ready(self) -> None:
        """Have a map, and one that is not in doubt. Raises ``UnavailableError`` if there is none to be had."""
        if not self._is_doubtful:
            return
        if self._ranges and asyncio.get_running_loop().time() < self._fetched_at + _REFRESH_PAUSE:
            return
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(self._fetched)
        # Others may wait for the same map; one that gives up must not cancel it.
        await asyncio.shield(self._fetching)

    async def close(self) -> None:
        """Stop fetching."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    def _fetched(self, task: "asyncio.Task[None]") -> None:
        self._fetching = None
        if not task.cancelled():
            task.exception()  # Whoever still waits is told.

    async def _fetch(self) -> None:
        """Ask all servers at once, and believe the first that answers."""
        # The servers of the URL first: names stay when addresses change.
        addresses = list(dict.fromkeys([*self._url.addresses, *self.owners]))
        asking = {asyncio.create_task(self._ask(address)) for address in addresses}
        try:
            while asking:
                answered, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
                for task in answered:
                    if ranges := task.result():
                        self._ranges = ranges
                        self._fetched_at = asyncio.get_running_loop().time()
                        self._is_doubtful = False
                        return
        finally:
            for task in asking:
                task.cancel()
            if asking:
                await asyncio.wait(asking)
        raise UnavailableError("store_unavailable", "no server of the Redis cluster could be asked for its slots")

    async def _ask(self, address: Address) -> list[_Range]:
        """The map as one server has it; empty if it has none to give."""
        reply = await ask(self._url.connect_to(address), "CLUSTER", "SLOTS", wait=self._timing.answer)
        try:
            return _ranges(reply, asked=address)
        except (TypeError, ValueError, AttributeError):
            return []


class ClusterCommands:
    """The :class:`~.calls.Wire` of a cluster: one connection to each server that has slots."""

    def __init__(self, url: RedisURL, cluster_map: ClusterMap, timing: Timing) -> None:
        self._url = url
        self._map = cluster_map
        self._timing = timing
        self._commands: dict[Address, Commands] = {}

    async def call(self, key: str, *command: Argument) -> Any:
        """See :meth:`.calls.Wire.call`."""
        try:
            async with asyncio.timeout(2 * self._timing.answer):
                return await self._call(key, command)
        except TimeoutError as error:
            raise Silence from error

    async def _call(self, key: str, command: tuple[Argument, ...]) -> Any:
        await self._map.ready()
        address, is_asking = self._map.owner(key), False
        for attempt in range(1 + _REDIRECTIONS):
            commands = self._of(address)
            if is_asking:
                # In the same packet and just before the command, which it is about.
                commands.call(key, "ASKING").add_done_callback(_ignore)
            try:
                return await commands.call(key, *command)
            except AskError as error:  # MOVED is a kind of ASK, and nothing has been carried out.
                is_moved = isinstance(error, MovedError)
                if is_moved:
                    self._map.distrust()
                if attempt == _REDIRECTIONS:
                    raise
                address, is_asking = (error.host or address[0], error.port), not is_moved
            except (AnswerLost, NotSent, Silence, ClusterDownError, ReadOnlyError):
                self._map.distrust()
                raise
        raise AssertionError("the last attempt returns or raises")

    def renew(self) -> None:
        """See :meth:`.calls.Wire.renew`. Which server it was is not known here."""
        for commands in self._commands.values():
            commands.renew()

    async def close(self) -> None:
        """See :meth:`.calls.Wire.close`."""
        commands, self._commands = self._commands, {}
        for one in commands.values():
            await one.close()

    def _of(self, address: Address) -> Commands:
        commands = self._commands.get(address)
        if commands is None:
            commands = self._commands[address] = Commands(self._url.connect_to(address), self._timing)
        return commands


def _ranges(reply: object, *, asked: Address) -> list[_Range]:
    """``CLUSTER SLOTS``: of each range the first and last slot, its primary, its replicas."""
    ranges = []
    if not isinstance(reply, list):
        return []
    for first, last, (host, port, *_), *_ in reply:
        name = host.decode() if host else asked[0]  # Empty: the address that was asked.
        if name == "?" or not 0 <= first <= last < 16384 or not 0 < port < 65536:
            return []
        ranges.append(_Range(first, last, (name, port)))
    return sorted(ranges)


def _ignore(future: "asyncio.Future[Any]") -> None:
    with contextlib.suppress(RedisError, asyncio.CancelledError):
        future.result()
