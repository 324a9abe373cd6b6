"""Records that cannot be read, damaged or of a newer version before a rollback: clear answers, and nobody logged in."""

import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import msgspec
import pytest
import redis

from tests.abuse.calls import CALLS
from tests.abuse.world import HOST, Scene, World, opened
from tests.actors import Answer, Browser
from tests.eid.eid_server import ScriptedEIDServer
from tests.oidc.world import FORM, ISSUER, asked
from tests.oidc.world import World as AtProvider
from tests.oidc.world import opened as at_provider
from tests.qr.conftest import Clock, host_app, make_settings
from tests.servers import RedisServer
from tests.servers import shared_redis as shared_redis
from tests.webauthn.world import Authenticator
from useid_middleware import Events, Identity, SessionEnded, SessionSettings, UseID, UseIDMiddleware
from useid_middleware._codec import b64url
from useid_middleware._sealing import seal
from useid_middleware.accounts.base import Account
from useid_middleware.eid.core.results import ClientMinor
from useid_middleware.errors import StateError
from useid_middleware.sessions.service import Sessions
from useid_middleware.stores.memory import MemoryStore


def garbage(value: bytes) -> bytes:
    """No text and no record."""
    return b"\xff\xfe garbage"


def nothing(value: bytes) -> bytes:
    """The value is gone, the key is not."""
    return b""


def no_members(value: bytes) -> bytes:
    """An empty record."""
    return b"\x80"


def nil(value: bytes) -> bytes:
    """A value of another type."""
    return b"\xc0"


