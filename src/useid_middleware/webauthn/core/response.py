"""What a browser sends: ``PublicKeyCredential.toJSON()`` (WebAuthn Level 3 §5.1), read before it is judged."""

import re
from collections.abc import Mapping
from typing import Any, Final

from ..._codec import Record, un_b64url_any
from .authenticator_data import MAX_CREDENTIAL_ID
from .errors import CeremonyError

#: Characters of base64url of one member; an attestation object holds whole chains of certificates.
MAX_MEMBER: Final = 96 * 1024
MAX_USER_HANDLE: Final = 64
MAX_TRANSPORTS: Final = 16
_TRANSPORT: Final = re.compile(r"[a-z0-9-]{1,32}").fullmatch
_ATTACHMENTS: Final = ("platform", "cross-platform")


class RegistrationResponse(Record, frozen=True):
    """A new credential as it came. Nothing is verified; ``credential_id`` is for asking whether it is known.

    ``transports`` are kept even where we do not know them, since that is what they are for (§5.2.1).
    """

    credential_id: bytes
    client_data: bytes
    attestation_object: bytes
    transports: tuple[str, ...]
    attachment: str
    extension_results: Mapping[str, Any]


class AuthenticationResponse(Record, frozen=True):
    """An assertion as it came. Nothing is verified; ``credential_id`` and ``user_handle`` are for finding the record.

    ``user_handle`` is empty where there is none.
    """

    credential_id: bytes
    client_data: bytes
    authenticator_data: bytes
    signature: bytes
    user_handle: bytes
    attachment: str
    extension_results: Mapping[str, Any]


def read_registration(credential: object) -> RegistrationResponse:
    """A ``RegistrationResponseJSON`` out of decoded JSON, or ``webauthn_response_malformed``."""
    credential_id, response, attachment, extension_results = _read_credential(credential)
    return RegistrationResponse(
        credential_id,
        _bytes(response, "clientDataJSON"),
        _bytes(response, "attestationObject"),
        _transports(response.get("transports")),
        attachment,
        extension_results,
    )


def read_authentication(credential: object) -> AuthenticationResponse:
    """An ``AuthenticationResponseJSON`` out of decoded JSON, or ``webauthn_response_malformed``."""
    credential_id, response, attachment, extension_results = _read_credential(credential)
    user_handle = b""
    if response.get("userHandle") is not None:
        user_handle = _bytes(response, "userHandle")
        if len(user_handle) > MAX_USER_HANDLE:
            raise _malformed(f"userHandle: expected at most {MAX_USER_HANDLE} bytes")
    return AuthenticationResponse(
        credential_id,
        _bytes(response, "clientDataJSON"),
        _bytes(response, "authenticatorData"),
        _bytes(response, "signature"),
        user_handle,
        attachment,
        extension_results,
    )


def _read_credential(credential: object) -> tuple[bytes, Mapping[str, Any], str, Mapping[str, Any]]:
    """What both kinds have: id, response, attachment, client extension outputs."""
    members = _object(credential, "credential")
    if members.get("type") != "public-key":
        raise _malformed("type: expected public-key")
    credential_id = _bytes(members, "rawId")
    if len(credential_id) > MAX_CREDENTIAL_ID:
        raise _malformed(f"rawId: expected at most {MAX_CREDENTIAL_ID} bytes")
    if members.get("id") != members["rawId"]:
        raise _malformed("id: expected the same as rawId")
    attachment = members.get("authenticatorAttachment")
    if not isinstance(attachment, str | None):
        raise _malformed("authenticatorAttachment: expected text")
    return (
        credential_id,
        _object(members.get("response"), "response"),
        attachment if attachment in _ATTACHMENTS else "",
        _object(members.get("clientExtensionResults", {}), "clientExtensionResults"),
    )


def _transports(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_TRANSPORTS:
        raise _malformed(f"transports: expected a list of at most {MAX_TRANSPORTS}")
    for each in value:
        if not isinstance(each, str) or not _TRANSPORT(each):
            raise _malformed("transports: expected names")
    return tuple(sorted(set(value)))


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _malformed(f"{name}: expected an object")
    return value


def _bytes(members: Mapping[str, Any], name: str) -> bytes:
    value = members.get(name)
    try:
        raw = un_b64url_any(value) if isinstance(value, str) and len(value) <= MAX_MEMBER else b""
    except ValueError:
        raw = b""
    if not raw:
        raise _malformed(f"{name}: expected base64url without padding, not empty, at most {MAX_MEMBER} characters")
    return raw


def _malformed(problem: str) -> CeremonyError:
    return CeremonyError("webauthn_response_malformed", f"credential: {problem}")
