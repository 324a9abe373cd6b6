"""The two connections a process keeps to Redis: one for commands, one for subscriptions.

Both are plain ``redis.asyncio`` connections without a pool: commands that wait at the same moment travel in one packet,
which costs a fraction of a pooled client's CPU time under load, and nothing needs more than one connection.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Sequence
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from ..errors import UnavailableError
from .base import Callback, Unsubscribe
from .memory import Subscribers

Argument = bytes | str | int
_ANSWER_WAIT = 5.0  # seconds until Redis has answered a batch, or a ping
_FIRST_DELAY, _LAST_DELAY = 0.05, 2.0  # seconds between attempts to connect, doubling, up to as much again by chance
_PING_INTERVAL = 15.0  # seconds of silence after which a subscription connection must prove to be alive


def unavailable(error: BaseException) -> UnavailableError:
    """The error for callers. The original's text stays out: it may hold an address or an argument."""
    return UnavailableError("store_unavailable", f"the Redis store failed with {type(error).__name__}")


async def _hang_up(connection: AbstractConnection) -> None:
    with contextlib.suppress(RedisError, OSError):
        await connection.disconnect(nowait=True)


class Commands:
    """The command connection. Calls made while a batch is under way travel together in the next one.

    A call whose connection breaks fails, and is not repeated: whether Redis carried it out is unknown.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        self._waiting: list[tuple[Sequence[Argument], asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None

    def call(self, *command: Argument) -> asyncio.Future[Any]:
        """Send a command; the future has the reply or a ``RedisError``."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return future

    async def close(self) -> None:
        """Finish what is under way and disconnect."""
        if self._task is not None:
            await self._task
        await self._connection.disconnect()

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    async with asyncio.timeout(_ANSWER_WAIT):
                        await self._exchange(batch)
                except (RedisError, OSError, TimeoutError) as error:
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(unavailable(error))
                    # Replies that are still due must never be taken for those of the next batch.
                    await _hang_up(self._connection)
        finally:
            self._task = None

    async def _exchange(self, batch: list[tuple[Sequence[Argument], asyncio.Future[Any]]]) -> None:
        connection = self._connection
        # Between batches nothing is due, so something to read is the end of a connection that broke while idle.
        if not connection.is_connected or await connection.can_read():
            await connection.disconnect(nowait=True)
            await connection.connect()  # type: ignore[no-untyped-call]
        packed = connection.pack_commands([command for command, _ in batch])
        await connection.send_packed_command(packed, check_health=False)
        for _, future in batch:
            try:
                reply = await connection.read_response(disable_decoding=True)
            except ResponseError as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(reply)


class Subscription:
    """The subscription connection: made at the first ``subscribe``, renewed whenever it breaks."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._subscribers = Subscribers()
        self._connection: AbstractConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        # Redis confirms SUBSCRIBE channel by channel in the order asked; a future waits for its channel's confirmation.
        self._asked: deque[str] = deque()
        self._unconfirmed: dict[str, asyncio.Future[None]] = {}

    async def subscribe(self, channel: str, callback: Callback) -> Unsubscribe:
        """See :meth:`.base.Store.subscribe`; returns when Redis has confirmed."""
        subscribed = True

        async def unsubscribe() -> None:
            nonlocal subscribed
            if subscribed:
                subscribed = False
                await self._remove(channel, callback)

        try:
            async with asyncio.timeout(_ANSWER_WAIT):
                if self._subscribers.add(channel, callback):
                    self._unconfirmed[channel] = asyncio.get_running_loop().create_future()
                    if self._task is None:
                        self._task = asyncio.create_task(self._work())
                    self._wanted.set()
                    await self._ask("SUBSCRIBE", channel)
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
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._fail_unconfirmed(UnavailableError("store_unavailable", "the Redis store was closed"))

    async def _remove(self, channel: str, callback: Callback) -> None:
        if self._subscribers.remove(channel, callback):
            unconfirmed = self._unconfirmed.pop(channel, None)
            if unconfirmed is not None:
                unconfirmed.cancel()
            await self._ask("UNSUBSCRIBE", channel)

    async def _ask(self, verb: str, *channels: str) -> None:
        """Send if connected. If not, or if that fails, the next connection asks for whatever is wanted then."""
        connection = self._connection
        if connection is None or not connection.is_connected:
            return
        if verb == "SUBSCRIBE":
            self._asked.extend(channels)
        with contextlib.suppress(RedisError, OSError):
            await connection.send_command(verb, *channels, check_health=False)

    async def _work(self) -> None:
        delay = _FIRST_DELAY
        broken = False
        while True:
            connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                self._wanted.clear()
                async with asyncio.timeout(_ANSWER_WAIT):
                    await connection.connect()  # type: ignore[no-untyped-call]
                delay = _FIRST_DELAY
                await self._listen(connection, resume=broken)
            except (RedisError, OSError, TimeoutError) as error:
                broken = broken or self._connection is not None
                # New subscribers hear that it failed; those that were confirmed once wait for better times.
                self._fail_unconfirmed(unavailable(error))
            finally:
                self._connection = None
                self._asked.clear()
                await _hang_up(connection)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay * (1 + random.random())):
                    await self._wanted.wait()
            delay = min(2 * delay, _LAST_DELAY)

    async def _listen(self, connection: AbstractConnection, *, resume: bool) -> None:
        self._connection = connection
        channels = list(self._subscribers.channels)
        to_resume = len(channels) if resume else 0
        if channels:
            await self._ask("SUBSCRIBE", *channels)
        pinged = False
        while True:
            patience = _ANSWER_WAIT if pinged else _PING_INTERVAL
            answer = await connection.read_response(disable_decoding=True, timeout=patience)
            if answer is None:
                if pinged:
                    raise RedisConnectionError("no answer to a ping")
                await connection.send_command("PING", check_health=False)
                pinged = True
                continue
            pinged = False
            match answer:
                case [b"message", bytes(channel), bytes(message)]:
                    self._subscribers.deliver(channel.decode(), message)
                case [b"subscribe", *_]:
                    self._confirm(self._asked.popleft())
                    if to_resume:
                        to_resume -= 1
                        if not to_resume:
                            # Only now: what is read after this hint cannot miss a message any more.
                            self._subscribers.interrupt()

    def _confirm(self, channel: str) -> None:
        # Left and joined again meanwhile: the confirmation that counts is the last one.
        if channel not in self._asked:
            confirmed = self._unconfirmed.pop(channel, None)
            if confirmed is not None:
                confirmed.set_result(None)

    def _fail_unconfirmed(self, error: UnavailableError) -> None:
        unconfirmed, self._unconfirmed = self._unconfirmed, {}
        for future in unconfirmed.values():
            future.set_exception(error)
            # A caller that was cancelled meanwhile does not ask any more; that is no fault to be reported.
            future.exception()
