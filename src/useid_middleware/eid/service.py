"""The eID login: reads the clock, draws randomness, calls store, eID server and core, emits events."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from .._codec import b64url
from ..accounts.base import Accounts
from ..errors import EIDServerError, RequestError, StateError, UnavailableError
from ..events import EIDApproved, EIDExpired, EIDLoginStarted, EIDRejected, EIDScanned, Events
from ..http.routing import not_found
from ..identity import Identity
from ..settings import Settings
from ..stores.base import Clock, Store
from ..stores.limits import Limits
from ..waiting.binding import BoundRecords
from ..waiting.browser import browser_hash
from ..waiting.code import confirmation_code
from ..waiting.records import Current, WaitingRecords, session_unknown
from ..waiting.tokens import ID_SIZE, digest, is_secret, make_token, record_of
from .core import session as core
from .core.attributes import UseIDSession
from .core.identity import PROVIDER, Person, RequirementsNotMet, identity_of, person_of, use_id_request
from .core.results import ClientMinor, Minor
from .core.sealing import decode_sealed
from .core.session import EIDLogin, Mode, Reason, State
from .core.tctoken import PATH_SECURITY, TCToken, WebAuthnServer, domain_of
from .interface import EIDServer

logger: Final = logging.getLogger("useid_middleware")
_MAX_TRIES: Final = 8
#: Beyond the eID server's own timeout, for the login to be made of its answer (s).
_CLAIM_GRACE: Final = 20.0


@dataclass(frozen=True, slots=True)
class Started:
    """A login that waits. ``start`` opens the page on the phone, ``token`` fetches the tcToken; empty if not."""

    current: Current[EIDLogin]
    start: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What the eID server's result proves, and where its person wanted to go."""

    identity: Identity
    return_to: str


