"""Calling an API as the logged-in user: the token in the header, renewed when the API refuses it."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from starlette.responses import JSONResponse

from tests.actors import Browser
from tests.oidc.world import CLIENT, World, open_world, opened
from useid_middleware import NotAuthenticated
from useid_middleware._codec import un_b64url
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.http.asgi import Receive, Scope, Send
from useid_middleware.oidc.http_auth import AccessTokenAuth

RENEWABLE = Policy(refresh_tokens="always")
API = "https://api.example"


@dataclass
class API401:
    """An API that wants a token which it has not refused, and, with ``nonce``, a DPoP proof that carries it."""

    refused: set[str] = field(default_factory=set)
    nonce: str = ""
    seen: list[dict[str, str]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append(headers)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        good = bool(token) and token not in self.refused
        answer: dict[str, str] = {}
        if self.nonce:
            answer["dpop-nonce"] = self.nonce
            good = good and scheme == "DPoP" and proof_of(headers).get("nonce") == self.nonce
        await JSONResponse({"scheme": scheme}, 200 if good else 401, answer)(scope, receive, send)


def proof_of(headers: dict[str, str]) -> dict[str, Any]:
    """The claims of a DPoP proof, unverified: the provider's own tests verify them."""
    claims: dict[str, Any] = json.loads(un_b64url_any(headers["dpop"].split(".")[1]))
    return claims


def un_b64url_any(text: str) -> bytes:
    return un_b64url(text, len(text) * 3 // 4)


async def request_of(world: World, browser: Browser) -> SimpleNamespace:
    """The host app's request object."""
    scope = browser.scope("GET", "/", {})
    await world.app.useid.authenticate(scope)
    return SimpleNamespace(scope=scope)


async def call(world: World, browser: Browser, api: API401, path: str = "/things?x=1") -> httpx2.Response:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=api), base_url=API) as client:
        return await client.get(path, auth=AccessTokenAuth(await request_of(world, browser)))


async def test_the_token_goes_along_as_bearer() -> None:
    async with opened() as world:
        browser, api = world.browser(), API401()
        await world.log_in(browser)
        response = await call(world, browser, api)
        assert (response.status_code, response.json()) == (200, {"scheme": "Bearer"})
        assert api.seen[0]["authorization"].removeprefix("Bearer ") == (await world.token(browser)).body.decode()
        assert "dpop" not in api.seen[0]


async def test_a_token_that_the_api_refuses_is_renewed_once_and_the_call_repeated() -> None:
    async with opened(policy=RENEWABLE) as world:
        browser = world.browser()
        await world.log_in(browser)
        old = (await world.token(browser)).body.decode()
        api = API401(refused={old})
        assert (await call(world, browser, api)).status_code == 200
        new = (await world.token(browser)).body.decode()
        assert [seen["authorization"] for seen in api.seen] == [f"Bearer {old}", f"Bearer {new}"]
        assert new != old


async def test_an_api_that_refuses_every_token_gets_two_and_no_more() -> None:
    class Everything(set[str]):
        def __contains__(self, value: object) -> bool:
            return True

    async with opened(policy=RENEWABLE) as world:
        browser, api = world.browser(), API401(refused=Everything())
        await world.log_in(browser)
        assert (await call(world, browser, api)).status_code == 401
        assert len(api.seen) == 2
        assert len(world.provider.received("/token")) == 2


async def test_calls_that_are_refused_together_renew_once() -> None:
    async with opened(policy=RENEWABLE) as world:
        browser = world.browser()
        await world.log_in(browser)
        api = API401(refused={(await world.token(browser)).body.decode()})
        responses = await asyncio.gather(*(call(world, browser, api) for _ in range(10)))
        assert {response.status_code for response in responses} == {200}
        assert len(world.provider.received("/token")) == 2


async def test_without_a_way_to_a_new_token_the_caller_learns_that_nobody_is_logged_in() -> None:
    async with opened() as world:
        browser = world.browser()
        await world.log_in(browser)
        api = API401(refused={(await world.token(browser)).body.decode()})
        with pytest.raises(NotAuthenticated):
            await call(world, browser, api)
        stranger = world.browser()
        with pytest.raises(NotAuthenticated):
            await call(world, stranger, api)
        assert len(api.seen) == 1


async def test_a_bound_token_goes_along_with_a_proof_for_this_call_and_learns_the_nonce() -> None:
    client = replace(CLIENT, dpop_bound_access_tokens=True)
    async with opened(client=client, policy=RENEWABLE, provider={"dpop": True}) as world:
        browser, api = world.browser(), API401(nonce="nonce-of-the-api")
        await world.log_in(browser)
        response = await call(world, browser, api)
        assert (response.status_code, response.json()) == (200, {"scheme": "DPoP"})
        first, second = (proof_of(seen) for seen in api.seen)
        assert (second["htm"], second["htu"]) == ("GET", f"{API}/things")
        assert first["jti"] != second["jti"]
        assert second["ath"] == first["ath"] != ""
        assert len(world.provider.received("/token")) == 1  # A nonce is no reason to renew.


async def test_a_bound_token_is_renewed_with_the_same_key() -> None:
    client = replace(CLIENT, dpop_bound_access_tokens=True)
    async with opened(client=client, policy=RENEWABLE, provider={"dpop": True}) as world:
        browser = world.browser()
        await world.log_in(browser)
        api = API401(refused={(await world.token(browser)).body.decode()})
        assert (await call(world, browser, api)).status_code == 200
        keys = [json.loads(un_b64url_any(seen["dpop"].split(".")[0]))["jwk"] for seen in api.seen]
        assert keys[0] == keys[1]
        assert "d" not in keys[0]


async def test_it_is_for_async_clients_and_for_requests_that_passed_the_plugin() -> None:
    world = await open_world()
    request = await request_of(world, world.browser())
    with (
        httpx2.Client(transport=httpx2.MockTransport(lambda each: httpx2.Response(200))) as client,
        pytest.raises(RuntimeError, match="AsyncClient"),
    ):
        client.get(API, auth=AccessTokenAuth(request))
    with pytest.raises(NotAuthenticated):
        AccessTokenAuth(SimpleNamespace(scope={"type": "http"}))
    await world.close()
