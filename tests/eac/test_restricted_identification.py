"""Restricted Identification: one pseudonym a sector, and lists of revoked chips that only their sector can read."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.eac.conftest import mutations
from tests.eac.issuing import DV, TERMINAL
from useid_middleware.eac.apdu import Command, Ins, Response
from useid_middleware.eac.authentication_errors import RestrictedIdentificationError
from useid_middleware.eac.chip_authentication import SetAT
from useid_middleware.eac.curves import BRAINPOOL_P256R1, P256, KeyPair, agree, key_pair
from useid_middleware.eac.cvc import encode_point
from useid_middleware.eac.errors import OIDError, StatusWordError
from useid_middleware.eac.exchange import run
from useid_middleware.eac.oids import OID, encode_oid
from useid_middleware.eac.restricted_identification import (
    Identifiers,
    SectorKey,
    answer_request,
    identifier,
    is_revoked,
    request_identifiers,
    revocation_list,
    revocation_token,
    sector_extension,
    sector_key_pair,
)
from useid_middleware.eac.tlv import build, parse

CURVE = BRAINPOOL_P256R1
SHA_256 = OID.RI_ECDH_SHA_256
CHIP = key_pair(41, generator=CURVE.generator)
REVOCATION = key_pair(43, generator=CURVE.generator)
FIRST_PAIR = sector_key_pair(47, revocation_public=REVOCATION.public)
SECOND_PAIR = sector_key_pair(53, revocation_public=REVOCATION.public)
FIRST, SECOND = (SectorKey(SHA_256, pair.public) for pair in (FIRST_PAIR, SECOND_PAIR))
DIGESTS = (FIRST.digest, SECOND.digest)


class Chip:
    """The chip's part behind APDUs."""

    def __init__(
        self,
        *,
        digests: tuple[bytes | None, bytes | None] = DIGESTS,
        change: Callable[[bytes], bytes] = lambda answer: answer,
    ) -> None:
        self.commands: list[Command] = []
        self._digests = digests
        self._change = change
        self._protocol = ""

    def transmit(self, apdu: bytes) -> bytes:
        command = Command.decode(apdu)
        self.commands.append(command)
        if command.ins == Ins.MANAGE_SECURITY_ENVIRONMENT:
            self._protocol = SetAT.decode(command.data).protocol
            return b"\x90\x00"
        answer = answer_request(
            command.data,
            protocol=self._protocol,
            private=CHIP.private,
            curve=CURVE,
            expected_digests=self._digests,
        )
        return Response(self._change(answer)).encode()


def request(chip: Chip, *, second: SectorKey | None = None) -> Identifiers:
    return run(request_identifiers(key_id=1, first=FIRST, second=second), chip.transmit)


def test_a_chip_has_one_name_in_a_sector_and_another_in_the_next() -> None:
    both = request(Chip(), second=SECOND)
    assert request(Chip()) == Identifiers(both.first)
    assert both.first != both.second
    assert both == Identifiers(identifier(CHIP.private, FIRST), identifier(CHIP.private, SECOND))
    assert identifier(CHIP.private + 1, FIRST) != both.first


def test_a_name_is_the_hash_of_the_common_secret() -> None:
    assert identifier(CHIP.private, FIRST) == sha256(agree(CHIP.private, FIRST.public)).digest()
    assert len(identifier(CHIP.private, replace(FIRST, protocol=OID.RI_ECDH_SHA_512))) == 64
    with pytest.raises(OIDError):
        identifier(CHIP.private, replace(FIRST, protocol=OID.RI_ECDH_SHA_1))


def test_the_commands_are_those_of_the_standard() -> None:
    chip = Chip()
    request(chip, second=SECOND)
    set_at, authenticate = chip.commands
    assert (set_at.header, set_at.ne) == (bytes.fromhex("002241a4"), 0)
    assert set_at.data == build(0x80, encode_oid(SHA_256)) + build(0x84, b"\1")
    assert (authenticate.header, authenticate.ne) == (bytes.fromhex("00860000"), 256)
    assert authenticate.data == build(
        0x7C, encode_point(SHA_256, FIRST.public, tag=0xA0), encode_point(SHA_256, SECOND.public, tag=0xA2)
    )


def test_the_certificate_names_its_sectors_by_the_hash_of_their_whole_keys() -> None:
    digest = sha256(encode_point(SHA_256, FIRST.public)).digest()
    assert sector_extension(FIRST).objects == ((0x80, digest),)
    certificate = DV.issue(replace(TERMINAL, extensions=(sector_extension(FIRST, SECOND),)))
    assert certificate.sector_hashes == DIGESTS
    chip = Chip(digests=certificate.sector_hashes)
    assert request(chip, second=SECOND).second == identifier(CHIP.private, SECOND)


@pytest.mark.parametrize("digests", [(None, None), (SECOND.digest, FIRST.digest), (FIRST.digest, None)])
def test_a_terminal_gets_no_name_of_a_sector_that_is_not_its_own(digests: tuple[bytes | None, bytes | None]) -> None:
    with pytest.raises(RestrictedIdentificationError, match="whose hash the certificate has") as refusal:
        request(Chip(digests=digests), second=SECOND)
    assert refusal.value.code == "restricted_identification_failed"


def inside(*objects: bytes) -> bytes:
    return build(0x7C, *objects)


