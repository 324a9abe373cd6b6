"""Redis is away while everybody is in the middle of something: clear answers, and all go on by themselves."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import anyio
import httpx2
import pytest

from tests.actors import Answer, Browser, Stream
from tests.hosts.apps import APPS
from tests.hosts.country import country as country
from tests.hosts.logins import TARGET
from tests.hosts.people import Caller, path_of
from tests.hosts.test_hosts import HOST, ISSUER, InProcess
from tests.oidc.world import FORM, KEYS
from tests.qr.conftest import make_settings
from tests.stores.redis_processes import RedisProcess
from tests.webauthn.world import Authenticator
from useid_middleware import UseID
from useid_middleware.emulation.client.flow import Outcome
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.clients import Client
from useid_middleware.emulation.provider.driver import approve
from useid_middleware.qr.core.signing import Decision
from useid_middleware.stores.redis import RedisStore
from useid_middleware.stores.redis.connections import Timing

SERVER: Final = f"http://{HOST}/auth"
CLIENT: Final = Client(
    client_id="shop",
    client_secret="a secret of tests",
    redirect_uris=(f"{SERVER}/callback",),
    backchannel_logout_uri=f"{SERVER}/backchannel-logout",
)
#: Less patient than we are by default, so that the test need not be patient.
HASTY: Final = Timing(answer=1.0, ping=1.0, last_delay=0.5)
HTML: Final = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis that forgets nothing when it is killed."""
    server = RedisProcess(tmp_path / "redis", options=["--appendonly", "yes", "--appendfsync", "always"])
    server.start()
    yield server
    server.end()


class Town(InProcess):
    """A site with all ways to log in."""

    def __init__(self, server: RedisProcess, pki: Path) -> None:
        self.server = server
        provider = Provider(ISSUER, clients=[CLIENT], keys=KEYS, post=self._post)
        known = {"issuer": ISSUER, "client_id": CLIENT.client_id, "client_secret": CLIENT.client_secret}
        settings = make_settings(
            assurance="L0",
            eid={"server": "embedded", "pki": str(pki), "required": ["RestrictedID"]},
            oidc={"providers": {"op": known}},
            webauthn={"enabled": True},
        )
        store = RedisStore(f"redis://127.0.0.1:{server.port}/0", key_prefix="useid:", timing=HASTY)
        self.useid = UseID(settings, store=store, transport=httpx2.ASGITransport(app=provider))
        super().__init__(APPS["starlette"](self.useid), f"http://{HOST}", pki, provider)

    async def _post(self, url: str, form: Mapping[str, str]) -> int:
        """The provider's calls to us."""
        body = urlencode(form).encode()
        return (await self.browser().send("POST", urlsplit(url).path, body, {"content-type": FORM})).status

    async def who(self, browser: Browser) -> str:
        """Whom the host app knows."""
        answer = await browser.send("GET", TARGET)
        assert answer.status == 200, answer.body
        return str(json.loads(answer.body)["name"])

    async def at_op(self, browser: Browser, *, person: str) -> str:
        """A login at the provider, up to the way back: our callback's path and query."""
        left = await browser.get(f"/login?{urlencode({'provider': 'op', 'return': TARGET})}")
        async with self.at_provider() as there:
            return path_of((await approve(there, left.header("location"), person=person)).url)


