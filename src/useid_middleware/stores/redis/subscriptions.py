"""The subscriptions of a process: which channel hangs on which connection, and what happens when that breaks."""

import asyncio
import contextlib
import random
from collections.abc import Hashable, Iterable
from typing import Protocol

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AskError, ClusterDownError, ResponseError, TryAgainError

from ...errors import UnavailableError
from ..base import Callback, Unsubscribe
from ..memory import Subscribers
from .connections import Timing, unavailable
from .links import Link, Verbs
from .servers import Servers


class Nodes(Protocol):
    """Who has which channel."""

    def owner(self, channel: str) -> Hashable:
        """The server that has it. Raises :class:`~useid_middleware.errors.UnavailableError` when none has."""
        ...

    def connection(self, owner: Hashable) -> AbstractConnection:
        """A new connection to that server."""
        ...

    def distrust(self) -> None:
        """What is known of owners may be out of date."""

    async def ready(self) -> None:
        """Learn who owns what, unless it is known. Raises :class:`~useid_middleware.errors.UnavailableError`."""


class OneNode:
    """One server has all channels."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def owner(self, channel: str) -> Hashable:
        """See :meth:`Nodes.owner`."""
        return None

    def connection(self, owner: Hashable) -> AbstractConnection:
        """See :meth:`Nodes.connection`."""
        return self._servers.connection()

    def distrust(self) -> None:
        """See :meth:`Nodes.distrust`."""

    async def ready(self) -> None:
        """See :meth:`Nodes.ready`."""


class Subscriptions:
    """One connection to each server that has channels of ours, made when the first is subscribed.

    A channel is *unconfirmed* while its first subscriber waits for Redis, *lost* from the end of its connection until
    it is confirmed again, and *homeless* while no connection has it.
    """

    def __init__(self, nodes: Nodes, verbs: Verbs, timing: Timing) -> None:
        self._nodes = nodes
        self._verbs = verbs
        self._timing = timing
        self._subscribers = Subscribers()
        self._links: dict[Hashable, Link] = {}
        self._unconfirmed: dict[str, asyncio.Future[None]] = {}
        # Lost channels, and whether their subscribers know that it takes longer.
        self._lost: dict[str, bool] = {}
        self._homeless: set[str] = set()
        self._seeking: asyncio.Task[None] | None = None
        self._hope = asyncio.Event()
        self._delay = timing.first_delay

    async def subscribe(self, channel: str, callback: Callback) -> Unsubscribe:
        """See :meth:`...base.Store.subscribe`; returns when Redis has confirmed."""
        subscribed = True

        async def unsubscribe() -> None:
            nonlocal subscribed
            if subscribed:
                subscribed = False
                await self._remove(channel, callback)

        try:
            async with asyncio.timeout(2 * self._timing.answer):
                if self._subscribers.add(channel, callback):
                    self._unconfirmed[channel] = asyncio.get_running_loop().create_future()
                    link = self._standing(channel)
                    await (self._house_new(channel) if link is None else link.join(channel))
                confirmed = self._unconfirmed.get(channel)
                if confirmed is not None:
                    # Others may wait for the same confirmation; one that gives up must not cancel it.
                    await asyncio.shield(confirmed)
        except BaseException as error:
            await unsubscribe()
            if isinstance(error, TimeoutError):
                raise unavailable(error) from None
            raise
        return unsubscribe

    async def close(self) -> None:
        """End all subscriptions and disconnect."""
        self._subscribers.clear()
        self._homeless.clear()
        if self._seeking is not None:
            self._seeking.cancel()
            await asyncio.wait([self._seeking])
        links, self._links = self._links, {}
        for link in links.values():
            await link.close()
        error = UnavailableError("store_unavailable", "the Redis store was closed")
        for channel in list(self._unconfirmed):
            self._fail(channel, error)

    async def _remove(self, channel: str, callback: Callback) -> None:
        if not self._subscribers.remove(channel, callback):
            return
        unconfirmed = self._unconfirmed.pop(channel, None)
        if unconfirmed is not None:
            unconfirmed.cancel()
        self._lost.pop(channel, None)
        self._homeless.discard(channel)
        for link in list(self._links.values()):
            if channel in link.channels:
                await link.leave(channel)

    def _standing(self, channel: str) -> Link | None:
        try:
            return self._links.get(self._nodes.owner(channel))
        except UnavailableError:
            return None

    async def _house_new(self, channel: str) -> None:
        try:
            await self._nodes.ready()
            if await self._place([channel]):
                raise UnavailableError("store_unavailable", "no server of the Redis cluster has the channel")
        except asyncio.CancelledError:
            # Others may have joined meanwhile.
            self._lose([channel], tell=False)
            raise
        except UnavailableError as error:
            self._turn_away(channel, error)

    async def _place(self, channels: Iterable[str]) -> list[str]:
        """Put each channel on a connection to its owner; returns those that nobody owns."""
        unowned: list[str] = []
        by_owner: dict[Hashable, list[str]] = {}
        for channel in channels:
            try:
                by_owner.setdefault(self._nodes.owner(channel), []).append(channel)
            except UnavailableError:
                unowned.append(channel)
        for owner, owned in by_owner.items():
            # Meanwhile everybody may have left.
            wanted = [channel for channel in owned if channel in self._subscribers.channels]
            link = self._links.get(owner)
            if link is None and wanted:
                link = self._links[owner] = Link(self._nodes.connection(owner), self._verbs, self._timing, self)
            if link is not None:
                await link.join(*wanted)
        return unowned

    # What the links hear.

    def came_up(self) -> None:
        """See :meth:`.links.Listener.came_up`."""
        self._delay = self._timing.first_delay
        self._hope.set()

    def joined(self, channel: str) -> None:
        """See :meth:`.links.Listener.joined`."""
        confirmed = self._unconfirmed.pop(channel, None)
        if confirmed is not None:
            confirmed.set_result(None)
        if self._lost.pop(channel, None) is not None:
            # Only now: what is read after this hint cannot miss a message any more.
            self._subscribers.interrupt(channel)

    def heard(self, channel: str, message: bytes) -> None:
        """See :meth:`.links.Listener.heard`."""
        self._subscribers.deliver(channel, message)

    def refused(self, channel: str, error: ResponseError) -> None:
        """See :meth:`.links.Listener.refused`."""
        if isinstance(error, (AskError, ClusterDownError, TryAgainError)):  # MOVED is a kind of ASK.
            self._nodes.distrust()
        elif channel in self._unconfirmed:
            self._turn_away(channel, unavailable(error))
            return
        self._lose([channel], tell=True)

    def moved(self, channel: str) -> None:
        """See :meth:`.links.Listener.moved`."""
        self._nodes.distrust()
        self._lose([channel], tell=False)

    def broken(self, link: Link, error: Exception) -> None:
        """See :meth:`.links.Listener.broken`."""
        for owner, known in list(self._links.items()):
            if known is link:
                del self._links[owner]
        self._nodes.distrust()
        for channel in link.channels & self._unconfirmed.keys():
            # New subscribers hear that it failed; those that were confirmed once wait for better times.
            link.channels.discard(channel)
            self._turn_away(channel, unavailable(error))
        # A connection that breaks is renewed at once, and subscribers need not know before that has failed.
        self._lose(link.channels, tell=not link.is_up)

    # Better times.

    def _lose(self, channels: Iterable[str], *, tell: bool) -> None:
        for channel in list(channels):
            self._homeless.add(channel)
            if channel not in self._unconfirmed:
                self._lost.setdefault(channel, False)
                if tell:
                    self._tell_lost(channel)
        if self._homeless and self._seeking is None:
            self._seeking = asyncio.create_task(self._seek())

    def _turn_away(self, channel: str, error: UnavailableError) -> None:
        """Fail those who wait for the first confirmation. Who subscribes before they have left is not forgotten."""
        self._fail(channel, error)
        self._lost[channel] = True
        self._lose([channel], tell=False)

    def _tell_lost(self, channel: str) -> None:
        if not self._lost[channel]:
            self._lost[channel] = True
            self._subscribers.interrupt(channel)

    def _fail(self, channel: str, error: UnavailableError) -> None:
        future = self._unconfirmed.pop(channel)
        future.set_exception(error)
        # A caller that was cancelled meanwhile does not ask any more; that is no fault to be reported.
        future.exception()

    async def _seek(self) -> None:
        """Find homes for the homeless, less and less often."""
        try:
            while self._homeless:
                self._hope.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._delay * (1 + random.random())):
                        await self._hope.wait()
                self._delay = min(2 * self._delay, self._timing.last_delay)
                homeless, self._homeless = self._homeless, set()
                try:
                    await self._nodes.ready()
                    unowned: Iterable[str] = await self._place(homeless)
                except UnavailableError:
                    unowned = homeless
                self._lose((channel for channel in unowned if channel in self._subscribers.channels), tell=True)
        finally:
            self._seeking = None
