"""The connection for commands: one for each server that a process talks to.

It is a plain ``redis.asyncio`` connection without a pool: commands that wait at the same moment travel in one packet,
which costs a fraction of a pooled client's CPU time under load, and nothing needs more than one connection.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ClusterDownError, ReadOnlyError, RedisError, ResponseError

from ...errors import UnavailableError

Argument = bytes | str | int


@dataclass(frozen=True, slots=True)
class Timing:
    """How patient a process is with Redis, in seconds."""

    #: Until Redis has answered a batch, or a ping; connecting included. No call takes more than three times as long.
    answer: float = 2.5
    #: Silence after which a subscription connection must prove to be alive.
    ping: float = 5.0
    #: Between attempts to subscribe again: doubling from the first to the last, and up to as much again by chance.
    first_delay: float = 0.05
    last_delay: float = 2.0


class NotSent(RedisError):
    """There was no connection: Redis has certainly not carried the command out."""


class AnswerLost(RedisError):
    """The connection broke, or talked nonsense: whether Redis has carried the command out is unknown."""


class Silence(RedisError):
    """No answer in time: whether Redis has carried the command out, or still will, is unknown."""


def unavailable(error: BaseException) -> UnavailableError:
    """The error for callers. The original's text stays out: it may hold an address or an argument."""
    if isinstance(error, (NotSent, AnswerLost, Silence)) and error.__cause__ is not None:
        error = error.__cause__
    return UnavailableError("store_unavailable", f"the Redis store failed with {type(error).__name__}")


async def hang_up(connection: AbstractConnection) -> None:
    """Drop a connection without waiting for anything."""
    # There is no public way. Closing alone waits for the other side's farewell where there is TLS, for half a minute.
    writer = connection._writer
    if writer is not None:
        writer.transport.abort()
    with contextlib.suppress(RedisError, OSError):
        await connection.disconnect(nowait=True)


async def ask(connection: AbstractConnection, *command: Argument, wait: float) -> Any:
    """Connect, ask once and hang up; the reply, or ``None`` when there is none in ``wait`` seconds."""
    try:
        async with asyncio.timeout(wait):
            await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_command(*command, check_health=False)
            return await connection.read_response(disable_decoding=True)
    # Whatever it is: what is no answer of Redis makes its client raise all sorts of errors.
    except Exception:
        return None
    finally:
        await hang_up(connection)


class Commands:
    """Calls made while a batch is under way travel together in the next one. None is ever repeated here."""

    def __init__(self, connection: AbstractConnection, timing: Timing) -> None:
        self._connection = connection
        self._timing = timing
        self._waiting: list[tuple[tuple[Argument, ...], asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None
        self._is_doubtful = False

    def call(self, key: str, *command: Argument) -> "asyncio.Future[Any]":
        """Send a command, whatever ``key`` it is about (see :class:`.calls.Wire`).

        The future has the reply, or one of the errors above, or Redis' own (``ResponseError``).
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return future

    def renew(self) -> None:
        """Use another connection from now on: this one talks nonsense, or its server has stepped down."""
        self._is_doubtful = True

    async def close(self) -> None:
        """Finish what is under way and disconnect."""
        if self._task is not None:
            await self._task
        with contextlib.suppress(RedisError, OSError):
            await self._connection.disconnect()

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                is_sent = False
                try:
                    async with asyncio.timeout(self._timing.answer):
                        # Between batches nothing is due, so something to read is the end of a connection that broke
                        # while idle.
                        connection = self._connection
                        if self._is_doubtful or not connection.is_connected or await connection.can_read():
                            self._is_doubtful = False
                            await hang_up(connection)
                            await connection.connect()  # type: ignore[no-untyped-call]
                        is_sent = True
                        await self._exchange(batch)
                # Whatever it is: what is no answer of Redis makes its client raise all sorts of errors.
                except Exception as error:
                    kind = NotSent if not is_sent else Silence if isinstance(error, TimeoutError) else AnswerLost
                    for _, future in batch:
                        if not future.done():
                            _fail(future, kind(), cause=error)
                    # Replies that are still due must never be taken for those of the next batch.
                    await hang_up(self._connection)
        finally:
            self._task = None

    async def _exchange(self, batch: list[tuple[tuple[Argument, ...], asyncio.Future[Any]]]) -> None:
        connection = self._connection
        # redis-py's own encoder is Python, and took an eighth of the time that a login spends in the store.
        packed = b"".join([pack_command(command) for command, _ in batch])  # type: ignore[arg-type]  # any length
        await connection.send_packed_command(packed, check_health=False)
        for _, future in batch:
            try:
                reply = await connection.read_response(disable_decoding=True)
            except ResponseError as error:
                if isinstance(error, (ReadOnlyError, ClusterDownError)):
                    # No primary any more, or one without its primary: whoever is, is found by connecting again.
                    self.renew()
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(reply)


def _fail(future: "asyncio.Future[Any]", error: RedisError, *, cause: Exception) -> None:
    error.__cause__ = cause
    future.set_exception(error)
