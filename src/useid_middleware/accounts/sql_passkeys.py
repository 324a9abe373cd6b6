"""The passkeys of :class:`~.sql.SqlAccounts`, and the user handles that go with them: verbs and statements."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import DOUBLE_PRECISION, BindParameter, Integer, case, delete, select, update
from sqlalchemy import bindparam as bind
from sqlalchemy.dialects import postgresql, sqlite

from .base import Account, Passkey, is_next_count
from .columns import as_id, check_passkey, check_text, lines
from .database import Database
from .schema import accounts, passkeys, user_handles

#: The members of a passkey that its row has as they are, which is all but the transports.
_MEMBERS: Final = tuple(name for name in Passkey.__dataclass_fields__ if name != "transports")


class SqlPasskeys:
    """What changes something is one statement, and so atomic as it is."""

    def __init__(self, database: Database, *, new_user_handle: Callable[[], bytes]) -> None:
        self._rows, self._write = database.rows, database.write
        self._statements = _Statements(database.backend)
        self._new_user_handle = new_user_handle

    async def add(self, passkey: Passkey) -> bool:
        """See :meth:`.base.Accounts.add_passkey`."""
        transports = check_passkey(passkey)
        values = {name: getattr(passkey, name) for name in _MEMBERS} | {"account_id": as_id(passkey.account_id)}
        return await self._write(self._statements.add, **values, transports=transports) > 0

    async def by_credential(self, credential_id: bytes) -> Passkey | None:
        """See :meth:`.base.Accounts.passkey_by_credential`."""
        rows = await self._rows(self._statements.by_credential, credential_id=credential_id)
        return _passkey(rows[0]) if rows else None

    async def of(self, account_id: str) -> list[Passkey]:
        """See :meth:`.base.Accounts.passkeys`."""
        rows = await self._rows(self._statements.of_account, account_id=as_id(account_id))
        return [_passkey(row) for row in rows]

    async def of_name(self, username: str, *, limit: int) -> list[Passkey]:
        """See :meth:`.base.Accounts.passkeys_of_name`."""
        rows = await self._rows(self._statements.of_name, username=as_id(username), most=limit)
        return [_passkey(row) for row in rows]

    async def rename(self, account_id: str, passkey_id: str, label: str) -> bool:
        """See :meth:`.base.Accounts.rename_passkey`."""
        new_label = check_text("label", label, may_be_empty=True)
        values = {"passkey": as_id(passkey_id), "account": as_id(account_id), "new_label": new_label}
        return await self._write(self._statements.rename, **values) > 0

    async def remove(self, account_id: str, passkey_id: str) -> bool:
        """See :meth:`.base.Accounts.remove_passkey`."""
        values = {"passkey": as_id(passkey_id), "account": as_id(account_id)}
        return await self._write(self._statements.remove, **values) > 0

    async def use(
        self, passkey_id: str, *, expected_sign_count: int, sign_count: int, is_backed_up: bool, now: float
    ) -> bool:
        """See :meth:`.base.Accounts.use_passkey`."""
        if not is_next_count(sign_count, expected_sign_count=expected_sign_count):
            return False
        noted = await self._write(
            self._statements.use,
            passkey=as_id(passkey_id),
            expected=expected_sign_count,
            new_count=sign_count,
            new_backed_up=is_backed_up,
            now=now,
        )
        return noted > 0

    async def user_handle(self, account_id: str) -> bytes:
        """See :meth:`.base.Accounts.user_handle`."""
        owner = as_id(account_id)
        rows = await self._rows(self._statements.handle, account=owner)
        if not rows:
            drawn = self._new_user_handle()
            # Whoever comes second waits for the first one here, and is told the first one's handle.
            rows = await self._rows(self._statements.draw_handle, account_id=owner, handle=drawn)
        return bytes(rows[0].handle)

    async def account_by_user_handle(self, handle: bytes) -> Account | None:
        """See :meth:`.base.Accounts.account_by_user_handle`."""
        return account_of(await self._rows(self._statements.account_by_handle, handle=handle))


class _Statements:
    """Every statement, built once; SQLAlchemy finds its compiled form again by the object."""

    def __init__(self, backend: str) -> None:
        insert: Callable[..., Any] = postgresql.insert if backend == "postgresql" else sqlite.insert
        passkey = [passkeys.c[name] for name in (*_MEMBERS, "transports")]
        owned = (passkeys.c.id == bind("passkey"), passkeys.c.account_id == bind("account"))
        now: BindParameter[float] = bind("now", type_=DOUBLE_PRECISION())

        self.add = insert(passkeys).on_conflict_do_nothing()
        self.by_credential = select(*passkey).where(passkeys.c.credential_id == bind("credential_id"))
        self.of_account = (
            select(*passkey)
            .where(passkeys.c.account_id == bind("account_id"))
            .order_by(passkeys.c.created_at, passkeys.c.id)
        )
        self.of_name = (
            select(*passkey)
            .join(accounts)
            .where(accounts.c.username == bind("username"))
            .order_by(accounts.c.created_at, accounts.c.id, passkeys.c.created_at, passkeys.c.id)
            .limit(bind("most", type_=Integer()))
        )
        self.rename = update(passkeys).where(*owned).values(label=bind("new_label"))
        self.remove = delete(passkeys).where(*owned)
        self.use = (
            update(passkeys)
            .where(passkeys.c.id == bind("passkey"), passkeys.c.sign_count == bind("expected"))
            .values(
                sign_count=bind("new_count"),
                is_backed_up=bind("new_backed_up"),
                last_used_at=case((passkeys.c.last_used_at > now, passkeys.c.last_used_at), else_=now),
            )
        )
        self.handle = select(user_handles.c.handle).where(user_handles.c.account_id == bind("account"))
        self.draw_handle = (
            insert(user_handles)
            # A row that is left alone is not returned, hence the change that changes nothing.
            .on_conflict_do_update(index_elements=[user_handles.c.account_id], set_={"handle": user_handles.c.handle})
            .returning(user_handles.c.handle)
        )
        self.account_by_handle = select(accounts).join(user_handles).where(user_handles.c.handle == bind("handle"))


def account_of(rows: Sequence[Any]) -> Account | None:
    """The account whose row was found, or ``None``."""
    if not rows:
        return None
    row = rows[0]
    return Account(row.id, row.username, row.created_at, row.email, lines(row.roles))


def _passkey(row: Any) -> Passkey:
    return Passkey(**{name: getattr(row, name) for name in _MEMBERS}, transports=lines(row.transports))
