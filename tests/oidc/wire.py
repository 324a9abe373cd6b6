"""What the conformance suite's provider looks at in every request of the party it tests, whatever the module is about.

Scope, redirect address and response type of the authorization request; client authentication, to the letter; PKCE; one
use of each random value; and that no access token is in any address.
"""

from base64 import b64decode
from hashlib import sha256
from typing import Any
from urllib.parse import unquote_plus

from tests.actors import SERVER
from tests.oidc.world import ISSUER, World
from useid_middleware._codec import b64url
from useid_middleware.emulation.provider.app import Received
from useid_middleware.emulation.provider.clients import Client
from useid_middleware.emulation.provider.jose import peek

#: What every authorization request has, and what it may have besides.
_NEEDED = {"response_type", "client_id", "scope", "redirect_uri", "state", "nonce", "code_challenge"}
_NEEDED |= {"code_challenge_method"}
_POSSIBLE = {"response_mode", "prompt", "max_age", "acr_values", "login_hint", "id_token_hint", "dpop_jkt"}
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ABOUT_ASSERTION = {"client_id", "client_assertion", "client_assertion_type"}
REQUEST_OBJECT = "application/oauth-authz-req+jwt"
_ABOUT_OBJECT = {"iss", "aud", "exp", "nbf", "iat", "jti"}


def claims_of(token: str) -> dict[str, Any]:
    """What a compact JWS says, unverified."""
    return peek(token)[1]


def header_of(token: str) -> dict[str, Any]:
    """The header of a compact JWS."""
    return peek(token)[0]


def authorization_requests(world: World) -> list[dict[str, str]]:
    """The parameters of each authorization request, out of the address, the pushed form and the request object."""
    client = next(iter(world.provider.realm.clients.values()))
    found = []
    fetched = [answer for answer in world.answers if answer.header("content-type") == REQUEST_OBJECT]
    documents = iter([answer.body.decode() for answer in fetched])
    for request in world.provider.received("/authorize"):
        params = dict(request.query)
        assert len(params) == len(request.query), "each parameter once"
        if client.require_pushed_authorization_requests:
            assert set(params) == {"client_id", "request_uri"}, "a pushed request leaves nothing else in the address"
        elif "request_uri" in params:
            found.append(_unpacked(params, next(documents), client))
        else:
            found.append(_unpacked(params, params["request"], client) if "request" in params else params)
    for request in pushed_requests(world):
        params = dict(request.form)
        assert len(params) == len(request.form), "each parameter once"
        _check_authentication(request, client)
        _check_proof(request, client)
        for name in ("client_assertion", "client_assertion_type"):
            params.pop(name, None)
        found.append(_unpacked(params, params["request"], client) if "request" in params else params)
    return found


def _unpacked(params: dict[str, str], token: str, client: Client) -> dict[str, str]:
    """What a request object says (RFC 9101): all of it is signed, and what stands beside it says the same."""
    claims = claims_of(token)
    assert header_of(token)["typ"] == "oauth-authz-req+jwt"
    assert claims["iss"] == claims["client_id"] == client.client_id
    assert claims["aud"] == ISSUER
    assert claims["nbf"] <= claims["exp"] <= claims["nbf"] + 3600
    inside = {name: str(value) for name, value in claims.items() if name not in _ABOUT_OBJECT}
    beside = {name: value for name, value in params.items() if name not in ("request", "request_uri")}
    assert beside.items() <= inside.items()
    return inside


def check_wire(world: World, *, scope: str, response_type: str, response_mode: str = "") -> None:
    """See the module."""
    client = next(iter(world.provider.realm.clients.values()))
    challenges = set()
    random_values: list[str] = []
    for params in authorization_requests(world):
        assert set(params) >= _NEEDED
        assert set(params) <= _NEEDED | _POSSIBLE
        assert params["client_id"] == client.client_id
        assert params["scope"] == scope
        assert params["redirect_uri"] == f"{SERVER}/callback"
        assert params["response_type"] == response_type
        assert params.get("response_mode", "") == response_mode
        assert params["code_challenge_method"] == "S256"
        challenges.add(params["code_challenge"])
        random_values += [params["state"], params["nonce"], params["code_challenge"]]
    assert all(len(value) == 43 for value in random_values), "32 bytes each"
    if not pushed_requests(world):  # There a request may come again, with the nonce that was asked for.
        assert len(set(random_values)) == len(random_values), "each value is for one use"
    for request in token_requests(world):
        _check_authentication(request, client)
        if request.param("grant_type") == "authorization_code":
            rest = {name for name, _ in request.form} - _ABOUT_ASSERTION
            assert rest == {"grant_type", "code", "redirect_uri", "code_verifier"}
            assert request.param("redirect_uri") == f"{SERVER}/callback"
            assert b64url(sha256(request.param("code_verifier").encode()).digest()) in challenges
        _check_proof(request, client)
    _check_assertions(world)
    _check_bearers(world, client)


