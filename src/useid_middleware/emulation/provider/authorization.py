"""Authorization requests: what is checked before anybody is asked anything (OpenID Connect Core 1.0 §3.1.2.2). Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final

from .clients import Client
from .injection import Pairs
from .people import Person
from .policy import Policy
from .records import AuthorizationRequest, ClaimsRequest, Session
from .refusals import OAuthError, invalid_request

RESPONSE_TYPES: Final = (
    "code",
    "id_token",
    "id_token token",
    "code id_token",
    "code token",
    "code id_token token",
)
RESPONSE_MODES: Final = ("query", "fragment", "form_post", "query.jwt", "fragment.jwt", "form_post.jwt", "jwt")
PROMPTS: Final = ("none", "login", "consent", "select_account")
#: An S256 challenge (RFC 7636 §4.2).
_CHALLENGE: Final = re.compile("[A-Za-z0-9_-]{43}").fullmatch


class AuthorizationRefused(OAuthError):
    """An error that goes back to the client, because its redirect address is known to be good."""

    def __init__(self, code: str, message: str, *, request: AuthorizationRequest) -> None:
        super().__init__(code, message)
        self.request = request


class Step(StrEnum):
    """What an authorization request waits for."""

    LOGIN = "login"
    CONSENT = "consent"
    DONE = "done"


def single(pairs: Pairs) -> dict[str, str]:
    """Parameters by name; one that is repeated is refused (RFC 6749 §3.1), one without value counts as absent."""
    params: dict[str, str] = {}
    for name, value in pairs:
        if name in params:
            raise invalid_request(f"{name[:40]}: expected one value")
        if value:
            params[name] = value
    return params


def read_request(
    params: Mapping[str, str], *, client: Client, policy: Policy, is_pushed: bool, hinted_subject: str = ""
) -> AuthorizationRequest:
    """The checked request. A bad ``redirect_uri`` is for the person to see; everything else goes back to the client."""
    redirect_uri = params.get("redirect_uri", "")
    if not redirect_uri and len(client.redirect_uris) == 1:
        redirect_uri = client.redirect_uris[0]
    if not client.allows_redirect(redirect_uri):
        raise invalid_request("redirect_uri: expected an address that the client registered")
    response_type = " ".join(sorted(params.get("response_type", "").split()))
    mode = params.get("response_mode", "")
    back = AuthorizationRequest(
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        response_type=response_type,
        response_mode=_response_mode(mode if mode in RESPONSE_MODES else "", response_type),
        scopes=tuple(dict.fromkeys(params.get("scope", "").split())),
        state=params.get("state", ""),
    )

    def refused(code: str, message: str) -> AuthorizationRefused:
        return AuthorizationRefused(code, message, request=back)

    if response_type not in RESPONSE_TYPES:
        raise refused("unsupported_response_type", f"response_type: expected one of {', '.join(RESPONSE_TYPES)}")
    registered = {" ".join(sorted(kind.split())) for kind in client.response_types}
    if registered and response_type not in registered:
        raise refused("unauthorized_client", "response_type: expected one that the client registered")
    if mode and mode not in RESPONSE_MODES:
        raise refused("invalid_request", f"response_mode: expected one of {', '.join(RESPONSE_MODES)}")
    if mode in ("query", "query.jwt") and response_type != "code":
        raise replace_mode(refused("invalid_request", "response_mode: a query must not carry tokens"), "fragment")
    if not is_pushed and (client.require_pushed_authorization_requests or policy.require_pushed_authorization_requests):
        raise refused("invalid_request", "request_uri: expected a pushed authorization request")
    nonce = params.get("nonce", "")
    if back.returns("id_token") and ("openid" not in back.scopes or not nonce):
        raise refused("invalid_request", "an ID token in the response: expected the scope openid and a nonce")
    challenge = params.get("code_challenge", "")
    if challenge and (params.get("code_challenge_method") != "S256" or not _CHALLENGE(challenge)):
        raise refused("invalid_request", "code_challenge: expected S256 and 43 characters of base64url")
    is_public = client.token_endpoint_auth_method == "none"
    if not challenge and back.returns("code") and (policy.require_pkce or is_public):
        raise refused("invalid_request", "code_challenge: expected (RFC 7636)")
    prompts = tuple(params.get("prompt", "").split())
    if any(prompt not in PROMPTS for prompt in prompts) or ("none" in prompts and len(prompts) > 1):
        raise refused("invalid_request", f"prompt: expected none alone, or of {', '.join(PROMPTS[1:])}")
    max_age = params.get("max_age", "")
    if max_age and not (max_age.isascii() and max_age.isdigit() and len(max_age) < 10):
        raise refused("invalid_request", "max_age: expected seconds")
    try:
        claims = read_claims(params.get("claims", ""))
    except ValueError:
        raise refused("invalid_request", "claims: expected the JSON of OpenID Connect Core 1.0 section 5.5") from None
    return replace(
        back,
        nonce=nonce,
        prompts=prompts,
        max_age=int(max_age) if max_age else client.default_max_age,
        login_hint=params.get("login_hint", ""),
        hinted_subject=claims.subject or hinted_subject,
        acr_values=claims.acr_values or tuple(params.get("acr_values", "").split()),
        ui_locales=params.get("ui_locales", ""),
        claims=claims,
        code_challenge=challenge,
        dpop_jkt=params.get("dpop_jkt", ""),
    )


def replace_mode(refused: AuthorizationRefused, mode: str) -> AuthorizationRefused:
    """The same refusal, sent another way."""
    return AuthorizationRefused(refused.code, refused.message, request=replace(refused.request, response_mode=mode))


def read_claims(text: str) -> ClaimsRequest:
    """The ``claims`` parameter; ``ValueError`` where it is not what §5.5 says."""
    if not text:
        return ClaimsRequest()
    try:
        document = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(document, dict):
        raise ValueError("expected an object")
    id_token, userinfo = _place(document.get("id_token")), _place(document.get("userinfo"))
    acr: dict[str, Any] = id_token.get("acr") or {}
    return ClaimsRequest(
        id_token=tuple(id_token),
        userinfo=tuple(userinfo),
        subject=str((id_token.get("sub") or userinfo.get("sub") or {}).get("value", "")),
        acr_values=tuple(map(str, acr.get("values") or filter(None, [acr.get("value")]))),
    )


def next_step(
    request: AuthorizationRequest,
    *,
    session: Session | None,
    person: Person | None,
    login_at: int,
    is_chosen: bool,
    is_consented: bool,
    now: float,
) -> Step:
    """What is missing (§3.1.2.3, §3.1.2.4).

    ``login_at``: when somebody logged in for this very request, else 0. ``is_chosen``: they go on as who they are.
    With ``prompt=none`` nothing may be missing: ``login_required`` or ``consent_required`` goes back to the client.
    """
    step = Step.DONE
    if (
        session is None
        or person is None
        or (not login_at and "login" in request.prompts)
        or (not login_at and not is_chosen and "select_account" in request.prompts)
        or (not login_at and request.max_age is not None and now - session.auth_time > request.max_age)
        or (request.hinted_subject and person.subject != request.hinted_subject)
        or (not login_at and request.login_hint and request.login_hint not in _names(person))
        or (not login_at and request.acr_values and session.acr not in request.acr_values)
    ):
        step = Step.LOGIN
    elif not is_consented:
        step = Step.CONSENT
    if "none" in request.prompts and step is not Step.DONE:
        code = "login_required" if step is Step.LOGIN else "consent_required"
        raise AuthorizationRefused(code, "prompt: none, but the person would have to act", request=request)
    return step


def choose_acr(requested: Sequence[str], *, default: str) -> str:
    """The context class of a login: the first one asked for, since a test provider can pretend any of them."""
    return requested[0] if requested else default


def _response_mode(mode: str, response_type: str) -> str:
    default = "query" if response_type == "code" else "fragment"
    return f"{default}.jwt" if mode == "jwt" else mode or default


def _place(value: Any) -> dict[str, Any]:
    """The claims wished for in one place, each with ``None`` or an object."""
    wishes = {} if value is None else value
    if not isinstance(wishes, dict) or not all(wish is None or isinstance(wish, dict) for wish in wishes.values()):
        raise ValueError("expected an object of objects")
    return wishes


def _names(person: Person) -> tuple[str, ...]:
    return person.username, person.subject, person.email
