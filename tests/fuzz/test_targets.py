"""The fuzz targets work as they are, on inputs that a fuzzer finds in its first second."""

import random

import pytest

from tests.fuzz.seeds import SEEDS, seeds_of
from tests.fuzz.targets import TARGETS, run
from useid_middleware.eid.core.results import Minor
from useid_middleware.errors import EIDServerError

INPUTS = (
    b"",
    b"\x00",
    b"\xff" * 40,
    b"\x30\x80\x00\x00",
    b"\x30\x84\xff\xff\xff\xff",
    b"\x7f\x21\x81",
    b"{" * 300,
    b'{"keys": [{"kty": "RSA", "n": "AQ", "e": "AQ"}]}',
    b"a.b.c.d.e",
    b"?error=%00&state=%ff",
    "é\u2028".encode(),
)


#: So often a message is spoilt.
SPOILT = 20


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_raises_our_own_errors_alone(name: str) -> None:
    for data in INPUTS:
        run(name, data)


@pytest.mark.parametrize("name", SEEDS)
def test_a_parser_reads_what_it_is_meant_to_read(name: str) -> None:
    # Not through run(), which takes a refusal for an answer as well.
    assert seeds_of(name)
    for seed in seeds_of(name):
        TARGETS[name](seed)


@pytest.mark.parametrize("name", SEEDS)
def test_a_parser_of_spoilt_messages_raises_our_own_errors_alone(name: str) -> None:
    chance = random.Random(name)
    for seed in seeds_of(name):
        for _ in range(SPOILT):
            at, size = chance.randrange(len(seed)), chance.randrange(4)
            run(name, seed[:at] + chance.randbytes(size) + seed[at + chance.randrange(4) :])


# ── what fuzzers have found ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [b"ds:SignedInfo", b"soapenv:Envelope"])
def test_a_signed_message_without_canonical_form_is_refused(name: bytes) -> None:
    # A namespace that is a relative URI, which is well-formed and cannot be canonicalized.
    begun, unbegun, rest = seeds_of("soap-signature")[0].partition(b"<" + name)
    assert unbegun
    with pytest.raises(EIDServerError) as caught:
        TARGETS["soap-signature"](begun + unbegun + b' xmlns="relative"' + rest)
    assert caught.value.minor == Minor.INTERNAL_ERROR