def pushed_requests(world: World) -> list[Received]:
    """Pushed authorization requests, also at the address for mutual TLS."""
    return [*world.provider.received("/par"), *world.provider.received("/mtls/par")]


def token_requests(world: World) -> list[Received]:
    """The same for tokens."""
    return [*world.provider.received("/token"), *world.provider.received("/mtls/token")]


def userinfo_requests(world: World) -> list[Received]:
    """The same for userinfo."""
    return [*world.provider.received("/userinfo"), *world.provider.received("/mtls/userinfo")]


def _check_authentication(request: Received, client: Client) -> None:
    """The one method that is registered, and no trace of another."""
    form = dict(request.form)
    assert len(form) == len(request.form), "each parameter once"
    assert "client_secret" not in form
    method = client.token_endpoint_auth_method
    if method == "client_secret_basic":
        assert request.authorization_scheme == "Basic"
        text = b64decode(request.headers["authorization"].removeprefix("Basic "), validate=True).decode()
        # RFC 6749 §2.3.1: both are form-encoded, so the only colon is the one between them.
        assert text.count(":") == 1
        assert [unquote_plus(part) for part in text.split(":")] == [client.client_id, client.client_secret]
        assert not _ABOUT_ASSERTION & set(form)
        return
    assert "authorization" not in request.headers
    assert form["client_id"] == client.client_id
    if method == "private_key_jwt":
        assert form["client_assertion_type"] == _ASSERTION
        assert header_of(form["client_assertion"])["alg"] in ("PS256", "ES256", "EdDSA", "Ed25519")
        claims = claims_of(form["client_assertion"])
        assert claims["iss"] == claims["sub"] == client.client_id
        assert claims["aud"] == ISSUER, "the issuer as a text, as FAPI 2.0 wants it"
    else:
        assert "tls_client_auth" in method
        assert request.path.startswith("/mtls/")
        assert not _ABOUT_ASSERTION - {"client_id"} & set(form)


def _check_proof(request: Received, client: Client) -> None:
    assert ("dpop" in request.headers) is client.dpop_bound_access_tokens
    if client.dpop_bound_access_tokens:
        claims = claims_of(request.headers["dpop"])
        assert (claims["htm"], claims["htu"]) == (request.method, ISSUER + request.path)


def _check_assertions(world: World) -> None:
    """Assertions and proofs are for one use."""
    requests = world.provider.requests
    tokens = [request.param("client_assertion") for request in requests if request.param("client_assertion")]
    tokens += [request.headers["dpop"] for request in requests if "dpop" in request.headers]
    used = [claims_of(token)["jti"] for token in tokens]
    assert len(set(used)) == len(used)


def _check_bearers(world: World, client: Client) -> None:
    """Access tokens travel in a header with the scheme that they were issued with, and in no address."""
    tokens = {token for token, _ in world.provider.realm.records.access_tokens.items(now=0)}
    tokens |= {request.headers["authorization"].partition(" ")[2] for request in userinfo_requests(world)}
    for request in world.provider.requests:
        for name, value in request.query:
            assert name != "access_token"
            assert value not in tokens
    for request in userinfo_requests(world):
        scheme, _, token = request.headers["authorization"].partition(" ")
        assert scheme == ("DPoP" if client.dpop_bound_access_tokens else "Bearer")
        assert not request.form
        if client.dpop_bound_access_tokens:
            assert claims_of(request.headers["dpop"])["ath"] == b64url(sha256(token.encode()).digest())
        if client.tls_client_certificate_bound_access_tokens:
            assert request.path == "/mtls/userinfo"
