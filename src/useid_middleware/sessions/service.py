"""Login sessions: server-side records behind a small cookie.

The cookie holds 32 random bytes; the store is keyed by their SHA-256, so that a copy of the store opens no session.
What a session keeps secret (the tokens of its OpenID provider) lies beside it, sealed under those bytes.

A record that cannot be read, damaged or of a newer version before a rollback, is no session: whoever brings its cookie
is asked to log in, and lists leave it out. It stays where it is, since a worker of its own version may know it; but
where sessions of an account, a phone or a provider are ended, it ends with them.
"""

import asyncio
import logging
import math
import secrets
from collections.abc import Callable
from hashlib import sha256

from .._codec import RecordType, b64url, is_b64url, replace
from .._lifetime import is_past
from .._sealing import NONCE_SIZE, SealBroken, seal, unseal
from ..accounts.base import Account
from ..errors import UnavailableError
from ..events import Events, SessionEnded
from ..identity import Identity
from ..settings import SessionSettings
from ..stores.base import Clock, Store, Unsubscribe, Versioned
from .records import Session

logger = logging.getLogger("useid_middleware")

_TOKEN_SIZE = 32
#: So many sessions that cannot be read are remembered, so as to log each once.
_MOST_NOTED = 1000
_records = RecordType(Session)


