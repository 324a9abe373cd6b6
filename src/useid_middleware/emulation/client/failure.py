"""Why an authentication ended without success: a code for programs, and a ResultMinor for server and browser."""

from typing import Final

from ...eac.authentication_errors import (
    AuxiliaryDataError,
    CertificateDescriptionError,
    CertificateError,
    ChatError,
)
from ...eac.errors import EACError
from ...eid.core.results import ClientMinor
from ...errors import UseIDError
from ..paos import PAOSError, Result


class Failure(UseIDError):
    """The flow cannot go on. ``by_server`` says that the eID server ended it."""

    status_hint = 400

    def __init__(self, code: str, message: str, *, minor: str, by_server: bool = False) -> None:
        super().__init__(code, message, details={"minor": minor})
        self.minor = minor
        self.by_server = by_server


_MINORS: Final[tuple[tuple[type[UseIDError], ClientMinor], ...]] = (
    (CertificateDescriptionError, ClientMinor.INCORRECT_PARAMETER),
    (ChatError, ClientMinor.INCORRECT_PARAMETER),
    (AuxiliaryDataError, ClientMinor.INCORRECT_PARAMETER),
    (CertificateError, ClientMinor.SECURITY_CONDITION_NOT_SATISFIED),
    # Any other of these is the card's.
    (EACError, ClientMinor.INTERNAL_ERROR),
)


def failure_of(error: UseIDError) -> Failure:
    """What an error of the card, of a certificate or of the server's message means for the flow."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, PAOSError):
        return Failure(error.code, error.message, minor=error.minor)
    minor = next((minor for kind, minor in _MINORS if isinstance(error, kind)), ClientMinor.INTERNAL_ERROR)
    return Failure(error.code, error.message, minor=minor)


def cancelled() -> Failure:
    """The person does not want to."""
    return Failure("cancelled", "the person cancelled", minor=ClientMinor.CANCELLATION_BY_USER)


def no_channel(message: str) -> Failure:
    """There is no trusted way to the eService or its eID server (TR-03124-1 §2.5)."""
    return Failure("channel_failed", message, minor=ClientMinor.TRUSTED_CHANNEL_FAILED)


def refused_by_server(result: Result) -> Failure:
    """The eID server ended the dialogue with an error."""
    minor = result.minor or ClientMinor.INTERNAL_ERROR
    return Failure("server_refused", result.message or "the eID server ended it", minor=minor, by_server=True)
