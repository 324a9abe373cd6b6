"""The token endpoint: each grant."""

from typing import Any

import httpx2
import pytest
from joserfc import jws
from joserfc.jwk import OctKey

from tests.emulation.provider.world import (
    ISSUER,
    NOW,
    SECRET,
    World,
    a_client,
    client_key,
    refused,
    rsa_keys,
)
from useid_middleware.emulation.provider import jose
from useid_middleware.emulation.provider.driver import allow_device, read_forms
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.emulation.provider.token_endpoint import DEVICE_GRANT
from useid_middleware.emulation.provider.tokens import half_hash

TOKEN_URL = f"{ISSUER}/token"


async def test_a_code_is_exchanged_for_tokens_that_say_what_was_agreed() -> None:
    world = World()
    document = await world.tokens()
    assert (document["token_type"], document["expires_in"], document["scope"]) == (
        "Bearer",
        600,
        "openid profile email",
    )
    header, claims = await world.decode(document["id_token"])
    assert (header["alg"], header["typ"]) == ("RS256", "JWT")
    assert {name: claims[name] for name in ("iss", "sub", "aud", "nonce", "iat", "exp")} == {
        "iss": ISSUER,
        "sub": "ada-1815",
        "aud": "rp",
        "nonce": "nonce-1",
        "iat": NOW,
        "exp": NOW + 300,
    }
    assert claims["at_hash"] == half_hash(document["access_token"], alg="RS256")
    assert "email" not in claims


async def test_answers_with_tokens_are_not_stored() -> None:
    world = World()
    response = await world.exchange(await world.log_in())
    assert (response.headers["cache-control"], response.headers["pragma"]) == ("no-store", "no-cache")


async def test_what_an_id_token_holds_can_be_decided() -> None:
    world = World(policy=Policy(consent="skip", claims_in_id_token=True, always_include_at_hash=False))
    document = await world.tokens()
    _, claims = await world.decode(document["id_token"])
    assert claims["email"] == "ada@example.com"
    assert "at_hash" not in claims
    assert "refresh_token" not in document
    assert "refresh_token" in await world.tokens(scope="openid offline_access")


@pytest.mark.parametrize("alg", ["RS256", "RS512", "PS256", "ES256", "Ed25519", "EdDSA"])
async def test_a_client_gets_id_tokens_of_the_algorithm_it_registered(alg: str) -> None:
    world = World([a_client(id_token_signed_response_alg=alg)])
    token = (await world.tokens())["id_token"]
    if alg == "EdDSA":  # joserfc warns of this name; the signature is the one of Ed25519.
        with pytest.warns(Warning, match="EdDSA"):
            header, _ = await world.decode(token, alg)
    else:
        header, _ = await world.decode(token, alg)
    assert header["alg"] == alg


async def test_a_symmetric_id_token_is_signed_with_the_clients_secret() -> None:
    world = World([a_client(id_token_signed_response_alg="HS256")])
    token = (await world.tokens())["id_token"]
    assert jws.deserialize_compact(token, OctKey.import_key(SECRET), algorithms=["HS256"]).headers()["alg"] == "HS256"


@pytest.mark.parametrize("alg", ["ECDH-ES", "ECDH-ES+A256KW", "RSA-OAEP-256"])
@pytest.mark.parametrize("enc", ["A256GCM", "A128CBC-HS256"])
async def test_an_id_token_is_encrypted_for_a_client_that_wants_it(alg: str, enc: str) -> None:
    key = rsa_keys()[4] if alg.startswith("RSA") else client_key()
    jwks = {"keys": [key.as_dict(private=False)]}
    client = a_client(jwks=jwks, id_token_encrypted_response_alg=alg, id_token_encrypted_response_enc=enc)
    world = World([client])
    token = (await world.tokens())["id_token"]
    assert token.count(".") == 4
    _, claims = await world.decode(jose.decrypt(token, key))
    assert claims["sub"] == "ada-1815"


async def test_a_code_is_good_once_and_its_reuse_ends_what_it_gave() -> None:
    world = World()
    arrival = await world.log_in()
    document = (await world.exchange(arrival)).json()
    assert (await world.userinfo(document["access_token"])).status_code == 200
    assert refused(await world.exchange(arrival), "invalid_grant")
    assert (await world.userinfo(document["access_token"])).status_code == 401
    assert refused(await world.refresh(document["refresh_token"]), "invalid_grant")


@pytest.mark.parametrize(
    "form",
    [
        {"code": "guessed"},
        {"redirect_uri": "https://rp.example/other"},
        {"redirect_uri": ""},
        {"code_verifier": "another-verifier-of-at-least-43-characters-x"},
        {"code_verifier": ""},
    ],
)
async def test_a_code_is_bound_to_its_request(form: dict[str, str]) -> None:
    world = World()
    assert refused(await world.exchange(await world.log_in(), **form), "invalid_grant")


async def test_a_verifier_without_a_challenge_is_refused() -> None:
    world = World()
    assert refused(await world.exchange(await world.log_in(code_challenge="")), "invalid_grant")
    assert (await world.exchange(await world.log_in(code_challenge=""), code_verifier="")).status_code == 200