@dataclass
class Midway:
    """Everybody in the middle of something. Each has a browser of their own."""

    town: Town
    alice: Browser
    phone: Caller
    other_phone: Caller
    desktop: Browser
    #: Logins by QR: one that waits, one that was scanned, and the signed answer to it.
    waiting: dict[str, Any]
    scanned: dict[str, Any]
    signed: dict[str, Any]
    enrolment: dict[str, Any]
    #: At a provider: back from there, and logged in for long.
    comer: Browser
    callback: str
    grace: Browser
    #: With an ID card: begun, on a page that waits, and back from the eID server.
    bearer: Browser
    token_path: str
    watcher: Browser
    eid: dict[str, Any]
    returner: Browser
    outcome: Outcome
    #: With a passkey.
    carol: Browser
    assertion: dict[str, Any]

    @classmethod
    async def begin(cls, town: Town) -> "Midway":
        """Start everything."""
        alice, desktop, comer, grace = (town.browser() for _ in range(4))
        bearer, watcher, returner, carol = (town.browser() for _ in range(4))
        await alice.send("GET", "/as/alice")
        phone = Caller(town)
        await phone.enrol(alice)
        waiting, scanned = [(await desktop.post("/session/create")).json() for _ in range(2)]
        context = (await phone.scan(scanned["qrData"])).json()["context"]
        assert (await grace.send("GET", await town.at_op(grace, person="grace"))).status == 303
        same_device = {"mode": "same-device", "returnUrl": TARGET}
        fetched, used = [(await each.post("/eid/start", same_device)).json() for each in (bearer, returner)]
        outcome = await town.use_card(used["tcTokenUrl"])
        assert outcome.is_ok, outcome
        authenticator, owner = Authenticator(f"http://{HOST}"), town.browser()
        await owner.send("GET", "/as/carol")
        made = (await owner.post("/passkeys/options")).json()
        created = {"ceremonyId": made["ceremonyId"], "credential": authenticator.create(made["options"])}
        assert (await owner.post("/passkeys", created)).status == 201
        begun = (await carol.post("/passkeys/login/options")).json()
        return cls(
            town=town,
            alice=alice,
            phone=phone,
            other_phone=Caller(town),
            desktop=desktop,
            waiting=waiting,
            scanned=scanned,
            signed=phone.answer_body(scanned["qrData"], context, Decision.APPROVE),
            enrolment=(await alice.post("/devices/enrol")).json(),
            comer=comer,
            callback=await town.at_op(comer, person="ada"),
            grace=grace,
            bearer=bearer,
            token_path=path_of(fetched["tcTokenUrl"]),
            watcher=watcher,
            eid=(await watcher.post("/eid/start", {"mode": "integrated"})).json(),
            returner=returner,
            outcome=outcome,
            carol=carol,
            assertion={"ceremonyId": begun["ceremonyId"], "credential": authenticator.get(begun["options"])},
        )

    def streams(self) -> dict[str, tuple[Browser, str, str]]:
        """The pages that wait: whose, where, and what they are told first."""
        return {
            "device switch": (self.desktop, f"/session/{self.waiting['sessionId']}/events", "waiting"),
            "enrolment": (self.alice, f"/devices/enrol/{self.enrolment['enrolmentId']}/events", "offered"),
            "eid": (self.watcher, f"/eid/session/{self.eid['sessionId']}/events", "waiting"),
            "session": (self.alice, "/sessions/current/events", "alive"),
        }

    def calls(self) -> dict[str, Callable[[], Awaitable[Answer]]]:
        """What programs ask for."""
        qr, enrolment = f"/session/{self.waiting['sessionId']}", f"/devices/enrol/{self.enrolment['enrolmentId']}"
        return {
            "begin by QR": lambda: self.town.browser().post("/session/create"),
            "scan": lambda: self.phone.scan(self.waiting["qrData"]),
            "approve": lambda: self.phone.post("/approve", self.signed),
            "status": lambda: self.desktop.get(qr),
            "claim": lambda: self.desktop.post(f"{qr}/claim"),
            "offer an enrolment": lambda: self.alice.post("/devices/enrol"),
            "look at an enrolment": lambda: self.alice.get(enrolment),
            "prove a key": lambda: self.other_phone.prove(self.enrolment["qrData"]),
            "confirm an enrolment": lambda: self.alice.post(f"{enrolment}/confirm", {"code": "123456"}),
            "list phones": lambda: self.alice.get("/devices"),
            "begin with a card": lambda: self.town.browser().post("/eid/start"),
            "fetch the tcToken": lambda: self.bearer.send("GET", self.token_path),
            "look at a login with a card": lambda: self.watcher.get(f"/eid/session/{self.eid['sessionId']}"),
            "options for a passkey": lambda: self.alice.post("/passkeys/options"),
            "options for a login": lambda: self.town.browser().post("/passkeys/login/options"),
            "log in with a passkey": lambda: self.carol.post("/passkeys/login", self.assertion),
            "list sessions": lambda: self.alice.get("/sessions"),
            "end the others": lambda: self.alice.delete("/sessions"),
            "log out": lambda: self.alice.post("/logout"),
            "a page of the host": lambda: self.alice.send("GET", TARGET),
            **{f"stream: {name}": partial(browser.get, path) for name, (browser, path, _) in self.streams().items()},
        }

    def pages(self) -> dict[str, Callable[[], Awaitable[Answer]]]:
        """Where a person is led."""
        german = HTML | {"accept-language": "de"}
        return {
            "a page of the host": lambda: self.alice.send("GET", TARGET, headers=HTML),
            "the same in German": lambda: self.alice.send("GET", TARGET, headers=german),
            "the page of the logout": lambda: self.alice.get("/logout", HTML),
            "off to the provider": lambda: self.town.browser().get("/login?provider=op", HTML),
            "back from the provider": lambda: self.comer.send("GET", self.callback, headers=HTML),
            "the same, logged in already": lambda: self.grace.send("GET", self.callback, headers=HTML),
            "back from the eID client": lambda: self.returner.send("GET", path_of(self.outcome.address), headers=HTML),
        }


async def hears(stream: Stream, wanted: str) -> None:
    """Wait for the event, which takes as long as Redis does."""
    with anyio.fail_after(15):
        while True:
            name, data = await stream.next()
            if wanted in (name, data.get("status")):
                return


