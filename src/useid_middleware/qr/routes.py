"""HTTP of the device switch: docs/reference/device-switch.md, call by call."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from math import ceil
from typing import Final

from .._codec import DecodeError, JsonType, b64url, is_b64url, timestamp, un_b64url
from ..errors import malformed
from ..http.asgi import ASGIApp, Headers
from ..http.redirects import check_redirect
from ..http.requests import Request, browser_name
from ..http.responses import Response, json_response
from ..http.routing import Handler
from ..http.sse import EventStreams
from ..sessions.login import CompleteLogin
from ..sessions.records import Login
from ..settings import Settings
from ..stores.base import Clock
from ..stores.limits import Looks
from ..waiting.browser import BROWSER_COOKIE, SECRET_SIZE, browser_secret, required_browser_secret
from ..waiting.code import check_code_format
from ..waiting.records import Current
from ..waiting.stream import StatusStream
from .core import session as core
from .core.frame import Frames, frame_at
from .core.session import QRSession, State
from .service import Answer, Claimed, QRService


@dataclass(frozen=True, slots=True)
class CreateBody:
    """``POST /session/create``."""

    appName: str = ""
    returnUrl: str = ""


@dataclass(frozen=True, slots=True)
class ScanBody:
    """``POST /session/{id}``."""

    type: str
    keyId: str
    frame: str = ""


@dataclass(frozen=True, slots=True)
class AnswerBody:
    """``POST /approve`` and ``POST /reject``."""

    sessionId: str
    keyId: str
    publicKey: str
    signature: str
    issuedAt: int


@dataclass(frozen=True, slots=True)
class ClaimBody:
    """``POST /session/{id}/claim``."""

    code: str = ""


_create: Final = JsonType(CreateBody)
_scan: Final = JsonType(ScanBody)
_answer: Final = JsonType(AnswerBody)
_claim: Final = JsonType(ClaimBody)


class QRRoutes:
    """The calls of a login by QR."""

    def __init__(
        self,
        *,
        service: QRService,
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
        self._random_bytes = random_bytes
        self._looks = Looks(settings.limits)

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {
            "POST /session/create": self.create,
            "GET /session/{id}": self.snapshot,
            "POST /session/{id}": self.scan,
            "GET /session/{id}/events": self.events,
            "GET /session/{id}/qr.svg": self.qr_svg,
            "POST /session/{id}/claim": self.claim,
            "POST /approve": self.approve,
            "POST /reject": self.reject,
        }

    async def create(self, request: Request) -> ASGIApp:
        """A new session, bound to this browser."""
        body = await request.json(_create, default=b"{}")
        current, headers = await self.start(request, app_name=body.appName, return_url=body.returnUrl)
        session = current.record
        now = self._clock()
        answer: dict[str, object] = {
            "sessionId": session.id,
            "challenge": session.challenge,
            "expiresAt": timestamp(session.deadline),
            "expiresIn": ceil(session.deadline - now),
            "qrData": self.qr_data(current),
            "assurance": session.level.name,
        }
        if session.is_bound:
            answer["refreshOrigins"] = [request.origin]
        return json_response(answer, status=201, headers=headers)

    async def start(self, request: Request, *, app_name: str, return_url: str) -> tuple[Current[QRSession], Headers]:
        """Create a session for this browser; also the header that sets its cookie, if it has none yet.

        A browser that is known holds its cookie for long, and setting it anew would make it end with the browser.
        """
        return_to = return_url and check_redirect(
            return_url, origin=request.origin, allowed_origins=self._settings.redirect_origins
        )
        held = browser_secret(request)
        secret = held or b64url(self._random_bytes(SECRET_SIZE))
        current = await self._service.create(
            browser_secret=secret,
            origin=request.origin,
            server=request.server,
            ip=request.ip,
            browser=browser_name(request.header(b"user-agent")),
            app_name=app_name,
            return_to=return_to,
        )
        return current, [] if held else [BROWSER_COOKIE.set(secret, secure=request.secure)]

    def qr_data(self, current: Current[QRSession]) -> str:
        """The QR's content at this moment."""
        session = current.record
        return self._service.link(session, frame_at(session, now=self._clock()) if session.rotates else "")

    async def snapshot(self, request: Request) -> ASGIApp:
        """The status, for those who poll. Changes nothing."""
        current = await self.look(request)
        return json_response(self._service.records.status(current))

    async def look(self, request: Request) -> Current[QRSession]:
        """The session in the path, if it is this browser's."""
        secret = required_browser_secret(request)
        await self._looks.spend(request.ip)
        return await self._service.look(request.params["id"], secret)

    async def scan(self, request: Request) -> ASGIApp:
        """A phone scans and is told what it is asked to approve."""
        body = await request.json(_scan)
        if body.type != "scan":
            raise malformed("type", "scan")
        session = await self._service.scan(
            request.params["id"],
            key_id=decode_bytes("keyId", body.keyId, 16),
            frame=check_spelling("frame", body.frame, 8) if body.frame else "",
            ip=request.ip,
        )
        answer: dict[str, object] = {
            "context": session.context,
            "expiresAt": timestamp(session.deadline),
            "expiresIn": ceil(session.deadline - self._clock()),
        }
        if session.is_bound:
            answer["binding"] = True
        return json_response(answer)

    async def approve(self, request: Request) -> ASGIApp:
        """The phone's signed yes."""
        approved = await self._service.approve(await _read_answer(request), ip=request.ip)
        answer = {"status": "approved"}
        if approved.code:
            answer["code"] = approved.code
        if approved.refresh_url:
            answer["refreshUrl"] = approved.refresh_url
        return json_response(answer)

    async def reject(self, request: Request) -> ASGIApp:
        """The phone's signed no."""
        await self._service.reject(await _read_answer(request), ip=request.ip)
        return json_response({"status": "rejected"})

    async def claim(self, request: Request) -> ASGIApp:
        """The desktop fetches its login."""
        body = await request.json(_claim, default=b"{}")
        login, headers = await self.finish(request, code=body.code)
        answer = login.answer(bearer=self._settings.sessions.bearer)
        return json_response(answer, headers=headers)

    async def finish_bound(self, request: Request) -> Login:
        """Claim a bound login at its refresh address, in the browser alone that began it, and log in."""
        secret = required_browser_secret(request)
        claimed = await self._service.claim_bound(request.params["token"], secret, ip=request.ip)
        return await self._log_in(request, claimed)

    async def finish(self, request: Request, *, code: str) -> tuple[Login, Headers]:
        """Claim and log in: the login, and the headers that set the cookies."""
        digits = check_code_format(code)
        secret = required_browser_secret(request)
        claimed = await self._service.claim(request.params["id"], secret, code=digits, ip=request.ip)
        login = await self._log_in(request, claimed)
        headers = list(login.headers)
        if claimed.remember:
            lifetime = int(self._settings.qr.known_browser_lifetime)
            headers.append(BROWSER_COOKIE.set(secret, secure=request.secure, max_age=lifetime))
        return login, headers

    async def _log_in(self, request: Request, claimed: Claimed) -> Login:
        target = claimed.return_to or request.app_root + self._settings.landing_page
        return await self._complete_login(request, claimed.identity, target)

    async def qr_svg(self, request: Request) -> ASGIApp:
        """The QR code of this moment as a picture, for pages without script."""
        import segno  # Drawing on the server is rare; a process that never does it need not load the library.

        current = await self.look(request)
        if current.record.state is not State.WAITING:
            core.next_state(current.record.state, core.Step.SCAN)
        code = segno.make_qr(self.qr_data(current), error="m", boost_error=False)
        picture = BytesIO()
        code.save(picture, kind="svg", border=4, scale=8, dark="#000", light="#fff", omitsize=True)
        return Response(200, picture.getvalue(), b"image/svg+xml")

    async def events(self, request: Request) -> ASGIApp:
        """The event stream."""
        session_id = request.params["id"]
        secret = required_browser_secret(request)
        await self._looks.spend(request.ip)
        stream = StatusStream(
            self._service.records,
            session_id,
            _Desktop(self._service, session_id, secret),
            streams=self._streams,
            limits=self._settings.limits,
            heartbeat=self._settings.sse.heartbeat,
            last_event_id=request.header(b"last-event-id"),
        )
        return self._streams.response(stream)


