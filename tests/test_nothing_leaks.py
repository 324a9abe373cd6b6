"""Logins of every kind, and what was said about them: no secret is in logs, audit log, metrics, trace and errors.

One plugin with everything: phones, a provider, an eID server with an emulated client and card, passkeys, and all that
watches it switched on by settings, as an operator does. What is secret is noted while it comes by, and where it is
drawn; at the end it is looked for.
"""

import json
import logging
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html import unescape
from io import StringIO
from pathlib import Path
from secrets import token_bytes
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx2
import pytest

from tests.actors import HOST, Answer, Browser, Phone
from tests.eid import test_bound as bound_card
from tests.eid.world import SECRET as WIDGET_SECRET
from tests.eid.world import ScriptedEIDServer, code_in, path_of, seal_for, token_url_in, unseal
from tests.eid.world import World as Cards
from tests.emulation.client.website import Person
from tests.oidc.test_access_token_auth import API401, call, proof_of, request_of
from tests.oidc.world import CLIENT, FORM, ISSUER, KEYS, World, asked, host_app, provider_settings
from tests.qr.conftest import Clock, make_settings
from tests.webauthn.bound import BoundWorld, Desktop
from tests.webauthn.world import Authenticator
from tests.webauthn.world import World as Passkeys
from useid_middleware import Event, Events, LoginSucceeded, TokenRefreshed, UseID, UseIDMiddleware
from useid_middleware._codec import b64url
from useid_middleware.accounts.memory import MemoryAccounts
from useid_middleware.eac.keys import PasswordId
from useid_middleware.emulation.card.issuing import issue_card
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.client.actions import (
    Action,
    Authentication,
    Connect,
    Fetch,
    Fetched,
    PasswordRequest,
    Post,
    Transmit,
)
from useid_middleware.emulation.client.flow import authenticate
from useid_middleware.emulation.client.session import Circumstances
from useid_middleware.emulation.pki_files import read_pki
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.http.asgi import Message, Receive, Scope, Send
from useid_middleware.json_logs import JSONFormatter
from useid_middleware.trace import Trace

PIN, WRONG_PIN = "123456", "654321"
CAN = "500540"
METRICS_TOKEN = "a-token-for-prometheus"
#: Who logs in, as only they and their providers and cards know it.
PEOPLE = ("alice-liddell", "ada", "Lovelace", "ERIKA", "MUSTERMANN", "Looking-glass", "192.0.2.1", "198.51.100.7")
#: Parts of our addresses behind which something secret stands.
SECRET_PATHS = re.compile(r"/(?:eid/(?:start|tctoken|refresh|phone)|session/refresh)/([\w-]{22,})")


