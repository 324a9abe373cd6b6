"""Pages of the host app that are for logged-in users, or for sessions of a level: who may, and who is sent where."""

from typing import Final
from urllib.parse import quote, urlencode

from ..errors import AuthenticationError, UseIDError
from ..http.asgi import ASGIApp, Scope, root_path, route_path
from ..http.responses import error_response, redirect
from ..identity import Level
from ..settings import Settings
from .auth import current_session, login_required

_PAGES: Final = ("GET", "HEAD")


class Protection:
    """Judges requests that are authenticated already."""

    def __init__(self, settings: Settings) -> None:
        self._prefix = settings.prefix
        self._login = settings.paths.login
        self._step_up = settings.paths.step_up
        self._pages = settings.protected if settings.paths.login else ()
        self._levels = tuple((page, Level[name]) for page, name in settings.levels.items())

    def judge(self, scope: Scope) -> ASGIApp | None:
        """The answer to a request that may not go on to the host app, ``None`` for one that may.

        A browser is led to the login, or to the page where a session proves more; a program is told.
        """
        if not self._pages and not self._levels:
            return None
        path, session = route_path(scope), current_session(scope)
        level = max((level for page, level in self._levels if _is_below(path, page)), default=None)
        if session is None:
            if level is None and not any(_is_below(path, page) for page in self._pages):
                return None
            return self._lead(scope, self._login, login_required())
        if level is None or session.level >= level:
            return None
        error = AuthenticationError("level_required", f"this call needs a session of level {level.name}")
        return self._lead(scope, self._step_up, error, level=level.name)

    def _lead(self, scope: Scope, page: str, error: UseIDError, **more: str) -> ASGIApp:
        headers = dict(scope["headers"])
        if not page or scope["method"] not in _PAGES or b"text/html" not in headers.get(b"accept", b""):
            return error_response(error)
        query = scope["query_string"].decode("latin-1")
        root = root_path(scope)
        here = root + quote(route_path(scope)) + (f"?{query}" if query else "")
        return redirect(f"{root}{self._prefix}{page}?{urlencode({'return': here} | more)}")


def _is_below(path: str, page: str) -> bool:
    page = page.rstrip("/")  # Apps serve a page with and without its last slash.
    return path == page or path.startswith(page + "/")
