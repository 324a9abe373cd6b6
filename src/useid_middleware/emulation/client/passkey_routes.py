"""The phone's passkeys, for a browser that asks over the emulated hybrid transport: a window, and what it calls.

A real phone is reached by Bluetooth and a tunnel, and the browser says whose page asks. Here the page that asks opens a
window of the phone, and that window's browser says it: the ``origin`` of a message between windows cannot be forged.
The window shows who asks and for which account, and only its person's click has anything signed.
"""

from dataclasses import dataclass
from typing import Any, Final

from ..._codec import JsonType
from ...http.asgi import ASGIApp
from ...http.requests import Request
from ...http.responses import json_response
from ...http.routing import Handler
from ..phone.authenticator_client import Page
from .page import AUTHENTICATOR, find_page
from .passkeys import Passkeys


@dataclass(frozen=True, slots=True)
class AssertionBody:
    """``options`` is a ``PublicKeyCredentialRequestOptionsJSON``, ``origin`` that of the page that asks.

    ``topOrigin`` is that of the page that frames it, if another one does.
    """

    origin: str
    options: dict[str, Any]
    topOrigin: str = ""

    @property
    def page(self) -> Page:
        """Who asks."""
        return Page(self.origin, self.topOrigin)


_assertion: Final = JsonType(AssertionBody)


class PasskeyRoutes:
    """The window and its two calls."""

    def __init__(self, passkeys: Passkeys) -> None:
        self._passkeys = passkeys

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {
            "GET /authenticator": self._open,
            "POST /authenticator": self._sign,
            "POST /authenticator/account": self._show,
        }

    async def _open(self, request: Request) -> ASGIApp:
        return find_page(AUTHENTICATOR)

    async def _show(self, request: Request) -> ASGIApp:
        """Which site and account it would be, for the person to see. Nothing is signed."""
        body = await request.json(_assertion)
        source = self._passkeys.find(body.options, page=body.page)
        return json_response({"site": source.rp_id, "account": source.user_name})

    async def _sign(self, request: Request) -> ASGIApp:
        """The person has agreed."""
        body = await request.json(_assertion)
        return json_response(self._passkeys.sign(body.options, page=body.page))