@dataclass
class Notes:
    """The secrets of the run, by what they are, and what was answered with errors."""

    secrets: dict[str, set[str]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def note(self, kind: str, *values: str) -> None:
        """Secrets of a kind."""
        self.secrets.setdefault(kind, set()).update(value for value in values if value)

    def note_paths(self, text: str) -> None:
        """The tokens in addresses of ours; a login's id, their first half, is none."""
        self.note("token in an address", *(token[22:] for token in SECRET_PATHS.findall(unquote(text)) if token[22:]))


class WatchedApp:
    """The app, and whoever reads along on the wire."""

    def __init__(self, app: UseIDMiddleware, notes: Notes) -> None:
        self._app = app
        self._notes = notes
        self.useid = app.useid

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        notes, status, body = self._notes, 0, b""
        notes.note_paths(scope["path"])

        async def heard() -> Message:
            message = await receive()
            found = re.findall(
                rb'"(?:signature|clientDataJSON|authenticatorData)":\s*"([\w-]{20,})"', message.get("body", b"")
            )
            notes.note("signature", *(each.decode() for each in found))
            return message

        async def told(message: Message) -> None:
            nonlocal status, body
            if message["type"] == "http.response.start":
                status = message["status"]
                for name, value in message["headers"]:
                    if name == b"set-cookie":
                        content = value.decode().partition(";")[0].partition("=")[2]
                        notes.note("cookie", content if content != "1" else "")  # That one is a mark.
                    elif name == b"location" and status < 400:
                        notes.note_paths(value.decode())
            else:
                body += message.get("body", b"")
            await send(message)

        await self._app(scope, heard, told)
        if status >= 400:
            notes.errors.append(body.decode())
        elif scope["type"] == "http":
            notes.note_paths(body.decode("utf-8", "replace"))
            text = body.decode("utf-8", "replace")
            notes.note("code", *re.findall(r'"code":"(\d{6})"', text))
            notes.note("session token", *re.findall(r'"sessionToken":"([^"]+)"', text))
            notes.note("sealed address", *re.findall(r'"sealedRefreshUrl":"([\w-]+)"', text))


@dataclass
class Run:
    """Everybody."""

    app: Any
    clock: Clock
    provider: Provider
    notes: Notes
    folder: Path
    trace: Trace
    #: What our logger wrote to standard error, and what others said.
    errors: pytest.CaptureFixture[str]
    logs: StringIO
    handler: logging.Handler
    events: list[Event] = field(default_factory=list)

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Something happens on other people's computers, whose logs are not ours."""
        root = logging.getLogger()
        root.removeHandler(self.handler)
        try:
            yield
        finally:
            root.addHandler(self.handler)

    async def said(self) -> dict[str, str]:
        """Everything that was said, by whom."""
        scrape = {"authorization": f"Bearer {METRICS_TOKEN}"}
        metrics = (await Browser(self.app).get("/metrics", scrape)).body.decode()
        await self.app.useid.stop()
        return {
            "logs": self.errors.readouterr().err,
            "logs of others": self.logs.getvalue(),
            "audit log": (self.folder / "audit.log").read_text(),
            "metrics": metrics,
            "trace": "\n".join(map(self.trace.diagram, self.trace.ids())),
            "errors": "\n".join(self.notes.errors),
            "events": "\n".join(_without_people(event) for event in self.events),
        }


def _without_people(event: Event) -> str:
    """The ``repr`` of a fact; those of questions show people's names, as the reference of events says."""
    return (
        repr(event) if type(event).__name__ not in ("LoginSucceeded", "UserCreated", "UserUpdated", "PreLogin") else ""
    )


@pytest.fixture
def kind() -> str:
    """The kind of login, where a test is not about each."""
    return "phone"


@pytest.fixture
def our_logger() -> Iterator[None]:
    """All that is said, whatever the level; and afterwards our logger as it was."""
    logger = logging.getLogger("useid_middleware")
    logger.setLevel(logging.DEBUG)
    yield
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


@pytest.fixture
async def run(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], our_logger: None) -> AsyncIterator[Run]:
    clock, events, notes, logs = Clock(), Events(), Notes(), StringIO()
    client = replace(CLIENT, dpop_bound_access_tokens=True)
    op = Provider(ISSUER, clients=[client], policy=Policy(refresh_tokens="always"), keys=KEYS, clock=clock)

    def drawn_for(what: str) -> Any:
        def draw(size: int = 32) -> bytes:
            drawn = token_bytes(size)
            if size >= 32:
                notes.note(what, b64url(drawn), drawn.hex())
            return drawn

        return draw

    settings = make_settings(
        assurance="L2" if kind == "bound phone" else "L1",
        oidc={"providers": {"op": provider_settings(dpop=True)}},
        eid={
            "server": "embedded",
            "pki": tmp_path / "pki",
            "required": ("RestrictedID", "GivenNames", "FamilyNames"),
            "keep": ("GivenNames",),
            "username": "GivenNames",
        },
        webauthn={"enabled": True},
        sessions={"bearer": True},
        audit={"file": tmp_path / "audit.log", "fsync": "never"},
        metrics={"path": "/metrics", "token": METRICS_TOKEN},
        log={"format": "json"},
    )
    accounts = MemoryAccounts(new_user_handle=drawn_for("user handle"), new_secret=drawn_for("secret of the accounts"))
    useid = UseID(
        settings,
        events,
        accounts=accounts,
        clock=clock,
        random_bytes=drawn_for("random bytes"),
        transport=httpx2.ASGITransport(app=op),
    )
    trace = Trace(events)
    handler = logging.StreamHandler(logs)
    handler.setFormatter(JSONFormatter())
    app = WatchedApp(UseIDMiddleware(host_app, useid=useid), notes)
    run = Run(app, clock, op, notes, tmp_path, trace, capsys, logs, handler)
    notes.note("token of the metrics", METRICS_TOKEN)
    events.on(Event)(run.events.append)
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield run
    root.removeHandler(handler)
    root.setLevel(level)
    await useid.stop()


