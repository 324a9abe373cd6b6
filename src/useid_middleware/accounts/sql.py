"""Accounts in SQLite (aiosqlite) or PostgreSQL (asyncpg), by SQLAlchemy Core: the verbs and their statements."""

from collections.abc import Callable, Sequence
from secrets import token_bytes, token_urlsafe
from typing import Any

from sqlalchemy import bindparam as bind
from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ..identity import Identity
from .base import Account, DeviceKey, Passkey
from .columns import as_id, check_account, check_text
from .database import Database
from .schema import MIGRATIONS, Migration, accounts, browsers, device_keys, identities, secrets
from .sql_passkeys import SqlPasskeys, account_of


class SqlAccounts:
    """The :class:`~.base.Accounts` of a database.

    An object serves one event loop at a time. ``open()`` in another loop moves it there, also when the first is gone.
    """

    def __init__(
        self,
        url: str,
        *,
        new_id: Callable[[], str] = lambda: token_urlsafe(16),
        new_user_handle: Callable[[], bytes] = lambda: token_bytes(32),
        new_secret: Callable[[], bytes] = lambda: token_bytes(32),
        lock_timeout: float = 5.0,
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> None:
        self._database = Database(url, lock_timeout=lock_timeout, migrations=migrations)
        self._rows, self._write = self._database.rows, self._database.write
        self._statements = _Statements(self._database.backend)
        self._passkeys = SqlPasskeys(self._database, new_user_handle=new_user_handle)
        self._new_id = new_id
        self._new_secret = new_secret

    async def open(self) -> None:
        """See :meth:`.base.Accounts.open`. A new SQLite file is readable by its owner alone.

        Raises ``ConfigurationError`` if the SQLite file cannot be opened for writing or the schema is newer than ours.
        """
        await self._database.open()

    async def close(self) -> None:
        """See :meth:`.base.Accounts.close`."""
        await self._database.close()

    async def get(self, account_id: str) -> Account | None:
        """See :meth:`.base.Accounts.get`."""
        return account_of(await self._rows(self._statements.account, account_id=as_id(account_id)))

    async def resolve(self, identity: Identity, *, now: float) -> tuple[Account, bool]:
        """See :meth:`.base.Accounts.resolve`."""
        if identity.account_id is not None:
            account = await self.get(identity.account_id)
            if account is None:
                raise LookupError("no such account")
            return account, False
        provider = check_text("provider", identity.provider)
        subject = check_text("subject", identity.subject)
        while (account := await self._linked_account(provider, subject)) is None:
            username = check_text("username", identity.username or subject)
            account = Account(self._new_id(), username, now)
            if await self._create(account, provider, subject):
                return account, True
        return account, False

    async def find(self, provider: str, subject: str) -> Account | None:
        """See :meth:`.base.Accounts.find`."""
        return await self._linked_account(as_id(provider), as_id(subject))

    async def save(self, account: Account) -> None:
        """See :meth:`.base.Accounts.save`."""
        username, email, roles = check_account(account)
        values = {"account": as_id(account.id), "new_username": username, "new_email": email, "new_roles": roles}
        if not await self._write(self._statements.save_account, **values):
            raise LookupError("no such account")

    async def delete(self, account_id: str) -> bool:
        """See :meth:`.base.Accounts.delete`."""
        return await self._write(self._statements.delete_account, account=as_id(account_id)) > 0

    async def link(self, account_id: str, provider: str, subject: str, *, now: float) -> bool:
        """See :meth:`.base.Accounts.link`. ``True`` again for its own identity; ``LookupError`` if no such account."""
        values = {"provider": check_text("provider", provider), "subject": check_text("subject", subject)}
        if await self._write(self._statements.add_identity, **values, account_id=as_id(account_id), linked_at=now):
            return True
        owner = await self._linked_account(provider, subject)
        return owner is not None and owner.id == account_id

    async def identities(self, account_id: str) -> list[tuple[str, str]]:
        """See :meth:`.base.Accounts.identities`."""
        rows = await self._rows(self._statements.identities, account_id=as_id(account_id))
        return [(row.provider, row.subject) for row in rows]

    async def add_device(self, device: DeviceKey) -> bool:
        """See :meth:`.base.Accounts.add_device`. ``LookupError`` if no such account; ``False`` also for a used id."""
        added = await self._write(
            self._statements.add_device,
            id=check_text("id", device.id),
            key_id=device.key_id,
            account_id=as_id(device.account_id),
            public_key=device.public_key,
            label=check_text("label", device.label, may_be_empty=True),
            created_at=device.created_at,
            last_used_at=device.last_used_at,
        )
        return added > 0

    async def device_by_key(self, key_id: bytes) -> DeviceKey | None:
        """See :meth:`.base.Accounts.device_by_key`."""
        rows = await self._rows(self._statements.device_by_key, key_id=key_id)
        return DeviceKey(*rows[0]) if rows else None

    async def devices(self, account_id: str) -> list[DeviceKey]:
        """See :meth:`.base.Accounts.devices`."""
        return [DeviceKey(*row) for row in await self._rows(self._statements.devices, account_id=as_id(account_id))]

    async def revoke_device(self, account_id: str, device_id: str, *, now: float) -> bool:
        """See :meth:`.base.Accounts.revoke_device`."""
        statement = self._statements.revoke_device
        return await self._write(statement, account=as_id(account_id), device=as_id(device_id), now=now) > 0

    async def touch_device(self, device_id: str, *, now: float) -> None:
        """See :meth:`.base.Accounts.touch_device`. An earlier time than the one noted changes nothing."""
        await self._write(self._statements.touch_device, device=as_id(device_id), now=now)

    async def remember_browser(self, account_id: str, browser_hash: bytes, *, now: float) -> None:
        """See :meth:`.base.Accounts.remember_browser`. ``LookupError`` if no such account."""
        await self._write(
            self._statements.remember_browser,
            account_id=as_id(account_id),
            browser_hash=browser_hash,
            remembered_at=now,
        )

    async def knows_browser(self, account_id: str, browser_hash: bytes, *, since: float) -> bool:
        """See :meth:`.base.Accounts.knows_browser`."""
        statement = self._statements.knows_browser
        return bool(await self._rows(statement, account_id=as_id(account_id), browser_hash=browser_hash, since=since))

    async def forget_browsers(self, account_id: str) -> None:
        """See :meth:`.base.Accounts.forget_browsers`."""
        await self._write(self._statements.forget_browsers, account_id=as_id(account_id))

    async def add_passkey(self, passkey: Passkey) -> bool:
        """See :meth:`.base.Accounts.add_passkey`."""
        return await self._passkeys.add(passkey)

    async def passkey_by_credential(self, credential_id: bytes) -> Passkey | None:
        """See :meth:`.base.Accounts.passkey_by_credential`."""
        return await self._passkeys.by_credential(credential_id)

    async def passkeys(self, account_id: str) -> list[Passkey]:
        """See :meth:`.base.Accounts.passkeys`."""
        return await self._passkeys.of(account_id)

    async def passkeys_of_name(self, username: str, *, limit: int) -> list[Passkey]:
        """See :meth:`.base.Accounts.passkeys_of_name`."""
        return await self._passkeys.of_name(username, limit=limit)

    async def rename_passkey(self, account_id: str, passkey_id: str, label: str) -> bool:
        """See :meth:`.base.Accounts.rename_passkey`."""
        return await self._passkeys.rename(account_id, passkey_id, label)

    async def remove_passkey(self, account_id: str, passkey_id: str) -> bool:
        """See :meth:`.base.Accounts.remove_passkey`."""
        return await self._passkeys.remove(account_id, passkey_id)

    async def use_passkey(
        self, passkey_id: str, *, expected_sign_count: int, sign_count: int, is_backed_up: bool, now: float
    ) -> bool:
        """See :meth:`.base.Accounts.use_passkey`. The last use never goes back."""
        return await self._passkeys.use(
            passkey_id,
            expected_sign_count=expected_sign_count,
            sign_count=sign_count,
            is_backed_up=is_backed_up,
            now=now,
        )

    async def user_handle(self, account_id: str) -> bytes:
        """See :meth:`.base.Accounts.user_handle`."""
        return await self._passkeys.user_handle(account_id)

    async def account_by_user_handle(self, handle: bytes) -> Account | None:
        """See :meth:`.base.Accounts.account_by_user_handle`."""
        return await self._passkeys.account_by_user_handle(handle)

    async def secret(self, name: str) -> bytes:
        """See :meth:`.base.Accounts.secret`."""
        key = check_text("name", name)
        rows = await self._rows(self._statements.secret, name=key)
        if not rows:
            # Whoever comes second waits for the first one here, and is told the first one's secret.
            rows = await self._rows(self._statements.draw_secret, name=key, value=self._new_secret())
        return bytes(rows[0].value)

    async def _linked_account(self, provider: str, subject: str) -> Account | None:
        return account_of(await self._rows(self._statements.linked_account, provider=provider, subject=subject))

    async def _create(self, account: Account, provider: str, subject: str) -> bool:
        """Create an account with its first identity; ``False``, and nothing changed, when that is linked by now."""
        link = {"provider": provider, "subject": subject, "account_id": account.id, "linked_at": account.created_at}
        values = {"id": account.id, "username": account.username, "created_at": account.created_at}
        async with self._database.transaction() as connection:
            await connection.execute(self._statements.add_account, values)
            # Waits for whoever is about to link the same identity, and sees the outcome.
            linked = await connection.execute(self._statements.add_identity, link)
            if linked.rowcount == 0:
                await connection.rollback()
            return linked.rowcount > 0


class _Statements:
    """Every statement, built once; SQLAlchemy finds its compiled form again by the object."""

    def __init__(self, backend: str) -> None:
        insert: Callable[..., Any] = postgresql.insert if backend == "postgresql" else sqlite.insert
        device = [
            device_keys.c[name]
            for name in ("id", "key_id", "account_id", "public_key", "label", "created_at", "last_used_at")
        ]
        living = device_keys.c.revoked_at.is_(None)

        self.account = select(accounts).where(accounts.c.id == bind("account_id"))
        self.linked_account = (
            select(accounts)
            .join(identities)
            .where(identities.c.provider == bind("provider"), identities.c.subject == bind("subject"))
        )
        self.add_account = insert(accounts)
        self.save_account = (
            update(accounts)
            .where(accounts.c.id == bind("account"))
            .values(username=bind("new_username"), email=bind("new_email"), roles=bind("new_roles"))
        )
        self.delete_account = delete(accounts).where(accounts.c.id == bind("account"))
        self.add_identity = insert(identities).on_conflict_do_nothing()
        self.identities = (
            select(identities.c.provider, identities.c.subject)
            .where(identities.c.account_id == bind("account_id"))
            .order_by(identities.c.linked_at, identities.c.provider, identities.c.subject)
        )
        self.add_device = insert(device_keys).on_conflict_do_nothing()
        self.device_by_key = select(*device).where(device_keys.c.key_id == bind("key_id"), living)
        self.devices = (
            select(*device)
            .where(device_keys.c.account_id == bind("account_id"), living)
            .order_by(device_keys.c.created_at, device_keys.c.id)
        )
        self.revoke_device = (
            update(device_keys)
            .where(device_keys.c.id == bind("device"), device_keys.c.account_id == bind("account"), living)
            .values(revoked_at=bind("now"))
        )
        self.touch_device = (
            update(device_keys)
            .where(
                device_keys.c.id == bind("device"),
                living,
                or_(device_keys.c.last_used_at.is_(None), device_keys.c.last_used_at < bind("now")),
            )
            .values(last_used_at=bind("now"))
        )
        remember = insert(browsers)
        self.remember_browser = remember.on_conflict_do_update(
            index_elements=[browsers.c.account_id, browsers.c.browser_hash],
            set_={"remembered_at": remember.excluded.remembered_at},
            where=browsers.c.remembered_at < remember.excluded.remembered_at,
        )
        self.knows_browser = select(browsers.c.remembered_at).where(
            browsers.c.account_id == bind("account_id"),
            browsers.c.browser_hash == bind("browser_hash"),
            browsers.c.remembered_at >= bind("since"),
        )
        self.secret = select(secrets.c.value).where(secrets.c.name == bind("name"))
        self.draw_secret = (
            insert(secrets)
            # A row that is left alone is not returned, hence the change that changes nothing.
            .on_conflict_do_update(index_elements=[secrets.c.name], set_={"value": secrets.c.value})
            .returning(secrets.c.value)
        )
        self.forget_browsers = delete(browsers).where(browsers.c.account_id == bind("account_id"))
