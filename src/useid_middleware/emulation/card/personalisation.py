"""Personalities: whose card it is and what state it is handed over in, from a TOML file that a user can write.

Every key is optional but the names and the day of birth. A key that does not exist, or a value that no card can hold,
is a ``ConfigurationError`` that names it.
"""

import tomllib
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ...errors import ConfigurationError

MAX_TRIES: Final = 3
_TRANSPORT_PIN_SIZE: Final = 5
_MAX_RAW: Final = 2048


class PinState(StrEnum):
    """What the eID-PIN is when the card is handed over, besides its tries."""

    OPERATIONAL = "operational"
    #: The five digits of the letter, good for nothing but choosing a PIN.
    TRANSPORT = "transport"
    #: The eID function is switched off.
    DEACTIVATED = "deactivated"


def _day_of_birth(value: object) -> object:
    return f"{value:%Y%m%d}" if isinstance(value, date) else value


def _check_calendar(digits: str) -> str:
    if " " not in digits:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    return digits


def _hex(value: object) -> object:
    # What is no hex text goes on to the check of the type, which refuses it.
    try:
        return bytes.fromhex(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("expected pairs of hex digits") from None


Text: TypeAlias = Annotated[str, Field(max_length=200)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]
#: ICAO Doc 9303's letters of a state, "D" for Germany.
Country: TypeAlias = Annotated[str, Field(pattern=r"^[A-Z]{1,3}$")]
#: YYYYMMDD; the month and day, or the day alone, are blanks where they are not known.
BirthDate: TypeAlias = Annotated[
    str,
    BeforeValidator(_day_of_birth),
    Field(pattern=r"^[12][0-9]{3}((0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])|(0[1-9]|1[0-2])  |    )$"),
    AfterValidator(_check_calendar),
]
Hex: TypeAlias = Annotated[bytes, BeforeValidator(_hex)]
Printable: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9 '()+,./:=?-]*$", max_length=100)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Freetext(_Table):
    """A place in one text."""

    text: Text


class NoPlace(_Table):
    """No place, and why."""

    none: Text


class StructuredPlace(_Table):
    """An address."""

    city: Text
    country: Country = "D"
    street: Text | None = None
    state: Text | None = None
    zip_code: Printable | None = None


Place: TypeAlias = Freetext | NoPlace | StructuredPlace


class Document(_Table):
    """The card as a document."""

    type: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "ID"
    issuing_state: Country = "D"
    date_of_issuance: date | None = date(2021, 11, 1)
    date_of_expiry: date = date(2099, 10, 31)
    residence_permit_1: Text | None = None
    residence_permit_2: Text | None = None
    #: The card is on the revocation list of the test PKI that issues it.
    revoked: bool = False


class Holder(_Table):
    """Whose card it is. What is left out has no data group; an empty text has an empty one."""

    given_names: Name
    family_names: Name
    date_of_birth: BirthDate
    artistic_name: Text | None = None
    academic_title: Text | None = None
    birth_name: Text | None = None
    nationality: Country | None = "D"
    sex: Literal["M", "F", " "] | None = None
    phone_number: Printable | None = None
    email_address: Annotated[str, Field(pattern=r"^[!-~]+@[!-~]+$", max_length=200)] | None = None


class Secrets(_Table):
    """The passwords of the card and the state of its PIN."""

    pin: Annotated[str, Field(pattern=r"^([0-9]{5}|[0-9]{6})$")] = "123456"
    can: Annotated[str, Field(pattern=r"^[0-9]{6}$")] = "500540"
    puk: Annotated[str, Field(pattern=r"^[0-9]{10}$")] = "9876543210"
    pin_state: PinState = Field(default=PinState.OPERATIONAL, strict=False)
    #: 3 fresh, 1 suspended until the CAN is given, 0 blocked until the PUK is.
    pin_tries: Annotated[int, Field(ge=0, le=MAX_TRIES)] = MAX_TRIES

    @model_validator(mode="after")
    def _check_pin_size(self) -> Self:
        is_transport = self.pin_state is PinState.TRANSPORT
        if is_transport is not (len(self.pin) == _TRANSPORT_PIN_SIZE):
            raise ValueError('pin: expected five digits with pin_state = "transport", six otherwise')
        return self


class Personality(_Table):
    """A card before it leaves the factory."""

    title: Text
    holder: Holder
    document: Document = Document()
    place_of_birth: Place = Freetext(text="BERLIN")
    place_of_residence: Place = NoPlace(none="keine Hauptwohnung in Deutschland")
    #: Country, state, region, district and municipality as BCD, such as 0276 11 0 00 000 (TR-03110-4, DG18).
    community_id: Annotated[Hex, Field(min_length=2, max_length=7)] | None = None
    secrets: Secrets = Secrets()
    #: Data groups by number, byte by byte as the file shall hold them: for what the tables above cannot say.
    raw: Mapping[Annotated[int, Field(ge=1, le=22, strict=False)], Annotated[Hex, Field(max_length=_MAX_RAW)]] = {}


def parse_personality(toml: str) -> Personality:
    """The personality that a TOML text describes; ``ConfigurationError`` if it describes none."""
    try:
        tables: dict[str, Any] = tomllib.loads(toml)
        return Personality.model_validate(tables)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"personality: not TOML: {error}") from None
    except ValidationError as error:
        raise ConfigurationError(f"personality: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    items = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(
        f"{'.'.join(map(str, item['loc']))}: {item['msg'].removeprefix('Value error, ')}" for item in items
    )
