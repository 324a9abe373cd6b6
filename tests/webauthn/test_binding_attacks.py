"""Attacks on the switch of devices: the relay at each level, and on every step of the binding."""

from typing import Any

import pytest

from tests.actors import Answer
from tests.webauthn.bound import BoundPhone, BoundWorld, Desktop, bound_world
from tests.webauthn.world import Authenticator
from useid_middleware._codec import b64url, un_b64url_any
from useid_middleware.errors import RequestError
from useid_middleware.events import LoginBound
from useid_middleware.webauthn.core.sealing import open_refresh_url, seal_refresh_url

NOBODY = "b64url of nobody's account".ljust(43, "A").replace(" ", "-").replace("'", "_")


async def in_time(world: BoundWorld) -> tuple[BoundPhone, Desktop, dict[str, Any]]:
    """A login whose desktop is asked for its proof: phone, desktop, and what the desktop is told."""
    phone, desktop = await world.bound_phone(), world.desktop()
    await desktop.start()
    await phone.take_part(desktop)
    return phone, desktop, await desktop.status()


# ── the relay: a phishing page shows the victim the QR code of the attacker's own desktop ──────────────────────────


async def test_at_l0_a_relayed_code_logs_the_attacker_in_as_the_victim() -> None:
    """Said so in docs/security.md, and here is why L0 is not the default."""
    async with bound_world(assurance="L0") as world:
        victim, attacker = await world.bound_phone("victim"), world.desktop(ip="203.0.113.66")
        relayed = await attacker.start()
        assert (await victim.phone.approve(relayed)).status == 200
        assert (await attacker.browser.post(f"/session/{attacker.session_id}/claim", {})).status == 200
        assert await world.who(attacker.browser) == "victim authenticated L0"


async def test_at_l1_the_code_that_only_the_victims_phone_shows_stops_the_relay() -> None:
    async with bound_world(assurance="L1") as world:
        victim, attacker = await world.bound_phone("victim"), world.desktop(ip="203.0.113.66")
        relayed = await attacker.start()
        code = (await victim.phone.approve(relayed)).json()["code"]
        claim = f"/session/{attacker.session_id}/claim"
        assert (await attacker.browser.post(claim, {})).code == "code_required"
        guesses = [f"{(int(code) + step) % 1_000_000:06d}" for step in range(1, 6)]
        assert [(await attacker.browser.post(claim, {"code": guess})).code for guess in guesses] == ["code_wrong"] * 5
        assert (await attacker.browser.post(claim, {"code": code})).code == "wrong_state"
        assert await world.who(attacker.browser) == ""


async def test_at_l2_the_phone_that_is_not_near_the_attacker_stops_the_relay() -> None:
    async with bound_world() as world:
        victim, attacker = await world.bound_phone("victim"), world.desktop(ip="203.0.113.66")
        await attacker.start()
        # The victim is fooled from start to end: the phishing page shows the attacker's code, with the attacker's key.
        await victim.take_part(attacker)
        told = await attacker.status()
        assert told["status"] == "authenticating"
        # The sealed address is for the attacker's key, and is not told before the proof.
        assert "sealedRefreshUrl" not in told
        assert (await attacker.browser.post(f"/session/{attacker.session_id}/claim", {})).code == "wrong_state"
        # Near the attacker there is no phone of the victim's: nothing but a key of his own, under the asked-for name.
        forged = Authenticator()
        forged.create({"rp": {"id": "localhost"}, "challenge": told["options"]["challenge"], "user": {"id": "AA"}})
        forged.credentials[0].id = un_b64url_any(told["options"]["allowCredentials"][0]["id"])
        forged.credentials[0].user_handle = un_b64url_any(told["userId"])
        answer = await attacker.prove(told, forged)
        assert (answer.status, answer.code) == (401, "webauthn_signature_invalid")
        assert (await attacker.status())["status"] == "rejected"
        assert await world.who(attacker.browser) == ""
        assert world.told(LoginBound) == []


