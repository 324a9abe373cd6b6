"""Phones of an account: enrolment with proof of possession, list, revoke."""

import secrets
from collections.abc import Callable

from .._codec import b64url
from ..accounts.base import Accounts, DeviceKey
from ..errors import RequestError, StateError
from ..events import DeviceEnrolled, DeviceRevoked, Events
from ..http.routing import not_found
from ..sessions.service import Sessions
from ..settings import Settings
from ..stores.base import Clock, Store
from ..stores.limits import Limits
from ..waiting.code import confirmation_code
from ..waiting.records import Current, WaitingRecords, session_unknown
from .core import enrolment as core
from .core.enrolment import Enrolment
from .core.link import LinkType, build_link


class DeviceService:
    """The steps of an enrolment, one method each, and what a user does with enrolled phones."""

    def __init__(
        self,
        *,
        store: Store,
        accounts: Accounts,
        sessions: Sessions,
        events: Events,
        limits: Limits,
        settings: Settings,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.records = WaitingRecords(
            store=store,
            clock=clock,
            name="enrolment",
            kind=Enrolment,
            decoy=core.ENROLMENT_DECOY,
            at_time=core.enrolment_at_time,
            status=core.enrolment_status,
            final=core.ENROLMENT_FINAL,
            places=limits.enrolments,
        )
        self._accounts = accounts
        self._sessions = sessions
        self._events = events
        self._limits = limits
        self._settings = settings
        self._clock = clock
        self._random_bytes = random_bytes

    async def offer(self, account_id: str, *, server: str, ip: str) -> Current[Enrolment]:
        """The logged-in user wants to add a phone."""
        await self._limits.spend(self._limits.ip(ip), self._limits.account(account_id))
        now = self._clock()
        drawn = self._random_bytes(64)
        enrolment = Enrolment(
            id=b64url(drawn[:16]),
            challenge=b64url(drawn[16:48]),
            key_id=drawn[48:],
            account_id=account_id,
            server=server,
            deadline=now + self._settings.qr.enrolment_lifetime,
            created_at=now,
        )
        return await self.records.add(enrolment)

    async def look(self, enrolment_id: str, account_id: str) -> Current[Enrolment]:
        """The enrolment as its own user may see it."""
        current = await self.records.load(enrolment_id)
        if current.record.account_id != account_id:
            raise session_unknown()
        return current

    async def prove(
        self, enrolment_id: str, *, public_key: bytes, signature: bytes, label: str, issued_at: int, ip: str
    ) -> tuple[Enrolment, str, str]:
        """The phone proves its key: returns the enrolment, the account's name and the code for the phone to show."""
        await self._limits.spend(self._limits.ip(ip))
        current = await self.records.load(enrolment_id)
        core.next_enrolment_state(current.record.state, core.EnrolmentStep.PROVE)
        await self._limits.spend(self._limits.login(enrolment_id))
        proved = core.check_proof(
            current.record,
            public_key=public_key,
            signature=signature,
            label=label,
            issued_at=issued_at,
            now=self._clock(),
        )
        account = await self._accounts.get(current.record.account_id)
        if account is None:
            raise session_unknown()
        code = confirmation_code(self._random_bytes(8))
        changed = core.prove(current.record, proved, code=code)
        if not await self.records.change(current, changed):
            raise StateError("wrong_state", "prove: another phone came first")
        return changed, account.username, code

    async def confirm(self, enrolment_id: str, account_id: str, *, code: str, ip: str) -> DeviceKey:
        """The desktop types the phone's code: from now on the key counts."""
        await self._limits.spend(self._limits.ip(ip), self._limits.account(account_id))
        now = self._clock()
        try:
            current = await self.look(enrolment_id, account_id)
        except StateError:
            if code:
                await self._pretend_confirm(code, now)
            raise
        changed, error = core.confirm(current.record, code=code, now=now)
        # Who reads `confirmed` may look for the phone in the list; so it is told when the phone is there.
        if not await self.records.change(current, changed, announce=error is not None):
            raise StateError("wrong_state", "confirm: another confirmation came first")
        if error is not None:
            raise error
        device = DeviceKey(
            id=b64url(self._random_bytes(16)),
            key_id=changed.key_id,
            account_id=account_id,
            public_key=changed.public_key,
            label=changed.label,
            created_at=now,
        )
        if not await self._accounts.add_device(device):
            raise RequestError("key_refused", "publicKey: expected a key that is not enrolled yet")
        await self.records.announce(Current(changed, current.version + 1))
        await self._events.emit(DeviceEnrolled(now, account_id, device.id))
        return device

    async def _pretend_confirm(self, code: str, now: float) -> None:
        """As much work as a wrong code is, for an enrolment that is not this user's."""
        changed, _ = core.confirm(core.ENROLMENT_DECOY, code=code, now=now)
        await self.records.pretend(changed)

    async def of_account(self, account_id: str) -> list[DeviceKey]:
        """The account's phones, oldest first."""
        return await self._accounts.devices(account_id)

    async def revoke(self, account_id: str, device_id: str, *, ip: str) -> None:
        """Revoke a phone for good, and end the sessions that it opened."""
        await self._limits.spend(self._limits.ip(ip), self._limits.account(account_id))
        now = self._clock()
        if not await self._accounts.revoke_device(account_id, device_id, now=now):
            raise not_found()
        await self._sessions.end_device(device_id, reason="revoked")
        # Browsers were trusted on the word of this account's phones; each has to show a code again.
        await self._accounts.forget_browsers(account_id)
        await self._events.emit(DeviceRevoked(now, account_id, device_id))

    def link(self, enrolment: Enrolment) -> str:
        """The text of the QR code."""
        return build_link(
            LinkType.ENROL,
            id=enrolment.id,
            challenge=enrolment.challenge,
            server=enrolment.server,
            scheme=self._settings.qr.scheme,
            universal_link=self._settings.qr.universal_link,
        )