def truncated(value: bytes) -> bytes:
    """Half of it."""
    return value[: len(value) // 2]


def no_text(value: bytes) -> bytes:
    """A text that is not UTF-8, in the place of the first member."""
    name = next(iter(msgspec.msgpack.decode(value)))
    return b"\x81" + msgspec.msgpack.encode(name) + b"\xa2\xff\xff"


def endless(value: bytes) -> bytes:
    """Arrays in arrays, in a member that nobody knows."""
    return b"\x81\xa1x" + b"\x91" * 100_000


def of_a_newer_version(value: bytes) -> bytes:
    """A worker wrote it that calls its first member otherwise."""
    members = msgspec.msgpack.decode(value)
    first = next(iter(members))
    return msgspec.msgpack.encode({f"new_{name}" if name == first else name: each for name, each in members.items()})


Spoil = Callable[[bytes], bytes]
SPOILT: Final = (garbage, nothing, no_members, nil, truncated, no_text, endless, of_a_newer_version)


async def spoil(world: World, kind: str, how: Spoil) -> None:
    """Change all records of a kind in the store, by its own verbs."""
    keys = [key for key in await world.store.living() if key.startswith(f"{kind}:")]
    assert keys, f"there is no {kind} to spoil"
    for key in keys:
        found = await world.store.get(key)
        assert found is not None
        assert await world.store.replace(key, how(found.value), expected_version=found.version, ttl=300)


def is_unreadable(answer: Answer) -> bool:
    """A clear answer, which says when to come back and nothing of the record."""
    assert answer.status == 503, answer.body
    text = answer.body.decode()
    assert "record_unreadable" in text or "<html" in text, text
    assert "garbage" not in text
    return answer.header("retry-after") == "2"


async def fetch_token(scene: Scene) -> Answer:
    """The tcToken of a login with an ID card that began before."""
    return await scene.phone.client.send("GET", scene.eid["tcTokenUrl"].removeprefix("http://localhost:8000"))


async def log_in_by_passkey(scene: Scene) -> Answer:
    """A ceremony that was begun before."""
    begun = scene.account["begun"]
    body = {"ceremonyId": begun["ceremonyId"], "credential": scene.authenticator.get(begun["options"])}
    return await scene.desktop.post("/passkeys/login", body)


#: By the kind of record: all calls that read it.
READING: Final[dict[str, dict[str, Callable[[Scene], Awaitable[Answer]]]]] = {
    "qr": {
        name: CALLS[name]
        for name in (
            *("GET /session/{id}", "GET /session/{id}/qr.svg", "GET /session/{id}/events", "POST /session/{id}"),
            *("POST /approve", "POST /reject", "POST /session/{id}/claim", "GET /plain/{id}", "POST /plain/{id}"),
        )
    },
    "enrolment": {
        name: CALLS[name]
        for name in (
            *("GET /devices/enrol/{id}", "GET /devices/enrol/{id}/events"),
            *("POST /devices/enrol/{id}", "POST /devices/enrol/{id}/confirm"),
        )
    },
    "eid": {
        "GET /eid/tctoken/{token}": fetch_token,
        **{
            name: CALLS[name]
            for name in (
                *("GET /eid/session/{id}", "GET /eid/session/{id}/events"),
                *("POST /eid/session/{id}/claim", "POST /webauthn/accounts", "PUT /webauthn/accounts/{id}"),
            )
        },
    },
    "webauthn-account": {
        name: CALLS[name] for name in ("PUT /webauthn/accounts/{id}", "POST /webauthn/accounts/{id}/assertions")
    },
    "webauthn": {"POST /passkeys/login": log_in_by_passkey},
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as world:
        yield world


async def prepared(world: World) -> Scene:
    """A scene with a ceremony and a login at this device as well."""
    scene = await Scene.set(world)
    started = (await scene.desktop.post("/eid/start", {"mode": "same-device"})).json()
    scene.eid["tcTokenUrl"] = started["tcTokenUrl"]
    scene.account["begun"] = (await scene.desktop.post("/passkeys/login/options")).json()
    return scene


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("kind", READING)
async def test_every_call_that_reads_such_a_record_says_so(world: World, kind: str, how: Spoil) -> None:
    scene = await prepared(world)
    await spoil(world, kind, how)
    before = await world.state()
    for name, call in READING[kind].items():
        assert is_unreadable(await call(scene)), name
    after = await world.state()
    # It stays, for a worker of its own version may know it; and nothing has happened.
    assert {key: after["store"].get(key) for key in before["store"]} == before["store"]
    assert {**after, "store": 0} == {**before, "store": 0}
    session = (await scene.desktop.post("/session/create")).json()
    assert (await scene.desktop.get(f"/session/{session['sessionId']}")).status == 200


@pytest.mark.parametrize("kind", ["qr", "enrolment", "eid"])
async def test_a_page_that_waits_is_told_that_nothing_is_known_and_then_the_state(world: World, kind: str) -> None:
    scene = await Scene.set(world)
    browser, path, key = {
        "qr": (scene.desktop, f"/session/{scene.session_id}", f"qr:{scene.session_id}"),
        "enrolment": (
            scene.alice,
            f"/devices/enrol/{scene.enrolment['enrolmentId']}",
            f"enrolment:{scene.enrolment['enrolmentId']}",
        ),
        "eid": (scene.desktop, f"/eid/session/{scene.eid['sessionId']}", f"eid:{scene.eid['sessionId']}"),
    }[kind]
    good = await world.store.get(key)
    assert good is not None
    async with browser.stream(f"{path}/events") as stream:
        begun = await stream.next_status()
        bad = b"\xff\xfe garbage"
        assert await world.store.replace(key, bad, expected_version=good.version, ttl=300, message=bad)
        while (await stream.next())[0] != "away":
            pass
        # Somebody who can read it, as after a rollback that is undone.
        assert await world.store.replace(
            key, good.value, expected_version=good.version + 1, ttl=300, message=b"no news of ours"
        )
        assert await stream.next_status() == begun


@pytest.mark.parametrize("how", SPOILT)
async def test_a_login_session_is_none_and_whoever_brings_its_cookie_logs_in_again(
    world: World, how: Spoil, caplog: pytest.LogCaptureFixture
) -> None:
    scene = await Scene.set(world)
    cookies = dict(scene.alice.cookies)
    with caplog.at_level(logging.WARNING, logger="useid_middleware"):
        await spoil(world, "session", how)
        for _ in range(3):
            page = await scene.alice.send("GET", "/")
            assert (page.status, page.body, scene.alice.cookies) == (200, b"", cookies)
            assert (await scene.alice.get("/sessions")).status == 401
    [said] = [record.getMessage() for record in caplog.records if "login session cannot be read" in record.getMessage()]
    assert "garbage" not in said
    assert all(secret not in said for secret in cookies.values())
    await scene.alice.send("GET", "/as/alice")
    listed = (await scene.alice.get("/sessions")).json()["sessions"]
    assert [session["current"] for session in listed] == [True]


ALICE: Final = Account("alice-id", "alice", 0)


@pytest.mark.parametrize("by", ["account", "device", "sid", "subject"])
async def test_where_sessions_are_ended_those_that_cannot_be_read_end_too(by: str) -> None:
    clock, events = Clock(), Events()
    heard: list[SessionEnded] = []
    events.on(SessionEnded)(heard.append)
    store = MemoryStore(clock=clock)
    sessions = Sessions(store=store, settings=SessionSettings(), events=events, clock=clock)
    identity = Identity("https://sso.example", "ada", device_id="phone-1", sid="sid-1", secret=b"tokens")
    _, read = await sessions.create(ALICE, identity)
    _, unread = await sessions.create(ALICE, identity)
    _, other = await sessions.create(Account("bob-id", "bob", 0), Identity("https://sso.example", "bob", sid="sid-2"))
    assert await store.replace(f"session:{unread.id}", b"\xc0", expected_version=1, ttl=300)
    told: list[bytes | None] = []
    await sessions.watch(unread, told.append)
    assert await sessions.seconds_left(unread) == 0
    assert await sessions.of_account("alice-id") == [read]
    match by:
        case "account":
            assert await sessions.end_account("alice-id", reason="revoked") == 2
        case "device":
            assert await sessions.end_device("phone-1", reason="revoked") == 2
        case _:
            sid = "sid-1" if by == "sid" else ""
            assert await sessions.end_unreadable("https://sso.example", sid=sid, subject="ada", reason="revoked") == 1
            assert await sessions.seconds_left(read) > 0
    assert await store.get(f"session:{unread.id}") is None
    assert await store.get(f"session-secret:{unread.id}") is None
    assert told == [b"revoked"]
    assert (unread.id, "revoked") in [(event.session_id, event.reason) for event in heard]
    assert {event.account_id for event in heard} <= {"alice-id", ""}
    assert await sessions.seconds_left(other) > 0


# at a provider: what is sealed for a browser, and of another version


async def begun(world: AtProvider, browser: Browser) -> tuple[str, str]:
    """A login at the provider: its address, and the key of what we keep of it."""
    address = await world.begin(browser)
    return address, f"oidc-attempt:{asked(address)['state']}"


@pytest.mark.parametrize("is_sealed", [False, True])
async def test_a_login_at_a_provider_begins_anew_and_is_in_nobodys_way(is_sealed: bool) -> None:
    async with at_provider(oidc={"attempt_slots": 1}) as world:
        store, browser = world.app.useid.store, world.browser()
        address, key = await begun(world, browser)
        bad = b"\xc0"
        if is_sealed:
            bad = seal(bad, secret=browser.cookies["useid-oidc"].encode(), purpose=key.encode(), nonce=bytes(12))
        assert await store.replace(key, bad, expected_version=1, ttl=300)
        back = await world.come_back(browser, await world.approve(address))
        assert (back.status, back.header("location")) == (303, "/auth/login?provider=op")
        assert await world.who(browser) == ""
        assert (await world.log_in(browser)).status == 303
        assert (await world.who(browser)).startswith("ada")


async def test_a_posted_answer_of_a_provider_begins_anew() -> None:
    async with at_provider(provider={"response_mode": "form_post"}) as world:
        store, browser = world.app.useid.store, world.browser()
        arrival = await world.approve(await world.begin(browser))
        assert arrival.form is not None
        body = urlencode(arrival.form).encode()
        posted = await Browser(world.app).send("POST", "/auth/callback", body, {"content-type": FORM})
        handle = asked(posted.header("location"))["posted"]
        key = f"oidc-response:{b64url(sha256(handle.encode()).digest())}"
        bad = seal(b"\xc0", secret=handle.encode(), purpose=key.encode(), nonce=bytes(12))
        assert await store.replace(key, bad, expected_version=1, ttl=60)
        back = await browser.send("GET", posted.header("location"))
        assert (back.status, back.header("location")) == (303, "/auth/login?provider=op")
        assert await world.who(browser) == ""


async def test_tokens_are_none_and_whoever_has_them_can_leave(caplog: pytest.LogCaptureFixture) -> None:
    async with at_provider() as world:
        browser, sessions = world.browser(), world.app.useid.sessions
        await world.log_in(browser)
        token = browser.cookies["useid-session"]
        session = await sessions.load(token)
        assert session is not None
        assert await sessions.replace_secret(session, token, b"\xff\xfe garbage", expected_version=1)
        answer = await world.token(browser)
        assert (answer.status, answer.body) == (401, b"not_authenticated")
        assert (await browser.get("/profile")).status == 200
        assert (await browser.post("/logout")).status == 204
        assert await world.who(browser) == ""
        assert "garbage" not in caplog.text


async def test_a_providers_logout_ends_a_session_that_cannot_be_read() -> None:
    async with at_provider() as world:
        store, browsers = world.app.useid.store, [world.browser(), world.browser()]
        for browser in browsers:
            await world.log_in(browser)
        [read, unread] = await world.app.useid.sessions.of_subject(ISSUER, "ada-1815")
        assert await store.replace(f"session:{unread.id}", b"\xc0", expected_version=1, ttl=300)
        deliveries = await world.provider.logout(subject="ada-1815")
        assert {delivery.status for delivery in deliveries} == {200}
        for session in (read, unread):
            assert await store.get(f"session:{session.id}") is None


async def test_the_eid_server_ends_a_login_of_which_nobody_knows_whose_it_was(world: World) -> None:
    scene = await prepared(world)
    assert (await fetch_token(scene)).status == 200
    await spoil(world, "eid-server", garbage)
    eid = scene.app.useid.eid
    assert eid is not None
    with pytest.raises(StateError, match="session_unknown"):
        await eid.service.server_ended(next(iter(world.server.sessions)), ClientMinor.CANCELLATION_BY_USER)


# over Redis, by another's hand


async def test_garbage_in_redis_is_a_clear_answer_everywhere(shared_redis: RedisServer) -> None:
    prefix = f"test-{uuid.uuid4().hex[:20]}:"
    settings = make_settings(store=shared_redis.url, key_prefix=prefix, webauthn={"enabled": True})
    useid = UseID(settings, eid_server=ScriptedEIDServer())
    app = UseIDMiddleware(host_app, useid=useid)
    alice, desktop, authenticator = Browser(app, host=HOST), Browser(app, host=HOST), Authenticator(f"http://{HOST}")
    await alice.send("GET", "/as/alice")
    made = (await alice.post("/passkeys/options")).json()
    created = {"ceremonyId": made["ceremonyId"], "credential": authenticator.create(made["options"])}
    assert (await alice.post("/passkeys", created)).status == 201
    session = (await desktop.post("/session/create")).json()
    enrolment = (await alice.post("/devices/enrol")).json()
    eid = (await desktop.post("/eid/start", {"mode": "same-device"})).json()
    options = (await desktop.post("/passkeys/login/options")).json()
    passkey = {"ceremonyId": options["ceremonyId"], "credential": authenticator.get(options["options"])}
    with redis.Redis(port=shared_redis.port) as client:
        for key in client.scan_iter(f"{prefix}v:*"):
            # Hers waits: without a session nobody may ask for it.
            if b":v:session:" not in key:
                client.hset(key, "value", b"\xff\xfe garbage")
        for answer in (
            await desktop.get(f"/session/{session['sessionId']}"),
            await desktop.get(f"/session/{session['sessionId']}/events"),
            await desktop.post(f"/session/{session['sessionId']}/claim", {"code": "123456"}),
            await alice.get(f"/devices/enrol/{enrolment['enrolmentId']}"),
            await desktop.get(f"/eid/session/{eid['sessionId']}"),
            await desktop.send("GET", eid["tcTokenUrl"].partition(HOST)[2]),
            await desktop.post("/passkeys/login", passkey),
        ):
            assert (answer.code, is_unreadable(answer)) == ("record_unreadable", True)
        for key in client.scan_iter(f"{prefix}v:session:*"):
            client.hset(key, "value", b"\xff\xfe garbage")
        page = await alice.send("GET", "/")
        assert (page.status, page.body) == (200, b"")
        assert (await alice.get("/sessions")).status == 401
        await alice.send("GET", "/as/alice")
        assert len((await alice.get("/sessions")).json()["sessions"]) == 1
    await useid.stop()
