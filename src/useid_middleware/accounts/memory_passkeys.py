"""The passkeys of :class:`~.memory.MemoryAccounts`, and the user handles that go with them."""

from collections.abc import Callable
from dataclasses import replace

from ..errors import UnavailableError
from .base import Passkey, is_next_count
from .columns import check_passkey, check_text


class MemoryPasskeys:
    """No verb awaits, so each one is atomic. Which accounts there are its owner knows."""

    def __init__(self, *, new_user_handle: Callable[[], bytes]) -> None:
        self._new_user_handle = new_user_handle
        self._passkeys: dict[str, Passkey] = {}
        self._passkey_of_credential: dict[bytes, str] = {}
        self._passkeys_of: dict[str, set[str]] = {}
        self._handles: dict[str, bytes] = {}
        self._account_of_handle: dict[bytes, str] = {}

    def add(self, passkey: Passkey, *, has_account: bool) -> bool:
        """See :meth:`.base.Accounts.add_passkey`."""
        check_passkey(passkey)
        if passkey.credential_id in self._passkey_of_credential or passkey.id in self._passkeys:
            return False
        if not has_account:
            raise LookupError("no such account")
        self._passkeys[passkey.id] = passkey
        self._passkey_of_credential[passkey.credential_id] = passkey.id
        self._passkeys_of.setdefault(passkey.account_id, set()).add(passkey.id)
        return True

    def by_credential(self, credential_id: bytes) -> Passkey | None:
        """See :meth:`.base.Accounts.passkey_by_credential`."""
        passkey_id = self._passkey_of_credential.get(credential_id)
        return None if passkey_id is None else self._passkeys[passkey_id]

    def of(self, account_id: str) -> list[Passkey]:
        """See :meth:`.base.Accounts.passkeys`."""
        found = [self._passkeys[passkey_id] for passkey_id in self._passkeys_of.get(account_id, ())]
        return sorted(found, key=lambda passkey: (passkey.created_at, passkey.id))

    def rename(self, account_id: str, passkey_id: str, label: str) -> bool:
        """See :meth:`.base.Accounts.rename_passkey`."""
        check_text("label", label, may_be_empty=True)
        if passkey_id not in self._passkeys_of.get(account_id, ()):
            return False
        self._passkeys[passkey_id] = replace(self._passkeys[passkey_id], label=label)
        return True

    def remove(self, account_id: str, passkey_id: str) -> bool:
        """See :meth:`.base.Accounts.remove_passkey`."""
        if passkey_id not in self._passkeys_of.get(account_id, ()):
            return False
        self._passkeys_of[account_id].remove(passkey_id)
        del self._passkey_of_credential[self._passkeys.pop(passkey_id).credential_id]
        return True

    def use(
        self, passkey_id: str, *, expected_sign_count: int, sign_count: int, is_backed_up: bool, now: float
    ) -> bool:
        """See :meth:`.base.Accounts.use_passkey`."""
        passkey = self._passkeys.get(passkey_id)
        if (
            passkey is None
            or passkey.sign_count != expected_sign_count
            or not is_next_count(sign_count, expected_sign_count=expected_sign_count)
        ):
            return False
        last_used_at = now if passkey.last_used_at is None else max(now, passkey.last_used_at)
        self._passkeys[passkey_id] = replace(
            passkey, sign_count=sign_count, is_backed_up=is_backed_up, last_used_at=last_used_at
        )
        return True

    def user_handle(self, account_id: str) -> bytes:
        """See :meth:`.base.Accounts.user_handle`, of an account that there is."""
        if account_id not in self._handles:
            drawn = self._new_user_handle()
            if drawn in self._account_of_handle:
                raise UnavailableError("store_unavailable", "the user handle drawn for an account is taken")
            self._handles[account_id] = drawn
            self._account_of_handle[drawn] = account_id
        return self._handles[account_id]

    def account_by_user_handle(self, handle: bytes) -> str | None:
        """The account's id: see :meth:`.base.Accounts.account_by_user_handle`."""
        return self._account_of_handle.get(handle)

    def forget(self, account_id: str) -> None:
        """Delete what belongs to an account that goes."""
        for passkey_id in list(self._passkeys_of.pop(account_id, ())):
            del self._passkey_of_credential[self._passkeys.pop(passkey_id).credential_id]
        handle = self._handles.pop(account_id, None)
        if handle is not None:
            del self._account_of_handle[handle]
