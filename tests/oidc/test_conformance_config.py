"""The suite's plans config and dynamic: what the provider says of itself, its keys, and our registration."""

import asyncio
import socket
import tomllib
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
import uvicorn

from tests.actors import SERVER
from tests.oidc.conformance import (
    CODE,
    Setup,
    claims_told,
    client_keys,
    is_refused,
    keys_file,
    logs_in,
    playing,
    plays,
    seen_id_tokens,
)
from tests.oidc.wire import REQUEST_OBJECT, claims_of, header_of
from tests.oidc.world import CLIENT, ISSUER, KEYS, World
from tests.qr.conftest import Clock
from useid_middleware import LoginFailed
from useid_middleware.cli import main
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.keys import Keys
from useid_middleware.oidc.core.registration import parse_registration, registration_request
from useid_middleware.oidc.core.webfinger import ISSUER as ISSUER_RELATION

DISCOVERY = "/.well-known/openid-configuration"


@plays("config", "discovery-openid-config")
async def test_the_metadata_is_fetched_once_and_its_endpoints_are_used(plan: str, module: str) -> None:
    async with playing() as world:
        await logs_in(world)
        await logs_in(world)
        paths = [request.path for request in world.provider.requests]
        assert paths[0] == DISCOVERY
        assert paths.count(DISCOVERY) == 1
        assert {"/authorize", "/token", "/jwks", "/userinfo"} <= set(paths)


@plays("config", "discovery-jwks-uri-keys")
async def test_keys_are_those_of_the_jwks_uri_which_differ_in_every_run(plan: str, module: str) -> None:
    seen = set()
    for _ in range(2):
        async with playing(keys=Keys()) as world:
            tokens = seen_id_tokens(world)
            await logs_in(world)
            assert len(world.provider.received("/jwks")) == 1
            seen.add(header_of(tokens[0])["kid"])
    assert len(seen) == 2


