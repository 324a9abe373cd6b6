"""What is measured: a listener that counts events, and what records of logins, store, streams and errors tell."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..errors import UseIDError
from ..events import (
    DeviceEnrolled,
    DeviceRevoked,
    EIDRejected,
    Event,
    Events,
    LoginBound,
    LoginCompleted,
    LoginFailed,
    PasskeyAdded,
    PasskeyRemoved,
    QRRejected,
    SessionEnded,
    TokenRefreshed,
)
from ..settings import Settings
from ..stores.base import Clock
from .series import Family, Kind, Registry, SeriesName, Snapshot, in_memory
from .shared import Others, SharedNumbers
from .under_way import APPROVED, CLAIMING, EID, EXPIRED, QR, STATES, Login, LoginsUnderWay

UNDER_WAY: Final = Family(
    "useid_logins_under_way", Kind.GAUGE, "Logins that are not over, by what they are in.", ("flow", "state")
)
TRANSITIONS: Final = Family(
    "useid_login_transitions_total", Kind.COUNTER, "Steps of logins by QR code and ID card.", ("flow", "to")
)
TIME_TO_APPROVE: Final = Family(
    "useid_time_to_approve_seconds",
    Kind.HISTOGRAM,
    "From the start of a login to its approval.",
    ("flow",),
    (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300),
)
REJECTIONS: Final = Family(
    "useid_login_rejections_total", Kind.COUNTER, "Logins by QR code and ID card that ended badly.", ("flow", "reason")
)
BOUND: Final = Family(
    "useid_logins_bound_total", Kind.COUNTER, "Logins whose browser proved that their phone is at hand."
)
LOGINS: Final = Family("useid_logins_total", Kind.COUNTER, "Sessions that began.", ("provider",))
FAILURES: Final = Family(
    "useid_login_failures_total",
    Kind.COUNTER,
    "Logins that a provider, a check or a listener refused.",
    ("provider", "code"),
)
ENDED: Final = Family("useid_sessions_ended_total", Kind.COUNTER, "Sessions that were ended.", ("reason",))
REFRESHES: Final = Family("useid_token_refreshes_total", Kind.COUNTER, "Tokens of providers that were replaced.")
CREDENTIALS: Final = Family(
    "useid_credentials_total", Kind.COUNTER, "Phones and passkeys that came and went.", ("kind", "change")
)
ERRORS: Final = Family("useid_errors_total", Kind.COUNTER, "Requests that were answered with an error.", ("code",))
LIMITS: Final = Family(
    "useid_limits_hit_total", Kind.COUNTER, "Requests above a limit, by the limits that they were under.", ("limits",)
)
STREAMS: Final = Family("useid_sse_connections", Kind.GAUGE, "Event streams that are open.")
STORE: Final = Family(
    "useid_store_seconds",
    Kind.HISTOGRAM,
    "How long the store took.",
    ("verb",),
    (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
STORE_FAILURES: Final = Family("useid_store_failures_total", Kind.COUNTER, "Calls of the store that failed.", ("verb",))
AUDIT_LOST: Final = Family(
    "useid_audit_entries_lost_total", Kind.COUNTER, "Entries of the audit log that could not be written."
)
PROCESSES: Final = Family("useid_processes", Kind.GAUGE, "Processes whose numbers these are.")

FAMILIES: Final = (
    *(UNDER_WAY, TRANSITIONS, TIME_TO_APPROVE, REJECTIONS, BOUND, LOGINS, FAILURES, ENDED, REFRESHES, CREDENTIALS),
    *(ERRORS, LIMITS, STREAMS, STORE, STORE_FAILURES, AUDIT_LOST, PROCESSES),
)

_CREDENTIALS: Final[Mapping[type[Event], tuple[str, str]]] = {
    DeviceEnrolled: ("phone", "added"),
    DeviceRevoked: ("phone", "removed"),
    PasskeyAdded: ("passkey", "added"),
    PasskeyRemoved: ("passkey", "removed"),
}


class Metrics:
    """The numbers of one process, and, where it shares a ``directory`` with others, of all of them."""

    def __init__(self, events: Events, *, clock: Clock, settings: Settings, directory: Path | None = None) -> None:
        self.registry = Registry(FAMILIES)
        self._clock = clock
        self._directory = directory
        self._shared: SharedNumbers | None = None
        qr, eid = settings.qr, settings.eid
        lifetimes = {
            QR: max(qr.lifetime, qr.claim_lifetime),
            EID: max(eid.lifetime, eid.client_lifetime, eid.claim_lifetime),
        }
        self._under_way = LoginsUnderWay(lifetimes, now=clock())
        self.registry.set(PROCESSES, value=1)
        self._subscribe(events)

    async def open(self) -> None:
        """Share the numbers from now on, if that is wanted. Idempotent."""
        if self._directory is not None and self._shared is None:
            self._shared = SharedNumbers(self._directory)
            # First of all, since they need their room.
            self._under_way.move(self._shared.allocate)
            self.registry.move(self._shared.allocate)
            async with self._shared.others() as others:
                self._under_way.agree(self._take_over(others))

    async def close(self) -> None:
        """Leave the numbers to the others. Idempotent."""
        if self._shared is not None:
            shared, self._shared = self._shared, None
            self._under_way.clear(now=self._clock())
            self.registry.move(in_memory, is_empty=True)
            self.registry.set(PROCESSES, value=1)
            shared.close()

    async def text(self) -> bytes:
        """What Prometheus reads."""
        if self._shared is None:
            return self._render([])
        async with self._shared.others() as others:
            snapshots = self._take_over(others)
        return self._render(snapshots)

    def note_login(self, flow: str, before: Login | None, after: Login, *, now: float) -> None:
        """A login, ``qr`` or ``eid``, begins (``before`` is ``None``) or changes, by what this process does."""
        if before is not None and before.state == after.state and before.deadline == after.deadline:
            return
        self._under_way.note(flow, before, after, now=now)
        state = after.state
        # Of those that ran out, the slots tell.
        if state in (EXPIRED, CLAIMING):
            return
        # To ask for the eID server's result and to get none yet is no step: it is done again and again.
        if before is not None and (before.state == state or (before.state == CLAIMING and state in STATES[flow])):
            return
        self.registry.add(TRANSITIONS, flow, state)
        if state == APPROVED:
            self.registry.observe(TIME_TO_APPROVE, flow, value=max(0.0, now - after.created_at))

    def note_error(self, error: UseIDError) -> None:
        """A request is answered with this error."""
        self.registry.add(ERRORS, error.code)

    def note_audit_loss(self, count: int) -> None:
        """So many entries of the audit log were lost."""
        self.registry.add(AUDIT_LOST, amount=count)

    def _subscribe(self, events: Events) -> None:
        registry = self.registry
        for kind, labels in _CREDENTIALS.items():
            self._listen_to_credential(events, kind, labels)

        @events.on(QRRejected)
        def qr_rejected(event: QRRejected) -> None:
            registry.add(REJECTIONS, QR, event.reason)

        @events.on(EIDRejected)
        def eid_rejected(event: EIDRejected) -> None:
            registry.add(REJECTIONS, EID, event.reason)

        @events.on(LoginBound)
        def bound(event: LoginBound) -> None:
            registry.add(BOUND)

        @events.on(LoginCompleted)
        def completed(event: LoginCompleted) -> None:
            registry.add(LOGINS, event.provider)

        @events.on(LoginFailed)
        def failed(event: LoginFailed) -> None:
            registry.add(FAILURES, event.provider, event.code)

        @events.on(SessionEnded)
        def ended(event: SessionEnded) -> None:
            registry.add(ENDED, event.reason)

        @events.on(TokenRefreshed)
        def refreshed(event: TokenRefreshed) -> None:
            registry.add(REFRESHES)

    def _listen_to_credential(self, events: Events, kind: type[Event], labels: tuple[str, str]) -> None:
        @events.on(kind)
        def count(event: Event) -> None:
            self.registry.add(CREDENTIALS, *labels)

    def _take_over(self, others: Others) -> list[Snapshot]:
        """What the others have, after what is left of the dead has become our own, if it may."""
        if not others.is_taken_over:
            return [*others.living, *map(self._left, others.dead)]
        for snapshot in others.dead:
            self.registry.absorb(snapshot)
            self._under_way.absorb(snapshot, now=self._clock())
        return [*others.living]

    def _left(self, snapshot: Snapshot) -> Snapshot:
        return {**self.registry.counted(snapshot), **self._under_way.parts(snapshot)}

    def _render(self, others: list[Snapshot]) -> bytes:
        all_parts = [self._under_way.snapshot(), *others]
        under_way, expired = self._under_way.tell(all_parts, now=self._clock())
        told: dict[SeriesName, list[float]] = {(UNDER_WAY.name, *place): [count] for place, count in under_way.items()}
        told |= {(TRANSITIONS.name, flow, EXPIRED): [count] for flow, count in expired.items()}
        return self.registry.render([self.registry.snapshot(), *others, told])
