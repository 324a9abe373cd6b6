"""FIDO Metadata Service 3: which authenticators there are, who vouches for them, and which have failed since.

A BLOB is believed when a certificate for the service's host signed it, below a root that was configured: with the root
alone, anybody with a certificate of that public CA could sign one. Its number never goes back, so that nobody can hand
us the list from before a revocation (MDS 3.0 §3.2).
"""

from base64 import b64decode
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from .certificates import extension, parse_certificate, verify_path
from .errors import MetadataError, UntrustedError
from .signed_token import TokenRefused, read_signed_token

MAX_BLOB: Final = 64 * 1024 * 1024
HOST: Final = "mds.fidoalliance.org"

#: AuthenticatorStatus (§3.1.4) of what nobody should rely on any more.
FAILED: Final = frozenset(
    {
        "REVOKED",
        "USER_VERIFICATION_BYPASS",
        "ATTESTATION_KEY_COMPROMISE",
        "USER_KEY_REMOTE_COMPROMISE",
        "USER_KEY_PHYSICAL_COMPROMISE",
    }
)


@dataclass(frozen=True, slots=True)
class StatusReport:
    """One report of an entry. ``certificate`` is in DER and empty unless the report is about that one alone."""

    status: str
    effective: date | None
    certificate: bytes


@dataclass(frozen=True, slots=True)
class MetadataEntry:
    """One authenticator model."""

    description: str
    roots: tuple[x509.Certificate, ...]
    reports: tuple[StatusReport, ...]


@dataclass(frozen=True, slots=True)
class Metadata:
    """A BLOB that was verified. ``by_key`` are models without AAGUID, by SHA-1 of their attestation key."""

    number: int
    next_update: date
    by_aaguid: Mapping[bytes, MetadataEntry]
    by_key: Mapping[bytes, MetadataEntry]

    def find(self, aaguid: bytes, path: Sequence[x509.Certificate]) -> MetadataEntry | None:
        """The entry of this model: by AAGUID, or where that is all zero by the keys of its certificates (§3.1.1)."""
        if any(aaguid):
            return self.by_aaguid.get(aaguid)
        for certificate in path:
            entry = self.by_key.get(x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest)
            if entry is not None:
                return entry
        return None

    def is_current(self, now: datetime) -> bool:
        """Whether the next BLOB is not due yet."""
        return now.date() <= self.next_update


def read_metadata(
    blob: bytes,
    *,
    expected_roots: Collection[x509.Certificate],
    now: datetime,
    expected_host: str = HOST,
    previous_number: int = 0,
) -> Metadata:
    """The BLOB, once it is the service's, up to date and not older than the last one (MDS 3.0 §3.2).

    Entries that we cannot use (other protocols, unreadable roots) are left out. Raises ``metadata_malformed``,
    ``metadata_untrusted``, ``metadata_rolled_back``, ``metadata_outdated``.
    """
    try:
        token = read_signed_token(blob, max_size=MAX_BLOB)
    except TokenRefused as refused:
        raise _malformed(str(refused)) from None
    try:
        verify_path(token.path, expected_anchors=expected_roots, now=now)
    except UntrustedError as error:
        raise MetadataError("metadata_untrusted", f"metadata BLOB: {error.message}") from None
    names = extension(token.path[0], x509.SubjectAlternativeName)
    if names is None or expected_host not in names.get_values_for_type(x509.DNSName):
        raise MetadataError("metadata_untrusted", f"metadata BLOB: expected a certificate for {expected_host}")
    number, entries = token.claims.get("no"), token.claims.get("entries")
    if type(number) is not int or not isinstance(entries, list):
        raise _malformed("expected a number and entries")
    if number < previous_number:
        raise MetadataError("metadata_rolled_back", f"metadata BLOB: no: expected at least {previous_number}")
    by_aaguid: dict[bytes, MetadataEntry] = {}
    by_key: dict[bytes, MetadataEntry] = {}
    for members in entries:
        _add(members, by_aaguid, by_key)
    metadata = Metadata(number, _date(token.claims.get("nextUpdate")), by_aaguid, by_key)
    if not metadata.is_current(now):
        raise MetadataError("metadata_outdated", "metadata BLOB: nextUpdate: expected a day that is still to come")
    return metadata


def failure(entry: MetadataEntry, path: Iterable[x509.Certificate], *, today: date) -> str:
    """The status for which this authenticator must not be relied on; empty if there is none.

    A report counts from its effective date. One about a certificate counts for whoever has that certificate.
    """
    ders = {each.public_bytes(Encoding.DER) for each in path}
    for report in entry.reports:
        if report.status not in FAILED or (report.effective is not None and report.effective > today):
            continue
        if not report.certificate or report.certificate in ders:
            return report.status
    return ""


def _add(members: object, by_aaguid: dict[bytes, MetadataEntry], by_key: dict[bytes, MetadataEntry]) -> None:
    """One MetadataBLOBPayloadEntry (§3.1.1) under its names."""
    if not isinstance(members, dict):
        raise _malformed("expected entries that are objects")
    statement = members.get("metadataStatement")
    statement = statement if isinstance(statement, dict) else {}
    entry = MetadataEntry(
        str(statement.get("description", "")),
        tuple(_roots(_list(statement, "attestationRootCertificates"))),
        tuple(map(_report, _list(members, "statusReports"))),
    )
    try:
        if "aaguid" in members:
            by_aaguid[UUID(members["aaguid"]).bytes] = entry
        for identifier in _list(members, "attestationCertificateKeyIdentifiers"):
            by_key[bytes.fromhex(identifier)] = entry
    except (ValueError, TypeError, AttributeError):
        raise _malformed("expected AAGUIDs and key identifiers in hexadecimal") from None


def _roots(encoded: Iterable[object]) -> Iterable[x509.Certificate]:
    """The roots that can be read; one that cannot is no reason to do without the others."""
    for each in encoded:
        with suppress(ValueError):
            yield parse_certificate(b64decode(str(each)))


def _report(members: object) -> StatusReport:
    if not isinstance(members, dict) or not isinstance(members.get("status"), str):
        raise _malformed("expected status reports with a status")
    certificate = members.get("certificate")
    try:
        der = b64decode(certificate) if isinstance(certificate, str) else b""
    except ValueError:
        raise _malformed("certificate: expected base64") from None
    effective = members.get("effectiveDate")
    return StatusReport(members["status"], _date(effective) if effective is not None else None, der)


def _list(members: Mapping[str, Any], name: str) -> list[Any]:
    value = members.get(name, [])
    if not isinstance(value, list):
        raise _malformed(f"{name}: expected a list")
    return value


def _date(value: object) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise _malformed("expected dates as in 2026-01-31") from None


def _malformed(problem: str) -> MetadataError:
    return MetadataError("metadata_malformed", f"metadata BLOB: {problem}")
