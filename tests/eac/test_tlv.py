"""BER-TLV: what we build parses back, and everything else has one error."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.eac.conftest import mutations, truncations
from useid_middleware.eac.errors import TLVError
from useid_middleware.eac.tlv import (
    MAX_DEPTH,
    MAX_SIZE,
    TLV,
    build,
    build_unsigned,
    parse,
    parse_all,
    parse_first,
    unsigned,
)

#: Primitive and constructed, of one, two and three bytes.
PRIMITIVE = (0x80, 0x04, 0x5F29, 0x9F8101)
CONSTRUCTED = (0x30, 0x7C, 0x7F21, 0xBF8101)

trees = st.recursive(
    st.builds(build, st.sampled_from(PRIMITIVE), st.binary(max_size=300)),
    lambda inner: st.builds(
        lambda tag, items: build(tag, *items), st.sampled_from(CONSTRUCTED), st.lists(inner, max_size=4)
    ),
    max_leaves=12,
)


def rebuilt(item: TLV) -> bytes:
    return build(item.tag, *map(rebuilt, item.children)) if item.children else build(item.tag, item.value)


@given(trees)
def test_every_built_tree_parses_back(data: bytes) -> None:
    item = parse(data, der=True)
    assert item.encoded == data
    assert rebuilt(item) == data


@given(st.binary(max_size=64) | trees.flatmap(lambda tree: mutations(tree)))
@example(b"")
def test_bytes_are_data_objects_or_one_error(data: bytes) -> None:
    try:
        items = parse_all(data)
    except TLVError:
        return
    assert b"".join(item.encoded for item in items) == data


@pytest.mark.parametrize("size", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFF0])
def test_lengths_are_built_in_their_shortest_form(size: int) -> None:
    data = build(0x04, bytes(size))
    assert parse(data, der=True).value == bytes(size)
    assert len(data) - size == (2 if size < 0x80 else 3 if size < 0x100 else 4)


@pytest.mark.parametrize("data", ["04 81 01 AA", "04 82 00 01 AA", "04 83 00 00 01 AA", "04 84 00 00 00 01 AA"])
def test_longer_lengths_are_ber_and_not_der(data: str) -> None:
    assert parse(bytes.fromhex(data)).value == b"\xaa"
    with pytest.raises(TLVError, match="shortest form"):
        parse(bytes.fromhex(data), der=True)


def test_der_refuses_a_length_that_begins_with_zero() -> None:
    data = b"\x04\x82\x00\x80" + bytes(0x80)
    assert parse(data).value == bytes(0x80)
    with pytest.raises(TLVError, match="shortest form"):
        parse(data, der=True)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("30 80 04 01 AA 00 00", "definite length"),
        ("04 85 00 00 00 00 01 AA", "definite length"),
        ("04 FF", "definite length"),
        ("00 00", "expected a tag, found 00"),
        ("1F 1E 00", "shorter form"),
        ("1F 80 81 00", "shorter form"),
        ("1F 81 81 01 00", "at most three bytes"),
        ("04 02 AA", "expected 2 bytes, found 1"),
        ("04 84 FF FF FF FF", "found 0"),
        ("04 82 01", "expected a length"),
        ("30 03 04 02 AA", "expected 2 bytes, found 1"),
        ("04 00 04 00", "expected one data object, found 2"),
        ("", "expected one data object, found 0"),
    ],
)
def test_what_is_no_data_object_is_refused(data: str, reason: str) -> None:
    with pytest.raises(TLVError, match=reason):
        parse(bytes.fromhex(data))


def test_every_truncation_is_refused() -> None:
    for data in truncations(build(0x7F21, build(0x5F29, b"\0"), build(0x9F8101, bytes(200)))):
        with pytest.raises(TLVError):
            parse(data)


def test_another_tag_than_the_expected_one_is_refused() -> None:
    assert parse(b"\x04\x00", tag=0x04).value == b""
    with pytest.raises(TLVError, match="expected 7F21, found 04"):
        parse(b"\x04\x00", tag=0x7F21)


def test_depth_has_a_limit() -> None:
    data = b""
    for _ in range(MAX_DEPTH):
        data = build(0x30, data)
    assert parse(data).encoded == data
    with pytest.raises(TLVError, match="at most 16 levels"):
        parse(build(0x30, data))


def test_size_has_a_limit() -> None:
    largest = build(0x04, bytes(MAX_SIZE - 4))
    assert len(parse(largest).encoded) == MAX_SIZE
    for parser in (parse, parse_all, parse_first):
        with pytest.raises(TLVError, match="at most 65536 bytes"):
            parser(largest + b"\0")


def test_the_first_object_is_found_before_padding() -> None:
    item, rest = parse_first(build(0x31, build(0x04, b"a")) + b"\0\0")
    assert (item.tag, item.child(0x04).value, rest) == (0x31, b"a", b"\0\0")
    with pytest.raises(TLVError):
        parse_first(b"")


def test_children_are_found_once_or_not_at_all() -> None:
    item = parse(build(0x30, build(0x04, b"a"), build(0x80, b"b"), build(0x80, b"c")))
    assert item.child(0x04).value == b"a"
    assert item.optional(0x81) is None
    with pytest.raises(TLVError, match="in 30: expected one 81, found none"):
        item.child(0x81)
    for look in (item.child, item.optional):
        with pytest.raises(TLVError, match="in 30: expected one 80, found 2"):
            look(0x80)


def test_children_are_exactly_those_expected_in_their_order() -> None:
    item = parse(build(0x7C, build(0x80, b"a"), build(0x81, b"b")))
    assert [child.value for child in item.only(0x80, 0x81)] == [b"a", b"b"]
    with pytest.raises(TLVError, match="in 7C: expected 81 80, found 80 81"):
        item.only(0x81, 0x80)
    with pytest.raises(TLVError, match="expected nothing, found 80 81"):
        item.only()


@given(st.integers(0, 1 << 80))
@example(0x7F)
@example(0x80)
def test_integers_come_back(number: int) -> None:
    assert unsigned(parse(build_unsigned(number), tag=0x02).value, where="test") == number


@pytest.mark.parametrize("value", ["", "80", "00 7F", "00 00"])
def test_integers_that_are_negative_or_too_long_are_refused(value: str) -> None:
    with pytest.raises(TLVError, match="here: expected a non-negative INTEGER"):
        unsigned(bytes.fromhex(value), where="here")
