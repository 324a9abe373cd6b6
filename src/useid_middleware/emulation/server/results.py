"""How a session can end, and what eService and eID client are told then (TR-03130-1 §3.5, TR-03112-7)."""

from enum import StrEnum
from typing import Final

from ...eid.core.results import MAJOR_OK, ClientMinor, Minor
from ..paos import Result


class Failure(StrEnum):
    """Why a session ended without a result."""

    #: EF.CardSecurity, the card's key or its token do not prove that it is genuine.
    NOT_GENUINE = "not genuine"
    #: Revoked, expired, not readable, or secure messaging broke.
    CARD_REFUSED = "card refused"
    #: An element is missing, comes twice or is out of place, or a challenge comes again.
    BAD_PARAMETER = "bad parameter"
    #: The client says that something went wrong: it has no card, its user does not want to.
    CLIENT_ERROR = "client error"
    #: Anything else: a message that is not the next one, rights that were not asked for, a file that does not parse.
    OTHER = "other"


#: What getResult says.
SERVICE_MINORS: Final[dict[Failure, Minor]] = {
    Failure.NOT_GENUINE: Minor.INVALID_DOCUMENT,
    Failure.CARD_REFUSED: Minor.INVALID_DOCUMENT,
    Failure.BAD_PARAMETER: Minor.INTERNAL_ERROR,
    Failure.CLIENT_ERROR: Minor.INTERNAL_ERROR,
    Failure.OTHER: Minor.INTERNAL_ERROR,
}

#: What StartPAOSResponse says.
CLIENT_MINORS: Final[dict[Failure, ClientMinor]] = {
    Failure.NOT_GENUINE: ClientMinor.SECURITY_CONDITION_NOT_SATISFIED,
    Failure.CARD_REFUSED: ClientMinor.INTERNAL_ERROR,
    Failure.BAD_PARAMETER: ClientMinor.INCORRECT_PARAMETER,
    Failure.CLIENT_ERROR: ClientMinor.INTERNAL_ERROR,
    Failure.OTHER: ClientMinor.INTERNAL_ERROR,
}


_WARNING: Final = "resultmajor#warning"
_KNOWN: Final = frozenset(ClientMinor)


class SessionFailed(Exception):
    """Ends a session. ``step`` is for the log: what was expected, and no personal datum.

    ``client_minor`` is what the client itself gave as the reason.
    """

    def __init__(self, failure: Failure, step: str, *, client_minor: str = "") -> None:
        super().__init__(step)
        self.failure = failure
        self.step = step
        self.client_minor = client_minor


def check_result(result: Result) -> None:
    """:class:`SessionFailed` if the client says that it could not do what it was told."""
    if result.major != MAJOR_OK and not result.major.endswith(_WARNING):
        minor = result.minor if result.minor in _KNOWN else ""
        raise SessionFailed(Failure.CLIENT_ERROR, "the client signals an error", client_minor=minor)
