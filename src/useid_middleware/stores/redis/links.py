"""One subscription connection to one server, from connecting to its end."""

import asyncio
import contextlib
from collections import deque
from typing import Final, NamedTuple, Protocol

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from .connections import Timing, hang_up


class Verbs(NamedTuple):
    """How Redis calls the steps."""

    subscribe: str
    unsubscribe: str
    message: bytes
    joined: bytes
    left: bytes


PLAIN: Final = Verbs("SUBSCRIBE", "UNSUBSCRIBE", b"message", b"subscribe", b"unsubscribe")
#: In a cluster: a message goes through the server that has the channel's slot, and through no other.
SHARDED: Final = Verbs("SSUBSCRIBE", "SUNSUBSCRIBE", b"smessage", b"ssubscribe", b"sunsubscribe")


class Listener(Protocol):
    """Who is told what a link hears. None of these may block or raise."""

    def came_up(self) -> None:
        """Redis has confirmed something over a new connection."""

    def joined(self, channel: str) -> None:
        """Redis has confirmed this channel."""

    def heard(self, channel: str, message: bytes) -> None:
        """A message."""

    def refused(self, channel: str, error: ResponseError) -> None:
        """Redis will not have it, not here."""

    def moved(self, channel: str) -> None:
        """Redis has ended the subscription, because the slot is another server's now."""

    def broken(self, link: "Link", error: Exception) -> None:
        """The connection has ended, with all subscriptions in ``link.channels``."""


class Link:
    """Wants its channels from the start, asks for them when it is connected, and ends when the connection does."""

    def __init__(self, connection: AbstractConnection, verbs: Verbs, timing: Timing, listener: Listener) -> None:
        self.channels: set[str] = set()
        #: Redis has confirmed something over this connection.
        self.is_up = False
        self._connection = connection
        self._verbs = verbs
        self._timing = timing
        self._listener = listener
        self._is_listening = False
        # Redis answers in the order asked: whether a channel was to be joined, or left. A channel that was left and
        # joined again is confirmed by the last of its confirmations.
        self._asked: deque[tuple[bool, str]] = deque()
        self._joins: dict[str, int] = {}
        self._task = asyncio.create_task(self._work())

    async def join(self, *channels: str) -> None:
        """Ask for ``channels`` now, or once connected."""
        self.channels.update(channels)
        await self._ask(True, *channels)

    async def leave(self, channel: str) -> None:
        """Hear no more of ``channel``."""
        self.channels.discard(channel)
        await self._ask(False, channel)

    async def close(self) -> None:
        """Disconnect; nobody is told."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _ask(self, is_join: bool, *channels: str) -> None:
        if not self._is_listening or not channels:
            return
        verb = self._verbs.subscribe if is_join else self._verbs.unsubscribe
        for channel in channels:
            self._asked.append((is_join, channel))
            if is_join:
                self._joins[channel] = self._joins.get(channel, 0) + 1
        # One command for each: in a cluster, channels of one command must be of one slot.
        connection = self._connection
        # If it fails, the reader notices that the connection is of no use any more, and whoever waits is told by it.
        with contextlib.suppress(RedisError, OSError):
            packed = connection.pack_commands([(verb, channel) for channel in channels])
            await connection.send_packed_command(packed, check_health=False)

    async def _work(self) -> None:
        try:
            async with asyncio.timeout(self._timing.answer):
                await self._connection.connect()  # type: ignore[no-untyped-call]
                self._is_listening = True
                await self._ask(True, *self.channels)
            await self._listen()
        # Whatever it is: what is no answer of Redis makes its client raise all sorts of errors.
        except Exception as error:
            self._is_listening = False
            self._listener.broken(self, error)
        finally:
            await hang_up(self._connection)

    async def _listen(self) -> None:
        is_pinged = False
        while True:
            is_due = is_pinged or bool(self._asked)
            try:
                answer = await self._connection.read_response(
                    disable_decoding=True, timeout=self._timing.answer if is_due else self._timing.ping
                )
            except ResponseError as error:
                self._refuse(error)
                continue
            if answer is None:
                if is_due:
                    raise RedisConnectionError("no answer")
                is_pinged = True
                async with asyncio.timeout(self._timing.answer):
                    await self._connection.send_command("PING", check_health=False)
                continue
            is_pinged = False
            self._handle(answer)

    def _handle(self, answer: object) -> None:
        match answer:
            case [self._verbs.message, bytes(channel), bytes(message)]:
                self._listener.heard(channel.decode(), message)
            case [self._verbs.joined, bytes(channel), *_] if self._asked and self._asked[0] == (True, channel.decode()):
                self._settle_join()
            case [self._verbs.left, bytes(channel), *_]:
                name = channel.decode()
                if self._asked and self._asked[0] == (False, name):
                    self._asked.popleft()
                elif name in self.channels:
                    self.channels.discard(name)
                    self._listener.moved(name)
            case [b"pong", *_]:
                pass
            case _:
                raise InvalidResponse("not a reply of a subscription")

    def _settle_join(self) -> None:
        _, channel = self._asked.popleft()
        if self._is_last_join(channel) and channel in self.channels:
            if not self.is_up:
                self.is_up = True
                self._listener.came_up()
            self._listener.joined(channel)

    def _refuse(self, error: ResponseError) -> None:
        if not self._asked:
            raise error
        is_join, channel = self._asked.popleft()
        if is_join and self._is_last_join(channel) and channel in self.channels:
            self.channels.discard(channel)
            self._listener.refused(channel, error)

    def _is_last_join(self, channel: str) -> bool:
        more = self._joins.pop(channel) - 1
        if more:
            self._joins[channel] = more
        return not more
