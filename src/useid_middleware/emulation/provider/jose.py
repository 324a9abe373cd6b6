"""Signing, verifying and encrypting in compact form (RFC 7515, RFC 7516), faulty headers included.

The signature primitives are joserfc's; the envelope is put together here, because a provider that plays faults must
write tokens that a library refuses to write.
"""

import hmac
import json
from binascii import Error, a2b_base64
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry
from joserfc.jwk import Key, import_key
from joserfc.jws import JWSRegistry

from ..._codec import b64url, encode_json

RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
ASYMMETRIC: Final = (*RSA_ALGORITHMS, "ES256", "Ed25519", "EdDSA")
SYMMETRIC: Final[Mapping[str, str]] = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
ENCRYPTION_ALGORITHMS: Final = ("RSA-OAEP-256", "RSA-OAEP", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW")
CONTENT_ALGORITHMS: Final = ("A128CBC-HS256", "A256CBC-HS512", "A128GCM", "A256GCM")


class TokenRefused(ValueError):
    """A token that is not what it should be; the text names the step and quotes nothing of the token."""


def key_type(alg: str) -> str:
    """The ``kty`` that an asymmetric algorithm needs."""
    return {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}[alg[:2]]


def sign(header: Mapping[str, Any], payload: bytes, key: Key | bytes | None, *, is_corrupt: bool = False) -> str:
    """A compact JWS. ``key`` is the secret for HMAC and ``None`` for ``none``; ``is_corrupt`` spoils the signature."""
    alg = header["alg"]
    signing_input = f"{b64url(encode_json(header))}.{b64url(payload)}"
    if key is None:
        signature = b""
    elif isinstance(key, bytes):
        signature = hmac.digest(key, signing_input.encode(), SYMMETRIC[alg])
    else:
        signature = JWSRegistry.algorithms[alg].sign(signing_input.encode(), key)
    if is_corrupt:
        signature = bytes((signature[0] ^ 0xFF, *signature[1:]))
    return f"{signing_input}.{b64url(signature)}"


def peek(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a compact JWS, unverified."""
    parts = token.split(".")
    if len(parts) != 3:
        raise TokenRefused("expected a compact JWS of three parts")
    return _members(parts[0], "header"), _members(parts[1], "claims")


def verify(
    token: str, *, keys: Iterable[Mapping[str, Any]], secret: str = "", expected_algorithms: Collection[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a JWS that one of ``keys`` (public JWKs) or the client's secret signed."""
    header, claims = peek(token)
    alg = str(header.get("alg", ""))
    if alg not in expected_algorithms:
        raise TokenRefused(f"alg: expected one of {', '.join(expected_algorithms)}")
    signing_input, _, encoded = token.rpartition(".")
    signature = _decode(encoded)
    if alg in SYMMETRIC:
        expected = hmac.digest(secret.encode(), signing_input.encode(), SYMMETRIC[alg])
        if secret and hmac.compare_digest(expected, signature):
            return header, claims
        raise TokenRefused("signature: does not verify with the client's secret")
    for jwk in keys:
        if jwk.get("use", "sig") == "sig" and header.get("kid") in (None, jwk.get("kid")):
            model = JWSRegistry.algorithms[alg]
            try:
                key = import_key(dict(jwk))
                model.check_key(key)
                if model.verify(signing_input.encode(), signature, key):
                    return header, claims
            except (JoseError, ValueError):
                continue
    raise TokenRefused("signature: verifies with none of the registered keys")


def encrypt(payload: str, *, keys: Iterable[Mapping[str, Any]], alg: str, enc: str, content_type: str = "JWT") -> str:
    """A compact JWE of ``payload`` for the first of ``keys`` that ``alg`` can use and that is not for signatures."""
    kty = "RSA" if alg.startswith("RSA") else "EC"
    for jwk in keys:
        if jwk.get("kty") == kty and jwk.get("use", "enc") == "enc":
            header = {"alg": alg, "enc": enc}
            if content_type:
                header["cty"] = content_type
            if "kid" in jwk:
                header["kid"] = jwk["kid"]
            return jwe.encrypt_compact(header, payload, import_key(dict(jwk)), [alg, enc])
    raise TokenRefused(f"the client has registered no key for {alg}")


def decrypt(token: str, key: Key) -> str:
    """What a compact JWE holds that was encrypted for ``key``."""
    registry = JWERegistry(algorithms=[*ENCRYPTION_ALGORITHMS, *CONTENT_ALGORITHMS])
    try:
        plaintext = jwe.decrypt_compact(token, key, registry=registry).plaintext
    except (JoseError, ValueError):
        raise TokenRefused("encryption: does not decrypt with the provider's key") from None
    return (plaintext or b"").decode("utf-8", "replace")


def _decode(part: str) -> bytes:
    try:
        return a2b_base64(part.replace("-", "+").replace("_", "/") + "=" * (-len(part) % 4))
    except (Error, ValueError):
        raise TokenRefused("expected base64url") from None


def _members(part: str, name: str) -> dict[str, Any]:
    return read_object(_decode(part), name)


def read_object(text: bytes, name: str) -> dict[str, Any]:
    """A JSON object; ``name`` says in errors what it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise TokenRefused(f"{name}: expected JSON") from None
    if not isinstance(value, dict):
        raise TokenRefused(f"{name}: expected a JSON object")
    return value
