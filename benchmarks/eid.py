"""What a whole eID login costs: plugin, embedded eID server, emulated client and card in one process, CPU time.

Its peer is the sum of its elliptic curve operations: one login is watched for the calls that it makes into libcrypto,
and each kind of call is then timed alone, as often as it was made. What is above that sum is ours. And so many logins
at once, each a step further in turn: not one may fail.
"""

import asyncio
import gc
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time_ns
from typing import Any, Final

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from useid_middleware import Settings, UseID, UseIDMiddleware
from useid_middleware.emulation.card.issuing import issue_card
from useid_middleware.emulation.card.library import personality_named
from useid_middleware.emulation.client.actions import (
    Action,
    Authentication,
    Connect,
    Fetch,
    PasswordRequest,
    Post,
    Transmit,
)
from useid_middleware.emulation.client.driver import Network
from useid_middleware.emulation.client.flow import Outcome, authenticate
from useid_middleware.emulation.client.session import Circumstances
from useid_middleware.emulation.pki import PKI
from useid_middleware.emulation.pki_files import read_pki
from useid_middleware.http.asgi import ASGIApp, Message, Scope

from .request import bare
from .rows import Row, row

ORIGIN: Final = "http://localhost:8000"
_PIN: Final = "123456"
#: What libcrypto is asked for, by the names of the methods of ``cryptography``.
_CURVE_CALLS: Final = {
    "exchange": "exchange",
    "sign": "sign",
    "verify": "verify",
    "verify_directly_issued_by": "verify",
    "derive_private_key": "derive_private_key",
    "public_key": "public_key",
}
_CURVE_TYPES: Final = ("ECPrivateKey", "ECPublicKey", "EllipticCurvePublicNumbers", "Certificate")


@dataclass(frozen=True, slots=True)
class Size:
    """How much to measure: rounds, logins in a round; logins at once."""

    rounds: int
    logins: int
    at_once: int


FULL = Size(rounds=11, logins=5, at_once=200)
QUICK = Size(rounds=2, logins=1, at_once=5)


def rows(size: Size) -> list[Row]:
    """Measure and compare. Raises where one of the logins at once failed."""
    with _World() as world:
        calls = world.watched_login()
        sums, logins = [], []
        for number in range(size.rounds + 1):
            ready = [world.login() for _ in range(size.logins)]
            gc.collect()
            started = process_time_ns()
            for login in ready:
                login.run()
            mine = (process_time_ns() - started) / size.logins / 1e6
            peer = curve_milliseconds(calls)
            if number:  # The first round warms up.
                logins.append(mine)
                sums.append(peer)
        world.log_in_together(size.at_once)
    return [
        row(
            "whole eID login (plugin, eID server, client, card), CPU vs its EC operations",
            ours=median(logins),
            peer=median(sums),
            unit="ms",
            goal=2.0,
            why="the rest is Python between the curves, the card's data objects above all",
        )
    ]


def curve_milliseconds(calls: Counter[str]) -> float:
    """How long libcrypto takes for so many calls of each kind on brainpoolP256r1."""
    curve = ec.BrainpoolP256R1()
    key, other = ec.generate_private_key(curve), ec.generate_private_key(curve).public_key()
    message, algorithm = b"m" * 128, ec.ECDSA(SHA256())
    signature = key.sign(message, algorithm)
    number = key.private_numbers().private_value
    numbers = other.public_numbers()
    work: dict[str, Callable[[], object]] = {
        "exchange": lambda: key.exchange(ec.ECDH(), other),
        "sign": lambda: key.sign(message, algorithm),
        "verify": lambda: key.public_key().verify(signature, message, algorithm),
        "derive_private_key": lambda: ec.derive_private_key(number, curve),
        "public_key": numbers.public_key,
    }
    total = 0
    for kind, count in calls.items():
        call = work[kind]
        started = process_time_ns()
        for _ in range(count):
            call()
        total += process_time_ns() - started
    return total / 1e6


