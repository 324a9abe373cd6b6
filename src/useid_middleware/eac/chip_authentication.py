"""Chip Authentication v2: a chip proves that it is genuine, and both get new keys (TR-03110-2 §3.4, TR-03110-3 B.2).

The chip's static key is in EF.CardSecurity, signed by its issuer; the terminal's ephemeral key is the one that Terminal
Authentication signed. Only who has the static private key can compute the token.
"""

from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

from .apdu import Command, Ins
from .authentication_errors import ChipAuthenticationError
from .curves import Curve, KeyPair, Point, agree
from .errors import EACError
from .exchange import Exchange, expect_ok
from .keys import MAC_SIZE, SessionKeys, authentication_token, derive_session_keys
from .oids import CA_PROTOCOLS, decode_oid, encode_oid
from .pace import DYNAMIC_AUTHENTICATION_DATA
from .security_infos import SecurityInfos, choose_chip_authentication
from .tlv import build, find, parse, parse_all

NONCE_SIZE: Final = 8
P1_P2_SET_AT: Final = (0x41, 0xA4)

_ALL: Final = 0x100
_PROTOCOL: Final = 0x80
_KEY_ID: Final = 0x84
_EPHEMERAL: Final = 0x80
_NONCE: Final = 0x81
_TOKEN: Final = 0x82


@dataclass(frozen=True, slots=True)
class SetAT:
    """What MSE:Set AT says for Chip Authentication and Restricted Identification: a protocol and a key (B.11.1)."""

    protocol: str
    key_id: int | None = None

    def encode(self) -> bytes:
        """The command's data."""
        data = build(_PROTOCOL, encode_oid(self.protocol))
        if self.key_id is not None:
            data += build(_KEY_ID, self.key_id.to_bytes((self.key_id.bit_length() + 7) // 8 or 1, "big"))
        return data

    @classmethod
    def decode(cls, data: bytes) -> "SetAT":
        """The chip's reading of the command's data; ``ChipAuthenticationError`` for anything else."""
        try:
            objects = parse_all(data)
            protocol, key = (find(objects, tag, where="MSE:Set AT") for tag in (_PROTOCOL, _KEY_ID))
            if protocol is None or len(objects) != (1 if key is None else 2):
                raise ChipAuthenticationError("MSE:Set AT: expected 80, and at most 84")
            return cls(decode_oid(protocol.value), None if key is None else int.from_bytes(key.value, "big"))
        except ChipAuthenticationError:
            raise
        except EACError as error:
            raise ChipAuthenticationError(f"MSE:Set AT: {error.message}") from None


@dataclass(frozen=True, slots=True)
class ChipAnswer:
    """What the chip answers: its nonce, and its token over the terminal's ephemeral key."""

    nonce: bytes
    token: bytes


def authenticate_chip(card_security: SecurityInfos, *, ephemeral: KeyPair) -> Exchange[SessionKeys]:
    """The terminal's side, with the infos of a *verified* EF.CardSecurity and the key of Terminal Authentication.

    Returns the keys for a new secure messaging session. ``StatusWordError`` if the chip refuses,
    ``ChipAuthenticationError`` if it is not genuine, ``SecurityInfoError`` if it offers nothing usable.
    """
    info, _ = choose_chip_authentication(card_security)
    answer = yield from ask_chip(SetAT(info.protocol, info.key_id), ephemeral=ephemeral.public)
    return verify_chip(answer, card_security=card_security, ephemeral=ephemeral)


def ask_chip(set_at: SetAT, *, ephemeral: Point) -> Exchange[ChipAnswer]:
    """MSE:Set AT and GENERAL AUTHENTICATE; this much a client can do for a server that has the private key."""
    response = yield Command(Ins.MANAGE_SECURITY_ENVIRONMENT, *P1_P2_SET_AT, set_at.encode())
    expect_ok("MSE:Set AT (CA)", response)
    data = build(DYNAMIC_AUTHENTICATION_DATA, build(_EPHEMERAL, ephemeral.encode()))
    response = yield Command(Ins.GENERAL_AUTHENTICATE, 0, 0, data, ne=_ALL)
    content = expect_ok("GENERAL AUTHENTICATE (CA)", response)
    try:
        nonce, token = parse(content, tag=DYNAMIC_AUTHENTICATION_DATA).only(_NONCE, _TOKEN)
    except EACError as error:
        raise ChipAuthenticationError(f"GENERAL AUTHENTICATE: {error.message}") from None
    return ChipAnswer(nonce.value, token.value)


def verify_chip(answer: ChipAnswer, *, card_security: SecurityInfos, ephemeral: KeyPair) -> SessionKeys:
    """The keys, if the chip has the private key of its *verified* EF.CardSecurity (TR-03110-2 §3.4.1).

    ``ChipAuthenticationError`` if the token does not verify, or the ephemeral key is on another curve.
    """
    info, static = choose_chip_authentication(card_security)
    if static.public.curve is not ephemeral.public.curve:
        raise ChipAuthenticationError("Chip Authentication: expected an ephemeral key on the curve of the chip's key")
    if len(answer.nonce) != NONCE_SIZE or len(answer.token) != MAC_SIZE:
        raise ChipAuthenticationError(f"Chip Authentication: expected {NONCE_SIZE} and {MAC_SIZE} bytes")
    secret = agree(ephemeral.private, static.public)
    keys = derive_session_keys(secret, protocol=info.protocol, nonce=answer.nonce)
    expected = authentication_token(keys.mac, protocol=info.protocol, public=ephemeral.public)
    if not compare_digest(answer.token, expected):
        raise ChipAuthenticationError("Chip Authentication: the chip's token does not verify")
    return keys


def answer_terminal(
    data: bytes, *, protocol: str, private: int, curve: Curve, expected_ephemeral: bytes, nonce: bytes
) -> tuple[SessionKeys, bytes]:
    """The chip's GENERAL AUTHENTICATE: the keys for a new session, and the answer, which still goes in the old one.

    ``private`` is the static scalar, ``expected_ephemeral`` the x-coordinate that Terminal Authentication signed,
    ``nonce`` eight random bytes. ``ChipAuthenticationError`` or ``PointError`` for anything that does not fit.
    """
    if protocol not in CA_PROTOCOLS:
        raise ChipAuthenticationError("Chip Authentication: expected a protocol with AES")
    if len(nonce) != NONCE_SIZE:
        raise ChipAuthenticationError(f"nonce: expected {NONCE_SIZE} bytes, found {len(nonce)}")
    try:
        (item,) = parse(data, tag=DYNAMIC_AUTHENTICATION_DATA).only(_EPHEMERAL)
    except EACError as error:
        raise ChipAuthenticationError(f"GENERAL AUTHENTICATE: {error.message}") from None
    public = Point.decode(curve, item.value)
    if not compare_digest(public.x_bytes, expected_ephemeral):
        raise ChipAuthenticationError("GENERAL AUTHENTICATE: expected the key that the terminal has signed")
    keys = derive_session_keys(agree(private, public), protocol=protocol, nonce=nonce)
    token = authentication_token(keys.mac, protocol=protocol, public=public)
    return keys, build(DYNAMIC_AUTHENTICATION_DATA, build(_NONCE, nonce), build(_TOKEN, token))