def is_page(answer: Answer) -> bool:
    """A page of ours that says so, in the language of who reads it."""
    text = answer.body.decode()
    assert answer.header("content-type") == "text/html; charset=utf-8", text
    assert "store_unavailable" in text
    assert answer.header("content-security-policy").startswith("default-src 'none'")
    return (answer.status, answer.header("retry-after")) == (503, "2")


async def all_say_so(midway: Midway) -> None:
    """Every call is answered clearly. They come at once, since each may take as long as we are patient."""
    calls, pages = midway.calls(), midway.pages()
    told, shown, deliveries = await asyncio.gather(
        asyncio.gather(*(call() for call in calls.values())),
        asyncio.gather(*(page() for page in pages.values())),
        midway.town.provider.logout(subject="grace-1906"),
    )
    for name, answer in zip(calls, told, strict=True):
        expected = (503, "store_unavailable", "2")
        assert (answer.status, answer.code, answer.header("retry-after")) == expected, name
    for name, answer in zip(pages, shown, strict=True):
        assert is_page(answer), name
    assert "nicht verfügbar" in shown[list(pages).index("the same in German")].body.decode()
    # The back channel: the provider hears that it did not happen, and may come again.
    assert [delivery.status for delivery in deliveries] == [503]
    # What needs no store goes on.
    assert await midway.town.who(midway.town.browser()) == ""
    for path in ("/login", "/widget/useid-login.css"):
        assert (await midway.alice.get(path)).status == 200


async def all_go_on(midway: Midway) -> None:
    """What was begun is finished, once."""
    town = midway.town
    assert await town.who(midway.alice) == "alice"
    # Device switch.
    assert (await midway.phone.approve(midway.waiting["qrData"])).status == 200
    assert (await midway.phone.post("/approve", midway.signed)).status == 200
    assert (await midway.phone.post("/approve", midway.signed)).status == 409
    for login in (midway.waiting, midway.scanned):
        claimed = [await midway.desktop.post(f"/session/{login['sessionId']}/claim") for _ in range(2)]
        assert [answer.status for answer in claimed] == [200, 409]
    assert await town.who(midway.desktop) == "alice"
    # Enrolment.
    proof = (await midway.other_phone.prove(midway.enrolment["qrData"])).json()
    path = f"/devices/enrol/{midway.enrolment['enrolmentId']}/confirm"
    assert (await midway.alice.post(path, {"code": proof["code"]})).status == 200
    # At a provider: back, and the logout that could not be done.
    back = await midway.comer.send("GET", midway.callback)
    assert (back.status, back.header("location")) == (303, TARGET)
    assert await town.who(midway.comer) == "ada"
    assert (await midway.comer.send("GET", midway.callback)).status == 303
    assert await town.who(midway.grace) == "grace"
    token = town.provider.deliveries[-1].logout_token
    assert await town._post(f"{SERVER}/backchannel-logout", {"logout_token": token}) == 200
    assert await town.who(midway.grace) == ""
    # With an ID card: back from the eID server, and from the beginning.
    for browser, outcome in (
        (midway.returner, midway.outcome),
        (midway.bearer, await town.use_card(f"http://{HOST}{midway.token_path}")),
    ):
        assert outcome.is_ok, outcome
        back = await browser.send("GET", path_of(outcome.address), headers=HTML)
        assert (back.status, back.header("location")) == (303, TARGET), back.body
        assert await town.who(browser) != ""
        assert (await browser.send("GET", path_of(outcome.address), headers=HTML)).status == 404
    # With a passkey.
    assert (await midway.carol.post("/passkeys/login", midway.assertion)).status == 200
    assert (await midway.carol.post("/passkeys/login", midway.assertion)).status == 404
    assert await town.who(midway.carol) == "carol"
    # Sessions: hers, and those that her phone opened.
    assert len((await midway.alice.get("/sessions")).json()["sessions"]) == 2
    assert (await midway.alice.delete("/sessions")).status == 204
    assert await town.who(midway.desktop) == ""
    assert (await midway.alice.post("/logout")).status == 204
    assert await town.who(midway.alice) == ""


@pytest.fixture
async def town(server: RedisProcess, country: Path) -> AsyncIterator[Town]:
    town = Town(server, country)
    yield town
    await town.useid.stop()


@pytest.mark.parametrize("fault", ["killed", "stopped"])
async def test_all_that_is_under_way_outlives_redis(server: RedisProcess, town: Town, fault: str) -> None:
    midway = await Midway.begin(town)
    async with AsyncExitStack() as opened:
        streams: list[tuple[Stream, str]] = []
        for browser, path, first in midway.streams().values():
            stream = await opened.enter_async_context(browser.stream(path))
            await hears(stream, first)
            streams.append((stream, first))
        server.kill() if fault == "killed" else server.stop()
        await all_say_so(midway)
        for stream, _ in streams:
            await hears(stream, "away")
        server.start() if fault == "killed" else server.resume()
        for stream, first in streams:
            await hears(stream, first)
            assert [name for name, _ in stream.events()].count("away") == 1
    await all_go_on(midway)
