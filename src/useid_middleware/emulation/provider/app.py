"""The provider as an ASGI app, and what a test or a developer does with it from outside.

It keeps everything in memory, shows made-up people with a published password, registers anybody, and can be told to
lie: it is for development and tests, and says so on each of its pages.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ...errors import UseIDError
from ...http.asgi import ASGIApp, Headers, Message, Receive, Scope, Send
from ...http.requests import Request
from ...http.responses import Response, error_response, html_response
from ...http.routing import Router, not_found
from .browser_session import BrowserSessions
from .check_session import CheckSessionRoutes
from .clients import DEMO, Client
from .forms import decode_form, query_pairs
from .injection import ANSWERS, Answer, Pace, Pairs
from .interaction import InteractionRoutes
from .keys import Keys
from .logout import Delivery, LogoutRoutes
from .metadata import MetadataRoutes
from .network import fetch_document, post_form
from .pages import message_page, policy_for
from .people import PEOPLE, Person
from .policy import Policy
from .realm import Fetch, Post, Realm
from .refusals import OAuthError, oauth_response
from .registration import RegistrationRoutes
from .texts import choose_texts
from .token_endpoint import TokenRoutes
from .token_status import TokenStatusRoutes

#: So many requests are remembered at most.
MAX_RECEIVED: Final = 10_000
#: Seconds between two bytes of a dripping answer.
DRIP: Final = 1.0
_CHUNK: Final = 64 * 1024

#: The answers that faults can spoil as a whole, by path.
_SPOILED: Final = {
    "/.well-known/openid-configuration": "discovery",
    "/jwks": "jwks",
    "/token": "token",
    "/userinfo": "userinfo",
}


@dataclass(frozen=True, slots=True)
class Received:
    """A request that the provider got. ``path`` is below the issuer's; parameters are in order, repeated ones too."""

    method: str
    path: str
    query: Pairs
    form: Pairs
    headers: dict[str, str]

    @property
    def authorization_scheme(self) -> str:
        """``Basic``, ``Bearer``, ``DPoP`` as they were spelled; empty for none."""
        return self.headers.get("authorization", "").partition(" ")[0]

    def param(self, name: str) -> str:
        """The first value of a parameter, of the form before the query; empty when absent."""
        return next((value for key, value in (*self.form, *self.query) if key == name), "")


