"""HTTP of passkeys: docs/reference/webauthn.md, call by call."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from .._codec import JsonType, b64url, timestamp
from ..accounts.base import Passkey
from ..http.asgi import ASGIApp, Headers
from ..http.redirects import check_redirect
from ..http.requests import Request
from ..http.responses import Response, json_response
from ..http.routing import Handler
from ..sessions.auth import required_session, session_token
from ..sessions.login import CompleteLogin
from ..sessions.records import Login
from ..settings import Settings
from ..stores.limits import Looks
from ..waiting.browser import BROWSER_COOKIE, SECRET_SIZE, browser_secret, required_browser_secret
from .parties import Parties
from .service import PasskeyService


@dataclass(frozen=True, slots=True)
class LoginOptionsBody:
    """``POST /passkeys/login/options``; with a name, also passkeys that authenticators do not list are found."""

    username: str = ""


@dataclass(frozen=True, slots=True)
class CredentialBody:
    """What ends a ceremony. ``credential`` is ``PublicKeyCredential.toJSON()``."""

    ceremonyId: str
    credential: dict[str, Any]
    returnUrl: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class RenameBody:
    """``PATCH /passkeys/{id}``."""

    label: str


_login_options: Final = JsonType(LoginOptionsBody)
_credential: Final = JsonType(CredentialBody)
_rename: Final = JsonType(RenameBody)
#: An attestation object carries chains of certificates.
_MAX_BODY: Final = 256 * 1024


class PasskeyRoutes:
    """The calls of passkeys."""

    def __init__(
        self,
        *,
        service: PasskeyService,
        settings: Settings,
        complete_login: CompleteLogin,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._service = service
        self._settings = settings
        self._complete_login = complete_login
        self._random_bytes = random_bytes
        self._parties = Parties(settings)
        self._looks = Looks(settings.limits)

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {"POST /passkeys/login/options": self.login_options, "POST /passkeys/login": self.login}

    def routes_for_users(self) -> dict[str, Handler]:
        """The routes that ask who is logged in."""
        return {
            "POST /passkeys/options": self.registration_options,
            "POST /passkeys": self.register,
            "GET /passkeys": self.passkeys,
            "PATCH /passkeys/{id}": self.rename,
            "DELETE /passkeys/{id}": self.remove,
            "POST /passkeys/step-up/options": self.step_up_options,
            "POST /passkeys/step-up": self.step_up,
        }

    async def registration_options(self, request: Request) -> ASGIApp:
        """Options for a new passkey."""
        session = required_session(request.scope)
        begun = await self._service.begin_registration(
            self._parties.at(request.origin), session, token=session_token(request.scope), ip=request.ip
        )
        return json_response({"ceremonyId": begun.id, "options": begun.options})

    async def register(self, request: Request) -> ASGIApp:
        """A new passkey."""
        session = required_session(request.scope)
        body = await request.json(_credential, limit=_MAX_BODY)
        passkey = await self._service.register(
            self._parties.at(request.origin),
            session,
            body.ceremonyId,
            body.credential,
            token=session_token(request.scope),
            label=body.label,
            ip=request.ip,
        )
        return json_response(_shown(passkey), status=201)

    async def passkeys(self, request: Request) -> ASGIApp:
        """The account's passkeys, and what a browser needs to tell authenticators which are still good."""
        session = required_session(request.scope)
        await self._looks.spend(request.ip)
        found = await self._service.passkeys(session)
        answer = {
            "passkeys": [_shown(each) for each in found],
            "userHandle": b64url(await self._service.user_handle(session)),
            "rpId": self._parties.at(request.origin).id,
            "username": session.username,
            "displayName": session.username,
        }
        return json_response(answer)

    async def rename(self, request: Request) -> ASGIApp:
        """Another name for a passkey."""
        session = required_session(request.scope)
        body = await request.json(_rename)
        await self._service.rename(session, request.params["id"], body.label, ip=request.ip)
        return Response(204)

    async def remove(self, request: Request) -> ASGIApp:
        """Delete a passkey."""
        await self._service.remove(required_session(request.scope), request.params["id"], ip=request.ip)
        return Response(204)

    async def login_options(self, request: Request) -> ASGIApp:
        """Options for a login; also the cookie that ties it to this browser, if there is none yet."""
        body = await request.json(_login_options, default=b"{}")
        held = browser_secret(request)
        secret = held or b64url(self._random_bytes(SECRET_SIZE))
        begun = await self._service.begin_login(
            self._parties.at(request.origin), browser_secret=secret, ip=request.ip, username=body.username
        )
        headers: Headers = [] if held else [BROWSER_COOKIE.set(secret, secure=request.secure)]
        return json_response({"ceremonyId": begun.id, "options": begun.options}, headers=headers)

    async def login(self, request: Request) -> ASGIApp:
        """A login by passkey."""
        body = await request.json(_credential, limit=_MAX_BODY)
        target = self._target(request, body.returnUrl)
        identity = await self._service.log_in(
            self._parties.at(request.origin),
            body.ceremonyId,
            body.credential,
            browser_secret=required_browser_secret(request),
            ip=request.ip,
        )
        return self._answer(await self._complete_login(request, identity, target))

    async def step_up_options(self, request: Request) -> ASGIApp:
        """Options for raising the session's level."""
        session = required_session(request.scope)
        begun = await self._service.begin_step_up(
            self._parties.at(request.origin), session, token=session_token(request.scope), ip=request.ip
        )
        return json_response({"ceremonyId": begun.id, "options": begun.options})

    async def step_up(self, request: Request) -> ASGIApp:
        """The session goes on under a new id, at the level that was proved."""
        session = required_session(request.scope)
        body = await request.json(_credential, limit=_MAX_BODY)
        target = self._target(request, body.returnUrl)
        identity = await self._service.step_up(
            self._parties.at(request.origin),
            session,
            body.ceremonyId,
            body.credential,
            token=session_token(request.scope),
            ip=request.ip,
        )
        return self._answer(await self._complete_login(request, identity, target))

    def _answer(self, login: Login) -> ASGIApp:
        answer = login.answer(bearer=self._settings.sessions.bearer)
        return json_response(answer, headers=login.headers)

    def _target(self, request: Request, return_url: str) -> str:
        if not return_url:
            return request.app_root + self._settings.landing_page
        return check_redirect(return_url, origin=request.origin, allowed_origins=self._settings.redirect_origins)


def _shown(passkey: Passkey) -> dict[str, object]:
    return {
        "id": passkey.id,
        "label": passkey.label,
        "createdAt": timestamp(passkey.created_at),
        "lastUsedAt": timestamp(passkey.last_used_at) if passkey.last_used_at is not None else None,
        "isBackedUp": passkey.is_backed_up,
        "isDiscoverable": passkey.is_discoverable,
        "transports": passkey.transports,
        "credentialId": b64url(passkey.credential_id),
    }
