"""PersonalData as XML (TR-03130-1 §3.3.3 to §3.3.5), written and read."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from ..._xml import Element, XMLError, add, sequence
from .attributes import DATA, MEMBERS, GeneralDate, Operation, PersonalData, Place, RestrictedID
from .schema_types import read_date, read_hex, read_string
from .soap import EID

_DATE_STRING: Final = re.compile(r"[0-9 ]{8}").fullmatch
#: The parts of a structured place, in the schema's order, and the members that have them.
_PARTS: Final = {"Street": "street", "City": "city", "State": "state", "Country": "country", "ZipCode": "zip_code"}
_PLACES: Final = ("StructuredPlace", "FreetextPlace", "NoPlaceInfo")


def add_personal_data(parent: Element, data: PersonalData) -> None:
    """Append PersonalData with what is there; :class:`XMLError` for a text that XML cannot carry."""
    element = add(parent, "PersonalData", ns=EID)
    for operation in DATA:
        value = getattr(data, MEMBERS[operation])
        if value is not None:
            _add_value(element, operation.value, value)


def read_personal_data(element: Element) -> PersonalData:
    """The data in a PersonalData; :class:`XMLError` if a value is not of its type."""
    found = sequence(element, *DATA, ns=EID)
    values: dict[str, Any] = {
        MEMBERS[Operation(name)]: _READERS.get(Operation(name), read_string)(each) for name, each in found.items()
    }
    return PersonalData(**values)


def _add_value(parent: Element, name: str, value: object) -> None:
    match value:
        case GeneralDate():
            element = add(parent, name, ns=EID)
            add(element, "DateString", value.text, ns=EID)
            if value.value is not None:
                add(element, "DateValue", value.value.isoformat(), ns=EID)
        case Place():
            _add_place(add(parent, name, ns=EID), value)
        case RestrictedID():
            element = add(parent, name, ns=EID)
            add(element, "ID", value.first.hex().upper(), ns=EID)
            if value.second is not None:
                add(element, "ID2", value.second.hex().upper(), ns=EID)
        case date():
            add(parent, name, value.isoformat(), ns=EID)
        case _:
            add(parent, name, str(value), ns=EID)


def _add_place(parent: Element, place: Place) -> None:
    if place.freetext:
        add(parent, "FreetextPlace", place.freetext, ns=EID)
    elif place.no_place_info:
        add(parent, "NoPlaceInfo", place.no_place_info, ns=EID)
    else:
        element = add(parent, "StructuredPlace", ns=EID)
        for name, member in _PARTS.items():
            part = getattr(place, member)
            if part or name in ("City", "Country"):
                add(element, name, part, ns=EID)


def _read_general_date(element: Element) -> GeneralDate:
    found = sequence(element, "DateString", "DateValue", ns=EID, required=("DateString",))
    # White space counts here: it stands for what is not known.
    digits = read_string(found["DateString"])
    if not _DATE_STRING(digits):
        raise XMLError("DateString: expected eight digits or blanks")
    return GeneralDate(digits, read_date(found["DateValue"]) if "DateValue" in found else None)


def _read_place(element: Element) -> Place:
    found = sequence(element, *_PLACES, ns=EID)
    if len(found) != 1:
        raise XMLError(f"place: expected one of {', '.join(_PLACES)}")
    if "FreetextPlace" in found:
        return Place(freetext=read_string(found["FreetextPlace"]))
    if "NoPlaceInfo" in found:
        return Place(no_place_info=read_string(found["NoPlaceInfo"]))
    parts = sequence(found["StructuredPlace"], *_PARTS, ns=EID, required=("City", "Country"))
    return Place(**{_PARTS[name]: read_string(each) for name, each in parts.items()})


def _read_restricted_id(element: Element) -> RestrictedID:
    found = sequence(element, "ID", "ID2", ns=EID, required=("ID",))
    return RestrictedID(read_hex(found["ID"]), read_hex(found["ID2"]) if "ID2" in found else None)


#: All others are texts.
_READERS: Final[Mapping[Operation, Callable[[Element], object]]] = {
    Operation.DATE_OF_EXPIRY: read_date,
    Operation.DATE_OF_BIRTH: _read_general_date,
    Operation.PLACE_OF_BIRTH: _read_place,
    Operation.PLACE_OF_RESIDENCE: _read_place,
    Operation.RESTRICTED_ID: _read_restricted_id,
}
