"""Whom to believe: the policy for attestation, and its answer (WebAuthn Level 3 §7.1 steps 23 and 24)."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cryptography import x509

from ...errors import UnavailableError
from .attestation.formats import FORMATS
from .attestation.statement import Attestation, AttestationType, StatementRules
from .certificates import verify_path
from .errors import UntrustedError
from .metadata import Metadata, MetadataEntry, failure

ALL_TYPES: Final = frozenset(AttestationType)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationPolicy:
    """What an attestation must come to. The default believes nobody and accepts all.

    ``demands_trust``: a statement with certificates must lead to one of ``anchors`` or to a root that ``metadata``
    names for its model. Whether statements without certificates will do is said by ``accepted_types``: who wants to
    know the authenticator leaves out ``NONE`` and ``SELF``. ``accepted_aaguids`` limits the models, if not empty.
    """

    demands_trust: bool = False
    accepted_types: frozenset[AttestationType] = ALL_TYPES
    accepted_formats: frozenset[str] = FORMATS
    accepted_aaguids: frozenset[bytes] = frozenset()
    anchors: tuple[x509.Certificate, ...] = ()
    metadata: Metadata | None = None
    rules: StatementRules = field(default_factory=StatementRules)


def assess(attestation: Attestation, *, aaguid: bytes, policy: AttestationPolicy, now: float) -> bool:
    """Whether somebody we trust vouches for the authenticator.

    ``UntrustedError`` where the policy does not accept it: ``webauthn_aaguid_refused``,
    ``webauthn_attestation_type_refused``, ``webauthn_authenticator_failed`` (whatever the policy: the metadata say
    that this model must not be relied on), and what :func:`.certificates.verify_path` raises where trust is demanded.
    ``UnavailableError`` ``webauthn_metadata_outdated`` where only an outdated BLOB could tell.
    """
    if policy.accepted_aaguids and aaguid not in policy.accepted_aaguids:
        raise UntrustedError("webauthn_aaguid_refused", "attestation: AAGUID: expected one that the policy accepts")
    if attestation.type not in policy.accepted_types:
        raise UntrustedError(
            "webauthn_attestation_type_refused", "attestation: expected a type of attestation that the policy accepts"
        )
    moment = datetime.fromtimestamp(now, UTC)
    parts = attestation.parts or (attestation,)
    entries = [_find(part, aaguid, policy.metadata, moment) for part in parts]
    refusals: list[UntrustedError] = []
    trusted = False
    for part, entry in zip(parts, entries, strict=True):
        if not part.path:
            continue
        try:
            verify_path(part.path, expected_anchors=_anchors(policy.anchors, entry), now=moment)
            trusted = True
        except UntrustedError as error:
            refusals.append(error)
    if refusals and not trusted and policy.demands_trust:
        raise refusals[0]
    return trusted


def _find(part: Attestation, aaguid: bytes, metadata: Metadata | None, now: datetime) -> MetadataEntry | None:
    """What the metadata know of this authenticator; refused if they say that it failed."""
    if metadata is None:
        return None
    if not metadata.is_current(now):
        raise UnavailableError("webauthn_metadata_outdated", "attestation: the metadata BLOB is older than it says")
    entry = metadata.find(aaguid, part.path)
    status = failure(entry, part.path, today=now.date()) if entry is not None else ""
    if status:
        raise UntrustedError(
            "webauthn_authenticator_failed", f"attestation: expected an authenticator in order, found it {status}"
        )
    return entry


def _anchors(anchors: Collection[x509.Certificate], entry: MetadataEntry | None) -> tuple[x509.Certificate, ...]:
    return (*anchors, *(entry.roots if entry is not None else ()))
