"""What an eService asks for, checked against the terminal, and as questions for the card and its holder."""

from collections.abc import Iterable
from datetime import date
from typing import Final

from ...eac.auxiliary_data import AuxiliaryData, latest_birth
from ...eac.chat import CHAT, RequestedRights, Role, TerminalType
from ...eid.core.attributes import EIDType, Operation, Outcome, UseIDRequest, Wish
from ...eid.core.results import Minor
from ...errors import EIDServerError
from .data_groups import RIGHTS

#: In hexadecimal digits: 16 bytes.
MIN_PSK: Final = 32
_MAX_PSK: Final = 512
_MAX_PSK_ID: Final = 128
_MAX_COMMUNITY_ID: Final = 64
_MAX_TRANSACTION_INFO: Final = 2048
_MAX_AGE: Final = 150
_DENIED: Final = "DENIED"


def check_request(request: UseIDRequest, *, allowed: CHAT) -> UseIDRequest:
    """The request, if a terminal with these rights may serve it; ``EIDServerError`` with the minor of TR-03130-1 §3.2.

    Numbers beyond what people, communities and screens have are ``schemaViolation``.
    """
    asked = asked_operations(request)
    if request.age is not None and not 0 < request.age <= _MAX_AGE:
        raise EIDServerError(Minor.SCHEMA_VIOLATION, f"useID: Age: expected 1 to {_MAX_AGE}")
    if not _is_hex(request.community_id) or len(request.community_id) > _MAX_COMMUNITY_ID:
        raise EIDServerError(Minor.SCHEMA_VIOLATION, "useID: CommunityID: expected pairs of hexadecimal digits")
    if len(request.transaction_info) > _MAX_TRANSACTION_INFO:
        raise EIDServerError(
            Minor.SCHEMA_VIOLATION, f"useID: TransactionInfo: expected at most {_MAX_TRANSACTION_INFO} characters"
        )
    if any(RIGHTS[operation] & ~allowed.rights for operation in asked):
        raise EIDServerError(
            Minor.MISSING_TERMINAL_RIGHTS, "useID: expected operations that the terminal's certificate allows"
        )
    if Operation.AGE_VERIFICATION in asked and request.age is None:
        raise EIDServerError(Minor.MISSING_ARGUMENT, "useID: AgeVerification: expected an age to verify")
    if Operation.PLACE_VERIFICATION in asked and not request.community_id:
        raise EIDServerError(Minor.MISSING_ARGUMENT, "useID: PlaceVerification: expected a community to verify")
    _check_psk(request)
    return request


def asked_operations(request: UseIDRequest) -> tuple[Operation, ...]:
    """The operations that are asked for, required or not, in the schema's order."""
    return tuple(each for each in Operation if request.operations.get(each, Wish.PROHIBITED) is not Wish.PROHIBITED)


def requested_rights(request: UseIDRequest) -> RequestedRights:
    """The rights that the operations take; no bit in both."""
    required = _bits(each for each in asked_operations(request) if request.operations[each] is Wish.REQUIRED)
    optional = _bits(each for each in asked_operations(request) if request.operations[each] is Wish.ALLOWED)
    return RequestedRights(required, optional & ~required)


def chat_of(rights: int) -> bytes:
    """A terminal's CHAT with these rights (TR-03112-7, RequiredCHAT and OptionalCHAT)."""
    return CHAT(TerminalType.AUTHENTICATION_TERMINAL, Role.TERMINAL, rights).encode()


def auxiliary_data(request: UseIDRequest, *, today: date) -> AuxiliaryData:
    """What the card is asked without showing its data; that it is still valid in any case (TR-03110-3 A.6.5)."""
    asked = asked_operations(request)
    is_age_asked = Operation.AGE_VERIFICATION in asked and request.age is not None
    return AuxiliaryData(
        born_by=latest_birth(age=request.age or 0, today=today) if is_age_asked else None,
        valid_on=today,
        community_id=bytes.fromhex(request.community_id) if Operation.PLACE_VERIFICATION in asked else None,
    )


def accepted_types(request: UseIDRequest) -> tuple[str, ...]:
    """AcceptedEIDType; none stands for a card."""
    return tuple(each.value for each in EIDType if request.eid_types.get(each, "") not in ("", _DENIED))


def accepts_card(request: UseIDRequest) -> bool:
    """Whether an identity kept on a card will do: it does unless it is denied."""
    return request.eid_types.get(EIDType.CARD_CERTIFIED) != _DENIED


def outcome_of(operation: Operation, *, rights: int, is_on_chip: bool) -> Outcome:
    """What became of an operation under the rights that the user has left."""
    if RIGHTS[operation] & ~rights:
        return Outcome.PROHIBITED
    return Outcome.ALLOWED if is_on_chip else Outcome.NOT_ON_CHIP


def _check_psk(request: UseIDRequest) -> None:
    if not request.psk and not request.psk_id:
        return
    if not MIN_PSK <= len(request.psk) <= _MAX_PSK or not _is_hex(request.psk):
        raise EIDServerError(
            Minor.INVALID_PSK, f"useID: PSK: expected an even number of hexadecimal digits, {MIN_PSK} or more"
        )
    if len(request.psk_id) > _MAX_PSK_ID or not (request.psk_id.isascii() and request.psk_id.isprintable()):
        raise EIDServerError(Minor.INVALID_PSK, f"useID: PSK: expected an ID of at most {_MAX_PSK_ID} characters")


def _is_hex(digits: str) -> bool:
    return len(digits) % 2 == 0 and all(digit in "0123456789abcdefABCDEF" for digit in digits)


def _bits(operations: Iterable[Operation]) -> int:
    bits = 0
    for operation in operations:
        bits |= RIGHTS[operation]
    return bits
