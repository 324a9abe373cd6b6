"""Reading data groups: the bytes of EF.DG1 to EF.DG19 as the values of TR-03130-1 (TR-03110-4 §2, TR-03127).

A card is not to be trusted with its form: what is not the one structure that its data group has, too long, or no text
that XML can carry, is a :class:`DataGroupError`.
"""

import re
import zlib
from collections.abc import Callable, Mapping
from datetime import date
from typing import Final

from ...eac.chat import AuthenticationRight
from ...eac.errors import EACError, TLVError
from ...eac.tlv import TLV, parse_first
from ...eid.core.attributes import DATA, GeneralDate, Operation, PersonalData, Place, RestrictedID

#: No data group of a real card comes near this many bytes.
MAX_DATA_GROUP: Final = 4096
_MAX_TEXT: Final = 4096

_APPLICATION: Final = 0x60
_OCTET_STRING: Final = 0x04
_UTF8_STRING: Final = 0x0C
_NUMERIC_STRING: Final = 0x12
_PRINTABLE_STRING: Final = 0x13
_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_FREETEXT: Final = 0xA1
_NO_PLACE: Final = 0xA2
_UNCOMPRESSED: Final = 0xA1
_COMPRESSED: Final = 0xA2
#: The parts of a structured place, with the strings that they are.
_PARTS: Final = {
    0xAA: ("street", _UTF8_STRING),
    0xAB: ("city", _UTF8_STRING),
    0xAC: ("state", _UTF8_STRING),
    0xAD: ("country", _PRINTABLE_STRING),
    0xAE: ("zip_code", _PRINTABLE_STRING),
}

#: Control characters, surrogates and the two last code points of the first plane: XML 1.0 has no way to write them.
_NOT_IN_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]").search
_PRINTABLE: Final = re.compile(r"[A-Za-z0-9 '()+,./:=?-]*").fullmatch
_DATE: Final = re.compile("[0-9]{4}([0-9]{2}[0-9]{2}|[0-9]{2} {2}| {4})").fullmatch

#: Which data group answers an operation.
NUMBERS: Final[Mapping[Operation, int]] = {
    Operation.DOCUMENT_TYPE: 1,
    Operation.ISSUING_STATE: 2,
    Operation.DATE_OF_EXPIRY: 3,
    Operation.GIVEN_NAMES: 4,
    Operation.FAMILY_NAMES: 5,
    Operation.ARTISTIC_NAME: 6,
    Operation.ACADEMIC_TITLE: 7,
    Operation.DATE_OF_BIRTH: 8,
    Operation.PLACE_OF_BIRTH: 9,
    Operation.NATIONALITY: 10,
    Operation.BIRTH_NAME: 13,
    Operation.PLACE_OF_RESIDENCE: 17,
    Operation.COMMUNITY_ID: 18,
    Operation.RESIDENCE_PERMIT_I: 19,
}

#: Which right of the terminal's certificate an operation takes.
RIGHTS: Final[Mapping[Operation, AuthenticationRight]] = {
    **{operation: AuthenticationRight[f"READ_DG{number}"] for operation, number in NUMBERS.items()},
    Operation.RESTRICTED_ID: AuthenticationRight.RESTRICTED_IDENTIFICATION,
    Operation.AGE_VERIFICATION: AuthenticationRight.AGE_VERIFICATION,
    Operation.PLACE_VERIFICATION: AuthenticationRight.COMMUNITY_ID_VERIFICATION,
}


class DataGroupError(EACError):
    """A data group is not what its number says. The message quotes nothing of it."""

    stable_code = "data_group_invalid"


def declared_size(beginning: bytes) -> int:
    """How long the data group is that begins so, header and all; 0 for an empty file; :class:`DataGroupError`.

    The file may be longer: what authorities write anew keeps the old size.
    """
    if not beginning:
        return 0
    # The tag is one byte; the length is one byte too, or 81 to 82 and as many behind.
    first = beginning[1] if len(beginning) > 1 else 0xFF
    digits = first & 0x7F if first & 0x80 else 0
    header = 2 + digits
    if first == 0x80 or digits > 2 or len(beginning) < header:
        raise DataGroupError("data group: expected a data object of less than 64 KiB")
    size = header + (int.from_bytes(beginning[2:header], "big") if digits else first)
    if size > MAX_DATA_GROUP:
        raise DataGroupError(f"data group: expected at most {MAX_DATA_GROUP} bytes")
    return size


def personal_data(contents: Mapping[Operation, bytes], *, restricted_id: RestrictedID | None = None) -> PersonalData:
    """The values in these files; an empty file has none. :class:`DataGroupError` for one that does not parse."""
    values: dict[str, object] = {"restricted_id": restricted_id}
    for operation, content in contents.items():
        if content:
            values[operation.name.lower()] = _read(operation, content)
    return PersonalData(**values)  # type: ignore[arg-type]  # one reader for each member, by name