async def test_with_two_desktops_and_one_phone_the_right_desktop_alone_gets_in() -> None:
    async with bound_world() as world:
        phone, right, wrong = await world.bound_phone(), world.desktop(), world.desktop(ip="203.0.113.66")
        await right.start()
        await wrong.start()
        await phone.take_part(right)
        assert (await wrong.status())["status"] == "waiting"
        told = await right.status()
        # Even with the phone near both, what was made for one says nothing about the other.
        stolen = await wrong.prove(told, phone.authenticator)
        assert (stolen.status, stolen.code) == (404, "binding_unknown")
        proved = await right.prove(told, phone.authenticator)
        assert proved.status == 200
        sealed = proved.json()["sealedRefreshUrl"]
        # Nor is the address, once known, worth anything in the other browser.
        elsewhere = await wrong.browser.send("GET", right.open(sealed))
        assert (elsewhere.status, await world.who(wrong.browser)) == (404, "")
        assert (await right.follow(sealed)).status == 303
        assert await world.who(right.browser) == "alice authenticated L0 L1 L2"


async def test_the_onlookers_phone_takes_a_code_over_and_brings_nobody_in() -> None:
    """Somebody photographs the victim's screen and is quicker: the victim's desktop then asks for a phone not there."""
    async with bound_world() as world:
        attacker, victim, desktop = await world.bound_phone("attacker"), await world.bound_phone(), world.desktop()
        await desktop.start()
        await attacker.take_part(desktop)
        told = await desktop.status()
        assert (await victim.phone.scan(desktop.link)).code == "wrong_state"
        assert victim.authenticator.credentials == []
        # The attacker's credential is asked for, and its phone is not there.
        assert {each["id"] for each in told["options"]["allowCredentials"]} == {
            b64url(each.id) for each in attacker.authenticator.credentials
        }
        assert await world.who(desktop.browser) == ""


# ── the steps out of order, and by others ──────────────────────────────────────────────────────────────────────────


async def test_no_account_comes_before_the_approval() -> None:
    async with bound_world() as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        await desktop.start()
        address = "https://app.example/auth/session/refresh/guessed"
        for _ in ("waiting", "scanned"):
            answer = await phone.create(desktop.session_id, address, public_key=desktop.public_key)
            assert (answer.status, answer.code) == (409, "wrong_state")
            await phone.phone.scan(desktop.link)


@pytest.mark.parametrize("assurance", ["L0", "L1"])
async def test_a_login_of_a_lower_level_cannot_be_bound(assurance: str) -> None:
    async with bound_world(assurance=assurance) as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        await desktop.start()
        answer = await phone.phone.approve(desktop.link)
        assert "refreshUrl" not in answer.json()
        created = await phone.create(desktop.session_id, "https://app.example/", public_key=desktop.public_key)
        assert created.code == "wrong_state"


async def test_the_refresh_address_is_worth_nothing_before_the_proof() -> None:
    async with bound_world() as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        await desktop.start()
        refresh_url = await phone.approve(desktop.link)
        for step in ("confirmed", "authenticating"):
            assert (await desktop.status())["status"] == step
            answer = await desktop.browser.send("GET", refresh_url.removeprefix("http://localhost:8000"))
            assert (answer.status, await world.who(desktop.browser)) == (409, "")
            if step == "confirmed":
                opened = await phone.create(desktop.session_id, refresh_url, public_key=desktop.public_key)
                await phone.register(opened.json())


async def test_the_phone_that_knows_the_address_is_not_logged_in_by_it() -> None:
    async with bound_world() as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        await desktop.start()
        refresh_url = await phone.approve(desktop.link)
        opened = await phone.create(desktop.session_id, refresh_url, public_key=desktop.public_key)
        await phone.register(opened.json())
        await desktop.prove(await desktop.status(), phone.authenticator)
        answer = await phone.phone.client.send("GET", refresh_url.removeprefix("http://localhost:8000"))
        assert answer.status == 401
        assert b"useid-session" not in dict(answer.headers).get(b"set-cookie", b"")


async def test_looking_at_the_refresh_address_uses_nothing_up() -> None:
    async with bound_world() as world:
        phone, desktop, told = await in_time(world)
        sealed = (await desktop.prove(told, phone.authenticator)).json()["sealedRefreshUrl"]
        assert (await desktop.browser.send("HEAD", desktop.open(sealed))).status == 405
        assert (await desktop.follow(sealed)).status == 303
        again = await desktop.follow(sealed)
        assert (again.status, again.header("content-type")) == (409, "text/html; charset=utf-8")


async def test_a_browser_without_the_cookie_proves_nothing_and_uses_nothing_up() -> None:
    async with bound_world() as world:
        phone, desktop, told = await in_time(world)
        stranger = world.desktop()
        answer = await stranger.prove(told, phone.authenticator)
        assert (answer.status, answer.code) == (401, "browser_cookie_missing")
        await stranger.start()
        assert (await stranger.prove(told, phone.authenticator)).code == "binding_unknown"
        assert (await desktop.prove(told, phone.authenticator)).status == 200