class Sessions:
    """Create, load, list and end login sessions."""

    def __init__(
        self,
        *,
        store: Store,
        settings: SessionSettings,
        events: Events,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._settings = settings
        self._events = events
        self._clock = clock
        self._random_bytes = random_bytes
        # Writing the last use at every request would cost a write each; idle expiry is exact to this many seconds.
        self._touch_after = min(60.0, settings.idle_lifetime / 10)
        self._noted: set[str] = set()

    async def create(
        self,
        account: Account,
        identity: Identity,
        *,
        ip: str = "",
        browser: str = "",
        roles: tuple[str, ...] = (),
        is_new_account: bool = False,
    ) -> tuple[str, Session]:
        """A new session and its secret, which is told this once."""
        now = self._clock()
        token = b64url(self._random_bytes(_TOKEN_SIZE))
        kept_for = identity.secret_lifetime if identity.secret else None
        session = Session(
            id=_session_id(token),
            account_id=account.id,
            username=account.username,
            provider=identity.provider,
            subject=identity.subject,
            level=identity.level,
            amr=identity.amr,
            auth_time=identity.auth_time if identity.auth_time is not None else now,
            created_at=now,
            last_seen_at=now,
            expires_at=now + self._settings.absolute_lifetime,
            ip=ip,
            browser=browser,
            device_id=identity.device_id or "",
            sid=identity.sid,
            roles=roles,
            is_new_account=is_new_account,
            has_secret=bool(identity.secret),
            secret_expires_at=now + kept_for if kept_for is not None else None,
            emulated=identity.emulated,
        )
        indexes = [f"session-account:{account.id}"]
        if session.device_id:
            indexes.append(f"session-device:{session.device_id}")
        if identity.sid is not None:
            indexes.append(_subject_index(identity.provider, identity.subject))
            if identity.sid:
                indexes.append(_sid_index(identity.provider, identity.sid))
        if identity.secret:
            sealed = self._seal(session.id, token, identity.secret)
            lifetime = min(self._settings.absolute_lifetime, math.inf if kept_for is None else kept_for)
            await self._store.put(_secret_key(session.id), sealed, ttl=lifetime)
        await self._store.put(_key(session.id), _records.encode(session), ttl=self._ttl(session), indexes=indexes)
        await self._make_room(session)
        return token, session

    async def load(self, token: str) -> Session | None:
        """The living session with this secret; notes the use."""
        if not is_b64url(token, _TOKEN_SIZE):
            return None
        key = _key(_session_id(token))
        found = await self._store.get(key)
        if found is None:
            return None
        session = self._read(key, found)
        now = self._clock()
        if session is None or not self._alive(session, now):
            return None
        if abs(now - session.last_seen_at) >= self._touch_after:  # It may have been set back.
            session = replace(session, last_seen_at=now)
            # Losing this race means that another request has just noted its own use, or that the session was ended.
            await self._store.replace(
                key, _records.encode(session), expected_version=found.version, ttl=self._ttl(session)
            )
        return session

    async def of_account(self, account_id: str) -> list[Session]:
        """The account's living sessions, newest first."""
        return await self._find(f"session-account:{account_id}")

    async def of_subject(self, issuer: str, subject: str) -> list[Session]:
        """The living sessions that this issuer opened for this subject, newest first."""
        return await self._find(_subject_index(issuer, subject))

    async def of_sid(self, issuer: str, sid: str) -> list[Session]:
        """The living sessions that belong to this session of the issuer's, newest first."""
        return await self._find(_sid_index(issuer, sid))

    async def secret(self, session: Session, token: str) -> Versioned | None:
        """What the session keeps secret, opened with its own token; ``None`` when there is nothing (any more)."""
        found = await self._store.get(_secret_key(session.id)) if session.has_secret else None
        if found is None:
            return None
        try:
            value = unseal(found.value, secret=token.encode(), purpose=_secret_key(session.id).encode())
        except SealBroken:
            return None  # Of another token: not for this caller.
        return Versioned(value, found.version)

    def secret_lifetime(self, session: Session) -> float | None:
        """Seconds that the session goes on keeping its secret; ``None``: as long as it lives."""
        end = session.secret_expires_at
        return None if end is None else max(1.0, end - self._clock())

    async def replace_secret(self, session: Session, token: str, value: bytes, *, expected_version: int) -> bool:
        """Put ``value`` in the secret's place, in one step; ``False`` if it was replaced or dropped meanwhile.

        Whoever watches the session's secret is told.
        """
        sealed = self._seal(session.id, token, value)
        ttl = max(1.0, session.expires_at - self._clock())
        return await self._store.replace(
            _secret_key(session.id), sealed, expected_version=expected_version, ttl=ttl, message=b"replaced"
        )

    async def watch(self, session: Session, callback: Callable[[bytes | None], None]) -> Unsubscribe:
        """Call back with the reason when the session is ended, or with ``None`` when that may have been missed."""
        return await self._store.subscribe(_key(session.id), callback)

    async def seconds_left(self, session: Session) -> float:
        """How long it lives on when nobody uses it; 0.0 when it has ended. Not a use of it."""
        found = await self._store.get(_key(session.id))
        current, now = None if found is None else self._read(_key(session.id), found), self._clock()
        if current is None:
            return 0.0
        end = min(current.expires_at, current.last_seen_at + self._settings.idle_lifetime)
        return max(0.0, end - now) if self._alive(current, now) else 0.0

    async def end(self, session: Session, *, reason: str) -> bool:
        """End one session; ``False`` when it had ended already. Pages that watch it learn of it at once."""
        return await self._end(session.id, session.account_id, has_secret=session.has_secret, reason=reason)

    async def end_unreadable(self, issuer: str, *, sid: str, subject: str, reason: str) -> int:
        """End those of an issuer's sessions (by ``sid``, else by subject) that cannot be read; returns how many."""
        _, unreadable = await self._sort(_sid_index(issuer, sid) if sid else _subject_index(issuer, subject))
        return sum([await self._end(each, "", has_secret=True, reason=reason) for each in unreadable])

    async def end_account(self, account_id: str, *, reason: str, keep: str = "") -> int:
        """End all sessions of an account, but the one with id ``keep``; returns how many."""
        return await self._end_all(f"session-account:{account_id}", account_id, reason=reason, keep=keep)

    async def end_device(self, device_id: str, *, reason: str) -> int:
        """End all sessions that this phone opened; returns how many."""
        return await self._end_all(f"session-device:{device_id}", "", reason=reason)

    async def _end_all(self, index: str, account_id: str, *, reason: str, keep: str = "") -> int:
        """``account_id`` is that of all, where it is known without reading them."""
        sessions, unreadable = await self._sort(index)
        ended = [await self.end(session, reason=reason) for session in sessions if session.id != keep]
        ended += [await self._end(each, account_id, has_secret=True, reason=reason) for each in unreadable]
        return sum(ended)

    async def _end(self, session_id: str, account_id: str, *, has_secret: bool, reason: str) -> bool:
        ended = await self._store.delete(_key(session_id))
        if has_secret:
            await self._store.delete(_secret_key(session_id))
        if ended:
            await self._store.publish(_key(session_id), reason.encode())
            await self._events.emit(SessionEnded(self._clock(), account_id, session_id, reason))
        return ended

    async def _make_room(self, newest: Session) -> None:
        """End the oldest: who logs in without end would have us keep sessions without end, and list them."""
        index, limit = f"session-account:{newest.account_id}", self._settings.per_account
        if len(await self._store.find(index)) > limit:
            others = [session for session in await self._find(index) if session.id != newest.id]
            for session in others[limit - 1 :]:
                await self.end(session, reason="limit")

    async def _find(self, index: str) -> list[Session]:
        sessions, _ = await self._sort(index)
        return sessions

    async def _sort(self, index: str) -> tuple[list[Session], list[str]]:
        """The living sessions, newest first, and the ids of those that cannot be read."""
        now = self._clock()
        living: list[Session] = []
        unreadable: list[str] = []
        keys = await self._store.find(index)
        # All at once: over a network they travel together.
        for key, found in zip(keys, await asyncio.gather(*map(self._store.get, keys)), strict=True):
            if found is None:
                continue
            session = self._read(key, found)
            if session is None:
                unreadable.append(key.removeprefix(_KEY))
            elif self._alive(session, now):
                living.append(session)
        return sorted(living, key=lambda session: session.created_at, reverse=True), unreadable

    def _read(self, key: str, found: Versioned) -> Session | None:
        """The session; ``None`` where it cannot be read, which is told the log once."""
        try:
            return _records.decode(found.value)
        except UnavailableError:
            if key not in self._noted:
                if len(self._noted) >= _MOST_NOTED:
                    self._noted.clear()
                self._noted.add(key)
                logger.warning(
                    "a login session cannot be read, so it is none: damaged, or of a newer version (%s)", key
                )
            return None

    def _seal(self, session_id: str, token: str, value: bytes) -> bytes:
        nonce = self._random_bytes(NONCE_SIZE)
        return seal(value, secret=token.encode(), purpose=_secret_key(session_id).encode(), nonce=nonce)

    def _alive(self, session: Session, now: float) -> bool:
        end = min(session.expires_at, session.last_seen_at + self._settings.idle_lifetime)
        return not is_past(created_at=session.created_at, deadline=end, now=now)

    def _ttl(self, session: Session) -> float:
        return min(self._settings.idle_lifetime, session.expires_at - session.last_seen_at)


def _session_id(token: str) -> str:
    return b64url(sha256(token.encode()).digest())


_KEY = "session:"


def _key(session_id: str) -> str:
    return _KEY + session_id


def _secret_key(session_id: str) -> str:
    return f"session-secret:{session_id}"


def _subject_index(issuer: str, subject: str) -> str:
    return f"session-subject:{_digest(issuer, subject)}"


def _sid_index(issuer: str, sid: str) -> str:
    return f"session-sid:{_digest(issuer, sid)}"


def _digest(issuer: str, name: str) -> str:
    """Names come from outside, at any length; an issuer holds no NUL, so no two pairs read alike."""
    return b64url(sha256(f"{issuer}\0{name}".encode()).digest())
