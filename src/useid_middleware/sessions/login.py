"""The end of every way to log in: a proven identity becomes an account and a session; the listeners have their say."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from ..accounts.base import Account, Accounts
from ..errors import AuthenticationError, RefusedError, RequestError
from ..events import Answered, Events, LoginCompleted, LoginFailed, LoginSucceeded, UserCreated, UserUpdated
from ..http.asgi import Scope
from ..http.requests import Request, browser_name
from ..identity import Identity
from ..stores.base import Clock
from .auth import current_session
from .cookie import SESSION_COOKIE
from .records import Login, Session
from .service import Sessions

#: Makes a login session of a proven identity that wants to go to this address; features are given one.
CompleteLogin = Callable[[Request, Identity, str], Awaitable[Login]]


class Logins:
    """Logs identities in. ``authenticate`` fills the scope of a request that nobody has looked at yet."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        sessions: Sessions,
        events: Events,
        clock: Clock,
        absolute_lifetime: float,
        authenticate: Callable[[Scope], Awaitable[None]],
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._events = events
        self._clock = clock
        self._max_age = int(absolute_lifetime)
        self._authenticate = authenticate

    async def log_in(
        self, scope: Scope, identity: Identity, *, secure: bool, target: str = "", new_target: str = ""
    ) -> Login:
        """Find or make the account, ask the listeners, end the old session, begin a new one under a new id.

        ``target`` is where its user wants to go, ``new_target`` where a new one is sent instead.

        Raises :class:`~..errors.RefusedError` when a listener refuses, :class:`~..events.Answered` when one answers;
        an account that was made for this login is gone again then.
        """
        now = self._clock()
        client = scope.get("client")
        ip = client[0] if client else ""
        account, is_new = await self._account(identity, now)
        goal = new_target if is_new and new_target else target
        question = LoginSucceeded(now, identity, ip, account.roles, goal)
        try:
            account = await self._introduce(account, identity, is_new=is_new)
            # What a provider told is the account's by now; a session that goes on brings its own.
            roles = None if identity.account_id is None else identity.roles
            question.roles = account.roles if roles is None else roles
            await self._events.emit(question)
            if question.response is not None:
                raise Answered(question.response)
        except (RefusedError, RequestError, Answered) as refusal:
            if is_new:
                await self._accounts.delete(account.id)
            if isinstance(refusal, RefusedError):
                failure = LoginFailed(now, refusal.code, identity.provider)
                await self._events.emit(failure)
                if failure.response is not None:
                    raise Answered(failure.response) from None
            raise
        if "auth" not in scope or current_session(scope) is None:
            await self._authenticate(scope)
        previous = current_session(scope)
        if previous is not None:
            await self._sessions.end(previous, reason="rotated")
        user_agent = dict(scope["headers"]).get(b"user-agent", b"").decode("latin-1")
        token, session = await self._sessions.create(
            account,
            identity,
            ip=ip,
            browser=browser_name(user_agent),
            roles=tuple(dict.fromkeys(question.roles)),
            is_new_account=is_new,
        )
        if not await self._still_holds(session):
            await self._sessions.end(session, reason="revoked")
            if session.provider == "qr":
                await self._accounts.forget_browsers(account.id)  # This one may have been remembered since.
            raise AuthenticationError(
                "device_unknown", "login: expected a phone or passkey that was not revoked meanwhile"
            )
        await self._events.emit(LoginCompleted(now, account.id, session.id, session.level, identity.provider))
        cookie = SESSION_COOKIE.set(token, secure=secure, max_age=self._max_age)
        return Login(session, token, [cookie], question.target)

    async def _still_holds(self, session: Session) -> bool:
        """Whether the phone or passkey that the session rests on is still there.

        Whoever revoked it a moment ago has ended the sessions that were there, and this one was not: of the two who
        write first and look afterwards, one sees what the other has done.
        """
        if session.provider == "qr":
            return any(each.id == session.device_id for each in await self._accounts.devices(session.account_id))
        if session.provider == "passkey":
            return any(each.id == session.device_id for each in await self._accounts.passkeys(session.account_id))
        return True

    async def _account(self, identity: Identity, now: float) -> tuple[Account, bool]:
        try:
            return await self._accounts.resolve(identity, now=now)
        except LookupError:
            raise AuthenticationError("login_refused", "the account of this login does not exist any more") from None

    async def _introduce(self, account: Account, identity: Identity, *, is_new: bool) -> Account:
        """The account with what this login told about the person, and with what the listeners made of it."""
        told = account
        if identity.claims:
            # An address that the provider itself calls unverified may be anybody's.
            email = identity.claims.get("email") if identity.claims.get("email_verified") is not False else None
            told = replace(
                account,
                username=identity.username or account.username,
                email=email if isinstance(email, str) else account.email,
                roles=account.roles if identity.roles is None else identity.roles,
            )
        if not is_new and not identity.claims:
            return account
        kind = UserCreated if is_new else UserUpdated
        question = kind(self._clock(), told, identity.claims, identity.tokens)
        await self._events.emit(question)
        if question.account != account:
            await self._accounts.save(question.account)
        return question.account