async def test_a_code_runs_out() -> None:
    world = World()
    arrival = await world.log_in()
    world.now += 60
    assert refused(await world.exchange(arrival), "invalid_grant")


async def test_a_code_is_of_no_use_to_another_client() -> None:
    world = World([a_client(), a_client(client_id="other")])
    code = (await world.log_in()).params["code"]
    form = {"grant_type": "authorization_code", "code": code}
    assert refused(await world.token(form, auth=("other", SECRET)), "invalid_grant")


async def test_a_refresh_rotates_and_keeps_who_it_is_about() -> None:
    world = World()
    first = await world.tokens()
    world.now += 1000
    second = (await world.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    _, claims = await world.decode(second["id_token"])
    assert (claims["iss"], claims["sub"], claims["aud"]) == (ISSUER, "ada-1815", "rp")
    assert (claims["auth_time"], claims["iat"]) == (NOW, world.now)
    assert "nonce" not in claims
    assert (await world.userinfo(second["access_token"])).status_code == 200


async def test_reuse_of_a_rotated_token_kills_the_family() -> None:
    world = World()
    first = await world.tokens()
    second = (await world.refresh(first["refresh_token"])).json()
    assert refused(await world.refresh(first["refresh_token"]), "invalid_grant")
    assert refused(await world.refresh(second["refresh_token"]), "invalid_grant")
    assert (await world.userinfo(second["access_token"])).status_code == 401


async def test_without_rotation_a_refresh_token_stays() -> None:
    world = World(policy=Policy(consent="skip", refresh_tokens="always", refresh_rotation=False))
    token = (await world.tokens())["refresh_token"]
    for _ in range(2):
        assert (await world.refresh(token)).json()["refresh_token"] == token


async def test_a_refresh_can_narrow_the_scope_and_not_widen_it() -> None:
    world = World()
    first = await world.tokens()
    second = (await world.refresh(first["refresh_token"], scope="openid")).json()
    assert set((await world.userinfo(second["access_token"])).json()) == {"sub"}
    assert refused(await world.refresh(second["refresh_token"], scope="openid roles"), "invalid_scope")


async def test_refresh_tokens_run_out() -> None:
    world = World()
    token = (await world.tokens())["refresh_token"]
    world.now += 30 * 86400
    assert refused(await world.refresh(token), "invalid_grant")


async def test_a_client_acts_for_itself() -> None:
    world = World()
    document = (await world.token({"grant_type": "client_credentials", "scope": "openid reports"})).json()
    assert document["scope"] == "reports"
    assert "id_token" not in document
    assert "refresh_token" not in document
    assert (await world.userinfo(document["access_token"])).status_code == 403


async def test_grants_that_are_unknown_or_not_registered_are_refused() -> None:
    world = World([a_client(grant_types=("authorization_code",))])
    assert refused(await world.token({"grant_type": "password"}), "unsupported_grant_type")
    assert refused(await world.token({"grant_type": "client_credentials"}), "unauthorized_client")
    assert "refresh_token" not in await world.tokens()


async def device(world: World) -> dict[str, Any]:
    response = await world.machine.post("/device-authorization", data={"scope": "openid email"}, auth=("rp", SECRET))
    document: dict[str, Any] = response.json()
    return document


async def poll(world: World, device_code: str) -> httpx2.Response:
    return await world.token({"grant_type": DEVICE_GRANT, "device_code": device_code})


async def test_a_device_waits_for_the_person_and_gets_tokens_once() -> None:
    world = World()
    codes = await device(world)
    assert codes["verification_uri"] == f"{ISSUER}/device"
    assert refused(await poll(world, codes["device_code"]), "authorization_pending")
    assert refused(await poll(world, codes["device_code"]), "slow_down")
    world.now += 9
    assert refused(await poll(world, codes["device_code"]), "slow_down")
    world.now += 15
    assert refused(await poll(world, codes["device_code"]), "authorization_pending")
    await allow_device(world.browser, codes["verification_uri_complete"], person="grace")
    document = (await poll(world, codes["device_code"])).json()
    _, claims = await world.decode(document["id_token"])
    assert claims["sub"] == "grace-1906"
    assert refused(await poll(world, codes["device_code"]), "expired_token")


async def test_a_device_hears_of_a_no_and_of_its_end() -> None:
    world = World()
    codes = await device(world)
    form = {"user_code": codes["user_code"].lower().replace("-", " "), "action": "deny", "person": "ada"}
    assert "denied" in (await world.browser.post("/device", data=form)).text
    assert refused(await poll(world, codes["device_code"]), "access_denied")
    codes = await device(world)
    world.now += 600
    assert refused(await poll(world, codes["device_code"]), "expired_token")


async def test_a_code_that_was_mistyped_is_asked_for_again() -> None:
    world = World()
    response = await world.browser.post("/device", data={"user_code": "WRONG", "action": "allow"})
    assert response.status_code == 400
    assert 'role="alert"' in response.text
    (form,) = read_forms((await world.browser.get("/device")).text)
    assert form.fields == {"user_code": ""}
