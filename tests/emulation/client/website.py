"""An eService with its eID server, without a network, and a person with a card: what drives the client's flow.

The server is the real core of the embedded one; a test changes what it says, message by message.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final
from urllib.parse import parse_qs, urlsplit

from tests.emulation.card.world import NOW, TODAY, stream
from tests.emulation.server.world import EVERYTHING, ORIGIN, card_of, material, pki
from useid_middleware.eac.certificate_chain import Verified
from useid_middleware.eac.chat import Role
from useid_middleware.eac.keys import PasswordId
from useid_middleware.eid.core.attributes import EIDResult, UseIDRequest
from useid_middleware.eid.core.results import MAJOR_ERROR
from useid_middleware.eid.core.tctoken import TCToken, build_tctoken
from useid_middleware.emulation import paos
from useid_middleware.emulation.client.actions import (
    Action,
    Authentication,
    Connect,
    CreateCredential,
    Fetch,
    Fetched,
    Flow,
    PasswordRequest,
    Post,
    Put,
    Transmit,
    Unreachable,
)
from useid_middleware.emulation.client.driver import Card
from useid_middleware.emulation.client.flow import Outcome, authenticate
from useid_middleware.emulation.client.passkeys import MemoryCredentials, Passkeys
from useid_middleware.emulation.client.session import Circumstances
from useid_middleware.emulation.paos import CONTENT_TYPE, Envelope, decode, encode
from useid_middleware.emulation.server.core import DRAWN_SIZE, advance
from useid_middleware.emulation.server.material import ServerMaterial
from useid_middleware.emulation.server.session import EACSession, State, Variant

TC_TOKEN_URL: Final = f"{ORIGIN}/eid/tctoken/1"
REFRESH: Final = f"{ORIGIN}/eid/refresh/1?a=b"
PAOS: Final = f"{ORIGIN}/eid/paos"
TLS: Final = b"tls"
DOWN: Final = Unreachable("the server cannot be reached (ConnectError)")
LONGEST: Final = Variant.INITIALIZE_FRAMEWORK | Variant.DID_LIST | Variant.EAC_ADDITIONAL
TOKEN: Final = TCToken(
    server_address=PAOS,
    session_identifier="psk-1",
    refresh_address=REFRESH,
    communication_error_address=f"{ORIGIN}/eid/error",
)

Tamper = Callable[[Envelope], Envelope]


@dataclass
class Person:
    """Grants ``granted`` of the optional rights (all if ``None``), and has passwords on paper."""

    granted: Collection[str] | None = None
    passwords: Mapping[PasswordId, list[str]] = field(
        default_factory=lambda: {PasswordId.PIN: ["123456"], PasswordId.CAN: ["500540"]}
    )
    agrees: bool = True
    makes_passkeys: bool = True
    passkeys_asked: list[CreateCredential] = field(default_factory=list)
    asked: list[PasswordRequest] = field(default_factory=list)
    shown: Authentication | None = None

    def confirm(self, request: Authentication) -> frozenset[str] | None:
        self.shown = request
        granted = request.optional if self.granted is None else self.granted
        return frozenset(granted) if self.agrees else None

    def enter_password(self, request: PasswordRequest) -> str | None:
        self.asked.append(request)
        left = self.passwords.get(request.password, [])
        return left.pop(0) if left else None

    def confirm_passkey(self, request: CreateCredential) -> bool:
        self.passkeys_asked.append(request)
        return self.makes_passkeys


@dataclass
class Website:
    """The network as the client sees it. ``tampers`` change messages of the server by their number from 0."""

    request: UseIDRequest = EVERYTHING
    variant: Variant = Variant.DIRECT
    token: TCToken = TOKEN
    material: ServerMaterial = field(default_factory=material)
    tampers: Mapping[int, Tamper] = field(default_factory=dict)
    #: Answers of other addresses, and of the usual ones instead.
    pages: dict[str, Fetched | Unreachable] = field(default_factory=dict)
    #: TLS certificates by the beginning of the address.
    tls: dict[str, bytes] = field(default_factory=dict)
    messages: list[Envelope] = field(default_factory=list)
    visited: list[str] = field(default_factory=list)
    #: From this message on the eID server does not answer.
    silent_from: int = 1000

    def __post_init__(self) -> None:
        self.session = EACSession(
            "session-1", "psk-1", "", NOW.timestamp() + 300, variant=self.variant, request=self.request
        )
        self._random = stream("server")

    @property
    def result(self) -> EIDResult | None:
        """What the server has learned."""
        return self.session.result

    def answer(self, action: Fetch | Post | Put | Connect) -> object:
        self.visited.append(action.url)
        certificate = self._certificate(action.url)
        if isinstance(action, Connect):
            return certificate
        page = self.pages.get(action.url)
        if isinstance(page, Unreachable):
            raise page
        if page is not None:
            return replace(page, tls_certificate=certificate)
        if isinstance(action, Fetch) and action.url == TC_TOKEN_URL:
            return Fetched(action.url, 200, "text/xml", "", build_tctoken(self.token), certificate)
        assert isinstance(action, Post), action
        assert action.url == PAOS
        assert action.headers["paos"] == 'ver="urn:liberty:paos:2006-08"'
        return Fetched(PAOS, 200, CONTENT_TYPE, "", self._answer_paos(action.body), certificate)

    def _answer_paos(self, body: bytes) -> bytes:
        message = decode(body)
        if len(self.messages) >= self.silent_from:
            raise Unreachable("the server cannot be reached (ReadTimeout)")
        self.session, answer = advance(
            self.session, message, now=NOW.timestamp(), material=self.material, drawn=self._random(DRAWN_SIZE)
        )
        tamper = self.tampers.get(len(self.messages))
        self.messages.append(message)
        return encode(tamper(answer) if tamper else answer)

    def _certificate(self, url: str) -> bytes | None:
        if url.startswith("http:"):
            return None
        return next((der for start, der in self.tls.items() if url.startswith(start)), TLS)


def circumstances(
    *,
    trusted: Collection[Verified] | None = None,
    today: date = TODAY,
    allow_loopback_http: bool = False,
) -> Circumstances:
    """A client that trusts the tests' PKI."""
    return Circumstances(
        trusted=pki().trust_points if trusted is None else trusted,
        today=today,
        random=stream("client"),
        user_agent="tests/1.2.3",
        allow_loopback_http=allow_loopback_http,
    )


