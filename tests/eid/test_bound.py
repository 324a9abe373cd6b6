"""The login with an ID card that WebAuthn binds to its browser: on our pages, and in frames of other sites' pages."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.actors import Answer, Browser
from tests.eid.world import World, opened
from tests.webauthn.world import Authenticator
from useid_middleware.eid.core.link import parse_link
from useid_middleware.errors import ConfigurationError
from useid_middleware.events import EIDApproved, EIDRejected, LoginBound
from useid_middleware.webauthn.core.sealing import open_refresh_url, seal_refresh_url

HOST: Final = "localhost:8000"
ORIGIN: Final = f"http://{HOST}"
SHOP: Final = {
    "origins": ("http://shop.localhost:9000",),
    "token_urls": ("http://shop.localhost:9000/eid/tctoken",),
    "client": "bound",
}
KEY: Final = X25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC: Final = KEY.public_key().public_bytes_raw()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened(eid={"client": "bound"}, webauthn={"enabled": True}, embed={"tenants": {"shop": SHOP}}) as world:
        yield world


def desktop_of(world: World) -> Browser:
    return Browser(world.app, ip="192.0.2.1", host=HOST, headers={"accept": "text/html"})


async def call(world: World, method: str, path: str, body: Any) -> Answer:
    """The phone's client calls."""
    phone = Browser(world.app, ip="198.51.100.7", host=HOST)
    return await phone.send(method, f"/auth{path}", json.dumps(body).encode(), {"content-type": "application/json"})


async def create(world: World, session_id: str, refresh_url: str) -> Answer:
    sealed = seal_refresh_url(refresh_url, public_key=PUBLIC, session_id=session_id)
    return await call(world, "POST", "/webauthn/accounts", {"widgetSessionId": session_id, "sealedRefreshUrl": sealed})


async def take_part(world: World, session_id: str, refresh_url: str, phone: Authenticator) -> None:
    """The phone's part after the eID server's success."""
    answer = await create(world, session_id, refresh_url)
    assert answer.status == 201, answer.body
    opened_account = answer.json()
    credential = phone.create(opened_account["options"])
    answer = await call(world, "PUT", f"/webauthn/accounts/{opened_account['userId']}", {"credential": credential})
    assert answer.status == 204, answer.body


async def prove(browser: Browser, told: dict[str, Any], phone: Authenticator, **changes: Any) -> Answer:
    credential = phone.get(told["options"], **changes)
    return await browser.post(f"/webauthn/accounts/{told['userId']}/assertions", {"credential": credential})


def open_for(session_id: str, sealed: str) -> str:
    return open_refresh_url(sealed, private_key=KEY.private_bytes_raw(), session_id=session_id)


async def test_the_card_on_the_phone_logs_the_browser_in_that_is_near_it_at_l3(world: World) -> None:
    desktop, phone = desktop_of(world), Authenticator(ORIGIN)
    started = await world.start(desktop)
    assert (started["mode"], started["refreshOrigins"]) == ("bound", [ORIGIN])
    link = parse_link(f"{started['qrData']}#widgetPublicKey={'A' * 43}")
    assert link.tc_token_url == started["tcTokenUrl"]
    refresh_url = await world.run_client(started["tcTokenUrl"])
    await take_part(world, started["sessionId"], refresh_url, phone)
    told = await world.status(desktop, started)
    assert told["status"] == "authenticating"
    proved = await prove(desktop, told, phone)
    assert proved.status == 200, proved.body
    target = open_for(started["sessionId"], proved.json()["sealedRefreshUrl"])
    assert target == refresh_url
    assert (await world.open(desktop, target)).status == 303
    told = await world.told(desktop)
    assert (told["acr"], told["amr"]) == ("L3", ["sc", "pin", "mfa", "pop", "user"])
    assert world.names().count("EIDApproved") == 1
    assert world.heard_of(LoginBound) == [LoginBound(world.clock.now, started["sessionId"])]


async def test_the_tctoken_names_the_server_that_binds(world: World) -> None:
    desktop = desktop_of(world)
    started = await world.start(desktop)
    server = (await world.fetch_token(started["tcTokenUrl"])).webauthn_server
    assert server is not None
    assert (server.domain, server.key_hashes) == (HOST, ())
    same_device = await world.start(desktop, mode="same-device")
    assert (await world.fetch_token(same_device["tcTokenUrl"])).webauthn_server is None


async def test_nothing_but_the_proof_leads_from_the_card_to_the_login(world: World) -> None:
    desktop = desktop_of(world)
    started = await world.start(desktop)
    refresh_url = await world.run_client(started["tcTokenUrl"])
    # A phishing desktop that learned the refresh address, from a client that does not seal, say.
    assert (await world.open(desktop, refresh_url)).status == 409
    assert (await world.seal(started, "A" * 80)).code == "wrong_state"
    assert (await world.claim(desktop, started, code="123456")).code == "wrong_state"
    assert await world.who(desktop) == ""


@pytest.mark.parametrize("mode", ["standard", "integrated"])
async def test_a_desktop_cannot_choose_a_weaker_way(world: World, mode: str) -> None:
    answer = await desktop_of(world).post("/eid/start", {"mode": mode})
    assert (answer.status, answer.code) == (403, "mode_refused")
    if mode == "integrated":
        answer = await desktop_of(world).post("/eid/start", {"mode": mode, "tenant": "shop"})
        assert (answer.status, answer.code) == (403, "mode_refused")