async def by_phone(run: Run) -> None:
    """Enrolment, a login with a wrong code before the right one, a rejection, a relayed answer."""
    desktop, other = Browser(run.app), Browser(run.app, ip="192.0.2.66")
    await desktop.send("GET", "/as/alice-liddell")
    phone = Phone(run.app, now=run.clock)
    await phone.enrol(desktop, label="Looking-glass")
    run.notes.note("phone key", phone.key.encode().hex(), b64url(phone.key.encode()))
    for decision in (phone.approve, phone.reject):
        started = (await desktop.post("/session/create")).json()
        link = started["qrData"]
        run.notes.note("challenge", started["challenge"], dict(parse_qsl(urlsplit(link).query))["frame"])
        async with desktop.stream(f"/session/{started['sessionId']}/events") as stream:
            assert await stream.next_status() == "waiting"
            answered = await decision(link)
            assert answered.status == 200
        code = answered.json().get("code", "")
        claim = f"/session/{started['sessionId']}/claim"
        if code:
            assert (await desktop.post(claim, {"code": "000000" if code != "000000" else "111111"})).status == 403
        assert (await other.post(claim, {"code": code})).status in (400, 401, 403, 404)
        claimed = await desktop.post(claim, {"code": code} if code else {})
        assert claimed.status == (200 if code else 409)
        if code:
            bearer = {"authorization": f"Bearer {claimed.json()['sessionToken']}"}
            assert (await Browser(run.app).get("/sessions", bearer)).status == 200
        assert (await desktop.post(claim, {"code": code} if code else {})).status in (404, 409, 410)
        assert (await phone.scan(link)).status in (404, 409, 410)


async def without_script(run: Run) -> None:
    """The plain pages: of the phone with a wrong code first and a strange browser, of the card on this device."""
    desktop, other = Browser(run.app), Browser(run.app, ip="192.0.2.66")
    await desktop.send("GET", "/as/alice-liddell")
    phone = Phone(run.app, now=run.clock)
    await phone.enrol(desktop, label="Looking-glass")
    desktop, form = (
        Browser(run.app, headers={"accept": "text/html"}),
        {"content-type": FORM, "origin": f"http://{HOST}"},
    )
    begun = await desktop.send("POST", "/auth/plain", b"", form)
    page = path_of(begun.header("location"))
    shown = (await desktop.send("GET", page)).body.decode()
    [link] = set(re.findall(r'href="([^"]+session=[^"]+)"', shown))
    link = unescape(link)
    query = dict(parse_qsl(urlsplit(link).query))
    run.notes.note("challenge", query["challenge"], query["frame"])
    code = (await phone.approve(link)).json()["code"]
    wrong = "000000" if code != "000000" else "111111"
    assert (await desktop.send("POST", page, f"code={wrong}".encode(), form)).status == 403
    assert (await other.send("POST", page, f"code={code}".encode(), form)).status == 401
    assert (await desktop.send("POST", page, f"code={code}".encode(), form)).status == 303
    here = Browser(run.app, headers={"accept": "text/html"})
    token_url = token_url_in(await here.send("POST", "/auth/eid/plain", b"", form))
    refresh = await client_with_card(run, token_url)
    run.notes.note_paths(refresh)
    assert (await other.send("GET", path_of(refresh))).status == 401
    assert (await here.send("GET", path_of(refresh))).status == 303


