"""Enrolling phones: the state machine, and the whole of it over HTTP."""

import pytest

from tests.qr.conftest import World
from useid_middleware import DeviceEnrolled, DeviceRevoked, Identity, SessionEnded
from useid_middleware.errors import StateError
from useid_middleware.qr.core.enrolment import (
    ENROLMENT_TRANSITIONS,
    EnrolmentState,
    EnrolmentStep,
    next_enrolment_state,
)

ALLOWED = {
    ("offered", "prove"): "proved",
    ("offered", "expire"): "expired",
    ("proved", "confirm"): "confirmed",
    ("proved", "fail"): "rejected",
    ("proved", "expire"): "expired",
}


@pytest.mark.parametrize("state", EnrolmentState)
@pytest.mark.parametrize("step", EnrolmentStep)
def test_every_pair_of_state_and_step_is_decided(state: EnrolmentState, step: EnrolmentStep) -> None:
    expected = ALLOWED.get((state.value, step.value))
    if expected is not None:
        assert next_enrolment_state(state, step) == expected
        return
    with pytest.raises(StateError) as caught:
        next_enrolment_state(state, step)
    assert caught.value.code == ("session_expired" if state is EnrolmentState.EXPIRED else "wrong_state")


def test_the_table_has_no_more_than_this_test() -> None:
    assert {(state.value, step.value): to.value for (state, step), to in ENROLMENT_TRANSITIONS.items()} == ALLOWED


async def test_a_phone_is_enrolled_listed_used_and_revoked(world: World) -> None:
    alice = await world.log_in()
    phone = world.phone()
    device = await phone.enrol(alice, label="Pixel 9")
    assert device["label"] == "Pixel 9"
    assert [event.device_id for event in world.told(DeviceEnrolled) if isinstance(event, DeviceEnrolled)] == [
        device["id"]
    ]
    assert (await alice.get("/devices")).json() == {"devices": [device]}
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    code = (await phone.approve(link)).json()["code"]
    assert (await desktop.post(f"/session/{session_id}/claim", {"code": code})).status == 200
    assert (await alice.get("/devices")).json()["devices"][0]["lastUsedAt"] is not None
    assert (await desktop.delete(f"/devices/{device['id']}")).status == 204
    assert len(world.told(DeviceRevoked)) == 1
    # The session that this phone opened is over, the others of the account go on.
    assert await world.who(desktop) == ""
    assert (await world.who(alice)).startswith("alice")
    assert [event.reason for event in world.told(SessionEnded) if isinstance(event, SessionEnded)] == ["revoked"]
    assert (await alice.delete(f"/devices/{device['id']}")).code == "not_found"
    assert (await alice.get("/devices")).json() == {"devices": []}


async def test_the_desktop_follows_an_enrolment_by_its_stream(world: World) -> None:
    alice = await world.log_in()
    offer = (await alice.post("/devices/enrol")).json()
    path = f"/devices/enrol/{offer['enrolmentId']}"
    async with alice.stream(f"{path}/events") as stream:
        assert await stream.next_status() == "offered"
        proof = await world.phone().prove(offer["qrData"])
        name, data = await stream.next()
        assert (name, data["status"], data["label"]) == ("status", "proved", "Pixel")
        assert (await alice.get(path)).json()["status"] == "proved"
        await alice.post(f"{path}/confirm", {"code": proof.json()["code"]})
        assert await stream.next_status() == "confirmed"
        await stream.end()


async def test_who_reads_confirmed_finds_the_phone_in_the_list(world: World) -> None:
    alice = await world.log_in()
    offer = (await alice.post("/devices/enrol")).json()
    path = f"/devices/enrol/{offer['enrolmentId']}"
    proof = (await world.phone().prove(offer["qrData"])).json()
    accounts = world.app.useid.accounts
    listed: list[int] = []

    def look(message: bytes | None) -> None:
        try:
            accounts.devices(account).send(None)  # In memory it has its answer at once.
        except StopIteration as answer:
            listed.append(len(answer.value))

    account = (await accounts.resolve(Identity("host", "alice"), now=0))[0].id
    unsubscribe = await world.app.useid.store.subscribe(f"enrolment:{offer['enrolmentId']}", look)
    await alice.post(f"{path}/confirm", {"code": proof["code"]})
    await unsubscribe()
    assert listed == [1]


async def test_a_key_counts_only_when_its_code_was_typed(world: World) -> None:
    from useid_middleware._codec import un_b64url

    alice = await world.log_in()
    offer = (await alice.post("/devices/enrol")).json()
    phone = world.phone()
    proof = (await phone.prove(offer["qrData"])).json()
    phone.key_id = un_b64url(proof["keyId"], 16)
    _, link = await world.start(world.browser())
    assert (await phone.scan(link)).code == "device_unknown"
    path = f"/devices/enrol/{offer['enrolmentId']}/confirm"
    assert (await alice.post(path, {})).code == "code_required"
    wrong = f"{(int(proof['code']) + 1) % 1_000_000:06d}"
    for left in (4, 3, 2, 1, 0):
        answer = await alice.post(path, {"code": wrong})
        assert (answer.code, answer.json()["attemptsLeft"]) == ("code_wrong", left)
    assert (await alice.post(path, {"code": proof["code"]})).code == "wrong_state"
    assert (await alice.get("/devices")).json() == {"devices": []}


async def test_the_first_phone_that_proves_its_key_holds_the_enrolment(world: World) -> None:
    alice = await world.log_in()
    offer = (await alice.post("/devices/enrol")).json()
    assert (await world.phone().prove(offer["qrData"])).status == 200
    assert (await world.phone().prove(offer["qrData"])).code == "wrong_state"


async def test_an_enrolment_expires_to_the_instant(world: World) -> None:
    alice = await world.log_in()
    offer = (await alice.post("/devices/enrol")).json()
    world.clock.advance(299.999)
    assert (await alice.get(f"/devices/enrol/{offer['enrolmentId']}")).json()["status"] == "offered"
    world.clock.advance(0.001)
    assert (await alice.get(f"/devices/enrol/{offer['enrolmentId']}")).json()["status"] == "expired"
    assert (await world.phone().prove(offer["qrData"])).code == "session_expired"


async def test_another_user_sees_and_confirms_nothing(world: World) -> None:
    alice, mallory = await world.log_in("alice"), await world.log_in("mallory")
    offer = (await alice.post("/devices/enrol")).json()
    device = await world.phone().enrol(alice)
    path = f"/devices/enrol/{offer['enrolmentId']}"
    assert (await mallory.get(path)).code == "session_unknown"
    assert (await mallory.get(f"{path}/events")).code == "session_unknown"
    assert (await mallory.post(f"{path}/confirm", {"code": "123456"})).code == "session_unknown"
    assert (await mallory.delete(f"/devices/{device['id']}")).code == "not_found"
    for method, where in (("GET", "/devices"), ("POST", "/devices/enrol"), ("GET", path), ("DELETE", "/devices/x")):
        answer = await world.browser().send(method, f"/auth{where}", headers={"content-type": "application/json"})
        assert (answer.status, answer.code) == (401, "login_required")
