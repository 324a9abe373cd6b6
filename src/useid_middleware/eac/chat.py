"""Certificate Holder Authorization Templates: a terminal's type, its role and its rights (TR-03110-3 C.1.5, C.4).

A template is 7F4C{06 terminal type, 53 bits}. The two highest bits are the role; each other bit is a right, whose
meaning depends on the type. Bits that have no name here are kept: a certificate's signature covers them too.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag, StrEnum
from typing import Final

from .authentication_errors import ChatError
from .errors import EACError
from .oids import OID, decode_oid, encode_oid
from .tlv import TLV, build, parse

CHAT_TAG: Final = 0x7F4C
_TYPE: Final = 0x06
_BITS: Final = 0x53


class TerminalType(StrEnum):
    """The types of terminals (C.4)."""

    INSPECTION_SYSTEM = OID.ROLE_IS
    AUTHENTICATION_TERMINAL = OID.ROLE_AT
    SIGNATURE_TERMINAL = OID.ROLE_ST


class Role(IntEnum):
    """The holder's place in the chain: the two highest bits of every template."""

    TERMINAL = 0
    #: Of a private organisation, or of another country.
    DV_NON_OFFICIAL = 1
    DV_OFFICIAL = 2
    CVCA = 3


class AuthenticationRight(IntFlag):
    """The rights of an authentication terminal (C.4.2, TR-03110-4 §2.2.3.2)."""

    AGE_VERIFICATION = 1 << 0
    COMMUNITY_ID_VERIFICATION = 1 << 1
    RESTRICTED_IDENTIFICATION = 1 << 2
    PRIVILEGED_TERMINAL = 1 << 3
    CAN_ALLOWED = 1 << 4
    PIN_MANAGEMENT = 1 << 5
    INSTALL_CERTIFICATE = 1 << 6
    INSTALL_QUALIFIED_CERTIFICATE = 1 << 7
    READ_DG1 = 1 << 8
    READ_DG2 = 1 << 9
    READ_DG3 = 1 << 10
    READ_DG4 = 1 << 11
    READ_DG5 = 1 << 12
    READ_DG6 = 1 << 13
    READ_DG7 = 1 << 14
    READ_DG8 = 1 << 15
    READ_DG9 = 1 << 16
    READ_DG10 = 1 << 17
    READ_DG11 = 1 << 18
    READ_DG12 = 1 << 19
    READ_DG13 = 1 << 20
    READ_DG14 = 1 << 21
    READ_DG15 = 1 << 22
    READ_DG16 = 1 << 23
    READ_DG17 = 1 << 24
    READ_DG18 = 1 << 25
    READ_DG19 = 1 << 26
    READ_DG20 = 1 << 27
    READ_DG21 = 1 << 28
    READ_DG22 = 1 << 29
    PSEUDONYMOUS_SIGNATURE = 1 << 30
    WRITE_DG22 = 1 << 32
    WRITE_DG21 = 1 << 33
    WRITE_DG20 = 1 << 34
    WRITE_DG19 = 1 << 35
    WRITE_DG18 = 1 << 36
    WRITE_DG17 = 1 << 37


class InspectionRight(IntFlag):
    """The rights of an inspection system (C.4.1)."""

    READ_DG3 = 1 << 0
    READ_DG4 = 1 << 1
    READ_EID = 1 << 5


class SignatureRight(IntFlag):
    """The rights of a signature terminal (C.4.3)."""

    GENERATE_SIGNATURE = 1 << 0
    GENERATE_QUALIFIED_SIGNATURE = 1 << 1


_RIGHTS: Final[dict[TerminalType, type[IntFlag]]] = {
    TerminalType.INSPECTION_SYSTEM: InspectionRight,
    TerminalType.AUTHENTICATION_TERMINAL: AuthenticationRight,
    TerminalType.SIGNATURE_TERMINAL: SignatureRight,
}
_SIZES: Final = {
    TerminalType.INSPECTION_SYSTEM: 1,
    TerminalType.AUTHENTICATION_TERMINAL: 5,
    TerminalType.SIGNATURE_TERMINAL: 1,
}