class _Desktop:
    """The browser that waits for a session."""

    __slots__ = ("_secret", "_service", "_session_id")

    def __init__(self, service: QRService, session_id: str, secret: str) -> None:
        self._service = service
        self._session_id = session_id
        self._secret = secret

    async def look(self) -> Current[QRSession]:
        return await self._service.look(self._session_id, self._secret)

    async def expire(self) -> None:
        await self._service.expire(self._session_id)

    def frames(self, session: QRSession) -> Frames | None:
        # Only a waiting session shows a QR code, and waiting is where it starts.
        return Frames(session) if session.rotates and session.state is State.WAITING else None


async def _read_answer(request: Request) -> Answer:
    body = await request.json(_answer)
    request.login_id = check_spelling("sessionId", body.sessionId, 16)
    return Answer(
        session_id=request.login_id,
        key_id=decode_bytes("keyId", body.keyId, 16),
        public_key=decode_bytes("publicKey", body.publicKey, 32),
        signature=decode_bytes("signature", body.signature, 64),
        issued_at=check_issued_at(body.issuedAt),
    )


def check_issued_at(seconds: int) -> int:
    """Unix seconds that fit the signed bytes."""
    if not 0 <= seconds < 10**11:
        raise malformed("issuedAt", "Unix seconds")
    return seconds


def check_spelling(member: str, text: str, size: int) -> str:
    """The text, if it is ``size`` bytes in the one spelling that they have."""
    if not is_b64url(text, size):
        raise malformed(member, f"{size} bytes of canonical base64url")
    return text


def decode_bytes(member: str, text: str, size: int) -> bytes:
    try:
        return un_b64url(text, size)
    except DecodeError:
        raise malformed(member, f"{size} bytes of canonical base64url") from None
