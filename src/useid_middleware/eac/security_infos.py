"""SecurityInfos: what a card says it can do, in EF.CardAccess and, signed, in EF.CardSecurity (TR-03110-3 A.1).

Each kind is a frozen type with an ``encode``. What has no type here (other protocols, domain parameters in full) is
kept as it is, in an :class:`OtherInfo`. ``security_info_parsing`` reads them.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from .curves import CURVES_BY_ID, Curve, Point
from .errors import SecurityInfoError
from .oids import CA_PROTOCOLS, OID, PACE_PROTOCOLS, encode_oid
from .tlv import build, build_unsigned

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OBJECT_IDENTIFIER: Final = 0x06
IA5_STRING: Final = 0x16
SEQUENCE: Final = 0x30
SET: Final = 0x31

#: The version of every protocol that this package speaks; RI alone is still at its first.
_VERSION: Final = 2


@dataclass(frozen=True, slots=True)
class PACEInfo:
    """PACE can be run with this protocol; ``parameter_id`` names the standardized domain parameters (A.1.1.1)."""

    protocol: str
    version: int = _VERSION
    parameter_id: int | None = None

    def encode(self) -> bytes:
        """The SecurityInfo in DER."""
        return _info(self.protocol, build_unsigned(self.version), _optional(self.parameter_id))


@dataclass(frozen=True, slots=True)
class ChipAuthenticationInfo:
    """Chip Authentication can be run with this protocol and the key ``key_id`` (A.1.1.2)."""

    protocol: str
    version: int = _VERSION
    key_id: int | None = None

    def encode(self) -> bytes:
        """The SecurityInfo in DER."""
        return _info(self.protocol, build_unsigned(self.version), _optional(self.key_id))


@dataclass(frozen=True, slots=True)
class ChipAuthenticationDomainParameterInfo:
    """The curve of the Chip Authentication key ``key_id`` (A.1.1.2)."""

    parameter_id: int
    key_id: int | None = None

    def encode(self) -> bytes:
        """The SecurityInfo in DER."""
        return _info(OID.CA_ECDH, _algorithm(self.parameter_id), _optional(self.key_id))


@dataclass(frozen=True, slots=True)
class ChipAuthenticationPublicKeyInfo:
    """The card's static public key (A.1.1.2); it stands in EF.CardSecurity only."""

    public: Point
    key_id: int | None = None

    def encode(self) -> bytes:
        """The SecurityInfo in DER."""
        point = build(BIT_STRING, b"\x00", self.public.encode())
        key = build(SEQUENCE, _algorithm(self.public.curve.parameter_id), point)
        return _info(OID.PK_ECDH, key, _optional(self.key_id))


@dataclass(frozen=True, slots=True)
class TerminalAuthenticationInfo:
    """Terminal Authentication can be run in this version (A.1.1.3)."""

    version: int = _VERSION

    def encode(self) -> bytes:
        """The SecurityInfo in DER."""
        return _info(OID.TA, build_unsigned(self.version))


@dataclass(frozen=True, slots=True)
class RestrictedIdentificationInfo:
    """Restricted Identification can be run with ``key_id``; with ``authorized_only``, after TA only (A.1.1.4)."""

    protocol: str
    key_id: int
    authorized_only: bool
    version: int = 1
    max_key_length: int | None = None

    def encode(self) -> bytes:
        """The SecurityInfo in DER."""
        authorized = build(BOOLEAN, b"\xff" if self.authorized_only else b"\x00")
        parameters = build(SEQUENCE, build_unsigned(self.version), build_unsigned(self.key_id), authorized)
        return _info(self.protocol, parameters, _optional(self.max_key_length))


@dataclass(frozen=True, slots=True)
class RestrictedIdentificationDomainParameterInfo:
    """The curve of Restricted Identification (A.1.1.4)."""

    parameter_id: int

    def encode(self) -> bytes:
        """The SecurityInfo in DER."""
        return _info(OID.RI_ECDH, _algorithm(self.parameter_id))