def authenticator() -> Passkeys:
    """One without passkeys yet."""
    return Passkeys(MemoryCredentials(), random=stream("passkeys"), clock=NOW.timestamp)


def drive(
    flow: Flow[Outcome],
    website: Website,
    *,
    person: Person | None = None,
    card: Card | None = None,
    passkeys: Passkeys | None = None,
) -> Outcome:
    """Run a flow to its end."""
    someone, held, maker = person or Person(), card or card_of(), passkeys or authenticator()
    try:
        action = next(flow)
        while True:
            try:
                answer = _perform(action, website, someone, held, maker)
            except Exception as error:
                action = flow.throw(error)
            else:
                action = flow.send(answer)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome


def _perform(action: Action, website: Website, person: Person, card: Card, passkeys: Passkeys) -> object:
    match action:
        case Transmit():
            return card.transmit(action.apdu)
        case Authentication():
            return person.confirm(action)
        case PasswordRequest():
            return person.enter_password(action)
        case CreateCredential():
            return passkeys.create(action) if person.confirm_passkey(action) else None
        case _:
            return website.answer(action)


def log_in(
    website: Website,
    *,
    person: Person | None = None,
    card: Card | None = None,
    known: Circumstances | None = None,
    url: str = TC_TOKEN_URL,
) -> Outcome:
    """A whole authentication."""
    return drive(authenticate(url, known or circumstances()), website, person=person, card=card)


def told(outcome: Outcome) -> dict[str, str]:
    """What the browser tells the eService, beyond the address itself."""
    query = parse_qs(urlsplit(outcome.address).query)
    return {name: values[0] for name, values in query.items() if name.startswith("Result")}


def redirect(url: str, to: str, status: int = 302) -> Fetched:
    """A page that sends the client elsewhere."""
    return Fetched(url, status, location=to)


def refused(website: Website, ended: Outcome, code: str, minor: str) -> None:
    """It failed, the eID server knows so, and the eService gets to know nothing but that."""
    assert (ended.code, ended.minor, ended.major) == (code, minor, MAJOR_ERROR)
    assert website.session.state is State.FAILED
    assert website.session.result is None


def last_result(website: Website) -> paos.Result:
    """What the client told the eID server last."""
    body = website.messages[-1].body
    assert isinstance(body, paos.DIDAuthenticateResponse | paos.TransmitResponse)
    return body.result


def with_eac1(**changes: object) -> Callable[[Envelope], Envelope]:
    """Changes members of EAC1InputType."""

    def tamper(envelope: Envelope) -> Envelope:
        body = envelope.body
        assert isinstance(body, paos.DIDAuthenticate)
        assert isinstance(body.data, paos.EAC1Input)
        return replace(envelope, body=replace(body, data=replace(body.data, **changes)))  # type: ignore[arg-type]

    return tamper


def with_body(body: paos.Body) -> Callable[[Envelope], Envelope]:
    """Sends another message in the place of the server's."""
    return lambda envelope: replace(envelope, body=body)


def certificates() -> dict[str, bytes]:
    """The server's certificates: ``dv`` and ``terminal``."""
    roles = {Role.TERMINAL: "terminal"}
    return {roles.get(each.says.chat.role, "dv"): each.encode() for each in material().presented}
