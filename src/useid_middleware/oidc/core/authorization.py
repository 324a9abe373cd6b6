"""The authorization request (OpenID Connect Core §3.1.2.1): a login attempt, its parameters, and the ways to send them.

In the address, as a request object (RFC 9101), or pushed (RFC 9126); always with PKCE (RFC 7636).
"""

import json
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from joserfc.jwk import Key

from ..._codec import Record, b64url
from ...errors import ConfigurationError, ProviderError
from .jose import sign_token
from .strict_json import MAX_ANSWER, JSONRefused, read_object

#: Random bytes of an attempt: state, nonce and verifier have 32 each.
RANDOM_SIZE: Final = 96

#: What a listener or a setting may not say, since later steps rely on it. The last line are claims of request objects.
_PROTOCOL: Final = {
    *("response_type", "client_id", "scope", "redirect_uri", "state", "nonce", "response_mode", "prompt", "max_age"),
    *("code_challenge", "code_challenge_method", "acr_values", "id_token_hint", "dpop_jkt", "request", "request_uri"),
    *("client_assertion", "client_assertion_type", "client_secret"),
    *("iss", "sub", "aud", "exp", "nbf", "iat", "jti"),
}
#: A fragment would never reach the server, and a query must not hold tokens (Multiple Response Types §3, JARM §2.3.1).
_HYBRID_MODES: Final = {
    "": "form_post",
    "form_post": "form_post",
    "jwt": "form_post.jwt",
    "form_post.jwt": "form_post.jwt",
}
#: RFC 6749 A.4; and of the error codes of §4.1.2.1 and §5.2.
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}").fullmatch
_ERROR: Final = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{1,100}").fullmatch
_NAME: Final = re.compile(r"[\x21-\x7e]{1,100}").fullmatch
#: A request_uri is a URI; the limit is ours, for it travels in an address.
_REQUEST_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,1500}").fullmatch


class Attempt(Record, frozen=True):
    """A login under way. ``created_at`` is in Unix seconds, ``max_age`` in seconds.

    ``state`` finds it, ``nonce`` binds the ID token to it, ``verifier`` the code. ``dpop_key`` is a private JWK as
    JSON, or empty. ``silent`` is a look at the provider's session without the person (``prompt=none``).
    """

    provider: str
    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    return_to: str
    scopes: tuple[str, ...]
    response_type: str
    response_mode: str
    max_age: int | None
    acr_values: tuple[str, ...]
    prompt: str
    silent: bool
    created_at: float
    dpop_key: bytes = b""

    def __repr__(self) -> str:
        """No secret: this may end up in a log."""
        return f"Attempt(provider={self.provider!r}, created_at={self.created_at!r})"


def new_attempt(
    *,
    provider: str,
    random: bytes,
    redirect_uri: str,
    return_to: str,
    scopes: Iterable[str],
    now: float,
    response_type: str = "code",
    response_mode: str = "",
    max_age: int | None = None,
    acr_values: Iterable[str] = (),
    prompt: str = "",
    silent: bool = False,
    dpop_key: bytes = b"",
) -> Attempt:
    """A new attempt out of 96 random bytes. ``openid`` is its first scope, whether it was named or not.

    A hybrid response comes by form_post, since a fragment would not reach us. Raises ``ConfigurationError`` for a scope
    that is none, and for a response mode that would lose or leak the response.
    """
    if len(random) != RANDOM_SIZE:
        raise ValueError(f"random must have {RANDOM_SIZE} bytes")
    names = tuple(dict.fromkeys(("openid", *scopes)))
    if not all(map(_SCOPE, names)):
        raise ConfigurationError("scopes: expected printable ASCII without space, quote and backslash")
    if response_type != "code":
        if response_mode not in _HYBRID_MODES:
            raise ConfigurationError(f"response_mode: expected form_post or form_post.jwt with {response_type}")
        response_mode = _HYBRID_MODES[response_mode]
    state, nonce, verifier = (b64url(random[start : start + 32]) for start in (0, 32, 64))
    return Attempt(
        provider=provider,
        state=state,
        nonce=nonce,
        verifier=verifier,
        redirect_uri=redirect_uri,
        return_to=return_to,
        scopes=names,
        response_type=response_type,
        response_mode=response_mode,
        max_age=max_age,
        acr_values=tuple(acr_values),
        prompt="none" if silent else prompt,
        silent=silent,
        created_at=now,
        dpop_key=dpop_key,
    )


def code_challenge(verifier: str) -> str:
    """S256 of a code verifier (RFC 7636 §4.2)."""
    return b64url(sha256(verifier.encode("ascii")).digest())


