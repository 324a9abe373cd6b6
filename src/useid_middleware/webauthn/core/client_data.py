"""Client data: what the browser says that it did, for whom, and inside which page (WebAuthn Level 3 §5.8.1)."""

from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final

from ..._codec import Record, b64url
from .errors import CeremonyError
from .json_object import JSONRefused, read_object
from .relying_party import RelyingParty

#: A browser writes a few hundred bytes and as much again as the challenge has.
MAX_CLIENT_DATA: Final = 16 * 1024


class CeremonyType(StrEnum):
    """``type`` of the client data."""

    CREATE = "webauthn.create"
    GET = "webauthn.get"


class ClientData(Record, frozen=True):
    """Client data that are those of this ceremony. ``hash`` is the SHA-256 of the bytes, which is what is signed."""

    hash: bytes
    origin: str
    cross_origin: bool
    top_origin: str


def check_client_data(
    raw: bytes, *, expected_type: CeremonyType, expected_challenge: bytes, expected_party: RelyingParty
) -> ClientData:
    """The client data, once they are this ceremony's (§7.1 steps 5 to 12, §7.2 steps 8 to 14 and 20).

    Raises ``webauthn_client_data_malformed``, ``webauthn_type_mismatch``, ``webauthn_challenge_mismatch``,
    ``webauthn_origin_mismatch``, ``webauthn_cross_origin_refused``, ``webauthn_top_origin_mismatch``,
    ``webauthn_token_binding_refused``.
    """
    if len(raw) > MAX_CLIENT_DATA:
        raise _malformed(f"expected at most {MAX_CLIENT_DATA} bytes")
    try:
        members = read_object(raw)
    except JSONRefused as refused:
        raise _malformed(str(refused)) from None
    if _text(members, "type") != expected_type:
        raise CeremonyError("webauthn_type_mismatch", f"clientDataJSON: type: expected {expected_type}")
    challenge = _text(members, "challenge")
    if not challenge.isascii() or not compare_digest(challenge, b64url(expected_challenge)):
        raise CeremonyError("webauthn_challenge_mismatch", "clientDataJSON: challenge: expected that of this ceremony")
    origin = _text(members, "origin")
    if origin not in expected_party.origins:
        raise CeremonyError("webauthn_origin_mismatch", "clientDataJSON: origin: expected one of ours")
    cross_origin = members.get("crossOrigin", False)
    if type(cross_origin) is not bool:
        raise _malformed("crossOrigin: expected a boolean")
    top_origin = _text(members, "topOrigin") if "topOrigin" in members else ""
    _check_framing(members, cross_origin, top_origin, expected_party)
    _check_token_binding(members.get("tokenBinding"))
    return ClientData(sha256(raw).digest(), origin, cross_origin, top_origin)


def _check_framing(members: Mapping[str, Any], cross_origin: bool, top_origin: str, party: RelyingParty) -> None:
    """§7.1 steps 10 and 11: a frame on another site is expected, and that site is one of those we know."""
    if cross_origin and not party.accepts_cross_origin:
        raise CeremonyError(
            "webauthn_cross_origin_refused",
            "clientDataJSON: crossOrigin: expected a page that no other site frames",
        )
    if "topOrigin" in members and (not cross_origin or top_origin not in party.top_origins):
        raise CeremonyError(
            "webauthn_top_origin_mismatch", "clientDataJSON: topOrigin: expected a page that may frame ours"
        )


def _check_token_binding(binding: object) -> None:
    """Token binding is gone (Level 3 reserves the name); that a connection has one we could not verify."""
    if binding is None:
        return
    status = binding.get("status") if isinstance(binding, dict) else None
    if status not in ("supported", "not-supported"):
        raise CeremonyError(
            "webauthn_token_binding_refused", "clientDataJSON: tokenBinding: expected none, since nobody can verify it"
        )


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise _malformed(f"{name}: expected text")
    return value


def _malformed(problem: str) -> CeremonyError:
    return CeremonyError("webauthn_client_data_malformed", f"clientDataJSON: {problem}")