def is_on_chip(operation: Operation, data: PersonalData) -> bool:
    """Whether there is an answer to this operation."""
    return operation in DATA and getattr(data, operation.name.lower()) is not None


def _read(operation: Operation, content: bytes) -> object:
    number = NUMBERS[operation]
    try:
        item, _ = parse_first(content)
        if item.tag != _APPLICATION | number or len(item.children) != 1:
            raise TLVError(f"expected one value in {_APPLICATION | number:02X}")
        return _READERS[operation](item.children[0])
    except (EACError, ValueError) as error:
        reason = error.message if isinstance(error, EACError) else "the value is another one"
        raise DataGroupError(f"DG{number}: {reason}") from None


def _string(item: TLV, tag: int) -> str:
    if item.tag != tag:
        raise TLVError(f"expected {tag:02X}, found {item.tag:02X}")
    if len(item.value) > _MAX_TEXT:
        raise TLVError(f"expected at most {_MAX_TEXT} bytes of text")
    text = item.value.decode("utf-8" if tag == _UTF8_STRING else "ascii")
    if _NOT_IN_XML(text) or (tag == _PRINTABLE_STRING and not _PRINTABLE(text)):
        raise TLVError("expected characters that the string's type has")
    return text


def _utf8(item: TLV) -> str:
    return _string(item, _UTF8_STRING)


def _printable(item: TLV) -> str:
    return _string(item, _PRINTABLE_STRING)


def _general_date(item: TLV) -> GeneralDate:
    """YYYYMMDD, with blanks for what is not known."""
    text = _string(item, _NUMERIC_STRING)
    if not _DATE(text):
        raise TLVError("expected a date as YYYYMMDD")
    return GeneralDate(text, None if " " in text else date(int(text[:4]), int(text[4:6]), int(text[6:])))


def _date(item: TLV) -> date:
    found = _general_date(item).value
    if found is None:
        raise TLVError("expected a whole date")
    return found


def _place(item: TLV) -> Place:
    """GeneralPlace: a structured place, a text, or the reason why there is none."""
    if item.tag == _FREETEXT:
        return Place(freetext=_utf8(item.only(_UTF8_STRING)[0]))
    if item.tag == _NO_PLACE:
        return Place(no_place_info=_utf8(item.only(_UTF8_STRING)[0]))
    if item.tag != _SEQUENCE:
        raise TLVError("expected a place")
    tags = [each.tag for each in item.children]
    if tags != sorted(set(tags)) or not set(tags) <= set(_PARTS):
        raise TLVError("expected the parts of a place, in order")
    parts: dict[str, str] = {}
    for each in item.children:
        name, tag = _PARTS[each.tag]
        parts[name] = _string(each.only(tag)[0], tag)
    if "city" not in parts or "country" not in parts:
        raise TLVError("expected a city and a country")
    return Place(**parts)


def _residence(item: TLV) -> Place:
    """One place, or the first of several."""
    if item.tag == _SET:
        if not item.children:
            raise TLVError("expected a place")
        return _place(item.children[0])
    return _place(item)


def _community(item: TLV) -> str:
    if item.tag != _OCTET_STRING or not item.value or len(item.value) > _MAX_TEXT:
        raise TLVError("expected the number of a community")
    return item.value.hex()


def _permit(item: TLV) -> str:
    """Text ::= CHOICE {uncompressed [1] UTF8String, compressed [2] OCTET STRING}, by DEFLATE (RFC 1951)."""
    if item.tag == _UNCOMPRESSED:
        return _utf8(item.only(_UTF8_STRING)[0])
    if item.tag != _COMPRESSED:
        raise TLVError("expected a text")
    (packed,) = item.only(_OCTET_STRING)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = inflate.decompress(packed.value, _MAX_TEXT)
    except zlib.error:
        raise TLVError("expected a text packed by DEFLATE") from None
    if not inflate.eof:
        raise TLVError(f"expected at most {_MAX_TEXT} bytes of text")
    text = content.decode()
    if _NOT_IN_XML(text):
        raise TLVError("expected characters that the string's type has")
    return text


_READERS: Final[Mapping[Operation, Callable[[TLV], object]]] = {
    Operation.DOCUMENT_TYPE: _printable,
    Operation.ISSUING_STATE: _printable,
    Operation.DATE_OF_EXPIRY: _date,
    Operation.GIVEN_NAMES: _utf8,
    Operation.FAMILY_NAMES: _utf8,
    Operation.ARTISTIC_NAME: _utf8,
    Operation.ACADEMIC_TITLE: _utf8,
    Operation.DATE_OF_BIRTH: _general_date,
    Operation.PLACE_OF_BIRTH: _place,
    Operation.NATIONALITY: _printable,
    Operation.BIRTH_NAME: _utf8,
    Operation.PLACE_OF_RESIDENCE: _residence,
    Operation.COMMUNITY_ID: _community,
    Operation.RESIDENCE_PERMIT_I: _permit,
}