@dataclass(frozen=True, slots=True)
class CHAT:
    """A template. ``rights`` are its bits without the role, a bit a right of its type's enumeration."""

    terminal_type: TerminalType
    role: Role
    rights: int

    def __post_init__(self) -> None:
        if not 0 <= self.rights <= all_rights(self.terminal_type):
            raise ChatError(f"rights: expected at most {self._role_shift} bits")

    @property
    def _role_shift(self) -> int:
        return _SIZES[self.terminal_type] * 8 - 2

    @property
    def names(self) -> tuple[str, ...]:
        """The named rights, from the lowest bit."""
        return tuple(right.name or "" for right in _RIGHTS[self.terminal_type] if right & self.rights)

    def encode(self) -> bytes:
        """The whole template, tag and all."""
        bits = self.role << self._role_shift | self.rights
        value = bits.to_bytes(_SIZES[self.terminal_type], "big")
        return build(CHAT_TAG, build(_TYPE, encode_oid(self.terminal_type)), build(_BITS, value))

    @classmethod
    def decode(cls, data: bytes) -> "CHAT":
        """The template from its whole encoding; ``ChatError`` for anything else."""
        try:
            return cls.from_tlv(parse(data, tag=CHAT_TAG))
        except ChatError:
            raise
        except EACError as error:
            raise ChatError(f"CHAT: {error.message}") from None

    @classmethod
    def from_tlv(cls, item: TLV) -> "CHAT":
        """The template from a data object 7F4C; ``EACError`` if it is another one."""
        oid, bits = item.only(_TYPE, _BITS)
        name = decode_oid(oid.value)
        if name not in _TYPES:
            raise ChatError(f"CHAT: expected a known terminal type, found {name}")
        terminal_type = TerminalType(name)
        if len(bits.value) != _SIZES[terminal_type]:
            raise ChatError(f"CHAT: expected {_SIZES[terminal_type]} bytes of rights, found {len(bits.value)}")
        number = int.from_bytes(bits.value, "big")
        rights = all_rights(terminal_type)
        return cls(terminal_type, Role(number >> rights.bit_length()), number & rights)

    def restricted_to(self, rights: int) -> "CHAT":
        """The same with no right that is not in ``rights``."""
        return replace(self, rights=self.rights & rights)


def all_rights(terminal_type: TerminalType) -> int:
    """Every bit that can be a right of this type, those without a name included."""
    return (1 << _SIZES[terminal_type] * 8 - 2) - 1


def rights_named(names: Iterable[str], *, terminal_type: TerminalType) -> int:
    """The bits of these names, in any case; ``ChatError`` for a name that this type does not have."""
    known = {right.name: right for right in _RIGHTS[terminal_type]}
    rights = 0
    for name in names:
        right = known.get(name.upper())
        if right is None:
            raise ChatError(f"expected rights among {', '.join(str(each).lower() for each in known)}")
        rights |= right
    return rights


def effective(*chats: CHAT) -> CHAT:
    """The last one's template with the rights that all of the chain have (TR-03110-2 §2.5, TR-03110-3 C.4).

    ``ChatError`` if they are not of one terminal type.
    """
    *_, last = chats
    rights = all_rights(last.terminal_type)
    for chat in chats:
        if chat.terminal_type is not last.terminal_type:
            raise ChatError("expected templates of one terminal type")
        rights &= chat.rights
    return last.restricted_to(rights)


@dataclass(frozen=True, slots=True)
class RequestedRights:
    """What an eService asks for: rights it cannot do without, and rights the user may take away (no bit in both)."""

    required: int
    optional: int


def check_requested(*, required: CHAT | None, optional: CHAT | None, allowed: CHAT) -> RequestedRights:
    """What is asked for, if the terminal's certificate allows it; ``ChatError`` otherwise (TR-03124-1 §2.5, EAC1).

    Without either, everything the certificate allows is optional.
    """
    for name, chat in (("required", required), ("optional", optional)):
        if chat is not None and (chat.terminal_type is not allowed.terminal_type or chat.rights & ~allowed.rights):
            raise ChatError(f"{name} CHAT: expected no right beyond those of the terminal's certificate")
    must = required.rights if required else 0
    may = optional.rights if optional else 0
    if required is None and optional is None:
        may = allowed.rights
    return RequestedRights(must, may & ~must)


def check_selected(selected: int, *, requested: RequestedRights) -> int:
    """The rights the user leaves, if they are all required and no others than asked for; ``ChatError`` otherwise."""
    if requested.required & ~selected:
        raise ChatError("selected rights: expected all that are required")
    if selected & ~(requested.required | requested.optional):
        raise ChatError("selected rights: expected none beyond those asked for")
    return selected


_TYPES: Final = frozenset(TerminalType)