def answer(data: bytes, *, digests: tuple[bytes | None, bytes | None] = DIGESTS) -> bytes:
    return answer_request(data, protocol=SHA_256, private=CHIP.private, curve=CURVE, expected_digests=digests)


KEY = encode_point(SHA_256, FIRST.public, tag=0xA0)
MEMBERS = parse(KEY).children


def test_a_second_sector_alone_is_answered_too() -> None:
    data = answer(inside(encode_point(SHA_256, SECOND.public, tag=0xA2)))
    assert data == inside(build(0x83, identifier(CHIP.private, SECOND)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "expected one data object"),
        (build(0x30), "expected 7C"),
        (inside(), "expected sector keys"),
        (inside(build(0x80)), "expected sector keys"),
        (inside(KEY, KEY), "expected sector keys"),
        (inside(encode_point(SHA_256, SECOND.public, tag=0xA2), KEY), "expected sector keys"),
        (inside(build(0xA0)), "06 and 86, or 06 and 81 to 87"),
        (
            inside(build(0xA0, MEMBERS[0].encoded, build(0x86, FIRST.public.encode()))),
            "the protocol and the curve of the chip's key",
        ),
        (
            inside(encode_point(OID.RI_ECDH_SHA_512, FIRST.public, tag=0xA0)),
            "the protocol and the curve of the chip's key",
        ),
        (
            inside(encode_point(SHA_256, P256.generator, tag=0xA0)),
            "the protocol and the curve of the chip's key",
        ),
        (
            inside(
                build(0xA0, *(build(0x86, b"\4" + bytes(64)) if item.tag == 0x86 else item.encoded for item in MEMBERS))
            ),
            "expected a point on the curve",
        ),
        (
            inside(build(0xA0, *(build(0x87, b"\2") if item.tag == 0x87 else item.encoded for item in MEMBERS))),
            "domain parameters of a known curve",
        ),
    ],
)
def test_the_chip_refuses_what_is_no_sector_key(data: bytes, reason: str) -> None:
    with pytest.raises(RestrictedIdentificationError, match=reason):
        answer(data)


@given(st.binary(max_size=40) | mutations(inside(KEY)))
def test_bytes_are_a_sector_key_or_one_error(data: bytes) -> None:
    try:
        found = answer(data)
    except RestrictedIdentificationError:
        return
    assert found == inside(build(0x81, identifier(CHIP.private, FIRST)))


def test_a_key_is_hashed_as_its_owner_wrote_it() -> None:
    padded = build(0xA0, *(build(0x81, b"\0", each.value) if each.tag == 0x81 else each.encoded for each in MEMBERS))
    digest = sha256(build(0x7F49, parse(padded).value)).digest()
    assert answer(inside(padded), digests=(digest, None)) == answer(inside(KEY))
    with pytest.raises(RestrictedIdentificationError, match="whose hash the certificate has"):
        answer(inside(padded))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "expected one data object"),
        (inside(), "expected 81"),
        (inside(build(0x83, bytes(32))), "expected 81"),
        (inside(build(0x81, bytes(32)), build(0x83, bytes(32))), "expected 81, found 81 83"),
        (inside(build(0x81, bytes(20))), "identifiers of the hash's size"),
    ],
)
def test_the_terminal_refuses_what_a_chip_must_not_answer(data: bytes, reason: str) -> None:
    with pytest.raises(RestrictedIdentificationError, match=reason):
        request(Chip(change=lambda _: data))


@pytest.mark.parametrize("at", [1, 2])
def test_the_terminal_stops_where_the_chip_refuses(at: int) -> None:
    sent: list[bytes] = []

    def transmit(apdu: bytes) -> bytes:
        sent.append(apdu)
        return b"\x69\x82" if len(sent) == at else b"\x90\x00"

    with pytest.raises(StatusWordError, match="found 6982"):
        run(request_identifiers(key_id=1, first=FIRST), transmit)
    assert len(sent) == at


def test_a_revoked_chip_is_found_by_its_name_in_each_sector() -> None:
    token = revocation_token(REVOCATION.private, chip_public=CHIP.public)
    other = revocation_token(REVOCATION.private, chip_public=key_pair(59, generator=CURVE.generator).public)
    found = request(Chip(), second=SECOND)
    first, second, strangers = (
        revocation_list([token, other], sector=pair, protocol=SHA_256)
        for pair in (FIRST_PAIR, SECOND_PAIR, sector_key_pair(61, revocation_public=REVOCATION.public))
    )
    assert len(first) == 2
    assert is_revoked(found, revoked=first)
    assert is_revoked(found, revoked=second)
    assert not is_revoked(Identifiers(found.first), revoked=second)
    assert not is_revoked(found, revoked=strangers)
    assert not is_revoked(Identifiers(found.first), revoked=frozenset())


@given(st.integers(1, CURVE.n - 1), st.integers(1, CURVE.n - 1), st.integers(1, CURVE.n - 1))
def test_sector_and_chip_come_to_the_same_name(chip: int, sector: int, revocation: int) -> None:
    public = key_pair(revocation, generator=CURVE.generator).public
    pair: KeyPair = sector_key_pair(sector, revocation_public=public)
    token = revocation_token(revocation, chip_public=key_pair(chip, generator=CURVE.generator).public)
    assert revocation_list([token], sector=pair, protocol=SHA_256) == {
        identifier(chip, SectorKey(SHA_256, pair.public))
    }
