"""HTTP of sessions that providers opened: their logouts, the look at their session, and who is logged in."""

import contextlib
import logging
from typing import Final

from ..accounts.base import Accounts
from ..errors import ProviderError, UseIDError
from ..http.asgi import ASGIApp
from ..http.requests import Request
from ..http.responses import Response, html_response, json_response, redirect
from ..http.routing import Handler, not_found
from ..sessions.auth import current_session, required_session, session_token
from ..sessions.cookie import SESSION_COOKIE
from ..sessions.records import Session
from ..sessions.service import Sessions
from ..settings import Settings
from ..stores.limits import Limits, Looks
from ..widget.serve import choose_language
from .logout import Logouts
from .network import origin_of
from .pages import PROFILE_POLICY, monitor_page, monitor_policy, profile_page
from .routes import OIDCRoutes
from .service import OIDCService
from .tokens import SessionTokens

logger = logging.getLogger("useid_middleware")

_FRONTCHANNEL_PAGE: Final = b"<!doctype html><title>-</title>"


class SessionRoutes:
    """What happens to a login after it was made."""

    def __init__(
        self,
        *,
        service: OIDCService,
        logins: OIDCRoutes,
        tokens: SessionTokens,
        logouts: Logouts,
        sessions: Sessions,
        accounts: Accounts,
        limits: Limits,
        settings: Settings,
    ) -> None:
        self._service = service
        self._logins = logins
        self._tokens = tokens
        self._logouts = logouts
        self._sessions = sessions
        self._accounts = accounts
        self._limits = limits
        self._looks = Looks(settings.limits)
        self._settings = settings

    def routes(self) -> dict[str, Handler]:
        """The table for the router: what asks who is logged in."""
        paths = self._settings.paths
        table: dict[str, Handler] = {}
        if paths.logout:
            table[f"GET {paths.logout}/done"] = self.came_back
        if paths.frontchannel_logout:
            table[f"GET {paths.frontchannel_logout}"] = self.frontchannel
        if paths.session_monitor:
            table[f"GET {paths.session_monitor}"] = self.monitor
            table[f"GET {paths.session_monitor}/renew"] = self.renew
        if paths.profile:
            table[f"GET {paths.profile}"] = self.profile
        return table

    def provider_routes(self) -> dict[str, Handler]:
        """What providers call themselves."""
        path = self._settings.paths.backchannel_logout
        return {f"POST {path}": self.backchannel} if path else {}

    async def leave(self, request: Request, session: Session, token: str) -> str:
        """Where a logout goes on to; see :meth:`.logout.Logouts.leave`."""
        done = f"{request.server}{self._settings.paths.logout}/done"
        return await self._logouts.leave(session, token, return_uri=done)

    async def logout_origins(self) -> list[str]:
        """The origins of the providers' logouts, of those that can be asked."""
        found = set()
        for client in self._service.clients.values():
            with contextlib.suppress(UseIDError):
                endpoint = (await client.metadata()).end_session_endpoint
                if endpoint:
                    found.add(origin_of(endpoint))
        return sorted(found)

    async def came_back(self, request: Request) -> ASGIApp:
        """The provider is done with its logout (RP-Initiated Logout 1.0 §3).

        Nothing is done here but showing the way, so a stranger's link to it, with another ``state`` or none, does no
        harm.
        """
        await self._limits.spend(self._limits.ip(request.ip))
        if not await self._logouts.came_back(request.query("state")):
            logger.info("back from a logout that was not begun here, or twice")
        return redirect(request.app_root + (self._settings.oidc.after_logout or self._settings.landing_page))

    async def backchannel(self, request: Request) -> ASGIApp:
        """Back-Channel Logout 1.0 §2.5, §2.8: 200 when it is done, also where there was nothing left to end.

        A provider may log out many at once; what nobody has signed costs no more than a look.
        """
        await self._looks.spend(request.ip)
        try:
            token = await request.form("logout_token")
            if not token:
                raise ProviderError("token_malformed", "logout_token: expected one", status_hint=400)
            await self._logouts.backchannel(token)
        except UseIDError as error:
            logger.warning("back-channel logout refused: %s", error)
            if error.status_hint >= 500:
                raise
            answer = json_response({"error": "invalid_request", "error_description": error.code}, status=400)
            answer.refusal = error
            return answer
        return Response(200)

    async def frontchannel(self, request: Request) -> ASGIApp:
        """Front-Channel Logout 1.0 §3, in an iframe of the provider's, which alone may frame the answer."""
        await self._limits.spend(self._limits.ip(request.ip))
        issuer, current = request.query("iss"), current_session(request.scope)
        client = self._service.find_issuer(issuer)
        await self._logouts.frontchannel(issuer, request.query("sid"), current=current)
        assert client is not None
        metadata = await client.metadata()
        policy = f"default-src 'none'; frame-ancestors {origin_of(metadata.end_session_endpoint or issuer)}"
        # A stranger's link with a made-up sid must not take the cookie of a session that lives on.
        is_over = current is not None and await self._sessions.seconds_left(current) == 0
        headers = [SESSION_COOKIE.clear(secure=request.secure)] if is_over else []
        return html_response(_FRONTCHANNEL_PAGE, content_security_policy=policy, headers=headers)

    async def monitor(self, request: Request) -> ASGIApp:
        """The page that watches the provider's session (Session Management 1.0 §3.1), for an iframe of the app's."""
        session = required_session(request.scope)
        await self._looks.spend(request.ip)
        secret = await self._tokens.secret(session, session_token(request.scope))
        client = self._service.clients.get(secret.provider) if secret is not None else None
        metadata = await client.metadata() if client is not None else None
        frame = metadata.check_session_iframe if metadata is not None else ""
        state = secret.session_state if secret is not None else ""
        if not state:
            frame = ""
        page = monitor_page(
            server=request.server_path,
            lang=choose_language(request.header(b"accept-language")),
            client_id=client.provider.client_id if client is not None else "",
            session_state=state,
            op_iframe=frame,
            interval=self._settings.oidc.check_session_interval,
            renew=f"{request.server_path}{self._settings.paths.session_monitor}/renew",
        )
        renewal = [origin_of(metadata.authorization_endpoint)] if metadata is not None else []
        return html_response(page, content_security_policy=monitor_policy(frame, renewal=renewal))

    async def renew(self, request: Request) -> ASGIApp:
        """See :meth:`.routes.OIDCRoutes.renew`."""
        return await self._logins.renew(request, required_session(request.scope))

    async def profile(self, request: Request) -> ASGIApp:
        """Who is logged in, and what the provider said."""
        session = required_session(request.scope)
        await self._looks.spend(request.ip)
        account = await self._accounts.get(session.account_id)
        if account is None:
            raise not_found()
        secret = await self._tokens.secret(session, session_token(request.scope))
        page = profile_page(
            server=request.server_path,
            app_name=self._settings.app_name,
            lang=choose_language(request.header(b"accept-language")),
            account=account,
            session=session,
            claims=secret.claims if secret is not None else {},
            access_expires_at=secret.tokens.expires_at if secret is not None else None,
            sessions=await self._sessions.of_account(account.id),
            logout=request.server_path + self._settings.paths.logout if self._settings.paths.logout else "",
        )
        return html_response(page, content_security_policy=PROFILE_POLICY)
