"""Compact JWS and JWE (RFC 7515, RFC 7516): verified, opened and signed, with less of the standards than they allow.

What a header says of its own keys (``jwk``, ``jku``, ``x5c``, ``x5u``) is never looked at; extensions (``crit``),
detached payloads (``b64``) and compression (``zip``) are refused; the caller's list of algorithms comes before all.
"""

import json
from binascii import a2b_base64
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from joserfc.errors import JoseError
from joserfc.jwe import JWERegistry, decrypt_compact
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

from ..._codec import b64url
from ...errors import ProviderError
from .keys import SIGNATURE_ALGORITHMS, ClientKeys, KeySet
from .strict_json import read_object

MAX_TOKEN: Final = 64 * 1024
#: Key management and content encryption that we open. No RSA1_5 (its padding is an oracle), ``dir`` or passwords.
KEY_MANAGEMENT: Final = frozenset({"RSA-OAEP", "RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"})
ENCRYPTIONS: Final = frozenset({"A128GCM", "A256GCM", "A128CBC-HS256", "A256CBC-HS512"})
#: What goes wrong in the library and below it when a JWE is not one for this key.
_NOT_OURS: Final = (JoseError, ValueError, KeyError, TypeError, AssertionError)

#: Base64url to base64; what belongs to base64 alone becomes what the decoder refuses.
_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
#: The last characters of a segment by its length modulo 4: their unused bits are zero (RFC 4648 §3.5).
_ENDINGS: Final = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")
#: Providers sign everything with few headers, so most are known; longer ones are not worth the memory.
_CACHED_HEADER: Final = 1024


class _Header(NamedTuple):
    """What we need of a header. ``type`` is lower case, without ``application/``, and empty where there is none."""

    algorithm: str
    kid: str | None
    type: str
    members: Mapping[str, Any]


class _Malformed(ValueError):
    """Not what the serialization asks for."""


