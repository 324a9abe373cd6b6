"""What an operator watches, put together by the settings: the audit log, and metrics of store, streams and errors."""

from collections.abc import Callable

from .audit import audit_of
from .errors import UseIDError
from .events import Events
from .http.asgi import ASGIApp
from .http.routing import Handler
from .http.sse import EventStreams
from .metrics import MeasuredStore, MeasuredStreams, Metrics, MetricsRoutes
from .settings import Settings
from .settings.monitoring import AuditSettings, MetricsSettings
from .stores.base import Clock, Store


class Monitoring:
    """Audit log and metrics of one plugin; without a setting for either, nothing is in anybody's way."""

    def __init__(
        self, settings: Settings, events: Events, *, audit: AuditSettings, metrics: MetricsSettings, clock: Clock
    ) -> None:
        self._settings = metrics
        self.metrics = (
            Metrics(events, clock=clock, settings=settings, directory=metrics.directory) if metrics.path else None
        )
        self.audit = audit_of(audit, events, on_loss=None if self.metrics is None else self.metrics.note_audit_loss)

    async def open(self) -> None:
        """Make sure that the audit log can go on, and share the numbers. Idempotent."""
        if self.audit is not None:
            await self.audit.open()
        if self.metrics is not None:
            await self.metrics.open()

    async def close(self) -> None:
        """Write what is on its way. Idempotent."""
        if self.audit is not None:
            await self.audit.close()
        if self.metrics is not None:
            await self.metrics.close()

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {} if self.metrics is None else MetricsRoutes(self.metrics, self._settings).routes()

    def store(self, store: Store) -> Store:
        """The same store, measured if that is wanted."""
        return store if self.metrics is None else MeasuredStore(store, self.metrics)

    def streams(self, *, retry: float, adapter: Callable[[ASGIApp], ASGIApp] | None) -> EventStreams:
        """Event streams, measured if that is wanted."""
        if self.metrics is None:
            return EventStreams(retry=retry, adapter=adapter)
        return MeasuredStreams(self.metrics, retry=retry, adapter=adapter)

    def note_error(self, error: UseIDError) -> None:
        """A request is answered with this error."""
        if self.metrics is not None:
            self.metrics.note_error(error)
