"""Every call, and everything a caller can do wrong: its documented error, no 500, and no changed state."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.actors import Browser
from tests.qr.conftest import World, make_settings, open_world
from useid_middleware import (
    Event,
    LimitSettings,
    LoginCompleted,
    LoginFailed,
    LoginSucceeded,
    QRExpired,
    QRSettings,
    Refuse,
    SessionSettings,
)
from useid_middleware._codec import b64url
from useid_middleware.accounts.memory import MemoryAccounts
from useid_middleware.errors import UnavailableError
from useid_middleware.qr.core.signing import Decision

ID = "A" * 22
POSTS = [
    "/session/create",
    f"/session/{ID}",
    f"/session/{ID}/claim",
    "/approve",
    "/reject",
    f"/devices/enrol/{ID}",
    f"/devices/enrol/{ID}/confirm",
    "/devices/enrol",
]


async def state_of_everything(world: World, *desktops: tuple[Browser, str]) -> list[bytes]:
    return [(await desktop.get(f"/session/{session_id}")).body for desktop, session_id in desktops]


async def test_create_answers_what_the_desktop_needs(world: World) -> None:
    answer = await world.browser().post("/session/create", {"appName": "Example", "returnUrl": "/start"})
    body = answer.json()
    assert answer.status == 201
    assert set(body) == {"sessionId", "challenge", "expiresAt", "expiresIn", "qrData", "assurance"}
    assert (body["expiresIn"], body["assurance"]) == (300, "L1")
    assert body["qrData"].startswith(
        f"tana://auth?session={body['sessionId']}&challenge={body['challenge']}&server=http%3A"
    )
    assert len(body["qrData"]) <= 213
    cookie = answer.header("set-cookie")
    assert cookie.startswith("useid-browser=")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Lax")
    assert answer.header("cache-control") == "no-store"


async def test_a_known_browser_keeps_its_long_lived_cookie(world: World) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    code = (await phone.approve(link)).json()["code"]
    claimed = await desktop.post(f"/session/{session_id}/claim", {"code": code})
    cookies = [value for name, value in claimed.headers if name == b"set-cookie"]
    assert any(value.startswith(b"useid-browser=") and b"Max-Age=15552000" in value for value in cookies)
    again = await desktop.post("/session/create")
    assert again.header("set-cookie") == ""


async def test_several_tabs_of_a_browser_log_in_at_once(world: World) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser()
    tabs = [await world.start(desktop) for _ in range(3)]
    codes = [(await phone.approve(link)).json().get("code") for _, link in tabs]
    answers = [
        await desktop.post(f"/session/{session_id}/claim", {"code": code} if code else {})
        for (session_id, _), code in zip(tabs, codes, strict=True)
    ]
    assert [answer.status for answer in answers] == [200, 200, 200]


async def test_a_browser_that_passed_a_code_is_known_to_that_account_and_to_no_other(world: World) -> None:
    alice, bob = await world.enrolled_phone("alice"), await world.enrolled_phone("bob")
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    code = (await alice.approve(link)).json()["code"]
    first = await desktop.post(f"/session/{session_id}/claim", {"code": code})
    assert first.json()["amr"] == ["pop", "swk", "mca"]
    session_id, link = await world.start(desktop)
    assert (await alice.approve(link)).json() == {"status": "approved"}
    assert (await desktop.get(f"/session/{session_id}")).json()["codeRequired"] is False
    second = await desktop.post(f"/session/{session_id}/claim")
    assert (second.json()["acr"], second.json()["amr"]) == ("L1", ["pop", "swk", "rba"])
    _, link = await world.start(desktop)
    assert "code" in (await bob.approve(link)).json()
    world.clock.advance(180 * 86400 + 1)
    _, link = await world.start(desktop)
    assert "code" in (await alice.approve(link)).json()


async def test_at_l0_the_pages_own_flow_works_without_frame_and_code(plain_world: World) -> None:
    world = plain_world
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    assert "frame=" not in link
    assert (await phone.approve(link)).json() == {"status": "approved"}
    claimed = await desktop.post(f"/session/{session_id}/claim")
    assert (claimed.json()["acr"], claimed.json()["amr"]) == ("L0", ["pop", "swk"])
    assert await world.who(desktop) == "alice authenticated L0"


async def test_bearer_delivery_is_off_unless_asked_for() -> None:
    for bearer in (False, True):
        world = await open_world(make_settings(sessions=SessionSettings(bearer=bearer)))
        phone = await world.enrolled_phone()
        desktop = world.browser()
        session_id, link = await world.start(desktop)
        code = (await phone.approve(link)).json()["code"]
        body = (await desktop.post(f"/session/{session_id}/claim", {"code": code})).json()
        assert ("sessionToken" in body) is bearer
        token = body.get("sessionToken", desktop.cookies["useid-session"])
        api = world.browser()
        api.headers["authorization"] = f"Bearer {token}"
        assert (await world.who(api)).startswith("alice") is bearer


async def test_a_login_rotates_the_session_and_ends_the_one_before(world: World) -> None:
    desktop = await world.log_in("bob")
    before = desktop.cookies["useid-session"]
    phone = await world.enrolled_phone("alice")
    session_id, link = await world.start(desktop)
    code = (await phone.approve(link)).json()["code"]
    await desktop.post(f"/session/{session_id}/claim", {"code": code})
    assert desktop.cookies["useid-session"] != before
    old = Browser(world.app, cookies={"useid-session": before})
    assert await world.who(old) == ""


async def test_a_listener_may_refuse_and_nothing_is_logged_in(world: World) -> None:
    @world.app.useid.events.on(LoginSucceeded)
    def refuse(event: LoginSucceeded) -> None:
        if event.identity.provider == "qr":
            raise Refuse("Closed today.")

    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    code = (await phone.approve(link)).json()["code"]
    answer = await desktop.post(f"/session/{session_id}/claim", {"code": code})
    assert (answer.status, answer.code, answer.json()["message"]) == (403, "login_refused", "Closed today.")
    assert await world.who(desktop) == ""
    assert [event.code for event in world.told(LoginFailed) if isinstance(event, LoginFailed)] == ["login_refused"]


async def test_a_listener_that_fails_disturbs_no_login(world: World) -> None:
    @world.app.useid.events.on(LoginCompleted)
    async def fail(event: Event) -> None:
        raise RuntimeError("down")

    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    code = (await phone.approve(link)).json()["code"]
    assert (await desktop.post(f"/session/{session_id}/claim", {"code": code})).status == 200


async def test_expiry_is_told_once_to_all_who_watch() -> None:
    world = await open_world(make_settings(qr=QRSettings(lifetime=0.2)))
    desktop = world.browser()
    session_id, _ = await world.start(desktop)
    # Two tabs wait; the loop's timer fires by real time, so the session's clock follows it.
    async with (
        desktop.stream(f"/session/{session_id}/events") as one,
        desktop.stream(f"/session/{session_id}/events") as two,
    ):
        assert await one.next_status() == await two.next_status() == "waiting"
        world.clock.advance(0.2)
        assert await one.next_status() == await two.next_status() == "expired"
        await one.end()
        await two.end()
    assert len(world.told(QRExpired)) == 1


async def test_a_final_status_is_shown_for_a_minute_then_204_then_404(world: World) -> None:
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    await phone.reject(link)
    path = f"/session/{session_id}/events"
    async with desktop.stream(path) as stream:
        assert await stream.next_status() == "rejected"
        await stream.end()
    assert (await desktop.get(path, {"last-event-id": "3"})).status == 204
    world.clock.advance(59.9)
    async with desktop.stream(path) as stream:
        assert await stream.next_status() == "rejected"
        await stream.end()
    world.clock.advance(0.2)
    assert (await desktop.get(path)).status == 204
    world.clock.advance(60)
    assert (await desktop.get(path)).code == "session_unknown"


async def test_the_stream_begins_with_retry_and_cannot_be_cached_or_buffered(world: World) -> None:
    desktop = world.browser()
    session_id, _ = await world.start(desktop)
    async with desktop.stream(f"/session/{session_id}/events") as stream:
        await stream.next()
        first = stream.raw.split(b"\n")[0]
    assert first.startswith(b"retry: ")
    assert 2000 <= int(first.split()[1]) <= 4000


async def test_a_server_drawn_qr_is_there_while_the_session_waits(world: World) -> None:
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    answer = await desktop.get(f"/session/{session_id}/qr.svg")
    assert (answer.status, answer.header("content-type")) == (200, "image/svg+xml")
    assert b'<svg xmlns="http://www.w3.org/2000/svg"' in answer.body
    world.clock.advance(30)
    rotated = await desktop.get(f"/session/{session_id}/qr.svg")
    assert rotated.body != answer.body
    phone = await world.enrolled_phone()
    await phone.scan(link)
    assert (await desktop.get(f"/session/{session_id}/qr.svg")).code == "wrong_state"


async def test_limits_answer_429_with_retry_after() -> None:
    world = await open_world(make_settings(limits=LimitSettings(per_ip=4, per_account=1000, per_key=1000)))
    desktop = world.browser(ip="192.0.2.77")
    answers = [await desktop.post("/session/create") for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 201, 429]
    assert answers[2].code == "rate_limited"
    assert answers[2].header("retry-after") == "15"
    assert (await world.browser(ip="192.0.2.78").post("/session/create")).status == 201
    world.clock.advance(15)
    assert (await desktop.post("/session/create")).status == 201


async def test_an_ipv6_network_is_one_neighbour() -> None:
    world = await open_world(make_settings(limits=LimitSettings(per_ip=2, per_account=1000, per_key=1000)))
    assert (await world.browser(ip="2001:db8:1:2::1").post("/session/create")).status == 201
    assert (await world.browser(ip="2001:db8:1:2:aaaa::9").post("/session/create")).status == 429
    assert (await world.browser(ip="2001:db8:1:3::1").post("/session/create")).status == 201


async def test_waiting_logins_are_capped_over_all_addresses() -> None:
    world = await open_world(make_settings(qr=QRSettings(waiting_limit=10)))
    statuses = [(await world.browser(ip=f"192.0.2.{i}").post("/session/create")).status for i in range(11)]
    assert statuses == [201] * 10 + [429]
    for _ in range(300):
        world.clock.advance(1)
        assert (await world.browser().post("/session/create")).status == 429
    # They have run out: in slots of a sixteenth of their lifetime.
    world.clock.advance(300 / 16)
    assert (await world.browser().post("/session/create")).status == 201


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"{}}", b"[" * 9000, b'{"a":' * 2000, b'{"code":1, "sessionId":{}}'],
)
async def test_malformed_json_is_400(world: World, path: str, body: bytes) -> None:
    alice = await world.log_in()
    desktop = world.browser()
    session_id, _ = await world.start(desktop)
    before = await state_of_everything(world, (desktop, session_id))
    alice.cookies |= desktop.cookies
    answer = await alice.send(
        "POST", f"/auth{path.replace(ID, session_id)}", body, {"content-type": "application/json"}
    )
    # An unknown member is no fault; where none is required, such an object is as good as an empty one.
    lenient = path in ("/session/create", "/devices/enrol") and body.startswith(b'{"code"')
    assert answer.status in ((201,) if lenient else (400, 404))
    assert answer.status != 400 or answer.code == "malformed_request"
    assert await state_of_everything(world, (desktop, session_id)) == before


@pytest.mark.parametrize("path", POSTS)
async def test_a_body_over_16_kib_is_413_in_one_piece_or_in_many(world: World, path: str) -> None:
    alice = await world.log_in()
    alice.cookies |= {"useid-browser": "A" * 43}
    body = json.dumps({"x": "a" * 17_000}).encode()
    for chunks in (1, 40):
        answer = await alice.send("POST", f"/auth{path}", body, {"content-type": "application/json"}, chunks=chunks)
        assert (answer.status, answer.code) == (413, "body_too_large")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_another_media_type_is_415(world: World, path: str, media_type: str) -> None:
    alice = await world.log_in()
    alice.cookies |= {"useid-browser": "A" * 43}
    answer = await alice.send("POST", f"/auth{path}", b'{"a":1}', {"content-type": media_type})
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/session/create", None),
        ("PUT", f"/session/{ID}", "GET, HEAD, POST"),
        ("DELETE", f"/session/{ID}", "GET, HEAD, POST"),
        ("POST", f"/session/{ID}/events", "GET, HEAD"),
        ("GET", f"/session/{ID}/claim", "POST"),
        ("GET", "/approve", "POST"),
        ("PATCH", "/reject", "POST"),
        ("OPTIONS", "/devices", "GET, HEAD"),
        ("DELETE", "/logout", "GET, HEAD, POST"),
        ("POST", "/widget/useid-login.js", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_405_with_allow(world: World, method: str, path: str, allow: str | None) -> None:
    answer = await world.browser().send(method, f"/auth{path}")
    if allow is None:
        # `create` is no session id, though it stands where one could: nobody's session.
        assert answer.status in (401, 405)
        return
    assert (answer.status, answer.code, answer.header("allow")) == (405, "method_not_allowed", allow)


@pytest.mark.parametrize("path", [*POSTS, "/logout", "/plain"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:8001"},
        {"origin": "http://127.0.0.1:8000.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8000"},
    ],
    ids=str,
)
async def test_a_cross_site_post_is_refused(world: World, path: str, headers: dict[str, str]) -> None:
    alice = await world.log_in()
    answer = await alice.send("POST", f"/auth{path}", b"{}", {"content-type": "application/json", **headers})
    assert (answer.status, answer.code) == (403, "cross_site_request")
    assert (await world.who(alice)).startswith("alice")


async def test_a_form_of_ours_may_hide_where_it_comes_from(world: World) -> None:
    for fetch_site, status in (("same-origin", 201), ("none", 403), ("cross-site", 403)):
        headers = {"origin": "null", "sec-fetch-site": fetch_site}
        assert (await world.browser().post("/session/create", headers=headers)).status == status
    rebound = {"origin": "http://evil.example:8000", "sec-fetch-site": "same-origin"}
    assert (await world.browser().post("/session/create", headers=rebound)).code == "cross_site_request"


async def test_an_unknown_host_is_421_unless_the_origin_is_set(world: World) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil", "user@127.0.0.1", "127.0.0.1/x", ""):
        answer = await Browser(world.app, host=host).send("POST", "/auth/session/create", b"{}")
        assert (answer.status, answer.code) == (421, "unknown_host"), host
    for host in ("localhost", "localhost:8000", "[::1]:8000", "127.0.0.2", "app.localhost"):
        answer = await Browser(world.app, host=host).post("/session/create")
        assert answer.status == 201, host


async def test_a_fixed_origin_is_used_whatever_the_host_header_says() -> None:
    world = await open_world(make_settings(origin="https://app.example"))
    answer = await Browser(world.app, host="evil.example").send(
        "POST", "/auth/session/create", b"{}", {"content-type": "application/json", "origin": "https://app.example"}
    )
    assert "server=https%3A%2F%2Fapp.example%2Fauth&" in answer.json()["qrData"]
    cookie = answer.header("set-cookie")
    assert cookie.startswith("__Host-useid-browser=")
    assert cookie.endswith("; Secure")


async def test_an_app_name_must_be_one_of_ours(world: World) -> None:
    assert (await world.browser().post("/session/create", {"appName": "Your Bank"})).code == "app_name_refused"


@pytest.mark.parametrize("seconds", [-1, 10**11, 2**63, 2**70])
async def test_a_time_that_is_none_is_malformed(world: World, seconds: int) -> None:
    phone = await world.enrolled_phone()
    _, link = await world.start(world.browser())
    context = (await phone.scan(link)).json()["context"]
    body = phone.answer_body(link, context, Decision.APPROVE) | {"issuedAt": seconds}
    assert (await phone.post("/approve", body)).code == "malformed_request"


@pytest.mark.parametrize("offset", [-121, 121])
async def test_a_phone_whose_clock_is_far_off_is_told_so(world: World, offset: int) -> None:
    phone = await world.enrolled_phone()
    _, link = await world.start(world.browser())
    context = (await phone.scan(link)).json()["context"]
    body = phone.answer_body(link, context, Decision.APPROVE, issued_at=int(world.clock.now) + offset)
    answer = await phone.post("/approve", body)
    assert answer.code == "signature_invalid"
    assert "issuedAt" in answer.json()["message"]


def any_json() -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=60)
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    )


MEMBERS = [
    "type",
    "keyId",
    "frame",
    "sessionId",
    "publicKey",
    "signature",
    "issuedAt",
    "code",
    "label",
    "appName",
    "returnUrl",
]
Call = Callable[[Browser], Awaitable[Any]]


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(POSTS),
    body=st.dictionaries(st.sampled_from(MEMBERS), any_json() | st.sampled_from([ID, "A" * 43, "A" * 86, 1, "scan"])),
    raw=st.none() | st.binary(max_size=200),
)
async def test_no_body_whatsoever_breaks_a_call(path: str, body: dict[str, Any], raw: bytes | None) -> None:
    world = await open_world(make_settings())
    alice = await world.log_in()
    desktop = world.browser()
    session_id, _ = await world.start(desktop)
    alice.cookies |= desktop.cookies
    before = await state_of_everything(world, (desktop, session_id))
    data = raw if raw is not None else json.dumps(body).encode()
    answer = await alice.send(
        "POST", f"/auth{path.replace(ID, session_id)}", data, {"content-type": "application/json"}
    )
    assert answer.status in (201, 400, 401, 403, 404, 409, 413)
    if answer.status != 201:
        assert set(answer.json()) >= {"code", "message"}
    assert await state_of_everything(world, (desktop, session_id)) == before


async def test_a_key_id_is_not_told_by_a_stranger_to_lock_a_session(world: World) -> None:
    desktop, phone = world.browser(), await world.enrolled_phone()
    session_id, link = await world.start(desktop)
    body = {"type": "scan", "keyId": b64url(b"\x01" * 16), "frame": link.rpartition("=")[2]}
    assert (await world.browser().post(f"/session/{session_id}", body)).code == "device_unknown"
    assert (await phone.scan(link)).status == 200


async def test_a_key_and_an_account_have_limits_of_their_own() -> None:
    for limits in ({"per_key": 4, "per_account": 1000}, {"per_key": 1000, "per_account": 4}):
        world = await open_world(make_settings(limits=LimitSettings(per_ip=1000, **limits)))
        phone = await world.enrolled_phone()
        world.clock.advance(60)  # What the enrolment took is back.
        links = [(await world.start(world.browser(ip=f"192.0.2.{i}")))[1] for i in range(4)]
        statuses = []
        for i, link in enumerate(links):
            phone.ip = f"198.51.100.{i}"
            statuses.append((await phone.scan(link)).status)
        assert statuses == [200, 200, 429, 429]


class FlakyAccounts(MemoryAccounts):
    """Accounts that are away for the verbs in ``away``."""

    away: frozenset[str] = frozenset()

    def __getattribute__(self, name: str) -> Any:
        if name != "away" and name in self.away:
            raise UnavailableError("store_unavailable", "the database is away")
        return super().__getattribute__(name)


async def test_a_database_that_is_away_for_a_moment_costs_the_user_nothing() -> None:
    accounts = FlakyAccounts()
    world = await open_world(make_settings(), accounts=accounts)
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    context = (await phone.scan(link)).json()["context"]
    body = phone.answer_body(link, context, Decision.APPROVE)
    accounts.away = frozenset({"device_by_key"})
    unavailable = await phone.post("/approve", body)
    assert (unavailable.status, unavailable.code) == (503, "store_unavailable")
    assert unavailable.header("retry-after") == "2"
    accounts.away = frozenset({"touch_device", "remember_browser"})
    code = (await phone.post("/approve", body)).json()["code"]
    accounts.away = frozenset({"device_by_key"})
    assert (await desktop.post(f"/session/{session_id}/claim", {"code": code})).status == 503
    accounts.away = frozenset({"touch_device", "remember_browser"})
    assert (await desktop.post(f"/session/{session_id}/claim", {"code": code})).status == 200