async def by_bound_phone(run: Run) -> None:
    """A login at L2: an assertion of another site, then one that holds, and an address that was used."""
    world = BoundWorld(run.app, run.clock)
    phone = await world.bound_phone("alice-liddell")
    run.notes.note("phone key", phone.phone.key.encode().hex(), b64url(phone.phone.key.encode()))

    async def prove(**changes: Any) -> tuple[Desktop, Answer]:
        desktop = world.desktop()
        private = desktop.key.private_bytes_raw()
        run.notes.note("key of the widget", private.hex(), b64url(private))
        link = await desktop.start()
        run.notes.note("challenge", dict(parse_qsl(urlsplit(link).query))["challenge"])
        opened = await phone.take_part(desktop)
        run.notes.note("user handle", opened["options"]["user"]["id"])
        return desktop, await desktop.prove(await desktop.status(), phone.authenticator, **changes)

    assert (await prove(rp_id="evil.example"))[1].status == 401
    desktop, proved = await prove()
    sealed = proved.json()["sealedRefreshUrl"]
    assert (await desktop.follow(sealed)).status == 303
    assert (await desktop.follow(sealed)).status in (404, 409)


async def with_card_elsewhere(run: Run) -> None:
    """The phone's client seals the way back for the widget: with its secret, and bound by WebAuthn to its browser."""
    cards = Cards(run.app, ScriptedEIDServer(), run.clock)
    run.notes.note("password of the card", PIN, CAN)
    run.notes.note("secret of the widget", b64url(WIDGET_SECRET), WIDGET_SECRET.hex())
    desktop = bound_card.desktop_of(cards)
    started = await cards.start(desktop, mode="integrated")
    run.notes.note_paths(started["tcTokenUrl"])
    refresh = await client_with_card(run, started["tcTokenUrl"])
    run.notes.note_paths(refresh)
    sealed = seal_for(started, refresh)
    run.notes.note("sealed address", sealed)
    assert (await cards.seal(started, sealed)).status == 204
    assert (await cards.seal(started, sealed)).status == 409
    back = unseal(started, (await cards.status(desktop, started))["sealedRefreshUrl"])
    assert (await cards.open(cards.browser(), back)).status == 401
    assert (await cards.open(desktop, back)).status == 303
    key = bound_card.KEY.private_bytes_raw()
    run.notes.note("key of the widget", b64url(key), key.hex())

    async def prove(**changes: Any) -> tuple[str, Answer]:
        near = Authenticator(bound_card.ORIGIN)
        started = await cards.start(desktop, mode="bound")
        refresh = await client_with_card(run, started["tcTokenUrl"])
        run.notes.note_paths(refresh)
        await bound_card.take_part(cards, started["sessionId"], refresh, near)
        return started["sessionId"], await bound_card.prove(
            desktop, await cards.status(desktop, started), near, **changes
        )

    assert (await prove(rp_id="evil.example"))[1].status == 401
    session_id, proved = await prove()
    target = bound_card.open_for(session_id, proved.json()["sealedRefreshUrl"])
    assert (await cards.open(desktop, target)).status == 303


async def at_provider(run: Run) -> None:
    """A login, a forged answer, a stolen one, calls of an API, a renewal of its tokens, a logout."""
    world = World(run.app, run.provider, run.clock)
    browser, stranger = world.browser(), world.browser()
    addresses = [await world.begin(each) for each in (browser, stranger)]
    for query in map(asked, addresses):
        run.notes.note("nonce and state", query["nonce"], query["state"], query["code_challenge"])
    forged = await stranger.get(f"/callback?state={asked(addresses[0])['state']}&code=stolen-code-of-nobody")
    assert forged.status in (303, 400, 403)
    with run.elsewhere():
        arrival = await world.approve(addresses[0], person="ada")
    run.notes.note("authorization code", dict(parse_qsl(urlsplit(arrival.url).query))["code"])
    assert (await world.come_back(stranger, arrival)).status in (303, 400, 403)
    assert (await world.come_back(browser, arrival)).status == 303
    assert await world.who(browser) == "ada"
    assert (await world.come_back(world.browser(), arrival)).status >= 400
    run.notes.note("client secret", CLIENT.client_secret)
    exchange = run.provider.received("/token")[0]
    run.notes.note("verifier", exchange.param("code_verifier"))
    api = API401(nonce="nonce-of-the-api")
    with run.elsewhere():
        assert (await call(world, browser, api)).status_code == 200
    run.notes.note("proof", *(str(proof_of(seen)["jti"]) for seen in api.seen), *(seen["dpop"] for seen in api.seen))
    credentials = (await request_of(world, browser)).scope["auth"]
    run.notes.note("key of the token", str(json.loads((await credentials.token()).key)["d"]))
    run.clock.advance(541)
    assert (await world.token(browser)).status == 200
    [succeeded] = [each for each in run.events if isinstance(each, LoginSucceeded) and each.identity.tokens is not None]
    refreshed = [each.tokens for each in run.events if isinstance(each, TokenRefreshed)]
    assert refreshed
    for tokens in (succeeded.identity.tokens, *refreshed):
        whole = (tokens.access_token, tokens.refresh_token, tokens.id_token)
        run.notes.note("token of the provider", *whole, *(each.rpartition(".")[2] for each in whole))
    assert (await browser.post("/logout")).status in (200, 204, 303)


