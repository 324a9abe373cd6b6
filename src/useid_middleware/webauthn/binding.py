"""Channel binding of a device switch: reads the clock, draws randomness, calls store, client and core, emits events.

Which logins there are to bind, ``waiting/binding.py`` says; those of each kind come from the composition root.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .._codec import RecordType, b64url
from ..errors import EServiceError, StateError, UseIDError, malformed
from ..events import Events, LoginBound
from ..settings import Settings
from ..stores.base import Clock, Store
from ..stores.limits import Limits
from ..waiting.binding import BoundLogins, Unbound
from ..waiting.records import session_unknown
from .client import EServices
from .core import binding as core
from .core.binding import TemporaryAccount, binding_unknown, check_user_id
from .core.errors import CeremonyError
from .core.options import Conveyance
from .core.relying_party import RelyingParty
from .core.response import read_authentication, read_registration
from .core.sealing import decode_sealed
from .core.trust import AttestationPolicy

_CHALLENGE_SIZE: Final = 32
#: Identifiers of attestation statement formats are at most 32 characters long (WebAuthn Level 3 §8.1).
_MAX_FORMATS: Final = 16
_MAX_FORMAT: Final = 32


@dataclass(frozen=True, slots=True)
class Opened:
    """A temporary account, and the options by which the phone makes its credential."""

    user_id: str
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Released:
    """The sealed refresh address, and the pin of the eService's TLS key (raw bytes; empty where there is no TLS)."""

    sealed: str
    eservice_pin: bytes


class BindingService:
    """The steps of the binding, one method each. ``logins`` are those of each kind."""

    def __init__(
        self,
        *,
        logins: Sequence[BoundLogins],
        store: Store,
        events: Events,
        limits: Limits,
        settings: Settings,
        policy: AttestationPolicy,
        eservices: EServices,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._logins = logins
        self._store = store
        self._events = events
        self._limits = limits
        self._settings = settings.webauthn
        self._policy = policy
        self._eservices = eservices
        self._clock = clock
        self._random_bytes = random_bytes

    async def create(
        self, party: RelyingParty, session_id: str, *, sealed: str, attestation_formats: Sequence[str], ip: str
    ) -> Opened:
        """The phone is done, and brings the sealed refresh address."""
        await self._limits.spend(self._limits.ip(ip))
        decode_sealed(sealed)
        _check_formats(attestation_formats)
        _, login = await self._find(lambda each: each.unbound(session_id), unknown=session_unknown())
        await self._limits.spend(self._limits.login(login.session_id))
        now = self._clock()
        await self._limits.bindings.take(now)
        drawn = self._random_bytes(core.USER_ID_SIZE + _CHALLENGE_SIZE)
        handle, challenge = drawn[: core.USER_ID_SIZE], drawn[core.USER_ID_SIZE :]
        lifetime = login.deadline - now
        options, account = core.new_account(
            party,
            user_id=b64url(handle),
            user_handle=handle,
            session_id=session_id,
            sealed=sealed,
            challenge=challenge,
            now=now,
            lifetime=lifetime,
            conveyance=Conveyance(self._settings.attestation),
            attestation_formats=attestation_formats,
        )
        await self._store.put(_key(account.user_id), _accounts.encode(account), ttl=lifetime)
        return Opened(account.user_id, options)

    async def register(self, party: RelyingParty, user_id: str, credential: object, *, ip: str) -> None:
        """The phone has made a credential; of several phones the first has the login.

        A registration that does not hold is the end of the account: its challenge is used up.
        """
        await self._limits.spend(self._limits.ip(ip))
        response = read_registration(credential)
        account, version = await self._load(user_id)
        if account.credential is not None:
            raise StateError("wrong_state", "register: this account has its credential")
        logins, login = await self._find(lambda each: each.unbound(account.session_id), unknown=session_unknown())
        try:
            options, registered = core.register(
                account,
                response,
                party=party,
                policy=self._policy,
                challenge=self._random_bytes(_CHALLENGE_SIZE),
                now=self._clock(),
                lifetime=login.lifetime,
            )
        except UseIDError:
            await self._forget(account)
            raise
        value = _accounts.encode(registered)
        if not await self._store.replace(_key(user_id), value, expected_version=version, ttl=login.lifetime):
            raise StateError("wrong_state", "register: another registration came first")
        try:
            await logins.ask(account.session_id, user_id=user_id, options=options)
        except UseIDError:
            await self._forget(account)
            raise

    async def authenticate(
        self,
        party_of: Callable[[str], RelyingParty],
        user_id: str,
        credential: object,
        *,
        browser_secrets: Sequence[str],
        ip: str,
    ) -> Released:
        """The browser proves that the phone is at hand, once: afterwards the account is gone, whatever it has proved.

        ``party_of`` is us as a tenant's frames have us. The eService is looked at before anything is used up, so that
        one that is away for a moment costs nothing.
        """
        await self._limits.spend(self._limits.ip(ip))
        response = read_authentication(credential)
        account, _ = await self._load(user_id)
        logins, login = await self._find(
            lambda each: each.asked(account.session_id, browser_secrets=browser_secrets), unknown=binding_unknown()
        )
        party = party_of(login.tenant)
        try:
            pin = await self._eservices.check(login.tenant)
            if not await self._forget(account):
                raise binding_unknown()
            core.verify_assertion(account, response, party=party, now=self._clock())
        except (CeremonyError, EServiceError):
            await self._forget(account)
            await logins.refuse(account.session_id, user_id=user_id)
            raise
        await logins.release(account.session_id, user_id=user_id, sealed=account.sealed)
        await self._events.emit(LoginBound(self._clock(), account.session_id, login.tenant))
        return Released(account.sealed, pin)

    async def _forget(self, account: TemporaryAccount) -> bool:
        """The account is over; ``True`` for the one caller who ended it."""
        is_ours = await self._store.delete(_key(account.user_id))
        if is_ours:
            await self._limits.bindings.give_back(account.registration.created_at)
        return is_ours

    async def _load(self, user_id: str) -> tuple[TemporaryAccount, int]:
        found = await self._store.get(_key(check_user_id(user_id)))
        if found is None:
            raise binding_unknown()
        return _accounts.decode(found.value), found.version

    async def _find(
        self, look: Callable[[BoundLogins], Awaitable[Unbound]], *, unknown: UseIDError
    ) -> tuple[BoundLogins, Unbound]:
        """The login, of whichever kind; an id is drawn at random, so that no two kinds share one."""
        for logins in self._logins:
            try:
                return logins, await look(logins)
            except StateError as error:
                if error.code != "session_unknown":
                    raise
        raise unknown


def _check_formats(formats: Sequence[str]) -> None:
    if len(formats) > _MAX_FORMATS or not all(0 < len(each) <= _MAX_FORMAT and each.isascii() for each in formats):
        raise malformed("attestationFormats", f"at most {_MAX_FORMATS} identifiers of statement formats")


def _key(user_id: str) -> str:
    return f"webauthn-account:{user_id}"


_accounts: Final = RecordType(TemporaryAccount)
