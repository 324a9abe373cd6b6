"""Registered claims (RFC 7519 §4.1) of tokens whose signature verified: one strict reading for all kinds of tokens.

``name`` says in errors which token it is. Each function raises ``token_claim_invalid``, with the claim in ``details``.
"""

from collections.abc import Collection, Mapping
from typing import Any

from ...errors import ProviderError

Claims = Mapping[str, Any]


def check_issuer(claims: Claims, *, expected_issuer: str, name: str) -> None:
    """``iss`` is exactly the expected one."""
    if claims.get("iss") != expected_issuer:
        raise claim_invalid(name, "iss", "exactly the provider's issuer")


def read_audience(
    claims: Claims, *, expected_audience: str, trusted_audiences: Collection[str] = (), name: str
) -> tuple[str, ...]:
    """``aud``, a text or a list of texts, which names us and nobody whom we do not trust."""
    value = claims.get("aud")
    if value == expected_audience:
        return (expected_audience,)
    if not isinstance(value, list) or expected_audience not in value:
        raise claim_invalid(name, "aud", "our client_id")
    ours = {expected_audience, *trusted_audiences}
    if not all(isinstance(each, str) and each in ours for each in value):
        raise claim_invalid(name, "aud", "our client_id and no audience but trusted_audiences")
    return tuple(value)


def read_time(claims: Claims, claim: str, *, name: str) -> float | None:
    """A NumericDate in Unix seconds; ``None`` where there is none. ``null`` and booleans are no numbers."""
    value = claims.get(claim)
    if type(value) is int or type(value) is float:
        return value
    if claim in claims:
        raise claim_invalid(name, claim, "a number of seconds")
    return None


def require_time(claims: Claims, claim: str, *, name: str) -> float:
    """The same, of a claim that must be there."""
    value = read_time(claims, claim, name=name)
    if value is None:
        raise claim_invalid(name, claim, "a number of seconds")
    return value


def check_lifetime(claims: Claims, *, now: float, skew: float, requires_expiry: bool, name: str) -> float | None:
    """``exp`` is to come and ``nbf`` is past, each within ``skew`` seconds; ``exp``, where there is one."""
    expires_at = read_time(claims, "exp", name=name)
    if expires_at is None and requires_expiry:
        raise claim_invalid(name, "exp", "a number of seconds")
    if expires_at is not None and expires_at <= now - skew:
        raise claim_invalid(name, "exp", "a token that has not expired")
    not_before = read_time(claims, "nbf", name=name)
    if not_before is not None and not_before > now + skew:
        raise claim_invalid(name, "nbf", "a token that is valid already")
    return expires_at


def check_issued(claims: Claims, *, now: float, skew: float, max_age: float, name: str) -> float:
    """``iat``: required, not in the future, and at most ``max_age`` seconds ago, each within ``skew``."""
    issued_at = require_time(claims, "iat", name=name)
    if issued_at > now + skew:
        raise claim_invalid(name, "iat", "a token that was not issued in the future")
    if issued_at < now - max_age - skew:
        raise claim_invalid(name, "iat", f"a token issued within the last {max_age:.0f} s")
    return issued_at


def read_text(claims: Claims, claim: str, *, name: str, max_size: int = 255) -> str:
    """A text of at most ``max_size`` printable ASCII characters; empty where the claim is not there."""
    value = claims.get(claim)
    if value is None and claim not in claims:
        return ""
    if not isinstance(value, str) or not 0 < len(value) <= max_size or not value.isascii() or not value.isprintable():
        raise claim_invalid(name, claim, f"1 to {max_size} printable ASCII characters")
    return value


def require_text(claims: Claims, claim: str, *, name: str, max_size: int = 255) -> str:
    """The same, of a claim that must be there."""
    value = read_text(claims, claim, name=name, max_size=max_size)
    if not value:
        raise claim_invalid(name, claim, f"1 to {max_size} printable ASCII characters")
    return value


def claim_invalid(name: str, claim: str, expected: str) -> ProviderError:
    """The error for a claim. What was found is the provider's or a person's, so the message does not say it."""
    return ProviderError(
        "token_claim_invalid", f"{name}: {claim}: expected {expected}", details={"token": name, "claim": claim}
    )