def authorization_request(
    attempt: Attempt,
    *,
    client_id: str,
    login_hint: str = "",
    id_token_hint: str = "",
    ui_locales: str = "",
    claims: Mapping[str, Any] | None = None,
    resource: str = "",
    extra: Mapping[str, str] | None = None,
    dpop_jkt: str = "",
) -> dict[str, str]:
    """The parameters of the request. Empty ones are left out.

    ``claims`` is the claims request (OpenID Connect Core §5.5), ``resource`` a resource indicator (RFC 8707),
    ``dpop_jkt`` the thumbprint of the key that the code is bound to (RFC 9449 §10). ``extra`` is what the operator or a
    listener adds; it may change hints, and ``ConfigurationError`` names a parameter that is the protocol's own.
    """
    for name in extra or ():
        if name in _PROTOCOL or not _NAME(name):
            shown = name if name in _PROTOCOL else "a name"
            raise ConfigurationError(f"parameters: {shown}: expected a parameter that the protocol leaves free")
    parameters = {
        "response_type": attempt.response_type,
        "client_id": client_id,
        "scope": " ".join(attempt.scopes),
        "redirect_uri": attempt.redirect_uri,
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": code_challenge(attempt.verifier),
        "code_challenge_method": "S256",
        "response_mode": attempt.response_mode,
        "prompt": attempt.prompt,
        "max_age": "" if attempt.max_age is None else str(attempt.max_age),
        "acr_values": " ".join(attempt.acr_values),
        "login_hint": login_hint,
        "id_token_hint": id_token_hint,
        "ui_locales": ui_locales,
        "claims": json.dumps(claims, separators=(",", ":")) if claims else "",
        "resource": resource,
        "dpop_jkt": dpop_jkt,
        **(extra or {}),
    }
    return {name: value for name, value in parameters.items() if value}


def authorization_url(endpoint: str, parameters: Mapping[str, str]) -> str:
    """The address to send the browser to. A query that the endpoint has stays (RFC 6749 §3.1).

    Raises ``metadata_invalid`` for an endpoint with a fragment, or whose query sets one of our parameters.
    """
    parts = urlsplit(endpoint)
    own = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "#" in endpoint or not own.keys().isdisjoint(parameters):
        raise ProviderError(
            "metadata_invalid",
            "metadata: authorization_endpoint: expected no fragment and none of our parameters in its query",
            details={"member": "authorization_endpoint"},
        )
    added = urlencode(parameters, quote_via=quote)
    query = f"{parts.query}&{added}" if parts.query else added
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


def pushed_url(endpoint: str, *, client_id: str, request_uri: str) -> str:
    """The address that refers to a pushed request (RFC 9126 §4)."""
    return authorization_url(endpoint, {"client_id": client_id, "request_uri": request_uri})


def request_object(
    parameters: Mapping[str, str],
    key: Key,
    *,
    algorithm: str,
    client_id: str,
    audience: str,
    now: int,
    jti: str,
    lifetime: int = 300,
) -> str:
    """The parameters as a signed request object (RFC 9101 §4, FAPI 2.0 Message Signing §5.3.2).

    ``audience`` is the provider's issuer, ``lifetime`` in seconds. Numbers and objects are what JSON has for them.
    """
    claims: dict[str, Any] = dict(parameters)
    if "max_age" in claims:
        claims["max_age"] = int(claims["max_age"])
    if "claims" in claims:
        claims["claims"] = json.loads(claims["claims"])
    claims |= {
        "iss": client_id,
        "aud": audience,
        "client_id": client_id,
        "iat": now,
        "nbf": now,
        "exp": now + lifetime,
        "jti": jti,
    }
    return sign_token(claims, key, algorithm=algorithm, typ="oauth-authz-req+jwt")


def parse_pushed_response(status: int, body: bytes) -> str:
    """The ``request_uri`` of an answer to a pushed request (RFC 9126 §2.2).

    Raises ``par_refused`` where the provider says no, with its error code in ``details``, and ``par_invalid``.
    """
    try:
        answer = read_object(body) if len(body) <= MAX_ANSWER else {}
    except JSONRefused:
        answer = {}
    if status != 201:
        raise ProviderError(
            "par_refused",
            f"pushed request: expected 201, found {status}; the error code is in the details",
            details={"error": error_code(answer.get("error")), "status": status},
        )
    request_uri, expires_in = answer.get("request_uri"), answer.get("expires_in")
    if not isinstance(request_uri, str) or not _REQUEST_URI(request_uri):
        raise _par_invalid("request_uri", "a URI")
    if type(expires_in) is not int or expires_in <= 0:
        raise _par_invalid("expires_in", "a positive number of seconds")
    return request_uri


def error_code(value: object) -> str:
    """An error code of a provider (RFC 6749 §4.1.2.1, §5.2), fit to be logged; ``unknown`` for anything else."""
    return value if isinstance(value, str) and _ERROR(value) else "unknown"


def _par_invalid(member: str, expected: str) -> ProviderError:
    return ProviderError("par_invalid", f"pushed request: {member}: expected {expected}", details={"member": member})
