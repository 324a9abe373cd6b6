"""What the userinfo endpoint answers (OpenID Connect Core §5.3): JSON, or a token, signed, encrypted or both."""

from collections.abc import Collection
from hmac import compare_digest
from typing import Any

from ...errors import ProviderError
from .claims import check_issuer, claim_invalid
from .jose import decrypt_token, is_encrypted, verify_token
from .keys import ClientKeys, KeySet
from .strict_json import MAX_ANSWER, read_answer


def read_userinfo(
    status: int,
    media_type: str,
    body: bytes,
    keys: KeySet,
    client_keys: ClientKeys | None,
    *,
    expected_subject: str,
    expected_issuer: str,
    expected_audience: str,
    algorithms: Collection[str],
    requires_signature: bool = False,
) -> dict[str, Any]:
    """The claims of a userinfo answer (OpenID Connect Core §5.3.2): JSON, or signed, encrypted, or both.

    ``sub`` must be that of the ID token. ``iss`` and ``aud`` must be the provider and us, in a signed answer always,
    elsewhere where they are there. Raises ``userinfo_invalid``, and what tokens raise.
    """
    if status != 200:
        raise _userinfo_invalid("status", f"200, found {status}")
    if media_type.partition(";")[0].strip().lower() == "application/jwt":
        claims, signed = _read_userinfo_token(body, keys, client_keys, algorithms)
    else:
        claims, signed = read_answer(media_type, body), False
    if claims is None:
        raise _userinfo_invalid("body", f"one JSON object of at most {MAX_ANSWER} bytes, or a token")
    if requires_signature and not signed:
        raise _userinfo_invalid("body", "a signed token")
    if signed or "iss" in claims:
        check_issuer(claims, expected_issuer=expected_issuer, name="userinfo")
    audience = claims.get("aud")
    if (signed or "aud" in claims) and (
        expected_audience not in audience if isinstance(audience, list) else audience != expected_audience
    ):
        raise claim_invalid("userinfo", "aud", "our client_id")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not compare_digest(subject.encode(), expected_subject.encode()):
        raise _userinfo_invalid("sub", "that of the ID token")
    return claims


def _read_userinfo_token(
    body: bytes, keys: KeySet, client_keys: ClientKeys | None, algorithms: Collection[str]
) -> tuple[dict[str, Any] | None, bool]:
    """The claims of a userinfo JWT, and whether they are signed: what is encrypted may be JSON alone."""
    token = body.decode("ascii", "replace").strip()
    if is_encrypted(token):
        if client_keys is None:
            raise ProviderError(
                "token_encryption_refused",
                "userinfo: expected a token that is not encrypted, since there are no private_keys",
                details={"token": "userinfo"},
            )
        token = decrypt_token(token, client_keys, name="userinfo")
        if token.lstrip().startswith("{"):
            return read_answer("application/json", token.encode()), False
    _, claims = verify_token(token, keys, algorithms=algorithms, name="userinfo", expected_types=("jwt", ""))
    return claims, True


def _userinfo_invalid(member: str, expected: str) -> ProviderError:
    return ProviderError(
        "userinfo_invalid",
        f"userinfo: {member}: expected {expected}",
        details={"token": "userinfo", "claim": member},
    )
