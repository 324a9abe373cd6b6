"""The attacks of the design, one named test each; docs/security.md leads here.

T1–T14 broke the reference implementation of the flow page; the five classes are those of Zhang et al., USENIX
Security 2025.
"""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from tests.actors import SERVER, Browser
from tests.qr.conftest import World, make_settings, open_world
from useid_middleware import LoginSucceeded, QRScanned, SessionSettings
from useid_middleware._codec import b64url
from useid_middleware.qr.core.signing import DECISION, Decision, framed

#: Encodings of the eight small-order points (and two non-canonical ones), from Bernstein et al., "Curve25519" page.
SMALL_ORDER_KEYS = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


async def status(world: World, desktop: Browser, session_id: str) -> str:
    return str((await desktop.get(f"/session/{session_id}")).json()["status"])


async def test_t1_a_key_that_is_not_enrolled_cannot_approve(world: World) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    context = (await phone.scan(link)).json()["context"]
    stranger = world.phone()
    stranger.key_id = phone.key_id  # Even one who learned the key id …
    body = stranger.answer_body(link, context, Decision.APPROVE)
    assert (await stranger.post("/approve", body)).code == "device_unknown"
    body["publicKey"] = b64url(phone.public_key)  # … and the enrolled public key.
    assert (await stranger.post("/approve", body)).code == "signature_invalid"
    stranger.key_id = b"\x07" * 16
    assert (
        await stranger.post("/approve", stranger.answer_body(link, context, Decision.APPROVE))
    ).code == "device_unknown"
    assert await status(world, desktop, session_id) == "scanned"


async def test_t1_a_revoked_key_cannot_scan_approve_or_claim(world: World) -> None:
    alice = await world.log_in()
    phone = world.phone()
    device = await phone.enrol(alice)
    scanned, waiting, approved = world.browser(), world.browser(), world.browser()
    _, scanned_link = await world.start(scanned)
    _, waiting_link = await world.start(waiting)
    approved_id, approved_link = await world.start(approved)
    context = (await phone.scan(scanned_link)).json()["context"]
    code = (await phone.approve(approved_link)).json()["code"]
    assert (await alice.delete(f"/devices/{device['id']}")).status == 204
    assert (await phone.scan(waiting_link)).code == "device_unknown"
    answer = phone.answer_body(scanned_link, context, Decision.APPROVE)
    assert (await phone.post("/approve", answer)).code == "device_unknown"
    assert (await approved.post(f"/session/{approved_id}/claim", {"code": code})).code == "device_unknown"
    assert await world.who(approved) == ""


async def test_t1_a_key_that_is_revoked_in_the_middle_of_a_claim_leaves_no_session(world: World) -> None:
    alice = await world.log_in()
    phone = world.phone()
    device = await phone.enrol(alice)
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    code = (await phone.approve(link)).json()["code"]

    @world.app.useid.events.on(LoginSucceeded)
    async def revoke(event: LoginSucceeded) -> None:
        assert (await alice.delete(f"/devices/{device['id']}")).status == 204

    claimed = await desktop.post(f"/session/{session_id}/claim", {"code": code})
    assert (claimed.status, claimed.code) == (403, "device_unknown")
    assert await world.who(desktop) == ""
    assert len((await alice.get("/sessions")).json()["sessions"]) == 1


async def test_a_plain_page_of_a_login_that_needs_script_says_so() -> None:
    world = await open_world(make_settings(qr={"assurance": "L2"}, webauthn={"enabled": True}))
    desktop = world.browser()
    session_id, _ = await world.start(desktop)
    page = await desktop.get(f"/plain/{session_id}")
    assert page.status == 409
    assert b"needs JavaScript" in page.body


