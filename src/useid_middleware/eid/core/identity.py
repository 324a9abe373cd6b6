"""From the settings to what the eID server is asked, and from its result to who logged in."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Final

from ..._codec import encode_json
from ...errors import EIDServerError
from ...identity import Identity, Level
from ...settings import EIDSettings
from .attributes import MEMBERS, EIDResult, GeneralDate, Operation, Outcome, Place, UseIDRequest, Wish
from .results import Minor
from .session import Mode, Reason

PROVIDER: Final = "eid"

#: Of TR-03107-1, the lowest first; a result without a level has the lowest.
_ASSURANCE: Final = ("", "undefined", "normal", "substantiell", "hoch")
#: Authentication methods (RFC 8176): a smart card and its PIN, which are two factors; a second channel for the code.
_METHODS: Final = ("sc", "pin", "mfa")
#: What else a switch of devices was bound by: the second channel of a code, or a key at hand.
_SWITCHED: Final = {Mode.STANDARD: ("mca",), Mode.BOUND: ("pop", "user")}


class RequirementsNotMet(Exception):
    """The result is sound, and yet does not give what the login asks for. ``reason`` is for the waiting page."""

    def __init__(self, step: str) -> None:
        super().__init__(step)
        self.reason = Reason.REQUIREMENTS


@dataclass(frozen=True, slots=True)
class Person:
    """Who presented an eID: a pseudonym per service provider, and what was asked and told.

    ``attributes`` are by the names of TR-03130-1: texts, ISO dates, places as their parts, verifications as truth
    values. ``old_pseudonym`` is set while the provider changes its sector.
    """

    pseudonym: str
    old_pseudonym: str = ""
    attributes: Mapping[str, object] = field(default_factory=dict, repr=False)


def use_id_request(settings: EIDSettings) -> UseIDRequest:
    """What the settings ask for."""
    operations = {Operation(name): Wish.REQUIRED for name in settings.required}
    operations |= {Operation(name): Wish.ALLOWED for name in settings.optional}
    if settings.age is not None:
        operations[Operation.AGE_VERIFICATION] = Wish.REQUIRED
    if settings.community_id:
        operations[Operation.PLACE_VERIFICATION] = Wish.REQUIRED
    return UseIDRequest(
        operations,
        age=settings.age,
        community_id=settings.community_id,
        transaction_info=settings.transaction_info,
        level_of_assurance=settings.level_of_assurance,
    )


def person_of(result: EIDResult, *, asked: UseIDRequest) -> Person:
    """The person in a result, with no more than was ``asked``.

    :class:`RequirementsNotMet` if age, place or assurance do not suffice or a required datum was withheld;
    ``EIDServerError`` for a result without a pseudonym, which an eID server must not give.
    """
    told = asked.operations
    for operation, wish in told.items():
        if wish is Wish.REQUIRED and result.operations_allowed_by_user.get(operation) is Outcome.PROHIBITED:
            raise RequirementsNotMet(operation)
    if Operation.AGE_VERIFICATION in told and result.fulfils_age_verification is not True:
        raise RequirementsNotMet(Operation.AGE_VERIFICATION)
    if Operation.PLACE_VERIFICATION in told and result.fulfils_place_verification is not True:
        raise RequirementsNotMet(Operation.PLACE_VERIFICATION)
    if _rank(result.level_of_assurance) < _rank(asked.level_of_assurance):
        raise RequirementsNotMet("LevelOfAssurance")
    restricted_id = result.personal_data.restricted_id
    if restricted_id is None or not restricted_id.first:
        raise EIDServerError(Minor.INTERNAL_ERROR, "getResult: expected a RestrictedID")
    attributes: dict[str, object] = {}
    for operation, member in MEMBERS.items():
        value = getattr(result.personal_data, member)
        if operation in told and operation is not Operation.RESTRICTED_ID and value is not None:
            attributes[operation.value] = _plain(value)
    if Operation.AGE_VERIFICATION in told:
        attributes[Operation.AGE_VERIFICATION.value] = True
    if Operation.PLACE_VERIFICATION in told:
        attributes[Operation.PLACE_VERIFICATION.value] = True
    second = restricted_id.second
    return Person(restricted_id.first.hex(), second.hex() if second else "", attributes)


def identity_of(person: Person, *, settings: EIDSettings, mode: Mode, emulated: bool, now: float) -> Identity:
    """The identity for the login. The session keeps no more of the attributes than the settings say."""
    kept = {name: person.attributes[name] for name in settings.keep if name in person.attributes}
    username = person.attributes.get(settings.username, "") if settings.username else ""
    # With the stock client on another device, nothing but the code ties phone and desktop together.
    level = Level.L1 if mode is Mode.STANDARD else Level.L3
    methods: Sequence[str] = (*_METHODS, *_SWITCHED.get(mode, ()))
    return Identity(
        provider=PROVIDER,
        subject=person.pseudonym,
        username=str(username),
        level=level,
        amr=tuple(methods),
        auth_time=now,
        claims=person.attributes,
        secret=encode_json(kept) if kept else b"",
        secret_lifetime=settings.keep_lifetime,
        emulated=emulated,
    )


def _plain(value: object) -> object:
    match value:
        case GeneralDate():
            return value.value.isoformat() if value.value is not None else value.text.strip()
        case Place():
            return {name: part for name, part in asdict(value).items() if part}
        case date():
            return value.isoformat()
        case _:
            return value


def _rank(level: str) -> int:
    return _ASSURANCE.index(level) if level in _ASSURANCE else 0