async def test_an_account_of_another_login_cannot_be_used_in_its_place() -> None:
    async with bound_world() as world:
        _, first, told = await in_time(world)
        other_phone, second, other_told = await in_time(world)
        swapped = await first.assertion(other_told["userId"], other_phone.authenticator.get(other_told["options"]))
        assert swapped.code == "binding_unknown"
        crossed = await first.assertion(told["userId"], other_phone.authenticator.get(other_told["options"]))
        assert (crossed.status, crossed.code) == (401, "webauthn_credential_not_allowed")
        assert (await second.prove(other_told, other_phone.authenticator)).status == 200


async def test_the_challenge_of_another_login_is_refused() -> None:
    async with bound_world() as world:
        phone, desktop, told = await in_time(world)
        _, _, other = await in_time(world)
        options = told["options"] | {"challenge": other["options"]["challenge"]}
        answer = await desktop.assertion(told["userId"], phone.authenticator.get(options))
        assert (answer.status, answer.code) == (401, "webauthn_challenge_mismatch")


async def test_a_registration_challenge_is_used_once_and_not_for_another_account() -> None:
    async with bound_world() as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        await desktop.start()
        url = await phone.approve(desktop.link)
        one, two = [
            (await phone.create(desktop.session_id, url, public_key=desktop.public_key)).json() for _ in range(2)
        ]
        crossed = await phone.register(one | {"options": two["options"]})
        assert (crossed.status, crossed.code) == (400, "webauthn_challenge_mismatch")
        # The account is gone with its challenge.
        assert (await phone.register(one)).code == "binding_unknown"
        assert (await phone.register(two)).status == 204
        again = await phone.register(two)
        assert (again.status, again.code) == (409, "wrong_state")


async def test_of_two_phones_that_register_the_first_has_the_login() -> None:
    async with bound_world() as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        await desktop.start()
        url = await phone.approve(desktop.link)
        one, two = [
            (await phone.create(desktop.session_id, url, public_key=desktop.public_key)).json() for _ in range(2)
        ]
        assert (await phone.register(two)).status == 204
        late = await phone.register(one)
        assert (late.status, late.code) == (409, "wrong_state")
        assert (await desktop.status())["userId"] == two["userId"]


async def test_the_phones_user_can_still_say_no() -> None:
    async with bound_world() as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        await desktop.start()
        context = (await phone.phone.scan(desktop.link)).json()["context"]
        url = await phone.approve(desktop.link)
        assert (await phone.reject(desktop.link, context)).status == 200
        answer = await phone.create(desktop.session_id, url, public_key=desktop.public_key)
        assert (answer.status, answer.code) == (409, "wrong_state")
        assert (await desktop.status())["status"] == "rejected"


# ── time ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("step", ["create", "register", "prove", "follow"])
async def test_every_step_ends_on_time(step: str) -> None:
    async with bound_world() as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        await desktop.start()
        url = await phone.approve(desktop.link)

        def late(at: str) -> None:
            if step == at:
                world.clock.advance(120)

        late("create")
        answer = await phone.create(desktop.session_id, url, public_key=desktop.public_key)
        if step != "create":
            late("register")
            opened = answer.json()
            answer = await phone.register(opened)
        if step in ("prove", "follow"):
            told = await desktop.status()
            late("prove")
            answer = await desktop.prove(told, phone.authenticator)
        if step == "follow":
            late("follow")
            answer = await desktop.follow(answer.json()["sealedRefreshUrl"])
        assert answer.status in (404, 410)
        assert await world.who(desktop.browser) == ""
        assert (await desktop.status())["status"] == "expired"


# ── bad input ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def send_account(phone: BoundPhone, **body: Any) -> Answer:
    return await phone.phone.post("/webauthn/accounts", body)


