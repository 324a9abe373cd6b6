"""Logging out: the tokens and parameters by which a provider ends our sessions, and the address at which we end its."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from ...errors import RequestError
from .claims import check_issued, check_issuer, check_lifetime, claim_invalid, read_audience, read_text, require_text
from .jose import verify_token
from .keys import KeySet

#: The event of a logout token (Back-Channel Logout 1.0 §2.4).
BACKCHANNEL_LOGOUT: Final = "http://schemas.openid.net/event/backchannel-logout"
#: A logout token by its type; many providers sign it as any JWT. An access token (``at+jwt``) is none.
_TYPES: Final = ("logout+jwt", "jwt", "")
_MAX_ID: Final = 512


@dataclass(frozen=True, slots=True)
class LogoutToken:
    """A logout token that was verified. ``subject``, ``sid`` or both name what ends; the other is empty.

    ``jti`` is still to be looked up among those used before. ``issued_at`` is in Unix seconds.
    """

    issuer: str
    subject: str
    sid: str
    jti: str
    issued_at: float


def verify_logout_token(
    token: str,
    keys: KeySet,
    *,
    expected_issuer: str,
    expected_audience: str,
    algorithms: Collection[str],
    now: float,
    trusted_audiences: Collection[str] = (),
    skew: float = 30.0,
    max_age: float = 600.0,
) -> LogoutToken:
    """Verify a logout token (Back-Channel Logout 1.0 §2.6), signature and claims; an ID token is not one.

    It was issued within ``max_age`` seconds, so that the caller need not remember every ``jti`` for ever. Raises what
    :func:`~.jose.verify_token` does, and ``token_claim_invalid``.
    """
    name = "logout_token"
    _, claims = verify_token(token, keys, algorithms=algorithms, name=name, expected_types=_TYPES)
    check_issuer(claims, expected_issuer=expected_issuer, name=name)
    read_audience(claims, expected_audience=expected_audience, trusted_audiences=trusted_audiences, name=name)
    issued_at = check_issued(claims, now=now, skew=skew, max_age=max_age, name=name)
    check_lifetime(claims, now=now, skew=skew, requires_expiry=False, name=name)
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(BACKCHANNEL_LOGOUT), dict):
        raise claim_invalid(name, "events", "the logout event with an object")
    if "nonce" in claims:
        raise claim_invalid(name, "nonce", "none, lest an ID token pass for a logout token")
    subject, sid = read_text(claims, "sub", name=name), read_text(claims, "sid", name=name, max_size=_MAX_ID)
    if not subject and not sid:
        raise claim_invalid(name, "sub", "sub, sid or both")
    return LogoutToken(
        expected_issuer, subject, sid, require_text(claims, "jti", name=name, max_size=_MAX_ID), issued_at
    )


def check_frontchannel(issuer: str, sid: str, *, expected_issuer: str) -> str:
    """The ``sid`` of a front-channel logout request (Front-Channel Logout 1.0 §2), or ``logout_refused``.

    The standard lets both parameters be left out. Then any page could log people out, so here both must be there.
    """
    if issuer != expected_issuer:
        raise RequestError("logout_refused", "iss: expected the provider's issuer")
    if not 0 < len(sid) <= _MAX_ID or not sid.isascii() or not sid.isprintable():
        raise RequestError("logout_refused", f"sid: expected 1 to {_MAX_ID} printable ASCII characters")
    return sid


def end_session_url(
    endpoint: str,
    *,
    id_token_hint: str = "",
    post_logout_redirect_uri: str = "",
    state: str = "",
    client_id: str = "",
    logout_hint: str = "",
) -> str:
    """Where the browser goes to log out at the provider (RP-Initiated Logout 1.0 §2); empty parameters are left out.

    The endpoint keeps a query of its own, except for members that we say ourselves.
    """
    parameters = {
        "id_token_hint": id_token_hint,
        "post_logout_redirect_uri": post_logout_redirect_uri,
        "state": state,
        "client_id": client_id,
        "logout_hint": logout_hint,
    }
    parts = urlsplit(endpoint)
    own = [pair for pair in parts.query.split("&") if pair and pair.partition("=")[0] not in parameters]
    added = urlencode({name: value for name, value in parameters.items() if value})
    query = "&".join([*own, added] if added else own)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
