"""Where an authorization request's parameters come from: plain, signed (RFC 9101), by reference, pushed (RFC 9126)."""

from typing import Any, Final

from ..._codec import encode_json
from . import jose
from .clients import Client
from .realm import Realm
from .refusals import OAuthError, invalid_request

PUSHED_PREFIX: Final = "urn:ietf:params:oauth:request_uri:"
#: Seconds until a pushed request must be used.
PUSHED_LIFETIME: Final = 90


def _refused(message: str) -> OAuthError:
    return OAuthError("invalid_request_object", message)


async def resolve(realm: Realm, params: dict[str, str], *, client: Client) -> tuple[dict[str, str], bool]:
    """The parameters that count, and whether they were pushed. A signed object stands alone (RFC 9101 §6.3)."""
    reference = params.get("request_uri", "")
    if reference and "request" in params:
        raise invalid_request("request and request_uri: expected one of them")
    if reference.startswith(PUSHED_PREFIX):
        pushed = realm.records.pushed.take(reference, now=realm.now())
        if pushed is None or pushed[0] != client.client_id:
            raise OAuthError("invalid_request_uri", "request_uri: unknown, used or expired")
        return dict(pushed[1]), True
    if reference:
        if not reference.startswith(("https://", "http://")):
            raise OAuthError("invalid_request_uri", "request_uri: expected an https address")
        params = {**params, "request": (await realm.fetch(reference)).decode("ascii", "replace").strip()}
    if "request" in params:
        return await read_object(realm, params["request"], client=client), False
    if client.require_signed_request_object:
        raise invalid_request("request: expected a signed request object")
    return params, False


async def read_object(realm: Realm, token: str, *, client: Client) -> dict[str, str]:
    """The parameters in a request object that the client signed, and perhaps encrypted for us."""
    try:
        if token.count(".") == 4:
            token = jose.decrypt(token, realm.keys.encryption_key())
        allowed = (client.request_object_signing_alg,) if client.request_object_signing_alg else jose.ASYMMETRIC
        if allowed == ("none",):
            header, claims = jose.peek(token)
            if header.get("alg") != "none":
                raise jose.TokenRefused("alg: expected none")
        else:
            _, claims = jose.verify(
                token,
                keys=await realm.client_keys(client),
                secret=client.client_secret,
                expected_algorithms=allowed,
            )
    except jose.TokenRefused as error:
        raise _refused(f"request object: {error}") from None
    audiences = claims.get("aud", realm.issuer)
    if realm.issuer not in (audiences if isinstance(audiences, list) else [audiences]):
        raise _refused("request object: aud: expected the issuer")
    if claims.get("iss", client.client_id) != client.client_id or claims.get("client_id") != client.client_id:
        raise _refused("request object: iss and client_id: expected the client")
    now = realm.now()
    if not now < _number(claims, "exp", now + 1) or _number(claims, "nbf", now) > now + 30:
        raise _refused("request object: expired, or not yet valid")
    if "request" in claims or "request_uri" in claims:
        raise _refused("request object: must not hold another one")
    return {
        name: _text(value) for name, value in claims.items() if name not in ("iss", "aud", "exp", "nbf", "iat", "jti")
    }


def _number(claims: dict[str, Any], name: str, default: float) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _refused(f"request object: {name}: expected a number")
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else encode_json(value).decode()
