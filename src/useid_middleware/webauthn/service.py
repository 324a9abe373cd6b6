"""Passkeys: reads the clock, draws randomness, calls store, accounts and core, emits events."""

import secrets
from collections.abc import Callable, Sequence
from typing import Final

from .._codec import b64url, replace
from ..accounts.base import Accounts, Passkey
from ..accounts.columns import check_text
from ..errors import AuthenticationError, StateError
from ..events import Events, PasskeyAdded, PasskeyRemoved
from ..http.routing import not_found
from ..identity import Identity, Level
from ..sessions.auth import login_required
from ..sessions.records import Session
from ..sessions.service import Sessions
from ..settings import WebAuthnSettings
from ..stores.base import Bucket, Clock, Store
from ..stores.limits import Limits
from ..waiting.browser import browser_hash
from .ceremonies import ID_SIZE, Begun, Ceremonies, Ceremony, Purpose
from .core.authentication import (
    StoredCredential,
    VerifiedAuthentication,
    signature_refused,
    verify_authentication,
)
from .core.decoys import decoy_credential, with_decoys
from .core.errors import CeremonyError
from .core.extensions import RegistrationExtensions
from .core.options import (
    ALL_HINTS,
    Conveyance,
    Descriptor,
    Hint,
    ResidentKey,
    User,
    UserVerification,
    begin_authentication,
    begin_registration,
    hints_for,
)
from .core.registration import VerifiedRegistration, verify_registration
from .core.relying_party import RelyingParty
from .core.response import read_authentication, read_registration
from .core.trust import AttestationPolicy