def verify_token(
    token: str, keys: KeySet, *, algorithms: Collection[str], name: str, expected_types: Collection[str] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a signed token (RFC 7519 §7.2), once its signature verified. The claims are not judged.

    ``name`` says in errors which token it is. ``expected_types`` are the values of ``typ`` to accept, in lower case and
    without ``application/``; an empty one among them stands for no ``typ`` at all. Raises ``token_too_large``,
    ``token_malformed``, ``token_algorithm_refused``, ``token_claim_invalid`` (``typ``), ``token_key_unknown``,
    ``token_signature_invalid``.
    """
    if len(token) > MAX_TOKEN:
        raise _too_large(name)
    try:
        encoded = token.encode("ascii")
        head, payload, signature = encoded.translate(_FROM_URL).split(b".", 3)
        header = _known_header(head) if len(head) <= _CACHED_HEADER else _read_header(head)
    except ValueError:
        raise _malformed(name) from None
    algorithm = header.algorithm
    if algorithm not in algorithms or algorithm not in SIGNATURE_ALGORITHMS:
        raise ProviderError(
            "token_algorithm_refused",
            f"{name}: expected a signature by one of the allowed algorithms",
            details={"token": name, "claim": "alg"},
        )
    _check_members(header, name)
    if expected_types is not None and header.type not in expected_types:
        raise ProviderError(
            "token_claim_invalid",
            f"{name}: typ: expected that of the token asked for, found another kind of token",
            details={"token": name, "claim": "typ"},
        )
    candidates = keys.candidates(kid=header.kid, algorithm=algorithm)
    if not candidates:
        raise ProviderError(
            "token_key_unknown",
            f"{name}: expected a signature by a published key for {algorithm}",
            details={"token": name, "claim": "kid"},
        )
    model = JWSRegistry.algorithms[algorithm]
    try:
        signed, raw = encoded[: len(head) + 1 + len(payload)], _decoded(signature)
        if not any(model.verify(signed, raw, key) for key in candidates):
            raise ProviderError(
                "token_signature_invalid",
                f"{name}: expected a valid signature by the provider's key",
                details={"token": name},
            )
        return dict(header.members), read_object(_decoded(payload))
    except ValueError:
        raise _malformed(name) from None


def is_encrypted(token: str) -> bool:
    """Whether this is the compact form of a JWE, by its five parts (RFC 7516 §9)."""
    return token.count(".") == 4


def decrypt_token(
    token: str,
    keys: ClientKeys,
    *,
    name: str,
    algorithms: Collection[str] = KEY_MANAGEMENT,
    encryptions: Collection[str] = ENCRYPTIONS,
) -> str:
    """What is inside an encrypted token: a signed token, or JSON. That it decrypts says nothing about its sender.

    Raises ``token_too_large``, ``token_malformed``, and ``token_encryption_refused``, one answer for a key that is not
    ours and a ciphertext that is not right.
    """
    if len(token) > MAX_TOKEN:
        raise _too_large(name)
    try:
        encoded = token.encode("ascii")
        parts = encoded.translate(_FROM_URL).split(b".", 5)
        if len(parts) != 5:
            raise _Malformed
        header = _read_header(parts[0])
    except ValueError:
        raise _malformed(name) from None
    encryption = header.members.get("enc")
    if (
        not isinstance(encryption, str)
        or header.algorithm not in KEY_MANAGEMENT.intersection(algorithms)
        or encryption not in ENCRYPTIONS.intersection(encryptions)
        or "zip" in header.members
    ):
        raise _encryption_refused(name, "expected allowed algorithms and no compression")
    _check_members(header, name)
    registry = JWERegistry(algorithms=(header.algorithm, encryption), strict_check_header=False)
    for key in keys.decrypting(header.kid, header.algorithm):
        try:
            return (decrypt_compact(encoded, key, registry=registry).plaintext or b"").decode()
        except _NOT_OURS:
            continue
    raise _encryption_refused(name, "expected one that our private_keys open")


def sign_token(
    claims: Mapping[str, Any],
    key: Key,
    *,
    algorithm: str,
    typ: str,
    kid: str | None = None,
    header: Mapping[str, Any] | None = None,
) -> str:
    """A compact JWS. ``kid`` is the key's own where it is not given, and left out where it is empty.

    ``header`` are further members, as a DPoP proof needs them.
    """
    kid = key.kid if kid is None else kid
    members = {"alg": algorithm, "typ": typ, **({"kid": kid} if kid else {}), **(header or {})}
    signing_input = ".".join(
        b64url(json.dumps(part, separators=(",", ":")).encode()) for part in (members, dict(claims))
    )
    signature = JWSRegistry.algorithms[algorithm].sign(signing_input.encode(), key)
    return f"{signing_input}.{b64url(signature)}"


def claimed_issuer(token: str) -> str:
    """The ``iss`` that a token claims, to find the keys to verify it with; empty where there is none to be read.

    Nothing is verified here: whoever made the token chose it.
    """
    try:
        payload = token.encode("ascii").translate(_FROM_URL).split(b".", 3)[1] if len(token) <= MAX_TOKEN else b""
        issuer = read_object(_decoded(payload)).get("iss")
    except (ValueError, IndexError):
        return ""
    return issuer if isinstance(issuer, str) else ""


def _read_header(segment: bytes) -> _Header:
    """The header in a segment (translated by ``_FROM_URL``), or ``ValueError``."""
    members = read_object(_decoded(segment))
    algorithm, kid, kind = members.get("alg"), members.get("kid"), members.get("typ", "")
    if not isinstance(algorithm, str) or not isinstance(kid, str | None) or not isinstance(kind, str):
        raise _Malformed
    return _Header(algorithm, kid, kind.lower().removeprefix("application/"), members)


_known_header: Final = lru_cache(maxsize=256)(_read_header)


def _check_members(header: _Header, name: str) -> None:
    """Refuse extensions (RFC 7515 §4.1.11, RFC 7797): we know none, so each is one that we do not understand."""
    if "crit" in header.members or "b64" in header.members:
        raise _malformed(name)


def _decoded(segment: bytes) -> bytes:
    """The bytes of a segment (translated by ``_FROM_URL``) in its one spelling, or ``ValueError``."""
    rest = len(segment) % 4
    if rest and segment[-1] not in _ENDINGS[rest]:
        raise _Malformed
    return a2b_base64(segment + b"=="[: -rest % 4], strict_mode=True)


def _malformed(name: str) -> ProviderError:
    return ProviderError(
        "token_malformed", f"{name}: expected a compact JOSE token without extensions", details={"token": name}
    )


def _too_large(name: str) -> ProviderError:
    return ProviderError("token_too_large", f"{name}: expected at most {MAX_TOKEN} characters", details={"token": name})


def _encryption_refused(name: str, expected: str) -> ProviderError:
    return ProviderError("token_encryption_refused", f"{name}: {expected}", details={"token": name})
