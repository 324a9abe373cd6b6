"""Authenticated auxiliary data: questions that a chip answers without showing its data (TR-03110-3 A.6.5, B.1.3).

The terminal signs them in Terminal Authentication, as 67{73{06 question, 53 argument}…}, and asks for each answer
afterwards with VERIFY: born on this day or before, still valid on this day, living in this community.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from .apdu import Command, Ins, StatusWord
from .authentication_errors import AuxiliaryDataError
from .errors import EACError
from .exchange import Exchange, expect
from .oids import OID, decode_oid, encode_oid
from .tlv import TLV, build, parse

AUXILIARY_DATA: Final = 0x67
_TEMPLATE: Final = 0x73
_OBJECT_IDENTIFIER: Final = 0x06
_ARGUMENT: Final = 0x53
#: The VERIFY that is not of ISO 7816-4 (B.11.11).
_PROPRIETARY: Final = 0x80
_P1_P2: Final = (0x80, 0x00)
_DATE_SIZE: Final = 8


@dataclass(frozen=True, slots=True)
class AuxiliaryData:
    """What a terminal asks.

    ``born_by`` is the latest day of birth that verifies, ``valid_on`` a day on which the card must be valid,
    ``community_id`` the beginning of the place of residence's number (in bytes, as DG18 has it).
    """

    born_by: date | None = None
    valid_on: date | None = None
    community_id: bytes | None = None

    def encode(self) -> bytes:
        """The whole data object 67; nothing at all if nothing is asked."""
        templates = b""
        if self.born_by is not None:
            templates += _template(OID.AUXILIARY_DATE_OF_BIRTH, _encode_date(self.born_by))
        if self.valid_on is not None:
            templates += _template(OID.AUXILIARY_DATE_OF_EXPIRY, _encode_date(self.valid_on))
        if self.community_id is not None:
            templates += _template(OID.AUXILIARY_COMMUNITY_ID, self.community_id)
        return build(AUXILIARY_DATA, templates) if templates else b""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the chip knows about its holder and itself; without a community id it cannot answer that question."""

    date_of_birth: date
    date_of_expiry: date
    community_id: bytes | None = None


def parse_auxiliary_data(data: bytes) -> AuxiliaryData:
    """The questions in a data object 67, or none from no bytes; ``AuxiliaryDataError`` for anything else.

    Questions of a kind that is not known here are left out; asking for their answer then fails.
    """
    if not data:
        return AuxiliaryData()
    try:
        arguments = _arguments(parse(data, tag=AUXILIARY_DATA))
    except AuxiliaryDataError:
        raise
    except EACError as error:
        raise AuxiliaryDataError(f"auxiliary data: {error.message}") from None
    community_id = arguments.get(OID.AUXILIARY_COMMUNITY_ID)
    if community_id == b"":
        raise AuxiliaryDataError("community id: expected at least one byte")
    return AuxiliaryData(
        born_by=_decode_date(arguments, OID.AUXILIARY_DATE_OF_BIRTH),
        valid_on=_decode_date(arguments, OID.AUXILIARY_DATE_OF_EXPIRY),
        community_id=community_id,
    )


def latest_birth(*, age: int, today: date) -> date:
    """The latest day of birth of someone who has completed ``age`` years today; ``AuxiliaryDataError`` without any.

    Someone born on 29 February completes a year with 28 February, so has done so on 1 March (BGB §§ 187, 188).
    """
    year = today.year - age
    if age < 0 or year < 1:
        raise AuxiliaryDataError("age: expected a number of years that people reach")
    try:
        return today.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def question_in(data: bytes) -> str:
    """The chip's reading of VERIFY's data: which question; ``AuxiliaryDataError`` for anything else."""
    try:
        return decode_oid(parse(data, tag=_OBJECT_IDENTIFIER).value)
    except EACError as error:
        raise AuxiliaryDataError(f"VERIFY: {error.message}") from None


def answer(question: str, *, asked: AuxiliaryData, facts: Facts) -> bool:
    """The chip's answer; ``AuxiliaryDataError`` if the terminal did not sign the question or the chip does not know.

    Whether the terminal has the right to ask is for the chip to check before.
    """
    match question:
        case OID.AUXILIARY_DATE_OF_BIRTH if asked.born_by is not None:
            return facts.date_of_birth <= asked.born_by
        case OID.AUXILIARY_DATE_OF_EXPIRY if asked.valid_on is not None:
            return asked.valid_on <= facts.date_of_expiry
        case OID.AUXILIARY_COMMUNITY_ID if asked.community_id is not None and facts.community_id is not None:
            # A shorter number asks for a district, a state or the country.
            return facts.community_id.startswith(asked.community_id)
        case _:
            raise AuxiliaryDataError("VERIFY: expected a question of Terminal Authentication that the chip can answer")


def verify(question: str) -> Exchange[bool]:
    """The terminal's VERIFY; ``StatusWordError`` if the chip does not answer."""
    data = build(_OBJECT_IDENTIFIER, encode_oid(question))
    response = yield Command(Ins.VERIFY, *_P1_P2, data, cla=_PROPRIETARY)
    expect("VERIFY auxiliary data", response, accepted=(StatusWord.OK, StatusWord.WARNING_CHANGED_STATE))
    return response.sw == StatusWord.OK


def _template(question: str, argument: bytes) -> bytes:
    return build(_TEMPLATE, build(_OBJECT_IDENTIFIER, encode_oid(question)), build(_ARGUMENT, argument))


def _arguments(item: TLV) -> dict[str, bytes]:
    """The argument of each question."""
    arguments: dict[str, bytes] = {}
    for template in item.children:
        if template.tag != _TEMPLATE:
            raise AuxiliaryDataError(f"auxiliary data: expected templates (73), found {template.tag:02X}")
        oid, argument = template.only(_OBJECT_IDENTIFIER, _ARGUMENT)
        question = decode_oid(oid.value)
        if question in arguments:
            raise AuxiliaryDataError("auxiliary data: expected each question once")
        arguments[question] = argument.value
    return arguments


def _encode_date(day: date) -> bytes:
    """YYYYMMDD in ASCII (A.6.5.1)."""
    return f"{day.year:04}{day.month:02}{day.day:02}".encode()


def _decode_date(arguments: Mapping[str, bytes], question: str) -> date | None:
    digits = arguments.get(question)
    if digits is None:
        return None
    try:
        if len(digits) != _DATE_SIZE or not digits.isdigit():
            raise ValueError
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise AuxiliaryDataError("auxiliary data: expected a day of the calendar as YYYYMMDD") from None
