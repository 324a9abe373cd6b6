"""The tokens of a session: handed out, renewed ahead of their expiry, by one of however many ask at once."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from .._codec import b64url, replace
from ..errors import NotAuthenticated, ProviderError, UnavailableError, UseIDError
from ..events import Events, TokenRefreshed
from ..sessions.auth import AccessToken
from ..sessions.records import Session
from ..sessions.service import Sessions
from ..settings import OIDCSettings
from ..stores.base import Clock, Store
from .client import ProviderClient
from .core.refresh import is_due, refresh_request, refreshed
from .core.tokens import ExpectedIdToken, TokenSet, verify_id_token
from .records import SessionSecret, session_secrets
from .service import OIDCService

logger = logging.getLogger("useid_middleware")

#: On top of the requests that a refresh may make; the lock of a process that died is free after that (s).
_LOCK_MARGIN: Final = 5.0
#: A renewal ahead of time that failed is tried again after this (s).
_RETRY_AFTER: Final = 10.0
#: Said on the lock's channel.
_DONE: Final = b"done"
_FAILED: Final = b"failed:"


@dataclass(frozen=True, slots=True)
class _Opened:
    secret: SessionSecret
    version: int


class SessionTokens:
    """Hands out access tokens; see :class:`~..sessions.auth.TokenSource`.

    A refresh is single flight across tasks, processes and machines: the lock is in the store, what is due is read
    again under it, and those who waited take what was written, or the same error.
    """

    def __init__(
        self,
        *,
        service: OIDCService,
        sessions: Sessions,
        store: Store,
        events: Events,
        settings: OIDCSettings,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._service = service
        self._sessions = sessions
        self._store = store
        self._events = events
        self._settings = settings
        self._clock = clock
        self._random_bytes = random_bytes
        self._running: dict[str, asyncio.Task[SessionSecret]] = {}

    async def secret(self, session: Session, token: str) -> SessionSecret | None:
        """What the session keeps of its login at a provider, if it was made by one."""
        opened = await self._open(session, token)
        return opened.secret if opened is not None else None

    async def replace(self, session: Session, token: str, secret: SessionSecret) -> bool:
        """Put another secret in the place of the one that is there now."""
        opened = await self._open(session, token)
        return opened is not None and await self._sessions.replace_secret(
            session, token, session_secrets.encode(secret), expected_version=opened.version
        )

    async def access(self, session: Session, token: str, *, refused: str = "") -> AccessToken:
        """See :meth:`~..sessions.auth.TokenSource.access`."""
        opened = await self._open(session, token)
        if opened is None or not opened.secret.tokens.access_token:
            raise NotAuthenticated("not_authenticated", "this session has no access token")
        secret = opened.secret
        if self._is_due(secret, refused):
            secret = await self._renewed_or_still_good(session, token, refused, secret)
        return AccessToken(secret.tokens.access_token, secret.tokens.token_type, secret.dpop_key)

    def _is_due(self, secret: SessionSecret, refused: str) -> bool:
        tokens = secret.tokens
        if refused:
            return tokens.access_token == refused
        now = self._clock()
        lifetime = (tokens.expires_at or now) - secret.received_at
        # A token that lives no longer than that would be due as soon as it came, at each call again.
        if not is_due(tokens, now=now, ahead=min(self._settings.refresh_ahead, lifetime / 2)):
            return False
        # A token that cannot be renewed is used to its end.
        return bool(tokens.refresh_token) or is_due(tokens, now=now, ahead=0)

    async def _renewed_or_still_good(
        self, session: Session, token: str, refused: str, current: SessionSecret
    ) -> SessionSecret:
        """A renewed token; ahead of its end also the present one, while the provider is away."""
        failed = f"oidc-refresh-failed:{session.id}"
        is_good = not refused and not is_due(current.tokens, now=self._clock(), ahead=0)
        if is_good and await self._store.get(failed) is not None:
            return current
        try:
            return await self._renewed(session, token, refused)
        except UnavailableError:
            if not is_good:
                raise
            await self._store.put(failed, b"1", ttl=_RETRY_AFTER)
            return current

    async def _renewed(self, session: Session, token: str, refused: str) -> SessionSecret:
        task = self._running.get(session.id)
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            task = asyncio.ensure_future(self._renew_once(session, token, refused))
            self._running[session.id] = task
            task.add_done_callback(lambda done: self._forget(session.id, done))
        # A client that leaves must not stop a refresh: with rotation, the answer holds the only token that still works.
        return await asyncio.shield(task)

    def _forget(self, session_id: str, task: "asyncio.Task[SessionSecret]") -> None:
        if self._running.get(session_id) is task:
            del self._running[session_id]
        if not task.cancelled():
            task.exception()  # Whoever waited has it; nobody has to.

    async def _renew_once(self, session: Session, token: str, refused: str) -> SessionSecret:
        lock = f"oidc-refresh:{session.id}"
        lifetime = 4 * self._settings.timeout + _LOCK_MARGIN
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 2 * lifetime
        while True:
            news: asyncio.Future[bytes] = loop.create_future()
            unsubscribe = await self._store.subscribe(lock, partial(_tell, news))
            try:
                opened = await self._open(session, token)
                if opened is None:
                    raise NotAuthenticated("not_authenticated", "the session has ended")
                if not self._is_due(opened.secret, refused):
                    return opened.secret
                if await self._store.put(lock, b64url(self._random_bytes(16)).encode(), ttl=lifetime):
                    return await self._refresh_locked(session, token, refused, lock)
                if loop.time() > deadline:
                    raise UnavailableError("provider_unreachable", "refresh: another process did not finish it")
                _, _ = await asyncio.wait([news], timeout=lifetime)
                if news.done() and news.result().startswith(_FAILED):
                    raise _shared_error(news.result().removeprefix(_FAILED).decode("ascii", "replace"))
            finally:
                news.cancel()
                await unsubscribe()

    async def _refresh_locked(self, session: Session, token: str, refused: str, lock: str) -> SessionSecret:
        outcome = _FAILED + b"provider_unreachable"
        try:
            opened = await self._open(session, token)
            if opened is None:
                raise NotAuthenticated("not_authenticated", "the session has ended")
            if not self._is_due(opened.secret, refused):
                outcome = _DONE
                return opened.secret
            secret = await self._refresh(session, token, opened)
            outcome = _DONE
            return secret
        except UseIDError as error:
            outcome = _FAILED + error.code.encode()
            raise
        finally:
            await self._store.delete(lock)
            await self._store.publish(lock, outcome)

    async def _refresh(self, session: Session, token: str, opened: _Opened) -> SessionSecret:
        """Ask for new tokens and write them in the old ones' place in one step (page 002)."""
        old = opened.secret
        if not old.tokens.refresh_token:
            raise NotAuthenticated("not_authenticated", "the access token has expired and there is no refresh token")
        client = self._service.clients.get(old.provider)
        if client is None:
            raise NotAuthenticated("not_authenticated", "the provider of this session is not configured any more")
        try:
            answer = await client.grant(refresh_request(old.tokens), dpop_key=old.dpop_key)
            tokens = await self._checked(client, old, answer)
        except ProviderError as error:
            if error.details.get("error") == "invalid_grant":
                # Revoked, expired, or used by somebody else: it will not work again, so it is not kept.
                spent = replace(old, tokens=replace(old.tokens, access_token="", refresh_token=""))
                await self._write(session, token, spent, opened.version)
                raise NotAuthenticated(
                    "not_authenticated", "the provider does not renew this session's token"
                ) from None
            raise
        new = replace(old, tokens=tokens, received_at=self._clock())
        if not await self._write(session, token, new, opened.version):
            # A look at the provider's session (prompt=none) brought tokens of its own meanwhile; or the session ended.
            current = await self._open(session, token)
            if current is None:
                raise NotAuthenticated("not_authenticated", "the session ended while its token was renewed")
            return current.secret
        event = TokenRefreshed(self._clock(), session.id, old.tokens.expires_at, tokens.expires_at, tokens)
        await self._events.emit(event)
        return new

    async def _checked(self, client: ProviderClient, old: SessionSecret, answer: TokenSet) -> TokenSet:
        """The answer's tokens; a new ID token must be about the same person (OpenID Connect Core §12.2)."""
        id_token = None
        if answer.id_token:
            answer = replace(answer, id_token=client.open(answer.id_token, name="id_token"))
            expected = ExpectedIdToken(
                issuer=old.issuer,
                client_id=client.provider.client_id,
                nonce=None,
                algorithms=client.provider.algorithms,
                trusted_audiences=client.provider.trusted_audiences,
                skew=self._settings.skew,
            )
            id_token = await client.verified(
                lambda keys: verify_id_token(
                    answer.id_token,
                    client.combined(keys),
                    expected=expected,
                    now=self._clock(),
                    access_token=answer.access_token,
                )
            )
            if id_token.nonce not in ("", old.nonce):
                raise ProviderError(
                    "token_claim_invalid",
                    "id_token: nonce: expected none, or that of the login",
                    details={"token": "id_token", "claim": "nonce"},
                )
        return refreshed(
            old.tokens,
            answer,
            expected_issuer=old.issuer,
            expected_subject=old.subject,
            expected_auth_time=old.auth_time,
            id_token=id_token,
        )

    async def _write(self, session: Session, token: str, secret: SessionSecret, version: int) -> bool:
        value = session_secrets.encode(secret)
        return await self._sessions.replace_secret(session, token, value, expected_version=version)

    async def _open(self, session: Session, token: str) -> _Opened | None:
        # Other logins keep other secrets.
        found = await self._sessions.secret(session, token) if session.sid is not None else None
        if found is None:
            return None
        try:
            return _Opened(session_secrets.decode(found.value), found.version)
        except UnavailableError as error:
            # Of another version. There are no tokens then, and whoever wants to leave can: see Sessions.secret.
            logger.warning("the tokens of a session are left out: %s", error)
            return None


def _tell(news: "asyncio.Future[bytes]", message: bytes | None) -> None:
    if not news.done():
        news.set_result(message or b"")


def _shared_error(code: str) -> UseIDError:
    """What the one who refreshed ran into, for those who waited."""
    if code == "not_authenticated":
        return NotAuthenticated("not_authenticated", "the provider does not renew this session's token")
    if code == "provider_unreachable":
        return UnavailableError("provider_unreachable", "refresh: the provider did not answer", retry_after=5)
    return ProviderError("refresh_failed", f"refresh: another request failed with {code}")
