"""What is there, and whose it is, cannot be asked: unknown, foreign, malformed and expired ids have one answer."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests.abuse.world import Scene, World, opened
from tests.actors import Answer, Browser
from useid_middleware._codec import b64url

UNKNOWN: Final = b64url(b"\x55" * 16)
#: Long enough for every record to have run out, and no session yet.
LATER: Final = 1_000
MALFORMED: Final = ("x", "A" * 21, "A" * 23, "A" * 500, "%00", "%2e%2e", "A" * 21 + "=", "\u2603", "' OR 1=1")


@dataclass
class Stranger:
    """Somebody with everything of their own: a browser, a login under way, an account."""

    browser: Browser
    session: Browser


#: The id of one that somebody has.
Find = Callable[[Scene], Awaitable[str]]
#: Asks about an id.
Ask = Callable[[Scene, Stranger, str], Awaitable[Answer]]


def credential(scene: Scene) -> dict[str, Any]:
    """A well-formed assertion."""
    options = {"challenge": b64url(bytes(32)), "rpId": "localhost", "allowCredentials": []}
    return scene.authenticator.get(options, credential=scene.authenticator.credentials[0])


async def login(scene: Scene) -> str:
    return scene.session_id


async def enrolment(scene: Scene) -> str:
    return str(scene.enrolment["enrolmentId"])


async def card_login(scene: Scene) -> str:
    return str((await scene.desktop.post("/eid/start", {"mode": "same-device"})).json()["sessionId"])


async def temporary_account(scene: Scene) -> str:
    user_id = str(scene.account["userId"])
    body = {"credential": scene.authenticator.create(scene.account["options"])}
    assert (await scene.put(f"/webauthn/accounts/{user_id}", body)).status == 204
    return user_id


async def ceremony(scene: Scene) -> str:
    return str((await scene.desktop.post("/passkeys/login/options")).json()["ceremonyId"])


async def session(scene: Scene) -> str:
    return str((await scene.alice.get("/sessions")).json()["sessions"][0]["id"])


async def phone(scene: Scene) -> str:
    return str((await scene.alice.get("/devices")).json()["devices"][0]["id"])


async def passkey(scene: Scene) -> str:
    return str((await scene.alice.get("/passkeys")).json()["passkeys"][0]["id"])


def get(path: str) -> Ask:
    return lambda _, asking, which: asking.browser.get(path.format(which))


def post(path: str, body: Any = None) -> Ask:
    return lambda _, asking, which: asking.browser.post(path.format(which), body)


def get_as_user(path: str) -> Ask:
    return lambda _, asking, which: asking.session.get(path.format(which))


def post_as_user(path: str, body: Any) -> Ask:
    return lambda _, asking, which: asking.session.post(path.format(which), body)


def delete_as_user(path: str) -> Ask:
    return lambda _, asking, which: asking.session.delete(path.format(which))


def prove_nearness(scene: Scene, asking: Stranger, which: str) -> Awaitable[Answer]:
    return asking.browser.post(f"/webauthn/accounts/{which}/assertions", {"credential": credential(scene)})


def log_in_by_passkey(scene: Scene, asking: Stranger, which: str) -> Awaitable[Answer]:
    return asking.browser.post("/passkeys/login", {"ceremonyId": which, "credential": credential(scene)})


CODE: Final = {"code": "123456"}
#: What somebody may have, and how another one may ask about it.
KINDS: Final[dict[str, tuple[Find, Ask]]] = {
    "login": (login, get("/session/{}")),
    "stream of a login": (login, get("/session/{}/events")),
    "QR code of a login": (login, get("/session/{}/qr.svg")),
    "claim of a login": (login, post("/session/{}/claim", CODE)),
    "claim without a code": (login, post("/session/{}/claim")),
    "page of a login": (login, get("/plain/{}")),
    "enrolment": (enrolment, get_as_user("/devices/enrol/{}")),
    "stream of an enrolment": (enrolment, get_as_user("/devices/enrol/{}/events")),
    "code of an enrolment": (enrolment, post_as_user("/devices/enrol/{}/confirm", CODE)),
    "login with an ID card": (card_login, get("/eid/session/{}")),
    "stream of a login with an ID card": (card_login, get("/eid/session/{}/events")),
    "claim of a login with an ID card": (card_login, post("/eid/session/{}/claim", CODE)),
    "temporary account": (temporary_account, prove_nearness),
    "passkey ceremony": (ceremony, log_in_by_passkey),
    "session": (session, delete_as_user("/sessions/{}")),
    "phone": (phone, delete_as_user("/devices/{}")),
    "passkey": (passkey, delete_as_user("/passkeys/{}")),
}
#: What lives for longer than a login: it does not run out in this test.
LASTING: Final = ("session", "phone", "passkey")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as world:
        yield world


async def stranger(scene: Scene) -> Stranger:
    """Mallory, who has a login of each kind under way and is logged in elsewhere."""
    browser, session = (replace(scene.desktop, ip="203.0.113.66", cookies={}) for _ in range(2))
    await browser.post("/session/create")
    await browser.post("/eid/start", {"mode": "bound", "tenant": "shop"})
    await session.send("GET", "/as/mallory")
    return Stranger(browser, session)


def shown(answer: Answer) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """All that an answer tells."""
    return answer.status, sorted(answer.headers), answer.body


@pytest.mark.parametrize("kind", KINDS)
async def test_unknown_foreign_malformed_and_expired_ids_have_one_answer(world: World, kind: str) -> None:
    scene = await Scene.set(world)
    mallory = await stranger(scene)
    find, ask = KINDS[kind]
    foreign = await find(scene)
    wanted = shown(await ask(scene, mallory, UNKNOWN))
    assert wanted[0] == 404
    for which in (foreign, b64url(b"\x55" * 32), *MALFORMED):
        assert shown(await ask(scene, mallory, which)) == wanted, which
    if kind not in LASTING:
        world.clock.advance(LATER)
        assert shown(await ask(scene, mallory, foreign)) == wanted


@pytest.mark.parametrize("kind", KINDS)
async def test_the_owner_is_told_of_it(world: World, kind: str) -> None:
    # Else the test above would hold for routes that answer nobody.
    scene = await Scene.set(world)
    find, ask = KINDS[kind]
    answer = await ask(scene, Stranger(scene.desktop, scene.alice), await find(scene))
    # A code that is wrong and a proof that does not hold are refused, in other words.
    assert answer.status != 404


NAMES: Final = ("alice", "bob", "nobody", "ALICE", "alice ", "\u00e1lice", "a" * 200)


async def test_a_name_has_the_same_answer_whether_or_not_it_has_an_account(world: World) -> None:
    scene = await Scene.set(world)
    await replace(scene.desktop, cookies={}).send("GET", "/as/bob")  # An account without passkeys.
    told = []
    for name in NAMES:
        answer = await replace(scene.desktop, cookies={}).post("/passkeys/login/options", {"username": name})
        allowed = answer.json()["options"]["allowCredentials"]
        told.append((answer.status, [header for header, _ in answer.headers], set(answer.json()), len(allowed) % 4))
    # More of it in tests/webauthn/test_passkey_names.py.
    assert told == [told[0]] * len(NAMES)


@pytest.mark.parametrize(
    "path", ["/eid/tctoken/{}", "/eid/refresh/{}", "/eid/phone/{}", "/session/refresh/{}", "/request-object/{}"]
)
async def test_a_guessed_address_is_like_any_other(world: World, path: str) -> None:
    scene = await Scene.set(world)
    mallory = await stranger(scene)
    wanted = shown(await mallory.browser.get(path.format(UNKNOWN + UNKNOWN)))
    assert wanted[0] == 404
    # The id is right, and what is behind it is not.
    for session_id in (scene.eid["sessionId"], scene.session_id):
        assert shown(await mallory.browser.get(path.format(session_id + UNKNOWN))) == wanted
    for malformed in ("x", "A" * 43, "A" * 45, "A" * 500):
        assert shown(await mallory.browser.get(path.format(malformed))) == wanted
