"""Browsers, a phone and a card for one suite of logins: in the process, and over a network."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx2

from tests.actors import Answer, Browser, Phone, Stream
from tests.emulation.client.website import Person
from useid_middleware.emulation.card.issuing import issue_card
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.client.actions import (
    Authentication,
    Connect,
    Fetch,
    Fetched,
    PasswordRequest,
    Post,
    Transmit,
)
from useid_middleware.emulation.client.driver import Card, Network, run_flow
from useid_middleware.emulation.client.flow import Outcome, authenticate
from useid_middleware.emulation.client.session import Circumstances
from useid_middleware.emulation.pki_files import read_pki
from useid_middleware.http.asgi import ASGIApp, Message, Receive, Scope, Send


class Place(Protocol):
    """Where a host app is: ``url`` is its address without a last slash, ``pki`` the folder of the country's PKI."""

    url: str
    pki: Path

    def browser(self, *, ip: str = ...) -> Browser:
        """A browser without cookies, at the plugin there."""
        ...

    def at_provider(self) -> httpx2.AsyncClient:
        """The same browser as the OpenID provider sees it."""
        ...

    async def use_card(self, tc_token_url: str) -> Outcome:
        """An eID client with Erika's card."""
        ...


@dataclass
class Visitor(Browser):
    """A browser in the process. The server says that the app is at ``root_path``, if it does."""

    root_path: str = ""

    def scope(self, method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
        """The ASGI scope of a request; ``path`` begins with the root path."""
        return super().scope(method, path, headers) | {"root_path": self.root_path}

    async def send(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, *, chunks: int = 1
    ) -> Answer:
        """One request; the browser stays until it is answered, since frameworks watch for those who leave."""
        staying = replace(self, app=stay(self.app))
        return await Browser.send(staying, method, path, body, headers, chunks=chunks)


def stay(app: ASGIApp) -> ASGIApp:
    """``app`` for clients that do not leave before the response is complete."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        answered = asyncio.Event()

        async def hear() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                await answered.wait()
            return message

        async def tell(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                answered.set()

        await app(scope, hear, tell)

    return answer


async def _nowhere(*_: object) -> None:
    raise AssertionError("this browser speaks over a network")


@dataclass
class Surfer(Browser):
    """A browser on a network; ``http`` keeps its cookies."""

    app: ASGIApp = _nowhere
    http: httpx2.AsyncClient = field(default_factory=httpx2.AsyncClient)
    origin: str = ""
    #: Of HTTP, as its answers came.
    versions: set[str] = field(default_factory=set)

    async def send(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, *, chunks: int = 1
    ) -> Answer:
        """One request."""
        merged = {**self.headers, **(headers or {})}
        if merged.get("origin") == f"http://{self.host}":
            merged["origin"] = self.origin
        answer = await self.http.request(method, self.origin + path, content=body, headers=merged)
        self.cookies = dict(self.http.cookies)
        self.versions.add(answer.http_version)
        return Answer(answer.status_code, [(name.lower(), value) for name, value in answer.headers.raw], answer.content)

    @asynccontextmanager
    async def stream(self, path: str, headers: dict[str, str] | None = None) -> AsyncIterator[Stream]:
        """An open event stream; the client leaves at the end of the block."""
        stream = Stream()

        async def read() -> None:
            async with self.http.stream("GET", self.origin + self.prefix + path, headers=headers) as answer:
                self.versions.add(answer.http_version)
                await stream.send({"type": "http.response.start", "status": answer.status_code})
                async for chunk in answer.aiter_raw():
                    await stream.send({"type": "http.response.body", "body": chunk, "more_body": True})
                await stream.send({"type": "http.response.body"})

        task = asyncio.ensure_future(read())
        try:
            await stream.opened(task)
            yield stream
        finally:
            task.cancel()
            await asyncio.wait([task])


class Caller(Phone):
    """A phone that reaches the plugin at this place."""

    def __init__(self, place: Place) -> None:
        super().__init__(_nowhere)
        self._place = place

    @property
    def client(self) -> Browser:
        """The phone's HTTP client: no cookies, no Origin."""
        return self._place.browser(ip=self.ip)

    async def post(self, path: str, body: dict[str, Any]) -> Answer:
        """POST JSON as an app does."""
        client = self.client
        data = httpx2.Request("POST", "http://unused", json=body).content
        return await client.send("POST", client.prefix + path, data, {"content-type": "application/json"})


def path_of(url: str) -> str:
    """Path and query of an address."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def erika(pki_folder: Path, *, allow_loopback_http: bool = True) -> tuple[Card, Circumstances]:
    """Erika's card, and an eID client that trusts her country."""
    pki, today = read_pki(pki_folder), datetime.now(UTC).date()
    card = issue_card(personality_named("erika"), pki=pki, today=today, random=token_bytes)
    known = Circumstances(
        trusted=pki.trust_points, today=today, random=token_bytes, allow_loopback_http=allow_loopback_http
    )
    return card, known


async def use_card_here(tc_token_url: str, *, pki: Path, client: Browser) -> Outcome:
    """An eID client in the process, without a network; ``client`` sends its requests."""
    card, known = erika(pki)
    person = Person()
    flow = authenticate(tc_token_url, known)
    try:
        action = next(flow)
        while True:
            answer: object
            match action:
                case Fetch(url=url):
                    answer = fetched(url, await client.send("GET", path_of(url)))
                case Post(url=url, headers=headers, body=body):
                    answer = fetched(url, await client.send("POST", path_of(url), body, dict(headers)))
                case Connect():
                    answer = None  # There is no TLS here.
                case Transmit(apdu=apdu):
                    answer = card.transmit(apdu)
                case PasswordRequest():
                    answer = person.enter_password(action)
                case Authentication():
                    answer = person.confirm(action)
            action = flow.send(answer)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome


async def use_card_over_network(tc_token_url: str, *, pki: Path, allow_loopback_http: bool) -> Outcome:
    """An eID client with its own way to servers, which runs in a thread."""
    card, known = erika(pki, allow_loopback_http=allow_loopback_http)

    def run() -> Outcome:
        with Network() as network:
            return run_flow(authenticate(tc_token_url, known), network=network, card=card, person=Person())

    return await asyncio.to_thread(run)


def fetched(url: str, answer: Answer) -> Fetched:
    """An answer as the eID client's network reports it."""
    return Fetched(url, answer.status, answer.header("content-type"), answer.header("location"), answer.body)
