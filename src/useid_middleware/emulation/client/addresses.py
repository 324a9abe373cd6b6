"""The web addresses of an authentication: which may be used, which have one origin, and what the browser is told."""

from typing import Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from ...eid.core.results import ClientMinor
from ...settings.values import is_loopback
from .actions import Fetched
from .failure import Failure

#: So often may a server send the client elsewhere.
MAX_REDIRECTS: Final = 5
REDIRECTS: Final = frozenset({302, 303, 307})
_MAX_ADDRESS: Final = 4096
_MAX_MESSAGE: Final = 200
_PORTS: Final = {"https": 443, "http": 80}
#: A browser is told these, and of everything else whose mistake it was (TR-03124-1 §2.5.4).
_TOLD: Final = (
    ClientMinor.TRUSTED_CHANNEL_FAILED,
    ClientMinor.CANCELLATION_BY_USER,
    ClientMinor.COMMUNICATION_ERROR,
)


def check_address(url: str, *, allow_loopback_http: bool) -> str:
    """The address, if a client may go there: https without user or fragment; ``address_refused`` for any other.

    ``allow_loopback_http`` lets http pass where it cannot leave the machine: for development.
    """
    parts = _split(url)
    is_plain = allow_loopback_http and parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or (parts.scheme != "https" and not is_plain):
        raise _refused("an https URL")
    if "@" in parts.netloc or parts.fragment:
        raise _refused("a URL without user and fragment")
    return url


def same_origin(first: str, second: str) -> bool:
    """Whether two addresses have scheme, host and port in common (RFC 6454 §5)."""
    return _origin(first) == _origin(second)


def next_address(answer: Fetched) -> str:
    """Where a redirect leads; ``redirect_refused`` if the answer is none."""
    if answer.status not in REDIRECTS or not answer.location:
        raise Failure(
            "redirect_refused",
            f"expected a redirect, found status {answer.status}",
            minor=ClientMinor.COMMUNICATION_ERROR,
        )
    _check_text(answer.location)
    try:
        return urljoin(answer.url, answer.location)
    except ValueError:
        raise _refused("a URL to be redirected to") from None


def with_success(address: str) -> str:
    """The address that tells the eService of a success (TR-03124-1 §2.5.4)."""
    return _with_query(address, "ResultMajor=ok")


def with_failure(address: str, failure: Failure) -> str:
    """The address that tells the eService of a failure (TR-03124-1 §2.5.4)."""
    minor = "serverError" if failure.by_server else "clientError"
    if failure.minor in _TOLD:
        minor = failure.minor.rpartition("#")[2]
    message = quote(failure.message[:_MAX_MESSAGE], safe="")
    return _with_query(address, f"ResultMajor=error&ResultMinor={minor}&ResultMessage={message}")


def _with_query(address: str, query: str) -> str:
    start, hash_sign, fragment = address.partition("#")
    # A query is begun once; one that is begun, or ends with its separator, is gone on with.
    separator = "?" if "?" not in start else "" if start[-1] in "?&" else "&"
    return f"{start}{separator}{query}{hash_sign}{fragment}"


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = _split(url)
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme)


def _split(url: str) -> SplitResult:
    _check_text(url)
    try:
        parts = urlsplit(url)
        # A port that is no number shows when it is read.
        if parts.port == 0:
            raise ValueError
        return parts
    except ValueError:
        raise _refused("a URL") from None


def _check_text(url: str) -> None:
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url or len(url) > _MAX_ADDRESS:
        raise _refused("a URL of printable characters")


def _refused(expected: str) -> Failure:
    return Failure("address_refused", f"address: expected {expected}", minor=ClientMinor.COMMUNICATION_ERROR)