@dataclass(frozen=True, slots=True)
class CardInfoLocator:
    """Where more about the card can be read (A.1.1.5); ASCII."""

    url: str

    def encode(self) -> bytes:
        """The SecurityInfo in DER."""
        return _info(OID.CI, build(IA5_STRING, self.url.encode("ascii")))


@dataclass(frozen=True, slots=True)
class PrivilegedTerminalInfo:
    """What only privileged terminals can use, keys of single chips above all (A.1.1.7)."""

    infos: "SecurityInfos"

    def encode(self) -> bytes:
        """The SecurityInfo in DER."""
        return _info(OID.PT, self.infos.encode())


@dataclass(frozen=True, slots=True)
class OtherInfo:
    """A SecurityInfo of another kind, as it was received."""

    protocol: str
    encoded: bytes

    def encode(self) -> bytes:
        """The SecurityInfo, unchanged."""
        return self.encoded


SecurityInfo: TypeAlias = (
    PACEInfo
    | ChipAuthenticationInfo
    | ChipAuthenticationDomainParameterInfo
    | ChipAuthenticationPublicKeyInfo
    | TerminalAuthenticationInfo
    | RestrictedIdentificationInfo
    | RestrictedIdentificationDomainParameterInfo
    | CardInfoLocator
    | PrivilegedTerminalInfo
    | OtherInfo
)

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class SecurityInfos:
    """A set of infos, in the order received."""

    infos: tuple[SecurityInfo, ...]

    def encode(self) -> bytes:
        """The SET OF in DER, which sorts it."""
        return build(SET, *sorted(info.encode() for info in self.infos))

    def of(self, kind: type[K]) -> tuple[K, ...]:
        """All infos of one kind."""
        return tuple(info for info in self.infos if isinstance(info, kind))


def choose_pace(infos: SecurityInfos) -> tuple[PACEInfo, Curve]:
    """The first offer of PACE v2 that this package can run, and its curve; ``SecurityInfoError`` if there is none."""
    for info in infos.of(PACEInfo):
        curve = CURVES_BY_ID.get(info.parameter_id) if info.parameter_id is not None else None
        if info.version == _VERSION and info.protocol in PACE_PROTOCOLS and curve:
            return info, curve
    raise SecurityInfoError("expected PACE v2 by generic mapping with AES on a known curve, found no such offer")


def choose_chip_authentication(
    infos: SecurityInfos,
) -> tuple[ChipAuthenticationInfo, ChipAuthenticationPublicKeyInfo]:
    """The first offer of CA v2 that this package can run, and its key; ``SecurityInfoError`` if there is none.

    An info without a key id goes with a key without one (TR-03110-3 A.1.1.2). Not those for privileged terminals.
    """
    keys = {key.key_id: key for key in infos.of(ChipAuthenticationPublicKeyInfo)}
    for info in infos.of(ChipAuthenticationInfo):
        if info.version == _VERSION and info.protocol in CA_PROTOCOLS and info.key_id in keys:
            return info, keys[info.key_id]
    raise SecurityInfoError("expected CA v2 with AES and its public key, found no such pair")


def check_consistency(*, card_access: SecurityInfos, card_security: SecurityInfos) -> None:
    """``SecurityInfoError`` unless all of EF.CardAccess is in EF.CardSecurity too, which alone is signed.

    TR-03110-3 A.1.2.2; the infos for privileged terminals are in EF.ChipSecurity instead.
    """
    signed = {info.encode() for info in card_security.infos}
    for info in card_access.infos:
        if not isinstance(info, PrivilegedTerminalInfo) and info.encode() not in signed:
            raise SecurityInfoError(f"{type(info).__name__} of EF.CardAccess: expected it in EF.CardSecurity as well")


def _info(protocol: str, *parts: bytes) -> bytes:
    return build(SEQUENCE, build(OBJECT_IDENTIFIER, encode_oid(protocol)), *parts)


def _optional(number: int | None) -> bytes:
    return b"" if number is None else build_unsigned(number)


def _algorithm(parameter_id: int) -> bytes:
    """AlgorithmIdentifier of standardized domain parameters (A.2.1.1)."""
    return _info(OID.STANDARDIZED_DOMAIN_PARAMETERS, build_unsigned(parameter_id))
