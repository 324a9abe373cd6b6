"""Requests that come signed, by reference, or pushed ahead of the browser."""

import json
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from tests.emulation.provider.world import CALLBACK, ISSUER, World, a_client, assertion, client_key, unverified
from useid_middleware.emulation.provider import jose
from useid_middleware.emulation.provider.driver import approve
from useid_middleware.emulation.provider.keys import Keys, public_jwk
from useid_middleware.emulation.provider.policy import Policy


def request_object(world: World, **changes: Any) -> str:
    claims = {
        "iss": "rp",
        "aud": ISSUER,
        "client_id": "rp",
        "exp": world.now + 60,
        "response_type": "code",
        "redirect_uri": CALLBACK,
        "scope": "openid",
        "state": "signed-state",
        "max_age": 600,
    }
    return assertion({name: value for name, value in (claims | changes).items() if value is not None})


async def test_a_signed_request_object_stands_alone() -> None:
    world = World()
    arrival = await world.log_in(request=request_object(world), state="query-state", code_challenge="")
    assert arrival.params["state"] == "signed-state"


async def test_a_request_object_can_be_encrypted_for_the_provider() -> None:
    world = World()
    published = (await world.machine.get("/jwks")).json()["keys"]
    (key,) = [key for key in published if key["use"] == "enc"]
    sealed = jose.encrypt(request_object(world), keys=[key], alg="ECDH-ES+A256KW", enc="A256GCM")
    assert (await world.log_in(request=sealed)).params["state"] == "signed-state"


async def test_a_request_object_can_be_fetched() -> None:
    world = World()
    world.documents["https://rp.example/request.jwt"] = request_object(world).encode()
    arrival = await world.log_in(request_uri="https://rp.example/request.jwt")
    assert arrival.params["state"] == "signed-state"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "other"},
        {"client_id": "other"},
        {"client_id": None},
        {"aud": "https://other.example"},
        {"exp": 1},
        {"exp": "soon"},
        {"nbf": 9_999_999_999},
        {"request_uri": "https://rp.example/again"},
    ],
)
async def test_a_request_object_that_does_not_fit_is_refused(changes: dict[str, Any]) -> None:
    world = World()
    response = await world.browser.get(world.authorization_url(request=request_object(world, **changes)))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request_object")


@pytest.mark.parametrize("alg", ["none", "HS256", "ES256"])
async def test_a_request_object_that_the_client_did_not_sign_is_refused(alg: str) -> None:
    world = World()
    key = {"none": None, "HS256": b"guess", "ES256": Keys().signing_key("ES256")}[alg]
    _, claims = unverified(request_object(world))
    token = jose.sign({"alg": alg}, json.dumps(claims).encode(), key)
    response = await world.browser.get(world.authorization_url(request=token))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request_object")


async def test_a_client_can_insist_on_signed_requests() -> None:
    world = World([a_client(require_signed_request_object=True)])
    response = await world.browser.get(world.authorization_url())
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


async def push(world: World, **params: str) -> httpx2.Response:
    form = dict(httpx2.URL(world.authorization_url(**params)).params)
    return await world.machine.post("/par", data=form, auth=("rp", a_client().client_secret))


async def test_a_pushed_request_is_used_once_by_its_client() -> None:
    world = World([a_client(), a_client(client_id="other")])
    pushed = (await push(world)).json()
    assert pushed["expires_in"] == 90
    by_name = f"{ISSUER}/authorize?client_id=rp&request_uri={pushed['request_uri']}"
    assert "code" in (await approve(world.browser, by_name)).params
    assert (await world.browser.get(by_name)).json()["error"] == "invalid_request_uri"
    pushed = (await push(world)).json()
    stolen = f"{ISSUER}/authorize?client_id=other&request_uri={pushed['request_uri']}"
    assert (await world.browser.get(stolen)).json()["error"] == "invalid_request_uri"
    pushed = (await push(world)).json()
    world.now += 91
    late = f"{ISSUER}/authorize?client_id=rp&request_uri={pushed['request_uri']}"
    assert (await world.browser.get(late)).json()["error"] == "invalid_request_uri"


async def test_pushing_can_be_demanded() -> None:
    client = a_client(require_pushed_authorization_requests=True)
    for world in (World([client]), World(policy=Policy(require_pushed_authorization_requests=True))):
        assert (await world.redirected()).params["error"] == "invalid_request"
        pushed = (await push(world)).json()
        url = f"{ISSUER}/authorize?client_id=rp&request_uri={pushed['request_uri']}"
        assert "code" in (await approve(world.browser, url)).params


async def test_a_bad_request_is_refused_when_it_is_pushed() -> None:
    world = World()
    assert (await push(world, response_type="smoke")).json()["error"] == "unsupported_response_type"
    assert (await push(world, redirect_uri="https://evil.example/")).json()["error"] == "invalid_request"
    assert (await world.machine.post("/par", data={"client_id": "rp"})).status_code == 401


async def test_a_pushed_request_can_be_a_signed_object() -> None:
    world = World([a_client(require_signed_request_object=True)])
    form = {"client_id": "rp", "request": request_object(world)}
    pushed = (await world.machine.post("/par", data=form, auth=("rp", a_client().client_secret))).json()
    url = f"{ISSUER}/authorize?client_id=rp&request_uri={pushed['request_uri']}"
    assert (await approve(world.browser, url)).params["state"] == "signed-state"


async def test_keys_are_fetched_where_the_client_registered_an_address() -> None:
    client = replace(a_client(), jwks={}, jwks_uri="https://rp.example/jwks")
    world = World([client])
    world.documents["https://rp.example/jwks"] = json.dumps({"keys": [public_jwk(client_key())]}).encode()
    assert (await world.log_in(request=request_object(world))).params["state"] == "signed-state"
