"""HTTP of the eID login: docs/reference/eid.md, call by call."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Final
from urllib.parse import urlsplit

from .._codec import JsonType, b64url, timestamp
from ..errors import RequestError, UseIDError, malformed
from ..http.asgi import ASGIApp, Headers
from ..http.redirects import check_redirect
from ..http.requests import Request
from ..http.responses import Response, json_response
from ..http.routing import Handler, get_only
from ..http.sse import EventStreams
from ..sessions.login import CompleteLogin
from ..sessions.records import Login
from ..settings import Settings, Tenant
from ..stores.base import Clock
from ..stores.limits import Looks
from ..waiting.browser import (
    BROWSER_COOKIE,
    FRAME_COOKIE,
    SECRET_SIZE,
    browser_cookie_missing,
    browser_secret,
    browser_secrets,
    required_browser_secret,
)
from ..waiting.code import check_code_format
from ..waiting.records import Current, session_unknown
from ..waiting.stream import StatusStream
from .core.link import build_widget_link
from .core.session import EIDLogin, Mode
from .core.tctoken import LOOPBACK_CLIENT, build_tctoken, client_url
from .service import Claimed, EIDService, Started


@dataclass(frozen=True, slots=True)
class StartBody:
    """``POST /eid/start``."""

    returnUrl: str = ""
    mode: str = ""
    tenant: str = ""
    tcTokenUrl: str = ""


@dataclass(frozen=True, slots=True)
class ClaimBody:
    """``POST /eid/session/{id}/claim``."""

    code: str = ""


@dataclass(frozen=True, slots=True)
class SealedBody:
    """``POST /eid/session/{id}/sealed``."""

    sealedRefreshUrl: str


_start: Final = JsonType(StartBody)
_claim: Final = JsonType(ClaimBody)
_sealed: Final = JsonType(SealedBody)


class EIDRoutes:
    """The calls of a login with an ID card."""

    def __init__(
        self,
        *,
        service: EIDService,
        streams: EventStreams,
        settings: Settings,
        clock: Clock,
        complete_login: CompleteLogin,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._service = service
        self._streams = streams
        self._settings = settings
        self._clock = clock
        self._complete_login = complete_login
        self.random_bytes = random_bytes
        self.looks = Looks(settings.limits)

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {
            "POST /eid/start": self.start,
            "GET /eid/session/{id}": self.snapshot,
            "GET /eid/session/{id}/events": self.events,
            "POST /eid/session/{id}/claim": self.claim,
            "POST /eid/session/{id}/sealed": self.sealed,
            "GET /eid/tctoken/{token}": self.tc_token,
        }

    async def start(self, request: Request) -> ASGIApp:
        """A new login, bound to this browser."""
        body = await request.json(_start, default=b"{}")
        if body.mode not in ("", *Mode):
            raise malformed("mode", " or ".join(Mode))
        tenant = self._tenant(body)
        mode = Mode(body.mode or (tenant.client if tenant else self._settings.eid.client))
        started, headers = await self.begin(
            request, mode=mode, return_url=body.returnUrl, tenant=body.tenant, tc_token_url=body.tcTokenUrl
        )
        return json_response(self._answer(started, server=request.server), status=201, headers=headers)

    async def begin(
        self, request: Request, *, mode: Mode, return_url: str, tenant: str = "", tc_token_url: str = ""
    ) -> tuple[Started, Headers]:
        """Begin a login for this browser; also the header that sets its cookie, if it has none yet."""
        return_to = return_url and check_redirect(
            return_url, origin=request.origin, allowed_origins=self._settings.redirect_origins
        )
        if tenant:
            tc_token_url = self.token_url_of(tenant, tc_token_url)
            if mode is Mode.STANDARD:
                raise malformed("mode", "integrated, bound or same-device, for another site's login")
        self._check_mode(mode, tenant)
        cookie = FRAME_COOKIE if tenant else BROWSER_COOKIE
        held = browser_secret(request, cookie)
        secret = held or b64url(self.random_bytes(SECRET_SIZE))
        started = await self._service.create(
            mode=mode,
            browser_secret=secret,
            server=request.server,
            ip=request.ip,
            return_to=return_to,
            tenant=tenant,
            tc_token_url=tc_token_url,
        )
        return started, [] if held else [cookie.set(secret, secure=request.secure)]

    def _check_mode(self, mode: Mode, tenant: str) -> None:
        """``mode_refused`` for a mode that cannot be, or that is weaker than the settings demand.

        A phishing page chooses for itself; that is why what must be bound has no other way.
        """
        client = self._settings.embed.tenants[tenant].client if tenant else self._settings.eid.client
        if mode is Mode.BOUND and not self._settings.webauthn.enabled:
            raise RequestError("mode_refused", "mode: expected another; webauthn is not enabled", status_hint=403)
        if Mode(client) is Mode.BOUND and mode not in (Mode.BOUND, Mode.SAME_DEVICE):
            raise RequestError("mode_refused", "mode: expected bound or same-device", status_hint=403)

    def token_url_of(self, tenant: str, asked: str) -> str:
        """The tcTokenURL that another site's page asks for, if it may; the site's first where it asks for none."""
        known = self._settings.embed.tenants.get(tenant)
        if known is None:
            raise tenant_unknown()
        if not asked:
            return known.token_urls[0]
        if not any(is_below(asked, allowed) for allowed in known.token_urls):
            raise RequestError(
                "token_url_refused", "tcTokenUrl: expected one that the settings allow this site", status_hint=403
            )
        return asked

    async def snapshot(self, request: Request) -> ASGIApp:
        """The status, for those who poll. Changes nothing."""
        current = await self.look(request)
        return json_response(self._service.records.status(current))

    async def look(self, request: Request) -> Current[EIDLogin]:
        """The login in the path, if it is this browser's."""
        await self.looks.spend(request.ip)
        return await _look(self._service, browser_secrets(request), request.params["id"])

    async def events(self, request: Request) -> ASGIApp:
        """The event stream."""
        login_id = request.params["id"]
        await self.looks.spend(request.ip)
        stream = StatusStream(
            self._service.records,
            login_id,
            _Browser(self._service, browser_secrets(request), login_id),
            streams=self._streams,
            limits=self._settings.limits,
            heartbeat=self._settings.sse.heartbeat,
            last_event_id=request.header(b"last-event-id"),
        )
        return self._streams.response(stream)

    async def claim(self, request: Request) -> ASGIApp:
        """The desktop fetches its login, with the code that the phone shows."""
        body = await request.json(_claim, default=b"{}")
        digits = check_code_format(body.code)
        secret = required_browser_secret(request)
        claimed = await self._service.claim_by_code(request.params["id"], secret, code=digits, ip=request.ip)
        login = await self.log_in(request, claimed)
        answer = login.answer(bearer=self._settings.sessions.bearer)
        return json_response(answer, headers=login.headers)

    async def log_in(self, request: Request, claimed: Claimed) -> Login:
        """The login session of a claimed login, and where it goes."""
        target = claimed.return_to or request.app_root + self._settings.landing_page
        return await self._complete_login(request, claimed.identity, target)

    async def sealed(self, request: Request) -> ASGIApp:
        """The phone's client is done, and sends where the browser goes on."""
        body = await request.json(_sealed)
        await self._service.seal(request.params["id"], body.sealedRefreshUrl, ip=request.ip)
        return Response(204)

    async def tc_token(self, request: Request) -> ASGIApp:
        """The tcToken, once; not for HEAD, which would use it up for nothing."""
        get_only(request)
        token = await self._service.tc_token(request.params["token"], ip=request.ip)
        return Response(200, build_tctoken(token), b"text/xml; charset=utf-8")

    def tc_token_url(self, server: str, token: str) -> str:
        """Where the client fetches the tcToken."""
        return f"{server}/eid/tctoken/{token}"

    def _tenant(self, body: StartBody) -> Tenant | None:
        if body.tcTokenUrl and not body.tenant:
            raise malformed("tenant", "the site that the tcTokenUrl belongs to")
        if not body.tenant:
            return None
        tenant = self._settings.embed.tenants.get(body.tenant)
        if tenant is None:
            raise tenant_unknown()
        return tenant

    def _answer(self, started: Started, *, server: str) -> dict[str, object]:
        login = started.current.record
        start_url = f"{server}/eid/phone/{started.start}" if started.start else ""
        token_url = login.tc_token_url or (self.tc_token_url(server, started.token) if started.token else "")
        qr_data, client, loopback = start_url, "", ""
        if login.mode in (Mode.INTEGRATED, Mode.BOUND):
            qr_data = client = build_widget_link(tc_token_url=token_url, session_id=login.id, server=server)
        elif login.mode is Mode.SAME_DEVICE:
            client, loopback = client_url(token_url), client_url(token_url, client=LOOPBACK_CLIENT)
        return {
            "sessionId": login.id,
            "mode": login.mode.value,
            "expiresAt": timestamp(login.deadline),
            "expiresIn": ceil(login.deadline - self._clock()),
            "qrData": qr_data,
            "clientUrl": client,
            "loopbackUrl": loopback,
            "startUrl": start_url,
            "tcTokenUrl": token_url,
            "refreshOrigins": self._refresh_origins(login),
        }

    def _refresh_origins(self, login: EIDLogin) -> list[str]:
        if not login.tenant:
            parts = urlsplit(login.server)
            return [f"{parts.scheme}://{parts.netloc}"]
        tenant = self._settings.embed.tenants[login.tenant]
        return list(tenant.refresh_origins or tenant.origins)