async def test_t2_the_id_from_the_qr_opens_no_event_stream_and_claims_nothing(world: World) -> None:
    desktop, onlooker, other_desktop = world.browser(), world.browser(), world.browser()
    session_id, link = await world.start(desktop)
    await world.start(other_desktop)
    phone = await world.enrolled_phone()
    code = (await phone.approve(link)).json()["code"]
    for path in (f"/session/{session_id}/events", f"/session/{session_id}", f"/session/{session_id}/qr.svg"):
        assert (await onlooker.get(path)).code == "browser_cookie_missing"
        assert (await other_desktop.get(path)).code == "session_unknown"
    claim = f"/session/{session_id}/claim"
    assert (await onlooker.post(claim, {"code": code})).code == "browser_cookie_missing"
    assert (await other_desktop.post(claim, {"code": code})).code == "session_unknown"
    assert await status(world, desktop, session_id) == "approved"


async def test_t3_the_login_token_reaches_neither_the_phone_nor_the_stream_nor_the_store(tmp_path: Path) -> None:
    file = tmp_path / "useid.db"
    world = await open_world(make_settings(store=f"sqlite:///{file}", sessions=SessionSettings(bearer=True)))
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    async with desktop.stream(f"/session/{session_id}/events") as stream:
        scanned = await phone.scan(link)
        body = phone.answer_body(link, scanned.json()["context"], Decision.APPROVE)
        approved = await phone.post("/approve", body)
        assert set(approved.json()) == {"status", "code"}
        claimed = await desktop.post(f"/session/{session_id}/claim", {"code": approved.json()["code"]})
        await stream.end()
        streamed = stream.raw
    token = claimed.json()["sessionToken"]
    assert token == desktop.cookies["useid-session"]
    await world.app.useid.stop()
    # Whoever copies the store's file finds no secret of a living session in it.
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"alice" in stored
    for secret in (token, desktop.cookies["useid-browser"], approved.json()["code"]):
        assert secret.encode() not in streamed + scanned.body
        assert secret.encode() not in stored


async def test_t4_a_get_as_a_link_preview_sends_it_scans_nothing(world: World) -> None:
    phone = await world.enrolled_phone()
    desktop, preview = world.browser(), world.browser()
    session_id, link = await world.start(desktop)
    for query in ("", f"?type=scan&keyId={b64url(phone.key_id)}", "?" + link.partition("?")[2]):
        for method in ("GET", "HEAD", "OPTIONS"):
            answer = await preview.send(method, f"/auth/session/{session_id}{query}")
            assert answer.status in (401, 405)
    assert await status(world, desktop, session_id) == "waiting"
    assert not world.told(QRScanned)


async def test_t5_approve_works_from_scanned_alone(world: World) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    _, other_link = await world.start(world.browser())
    context = (await phone.scan(other_link)).json()["context"]
    body = phone.answer_body(link, context, Decision.APPROVE)
    assert (await phone.post("/approve", body)).code == "wrong_state"
    assert (await phone.post("/reject", phone.answer_body(link, context, Decision.REJECT))).code == "wrong_state"
    assert (await desktop.post(f"/session/{session_id}/claim", {"code": "123456"})).code == "wrong_state"
    assert await status(world, desktop, session_id) == "waiting"


