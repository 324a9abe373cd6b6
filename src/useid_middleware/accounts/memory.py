"""Accounts in dictionaries, gone with the process: for tests and benchmarks."""

from collections.abc import Callable
from dataclasses import replace
from secrets import token_bytes, token_urlsafe

from ..errors import UnavailableError
from ..identity import Identity
from .base import Account, DeviceKey, Passkey
from .columns import check_account, check_text
from .memory_passkeys import MemoryPasskeys


class MemoryAccounts:
    """The :class:`~.base.Accounts` of one process. No verb awaits, so each one is atomic."""

    def __init__(
        self,
        *,
        new_id: Callable[[], str] = lambda: token_urlsafe(16),
        new_user_handle: Callable[[], bytes] = lambda: token_bytes(32),
        new_secret: Callable[[], bytes] = lambda: token_bytes(32),
    ) -> None:
        self._new_id = new_id
        self._new_secret = new_secret
        self._accounts: dict[str, Account] = {}
        self._links: dict[tuple[str, str], str] = {}
        self._links_of: dict[str, list[tuple[float, str, str]]] = {}
        self._devices: dict[str, DeviceKey] = {}
        self._devices_of: dict[str, set[str]] = {}
        self._device_of_key: dict[bytes, str] = {}
        self._public_keys: set[bytes] = set()
        # Ids and key ids are never given twice, not even after a revocation.
        self._spent_ids: set[str] = set()
        self._spent_key_ids: set[bytes] = set()
        self._browsers: dict[str, dict[bytes, float]] = {}
        self._passkeys = MemoryPasskeys(new_user_handle=new_user_handle)
        self._secrets: dict[str, bytes] = {}

    async def open(self) -> None:
        """See :meth:`.base.Accounts.open`. There is nothing to connect."""

    async def close(self) -> None:
        """See :meth:`.base.Accounts.close`. The records stay until the object goes."""

    async def get(self, account_id: str) -> Account | None:
        """See :meth:`.base.Accounts.get`."""
        return self._accounts.get(account_id)

    async def resolve(self, identity: Identity, *, now: float) -> tuple[Account, bool]:
        """See :meth:`.base.Accounts.resolve`."""
        if identity.account_id is not None:
            return self._account(identity.account_id), False
        provider = check_text("provider", identity.provider)
        subject = check_text("subject", identity.subject)
        account_id = self._links.get((provider, subject))
        if account_id is not None:
            return self._accounts[account_id], False
        account = Account(self._new_id(), check_text("username", identity.username or subject), now)
        if account.id in self._accounts:
            raise UnavailableError("store_unavailable", "the id drawn for a new account is taken")
        self._accounts[account.id] = account
        self._links[provider, subject] = account.id
        self._links_of[account.id] = [(now, provider, subject)]
        return account, True

    async def find(self, provider: str, subject: str) -> Account | None:
        """See :meth:`.base.Accounts.find`."""
        account_id = self._links.get((provider, subject))
        return None if account_id is None else self._accounts[account_id]

    async def save(self, account: Account) -> None:
        """See :meth:`.base.Accounts.save`."""
        check_account(account)
        kept = self._account(account.id)
        self._accounts[account.id] = replace(account, created_at=kept.created_at)

    async def delete(self, account_id: str) -> bool:
        """See :meth:`.base.Accounts.delete`."""
        if self._accounts.pop(account_id, None) is None:
            return False
        for _, provider, subject in self._links_of.pop(account_id, []):
            del self._links[provider, subject]
        for device_id in list(self._devices_of.get(account_id, ())):
            await self.revoke_device(account_id, device_id, now=0.0)
        self._browsers.pop(account_id, None)
        self._passkeys.forget(account_id)
        return True

    async def link(self, account_id: str, provider: str, subject: str, *, now: float) -> bool:
        """See :meth:`.base.Accounts.link`. ``True`` again for its own identity; ``LookupError`` if no such account."""
        key = check_text("provider", provider), check_text("subject", subject)
        if key in self._links:
            return self._links[key] == account_id
        self._account(account_id)
        self._links[key] = account_id
        self._links_of[account_id].append((now, *key))
        return True

    async def identities(self, account_id: str) -> list[tuple[str, str]]:
        """See :meth:`.base.Accounts.identities`."""
        return [(provider, subject) for _, provider, subject in sorted(self._links_of.get(account_id, ()))]

    async def add_device(self, device: DeviceKey) -> bool:
        """See :meth:`.base.Accounts.add_device`. ``LookupError`` if no such account; ``False`` also for a used id."""
        check_text("id", device.id)
        check_text("label", device.label, may_be_empty=True)
        if (
            device.public_key in self._public_keys
            or device.id in self._spent_ids
            or device.key_id in self._spent_key_ids
        ):
            return False
        self._account(device.account_id)
        self._spent_ids.add(device.id)
        self._spent_key_ids.add(device.key_id)
        self._devices[device.id] = device
        self._devices_of.setdefault(device.account_id, set()).add(device.id)
        self._device_of_key[device.key_id] = device.id
        self._public_keys.add(device.public_key)
        return True

    async def device_by_key(self, key_id: bytes) -> DeviceKey | None:
        """See :meth:`.base.Accounts.device_by_key`."""
        device_id = self._device_of_key.get(key_id)
        return None if device_id is None else self._devices[device_id]

    async def devices(self, account_id: str) -> list[DeviceKey]:
        """See :meth:`.base.Accounts.devices`."""
        found = [self._devices[device_id] for device_id in self._devices_of.get(account_id, ())]
        return sorted(found, key=lambda device: (device.created_at, device.id))

    async def revoke_device(self, account_id: str, device_id: str, *, now: float) -> bool:
        """See :meth:`.base.Accounts.revoke_device`."""
        device = self._devices.get(device_id)
        if device is None or device.account_id != account_id:
            return False
        del self._devices[device_id]
        del self._device_of_key[device.key_id]
        self._devices_of[account_id].remove(device_id)
        self._public_keys.remove(device.public_key)
        return True

    async def touch_device(self, device_id: str, *, now: float) -> None:
        """See :meth:`.base.Accounts.touch_device`. An earlier time than the one noted changes nothing."""
        device = self._devices.get(device_id)
        if device is not None and (device.last_used_at is None or device.last_used_at < now):
            self._devices[device_id] = replace(device, last_used_at=now)

    async def remember_browser(self, account_id: str, browser_hash: bytes, *, now: float) -> None:
        """See :meth:`.base.Accounts.remember_browser`. ``LookupError`` if no such account."""
        self._account(account_id)
        browsers = self._browsers.setdefault(account_id, {})
        browsers[browser_hash] = max(now, browsers.get(browser_hash, now))

    async def knows_browser(self, account_id: str, browser_hash: bytes, *, since: float) -> bool:
        """See :meth:`.base.Accounts.knows_browser`."""
        remembered_at = self._browsers.get(account_id, {}).get(browser_hash)
        return remembered_at is not None and remembered_at >= since

    async def forget_browsers(self, account_id: str) -> None:
        """See :meth:`.base.Accounts.forget_browsers`."""
        self._browsers.pop(account_id, None)

    async def add_passkey(self, passkey: Passkey) -> bool:
        """See :meth:`.base.Accounts.add_passkey`."""
        return self._passkeys.add(passkey, has_account=passkey.account_id in self._accounts)

    async def passkey_by_credential(self, credential_id: bytes) -> Passkey | None:
        """See :meth:`.base.Accounts.passkey_by_credential`."""
        return self._passkeys.by_credential(credential_id)

    async def passkeys(self, account_id: str) -> list[Passkey]:
        """See :meth:`.base.Accounts.passkeys`."""
        return self._passkeys.of(account_id)

    async def passkeys_of_name(self, username: str, *, limit: int) -> list[Passkey]:
        """See :meth:`.base.Accounts.passkeys_of_name`."""
        named = [account for account in self._accounts.values() if account.username == username]
        named.sort(key=lambda account: (account.created_at, account.id))
        return [passkey for account in named for passkey in self._passkeys.of(account.id)][:limit]

    async def rename_passkey(self, account_id: str, passkey_id: str, label: str) -> bool:
        """See :meth:`.base.Accounts.rename_passkey`."""
        return self._passkeys.rename(account_id, passkey_id, label)

    async def remove_passkey(self, account_id: str, passkey_id: str) -> bool:
        """See :meth:`.base.Accounts.remove_passkey`."""
        return self._passkeys.remove(account_id, passkey_id)

    async def use_passkey(
        self, passkey_id: str, *, expected_sign_count: int, sign_count: int, is_backed_up: bool, now: float
    ) -> bool:
        """See :meth:`.base.Accounts.use_passkey`. The last use never goes back."""
        return self._passkeys.use(
            passkey_id,
            expected_sign_count=expected_sign_count,
            sign_count=sign_count,
            is_backed_up=is_backed_up,
            now=now,
        )

    async def user_handle(self, account_id: str) -> bytes:
        """See :meth:`.base.Accounts.user_handle`."""
        return self._passkeys.user_handle(self._account(account_id).id)

    async def account_by_user_handle(self, handle: bytes) -> Account | None:
        """See :meth:`.base.Accounts.account_by_user_handle`."""
        account_id = self._passkeys.account_by_user_handle(handle)
        return None if account_id is None else self._accounts[account_id]

    async def secret(self, name: str) -> bytes:
        """See :meth:`.base.Accounts.secret`."""
        key = check_text("name", name)
        if key not in self._secrets:
            self._secrets[key] = self._new_secret()
        return self._secrets[key]

    def _account(self, account_id: str) -> Account:
        account = self._accounts.get(account_id)
        if account is None:
            raise LookupError("no such account")
        return account
