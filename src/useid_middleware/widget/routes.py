"""HTTP of the login page and the widget's files."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias
from urllib.parse import urlencode

from ..errors import RequestError
from ..http.asgi import ASGIApp
from ..http.redirects import check_redirect
from ..http.requests import Request
from ..http.responses import Asset, html_response, redirect
from ..http.routing import Handler, not_found
from ..identity import Level
from ..sessions.auth import current_session
from ..sessions.records import Session
from ..settings import Settings
from .passkey_pages import passkeys_page, step_up_page
from .serve import LOGIN_POLICY, Way, WidgetFiles, choose_language, login_page, logout_page, logout_policy

#: Sends the browser to a provider, by its name, and afterwards to an address of this site.
Begin: TypeAlias = Callable[[Request, str, str], Awaitable[ASGIApp]]
#: Whether the account of a session has passkeys.
HasPasskeys: TypeAlias = Callable[[Session], Awaitable[bool]]

#: What is put into "Log in with …".
_ID_CARD: Final = {"en": "your ID card", "de": "dem Ausweis"}
_PHONE: Final = {"en": "your phone", "de": "dem Smartphone"}


#: Below it are files, which need nothing but themselves.
FILES: Final = "/widget/"


class WidgetRoutes:
    """The pages on which a person logs in and out.

    ``providers`` maps the names of providers to their labels; ``logout_targets`` are the origins that a logout may
    lead to; ``with_eid``: people may log in with an ID card; ``has_passkeys`` tells of a session's account, where there
    are passkeys at all.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        providers: Mapping[str, str],
        begin: Begin | None,
        logout_targets: Callable[[], Awaitable[Sequence[str]]] | None,
        with_eid: bool = False,
        has_passkeys: HasPasskeys | None = None,
    ) -> None:
        self._settings = settings
        self._providers = providers
        self._begin = begin
        self._logout_targets = logout_targets
        self._with_eid = with_eid
        self._has_passkeys = has_passkeys
        self._files = WidgetFiles()

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        table: dict[str, Handler] = {
            f"GET {FILES}{{file}}": self.asset,
            f"GET {FILES}locales/{{file}}": self.locale,
        }
        if self._settings.embed.tenants:
            table["GET /embed.js"] = self.embed
        ways = self._settings.qr.enabled or self._providers or self._with_eid or self._has_passkeys is not None
        if self._settings.paths.login and ways:
            table[f"GET {self._settings.paths.login}"] = self.login
        return table

    def routes_for_users(self) -> dict[str, Handler]:
        """The routes that ask who is logged in."""
        paths, table = self._settings.paths, dict[str, Handler]()
        if paths.logout:
            table[f"GET {paths.logout}"] = self.logout
        if paths.step_up and (self._settings.levels or self._has_passkeys is not None):
            table[f"GET {paths.step_up}"] = self.step_up
        if self._has_passkeys is not None:
            table["GET /passkeys/manage"] = self.passkeys
        return table

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

    async def step_up(self, request: Request) -> ASGIApp:
        """A page demands more than the session has shown: what would do, and a button or a link for each."""
        session = current_session(request.scope)
        asked = request.query("level")
        level = Level[asked] if asked in Level.__members__ else Level.L2
        return_url = self._return_url(request)
        target = f"?{urlencode({'return': return_url})}" if return_url else ""
        if session is None:
            return redirect(request.server_path + self._settings.paths.login + target)
        if session.level >= level:
            return redirect(return_url or request.app_root + self._settings.landing_page)
        lang = choose_language(request.header(b"accept-language"))
        page = step_up_page(
            server=request.server_path,
            app_name=self._settings.app_name,
            level=level,
            return_url=return_url,
            lang=lang,
            ways=list(self._ways_to(level, request.server_path, target, lang)),
            with_passkey=self._has_passkeys is not None and await self._has_passkeys(session),
            landing=request.app_root + self._settings.landing_page,
        )
        return html_response(page, content_security_policy=LOGIN_POLICY)

    def _ways_to(self, level: Level, server: str, target: str, lang: str) -> Iterator[Way]:
        """The logins that reach a level."""
        settings = self._settings
        if self._with_eid:
            yield Way(_ID_CARD[lang], f"{server}/eid{target}")
        if settings.qr.enabled and settings.qr.level >= level:
            yield Way(_PHONE[lang], f"{server}{settings.paths.login}{target}")
        for name, label in self._providers.items():
            if any(Level[reached] >= level for reached in settings.oidc.providers[name].levels.values()):
                query = urlencode({"provider": name}) + target.replace("?", "&")
                yield Way(label, f"{server}{settings.paths.login}?{query}")

    async def passkeys(self, request: Request) -> ASGIApp:
        """Where a person adds, names and deletes passkeys."""
        if current_session(request.scope) is None:
            here = urlencode({"return": f"{request.server_path}/passkeys/manage"})
            return redirect(f"{request.server_path}{self._settings.paths.login}?{here}")
        page = passkeys_page(
            server=request.server_path,
            app_name=self._settings.app_name,
            lang=choose_language(request.header(b"accept-language")),
            landing=request.app_root + self._settings.landing_page,
        )
        return html_response(page, content_security_policy=LOGIN_POLICY)

    def _return_url(self, request: Request) -> str:
        """Where the person wants to go; one that leads elsewhere is dropped, for the person still wants to log in."""
        asked = request.query("return")
        try:
            check_redirect(asked, origin=request.origin, allowed_origins=self._settings.redirect_origins)
        except RequestError:
            return ""
        return asked

    async def login(self, request: Request) -> ASGIApp:
        """The choice; or, with ``?provider=`` or where there is nothing to choose, on to the provider.

        A provider that is not there, and a ``return`` that leads elsewhere, are dropped: the person still wants to log
        in.
        """
        settings = self._settings
        return_url = self._return_url(request)
        asked = request.query("provider")
        provider = asked if asked in self._providers else settings.oidc.default_provider
        alone = not settings.qr.enabled and not self._with_eid and self._has_passkeys is None
        if not provider and alone and len(self._providers) == 1:
            provider = next(iter(self._providers))
        if provider and self._begin is not None:
            return await self._begin(request, provider, return_url)
        here = request.server_path + settings.paths.login
        target = {"return": return_url} if return_url else {}
        lang = choose_language(request.header(b"accept-language"))
        ways = [
            Way(label, f"{here}?{urlencode({'provider': name} | target)}") for name, label in self._providers.items()
        ]
        if self._with_eid:
            card = f"{request.server_path}/eid" + (f"?{urlencode(target)}" if target else "")
            if not ways and not settings.qr.enabled and self._has_passkeys is None:
                return redirect(card)
            ways.insert(0, Way(_ID_CARD[lang], card))
        page = login_page(
            server=request.server_path,
            app_name=settings.app_name,
            return_url=return_url,
            lang=lang,
            heartbeat=settings.sse.heartbeat,
            ways=ways,
            with_phone=settings.qr.enabled,
            with_passkey=self._has_passkeys is not None,
        )
        return html_response(page, content_security_policy=LOGIN_POLICY)

    async def embed(self, request: Request) -> ASGIApp:
        """The script that pages of other sites include."""
        return self._asset(request, "embed.js")

    async def asset(self, request: Request) -> ASGIApp:
        """A file of the widget."""
        return self._asset(request, request.params["file"])

    async def locale(self, request: Request) -> ASGIApp:
        """The widget's texts in one language."""
        return self._asset(request, f"locales/{request.params['file']}")

    def _asset(self, request: Request, name: str) -> ASGIApp:
        status, headers, body = self._files.find_asset(name, request.headers.get(b"if-none-match"))
        if status == 404:
            raise not_found()
        return Asset(status, body, headers=headers)
