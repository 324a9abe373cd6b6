"""HTTP of the pages of the eID login: the widget's, the phone's, and the address that the eID client comes back to."""

from .._codec import b64url
from ..errors import RateLimited, RefusedError, RequestError, UseIDError
from ..events import Events, LoginFailed
from ..http.asgi import ASGIApp, Headers
from ..http.redirects import check_redirect
from ..http.requests import Request
from ..http.responses import html_response, redirect, retry_after
from ..http.routing import Handler, get_only
from ..settings import Settings
from ..stores.base import Clock
from ..waiting.browser import BROWSER_COOKIE, SECRET_SIZE, browser_cookie_missing, browser_secret
from ..waiting.records import Current
from ..waiting.tokens import is_secret
from ..widget.eid_pages import WIDGET_PERMISSIONS, eid_login_page, widget_page, widget_policy
from ..widget.serve import LOGIN_POLICY, choose_language
from .core.identity import PROVIDER
from .core.results import MAJOR_OK, ClientMinor
from .core.session import FINAL, EIDLogin, Mode, Reason, State
from .core.tctoken import LOOPBACK_CLIENT, client_url
from .pages import PAGE_POLICY, code_page, ending_page, open_page, start_page
from .routes import EIDRoutes, tenant_unknown
from .service import EIDService


