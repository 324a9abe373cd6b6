"""The listener that writes the audit log, and what it does when the disk, or somebody, stands in its way."""

import asyncio
import logging
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import ConfigurationError
from ..events import AttemptRefused, Event, Events, Refuse
from ..settings.monitoring import AuditSettings
from ..stores.base import Clock
from .chain import GENESIS, LEFT_OUT, LOST, ChainBroken, Data
from .entries import AUDITED, entry_data
from .file import AuditFile, NewEntry

logger = logging.getLogger("useid_middleware")

#: Anybody can have attempts refused, as often as the limits allow. So many of a code are in the log, in so many
#: seconds, of each process; of the others it says how many they were.
ATTEMPTS: Final = 10
_ATTEMPTS_IN: Final = 60.0
#: Those of a ceremony have sixty codes, and whoever attempts it chooses which.
_CEREMONY: Final = "webauthn_"
#: Seconds between two heads in the log of the app.
_HEAD_EVERY: Final = 3600.0

#: Shown to whoever wants to log in while the log cannot be written.
REFUSAL: Final = "Nobody can log in at the moment, since logins cannot be recorded. Please try again later."


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An entry on its way to the disk."""

    entry: NewEntry
    written: "asyncio.Future[None]"


@dataclass(slots=True)
class _Attempts:
    """Refused attempts with one code since ``begun``."""

    begun: float
    count: int = 0


class Audit:
    """Listens to ``events`` and writes; a login waits until its entry is written.

    Entries that come at once are written at once. ``on_loss`` is told how many entries were just lost.
    """

    def __init__(
        self,
        events: Events,
        file: AuditFile,
        *,
        refuses: bool,
        clock: Clock = time.time,
        on_loss: Callable[[int], None] | None = None,
    ) -> None:
        self._file = file
        self._refuses = refuses
        self._clock = clock
        self._on_loss = on_loss
        self._queue: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None
        self._lost = 0
        self._attempts: dict[str, _Attempts] = {}
        self._head_told_at = 0.0
        self._finding = ""
        self._timer: asyncio.TimerHandle | None = None
        self._tending: asyncio.Task[None] | None = None
        for kind in AUDITED:
            self._listen(events, kind)

    def _listen(self, events: Events, kind: type[Event]) -> None:
        @events.on(kind)
        async def write(event: Event) -> None:
            await self._record(event, kind)

    async def open(self) -> None:
        """Make sure that the log can go on; ``ConfigurationError``, unless losses are only logged. Idempotent."""
        try:
            await self._tell_head()
        except (OSError, ChainBroken) as error:
            if self._refuses:
                raise ConfigurationError(f"audit.file cannot be written: {_reason(error)}") from None
            logger.critical("the audit log cannot be written: %s", _reason(error))
        self._tend_later()

    async def close(self) -> None:
        """Wait for what is on its way, say how the log ends, and let go of the file. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        if self._tending is not None and _is_of(self._tending, loop):
            await self._tending
        await self._note_left_out(self._clock(), is_end=True)
        if self._writing is not None and _is_of(self._writing, loop):
            await self._writing
        self._tending = self._writing = None
        if self._file.seen != GENESIS:
            await self._tell_head_or_why_not()
        self._file.close()

    async def tend(self) -> None:
        """What is to be done once a minute: say what was left out, and now and then how the log ends."""
        now = self._clock()
        await self._note_left_out(now)
        if not 0 <= now - self._head_told_at < _HEAD_EVERY:
            await self._tell_head_or_why_not()

    def _tend_later(self) -> None:
        def begin() -> None:
            self._tending = loop.create_task(self.tend())
            self._tend_later()

        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(_ATTEMPTS_IN, begin)

    async def _tell_head(self) -> None:
        """Say how the log ends, to be kept elsewhere: whoever cuts it off cannot take that back."""
        self._head_told_at = self._clock()
        head = await asyncio.to_thread(self._file.head, self._head_told_at)
        logger.info("the audit log has the head %s", head, extra={"head": str(head)})

    async def _tell_head_or_why_not(self) -> None:
        try:
            await self._tell_head()
        except ChainBroken as error:
            self._find(_reason(error))
        except OSError as error:
            logger.critical("the audit log cannot be written: %s", _reason(error))

    def _find(self, finding: str) -> None:
        """Somebody was at the log: said once, and not with each entry that comes to it."""
        if finding != self._finding:
            logger.error("the audit log is not as it was written: %s", finding)
        self._finding = finding

    async def _record(self, event: Event, kind: type[Event]) -> None:
        if isinstance(event, AttemptRefused) and not await self._has_room(event):
            return
        entry = NewEntry(_at(event), kind.__name__, entry_data(event, AUDITED[kind]))
        try:
            await self._write(entry)
        except (OSError, ChainBroken) as error:
            self._note_loss(kind.__name__, error)
            if self._refuses and event.may_refuse:
                raise Refuse(REFUSAL) from None

    async def _has_room(self, event: AttemptRefused) -> bool:
        """Whether an attempt is one of those that are written."""
        await self._note_left_out(event.at)
        code = _CEREMONY + "*" if event.code.startswith(_CEREMONY) else event.code
        attempts = self._attempts.setdefault(code, _Attempts(event.at))
        attempts.count += 1
        return attempts.count <= ATTEMPTS

    async def _note_left_out(self, now: float, *, is_end: bool = False) -> None:
        """Write how many attempts were left out in the minutes that are over."""
        over = [
            code
            for code, attempts in self._attempts.items()
            if is_end or not 0 <= now - attempts.begun < _ATTEMPTS_IN  # A clock that was set back ends a minute, too.
        ]
        for code, attempts in [(code, self._attempts.pop(code)) for code in over]:
            if attempts.count > ATTEMPTS:
                data: Data = {"code": code, "count": attempts.count - ATTEMPTS}
                try:
                    await self._write(NewEntry(now, LEFT_OUT, data))
                except (OSError, ChainBroken) as error:
                    self._note_loss(LEFT_OUT, error)

    async def _write(self, entry: NewEntry) -> None:
        loop = asyncio.get_running_loop()
        waiting = _Waiting(entry, loop.create_future())
        self._queue.append(waiting)
        if self._writing is None or self._writing.done() or not _is_of(self._writing, loop):
            # A task of its own: whoever goes away in the middle leaves the others' entries alone.
            self._writing = loop.create_task(self._write_all())
        await waiting.written

    async def _write_all(self) -> None:
        while self._queue:
            batch, self._queue = self._queue, []
            entries = [waiting.entry for waiting in batch]
            lost = self._lost
            if lost:
                entries.insert(0, NewEntry(entries[0].at, LOST, {"count": lost}))
            failure: OSError | ChainBroken | None = None
            try:
                await asyncio.to_thread(self._file.append, entries)
                self._lost -= lost
            except (OSError, ChainBroken) as error:
                failure = error
            for waiting in batch:
                if waiting.written.done():
                    continue  # Whoever waited for it has gone.
                if failure is None:
                    waiting.written.set_result(None)
                else:
                    waiting.written.set_exception(failure)

    def _note_loss(self, name: str, error: OSError | ChainBroken) -> None:
        if isinstance(error, ChainBroken):
            self._find(_reason(error))
        self._lost += 1
        if self._on_loss is not None:
            self._on_loss(1)
        logger.critical("the audit log lost an entry %s (%d by now): %s", name, self._lost, _reason(error))


