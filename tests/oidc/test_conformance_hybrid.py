"""The suite's hybrid plan, for ``code id_token``: the ID token that comes through the browser vouches for the code.

Its response comes by form_post, since a fragment would not reach a server; so this is also the form_post plan of the
hybrid flow. An access token through the browser is what no flow of ours asks for.
"""

from dataclasses import replace

import pytest

from tests.oidc.conformance import (
    HYBRID,
    claims_told,
    is_refused,
    logs_in,
    playing,
    plays,
    seen_id_tokens,
)
from tests.oidc.test_conformance_basic import REFUSED
from tests.oidc.wire import authorization_requests, claims_of, header_of, token_requests, userinfo_requests
from useid_middleware import LoginFailed
from useid_middleware.emulation.provider.driver import Arrival
from useid_middleware.emulation.provider.injection import ID_TOKEN, Change, Fault, Faults
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.emulation.provider.token_faults import having

#: What is wrong with the hashes, and whether the code was redeemed before it was noticed.
REFUSED_HASHES = {
    "invalid-chash": ("id_token: c_hash:", 0),
    "missing-chash": ("id_token: c_hash:", 0),
    # Only the ID token of the token endpoint comes with an access token.
    "invalid-athash": ("id_token: at_hash:", 1),
}


@plays("hybrid", "", "nonce-unless-code-flow", "client-secret-basic")
async def test_a_hybrid_login_succeeds_with_two_id_tokens_that_agree(plan: str, module: str) -> None:
    async with playing(setup=HYBRID) as world:
        tokens = seen_id_tokens(world)
        browser = world.browser()
        arrival = await world.approve(await world.begin(browser))
        front = claims_of(arrival.params["id_token"])
        assert (await world.come_back(browser, arrival)).status == 303
        assert await world.who(browser) == "ada"
        back = claims_of(tokens[0])
        [request] = authorization_requests(world)
        assert front["nonce"] == back["nonce"] == request["nonce"]
        assert (front["iss"], front["sub"]) == (back["iss"], back["sub"])
        assert "c_hash" in front
        assert [each.authorization_scheme for each in token_requests(world)] == ["Basic"]


@plays("hybrid", *REFUSED)
async def test_a_wrong_id_token_through_the_browser_is_refused_before_the_code_is_used(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    code, words = REFUSED[module]
    async with playing(module, setup=HYBRID) as world:
        await is_refused(world, code, words, caplog, asks_token=0)


@plays("hybrid", *REFUSED_HASHES)
async def test_a_hash_that_is_wrong_or_missing_is_refused(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    words, asked = REFUSED_HASHES[module]
    async with playing(module, setup=HYBRID) as world:
        await is_refused(world, "token_claim_invalid", words, caplog, asks_token=asked)


@plays("hybrid", "missing-athash")
async def test_an_access_token_through_the_browser_is_refused_whatever_vouches_for_it(plan: str, module: str) -> None:
    """The suite plays this where an access token comes with the ID token: such a response is not one of ours."""
    async with playing(module, setup=HYBRID) as world:
        browser = world.browser()
        arrival = await world.approve(await world.begin(browser))
        assert arrival.form is not None
        assert "at_hash" not in claims_of(arrival.params["id_token"])
        slipped_in = Arrival(arrival.url, (*arrival.form, ("access_token", "t0ken"), ("token_type", "Bearer")))
        answer = await world.come_back(browser, slipped_in)
        assert answer.status == 400
        assert [failed.code for failed in world.told(LoginFailed)] == ["callback_invalid"]
        assert await world.who(browser) == ""
        assert not token_requests(world)
        assert not userinfo_requests(world)


async def test_without_an_access_token_beside_it_an_id_token_needs_no_at_hash() -> None:
    async with playing(setup=replace(HYBRID, policy=Policy(always_include_at_hash=False))) as world:
        tokens = seen_id_tokens(world)
        await logs_in(world)
        assert "at_hash" not in claims_of(tokens[0])


@plays("hybrid", "kid-absent-single-jwks", "kid-absent-multiple-jwks", "idtoken-sig-rs256")
async def test_good_signatures_are_found_with_and_without_a_kid(plan: str, module: str) -> None:
    faults = [] if module == "idtoken-sig-rs256" else [module]
    async with playing(*faults, setup=HYBRID) as world:
        tokens = seen_id_tokens(world)
        await logs_in(world)
        header = header_of(tokens[0])
        assert header["alg"] == "RS256"
        assert ("kid" in header) is (not faults)


@plays("hybrid", "userinfo-invalid-sub")
async def test_userinfo_of_another_person_ends_the_hybrid_login(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing(module, setup=HYBRID) as world:
        await is_refused(world, "userinfo_invalid", "userinfo: sub:", caplog, asks_userinfo=1)


@plays("hybrid", "scope-userinfo-claims")
async def test_the_claims_of_the_scopes_come_from_userinfo(plan: str, module: str) -> None:
    async with playing(setup=HYBRID) as world:
        tokens = seen_id_tokens(world)
        await logs_in(world)
        assert claims_told(world)["email"] == "ada@example.com"
        assert "email" not in claims_of(tokens[0])


async def test_two_id_tokens_about_different_people_are_refused() -> None:
    async with playing(setup=HYBRID) as world:
        ada, grace = world.browser(), world.browser()
        of_ada = await world.approve(await world.begin(ada))
        of_grace = await world.approve(await world.begin(grace), person="grace")
        assert of_ada.form is not None
        swapped = dict(of_ada.form) | {"id_token": of_grace.params["id_token"]}
        await world.come_back(ada, Arrival(of_ada.url, tuple(swapped.items())))
        assert [failed.code for failed in world.told(LoginFailed)] == ["token_claim_invalid"]
        assert await world.who(ada) == ""
        assert not token_requests(world)


async def test_id_tokens_of_browser_and_token_endpoint_that_disagree_about_the_person_are_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with playing(setup=HYBRID) as world:
        browser = world.browser()
        arrival = await world.approve(await world.begin(browser))
        other = Fault(
            "ID token about Grace", (Change(ID_TOKEN, having(lambda claims, setting: {"sub": "grace-1906"})),)
        )
        world.provider.realm.faults = Faults({"other-sub": other})
        world.provider.inject("other-sub")
        assert (await world.come_back(browser, arrival)).status == 502
        assert "token_claim_invalid: ID token: expected issuer and subject of the one in the" in caplog.text
        assert await world.who(browser) == ""
        assert len(token_requests(world)) == 1
        assert not userinfo_requests(world)


async def test_a_hybrid_response_without_its_id_token_is_refused() -> None:
    async with playing(setup=HYBRID) as world:
        browser = world.browser()
        arrival = await world.approve(await world.begin(browser))
        assert arrival.form is not None
        rest = tuple(pair for pair in arrival.form if pair[0] != "id_token")
        assert (await world.come_back(browser, Arrival(arrival.url, rest))).status == 400
        assert [failed.code for failed in world.told(LoginFailed)] == ["callback_invalid"]
        assert await world.who(browser) == ""
        assert not token_requests(world)
