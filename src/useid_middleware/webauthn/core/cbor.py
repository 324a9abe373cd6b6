"""CBOR in the one spelling that authenticators must use (CTAP 2.1 §8, "CTAP2 canonical CBOR encoding form").

The library that works with these bytes reads more than that: it takes any simple value for a boolean, cuts strings at
the end of the input and lets the last of two equal keys win. So everything passes here first.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from .errors import CeremonyError

Value: TypeAlias = "int | bytes | str | bool | list[Value] | dict[int | str, Value] | None"

#: CTAP says four; a compound attestation statement with its certificates needs five.
MAX_DEPTH: Final = 8
_SIMPLE: Final[dict[int, bool | None]] = {20: False, 21: True, 22: None}
#: Additional information that says how many bytes of the argument follow, and the least argument that needs them.
_FOLLOWING: Final = {24: (1, 24), 25: (2, 1 << 8), 26: (4, 1 << 16), 27: (8, 1 << 32)}


def decode(data: bytes, *, name: str) -> Value:
    """The one value in ``data``; ``name`` says in errors what was read. See :func:`decode_prefix`."""
    value, end = decode_prefix(data, 0, name=name)
    if end != len(data):
        raise CeremonyError("webauthn_cbor_trailing", f"{name}: expected nothing after the CBOR value")
    return value


def decode_prefix(data: bytes, start: int, *, name: str) -> tuple[Value, int]:
    """The value that begins at ``start``, and where it ends.

    Raises ``webauthn_cbor_truncated``, ``webauthn_cbor_type`` (floats, tags and simple values other than booleans and
    null; keys other than integers and text), ``webauthn_cbor_not_canonical`` (longer than need be, indefinite length,
    keys out of order), ``webauthn_cbor_duplicate_key``, ``webauthn_cbor_too_deep``.
    """
    return _Reader(data, name).value(start, MAX_DEPTH)


class _Reader:
    """Reads values out of ``data``; positions go in and come out."""

    __slots__ = ("_data", "_name")

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._name = name

    def value(self, at: int, depth: int) -> tuple[Value, int]:
        if depth == 0:
            raise CeremonyError("webauthn_cbor_too_deep", f"{self._name}: expected at most {MAX_DEPTH} levels")
        if at >= len(self._data):
            raise self._truncated(1)
        first = self._data[at]
        major, argument, at = first >> 5, first & 0x1F, at + 1
        # What belongs to a simple value or a float is judged there, by its additional information.
        if argument >= 24 and major != 7:
            argument, at = self._argument(argument, at)
        return _READERS[major](self, argument, at, depth)

    def _argument(self, information: int, at: int) -> tuple[int, int]:
        """The argument that follows the first byte, and where the content begins."""
        if information == 31:
            raise self._not_canonical("expected a definite length")
        if information not in _FOLLOWING:
            raise self._type("expected no reserved additional information")
        size, least = _FOLLOWING[information]
        argument = int.from_bytes(self._take(at, size), "big")
        if argument < least:
            raise self._not_canonical("expected the shortest form of a number or length")
        return argument, at + size

    def unsigned(self, argument: int, at: int, depth: int) -> tuple[Value, int]:
        return argument, at

    def negative(self, argument: int, at: int, depth: int) -> tuple[Value, int]:
        return -1 - argument, at

    def byte_string(self, argument: int, at: int, depth: int) -> tuple[Value, int]:
        return self._take(at, argument), at + argument

    def text_string(self, argument: int, at: int, depth: int) -> tuple[Value, int]:
        try:
            return self._take(at, argument).decode(), at + argument
        except UnicodeDecodeError:
            raise self._type("expected text in UTF-8") from None

    def array(self, argument: int, at: int, depth: int) -> tuple[Value, int]:
        items: list[Value] = []
        for _ in range(argument):
            item, at = self.value(at, depth - 1)
            items.append(item)
        return items, at

    def map(self, argument: int, at: int, depth: int) -> tuple[Value, int]:
        items: dict[int | str, Value] = {}
        before = (-1, 0, b"")
        for _ in range(argument):
            key, end = self.value(at, depth - 1)
            if not isinstance(key, int | str) or isinstance(key, bool):
                raise self._type("expected keys that are integers or text")
            if key in items:
                raise CeremonyError("webauthn_cbor_duplicate_key", f"{self._name}: expected each key once")
            order = (self._data[at] >> 5, end - at, self._data[at:end])
            if order < before:
                raise self._not_canonical("expected the keys in canonical order")
            before = order
            items[key], at = self.value(end, depth - 1)
        return items, at

    def tag(self, argument: int, at: int, depth: int) -> tuple[Value, int]:
        raise self._type("expected no tags")

    def simple(self, argument: int, at: int, depth: int) -> tuple[Value, int]:
        if argument == 31:
            raise self._not_canonical("expected a definite length")
        if argument not in _SIMPLE:
            raise self._type("expected no floats and no simple values but booleans and null")
        return _SIMPLE[argument], at

    def _take(self, at: int, size: int) -> bytes:
        if size > len(self._data) - at:
            raise self._truncated(size)
        return self._data[at : at + size]

    def _truncated(self, size: int) -> CeremonyError:
        return CeremonyError("webauthn_cbor_truncated", f"{self._name}: expected {size} more bytes of CBOR")

    def _not_canonical(self, expected: str) -> CeremonyError:
        return CeremonyError("webauthn_cbor_not_canonical", f"{self._name}: {expected}")

    def _type(self, expected: str) -> CeremonyError:
        return CeremonyError("webauthn_cbor_type", f"{self._name}: {expected}")


_READERS: Final[tuple[Callable[[_Reader, int, int, int], tuple[Value, int]], ...]] = (
    _Reader.unsigned,
    _Reader.negative,
    _Reader.byte_string,
    _Reader.text_string,
    _Reader.array,
    _Reader.map,
    _Reader.tag,
    _Reader.simple,
)
