"""Logouts: the user's own, which goes on to the provider; and the provider's, by back channel and front channel."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from .._codec import b64url, is_b64url
from ..accounts.base import Accounts
from ..errors import ProviderError, RequestError, UseIDError
from ..events import BackchannelLogout, Events, FrontchannelLogout, ProviderLogout, SessionChanged
from ..sessions.records import Session
from ..sessions.service import Sessions
from ..settings import OIDCSettings
from ..stores.base import Clock, Store
from .client import ProviderClient
from .core.jose import claimed_issuer, is_encrypted
from .core.logout import LogoutToken, check_frontchannel, end_session_url, verify_logout_token
from .core.tokens import TokenSet
from .service import OIDCService
from .tokens import SessionTokens

logger = logging.getLogger("useid_middleware")

#: A logout token is not older than this when it comes (s); so long its id is remembered.
_MAX_AGE: Final = 600.0
#: The provider's page may take a while until it sends the browser back (s).
_RETURN_LIFETIME: Final = 3600.0
#: Servers refuse long addresses. Without the hint, the provider asks the person and logs them out all the same.
_MAX_HINT: Final = 6000
#: A ``sid`` that is shorter could be guessed: it ends a session only together with the session's cookie.
_UNGUESSABLE: Final = 16
#: Ways to log in that rest on a login made before: a phone or passkey that was enrolled then.
_DERIVED: Final = ("qr", "passkey")


class Logouts:
    """What ends sessions that providers opened."""

    def __init__(
        self,
        *,
        service: OIDCService,
        tokens: SessionTokens,
        sessions: Sessions,
        accounts: Accounts,
        store: Store,
        events: Events,
        settings: OIDCSettings,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._service = service
        self._tokens = tokens
        self._sessions = sessions
        self._accounts = accounts
        self._store = store
        self._events = events
        self._settings = settings
        self._clock = clock
        self._random_bytes = random_bytes
        self._revoking: set[asyncio.Task[None]] = set()

    async def leave(self, session: Session, token: str, *, return_uri: str) -> str:
        """Where the browser logs out at the provider (RP-Initiated Logout 1.0 §2); empty where there is no such place.

        To be asked before the session ends, for its secret holds the ID token that tells the provider who is leaving.
        """
        secret = await self._tokens.secret(session, token)
        client = self._service.clients.get(secret.provider) if secret is not None else None
        if secret is None or client is None:
            return ""
        self._revoke(client, secret.tokens)
        try:
            endpoint = (await client.metadata()).end_session_endpoint
        except UseIDError as error:
            logger.warning("logout ends here, since the provider %s cannot be asked: %s", client.name, error.code)
            return ""
        if not endpoint:
            return ""
        state = b64url(self._random_bytes(32))
        await self._store.put(f"oidc-logout:{state}", b"1", ttl=_RETURN_LIFETIME)
        return end_session_url(
            endpoint,
            id_token_hint=secret.tokens.id_token if len(secret.tokens.id_token) <= _MAX_HINT else "",
            client_id=client.provider.client_id,
            post_logout_redirect_uri=return_uri,
            state=state,
        )

    def _revoke(self, client: ProviderClient, tokens: TokenSet) -> None:
        """Tell the provider that the tokens are not needed any more. The person does not have to wait for that."""
        token, hint = (tokens.refresh_token, "refresh_token") if tokens.refresh_token else (tokens.access_token, "")
        if token:
            task = asyncio.ensure_future(client.revoke(token, hint=hint or "access_token"))
            self._revoking.add(task)
            task.add_done_callback(self._revoked)

    def _revoked(self, task: "asyncio.Task[None]") -> None:
        self._revoking.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.warning("tokens were not revoked at the provider: %s", getattr(error, "code", type(error).__name__))

    async def came_back(self, state: str) -> bool:
        """Whether this ``state`` is that of a logout we began; once."""
        return is_b64url(state, 32) and await self._store.take(f"oidc-logout:{state}") is not None

    async def backchannel(self, encoded: str) -> None:
        """A logout token (Back-Channel Logout 1.0 §2.6): end what it names; sessions that are over already are fine."""
        client = self._sender(encoded)
        if client is None:
            raise ProviderError(
                "logout_refused", "logout token: expected an issuer that is configured here", status_hint=400
            )
        token = await self._verified(client, encoded)
        used = f"oidc-jti:{b64url(sha256(f'{token.issuer}{chr(0)}{token.jti}'.encode()).digest())}"
        # When the store is away this raises, and so does the logout: it fails closed.
        if await self._store.get(used) is not None:
            raise RequestError("logout_replayed", "logout token: expected a jti that was not used before")
        question = BackchannelLogout(self._clock(), token.issuer, token.subject, token.sid)
        if token.sid:
            sessions = await self._sessions.of_sid(token.issuer, token.sid)
            if token.subject:
                sessions = [session for session in sessions if session.subject == token.subject]
        else:
            sessions = await self._sessions.of_subject(token.issuer, token.subject)
        accounts = {session.account_id for session in sessions}
        await self._sessions.end_unreadable(
            token.issuer, sid=token.sid, subject=token.subject, reason="backchannel_logout"
        )
        if token.subject:
            accounts |= await self._accounts_of(token.issuer, token.subject)
        await self._end(sessions, accounts, reason="backchannel_logout")
        # Only now: a provider whose call failed in the middle comes again with the same token.
        if not await self._store.put(used, b"1", ttl=_MAX_AGE + 2 * self._settings.skew + 60):
            raise RequestError("logout_replayed", "logout token: expected a jti that was not used before")
        await self._announce(question)

    async def frontchannel(self, issuer: str, sid: str, *, current: Session | None) -> None:
        """The provider's iframe (Front-Channel Logout 1.0 §3): issuer and session id must both be ours.

        ``current`` is the browser's own session, where the browser sent its cookie in the iframe. Most do not any
        more, so a session is also found by the pair, if the id is long enough that nobody can guess it.
        """
        client = self._service.find_issuer(issuer)
        if client is None:
            raise ProviderError("logout_refused", "iss: expected an issuer that is configured here", status_hint=400)
        sid = check_frontchannel(issuer, sid, expected_issuer=client.provider.expected_issuer)
        found = await self._sessions.of_sid(issuer, sid)
        if len(sid) < _UNGUESSABLE:
            found = [session for session in found if current is not None and session.id == current.id]
        await self._end(found, {session.account_id for session in found}, reason="frontchannel_logout")
        subject = found[0].subject if found else ""
        await self._announce(FrontchannelLogout(self._clock(), issuer, subject, sid))

    async def changed(self, session: Session, reason: str) -> None:
        """The provider's session is not the one that opened ours: end ours and say why."""
        if await self._sessions.end(session, reason="session_changed"):
            await self._events.emit(SessionChanged(self._clock(), session.account_id, session.id, reason))

    def _sender(self, encoded: str) -> ProviderClient | None:
        """The provider that a logout token says it is from, also where the token is encrypted for us."""
        if not is_encrypted(encoded):
            return self._service.find_issuer(claimed_issuer(encoded))
        for client in self._service.clients.values():
            with contextlib.suppress(ProviderError):  # Encrypted for other keys of ours, or for nobody's.
                if claimed_issuer(client.open(encoded, name="logout_token")) == client.provider.expected_issuer:
                    return client
        return None

    async def _verified(self, client: ProviderClient, encoded: str) -> LogoutToken:
        try:
            signed = client.open(encoded, name="logout_token")
            return await client.verified(
                lambda keys: verify_logout_token(
                    signed,
                    client.combined(keys),
                    expected_issuer=client.provider.expected_issuer,
                    expected_audience=client.provider.client_id,
                    algorithms=client.provider.algorithms,
                    now=self._clock(),
                    skew=self._settings.skew,
                    max_age=_MAX_AGE,
                )
            )
        except ProviderError as error:
            # The provider is the caller here, so the fault is its request's (§2.8).
            error.status_hint = 400
            raise

    async def _accounts_of(self, issuer: str, subject: str) -> set[str]:
        """The account of a person without a living session of the provider's, whose phone may still have one."""
        account = await self._accounts.find(issuer, subject)
        return {account.id} if account is not None else set()

    async def _end(self, sessions: list[Session], accounts: set[str], *, reason: str) -> None:
        ended = {session.id for session in sessions}
        for session in sessions:
            await self._sessions.end(session, reason=reason)
        if not self._settings.logout_derived_sessions:
            return
        for account in accounts:
            for session in await self._sessions.of_account(account):
                if session.id not in ended and session.provider in _DERIVED:
                    await self._sessions.end(session, reason=reason)

    async def _announce(self, question: ProviderLogout) -> None:
        await self._events.emit(question)
        if not question.handled:
            logger.warning("%s: no listener marked it handled; our own sessions ended", type(question).__name__)
