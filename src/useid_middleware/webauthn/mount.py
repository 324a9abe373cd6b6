"""WebAuthn put together from the settings: one object for the composition root."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from cryptography import x509

from ..accounts.base import Accounts
from ..errors import ConfigurationError, UseIDError
from ..events import Events
from ..http.routing import Handler
from ..sessions.login import CompleteLogin
from ..sessions.service import Sessions
from ..settings import Settings, WebAuthnSettings
from ..stores.base import Clock, Store
from ..stores.limits import Limits
from ..waiting.binding import BoundLogins
from .binding import BindingService
from .binding_routes import BindingRoutes
from .client import Connect, EServices
from .core.attestation.statement import AttestationType
from .core.certificates import load_anchors
from .core.metadata import Metadata, read_metadata
from .core.trust import ALL_TYPES, AttestationPolicy
from .parties import Parties
from .routes import PasskeyRoutes
from .service import PasskeyService


class WebAuthn:
    """Passkeys, and the binding of those ``logins`` that go on at another device."""

    def __init__(
        self,
        *,
        store: Store,
        accounts: Accounts,
        sessions: Sessions,
        events: Events,
        limits: Limits,
        settings: Settings,
        clock: Clock,
        complete_login: CompleteLogin,
        logins: Sequence[BoundLogins],
        connect: Connect | None,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        policy = policy_of(settings.webauthn, now=datetime.fromtimestamp(clock(), UTC))
        binding = BindingService(
            logins=logins,
            store=store,
            events=events,
            limits=limits,
            settings=settings,
            policy=policy,
            eservices=EServices(tenants=settings.embed.tenants, eid=settings.eid, clock=clock, connect=connect),
            clock=clock,
            random_bytes=random_bytes,
        )
        self._binding = BindingRoutes(service=binding, parties=Parties(settings)) if logins else None
        service = PasskeyService(
            store=store,
            accounts=accounts,
            sessions=sessions,
            events=events,
            limits=limits,
            settings=settings.webauthn,
            policy=policy,
            clock=clock,
            random_bytes=random_bytes,
        )
        self._passkeys = PasskeyRoutes(
            service=service, settings=settings, complete_login=complete_login, random_bytes=random_bytes
        )

    def routes(self) -> dict[str, Handler]:
        """What anybody may call."""
        routes = self._passkeys.routes()
        return routes | self._binding.routes() if self._binding is not None else routes

    def routes_for_users(self) -> dict[str, Handler]:
        """What asks who is logged in."""
        return self._passkeys.routes_for_users()


def policy_of(settings: WebAuthnSettings, *, now: datetime) -> AttestationPolicy:
    """What attestations must come to; ``ConfigurationError`` for files that do not hold what they should."""
    demands_trust = settings.attestation != "none"
    anchors = _certificates("trust_anchors", settings.trust_anchors)
    metadata = _metadata(settings, now=now)
    if demands_trust and not anchors and metadata is None:
        raise ConfigurationError("webauthn.attestation: needs trust_anchors or metadata_blob to judge by")
    return AttestationPolicy(
        demands_trust=demands_trust,
        accepted_types=ALL_TYPES - {AttestationType.NONE, AttestationType.SELF} if demands_trust else ALL_TYPES,
        accepted_aaguids=frozenset(UUID(aaguid).bytes for aaguid in settings.aaguids),
        anchors=anchors,
        metadata=metadata,
    )


def _metadata(settings: WebAuthnSettings, *, now: datetime) -> Metadata | None:
    if settings.metadata_blob is None:
        return None
    roots = _certificates("metadata_roots", settings.metadata_roots)
    if not roots:
        raise ConfigurationError("webauthn.metadata_roots: must name the certificate that signs metadata_blob")
    blob = _read("metadata_blob", settings.metadata_blob)
    try:
        return read_metadata(blob, expected_roots=roots, now=now)
    except UseIDError as error:
        raise ConfigurationError(f"webauthn.metadata_blob: {error.message}") from None


def _certificates(setting: str, paths: Iterable[Path]) -> tuple[x509.Certificate, ...]:
    found: list[x509.Certificate] = []
    for path in paths:
        data = _read(setting, path)
        try:
            found += load_anchors(data)
        except (ValueError, UseIDError):
            raise ConfigurationError(f"webauthn.{setting}: {path}: expected certificates in PEM or DER") from None
    return tuple(found)


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"webauthn.{setting}: {path}: {error.strerror}") from None
