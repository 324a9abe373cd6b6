"""Durable records of accounts, linked identities, device keys and passkeys, and the interface that keeps them."""

from dataclasses import dataclass
from typing import Final, Protocol

from ..identity import Account as Account
from ..identity import Identity

#: Bytes of a credential id (WebAuthn Level 3 §4 "Credential ID"). One index entry of PostgreSQL holds them.
MAX_CREDENTIAL_ID: Final = 1023
#: The signature counter has 32 bits (§6.1).
MAX_SIGN_COUNT: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """An enrolled phone.

    ``id`` is public, ``key_id`` known to the phone alone, ``public_key`` raw Ed25519 (32 bytes).
    """

    id: str
    key_id: bytes
    account_id: str
    public_key: bytes
    label: str
    created_at: float
    last_used_at: float | None = None


@dataclass(frozen=True, slots=True)
class Passkey:
    """A registered WebAuthn credential of an account: its record (Level 3 §4), and a name for its owner.

    ``id`` is public (16 random bytes, base64url), ``credential_id`` (at most 1023 bytes) the authenticator's,
    ``public_key`` a COSE key, ``aaguid`` 16 bytes, ``user_handle`` (at most 64 bytes) what the authenticator was told.
    """

    id: str
    account_id: str
    credential_id: bytes
    public_key: bytes
    sign_count: int
    user_handle: bytes
    transports: tuple[str, ...]
    aaguid: bytes
    label: str
    is_discoverable: bool
    is_backup_eligible: bool
    is_backed_up: bool
    attestation_format: str
    created_at: float
    last_used_at: float | None = None


def is_next_count(sign_count: int, *, expected_sign_count: int) -> bool:
    """Whether an authenticator's counter may follow ``expected_sign_count`` (Level 3 §7.2, step 22).

    It grew, or the authenticator does not count, and both are zero.
    """
    return 0 <= expected_sign_count < sign_count <= MAX_SIGN_COUNT or sign_count == expected_sign_count == 0


class Accounts(Protocol):
    """The verbs; all raise ``UnavailableError`` (``store_unavailable``) when the database is away."""

    async def open(self) -> None:
        """Connect and bring the schema to this version. Idempotent. Refuses a schema newer than it knows."""

    async def close(self) -> None:
        """Release connections. Idempotent."""

    async def get(self, account_id: str) -> Account | None:
        """The account, or ``None``."""
        ...

    async def resolve(self, identity: Identity, *, now: float) -> tuple[Account, bool]:
        """The account of ``identity`` and whether it is new.

        ``identity.account_id`` wins where set (``LookupError`` if no such account); otherwise the account that
        ``(provider, subject)`` is linked to, created together with its link when unknown. Two callers at once get one
        account.
        """
        ...

    async def find(self, provider: str, subject: str) -> Account | None:
        """The account that this identity is linked to, or ``None``."""
        ...

    async def save(self, account: Account) -> None:
        """Write username, e-mail address and roles of an account; ``LookupError`` if there is none with its id."""

    async def delete(self, account_id: str) -> bool:
        """Delete an account with its identities, devices, browsers, passkeys and user handle.

        ``False`` if there was none.
        """
        ...

    async def link(self, account_id: str, provider: str, subject: str, *, now: float) -> bool:
        """Link a further identity; ``False`` when it is linked to another account already."""
        ...

    async def identities(self, account_id: str) -> list[tuple[str, str]]:
        """``(provider, subject)`` pairs linked to the account, oldest first."""
        ...

    async def add_device(self, device: DeviceKey) -> bool:
        """Keep an enrolled key; ``False`` when this public key is enrolled (and not revoked) already, for whomever."""
        ...

    async def device_by_key(self, key_id: bytes) -> DeviceKey | None:
        """The device with this key id unless revoked."""
        ...

    async def devices(self, account_id: str) -> list[DeviceKey]:
        """The account's devices that are not revoked, oldest first."""
        ...

    async def revoke_device(self, account_id: str, device_id: str, *, now: float) -> bool:
        """Revoke for good; ``False`` when this account has no such living device."""
        ...

    async def touch_device(self, device_id: str, *, now: float) -> None:
        """Note the device's last use."""

    async def remember_browser(self, account_id: str, browser_hash: bytes, *, now: float) -> None:
        """Note that this browser (SHA-256 of its cookie) passed a confirmation code for this account."""

    async def knows_browser(self, account_id: str, browser_hash: bytes, *, since: float) -> bool:
        """Whether the browser was remembered for this account at or after ``since``."""
        ...

    async def forget_browsers(self, account_id: str) -> None:
        """Forget all browsers of the account, so that each needs a confirmation code again."""

    async def add_passkey(self, passkey: Passkey) -> bool:
        """Keep a registered credential; ``False`` when its credential id is registered already, for whomever.

        ``LookupError`` if no such account. ``False`` also for an ``id`` in use.
        """
        ...

    async def passkey_by_credential(self, credential_id: bytes) -> Passkey | None:
        """The passkey with this credential id, or ``None``."""
        ...

    async def passkeys(self, account_id: str) -> list[Passkey]:
        """The account's passkeys, oldest first."""
        ...

    async def passkeys_of_name(self, username: str, *, limit: int) -> list[Passkey]:
        """At most ``limit`` passkeys of whoever has this username, to the letter: the oldest account's first.

        A username is no key: several accounts may have it.
        """
        ...

    async def rename_passkey(self, account_id: str, passkey_id: str, label: str) -> bool:
        """Give a passkey another label; ``False`` when this account has no such passkey."""
        ...

    async def remove_passkey(self, account_id: str, passkey_id: str) -> bool:
        """Delete the record of a passkey; ``False`` when this account has no such passkey.

        Its credential id can be registered again: only the authenticator decides what becomes of the private key.
        """
        ...

    async def use_passkey(
        self, passkey_id: str, *, expected_sign_count: int, sign_count: int, is_backed_up: bool, now: float
    ) -> bool:
        """Note a verified assertion, provided that the kept counter is ``expected_sign_count``; else ``False``.

        ``sign_count`` has to be greater, so that of two assertions with one counter one wins; for an authenticator
        that does not count, both are zero, and every use passes. ``False`` also if there is no such passkey (any more).
        """
        ...

    async def user_handle(self, account_id: str) -> bytes:
        """What authenticators know the account by (Level 3 §14.6.1): 32 random bytes, drawn at the first call.

        Two callers at once get the same. ``LookupError`` if no such account.
        """
        ...

    async def account_by_user_handle(self, handle: bytes) -> Account | None:
        """The account that this user handle was drawn for, or ``None``."""
        ...

    async def secret(self, name: str) -> bytes:
        """The secret of this name: 32 random bytes, drawn at the first call, the same for all who share the accounts.

        Two callers at once get the same. It stays as long as the accounts do.
        """
        ...
