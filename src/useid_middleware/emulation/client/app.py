"""The emulated phone with an eID client and a purse of emulated cards, as an ASGI app: pages and their JSON interface.

It holds cards and passwords of people who do not exist, and goes wherever a link leads: it is for development, answers
on loopback hosts alone, and takes orders from its own page alone. Links for a client on this computer
(``http://127.0.0.1:24727/eID-Client?…``, TR-03124-1 §2.2) lead to the page.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import version
from typing import Final
from urllib.parse import urlencode

from ..._codec import JsonType
from ...eid.core.link import parse_link
from ...errors import RequestError, UseIDError, malformed
from ...http.asgi import ASGIApp, Receive, Scope, Send
from ...http.requests import Request
from ...http.responses import Response, error_response, json_response, redirect
from ...http.routing import Router, not_found
from ..card.faults import FAULTS
from ..card.session import Random
from ..pki import PKI
from .dialogues import Client, Dialogues
from .network_client import NetworkClient
from .page import find_asset
from .passkey_routes import PasskeyRoutes
from .passkeys import MemoryCredentials, Passkeys
from .views import card_json, view_json
from .wallet import Wallet

#: Seconds that a question for news may wait.
PATIENCE: Final = 20.0
_MAX_QUERY: Final = 2000


@dataclass(frozen=True, slots=True)
class StartBody:
    """``card`` is a name of ours, or ``cardFile`` the text of a personality that the user wrote."""

    link: str
    card: str = ""
    cardFile: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class AnswerBody:
    """One of the four."""

    granted: list[str] | None = None
    password: str | None = None
    makePasskey: bool = False
    cancel: bool = False


_start: Final = JsonType(StartBody)
_answer: Final = JsonType(AnswerBody)


class EIDPhone:
    """The phone. ``app_url`` is where the page sends somebody who comes without a link.

    ``client`` runs a dialogue; the usual one speaks to real servers and trusts the PKI's terminals. Mounted or alone;
    stop it with the server (lifespan), or with :meth:`close`.
    """

    def __init__(
        self,
        pki: PKI,
        *,
        client: Client | None = None,
        app_url: str = "",
        random: Random = secrets.token_bytes,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
        clock: Callable[[], float] = time.time,
        patience: float = PATIENCE,
    ) -> None:
        self.wallet = Wallet(pki, today=today, random=random)
        self.passkeys = Passkeys(MemoryCredentials(), random=random, clock=clock)
        usual = NetworkClient(pki.trust_points, authenticator=self.passkeys, today=today, random=random)
        self.dialogues = Dialogues(client or usual, random=random)
        self._app_url = app_url
        self._patience = patience
        self._router = Router()
        self._router.add(
            {
                "GET /eID-Client": self._open_client,
                "GET /cards": self._show_cards,
                "POST /cards/{name}/renew": self._renew_card,
                "POST /dialogues": self._begin,
                "GET /dialogues/{id}": self._tell,
                "POST /dialogues/{id}": self._hear,
            }
        )
        self._router.add(PasskeyRoutes(self.passkeys).routes())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: HTTP, and the handshake of lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await (await self._respond(scope, receive))(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def close(self) -> None:
        """End what is under way. Websites are told that the person cancelled."""
        await asyncio.to_thread(self.dialogues.close)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _respond(self, scope: Scope, receive: Receive) -> ASGIApp:
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        try:
            # Without an origin of our own, loopback hosts alone are ours: no name on the web leads a page here.
            request = Request(scope, receive, prefix="", origin=None, params={})
            found = self._router.match(scope["method"], path)
            if found is None:
                return self._asset(scope["method"], path)
            handler, request.params = found
            if scope["method"] == "POST":
                request.check_same_site()
            return await handler(request)
        except UseIDError as error:
            return error_response(error)

    def _asset(self, method: str, path: str) -> Response:
        asset = find_asset(path.removeprefix("/"), app_url=self._app_url) if method in ("GET", "HEAD") else None
        if asset is None:
            raise not_found()
        return asset

    async def _open_client(self, request: Request) -> Response:
        """TR-03124-1 §2.2.1: ``?tcTokenURL=…`` starts the client, ``?Status`` asks who it is, ``?ShowUI`` shows it."""
        pairs = dict(request.pairs())
        if "Status" in pairs:
            return Response(200, _status(), b"text/plain; charset=utf-8")
        if "ShowUI" in pairs:
            return redirect(f"{request.server_path}/")
        if not pairs.get("tcTokenURL") or len(request.scope["query_string"]) > _MAX_QUERY:
            raise malformed("tcTokenURL", "one address")
        # What else the link says goes with it; a fragment goes by itself.
        return redirect(f"{request.server_path}/?{urlencode(pairs)}")

    async def _show_cards(self, request: Request) -> Response:
        faults = [{"name": name, "about": fault.about} for name, fault in FAULTS.items()]
        return json_response({"cards": [card_json(facts) for facts in self.wallet.cards()], "faults": faults})

    async def _renew_card(self, request: Request) -> Response:
        self.wallet.renew(request.params["name"])
        return Response(204)

    async def _begin(self, request: Request) -> Response:
        body = await request.json(_start)
        parse_link(body.link)
        if bool(body.card) is bool(body.cardFile):
            raise malformed("card, cardFile", "one of them")
        if body.card:
            card = await asyncio.to_thread(self.wallet.take, body.card, fault=body.fault)
        else:
            card = await asyncio.to_thread(self.wallet.take_described, body.cardFile, fault=body.fault)
        try:
            dialogue_id = self.dialogues.start(body.link, card, on_end=self.wallet.put_back)
        except UseIDError:
            self.wallet.put_back(card)
            raise
        return json_response({"id": dialogue_id, **view_json(self.dialogues.find(dialogue_id).view)}, status=201)

    async def _tell(self, request: Request) -> Response:
        dialogue = self.dialogues.find(request.params["id"])
        after = request.query("after") or "0"
        if not (after.isascii() and after.isdigit() and len(after) < 10):
            raise malformed("after", "a version")
        return json_response(view_json(await dialogue.news(int(after), patience=self._patience)))

    async def _hear(self, request: Request) -> Response:
        dialogue = self.dialogues.find(request.params["id"])
        body = await request.json(_answer)
        if (body.granted is not None) + (body.password is not None) + body.makePasskey + body.cancel != 1:
            raise RequestError("malformed_request", "body: expected one of granted, password, makePasskey, cancel")
        if body.granted is not None:
            dialogue.grant(frozenset(body.granted))
        elif body.password is not None:
            dialogue.enter(body.password)
        elif body.makePasskey:
            dialogue.make_passkey()
        else:
            dialogue.give_up()
        return json_response(view_json(dialogue.view))


def _status() -> bytes:
    """The answer to ``?Status`` as a stock client gives it."""
    lines = {
        "Implementation-Title": "useid-middleware emulated eID client",
        "Implementation-Vendor": "useid-middleware",
        "Implementation-Version": version("useid-middleware"),
        "Name": "useid-middleware",
        "Specification-Title": "TR-03124",
        "Specification-Vendor": "Federal Office for Information Security",
        "Specification-Version": "1.4",
    }
    return "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode()
