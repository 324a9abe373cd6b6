"""What is measured: a listener that counts events, and what store, streams and errors tell."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..errors import UseIDError
from ..events import (
    DeviceEnrolled,
    DeviceRevoked,
    EIDApproved,
    EIDExpired,
    EIDLoginStarted,
    EIDRejected,
    EIDScanned,
    Event,
    Events,
    LoginBound,
    LoginCompleted,
    LoginFailed,
    PasskeyAdded,
    PasskeyRemoved,
    QRApproved,
    QRExpired,
    QRLoginStarted,
    QRRejected,
    QRScanned,
    SessionEnded,
    TokenRefreshed,
)
from ..settings import Settings
from ..stores.base import Clock
from .series import Family, Kind, Registry, in_memory
from .shared import SharedNumbers
from .under_way import APPROVED, SCANNED, WAITING, LoginsUnderWay

UNDER_WAY: Final = Family(
    "useid_logins_under_way", Kind.GAUGE, "Logins that wait for somebody, by what they wait in.", ("flow", "state")
)
TRANSITIONS: Final = Family(
    "useid_login_transitions_total", Kind.COUNTER, "Steps of logins by QR code and ID card.", ("flow", "to")
)
TIME_TO_APPROVE: Final = Family(
    "useid_time_to_approve_seconds",
    Kind.HISTOGRAM,
    "From the start of a login to its approval, where one process saw both.",
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

QR: Final = "qr"
EID: Final = "eid"
#: By event: which flow takes which step.
STEPS: Final[Mapping[type[Event], tuple[str, str]]] = {
    QRLoginStarted: (QR, WAITING),
    QRScanned: (QR, SCANNED),
    QRApproved: (QR, APPROVED),
    QRRejected: (QR, "rejected"),
    QRExpired: (QR, "expired"),
    EIDLoginStarted: (EID, WAITING),
    EIDScanned: (EID, SCANNED),
    EIDApproved: (EID, APPROVED),
    EIDRejected: (EID, "rejected"),
    EIDExpired: (EID, "expired"),
}
_CREDENTIALS: Final[Mapping[type[Event], tuple[str, str]]] = {
    DeviceEnrolled: ("phone", "added"),
    DeviceRevoked: ("phone", "removed"),
    PasskeyAdded: ("passkey", "added"),
    PasskeyRemoved: ("passkey", "removed"),
}
#: Seconds between two looks for logins that ran out while nobody watched them.
_FORGET_EVERY: Final = 10.0


class Metrics:
    """The numbers of one process, and, where it shares a ``directory`` with others, of all of them."""

    def __init__(self, events: Events, *, clock: Clock, settings: Settings, directory: Path | None = None) -> None:
        self.registry = Registry(FAMILIES)
        self._clock = clock
        self._directory = directory
        self._shared: SharedNumbers | None = None
        self._timer: asyncio.TimerHandle | None = None
        qr, eid = settings.qr, settings.eid
        self._under_way = {
            QR: LoginsUnderWay({WAITING: qr.lifetime, SCANNED: qr.lifetime, APPROVED: qr.claim_lifetime}),
            EID: LoginsUnderWay({WAITING: eid.lifetime, SCANNED: eid.client_lifetime, APPROVED: eid.claim_lifetime}),
        }
        self.registry.set(PROCESSES, value=1)
        self._subscribe(events)

    async def open(self) -> None:
        """Share the numbers from now on, if that is wanted. Idempotent."""
        if self._directory is not None and self._shared is None:
            self._shared = SharedNumbers(self._directory)
            self.registry.move(self._shared.allocate)
        self._forget()

    async def close(self) -> None:
        """Leave the numbers to the others. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._shared is not None:
            shared, self._shared = self._shared, None
            self.registry.move(in_memory, is_empty=True)
            self.registry.set(PROCESSES, value=1)
            shared.close()

    async def text(self) -> bytes:
        """What Prometheus reads."""
        self._tell_under_way(*self._under_way)
        if self._shared is None:
            return self.registry.render([self.registry.snapshot()])
        async with self._shared.others() as others:
            left = [self.registry.counted(snapshot) for snapshot in others.dead]
            if others.is_taken_over:
                for snapshot in left:
                    self.registry.absorb(snapshot)
                left = []
        return self.registry.render([self.registry.snapshot(), *others.living, *left])

    def note_error(self, error: UseIDError) -> None:
        """A request is answered with this error."""
        self.registry.add(ERRORS, error.code)

    def note_audit_loss(self, count: int) -> None:
        """So many entries of the audit log were lost."""
        self.registry.add(AUDIT_LOST, amount=count)

    def _subscribe(self, events: Events) -> None:
        registry = self.registry
        for kind, (flow, step) in STEPS.items():
            self._listen_to_step(events, kind, flow, step)
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
            if event.provider in self._under_way:
                # On one device alone a login by ID card is claimed without a word of approval.
                claimed = (APPROVED, SCANNED) if event.provider == EID else (APPROVED,)
                self._under_way[event.provider].end_one(*claimed)
                self._tell_under_way(event.provider)

        @events.on(LoginFailed)
        def failed(event: LoginFailed) -> None:
            registry.add(FAILURES, event.provider, event.code)

        @events.on(SessionEnded)
        def ended(event: SessionEnded) -> None:
            registry.add(ENDED, event.reason)

        @events.on(TokenRefreshed)
        def refreshed(event: TokenRefreshed) -> None:
            registry.add(REFRESHES)

    def _listen_to_step(self, events: Events, kind: type[Event], flow: str, step: str) -> None:
        @events.on(kind)
        def move(event: Event) -> None:
            login_id: str = event.session_id  # type: ignore[attr-defined]  # all steps have it, Event has not
            at: float = event.at  # type: ignore[attr-defined]
            took = self._under_way[flow].move(login_id, step, now=at)
            self.registry.add(TRANSITIONS, flow, step)
            if step == APPROVED and took is not None:
                self.registry.observe(TIME_TO_APPROVE, flow, value=took)
            self._tell_under_way(flow)

    def _listen_to_credential(self, events: Events, kind: type[Event], labels: tuple[str, str]) -> None:
        @events.on(kind)
        def count(event: Event) -> None:
            self.registry.add(CREDENTIALS, *labels)

    def _tell_under_way(self, *flows: str) -> None:
        for flow in flows:
            self._under_way[flow].forget(self._clock())
            for state, count in self._under_way[flow].counts().items():
                self.registry.set(UNDER_WAY, flow, state, value=count)

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._tell_under_way(*self._under_way)
        self._timer = asyncio.get_running_loop().call_later(_FORGET_EVERY, self._forget)
