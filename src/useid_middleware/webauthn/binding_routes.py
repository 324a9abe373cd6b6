"""HTTP of the channel binding: docs/reference/webauthn.md, call by call."""

from dataclasses import dataclass
from typing import Any, Final

from .._codec import JsonType, b64url
from ..http.asgi import ASGIApp
from ..http.requests import Request
from ..http.responses import Response, json_response
from ..http.routing import Handler
from ..waiting.browser import browser_cookie_missing, browser_secrets
from .binding import BindingService
from .parties import Parties


@dataclass(frozen=True, slots=True)
class AccountBody:
    """``POST /webauthn/accounts``."""

    widgetSessionId: str
    sealedRefreshUrl: str
    attestationFormats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CredentialBody:
    """What ends a ceremony. ``credential`` is ``PublicKeyCredential.toJSON()``."""

    credential: dict[str, Any]


_account: Final = JsonType(AccountBody)
_credential: Final = JsonType(CredentialBody)
#: An attestation object carries chains of certificates.
_MAX_BODY: Final = 256 * 1024


class BindingRoutes:
    """The calls by which phone and browser prove that they are in the same place."""

    def __init__(self, *, service: BindingService, parties: Parties) -> None:
        self._service = service
        self._parties = parties

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {
            "POST /webauthn/accounts": self.create,
            "PUT /webauthn/accounts/{id}": self.register,
            "POST /webauthn/accounts/{id}/assertions": self.assertion,
        }

    async def create(self, request: Request) -> ASGIApp:
        """The phone's client is done: an account, and options for a credential of it."""
        body = await request.json(_account)
        request.login_id = body.widgetSessionId
        opened = await self._service.create(
            self._parties.at(request.origin),
            body.widgetSessionId,
            sealed=body.sealedRefreshUrl,
            attestation_formats=body.attestationFormats,
            ip=request.ip,
        )
        return json_response({"userId": opened.user_id, "options": opened.options}, status=201)

    async def register(self, request: Request) -> ASGIApp:
        """The phone has a credential."""
        body = await request.json(_credential, limit=_MAX_BODY)
        party = self._parties.at(request.origin)
        await self._service.register(party, request.params["id"], body.credential, ip=request.ip)
        return Response(204)

    async def assertion(self, request: Request) -> ASGIApp:
        """The browser has proved that the phone is at hand, and may open what the phone sealed."""
        body = await request.json(_credential, limit=_MAX_BODY)
        secrets = browser_secrets(request)
        if not secrets:
            raise browser_cookie_missing()
        released = await self._service.authenticate(
            lambda tenant: self._parties.at(request.origin, tenant),
            request.params["id"],
            body.credential,
            browser_secrets=secrets,
            ip=request.ip,
        )
        pin = b64url(released.eservice_pin) if released.eservice_pin else ""
        return json_response({"sealedRefreshUrl": released.sealed, "eServiceCertificateHash": pin})
