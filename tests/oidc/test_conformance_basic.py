"""The suite's plans basic and form_post, and what its comprehensive plan adds: the code flow against every lie."""

from dataclasses import replace
from typing import Any

import pytest

from tests.oidc.conformance import (
    FORM_POST,
    LONG_SECRET,
    SETUPS,
    Setup,
    claims_told,
    is_refused,
    logs_in,
    playing,
    plays,
    seen_id_tokens,
)
from tests.oidc.wire import header_of, token_requests, userinfo_requests
from tests.oidc.world import CLIENT, ISSUER
from useid_middleware.emulation.provider.policy import Policy

#: What is wrong with an ID token, and the words of the log about it.
REFUSED = {
    "invalid-iss": ("token_claim_invalid", "id_token: iss:"),
    "missing-sub": ("token_claim_invalid", "id_token: sub:"),
    "invalid-aud": ("token_claim_invalid", "id_token: aud:"),
    "missing-iat": ("token_claim_invalid", "id_token: iat:"),
    "idtoken-sig-none": ("token_algorithm_refused", "id_token:"),
    "invalid-sig-rs256": ("token_signature_invalid", "id_token:"),
    "nonce-invalid": ("token_claim_invalid", "id_token: nonce:"),
}
#: Those that the comprehensive plan adds, with the algorithm that the client registered for.
REFUSED_TOO = {
    "missing-aud": ("RS256", "token_claim_invalid", "id_token: aud:"),
    "invalid-sig-hs256": ("HS256", "token_signature_invalid", "id_token:"),
    "invalid-sig-es256": ("ES256", "token_signature_invalid", "id_token:"),
}


@plays("basic form_post", "")
async def test_the_plain_login_succeeds_and_userinfo_is_asked_once(plan: str, module: str) -> None:
    async with playing(setup=SETUPS[plan]) as world:
        await logs_in(world)
        assert len(token_requests(world)) == len(userinfo_requests(world)) == 1


