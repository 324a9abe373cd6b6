"""HTTP of logins at providers: begin, callback, third-party initiation, and the page that says what went wrong."""

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol
from urllib.parse import urlencode

from .._codec import b64url, is_b64url, replace
from ..errors import AuthenticationError, RateLimited, RefusedError, RequestError, UseIDError
from ..events import Answered, Events, LoginFailed
from ..http.asgi import ASGIApp, Headers
from ..http.cookies import Cookie
from ..http.redirects import check_redirect
from ..http.requests import Request
from ..http.responses import Response, html_response, redirect, retry_after
from ..http.routing import Handler, not_found
from ..identity import Identity
from ..sessions.auth import current_session, session_token
from ..sessions.records import Login, Session
from ..settings import Settings
from ..stores.base import Clock
from ..stores.limits import Limits, Looks
from ..widget.serve import choose_language
from .core.authorization import Attempt
from .logout import Logouts
from .pages import ERROR_POLICY, SILENT_POLICY, Outcome, error_page, silent_page
from .service import Arrival, OIDCService, Wishes
from .tokens import SessionTokens

logger = logging.getLogger("useid_middleware")

#: Binds a login under way to the browser that began it.
ATTEMPT_COOKIE: Final = Cookie("useid-oidc")
#: A login was begun anew of itself: not again so soon, lest a provider that mixes up states sends people in circles.
RESTART_COOKIE: Final = Cookie("useid-oidc-restart")
_RESTART_PAUSE: Final = 60
_SECRET_SIZE: Final = 32
_MAX_HINT: Final = 500
#: An authorization response may carry an ID token or a signed response; this is for all its fields together.
_MAX_RESPONSE: Final = 128 * 1024
#: Codes that a person can reach by the back button or an old tab, and that a new attempt mends.
_STALE: Final = ("state_mismatch", "login_expired")


class CompleteLogin(Protocol):
    """Makes a login session of a proven identity; the plugin injects it."""

    def __call__(self, request: Request, identity: Identity, target: str, *, new_target: str = "") -> Awaitable[Login]:
        """The login; ``target`` is where its user wants to go, ``new_target`` where a new user is sent instead."""
        ...


