"""HTTP of login sessions: list, revoke, log out."""

from collections.abc import Awaitable, Callable

from .._codec import timestamp
from ..events import Answered, Events, PreLogout
from ..http.asgi import ASGIApp
from ..http.requests import Request
from ..http.responses import Response, json_response, redirect
from ..http.routing import Handler, not_found
from ..http.sse import EventStreams
from ..settings import Settings
from ..stores.base import Clock
from ..stores.limits import Looks
from .auth import current_session, required_session, session_token
from .cookie import SESSION_COOKIE
from .records import Session
from .service import Sessions
from .stream import SessionStream

#: Where a logout goes on to, with the session's secret in hand; empty where it ends here.
Leave = Callable[[Request, Session, str], Awaitable[str]]


class SessionRoutes:
    """What a user does with their own sessions."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        settings: Settings,
        events: Events,
        streams: EventStreams,
        clock: Clock,
        leave: Leave | None = None,
    ) -> None:
        self._sessions = sessions
        self._settings = settings
        self._events = events
        self._streams = streams
        self._clock = clock
        self._leave = leave
        # What a user can end here is bounded by the logins that began it, so that looking is all there is to count.
        self._looks = Looks(settings.limits)

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        table: dict[str, Handler] = {
            "GET /sessions": self.list,
            "DELETE /sessions": self.revoke_others,
            "DELETE /sessions/{id}": self.revoke,
            "GET /sessions/current/events": self.watch,
        }
        if self._settings.paths.logout:
            table[f"POST {self._settings.paths.logout}"] = self.logout
        return table

    async def list(self, request: Request) -> ASGIApp:
        """The user's sessions, newest first."""
        current = required_session(request.scope)
        await self._looks.spend(request.ip)
        sessions = await self._sessions.of_account(current.account_id)
        return json_response(
            {"sessions": [_describe(session, current=session.id == current.id) for session in sessions]}
        )

    async def revoke(self, request: Request) -> ASGIApp:
        """End one of them."""
        current = required_session(request.scope)
        await self._looks.spend(request.ip)
        for session in await self._sessions.of_account(current.account_id):
            if session.id == request.params["id"]:
                await self._sessions.end(session, reason="revoked")
                return Response(204)
        raise not_found()

    async def revoke_others(self, request: Request) -> ASGIApp:
        """End all but this one."""
        current = required_session(request.scope)
        await self._looks.spend(request.ip)
        await self._sessions.end_account(current.account_id, reason="revoked", keep=current.id)
        return Response(204)

    async def watch(self, request: Request) -> ASGIApp:
        """An event stream that says when this session has ended."""
        session = required_session(request.scope)
        await self._looks.spend(request.ip)
        stream = SessionStream(
            self._sessions,
            session,
            streams=self._streams,
            limits=self._settings.limits,
            heartbeat=self._settings.sse.heartbeat,
        )
        return self._streams.response(stream)

    async def logout(self, request: Request) -> ASGIApp:
        """End this session; nobody being logged in is fine. A form is sent on: to the provider's logout, or home.

        The session ends before the browser leaves for the provider, so that closing the window there changes nothing.
        """
        session = current_session(request.scope)
        target = ""
        if session is not None:
            question = PreLogout(self._clock(), session.account_id, session.id, session.provider)
            await self._events.emit(question)
            if question.response is not None:
                raise Answered(question.response)
            if self._leave is not None and not question.skip_sso:
                target = await self._leave(request, session, session_token(request.scope))
            await self._sessions.end(session, reason="logout")
        headers = [SESSION_COOKIE.clear(secure=request.secure)]
        if request.headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded"):
            home = request.app_root + (self._settings.oidc.after_logout or self._settings.landing_page)
            return redirect(target or home, headers=headers)
        if target:
            return json_response({"redirectTo": target}, headers=headers)
        return Response(204, headers=headers)


def _describe(session: Session, *, current: bool) -> dict[str, object]:
    return {
        "id": session.id,
        "current": current,
        "createdAt": timestamp(session.created_at),
        "lastSeenAt": timestamp(session.last_seen_at),
        "expiresAt": timestamp(session.expires_at),
        "ip": session.ip,
        "browser": session.browser,
        "acr": session.acr,
        "amr": session.amr,
    }
