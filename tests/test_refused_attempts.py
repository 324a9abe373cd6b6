"""Attempts that are refused: an event, told at one place; audit log and log of the process have a line of it."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tests.actors import Browser
from tests.eid import world as eid
from tests.oidc import world as oidc
from tests.qr.conftest import World as QRWorld
from tests.qr.conftest import make_settings, open_world
from tests.test_docs import code, page, rows
from tests.webauthn import world as webauthn
from tests.webauthn.bound import bound_world
from useid_middleware import AttemptRefused, Event, LoginFailed, UnavailableError
from useid_middleware._codec import b64url
from useid_middleware.audit.chain import read_entry
from useid_middleware.audit.entries import AUDITED, entry_data
from useid_middleware.errors import RequestError
from useid_middleware.monitoring import ATTEMPTS
from useid_middleware.qr.core.signing import Decision

FORM: Final = {"content-type": "application/x-www-form-urlencoded"}
Attempt = Callable[[AsyncExitStack], Awaitable[tuple[list[Event], str]]]


async def qr_world(stack: AsyncExitStack) -> QRWorld:
    world = await open_world(make_settings())
    stack.push_async_callback(world.app.useid.stop)
    return world


async def forged_signature(stack: AsyncExitStack) -> tuple[list[Event], str]:
    world = await qr_world(stack)
    phone = await world.enrolled_phone()
    session_id, link = await world.start(world.browser())
    context = (await phone.scan(link)).json()["context"]
    answer = await phone.post("/approve", phone.answer_body(link, context, Decision.APPROVE, challenge=bytes(32)))
    assert answer.status == 403
    return world.heard, session_id


async def revoked_phone(stack: AsyncExitStack) -> tuple[list[Event], str]:
    world = await qr_world(stack)
    desktop, phone = await world.log_in(), world.phone()
    device = await phone.enrol(desktop)
    assert (await desktop.delete(f"/devices/{device['id']}")).status == 204
    session_id, link = await world.start(desktop)
    assert (await phone.scan(link)).status == 403
    return world.heard, session_id


async def copied_code(stack: AsyncExitStack) -> tuple[list[Event], str]:
    world = await qr_world(stack)
    phone = await world.enrolled_phone()
    session_id, link = await world.start(world.browser())
    world.clock.advance(60.1)
    assert (await phone.scan(link)).status == 409
    return world.heard, session_id


async def wrong_code(stack: AsyncExitStack) -> tuple[list[Event], str]:
    world = await qr_world(stack)
    phone, desktop = await world.enrolled_phone(), world.browser()
    session_id, link = await world.start(desktop)
    digits = (await phone.approve(link)).json()["code"]
    wrong = "000000" if digits != "000000" else "111111"
    assert (await desktop.post(f"/session/{session_id}/claim", {"code": wrong})).status == 403
    return world.heard, session_id


async def wrong_code_without_script(stack: AsyncExitStack) -> tuple[list[Event], str]:
    world = await qr_world(stack)
    phone, desktop = await world.enrolled_phone(), world.browser()
    session_id, link = await world.start(desktop)
    digits = (await phone.approve(link)).json()["code"]
    wrong = "000000" if digits != "000000" else "111111"
    headers = {**FORM, "origin": f"http://{desktop.host}"}
    answer = await desktop.send("POST", f"/auth/plain/{session_id}", f"code={wrong}".encode(), headers)
    assert answer.status == 403
    return world.heard, session_id


async def another_browser(stack: AsyncExitStack) -> tuple[list[Event], str]:
    world = await qr_world(stack)
    session_id, _ = await world.start(world.browser())
    stranger = world.browser()
    await world.start(stranger)
    assert (await stranger.post(f"/session/{session_id}/claim")).status == 404
    return world.heard, session_id


async def second_claim(stack: AsyncExitStack) -> tuple[list[Event], str]:
    world = await qr_world(stack)
    phone, desktop = await world.enrolled_phone(), world.browser()
    session_id, link = await world.start(desktop)
    claim = {"code": (await phone.approve(link)).json()["code"]}
    assert (await desktop.post(f"/session/{session_id}/claim", claim)).status == 200
    assert (await desktop.post(f"/session/{session_id}/claim", claim)).status == 409
    return world.heard, session_id


async def page_of_another_site(stack: AsyncExitStack) -> tuple[list[Event], str]:
    world = await qr_world(stack)
    assert (await world.browser().post("/session/create", headers={"origin": "https://evil.example"})).status == 403
    return world.heard, ""


async def passkey_of_another_site(stack: AsyncExitStack) -> tuple[list[Event], str]:
    world = await stack.enter_async_context(webauthn.opened())
    authenticator = webauthn.Authenticator()
    await world.register(await world.log_in(), authenticator)
    answer = await world.use("login", world.browser(), authenticator, rp_id="evil.example")
    assert answer.status == 401
    return world.heard, ""


async def passkey_that_is_not_near(stack: AsyncExitStack) -> tuple[list[Event], str]:
    world = await stack.enter_async_context(bound_world())
    phone, desktop = await world.bound_phone(), world.desktop()
    await desktop.start()
    await phone.take_part(desktop)
    answer = await desktop.prove(await desktop.status(), phone.authenticator, rp_id="evil.example")
    assert answer.status == 401
    return world.heard, ""


async def temporary_account_of_nothing(stack: AsyncExitStack) -> tuple[list[Event], str]:
    world = await stack.enter_async_context(bound_world())
    phone, unknown = await world.bound_phone(), b64url(bytes(16))
    answer = await phone.create(unknown, "http://localhost:8000/auth/x", public_key=world.desktop().public_key)
    assert answer.status == 404
    return world.heard, unknown


async def used_address_of_a_tctoken(stack: AsyncExitStack) -> tuple[list[Event], str]:
    world = await stack.enter_async_context(eid.opened())
    started = await world.start(world.browser(), mode="same-device")
    await world.fetch_token(started["tcTokenUrl"])
    assert (await world.fetch(started["tcTokenUrl"])).status == 404
    return world.heard, started["sessionId"]


async def used_page_of_a_phone(stack: AsyncExitStack) -> tuple[list[Event], str]:
    world = await stack.enter_async_context(eid.opened())
    started = await world.start(world.browser())
    await world.begin_on_phone(world.phone(), started["startUrl"])
    assert (await world.begin_on_phone(world.phone(), started["startUrl"])).status == 409
    return world.heard, started["sessionId"]


async def wrong_code_of_a_card(stack: AsyncExitStack) -> tuple[list[Event], str]:
    world = await stack.enter_async_context(eid.opened())
    desktop = world.browser()
    started = await world.start(desktop)
    digits = (await world.to_code(world.phone(), started)).replace(" ", "")
    assert (await world.claim(desktop, started, code="000000" if digits != "000000" else "111111")).status == 403
    return world.heard, started["sessionId"]


async def forged_logout(stack: AsyncExitStack) -> tuple[list[Event], str]:
    world = await stack.enter_async_context(oidc.opened())
    answer = await Browser(world.app).send("POST", "/auth/backchannel-logout", b"logout_token=a.b.c", FORM)
    assert answer.status == 400
    return world.heard, ""


#: What somebody does, and what is told of it: flow and code.
REFUSED: Final[dict[Attempt, tuple[str, str]]] = {
    forged_signature: ("qr", "signature_invalid"),
    revoked_phone: ("qr", "device_unknown"),
    copied_code: ("qr", "frame_stale"),
    wrong_code: ("qr", "code_wrong"),
    wrong_code_without_script: ("qr", "code_wrong"),
    another_browser: ("qr", "session_unknown"),
    second_claim: ("qr", "wrong_state"),
    page_of_another_site: ("qr", "cross_site_request"),
    passkey_of_another_site: ("webauthn", "webauthn_rp_id_mismatch"),
    passkey_that_is_not_near: ("webauthn", "webauthn_rp_id_mismatch"),
    temporary_account_of_nothing: ("webauthn", "session_unknown"),
    used_address_of_a_tctoken: ("eid", "session_unknown"),
    used_page_of_a_phone: ("eid", "wrong_state"),
    wrong_code_of_a_card: ("eid", "code_wrong"),
    forged_logout: ("oidc", "logout_refused"),
}


@pytest.mark.parametrize("attempt", REFUSED, ids=lambda attempt: attempt.__name__)
async def test_a_refused_attempt_is_told_once_with_its_flow_its_code_and_its_login(
    attempt: Attempt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "useid_middleware.events")
    async with AsyncExitStack() as stack:
        heard, session_id = await attempt(stack)
        [told] = [event for event in heard if isinstance(event, AttemptRefused)]
    assert (told.flow, told.code, told.session_id) == (*REFUSED[attempt], session_id)
    assert entry_data(told, AUDITED[AttemptRefused]) == {
        "flow": told.flow,
        "code": told.code,
        "session_id": session_id,
    }
    lines = [record.getMessage() for record in caplog.records if record.name == "useid_middleware.events"]
    expected = f"AttemptRefused flow={told.flow} code={told.code} session_id={session_id}"
    assert [line for line in lines if "Refused" in line] == [expected]


async def test_five_forged_approvals_are_in_the_audit_log(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    world = await open_world(make_settings(audit={"file": log}))
    phone = await world.enrolled_phone()
    session_id, link = await world.start(world.browser())
    context = (await phone.scan(link)).json()["context"]
    for _ in range(5):
        forged = phone.answer_body(link, context, Decision.APPROVE, challenge=bytes(32))
        assert (await phone.post("/approve", forged)).code == "signature_invalid"
    await world.app.useid.stop()
    entries = [entry for line in log.read_bytes().splitlines() if (entry := read_entry(line)) is not None]
    assert [entry.data for entry in entries if entry.event == "AttemptRefused"] == [
        {"flow": "qr", "code": "signature_invalid", "session_id": session_id}
    ] * 5


async def test_what_an_event_of_its_own_tells_is_not_told_twice() -> None:
    async with eid.opened() as world:
        browser, stranger = world.browser(), world.browser()
        started = await world.start(browser, mode="same-device")
        refresh = await world.run_client(started["tcTokenUrl"])
        assert (await world.open(stranger, refresh)).status == 401
        assert [event.code for event in world.heard_of(LoginFailed)] == ["browser_cookie_missing"]
        assert world.heard_of(AttemptRefused) == []
    async with oidc.opened() as provider:
        answer = await provider.browser().get("/callback?state=forged&code=stolen")
        assert answer.status >= 400
        assert [event.code for event in provider.told(LoginFailed)] == ["cookie_missing"]
        assert provider.told(AttemptRefused) == []


@pytest.mark.parametrize("made_up", ["x" * 10_000, "not-an-id", "%C3%BC" * 11, "a" * 21 + "%0A"])
async def test_an_id_that_is_none_of_ours_is_not_repeated(made_up: str) -> None:
    async with AsyncExitStack() as stack:
        world = await qr_world(stack)
        desktop = world.browser()
        await world.start(desktop)
        assert (await desktop.post(f"/session/{made_up}/claim")).status == 404
        [told] = [event for event in world.heard if isinstance(event, AttemptRefused)]
        assert told.session_id == ""


async def test_what_people_run_into_who_do_nothing_wrong_is_a_line_and_no_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "useid_middleware.events")
    async with AsyncExitStack() as stack:
        world = await qr_world(stack)
        answer = await world.browser().post("/session/create", {"appName": "Another"})
        assert answer.code == "app_name_refused"
        assert (await world.browser().post("/session/none/nowhere/claim")).status == 200  # The app's.
        monitoring = world.app.useid.monitoring
        await monitoring.note_error(UnavailableError("webauthn_metadata_outdated", "the BLOB: expected a newer one"))
        assert [event for event in world.heard if isinstance(event, AttemptRefused)] == []
    assert [(record.getMessage(), record.levelname) for record in caplog.records] == [
        ("RequestRefused flow=qr code=app_name_refused status=400 session_id=", "INFO"),
        ("RequestRefused flow= code=webauthn_metadata_outdated status=503 session_id=", "INFO"),
    ]


async def test_a_request_above_a_limit_is_a_line_and_reaches_no_listener(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "useid_middleware.events")
    world = await open_world(make_settings(limits={"per_ip": 1}))
    desktop = world.browser()
    await world.start(desktop)
    answers = [await desktop.post(f"/session/{b64url(bytes(16))}/claim") for _ in range(40)]
    assert answers[-1].status == 429
    count = [answer.status for answer in answers].count(429)
    lines = [vars(record) for record in caplog.records]
    refused = [line["data"] for line in lines if line.get("event") == "RequestRefused"]
    assert [data for data in refused if data["code"] == "rate_limited"] == [
        {"flow": "qr", "code": "rate_limited", "status": 429, "session_id": b64url(bytes(16))}
    ] * count
    assert "rate_limited" not in {event.code for event in world.heard if isinstance(event, AttemptRefused)}
    await world.app.useid.stop()


async def test_with_the_log_at_its_usual_level_nothing_is_put_together() -> None:
    made: list[object] = []
    factory = logging.getLogRecordFactory()

    def make(*args: Any, **values: Any) -> logging.LogRecord:
        made.append(args)
        return factory(*args, **values)

    logging.setLogRecordFactory(make)
    try:
        async with AsyncExitStack() as stack:
            await wrong_code(stack)
    finally:
        logging.setLogRecordFactory(factory)
    assert made == []


def test_every_code_of_an_attempt_is_one_of_an_error_and_the_page_lists_them() -> None:
    known = {name for row in rows("reference/errors.md", skip="What does not go over HTTP") for name in code(row[0])}
    assert not ATTEMPTS - known
    text = page("howto/audit.md")
    paragraph = text[text.index("`AttemptRefused` is told of these codes:") :].split("\n\n")[0]
    assert {*code(paragraph.partition(":")[2])} - {"webauthn_…"} == ATTEMPTS


def test_an_error_that_is_no_attempt_is_none() -> None:
    assert RequestError("malformed_request", "x").code not in ATTEMPTS
    assert not {"code_required", "rate_limited", "session_expired", "login_required"} & ATTEMPTS
