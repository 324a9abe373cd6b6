"""What the provider's tokens say (OpenID Connect Core 1.0 §2, §3; Back-Channel Logout 1.0 §2.4). Pure."""

from hashlib import new as new_hash
from typing import Any, Final

from ..._codec import b64url
from .records import Grant

LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
#: Seconds that a logout token is good for (§2.4 advises two minutes at most).
LOGOUT_TOKEN_LIFETIME: Final = 120


def half_hash(value: str, *, alg: str) -> str:
    """``at_hash``, ``c_hash`` and ``s_hash``: the left half of the hash that the signature's algorithm uses (§3.1.3.6).

    EdDSA with Ed25519 hashes with SHA-512; for ``none`` SHA-256 stands in.
    """
    name = "sha512" if alg.startswith("Ed") else f"sha{alg[-3:]}" if alg[-3:].isdigit() else "sha256"
    digest = new_hash(name, value.encode()).digest()
    return b64url(digest[: len(digest) // 2])


def id_token_claims(
    grant: Grant,
    *,
    issuer: str,
    now: int,
    lifetime: int,
    alg: str,
    person_claims: dict[str, Any],
    access_token: str = "",
    code: str = "",
    state: str = "",
    is_refresh: bool = False,
) -> dict[str, Any]:
    """An ID token's claims; ``person_claims`` come on top of those that the protocol asks for.

    ``access_token``, ``code`` and ``state`` are hashed into it where given. A refreshed token repeats ``auth_time`` and
    leaves ``nonce`` away (§12.2).
    """
    claims: dict[str, Any] = {
        **person_claims,
        "iss": issuer,
        "sub": grant.subject,
        "aud": grant.client_id,
        "iat": now,
        "exp": now + lifetime,
        "auth_time": grant.auth_time,
        "acr": grant.acr,
        "amr": list(grant.amr),
    }
    if grant.sid:
        claims["sid"] = grant.sid
    if grant.nonce and not is_refresh:
        claims["nonce"] = grant.nonce
    for name, value in (("at_hash", access_token), ("c_hash", code), ("s_hash", state)):
        if value:
            claims[name] = half_hash(value, alg=alg)
    return claims


def logout_token_claims(*, issuer: str, client_id: str, subject: str, sid: str, jti: str, now: int) -> dict[str, Any]:
    """A logout token's claims: who (``sub``), which session (``sid``), and that it is a logout (``events``)."""
    return {
        "iss": issuer,
        "aud": client_id,
        "sub": subject,
        "sid": sid,
        "iat": now,
        "exp": now + LOGOUT_TOKEN_LIFETIME,
        "jti": jti,
        "events": {LOGOUT_EVENT: {}},
    }