@plays("basic form_post", *REFUSED)
async def test_an_id_token_that_says_the_wrong_thing_is_refused_before_userinfo(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    code, words = REFUSED[module]
    async with playing(module, setup=SETUPS[plan]) as world:
        await is_refused(world, code, words, caplog, asks_token=1)
        world.provider.clear()
        await world.log_in(browser := world.browser())  # What was refused has spoiled nothing.
        assert await world.who(browser) == "ada"


@plays("basic form_post", "kid-absent-single-jwks", "kid-absent-multiple-jwks")
async def test_a_token_that_does_not_name_its_key_is_tried_with_the_keys_there_are(plan: str, module: str) -> None:
    async with playing(module, setup=SETUPS[plan]) as world:
        tokens = seen_id_tokens(world)
        await logs_in(world)
        assert "kid" not in header_of(tokens[0])
        assert len(userinfo_requests(world)) == 1


@plays("basic form_post", "idtoken-sig-rs256")
async def test_an_rs256_signature_is_verified(plan: str, module: str) -> None:
    async with playing(setup=SETUPS[plan]) as world:
        tokens = seen_id_tokens(world)
        await logs_in(world)
        assert header_of(tokens[0])["alg"] == "RS256"
        assert len(world.provider.received("/jwks")) == 1


@plays("basic form_post", "userinfo-invalid-sub")
async def test_userinfo_of_another_person_ends_the_login(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing(module, setup=SETUPS[plan]) as world:
        await is_refused(world, "userinfo_invalid", "userinfo: sub:", caplog, asks_userinfo=1)


@plays("basic form_post", "scope-userinfo-claims")
async def test_the_claims_of_all_scopes_come_from_userinfo(plan: str, module: str) -> None:
    scopes = ("openid", "profile", "email", "phone", "address")
    setup = replace(
        SETUPS[plan], provider={**SETUPS[plan].provider, "scopes": scopes}, scope="openid profile email phone address"
    )
    async with playing(setup=setup) as world:
        await logs_in(world)
        claims = claims_told(world)
        assert (claims["sub"], claims["name"], claims["locale"]) == ("ada-1815", "Ada Lovelace", "en-GB")
        assert (claims["email"], claims["email_verified"]) == ("ada@example.com", True)
        assert claims["phone_number"] == "+441815101210"
        assert claims["address"] == {"formatted": "12 St James's Square\nLondon"}


@plays("basic form_post", "client-secret-basic")
async def test_the_client_authenticates_by_basic_and_encodes_its_secret(plan: str, module: str) -> None:
    # The secret has a colon, a blank, a percent sign, a slash and a plus: each tells a wrong encoding.
    assert set(": %/+") <= set(CLIENT.client_secret)
    async with playing(setup=SETUPS[plan]) as world:
        await logs_in(world)
        [request] = token_requests(world)
        assert request.authorization_scheme == "Basic"
        assert "client_id" not in dict(request.form)


@plays("form_post", "form-post-error")
async def test_an_error_that_is_posted_is_consumed_and_shown(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing(module, setup=FORM_POST) as world:
        answer = await is_refused(
            world, "authorization_refused", "callback:", caplog, error="server_error", asks_token=0
        )
        assert b"provider=op" in answer.body  # A way to try again.


async def test_a_posted_response_puts_neither_code_nor_state_into_an_address() -> None:
    async with playing(setup=FORM_POST) as world:
        browser = world.browser()
        arrival = await world.approve(await world.begin(browser))
        assert arrival.form is not None
        assert "?" not in arrival.url
        assert {name for name, _ in arrival.form} == {"code", "state", "iss", "session_state"}
        assert (await world.come_back(browser, arrival)).status == 303
        assert await world.who(browser) == "ada"


@plays("comprehensive", *REFUSED_TOO)
async def test_an_id_token_in_the_registered_algorithm_is_refused_all_the_same(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    algorithm, code, words = REFUSED_TOO[module]
    setup = signing_with(algorithm)
    async with playing(setup=setup) as world:
        await logs_in(world)  # The honest token in the same algorithm is good.
    async with playing(module, setup=setup) as world:
        await is_refused(world, code, words, caplog, asks_token=1)


@plays("comprehensive", "aggregated-claims", "distributed-claims")
async def test_claims_of_another_source_are_taken_where_its_issuer_is_believed(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    believing = Setup(provider={"claims_providers": (ISSUER,)})
    async with playing(module, setup=believing) as world:
        await logs_in(world)
        assert claims_told(world)["credit_score"] == 650
        asked = [request.headers["authorization"] for request in world.provider.received("/claims")]
        # The person's own access token is not for claims providers.
        assert asked == (["Bearer distributed-claims-token"] if module == "distributed-claims" else [])
    async with playing(module) as world:
        await logs_in(world)
        assert "credit_score" not in claims_told(world)
        assert "claims source of op left out: claims_source_refused" in caplog.text


@plays("comprehensive", "mtls-endpoint-aliases")
async def test_aliases_for_mutual_tls_are_for_those_who_use_it(plan: str, module: str) -> None:
    """Who does not use it goes on as before; who does is in the FAPI plans, at the aliases alone."""
    async with playing(module) as world:
        await logs_in(world)
        paths = {request.path for request in world.provider.requests}
        assert {"/token", "/userinfo"} <= paths
        assert not any(path.startswith("/mtls") for path in paths)


def signing_with(algorithm: str) -> Setup:
    """Both sides agreed on one algorithm."""
    client = replace(CLIENT, client_secret=LONG_SECRET, id_token_signed_response_alg=algorithm)
    settings: dict[str, Any] = {"client_secret": LONG_SECRET, "algorithms": (algorithm,)}
    return Setup(client=client, policy=Policy(signing_algorithm=algorithm), provider=settings)
