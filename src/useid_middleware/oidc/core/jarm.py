"""Signed authorization responses (JWT Secured Authorization Response Mode, JARM 1.0)."""

from collections.abc import Collection
from typing import Final

from .claims import check_issuer, check_lifetime, read_audience
from .jose import verify_token
from .keys import KeySet

#: JARM gives its tokens no type of their own. Those that have another one are something else, an access token perhaps.
_TYPES: Final = ("jwt", "oauth-authz-resp+jwt", "")
#: Claims about the token, which are no parameters. ``iss`` is both (RFC 9207 §2.4).
_ABOUT: Final = frozenset({"aud", "exp", "iat", "nbf", "jti", "sub"})


def read_jarm(
    response: str,
    keys: KeySet,
    *,
    expected_issuer: str,
    expected_audience: str,
    algorithms: Collection[str],
    now: float,
    skew: float = 30.0,
) -> list[tuple[str, str]]:
    """The parameters in a signed response (JARM §2.1, §2.4), once it verified. Claims that are no texts are left out.

    ``iss``, ``aud`` and ``exp`` must be there. An encrypted response is opened by the caller first. Raises what
    :func:`~.jose.verify_token` does, and ``token_claim_invalid``; the token is called ``jarm`` in errors.
    """
    _, claims = verify_token(response, keys, algorithms=algorithms, name="jarm", expected_types=_TYPES)
    check_issuer(claims, expected_issuer=expected_issuer, name="jarm")
    read_audience(claims, expected_audience=expected_audience, name="jarm")
    check_lifetime(claims, now=now, skew=skew, requires_expiry=True, name="jarm")
    return [(name, value) for name, value in claims.items() if isinstance(value, str) and name not in _ABOUT]
