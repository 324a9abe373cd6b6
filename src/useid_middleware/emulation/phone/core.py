"""The emulated phone app without its network, files and clock: whom to trust, what to send, what to show.

A link becomes a :class:`TrustedLink` (its server is one this phone holds a key for), that becomes a
:class:`LoginRequest` (what the server says is asked), and only that can be decided. Nothing is sent to a server that is
not enrolled, or trusted by the user at enrolment (docs/reference/device-switch.md, "Links").
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from nacl.signing import SigningKey

from ..._codec import DecodeError, JsonType, b64url, un_b64url
from ...errors import RequestError
from ...qr.core.link import Link, LinkType
from ...qr.core.signing import Decision, RequestContext, decision_message, enrolment_message
from .answers import invalid_answer, read_answer
from .binding import Binding, SealedEnd, check_binding, seal

#: A JSON object as it goes over the wire.
Body: TypeAlias = Mapping[str, str | int]

#: What an approval does, for each ``effect`` that this app knows. It signs no other.
EFFECTS: Final[Mapping[str, str]] = {"login": "The other device will be logged in to your account."}
#: What comes before it where the login is bound.
BOUND: Final = "The other device will first ask for a passkey of this phone, which must be near it."


@dataclass(frozen=True, slots=True)
class EnrolledKey:
    """A key that a server knows for one of its accounts. ``seed`` is the private key (RFC 8032 §5.1.5), 32 bytes."""

    server: str
    username: str
    app_name: str
    label: str
    key_id: bytes = field(repr=False)
    seed: bytes = field(repr=False)

    @property
    def public_key(self) -> bytes:
        """The raw public key, 32 bytes."""
        return bytes(SigningKey(self.seed).verify_key)


@dataclass(frozen=True, slots=True)
class TrustedLink:
    """A login link whose server is enrolled, with the key to answer it. Only :func:`choose_enrolment` makes one."""

    link: Link
    key: EnrolledKey


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """A scanned login, to be decided within ``expires_in`` seconds. Only :func:`read_scan` makes one.

    ``binding`` is there where the login will be bound to this phone.
    """

    link: Link
    key: EnrolledKey
    context: RequestContext
    expires_in: int
    binding: Binding | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """The server's answer to a decision. ``code`` is empty when the desktop need not type one.

    ``end`` is there when a bound login was approved.
    """

    status: str
    code: str = ""
    end: SealedEnd | None = None


def require_type(link: Link, expected_type: LinkType) -> Link:
    """The link, if it asks for what the user asked for; else ``link_refused``."""
    if link.type is not expected_type:
        raise RequestError("link_refused", f"expected a link of type {expected_type}, found {link.type}")
    return link


def choose_enrolment(link: Link, enrolments: Iterable[EnrolledKey], *, username: str | None = None) -> TrustedLink:
    """The key for this login link, or ``server_untrusted`` / ``account_ambiguous``: both before any contact.

    Servers are compared by string equality. ``username`` picks one where several accounts of a server are enrolled.
    """
    require_type(link, LinkType.AUTH)
    keys = [key for key in enrolments if key.server == link.server]
    if not keys:
        raise RequestError(
            "server_untrusted", f"{shown(link.server)} is not enrolled on this phone; nothing was sent to it"
        )
    if username is not None:
        keys = [key for key in keys if key.username == username]
        if not keys:
            raise RequestError(
                "account_unknown", "no key of this account is enrolled for this server; see useid phone list"
            )
    if len(keys) > 1:
        raise RequestError("account_ambiguous", "several accounts are enrolled for this server; choose one with --user")
    return TrustedLink(link, keys[0])


def scan_body(trusted: TrustedLink) -> Body:
    """The body of ``POST /session/{id}``."""
    frame = {"frame": b64url(trusted.link.frame)} if trusted.link.frame else {}
    return {"type": "scan", "keyId": b64url(trusted.key.key_id), **frame}


def read_scan(trusted: TrustedLink, answer: bytes) -> LoginRequest:
    """What is asked for, from the answer to the scan; ``effect_unknown`` when this app cannot say what would happen.

    Raises what :func:`.check_binding` does where the login is to be bound.
    """
    wire = read_answer(_SCAN, answer)
    if wire.context.effect not in EFFECTS:
        raise RequestError(
            "effect_unknown", "effect: the server asks for something that this app does not know; not signed"
        )
    binding = check_binding(trusted.link) if wire.binding else None
    return LoginRequest(trusted.link, trusted.key, wire.context, wire.expiresIn, binding)


def decision_body(decision: Decision, request: LoginRequest, *, issued_at: int) -> Body:
    """The signed body of ``POST /approve`` or ``POST /reject``."""
    key = request.key
    message = decision_message(
        decision,
        server=request.link.server,
        session_id=request.link.id,
        challenge=request.link.challenge,
        frame=request.link.frame,
        context_digest=request.context.digest(),
        key_id=key.key_id,
        issued_at=issued_at,
    )
    return {
        "sessionId": b64url(request.link.id),
        "keyId": b64url(key.key_id),
        "publicKey": b64url(key.public_key),
        "signature": b64url(SigningKey(key.seed).sign(message).signature),
        "issuedAt": issued_at,
    }


def read_decision(decision: Decision, answer: bytes, *, binding: Binding | None = None) -> Decided:
    """The answer to a decision, if it confirms that decision; a bound login's ``refreshUrl`` is sealed at once."""
    wire = read_answer(_DECIDED, answer)
    expected = "approved" if decision is Decision.APPROVE else "rejected"
    if wire.status != expected:
        raise invalid_answer(f"status: expected {expected}")
    if decision is Decision.APPROVE and binding is not None:
        return Decided(wire.status, end=seal(binding, wire.refreshUrl))
    return Decided(wire.status, _check_code(wire.code) if wire.code else "")


