"""Terminal Authentication v2: a terminal proves to a chip what it may read (TR-03110-2 §3.3, TR-03110-3 B.3).

The terminal presents its chain, names the ephemeral key it will use in Chip Authentication, and signs. What it signs
ties all to this session: the chip's key of PACE, the chip's challenge, its own ephemeral key, the auxiliary data.

Everything here runs inside the secure messaging of PACE. Where the signature comes from elsewhere (PAOS), the steps
of :func:`authenticate_terminal` stand alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .apdu import Command, Ins
from .authentication_errors import CertificateSignatureError, TerminalAuthenticationError
from .auxiliary_data import AUXILIARY_DATA, AuxiliaryData, parse_auxiliary_data
from .certificate_chain import Verified
from .chat import CHAT, Role
from .curves import Point
from .cvc import Certificate, Sign
from .errors import EACError
from .exchange import Exchange, expect_ok
from .oids import decode_oid, encode_oid
from .tlv import build, find, parse_all

CHALLENGE_SIZE: Final = 8

P1_P2_SET_DST: Final = (0x81, 0xB6)
P1_P2_VERIFY_CERTIFICATE: Final = (0x00, 0xBE)
P1_P2_SET_AT: Final = (0x81, 0xA4)

_PROTOCOL: Final = 0x80
_REFERENCE: Final = 0x83
_EPHEMERAL: Final = 0x91
_MAX_REFERENCE: Final = 16


@dataclass(frozen=True, slots=True)
class SetAT:
    """What MSE:Set AT for Terminal Authentication says (B.11.1).

    ``reference`` is the terminal's holder reference, ``ephemeral`` the x-coordinate of its key for Chip
    Authentication, ``auxiliary`` the data object 67 exactly as sent, since it gets signed, or nothing.
    """

    protocol: str
    reference: bytes
    ephemeral: bytes
    auxiliary: bytes = b""

    def encode(self) -> bytes:
        """The command's data."""
        return (
            build(_PROTOCOL, encode_oid(self.protocol))
            + build(_REFERENCE, self.reference)
            + self.auxiliary
            + build(_EPHEMERAL, self.ephemeral)
        )

    @classmethod
    def decode(cls, data: bytes) -> "SetAT":
        """The chip's reading of the command's data; ``TerminalAuthenticationError`` for anything else."""
        try:
            objects = parse_all(data)
            protocol, reference, ephemeral, auxiliary = (
                find(objects, tag, where="MSE:Set AT") for tag in (_PROTOCOL, _REFERENCE, _EPHEMERAL, AUXILIARY_DATA)
            )
            known = [item for item in (protocol, reference, ephemeral, auxiliary) if item]
            if not (protocol and reference and ephemeral) or len(known) != len(objects):
                raise TerminalAuthenticationError("MSE:Set AT: expected 80, 83, 91, and at most 67")
            encoded = auxiliary.encoded if auxiliary else b""
            parse_auxiliary_data(encoded)
            return cls(decode_oid(protocol.value), _checked(reference.value), ephemeral.value, encoded)
        except TerminalAuthenticationError:
            raise
        except EACError as error:
            raise TerminalAuthenticationError(f"MSE:Set AT: {error.message}") from None


@dataclass(frozen=True, slots=True)
class AuthenticatedTerminal:
    """A terminal that has proved to be the holder of its certificate, as the chip remembers it.

    ``chat`` has the rights of its chain; PACE may have restricted them further. ``ephemeral`` is the x-coordinate of
    the one key that Chip Authentication accepts.
    """

    certificate: Certificate
    chat: CHAT
    ephemeral: bytes
    auxiliary: AuxiliaryData


def signed_data(*, id_picc: bytes, challenge: bytes, ephemeral: bytes, auxiliary: bytes = b"") -> bytes:
    """What the terminal signs (TR-03110-2 §3.3.1): ID_PICC ‖ challenge ‖ Comp(ephemeral key) ‖ auxiliary data."""
    return id_picc + challenge + ephemeral + auxiliary


