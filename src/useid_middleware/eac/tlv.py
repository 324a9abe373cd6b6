"""BER-TLV data objects as ISO 7816-4 §5.2 uses them: tags of one to three bytes, definite lengths.

A tag is a number made of its bytes as they are written: ``0x7F49``. What parses has been checked to the bottom:
constructed objects carry their children, so whoever holds a :class:`TLV` need not expect another error inside.

Refused in every mode: indefinite lengths, truncated objects, tags 00, tag numbers written longer than need be,
``MAX_SIZE`` and ``MAX_DEPTH`` exceeded. ``der=True`` also refuses lengths that are not minimal.
"""

from collections.abc import Iterable
from typing import Final

from .._codec import Record
from .errors import TLVError

#: No file or message of a card is longer: the data of an extended APDU.
MAX_SIZE: Final = 0x10000
#: EF.CardSecurity nests eleven deep.
MAX_DEPTH: Final = 16

_CONSTRUCTED: Final = 0x20
_LONG_TAG: Final = 0x1F


class TLV(Record, frozen=True):
    """One data object. ``encoded`` is the object as it was received, header and all; two are equal if that is."""

    tag: int
    value: bytes
    children: tuple["TLV", ...]
    encoded: bytes

    def only(self, *tags: int) -> tuple["TLV", ...]:
        """The children, if they are exactly ``tags`` in that order; ``TLVError`` otherwise."""
        if tuple(child.tag for child in self.children) != tags:
            raise TLVError(f"in {self.tag:02X}: expected {_names(tags)}, found {_names(c.tag for c in self.children)}")
        return self.children

    def child(self, tag: int) -> "TLV":
        """The child with this tag, of which there must be exactly one."""
        found = self.optional(tag)
        if found is None:
            raise TLVError(f"in {self.tag:02X}: expected one {tag:02X}, found none")
        return found

    def optional(self, tag: int) -> "TLV | None":
        """The child with this tag, or ``None``; ``TLVError`` if there are several."""
        return find(self.children, tag, where=f"{self.tag:02X}")


def find(objects: Iterable[TLV], tag: int, *, where: str) -> TLV | None:
    """The object with this tag among ``objects``, or ``None``; ``TLVError`` if there are several.

    ``where`` names the place in the error's message.
    """
    found = [item for item in objects if item.tag == tag]
    if len(found) > 1:
        raise TLVError(f"in {where}: expected one {tag:02X}, found {len(found)}")
    return found[0] if found else None


def parse(data: bytes, *, tag: int | None = None, der: bool = False) -> TLV:
    """The one data object that ``data`` is, with nothing after it, and with ``tag`` if one is given."""
    objects = parse_all(data, der=der)
    if len(objects) != 1:
        raise TLVError(f"expected one data object, found {len(objects)}")
    if tag is not None and objects[0].tag != tag:
        raise TLVError(f"expected {tag:02X}, found {objects[0].tag:02X}")
    return objects[0]


def parse_all(data: bytes, *, der: bool = False) -> tuple[TLV, ...]:
    """All data objects that ``data`` is a concatenation of; none if it is empty."""
    if len(data) > MAX_SIZE:
        raise TLVError(f"expected at most {MAX_SIZE} bytes, found {len(data)}")
    return _parse_level(data, der=der, depth=1)


def parse_first(data: bytes, *, der: bool = False) -> tuple[TLV, bytes]:
    """The first data object and what follows it, unparsed: for files that are padded to a fixed size."""
    if len(data) > MAX_SIZE:
        raise TLVError(f"expected at most {MAX_SIZE} bytes, found {len(data)}")
    item, end = _parse_at(data, 0, der=der, depth=1)
    return item, data[end:]


