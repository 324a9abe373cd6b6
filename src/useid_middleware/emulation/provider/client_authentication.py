"""Client authentication at the token endpoint and its like: each client by the one method it registered."""

import hmac
from base64 import b64decode
from binascii import Error
from typing import Any, Final
from urllib.parse import unquote, unquote_plus

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, import_key

from ..._codec import b64url
from ...http.requests import Request
from . import jose
from .clients import Client
from .realm import Realm
from .refusals import OAuthError, invalid_client, invalid_request

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#: An assertion may be good for so many seconds at most.
MAX_ASSERTION_LIFETIME: Final = 3600
_SKEW: Final = 30


async def authenticate(realm: Realm, request: Request, params: dict[str, str]) -> Client:
    """The client that sent this request; ``invalid_client`` for everybody else."""
    authorization = request.header(b"authorization")
    methods = [bool(authorization), "client_assertion" in params, "client_secret" in params]
    if sum(methods) > 1:
        raise invalid_request("client authentication: expected one method")
    if authorization:
        client_id, secret = _basic(authorization)
        client = _known(realm, client_id)
        _check_method(client, "client_secret_basic")
        _check_secret(client, secret)
        if params.get("client_id", client_id) != client_id:
            raise invalid_client("client_id: expected the one of the Authorization header")
        return client
    if "client_assertion" in params:
        return await _assertion(realm, request, params)
    client = _known(realm, params.get("client_id", ""))
    if "client_secret" in params:
        _check_method(client, "client_secret_post")
        _check_secret(client, params["client_secret"])
        return client
    if client.token_endpoint_auth_method in ("tls_client_auth", "self_signed_tls_client_auth"):
        await _check_certificate(realm, request, client)
        return client
    _check_method(client, "none")
    return client


def certificate_of(realm: Realm, request: Request) -> x509.Certificate | None:
    """The certificate of the client's TLS connection: the server's (ASGI's TLS extension), or the proxy's header."""
    chain = request.scope.get("extensions", {}).get("tls", {}).get("client_cert_chain") or ()
    pem = chain[0] if chain else ""
    if not pem and realm.policy.certificate_header:
        pem = unquote(request.header(realm.policy.certificate_header.lower().encode()))
    if not pem:
        return None
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        raise invalid_request("client certificate: expected PEM") from None


def thumbprint(certificate: x509.Certificate) -> str:
    """``x5t#S256`` (RFC 8705 §3.1)."""
    return b64url(certificate.fingerprint(SHA256()))


def _known(realm: Realm, client_id: str) -> Client:
    client = realm.clients.get(client_id)
    if client is None:
        raise invalid_client("client_id: expected a client that the provider knows")
    return client


def _check_method(client: Client, method: str) -> None:
    if client.token_endpoint_auth_method != method:
        raise invalid_client(f"client authentication: expected {client.token_endpoint_auth_method}, found {method}")


def _check_secret(client: Client, secret: str) -> None:
    if not client.client_secret or not hmac.compare_digest(client.client_secret.encode(), secret.encode()):
        raise invalid_client("client authentication: wrong secret")


def _basic(authorization: str) -> tuple[str, str]:
    """Both parts are form-encoded before they are joined (RFC 6749 §2.3.1)."""
    scheme, _, value = authorization.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError(scheme)
        user, colon, password = b64decode(value.strip(), validate=True).decode().partition(":")
        if not colon:
            raise ValueError("colon")
    except (Error, ValueError):
        raise invalid_client("Authorization: expected Basic with client id and secret") from None
    return unquote_plus(user), unquote_plus(password)


async def _assertion(realm: Realm, request: Request, params: dict[str, str]) -> Client:
    """RFC 7523 §3 and OpenID Connect Core 1.0 §9: signed by the client, for this provider, not seen before."""
    if params.get("client_assertion_type") != ASSERTION_TYPE:
        raise invalid_request(f"client_assertion_type: expected {ASSERTION_TYPE}")
    token = params["client_assertion"]
    try:
        _, unverified = jose.peek(token)
        client = _known(realm, str(unverified.get("sub", "")))
        is_symmetric = client.token_endpoint_auth_method == "client_secret_jwt"
        _check_method(client, "client_secret_jwt" if is_symmetric else "private_key_jwt")
        allowed = tuple(jose.SYMMETRIC) if is_symmetric else jose.ASYMMETRIC
        if client.token_endpoint_auth_signing_alg:
            allowed = (client.token_endpoint_auth_signing_alg,)
        keys = [] if is_symmetric else await realm.client_keys(client)
        _, claims = jose.verify(token, keys=keys, secret=client.client_secret, expected_algorithms=allowed)
    except jose.TokenRefused as error:
        raise invalid_client(f"client_assertion: {error}") from None
    if claims.get("iss") != client.client_id or params.get("client_id", client.client_id) != client.client_id:
        raise invalid_client("client_assertion: iss, sub and client_id: expected the same client")
    audiences = claims.get("aud")
    endpoints = {realm.issuer, f"{realm.issuer}/token", realm.issuer + request.scope["useid.path"]}
    if not endpoints.intersection(audiences if isinstance(audiences, list) else [audiences]):
        raise invalid_client("client_assertion: aud: expected the issuer or this endpoint")
    now, expires_at, jti = realm.now(), claims.get("exp"), claims.get("jti")
    if not isinstance(expires_at, (int, float)) or not now - _SKEW < expires_at < now + MAX_ASSERTION_LIFETIME:
        raise invalid_client("client_assertion: exp: expected a time in the next hour")
    if not jti or not realm.records.use_once(
        f"assertion {client.client_id} {jti}", expires_at=expires_at + 60, now=now
    ):
        raise invalid_client("client_assertion: jti: expected one that was not used before")
    return client


async def _check_certificate(realm: Realm, request: Request, client: Client) -> None:
    """RFC 8705 §2: by the subject's name, or by a key that the client registered."""
    certificate = certificate_of(realm, request)
    if certificate is None:
        raise invalid_client("client authentication: expected a client certificate")
    if client.token_endpoint_auth_method == "tls_client_auth":
        if certificate.subject.rfc4514_string() != client.tls_client_auth_subject_dn:
            raise invalid_client("client certificate: expected the registered subject")
        return
    presented = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if presented not in [_der(key) for key in await realm.client_keys(client)]:
        raise invalid_client("client certificate: expected a registered key")


def _der(jwk: dict[str, Any]) -> bytes:
    try:
        key = import_key(jwk)
        return b"" if isinstance(key, OctKey) else key.as_der(private=False)
    except (JoseError, ValueError):
        raise OAuthError("invalid_client", "jwks: a registered key is malformed", status_hint=401) from None