async def test_t5_of_many_approvals_at_once_one_counts(world: World) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser()
    _, link = await world.start(desktop)
    context = (await phone.scan(link)).json()["context"]
    body = phone.answer_body(link, context, Decision.APPROVE)
    answers = await asyncio.gather(*(phone.post("/approve", body) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 19


async def test_t5_of_an_approval_and_a_rejection_at_once_one_counts(world: World) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    context = (await phone.scan(link)).json()["context"]
    answers = await asyncio.gather(
        phone.post("/approve", phone.answer_body(link, context, Decision.APPROVE)),
        phone.post("/reject", phone.answer_body(link, context, Decision.REJECT)),
    )
    assert sorted(answer.status for answer in answers) == [200, 409]
    won = next(answer for answer in answers if answer.status == 200)
    assert await status(world, desktop, session_id) == won.json()["status"]


@pytest.mark.parametrize(
    "change",
    [
        {"server": "https://evil.example/auth"},
        {"server": SERVER + "/"},
        {"session_id": b"\1" * 16},
        {"challenge": b"\1" * 32},
        {"frame": b"\1" * 8},
        {"frame": b""},
        {"context_digest": b"\1" * 32},
        {"key_id": b"\1" * 16},
        {"issued_at": 1},
    ],
    ids=str,
)
async def test_t6_a_signature_over_anything_else_is_refused(world: World, change: dict[str, Any]) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    context = (await phone.scan(link)).json()["context"]
    body = phone.answer_body(link, context, Decision.APPROVE, **change)
    assert (await phone.post("/approve", body)).code == "signature_invalid"
    assert await status(world, desktop, session_id) == "scanned"


async def test_t6_a_signature_for_the_other_decision_is_refused(world: World) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    context = (await phone.scan(link)).json()["context"]
    assert (await phone.post("/approve", phone.answer_body(link, context, Decision.REJECT))).code == "signature_invalid"
    assert (await phone.post("/reject", phone.answer_body(link, context, Decision.APPROVE))).code == "signature_invalid"
    assert await status(world, desktop, session_id) == "scanned"


async def test_t6_a_message_that_merely_contains_the_challenge_is_refused(world: World) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    context = (await phone.scan(link)).json()["context"]
    body = phone.answer_body(link, context, Decision.APPROVE)
    challenge = (re.search("challenge=([^&]+)", link) or [""])[1].encode()
    for message in (
        challenge,
        b"approve " + challenge,
        json.dumps(body).encode(),
        framed(DECISION, b"approve", challenge),
    ):
        body["signature"] = b64url(phone.key.sign(message).signature)
        assert (await phone.post("/approve", body)).code == "signature_invalid"
    assert await status(world, desktop, session_id) == "scanned"


async def test_t6_what_was_shown_is_what_is_approved(world: World) -> None:
    phone = await world.enrolled_phone()
    _, link = await world.start(world.browser(ip="203.0.113.66"))
    shown = (await phone.scan(link)).json()["context"]
    assert shown["ip"] == "203.0.113.66"
    # Somebody between server and phone shows another place than that of the desktop.
    body = phone.answer_body(link, shown | {"ip": "192.0.2.1", "city": "Home"}, Decision.APPROVE)
    assert (await phone.post("/approve", body)).code == "signature_invalid"


async def test_t7_an_unsigned_or_foreign_reject_is_refused(world: World) -> None:
    phone, stranger = await world.enrolled_phone(), await world.enrolled_phone("mallory")
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    context = (await phone.scan(link)).json()["context"]
    assert (await phone.post("/reject", {"sessionId": session_id})).code == "malformed_request"
    unsigned = phone.answer_body(link, context, Decision.REJECT) | {"signature": b64url(bytes(64))}
    assert (await phone.post("/reject", unsigned)).code == "signature_invalid"
    assert (
        await stranger.post("/reject", stranger.answer_body(link, context, Decision.REJECT))
    ).code == "device_unknown"
    assert await status(world, desktop, session_id) == "scanned"
    assert (await phone.post("/reject", phone.answer_body(link, context, Decision.REJECT))).status == 200
    assert await status(world, desktop, session_id) == "rejected"


async def test_t8_a_scanned_session_expires_on_time(world: World) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    context = (await phone.scan(link)).json()["context"]
    world.clock.advance(299.999)
    assert await status(world, desktop, session_id) == "scanned"
    world.clock.advance(0.001)
    assert await status(world, desktop, session_id) == "expired"
    answer = await phone.post("/approve", phone.answer_body(link, context, Decision.APPROVE))
    assert (answer.status, answer.code) == (410, "session_expired")


async def test_t9_a_waiting_page_reads_the_store_once_and_then_waits_for_news(world: World) -> None:
    store = world.app.useid.store
    reads: list[str] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            reads.append(name)
            return getattr(store, name)

    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    counted = await open_world(make_settings())
    counted.app.useid = type(counted.app.useid)(
        make_settings(),
        store=Counting(),
        accounts=world.app.useid.accounts,
        clock=world.clock,
    )
    watching = Browser(counted.app, cookies=dict(desktop.cookies))
    async with watching.stream(f"/session/{session_id}/events") as stream:
        assert await stream.next_status() == "waiting"
        before = len(reads)
        await phone.approve(link)
        assert await stream.next_status() == "scanned"
        assert await stream.next_status() == "approved"
        assert reads[before:] == []


async def test_t10_no_event_is_called_error_or_message(world: World) -> None:
    names = set()
    phone = await world.enrolled_phone()
    for ending in ("approve", "reject", "expire", "shutdown"):
        desktop = world.browser()
        session_id, link = await world.start(desktop)
        async with desktop.stream(f"/session/{session_id}/events") as stream:
            assert (await stream.next())[0] == "status"
            if ending == "approve":
                await desktop.post(f"/session/{session_id}/claim", {"code": (await phone.approve(link)).json()["code"]})
            elif ending == "reject":
                await phone.reject(link)
            elif ending == "expire":
                world.clock.advance(400)
                continue
            else:
                world.app.useid.streams.drain()
            await stream.end()
            names |= {name for name, _ in stream.events()}
    assert names == {"status", "bye"}


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/%5cevil.example",
        "/%255cevil.example",
        "/%2f%2fevil.example",
        "/%2fevil.example",
        "/\tevil.example",
        "/%09/evil.example",
        "/path\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "http://127.0.0.1:8000@evil.example/",
        "http://evil.example/",
        "https://127.0.0.1:8000/",
        "http://127.0.0.1:8001/",
        "http://127.0.0.1:8000.evil.example/",
        "http:/evil.example",
        "http:evil.example",
        "evil.example",
        " /start",
        "/sta rt",
        "/\u2028",
        "/" + "a" * 5000,
    ],
)
async def test_t11_a_return_url_leads_nowhere_else(world: World, target: str) -> None:
    answer = await world.browser().post("/session/create", {"returnUrl": target})
    assert (answer.status, answer.code) == (400, "return_url_refused")