def build(tag: int, *values: bytes) -> bytes:
    """An encoded data object, its length minimal, with the concatenation of ``values`` inside."""
    value = b"".join(values)
    size = len(value)
    if size < 0x80:
        length = bytes((size,))
    else:
        digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
        length = bytes((0x80 | len(digits),)) + digits
    return tag.to_bytes(max(1, (tag.bit_length() + 7) // 8), "big") + length + value


def unsigned(value: bytes, *, where: str) -> int:
    """A DER INTEGER's content that must not be negative; ``where`` names the place in the error's message."""
    if not value or value[0] & 0x80 or (len(value) > 1 and value[0] == 0 and not value[1] & 0x80):
        raise TLVError(f"{where}: expected a non-negative INTEGER with no needless byte")
    return int.from_bytes(value, "big")


def build_unsigned(number: int) -> bytes:
    """A whole DER INTEGER, tag and all, of a number that is not negative."""
    return build(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _parse_level(data: bytes, *, der: bool, depth: int) -> tuple[TLV, ...]:
    objects: list[TLV] = []
    position = 0
    while position < len(data):
        item, position = _parse_at(data, position, der=der, depth=depth)
        objects.append(item)
    return tuple(objects)


def _parse_at(data: bytes, start: int, *, der: bool, depth: int) -> tuple[TLV, int]:
    """The object that starts there, and where the next one starts."""
    if depth > MAX_DEPTH:
        raise TLVError(f"expected at most {MAX_DEPTH} levels")
    position = start + 2
    if position <= len(data) and (tag := data[start]) and tag & _LONG_TAG != _LONG_TAG and data[start + 1] < 0x80:
        # Nearly every header is a tag and a length of one byte each.
        size = data[start + 1]
    else:
        tag, position = _parse_tag(data, start)
        size, position = _parse_length(data, position, der=der)
    end = position + size
    if end > len(data):
        raise TLVError(f"{tag:02X}: expected {size} bytes, found {len(data) - position}")
    value = data[position:end]
    children = _parse_level(value, der=der, depth=depth + 1) if data[start] & _CONSTRUCTED else ()
    return TLV(tag, value, children, data[start:end]), end


def _parse_tag(data: bytes, position: int) -> tuple[int, int]:
    """ISO 7816-4 §5.2.2.1: five bits hold the number, or one or two further bytes do."""
    tag = _byte(data, position)
    if tag == 0:
        raise TLVError("expected a tag, found 00")
    if tag & _LONG_TAG != _LONG_TAG:
        return tag, position + 1
    second = _byte(data, position + 1)
    if second < _LONG_TAG or second == 0x80:
        raise TLVError(f"expected a tag, found {tag:02X}{second:02X}: this number has a shorter form")
    tag = tag << 8 | second
    if second < 0x80:
        return tag, position + 2
    third = _byte(data, position + 2)
    if third & 0x80:
        raise TLVError(f"expected a tag of at most three bytes, found {tag:04X}{third:02X} and more")
    return tag << 8 | third, position + 3


def _parse_length(data: bytes, position: int, *, der: bool) -> tuple[int, int]:
    """ISO 7816-4 §5.2.2.2: one byte up to 7F, or 81 to 84 and as many bytes as that says."""
    first = _byte(data, position)
    position += 1
    if first < 0x80:
        return first, position
    if not 0x81 <= first <= 0x84:
        raise TLVError(f"expected a definite length of at most four bytes, found {first:02X}")
    digits = data[position : position + (first & 0x7F)]
    if len(digits) < (first & 0x7F):
        raise TLVError("expected a length, found the end")
    size = int.from_bytes(digits, "big")
    if der and (size < 0x80 or digits[0] == 0):
        raise TLVError("expected the shortest form of a length (DER)")
    return size, position + len(digits)


def _byte(data: bytes, position: int) -> int:
    if position >= len(data):
        raise TLVError("expected another byte, found the end")
    return data[position]


def _names(tags: Iterable[int]) -> str:
    return " ".join(f"{tag:02X}" for tag in tags) or "nothing"
