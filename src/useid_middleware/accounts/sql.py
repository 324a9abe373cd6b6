"""Accounts in SQLite (aiosqlite) or PostgreSQL (asyncpg), by SQLAlchemy Core: the verbs and their statements."""

import asyncio
from collections.abc import Callable, Sequence
from secrets import token_urlsafe
from typing import Any

from sqlalchemy import bindparam as bind
from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql import Executable

from ..errors import UnavailableError
from ..identity import Identity
from .base import Account, DeviceKey
from .database import database_url, new_engine, transaction, translated
from .schema import (
    MIGRATIONS,
    Migration,
    accounts,
    browsers,
    check_account,
    check_text,
    device_keys,
    identities,
    is_storable,
    upgrade,
)


class SqlAccounts:
    """The :class:`~.base.Accounts` of a database.

    An object serves one event loop at a time. ``open()`` in another loop moves it there, also when the first is gone.
    """

    def __init__(
        self,
        url: str,
        *,
        new_id: Callable[[], str] = lambda: token_urlsafe(16),
        lock_timeout: float = 5.0,
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> None:
        self._url = database_url(url)
        self._new_id = new_id
        self._lock_timeout = lock_timeout
        self._migrations = migrations
        self._statements = _Statements(self._url.get_backend_name())
        self._engine: AsyncEngine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """See :meth:`.base.Accounts.open`. A new SQLite file is readable by its owner alone.

        Raises ``ConfigurationError`` if the SQLite file cannot be opened for writing or the schema is newer than ours.
        """
        loop = asyncio.get_running_loop()
        if self._engine is not None and self._loop is loop:
            return
        engine = new_engine(self._url, lock_timeout=self._lock_timeout)
        try:
            with translated():
                async with transaction(engine) as connection:
                    await upgrade(connection, migrations=self._migrations)
        except BaseException:
            await engine.dispose()
            raise
        if self._engine is not None and self._loop is loop:
            # Another task was quicker while we awaited.
            await engine.dispose()
            return
        await self.close()
        self._engine, self._loop = engine, loop

    async def close(self) -> None:
        """See :meth:`.base.Accounts.close`."""
        engine, loop, self._engine, self._loop = self._engine, self._loop, None, None
        if engine is not None:
            # A network connection of a loop that is gone cannot be closed in order, a connection to a file can.
            await engine.dispose(close=loop is asyncio.get_running_loop() or engine.dialect.name == "sqlite")

    async def get(self, account_id: str) -> Account | None:
        """See :meth:`.base.Accounts.get`."""
        return _account(await self._rows(self._statements.account, account_id=_id(account_id)))

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
        return await self._linked_account(_id(provider), _id(subject))

    async def save(self, account: Account) -> None:
        """See :meth:`.base.Accounts.save`."""
        username, email, roles = check_account(account)
        values = {"account": _id(account.id), "new_username": username, "new_email": email, "new_roles": roles}
        if not await self._write(self._statements.save_account, **values):
            raise LookupError("no such account")

    async def delete(self, account_id: str) -> bool:
        """See :meth:`.base.Accounts.delete`."""
        return await self._write(self._statements.delete_account, account=_id(account_id)) > 0

    async def link(self, account_id: str, provider: str, subject: str, *, now: float) -> bool:
        """See :meth:`.base.Accounts.link`. ``True`` again for its own identity; ``LookupError`` if no such account."""
        values = {"provider": check_text("provider", provider), "subject": check_text("subject", subject)}
        if await self._write(self._statements.add_identity, **values, account_id=_id(account_id), linked_at=now):
            return True
        owner = await self._linked_account(provider, subject)
        return owner is not None and owner.id == account_id

    async def identities(self, account_id: str) -> list[tuple[str, str]]:
        """See :meth:`.base.Accounts.identities`."""
        rows = await self._rows(self._statements.identities, account_id=_id(account_id))
        return [(row.provider, row.subject) for row in rows]

    async def add_device(self, device: DeviceKey) -> bool:
        """See :meth:`.base.Accounts.add_device`. ``LookupError`` if no such account; ``False`` also for a used id."""
        added = await self._write(
            self._statements.add_device,
            id=check_text("id", device.id),
            key_id=device.key_id,
            account_id=_id(device.account_id),
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
        return [DeviceKey(*row) for row in await self._rows(self._statements.devices, account_id=_id(account_id))]

    async def revoke_device(self, account_id: str, device_id: str, *, now: float) -> bool:
        """See :meth:`.base.Accounts.revoke_device`."""
        statement = self._statements.revoke_device
        return await self._write(statement, account=_id(account_id), device=_id(device_id), now=now) > 0

    async def touch_device(self, device_id: str, *, now: float) -> None:
        """See :meth:`.base.Accounts.touch_device`. An earlier time than the one noted changes nothing."""
        await self._write(self._statements.touch_device, device=_id(device_id), now=now)

    async def remember_browser(self, account_id: str, browser_hash: bytes, *, now: float) -> None:
        """See :meth:`.base.Accounts.remember_browser`. ``LookupError`` if no such account."""
        await self._write(
            self._statements.remember_browser, account_id=_id(account_id), browser_hash=browser_hash, remembered_at=now
        )

    async def knows_browser(self, account_id: str, browser_hash: bytes, *, since: float) -> bool:
        """See :meth:`.base.Accounts.knows_browser`."""
        statement = self._statements.knows_browser
        return bool(await self._rows(statement, account_id=_id(account_id), browser_hash=browser_hash, since=since))

    async def forget_browsers(self, account_id: str) -> None:
        """See :meth:`.base.Accounts.forget_browsers`."""
        await self._write(self._statements.forget_browsers, account_id=_id(account_id))

    async def _linked_account(self, provider: str, subject: str) -> Account | None:
        return _account(await self._rows(self._statements.linked_account, provider=provider, subject=subject))

    async def _create(self, account: Account, provider: str, subject: str) -> bool:
        """Create an account with its first identity; ``False``, and nothing changed, when that is linked by now."""
        link = {"provider": provider, "subject": subject, "account_id": account.id, "linked_at": account.created_at}
        values = {"id": account.id, "username": account.username, "created_at": account.created_at}
        with translated():
            async with transaction(self._opened()) as connection:
                await connection.execute(self._statements.add_account, values)
                # Waits for whoever is about to link the same identity, and sees the outcome.
                linked = await connection.execute(self._statements.add_identity, link)
                if linked.rowcount == 0:
                    await connection.rollback()
                return linked.rowcount > 0

    async def _rows(self, statement: Executable, **values: object) -> Sequence[Any]:
        with translated():
            async with self._opened().connect() as connection:
                return (await connection.execute(statement, values)).all()

    async def _write(self, statement: Executable, **values: object) -> int:
        """The number of rows that the statement wrote."""
        with translated():
            async with self._opened().connect() as connection:
                return (await connection.execute(statement, values)).rowcount

    def _opened(self) -> AsyncEngine:
        if self._engine is None:
            raise UnavailableError("store_unavailable", "the account database is not open")
        return self._engine


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
        self.forget_browsers = delete(browsers).where(browsers.c.account_id == bind("account_id"))


def _account(rows: Sequence[Any]) -> Account | None:
    if not rows:
        return None
    row = rows[0]
    return Account(row.id, row.username, row.created_at, row.email, tuple(row.roles.split("\n")) if row.roles else ())


def _id(value: str) -> str:
    """An id to look for. What no column can hold is nobody's id, and neither is the empty string."""
    return value if is_storable(value) else ""
