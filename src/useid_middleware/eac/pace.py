"""PACE v2 over elliptic curves with generic mapping (TR-03110-2 §3.2, TR-03110-3 A.3 and B.1): both sides.

The terminal is one generator. The card is four steps, each of which takes what the step before returned, so that none
can be left out: :func:`start`, :func:`map_nonce`, :func:`agree_keys`, :func:`confirm`. Both get their scalars and the
nonce as arguments, from ``curves.scalar`` and fresh randomness each time.

Messages are 7C with one data object inside: 80 encrypted nonce, 81 and 82 mapping points, 83 and 84 ephemeral points,
85 and 86 tokens; 87 and 88 name the certification authorities that the card trusts.
"""

from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Final

from .apdu import Command, Ins, Response, StatusWord, retries
from .curves import Curve, KeyPair, Point, add, key_pair, multiply
from .errors import OIDError, PACEError, TLVError
from .exchange import Exchange, expect, expect_ok
from .keys import (
    BLOCK,
    PasswordId,
    SessionKeys,
    authentication_token,
    decrypt,
    derive_password_key,
    derive_session_keys,
    encrypt,
)
from .oids import PACE_PROTOCOLS, cipher_of, decode_oid, encode_oid
from .tlv import TLV, build, parse, parse_all

DYNAMIC_AUTHENTICATION_DATA: Final = 0x7C
_P1_P2_SET_AT: Final = (0xC1, 0xA4)
_CHAINED: Final = 0x10
_ALL: Final = 0x100
_NONCE_SIZES: Final = (BLOCK, 2 * BLOCK)
_MAX_CAR: Final = 16

_PROTOCOL: Final = 0x80
_PASSWORD: Final = 0x83
_PARAMETERS: Final = 0x84
_CHAT: Final = 0x7F4C


@dataclass(frozen=True, slots=True)
class PACEResult:
    """What both sides have at the end. IDs are the x-coordinates of the ephemeral keys, which TA signs (A.2.2.3).

    ``references`` are the CARs that the card named, the newest first: ISO 8859-1 as bytes.
    """

    keys: SessionKeys
    id_picc: bytes
    id_pcd: bytes
    references: tuple[bytes, ...] = ()
    #: What the card answered to MSE:Set AT: 9000, or 63Cx with the tries left.
    set_at_status: int = StatusWord.OK


@dataclass(frozen=True, slots=True)
class SetAT:
    """What MSE:Set AT for PACE asks for (TR-03110-3 B.11.1). ``chat`` is the whole 7F4C as sent, or nothing."""

    protocol: str
    password_id: PasswordId
    parameter_id: int | None = None
    chat: bytes = b""

    def encode(self) -> bytes:
        """The command's data."""
        data = build(_PROTOCOL, encode_oid(self.protocol)) + build(_PASSWORD, bytes((self.password_id,)))
        if self.parameter_id is not None:
            data += build(_PARAMETERS, bytes((self.parameter_id,)))
        return data + self.chat

    @classmethod
    def decode(cls, data: bytes) -> "SetAT":
        """The card's reading of the command's data; ``PACEError`` for anything else than PACE with AES."""
        try:
            return cls._from(parse_all(data))
        except (TLVError, OIDError) as error:
            raise PACEError(f"MSE:Set AT: {error.message}") from None

    @classmethod
    def _from(cls, objects: tuple[TLV, ...]) -> "SetAT":
        members = {item.tag: item for item in objects}
        tags = tuple(item.tag for item in objects)
        allowed = (_PROTOCOL, _PASSWORD, _PARAMETERS, _CHAT)
        if len(members) != len(tags) or not {_PROTOCOL, _PASSWORD} <= set(tags) <= set(allowed):
            raise PACEError("MSE:Set AT: expected 80, 83, and at most 84 and 7F4C")
        protocol = decode_oid(members[_PROTOCOL].value)
        password = int.from_bytes(members[_PASSWORD].value, "big")
        if protocol not in PACE_PROTOCOLS or password not in _PASSWORD_IDS:
            raise PACEError("MSE:Set AT: expected a protocol of PACE with AES, and the number of a password")
        parameters = members.get(_PARAMETERS)
        return cls(
            protocol=protocol,
            password_id=PasswordId(password),
            parameter_id=None if parameters is None else int.from_bytes(parameters.value, "big"),
            chat=members[_CHAT].encoded if _CHAT in members else b"",
        )


