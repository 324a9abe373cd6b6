"""A fetched value, kept: fresh for a while, stale for longer while its source is away, never fetched in a storm."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from ..errors import ProviderError, UnavailableError
from ..settings import OIDCSettings
from ..stores.base import Clock

logger = logging.getLogger("useid_middleware")

T = TypeVar("T")


class Kept(Generic[T]):
    """One value in one process. However many ask at once, one fetch answers them all."""

    def __init__(self, fetch: Callable[[], Awaitable[T]], *, clock: Clock, settings: OIDCSettings) -> None:
        self._fetch = fetch
        self._clock = clock
        self._settings = settings
        self._value: T | None = None
        self._fetched_at = 0.0
        self._tried_at = 0.0
        self._forced_at: float | None = None
        self._fetching: asyncio.Task[T] | None = None

    async def value(self) -> T:
        """The value, at most ``metadata_lifetime`` old, or ``stale_lifetime`` while it cannot be fetched."""
        now = self._clock()
        age = abs(now - self._fetched_at)  # The clock may have been set back.
        if self._value is None:
            return await self._fetched()
        if age < self._settings.metadata_lifetime:
            return self._value
        if abs(now - self._tried_at) < self._settings.keys_cooldown and age < self._settings.stale_lifetime:
            return self._value  # The source was away a moment ago; not everybody has to wait for it again.
        try:
            return await self._fetched()
        except (UnavailableError, ProviderError) as error:
            if age >= self._settings.stale_lifetime:
                raise
            logger.warning("using what a provider said %d s ago, since %s", age, error.code)
            return self._value

    async def fresher(self, seen: T) -> T:
        """A value fetched after ``seen`` was, if one may be fetched now: once in ``keys_cooldown``."""
        if self._value is not None and self._value is not seen:
            return self._value  # Somebody else has just fetched it.
        now = self._clock()
        if self._fetching is None:  # Else its answer is on the way, and newer than what was seen.
            if self._forced_at is not None and abs(now - self._forced_at) < self._settings.keys_cooldown:
                return seen
            self._forced_at = now
        try:
            return await self._fetched()
        except (UnavailableError, ProviderError):
            return seen

    def forget(self) -> None:
        """Fetch anew when it is next asked for."""
        self._value = None

    async def _fetched(self) -> T:
        if self._fetching is None or self._fetching.get_loop() is not asyncio.get_running_loop():
            self._fetching = asyncio.ensure_future(self._fetch_and_keep())
        # Whoever leaves in the middle must not take the fetch from the others.
        return await asyncio.shield(self._fetching)

    async def _fetch_and_keep(self) -> T:
        self._tried_at = self._clock()
        try:
            value = await self._fetch()
        finally:
            self._fetching = None
        self._value, self._fetched_at = value, self._clock()
        return value
