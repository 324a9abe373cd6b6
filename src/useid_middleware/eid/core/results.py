"""ResultMajor and ResultMinor of the eCard-API framework (TR-03112-1 §4.2) and of the eID server (TR-03130-1 §3.5)."""

from enum import StrEnum
from typing import Final

MAJOR_OK: Final = "http://www.bsi.bund.de/ecard/api/1.1/resultmajor#ok"
MAJOR_ERROR: Final = "http://www.bsi.bund.de/ecard/api/1.1/resultmajor#error"

_EID: Final = "http://www.bsi.bund.de/eid/server/2.0/resultminor/"
_ECARD: Final = "http://www.bsi.bund.de/ecard/api/1.1/resultminor/"


class Minor(StrEnum):
    """What the eID server tells the eService (TR-03130-1)."""

    MISSING_TERMINAL_RIGHTS = _EID + "useID#missingTerminalRights"
    MISSING_ARGUMENT = _EID + "useID#missingArgument"
    INVALID_PSK = _EID + "useID#invalidPSK"
    TOO_MANY_OPEN_SESSIONS = _EID + "useID#tooManyOpenSessions"
    SCHEMA_VIOLATION = _EID + "common#schemaViolation"
    INTERNAL_ERROR = _EID + "common#internalError"
    NO_RESULT_YET = _EID + "getResult#noResultYet"
    INVALID_DOCUMENT = _EID + "getResult#invalidDocument"
    #: The level of assurance or the type of the eID is not one of those asked for.
    DENIED_DOCUMENT = _EID + "getResult#deniedDocument"
    INVALID_SESSION = _EID + "getResult#invalidSession"
    INVALID_COUNTER = _EID + "getResult#invalidCounter"


class ClientMinor(StrEnum):
    """What the eID server tells the eID client in PAOS, and the client the browser by its refresh address."""

    SECURITY_CONDITION_NOT_SATISFIED = _ECARD + "sal#securityConditionNotSatisfied"
    CANCELLATION_BY_USER = _ECARD + "sal#cancellationByUser"
    INCORRECT_PARAMETER = _ECARD + "al/common#incorrectParameter"
    INTERNAL_ERROR = _ECARD + "al/common#internalError"
    COMMUNICATION_ERROR = _ECARD + "al/common#communicationError"
    UNKNOWN_API_FUNCTION = _ECARD + "al/common#unknownAPIFunction"
    PREREQUISITES_NOT_SATISFIED = _ECARD + "sal/mEAC#prerequisitesNotSatisfied"
    TRUSTED_CHANNEL_FAILED = _ECARD + "dp#trustedChannelEstablishmentFailed"
    NODE_NOT_REACHABLE = _ECARD + "dp#nodeNotReachable"
    TIMEOUT = _ECARD + "dp#timeout"
