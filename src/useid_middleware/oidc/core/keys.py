"""Keys: a provider's public ones (RFC 7517), our client's private ones, and a client secret used as one."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key, OctKey, OKPKey, RSAKey
from joserfc.util import base64_to_int

from ...errors import ConfigurationError, ProviderError
from .strict_json import JSONRefused, read_object

MAX_DOCUMENT: Final = 256 * 1024
MAX_KEYS: Final = 100
#: Keys tried for one token that does not name its key, or whose key's name is not unique.
MAX_CANDIDATES: Final = 10

_RSA_BITS: Final = range(2048, 8193)
_RSA: Final = ("PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
_EDDSA: Final = ("EdDSA", "Ed25519")
#: The signature algorithms of a key, by type and curve (RFC 7518 §3.1, RFC 8037, RFC 9864). The first is our default.
_SIGNATURES: Final[Mapping[tuple[str, str], Sequence[str]]] = {
    ("RSA", ""): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): _EDDSA,
}
#: A client secret of so many bytes is long enough for the algorithm (RFC 7518 §3.2).
_MAC_SIZES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
#: Every signature algorithm we verify, if the caller allows it. ``none`` is not among them.
SIGNATURE_ALGORITHMS: Final = frozenset(_MAC_SIZES).union(*_SIGNATURES.values())

_PUBLIC: Final = ("kty", "crv", "x", "y", "n", "e", "kid", "use", "alg", "key_ops")
_PRIVATE: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_UNREADABLE: Final = (JoseError, UnsupportedAlgorithm, ValueError, KeyError, TypeError)
_PEM: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)


class KeySet:
    """The public keys of a provider, immutable, parsed once."""

    __slots__ = ("_candidates", "_keys", "_secret")

    def __init__(self, keys: Iterable[Key] = (), *, secret: Mapping[str, Key] | None = None) -> None:
        self._keys = tuple(keys)
        self._secret = dict(secret or {})
        found: dict[tuple[str | None, str], list[Key]] = {}
        for key in self._keys:
            key.get_op_key("verify")  # Made and kept now, so that the first token does not wait for it.
            for algorithm in _signatures_of(key):
                found.setdefault((None, algorithm), []).append(key)
                if key.kid is not None:
                    found.setdefault((key.kid, algorithm), []).append(key)
        self._candidates = {name: tuple(each[:MAX_CANDIDATES]) for name, each in found.items()}

    @classmethod
    def parse(cls, document: bytes) -> "KeySet":
        """A JWK Set (RFC 7517 §5), or ``jwks_invalid``.

        Keys that no token of ours could be verified with are left out, as the RFC says: of unknown types, symmetric
        ones, those for encryption, RSA below 2048 bits, what does not parse. So are keys that come with their private
        part: with them, everybody can sign.
        """
        try:
            entries = read_object(document)["keys"] if len(document) <= MAX_DOCUMENT else None
        except (JSONRefused, KeyError):
            entries = None
        if not isinstance(entries, list) or len(entries) > MAX_KEYS:
            raise ProviderError(
                "jwks_invalid", f"jwks: expected a JWK Set of at most {MAX_KEYS} keys in {MAX_DOCUMENT} bytes"
            )
        return cls(key for key in map(_read_public, entries) if key is not None)

    @classmethod
    def of_secret(cls, client_secret: str) -> "KeySet":
        """The client secret as the key of HS256 and its like (OpenID Connect Core §10.1).

        It serves the algorithms that it is long enough for; ``ConfigurationError`` where that is none.
        """
        raw = client_secret.encode()
        key = OctKey(raw, raw)
        secret: dict[str, Key] = {name: key for name, size in _MAC_SIZES.items() if len(raw) >= size}
        if not secret:
            raise ConfigurationError("client_secret must have at least 32 bytes where algorithms allow HS256")
        return cls(secret=secret)

    def joined(self, other: "KeySet") -> "KeySet":
        """The keys of both."""
        return KeySet((*self._keys, *other._keys), secret={**self._secret, **other._secret})

    def candidates(self, *, kid: str | None, algorithm: str) -> Sequence[Key]:
        """The keys to try for a token: those of that name, or all that fit where it names none; at most ten.

        A client secret has no name of its own, so it answers to any.
        """
        found: Sequence[Key] = self._candidates.get((kid, algorithm), ())
        if algorithm in self._secret:
            return (*found, self._secret[algorithm])
        return found

    @property
    def fingerprints(self) -> frozenset[tuple[str, str, str]]:
        """Name, algorithm and thumbprint (RFC 7638) of each public key: what a changed document changes."""
        return frozenset((key.kid or "", key.alg or "", key.thumbprint()) for key in self._keys)

    def __len__(self) -> int:
        return len(self._keys) + bool(self._secret)


class ClientKeys:
    """Our own private keys, by which we sign requests and open what is encrypted for us."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = tuple(keys)
        for key in self._keys:
            key.ensure_kid()

    @classmethod
    def parse(cls, document: bytes) -> "ClientKeys":
        """A JWK Set, one JWK, or private keys in PEM without a password.

        A key without ``kid`` is named by its thumbprint. ``ConfigurationError`` says which key is wrong and why, and
        nothing of its content.
        """
        if b"-----BEGIN " in document:
            keys = [_read_pem(block.group()) for block in _PEM.finditer(document)]
            if not keys:
                raise ConfigurationError("private_keys: expected whole PEM blocks")
            return cls(keys)
        try:
            value = read_object(document)
        except JSONRefused as error:
            raise ConfigurationError(f"private_keys: expected PEM, a JWK or a JWK Set: {error}") from None
        entries = value.get("keys", [value])
        if not isinstance(entries, list) or not entries:
            raise ConfigurationError("private_keys: expected a JWK Set with at least one key")
        return cls(_read_private(entry, number) for number, entry in enumerate(entries, 1))

    def signing(self, algorithm: str | None = None) -> tuple[Key, str]:
        """The first key that can sign with ``algorithm``, and the algorithm.

        With ``None`` the first key that can sign at all, with its own ``alg``, or else PS256 for RSA, EdDSA for
        Ed25519, and the one of its curve for EC.
        """
        for key in self._keys:
            possible = _signatures_of(key, operation="sign")
            if possible and algorithm is None:
                return key, key.alg or possible[0]
            if algorithm in possible:
                assert algorithm is not None
                return key, algorithm
        raise ConfigurationError(f"private_keys: expected a key that signs{f' with {algorithm}' if algorithm else ''}")

    def decrypting(self, kid: str | None, algorithm: str) -> Sequence[Key]:
        """The keys that a JWE with this key management ``algorithm`` may be for: the one named, or all that fit."""
        types = ("RSA",) if algorithm.startswith("RSA") else ("EC", "OKP")
        return [
            key
            for key in self._keys
            if key.key_type in types
            and (key.key_type != "OKP" or key["crv"] in ("X25519", "X448"))
            and (kid is None or key.kid == kid)
            and key.get("use") in (None, "enc")
            and key.alg in (None, algorithm)
        ][:MAX_CANDIDATES]

    def public_jwks(self) -> dict[str, Any]:
        """What the provider may know of the keys, as a JWK Set to register or publish."""
        public = ("kty", "crv", "x", "y", "n", "e", "kid", "use", "alg")
        return {"keys": [{name: key[name] for name in public if key.get(name) is not None} for key in self._keys]}


