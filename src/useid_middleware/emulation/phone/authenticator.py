"""The phone's authenticator, in software: it makes credentials and signs with them (WebAuthn Level 3 §6).

Everything of a credential comes out of one secret of 32 bytes: its id, its private key, the key of its PRF. So all
chance is an argument, signatures are deterministic, and a ceremony replays byte for byte. What the authenticator keeps
are :class:`CredentialSource` values; storing them is the caller's.

What is refused has the class of the browser's exception and a code of its own::

    RequestError
    └── AuthenticatorError
        ├── NotAllowed          the user did not confirm, or there is no credential to sign with
        ├── InvalidState        there is a credential already, and the server does not want another one here
        ├── NotSupported        an algorithm or extension that we do not have
        ├── SecurityRefused     the page has nothing to do with the rp id
        └── MalformedOptions    the server's options are not what the specification says
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from hmac import digest
from struct import pack
from typing import Any, Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fido2 import cbor
from fido2.cose import CoseKey

from ...errors import RequestError
from ...webauthn.core.authenticator_data import Flags
from ...webauthn.core.cose import Algorithm
from ...webauthn.core.options import User

#: What we can sign with.
ALGORITHMS: Final = (Algorithm.ES256, Algorithm.EDDSA)
#: The model of this authenticator, by which a server recognises the emulation (§6.5.1).
AAGUID: Final = bytes.fromhex("7a6d1c5e2b0f4c7f9d64e1a3b5c80f29")
SECRET_SIZE: Final = 32
MAX_SIGN_COUNT: Final = 0xFFFFFFFF
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class AuthenticatorError(RequestError):
    """The authenticator, or the browser around it, did not do what it was asked for."""


class NotAllowed(AuthenticatorError):
    """``NotAllowedError``."""


class InvalidState(AuthenticatorError):
    """``InvalidStateError``."""


class NotSupported(AuthenticatorError):
    """``NotSupportedError``."""


class SecurityRefused(AuthenticatorError):
    """``SecurityError``."""


class MalformedOptions(AuthenticatorError):
    """``TypeError`` and ``SyntaxError``."""


class Gesture(StrEnum):
    """What the user did when asked: nothing (or no), touched, or proved to be the owner (§6.2.3)."""

    NONE = "none"
    PRESENCE = "presence"
    VERIFICATION = "verification"


@dataclass(frozen=True, slots=True)
class CredentialSource:
    """A public key credential source (§4). Only :func:`make_credential` and the key file make one.

    ``secret`` is 32 random bytes. ``created_at`` is in Unix seconds. A credential that is not discoverable is used only
    where the server names it, and says no user handle.
    """

    rp_id: str
    user_handle: bytes
    user_name: str
    user_display_name: str
    algorithm: int
    sign_count: int
    is_discoverable: bool
    created_at: int
    secret: bytes = field(repr=False)

    @property
    def id(self) -> bytes:
        """The credential id, 32 bytes."""
        return _derive(self.secret, "id", 32)

    @property
    def cose_key(self) -> bytes:
        """The public key as an encoded COSE key."""
        return cbor.encode(CoseKey.for_alg(self.algorithm).from_cryptography_key(self._key.public_key()))

    @property
    def public_key(self) -> bytes:
        """The public key as a DER ``SubjectPublicKeyInfo``."""
        return self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message: bytes) -> bytes:
        """A signature as §6.5.5 wants it."""
        key = self._key
        # As in RFC 6979, so that no chance comes in by the signature.
        return (
            key.sign(message, ECDSA(SHA256(), deterministic_signing=True))
            if isinstance(key, EllipticCurvePrivateKey)
            else key.sign(message)
        )

    def hmac_secrets(self, salts: Iterable[bytes]) -> tuple[bytes, ...]:
        """What ``hmac-secret`` makes of the salts when the user was verified (CTAP 2.1 §12.5)."""
        return hmac_secrets(_derive(self.secret, "prf", 32), salts)

    @property
    def _key(self) -> EllipticCurvePrivateKey | Ed25519PrivateKey:
        if self.algorithm == Algorithm.EDDSA:
            return Ed25519PrivateKey.from_private_bytes(_derive(self.secret, "EdDSA", 32))
        # 64 bits more than the order has, so that no scalar is likelier than another (FIPS 186-5 §A.2.1).
        scalar = int.from_bytes(_derive(self.secret, "ES256", 40), "big") % (_P256_ORDER - 1) + 1
        return derive_private_key(scalar, SECP256R1())


Sources: TypeAlias = tuple[CredentialSource, ...]


@dataclass(frozen=True, slots=True)
class MadeCredential:
    """A new credential, to be kept before its attestation object is sent."""

    source: CredentialSource
    authenticator_data: bytes
    attestation_object: bytes


@dataclass(frozen=True, slots=True)
class Assertion:
    """A signature. ``source`` has the counter advanced, to be kept before the signature is sent.

    ``user_handle`` is empty where the credential is not discoverable; ``secrets`` are one for each salt.
    """

    source: CredentialSource
    authenticator_data: bytes
    signature: bytes
    user_handle: bytes
    secrets: tuple[bytes, ...]


def make_credential(
    sources: Sources,
    *,
    rp_id: str,
    user: User,
    client_data_hash: bytes,
    algorithms: Collection[int],
    exclude: Collection[bytes] = (),
    is_discoverable: bool = False,
    requires_verification: bool = True,
    attests: bool = False,
    with_prf: bool = False,
    gesture: Gesture,
    secret: bytes,
    now: float,
) -> MadeCredential:
    """A new credential (§6.3.2, ``authenticatorMakeCredential``); ``secret`` are 32 random bytes that are used once.

    ``algorithms`` are what the server takes, best first. ``attests`` asks for self attestation (``packed``, §8.2)
    instead of none. Raises ``authenticator_algorithm_unsupported``, ``authenticator_not_confirmed``,
    ``authenticator_not_verified`` and ``authenticator_credential_excluded``, the last only after the user confirmed.
    """
    if len(secret) != SECRET_SIZE:
        raise ValueError(f"secret: expected {SECRET_SIZE} bytes")
    algorithm = next((each for each in algorithms if each in ALGORITHMS), None)
    if algorithm is None:
        raise NotSupported(
            "authenticator_algorithm_unsupported", "pubKeyCredParams: expected ES256 or EdDSA among them"
        )
    flags = _check_gesture(gesture, requires_verification) | Flags.AT
    if any(source.rp_id == rp_id and source.id in exclude for source in sources):
        raise InvalidState(
            "authenticator_credential_excluded", "excludeCredentials: this phone holds a credential for the account"
        )
    source = CredentialSource(
        rp_id=rp_id,
        user_handle=user.id,
        user_name=user.name,
        user_display_name=user.display_name,
        algorithm=int(algorithm),
        sign_count=0,
        is_discoverable=is_discoverable,
        created_at=int(now),
        secret=secret,
    )
    data = _authenticator_data(source, flags, {"hmac-secret": True} if with_prf else {})
    statement: dict[str, Any] = {}
    if attests:
        statement = {"alg": source.algorithm, "sig": source.sign(data + client_data_hash)}
    attested = {"fmt": "packed" if attests else "none", "attStmt": statement, "authData": data}
    return MadeCredential(source, data, cbor.encode(attested))


def find_credentials(sources: Sources, *, rp_id: str, allow: Collection[bytes] = ()) -> Sources:
    """What there is to sign with for this rp id, newest first (§6.3.3 step 4).

    Without ``allow`` only discoverable credentials are found, with it those it names.
    """
    found = [
        source
        for source in sources
        if source.rp_id == rp_id and (source.id in allow if allow else source.is_discoverable)
    ]
    # Of those of one second, the one that was kept last comes first.
    return tuple(sorted(found, key=lambda source: source.created_at)[::-1])


def get_assertion(
    source: CredentialSource,
    *,
    client_data_hash: bytes,
    requires_verification: bool = True,
    salts: Collection[bytes] = (),
    gesture: Gesture,
) -> Assertion:
    """A signature by this credential (§6.3.3, ``authenticatorGetAssertion``), for the rp id that it was made for.

    ``salts`` of ``hmac-secret`` demand that the user is verified (§10.1.4). Their outputs are given beside the
    authenticator data, since no CTAP channel lies between for which they would be encrypted. Raises
    ``authenticator_not_confirmed``, ``authenticator_not_verified``.
    """
    flags = _check_gesture(gesture, requires_verification or bool(salts))
    advanced = replace(source, sign_count=min(source.sign_count + 1, MAX_SIGN_COUNT))
    data = _authenticator_data(advanced, flags)
    return Assertion(
        advanced,
        data,
        advanced.sign(data + client_data_hash),
        source.user_handle if source.is_discoverable else b"",
        source.hmac_secrets(salts),
    )


def keep(sources: Sources, source: CredentialSource) -> Sources:
    """``sources`` with this one, in place of its own former state.

    A new discoverable credential also takes the place of the account's former one (§6.3.2 step 7).
    """

    def is_replaced(old: CredentialSource) -> bool:
        same_account = (old.rp_id, old.user_handle) == (source.rp_id, source.user_handle)
        return old.secret == source.secret or (same_account and old.is_discoverable and source.is_discoverable)

    return (*(old for old in sources if not is_replaced(old)), source)


def hmac_secrets(cred_random: bytes, salts: Iterable[bytes]) -> tuple[bytes, ...]:
    """``HMAC-SHA-256(CredRandom, salt)`` for each salt (CTAP 2.1 §12.5)."""
    return tuple(digest(cred_random, salt, "sha256") for salt in salts)


def _check_gesture(gesture: Gesture, requires_verification: bool) -> Flags:
    if gesture is Gesture.NONE:
        raise NotAllowed("authenticator_not_confirmed", "the user did not confirm; nothing was signed")
    if gesture is Gesture.VERIFICATION:
        return Flags.UP | Flags.UV
    if requires_verification:
        raise NotAllowed("authenticator_not_verified", "expected a user who proved to be the owner; nothing was signed")
    return Flags.UP


def _authenticator_data(source: CredentialSource, flags: Flags, extensions: dict[str, Any] | None = None) -> bytes:
    """§6.1, with attested credential data (§6.5.1) where the flags say so."""
    if extensions:
        flags |= Flags.ED
    data = sha256(source.rp_id.encode()).digest() + pack(">BI", flags, source.sign_count)
    if Flags.AT in flags:
        data += AAGUID + pack(">H", len(source.id)) + source.id + source.cose_key
    return data + cbor.encode(extensions) if extensions else data


def _derive(secret: bytes, purpose: str, size: int) -> bytes:
    return HKDFExpand(SHA256(), size, f"useid-middleware/phone/authenticator/v1/{purpose}".encode()).derive(secret)
