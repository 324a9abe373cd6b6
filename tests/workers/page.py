"""A waiting page that follows its login's event stream, and comes back by itself as a browser does."""

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import Any, Final, Self

import httpx2

from tests.hosts.people import Surfer
from tests.servers import PATIENCE

_NAMES: Final = ("status", "authenticate")


class NotToldError(Exception):
    """The page has waited in vain."""


@dataclass
class Page:
    """``path`` is that of the login, below the prefix."""

    browser: Surfer
    path: str
    #: Between two connections (s). The server asks for more, since it may have thousands of pages.
    retry: float = 0.05
    #: All that was told: version, status, and everything else.
    told: list[dict[str, Any]] = field(default_factory=list)
    #: Versions that came again although the page had said that it knew them, or that came out of order.
    doubled: int = 0
    connections: int = 0
    byes: int = 0
    has_ended: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        self._following = asyncio.create_task(self._follow())
        self._following.add_done_callback(lambda _: self._changed.set())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._following

    async def wait_for(self, *statuses: str) -> dict[str, Any]:
        """The newest status, as soon as it is one of these; ``NotToldError``."""
        deadline = time.monotonic() + 2 * PATIENCE
        while not self.told or self.told[-1]["status"] not in statuses:
            await self._wait(deadline, f"expected {statuses}")
        return self.told[-1]

    async def wait_for_bye(self) -> None:
        """The server has said that it goes down."""
        deadline = time.monotonic() + 2 * PATIENCE
        while not self.byes:
            await self._wait(deadline, "expected bye")

    async def wait_for_connection(self, number: int) -> None:
        """The page is connected for the so many-th time."""
        deadline = time.monotonic() + 2 * PATIENCE
        while self.connections < number:
            await self._wait(deadline, f"expected connection {number}")

    async def _wait(self, deadline: float, expected: str) -> None:
        if self._following.done():
            # The login is over, or its person has left; more will not come.
            await self._following
            raise self._not_told(expected)
        self._changed.clear()
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                await self._changed.wait()
        except TimeoutError:
            raise self._not_told(expected) from None

    def _not_told(self, expected: str) -> NotToldError:
        found = [each["status"] for each in self.told]
        return NotToldError(f"{self.path}: {expected}, was told {found}")

    async def _follow(self) -> None:
        while not self.has_ended:
            with contextlib.suppress(httpx2.TransportError):
                await self._connect()
            self._changed.set()
            await asyncio.sleep(self.retry)

    async def _connect(self) -> None:
        last_id = self.told[-1]["version"] if self.told else 0
        headers = {"last-event-id": str(last_id)} if last_id else {}
        url = f"{self.browser.origin}{self.browser.prefix}{self.path}/events"
        async with self.browser.http.stream("GET", url, headers=headers) as answer:
            self.connections += 1
            self._changed.set()
            if answer.status_code in (204, 404, 410):
                self.has_ended = True
            if answer.status_code != 200:
                return
            block: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    block[name] = value
                    continue
                self._hear(block)
                block = {}

    def _hear(self, block: dict[str, str]) -> None:
        if block.get("event") == "bye":
            self.byes += 1
        elif block.get("event") in _NAMES:
            version = int(block["id"])
            if self.told and version <= self.told[-1]["version"]:
                self.doubled += 1
                return
            data = json.loads(block["data"])
            self.told.append(data)
            self.has_ended = data["status"] in ("rejected", "expired", "claimed")
        self._changed.set()
