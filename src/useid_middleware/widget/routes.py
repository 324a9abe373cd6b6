"""HTTP of the login page and the widget's files."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias
from urllib.parse import urlencode

from ..errors import RequestError
from ..http.asgi import ASGIApp
from ..http.redirects import check_redirect
from ..http.requests import Request
from ..http.responses import Asset, html_response, redirect
from ..http.routing import Handler
from ..sessions.auth import current_session
from ..settings import Settings
from .serve import LOGIN_POLICY, Way, WidgetFiles, choose_language, login_page, logout_page, logout_policy

#: Sends the browser to a provider, by its name, and afterwards to an address of this site.
Begin: TypeAlias = Callable[[Request, str, str], Awaitable[ASGIApp]]


class WidgetRoutes:
    """The pages on which a person logs in and out.

    ``providers`` maps the names of providers to their labels; ``logout_targets`` are the origins that a logout may
    lead to.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        providers: Mapping[str, str],
        begin: Begin | None,
        logout_targets: Callable[[], Awaitable[Sequence[str]]] | None,
    ) -> None:
        self._settings = settings
        self._providers = providers
        self._begin = begin
        self._logout_targets = logout_targets
        self._files = WidgetFiles()

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        table: dict[str, Handler] = {"GET /widget/{file}": self.asset, "GET /widget/locales/{file}": self.locale}
        if self._settings.paths.login and (self._settings.qr.enabled or self._providers):
            table[f"GET {self._settings.paths.login}"] = self.login
        return table

    def routes_for_users(self) -> dict[str, Handler]:
        """The routes that ask who is logged in."""
        return {f"GET {self._settings.paths.logout}": self.logout} if self._settings.paths.logout else {}

    async def logout(self, request: Request) -> ASGIApp:
        """Ask first: a link must not log anybody out."""
        session = current_session(request.scope)
        home = request.app_root + self._settings.landing_page
        if session is None:
            return redirect(home)
        targets = await self._logout_targets() if self._logout_targets is not None else ()
        page = logout_page(
            server=request.server_path,
            app_name=self._settings.app_name,
            lang=choose_language(request.header(b"accept-language")),
            username=session.username,
            action=request.server_path + self._settings.paths.logout,
        )
        return html_response(page, content_security_policy=logout_policy(targets))

    async def login(self, request: Request) -> ASGIApp:
        """The choice; or, with ``?provider=`` or where there is nothing to choose, on to the provider.

        A provider that is not there, and a ``return`` that leads elsewhere, are dropped: the person still wants to log
        in.
        """
        settings = self._settings
        return_url = request.query("return")
        try:
            check_redirect(return_url, origin=request.origin, allowed_origins=settings.redirect_origins)
        except RequestError:
            return_url = ""
        asked = request.query("provider")
        provider = asked if asked in self._providers else settings.oidc.default_provider
        if not provider and not settings.qr.enabled and len(self._providers) == 1:
            provider = next(iter(self._providers))
        if provider and self._begin is not None:
            return await self._begin(request, provider, return_url)
        here = request.server_path + settings.paths.login
        target = {"return": return_url} if return_url else {}
        page = login_page(
            server=request.server_path,
            app_name=settings.app_name,
            return_url=return_url,
            lang=choose_language(request.header(b"accept-language")),
            heartbeat=settings.sse.heartbeat,
            ways=[
                Way(label, f"{here}?{urlencode({'provider': name} | target)}")
                for name, label in self._providers.items()
            ],
            with_phone=settings.qr.enabled,
        )
        return html_response(page, content_security_policy=LOGIN_POLICY)

    async def asset(self, request: Request) -> ASGIApp:
        """A file of the widget."""
        return self._asset(request, request.params["file"])

    async def locale(self, request: Request) -> ASGIApp:
        """The widget's texts in one language."""
        return self._asset(request, f"locales/{request.params['file']}")

    def _asset(self, request: Request, name: str) -> ASGIApp:
        status, headers, body = self._files.find_asset(name, request.headers.get(b"if-none-match"))
        return Asset(status, body, headers=headers)
