"""What an operator watches, put together by the settings: audit log, metrics, and a line of the log for each event."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from ._codec import is_b64url
from .audit import audit_of
from .audit.chain import Value
from .audit.entries import AUDITED, entry_data
from .errors import UnavailableError, UseIDError
from .events import AttemptRefused, Event, Events
from .http.asgi import ASGIApp
from .http.requests import Request
from .http.routing import Handler
from .http.sse import EventStreams
from .json_logs import write_json
from .metrics import MeasuredStore, MeasuredStreams, Metrics, MetricsRoutes
from .settings import Settings
from .stores.base import Clock, Store
from .waiting.records import WaitingRecords

logger: Final = logging.getLogger("useid_middleware.events")

#: The codes of what was attempted and not proved; also those of ceremonies, ``webauthn_…``. Not in it: what people run
#: into who do nothing wrong (too late, too fast, a code still to be typed), and what an event of its own tells.
ATTEMPTS: Final = frozenset(
    {
        # Whose phone it is, and whether it was there.
        *("device_unknown", "signature_invalid", "key_refused", "frame_stale", "already_scanned"),
        # Whose browser and whose login it is, once, and from a page of ours.
        *("browser_cookie_missing", "session_unknown", "code_wrong", "wrong_state", "cross_site_request"),
        *("return_url_refused", "sealed_invalid", "mode_refused", "tenant_unknown", "token_url_refused"),
        # Whose passkey it is, and which server's key.
        *("binding_unknown", "ceremony_unknown", "eservice_refused"),
        # What a provider has signed for a logout.
        *("logout_refused", "logout_replayed", "token_malformed", "token_too_large", "token_algorithm_refused"),
        *("token_key_unknown", "token_signature_invalid", "token_encryption_refused", "token_claim_invalid"),
    }
)
_CEREMONY: Final = "webauthn_"
#: The flows whose paths name a waiting login, by its id or by a secret that begins with that.
_WITH_LOGIN: Final = ("qr", "eid")
_ID_SIZE, _ID_LENGTH = 16, 22


class Monitoring:
    """Audit log, metrics and log of one plugin; without a setting for the former, nothing is in anybody's way."""

    def __init__(self, settings: Settings, events: Events, *, clock: Clock) -> None:
        self._settings = settings
        self._events = events
        self._clock = clock
        directory = settings.metrics.directory
        self.metrics = (
            Metrics(events, clock=clock, settings=settings, directory=directory) if settings.metrics.path else None
        )
        on_loss = None if self.metrics is None else self.metrics.note_audit_loss
        self.audit = audit_of(settings.audit, events, clock=clock, on_loss=on_loss)
        self._logs_events = False

    async def open(self) -> None:
        """Make sure that the audit log can go on, and share the numbers. Idempotent."""
        if self._settings.log.format == "json":
            write_json()
        # Who does not want the lines does not pay for events that nobody listens to.
        if not self._logs_events and logger.isEnabledFor(logging.INFO):
            self._logs_events = True
            for kind in AUDITED:
                _log_each(self._events, kind)
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
        return {} if self.metrics is None else MetricsRoutes(self.metrics, self._settings.metrics).routes()

    def store(self, store: Store) -> Store:
        """The same store, measured if that is wanted."""
        return store if self.metrics is None else MeasuredStore(store, self.metrics)

    def watch(self, flow: str, records: WaitingRecords[Any]) -> None:
        """Count what becomes of the logins of a flow, ``qr`` or ``eid``, if that is wanted."""
        if self.metrics is not None:
            records.watch = partial(self.metrics.note_login, flow)

    def streams(self, *, retry: float, adapter: Callable[[ASGIApp], ASGIApp] | None) -> EventStreams:
        """Event streams, measured if that is wanted."""
        if self.metrics is None:
            return EventStreams(retry=retry, adapter=adapter)
        return MeasuredStreams(self.metrics, retry=retry, adapter=adapter)

    async def note_error(self, error: UseIDError, request: Request | None = None, *, flow: str = "") -> None:
        """A request is answered with this error, of which no event has told: the one place that all of them come by."""
        if self.metrics is not None:
            self.metrics.note_error(error)
        session_id = _login_of(request, flow)
        if _is_attempt(error):
            await self._events.emit(AttemptRefused(self._clock(), flow, error.code, session_id))
        elif logger.isEnabledFor(logging.INFO):
            status = error.status_hint
            _log("RequestRefused", {"flow": flow, "code": error.code, "status": status, "session_id": session_id})


def _is_attempt(error: UseIDError) -> bool:
    return error.code in ATTEMPTS or (error.code.startswith(_CEREMONY) and not isinstance(error, UnavailableError))


def _login_of(request: Request | None, flow: str) -> str:
    """The id of the waiting login that a request is about, if it has the form of one."""
    if request is None:
        return ""
    found = request.login_id
    if not found and flow in _WITH_LOGIN:
        found = request.params.get("id") or request.params.get("token", "")[:_ID_LENGTH]
    return found if is_b64url(found, _ID_SIZE) else ""


def _log_each(events: Events, kind: type[Event]) -> None:
    @events.on(kind)
    def log(event: Event) -> None:
        if logger.isEnabledFor(logging.INFO):
            _log(kind.__name__, entry_data(event, AUDITED[kind]))


def _log(name: str, data: Mapping[str, Value]) -> None:
    told = (f"{member}={','.join(value) if isinstance(value, list) else value}" for member, value in data.items())
    logger.info("%s %s", name, " ".join(told), extra={"event": name, "data": dict(data)})