@plays("config", "discovery-issuer-mismatch")
async def test_metadata_of_another_issuer_stops_the_login_before_it_begins(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing(module) as world:
        browser = world.browser()
        answer = await browser.get("/login?provider=op")
        assert answer.status == 502
        assert b"<code>issuer_mismatch</code>" in answer.body
        assert [failed.code for failed in world.told(LoginFailed)] == ["issuer_mismatch"]
        assert "issuer_mismatch: metadata: issuer:" in caplog.text
        assert {request.path for request in world.provider.requests} == {DISCOVERY}
        assert await world.who(browser) == ""
        world.provider.clear()
        await world.log_in(browser)  # The wrong document was not kept.
        assert await world.who(browser) == "ada"


@plays("config", "idtoken-sig-none")
async def test_alg_none_is_refused_even_where_the_metadata_lists_it(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing(module, "discovery-lists-alg-none") as world:
        await is_refused(world, "token_algorithm_refused", "id_token:", caplog, asks_token=1)


@plays("config", "signing-key-rotation")
async def test_after_a_rotation_the_next_login_succeeds(plan: str, module: str) -> None:
    async with playing(keys=Keys()) as world:
        await logs_in(world)  # So that the keys before the rotation are kept.
        world.provider.inject(module)
        kids = [await kid_of_login(world, "grace")]
        world.provider.clear()  # Once is enough: what it signs now is by the keys that it publishes now.
        kids.append(await kid_of_login(world, "konrad"))
        assert kids[0] != kids[1]
        assert not world.told(LoginFailed)
        assert len(world.provider.received("/jwks")) == 2


@plays("config", "signing-key-rotation-just-before-signing")
async def test_a_rotation_just_before_signing_does_not_spoil_the_login_at_hand(plan: str, module: str) -> None:
    async with playing(keys=Keys()) as world:
        await logs_in(world)  # So that the old keys are kept.
        world.provider.inject(module)
        kids = [await kid_of_login(world, "grace")]
        assert len(world.provider.received("/jwks")) == 2
        world.clock.advance(31)  # Unknown keys are looked for again after their cooldown.
        kids.append(await kid_of_login(world, "konrad"))
        assert kids[0] != kids[1]
        assert not world.told(LoginFailed)
        assert len(world.provider.received("/jwks")) == 3


@plays("dynamic", "discovery-webfinger-acct", "discovery-webfinger-url")
async def test_a_person_s_address_leads_to_their_provider(plan: str, module: str) -> None:
    typed, resource = {
        "discovery-webfinger-acct": ("ada@example.com", "acct:ada@example.com"),
        "discovery-webfinger-url": ("https://example.com/ada", "https://example.com/ada"),
    }[module]
    async with playing(oidc={"webfinger_domains": ("example.com",)}) as world:
        browser = world.browser()
        begun = await browser.get(f"/initiate?{urlencode({'identifier': typed})}")
        assert begun.status == 303, begun.body
        [asked] = world.provider.received("/.well-known/webfinger")
        assert asked.query == [("resource", resource), ("rel", ISSUER_RELATION)]
        assert asked.headers["host"] == "example.com"
        location = begun.header("location")
        assert location.startswith(f"{ISSUER}/authorize?")
        assert (await world.come_back(browser, await world.approve(location))).status == 303
        assert await world.who(browser) == "ada"
        assert world.provider.received("/authorize")[0].param("login_hint") == typed


async def test_nobody_makes_us_ask_at_a_domain_that_is_not_configured() -> None:
    async with playing(oidc={"webfinger_domains": ("example.com",)}) as world:
        for typed in (
            "ada@example.net",
            "https://example.com.evil.example/",
            "ada@169.254.169.254",
            "nonsense nonsense",
        ):
            answer = await world.browser().get(f"/initiate?{urlencode({'identifier': typed})}")
            assert answer.status == 400, typed
        assert world.provider.requests == []
        assert {failed.code for failed in world.told(LoginFailed)} == {"issuer_unknown", "identifier_invalid"}


@plays("dynamic", "dynamic-registration")
async def test_a_client_that_registered_itself_logs_in(plan: str, module: str) -> None:
    clock = Clock()
    op = Provider(ISSUER, clients=[], keys=KEYS, clock=clock)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(op)) as machine:
        request = registration_request(redirect_uris=(f"{SERVER}/callback",), client_name="Shop")
        answer = await machine.post(f"{ISSUER}/register", json=request)
    registration = parse_registration(answer.status_code, answer.content)
    settings = {"client_id": registration.client_id, "client_secret": registration.client_secret}
    async with playing(setup=Setup(provider=settings), op=op, clock=clock) as world:
        await logs_in(world)
        assert world.provider.received("/authorize")[0].param("client_id") == registration.client_id != CLIENT.client_id


async def test_the_command_registers_a_client_and_prints_its_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        issuer = f"http://127.0.0.1:{listening.getsockname()[1]}"
        op = Provider(issuer, clients=[])
        server = uvicorn.Server(uvicorn.Config(op, log_level="warning"))
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        arguments = ["oidc", "register", issuer, "--redirect-uri", f"{SERVER}/callback", "--name", "Shop"]
        assert await asyncio.to_thread(main, arguments) == 0
        server.should_exit = True
        await serving
    settings = tomllib.loads(capsys.readouterr().out)["oidc"]["providers"]["NAME"]
    [client] = op.realm.clients.values()
    assert settings == {"issuer": issuer, "client_id": client.client_id, "client_secret": client.client_secret}
    assert (client.client_name, client.redirect_uris) == ("Shop", (f"{SERVER}/callback",))
    assert client.token_endpoint_auth_method == "client_secret_basic"


@plays("dynamic", "request-uri-signed-rs256")
async def test_the_provider_fetches_a_request_that_is_signed_with_rs256(plan: str, module: str, tmp_path: Path) -> None:
    async with playing(setup=signing_requests(tmp_path)) as world:
        browser = world.browser()
        location = await world.begin(browser)
        assert set(parse_qs(urlsplit(location).query)) == {"response_type", "client_id", "scope", "request_uri"}
        assert (await world.come_back(browser, await world.approve(location))).status == 303
        assert await world.who(browser) == "ada"
        [document] = world.answers
        assert document.header("content-type") == REQUEST_OBJECT
        assert document.header("cache-control") == "no-store"
        assert header_of(document.body.decode())["alg"] == "RS256"
        assert claims_of(document.body.decode())["code_challenge_method"] == "S256"


async def test_a_request_object_that_nobody_offered_is_not_found(tmp_path: Path) -> None:
    async with playing(setup=signing_requests(tmp_path)) as world:
        for handle in ("A" * 43, "x", "%2e%2e"):
            assert (await world.browser().get(f"/request-object/{handle}")).status == 404


@plays("dynamic", "userinfo-signed")
async def test_signed_userinfo_is_verified_and_demanded(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = replace(CLIENT, userinfo_signed_response_alg="RS256")
    setup = Setup(client=client, provider={"userinfo_signed": True})
    async with playing(setup=setup) as world:
        await logs_in(world)
        assert claims_told(world)["email"] == "ada@example.com"
    faults = {
        "userinfo-invalid-sig": ("token_signature_invalid", "userinfo:"),
        "userinfo-sig-none": ("token_algorithm_refused", "userinfo:"),
        "userinfo-invalid-iss": ("token_claim_invalid", "userinfo: iss:"),
        "userinfo-invalid-aud": ("token_claim_invalid", "userinfo: aud:"),
        "userinfo-invalid-sub": ("userinfo_invalid", "userinfo: sub:"),
    }
    for fault, (code, words) in faults.items():
        async with playing(fault, setup=setup) as world:
            await is_refused(world, code, words, caplog, asks_userinfo=1)
    async with playing(setup=replace(CODE, provider={"userinfo_signed": True})) as world:
        await is_refused(world, "userinfo_invalid", "userinfo: body: expected a signed token", caplog, asks_userinfo=1)


async def kid_of_login(world: World, person: str) -> str:
    """The key that signed the ID token of a person's first login, which succeeds."""
    tokens = seen_id_tokens(world)
    browser = world.browser()
    assert (await world.log_in(browser, person=person)).status == 303
    assert await world.who(browser) == person
    return str(header_of(tokens[0])["kid"])


def signing_requests(folder: Path) -> Setup:
    """Request objects by reference, signed with a key that is registered for RS256."""
    private, public = client_keys("RS256")
    client = replace(CLIENT, jwks=public, request_object_signing_alg="RS256", require_signed_request_object=True)
    settings = {"request_object": "reference", "private_keys": keys_file(folder, private)}
    return Setup(client=client, provider=settings)
