"""What the token endpoint answers, and the ID token: read once, into types that say it was checked."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256, sha384, sha512
from hmac import compare_digest
from typing import Any, Final

from ..._codec import Record, b64url
from ...errors import ProviderError
from .authorization import error_code
from .claims import (
    check_issued,
    check_issuer,
    check_lifetime,
    claim_invalid,
    read_audience,
    read_text,
    read_time,
    require_text,
)
from .jose import MAX_TOKEN, verify_token
from .keys import KeySet
from .strict_json import MAX_ANSWER, read_answer

#: Ten years; an ``expires_in`` beyond is a mistake, in milliseconds perhaps.
_MAX_LIFETIME: Final = 10 * 366 * 86400
#: Characters of tokens (RFC 6749 A.12, A.17), which travel in headers.
_TOKEN: Final = re.compile(rf"[\x21-\x7e]{{1,{MAX_TOKEN}}}").fullmatch
_SCOPE: Final = re.compile(r"[\x20-\x7e]{0,16384}").fullmatch
_SECONDS: Final = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,9})?").fullmatch
_TOKEN_TYPES: Final = {"bearer": "Bearer", "dpop": "DPoP"}
#: ``typ`` of an ID token; an access token (``at+jwt``) or logout token has another.
_TYPES: Final = ("jwt", "")
#: The hash of ``at_hash`` and ``c_hash`` is that of the signature; Ed25519's is SHA-512.
_HASHES: Final = {"256": sha256, "384": sha384, "512": sha512}


class TokenSet(Record, frozen=True):
    """Tokens as an endpoint issued them (RFC 6749 §5.1). Texts that are not there are empty.

    ``token_type`` is ``Bearer`` or ``DPoP``; ``expires_at`` is in Unix seconds, ``None`` where the provider does not
    say; ``id_token`` is as it came, to be given back as ``id_token_hint``.
    """

    access_token: str
    token_type: str = "Bearer"
    expires_at: float | None = None
    refresh_token: str = ""
    id_token: str = ""
    scope: str = ""

    def __repr__(self) -> str:
        """No token: this may end up in a log."""
        return f"TokenSet(token_type={self.token_type!r}, expires_at={self.expires_at!r}, scope={self.scope!r})"


@dataclass(frozen=True, slots=True)
class ExpectedIdToken:
    """What we know of an ID token before we see it.

    ``nonce`` is that of the login (``None`` for a refreshed token). ``acr_values`` are demanded, one of them.
    ``authorized_at`` is when the login began: by that time, the provider must have seen the person within ``max_age``,
    however long its pages take; where it is not given, ``now`` counts. ``max_token_age`` bounds the time since ``iat``;
    some providers date their tokens back by five minutes. All times are in seconds.
    """

    issuer: str
    client_id: str
    nonce: str | None
    algorithms: Collection[str]
    trusted_audiences: Collection[str] = ()
    max_age: int | None = None
    acr_values: Collection[str] = ()
    authorized_at: float | None = None
    max_token_age: float = 600.0
    skew: float = 30.0


class IdToken(Record, frozen=True):
    """An ID token that was verified. Times are Unix seconds; texts that are not there are empty.

    ``claims`` are all claims, ``encoded`` is the token.
    """

    issuer: str
    subject: str
    audience: tuple[str, ...]
    issued_at: float
    expires_at: float
    auth_time: float | None
    nonce: str
    acr: str
    amr: tuple[str, ...]
    sid: str
    claims: dict[str, Any]
    encoded: str

    def __repr__(self) -> str:
        """No claims: this may end up in a log."""
        return f"IdToken(issuer={self.issuer!r}, issued_at={self.issued_at!r}, expires_at={self.expires_at!r})"


def parse_token_response(
    status: int, media_type: str, body: bytes, *, now: float, expects_id_token: bool, expected_token_type: str
) -> TokenSet:
    """The tokens of an answer of the token endpoint (RFC 6749 §5, OpenID Connect Core §3.1.3.3).

    Raises ``token_refused`` where the endpoint says no, with its error code and the status in ``details``, and
    ``token_response_invalid`` for anything that is not an answer.
    """
    answer = read_answer(media_type, body)
    if status != 200 or (answer is not None and "error" in answer):
        raise ProviderError(
            "token_refused",
            f"token response: expected 200 and tokens, found {status}; the error code is in the details",
            details={"error": error_code((answer or {}).get("error")), "status": status},
        )
    if answer is None:
        raise _response_invalid("body", f"one JSON object of at most {MAX_ANSWER} bytes")
    token_type = answer.get("token_type")
    if not isinstance(token_type, str) or _TOKEN_TYPES.get(token_type.lower()) != expected_token_type:
        raise _response_invalid("token_type", expected_token_type)
    access_token, refresh_token, id_token = (
        _read_token(answer, member) for member in ("access_token", "refresh_token", "id_token")
    )
    if not access_token:
        raise _response_invalid("access_token", "a token")
    if expects_id_token and not id_token:
        raise _response_invalid("id_token", "a token, since openid was asked for")
    scope = answer.get("scope") or ""
    if not isinstance(scope, str) or not _SCOPE(scope):
        raise _response_invalid("scope", "a text")
    return TokenSet(
        access_token=access_token,
        token_type=expected_token_type,
        expires_at=_expiry(answer.get("expires_in"), now=now),
        refresh_token=refresh_token,
        id_token=id_token,
        scope=scope,
    )


def verify_id_token(
    token: str,
    keys: KeySet,
    *,
    expected: ExpectedIdToken,
    now: float,
    access_token: str | None = None,
    code: str | None = None,
    requires_at_hash: bool = False,
    requires_c_hash: bool = False,
) -> IdToken:
    """Verify an ID token (OpenID Connect Core §3.1.3.7; §3.3.2.11 with ``code``), signature and claims.

    ``at_hash`` and ``c_hash`` are compared where they are there and the token or code is given. Raises what
    :func:`~.jose.verify_token` does, and ``token_claim_invalid``.
    """
    header, claims = verify_token(token, keys, algorithms=expected.algorithms, name="id_token", expected_types=_TYPES)
    check_issuer(claims, expected_issuer=expected.issuer, name="id_token")
    audience = read_audience(
        claims, expected_audience=expected.client_id, trusted_audiences=expected.trusted_audiences, name="id_token"
    )
    if ("azp" in claims or len(audience) > 1) and claims.get("azp") != expected.client_id:
        raise claim_invalid("id_token", "azp", "our client_id, which it must be where there are several audiences")
    subject = require_text(claims, "sub", name="id_token")
    expires_at = check_lifetime(claims, now=now, skew=expected.skew, requires_expiry=True, name="id_token")
    assert expires_at is not None
    issued_at = check_issued(claims, now=now, skew=expected.skew, max_age=expected.max_token_age, name="id_token")
    nonce = claims.get("nonce", "")
    if not isinstance(nonce, str):
        raise claim_invalid("id_token", "nonce", "a text")
    if expected.nonce is not None and not compare_digest(nonce.encode(), expected.nonce.encode()):
        raise claim_invalid("id_token", "nonce", "that of this login")
    algorithm = header["alg"]
    _check_hash(claims, "at_hash", access_token, algorithm=algorithm, required=requires_at_hash)
    _check_hash(claims, "c_hash", code, algorithm=algorithm, required=requires_c_hash)
    return IdToken(
        expected.issuer,
        subject,
        audience,
        issued_at,
        expires_at,
        _check_authentication(claims, expected=expected, now=now),
        nonce,
        _check_context(claims, expected=expected),
        _read_methods(claims),
        read_text(claims, "sid", name="id_token"),
        claims,
        token,
    )


def half_hash(value: str, *, algorithm: str) -> str:
    """The left half of the hash of a token or code (OpenID Connect Core §3.1.3.6, §3.3.2.11), in base64url.

    The hash is that of the ID token's signature ``algorithm``.
    """
    digest = _HASHES.get(algorithm[-3:], sha512)(value.encode()).digest()
    return b64url(digest[: len(digest) // 2])


def _check_hash(claims: Mapping[str, Any], claim: str, value: str | None, *, algorithm: str, required: bool) -> None:
    found = claims.get(claim)
    if found is None and claim not in claims:
        if required:
            raise claim_invalid("id_token", claim, "the hash of what came with the token")
    elif not isinstance(found, str):
        raise claim_invalid("id_token", claim, "a text")
    elif value is not None:
        if not compare_digest(found.encode(), half_hash(value, algorithm=algorithm).encode()):
            raise claim_invalid("id_token", claim, "the hash of what came with the token")
    elif required:
        raise claim_invalid("id_token", claim, "something to compare it with")


def _check_authentication(claims: Mapping[str, Any], *, expected: ExpectedIdToken, now: float) -> float | None:
    """``auth_time``: there if ``max_age`` was asked for, and recent enough; never in the future."""
    auth_time = read_time(claims, "auth_time", name="id_token")
    if auth_time is None:
        if expected.max_age is not None:
            raise claim_invalid("id_token", "auth_time", "a number of seconds, since max_age was asked for")
        return None
    if auth_time > now + expected.skew:
        raise claim_invalid("id_token", "auth_time", "a time that is not in the future")
    asked_at = now if expected.authorized_at is None else expected.authorized_at
    if expected.max_age is not None and auth_time < asked_at - expected.max_age - expected.skew:
        raise claim_invalid("id_token", "auth_time", "a login within max_age")
    return auth_time


def _check_context(claims: Mapping[str, Any], *, expected: ExpectedIdToken) -> str:
    acr = claims.get("acr", "")
    if not isinstance(acr, str):
        raise claim_invalid("id_token", "acr", "a text")
    if expected.acr_values and acr not in expected.acr_values:
        raise claim_invalid("id_token", "acr", "one of acr_values, since acr_required is set")
    return acr


def _read_methods(claims: Mapping[str, Any]) -> tuple[str, ...]:
    amr = claims.get("amr", [])
    if not isinstance(amr, list) or not all(isinstance(each, str) for each in amr):
        raise claim_invalid("id_token", "amr", "a list of texts")
    return tuple(amr)


def _read_token(answer: Mapping[str, Any], member: str) -> str:
    """A token fit for a header; empty where it is missing, ``null`` or empty."""
    token = answer.get(member)
    if token is None or token == "":
        return ""
    if not isinstance(token, str) or not _TOKEN(token):
        raise _response_invalid(member, f"at most {MAX_TOKEN} visible ASCII characters")
    return token


def _expiry(expires_in: object, *, now: float) -> float | None:
    """When the access token ends; some providers write the number as a text, some leave it out (RFC 6749 §5.1)."""
    if expires_in is None:
        return None
    if isinstance(expires_in, str) and _SECONDS(expires_in):
        expires_in = float(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float) or not 0 <= expires_in <= _MAX_LIFETIME:
        raise _response_invalid("expires_in", "seconds, of ten years at most")
    return now + expires_in


def _response_invalid(member: str, expected: str) -> ProviderError:
    return ProviderError(
        "token_response_invalid", f"token response: {member}: expected {expected}", details={"member": member}
    )
