"""Userinfo, introspection and revocation."""

import json

import httpx2
import pytest

from tests.emulation.provider.world import ISSUER, NOW, SECRET, World, a_client, client_key
from useid_middleware.emulation.provider import jose


async def test_userinfo_says_what_the_scopes_allow() -> None:
    world = World()
    token = (await world.tokens(scope="openid email groups roles"))["access_token"]
    assert (await world.userinfo(token)).json() == {
        "sub": "ada-1815",
        "email": "ada@example.com",
        "email_verified": True,
        "groups": ["engines", "mathematics"],
        "roles": ["admin", "staff"],
    }


async def test_userinfo_says_what_the_claims_parameter_asks_for() -> None:
    world = World()
    claims = json.dumps({"userinfo": {"address": {"essential": True}, "unknown": None}})
    token = (await world.tokens(scope="openid", claims=claims))["access_token"]
    assert set((await world.userinfo(token)).json()) == {"sub", "address"}


async def test_an_address_that_is_not_verified_is_said_to_be_so() -> None:
    world = World()
    token = (await world.tokens("linus"))["access_token"]
    assert (await world.userinfo(token)).json()["email_verified"] is False
    token = (await world.tokens("blank", prompt="login"))["access_token"]
    assert "email" not in (await world.userinfo(token)).json()


async def test_userinfo_takes_the_token_from_a_form_and_never_from_the_query() -> None:
    world = World()
    token = (await world.tokens())["access_token"]
    assert (await world.machine.post("/userinfo", data={"access_token": token})).status_code == 200
    response = await world.machine.get(f"/userinfo?access_token={token}")
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


async def test_userinfo_without_a_good_token_answers_with_a_challenge() -> None:
    world = World()
    response = await world.machine.get("/userinfo")
    assert response.status_code == 401
    assert response.headers.get_list("www-authenticate") == ["Bearer", "DPoP"]
    response = await world.userinfo("guessed")
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    token = (await world.tokens())["access_token"]
    world.now += 600
    assert (await world.userinfo(token)).status_code == 401


async def test_userinfo_needs_the_openid_scope() -> None:
    world = World()
    token = (await world.tokens(scope="email"))["access_token"]
    response = await world.userinfo(token)
    assert (response.status_code, response.json()["error"]) == (403, "insufficient_scope")


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
async def test_userinfo_is_signed_for_a_client_that_wants_it(alg: str) -> None:
    world = World([a_client(userinfo_signed_response_alg=alg)])
    response = await world.userinfo((await world.tokens())["access_token"])
    assert response.headers["content-type"] == "application/jwt"
    _, claims = await world.decode(response.text, alg)
    assert (claims["iss"], claims["aud"], claims["sub"]) == (ISSUER, "rp", "ada-1815")


async def test_userinfo_is_encrypted_plain_or_signed() -> None:
    world = World([a_client(userinfo_encrypted_response_alg="ECDH-ES")])
    response = await world.userinfo((await world.tokens())["access_token"])
    assert response.headers["content-type"] == "application/jwt"
    assert json.loads(jose.decrypt(response.text, client_key()))["sub"] == "ada-1815"
    world = World([a_client(userinfo_encrypted_response_alg="ECDH-ES", userinfo_signed_response_alg="RS256")])
    response = await world.userinfo((await world.tokens())["access_token"])
    _, claims = await world.decode(jose.decrypt(response.text, client_key()))
    assert claims["aud"] == "rp"


async def status(world: World, token: str, auth: tuple[str, str] = ("rp", SECRET)) -> httpx2.Response:
    return await world.machine.post("/introspect", data={"token": token}, auth=auth)


async def test_introspection_tells_a_client_about_its_own_tokens() -> None:
    world = World([a_client(), a_client(client_id="other")])
    document = await world.tokens(scope="openid")
    answer = (await status(world, document["access_token"])).json()
    assert answer == {
        "active": True,
        "iss": ISSUER,
        "client_id": "rp",
        "scope": "openid",
        "iat": NOW,
        "exp": NOW + 600,
        "token_type": "Bearer",
        "sub": "ada-1815",
        "username": "ada",
        "token_use": "access_token",
    }
    assert (await status(world, document["refresh_token"])).json()["token_use"] == "refresh_token"
    assert (await status(world, document["access_token"], ("other", SECRET))).json() == {"active": False}
    assert (await status(world, "guessed")).json() == {"active": False}
    assert (await status(world, document["access_token"], ("rp", "wrong"))).status_code == 401


async def test_a_rotated_token_is_not_active() -> None:
    world = World()
    token = (await world.tokens())["refresh_token"]
    await world.refresh(token)
    assert (await status(world, token)).json() == {"active": False}


async def test_revoking_a_refresh_token_ends_its_family() -> None:
    world = World()
    document = await world.tokens()
    form = {"token": document["refresh_token"]}
    assert (await world.machine.post("/revoke", data=form, auth=("rp", SECRET))).status_code == 200
    assert (await world.userinfo(document["access_token"])).status_code == 401
    assert (await world.refresh(document["refresh_token"])).status_code == 400


async def test_revoking_an_access_token_ends_that_token_alone() -> None:
    world = World([a_client(), a_client(client_id="other")])
    document = await world.tokens()
    form = {"token": document["access_token"]}
    await world.machine.post("/revoke", data=form, auth=("other", SECRET))
    assert (await world.userinfo(document["access_token"])).status_code == 200
    await world.machine.post("/revoke", data=form, auth=("rp", SECRET))
    assert (await world.userinfo(document["access_token"])).status_code == 401
    assert (await world.refresh(document["refresh_token"])).status_code == 200


async def test_revocation_asks_who_is_there_and_for_a_token() -> None:
    world = World()
    assert (await world.machine.post("/revoke", data={"token": "x"}, auth=("rp", "wrong"))).status_code == 401
    assert (await world.machine.post("/revoke", data={}, auth=("rp", SECRET))).status_code == 400
    assert (await world.machine.post("/revoke", data={"token": "unknown"}, auth=("rp", SECRET))).status_code == 200
