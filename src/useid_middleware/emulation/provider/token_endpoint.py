"""The token endpoint: one function for each grant type (RFC 6749 §4, §6, RFC 8628 §3.4)."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Final, TypeAlias

from ..._codec import b64url
from ...http.asgi import ASGIApp
from ...http.requests import Request
from ...http.responses import json_response
from ...http.routing import Handler
from .authorization import single
from .client_authentication import authenticate, certificate_of, thumbprint
from .clients import Client
from .dpop import read_proof
from .forms import form_pairs
from .grants import issue_refresh_token, token_response
from .injection import TOKEN_RESPONSE, Document
from .realm import Realm
from .records import Grant
from .refusals import OAuthError, invalid_grant, invalid_request

Exchange: TypeAlias = Callable[[Realm, Client, Mapping[str, str], Grant], Awaitable[Document]]

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
SLOW_DOWN: Final = 5


class TokenRoutes:
    """``POST /token``."""

    def __init__(self, realm: Realm) -> None:
        self._realm = realm

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {"POST /token": self.token}

    async def token(self, request: Request) -> ASGIApp:
        """Authenticate the client, look at what binds its tokens, exchange the grant."""
        realm = self._realm
        params = single(await form_pairs(request))
        client = await authenticate(realm, request, params)
        grant_type = params.get("grant_type", "")
        exchange = EXCHANGES.get(grant_type)
        if exchange is None:
            raise OAuthError("unsupported_grant_type", f"grant_type: expected one of {', '.join(EXCHANGES)}")
        if not client.allows_grant(grant_type):
            raise OAuthError("unauthorized_client", "grant_type: expected one that the client registered")
        jkt = read_proof(realm, request, needs_nonce=realm.policy.require_dpop_nonce)
        if client.dpop_bound_access_tokens and not jkt:
            raise OAuthError("invalid_dpop_proof", "DPoP: expected a proof from this client")
        certificate = certificate_of(realm, request) if client.tls_client_certificate_bound_access_tokens else None
        x5t = thumbprint(certificate) if certificate is not None else ""
        binding = Grant(id=realm.new_id(), client_id=client.client_id, subject="", scopes=(), jkt=jkt, x5t=x5t)
        document = await exchange(realm, client, params, binding)
        document = realm.apply(TOKEN_RESPONSE, document, client_id=client.client_id)
        nonce = [(b"dpop-nonce", realm.dpop_nonce.encode())] if realm.policy.require_dpop_nonce else []
        return json_response(document, headers=[(b"pragma", b"no-cache"), *nonce])


async def _authorization_code(realm: Realm, client: Client, params: Mapping[str, str], binding: Grant) -> Document:
    """RFC 6749 §4.1.3, RFC 7636 §4.6. A code that comes twice ends what its first use gave (§4.1.2)."""
    now = realm.now()
    value = params.get("code", "")
    code = realm.records.codes.get(value, now=now)
    if code is None or code.grant.client_id != client.client_id:
        raise invalid_grant("code: unknown or expired")
    grant = code.grant
    if code.is_used:
        realm.records.revoke(grant.id, now=now)
        raise invalid_grant("code: used before")
    realm.records.codes.change(value, replace(code, is_used=True))
    if params.get("redirect_uri", "") != grant.redirect_uri:
        raise invalid_grant("redirect_uri: expected the one of the authorization request")
    verifier = params.get("code_verifier", "")
    challenge = b64url(sha256(verifier.encode()).digest()) if verifier else ""
    if not hmac.compare_digest(challenge, grant.code_challenge):
        raise invalid_grant("code_verifier: does not fit the challenge")
    if grant.jkt and grant.jkt != binding.jkt:
        raise invalid_grant("DPoP: expected a proof by the key of the authorization request")
    grant = replace(grant, jkt=binding.jkt, x5t=binding.x5t)
    return await token_response(realm, grant, refresh_token=_first_refresh_token(realm, client, grant))


async def _refresh_token(realm: Realm, client: Client, params: Mapping[str, str], binding: Grant) -> Document:
    """RFC 6749 §6, RFC 9700 §4.14: with rotation, a token that comes twice ends the whole family."""
    now = realm.now()
    value = params.get("refresh_token", "")
    token = realm.records.refresh_tokens.get(value, now=now)
    if token is None or token.grant.client_id != client.client_id or token.expires_at <= now:
        raise invalid_grant("refresh_token: unknown or expired")
    if token.is_used:
        realm.records.revoke(token.grant.id, now=now)
        raise invalid_grant("refresh_token: used before; its whole family is revoked")
    is_bound = bool(token.grant.jkt) and client.token_endpoint_auth_method == "none"
    if is_bound and token.grant.jkt != binding.jkt:
        raise invalid_grant("DPoP: expected a proof by the key of the refresh token")
    scopes = tuple(params["scope"].split()) if params.get("scope") else token.scopes
    if not set(scopes) <= set(token.scopes):
        raise OAuthError("invalid_scope", "scope: expected no more than was granted")
    grant = replace(token.grant, jkt=binding.jkt, x5t=binding.x5t)
    successor = value
    if realm.policy.refresh_rotation:
        realm.records.refresh_tokens.change(value, replace(token, is_used=True))
        successor = issue_refresh_token(realm, grant)
    return await token_response(realm, grant, scopes=scopes, refresh_token=successor, is_refresh=True)


async def _client_credentials(realm: Realm, client: Client, params: Mapping[str, str], binding: Grant) -> Document:
    """RFC 6749 §4.4: the client acts for itself."""
    if client.token_endpoint_auth_method == "none":
        raise OAuthError("unauthorized_client", "grant_type: expected a client that authenticates")
    scopes = tuple(scope for scope in params.get("scope", "").split() if scope != "openid")
    return await token_response(realm, replace(binding, scopes=scopes))


async def _device_code(realm: Realm, client: Client, params: Mapping[str, str], binding: Grant) -> Document:
    """RFC 8628 §3.5: the device asks again until the person has decided."""
    now = realm.now()
    value = params.get("device_code", "")
    device = realm.records.devices.get(value, now=now)
    if device is None or device.client_id != client.client_id:
        raise OAuthError("expired_token", "device_code: unknown or expired")
    if device.is_denied:
        realm.records.devices.take(value, now=now)
        raise OAuthError("access_denied", "the person did not agree")
    if device.grant is None:
        is_fast = now - device.polled_at < device.interval
        interval = device.interval + (SLOW_DOWN if is_fast else 0)
        realm.records.devices.change(value, replace(device, polled_at=now, interval=interval))
        if is_fast:
            raise OAuthError("slow_down", f"device_code: ask again after {interval} seconds")
        raise OAuthError("authorization_pending", "device_code: the person has not decided yet")
    realm.records.devices.take(value, now=now)
    grant = replace(device.grant, jkt=binding.jkt, x5t=binding.x5t)
    return await token_response(realm, grant, refresh_token=_first_refresh_token(realm, client, grant))


def _first_refresh_token(realm: Realm, client: Client, grant: Grant) -> str:
    is_wanted = realm.policy.refresh_tokens == "always" or "offline_access" in grant.scopes
    return issue_refresh_token(realm, grant) if is_wanted and client.allows_grant("refresh_token") else ""


EXCHANGES: Final[Mapping[str, Exchange]] = {
    "authorization_code": _authorization_code,
    "refresh_token": _refresh_token,
    "client_credentials": _client_credentials,
    DEVICE_GRANT: _device_code,
}


def require(params: Mapping[str, str], name: str) -> str:
    """A parameter that must be there."""
    value = params.get(name, "")
    if not value:
        raise invalid_request(f"{name}: expected a value")
    return value
