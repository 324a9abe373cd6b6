"""Durable records of accounts, linked identities and device keys, and the interface that keeps them."""

from dataclasses import dataclass
from typing import Protocol

from ..identity import Account as Account
from ..identity import Identity


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
        """Delete an account with its identities, devices and browsers; ``False`` if there was none."""
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
