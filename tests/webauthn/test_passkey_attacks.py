"""Attacks on ceremonies: each is refused with its own error, and nothing has happened."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.actors import Answer, Browser
from tests.webauthn.statements import new_key
from tests.webauthn.world import CALLS, ORIGIN, Begun, World, done, opened, respond
from useid_middleware import LoginCompleted, LoginSucceeded
from useid_middleware._codec import b64url
from useid_middleware.events import PasskeyAdded
from useid_middleware.webauthn.core.cose import Algorithm

PURPOSES = tuple(CALLS)
UNKNOWN = b64url(bytes(16))
JSON = {"content-type": "application/json", "origin": ORIGIN}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
        yield world


def refused(purpose: str) -> int:
    """The status of a ceremony that does not hold."""
    return 400 if purpose == "register" else 401


def is_unknown(answer: Answer) -> bool:
    """Whether it is the one answer for ceremonies that are nobody's, over, or somebody else's."""
    return (answer.status, answer.json()) == (
        404,
        {"code": "ceremony_unknown", "message": "ceremonyId: expected one that this browser has begun"},
    )


async def nothing_happened(world: World, browser: Browser) -> bool:
    """Whether nobody was logged in, raised or given a passkey since the first one."""
    session = await world.useid.sessions.load(browser.cookies.get("useid-session", ""))
    return (
        (session is None or session.level == 0 or session.id in world.raised)
        and len(world.heard_of(PasskeyAdded)) == 1
        and all(event.level == 0 or event.session_id in world.raised for event in world.heard_of(LoginCompleted))
    )


# whose ceremony it is


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("thief", ["another browser of the user's", "another user's browser", "nobody's browser"])
async def test_a_ceremony_ends_in_the_browser_where_it_began(world: World, purpose: str, thief: str) -> None:
    browser, authenticator = await world.member()
    begun = await world.begin(browser, purpose)
    credential = respond(authenticator, purpose, begun)
    other = world.browser()
    if thief != "nobody's browser":
        other = await world.log_in("alice" if "user's" in thief and "another user" not in thief else "bob")
    await world.begin(other, "login")
    answer = await world.finish(other, purpose, begun, credential)
    if thief == "nobody's browser" and purpose != "login":
        assert (answer.status, answer.code) == (401, "login_required")
    else:
        assert is_unknown(answer)
    assert await nothing_happened(world, other)
    # Whoever tries it has not spoilt it for the one whose it is.
    assert (await world.finish(browser, purpose, begun, credential)).status == done(purpose)


async def test_a_login_without_the_browsers_cookie_is_refused(world: World) -> None:
    _, authenticator = await world.member()
    browser = world.browser()
    begun = await world.begin(browser, "login")
    credential = authenticator.get(begun.options)
    for cookies in ({}, {"useid-browser": "x"}, {"useid-browser": b64url(bytes(31))}):
        answer = await world.finish(replace(browser, cookies=cookies), "login", begun, credential)
        assert (answer.status, answer.code) == (401, "browser_cookie_missing")
    assert (await world.finish(browser, "login", begun, credential)).status == 200


@pytest.mark.parametrize(
    ("begins", "ends"), [(begins, ends) for begins in PURPOSES for ends in PURPOSES if begins != ends]
)
@pytest.mark.parametrize("secrets", ["apart", "the same"])
async def test_a_ceremony_ends_as_what_it_began(world: World, begins: str, ends: str, secrets: str) -> None:
    browser, authenticator = await world.member()
    if secrets == "the same":
        # Then it is not what binds a ceremony that tells the two kinds apart.
        browser.cookies["useid-browser"] = browser.cookies["useid-session"]
    begun = await world.begin(browser, begins)
    await world.begin(browser, "login")
    # The answer has the form that the other call expects.
    options: dict[str, Any] = {"rpId": "localhost", "rp": {"id": "localhost"}, "allowCredentials": [], **begun.options}
    options.setdefault("user", {"id": b64url(authenticator.credentials[0].user_handle)})
    credential = respond(authenticator, ends, Begun(begun.id, options))
    assert is_unknown(await world.finish(browser, ends, begun, credential))
    assert await nothing_happened(world, browser)


async def test_a_ceremony_of_a_session_ends_with_that_session(world: World) -> None:
    browser, authenticator = await world.member()
    begun = [await world.begin(browser, purpose) for purpose in ("register", "step-up")]
    assert (await world.use("step-up", browser, authenticator)).status == 200
    for purpose, each in zip(("register", "step-up"), begun, strict=True):
        assert is_unknown(await world.finish(browser, purpose, each, respond(authenticator, purpose, each)))


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize(
    "ceremony_id",
    [
        "",
        "x",
        UNKNOWN,
        UNKNOWN + "=",
        b64url(bytes(15)),
        b64url(bytes(17)),
        "é" * 22,
        "../../session",
        "\0",
        "a" * 9000,
    ],
)
async def test_an_id_that_is_nobodys_is_unknown(world: World, purpose: str, ceremony_id: str) -> None:
    browser, authenticator = await world.member()
    begun = await world.begin(browser, purpose)
    await world.begin(browser, "login")
    credential = respond(authenticator, purpose, begun)
    assert is_unknown(await world.finish(browser, purpose, Begun(ceremony_id, {}), credential))
    assert await nothing_happened(world, browser)


# once, and in time


@pytest.mark.parametrize("purpose", PURPOSES)
async def test_a_ceremony_ends_once(world: World, purpose: str) -> None:
    browser, authenticator = await world.member()
    begun = await world.begin(browser, purpose)
    credential = respond(authenticator, purpose, begun)
    cookies = dict(browser.cookies)
    assert (await world.finish(browser, purpose, begun, credential)).status == done(purpose)
    browser.cookies = cookies
    answer = await world.finish(browser, purpose, begun, credential)
    if purpose == "step-up":
        assert (answer.status, answer.code) == (401, "login_required")
    else:
        assert is_unknown(answer)


@pytest.mark.parametrize("purpose", PURPOSES)
async def test_of_two_ends_at_once_one_counts(world: World, purpose: str) -> None:
    browser, authenticator = await world.member()
    begun = await world.begin(browser, purpose)
    credential = respond(authenticator, purpose, begun)
    twins = [replace(browser, cookies=dict(browser.cookies)) for _ in range(3)]
    answers = await asyncio.gather(*(world.finish(twin, purpose, begun, credential) for twin in twins))
    assert sorted(answer.status for answer in answers) == [done(purpose), 404, 404]
    assert all(is_unknown(answer) for answer in answers if answer.status == 404)


@pytest.mark.parametrize("purpose", PURPOSES)
async def test_a_ceremony_that_failed_is_over(world: World, purpose: str) -> None:
    browser, authenticator = await world.member()
    begun = await world.begin(browser, purpose)
    answer = await world.finish(browser, purpose, begun, respond(authenticator, purpose, begun, rp_id="evil.example"))
    assert (answer.status, answer.code) == (refused(purpose), "webauthn_rp_id_mismatch")
    assert is_unknown(await world.finish(browser, purpose, begun, respond(authenticator, purpose, begun)))
    assert await nothing_happened(world, browser)


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("lifetime", [30, 300])
async def test_a_ceremony_lasts_as_long_as_the_settings_say_to_the_instant(purpose: str, lifetime: int) -> None:
    async with opened(webauthn={"lifetime": lifetime}) as world:
        browser, authenticator = await world.member()
        begun = [await world.begin(browser, purpose) for _ in range(2)]
        assert begun[0].options["timeout"] == lifetime * 1000
        world.clock.advance(lifetime)
        late = await world.finish(browser, purpose, begun[0], respond(authenticator, purpose, begun[0]))
        assert is_unknown(late)
        world.clock.advance(-0.001)
        answer = await world.finish(browser, purpose, begun[1], respond(authenticator, purpose, begun[1]))
        assert answer.status == done(purpose)


@pytest.mark.parametrize("purpose", PURPOSES)
async def test_a_ceremony_from_the_future_is_refused(world: World, purpose: str) -> None:
    browser, authenticator = await world.member()
    begun = await world.begin(browser, purpose)
    world.clock.advance(-1)
    answer = await world.finish(browser, purpose, begun, respond(authenticator, purpose, begun))
    assert (answer.status, answer.code) == (410, "webauthn_challenge_expired")


# what was signed


@pytest.mark.parametrize("purpose", PURPOSES)
async def test_the_challenges_of_two_ceremonies_cannot_be_swapped(world: World, purpose: str) -> None:
    browser, authenticator = await world.member()
    first, second = await world.begin(browser, purpose), await world.begin(browser, purpose)
    for begun, other in ((first, second), (second, first)):
        answer = await world.finish(browser, purpose, begun, respond(authenticator, purpose, other))
        assert (answer.status, answer.code) == (refused(purpose), "webauthn_challenge_mismatch")
    assert await nothing_happened(world, browser)


async def test_an_assertion_for_a_login_is_none_for_a_step_up_and_the_other_way_round(world: World) -> None:
    browser, authenticator = await world.member()
    login, step_up = await world.begin(browser, "login"), await world.begin(browser, "step-up")
    for purpose, begun, other in (("login", login, step_up), ("step-up", step_up, login)):
        answer = await world.finish(browser, purpose, begun, authenticator.get(other.options))
        assert (answer.status, answer.code) == (401, "webauthn_challenge_mismatch")
    assert await nothing_happened(world, browser)


@pytest.mark.parametrize("purpose", PURPOSES)
async def test_the_answer_to_the_other_kind_of_ceremony_is_refused(world: World, purpose: str) -> None:
    browser, authenticator = await world.member()
    await world.step_up(browser)
    begun = await world.begin(browser, purpose)
    other = "login" if purpose == "register" else "register"
    of_other_kind = replace(authenticator, credentials=list(authenticator.credentials))
    stolen = respond(of_other_kind, other, await world.begin(browser, other))
    answer = await world.finish(browser, purpose, begun, stolen)
    assert (answer.status, answer.code) == (400, "webauthn_response_malformed")
    # The right members, and what was signed says another type.
    kind = "webauthn.get" if purpose == "register" else "webauthn.create"
    client_data = {"type": kind, "challenge": begun.options["challenge"], "origin": ORIGIN}
    answer = await world.finish(
        browser, purpose, begun, respond(authenticator, purpose, begun, client_data=client_data)
    )
    assert (answer.status, answer.code) == (refused(purpose), "webauthn_type_mismatch")


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"origin": "https://evil.example"}, "webauthn_origin_mismatch"),
        ({"origin": "http://localhost:8001"}, "webauthn_origin_mismatch"),
        ({"origin": "http://127.0.0.1:8000"}, "webauthn_origin_mismatch"),
        ({"crossOrigin": True}, "webauthn_cross_origin_refused"),
        ({"topOrigin": "https://evil.example"}, "webauthn_top_origin_mismatch"),
    ],
)
async def test_what_another_page_asked_for_is_refused(
    world: World, purpose: str, members: dict[str, Any], code: str
) -> None:
    browser, authenticator = await world.member()
    begun = await world.begin(browser, purpose)
    client_data = {
        "type": "webauthn.create" if purpose == "register" else "webauthn.get",
        "challenge": begun.options["challenge"],
        "origin": ORIGIN,
        **members,
    }
    answer = await world.finish(
        browser, purpose, begun, respond(authenticator, purpose, begun, client_data=client_data)
    )
    assert (answer.status, answer.code) == (refused(purpose), code)
    assert await nothing_happened(world, browser)


@pytest.mark.parametrize("purpose", ["login", "step-up"])
async def test_another_key_does_not_pass_for_somebodys_passkey(world: World, purpose: str) -> None:
    browser, authenticator = await world.member()
    attacker = world.browser() if purpose == "login" else browser
    begun = await world.begin(attacker, purpose)
    [known] = authenticator.credentials
    forged = replace(known, key=new_key(Algorithm.ES256))
    answer = await world.finish(attacker, purpose, begun, authenticator.get(begun.options, credential=forged))
    assert (answer.status, answer.code) == (401, "webauthn_signature_invalid")
    assert await nothing_happened(world, attacker)


async def test_a_passkey_logs_in_its_own_account_whomever_it_names(world: World) -> None:
    alice, of_alice = await world.member("alice")
    _, of_mallory = await world.member("mallory")
    handle = of_alice.credentials[0].user_handle
    answer = await world.use("login", world.browser(), of_mallory, user_handle=handle)
    assert (answer.status, answer.code) == (401, "webauthn_user_handle_mismatch")
    browser = world.browser()
    assert (await world.use("login", browser, of_mallory)).json()["username"] == "mallory"
    assert (await world.told(alice))["acr"] == "L0"


# where it comes from


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:8001"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": ORIGIN},
    ],
)
async def test_pages_of_other_sites_can_do_nothing(world: World, headers: dict[str, str]) -> None:
    browser, _ = await world.member()
    [passkey] = await world.passkeys(browser)
    calls = [("POST", path) for paths in CALLS.values() for path in paths]
    calls += [("PATCH", f"/passkeys/{passkey['id']}"), ("DELETE", f"/passkeys/{passkey['id']}")]
    for method, path in calls:
        answer = await browser.send(
            method, f"/auth{path}", b'{"label": "x"}', {"content-type": "application/json", **headers}
        )
        assert (answer.status, answer.code) == (403, "cross_site_request")
    assert await world.passkeys(browser) == [passkey]


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_a_form_cannot_pass_for_json(world: World, content_type: str) -> None:
    browser, authenticator = await world.member()
    begun = await world.begin(browser, "login")
    body = json.dumps({"ceremonyId": begun.id, "credential": authenticator.get(begun.options)}).encode()
    for path in ("/passkeys", "/passkeys/login", "/passkeys/login/options", "/passkeys/step-up"):
        answer = await browser.send("POST", f"/auth{path}", body, {**JSON, "content-type": content_type})
        assert (answer.status, answer.code) == (415, "unsupported_media_type")


async def test_other_methods_are_refused(world: World) -> None:
    browser, _ = await world.member()
    for method, path in (("GET", "/passkeys/login"), ("PUT", "/passkeys"), ("POST", "/passkeys/x")):
        answer = await browser.send(method, f"/auth{path}", headers={"origin": ORIGIN})
        assert (answer.status, answer.code) == (405, "method_not_allowed")


async def test_a_passkey_that_is_removed_in_the_middle_of_its_login_leaves_no_session(world: World) -> None:
    member, authenticator = await world.member()
    [passkey] = await world.passkeys(member)
    alice = await world.useid.accounts.find("host", "alice")
    assert alice is not None

    @world.useid.events.on(LoginSucceeded)
    async def remove(event: LoginSucceeded) -> None:
        assert await world.useid.accounts.remove_passkey(alice.id, passkey["id"])

    browser = world.browser()
    answer = await world.use("login", browser, authenticator)
    assert (answer.status, answer.code) == (403, "device_unknown")
    assert len(await world.useid.sessions.of_account(alice.id)) == 1