PROVIDER: Final = "passkey"
_CHALLENGE_SIZE: Final = 32
_LABEL: Final = "Passkey"
#: So many passkeys of whoever has a name are looked for: as many as one account may have.
_MAX_LISTED: Final = 100
#: The name of the secret of ours that decoys come out of.
_DECOYS: Final = "webauthn-decoys"


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
        self._ceremonies = Ceremonies(
            store=store, lifetime=settings.lifetime, places=limits.ceremonies, random_bytes=random_bytes
        )
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
        await self._limits.spend(*self._own(session, ip))
        now = self._clock()
        async with self._limits.ceremonies.begun(now):
            known = await self._with_room(session)
            handle = await self.user_handle(session)
            options, state = begin_registration(
                party,
                User(handle, session.username, session.username),
                challenge=self._random_bytes(_CHALLENGE_SIZE),
                now=now,
                lifetime=self._settings.lifetime,
                exclude=_descriptors(known),
                user_verification=UserVerification(self._settings.user_verification),
                resident_key=ResidentKey.PREFERRED,
                hints=ALL_HINTS,
                conveyance=Conveyance(self._settings.attestation),
                extensions=RegistrationExtensions(cred_props=True),
            )
            ceremony = Ceremony(Purpose.REGISTER, browser_hash(token), session.account_id, registration=state)
            return await self._ceremonies.keep(ceremony, options)

    async def register(
        self,
        party: RelyingParty,
        session: Session,
        ceremony_id: str,
        credential: object,
        *,
        token: str,
        label: str,
        ip: str,
    ) -> Passkey:
        """The new passkey, verified and kept."""
        check_text("label", label, may_be_empty=True)
        await self._limits.spend(*self._own(session, ip))
        response = read_registration(credential)
        ceremony = await self._ceremonies.take(
            ceremony_id, Purpose.REGISTER, secret=token, account_id=session.account_id
        )
        assert ceremony.registration is not None
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

    async def begin_login(self, party: RelyingParty, *, browser_secret: str, ip: str, username: str = "") -> Begun:
        """Options for a login by whatever passkey the browser finds, or by one of whoever has this name.

        The latter finds also what authenticators do not list. Nothing is told about any account (:mod:`.core.decoys`).
        """
        check_text("username", username, may_be_empty=True)
        # Not by account: whoever knows somebody's name could keep them out.
        await self._limits.spend(self._limits.ip(ip))
        now = self._clock()
        async with self._limits.ceremonies.begun(now):
            allow: Sequence[Descriptor] = ()
            if username:
                known = await self._accounts.passkeys_of_name(username, limit=_MAX_LISTED)
                key = await self._accounts.secret(_DECOYS)
                allow = with_decoys(_descriptors(known), username, key=key)
            ceremony = Ceremony(Purpose.LOGIN, browser_hash(browser_secret))
            return await self._begin(party, ceremony, now=now, allow=allow, handle=b"", hints=ALL_HINTS)

    async def log_in(
        self, party: RelyingParty, ceremony_id: str, credential: object, *, browser_secret: str, ip: str
    ) -> Identity:
        """The identity behind a passkey."""
        await self._limits.spend(self._limits.ip(ip))
        passkey, verified = await self._verify(
            party, ceremony_id, credential, purpose=Purpose.LOGIN, secret=browser_secret
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
        await self._limits.spend(*self._own(session, ip))
        now = self._clock()
        async with self._limits.ceremonies.begun(now):
            known = await self._accounts.passkeys(session.account_id)
            if not known:
                raise StateError("passkey_missing", "step-up: this account has no passkey")
            ceremony = Ceremony(Purpose.STEP_UP, browser_hash(token), session.account_id)
            handle, allow = await self.user_handle(session), _descriptors(known)
            return await self._begin(party, ceremony, now=now, allow=allow, handle=handle, hints=hints_for(allow))

    async def step_up(
        self, party: RelyingParty, session: Session, ceremony_id: str, credential: object, *, token: str, ip: str
    ) -> Identity:
        """The session's own identity at the level that the passkey reaches; what the session keeps goes with it."""
        await self._limits.spend(*self._own(session, ip))
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

    async def rename(self, session: Session, passkey_id: str, label: str, *, ip: str) -> None:
        """Give a passkey another name."""
        check_text("label", label)
        await self._limits.spend(*self._own(session, ip))
        if not await self._accounts.rename_passkey(session.account_id, passkey_id, label):
            raise not_found()

    async def remove(self, session: Session, passkey_id: str, *, ip: str) -> None:
        """Delete a passkey; sessions that it opened end, as those of a phone do."""
        await self._limits.spend(*self._own(session, ip))
        if not await self._accounts.remove_passkey(session.account_id, passkey_id):
            raise not_found()
        await self._sessions.end_device(passkey_id, reason="revoked")
        await self._events.emit(PasskeyRemoved(self._clock(), session.account_id, passkey_id))

    def _own(self, session: Session, ip: str) -> tuple[Bucket, Bucket]:
        """The buckets of what a user does."""
        return self._limits.ip(ip), self._limits.account(session.account_id)

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
        self,
        party: RelyingParty,
        ceremony: Ceremony,
        *,
        now: float,
        allow: Sequence[Descriptor],
        handle: bytes,
        hints: Sequence[Hint],
    ) -> Begun:
        # What is to raise a session's level must verify its user.
        wanted = UserVerification(self._settings.user_verification)
        if ceremony.purpose is Purpose.STEP_UP:
            wanted = UserVerification.REQUIRED
        options, state = begin_authentication(
            party,
            challenge=self._random_bytes(_CHALLENGE_SIZE),
            now=now,
            lifetime=self._settings.lifetime,
            allow=allow,
            user_handle=handle,
            user_verification=wanted,
            hints=hints,
        )
        return await self._ceremonies.keep(replace(ceremony, authentication=state), options)

    async def _verify(
        self,
        party: RelyingParty,
        ceremony_id: str,
        credential: object,
        *,
        purpose: Purpose,
        secret: str,
        account_id: str = "",
    ) -> tuple[Passkey, VerifiedAuthentication]:
        response = read_authentication(credential)
        ceremony = await self._ceremonies.take(ceremony_id, purpose, secret=secret, account_id=account_id)
        state = ceremony.authentication
        assert state is not None
        passkey = await self._accounts.passkey_by_credential(response.credential_id)
        record = _stored(passkey) if passkey is not None else None
        if record is None and purpose is Purpose.LOGIN and response.credential_id in state.allowed:
            # A decoy, or a passkey that was deleted meanwhile: either is refused as a wrong signature is.
            record = decoy_credential(response.credential_id, key=await self._accounts.secret(_DECOYS))
        now = self._clock()
        verified = verify_authentication(
            response,
            expected_state=state,
            expected_party=party,
            credential=record,
            now=now,
        )
        if passkey is None:
            raise signature_refused()
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

    def _passkey(self, verified: VerifiedRegistration, account_id: str, label: str, now: float) -> Passkey:
        return Passkey(
            id=b64url(self._random_bytes(ID_SIZE)),
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
