"""How we say who we are at a provider's endpoints (OpenID Connect Core §9, RFC 8705 §2)."""

from base64 import b64encode
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote_plus

from joserfc.jwk import Key, OctKey

from ...errors import ConfigurationError
from .jose import sign_token


class Credential(StrEnum):
    """What a method rests on, by the name of its setting."""

    SECRET = "client_secret"
    KEY = "private_keys"
    CERTIFICATE = "tls_certificate"
    NOTHING = ""


#: The methods that we can, and what each needs.
METHODS: Final[Mapping[str, Credential]] = {
    "client_secret_basic": Credential.SECRET,
    "client_secret_post": Credential.SECRET,
    "client_secret_jwt": Credential.SECRET,
    "private_key_jwt": Credential.KEY,
    "tls_client_auth": Credential.CERTIFICATE,
    "self_signed_tls_client_auth": Credential.CERTIFICATE,
    "none": Credential.NOTHING,
}

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#: HS256 asks for a key as long as its hash (RFC 7518 §3.2).
_MIN_SECRET: Final = 32


def basic_credentials(client_id: str, secret: str) -> str:
    """The ``Authorization`` header of client_secret_basic: both form-encoded first (RFC 6749 §2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {b64encode(pair.encode('ascii')).decode('ascii')}"


def client_assertion(
    key: Key, *, algorithm: str, client_id: str, audience: str, now: int, jti: str, lifetime: int = 60
) -> str:
    """An assertion for private_key_jwt (RFC 7523 §3), good for one request within ``lifetime`` seconds.

    ``audience`` is the provider's issuer, the only one that FAPI 2.0 (§5.3.3.4) allows: an assertion for an endpoint's
    address could be one that another provider talked us into.
    """
    claims = _claims(client_id, audience, now=now, jti=jti, lifetime=lifetime)
    return sign_token(claims, key, algorithm=algorithm, typ="JWT")


def secret_assertion(secret: str, *, client_id: str, audience: str, now: int, jti: str, lifetime: int = 60) -> str:
    """The same for client_secret_jwt, by HS256. ``ConfigurationError`` for a secret below 32 bytes."""
    raw = secret.encode()
    if len(raw) < _MIN_SECRET:
        raise ConfigurationError(f"client_secret must have at least {_MIN_SECRET} bytes for client_secret_jwt")
    claims = _claims(client_id, audience, now=now, jti=jti, lifetime=lifetime)
    # Made directly, for import_key tries in turn whether the secret is one of six kinds of key file.
    return sign_token(claims, OctKey(raw, raw), algorithm="HS256", typ="JWT", kid="")


def _claims(client_id: str, audience: str, *, now: int, jti: str, lifetime: int) -> dict[str, Any]:
    return {"iss": client_id, "sub": client_id, "aud": audience, "iat": now, "exp": now + lifetime, "jti": jti}
