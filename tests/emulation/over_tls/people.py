"""Who is on the other side of the network: people with browsers, and eID clients with cards."""

import json
import re
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from secrets import token_bytes
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

import httpx2

from tests.ausweisapp.serving import Country
from tests.emulation.client.website import Person
from tests.servers import PATIENCE
from useid_middleware.eac.certificate_chain import Verified
from useid_middleware.emulation import paos
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.client.actions import Fetched, Flow, Post, T
from useid_middleware.emulation.client.driver import Card, Network, run_flow
from useid_middleware.emulation.client.flow import Outcome, open_link
from useid_middleware.emulation.client.session import Circumstances

_CODE: Final = re.compile(r"<strong[^>]*>([0-9]{3} [0-9]{3})</strong>").findall
_LINK: Final = re.compile(r'href="(eid://[^"]+)"').findall
_ENDING: Final = re.compile(r'data-code="([^"]*)"').findall


class Browser:
    """A browser that nobody has used before, at the app below ``url``."""

    def __init__(self, url: str, *, trust: ssl.SSLContext) -> None:
        parts = urlsplit(url)
        self._url = url
        self._http = httpx2.Client(
            verify=trust, timeout=PATIENCE, headers={"origin": f"{parts.scheme}://{parts.netloc}"}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def start(self, mode: str = "same-device") -> dict[str, Any]:
        """Begin a login."""
        answer = self._http.post(f"{self._url}/auth/eid/start", json={"mode": mode})
        assert answer.status_code == 201, answer.text
        started: dict[str, Any] = answer.json()
        return started

    def open(self, url: str) -> httpx2.Response:
        """Go there and where it leads, as a page's link does."""
        return self._http.get(url, headers={"accept": "text/html"}, follow_redirects=True)

    def press_continue(self, start_url: str) -> str:
        """On the phone: the start page's button; returns the link that opens the client."""
        page = self._http.post(start_url)
        assert page.status_code == 200, page.text
        [link] = set(_LINK(page.text))
        return str(link)

    def claim(self, started: dict[str, Any], code: str) -> httpx2.Response:
        """Type the code."""
        return self._http.post(f"{self._url}/auth/eid/session/{started['sessionId']}/claim", json={"code": code})

    def status(self, started: dict[str, Any]) -> dict[str, Any]:
        """The login as it is now."""
        told: dict[str, Any] = self._http.get(f"{self._url}/auth/eid/session/{started['sessionId']}").json()
        return told

    def told(self) -> dict[str, Any]:
        """What the app knows of who is logged in here."""
        answer: dict[str, Any] = self._http.get(f"{self._url}/").json()
        return answer

    @contextmanager
    def watching(self, started: dict[str, Any]) -> Iterator[Iterator[dict[str, Any]]]:
        """The login's event stream: each status as it comes, and the end of the stream."""
        with self._http.stream("GET", f"{self._url}/auth/eid/session/{started['sessionId']}/events") as answer:
            assert answer.status_code == 200
            yield (json.loads(line.removeprefix("data:")) for line in answer.iter_lines() if line.startswith("data:"))


#: Changes a message of the client on its way out.
Tamper = Callable[[paos.Envelope], paos.Envelope]


class PAOSNetwork(Network):
    """The client's real network, which remembers the messages of the PAOS dialogue, both ways.

    ``tampers`` change what the client says, by the name of the message.
    """

    def __init__(self, tampers: Mapping[str, Tamper]) -> None:
        super().__init__()
        self.messages: list[tuple[str, str]] = []
        self.refusal: paos.Result | None = None
        self._tampers = tampers

    def post(self, action: Post) -> Fetched:
        """See :class:`Network`."""
        if not action.headers.get("content-type", "").startswith(paos.CONTENT_TYPE):
            return super().post(action)
        message = paos.decode(action.body)
        tamper = self._tampers.get(name_of(message))
        if tamper is not None:
            action = replace(action, body=paos.encode(tamper(message)))
        if isinstance(message.body, paos.DIDAuthenticateResponse) and message.body.data is None:
            self.refusal = message.body.result
        answer = super().post(action)
        self.messages.append((name_of(message), name_of(paos.decode(answer.body))))
        return answer


@dataclass
class Holder:
    """Somebody with an eID client, which trusts the cards' country unless a test says otherwise.

    ``tampers`` make his client a malicious one. ``met`` is what was said in PAOS, pair by pair; ``refusal`` why the
    client does not go on, as it tells the eID server.
    """

    country: Country
    person: Person = field(default_factory=Person)
    card: Card | None = None
    trusted: Collection[Verified] | None = None
    tampers: Mapping[str, Tamper] = field(default_factory=dict)
    network: Callable[[Mapping[str, Tamper]], PAOSNetwork] = field(default=PAOSNetwork)
    met: list[tuple[str, str]] = field(default_factory=list)
    refusal: paos.Result | None = None

    def use(self, link: str) -> Outcome:
        """Open a link, or a tcTokenURL, and do what the client asks for."""
        return self.run(open_link(link, self.known))

    @property
    def known(self) -> Circumstances:
        """What the client is and knows."""
        return Circumstances(
            trusted=self.country.pki.trust_points if self.trusted is None else self.trusted,
            today=self.country.today,
            random=token_bytes,
            user_agent="tests/1.2.3",
        )

    def run(self, flow: Flow[T]) -> T:
        """A part of what the client does."""
        card = self.card or self.country.card(personality_named("erika"))
        with self.network(self.tampers) as network:
            self.met = network.messages
            result = run_flow(flow, network=network, card=card, person=self.person)
            self.refusal = network.refusal
        return result


class GoneError(Exception):
    """The client is no more: nothing that it would still do is done."""


class Vanishing(Person):
    """Whose phone runs out of battery when a password is asked for."""

    def enter_password(self, request: object) -> str | None:
        raise GoneError


def code_on(page: httpx2.Response) -> str:
    """The code that a page shows."""
    assert page.status_code == 200, page.text
    [code] = _CODE(page.text)
    return str(code)


def ending_of(page: httpx2.Response) -> str:
    """Which ending a page tells of."""
    [code] = _ENDING(page.text)
    return str(code)


def told_by(outcome: Outcome) -> dict[str, str]:
    """What the client tells the eService by the address that the browser goes to."""
    query = parse_qs(urlsplit(outcome.address).query)
    return {name: values[0] for name, values in query.items() if name in ("ResultMajor", "ResultMinor")}


def name_of(envelope: paos.Envelope) -> str:
    """A message by its name, that of a DIDAuthenticate or its response by what is in it."""
    message = envelope.body
    if not isinstance(message, paos.DIDAuthenticate | paos.DIDAuthenticateResponse):
        return type(message).__name__
    name = type(message.data).__name__
    match message.data:
        case None:
            return "refusal"
        case paos.EAC2Input(signature=None) | paos.EAC2Output(token=None):
            return f"{name} challenge"
        case paos.EAC2Input():
            return f"{name} signature"
        case paos.EAC2Output():
            return f"{name} token"
        case _:
            return name
