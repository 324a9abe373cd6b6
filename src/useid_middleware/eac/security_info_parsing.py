"""Reading SecurityInfos (TR-03110-3 A.1): bytes in DER to the types of ``security_infos``.

What has another form than its protocol prescribes is an error; what has a form that no type here covers, other domain
parameters for one, is kept unread.
"""

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from .curves import CURVES_BY_ID, Point
from .errors import EACError, SecurityInfoError
from .oids import CA_PROTOCOLS, OID, PACE_PROTOCOLS, decode_oid
from .security_infos import (
    BIT_STRING,
    BOOLEAN,
    IA5_STRING,
    INTEGER,
    OBJECT_IDENTIFIER,
    SEQUENCE,
    SET,
    CardInfoLocator,
    ChipAuthenticationDomainParameterInfo,
    ChipAuthenticationInfo,
    ChipAuthenticationPublicKeyInfo,
    OtherInfo,
    PACEInfo,
    PrivilegedTerminalInfo,
    RestrictedIdentificationDomainParameterInfo,
    RestrictedIdentificationInfo,
    SecurityInfo,
    SecurityInfos,
    TerminalAuthenticationInfo,
)
from .tlv import TLV, parse, unsigned

_BOOLEANS: Final = {b"\x00": False, b"\xff": True}


def parse_security_infos(data: bytes) -> SecurityInfos:
    """The content of EF.CardAccess, or the signed content of EF.CardSecurity; ``SecurityInfoError`` otherwise."""
    try:
        return _parse_set(parse(data, tag=SET, der=True))
    except SecurityInfoError:
        raise
    except EACError as error:
        raise SecurityInfoError(f"SecurityInfos: {error.message}") from None


def _parse_set(tlv: TLV) -> SecurityInfos:
    return SecurityInfos(tuple(_parse_info(child) for child in tlv.children))


def _parse_info(tlv: TLV) -> SecurityInfo:
    """SEQUENCE {protocol, requiredData, optionalData OPTIONAL}, by the protocol (A.1.1)."""
    if tlv.tag != SEQUENCE or not 2 <= len(tlv.children) <= 3:
        raise SecurityInfoError("expected a SEQUENCE of a protocol and one or two more")
    protocol = _oid(tlv.children[0])
    required, *optional = tlv.children[1:]
    parser = _PARSERS.get(protocol)
    info = parser(protocol, required, optional[0] if optional else None) if parser else None
    return info or OtherInfo(protocol, tlv.encoded)


_Parser: TypeAlias = Callable[[str, TLV, TLV | None], SecurityInfo | None]


def _parse_pace(protocol: str, required: TLV, optional: TLV | None) -> SecurityInfo:
    return PACEInfo(protocol, _integer(required), _integer_or_none(optional))


def _parse_ca(protocol: str, required: TLV, optional: TLV | None) -> SecurityInfo:
    return ChipAuthenticationInfo(protocol, _integer(required), _integer_or_none(optional))


def _parse_ca_domain(_: str, required: TLV, optional: TLV | None) -> SecurityInfo | None:
    parameter_id = _parameter_id(required)
    if parameter_id is None:
        return None
    return ChipAuthenticationDomainParameterInfo(parameter_id, _integer_or_none(optional))


def _parse_ca_key(_: str, required: TLV, optional: TLV | None) -> SecurityInfo | None:
    algorithm, point = required.only(SEQUENCE, BIT_STRING)
    curve = CURVES_BY_ID.get(_parameter_id(algorithm) or 0)
    if curve is None:
        return None
    if point.value[:1] != b"\x00":
        raise SecurityInfoError("subjectPublicKey: expected a BIT STRING of whole bytes")
    public = Point.decode(curve, point.value[1:])
    return ChipAuthenticationPublicKeyInfo(public, _integer_or_none(optional))


def _parse_ta(_: str, required: TLV, optional: TLV | None) -> SecurityInfo | None:
    # A third member is the EF.CVCA of version 1, which only passports have.
    return TerminalAuthenticationInfo(_integer(required)) if optional is None else None


def _parse_ri(protocol: str, required: TLV, optional: TLV | None) -> SecurityInfo:
    version, key_id, authorized = required.only(INTEGER, INTEGER, BOOLEAN)
    if authorized.value not in _BOOLEANS:
        raise SecurityInfoError("authorizedOnly: expected a BOOLEAN in DER")
    return RestrictedIdentificationInfo(
        protocol,
        key_id=_integer(key_id),
        authorized_only=_BOOLEANS[authorized.value],
        version=_integer(version),
        max_key_length=_integer_or_none(optional),
    )


def _parse_ri_domain(_: str, required: TLV, optional: TLV | None) -> SecurityInfo | None:
    parameter_id = _parameter_id(required)
    if parameter_id is None or optional is not None:
        return None
    return RestrictedIdentificationDomainParameterInfo(parameter_id)


def _parse_card_info(_: str, required: TLV, optional: TLV | None) -> SecurityInfo | None:
    if required.tag != IA5_STRING or optional is not None or not required.value.isascii():
        return None
    return CardInfoLocator(required.value.decode("ascii"))


def _parse_privileged(_: str, required: TLV, optional: TLV | None) -> SecurityInfo | None:
    return PrivilegedTerminalInfo(_parse_set(required)) if required.tag == SET and optional is None else None


def _oid(tlv: TLV) -> str:
    if tlv.tag != OBJECT_IDENTIFIER:
        raise SecurityInfoError(f"expected an OBJECT IDENTIFIER (06), found {tlv.tag:02X}")
    return decode_oid(tlv.value)


def _integer(tlv: TLV) -> int:
    if tlv.tag != INTEGER:
        raise SecurityInfoError(f"expected an INTEGER (02), found {tlv.tag:02X}")
    return unsigned(tlv.value, where="SecurityInfo")


def _integer_or_none(tlv: TLV | None) -> int | None:
    return None if tlv is None else _integer(tlv)


def _parameter_id(tlv: TLV) -> int | None:
    """The standardized domain parameters of an AlgorithmIdentifier; ``None`` if it gives parameters in full."""
    if tlv.tag != SEQUENCE or len(tlv.children) != 2:
        raise SecurityInfoError("expected an AlgorithmIdentifier of two members")
    algorithm, parameters = tlv.children
    return _integer(parameters) if _oid(algorithm) == OID.STANDARDIZED_DOMAIN_PARAMETERS else None


_RI: Final = (OID.RI_ECDH_SHA_1, OID.RI_ECDH_SHA_224, OID.RI_ECDH_SHA_256, OID.RI_ECDH_SHA_384, OID.RI_ECDH_SHA_512)


def _parsers(protocols: Iterable[str], parser: _Parser) -> dict[str, _Parser]:
    return dict.fromkeys(protocols, parser)


_PARSERS: Final[dict[str, _Parser]] = {
    **_parsers((*PACE_PROTOCOLS, OID.PACE_ECDH_GM_3DES_CBC_CBC), _parse_pace),
    **_parsers((*CA_PROTOCOLS, OID.CA_ECDH_3DES_CBC_CBC), _parse_ca),
    **_parsers(_RI, _parse_ri),
    OID.CA_ECDH: _parse_ca_domain,
    OID.PK_ECDH: _parse_ca_key,
    OID.TA: _parse_ta,
    OID.RI_ECDH: _parse_ri_domain,
    OID.CI: _parse_card_info,
    OID.PT: _parse_privileged,
}