class OIDCRoutes:
    """The calls of a login at a provider."""

    def __init__(
        self,
        *,
        service: OIDCService,
        tokens: SessionTokens,
        logouts: Logouts,
        events: Events,
        limits: Limits,
        settings: Settings,
        clock: Clock,
        complete_login: CompleteLogin,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._service = service
        self._tokens = tokens
        self._logouts = logouts
        self._events = events
        self._limits = limits
        self._settings = settings
        self._clock = clock
        self._complete_login = complete_login
        self._random_bytes = random_bytes
        self._looks = Looks(settings.limits)

    def routes(self) -> dict[str, Handler]:
        """The table for the router: what a browser is led to."""
        table: dict[str, Handler] = {}
        for name in self._service.clients:
            if path := self.callback_path(name):
                table[f"GET {path}"] = self._named(name, self.callback)
        paths = self._settings.paths
        if paths.initiate:
            table[f"GET {paths.initiate}"] = self.initiate
        if paths.error:
            table[f"GET {paths.error}"] = self.error
        if any(client.provider.request_object == "reference" for client in self._service.clients.values()):
            table["GET /request-object/{handle}"] = self.request_object
        return table

    def posted_routes(self) -> dict[str, Handler]:
        """What pages of providers and other sites post to."""
        table: dict[str, Handler] = {}
        for name in self._service.clients:
            if path := self.callback_path(name):
                table[f"POST {path}"] = self._named(name, self.posted_callback)
        if self._settings.paths.initiate:
            table[f"POST {self._settings.paths.initiate}"] = self.initiate
        return table

    def callback_path(self, name: str) -> str:
        """One address for each provider, so that an answer of one is never taken for another's (RFC 9700 §4.4.2)."""
        provider = self._service.client(name).provider
        common = self._settings.paths.callback
        return provider.callback_path or (common and (f"{common}/{name}" if len(self._service.clients) > 1 else common))

    def _named(self, name: str, handler: Callable[[Request, str], Awaitable[ASGIApp]]) -> Handler:
        async def handle(request: Request) -> ASGIApp:
            return await handler(request, name)

        return handle

    # there

    async def begin(self, request: Request, name: str, return_to: str, wishes: Wishes | None = None) -> ASGIApp:
        """Send the browser to the provider (OpenID Connect Core §3.1.2.1)."""
        try:
            await self._limits.spend(self._limits.ip(request.ip))
            return await self._begin(
                request, name, return_to, wishes or Wishes(login_hint=request.query("login_hint")[:_MAX_HINT])
            )
        except UseIDError as error:
            return await self._failed(request, error, name=name, return_to=return_to)

    async def _begin(self, request: Request, name: str, return_to: str, wishes: Wishes) -> ASGIApp:
        secret = self._browser_secret(request) or b64url(self._random_bytes(_SECRET_SIZE))
        now = self._clock()
        async with self._limits.attempts.begun(now):
            address = await self._service.begin(
                name,
                scope=request.scope,
                browser=secret,
                redirect_uri=request.server + self.callback_path(name),
                return_to=return_to,
                wishes=wishes,
                server=request.server,
                now=now,
            )
        max_age = int(self._settings.oidc.attempt_lifetime)
        return redirect(address, headers=[ATTEMPT_COOKIE.set(secret, secure=request.secure, max_age=max_age)])

    async def initiate(self, request: Request) -> ASGIApp:
        """Login that a third party begins (OpenID Connect Core §4), or a person with their address (WebFinger)."""
        try:
            await self._limits.spend(self._limits.ip(request.ip))
            pairs = request.pairs() if request.method in ("GET", "HEAD") else await request.form_pairs()
            given = dict(pairs)
            if len(given) != len(pairs):
                raise RequestError("malformed_request", "initiate: expected each parameter once")
            hint = given.get("login_hint", "")
            if identifier := given.get("identifier", ""):
                name, hint = await self._service.discover(identifier), hint or identifier
            else:
                name = self._named_issuer(given.get("iss", ""))
        except UseIDError as error:
            return await self._failed(request, error, name="", return_to="")
        return_to = self._checked_return(request, given.get("target_link_uri", ""))
        try:
            return await self._begin(request, name, return_to, Wishes(login_hint=hint[:_MAX_HINT]))
        except UseIDError as error:
            return await self._failed(request, error, name=name, return_to=return_to)

    def _named_issuer(self, issuer: str) -> str:
        client = self._service.find_issuer(issuer)
        if client is None:
            raise RequestError("issuer_unknown", "iss: expected an issuer that is configured here")
        return client.name

    async def renew(self, request: Request, session: Session) -> ASGIApp:
        """Ask the provider in an iframe, without the person, whether they are still there (``prompt=none``)."""
        try:
            await self._limits.spend(self._limits.ip(request.ip), self._limits.account(session.account_id))
        except RateLimited as error:
            return self._silent(request, "error", refused=error)
        secret = await self._tokens.secret(session, session_token(request.scope))
        if secret is None or secret.provider not in self._service.clients:
            return self._silent(request, "error")
        wishes = Wishes(prompt="none", id_token_hint=secret.tokens.id_token, silent=True)
        try:
            return await self._begin(request, secret.provider, "", wishes)
        except RateLimited as error:
            return self._silent(request, "error", refused=error)
        except UseIDError:
            return self._silent(request, "error")

    async def request_object(self, request: Request) -> ASGIApp:
        """A request object that a provider fetches (RFC 9101 §5.2)."""
        await self._looks.spend(request.ip)
        token = await self._service.offered_request(request.params["handle"])
        if token is None:
            raise not_found()
        return Response(200, token.encode(), b"application/oauth-authz-req+jwt")

    # and back

    async def posted_callback(self, request: Request, name: str) -> ASGIApp:
        """A form_post response: kept for a moment, until the browser comes for it with its cookie."""
        try:
            await self._limits.spend(self._limits.ip(request.ip))
            handle = await self._service.responses.keep(await request.form_pairs(limit=_MAX_RESPONSE))
        except UseIDError as error:
            return await self._failed(request, error, name=name, return_to="", is_callback=True)
        return redirect(f"{request.server_path}{self.callback_path(name)}?{urlencode({'posted': handle})}")

    async def callback(self, request: Request, name: str) -> ASGIApp:
        """The browser is back (OpenID Connect Core §3.1.2.5)."""
        return_to = ""
        try:
            await self._limits.spend(self._limits.ip(request.ip))
            pairs: Sequence[tuple[str, str]] = request.pairs()
            if len(pairs) == 1 and pairs[0][0] == "posted":
                pairs = await self._service.responses.take(pairs[0][1])
            secret = self._browser_secret(request)
            if secret is None:
                raise AuthenticationError(
                    "cookie_missing", "cookie: expected the one that the login set", status_hint=400
                )
            parameters = await self._service.read_response(name, pairs)
            attempt = await self._service.take_attempt(name, parameters.get("state", ""), secret)
            return_to = attempt.return_to
            if attempt.silent:
                return await self._callback_silently(request, attempt, parameters)
            arrival = await self._service.arrive(attempt, parameters)
            return await self._arrived(request, arrival)
        except UseIDError as error:
            return await self._failed(request, error, name=name, return_to=return_to, is_callback=True)

    async def _arrived(self, request: Request, arrival: Arrival) -> ASGIApp:
        oidc, root = self._settings.oidc, request.app_root
        wanted = arrival.attempt.return_to or (root + (oidc.existing_user_page or self._settings.landing_page))
        new_target = root + oidc.new_user_page if oidc.new_user_page else ""
        login = await self._complete_login(request, arrival.identity, wanted, new_target=new_target)
        return redirect(login.target, headers=login.headers)

    async def _callback_silently(self, request: Request, attempt: Attempt, parameters: Mapping[str, str]) -> ASGIApp:
        """The end of :meth:`renew`: the same person as before, or the end of our session."""
        session = current_session(request.scope)
        if session is None:
            return self._silent(request, "ended")
        try:
            arrival = await self._service.arrive(attempt, parameters)
        except AuthenticationError as error:
            await self._logouts.changed(session, str(error.details.get("error", error.code)))
            return self._silent(request, "ended")
        except UseIDError as error:
            logger.warning("silent renewal failed: %s", error.code)
            return self._silent(request, "error")
        if (arrival.identity.provider, arrival.identity.subject) != (session.provider, session.subject):
            await self._logouts.changed(session, "other_user")
            return self._silent(request, "ended")
        token = session_token(request.scope)
        old = await self._tokens.secret(session, token)
        new = arrival.secret
        if old is not None and not new.tokens.refresh_token:
            new = replace(new, tokens=replace(new.tokens, refresh_token=old.tokens.refresh_token))
        if not await self._tokens.replace(session, token, new):
            return self._silent(request, "error")
        return self._silent(request, "unchanged", new.session_state)

    def _silent(
        self, request: Request, outcome: Outcome, session_state: str = "", *, refused: RateLimited | None = None
    ) -> ASGIApp:
        page = silent_page(server=request.server_path, outcome=outcome, session_state=session_state)
        status = 200 if refused is None else refused.status_hint
        return html_response(page, status=status, content_security_policy=SILENT_POLICY, refusal=refused)

    # when it went wrong

    async def error(self, request: Request) -> ASGIApp:
        """The page for a code, for those who want to lead a person there."""
        code = request.query("code")
        return self._error_page(request, code if code.isidentifier() and len(code) < 60 else "unknown", 200)

    async def _failed(
        self, request: Request, error: UseIDError, *, name: str, return_to: str, is_callback: bool = False
    ) -> ASGIApp:
        """Say so to the log, to the listeners, and to the person."""
        again = f"{request.server_path}{self._settings.paths.login}?" + urlencode(
            {"provider": name} | ({"return": return_to} if return_to else {})
        )
        retry = again if name and self._settings.paths.login else ""
        if isinstance(error, RateLimited):
            # Nobody else hears of it: who floods us must not flood the listeners, and with them a log or a mailbox.
            return self._error_page(request, error.code, error.status_hint, retry=retry, refusal=error)
        is_stale = is_callback and error.code in _STALE
        if (is_stale or error.code == "cookie_missing") and current_session(request.scope) is not None:
            # The back button, or a second tab that was slower: whoever is logged in has nothing to be told.
            logger.info("a late answer of provider %s to somebody who is logged in: %s", name, error.code)
            return redirect(return_to or request.app_root + self._settings.landing_page)
        is_refusal = isinstance(error, RefusedError)
        # A refusal's words are a listener's, for the person alone: they may hold what a log must not.
        logger.warning("login at provider %s failed: %s", name or "unknown", error.code if is_refusal else error)
        client = self._service.clients.get(name)
        if not (is_refusal and is_callback):  # Whoever completes logins has told the listeners of that one.
            question = LoginFailed(
                self._clock(),
                error.code,
                client.provider.expected_issuer if client is not None else "",
                str(error.details.get("error", "")),
                str(error.details.get("description", "")),
            )
            await self._events.emit(question)
            if question.response is not None:
                raise Answered(question.response)
        restarted = RESTART_COOKIE.read(request.raw_headers, secure=request.secure) is not None
        if is_stale and self._settings.paths.login and not restarted:
            clear = ATTEMPT_COOKIE.clear(secure=request.secure)
            return redirect(
                again, headers=[clear, RESTART_COOKIE.set("1", secure=request.secure, max_age=_RESTART_PAUSE)]
            )
        message = error.message if is_refusal else ""
        headers = retry_after(error)
        return self._error_page(request, error.code, error.status_hint, retry=retry, message=message, headers=headers)

    def _error_page(
        self,
        request: Request,
        code: str,
        status: int,
        *,
        retry: str = "",
        message: str = "",
        headers: Headers | None = None,
        refusal: UseIDError | None = None,
    ) -> ASGIApp:
        page = error_page(
            server=request.server_path,
            app_name=self._settings.app_name,
            lang=choose_language(request.header(b"accept-language")),
            code=code,
            retry=retry,
            landing=request.app_root + self._settings.landing_page,
            message=message,
        )
        return html_response(
            page, status=status, content_security_policy=ERROR_POLICY, headers=headers, refusal=refusal
        )

    def _checked_return(self, request: Request, target: str) -> str:
        """Where a stranger says that the login should lead, if it may."""
        try:
            return check_redirect(target, origin=request.origin, allowed_origins=self._settings.redirect_origins)
        except RequestError:
            return ""

    def _browser_secret(self, request: Request) -> str | None:
        value = ATTEMPT_COOKIE.read(request.raw_headers, secure=request.secure)
        return value if value is not None and is_b64url(value, _SECRET_SIZE) else None