async def test_t12_no_approved_is_lost_across_a_reconnect(world: World) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    async with desktop.stream(f"/session/{session_id}/events") as stream:
        assert (await stream.next())[1]["version"] == 1
    await phone.approve(link)
    async with desktop.stream(f"/session/{session_id}/events", {"last-event-id": "1"}) as stream:
        name, data = await stream.next()
        assert (name, data["status"], data["version"]) == ("status", "approved", 3)
    # What it has seen already is not told again; what comes then is.
    async with desktop.stream(f"/session/{session_id}/events", {"last-event-id": "3"}) as stream:
        await desktop.post(f"/session/{session_id}/claim", {"code": "000000"})
        await stream.next()
        assert [data["version"] for _, data in stream.events()] == [4]


async def test_t12_an_approved_between_snapshot_and_opening_is_not_lost(world: World) -> None:
    phone = await world.enrolled_phone()
    for _ in range(20):
        desktop = world.browser()
        session_id, link = await world.start(desktop)
        context = (await phone.scan(link)).json()["context"]
        body = phone.answer_body(link, context, Decision.APPROVE)
        approving = asyncio.create_task(phone.post("/approve", body))
        async with desktop.stream(f"/session/{session_id}/events") as stream:
            while await stream.next_status() != "approved":
                pass
        assert (await approving).status == 200


@pytest.mark.parametrize("member", ["keyId", "publicKey", "signature", "sessionId"])
async def test_t13_each_value_has_one_spelling(world: World, member: str) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    context = (await phone.scan(link)).json()["context"]
    body = phone.answer_body(link, context, Decision.APPROVE)
    value = body[member]
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(value[-1])
    loose_bits = value[:-1] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last ^ 1]
    for spelling in (
        value + "=",
        value + "==",
        " " + value,
        value + "\n",
        loose_bits,
        value[:-1],
        value + "A",
        value.encode().hex(),
    ):
        answer = await phone.post("/approve", body | {member: spelling})
        assert (answer.status, answer.code) == (400, "malformed_request"), spelling
    assert await status(world, desktop, session_id) == "scanned"


