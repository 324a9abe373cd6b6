"""The fuzz targets work as they are, on inputs that a fuzzer finds in its first second."""

import pytest

from tests.fuzz.targets import TARGETS, run

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


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_raises_our_own_errors_alone(name: str) -> None:
    for data in INPUTS:
        run(name, data)
