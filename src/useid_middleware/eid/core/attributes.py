"""What an eService may ask of an eID, and what it is told: the values of TR-03130-1 §3, without their XML.

Names of operations, places and dates are those of the schema (``http://bsi.bund.de/eID/``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final


class Operation(StrEnum):
    """What can be asked: a datum of the card, the pseudonym, or a question that the card answers with yes or no."""

    DOCUMENT_TYPE = "DocumentType"
    ISSUING_STATE = "IssuingState"
    DATE_OF_EXPIRY = "DateOfExpiry"
    GIVEN_NAMES = "GivenNames"
    FAMILY_NAMES = "FamilyNames"
    ARTISTIC_NAME = "ArtisticName"
    ACADEMIC_TITLE = "AcademicTitle"
    DATE_OF_BIRTH = "DateOfBirth"
    PLACE_OF_BIRTH = "PlaceOfBirth"
    NATIONALITY = "Nationality"
    BIRTH_NAME = "BirthName"
    PLACE_OF_RESIDENCE = "PlaceOfResidence"
    COMMUNITY_ID = "CommunityID"
    RESIDENCE_PERMIT_I = "ResidencePermitI"
    RESTRICTED_ID = "RestrictedID"
    AGE_VERIFICATION = "AgeVerification"
    PLACE_VERIFICATION = "PlaceVerification"


#: The operations that are answered with a datum, and so have an element in PersonalData; in the schema's order.
DATA: Final = tuple(
    each for each in Operation if each not in (Operation.AGE_VERIFICATION, Operation.PLACE_VERIFICATION)
)


class Wish(StrEnum):
    """How an eService asks for an operation (``AttributeSelectionType``)."""

    ALLOWED = "ALLOWED"
    PROHIBITED = "PROHIBITED"
    REQUIRED = "REQUIRED"


class Outcome(StrEnum):
    """What became of an operation (``AttributeResponseType``): the user took it away, or the card does not have it."""

    ALLOWED = "ALLOWED"
    PROHIBITED = "PROHIBITED"
    NOT_ON_CHIP = "NOTONCHIP"


class EIDType(StrEnum):
    """What an eID is kept in (``EIDTypeRequestType``)."""

    CARD_CERTIFIED = "CardCertified"
    SE_CERTIFIED = "SECertified"
    SE_ENDORSED = "SEEndorsed"
    HW_KEY_STORE = "HWKeyStore"


@dataclass(frozen=True, slots=True)
class UseIDRequest:
    """A ``useIDRequest``. Operations that are not named are prohibited.

    ``age`` in years belongs to age verification; ``community_id`` to place verification: hexadecimal digits, the
    beginning of the number. ``eid_types`` maps a type to ``ALLOWED`` or ``DENIED``. ``psk`` is a key that the eService
    brings, as hexadecimal digits.
    """

    operations: Mapping[Operation, Wish]
    age: int | None = None
    community_id: str = ""
    transaction_info: str = ""
    level_of_assurance: str = ""
    eid_types: Mapping[EIDType, str] = field(default_factory=dict)
    psk_id: str = ""
    psk: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class UseIDSession:
    """A ``useIDResponse``: the session that was opened.

    ``id`` is what getResult asks with. The client opens its PAOS dialogue at ``ecard_server_address`` with
    ``psk_id`` as its session identifier; where there is no PSK, with ``id``.
    """

    id: str = field(repr=False)
    ecard_server_address: str = ""
    psk_id: str = field(default="", repr=False)
    psk: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class GeneralDate:
    """``GeneralDateType``: as the card has it (``YYYYMMDD``, unknown parts blank), and a day where it is one."""

    text: str
    value: date | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """``GeneralPlaceType``: structured, a free text, or the information that there is none."""

    street: str = ""
    city: str = ""
    state: str = ""
    country: str = ""
    zip_code: str = ""
    freetext: str = ""
    no_place_info: str = ""

    @property
    def is_structured(self) -> bool:
        """Whether it has parts."""
        return not self.freetext and not self.no_place_info


@dataclass(frozen=True, slots=True)
class RestrictedID:
    """The pseudonym, as bytes; while the eService changes its sector, ``second`` is the one of the other sector."""

    first: bytes
    second: bytes | None = None


@dataclass(frozen=True, slots=True)
class PersonalData:
    """``PersonalDataType``; ``None`` for what was not asked, taken away by the user, or not on the chip.

    ``community_id`` is hexadecimal digits.
    """

    document_type: str | None = None
    issuing_state: str | None = None
    date_of_expiry: date | None = None
    given_names: str | None = None
    family_names: str | None = None
    artistic_name: str | None = None
    academic_title: str | None = None
    date_of_birth: GeneralDate | None = None
    place_of_birth: Place | None = None
    nationality: str | None = None
    birth_name: str | None = None
    place_of_residence: Place | None = None
    community_id: str | None = None
    residence_permit_i: str | None = None
    restricted_id: RestrictedID | None = None


@dataclass(frozen=True, slots=True)
class EIDResult:
    """A ``getResultResponse``. Verifications are ``None`` where they were not asked or not answered."""

    personal_data: PersonalData
    fulfils_age_verification: bool | None = None
    fulfils_place_verification: bool | None = None
    operations_allowed_by_user: Mapping[Operation, Outcome] = field(default_factory=dict)
    level_of_assurance: str = ""
    eid_type: str = ""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A ``getServerInfoResponse``: the interface's version, and what the terminal's certificate allows to ask."""

    version: str
    rights: Mapping[Operation, Wish]


#: The member of :class:`PersonalData` that answers an operation.
MEMBERS: Final[Mapping[Operation, str]] = {each: each.name.lower() for each in DATA}