def audit_of(
    settings: AuditSettings,
    events: Events,
    *,
    clock: Clock = time.time,
    on_loss: Callable[[int], None] | None = None,
) -> Audit | None:
    """The audit log of these settings, if there is to be one; ``ConfigurationError`` for a key that is none."""
    if settings.file is None:
        return None
    file = AuditFile(
        settings.file,
        key=read_key(settings.key_file) if settings.key_file is not None else None,
        fsync=settings.fsync == "always",
        max_size=settings.max_size,
    )
    return Audit(events, file, refuses=settings.on_error == "refuse", clock=clock, on_loss=on_loss)


def read_key(path: Path) -> bytes:
    """The key in a file, without the white space around it."""
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"audit.key_file cannot be read: {error.strerror}") from None
    if len(key) < 32:
        raise ConfigurationError("audit.key_file must hold 32 bytes or more: openssl rand -hex 32")
    return key


def _at(event: Event) -> float:
    at: float = event.at  # type: ignore[attr-defined]  # every event has it: of Event it is only the promise
    return at


def _reason(error: OSError | ChainBroken) -> str:
    return str(error.strerror) if isinstance(error, OSError) else error.message


def _is_of(task: "asyncio.Task[None]", loop: AbstractEventLoop) -> bool:
    return task.get_loop() is loop
