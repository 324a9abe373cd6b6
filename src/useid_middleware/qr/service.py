"""The device switch: reads the clock, draws randomness, calls store, accounts and core, emits events."""

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Final

from .._codec import Record, b64url, timestamp
from ..accounts.base import Accounts, DeviceKey
from ..errors import RequestError, StateError, UnavailableError
from ..events import Events, QRApproved, QRExpired, QRLoginStarted, QRRejected, QRScanned
from ..identity import Identity, Level
from ..settings import Settings
from ..stores.base import Clock, Store
from ..stores.limits import Limits
from ..waiting.binding import BoundRecords
from ..waiting.browser import browser_hash
from ..waiting.code import confirmation_code
from ..waiting.records import Current, WaitingRecords, session_unknown
from ..waiting.tokens import ID_SIZE, make_token, record_of
from .core import session as core
from .core.link import LinkType, build_link, check_link_fits
from .core.session import QRSession, State
from .core.signing import CheckedDecision, Decision, RequestContext, check_decision, device_unknown

_MAX_TRIES: Final = 8

#: Where an IP address is, for a person to recognise it; empty when unknown.
Locate = Callable[[str], str]


class Answer(Record, frozen=True):
    """A phone's signed answer, decoded and not yet verified."""

    session_id: str
    key_id: bytes
    public_key: bytes
    signature: bytes
    issued_at: int


@dataclass(frozen=True, slots=True)
class Approved:
    """An approved login: the ``code`` for the phone to show, or the ``refresh_url`` for it to seal; empty if not."""

    code: str = ""
    refresh_url: str = field(default="", repr=False)


class Claimed(Record, frozen=True):
    """What a claimed session proves. ``remember`` says that this browser need not type a code next time."""

    identity: Identity
    return_to: str
    remember: bool