class _World:
    """The plugin with the embedded eID server, a card, and a client that reaches it without a network."""

    def __enter__(self) -> "_World":
        self._folder = TemporaryDirectory()
        folder = Path(self._folder.name) / "pki"
        self._loop = asyncio.new_event_loop()
        settings = Settings(
            from_env=False,
            store="memory://",
            accounts="memory://",
            origin=ORIGIN,
            limits={"per_ip": 10**6},
            eid={
                "server": "embedded",
                "pki": folder,
                "required": ("RestrictedID", "GivenNames", "FamilyNames", "DateOfBirth", "PlaceOfResidence"),
                "age": 18,
            },
        )
        self.useid = UseID(settings)
        self._app = UseIDMiddleware(bare, useid=self.useid)
        self._loop.run_until_complete(self.useid.start())
        self._transport = _Direct(self._app, self._loop)
        self._network = Network(transport=self._transport)
        self._pki: PKI = read_pki(folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self.useid.stop())
        self._loop.close()
        self._folder.cleanup()

    def login(self) -> "_Login":
        """One login, with a card that is just issued; nothing has happened yet."""
        return _Login(self._transport, self._network, self._pki)

    def watched_login(self) -> Counter[str]:
        """One login, and the calls into libcrypto that it made."""
        calls: Counter[str] = Counter()

        def watch(frame: Any, event: str, argument: Any) -> None:
            if event != "c_call" or argument.__name__ not in _CURVE_CALLS:
                return
            if argument.__module__ == "ec" or type(argument.__self__).__name__ in _CURVE_TYPES:
                calls[_CURVE_CALLS[argument.__name__]] += 1

        self.login().run()
        login = self.login()
        sys.setprofile(watch)
        try:
            login.run()
        finally:
            sys.setprofile(None)
        return calls

    def log_in_together(self, count: int) -> None:
        """So many logins, each a step further in turn; every one of them gets a session."""
        logins = [self.login() for _ in range(count)]
        for login in logins:
            login.begin()
        waiting = list(logins)
        while waiting:
            waiting = [login for login in waiting if not login.step()]
        for login in logins:
            login.finish()


class _Login:
    """A browser that logs in on its own device, its client and its card."""

    def __init__(self, transport: httpx2.BaseTransport, network: Network, pki: PKI) -> None:
        now = datetime.now(UTC)
        self._network = network
        self._card = issue_card(personality_named("erika"), pki=pki, today=now.date(), random=token_bytes)
        self._browser = httpx2.Client(transport=transport, base_url=ORIGIN)
        self._known = Circumstances(pki.trust_points, now.date(), token_bytes, allow_loopback_http=True)
        self._outcome: Outcome | None = None

    def run(self) -> None:
        """From the start to the session."""
        self.begin()
        while not self.step():
            pass
        self.finish()

    def begin(self) -> None:
        """The browser begins, the client is started."""
        started = self._browser.post("/auth/eid/start", json={"mode": "same-device"}).json()
        self._flow = authenticate(started["tcTokenUrl"], self._known)
        self._action: Action = next(self._flow)

    def step(self) -> bool:
        """One action of the client; ``True`` when it is done."""
        answer: object
        match self._action:
            case Authentication():
                answer = frozenset[str]()
            case PasswordRequest():
                answer = _PIN
            case Transmit(apdu):
                answer = self._card.transmit(apdu)
            case Fetch() as fetch:
                answer = self._network.fetch(fetch)
            case Post() as post:
                answer = self._network.post(post)
            case Connect() as connect:
                answer = self._network.connect(connect)
        try:
            self._action = self._flow.send(answer)
        except StopIteration as end:
            self._outcome = end.value
            return True
        return False

    def finish(self) -> None:
        """The browser comes back and is logged in, or this raises."""
        assert self._outcome is not None
        if not self._outcome.is_ok:
            raise RuntimeError(f"the eID client failed: {self._outcome.minor} {self._outcome.message}")
        back = self._browser.get(self._outcome.address)
        if back.status_code != 303 or "useid-session" not in back.headers.get("set-cookie", ""):
            raise RuntimeError(f"the login failed with {back.status_code}")


class _Direct(httpx2.BaseTransport):
    """Requests go straight into an ASGI app, whose loop runs for them."""

    def __init__(self, app: ASGIApp, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._loop = loop

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2."""
        return self._loop.run_until_complete(self._answer(request))

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        url, sent = request.url, list[Message]()
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path,
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("127.0.0.1", 50000),
            "server": (url.host, url.port),
        }
        body = request.read()

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        content = b"".join(message.get("body", b"") for message in sent[1:])
        stream = httpx2.ByteStream(content)
        return httpx2.Response(sent[0]["status"], headers=sent[0]["headers"], stream=stream, request=request)