async def with_card(run: Run) -> None:
    """On a phone with a code, on the device itself, with a wrong PIN, with an address that was used."""
    desktop, phone = Browser(run.app, headers={"accept": "text/html"}), Browser(run.app, ip="198.51.100.7")
    phone.headers = {"accept": "text/html"}
    run.notes.note("password of the card", PIN, WRONG_PIN, CAN)
    started = (await desktop.post("/eid/start", {})).json()
    headers = {"origin": f"http://{phone.host}", "content-type": "application/x-www-form-urlencoded"}
    page = await phone.send("POST", path_of(started["startUrl"]), b"", headers | {"sec-fetch-site": "same-origin"})
    token_url = token_url_in(page)
    refresh = await client_with_card(run, token_url)
    run.notes.note_paths(refresh)
    shown = code_in(await phone.send("GET", path_of(refresh)))
    run.notes.note("code", shown, shown.replace(" ", ""))
    claim = f"/eid/session/{started['sessionId']}/claim"
    digits = shown.replace(" ", "")
    assert (await desktop.post(claim, {"code": "000000" if digits != "000000" else "111111"})).status == 403
    assert (await desktop.post(claim, {"code": digits})).status == 200
    # A person who has mistyped and has no other PIN calls it off.
    for pins, status in (([PIN], 303), ([WRONG_PIN], 409)):
        here = (await desktop.post("/eid/start", {"mode": "same-device"})).json()
        refresh = await client_with_card(run, here["tcTokenUrl"], pins=pins)
        run.notes.note_paths(refresh)
        assert (await desktop.send("GET", path_of(refresh))).status == status
        assert (await phone.send("GET", path_of(here["tcTokenUrl"]))).status >= 400
        assert (await phone.send("GET", path_of(refresh))).status >= 400


async def client_with_card(run: Run, token_url: str, *, pins: Sequence[str] = (PIN,)) -> str:
    """An emulated client with an emulated card; the address that it opens in the end."""
    pki = read_pki(run.folder / "pki")
    today = datetime.fromtimestamp(run.clock(), UTC).date()
    card = issue_card(personality_named("erika"), pki=pki, today=today, random=token_bytes)
    person = Person(passwords={PasswordId.PIN: list(pins), PasswordId.CAN: [CAN]})
    known = Circumstances(trusted=pki.trust_points, today=today, random=token_bytes, allow_loopback_http=True)
    flow = authenticate(token_url, known)
    http = Browser(run.app, ip="198.51.100.7", host=urlsplit(token_url).netloc)

    async def perform(action: Action) -> object:
        match action:
            case Transmit():
                return card.transmit(action.apdu)
            case Authentication():
                return person.confirm(action)
            case PasswordRequest():
                return person.enter_password(action)
            case Post():
                answer = await http.send("POST", path_of(action.url), action.body, dict(action.headers))
            case Fetch():
                answer = await http.send("GET", path_of(action.url))
            case Connect():
                return None  # There is no TLS.
            case _:
                raise AssertionError(action)
        kind, location = answer.header("content-type").partition(";")[0], answer.header("location")
        return Fetched(action.url, answer.status, kind, location, answer.body)

    try:
        action = next(flow)
        while True:
            action = flow.send(await perform(action))
    except StopIteration as end:
        return str(end.value.address)


