"""The bytes that a phone signs, and their verification.

One framing for all: a context string, a zero byte, then each field behind its two-byte big-endian length. No two
different field lists give the same bytes, and no message of one kind is a message of another
(docs/reference/device-switch.md).
"""

from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from typing import Final, Protocol

from nacl.bindings import crypto_core_ed25519_is_valid_point, crypto_sign_open
from nacl.exceptions import BadSignatureError

from ..._codec import Record, un_b64url
from ...errors import AuthenticationError, RequestError

CONTEXT: Final = b"useid-middleware/device-switch/context/v1"
DECISION: Final = b"useid-middleware/device-switch/decision/v1"
ENROLMENT: Final = b"useid-middleware/device-switch/enrolment/v1"

#: How far ``issuedAt`` may differ from the server's clock, in seconds.
MAX_SKEW: Final = 120


class Decision(StrEnum):
    """What the user chose on the phone."""

    APPROVE = "approve"
    REJECT = "reject"


class RequestContext(Record, frozen=True):
    """What the phone shows before it asks; the names are those of the wire."""

    appName: str
    origin: str
    ip: str
    city: str
    browser: str
    requestedAt: str
    effect: str = "login"

    def digest(self) -> bytes:
        """SHA-256 of the framed fields: what a decision is bound to."""
        fields = (self.appName, self.origin, self.ip, self.city, self.browser, self.requestedAt, self.effect)
        return sha256(framed(CONTEXT, *(field.encode() for field in fields))).digest()


def framed(context: bytes, *fields: bytes) -> bytes:
    """The canonical bytes of ``fields`` under ``context``. A field holds at most 65,535 bytes (``OverflowError``)."""
    return b"".join([context, b"\0", *[len(field).to_bytes(2, "big") + field for field in fields]])


def decision_message(
    decision: Decision,
    *,
    server: str,
    session_id: bytes,
    challenge: bytes,
    frame: bytes,
    context_digest: bytes,
    key_id: bytes,
    issued_at: int,
) -> bytes:
    """What a phone signs to approve or reject."""
    return framed(
        DECISION,
        decision.encode(),
        server.encode(),
        session_id,
        challenge,
        frame,
        context_digest,
        key_id,
        b"%d" % issued_at,
    )


def enrolment_message(
    *, server: str, enrolment_id: bytes, challenge: bytes, public_key: bytes, label: str, issued_at: int
) -> bytes:
    """What a phone signs to prove that it holds the key it enrols."""
    return framed(ENROLMENT, server.encode(), enrolment_id, challenge, public_key, label.encode(), b"%d" % issued_at)


def check_public_key(public_key: bytes) -> bytes:
    """The key, if it is a canonical point of the prime-order subgroup (RFC 8032 §5.1.3).

    Raises ``key_refused``. Under a small-order key anybody can make a valid signature, so none is ever enrolled.
    """
    if len(public_key) != 32 or not crypto_core_ed25519_is_valid_point(public_key):
        raise RequestError("key_refused", "publicKey: expected a canonical Ed25519 point of prime order")
    return public_key


def verify_signature(message: bytes, *, signature: bytes, public_key: bytes, issued_at: int, now: float) -> None:
    """Verify Ed25519 (RFC 8032) and the time of signing, or raise ``signature_invalid``.

    libsodium refuses small-order and non-canonical points and ``S >= L`` on its own, so a signature has one spelling.
    """
    if abs(now - issued_at) > MAX_SKEW:
        raise AuthenticationError("signature_invalid", f"issuedAt: expected within {MAX_SKEW} s of the server's clock")
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        raise AuthenticationError(
            "signature_invalid", "signature: expected one by the enrolled key over the bytes of the reference"
        ) from None


class CheckedDecision(Record, frozen=True):
    """A decision whose signature verified, at ``now``. Only :func:`check_decision` makes one."""

    decision: Decision
    now: float


class Signable(Protocol):
    """What a decision is bound to; the scanned session has it."""

    @property
    def server(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def challenge(self) -> str: ...
    @property
    def frame(self) -> str: ...
    @property
    def context_digest(self) -> bytes: ...
    @property
    def key_id(self) -> bytes: ...


def check_decision(
    session: Signable,
    decision: Decision,
    *,
    key_id: bytes,
    public_key: bytes,
    expected_public_key: bytes,
    signature: bytes,
    issued_at: int,
    now: float,
) -> CheckedDecision:
    """Verify a decision on a scanned session, or raise ``device_unknown`` / ``signature_invalid``.

    The key must be the one that scanned and the one enrolled; the bytes are rebuilt here from what the server knows,
    so a signature over anything else (another origin, decision, session, context) does not verify.
    """
    if not compare_digest(key_id, session.key_id) or not compare_digest(public_key, expected_public_key):
        raise device_unknown()
    message = decision_message(
        decision,
        server=session.server,
        session_id=un_b64url(session.id, 16),
        challenge=un_b64url(session.challenge, 32),
        frame=un_b64url(session.frame, 8) if session.frame else b"",
        context_digest=session.context_digest,
        key_id=key_id,
        issued_at=issued_at,
    )
    verify_signature(message, signature=signature, public_key=expected_public_key, issued_at=issued_at, now=now)
    return CheckedDecision(decision, now)


def device_unknown() -> AuthenticationError:
    """One answer for a key that is unknown, revoked, or not the one that scanned."""
    return AuthenticationError("device_unknown", "keyId: expected an enrolled key, and the one that scanned")
