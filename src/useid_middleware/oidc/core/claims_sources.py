"""Aggregated and distributed claims (OpenID Connect Core §5.6.2): what a third party says of a person.

``_claim_names`` says which claims a source has, ``_claim_sources`` where it is. The caller decides which claims
providers it believes, fetches, and verifies with their keys; a source that is not believed changes nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from ...errors import ProviderError
from ...settings import is_loopback
from .claims import check_issuer, check_lifetime
from .jose import MAX_TOKEN, verify_token
from .keys import KeySet

MAX_SOURCES: Final = 10
_MAX_NAMES: Final = 100
_NAMES: Final = "_claim_names"
_SOURCES: Final = "_claim_sources"
#: What no third party may say: who the person is, what the token is, and where claims come from.
_RESERVED: Final = frozenset({"iss", "sub", "aud", "exp", "iat", "nbf", "nonce", "azp", "sid", "jti", _NAMES, _SOURCES})


@dataclass(frozen=True, slots=True)
class Aggregated:
    """A source that came along: a JWT, still to be verified, that has the claims ``names``."""

    names: tuple[str, ...]
    jwt: str


@dataclass(frozen=True, slots=True)
class Distributed:
    """A source to be asked: an address that answers with such a JWT; ``access_token`` may be empty."""

    names: tuple[str, ...]
    endpoint: str
    access_token: str = ""


Source: TypeAlias = Aggregated | Distributed


def claims_sources(claims: Mapping[str, Any]) -> list[Source]:
    """The sources that ``claims`` name, at most ten; those that no claim comes from are left out.

    Raises ``claims_source_invalid`` where the members are not what §5.6.2 says.
    """
    names, sources = claims.get(_NAMES, {}), claims.get(_SOURCES, {})
    if not isinstance(names, dict) or not isinstance(sources, dict):
        raise _invalid("_claim_names and _claim_sources: expected objects")
    if len(names) > _MAX_NAMES or len(sources) > MAX_SOURCES:
        raise _invalid(f"_claim_sources: expected at most {MAX_SOURCES} sources of {_MAX_NAMES} claims")
    if not all(isinstance(source, str) and source in sources for source in names.values()):
        raise _invalid("_claim_names: expected names of _claim_sources")
    found = []
    for source, members in sources.items():
        wanted = tuple(name for name, its_source in names.items() if its_source == source and name not in _RESERVED)
        if wanted:
            found.append(_read_source(wanted, members))
    return found


def verify_source(
    jwt: str, keys: KeySet, *, expected_issuer: str, algorithms: Collection[str], now: float, skew: float = 30.0
) -> dict[str, Any]:
    """The claims in a source's JWT, signed by the claims provider ``expected_issuer`` with one of its ``keys``.

    ``exp`` and ``nbf`` hold where they are there. Raises what tokens raise.
    """
    _, claims = verify_token(jwt, keys, algorithms=algorithms, name="claims_source", expected_types=("jwt", ""))
    check_issuer(claims, expected_issuer=expected_issuer, name="claims_source")
    check_lifetime(claims, now=now, skew=skew, requires_expiry=False, name="claims_source")
    return claims


def merge_claims(claims: Mapping[str, Any], source: Source, verified_claims: Mapping[str, Any]) -> dict[str, Any]:
    """``claims`` with those that ``source`` was named for, and no others.

    What the provider itself says stands: no source overrides it.
    """
    return {name: verified_claims[name] for name in source.names if name in verified_claims} | dict(claims)


def _read_source(names: tuple[str, ...], members: object) -> Source:
    if not isinstance(members, dict):
        raise _invalid("_claim_sources: expected objects")
    jwt, endpoint, access_token = members.get("JWT"), members.get("endpoint"), members.get("access_token", "")
    if isinstance(jwt, str) and 0 < len(jwt) <= MAX_TOKEN and endpoint is None:
        return Aggregated(names, jwt)
    if jwt is not None or not isinstance(endpoint, str) or not _is_address(endpoint):
        raise _invalid("_claim_sources: expected either JWT or an https endpoint")
    if not isinstance(access_token, str) or not access_token.isascii() or len(access_token) > MAX_TOKEN:
        raise _invalid("access_token: expected ASCII characters")
    if any(not "!" <= character <= "~" for character in access_token):
        raise _invalid("access_token: expected visible characters")
    return Distributed(names, endpoint, access_token)


def _is_address(url: str) -> bool:
    if len(url) > 2000 or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def _invalid(message: str) -> ProviderError:
    return ProviderError("claims_source_invalid", message)
