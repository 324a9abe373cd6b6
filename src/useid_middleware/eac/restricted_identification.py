"""Restricted Identification: a pseudonym of the chip, another one in each sector (TR-03110-2 §3.5, TR-03110-3 B.4).

The identifier is the hash of what chip and sector key agree on. Sector keys are made on the public key of a revocation
sector instead of the generator, so that whoever holds that sector's private key can make from a chip's public key one
token for all sectors, and each sector from that its own entry in a list of revoked chips, and no other sector's.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

from .apdu import Command, Ins
from .authentication_errors import RestrictedIdentificationError
from .chip_authentication import P1_P2_SET_AT, SetAT
from .curves import Curve, KeyPair, Point, agree, multiply
from .cvc import PUBLIC_KEY, Extension, encode_point, parse_point
from .errors import EACError
from .exchange import Exchange, expect_ok
from .oids import OID, hash_of
from .pace import DYNAMIC_AUTHENTICATION_DATA
from .tlv import TLV, build, parse

_ALL: Final = 0x100
#: By first and second sector: what the terminal sends, what the chip answers, where the certificate has the hash.
_SECTOR_KEYS: Final = (0xA0, 0xA2)
_IDENTIFIERS: Final = (0x81, 0x83)
_HASHES: Final = (0x80, 0x81)


@dataclass(frozen=True, slots=True)
class SectorKey:
    """A sector's public key, and the protocol that its identifiers are made with."""

    protocol: str
    public: Point

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the whole public key data object, which the terminal certificate has (C.3.2)."""
        return hashlib.sha256(encode_point(self.protocol, self.public)).digest()


@dataclass(frozen=True, slots=True)
class Identifiers:
    """The chip's pseudonyms in the terminal's sector, and in a second one while it moves from there."""

    first: bytes
    second: bytes | None = None


def sector_extension(first: SectorKey, second: SectorKey | None = None) -> Extension:
    """The certificate extension that ties a terminal to its sectors."""
    keys = (first,) if second is None else (first, second)
    hashes = tuple((tag, key.digest) for tag, key in zip(_HASHES, keys, strict=False))
    return Extension(OID.EXTENSION_TERMINAL_SECTOR, hashes)


def request_identifiers(*, key_id: int, first: SectorKey, second: SectorKey | None = None) -> Exchange[Identifiers]:
    """The terminal's side: MSE:Set AT and one GENERAL AUTHENTICATE, with a key of the chip.

    ``StatusWordError`` if the chip refuses, ``RestrictedIdentificationError`` if it answers something else.
    """
    set_at = SetAT(first.protocol, key_id)
    response = yield Command(Ins.MANAGE_SECURITY_ENVIRONMENT, *P1_P2_SET_AT, set_at.encode())
    expect_ok("MSE:Set AT (RI)", response)
    keys = (first,) if second is None else (first, second)
    objects = (encode_point(key.protocol, key.public, tag=tag) for tag, key in zip(_SECTOR_KEYS, keys, strict=False))
    data = build(DYNAMIC_AUTHENTICATION_DATA, *objects)
    response = yield Command(Ins.GENERAL_AUTHENTICATE, 0, 0, data, ne=_ALL)
    content = expect_ok("GENERAL AUTHENTICATE (RI)", response)
    try:
        answers = parse(content, tag=DYNAMIC_AUTHENTICATION_DATA).only(*_IDENTIFIERS[: len(keys)])
    except EACError as error:
        raise RestrictedIdentificationError(f"GENERAL AUTHENTICATE: {error.message}") from None
    found = [item.value for item in answers]
    if any(len(each) != hashlib.new(hash_of(key.protocol)).digest_size for each, key in zip(found, keys, strict=True)):
        raise RestrictedIdentificationError("GENERAL AUTHENTICATE: expected identifiers of the hash's size")
    return Identifiers(*found)


def answer_request(
    data: bytes,
    *,
    protocol: str,
    private: int,
    curve: Curve,
    expected_digests: tuple[bytes | None, bytes | None],
) -> bytes:
    """The chip's GENERAL AUTHENTICATE: one identifier for each sector key.

    ``private`` is the chip's key on ``curve``, ``expected_digests`` are ``Certificate.sector_hashes`` of the terminal.
    ``RestrictedIdentificationError`` for the key of another sector, or anything that is no sector key.
    """
    try:
        keys = parse(data, tag=DYNAMIC_AUTHENTICATION_DATA).children
        tags = tuple(item.tag for item in keys)
        if not keys or tags not in (_SECTOR_KEYS, _SECTOR_KEYS[:1], _SECTOR_KEYS[1:]):
            raise RestrictedIdentificationError("GENERAL AUTHENTICATE: expected sector keys (A0, A2)")
        identifiers = []
        for item in keys:
            at = _SECTOR_KEYS.index(item.tag)
            sector = _sector_key(item, protocol=protocol, curve=curve)
            expected = expected_digests[at]
            # What was hashed is the key as its owner wrote it, under its usual tag.
            digest = hashlib.sha256(build(PUBLIC_KEY, item.value)).digest()
            if expected is None or not compare_digest(digest, expected):
                raise RestrictedIdentificationError("sector key: expected the one whose hash the certificate has")
            identifiers.append(build(_IDENTIFIERS[at], identifier(private, sector)))
        return build(DYNAMIC_AUTHENTICATION_DATA, *identifiers)
    except RestrictedIdentificationError:
        raise
    except EACError as error:
        raise RestrictedIdentificationError(f"GENERAL AUTHENTICATE: {error.message}") from None


def identifier(private: int, sector: SectorKey) -> bytes:
    """The pseudonym: the hash of the x-coordinate that both keys agree on; ``OIDError`` for a protocol without one."""
    return hashlib.new(hash_of(sector.protocol), agree(private, sector.public)).digest()


def sector_key_pair(private: int, *, revocation_public: Point) -> KeyPair:
    """A sector's keys, on the revocation sector's public key."""
    return KeyPair(private, multiply(private, revocation_public))


def revocation_token(revocation_private: int, *, chip_public: Point) -> Point:
    """What the revocation sector publishes about a chip; it tells nobody without a sector's private key anything."""
    return multiply(revocation_private, chip_public)


def revocation_list(tokens: Iterable[Point], *, sector: KeyPair, protocol: str) -> frozenset[bytes]:
    """The identifiers that revoked chips have in this sector."""
    digest = hash_of(protocol)
    return frozenset(hashlib.new(digest, agree(sector.private, token)).digest() for token in tokens)


def is_revoked(identifiers: Identifiers, *, revoked: Collection[bytes]) -> bool:
    """Whether a chip's identifier is in the list; ``revoked`` has the entries of both its sectors."""
    return identifiers.first in revoked or identifiers.second in revoked


def _sector_key(item: TLV, *, protocol: str, curve: Curve) -> SectorKey:
    found, point, given = parse_point(item)
    if found != protocol or given is not curve:
        raise RestrictedIdentificationError("sector key: expected the protocol and the curve of the chip's key")
    return SectorKey(protocol, Point.decode(curve, point))