def _signatures_of(key: Key, *, operation: str = "verify") -> Sequence[str]:
    """The algorithms that this key may sign or verify with: by its type, and by what it says of itself."""
    operations = key.get("key_ops")
    if key.get("use") == "enc" or (operations is not None and operation not in operations):
        return ()
    algorithms = _SIGNATURES.get((key.key_type, str(key.get("crv", ""))), ())
    if key.alg is None:
        return algorithms
    # Ed25519 has an old name and a new one (RFC 9864).
    meant = _EDDSA if key.alg in _EDDSA else (key.alg,)
    return tuple(each for each in algorithms if each in meant)


def _read_public(entry: object) -> Key | None:
    """One key of a provider, or ``None`` where it is none that we use."""
    if not isinstance(entry, dict) or any(member in entry for member in _PRIVATE):
        return None
    try:
        key = _imported({name: entry[name] for name in _PUBLIC if name in entry})
    except _UNREADABLE:
        return None
    return key if _signatures_of(key) else None


def _read_private(entry: object, number: int) -> Key:
    if not isinstance(entry, dict) or entry.get("kty") not in ("RSA", "EC", "OKP") or "d" not in entry:
        raise ConfigurationError(f"private_keys: key {number}: expected a private JWK of type RSA, EC or OKP")
    try:
        key = _imported(entry)
    except _UNREADABLE:
        raise ConfigurationError(
            f"private_keys: key {number}: expected a valid JWK; RSA keys have 2048 to 8192 bits"
        ) from None
    return key


def _read_pem(block: bytes) -> Key:
    try:
        raw = load_pem_private_key(block, password=None)
        if isinstance(raw, RSAPrivateKey) and raw.key_size not in _RSA_BITS:
            raise ValueError
        for kind in (RSAKey, ECKey, OKPKey):
            if kind.binding.check_cryptography_key(raw):
                key: Key = kind.import_key(raw)  # type: ignore[arg-type]
                _ = key.dict_value  # An elliptic curve that JOSE has no name for fails here.
                return key
    except _UNREADABLE:
        pass
    raise ConfigurationError(
        "private_keys: expected PEM of RSA keys with 2048 to 8192 bits, of EC or Ed25519 keys, without a password"
    )


def _imported(entry: dict[str, Any]) -> Key:
    """The key, or one of ``_UNREADABLE``; without the library's warnings, for what it warns of is refused before."""
    if entry.get("kty") == "RSA":
        bits = base64_to_int(entry["n"]).bit_length()
        if bits not in _RSA_BITS or base64_to_int(entry["e"]).bit_length() > 64:
            raise ValueError("RSA key size")
    elif entry.get("kty") not in ("EC", "OKP"):
        raise ValueError("key type")
    return JWKRegistry.import_key(entry)
