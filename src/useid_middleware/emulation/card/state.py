"""What a card remembers without power, as a value that can be written to a file and read again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final

from ..._codec import DecodeError, JsonType, encode_json
from ...eac.certificate_chain import MAX_TRUST_POINTS, TrustStore, Verified
from ...eac.curves import curve_by_id
from ...eac.cvc import parse_certificate
from ...eac.errors import EACError
from ...errors import ConfigurationError
from .personalisation import Personality, PinState

SEED_SIZE: Final = 32
#: How often the PUK can unblock the PIN (TR-03127 §3.5).
PUK_USES: Final = 10

_VERSION: Final = 1


class PinStatus(StrEnum):
    """The PIN and its tries; ``security.TRANSITIONS`` says how it goes from one to the other."""

    THREE_TRIES = "three tries"
    TWO_TRIES = "two tries"
    #: One try is left, and the CAN comes first.
    SUSPENDED = "suspended"
    #: The CAN came; the last try may be made while its channel lasts.
    RESUMED = "resumed"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class CardState:
    """Everything on the card that can change, and the seed of its keys, out of ``repr`` as the passwords are."""

    seed: bytes = field(repr=False)
    pin: str = field(repr=False)
    can: str = field(repr=False)
    puk: str = field(repr=False)
    #: The keys by which terminals are verified, and the latest date that the card has good reason to believe in.
    trust: TrustStore
    pin_status: PinStatus = PinStatus.THREE_TRIES
    pin_active: bool = True
    puk_uses: int = PUK_USES
    #: Data groups that a terminal has written, by number.
    written: Mapping[int, bytes] = field(default_factory=dict)


_STATUS: Final = {
    3: PinStatus.THREE_TRIES,
    2: PinStatus.TWO_TRIES,
    1: PinStatus.SUSPENDED,
    0: PinStatus.BLOCKED,
}


def new_state(personality: Personality, *, seed: bytes, trust: TrustStore) -> CardState:
    """The state of a card that has just been made; ``seed`` is 32 random bytes."""
    secrets = personality.secrets
    return CardState(
        seed=seed,
        pin=secrets.pin,
        can=secrets.can,
        puk=secrets.puk,
        trust=trust,
        pin_status=_STATUS[secrets.pin_tries],
        pin_active=secrets.pin_state is not PinState.DEACTIVATED,
    )


def encode_state(state: CardState) -> bytes:
    """The state as JSON, to be kept from other users: it holds the card's keys."""
    wire = _File(
        version=_VERSION,
        seed=state.seed,
        pin=state.pin,
        can=state.can,
        puk=state.puk,
        today=state.trust.today,
        trustPoints=tuple(
            _TrustPoint(each.certificate.encode(), each.key.public.curve.parameter_id) for each in state.trust.points
        ),
        # What was resumed without power is suspended.
        pinStatus=PinStatus.SUSPENDED if state.pin_status is PinStatus.RESUMED else state.pin_status,
        pinActive=state.pin_active,
        pukUses=state.puk_uses,
        written={str(number): content for number, content in state.written.items()},
    )
    return encode_json(wire)


def decode_state(content: bytes) -> CardState:
    """The state that :func:`encode_state` wrote; ``ConfigurationError`` for anything else."""
    try:
        wire = _FILE.decode(content)
        _check(wire)
        points = tuple(map(_trust_point, wire.trustPoints))
    except (DecodeError, EACError):
        raise ConfigurationError(
            "the card's state: not a state file of this program; remove it, and the card is made anew"
        ) from None
    return CardState(
        seed=wire.seed,
        pin=wire.pin,
        can=wire.can,
        puk=wire.puk,
        trust=TrustStore(points, wire.today),
        pin_status=wire.pinStatus,
        pin_active=wire.pinActive,
        puk_uses=wire.pukUses,
        written={int(number): content for number, content in wire.written.items()},
    )


@dataclass(frozen=True, slots=True)
class _TrustPoint:
    certificate: bytes
    #: A link certificate may be without domain parameters; its issuer is forgotten by then.
    curve: int


@dataclass(frozen=True, slots=True)
class _File:
    version: int
    seed: bytes
    pin: str
    can: str
    puk: str
    today: date
    trustPoints: tuple[_TrustPoint, ...]
    pinStatus: PinStatus
    pinActive: bool
    pukUses: int
    written: dict[str, bytes]


_FILE: Final = JsonType(_File)


def _trust_point(wire: _TrustPoint) -> Verified:
    """A key that the card has verified before: its own memory needs no second proof."""
    certificate = parse_certificate(wire.certificate)
    key = certificate.says.key.on(curve_by_id(wire.curve))
    return Verified(certificate, key, certificate.says.chat, accurate=True)


def _check(wire: _File) -> None:
    passwords = ((wire.pin, (5, 6)), (wire.can, (6,)), (wire.puk, (10,)))
    is_valid = (
        wire.version == _VERSION
        and len(wire.seed) == SEED_SIZE
        and 0 < len(wire.trustPoints) <= MAX_TRUST_POINTS
        and 0 <= wire.pukUses <= PUK_USES
        and wire.pinStatus is not PinStatus.RESUMED
        and all(digits.isdigit() and digits.isascii() and len(digits) in sizes for digits, sizes in passwords)
        and all(number.isascii() and number.isdigit() and 1 <= int(number) <= 22 for number in wire.written)
    )
    if not is_valid:
        raise DecodeError("state")
