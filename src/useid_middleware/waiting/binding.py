"""The seam between a login that waits and the WebAuthn ceremony that binds it to the browser that began it.

The features do not know each other: a login that can be bound has these steps, and ``webauthn`` takes them.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, Generic, Protocol, TypeVar

from ..errors import StateError
from .browser import browser_hash
from .records import Current, Waiting, WaitingRecords, session_unknown


@dataclass(frozen=True, slots=True)
class Unbound:
    """A login that is to be bound.

    ``deadline`` (Unix seconds) ends its present state; the browser's proof has ``lifetime`` seconds once it is asked
    for. ``tenant`` is empty for a login of our own.
    """

    session_id: str
    deadline: float
    lifetime: float
    tenant: str = ""


class BoundLogins(Protocol):
    """The logins of one kind. Each step is taken once; ``StateError`` for a login that is at another one."""

    async def unbound(self, session_id: str) -> Unbound:
        """The login whose phone has done its part; ``session_unknown``, ``wrong_state``, ``session_expired``."""
        ...

    async def ask(self, session_id: str, *, user_id: str, options: Mapping[str, Any]) -> None:
        """The phone has a credential: the page is told to ask for it."""
        ...

    async def asked(self, session_id: str, *, browser_secrets: Sequence[str]) -> Unbound:
        """The login, if one of these secrets is its browser's; ``session_unknown`` otherwise."""
        ...

    async def release(self, session_id: str, *, user_id: str, sealed: str) -> None:
        """The browser has proved that the phone is at hand: the page gets the sealed refresh address."""
        ...

    async def refuse(self, session_id: str, *, user_id: str) -> None:
        """It has proved nothing: the login is over. Does nothing to one that is over already."""
        ...


class Bindable(Waiting, Protocol):
    """A record that can be bound: ``browser`` is the SHA-256 of the cookie of the browser that began."""

    @property
    def browser(self) -> bytes: ...


B = TypeVar("B", bound=Bindable)


class BindingSteps(Protocol[B]):
    """The steps of its state machine; each raises ``wrong_state`` where it is not possible."""

    def check_unbound(self, record: B, /) -> B: ...
    def ask(self, record: B, /, *, user_id: str, options: Mapping[str, Any], deadline: float) -> B: ...
    def release(self, record: B, /, *, user_id: str, sealed: str, deadline: float) -> B: ...
    def refuse(self, record: B, /, *, user_id: str, now: float) -> B: ...


class BoundRecords(Generic[B]):
    """The :class:`BoundLogins` of one kind. ``released`` and ``refused`` say once what happened."""

    def __init__(
        self,
        records: WaitingRecords[B],
        steps: BindingSteps[B],
        *,
        lifetime: float,
        released: Callable[[B], Awaitable[None]],
        refused: Callable[[B], Awaitable[None]],
        tenant_of: Callable[[B], str] = lambda _: "",
    ) -> None:
        self._records = records
        self._steps = steps
        self._lifetime = lifetime
        self._released = released
        self._refused = refused
        self._tenant_of = tenant_of

    async def unbound(self, session_id: str) -> Unbound:
        """See :meth:`BoundLogins.unbound`."""
        current = await self._records.load(session_id)
        return self._describe(self._steps.check_unbound(current.record))

    async def ask(self, session_id: str, *, user_id: str, options: Mapping[str, Any]) -> None:
        """See :meth:`BoundLogins.ask`."""
        current = await self._records.load(session_id)
        deadline = self._records.clock() + self._lifetime
        asked = self._steps.ask(current.record, user_id=user_id, options=options, deadline=deadline)
        await self._change(current, asked)

    async def asked(self, session_id: str, *, browser_secrets: Sequence[str]) -> Unbound:
        """See :meth:`BoundLogins.asked`."""
        current = await self._records.load(session_id)
        if not any(compare_digest(current.record.browser, browser_hash(secret)) for secret in browser_secrets):
            raise session_unknown()
        return self._describe(current.record)

    async def release(self, session_id: str, *, user_id: str, sealed: str) -> None:
        """See :meth:`BoundLogins.release`."""
        current = await self._records.load(session_id)
        deadline = self._records.clock() + self._lifetime
        released = self._steps.release(current.record, user_id=user_id, sealed=sealed, deadline=deadline)
        await self._change(current, released)
        await self._released(released)

    async def refuse(self, session_id: str, *, user_id: str) -> None:
        """See :meth:`BoundLogins.refuse`."""
        current = await self._records.load(session_id)
        try:
            refused = self._steps.refuse(current.record, user_id=user_id, now=self._records.clock())
            await self._change(current, refused)
        except StateError:
            return
        await self._refused(refused)

    def _describe(self, record: B) -> Unbound:
        return Unbound(record.id, record.deadline, self._lifetime, self._tenant_of(record))

    async def _change(self, before: Current[B], after: B) -> None:
        # An authenticating login is changed by its one browser and its clock; who loses here came second.
        if not await self._records.change(before, after):
            raise StateError("wrong_state", "binding: another step came first")