async def test_without_webauthn_there_is_no_such_mode() -> None:
    async with opened() as world:
        answer = await desktop_of(world).post("/eid/start", {"mode": "bound"})
        assert (answer.status, answer.code) == (403, "mode_refused")


async def test_a_proof_that_does_not_hold_ends_the_login(world: World) -> None:
    desktop, phone = desktop_of(world), Authenticator(ORIGIN)
    started = await world.start(desktop)
    await take_part(world, started["sessionId"], await world.run_client(started["tcTokenUrl"]), phone)
    answer = await prove(desktop, await world.status(desktop, started), phone, flags=0x01)
    assert (answer.status, answer.code) == (401, "webauthn_user_not_verified")
    told = await world.status(desktop, started)
    assert (told["status"], told["reason"]) == ("rejected", "binding")
    assert [each.reason for each in world.heard_of(EIDRejected)] == ["binding"]
    assert world.heard_of(EIDApproved) == []


# ── the relay of a login with an ID card ───────────────────────────────────────────────────────────────────────────


async def test_a_relayed_code_of_the_integrated_mode_logs_the_attacker_in() -> None:
    """Said so in docs/security.md: what is sealed is sealed for whoever drew the code. It is why there is the other."""
    async with opened() as world:
        attacker = desktop_of(world)
        relayed = await world.start(attacker, mode="integrated")
        # The victim scans it on a phishing page; the client seals for the key of the code, which is the attacker's.
        refresh_url = await world.run_client(relayed["tcTokenUrl"])
        assert (await world.open(attacker, refresh_url)).status == 303
        assert (await world.told(attacker))["acr"] == "L3"


async def test_a_relayed_code_of_the_bound_mode_brings_the_attacker_nothing(world: World) -> None:
    attacker, victims_phone, attackers_phone = desktop_of(world), Authenticator(ORIGIN), Authenticator(ORIGIN)
    relayed = await world.start(attacker)
    refresh_url = await world.run_client(relayed["tcTokenUrl"])
    await take_part(world, relayed["sessionId"], refresh_url, victims_phone)
    told = await world.status(attacker, relayed)
    attackers_phone.create({"rp": {"id": "localhost"}, "challenge": "AAAA", "user": {"id": told["userId"]}})
    attackers_phone.credentials[0].id = victims_phone.credentials[0].id
    answer = await prove(attacker, told, attackers_phone)
    assert (answer.status, answer.code) == (401, "webauthn_signature_invalid")
    assert await world.who(attacker) == ""


# ── in frames of other sites' pages ────────────────────────────────────────────────────────────────────────────────


async def framed(world: World) -> tuple[Browser, dict[str, Any], Authenticator]:
    """A login of the shop's, in its page's frame, up to the proof."""
    frame, phone = desktop_of(world), Authenticator(ORIGIN)
    started = await world.start(frame, tenant="shop")
    assert started["mode"] == "bound"
    await take_part(world, started["sessionId"], "http://shop.localhost:9000/eid/refresh", phone)
    return frame, started, phone


def client_data(told: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {
        "type": "webauthn.get",
        "challenge": told["options"]["challenge"],
        "origin": ORIGIN,
        "crossOrigin": True,
        "topOrigin": "http://shop.localhost:9000",
    } | members


async def test_in_the_frame_of_a_registered_page_the_proof_releases_that_sites_address(world: World) -> None:
    frame, started, phone = await framed(world)
    told = await world.status(frame, started)
    proved = await prove(frame, told, phone, client_data=client_data(told))
    assert proved.status == 200, proved.body
    target = open_for(started["sessionId"], proved.json()["sealedRefreshUrl"])
    assert target == "http://shop.localhost:9000/eid/refresh"
    told = await world.status(frame, started)
    assert (told["status"], "sealedRefreshUrl" in told) == ("approved", True)
    assert world.heard_of(LoginBound) == [LoginBound(world.clock.now, started["sessionId"], "shop")]


@pytest.mark.parametrize("top", ["http://evil.localhost:9000", "http://shop.localhost:9001", ORIGIN])
async def test_in_a_frame_of_any_other_page_it_does_not(world: World, top: str) -> None:
    frame, started, phone = await framed(world)
    told = await world.status(frame, started)
    answer = await prove(frame, told, phone, client_data=client_data(told, topOrigin=top))
    assert (answer.status, answer.code) == (401, "webauthn_top_origin_mismatch")
    assert (await world.status(frame, started))["status"] == "rejected"


async def test_our_own_login_is_not_proved_in_anybodys_frame(world: World) -> None:
    desktop, phone = desktop_of(world), Authenticator(ORIGIN)
    started = await world.start(desktop)
    await take_part(world, started["sessionId"], await world.run_client(started["tcTokenUrl"]), phone)
    told = await world.status(desktop, started)
    answer = await prove(desktop, told, phone, client_data=client_data(told))
    assert (answer.status, answer.code) == (401, "webauthn_cross_origin_refused")


# ── settings ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_binding_needs_webauthn_and_on_https_the_key_that_phones_know_us_by() -> None:
    for values in ({"eid": {"client": "bound"}}, {"embed": {"tenants": {"shop": SHOP}}}):
        with pytest.raises(ConfigurationError, match=r"webauthn\.enabled must be true"):
            async with opened(**values):
                pass
    with pytest.raises(ConfigurationError, match=r"eid\.webauthn_server_keys: must name"):
        async with opened(origin="https://app.example", eid={"client": "bound"}, webauthn={"enabled": True}):
            pass