def establish_pace(
    password: bytes,
    *,
    password_id: PasswordId,
    protocol: str,
    curve: Curve,
    mapping_key: int,
    agreement_key: int,
    parameter_id: int | None = None,
    chat: bytes = b"",
) -> Exchange[PACEResult]:
    """The terminal's side, from MSE:Set AT to the card's token.

    ``password`` is in ISO 8859-1; ``protocol`` and ``curve`` come from ``security_infos.choose_pace``;
    ``mapping_key`` and ``agreement_key`` are two fresh scalars; ``chat`` is a whole 7F4C, for TA afterwards.
    ``StatusWordError`` if the card refuses: 63Cx in the last step means a wrong password and how many tries are left,
    63C0 in the first one that it is blocked. ``PACEError`` or ``PointError`` if what the card sends does not hold.
    """
    set_at = SetAT(protocol, password_id, parameter_id, chat)
    response = yield Command(Ins.MANAGE_SECURITY_ENVIRONMENT, *_P1_P2_SET_AT, set_at.encode())
    expect("MSE:Set AT", response, accepted=(StatusWord.OK, *map(retries, range(1, 16))))

    (encrypted_nonce,) = yield from _authenticate("encrypted nonce", 0x80)
    nonce = _decrypt_nonce(encrypted_nonce.value, password=password, protocol=protocol)

    mapping = key_pair(mapping_key, generator=curve.generator)
    (answer,) = yield from _authenticate("map nonce", 0x82, build(0x81, mapping.public.encode()))
    generator = map_generator(nonce, own=mapping, other=Point.decode(curve, answer.value))

    own = key_pair(agreement_key, generator=generator)
    (answer,) = yield from _authenticate("key agreement", 0x84, build(0x83, own.public.encode()))
    other = Point.decode(curve, answer.value)
    keys = _agree(own, other, protocol=protocol)

    token = authentication_token(keys.mac, protocol=protocol, public=other)
    expected = authentication_token(keys.mac, protocol=protocol, public=own.public)
    answer, *references = yield from _authenticate("mutual authentication", 0x86, build(0x85, token), last=True)
    if not compare_digest(answer.value, expected):
        raise PACEError("mutual authentication: the card's token does not verify")
    return PACEResult(
        keys=keys,
        id_picc=other.x_bytes,
        id_pcd=own.public.x_bytes,
        references=tuple(_reference(item) for item in references),
        set_at_status=response.sw,
    )


@dataclass(frozen=True, slots=True)
class Started:
    """The card has sent its nonce, encrypted."""

    protocol: str
    curve: Curve
    nonce: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mapped:
    """Both sides know the mapped generator, if they know the same password."""

    protocol: str
    generator: Point


@dataclass(frozen=True, slots=True)
class Agreed:
    """Both sides have keys, and have yet to prove it."""

    protocol: str
    keys: SessionKeys
    own: Point
    other: Point


def start(data: bytes, *, password: bytes, protocol: str, curve: Curve, nonce: bytes) -> tuple[Started, bytes]:
    """The card's first GENERAL AUTHENTICATE: what it keeps, and its answer.

    ``data`` is the command's data; ``nonce`` is :func:`nonce_size` random bytes.
    """
    _unwrap(data)
    if len(nonce) != nonce_size(protocol):
        raise PACEError(f"nonce: expected {nonce_size(protocol)} bytes, found {len(nonce)}")
    key = derive_password_key(password, protocol=protocol)
    return Started(protocol, curve, nonce), _wrap(build(0x80, encrypt(key, nonce)))


def map_nonce(state: Started, data: bytes, *, mapping_key: int) -> tuple[Mapped, bytes]:
    """The card's second GENERAL AUTHENTICATE, with a fresh scalar."""
    (request,) = _unwrap(data, 0x81)
    own = key_pair(mapping_key, generator=state.curve.generator)
    generator = map_generator(state.nonce, own=own, other=Point.decode(state.curve, request.value))
    return Mapped(state.protocol, generator), _wrap(build(0x82, own.public.encode()))


def agree_keys(state: Mapped, data: bytes, *, agreement_key: int) -> tuple[Agreed, bytes]:
    """The card's third GENERAL AUTHENTICATE, with a fresh scalar."""
    (request,) = _unwrap(data, 0x83)
    own = key_pair(agreement_key, generator=state.generator)
    other = Point.decode(state.generator.curve, request.value)
    keys = _agree(own, other, protocol=state.protocol)
    return Agreed(state.protocol, keys, own.public, other), _wrap(build(0x84, own.public.encode()))