class PageRoutes:
    """What a person sees."""

    def __init__(
        self, *, calls: EIDRoutes, service: EIDService, events: Events, settings: Settings, clock: Clock
    ) -> None:
        self._calls = calls
        self._service = service
        self._events = events
        self._settings = settings
        self._clock = clock

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {
            "GET /eid": self.login,
            "POST /eid/plain": self.start_plain,
            "GET /eid/phone/{token}": self.phone,
            "POST /eid/phone/{token}": self.begin_on_phone,
            "GET /eid/refresh/{token}": self.refresh,
        }

    def embedding_routes(self) -> dict[str, Handler]:
        """What pages of other sites embed."""
        return {"GET /widget": self.widget}

    async def login(self, request: Request) -> ASGIApp:
        """The page with the widget. A ``return`` that leads elsewhere is dropped."""
        page = eid_login_page(
            server=request.server_path,
            app_name=self._settings.app_name,
            return_url=self._return_url(request, request.query("return")),
            lang=choose_language(request.header(b"accept-language")),
            heartbeat=self._settings.sse.heartbeat,
        )
        return html_response(page, content_security_policy=LOGIN_POLICY)

    async def start_plain(self, request: Request) -> ASGIApp:
        """A login on this device, for a browser without JavaScript."""
        return_url = self._return_url(request, await request.form("returnUrl"))
        try:
            started, headers = await self._calls.begin(request, mode=Mode.SAME_DEVICE, return_url=return_url)
        except UseIDError as error:
            return self._ending(request, error.code, status=error.status_hint, refusal=error)
        token_url = self._calls.tc_token_url(request.server, started.token)
        return self._open(request, token_url, headers, on_this_computer=True)

    async def phone(self, request: Request) -> ASGIApp:
        """Behind the QR code. Looking at it changes nothing."""
        start = request.params["token"]
        try:
            await self._calls.looks.spend(request.ip)
            current = await self._service.peek(start)
        except UseIDError as error:
            return self._ending(request, error.code, status=error.status_hint, refusal=error)
        if current.record.state is not State.WAITING:
            code = "expired" if current.record.state is State.EXPIRED else "wrong_state"
            return self._ending(request, code, status=409)
        page = start_page(
            server=request.server_path,
            app_name=self._settings.app_name,
            origin=request.origin,
            lang=choose_language(request.header(b"accept-language")),
            action=f"{request.server_path}/eid/phone/{start}",
        )
        return html_response(page, content_security_policy=PAGE_POLICY)

    async def begin_on_phone(self, request: Request) -> ASGIApp:
        """The phone's user goes on: this browser has the login now, and a link that opens the eID client."""
        held = browser_secret(request)
        secret = held or b64url(self._calls.random_bytes(SECRET_SIZE))
        try:
            token = await self._service.begin_on_phone(request.params["token"], phone_secret=secret, ip=request.ip)
        except UseIDError as error:
            return self._ending(request, error.code, status=error.status_hint, refusal=error)
        headers = [] if held else [BROWSER_COOKIE.set(secret, secure=request.secure)]
        return self._open(request, self._calls.tc_token_url(request.server, token), headers, on_this_computer=True)

    async def refresh(self, request: Request) -> ASGIApp:
        """Where the eID client brings the browser, with its result in the query.

        It is worth something in the browser alone that fetched the tcToken's address: to others nothing is told.
        """
        get_only(request)
        try:
            current = await self._own(request)
            return await self._come_back(request, current)
        except RefusedError as error:
            # Whoever completes logins has told the listeners; the words are one's own, for the person.
            return self._ending(request, error.code, status=error.status_hint, message=error.message)
        except RateLimited as error:
            # Nobody hears of it: who floods us must not flood the listeners, and with them a log or a mailbox.
            return self._ending(request, error.code, status=error.status_hint, refusal=error)
        except UseIDError as error:
            failure = LoginFailed(self._clock(), error.code, PROVIDER)
            await self._events.emit(failure)
            if failure.response is not None:
                return failure.response
            return self._ending(request, error.code, status=error.status_hint, headers=retry_after(error))

    async def widget(self, request: Request) -> ASGIApp:
        """The page in another site's frame: for a registered origin, and to be framed by it alone."""
        tenant_id, origin = request.query("id"), request.query("origin")
        tenant = self._settings.embed.tenants.get(tenant_id)
        if tenant is None or origin not in tenant.origins:
            raise tenant_unknown()
        token_url = self._calls.token_url_of(tenant_id, request.query("tcTokenUrl"))
        page = widget_page(
            server=request.server_path,
            tenant=tenant_id,
            origin=origin,
            tc_token_url=token_url,
            theme=_theme(tenant.theme, asked=request.query("theme")),
            back=tenant.default_target,
            lang=choose_language(request.query("lang") or request.header(b"accept-language")),
            heartbeat=self._settings.sse.heartbeat,
        )
        headers: Headers = [(b"permissions-policy", WIDGET_PERMISSIONS.encode())]
        return html_response(page, content_security_policy=widget_policy(origin), headers=headers)

    async def _own(self, request: Request) -> Current[EIDLogin]:
        """The login of the address, if this is the browser that the client was started from."""
        current = await self._service.refreshed(request.params["token"], ip=request.ip)
        login = current.record
        secret = browser_secret(request)
        owner = login.phone if login.mode is Mode.STANDARD else login.browser
        if secret is None or not is_secret(secret, owner):
            raise browser_cookie_missing()
        return current

    async def _come_back(self, request: Request, current: Current[EIDLogin]) -> ASGIApp:
        login = current.record
        major, minor = request.query("ResultMajor"), request.query("ResultMinor")
        if login.state not in FINAL and major not in ("", "ok", MAJOR_OK):
            known = _client_minor(minor)
            reason = Reason.CANCELLED if known is ClientMinor.CANCELLATION_BY_USER else Reason.FAILED
            await self._service.reject(login.id, reason=reason, minor=known or "")
            return self._ending(request, reason.value, status=200, can_retry=login.mode is not Mode.STANDARD)
        if login.state in FINAL:
            return self._ending(request, login.reason or login.state.value, status=409)
        if login.mode is Mode.STANDARD:
            code = await self._service.approve(current)
            page = code_page(
                server=request.server_path,
                app_name=self._settings.app_name,
                origin=request.origin,
                lang=choose_language(request.header(b"accept-language")),
                code=code,
            )
            return html_response(page, content_security_policy=PAGE_POLICY)
        claimed = await self._service.claim(current)
        made = await self._calls.log_in(request, claimed)
        return redirect(made.target, headers=made.headers)

    def _open(self, request: Request, token_url: str, headers: Headers, *, on_this_computer: bool) -> ASGIApp:
        page = open_page(
            server=request.server_path,
            app_name=self._settings.app_name,
            lang=choose_language(request.header(b"accept-language")),
            client_url=client_url(token_url),
            loopback_url=client_url(token_url, client=LOOPBACK_CLIENT) if on_this_computer else "",
        )
        return html_response(page, content_security_policy=PAGE_POLICY, headers=headers)

    def _ending(
        self,
        request: Request,
        code: str,
        *,
        status: int,
        can_retry: bool = True,
        message: str = "",
        headers: Headers | None = None,
        refusal: UseIDError | None = None,
    ) -> ASGIApp:
        page = ending_page(
            server=request.server_path,
            app_name=self._settings.app_name,
            lang=choose_language(request.header(b"accept-language")),
            code=code,
            retry=f"{request.server_path}/eid" if can_retry else "",
            home=request.app_root + self._settings.landing_page,
            message=message,
        )
        return html_response(page, status=status, content_security_policy=PAGE_POLICY, headers=headers, refusal=refusal)

    def _return_url(self, request: Request, asked: str) -> str:
        try:
            return check_redirect(asked, origin=request.origin, allowed_origins=self._settings.redirect_origins)
        except RequestError:
            return ""


def _client_minor(minor: str) -> ClientMinor | None:
    """What went wrong, as an eID client says it: a ResultMinor or what is behind its # (TR-03124-1 §2.5)."""
    name = minor.rpartition("#")[2]
    return next((known for known in ClientMinor if known.rpartition("#")[2] == name), None)


def _theme(theme: str, *, asked: str) -> str:
    """The site's colours; where it leaves them open, those that its page has."""
    return asked if theme == "auto" and asked in ("light", "dark") else theme