def enrolment_body(link: Link, *, seed: bytes, label: str, issued_at: int) -> Body:
    """The body of ``POST /devices/enrol/{id}``: the new public key, and a signature that proves possession."""
    signing_key = SigningKey(seed)
    public_key = bytes(signing_key.verify_key)
    message = enrolment_message(
        server=link.server,
        enrolment_id=link.id,
        challenge=link.challenge,
        public_key=public_key,
        label=label,
        issued_at=issued_at,
    )
    return {
        "publicKey": b64url(public_key),
        "signature": b64url(signing_key.sign(message).signature),
        "label": label,
        "issuedAt": issued_at,
    }


def read_enrolment(link: Link, answer: bytes, *, seed: bytes, label: str) -> tuple[EnrolledKey, str]:
    """The enrolled key, to be kept, and the code that the user types on the desktop."""
    wire = read_answer(_ENROLLED, answer)
    try:
        key_id = un_b64url(wire.keyId, 16)
    except DecodeError as error:
        raise invalid_answer(f"keyId: expected {error}") from None
    key = EnrolledKey(
        server=link.server, username=wire.username, app_name=wire.appName, label=label, key_id=key_id, seed=seed
    )
    return key, _check_code(wire.code)


def shown(text: str) -> str:
    """``text`` for a screen: what could move the cursor or reorder a line becomes U+FFFD. What is signed stays."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def describe(request: LoginRequest) -> str:
    """All of what the user is asked to decide, as lines of text."""
    context = request.context
    rows = (
        ("App", context.appName),
        ("Website", context.origin),
        ("Account", request.key.username),
        ("Place", ", ".join(filter(None, (context.city, context.ip))) or "unknown"),
        ("Browser", context.browser or "unknown"),
        ("Time", context.requestedAt),
        ("Session", b64url(request.link.id)),
        *((("Before", BOUND),) if request.binding else ()),
        ("Effect", EFFECTS[context.effect]),
    )
    return "\n".join(f"  {name:<9}{shown(value)}" for name, value in rows)


def large_digits(code: str) -> str:
    """A code as three lines of seven-segment digits, in two groups, and a plain line to copy and for screen readers."""
    middle = len(code) // 2
    groups = (code[:middle], code[middle:])
    lines = [
        "    ".join(" ".join(_SEGMENTS[int(digit)][row] for digit in group) for group in groups) for row in range(3)
    ]
    return "\n".join(f"    {line}".rstrip() for line in (*lines, "", " ".join(groups)))


_SEGMENTS: Final = (
    (" _ ", "| |", "|_|"),
    ("   ", "  |", "  |"),
    (" _ ", " _|", "|_ "),
    (" _ ", " _|", " _|"),
    ("   ", "|_|", "  |"),
    (" _ ", "|_ ", " _|"),
    (" _ ", "|_ ", "|_|"),
    (" _ ", "  |", "  |"),
    (" _ ", "|_|", "|_|"),
    (" _ ", "|_|", " _|"),
)


@dataclass(frozen=True, slots=True)
class _Scan:
    context: RequestContext
    expiresIn: int
    binding: bool = False


@dataclass(frozen=True, slots=True)
class _Decided:
    status: str
    code: str = ""
    refreshUrl: str = ""


@dataclass(frozen=True, slots=True)
class _Enrolled:
    keyId: str
    username: str
    appName: str
    code: str


_SCAN: Final = JsonType(_Scan)
_DECIDED: Final = JsonType(_Decided)
_ENROLLED: Final = JsonType(_Enrolled)


def _check_code(code: str) -> str:
    if not (len(code) == 6 and code.isascii() and code.isdigit()):
        raise invalid_answer("code: expected six digits")
    return code