class QRService:
    """The steps of the device switch, one method each."""

    def __init__(
        self,
        *,
        store: Store,
        accounts: Accounts,
        events: Events,
        limits: Limits,
        settings: Settings,
        clock: Clock,
        locate: Locate,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.records = WaitingRecords(
            store=store,
            clock=clock,
            name="qr",
            kind=QRSession,
            decoy=core.DECOY,
            at_time=core.at_time,
            status=core.status,
            final=core.FINAL,
            places=limits.waiting,
        )
        #: Those that are bound by WebAuthn.
        self.bound = BoundRecords(
            self.records, core, lifetime=settings.qr.claim_lifetime, released=self._released, refused=self._refused
        )
        self._accounts = accounts
        self._events = events
        self._limits = limits
        self._settings = settings
        self._clock = clock
        self._locate = locate
        self._random_bytes = random_bytes
        if settings.origin is not None:
            server = settings.origin + settings.prefix
            check_link_fits(
                server=server,
                scheme=settings.qr.scheme,
                universal_link=settings.qr.universal_link,
                with_key=settings.qr.level >= Level.L2,
            )

    async def create(
        self, *, browser_secret: str, origin: str, server: str, ip: str, browser: str, app_name: str, return_to: str
    ) -> Current[QRSession]:
        """A new waiting session for the browser that holds ``browser_secret``."""
        names = (self._settings.app_name, *self._settings.app_names)
        if app_name and app_name not in names:
            raise RequestError("app_name_refused", "appName: expected one of app_name and app_names of the settings")
        await self._limits.spend(self._limits.ip(ip))
        now = self._clock()
        context = RequestContext(
            appName=app_name or names[0],
            origin=origin,
            ip=ip,
            city=self._locate(ip),
            browser=browser,
            requestedAt=timestamp(now),
        )
        # One draw for all that must be unguessable: 16 bytes of id, 32 of challenge, 16 of frame key.
        drawn = self._random_bytes(64)
        session = QRSession(
            id=b64url(drawn[:16]),
            challenge=b64url(drawn[16:48]),
            frame_key=drawn[48:],
            frame_period=self._settings.qr.frame_period,
            browser=browser_hash(browser_secret),
            server=server,
            context=context,
            context_digest=context.digest(),
            level=self._settings.qr.level,
            return_to=return_to,
            created_at=now,
            deadline=now + self._settings.qr.lifetime,
        )
        current = await self.records.add(session)
        await self._events.emit(QRLoginStarted(now, session.id))
        return current

    async def look(self, session_id: str, browser_secret: str) -> Current[QRSession]:
        """The session as its own browser may see it."""
        browser = browser_hash(browser_secret)
        current = await self.records.load(session_id)
        if not compare_digest(current.record.browser, browser):
            raise session_unknown()
        return current

    async def scan(self, session_id: str, *, key_id: bytes, frame: str, ip: str) -> QRSession:
        """A phone scans: the session is its own from now on."""
        await self._limits.spend(self._limits.ip(ip), self._limits.key(key_id))
        device = await self._device(key_id)
        # No answer without a scan: this limits those as well.
        await self._limits.spend(self._limits.account(device.account_id))
        for _ in range(_MAX_TRIES):
            current = await self.records.load(session_id)
            scanned = core.scan(
                current.record,
                now=self._clock(),
                key_id=key_id,
                device_id=device.id,
                account_id=device.account_id,
                frame=frame,
            )
            if scanned is current.record:
                return scanned
            if await self.records.change(current, scanned):
                await self._events.emit(QRScanned(self._clock(), session_id, device.id))
                return scanned
        raise StateError("wrong_state", "scan: too many changes at once; scan again")

    async def approve(self, answer: Answer, *, ip: str) -> Approved:
        """The user approves."""
        current, device = await self._check_answerable(answer, ip=ip)
        session = current.record
        core.next_state(session.state, core.approving(session))
        now = self._clock()
        checked = self._verify(session, Decision.APPROVE, answer, device, now)
        code = confirmation_code(self._random_bytes(8)) if await self._needs_code(session) else ""
        refresh = make_token(session.id, self._random_bytes(ID_SIZE)) if session.is_bound else ""
        deadline = now + self._settings.qr.claim_lifetime
        approved = core.decide(session, checked, code=code, refresh=refresh, deadline=deadline)
        # A scanned session is changed by its own phone, its clock and nobody else; losing here means that a second
        # answer of this phone came first, and one answer is all there is.
        if not await self.records.change(current, approved):
            raise StateError("wrong_state", "approve: another answer came first")
        with suppress(UnavailableError):  # It is approved; a date that is missing must not lose the code.
            await self._accounts.touch_device(device.id, now=now)
        await self._events.emit(QRApproved(now, answer.session_id, device.id, device.account_id))
        return Approved(code, f"{session.server}/session/refresh/{refresh}" if refresh else "")

    async def reject(self, answer: Answer, *, ip: str) -> None:
        """The user rejects."""
        current, device = await self._check_answerable(answer, ip=ip)
        core.next_state(current.record.state, core.Step.REJECT)
        now = self._clock()
        checked = self._verify(current.record, Decision.REJECT, answer, device, now)
        rejected = core.decide(current.record, checked, deadline=now)
        if not await self.records.change(current, rejected):
            raise StateError("wrong_state", "reject: another answer came first")
        await self._events.emit(QRRejected(now, answer.session_id, device.account_id, "user"))

    async def claim(self, session_id: str, browser_secret: str, *, code: str, ip: str) -> Claimed:
        """The desktop claims, once. A wrong code costs an attempt, whatever else happens."""
        await self._limits.spend(self._limits.ip(ip))
        now = self._clock()
        try:
            current = await self.look(session_id, browser_secret)
        except StateError:
            if code:
                await self._pretend_claim(code, now)
            raise
        session = current.record
        changed, error = core.claim(session, code=code, now=now)
        await self._claim(current, changed)
        if error is not None:
            if changed.state is State.REJECTED:
                await self._events.emit(QRRejected(now, session_id, session.account_id, "code"))
            raise error
        typed = bool(session.code_hash)
        if typed:
            with suppress(UnavailableError):  # Then it is asked for a code again next time.
                await self._accounts.remember_browser(session.account_id, session.browser, now=now)
        return Claimed(_identity(session, code_typed=typed, now=now), session.return_to, typed)

    async def claim_bound(self, refresh: str, browser_secret: str, *, ip: str) -> Claimed:
        """The desktop is at the refresh address of a bound login, once."""
        await self._limits.spend(self._limits.ip(ip))
        current = await self.look(record_of(refresh), browser_secret)
        now = self._clock()
        await self._claim(current, core.claim_bound(current.record, refresh=refresh, now=now))
        return Claimed(_identity(current.record, code_typed=False, now=now), current.record.return_to, False)

    async def _claim(self, current: Current[QRSession], changed: QRSession) -> None:
        # The key may have been revoked since it approved; and the account decides, not what a request says. Asked
        # before anything is spent, so that a database that is away for a moment costs the user nothing.
        device = await self._device(current.record.key_id)
        if device.account_id != current.record.account_id:
            raise device_unknown()
        if not await self.records.change(current, changed):
            raise StateError("wrong_state", "claim: another claim came first")

    async def _pretend_claim(self, code: str, now: float) -> None:
        """As much work as a wrong code is, for a session that is not this browser's."""
        changed, _ = core.claim(core.DECOY, code=code, now=now)
        await self._accounts.device_by_key(changed.key_id)
        await self.records.pretend(changed)

    async def expire(self, session_id: str) -> None:
        """Write down that the session has expired, if it has and nobody did; all who watch are told, once."""
        if await self.records.expire(session_id):
            await self._events.emit(QRExpired(self._clock(), session_id))

    def link(self, session: QRSession, frame: str) -> str:
        """The text of the QR code."""
        return build_link(
            LinkType.AUTH,
            id=session.id,
            challenge=session.challenge,
            server=session.server,
            frame=frame,
            scheme=self._settings.qr.scheme,
            universal_link=self._settings.qr.universal_link,
        )

    async def _released(self, session: QRSession) -> None:
        """Nothing more to tell: its user approved before."""

    async def _refused(self, session: QRSession) -> None:
        await self._events.emit(QRRejected(self._clock(), session.id, session.account_id, "binding"))

    async def _check_answerable(self, answer: Answer, *, ip: str) -> tuple[Current[QRSession], DeviceKey]:
        await self._limits.spend(self._limits.ip(ip), self._limits.key(answer.key_id))
        device = await self._device(answer.key_id)
        return await self.records.load(answer.session_id), device

    def _verify(
        self, session: QRSession, decision: Decision, answer: Answer, device: DeviceKey, now: float
    ) -> CheckedDecision:
        return check_decision(
            session,
            decision,
            key_id=answer.key_id,
            public_key=answer.public_key,
            expected_public_key=device.public_key,
            signature=answer.signature,
            issued_at=answer.issued_at,
            now=now,
        )

    async def _device(self, key_id: bytes) -> DeviceKey:
        device = await self._accounts.device_by_key(key_id)
        if device is None:
            raise device_unknown()
        return device

    async def _needs_code(self, session: QRSession) -> bool:
        if session.level < Level.L1 or session.is_bound:
            return False
        settings = self._settings.qr
        if settings.code_for_known_browsers:
            return True
        since = self._clock() - settings.known_browser_lifetime
        return not await self._accounts.knows_browser(session.account_id, session.browser, since=since)


def _identity(session: QRSession, *, code_typed: bool, now: float) -> Identity:
    return Identity(
        provider="qr",
        subject=session.device_id,
        account_id=session.account_id,
        level=session.level,
        amr=_methods(session.level, code_typed=code_typed),
        auth_time=now,
        device_id=session.device_id,
    )


def _methods(level: Level, *, code_typed: bool) -> tuple[str, ...]:
    """Authentication methods (RFC 8176): a key in software; at L1 a second channel, or the browser's history.

    At L2 a second key as well, at hand and used by somebody whom the phone has verified.
    """
    if level >= Level.L2:
        return ("pop", "swk", "mca", "user", "mfa")
    if level < Level.L1:
        return ("pop", "swk")
    return ("pop", "swk", "mca") if code_typed else ("pop", "swk", "rba")
