"""The provider's own keys: made when first needed, published as a JWK Set (RFC 7517 §5), rotated on request."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from joserfc.jwk import ECKey, OKPKey, RSAKey

from ..._codec import encode_json
from . import jose

KeyPair: TypeAlias = RSAKey | ECKey | OKPKey


class Kid(Enum):
    """What a token's header says of its key."""

    OWN = "own"
    ABSENT = "absent"
    RANDOM = "random"


class Rotation(Enum):
    """When the provider's keys change, seen from the signing of one token."""

    NONE = "none"
    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A token about to be signed. Every member is something that a fault may change.

    ``typ`` empty: no such header. ``secret`` signs in the place of the client's secret. ``is_foreign``: a key that
    is not published signs under the ``kid`` of the published one.
    """

    claims: dict[str, Any]
    alg: str
    typ: str = "JWT"
    kid: Kid = Kid.OWN
    secret: bytes | None = None
    is_foreign: bool = False
    is_corrupt: bool = False
    rotation: Rotation = Rotation.NONE


def new_rsa_key() -> RSAKey:
    """A 2048-bit key, which takes the better part of a second on a slow machine."""
    return RSAKey.generate_key(2048)


_NEW: Final[dict[str, Callable[[], KeyPair]]] = {
    "EC": lambda: ECKey.generate_key("P-256"),
    "OKP": lambda: OKPKey.generate_key("Ed25519"),
}


class Keys:
    """One signing key for each key type, one key for what is encrypted for the provider, and those that went before."""

    def __init__(self, *, make_rsa_key: Callable[[], RSAKey] = new_rsa_key) -> None:
        self._new: dict[str, Callable[[], KeyPair]] = {**_NEW, "RSA": make_rsa_key}
        self._signing: dict[str, KeyPair] = {}
        self._foreign: dict[str, list[KeyPair]] = {}
        self._retired: list[KeyPair] = []
        self._encryption: KeyPair | None = None

    def signing_key(self, alg: str) -> KeyPair:
        """The key that signs with ``alg``."""
        kty = jose.key_type(alg)
        if kty not in self._signing:
            self._signing[kty] = self._make(kty)
        return self._signing[kty]

    def foreign_key(self, alg: str, number: int = 0) -> KeyPair:
        """A key of the right type that is never the provider's own."""
        keys = self._foreign.setdefault(jose.key_type(alg), [])
        while len(keys) <= number:
            keys.append(self._make(jose.key_type(alg)))
        return keys[number]

    def encryption_key(self) -> KeyPair:
        """The key that request objects are encrypted for."""
        if self._encryption is None:
            self._encryption = self._make("EC")
        return self._encryption

    def published(self) -> list[dict[str, Any]]:
        """The public keys in use."""
        signing = [self.signing_key(alg) for alg in ("RS256", "ES256", "Ed25519")]
        keys = [public_jwk(key) for key in signing]
        return [*keys, {**public_jwk(self.encryption_key()), "use": "enc"}]

    def known(self) -> list[dict[str, Any]]:
        """The public keys that ever signed: those of an ``id_token_hint`` may be retired by now."""
        return [public_jwk(key) for key in (*self._signing.values(), *self._retired)]

    def rotate(self) -> None:
        """Retire the signing keys. The next ones are made when they are needed."""
        self._retired += self._signing.values()
        self._signing = {}

    def sign(self, unsigned: Unsigned, *, client_secret: str, random_kid: str) -> str:
        """The compact JWS of ``unsigned``."""
        if unsigned.rotation is Rotation.BEFORE:
            self.rotate()
        header: dict[str, Any] = {"alg": unsigned.alg}
        if unsigned.typ:
            header["typ"] = unsigned.typ
        key: KeyPair | bytes | None = None
        if unsigned.alg in jose.SYMMETRIC:
            key = client_secret.encode() if unsigned.secret is None else unsigned.secret
        elif unsigned.alg != "none":
            key = self.signing_key(unsigned.alg)
            if unsigned.kid is Kid.RANDOM:
                header["kid"] = random_kid
            elif unsigned.kid is Kid.OWN:
                header["kid"] = key.kid
            if unsigned.is_foreign:
                key = self.foreign_key(unsigned.alg)
        token = jose.sign(header, encode_json(unsigned.claims), key, is_corrupt=unsigned.is_corrupt)
        if unsigned.rotation is Rotation.AFTER:
            self.rotate()
        return token

    def _make(self, kty: str) -> KeyPair:
        key = self._new[kty]()
        key.ensure_kid()
        return key


def public_jwk(key: KeyPair) -> dict[str, Any]:
    """The published form of a signing key."""
    return dict(key.as_dict(private=False, use="sig"))
