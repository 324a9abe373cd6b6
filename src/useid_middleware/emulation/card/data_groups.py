"""The data groups of the eID application: what a personality looks like in EF.DG1 to EF.DG22 (TR-03110-4 §2, TR-03127).

A data group is one data object [APPLICATION n], n being its number, around an ASN.1 value in DER.
"""

from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import date
from enum import IntEnum
from typing import Final

from ...eac.auxiliary_data import Facts
from ...eac.errors import TLVError
from ...eac.tlv import build, parse_first
from .personalisation import Freetext, NoPlace, Personality, Place

#: Year, month and day in YYYYMMDD.
_PARTS: Final = (slice(0, 4), slice(4, 6), slice(6, 8))
_APPLICATION: Final = 0x60
_OCTET_STRING: Final = 0x04
_UTF8_STRING: Final = 0x0C
_NUMERIC_STRING: Final = 0x12
_PRINTABLE_STRING: Final = 0x13
_IA5_STRING: Final = 0x16
_SEQUENCE: Final = 0x30

_STREET: Final = 0xAA
_CITY: Final = 0xAB
_STATE: Final = 0xAC
_COUNTRY: Final = 0xAD
_ZIP_CODE: Final = 0xAE
_FREETEXT: Final = 0xA1
_NO_PLACE: Final = 0xA2
_UNCOMPRESSED: Final = 0xA1


class DataGroup(IntEnum):
    """The data groups by number."""

    DOCUMENT_TYPE = 1
    ISSUING_STATE = 2
    DATE_OF_EXPIRY = 3
    GIVEN_NAMES = 4
    FAMILY_NAMES = 5
    ARTISTIC_NAME = 6
    ACADEMIC_TITLE = 7
    DATE_OF_BIRTH = 8
    PLACE_OF_BIRTH = 9
    NATIONALITY = 10
    SEX = 11
    OPTIONAL_DATA = 12
    BIRTH_NAME = 13
    WRITTEN_SIGNATURE = 14
    DATE_OF_ISSUANCE = 15
    RFU_16 = 16
    PLACE_OF_RESIDENCE = 17
    COMMUNITY_ID = 18
    RESIDENCE_PERMIT_I = 19
    RESIDENCE_PERMIT_II = 20
    PHONE_NUMBER = 21
    EMAIL_ADDRESS = 22


def encode_data_groups(personality: Personality) -> Mapping[int, bytes]:
    """The content of each data group that this card has; ``raw`` bytes of the personality take the place of others."""
    values = {number: member(personality) for number, member in _VALUES.items()}
    encoded = {int(number): encode(number, value) for number, value in values.items() if value is not None}
    return encoded | {int(number): content for number, content in personality.raw.items()}


def facts_of(personality: Personality) -> Facts:
    """What the card answers questions from. Of a day of birth that is not wholly known, the latest day counts."""
    year, month, day_of_month = (personality.holder.date_of_birth[part] for part in _PARTS)
    number = int(month) if month.strip() else 12
    last = monthrange(int(year), number)[1]
    born = date(int(year), number, int(day_of_month) if day_of_month.strip() else last)
    return Facts(born, personality.document.date_of_expiry, personality.community_id)


def community_id_in(content: bytes) -> bytes | None:
    """The community's number in a DG18; ``None`` if that is none."""
    try:
        item, _ = parse_first(content)
        return item.child(_OCTET_STRING).value or None
    except TLVError:
        return None


def encode(number: int, value: bytes) -> bytes:
    """A data group around its value: [APPLICATION number]."""
    return build(_APPLICATION | number, value)


def text(content: str) -> bytes:
    """A UTF8String."""
    return build(_UTF8_STRING, content.encode())


def day(content: date | str) -> bytes:
    """A date as NumericString YYYYMMDD; in a text, unknown parts are blanks."""
    digits = content if isinstance(content, str) else f"{content:%Y%m%d}"
    return build(_NUMERIC_STRING, digits.encode("ascii"))


def place(content: Place) -> bytes:
    """GeneralPlace: a structured place, a text, or the reason why there is none."""
    match content:
        case Freetext():
            return build(_FREETEXT, text(content.text))
        case NoPlace():
            return build(_NO_PLACE, text(content.none))
        case _:
            parts = (
                (_STREET, _optional(content.street, text)),
                (_CITY, text(content.city)),
                (_STATE, _optional(content.state, text)),
                (_COUNTRY, _printable(content.country)),
                (_ZIP_CODE, _optional(content.zip_code, _printable)),
            )
            return build(_SEQUENCE, *(build(tag, part) for tag, part in parts if part is not None))


def _printable(content: str) -> bytes:
    return build(_PRINTABLE_STRING, content.encode("ascii"))


def _optional(content: str | None, encoder: Callable[[str], bytes]) -> bytes | None:
    return None if content is None else encoder(content)


def _permit(content: str | None) -> bytes | None:
    """Text ::= CHOICE {uncompressed [1] UTF8String, …}."""
    return None if content is None else build(_UNCOMPRESSED, text(content))


_VALUES: Final[Mapping[DataGroup, Callable[[Personality], bytes | None]]] = {
    DataGroup.DOCUMENT_TYPE: lambda it: _printable(it.document.type),
    DataGroup.ISSUING_STATE: lambda it: _printable(it.document.issuing_state),
    DataGroup.DATE_OF_EXPIRY: lambda it: day(it.document.date_of_expiry),
    DataGroup.GIVEN_NAMES: lambda it: text(it.holder.given_names),
    DataGroup.FAMILY_NAMES: lambda it: text(it.holder.family_names),
    DataGroup.ARTISTIC_NAME: lambda it: _optional(it.holder.artistic_name, text),
    DataGroup.ACADEMIC_TITLE: lambda it: _optional(it.holder.academic_title, text),
    DataGroup.DATE_OF_BIRTH: lambda it: day(it.holder.date_of_birth),
    DataGroup.PLACE_OF_BIRTH: lambda it: place(it.place_of_birth),
    DataGroup.NATIONALITY: lambda it: _optional(it.holder.nationality, _printable),
    DataGroup.SEX: lambda it: _optional(it.holder.sex, _printable),
    DataGroup.BIRTH_NAME: lambda it: _optional(it.holder.birth_name, text),
    DataGroup.DATE_OF_ISSUANCE: lambda it: day(it.document.date_of_issuance) if it.document.date_of_issuance else None,
    DataGroup.PLACE_OF_RESIDENCE: lambda it: place(it.place_of_residence),
    DataGroup.COMMUNITY_ID: lambda it: build(_OCTET_STRING, it.community_id) if it.community_id else None,
    DataGroup.RESIDENCE_PERMIT_I: lambda it: _permit(it.document.residence_permit_1),
    DataGroup.RESIDENCE_PERMIT_II: lambda it: _permit(it.document.residence_permit_2),
    DataGroup.PHONE_NUMBER: lambda it: _optional(it.holder.phone_number, _printable),
    DataGroup.EMAIL_ADDRESS: lambda it: (
        None if it.holder.email_address is None else build(_IA5_STRING, it.holder.email_address.encode("ascii"))
    ),
}
