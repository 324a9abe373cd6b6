"""A QR login at L2: the flow page "Magnus with WebAuthn" with our own phone app, and what becomes of its steps."""

from typing import Any

import pytest

from tests.webauthn.bound import ORIGIN, bound_world
from tests.webauthn.world import Authenticator
from useid_middleware.events import LoginBound, LoginCompleted, QRApproved, QRRejected
from useid_middleware.identity import Level


async def test_the_phone_approves_the_browser_proves_that_it_is_near_and_is_logged_in_at_l2() -> None:
    async with bound_world() as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        await desktop.start(returnUrl="/orders?page=2")
        await phone.take_part(desktop)
        told = await desktop.status()
        proved = await desktop.prove(told, phone.authenticator)
        assert proved.status == 200, proved.body
        assert proved.json()["eServiceCertificateHash"] == ""  # plain http
        answer = await desktop.follow(proved.json()["sealedRefreshUrl"])
        assert (answer.status, answer.header("location")) == (303, "/orders?page=2")
        assert await world.who(desktop.browser) == "alice authenticated L0 L1 L2"
        (completed,) = [each for each in world.told(LoginCompleted) if getattr(each, "provider", "") == "qr"]
        assert isinstance(completed, LoginCompleted)
        assert completed.level is Level.L2
        assert world.told(LoginBound) == [LoginBound(world.clock.now, desktop.session_id)]
        assert len(world.told(QRApproved)) == 1


async def test_the_page_is_told_step_by_step_and_asked_by_an_event_of_its_own() -> None:
    async with bound_world() as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        await desktop.start()
        async with desktop.browser.stream(f"/session/{desktop.session_id}/events") as stream:
            assert await stream.next_status() == "waiting"
            refresh_url = await phone.approve(desktop.link)
            assert [await stream.next_status(), await stream.next_status()] == ["scanned", "confirmed"]
            opened = (await phone.create(desktop.session_id, refresh_url, public_key=desktop.public_key)).json()
            await phone.register(opened)
            name, told = await stream.next()
            assert (name, told["status"], told["userId"]) == ("authenticate", "authenticating", opened["userId"])
            await desktop.prove(told, phone.authenticator)
            name, told = await stream.next()
            assert (name, told["status"], told["codeRequired"]) == ("status", "approved", False)
            await desktop.follow(told["sealedRefreshUrl"])
            assert await stream.next_status() == "claimed"


async def test_the_phone_is_asked_for_a_verified_user_and_no_passkey_the_browser_for_a_phone_nearby() -> None:
    async with bound_world() as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        await desktop.start()
        refresh_url = await phone.approve(desktop.link)
        opened = (await phone.create(desktop.session_id, refresh_url, public_key=desktop.public_key)).json()
        creation = opened["options"]
        selection = creation["authenticatorSelection"]
        assert (selection["userVerification"], selection["residentKey"]) == ("required", "discouraged")
        assert (creation["attestation"], creation["user"]["id"]) == ("none", opened["userId"])
        await phone.register(opened)
        request = (await desktop.status())["options"]
        assert (request["hints"], request["userVerification"]) == (["hybrid"], "required")
        assert [each["transports"] for each in request["allowCredentials"]] == [["hybrid"]]
        assert request["challenge"] != creation["challenge"]


async def test_the_answer_to_create_and_the_scan_say_that_the_login_is_bound() -> None:
    async with bound_world() as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        answer = (await desktop.browser.post("/session/create", {})).json()
        assert (answer["assurance"], answer["refreshOrigins"]) == ("L2", [ORIGIN])
        assert (await phone.phone.scan(answer["qrData"])).json()["binding"] is True
    async with bound_world(assurance="L1") as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        answer = (await desktop.browser.post("/session/create", {})).json()
        assert "refreshOrigins" not in answer
        assert "binding" not in (await phone.phone.scan(answer["qrData"])).json()


async def test_an_account_is_gone_after_one_assertion() -> None:
    async with bound_world() as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        await desktop.start()
        opened = await phone.take_part(desktop)
        told = await desktop.status()
        assert (await desktop.prove(told, phone.authenticator)).status == 200
        again = await desktop.prove(told, phone.authenticator)
        assert (again.status, again.code) == (404, "binding_unknown")
        assert await world.watched.get(f"webauthn-account:{opened['userId']}") is None


@pytest.mark.parametrize("wrong", [{"flags": 0x01}, {"rp_id": "app.example"}, {"user_handle": bytes(32)}])
async def test_an_assertion_that_does_not_hold_is_401_and_ends_the_login(wrong: dict[str, Any]) -> None:
    async with bound_world() as world:
        phone, desktop = await world.bound_phone(), world.desktop()
        await desktop.start()
        await phone.take_part(desktop)
        told = await desktop.status()
        answer = await desktop.prove(told, phone.authenticator, **wrong)
        assert answer.status == 401
        assert answer.code.startswith("webauthn_")
        assert (await desktop.status())["status"] == "rejected"
        assert [getattr(each, "reason", "") for each in world.told(QRRejected)] == ["binding"]
        assert (await desktop.prove(told, phone.authenticator)).code == "binding_unknown"


async def test_a_credential_that_is_another_accounts_proves_nothing() -> None:
    async with bound_world() as world:
        phone, desktop, stranger = await world.bound_phone(), world.desktop(), Authenticator(ORIGIN)
        await desktop.start()
        await phone.take_part(desktop)
        told = await desktop.status()
        stranger.credentials = [*phone.authenticator.credentials]
        other = await world.bound_phone("bob")
        second = world.desktop()
        await second.start()
        await other.take_part(second)
        credential = other.authenticator.credentials[-1]
        answer = await desktop.prove(told, stranger, credential=credential)
        assert (answer.status, answer.code) == (401, "webauthn_credential_not_allowed")
