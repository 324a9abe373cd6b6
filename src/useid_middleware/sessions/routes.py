"""HTTP of login sessions: list, revoke, log out."""

from .._codec import timestamp
from ..http.asgi import ASGIApp
from ..http.cookies import Cookie
from ..http.requests import Request
from ..http.responses import Response, json_response, redirect
from ..http.routing import Handler, not_found
from ..settings import Settings
from .auth import current_session, required_session
from .records import Session
from .service import Sessions

SESSION_COOKIE = Cookie("useid-session")


class SessionRoutes:
    """What a user does with their own sessions."""

    def __init__(self, *, sessions: Sessions, settings: Settings) -> None:
        self._sessions = sessions
        self._settings = settings

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {
            "GET /sessions": self.list,
            "DELETE /sessions": self.revoke_others,
            "DELETE /sessions/{id}": self.revoke,
            "POST /logout": self.logout,
        }

    async def list(self, request: Request) -> ASGIApp:
        """The user's sessions, newest first."""
        current = required_session(request.scope)
        sessions = await self._sessions.of_account(current.account_id)
        return json_response(
            {"sessions": [_describe(session, current=session.id == current.id) for session in sessions]}
        )

    async def revoke(self, request: Request) -> ASGIApp:
        """End one of them."""
        current = required_session(request.scope)
        for session in await self._sessions.of_account(current.account_id):
            if session.id == request.params["id"]:
                await self._sessions.end(session, reason="revoked")
                return Response(204)
        raise not_found()

    async def revoke_others(self, request: Request) -> ASGIApp:
        """End all but this one."""
        current = required_session(request.scope)
        await self._sessions.end_account(current.account_id, reason="revoked", keep=current.id)
        return Response(204)

    async def logout(self, request: Request) -> ASGIApp:
        """End this session; nobody being logged in is fine. A form is sent on to the landing page."""
        session = current_session(request.scope)
        if session is not None:
            await self._sessions.end(session, reason="logout")
        headers = [SESSION_COOKIE.clear(secure=request.secure)]
        if request.headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded"):
            return redirect(request.app_root + self._settings.landing_page, headers=headers)
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
        "acr": session.level.name,
        "amr": session.amr,
    }