@pytest.mark.parametrize("key", SMALL_ORDER_KEYS)
async def test_t13_a_small_order_or_non_canonical_key_is_not_enrolled(world: World, key: str) -> None:
    desktop = await world.log_in()
    offer = (await desktop.post("/devices/enrol")).json()
    answer = await world.phone().prove(offer["qrData"], public_key=bytes.fromhex(key))
    assert (answer.status, answer.code) == (400, "key_refused")


async def test_t13_a_signature_with_s_not_reduced_is_refused(world: World) -> None:
    phone = await world.enrolled_phone()
    _, link = await world.start(world.browser())
    context = (await phone.scan(link)).json()["context"]
    body = phone.answer_body(link, context, Decision.APPROVE)
    from useid_middleware._codec import un_b64url

    signature = un_b64url(body["signature"], 64)
    order = 2**252 + 27742317777372353535851937790883648493
    malleable = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    assert (await phone.post("/approve", body | {"signature": b64url(malleable)})).code == "signature_invalid"
    assert (await phone.post("/approve", body)).status == 200


async def test_authorization_hijacking_the_first_phone_holds_the_session(world: World) -> None:
    alice, mallory = await world.enrolled_phone("alice"), await world.enrolled_phone("mallory")
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    context = (await alice.scan(link)).json()["context"]
    assert (await mallory.scan(link)).code == "already_scanned"
    assert (
        await mallory.post("/approve", mallory.answer_body(link, context, Decision.APPROVE))
    ).code == "device_unknown"
    approved = await alice.post("/approve", alice.answer_body(link, context, Decision.APPROVE))
    await desktop.post(f"/session/{session_id}/claim", {"code": approved.json()["code"]})
    assert await world.who(desktop) == "alice authenticated L0 L1"


async def test_authorization_hijacking_a_copied_code_goes_stale(world: World) -> None:
    phone = await world.enrolled_phone()
    _, link = await world.start(world.browser())
    world.clock.advance(59.9)
    fresh = await world.browser().post("/session/create")
    assert (await phone.scan(fresh.json()["qrData"])).status == 200
    world.clock.advance(0.2)  # Two periods: the frame in the copy is older than the grace.
    assert (await phone.scan(link)).code == "frame_stale"


async def test_authorization_hijacking_a_relayed_code_logs_nobody_in_without_the_phones_code(world: World) -> None:
    phone = await world.enrolled_phone()
    attacker = world.browser()
    session_id, link = await world.start(attacker)
    assert (await phone.approve(link)).json()["code"]  # The victim is talked into it; the code stays on the phone.
    assert (await attacker.post(f"/session/{session_id}/claim")).code == "code_required"
    assert await world.who(attacker) == ""


async def test_double_login_a_session_is_claimed_once(world: World) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    code = (await phone.approve(link)).json()["code"]
    twins = [Browser(world.app, cookies=dict(desktop.cookies)) for _ in range(20)]
    answers = await asyncio.gather(*(twin.post(f"/session/{session_id}/claim", {"code": code}) for twin in twins))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 19
    assert len([twin for twin in twins if (await world.who(twin)).startswith("alice")]) == 1
    assert (await phone.scan(link)).code == "wrong_state"


async def test_brute_force_login_five_wrong_codes_end_the_session(world: World) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    code = (await phone.approve(link)).json()["code"]
    wrong = [f"{(int(code) + i) % 1_000_000:06d}" for i in range(1, 6)]
    answers = [await desktop.post(f"/session/{session_id}/claim", {"code": guess}) for guess in wrong]
    assert [answer.json()["attemptsLeft"] for answer in answers] == [4, 3, 2, 1, 0]
    assert {answer.code for answer in answers} == {"code_wrong"}
    assert (await desktop.post(f"/session/{session_id}/claim", {"code": code})).code == "wrong_state"
    assert await status(world, desktop, session_id) == "rejected"