async def by_passkey(run: Run) -> None:
    """A registration, a login, a step-up, and a login whose assertion is another site's."""
    world = Passkeys(run.app, run.clock)
    browser, authenticator = await world.log_in("alice-liddell"), Authenticator()
    await world.register(browser, authenticator, label="Looking-glass")
    assert (await world.use("login", world.browser(), authenticator)).status == 200
    assert (await world.use("step-up", browser, authenticator)).status == 200
    assert (await world.use("login", world.browser(), authenticator, rp_id="evil.example")).status in (400, 401, 403)
    # Who asks for somebody who is not there is answered from a secret.
    assert (await world.browser().post("/passkeys/login/options", {"username": "mallory"})).status == 200
    for credential in authenticator.credentials:
        run.notes.note("user handle", b64url(credential.user_handle))


KINDS = {
    "phone": by_phone,
    "bound phone": by_bound_phone,
    "plain pages": without_script,
    "provider": at_provider,
    "card": with_card,
    "card elsewhere": with_card_elsewhere,
    "passkey": by_passkey,
}


def found(text: str, secret: str) -> bool:
    """Whether a secret can be read; digits alone are one where no other digits are around them."""
    if secret.isdigit():
        return re.search(rf"(?<![0-9A-Za-z_-]){secret}(?![0-9A-Za-z_-])", text) is not None
    return secret in text or json.dumps(secret)[1:-1] in text


#: Which secrets come by in a login of each kind, at least.
EXPECTED = {
    "phone": {"cookie", "code", "challenge", "phone key", "signature", "random bytes", "session token"},
    "bound phone": {"cookie", "phone key", "key of the widget", "sealed address", "token in an address", "user handle"},
    "plain pages": {"cookie", "code", "challenge", "signature", "token in an address", "random bytes"},
    "provider": {
        *("cookie", "authorization code", "verifier", "client secret", "token of the provider", "nonce and state"),
        *("proof", "key of the token", "random bytes"),
    },
    "card": {"cookie", "code", "token in an address", "password of the card", "random bytes"},
    "card elsewhere": {
        *("cookie", "secret of the widget", "key of the widget", "sealed address", "token in an address", "signature"),
    },
    "passkey": {"cookie", "signature", "user handle", "secret of the accounts", "random bytes"},
}


#: By whom the logins of each kind are, as the logs say.
PROVIDERS = {
    "phone": {"qr"},
    "bound phone": {"qr"},
    "plain pages": {"qr", "eid"},
    "provider": {ISSUER},
    "card": {"eid"},
    "card elsewhere": {"eid"},
    "passkey": {"passkey"},
}


@pytest.mark.parametrize("kind", KINDS)
async def test_no_secret_of_a_login_is_said_anywhere(run: Run, kind: str) -> None:
    await KINDS[kind](run)
    said = await run.said()
    secrets = run.notes.secrets
    assert EXPECTED[kind] <= {name for name, values in secrets.items() if values}
    assert run.notes.errors
    # What is not secret is said: this looks where there is something to be found.
    assert '"event":"LoginCompleted"' in said["audit log"]
    lines = [json.loads(line) for line in said["logs"].splitlines()]
    completed = [line["data"] for line in lines if line.get("event") == "LoginCompleted"]
    assert PROVIDERS[kind] <= {data["provider"] for data in completed}
    assert all(data["session_id"] and data["account_id"] for data in completed)
    assert {"AttemptRefused", "LoginFailed"} & {line.get("event") for line in lines}
    assert [line for line in lines if "head" in line]
    assert "useid_logins_total" in said["metrics"]
    assert "sequenceDiagram" in said["trace"]
    leaks = {
        (name, place)
        for name, values in secrets.items()
        for value in values
        for place in said
        if found(said[place], value)
    }
    assert leaks == set()


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_about_people_is_said_anywhere(run: Run, kind: str) -> None:
    await KINDS[kind](run)
    said = await run.said()
    assert {
        (word, place) for place, text in said.items() for word in PEOPLE if re.search(rf"\b{word}\b", text)
    } == set()


@pytest.mark.parametrize("name", ["useid_middleware", "somebody"])
async def test_a_secret_that_somebody_logs_would_be_found(run: Run, name: str) -> None:
    await by_phone(run)
    for kind, values in run.notes.secrets.items():
        for value in values:
            logging.getLogger(name).debug("this is a %s: %s", kind, value)
    logs = (await run.said())["logs" if name == "useid_middleware" else "logs of others"]
    assert all(found(logs, value) for values in run.notes.secrets.values() for value in values)
