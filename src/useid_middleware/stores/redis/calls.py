"""Commands and scripts as the stores need them: lost answers settled, answers checked, errors of ours."""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from redis.exceptions import NoScriptError, RedisError

from ...errors import UnavailableError
from .connections import AnswerLost, Argument, Timing, unavailable
from .scripts import SHA1


class Wire(Protocol):
    """The way to whichever server has a key: a :class:`~.connections.Commands` where one has all."""

    def call(self, key: str, *command: Argument) -> Awaitable[Any]:
        """Send a command to the server that has ``key``. Raises ``RedisError``."""
        ...

    def renew(self) -> None:
        """Connect again before the next command."""

    async def close(self) -> None:
        """Disconnect."""


class Calls:
    """One call each. Raises :class:`~useid_middleware.errors.UnavailableError`, within three times the patience.

    A call whose answer is lost is sent once more, over a new connection. That is safe for reading, and for scripts that
    know a write by its token: the second one finds what the first has done. After silence it is not: who waited so long
    would wait as long again.
    """

    def __init__(self, wire: Wire, timing: Timing) -> None:
        self._wire = wire
        self._patience = timing.answer
        # Random, so that no two processes can ever take each other's writes for their own.
        self._token = secrets.token_bytes(10)
        self._tokens = itertools.count()

    def new_token(self) -> bytes:
        """What one write is known by."""
        return b"%s%x" % (self._token, next(self._tokens))

    async def command(self, key: str, *command: Argument, repeat: bool = True) -> Any:
        """A command; ``repeat`` if carrying it out twice does no harm."""
        try:
            return await self._wire.call(key, *command)
        except RedisError as error:
            if not repeat or not isinstance(error, AnswerLost):
                raise unavailable(error) from error
        try:
            async with asyncio.timeout(self._patience):
                return await self._wire.call(key, *command)
        except (RedisError, TimeoutError) as error:
            raise unavailable(error) from error

    async def script(
        self,
        script: str,
        keys: Sequence[str],
        *arguments: Argument,
        open_reply: int | None = None,
        repeat: bool = True,
    ) -> Any:
        """A script; ``repeat`` if it may run twice with the same arguments.

        ``open_reply``: what then does not say what happened.
        """
        try:
            return await self._wire.call(keys[0], "EVALSHA", SHA1[script], len(keys), *keys, *arguments)
        except NoScriptError:
            # The first call since this server started. Nothing has run.
            was_lost = False
        except AnswerLost as error:
            if not repeat:
                raise unavailable(error) from error
            was_lost = True
        except RedisError as error:
            raise unavailable(error) from error
        try:
            async with asyncio.timeout(self._patience):
                # Runs it, and makes Redis remember it.
                reply = await self._wire.call(keys[0], "EVAL", script, len(keys), *keys, *arguments)
        except (RedisError, TimeoutError) as error:
            raise unavailable(error) from error
        if was_lost and open_reply is not None and reply == open_reply:
            raise UnavailableError(
                "store_unavailable", "the Redis store's answer was lost, and the value has changed since"
            )
        return reply

    def nonsense(self) -> UnavailableError:
        """The error for a reply that answers another question, or none. The connection is not used any more."""
        self._wire.renew()
        return UnavailableError("store_unavailable", "the Redis store gave an answer that does not fit the question")

    async def close(self) -> None:
        """Disconnect."""
        await self._wire.close()


def milliseconds(ttl: float) -> int:
    """``ttl`` as Redis takes it."""
    return max(1, round(ttl * 1000))


def not_open() -> UnavailableError:
    """The error for whoever uses a store that is not open."""
    return UnavailableError("store_unavailable", "the Redis store is not open")
