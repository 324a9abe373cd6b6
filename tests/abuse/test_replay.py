"""What was used is used up: the same bytes again, for something else, by somebody else, after a restart.

Elsewhere: the same at once (``tests/qr/test_attacks.py``, T5 and double login), codes and callbacks of providers
(``tests/oidc/test_login.py``), logout tokens (``tests/oidc/test_provider_logouts.py``), assertions and registrations
(``tests/webauthn/test_passkey_attacks.py``, ``test_binding_attacks.py``), tcTokens and refresh addresses
(``tests/eid/test_device_attacks.py``, ``test_attacks.py``), messages of eServices (``tests/eid/test_signing.py``).
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from nacl.signing import SigningKey

from tests.abuse.world import HOST, SERVER, Scene, World, opened
from tests.actors import Answer, Browser, Phone
from tests.qr.conftest import Clock, make_settings
from tests.qr.conftest import World as QRWorld
from tests.qr.conftest import host_app as qr_host_app
from useid_middleware import Events, UseID, UseIDMiddleware
from useid_middleware.qr.core.signing import Decision


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as world:
        yield world


async def begin(scene: Scene) -> tuple[str, str]:
    """A login by QR: its id and its link."""
    session = (await scene.desktop.post("/session/create")).json()
    return session["sessionId"], session["qrData"]


async def signed(scene: Scene, link: str, decision: Decision = Decision.APPROVE) -> dict[str, Any]:
    """Scan, and sign an answer."""
    context = (await scene.phone.scan(link)).json()["context"]
    return scene.phone.answer_body(link, context, decision)


async def approve(scene: Scene, body: dict[str, Any]) -> Answer:
    return await scene.phone.post("/approve", body)


# The same again


async def test_an_approval_is_good_once_in_whatever_state_the_login_is_then(world: World) -> None:
    scene = await Scene.set(world)
    session_id, link = await begin(scene)
    body = await signed(scene, link)
    code = (await approve(scene, body)).json()["code"]
    assert (await approve(scene, body)).code == "wrong_state"
    assert (await scene.desktop.post(f"/session/{session_id}/claim", {"code": code})).status == 200
    assert (await approve(scene, body)).code == "wrong_state"
    assert (await scene.desktop.post(f"/session/{session_id}/claim", {"code": code})).code == "wrong_state"
    world.clock.advance(121)
    assert (await approve(scene, body)).code == "session_unknown"


@pytest.mark.parametrize("first", list(Decision))
async def test_after_an_answer_no_other_counts(world: World, first: Decision) -> None:
    scene = await Scene.set(world)
    _, link = await begin(scene)
    bodies = {decision: await signed(scene, link, decision) for decision in Decision}
    paths = {Decision.APPROVE: "/approve", Decision.REJECT: "/reject"}
    assert (await scene.phone.post(paths[first], bodies[first])).status == 200
    for decision in Decision:
        assert (await scene.phone.post(paths[decision], bodies[decision])).code == "wrong_state"


async def test_an_approval_that_comes_late_is_none(world: World) -> None:
    scene = await Scene.set(world)
    session_id, link = await begin(scene)
    body = await signed(scene, link)
    world.clock.advance(121)
    assert (await approve(scene, body)).code == "signature_invalid"
    assert (await scene.desktop.get(f"/session/{session_id}")).json()["status"] == "scanned"
    world.clock.advance(300)
    assert (await approve(scene, body)).code in ("session_expired", "session_unknown")


# For something else


async def test_an_approval_of_one_login_is_none_of_another(world: World) -> None:
    scene = await Scene.set(world)
    _, one = await begin(scene)
    other_id, other = await begin(scene)
    body = await signed(scene, one)
    assert (await scene.phone.scan(other)).status == 200  # The same phone has scanned it, too.
    assert (await approve(scene, body | {"sessionId": other_id})).code == "signature_invalid"
    assert (await approve(scene, body)).status == 200


async def test_a_proof_for_one_enrolment_is_none_for_another(world: World) -> None:
    scene = await Scene.set(world)
    offers = [(await scene.alice.post("/devices/enrol")).json() for _ in range(2)]
    phone = replace(scene.phone, key=SigningKey.generate())
    sent: list[tuple[str, dict[str, Any]]] = []

    class Recording(Phone):
        async def post(self, path: str, body: dict[str, Any]) -> Answer:
            sent.append((path, body))
            return await super().post(path, body)

    recording = Recording(phone.app, phone.key, ip=phone.ip, server=SERVER, now=world.clock)
    assert (await recording.prove(offers[0]["qrData"])).status == 200
    [(path, body)] = sent
    assert (await phone.post(path, body)).code == "wrong_state"
    other = path.replace(offers[0]["enrolmentId"], offers[1]["enrolmentId"])
    assert (await phone.post(other, body)).code == "signature_invalid"


@pytest.mark.parametrize("frame", ["", "A" * 11, "next", "other"])
async def test_a_frame_that_is_not_of_this_login_and_moment_is_stale(world: World, frame: str) -> None:
    # That an old one is: tests/qr/test_attacks.py, a copied code.
    scene = await Scene.set(world)
    session_id, link = await begin(scene)
    if frame == "next":
        world.clock.advance(30)
        frame = (await scene.desktop.get(f"/session/{session_id}")).json()["frame"]
        world.clock.advance(-30)
    elif frame == "other":
        frame = (await begin(scene))[1].rpartition("frame=")[2]
    answer = await scene.phone.scan(
        link.rpartition("frame=")[0] + f"frame={frame}" if frame else link.partition("&frame")[0]
    )
    assert answer.code == "frame_stale"
    assert (await scene.phone.scan(link)).status == 200


# By several


async def test_of_twenty_phones_that_scan_at_once_one_has_the_login(world: World) -> None:
    scene = await Scene.set(world)
    phones = []
    for number in range(20):
        browser = Browser(scene.app, host=HOST)
        await browser.send("GET", f"/as/user{number}")
        phones.append(Phone(scene.app, server=SERVER, now=world.clock))
        await phones[-1].enrol(browser)
    _, link = await begin(scene)
    answers = await asyncio.gather(*(phone.scan(link) for phone in phones))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 19
    assert {answer.code for answer in answers if answer.status == 409} == {"already_scanned"}
    [winner] = [phone for phone, answer in zip(phones, answers, strict=True) if answer.status == 200]
    context = next(answer.json()["context"] for answer in answers if answer.status == 200)
    answered = await asyncio.gather(
        *(phone.post("/approve", phone.answer_body(link, context, Decision.APPROVE)) for phone in phones)
    )
    assert [answer.status == 200 for answer in answered] == [phone is winner for phone in phones]


async def test_of_twenty_phones_that_prove_a_key_at_once_one_is_enrolled(world: World) -> None:
    scene = await Scene.set(world)
    offer = (await scene.alice.post("/devices/enrol")).json()
    phones = [Phone(scene.app, server=SERVER, now=world.clock) for _ in range(20)]
    answers = await asyncio.gather(*(phone.prove(offer["qrData"]) for phone in phones))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 19
    code = next(answer.json()["code"] for answer in answers if answer.status == 200)
    path = f"/devices/enrol/{offer['enrolmentId']}/confirm"
    confirmed = await asyncio.gather(*(scene.alice.post(path, {"code": code}) for _ in range(20)))
    assert sorted(answer.status for answer in confirmed) == [200] + [409] * 19
    assert len((await scene.alice.get("/devices")).json()["devices"]) == 2


# After a restart


class Site:
    """A plugin in files, which can be stopped and started again."""

    def __init__(self, folder: Path, clock: Clock, **values: Any) -> None:
        self._url = f"sqlite:///{folder}/useid.db"
        self._clock = clock
        self._values = values

    def start(self) -> QRWorld:
        """One more process."""
        settings = make_settings(store=self._url, accounts=self._url, **self._values)
        return QRWorld(UseIDMiddleware(qr_host_app, useid=UseID(settings, Events(), clock=self._clock)), self._clock)


DECISIONS: Final = {"/approve": Decision.APPROVE, "/reject": Decision.REJECT}


@pytest.mark.parametrize("path", DECISIONS)
async def test_an_answer_is_good_once_also_after_a_restart(tmp_path: Path, path: str) -> None:
    site = Site(tmp_path, Clock())
    before = site.start()
    phone, desktop = await before.enrolled_phone(), before.browser()
    session_id, link = await before.start(desktop)
    context = (await phone.scan(link)).json()["context"]
    body = phone.answer_body(link, context, DECISIONS[path])
    first = await phone.post(path, body)
    assert first.status == 200
    await before.app.useid.stop()

    after = site.start()
    phone, desktop = replace(phone, app=after.app), replace(desktop, app=after.app)
    assert (await phone.post(path, body)).code == "wrong_state"
    claimed = await desktop.post(f"/session/{session_id}/claim", {"code": first.json().get("code", "123456")})
    assert claimed.status == (200 if path == "/approve" else 409)
    await after.app.useid.stop()


async def test_an_answer_that_was_not_sent_before_a_restart_counts_after_it_once(tmp_path: Path) -> None:
    site = Site(tmp_path, Clock())
    before = site.start()
    phone, desktop = await before.enrolled_phone(), before.browser()
    _, link = await before.start(desktop)
    context = (await phone.scan(link)).json()["context"]
    body = phone.answer_body(link, context, Decision.APPROVE)
    await before.app.useid.stop()
    after = site.start()
    phone = replace(phone, app=after.app)
    answers = await asyncio.gather(*(phone.post("/approve", body) for _ in range(10)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 9
    await after.app.useid.stop()


async def test_an_approval_for_another_deployment_of_the_same_accounts_is_none(tmp_path: Path) -> None:
    clock = Clock()
    here, there = (
        Site(tmp_path, clock, key_prefix=f"{name}:", origin=f"http://{name}.localhost:8000").start()
        for name in ("here", "there")
    )
    alice = Browser(here.app, host="here.localhost:8000")
    await alice.send("GET", "/as/alice")
    phone = Phone(here.app, server="http://here.localhost:8000/auth", now=clock)
    await phone.enrol(alice)
    elsewhere = replace(phone, app=there.app, server="http://there.localhost:8000/auth")
    desktop = Browser(here.app, host="here.localhost:8000")
    session = (await desktop.post("/session/create")).json()
    context = (await phone.scan(session["qrData"])).json()["context"]
    body = phone.answer_body(session["qrData"], context, Decision.APPROVE)
    assert (await elsewhere.post("/approve", body)).code == "session_unknown"
    signed_for_there = phone.answer_body(
        session["qrData"], context, Decision.APPROVE, server="http://there.localhost:8000/auth"
    )
    assert (await phone.post("/approve", signed_for_there)).code == "signature_invalid"
    assert (await phone.post("/approve", body)).status == 200
    for each in (here, there):
        await each.app.useid.stop()