class EIDService:
    """The steps of a login with an ID card, one method each.

    ``webauthn_pins`` are those of the server that binds. ``emulated``: the eID server is the embedded one. It is
    attached, so that the tcToken needs no key, and whoever logs in is nobody.
    """

    def __init__(
        self,
        *,
        server: EIDServer | None,
        store: Store,
        accounts: Accounts,
        events: Events,
        limits: Limits,
        settings: Settings,
        clock: Clock,
        emulated: bool = False,
        webauthn_pins: tuple[bytes, ...] = (),
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.records = WaitingRecords(
            store=store,
            clock=clock,
            name="eid",
            kind=EIDLogin,
            decoy=core.DECOY,
            at_time=core.at_time,
            status=core.status,
            final=core.FINAL,
            places=limits.waiting_eid,
        )
        #: Those that are bound by WebAuthn.
        self.bound = BoundRecords(
            self.records,
            core,
            lifetime=settings.eid.claim_lifetime,
            released=self._bound,
            refused=self._unbound,
            tenant_of=lambda login: login.tenant,
        )
        self._server = server
        self._store = store
        self._accounts = accounts
        self._events = events
        self._limits = limits
        self._settings = settings.eid
        self._clock = clock
        self._emulated = emulated
        self._webauthn_pins = webauthn_pins
        self._random_bytes = random_bytes
        self._asked = use_id_request(settings.eid)

    async def create(
        self, *, mode: Mode, browser_secret: str, server: str, ip: str, return_to: str, tenant: str, tc_token_url: str
    ) -> Started:
        """A new login for the browser that holds ``browser_secret``; with ``tc_token_url``, one of another site."""
        if self._server is None and not tc_token_url:
            raise not_found()
        await self._limits.spend(self._limits.ip(ip))
        now = self._clock()
        drawn = self._random_bytes(2 * ID_SIZE)
        login_id = b64url(drawn[:ID_SIZE])
        secret = make_token(login_id, drawn[ID_SIZE:])
        ours = not tc_token_url
        starts = ours and mode is Mode.STANDARD
        login = EIDLogin(
            id=login_id,
            mode=mode,
            browser=browser_hash(browser_secret),
            server=server,
            return_to=return_to,
            created_at=now,
            deadline=now + self._settings.lifetime,
            start=digest(secret) if starts else b"",
            token=digest(secret) if ours and not starts else b"",
            tenant=tenant,
            tc_token_url=tc_token_url,
        )
        current = await self.records.add(login)
        await self._events.emit(EIDLoginStarted(now, login_id, mode.value, tenant))
        return Started(current, secret if starts else "", secret if ours and not starts else "")

    async def look(self, login_id: str, browser_secret: str) -> Current[EIDLogin]:
        """The login as its own browser may see it."""
        browser = browser_hash(browser_secret)
        current = await self.records.load(login_id)
        if not compare_digest(current.record.browser, browser):
            raise session_unknown()
        return current

    async def peek(self, start: str) -> Current[EIDLogin]:
        """The login that the page on the phone is about. Changes nothing: cameras and messengers look at links too."""
        current = await self.records.load(record_of(start))
        login = current.record
        if not is_secret(start, login.start) and login.state is State.WAITING:
            raise session_unknown()
        return current

    async def begin_on_phone(self, start: str, *, phone_secret: str, ip: str) -> str:
        """The phone's user goes on: returns the secret of the tcToken. The first phone has the login."""
        await self._limits.spend(self._limits.ip(ip))
        current = await self.records.load(record_of(start))
        login = current.record
        core.next_state(login.state, core.Step.SCAN)
        if not is_secret(start, login.start):
            raise session_unknown()
        token = make_token(login.id, self._random_bytes(ID_SIZE))
        deadline = self._clock() + self._settings.client_lifetime
        scanned = core.begin_on_phone(login, phone=browser_hash(phone_secret), token=token, deadline=deadline)
        if not await self.records.change(current, scanned):
            raise StateError("wrong_state", "scan: another phone came first")
        await self._events.emit(EIDScanned(self._clock(), login.id))
        return token

    async def tc_token(self, token: str, *, ip: str) -> TCToken:
        """What the eID client fetches, once: a session is opened at the eID server.

        Where that does not work, a tcToken that says so, with an address for the browser to be told.
        """
        await self._limits.spend(self._limits.ip(ip))
        current = await self.records.load(record_of(token))
        login = current.record
        if not is_secret(token, login.token):
            raise session_unknown()
        core.next_state(login.state, core.Step.FETCH)
        refresh = make_token(login.id, self._random_bytes(ID_SIZE))
        address = f"{login.server}/eid/refresh/{refresh}"
        now = self._clock()
        # Spent before anything else happens: of two who fetch it, one alone makes a session.
        deadline = now + self._settings.client_lifetime
        fetched = core.fetch_token(login, refresh=refresh, deadline=deadline)
        if not await self.records.change(current, fetched):
            raise session_unknown()
        assert self._server is not None
        if login.state is State.WAITING:
            await self._events.emit(EIDScanned(now, login.id))
        try:
            opened = await self._server.use_id(self._asked)
            psk = b"" if self._emulated or self._settings.attached else _psk(opened)
        except (EIDServerError, UnavailableError) as error:
            logger.warning("eID server: useID failed: %s", error)
            minor = error.minor if isinstance(error, EIDServerError) else ""
            await self.reject(login.id, reason=Reason.FAILED, minor=minor)
            return TCToken(communication_error_address=address)
        key = _server_key(opened.id)
        await self._store.put(
            key, login.id.encode(), ttl=self._settings.client_lifetime + self._settings.claim_lifetime
        )
        current = await self.records.load(login.id)
        opened_login = core.note_session(current.record, opened.id)
        if not await self.records.change(current, opened_login, announce=False):
            raise StateError("wrong_state", "fetch: the login was changed meanwhile")
        return TCToken(
            server_address=opened.ecard_server_address or self._paos_address(login),
            session_identifier=opened.psk_id or opened.id,
            refresh_address=address,
            communication_error_address=address,
            path_security=PATH_SECURITY if psk else "",
            psk=psk,
            webauthn_server=self._webauthn_server(login),
        )

    async def refreshed(self, token: str, *, ip: str) -> Current[EIDLogin]:
        """The login that a client comes back to; ``session_unknown`` for any secret but that of a living one."""
        await self._limits.spend(self._limits.ip(ip))
        current = await self.records.load(record_of(token))
        if not is_secret(token, current.record.refresh):
            raise session_unknown()
        return current

    async def approve(self, current: Current[EIDLogin]) -> str:
        """Standard client: it came back to its own phone's browser; returns the code for the phone to show."""
        code = confirmation_code(self._random_bytes(8))
        approved = core.approve(current.record, code=code, deadline=self._clock() + self._settings.claim_lifetime)
        if not await self.records.change(current, approved):
            raise StateError("wrong_state", "approve: another answer came first")
        await self._events.emit(EIDApproved(self._clock(), approved.id))
        return code

    async def seal(self, login_id: str, sealed: str, *, ip: str) -> None:
        """Integrated client: the sealed refresh address, once."""
        await self._limits.spend(self._limits.ip(ip))
        decode_sealed(sealed)
        current = await self.records.load(login_id)
        approved = core.seal(current.record, sealed=sealed, deadline=self._clock() + self._settings.claim_lifetime)
        if not await self.records.change(current, approved):
            raise StateError("wrong_state", "seal: another answer came first")
        await self._events.emit(EIDApproved(self._clock(), login_id))

    async def claim_by_code(self, login_id: str, browser_secret: str, *, code: str, ip: str) -> Claimed:
        """Standard client: the desktop claims with the code, once. A wrong code costs an attempt."""
        await self._limits.spend(self._limits.ip(ip))
        now = self._clock()
        try:
            current = await self.look(login_id, browser_secret)
        except StateError:
            if code:
                await self._pretend_claim(code, now)
            raise
        claiming, error = core.check_code(current.record, code=code, now=now, deadline=self._claim_deadline(now))
        if not await self.records.change(current, claiming):
            raise StateError("wrong_state", "claim: another claim came first")
        if error is not None:
            if claiming.state is State.REJECTED:
                await self._events.emit(EIDRejected(now, login_id, claiming.reason))
            raise error
        return await self._fetch_result(Current(claiming, current.version + 1))

    async def _pretend_claim(self, code: str, now: float) -> None:
        """As much work as a wrong code is, for a login that is not this browser's."""
        tried, _ = core.check_code(core.DECOY, code=code, now=now, deadline=self._claim_deadline(now))
        await self.records.pretend(tried)

    async def claim(self, current: Current[EIDLogin]) -> Claimed:
        """Same device or integrated client: the browser that began is at the refresh address."""
        claiming = core.claim(current.record, deadline=self._claim_deadline(self._clock()))
        if not await self.records.change(current, claiming):
            raise StateError("wrong_state", "claim: another claim came first")
        return await self._fetch_result(Current(claiming, current.version + 1))

    async def reject(self, login_id: str, *, reason: Reason, minor: str = "") -> bool:
        """End the login without success, whoever is in the middle of what; ``False`` if it had ended already."""
        for _ in range(_MAX_TRIES):
            current = await self.records.load(login_id)
            login, now = current.record, self._clock()
            if login.state in core.FINAL:
                return False
            end = core.fail if login.state is State.CLAIMING else core.reject
            if await self.records.change(current, end(login, reason=reason, now=now)):
                await self._events.emit(EIDRejected(now, login_id, reason.value, minor))
                return True
        return False

    async def server_ended(self, session_id: str, minor: str) -> None:
        """The embedded eID server says that a session is over; ``minor`` is empty where it has a result."""
        found = await self._store.get(_server_key(session_id))
        if found is not None and minor:
            await self.reject(found.value.decode("ascii", "replace"), reason=_reason_of(minor), minor=minor)

    async def expire(self, login_id: str) -> None:
        """Write down that the login has expired, if it has and nobody did; all who watch are told, once."""
        if await self.records.expire(login_id):
            await self._events.emit(EIDExpired(self._clock(), login_id))

    async def _fetch_result(self, current: Current[EIDLogin]) -> Claimed:
        """Ask the eID server, which tells once; the login is over afterwards unless there was nothing to tell yet."""
        login = current.record
        assert self._server is not None
        try:
            if not login.eid_session:
                raise EIDServerError(Minor.NO_RESULT_YET, "getResult: expected the tcToken to be fetched before")
            result = await self._server.get_result(login.eid_session, counter=login.counter)
            person = person_of(result, asked=self._asked)
        except EIDServerError as error:
            if error.minor == Minor.NO_RESULT_YET:
                await self._resume(current, asked=bool(login.eid_session))
                raise StateError("result_pending", "claim: the eID client is not done yet") from None
            await self.reject(login.id, reason=_reason_of(error.minor), minor=error.minor)
            raise
        except RequirementsNotMet as unmet:
            await self.reject(login.id, reason=unmet.reason)
            raise RequestError(
                "requirements_not_met", f"getResult: {unmet} does not suffice", status_hint=403
            ) from None
        except UnavailableError as error:
            if error.retry_is_safe:
                await self._resume(current, asked=False)
            else:
                await self.reject(login.id, reason=Reason.FAILED)
            raise
        now = self._clock()
        if not await self.records.change(current, core.finish(login, now=now)):
            raise session_unknown()
        await self._store.delete(_server_key(login.eid_session))
        await self._move_sector(person, now=now)
        identity = identity_of(person, settings=self._settings, mode=login.mode, emulated=self._emulated, now=now)
        return Claimed(identity, login.return_to)

    async def _bound(self, login: EIDLogin) -> None:
        await self._events.emit(EIDApproved(self._clock(), login.id))

    async def _unbound(self, login: EIDLogin) -> None:
        await self._events.emit(EIDRejected(self._clock(), login.id, login.reason))

    async def _resume(self, current: Current[EIDLogin], *, asked: bool) -> None:
        await self.records.change(current, core.resume(current.record, asked=asked))

    async def _move_sector(self, person: Person, *, now: float) -> None:
        """While the provider changes its sector, the account of the old pseudonym gets the new one as well."""
        if person.old_pseudonym and await self._accounts.find(PROVIDER, person.pseudonym) is None:
            account = await self._accounts.find(PROVIDER, person.old_pseudonym)
            if account is not None:
                await self._accounts.link(account.id, PROVIDER, person.pseudonym, now=now)

    def _claim_deadline(self, now: float) -> float:
        return now + self._settings.timeout + _CLAIM_GRACE

    def _webauthn_server(self, login: EIDLogin) -> WebAuthnServer | None:
        """Where the client is to bring the refresh address: we vouch for it, who are known by our certificate."""
        if login.mode is not Mode.BOUND and not self._settings.webauthn_server:
            return None
        return WebAuthnServer(domain_of(self._settings.webauthn_server or login.server), self._webauthn_pins)

    def _paos_address(self, login: EIDLogin) -> str:
        return self._settings.paos_address or f"{login.server}/eid/paos"


def _psk(opened: UseIDSession) -> bytes:
    try:
        return bytes.fromhex(opened.psk)
    except ValueError:
        raise EIDServerError(Minor.INTERNAL_ERROR, "useID: expected a PSK of hexadecimal digits") from None


def _server_key(session_id: str) -> str:
    return f"eid-server:{b64url(sha256(session_id.encode()).digest())}"


def _reason_of(minor: str) -> Reason:
    match minor:
        case ClientMinor.CANCELLATION_BY_USER:
            return Reason.CANCELLED
        case Minor.INVALID_DOCUMENT:
            return Reason.DOCUMENT
        case Minor.DENIED_DOCUMENT:
            return Reason.REQUIREMENTS
        case _:
            return Reason.FAILED