def authenticate_terminal(
    chain: Sequence[Certificate],
    *,
    sign: Sign,
    id_picc: bytes,
    ephemeral: Point,
    auxiliary: bytes = b"",
) -> Exchange[None]:
    """The terminal's side. ``chain`` comes from ``certificate_chain.find_chain``, ``id_picc`` from PACE.

    ``sign`` is with the key of the chain's last certificate; ``auxiliary`` is a whole 67. ``StatusWordError`` if the
    chip refuses, ``TerminalAuthenticationError`` if it sends no challenge.
    """
    yield from present_certificates(chain)
    terminal = chain[-1].says
    set_at = SetAT(terminal.key.protocol, terminal.holder_reference, ephemeral.x_bytes, auxiliary)
    yield from announce_key(set_at)
    challenge = yield from get_challenge()
    data = signed_data(id_picc=id_picc, challenge=challenge, ephemeral=set_at.ephemeral, auxiliary=auxiliary)
    yield from prove_key(sign(data))


def present_certificates(chain: Iterable[Certificate]) -> Exchange[None]:
    """MSE:Set DST and PSO:Verify Certificate for each certificate, the trust point's first."""
    for certificate in chain:
        reference = build(_REFERENCE, certificate.says.authority_reference)
        response = yield Command(Ins.MANAGE_SECURITY_ENVIRONMENT, *P1_P2_SET_DST, reference)
        expect_ok("MSE:Set DST", response)
        response = yield Command(Ins.PERFORM_SECURITY_OPERATION, *P1_P2_VERIFY_CERTIFICATE, certificate.signed)
        expect_ok("PSO:Verify Certificate", response)


def announce_key(set_at: SetAT) -> Exchange[None]:
    """MSE:Set AT: which certificate's key will sign, and which key Chip Authentication will use."""
    response = yield Command(Ins.MANAGE_SECURITY_ENVIRONMENT, *P1_P2_SET_AT, set_at.encode())
    expect_ok("MSE:Set AT (TA)", response)


def get_challenge() -> Exchange[bytes]:
    """GET CHALLENGE: eight bytes from the chip."""
    response = yield Command(Ins.GET_CHALLENGE, 0, 0, ne=CHALLENGE_SIZE)
    challenge = expect_ok("GET CHALLENGE", response)
    if len(challenge) != CHALLENGE_SIZE:
        raise TerminalAuthenticationError(f"GET CHALLENGE: expected {CHALLENGE_SIZE} bytes, found {len(challenge)}")
    return challenge


def prove_key(signature: bytes) -> Exchange[None]:
    """EXTERNAL AUTHENTICATE with a plain signature of :func:`signed_data`."""
    response = yield Command(Ins.EXTERNAL_AUTHENTICATE, 0, 0, signature)
    expect_ok("EXTERNAL AUTHENTICATE", response)


def reference_in(data: bytes) -> bytes:
    """The chip's reading of MSE:Set DST's data: whose key verifies next; ``TerminalAuthenticationError`` otherwise."""
    try:
        objects = parse_all(data)
    except EACError as error:
        raise TerminalAuthenticationError(f"MSE:Set DST: {error.message}") from None
    if [item.tag for item in objects] != [_REFERENCE]:
        raise TerminalAuthenticationError("MSE:Set DST: expected a reference (83) and nothing else")
    return _checked(objects[0].value)


def verify_terminal(
    signature: bytes, *, terminal: Verified, set_at: SetAT, id_picc: bytes, challenge: bytes
) -> AuthenticatedTerminal:
    """The chip's EXTERNAL AUTHENTICATE: the terminal, if the signature verifies; ``TerminalAuthenticationError``.

    ``challenge`` must be the chip's own of this session, and is used up by this call whatever comes of it.
    """
    if terminal.role is not Role.TERMINAL or terminal.reference != set_at.reference:
        raise TerminalAuthenticationError("MSE:Set AT: expected the reference of the terminal's verified certificate")
    if terminal.key.protocol != set_at.protocol:
        raise TerminalAuthenticationError("MSE:Set AT: expected the protocol of the terminal's key")
    data = signed_data(id_picc=id_picc, challenge=challenge, ephemeral=set_at.ephemeral, auxiliary=set_at.auxiliary)
    try:
        terminal.key.verify(signature, data)
    except CertificateSignatureError as error:
        raise TerminalAuthenticationError(f"EXTERNAL AUTHENTICATE: {error.message}") from None
    return AuthenticatedTerminal(
        terminal.certificate, terminal.chat, set_at.ephemeral, parse_auxiliary_data(set_at.auxiliary)
    )


def _checked(reference: bytes) -> bytes:
    if not 0 < len(reference) <= _MAX_REFERENCE:
        raise TerminalAuthenticationError(f"83: expected a reference of 1 to 16 bytes, found {len(reference)}")
    return reference