def confirm(state: Agreed, data: bytes, *, references: tuple[bytes, ...] = ()) -> tuple[PACEResult, bytes]:
    """The card's last GENERAL AUTHENTICATE; ``PACEError`` if the token does not verify: the password was another one.

    ``references`` are the CARs of at most two trust points, the newest first, if the terminal sent a CHAT.
    """
    (request,) = _unwrap(data, 0x85)
    expected = authentication_token(state.keys.mac, protocol=state.protocol, public=state.own)
    if not compare_digest(request.value, expected):
        raise PACEError("mutual authentication: the terminal's token does not verify")
    token = authentication_token(state.keys.mac, protocol=state.protocol, public=state.other)
    named = zip((0x87, 0x88), references, strict=False)
    result = PACEResult(
        keys=state.keys, id_picc=state.own.x_bytes, id_pcd=state.other.x_bytes, references=references[:2]
    )
    return result, _wrap(build(0x86, token), *(build(tag, car) for tag, car in named))


def nonce_size(protocol: str) -> int:
    """Bytes of the card's nonce: as long as the key, in whole blocks (TR-03110-3 A.3.3)."""
    return -(-cipher_of(protocol) // BLOCK) * BLOCK


def map_generator(nonce: bytes, *, own: KeyPair, other: Point) -> Point:
    """Generic mapping (TR-03110-3 A.3.4.1): s·G + H, where H is the secret of an anonymous key agreement."""
    if own.public == other:
        raise PACEError("map nonce: expected another point than one's own")
    return add(multiply(int.from_bytes(nonce, "big"), other.curve.generator), own.multiply(other))


def _agree(own: KeyPair, other: Point, *, protocol: str) -> SessionKeys:
    """TR-03110-2 §3.2.1: the ephemeral keys must differ."""
    if own.public == other:
        raise PACEError("key agreement: expected another public key than one's own")
    return derive_session_keys(own.agree(other), protocol=protocol)


def _decrypt_nonce(encrypted: bytes, *, password: bytes, protocol: str) -> bytes:
    # Whole blocks is what the standard asks for; chips with AES-192 and AES-256 differ in how many.
    if len(encrypted) not in _NONCE_SIZES:
        raise PACEError(f"encrypted nonce: expected one or two blocks, found {len(encrypted)} bytes")
    return decrypt(derive_password_key(password, protocol=protocol), encrypted)


def _authenticate(step: str, answer: int, data: bytes = b"", *, last: bool = False) -> Exchange[tuple[TLV, ...]]:
    """One GENERAL AUTHENTICATE, chained but for the last (B.11.2); with the last answer may come CARs."""
    command = Command(Ins.GENERAL_AUTHENTICATE, 0, 0, _wrap(data), ne=_ALL, cla=0 if last else _CHAINED)
    response: Response = yield command
    content = expect_ok(f"GENERAL AUTHENTICATE ({step})", response)
    allowed = ((answer,), (answer, 0x87), (answer, 0x87, 0x88)) if last else ((answer,),)
    return _parse(content, *allowed)


def _wrap(*objects: bytes) -> bytes:
    return build(DYNAMIC_AUTHENTICATION_DATA, *objects)


def _unwrap(data: bytes, *tags: int) -> tuple[TLV, ...]:
    return _parse(data, tags)


def _parse(data: bytes, *allowed: tuple[int, ...]) -> tuple[TLV, ...]:
    """The objects inside 7C, whose tags are one of the rows of ``allowed``."""
    try:
        children = parse(data, tag=DYNAMIC_AUTHENTICATION_DATA).children
    except TLVError as error:
        raise PACEError(f"GENERAL AUTHENTICATE: {error.message}") from None
    if tuple(item.tag for item in children) not in allowed:
        raise PACEError(f"GENERAL AUTHENTICATE: expected 7C with {' '.join(f'{tag:02X}' for tag in allowed[-1])}")
    return children


def _reference(item: TLV) -> bytes:
    if not 0 < len(item.value) <= _MAX_CAR:
        raise PACEError(f"{item.tag:02X}: expected a CAR of 1 to {_MAX_CAR} bytes, found {len(item.value)}")
    return item.value


_PASSWORD_IDS: Final = frozenset(PasswordId)