class _Browser:
    """The browser that waits for a login."""

    __slots__ = ("_login_id", "_secrets", "_service")

    def __init__(self, service: EIDService, secrets: tuple[str, ...], login_id: str) -> None:
        self._service = service
        self._secrets = secrets
        self._login_id = login_id

    async def look(self) -> Current[EIDLogin]:
        return await _look(self._service, self._secrets, self._login_id)

    async def expire(self) -> None:
        await self._service.expire(self._login_id)

    def frames(self, login: EIDLogin) -> None:
        """Nothing rotates."""


async def _look(service: EIDService, secrets: tuple[str, ...], login_id: str) -> Current[EIDLogin]:
    """The login, as the browser may see it that began it: on this site, or in a frame of another one."""
    if not secrets:
        raise browser_cookie_missing()
    error: UseIDError = session_unknown()
    for secret in secrets:
        try:
            return await service.look(login_id, secret)
        except UseIDError as unknown:
            error = unknown
    raise error


def is_below(url: str, allowed: str) -> bool:
    """Whether a URL begins with an allowed one: at the same origin, spelled alike, in its folder or the same."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url or "#" in url or len(url) > 1000:
        return False
    try:
        parts, wanted = urlsplit(url), urlsplit(allowed)
    except ValueError:
        return False
    if (parts.scheme, parts.netloc) != (wanted.scheme, wanted.netloc) or "/.." in parts.path or "%" in parts.path:
        return False
    if url == allowed or allowed.endswith(("/", "=")):
        return url.startswith(allowed)
    return parts.path == wanted.path and (not wanted.query or parts.query == wanted.query)


def tenant_unknown() -> RequestError:
    """The error for a site that is not in the settings, or whose origin is not."""
    return RequestError("tenant_unknown", "tenant: expected a site that the settings know", status_hint=403)