class Provider:
    """A whole OpenID provider.

    ``clock`` is in Unix seconds and ``random_bytes`` draws so many. ``post`` sends logout tokens and ``fetch`` gets
    request objects and clients' keys (by default over the network). ``pause`` waits between the bytes of an answer
    that a fault makes slow. The issuer may have a path; the app answers below it, mounted there or not.
    """

    def __init__(
        self,
        issuer: str,
        *,
        clients: Sequence[Client] = (DEMO,),
        people: Sequence[Person] = PEOPLE,
        policy: Policy | None = None,
        keys: Keys | None = None,
        clock: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        post: Post | None = None,
        fetch: Fetch | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.realm = Realm(
            issuer,
            clients=clients,
            people=people,
            keys=keys or Keys(),
            clock=clock,
            random_bytes=random_bytes,
            post=post or post_form,
            fetch=fetch or fetch_document,
            policy=policy or Policy(),
        )
        sessions = BrowserSessions(self.realm)
        self._logouts = LogoutRoutes(self.realm, sessions)
        self._pause = pause
        #: What came in, the latest last.
        self.requests: list[Received] = []
        self._router = Router()
        for part in (
            MetadataRoutes(self.realm),
            InteractionRoutes(self.realm, sessions),
            TokenRoutes(self.realm),
            TokenStatusRoutes(self.realm),
            RegistrationRoutes(self.realm, sessions),
            self._logouts,
            CheckSessionRoutes(self.realm, sessions),
        ):
            self._router.add(part.routes())

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return self.realm.issuer

    @property
    def deliveries(self) -> list[Delivery]:
        """Every back-channel logout that was sent, with its token and the answer's status."""
        return self._logouts.deliveries

    @property
    def faults(self) -> tuple[str, ...]:
        """The names of the faults in force."""
        return self.realm.faults.active

    def add_client(self, client: Client) -> None:
        """Know ``client``, in the place of one of the same id."""
        self.realm.clients[client.client_id] = client

    def inject(self, *names: str) -> None:
        """Put faults in force, on top of those that are: see :mod:`.faults` for the names."""
        self.realm.faults.inject(*names)

    def clear(self) -> None:
        """Be correct again."""
        self.realm.faults.clear()

    def rotate_keys(self) -> None:
        """Sign with new keys from now on, and publish those alone."""
        self.realm.keys.rotate()

    def received(self, path: str) -> list[Received]:
        """The requests for one path below the issuer's."""
        return [request for request in self.requests if request.path == path]

    async def logout(self, *, subject: str = "", sid: str = "") -> list[Delivery]:
        """What an administrator does: end the sessions of a person, or one session, and tell the applications."""
        before = len(self.deliveries)
        for session in self.realm.records.sessions.values(now=self.realm.now()):
            if (subject and session.subject == subject) or (sid and session.sid == sid):
                await self._logouts.end(session)
        return self.deliveries[before:]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI; of lifespan, only the handshake."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        path = self._path(scope)
        moved = path.removeprefix("/moved")
        endpoint = _SPOILED.get(path, "")
        response = await self._answer(scope, receive, moved.removeprefix("/mtls"))
        if endpoint and isinstance(response, Response):
            await self._send_spoiled(response, endpoint, path, scope, receive, send)
        else:
            await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, path: str) -> ASGIApp:
        realm = self.realm
        request = Request(scope, receive, prefix=realm.prefix, origin=realm.origin, params={})
        try:
            body = await request.body()
            self._remember(request, self._path(scope), body)
            found = self._router.match(scope["method"], path)
            if found is None:
                raise not_found()
            handler, params = found
            scope["useid.path"] = self._path(scope)
            request = Request(scope, _replay(body), prefix=realm.prefix, origin=realm.origin, params=params)
            return await handler(request)
        except UseIDError as error:
            return self._refusal(request, error)

    def _refusal(self, request: Request, error: UseIDError) -> Response:
        """A page for a person, JSON for a program: browsers ask for HTML by name when they navigate."""
        if "text/html" not in request.header(b"accept"):
            return oauth_response(error) if isinstance(error, OAuthError) else error_response(error)
        texts = choose_texts(request.header(b"accept-language"))
        message = f"{error.code}: {error.message}"
        page = message_page(self.realm.prefix, texts, texts["error"], texts["error_help"], message)
        return html_response(page, status=error.status_hint, content_security_policy=policy_for())

    def _remember(self, request: Request, path: str, body: bytes) -> None:
        form = decode_form(request.header(b"content-type"), body)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.raw_headers}
        self.requests.append(Received(request.method, path, query_pairs(request), form, headers))
        if len(self.requests) > MAX_RECEIVED:
            del self.requests[: MAX_RECEIVED // 2]

    async def _send_spoiled(
        self, response: Response, endpoint: str, path: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        sent: list[Message] = []

        async def collect(message: Message) -> None:
            sent.append(message)

        await response(scope, receive, collect)
        whole = b"".join(message.get("body", b"") for message in sent[1:])
        answer = Answer(sent[0]["status"], list(sent[0]["headers"]), whole)
        answer = self.realm.apply(ANSWERS[endpoint], answer, path=path)
        if answer.pace is Pace.NEVER:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        headers: Headers = answer.headers
        if answer.pace is Pace.DRIPPING:
            headers = [(name, value) for name, value in headers if name != b"content-length"]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        while answer.pace is Pace.DRIPPING:
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await self._pause(DRIP)
        for start in range(0, len(answer.body), _CHUNK):
            chunk = answer.body[start : start + _CHUNK]
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _path(self, scope: Scope) -> str:
        """The path below the issuer's, whether the server or a router took a part of it away already."""
        path: str = scope["path"]
        for prefix in (self.realm.prefix, scope.get("root_path", "")):
            if prefix and path.startswith(prefix + "/"):
                return path[len(prefix) :]
        return path


def _replay(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _lifespan(receive: Receive, send: Send) -> None:
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})
