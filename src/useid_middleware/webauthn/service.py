"""Passkeys: reads the clock, draws randomness, calls store, accounts and core, emits events."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from .._codec import Record, RecordType, b64url, is_b64url
from ..accounts.base import Accounts, Passkey
from ..accounts.columns import check_text
from ..errors import AuthenticationError, RequestError, StateError
from ..events import Events, PasskeyAdded, PasskeyRemoved
from ..http.routing import not_found
from ..identity import Identity, Level
from ..sessions.auth import login_required
from ..sessions.records import Session
from ..sessions.service import Sessions
from ..settings import WebAuthnSettings
from ..stores.base import Clock, Store
from ..stores.limits import Limits
from ..waiting.browser import browser_hash
from .core.authentication import StoredCredential, VerifiedAuthentication, verify_authentication
from .core.errors import CeremonyError
from .core.extensions import RegistrationExtensions
from .core.options import (
    AuthenticationState,
    Conveyance,
    Descriptor,
    RegistrationState,
    ResidentKey,
    User,
    UserVerification,
    begin_authentication,
    begin_registration,
)
from .core.registration import VerifiedRegistration, verify_registration
from .core.relying_party import RelyingParty
from .core.response import read_authentication, read_registration
from .core.trust import AttestationPolicy

PROVIDER: Final = "passkey"
_ID_SIZE: Final = 16
_CHALLENGE_SIZE: Final = 32
_LABEL: Final = "Passkey"


class Purpose(StrEnum):
    """What a ceremony is for."""

    REGISTER = "register"
    LOGIN = "login"
    STEP_UP = "step-up"


class Ceremony(Record, frozen=True):
    """A ceremony under way; ``bound`` is the SHA-256 of the secret of the browser or session that began it."""

    purpose: Purpose
    bound: bytes
    account_id: str = ""
    registration: RegistrationState | None = None
    authentication: AuthenticationState | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """A ceremony's id, and the options for the browser."""

    id: str
    options: dict[str, Any]


_ceremonies: Final = RecordType(Ceremony)


