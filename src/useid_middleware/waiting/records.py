"""Records that a page waits for while something else changes them: a login by QR, an enrolment.

Every such record has an id, a state and a deadline. It is changed by compare-and-set, each change is announced in the
same step, and past its deadline it counts as expired for whoever looks, whether or not somebody has written that down.
"""

import re
from collections.abc import Collection
from enum import StrEnum
from itertools import count
from secrets import token_urlsafe
from typing import Any, Final, Generic, Protocol, TypeVar

from .._codec import Record, RecordType
from ..errors import StateError
from ..http.sse import encode_event
from ..stores.base import Clock, Store
from ..stores.limits import Places

#: A final status is shown to connections that come later for so long, in seconds …
SNAPSHOT_LIFETIME: Final = 60.0
#: … and the record is kept for so long, so that they are told that it is over (204).
RECORD_LIFETIME: Final = 120.0
#: What is written for the sake of the time that it takes is gone after so long (s).
_PRETENDED: Final = 1.0

_ID: Final = re.compile("[A-Za-z0-9_-]{22}").fullmatch


class Waiting(Protocol):
    """What such a record has: an id (16 bytes, base64url), a state, when it began and when that ends (Unix seconds)."""

    @property
    def id(self) -> str: ...
    @property
    def state(self) -> StrEnum: ...
    @property
    def created_at(self) -> float: ...
    @property
    def deadline(self) -> float: ...


R = TypeVar("R", bound=Waiting)
R_contra = TypeVar("R_contra", bound=Waiting, contravariant=True)


class AtTime(Protocol[R]):
    """The record as it is at ``now``: the same object, or an expired one."""

    def __call__(self, record: R, /, *, now: float) -> R: ...


class Status(Protocol[R_contra]):
    """What the waiting page is told."""

    def __call__(self, record: R_contra, /, *, version: int, now: float) -> dict[str, object]: ...


class Watch(Protocol[R_contra]):
    """Is told of every change that this process makes; ``before`` is ``None`` for a new record."""

    def __call__(self, before: R_contra | None, after: R_contra, /, *, now: float) -> None: ...


class Current(Record, Generic[R], frozen=True):
    """A record as it is now, and its version in the store."""

    record: R
    version: int


class News(Record, frozen=True):
    """A status as it travels: ``chunk`` is the server-sent event, the rest is for the process that holds the stream."""

    version: int
    final: bool
    deadline: float
    chunk: bytes

    def encode(self) -> bytes:
        """One line for us, then the event."""
        return f"{self.version} {int(self.final)} {self.deadline!r}\n".encode() + self.chunk

    @classmethod
    def decode(cls, message: bytes) -> "News | None":
        """The opposite of :meth:`encode`; ``None`` for what is no news of ours, so that the record itself is read."""
        head, _, chunk = message.partition(b"\n")
        try:
            version, final, deadline = head.split(b" ")
            return cls(int(version), final == b"1", float(deadline), chunk)
        except ValueError:
            return None


class WaitingRecords(Generic[R]):
    """The records of one kind in a store. ``name`` begins their keys; ``final`` are the states that nothing leaves.

    Each has one of ``places`` until it is in a final state.

    ``decoy`` is one that nobody has: what is done for an id that is unknown is done with it, so that time does not tell
    unknown ids from those of others.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        name: str,
        kind: type[R],
        decoy: R,
        at_time: AtTime[R],
        status: Status[R],
        final: Collection[Any],
        places: Places,
    ) -> None:
        self.store = store
        self.clock = clock
        #: Who counts what becomes of the records.
        self.watch: Watch[R] | None = None
        self._name = name
        self._type = RecordType(kind)
        self._decoy = self._type.encode(decoy)
        # Of this process alone, so that no two processes write to one key.
        self._pretended = f"{name}-pretended:{token_urlsafe(16)}:"
        self._pretences = count()
        self._at_time = at_time
        self._status = status
        self._final = final
        self._places = places

    def key(self, record_id: str) -> str:
        """Where the record is, and the channel of its news."""
        return f"{self._name}:{record_id}"

    async def add(self, record: R) -> Current[R]:
        """Keep a new record; ``RateLimited`` when too many wait."""
        await self._places.take(record.created_at)
        key, now = self.key(record.id), self.clock()
        await self.store.put(key, self._type.encode(record), ttl=_ttl(record, now))
        if self.watch is not None:
            self.watch(None, record, now=now)
        return Current(record, 1)

    async def load(self, record_id: str) -> Current[R]:
        """The record with this id (base64url), or ``session_unknown``."""
        found = await self.store.get(self.key(record_id)) if _ID(record_id) else None
        stored = self._type.decode(self._decoy if found is None else found.value)
        record = self._at_time(stored, now=self.clock())
        if found is None:
            raise session_unknown()
        # An expiry that nobody wrote down yet counts as the next version, which it will be when somebody does.
        return Current(record, found.version if record is stored else found.version + 1)

    async def change(self, before: Current[R], after: R, *, announce: bool = True) -> bool:
        """Put ``after`` in the place of ``before``; ``False`` if somebody else changed it first.

        The change is announced in the same step, unless something has to be done first; then see :meth:`announce`.
        """
        now = self.clock()
        is_changed = await self.store.replace(
            self.key(after.id),
            self._type.encode(after),
            expected_version=before.version,
            ttl=_ttl(after, now),
            message=self.news(Current(after, before.version + 1)).encode() if announce else None,
        )
        if is_changed and self.watch is not None:
            self.watch(before.record, after, now=now)
        if is_changed and after.state in self._final:
            await self._places.give_back(after.created_at)
        return is_changed

    async def pretend(self, after: R) -> None:
        """Do what a change to ``after`` costs, and change nothing: time does not tell then that there was none."""
        value, news = self._type.encode(after), self.news(Current(after, 2)).encode()
        await self.store.put(f"{self._pretended}{next(self._pretences)}", value + news, ttl=_PRETENDED)

    async def announce(self, current: Current[R]) -> None:
        """Tell all who watch what the record is now."""
        await self.store.publish(self.key(current.record.id), self.news(current).encode())

    async def expire(self, record_id: str) -> bool:
        """Write down that the record has expired, if it has; ``True`` for the one caller who did it."""
        found = await self.store.get(self.key(record_id))
        if found is None:
            return False
        stored = self._type.decode(found.value)
        expired = self._at_time(stored, now=self.clock())
        return expired is not stored and await self.change(Current(stored, found.version), expired)

    def status(self, current: Current[R]) -> dict[str, object]:
        """The status at this moment."""
        return self._status(current.record, version=current.version, now=self.clock())

    def news(self, current: Current[R]) -> News:
        """The status as news."""
        record, version = current.record, current.version
        status = self.status(current)
        # The page is asked to do something: the flow page has an event of its own for that.
        name = "authenticate" if "options" in status else "status"
        chunk = encode_event(name, status, event_id=version)
        return News(version, record.state in self._final, record.deadline, chunk)

    def is_over(self, current: Current[R]) -> bool:
        """Whether it ended so long ago that there is nothing left to tell."""
        record = current.record
        return record.state in self._final and self.clock() >= record.deadline + SNAPSHOT_LIFETIME


def session_unknown() -> StateError:
    """One answer for an id that is unknown, gone, malformed, or somebody else's."""
    return StateError("session_unknown", "no such session for this browser", status_hint=404)


def _ttl(record: Waiting, now: float) -> float:
    return record.deadline + RECORD_LIFETIME - now
