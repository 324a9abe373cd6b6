"""Which events are in the audit log, and what of them: a table, and the listener that writes by it.

Ids are in the log, all of ours and good for nothing by themselves: accounts, sessions, phones, passkeys. People are
not: no names, no addresses, no pseudonyms of providers and cards, no attributes, no IP addresses; and no secrets.
"""

import asyncio
import logging
import re
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Final

from ..errors import ConfigurationError
from ..events import (
    BackchannelLogout,
    DeviceEnrolled,
    DeviceRevoked,
    EIDApproved,
    EIDExpired,
    EIDLoginStarted,
    EIDRejected,
    EIDScanned,
    Event,
    Events,
    FrontchannelLogout,
    LoginBound,
    LoginCompleted,
    LoginFailed,
    LoginSucceeded,
    PasskeyAdded,
    PasskeyRemoved,
    PreLogin,
    PreLogout,
    QRApproved,
    QRExpired,
    QRLoginStarted,
    QRRejected,
    QRScanned,
    Refuse,
    SessionChanged,
    SessionEnded,
    TokenRefreshed,
    UserCreated,
    UserUpdated,
)
from ..identity import Level
from ..settings.monitoring import AuditSettings
from .chain import LOST, ChainBroken, Data, Value
from .file import AuditFile, NewEntry

logger = logging.getLogger("useid_middleware")

#: By event, the fields that an entry has; of ``a.b`` it has ``b``. All else stays out.
AUDITED: Final[Mapping[type[Event], tuple[str, ...]]] = {
    QRApproved: ("session_id", "device_id", "account_id"),
    QRRejected: ("session_id", "account_id", "reason"),
    EIDApproved: ("session_id",),
    EIDRejected: ("session_id", "reason", "minor"),
    LoginBound: ("session_id", "tenant"),
    UserCreated: ("account.id",),
    LoginSucceeded: ("identity.provider", "identity.level", "identity.amr", "identity.account_id"),
    LoginCompleted: ("account_id", "session_id", "level", "provider"),
    LoginFailed: ("code", "provider"),
    TokenRefreshed: ("session_id",),
    BackchannelLogout: ("issuer",),
    FrontchannelLogout: ("issuer",),
    SessionChanged: ("account_id", "session_id", "reason"),
    SessionEnded: ("account_id", "session_id", "reason"),
    DeviceEnrolled: ("account_id", "device_id"),
    DeviceRevoked: ("account_id", "device_id"),
    PasskeyAdded: ("account_id", "passkey_id"),
    PasskeyRemoved: ("account_id", "passkey_id"),
}
#: Nobody is more or less trusted after these. Anybody can cause them, as often as the limits allow.
NOT_AUDITED: Final[frozenset[type[Event]]] = frozenset(
    {
        QRLoginStarted,
        QRScanned,
        QRExpired,
        EIDLoginStarted,
        EIDScanned,
        EIDExpired,
        PreLogin,
        PreLogout,
        UserUpdated,
    }
)
#: What the members are called where the event calls them otherwise.
NAMES: Final = {"account.id": "account_id"}

#: Ids, codes and addresses of providers. An email address is none, and neither is a sentence.
_WORD: Final = re.compile(r"[\w.:/#%?=&+~\[\]-]{0,200}", re.ASCII).fullmatch
_OTHER: Final = "(other)"

#: Shown to whoever wants to log in while the log cannot be written.
REFUSAL: Final = "Nobody can log in at the moment, since logins cannot be recorded. Please try again later."


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An entry on its way to the disk."""

    entry: NewEntry
    written: "asyncio.Future[None]"


class Audit:
    """Listens to ``events`` and writes; a login waits until its entry is written.

    Entries that come at once are written at once. ``on_loss`` is told how many entries were just lost.
    """

    def __init__(
        self, events: Events, file: AuditFile, *, refuses: bool, on_loss: Callable[[int], None] | None = None
    ) -> None:
        self._file = file
        self._refuses = refuses
        self._on_loss = on_loss
        self._queue: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None
        self._lost = 0
        for kind in AUDITED:
            self._listen(events, kind)

    def _listen(self, events: Events, kind: type[Event]) -> None:
        @events.on(kind)
        async def write(event: Event) -> None:
            await self._record(event, kind)

    async def open(self) -> None:
        """Make sure that the log can go on; ``ConfigurationError``, unless losses are only logged."""
        try:
            await asyncio.to_thread(self._file.check)
        except (OSError, ChainBroken) as error:
            if self._refuses:
                raise ConfigurationError(f"audit.file cannot be written: {_reason(error)}") from None
            logger.critical("the audit log cannot be written: %s", _reason(error))

    async def close(self) -> None:
        """Wait for what is on its way, and let go of the file."""
        if self._writing is not None and _is_of(self._writing, asyncio.get_running_loop()):
            await self._writing
        self._writing = None
        self._file.close()

    async def _record(self, event: Event, kind: type[Event]) -> None:
        entry = NewEntry(_at(event), kind.__name__, entry_data(event, AUDITED[kind]))
        try:
            await self._write(entry)
        except (OSError, ChainBroken) as error:
            self._note_loss(kind.__name__, error)
            if self._refuses and event.may_refuse:
                raise Refuse(REFUSAL) from None

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
        self._lost += 1
        if self._on_loss is not None:
            self._on_loss(1)
        logger.critical("the audit log lost an entry %s (%d by now): %s", name, self._lost, _reason(error))


def audit_of(settings: AuditSettings, events: Events, *, on_loss: Callable[[int], None] | None = None) -> Audit | None:
    """The audit log of these settings, if there is to be one; ``ConfigurationError`` for a key that is none."""
    if settings.file is None:
        return None
    file = AuditFile(
        settings.file,
        key=read_key(settings.key_file) if settings.key_file is not None else None,
        fsync=settings.fsync == "always",
        max_size=settings.max_size,
    )
    return Audit(events, file, refuses=settings.on_error == "refuse", on_loss=on_loss)


def read_key(path: Path) -> bytes:
    """The key in a file, without the white space around it."""
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"audit.key_file cannot be read: {error.strerror}") from None
    if len(key) < 32:
        raise ConfigurationError("audit.key_file must hold 32 bytes or more: openssl rand -hex 32")
    return key


def entry_data(event: Event, fields: tuple[str, ...]) -> Data:
    """What the entry of an event tells: these fields of it."""
    return {
        NAMES.get(field, field.rpartition(".")[2]): _value(reduce(getattr, field.split("."), event)) for field in fields
    }


def _value(value: object) -> Value:
    if isinstance(value, Level):
        return value.name
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, tuple):
        return [_word(str(each)) for each in value]
    return _word(str(value))


def _word(text: str) -> str:
    return text if _WORD(text) else _OTHER


def _at(event: Event) -> float:
    at: float = event.at  # type: ignore[attr-defined]  # every event has it: of Event it is only the promise
    return at


def _reason(error: OSError | ChainBroken) -> str:
    return str(error.strerror) if isinstance(error, OSError) else error.message


def _is_of(task: "asyncio.Task[None]", loop: AbstractEventLoop) -> bool:
    return task.get_loop() is loop
