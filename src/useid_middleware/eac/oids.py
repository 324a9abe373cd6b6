"""The object identifiers of TR-03110-3 appendix A, and what each protocol's name fixes: its cipher and its hash."""

from enum import IntEnum, StrEnum
from typing import Final

from .errors import OIDError

#: ITU-T X.660 sets no limit, so we do.
_MAX_SIZE: Final = 64


class OID(StrEnum):
    """bsi-de (0.4.0.127.0.7) and below, written with dots."""

    PK_DH = "0.4.0.127.0.7.2.2.1.1"
    PK_ECDH = "0.4.0.127.0.7.2.2.1.2"

    TA = "0.4.0.127.0.7.2.2.2"
    TA_RSA_V1_5_SHA_256 = "0.4.0.127.0.7.2.2.2.1.2"
    TA_RSA_PSS_SHA_256 = "0.4.0.127.0.7.2.2.2.1.4"
    TA_ECDSA_SHA_1 = "0.4.0.127.0.7.2.2.2.2.1"
    TA_ECDSA_SHA_224 = "0.4.0.127.0.7.2.2.2.2.2"
    TA_ECDSA_SHA_256 = "0.4.0.127.0.7.2.2.2.2.3"
    TA_ECDSA_SHA_384 = "0.4.0.127.0.7.2.2.2.2.4"
    TA_ECDSA_SHA_512 = "0.4.0.127.0.7.2.2.2.2.5"

    CA_ECDH = "0.4.0.127.0.7.2.2.3.2"
    CA_ECDH_3DES_CBC_CBC = "0.4.0.127.0.7.2.2.3.2.1"
    CA_ECDH_AES_CBC_CMAC_128 = "0.4.0.127.0.7.2.2.3.2.2"
    CA_ECDH_AES_CBC_CMAC_192 = "0.4.0.127.0.7.2.2.3.2.3"
    CA_ECDH_AES_CBC_CMAC_256 = "0.4.0.127.0.7.2.2.3.2.4"

    PACE_ECDH_GM = "0.4.0.127.0.7.2.2.4.2"
    PACE_ECDH_GM_3DES_CBC_CBC = "0.4.0.127.0.7.2.2.4.2.1"
    PACE_ECDH_GM_AES_CBC_CMAC_128 = "0.4.0.127.0.7.2.2.4.2.2"
    PACE_ECDH_GM_AES_CBC_CMAC_192 = "0.4.0.127.0.7.2.2.4.2.3"
    PACE_ECDH_GM_AES_CBC_CMAC_256 = "0.4.0.127.0.7.2.2.4.2.4"

    RI_ECDH = "0.4.0.127.0.7.2.2.5.2"
    RI_ECDH_SHA_1 = "0.4.0.127.0.7.2.2.5.2.1"
    RI_ECDH_SHA_224 = "0.4.0.127.0.7.2.2.5.2.2"
    RI_ECDH_SHA_256 = "0.4.0.127.0.7.2.2.5.2.3"
    RI_ECDH_SHA_384 = "0.4.0.127.0.7.2.2.5.2.4"
    RI_ECDH_SHA_512 = "0.4.0.127.0.7.2.2.5.2.5"

    CI = "0.4.0.127.0.7.2.2.6"
    EID_SECURITY = "0.4.0.127.0.7.2.2.7"
    PT = "0.4.0.127.0.7.2.2.8"

    STANDARDIZED_DOMAIN_PARAMETERS = "0.4.0.127.0.7.1.2"

    AUXILIARY_DATE_OF_BIRTH = "0.4.0.127.0.7.3.1.4.1"
    AUXILIARY_DATE_OF_EXPIRY = "0.4.0.127.0.7.3.1.4.2"
    AUXILIARY_COMMUNITY_ID = "0.4.0.127.0.7.3.1.4.3"

    ROLE_IS = "0.4.0.127.0.7.3.1.2.1"
    ROLE_AT = "0.4.0.127.0.7.3.1.2.2"
    ROLE_ST = "0.4.0.127.0.7.3.1.2.3"

    EXTENSION_DESCRIPTION = "0.4.0.127.0.7.3.1.3.1"
    EXTENSION_TERMINAL_SECTOR = "0.4.0.127.0.7.3.1.3.2"
    DESCRIPTION_PLAIN_FORMAT = "0.4.0.127.0.7.3.1.3.1.1"
    DESCRIPTION_HTML_FORMAT = "0.4.0.127.0.7.3.1.3.1.2"
    DESCRIPTION_PDF_FORMAT = "0.4.0.127.0.7.3.1.3.1.3"

    SECURITY_OBJECT = "0.4.0.127.0.7.3.2.1"


