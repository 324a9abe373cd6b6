"""The pages of the device switch for browsers without JavaScript."""

from math import ceil
from typing import Final, cast

from ..errors import RateLimited, UseIDError
from ..http.asgi import ASGIApp
from ..http.requests import Request
from ..http.responses import html_response, redirect
from ..http.routing import Handler, get_only
from ..identity import Level
from ..settings import Settings
from ..stores.base import Clock
from ..widget.serve import PlainState, choose_language, plain_page, plain_policy
from .core.session import State
from .routes import QRRoutes

#: What a person reads when a form was refused; anything else that ends a login reads as ``expired``.
_ERRORS: Final = {
    "en": {
        "code_wrong": "That is not the code your phone shows. Attempts left: {left}.",
        "code_required": "Enter the six digits that your phone shows.",
        "malformed_request": "Enter the six digits that your phone shows.",
        "login_refused": "This application refused the login.",
        "device_unknown": "This phone may not log in any more.",
        "rate_limited": "Too many attempts. Wait a moment and try again.",
        "needs_script": "This login needs JavaScript: it proves to the browser that your phone is near.",
        "other": "This login could not be finished here. Start again.",
    },
    "de": {
        "code_wrong": "Das ist nicht der Code, den Ihr Smartphone zeigt. Verbleibende Versuche: {left}.",
        "code_required": "Geben Sie die sechs Ziffern ein, die Ihr Smartphone zeigt.",
        "malformed_request": "Geben Sie die sechs Ziffern ein, die Ihr Smartphone zeigt.",
        "login_refused": "Diese Anwendung hat die Anmeldung abgelehnt.",
        "device_unknown": "Dieses Smartphone darf sich nicht mehr anmelden.",
        "rate_limited": "Zu viele Versuche. Warten Sie einen Moment und versuchen Sie es noch einmal.",
        "needs_script": "Diese Anmeldung braucht JavaScript: Der Browser prüft, ob Ihr Smartphone in der Nähe ist.",
        "other": "Diese Anmeldung ließ sich hier nicht abschließen. Beginnen Sie von vorn.",
    },
}


class PageRoutes:
    """What a person sees."""

    def __init__(self, *, qr: QRRoutes, settings: Settings, clock: Clock) -> None:
        self._qr = qr
        self._settings = settings
        self._clock = clock
        self._plain_policy = plain_policy(settings.redirect_origins)

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {
            "POST /plain": self.start_plain,
            "GET /plain/{id}": self.show_plain,
            "POST /plain/{id}": self.finish_plain,
            "GET /session/refresh/{token}": self.refresh,
        }

    async def start_plain(self, request: Request) -> ASGIApp:
        """A new session for a browser without JavaScript, if it can have one: no form asks for a phone nearby."""
        return_url = await request.form("returnUrl")
        if self._settings.qr.level >= Level.L2:
            return self._refuse(request, "needs_script", status=409)
        try:
            current, headers = await self._qr.start(request, app_name="", return_url=return_url)
        except RateLimited as error:
            return self._refuse(request, error.code, status=error.status_hint, refusal=error)
        return redirect(f"{request.server_path}/plain/{current.record.id}", headers=headers)

    async def show_plain(self, request: Request) -> ASGIApp:
        """The state of things, again every few seconds."""
        return await self._show(request)

    async def finish_plain(self, request: Request) -> ASGIApp:
        """Claim, with the code if one is asked for, and go where the person wanted to go."""
        code = await request.form("code")
        try:
            login, headers = await self._qr.finish(request, code=code)
        except UseIDError as error:
            return await self._show(request, error)
        return redirect(login.target, headers=headers)

    async def refresh(self, request: Request) -> ASGIApp:
        """Where the widget leads once it has opened what the phone sealed."""
        get_only(request)
        try:
            login = await self._qr.finish_bound(request)
        except UseIDError as error:
            return self._refuse(request, error.code, status=error.status_hint, refusal=error)
        return redirect(login.target, headers=login.headers)

    def _refuse(self, request: Request, code: str, *, status: int, refusal: UseIDError | None = None) -> ASGIApp:
        """Why it does not go on, and the way to begin again."""
        language = choose_language(request.header(b"accept-language"))
        texts = _ERRORS[language]
        login = self._settings.paths.login
        page = plain_page(
            server=request.server_path,
            app_name=self._settings.app_name,
            session_id="",
            state="expired",
            error=texts.get(code, texts["other"]),
            login_url=f"{request.server_path}{login}" if login else request.app_root + self._settings.landing_page,
            lang=language,
        )
        return html_response(page, status=status, content_security_policy=self._plain_policy, refusal=refusal)

    async def _show(self, request: Request, error: UseIDError | None = None) -> ASGIApp:
        language = choose_language(request.header(b"accept-language"))
        texts = _ERRORS[language]
        message = texts.get(error.code, "").format(left=error.details.get("attemptsLeft", 0)) if error else ""
        status = error.status_hint if error else 200
        server, session_id = request.server_path, request.params["id"]
        state, link, code_required, seconds_left, return_url = State.EXPIRED, "", False, 0, ""
        refusal = error
        try:
            current = await self._qr.look(request)
        except UseIDError as unknown:
            status, refusal = unknown.status_hint, unknown
            message = message or texts.get(unknown.code, "")
        else:
            session = current.record
            if session.is_bound:
                return self._refuse(request, "needs_script", status=409)
            state, return_url = session.state, session.return_to
            link = self._qr.qr_data(current) if state is State.WAITING else ""
            code_required = bool(session.code_hash)
            seconds_left = max(0, ceil(session.deadline - self._clock()))
        page = plain_page(
            server=server,
            app_name=self._settings.app_name,
            session_id=session_id if state is not State.EXPIRED else "",
            # A claimed session has nothing more to show; another login begins like after an expired one.
            state=cast(PlainState, State.EXPIRED.value if state is State.CLAIMED else state.value),
            qr_url=f"{server}/session/{session_id}/qr.svg",
            link=link,
            code_required=code_required,
            error=message,
            seconds_left=seconds_left,
            return_url=return_url,
            lang=language,
        )
        return html_response(page, status=status, content_security_policy=self._plain_policy, refusal=refusal)