class PasskeyService:
    """The steps of registering, logging in and stepping up, and what a user does with passkeys."""

    def __init__(
        self,
        *,
        store: Store,
        accounts: Accounts,
        sessions: Sessions,
        events: Events,
        limits: Limits,
        settings: WebAuthnSettings,
        policy: AttestationPolicy,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._sessions = sessions
        self._events = events
        self._limits = limits
        self._settings = settings
        self._policy = policy
        self._clock = clock
        self._random_bytes = random_bytes

    async def begin_registration(self, party: RelyingParty, session: Session, *, token: str, ip: str) -> Begun:
        """Options for a new passkey of the session's account."""
        await self._limits.spend(self._limits.ip(ip), self._limits.account(session.account_id))
        known = await self._with_room(session)
        handle = await self.user_handle(session)
        options, state = begin_registration(
            party,
            User(handle, session.username, session.username),
            challenge=self._random_bytes(_CHALLENGE_SIZE),
            now=self._clock(),
            lifetime=self._settings.lifetime,
            exclude=_descriptors(known),
            user_verification=UserVerification(self._settings.user_verification),
            resident_key=ResidentKey.PREFERRED,
            conveyance=Conveyance(self._settings.attestation),
            extensions=RegistrationExtensions(cred_props=True),
        )
        ceremony = Ceremony(Purpose.REGISTER, browser_hash(token), session.account_id, registration=state)
        return Begun(await self._keep(ceremony), options)

    async def register(
        self, party: RelyingParty, session: Session, ceremony_id: str, credential: object, *, token: str, label: str
    ) -> Passkey:
        """The new passkey, verified and kept."""
        check_text("label", label, may_be_empty=True)
        response = read_registration(credential)
        ceremony = await self._take(ceremony_id, Purpose.REGISTER, secret=token)
        if ceremony.registration is None or ceremony.account_id != session.account_id:
            raise ceremony_unknown()
        await self._with_room(session)  # Others may have been registered since this ceremony began.
        now = self._clock()
        known = await self._accounts.passkey_by_credential(response.credential_id)
        verified = verify_registration(
            response,
            expected_state=ceremony.registration,
            expected_party=party,
            policy=self._policy,
            is_known=known is not None,
            now=now,
        )
        passkey = self._passkey(verified, session.account_id, label or _LABEL, now)
        try:
            is_added = await self._accounts.add_passkey(passkey)
        except LookupError:
            raise login_required() from None  # The session outlives its account.
        if not is_added:
            # Another request registered it between our look and now.
            raise CeremonyError("webauthn_credential_known", "credentialId: expected one that nobody has registered")
        await self._events.emit(PasskeyAdded(now, session.account_id, passkey.id))
        return passkey

    async def begin_login(self, party: RelyingParty, *, browser_secret: str, ip: str) -> Begun:
        """Options for a login by whatever passkey the browser finds: nothing is told about any account."""
        await self._limits.spend(self._limits.ip(ip))
        return await self._begin(party, Ceremony(Purpose.LOGIN, browser_hash(browser_secret)), allow=(), handle=b"")

    async def log_in(
        self, party: RelyingParty, ceremony_id: str, credential: object, *, browser_secret: str, ip: str
    ) -> Identity:
        """The identity behind a passkey."""
        await self._limits.spend(self._limits.ip(ip))
        passkey, verified = await self._verify(
            party, ceremony_id, credential, purpose=Purpose.LOGIN, secret=browser_secret, account_id=""
        )
        return Identity(
            provider=PROVIDER,
            subject=passkey.id,
            account_id=passkey.account_id,
            level=level_of(verified),
            amr=methods_of(verified, passkey),
            auth_time=self._clock(),
            device_id=passkey.id,
        )

    async def begin_step_up(self, party: RelyingParty, session: Session, *, token: str, ip: str) -> Begun:
        """Options for proving more, with one of the account's own passkeys; ``passkey_missing`` if it has none."""
        await self._limits.spend(self._limits.ip(ip), self._limits.account(session.account_id))
        known = await self._accounts.passkeys(session.account_id)
        if not known:
            raise StateError("passkey_missing", "step-up: this account has no passkey")
        ceremony = Ceremony(Purpose.STEP_UP, browser_hash(token), session.account_id)
        handle = await self.user_handle(session)
        return await self._begin(party, ceremony, allow=_descriptors(known), handle=handle)

    async def step_up(
        self, party: RelyingParty, session: Session, ceremony_id: str, credential: object, *, token: str
    ) -> Identity:
        """The session's own identity at the level that the passkey reaches; what the session keeps goes with it."""
        passkey, verified = await self._verify(
            party,
            ceremony_id,
            credential,
            purpose=Purpose.STEP_UP,
            secret=token,
            account_id=session.account_id,
        )
        kept = await self._sessions.secret(session, token)
        methods = dict.fromkeys((*session.amr, *methods_of(verified, passkey)))
        return Identity(
            provider=session.provider,
            subject=session.subject,
            account_id=session.account_id,
            level=max(session.level, level_of(verified)),
            amr=tuple(methods),
            auth_time=self._clock(),
            device_id=session.device_id or None,
            sid=session.sid,
            roles=session.roles,
            secret=kept.value if kept is not None else b"",
            secret_lifetime=self._sessions.secret_lifetime(session),
            emulated=session.emulated,
        )

    async def passkeys(self, session: Session) -> Sequence[Passkey]:
        """The account's passkeys, oldest first."""
        return await self._accounts.passkeys(session.account_id)

    async def user_handle(self, session: Session) -> bytes:
        """What authenticators know the account by; ``login_required`` where the session outlives its account."""
        try:
            return await self._accounts.user_handle(session.account_id)
        except LookupError:
            raise login_required() from None

    async def rename(self, session: Session, passkey_id: str, label: str) -> None:
        """Give a passkey another name."""
        if not await self._accounts.rename_passkey(session.account_id, passkey_id, check_text("label", label)):
            raise not_found()

    async def remove(self, session: Session, passkey_id: str) -> None:
        """Delete a passkey; sessions that it opened end, as those of a phone do."""
        if not await self._accounts.remove_passkey(session.account_id, passkey_id):
            raise not_found()
        await self._sessions.end_device(passkey_id, reason="revoked")
        await self._events.emit(PasskeyRemoved(self._clock(), session.account_id, passkey_id))

    async def _with_room(self, session: Session) -> Sequence[Passkey]:
        """The account's passkeys, if this session may add one; else ``level_required`` or ``passkey_limit``.

        An account that has one can step up, and has to: a session of less could otherwise make itself a key to more.
        """
        known = await self._accounts.passkeys(session.account_id)
        if len(known) >= self._settings.max_passkeys:
            raise StateError("passkey_limit", f"passkeys: expected fewer than {self._settings.max_passkeys}")
        if known and session.level < Level.L2:
            message = f"passkeys: a further one needs a session of level {Level.L2.name}; step up first"
            raise AuthenticationError("level_required", message)
        return known

    async def _begin(
        self, party: RelyingParty, ceremony: Ceremony, *, allow: Sequence[Descriptor], handle: bytes
    ) -> Begun:
        # What is to raise a session's level must verify its user.
        wanted = UserVerification(self._settings.user_verification)
        if ceremony.purpose is Purpose.STEP_UP:
            wanted = UserVerification.REQUIRED
        options, state = begin_authentication(
            party,
            challenge=self._random_bytes(_CHALLENGE_SIZE),
            now=self._clock(),
            lifetime=self._settings.lifetime,
            allow=allow,
            user_handle=handle,
            user_verification=wanted,
        )
        kept = Ceremony(ceremony.purpose, ceremony.bound, ceremony.account_id, authentication=state)
        return Begun(await self._keep(kept), options)

    async def _verify(
        self,
        party: RelyingParty,
        ceremony_id: str,
        credential: object,
        *,
        purpose: Purpose,
        secret: str,
        account_id: str,
    ) -> tuple[Passkey, VerifiedAuthentication]:
        response = read_authentication(credential)
        ceremony = await self._take(ceremony_id, purpose, secret=secret)
        if ceremony.authentication is None or ceremony.account_id != account_id:
            raise ceremony_unknown()
        passkey = await self._accounts.passkey_by_credential(response.credential_id)
        now = self._clock()
        verified = verify_authentication(
            response,
            expected_state=ceremony.authentication,
            expected_party=party,
            credential=_stored(passkey) if passkey is not None else None,
            now=now,
        )
        assert passkey is not None
        if not await self._accounts.use_passkey(
            passkey.id,
            expected_sign_count=passkey.sign_count,
            sign_count=verified.sign_count,
            is_backed_up=verified.is_backed_up,
            now=now,
        ):
            # Another assertion with this counter came first, or the passkey was deleted meanwhile.
            message = "signCount: expected more than at the last time"
            raise CeremonyError("webauthn_sign_count", message, status_hint=401)
        return passkey, verified

    async def _keep(self, ceremony: Ceremony) -> str:
        ceremony_id = b64url(self._random_bytes(_ID_SIZE))
        await self._store.put(_key(ceremony_id), _ceremonies.encode(ceremony), ttl=self._settings.lifetime)
        return ceremony_id

    async def _take(self, ceremony_id: str, purpose: Purpose, *, secret: str) -> Ceremony:
        """The ceremony, once: whatever comes of it, its challenge is used up. One answer for all that is not so."""
        found = await self._store.get(_key(ceremony_id)) if is_b64url(ceremony_id, _ID_SIZE) else None
        if found is None:
            raise ceremony_unknown()
        ceremony = _ceremonies.decode(found.value)
        if ceremony.purpose is not purpose or ceremony.bound != browser_hash(secret):
            # Not this browser's: it must not use up another one's challenge either.
            raise ceremony_unknown()
        if await self._store.take(_key(ceremony_id)) is None:
            raise ceremony_unknown()
        return ceremony

    def _passkey(self, verified: VerifiedRegistration, account_id: str, label: str, now: float) -> Passkey:
        return Passkey(
            id=b64url(self._random_bytes(_ID_SIZE)),
            account_id=account_id,
            credential_id=verified.credential_id,
            public_key=verified.public_key,
            sign_count=verified.sign_count,
            user_handle=verified.user_handle,
            transports=verified.transports,
            aaguid=verified.aaguid,
            label=label,
            is_discoverable=bool(verified.extensions.is_discoverable),
            is_backup_eligible=verified.is_backup_eligible,
            is_backed_up=verified.is_backed_up,
            attestation_format=verified.attestation_format,
            created_at=now,
        )


def level_of(verified: VerifiedAuthentication) -> Level:
    """Without user verification whoever holds the device got in: no more than a password's worth."""
    return Level.L2 if verified.is_user_verified else Level.L0


def methods_of(verified: VerifiedAuthentication, passkey: Passkey) -> tuple[str, ...]:
    """Authentication methods (RFC 8176). A key that is copied to other devices is a key in software."""
    key = "swk" if passkey.is_backup_eligible else "hwk"
    return ("pop", key, "user", "mfa") if verified.is_user_verified else ("pop", key, "user")


def ceremony_unknown() -> RequestError:
    """One answer for a ceremony that is unknown, over, or somebody else's."""
    return RequestError("ceremony_unknown", "ceremonyId: expected one that this browser has begun", status_hint=404)


def _stored(passkey: Passkey) -> StoredCredential:
    return StoredCredential(
        credential_id=passkey.credential_id,
        public_key=passkey.public_key,
        sign_count=passkey.sign_count,
        user_handle=passkey.user_handle,
        is_backup_eligible=passkey.is_backup_eligible,
    )


def _descriptors(passkeys: Sequence[Passkey]) -> tuple[Descriptor, ...]:
    return tuple(Descriptor(each.credential_id, each.transports) for each in passkeys)


def _key(ceremony_id: str) -> str:
    return f"webauthn:{ceremony_id}"