async def test_sealed_addresses_that_cannot_be_any_are_refused_and_those_for_another_key_open_nowhere() -> None:
    async with bound_world() as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        await desktop.start()
        url = await phone.approve(desktop.link)
        sealed = seal_refresh_url(url, public_key=desktop.public_key, session_id=desktop.session_id)
        for wrong in ("", sealed[:60], sealed + "=", sealed[:-1] + "!", "A" * 5000, "ä" * 100):
            answer = await send_account(phone, widgetSessionId=desktop.session_id, sealedRefreshUrl=wrong)
            assert (answer.status, answer.code) == (400, "sealed_invalid"), wrong
        private = desktop.key.private_bytes_raw()
        blob = bytearray(un_b64url_any(sealed))
        for place in (0, 31, 32, len(blob) - 1):
            changed = bytearray(blob)
            changed[place] ^= 1
            with pytest.raises(RequestError, match="sealedRefreshUrl"):
                open_refresh_url(b64url(bytes(changed)), private_key=private, session_id=desktop.session_id)
        other = world.desktop()
        await other.start()
        with pytest.raises(RequestError, match="sealedRefreshUrl"):
            open_refresh_url(sealed, private_key=private, session_id=other.session_id)
        with pytest.raises(RequestError, match="sealedRefreshUrl"):
            open_refresh_url(sealed, private_key=other.key.private_bytes_raw(), session_id=desktop.session_id)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "malformed_request"),
        ({"widgetSessionId": "A" * 22}, 400, "malformed_request"),
        ({"widgetSessionId": 7, "sealedRefreshUrl": "A" * 100}, 400, "malformed_request"),
        ({"widgetSessionId": "A" * 22, "sealedRefreshUrl": "A" * 100}, 404, "session_unknown"),
        ({"widgetSessionId": "../..", "sealedRefreshUrl": "A" * 100}, 404, "session_unknown"),
        (
            {"widgetSessionId": "A" * 22, "sealedRefreshUrl": "A" * 100, "attestationFormats": ["x" * 33]},
            400,
            "malformed_request",
        ),
        (
            {"widgetSessionId": "A" * 22, "sealedRefreshUrl": "A" * 100, "attestationFormats": ["packed"] * 17},
            400,
            "malformed_request",
        ),
    ],
)
async def test_accounts_that_make_no_sense_are_refused(body: dict[str, Any], status: int, code: str) -> None:
    async with bound_world() as world:
        answer = await send_account(await world.bound_phone(), **body)
        assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize("user_id", ["A", NOBODY, "A" * 43, "%00", "..%2f", "A" * 500])
async def test_an_account_that_is_unknown_has_one_answer_for_all(user_id: str) -> None:
    async with bound_world() as world:
        phone, desktop, told = await in_time(world)
        credential = phone.authenticator.get(told["options"])
        asserted = await desktop.assertion(user_id, credential)
        assert (asserted.status, asserted.code) == (404, "binding_unknown")


@pytest.mark.parametrize(
    "credential", [{}, {"id": "AA"}, {"id": "AA", "rawId": "AB", "type": "public-key"}, {"type": []}]
)
async def test_credentials_that_make_no_sense_are_refused_and_use_nothing_up(credential: dict[str, Any]) -> None:
    async with bound_world() as world:
        phone, desktop, told = await in_time(world)
        answer = await desktop.assertion(told["userId"], credential)
        assert answer.status in (400, 401)
        assert answer.code.startswith("webauthn_")
        assert (await desktop.prove(told, phone.authenticator)).status == 200


async def test_the_store_keeps_no_refresh_address_and_no_private_key() -> None:
    async with bound_world() as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        await desktop.start()
        url = await phone.approve(desktop.link)
        opened = (await phone.create(desktop.session_id, url, public_key=desktop.public_key)).json()
        await phone.register(opened)
        await desktop.prove(await desktop.status(), phone.authenticator)
        written = b"\n".join(world.watched.written)
        assert url.rpartition("/")[2].encode() not in written
        assert b"/session/refresh/" not in written


async def test_neither_logs_nor_events_nor_the_page_show_a_secret_of_a_bound_login(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    async with bound_world() as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        await desktop.start()
        url = await phone.approve(desktop.link)
        opened = (await phone.create(desktop.session_id, url, public_key=desktop.public_key)).json()
        await phone.register(opened)
        async with desktop.browser.stream(f"/session/{desktop.session_id}/events") as stream:
            told = (await stream.next())[1]
            proved = await desktop.prove(told, phone.authenticator)
            await stream.next()
            page = stream.raw.decode()
        await desktop.follow(proved.json()["sealedRefreshUrl"])
        secret = url.rpartition("/")[2][22:]
        cookies = list(desktop.browser.cookies.values())
        said = caplog.text + repr(world.heard) + page
        assert [each for each in (secret, *cookies) if each in said] == []
        assert len(cookies) == 2
