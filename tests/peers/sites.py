"""Our relying party, all of it, with a provider that nobody here wrote: an app in this process, real HTTP between.

The app's own browser is :class:`tests.actors.Browser`; at the provider's pages a person walks with a client of httpx2.
"""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import uvicorn
from joserfc.jwk import ECKey, KeySet, RSAKey

from tests.actors import Answer, Browser
from tests.oidc import world
from tests.peers.people import Arrival, visit_async
from tests.peers.providers import SECRET, Client, Peer, client
from tests.qr.conftest import make_settings
from useid_middleware import AccessTokenAuth, Event, Events, LoginSucceeded, UseID, UseIDMiddleware
from useid_middleware.errors import UseIDError
from useid_middleware.http.asgi import ASGIApp, Receive, Scope, Send
from useid_middleware.oidc.client import ProviderClient
from useid_middleware.oidc.core.tokens import TokenSet

FORM: Final = "application/x-www-form-urlencoded"
#: Who the providers know more of than a name; ``log_in_as_ada`` is hers.
PEOPLE: Final = {"ada": {"name": "Ada Lovelace", "roles": ["analyst"]}}
#: All that the providers of the tests tell of a person.
SCOPES: Final = ("openid", "profile", "email", "roles")


@dataclass
class Ahead:
    """The time as the providers have it, and as much later as a test says."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.seconds


@dataclass
class HostApp:
    """The app of :mod:`tests.oidc.world`, which also calls the API ``api`` as its user at /api."""

    api: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] != "/api":
            return await world.host_app(scope, receive, send)
        try:
            async with httpx2.AsyncClient() as machine:
                called = await machine.get(self.api, auth=AccessTokenAuth(SimpleNamespace(scope=scope)))
            status, body = called.status_code, called.content
        except UseIDError as error:
            status, body = error.status_hint, error.code.encode()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})


@dataclass
class Site:
    """The app at ``origin``, where it is served only inside of :meth:`served`, and the provider's own ``peer``."""

    app: UseIDMiddleware
    peer: Peer
    clock: Ahead
    origin: str
    heard: list[Event] = field(default_factory=list)

    @property
    def client(self) -> ProviderClient:
        """Our client of the provider."""
        assert self.app.useid.oidc is not None
        return self.app.useid.oidc.clients["op"]

    def browser(self) -> Browser:
        """A browser without cookies of ours."""
        return Browser(self.app, host=urlsplit(self.origin).netloc, headers={"accept": "text/html"})

    async def begin(self, browser: Browser, **query: str) -> str:
        """Start a login: the address at the provider that the browser is sent to."""
        answer = await browser.get(f"/login?{urlencode({'provider': 'op'} | query)}")
        assert answer.status == 303, answer.body
        address = answer.header("location")
        assert address.startswith(self.peer.issuer), address
        return address

    async def come_back(self, browser: Browser, arrival: Arrival) -> Answer:
        """Follow the provider's answer to our callback, by GET or by the form that its page posts."""
        assert arrival.url.startswith(f"{self.origin}/"), f"not with us: {arrival.url} {arrival.page}"
        path = arrival.url.removeprefix(self.origin)
        if arrival.form is None:
            return await browser.send("GET", path)
        # Without our cookies, which a browser does not send with a form of another site.
        stranger = Browser(self.app, host=browser.host)
        headers = {"content-type": FORM, "origin": self.peer.issuer, "sec-fetch-site": "cross-site"}
        posted = await stranger.send("POST", path, urlencode(arrival.form).encode(), headers)
        assert posted.status == 303, posted.body
        return await browser.send("GET", posted.header("location"))

    async def log_in(
        self, browser: Browser, *, login: str = "ada", person: httpx2.AsyncClient | None = None, **query: str
    ) -> Arrival:
        """A whole login, which must succeed; how the provider answered. ``person`` is the browser at the provider."""
        address = await self.begin(browser, **query)
        if person is not None:
            arrival = await visit_async(person, address, login=login)
        else:
            async with new_person() as somebody:
                arrival = await visit_async(somebody, address, login=login)
        answer = await self.come_back(browser, arrival)
        assert answer.status == 303, f"{answer.body.decode()}\n{self.heard}\n{self.peer.log()}"
        return arrival

    async def log_out(self, browser: Browser, person: httpx2.AsyncClient) -> Answer:
        """Log out here and at the provider, and come back: our answer at the end."""
        left = await browser.send(
            "POST", "/auth/logout", headers={"content-type": FORM, "origin": f"http://{browser.host}"}
        )
        assert left.header("location").startswith(self.peer.issuer), left
        arrival = await visit_async(person, left.header("location"))
        # Provider 6 shows its frames first, and then leads on by a link that its script follows.
        url = arrival.links[0] if arrival.links else arrival.url
        assert url.startswith(f"{self.origin}/auth/logout/done?"), arrival
        return await browser.send("GET", url.removeprefix(self.origin))

    async def who(self, browser: Browser) -> str:
        """Who the host app thinks this browser is, and their roles; empty for nobody."""
        return (await browser.send("GET", "/")).body.decode()

    async def token(self, browser: Browser) -> tuple[int, str]:
        """What the host app gets when it asks for the access token: 200 and the token, or a status and a code."""
        answer = await browser.send("GET", "/token")
        return answer.status, answer.body.decode()

    def told(self, kind: type[Event]) -> list[Any]:
        """The events of a kind so far."""
        return [event for event in self.heard if isinstance(event, kind)]

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Serve the app at its address, so that the provider reaches it."""
        with socket.create_server(("127.0.0.1", urlsplit(self.origin).port or 0)) as listening:
            server = uvicorn.Server(uvicorn.Config(self.app, log_level="warning", lifespan="off"))
            serving = asyncio.ensure_future(server.serve(sockets=[listening]))
            try:
                yield
            finally:
                server.should_exit = True
                await serving


@asynccontextmanager
async def opened(
    peer: Peer,
    origin: str,
    *,
    client_id: str = "useid",
    host_app: ASGIApp | None = None,
    oidc: Mapping[str, Any] | None = None,
    **provider: Any,
) -> AsyncIterator[Site]:
    """A site as ``client_id`` of ``peer``; ``provider`` are settings for it, ``oidc`` those for all providers."""
    known = {"issuer": peer.issuer, "client_id": client_id, "client_secret": SECRET}
    configured = {**known, "scopes": SCOPES, "roles_claim": "roles", **provider}
    clock, events = Ahead(), Events()
    settings = make_settings(oidc={"providers": {"op": configured}, **(oidc or {})})
    app = UseIDMiddleware(host_app or HostApp(), useid=UseID(settings, events, clock=clock))
    site = Site(app, peer, clock, origin)
    events.on(Event)(site.heard.append)
    try:
        yield site
    finally:
        await app.useid.stop()


def new_person() -> httpx2.AsyncClient:
    """Somebody with a browser that no provider knows. Everything here is plain HTTP, so no certificates are loaded."""
    return httpx2.AsyncClient(verify=False, timeout=30)


def registered(origin: str, client_id: str = "useid", **metadata: Any) -> Client:
    """The registration of the app at ``origin``, with the addresses to which it is sent back."""
    addresses = {"post_logout_redirect_uris": [f"{origin}/auth/logout/done"]}
    return client(f"{origin}/auth/callback", client_id=client_id, **(addresses | metadata))


@dataclass(frozen=True)
class OurKeys:
    """Private keys of our client in a file, and what a provider may know of them."""

    file: Path
    public: dict[str, Any]


def make_our_keys(file: Path) -> OurKeys:
    """Make keys to sign with ES256, and to open what is encrypted by RSA-OAEP-256 and ECDH-ES."""
    keys = KeySet(
        [
            ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True),
            RSAKey.generate_key(2048, {"use": "enc", "alg": "RSA-OAEP-256"}, auto_kid=True),
            ECKey.generate_key("P-256", {"use": "enc", "alg": "ECDH-ES"}, auto_kid=True),
        ]
    )
    file.write_text(json.dumps(keys.as_dict(private=True)))
    return OurKeys(file, dict(keys.as_dict(private=False)))


async def log_in_as_ada(site: Site) -> tuple[Browser, Arrival]:
    """A whole login, after which the app knows Ada by what userinfo says, and has a token for her."""
    browser = site.browser()
    arrival = await site.log_in(browser)
    assert await site.who(browser) == "ada analyst"
    assert (await site.token(browser))[0] == 200
    return browser, arrival


def tokens_of(site: Site) -> TokenSet:
    """What the last login brought."""
    tokens = site.told(LoginSucceeded)[-1].identity.tokens
    assert isinstance(tokens, TokenSet)
    return tokens


def asked(address: str) -> dict[str, str]:
    """The parameters of an address."""
    return dict(parse_qsl(urlsplit(address).query))
