"""Every error this package raises, in one tree. The class says whose fault it is.

::

    UseIDError
    ├── ConfigurationError      the operator's: a setting is wrong; raised before anything is served
    ├── RequestError            the caller's: malformed, too large, from another site, unknown address
    ├── AuthenticationError     the caller's: no or foreign credentials, a signature or code that does not verify
    │   └── NotAuthenticated    nobody is logged in, or there is no access token (any more) to act with
    ├── StateError              the flow's: the step does not fit the state, the session ran out or is unknown
    ├── RefusedError            the host app's: a listener said no
    ├── ProviderError           the identity provider's: an answer, token or key that must not be believed
    ├── EIDServerError          the eID server's: it refused; knows its ResultMinor
    ├── EServiceError           a site's: its TLS key is not the one that the settings know
    ├── RateLimited             the caller's: too many requests; knows when to come back
    └── UnavailableError        ours or the operator's: a store or peer is away; knows when to come back

Each error carries ``code`` (stable, for programs), ``message`` (for developers: step, expected, found; no secret and no
personal datum) and ``status_hint`` (HTTP). Only ``http/responses.py`` turns an error into a response.
"""

from collections.abc import Mapping


class UseIDError(Exception):
    """Base of all errors of this package."""

    status_hint: int = 500
    retry_after: int | None = None

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status_hint: int | None = None,
        details: Mapping[str, int | str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details: Mapping[str, int | str] = details or {}
        if status_hint is not None:
            self.status_hint = status_hint

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class ConfigurationError(UseIDError):
    """A setting is wrong. ``message`` names the key and the remedy."""

    def __init__(self, message: str) -> None:
        super().__init__("configuration_error", message)


class RequestError(UseIDError):
    """The request itself is at fault; repeating it will not help."""

    status_hint = 400


class AuthenticationError(UseIDError):
    """The caller did not prove what the step demands."""

    status_hint = 403


class NotAuthenticated(AuthenticationError):
    """Nobody is logged in, or there is no access token and no way to a new one."""

    status_hint = 401


class ProviderError(UseIDError):
    """What an identity provider sent must not be believed. ``details`` name the token and the claim at fault."""

    status_hint = 502


class EIDServerError(UseIDError):
    """An eID server refused, or a card or client failed before it. ``minor`` is its ResultMinor, a URI."""

    status_hint = 502

    def __init__(self, minor: str, message: str) -> None:
        super().__init__("eid_server_refused", message, details={"minor": minor})
        self.minor = minor


class EServiceError(UseIDError):
    """An eService is not the one that the settings know."""

    status_hint = 502


class StateError(UseIDError):
    """The step does not fit the state of the flow, or the flow is over."""

    status_hint = 409


class RefusedError(UseIDError):
    """A listener of the host app refused."""

    status_hint = 403

    def __init__(self, message: str = "the application refused this login") -> None:
        super().__init__("login_refused", message)


class RateLimited(UseIDError):
    """Too many requests. ``retry_after`` is in whole seconds, at least one."""

    status_hint = 429

    def __init__(self, retry_after: float) -> None:
        super().__init__("rate_limited", "too many requests; try again later")
        self.retry_after = max(1, int(retry_after + 0.999))


class UnavailableError(UseIDError):
    """A store or a peer cannot be reached. ``retry_after`` is in whole seconds."""

    status_hint = 503

    def __init__(self, code: str, message: str, *, retry_after: int = 2, retry_is_safe: bool = False) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after
        #: The request certainly had no effect.
        self.retry_is_safe = retry_is_safe


def malformed(member: str, expected: str) -> RequestError:
    """The error for a member or parameter that is not what the reference says."""
    return RequestError("malformed_request", f"{member}: expected {expected}")
