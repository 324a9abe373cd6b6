"""Authenticator data: what the authenticator says that it did, under its signature (WebAuthn Level 3 §6.1)."""

from collections.abc import Collection, Mapping
from enum import IntFlag
from hmac import compare_digest
from typing import Any, Final

from ..._codec import Record
from .cbor import decode_prefix
from .cose import PublicKey, read_encoded_key
from .errors import CeremonyError

MAX_AUTHENTICATOR_DATA: Final = 16 * 1024
MAX_CREDENTIAL_ID: Final = 1023
_HEAD: Final = 37
_ATTESTED_HEAD: Final = 18


class Flags(IntFlag):
    """The flags; bits 1 and 5 are reserved, and whoever sets them is not refused for it."""

    UP = 0x01
    UV = 0x04
    BE = 0x08
    BS = 0x10
    AT = 0x40
    ED = 0x80


# Plain numbers: an operation of an enumeration costs more than all else that is done with a flag.
_UP, _UV, _BE, _BS, _AT, _ED = (int(flag) for flag in Flags)


class AttestedCredential(Record, frozen=True):
    """A new credential. ``cose_key`` is its key as the authenticator encoded it, which is how it is kept."""

    aaguid: bytes
    id: bytes
    public_key: PublicKey
    cose_key: bytes


class AuthenticatorData(Record, frozen=True):
    """Authenticator data of the right form. ``raw`` is what is signed."""

    raw: bytes
    rp_id_hash: bytes
    is_user_present: bool
    is_user_verified: bool
    is_backup_eligible: bool
    is_backed_up: bool
    sign_count: int
    attested: AttestedCredential | None
    extensions: Mapping[str, Any]


def parse_authenticator_data(raw: bytes, *, allowed: Collection[int] = ()) -> AuthenticatorData:
    """The authenticator data; the key of a new credential must be of one of the ``allowed`` algorithms.

    Raises ``webauthn_authenticator_data_malformed``, ``webauthn_credential_id_size``, what :mod:`.cbor` and
    :mod:`.cose` raise.
    """
    if not _HEAD <= len(raw) <= MAX_AUTHENTICATOR_DATA:
        raise _malformed(f"expected {_HEAD} to {MAX_AUTHENTICATOR_DATA} bytes")
    flags, at = raw[32], _HEAD
    attested = None
    if flags & _AT:
        attested, at = _read_attested(raw, at, allowed)
    extensions: Mapping[str, Any] = {}
    if flags & _ED:
        found, at = decode_prefix(raw, at, name="extensions")
        if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
            raise _malformed("extensions: expected a map with names")
        extensions = {str(name): value for name, value in found.items()}
    if at != len(raw):
        raise _malformed("expected nothing after what the flags announce")
    return AuthenticatorData(
        raw=raw,
        rp_id_hash=raw[:32],
        is_user_present=bool(flags & _UP),
        is_user_verified=bool(flags & _UV),
        is_backup_eligible=bool(flags & _BE),
        is_backed_up=bool(flags & _BS),
        sign_count=int.from_bytes(raw[33:_HEAD], "big"),
        attested=attested,
        extensions=extensions,
    )


def check_flags(
    data: AuthenticatorData, *, expected_id_hash: bytes, requires_presence: bool = True, requires_verification: bool
) -> None:
    """Rp id and flags are as expected (§7.1 steps 14 to 17, §7.2 steps 15 to 18).

    Raises ``webauthn_rp_id_mismatch``, ``webauthn_user_not_present``, ``webauthn_user_not_verified``,
    ``webauthn_backup_flags``.
    """
    if not compare_digest(data.rp_id_hash, expected_id_hash):
        raise CeremonyError("webauthn_rp_id_mismatch", "authenticator data: rpIdHash: expected that of our rp id")
    if requires_presence and not data.is_user_present:
        raise CeremonyError("webauthn_user_not_present", "authenticator data: expected the flag UP")
    if requires_verification and not data.is_user_verified:
        raise CeremonyError("webauthn_user_not_verified", "authenticator data: expected the flag UV")
    if data.is_backed_up and not data.is_backup_eligible:
        raise CeremonyError("webauthn_backup_flags", "authenticator data: expected no flag BS without BE")


def _read_attested(raw: bytes, at: int, allowed: Collection[int]) -> tuple[AttestedCredential, int]:
    """The attested credential data (§6.5.1) that begin at ``at``, and where they end."""
    if len(raw) < at + _ATTESTED_HEAD:
        raise _malformed("expected attested credential data")
    size = int.from_bytes(raw[at + 16 : at + _ATTESTED_HEAD], "big")
    if not 1 <= size <= MAX_CREDENTIAL_ID:
        raise CeremonyError("webauthn_credential_id_size", f"credentialId: expected 1 to {MAX_CREDENTIAL_ID} bytes")
    key_at = at + _ATTESTED_HEAD + size
    if len(raw) < key_at:
        raise _malformed("expected the whole credential id")
    key, end = read_encoded_key(raw, key_at, allowed=allowed)
    return AttestedCredential(raw[at : at + 16], raw[at + _ATTESTED_HEAD : key_at], key, raw[key_at:end]), end


def _malformed(problem: str) -> CeremonyError:
    return CeremonyError("webauthn_authenticator_data_malformed", f"authenticator data: {problem}")
