"""What we keep of a provider, how often we ask it, and under which name we reach it."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from tests.oidc.network import Gate, Internet
from tests.oidc.world import CLIENT, ISSUER, KEYS, World, asked, opened
from tests.qr.conftest import Clock
from useid_middleware.emulation.provider.app import Provider
from useid_middleware.emulation.provider.keys import Keys
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.errors import ProviderError, UnavailableError
from useid_middleware.oidc.keygen import new_client_keys

DISCOVERY = "/.well-known/openid-configuration"


def fetched(world: World) -> tuple[int, int]:
    """How often the metadata and the keys were asked for."""
    return len(world.provider.received(DISCOVERY)), len(world.provider.received("/jwks"))


async def log_in(world: World) -> str:
    """Who is logged in after a login in a new browser; empty for nobody."""
    browser = world.browser()
    answer = await browser.get("/login?provider=op")
    if answer.status == 303:
        await world.come_back(browser, await world.approve(answer.header("location")))
    return await world.who(browser)


# how often


async def test_metadata_and_keys_are_fetched_once_an_hour_however_many_log_in() -> None:
    async with opened() as world:
        assert await asyncio.gather(*(log_in(world) for _ in range(10))) == ["ada"] * 10
        assert fetched(world) == (1, 1)
        world.clock.advance(3601)
        assert await asyncio.gather(*(log_in(world) for _ in range(5))) == ["ada"] * 5
        assert fetched(world) == (2, 2)


async def test_unknown_keys_make_one_more_fetch_in_half_a_minute_and_no_storm() -> None:
    async with opened() as world:
        assert await log_in(world) == "ada"
        world.provider.inject("random-kid")
        assert await asyncio.gather(*(log_in(world) for _ in range(20))) == [""] * 20
        assert fetched(world)[1] == 2
        world.clock.advance(29)
        assert await log_in(world) == ""
        assert fetched(world)[1] == 2
        world.clock.advance(2)
        assert await log_in(world) == ""
        assert fetched(world)[1] == 3


async def test_rotated_keys_are_found_by_themselves() -> None:
    async with opened(keys=Keys()) as world:
        assert await log_in(world) == "ada"
        world.provider.rotate_keys()
        assert await asyncio.gather(*(log_in(world) for _ in range(5))) == ["ada"] * 5
        assert fetched(world)[1] == 2


async def test_another_key_under_the_same_name_is_found_by_itself_too() -> None:
    keys = Keys(make_rsa_key=lambda: RSAKey.generate_key(2048, {"kid": "the-key"}))
    async with opened(keys=keys) as world:
        assert await log_in(world) == "ada"
        world.provider.rotate_keys()
        assert keys.signing_key("RS256").kid == "the-key"
        assert await log_in(world) == "ada"
        assert fetched(world)[1] == 2


async def test_a_bad_signature_under_a_known_key_is_refused_and_makes_no_storm_either() -> None:
    async with opened() as world:
        world.provider.inject("foreign-signing-key")
        assert await asyncio.gather(*(log_in(world) for _ in range(5))) == [""] * 5
        assert fetched(world)[1] == 2


# while it is away


async def test_what_a_provider_said_serves_for_a_day_while_it_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with opened() as world:
        assert await log_in(world) == "ada"
        world.provider.inject("down-jwks", "down-discovery")
        world.clock.advance(3601)
        assert await log_in(world) == "ada"
        assert "using what a provider said 3601 s ago" in caplog.text
        tried = fetched(world)
        assert await log_in(world) == "ada"  # And within half a minute nobody waits for it again.
        assert fetched(world) == tried
        world.clock.advance(86400 - 3602)
        assert await log_in(world) == "ada"
        world.clock.advance(31)
        assert await log_in(world) == ""
        world.provider.clear()
        assert await log_in(world) == "ada"


async def test_who_leaves_in_the_middle_takes_the_fetch_from_nobody() -> None:
    clock = Clock()
    op = Provider(ISSUER, clients=[CLIENT], keys=KEYS, clock=clock)
    gate = Gate(op, DISCOVERY)
    gate.close()
    async with opened(op=op, clock=clock, transport=gate) as world:
        leaving, staying = (asyncio.ensure_future(world.browser().get("/login?provider=op")) for _ in range(2))
        await gate.reached.wait()
        leaving.cancel()
        gate.opened.set()
        assert (await staying).status == 303
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert fetched(world)[0] == 1


async def test_a_provider_that_nobody_can_reach_is_a_page_and_the_site_goes_on() -> None:
    async with opened(transport=Internet({})) as world:
        answer = await world.browser().get("/login?provider=op")
        assert answer.status == 503
        assert answer.header("retry-after") == "5"
        assert b"The login provider cannot be reached" in answer.body
        browser = world.browser()
        await browser.send("GET", "/as/alice")
        assert await world.who(browser) == "alice"


# where it is


async def test_a_provider_in_a_container_is_reached_by_one_name_and_known_by_another() -> None:
    internal, clock = "http://localhost:8080", Clock()
    op = Provider(ISSUER, clients=[CLIENT], keys=KEYS, clock=clock)
    internet = Internet({internal: op})
    provider = {"issuer": internal, "public_issuer": ISSUER}
    async with opened(op=op, clock=clock, transport=internet, provider=provider) as world:
        browser = world.browser()
        address = await world.begin(browser)
        assert address.startswith(f"{ISSUER}/authorize?")  # The browser is sent where it can get.
        await world.come_back(browser, await world.approve(address))
        assert await world.who(browser) == "ada"
        assert {url.split("/", 3)[3] for url in internet.asked} == {DISCOVERY[1:], "token", "jwks", "userinfo"}
        assert all(url.startswith(internal) for url in internet.asked)


async def test_a_provider_that_the_settings_describe_is_not_asked_to_describe_itself() -> None:
    async with opened() as described, described.at_provider() as client:
        metadata = (await client.get(ISSUER + DISCOVERY)).json()
        jwks = (await client.get(f"{ISSUER}/jwks")).json()
    async with opened(provider={"metadata": metadata, "jwks": jwks}) as world:
        assert await log_in(world) == "ada"
        assert fetched(world) == (0, 0)
    async with opened(provider={"metadata": {**metadata, "issuer": "https://evil.example"}}) as world:
        answer = await world.browser().get("/login?provider=op")
        assert b"<code>issuer_mismatch</code>" in answer.body


# who we say we are


async def log_in_as(client_changes: dict[str, Any], **provider: Any) -> World:
    async with opened(client=replace(CLIENT, **client_changes), provider=provider) as world:
        assert await log_in(world) == "ada"
        return world


async def test_the_secret_goes_in_the_header_with_its_odd_characters_encoded() -> None:
    world = await log_in_as({})
    [exchange] = world.provider.received("/token")
    assert exchange.authorization_scheme == "Basic"
    assert "client_secret" not in dict(exchange.form)


async def test_the_secret_goes_in_the_body_where_the_settings_say_so() -> None:
    method = "client_secret_post"
    world = await log_in_as({"token_endpoint_auth_method": method}, client_authentication=method)
    [exchange] = world.provider.received("/token")
    assert exchange.authorization_scheme == ""
    assert exchange.param("client_secret") == CLIENT.client_secret


async def test_a_private_key_signs_an_assertion_for_each_request(tmp_path: Path) -> None:
    private, public = new_client_keys()
    (tmp_path / "keys.json").write_bytes(private)
    changes = {"token_endpoint_auth_method": "private_key_jwt", "jwks": public, "client_secret": ""}
    settings = {"client_authentication": "private_key_jwt", "private_keys": str(tmp_path / "keys.json")}
    world = await log_in_as(changes, **settings, client_secret=None)
    [exchange] = world.provider.received("/token")
    assert exchange.param("client_assertion").count(".") == 2
    assert exchange.authorization_scheme == exchange.param("client_secret") == ""


async def test_a_public_client_has_nothing_but_its_verifier() -> None:
    changes = {"token_endpoint_auth_method": "none", "client_secret": ""}
    world = await log_in_as(changes, client_authentication="none", client_secret=None)
    [exchange] = world.provider.received("/token")
    assert exchange.param("client_id") == CLIENT.client_id
    assert len(exchange.param("code_verifier")) == 43


# what else it is asked


async def test_a_token_that_is_revoked_is_worth_nothing() -> None:
    async with opened(policy=Policy(refresh_tokens="always")) as world:
        browser = world.browser()
        await world.log_in(browser)
        oidc = world.app.useid.oidc
        assert oidc is not None
        client = oidc.clients["op"]
        token = (await world.token(browser)).body.decode()
        assert (await client.call("introspection_endpoint", {"token": token}))["active"] is True
        await client.revoke(token, hint="access_token")
        assert (await client.call("introspection_endpoint", {"token": token}))["active"] is False


async def test_after_the_address_of_a_provider_nothing_of_an_error_is_told() -> None:
    async with opened(transport=Internet({})) as world:
        oidc = world.app.useid.oidc
        assert oidc is not None
        with pytest.raises(UnavailableError) as away:
            await oidc.clients["op"].http.get(f"{ISSUER}/secret-path?token=hunter2")
        assert away.value.message == "127.0.0.1: expected an answer, found ConnectError"
    async with opened() as world:
        oidc = world.app.useid.oidc
        assert oidc is not None
        world.provider.inject("redirecting-jwks")
        with pytest.raises(ProviderError) as redirected:
            await oidc.clients["op"].keys()
        assert redirected.value.message == "127.0.0.1: expected an answer, found a redirect"


async def test_parameters_of_the_settings_and_languages_go_along() -> None:
    provider = {"parameters": {"audience": "shop"}, "ui_locales": "de en", "max_age": 60, "prompt": "login"}
    async with opened(provider=provider) as world:
        query = asked(await world.begin(world.browser()))
        assert (query["audience"], query["ui_locales"]) == ("shop", "de en")
        assert (query["max_age"], query["prompt"]) == ("60", "login")