class Cipher(IntEnum):
    """The size of an AES key, in bytes."""

    AES_128 = 16
    AES_192 = 24
    AES_256 = 32


#: The protocols of PACE by generic mapping with AES, the only ones that this package runs.
PACE_PROTOCOLS: Final[dict[str, Cipher]] = {
    OID.PACE_ECDH_GM_AES_CBC_CMAC_128: Cipher.AES_128,
    OID.PACE_ECDH_GM_AES_CBC_CMAC_192: Cipher.AES_192,
    OID.PACE_ECDH_GM_AES_CBC_CMAC_256: Cipher.AES_256,
}
#: The same of Chip Authentication.
CA_PROTOCOLS: Final[dict[str, Cipher]] = {
    OID.CA_ECDH_AES_CBC_CMAC_128: Cipher.AES_128,
    OID.CA_ECDH_AES_CBC_CMAC_192: Cipher.AES_192,
    OID.CA_ECDH_AES_CBC_CMAC_256: Cipher.AES_256,
}
_CIPHERS: Final = {**PACE_PROTOCOLS, **CA_PROTOCOLS}
_HASHES: Final[dict[str, str]] = {
    OID.TA_ECDSA_SHA_224: "sha224",
    OID.TA_ECDSA_SHA_256: "sha256",
    OID.TA_ECDSA_SHA_384: "sha384",
    OID.TA_ECDSA_SHA_512: "sha512",
    OID.RI_ECDH_SHA_224: "sha224",
    OID.RI_ECDH_SHA_256: "sha256",
    OID.RI_ECDH_SHA_384: "sha384",
    OID.RI_ECDH_SHA_512: "sha512",
}


def cipher_of(protocol: str) -> Cipher:
    """The cipher of a PACE or Chip Authentication protocol; ``OIDError`` for any other, 3DES included."""
    cipher = _CIPHERS.get(protocol)
    if cipher is None:
        raise OIDError(f"expected a PACE or CA protocol over elliptic curves with AES, found {protocol}")
    return cipher


def hash_of(protocol: str) -> str:
    """The hash of a TA-ECDSA or RI-ECDH protocol, as ``hashlib`` calls it; ``OIDError`` for any other, SHA-1 too."""
    name = _HASHES.get(protocol)
    if name is None:
        raise OIDError(f"expected a TA-ECDSA or RI-ECDH protocol with SHA-2, found {protocol}")
    return name


def encode_oid(dotted: str) -> bytes:
    """An identifier's content octets (X.690 §8.19), without tag and length; ``OIDError`` if it is none."""
    return _CONTENTS.get(dotted) or _encode(dotted)


def _encode(dotted: str) -> bytes:
    try:
        first, second, *rest = (int(arc) for arc in dotted.split("."))
    except ValueError:
        raise OIDError("expected numbers with dots between them") from None
    if min(first, second, *rest) < 0 or first > 2 or (first < 2 and second > 39):
        raise OIDError("expected arcs as X.660 allows them")
    content = b"".join(_encode_arc(arc) for arc in (first * 40 + second, *rest))
    if len(content) > _MAX_SIZE:
        raise OIDError(f"expected at most {_MAX_SIZE} bytes, found {len(content)}")
    return content


def decode_oid(content: bytes) -> str:
    """The identifier with dots, from its content octets; ``OIDError`` for anything else, a longer form included."""
    return _NAMES.get(content) or _decode(content)


def _decode(content: bytes) -> str:
    if not content or len(content) > _MAX_SIZE or content[-1] & 0x80:
        raise OIDError(f"expected whole arcs in 1 to {_MAX_SIZE} bytes")
    arcs: list[int] = []
    arc, fresh = 0, True
    for byte in content:
        if fresh and byte == 0x80:
            raise OIDError("expected the shortest form of each arc")
        arc = arc << 7 | byte & 0x7F
        fresh = not byte & 0x80
        if fresh:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def _encode_arc(arc: int) -> bytes:
    """Seven bits a byte, the highest bit set on all but the last."""
    digits = [arc & 0x7F]
    while arc := arc >> 7:
        digits.append(arc & 0x7F | 0x80)
    return bytes(reversed(digits))


#: Those that have a name here are encoded once.
_CONTENTS: Final[dict[str, bytes]] = {each.value: _encode(each) for each in OID}
_NAMES: Final = {content: dotted for dotted, content in _CONTENTS.items()}
