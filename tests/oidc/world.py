"""A relying party and the development provider in one process, a clock that tests move, and browsers between them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2

from tests.actors import SERVER, Answer, Browser, Phone
from tests.qr.conftest import Clock, make_settings
from useid_middleware import Event, Events, Identity, UseID, UseIDMiddleware, login
from useid_middleware.accounts.base import Accounts
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.clients import Client
from useid_middleware.emulation.provider.driver import Arrival, approve
from useid_middleware.emulation.provider.keys import Keys
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.errors import UseIDError
from useid_middleware.http.asgi import Receive, Scope, Send
from useid_middleware.stores.base import Store

ISSUER: Final = "http://127.0.0.1:9000"
FORM: Final = "application/x-www-form-urlencoded"
CLIENT: Final = Client(
    client_id="shop",
    client_secret="s3cret: with %/+ special",
    redirect_uris=(f"{SERVER}/callback", f"{SERVER}/callback/op"),
    post_logout_redirect_uris=(f"{SERVER}/logout/done",),
    backchannel_logout_uri=f"{SERVER}/backchannel-logout",
    backchannel_logout_session_required=True,
    frontchannel_logout_uri=f"{SERVER}/frontchannel-logout",
    frontchannel_logout_session_required=True,
    grant_types=("authorization_code", "refresh_token", "client_credentials"),
)
#: RSA keys take a while to make; all providers of a test run sign with the same unless a test rotates them.
KEYS: Final = Keys()


async def host_app(scope: Scope, receive: Receive, send: Send) -> None:
    """The app behind the plugin: who is there at /, their access token at /token, a login of its own at /as/{name}."""
    if scope["type"] != "http":
        return
    status, body = 200, ""
    if scope["path"].startswith("/as/"):
        name = scope["path"].removeprefix("/as/")
        await login(SimpleNamespace(scope=scope), Identity("host", name, username=name))
    if scope["path"] == "/token":
        try:
            body = await scope["auth"].access_token()
        except UseIDError as error:
            status, body = error.status_hint, error.code
    else:
        session = scope["auth"].session
        body = " ".join([scope["user"].display_name, *scope["auth"].roles]) if session else ""
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})


@dataclass
class World:
    """Everybody: the app with the plugin, the provider, and what was heard."""

    app: UseIDMiddleware
    provider: Provider
    clock: Clock
    heard: list[Event] = field(default_factory=list)
    #: Our answers to what the provider itself sent: logout tokens, and its requests for our documents.
    answers: list[Answer] = field(default_factory=list)

    @property
    def events(self) -> Events:
        """Where listeners register."""
        return self.app.useid.events

    def browser(self, *, ip: str = "192.0.2.1") -> Browser:
        """A browser without cookies of ours."""
        return Browser(self.app, ip=ip, headers={"accept": "text/html"})

    def at_provider(self) -> httpx2.AsyncClient:
        """The same browser, as the provider sees it: with cookies of the provider's."""
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.provider))

    async def begin(self, browser: Browser, *, provider: str = "op", **query: str) -> str:
        """Start a login: the address at the provider that the browser is sent to."""
        answer = await browser.get(f"/login?{urlencode({'provider': provider} | query)}")
        assert answer.status == 303, answer.body
        location = answer.header("location")
        assert location.startswith(ISSUER), location
        return location

    async def approve(self, address: str, *, person: str = "ada", client: httpx2.AsyncClient | None = None) -> Arrival:
        """The person logs in at the provider and agrees: where the browser is sent then."""
        return await approve(client or self.at_provider(), address, person=person)

    async def come_back(self, browser: Browser, arrival: Arrival) -> Answer:
        """The browser follows the provider's answer to our callback, by GET or by the form that it posts."""
        parts = urlsplit(arrival.url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        if arrival.form is None:
            return await browser.send("GET", path)
        headers = {"content-type": FORM, "origin": ISSUER, "sec-fetch-site": "cross-site"}
        posted = await Browser(self.app).send("POST", path, urlencode(arrival.form).encode(), headers)
        assert posted.status == 303, posted.body
        return await browser.send("GET", posted.header("location"))

    async def log_in(
        self,
        browser: Browser,
        *,
        person: str = "ada",
        client: httpx2.AsyncClient | None = None,
        return_to: str = "",
        **query: str,
    ) -> Answer:
        """A whole login; the answer of our callback."""
        address = await self.begin(browser, **query, **({"return": return_to} if return_to else {}))
        return await self.come_back(browser, await self.approve(address, person=person, client=client))

    async def who(self, browser: Browser) -> str:
        """Who the host app thinks this browser is, and their roles; empty for nobody."""
        return (await browser.send("GET", "/")).body.decode()

    async def token(self, browser: Browser) -> Answer:
        """The host app's own look at the access token."""
        return await browser.send("GET", "/token")

    async def enrolled_phone(self, desktop: Browser) -> Phone:
        """A phone of the user who is logged in at ``desktop``."""
        phone = Phone(self.app, now=self.clock)
        await phone.enrol(desktop)
        return phone

    def told(self, kind: type[Event]) -> list[Any]:
        """The events of a kind so far."""
        return [event for event in self.heard if isinstance(event, kind)]

    async def close(self) -> None:
        """End everything."""
        await self.app.useid.stop()


def provider_settings(**values: Any) -> dict[str, Any]:
    """What the relying party knows of the provider."""
    return {"issuer": ISSUER, "client_id": CLIENT.client_id, "client_secret": CLIENT.client_secret, **values}


async def open_world(
    *,
    client: Client = CLIENT,
    policy: Policy | None = None,
    keys: Keys = KEYS,
    provider: Mapping[str, Any] | None = None,
    oidc: Mapping[str, Any] | None = None,
    store: Store | None = None,
    accounts: Accounts | None = None,
    clock: Clock | None = None,
    op: Provider | None = None,
    transport: object = None,
    **values: Any,
) -> World:
    """A world; ``provider`` are settings of ours for the one provider, called ``op``, ``oidc`` those for all.

    ``op`` is a provider that is there already, ``transport`` (of httpx2) our network in the place of a wire to it.
    """
    clock = clock or Clock()
    holder: list[World] = []

    async def post(url: str, form: Mapping[str, str]) -> int:
        """The provider's calls to us, server to server."""
        headers = {"content-type": FORM}
        path = urlsplit(url).path
        answer = await Browser(holder[0].app).send("POST", path, urlencode(form).encode(), headers)
        holder[0].answers.append(answer)
        return answer.status

    async def fetch(url: str) -> bytes:
        """The provider gets a document of ours."""
        answer = await Browser(holder[0].app).send("GET", urlsplit(url).path)
        assert answer.status == 200, answer.body
        holder[0].answers.append(answer)
        return answer.body

    op = op or Provider(ISSUER, clients=[client], policy=policy, keys=keys, clock=clock, post=post, fetch=fetch)
    configured = {"providers": {"op": provider_settings(**(provider or {}))}, **(oidc or {})}
    settings = make_settings(oidc=configured, **values)
    events = Events()
    useid = UseID(
        settings,
        events,
        store=store,
        accounts=accounts,
        clock=clock,
        transport=transport or httpx2.ASGITransport(app=op),
    )
    app = UseIDMiddleware(host_app, useid=useid)
    world = World(app, op, clock)
    holder.append(world)
    events.on(Event)(world.heard.append)
    return world


@asynccontextmanager
async def opened(**values: Any) -> AsyncIterator[World]:
    """:func:`open_world`, closed at the end of the block."""
    world = await open_world(**values)
    try:
        yield world
    finally:
        await world.close()


def asked(address: str) -> dict[str, str]:
    """The parameters of an address."""
    return dict(parse_qsl(urlsplit(address).query, keep_blank_values=True))


def is_page_about(answer: Answer, code: str) -> bool:
    """Our page: it says which code, it is HTML, it can be left by a link of ours, and runs no script."""
    page = answer.body.decode()
    return (
        f"<code>{code}</code>" in page
        and '<a class="button quiet" href="/">' in page
        and answer.header("content-type") == "text/html; charset=utf-8"
        and answer.header("content-security-policy").startswith("default-src 'none'")
    )


def removes_session(answer: Answer) -> bool:
    """Whether the answer takes the session's cookie from the browser."""
    return any(
        name == b"set-cookie" and value.startswith(b"useid-session=;") and b"Max-Age=0" in value
        for name, value in answer.headers
    )
