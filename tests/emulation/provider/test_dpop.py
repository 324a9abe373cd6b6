"""Proofs of possession (RFC 9449)."""

from typing import Any

import httpx2

from tests.emulation.provider.world import (
    CALLBACK,
    ISSUER,
    NOW,
    SECRET,
    VERIFIER,
    Prover,
    World,
    a_client,
    refused,
)
from useid_middleware.emulation.provider.policy import Policy

TOKEN_URL = f"{ISSUER}/token"


async def bound_tokens(world: World, prover: Prover) -> dict[str, Any]:
    response = await world.exchange(await world.log_in(), proof=prover.proof("POST", TOKEN_URL, now=world.now))
    assert response.status_code == 200, response.text
    document: dict[str, Any] = response.json()
    return document


async def resource(world: World, token: str, proof: str = "", scheme: str = "DPoP") -> httpx2.Response:
    headers = {"authorization": f"{scheme} {token}", **({"dpop": proof} if proof else {})}
    return await world.machine.get("/userinfo", headers=headers)


async def test_a_proof_binds_the_tokens_to_its_key() -> None:
    world, prover = World(), Prover()
    document = await bound_tokens(world, prover)
    assert document["token_type"] == "DPoP"
    token, url = document["access_token"], f"{ISSUER}/userinfo"
    assert (await resource(world, token, prover.proof("GET", url, access_token=token))).status_code == 200
    assert (await resource(world, token, prover.proof("GET", url, access_token=token), "dpop")).status_code == 200
    assert (await resource(world, token, Prover().proof("GET", url, access_token=token))).status_code == 401
    assert (await resource(world, token)).status_code == 401
    assert (await resource(world, token, scheme="Bearer")).status_code == 401


async def test_a_proof_is_for_one_request() -> None:
    world, prover = World(), Prover()
    token, url = (await bound_tokens(world, prover))["access_token"], f"{ISSUER}/userinfo"
    proof = prover.proof("GET", url, access_token=token)
    assert (await resource(world, token, proof)).status_code == 200
    for bad in (
        proof,
        prover.proof("POST", url, access_token=token),
        prover.proof("GET", TOKEN_URL, access_token=token),
        prover.proof("GET", url),
        prover.proof("GET", url, access_token="other"),
        prover.proof("GET", url, access_token=token, now=NOW - 121),
        prover.proof("GET", url, access_token=token, iat="now"),
        prover.proof("GET", url, access_token=token, jti=None),
        prover.proof("GET", url, access_token=token, typ="JWT"),
        prover.proof("GET", url, access_token=token, jwk=Prover().key.as_dict(private=False)),
        prover.proof("GET", url, access_token=token, jwk=prover.key.as_dict(private=True)),
        "garbage",
    ):
        response = await resource(world, token, bad)
        assert refused(response, "invalid_dpop_proof", 401), bad
        assert response.headers["www-authenticate"].startswith('DPoP error="invalid_dpop_proof"')


async def test_a_nonce_is_demanded_where_the_policy_says_so() -> None:
    world, prover = World(policy=Policy(consent="skip", require_dpop_nonce=True)), Prover()
    arrival = await world.log_in()
    response = await world.exchange(arrival, proof=prover.proof("POST", TOKEN_URL))
    assert refused(response, "use_dpop_nonce")
    nonce = response.headers["dpop-nonce"]
    response = await world.exchange(arrival, proof=prover.proof("POST", TOKEN_URL, nonce=nonce))
    assert response.status_code == 200
    assert response.headers["dpop-nonce"] == nonce
    token, url = response.json()["access_token"], f"{ISSUER}/userinfo"
    world.provider.realm.renew_dpop_nonce()
    response = await resource(world, token, prover.proof("GET", url, access_token=token, nonce=nonce))
    assert refused(response, "use_dpop_nonce", 401)
    nonce = response.headers["dpop-nonce"]
    proof = prover.proof("GET", url, access_token=token, nonce=nonce)
    assert (await resource(world, token, proof)).status_code == 200


async def test_a_code_can_be_bound_before_it_exists() -> None:
    world, prover = World(), Prover()
    arrival = await world.log_in(dpop_jkt=prover.jkt)
    assert refused(await world.exchange(arrival), "invalid_grant")
    arrival = await world.log_in(dpop_jkt=prover.jkt)
    assert refused(await world.exchange(arrival, proof=Prover().proof("POST", TOKEN_URL)), "invalid_grant")
    arrival = await world.log_in(dpop_jkt=prover.jkt)
    assert (await world.exchange(arrival, proof=prover.proof("POST", TOKEN_URL))).status_code == 200


async def test_a_pushed_request_with_a_proof_binds_the_code() -> None:
    world, prover = World(), Prover()
    form = dict(httpx2.URL(world.authorization_url()).params)
    proof = prover.proof("POST", f"{ISSUER}/par")
    pushed = (await world.machine.post("/par", data=form, headers={"dpop": proof}, auth=("rp", SECRET))).json()
    arrival = await world.log_in(request_uri=pushed["request_uri"])
    assert refused(await world.exchange(arrival), "invalid_grant")


async def test_a_client_can_promise_proofs() -> None:
    world = World([a_client(dpop_bound_access_tokens=True)])
    assert refused(await world.exchange(await world.log_in()), "invalid_dpop_proof")


async def test_a_public_clients_refresh_token_is_bound_to_its_key() -> None:
    world, prover = World([a_client(client_secret="", token_endpoint_auth_method="none")]), Prover()
    form = {"grant_type": "authorization_code", "client_id": "rp", "redirect_uri": CALLBACK}
    form |= {"code": (await world.log_in()).params["code"], "code_verifier": VERIFIER}
    document = (await world.token(form, auth=None, proof=prover.proof("POST", TOKEN_URL))).json()
    refresh = {"grant_type": "refresh_token", "client_id": "rp", "refresh_token": document["refresh_token"]}
    assert refused(await world.token(refresh, auth=None, proof=Prover().proof("POST", TOKEN_URL)), "invalid_grant")
    assert (await world.token(refresh, auth=None, proof=prover.proof("POST", TOKEN_URL))).status_code == 200
