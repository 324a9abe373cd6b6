"""The iframe that tells an application whether the session changed (Session Management 1.0 §3.3), and static files."""

from html import escape
from importlib.resources import files
from typing import Final

from ...http.asgi import ASGIApp
from ...http.requests import Request
from ...http.responses import Asset, html_response
from ...http.routing import Handler, not_found
from .browser_session import BrowserSessions
from .pages import policy_for
from .realm import Realm

_FILES: Final = {
    "provider.css": b"text/css; charset=utf-8",
    "check-session.js": b"text/javascript; charset=utf-8",
    "form-post.js": b"text/javascript; charset=utf-8",
    "logout.js": b"text/javascript; charset=utf-8",
}


class CheckSessionRoutes:
    """``/check-session`` and ``/static``."""

    def __init__(self, realm: Realm, sessions: BrowserSessions) -> None:
        self._realm = realm
        self._sessions = sessions

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {"GET /check-session": self.iframe, "GET /static/{file}": self.static}

    async def iframe(self, request: Request) -> ASGIApp:
        """An empty page with a script, which anybody may frame: it answers one question and shows nothing."""
        page = (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Check session</title>'
            f'<script src="{escape(self._realm.prefix)}/static/check-session.js"'
            f' data-cookie="{escape(self._sessions.state_cookie)}"></script></head><body></body></html>\n'
        )
        return html_response(page.encode(), content_security_policy=policy_for(script=True, ancestors="*"))

    async def static(self, request: Request) -> ASGIApp:
        """A stylesheet or script of the pages."""
        name = request.params["file"]
        media_type = _FILES.get(name)
        if media_type is None:
            raise not_found()
        body = files(__package__).joinpath("static", name).read_bytes()
        headers = [
            (b"content-type", media_type),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-cache"),
            (b"x-content-type-options", b"nosniff"),
        ]
        return Asset(200, body, headers=headers)