async def test_brute_force_login_parallel_guesses_do_not_buy_more_attempts(world: World) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    code = int((await phone.approve(link)).json()["code"])
    guesses = [f"{(code + i) % 1_000_000:06d}" for i in range(1, 60)]
    answers = await asyncio.gather(*(desktop.post(f"/session/{session_id}/claim", {"code": g}) for g in guesses))
    assert sum(answer.code == "code_wrong" for answer in answers) <= 5
    assert (await desktop.post(f"/session/{session_id}/claim", {"code": f"{code:06d}"})).status in (200, 409)


async def test_brute_force_login_unknown_foreign_and_malformed_ids_look_alike(world: World) -> None:
    desktop, other = world.browser(), world.browser()
    session_id, _ = await world.start(desktop)
    await world.start(other)
    bodies = {
        (await other.get(f"/session/{candidate}")).body for candidate in (session_id, "A" * 22, "x", "A" * 500, "%00")
    }
    assert len(bodies) == 1


async def test_universal_account_takeover_the_account_is_that_of_the_key(world: World) -> None:
    await world.log_in("alice")
    mallory = await world.enrolled_phone("mallory")
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    context = (await mallory.scan(link)).json()["context"]
    body = mallory.answer_body(link, context, Decision.APPROVE)
    extra = {"userId": "alice", "username": "alice", "accountId": "alice", "account_id": "alice"}
    approved = await mallory.post("/approve", body | extra)
    claimed = await desktop.post(f"/session/{session_id}/claim", {"code": approved.json()["code"]} | extra)
    assert claimed.json()["username"] == "mallory"
    assert await world.who(desktop) == "mallory authenticated L0 L1"


async def test_universal_account_takeover_a_key_is_enrolled_for_one_account(world: World) -> None:
    phone = await world.enrolled_phone("alice")
    mallory = await world.log_in("mallory")
    offer = (await mallory.post("/devices/enrol")).json()
    proof = await phone.prove(offer["qrData"])
    confirmed = await mallory.post(f"/devices/enrol/{offer['enrolmentId']}/confirm", {"code": proof.json()["code"]})
    assert confirmed.code == "key_refused"


async def test_privacy_abuse_nobody_learns_more_than_needed(world: World) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser(ip="203.0.113.66")
    session_id, link = await world.start(desktop)
    stranger = world.phone()
    stranger.key_id = b"\x09" * 16
    refused = await stranger.scan(link)
    assert refused.code == "device_unknown"  # Who the desktop is, only an enrolled phone is told.
    assert b"203.0.113" not in refused.body
    async with desktop.stream(f"/session/{session_id}/events") as stream:
        await phone.approve(link)
        while await stream.next_status() != "approved":
            pass
        seen = stream.raw + (await desktop.get(f"/session/{session_id}")).body
    for personal in (
        b"alice",
        b"Pixel",
        b"198.51.100.7",
        b64url(phone.key_id).encode(),
        b64url(phone.public_key).encode(),
    ):
        assert personal not in seen  # Until it has claimed, the desktop learns nothing about the person.


async def test_privacy_abuse_the_key_id_is_shown_to_nobody_but_the_phone(world: World) -> None:
    alice = await world.log_in()
    phone = world.phone()
    await phone.enrol(alice)
    listed = (await alice.get("/devices")).body + (await alice.get("/sessions")).body
    assert b64url(phone.key_id).encode() not in listed


async def test_a_forged_signature_under_a_small_order_key_is_refused(world: World) -> None:
    # With A of small order, R = B^s and any s, the equation holds for every message in implementations without the
    # check.
    from useid_middleware.errors import AuthenticationError
    from useid_middleware.qr.core.signing import verify_signature

    identity = bytes.fromhex(SMALL_ORDER_KEYS[1])
    forged = SigningKey.generate().sign(b"anything").signature
    base_point = bytes.fromhex("5866666666666666666666666666666666666666666666666666666666666666")
    for signature in (forged, identity + bytes(32), base_point + (1).to_bytes(32, "little")):
        with pytest.raises(AuthenticationError, match="signature_invalid"):
            verify_signature(b"message", signature=signature, public_key=identity, issued_at=0, now=0)
