"""Credentials that nobody has, shown beside real ones, so that no answer tells whether a name has an account.

WebAuthn Level 3 §14.6.2: who asks with a name is told the credentials of whoever has it. Here every name is told as
many. What an account has is filled up with decoys, and where there is no account, or none with passkeys, there are
decoys alone. They come out of a key of ours and the name, so that they are the same each time. What an assertion by one
is answered with is what a wrong signature by a real credential is.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from .authentication import StoredCredential
from .cose import ES256_X, ES256_Y
from .options import Descriptor

#: Lists have a multiple of this: most people have no more passkeys.
STEP: Final = 4
#: Of so many names one has a list twice as long, so that such a list is no proof of an account.
_LONGER_OF: Final = 16
#: In how many bytes the ids of credentials come; the more usual sizes stand here more often.
_SIZES: Final = (16, 16, 20, 20, 32, 32, 32, 48)
_SECURITY_KEY: Final = 48
#: The base point of P-256 (SEC 2 §2.4.2) as an ES256 key. Anybody can sign with it, so that nobody gets in by it.
_DECOY_KEY: Final = b"".join(
    (
        ES256_X,
        bytes.fromhex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"),
        ES256_Y,
        bytes.fromhex("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"),
    )
)


def with_decoys(known: Sequence[Descriptor], username: str, *, key: bytes) -> tuple[Descriptor, ...]:
    """``known``, the credentials of whoever has this name, filled up with decoys and in an order that tells nothing.

    ``key`` are 32 secret bytes that stay the same.
    """
    name = username.encode()
    least = 2 * STEP if _derive(key, b"length", name, 1)[0] % _LONGER_OF == 0 else STEP
    size = max(least, -(-len(known) // STEP) * STEP)
    # As many are derived whether or not there is room for them, so that the work does not tell of the account.
    decoys = [_decoy(number, name, key) for number in range(size)]
    return tuple(sorted((*known, *decoys[: size - len(known)]), key=lambda each: each.id))


def decoy_credential(credential_id: bytes, *, key: bytes) -> StoredCredential:
    """The record that a decoy would have. Whatever is verified against it, its assertion is to be refused."""
    return StoredCredential(
        credential_id=credential_id,
        public_key=_DECOY_KEY,
        sign_count=0,
        user_handle=_derive(key, b"user", credential_id, 32),
        is_backup_eligible=_is_backup_eligible(credential_id, key),
    )


def _decoy(number: int, name: bytes, key: bytes) -> Descriptor:
    seed = number.to_bytes(2, "big") + name
    size = _SIZES[_derive(key, b"size", seed, 1)[0] % len(_SIZES)]
    credential_id = _derive(key, b"id", seed, size)
    if _is_backup_eligible(credential_id, key):
        return Descriptor(credential_id, ("hybrid", "internal"))
    return Descriptor(credential_id, ("nfc", "usb") if size == _SECURITY_KEY else ("internal",))


def _is_backup_eligible(credential_id: bytes, key: bytes) -> bool:
    """What is copied to other devices has the shorter ids. The answer to a wrong flag must be that of a credential."""
    if len(credential_id) == 32:
        return _derive(key, b"backup", credential_id, 1)[0] & 1 == 1
    return len(credential_id) < 32


def _derive(key: bytes, purpose: bytes, about: bytes, size: int) -> bytes:
    return blake2b(about, key=key, digest_size=size, person=b"decoy " + purpose).digest()
