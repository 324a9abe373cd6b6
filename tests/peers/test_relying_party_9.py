"""Our relying party at npm ``oidc-provider`` 9: each way to log in that both know."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import pytest
from joserfc import jws

from tests.peers.people import visit_async
from tests.peers.providers import SECRET, Peer, StartPeer
from tests.peers.sites import (
    PEOPLE,
    HostApp,
    OurKeys,
    asked,
    log_in_as_ada,
    make_our_keys,
    new_person,
    opened,
    registered,
    tokens_of,
)
from tests.servers import free_port
from useid_middleware import LoginFailed, LoginSucceeded, TokenRefreshed

ORIGIN: Final = f"http://127.0.0.1:{free_port()}"
#: HS256 asks for 32 bytes at least.
LONG_SECRET: Final = "a secret of the tests that is long enough"
HYBRID: Final[dict[str, Any]] = {
    "response_types": ["code id_token"],
    "grant_types": ["authorization_code", "implicit", "refresh_token"],
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> OurKeys:
    return make_our_keys(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture(scope="module")
def op(start_provider9: StartPeer, keys: OurKeys) -> Peer:
    """A provider with a client for each way; those of the tests below say which is theirs."""

    def encrypted(algorithm: str, encryption: str) -> dict[str, Any]:
        names = {"id_token_encrypted_response_alg": algorithm, "id_token_encrypted_response_enc": encryption}
        return {"jwks": keys.public, **names}

    return start_provider9(
        [
            registered(ORIGIN),
            registered(ORIGIN, "post", token_endpoint_auth_method="client_secret_post"),
            registered(ORIGIN, "secret-jwt", secret=LONG_SECRET, token_endpoint_auth_method="client_secret_jwt"),
            registered(ORIGIN, "key-jwt", secret=None, token_endpoint_auth_method="private_key_jwt", jwks=keys.public),
            registered(ORIGIN, "public", secret=None, token_endpoint_auth_method="none"),
            registered(ORIGIN, "signing", jwks=keys.public, request_object_signing_alg="ES256"),
            registered(ORIGIN, "jarm", authorization_signed_response_alg="ES256"),
            registered(ORIGIN, "hybrid", **HYBRID),
            registered(ORIGIN, "hybrid-jarm", authorization_signed_response_alg="ES256", **HYBRID),
            registered(ORIGIN, "signed-userinfo", userinfo_signed_response_alg="ES256"),
            registered(
                ORIGIN,
                "sealed-userinfo",
                jwks=keys.public,
                userinfo_signed_response_alg="ES256",
                userinfo_encrypted_response_alg="ECDH-ES",
            ),
            registered(ORIGIN, "rsa-encrypted", **encrypted("RSA-OAEP-256", "A256GCM")),
            registered(ORIGIN, "ec-encrypted", **encrypted("ECDH-ES", "A128CBC-HS256")),
            registered(ORIGIN, "eddsa", id_token_signed_response_alg="EdDSA"),
        ],
        people=PEOPLE,
        # Longer than the tests take; our own clock is what runs ahead of it.
        ttl={"AccessToken": 20},
    )


# logging in


async def test_a_person_logs_in_by_code_and_pkce(op: Peer) -> None:
    async with opened(op, ORIGIN) as site:
        browser = site.browser()
        address = asked(await site.begin(browser))
        assert (address["response_type"], address["code_challenge_method"]) == ("code", "S256")
        _, arrival = await log_in_as_ada(site)
        assert asked(arrival.url).keys() == {"code", "state", "iss"}
        identity = site.told(LoginSucceeded)[-1].identity
        assert (identity.provider, identity.subject, identity.amr) == (op.issuer, "ada", ("pwd",))
        assert identity.claims["email"] == "ada@example.org"


@pytest.mark.parametrize(
    ("client_id", "method"),
    [
        ("useid", "client_secret_basic"),
        ("post", "client_secret_post"),
        ("secret-jwt", "client_secret_jwt"),
        ("key-jwt", "private_key_jwt"),
        ("public", "none"),
    ],
)
async def test_we_say_who_we_are_in_each_way_to_push_to_log_in_and_to_refresh(
    op: Peer, keys: OurKeys, client_id: str, method: str
) -> None:
    secret = LONG_SECRET if method == "client_secret_jwt" else SECRET
    settings: dict[str, Any] = {"client_authentication": method, "client_secret": secret, "private_keys": keys.file}
    async with opened(op, ORIGIN, client_id=client_id, pushed_authorization="always", **settings) as site:
        browser, _ = await log_in_as_ada(site)
        first = await site.token(browser)
        site.clock.seconds = 11
        second = await site.token(browser)
        assert (second[0], second[1] != first[1]) == (200, True)


async def test_a_pushed_request_leaves_nothing_in_the_address(op: Peer) -> None:
    async with opened(op, ORIGIN, pushed_authorization="always") as site:
        address = asked(await site.begin(site.browser()))
        assert address.keys() == {"client_id", "request_uri"}
        await log_in_as_ada(site)


@pytest.mark.parametrize("pushed", ["never", "always"])
async def test_a_signed_request_is_taken_from_the_address_and_pushed(op: Peer, keys: OurKeys, pushed: str) -> None:
    settings: dict[str, Any] = {"request_object": "value", "private_keys": keys.file, "pushed_authorization": pushed}
    async with opened(op, ORIGIN, client_id="signing", max_age=600, **settings) as site:
        address = asked(await site.begin(site.browser()))
        assert address.keys() == {"client_id"} | (
            {"request_uri"} if pushed == "always" else {"request", "response_type", "scope"}
        )
        await log_in_as_ada(site)
        # What only the signed request asked for is there.
        assert site.told(LoginSucceeded)[-1].identity.auth_time is not None


async def test_a_request_by_reference_is_refused_by_a_provider_that_fetches_none(op: Peer, keys: OurKeys) -> None:
    settings: dict[str, Any] = {"request_object": "reference", "private_keys": keys.file}
    async with opened(op, ORIGIN, client_id="signing", **settings) as site:
        browser = site.browser()
        async with new_person() as person:
            refused = await person.get(await site.begin(browser))
        assert "request_uri_not_supported" in refused.text + refused.headers.get("location", "")


@pytest.mark.parametrize("mode", ["jwt", "query.jwt", "form_post.jwt"])
async def test_the_answer_comes_as_one_signed_token(op: Peer, mode: str) -> None:
    async with opened(op, ORIGIN, client_id="jarm", response_mode=mode) as site:
        _, arrival = await log_in_as_ada(site)
        assert (arrival.form or asked(arrival.url)).keys() == {"response"}
        assert (arrival.form is not None) == (mode == "form_post.jwt")


async def test_the_answer_comes_in_a_form(op: Peer) -> None:
    async with opened(op, ORIGIN, response_mode="form_post") as site:
        _, arrival = await log_in_as_ada(site)
        assert arrival.form is not None
        assert arrival.form.keys() == {"code", "state", "iss"}


async def test_a_hybrid_answer_names_its_issuer_in_the_id_token_alone(op: Peer) -> None:
    async with opened(op, ORIGIN, client_id="hybrid", response_type="code id_token") as site:
        _, arrival = await log_in_as_ada(site)
        assert arrival.form is not None
        assert arrival.form.keys() == {"code", "id_token", "state"}


async def test_a_hybrid_answer_comes_as_one_signed_token(op: Peer) -> None:
    settings: dict[str, Any] = {"response_type": "code id_token", "response_mode": "form_post.jwt"}
    async with opened(op, ORIGIN, client_id="hybrid-jarm", **settings) as site:
        _, arrival = await log_in_as_ada(site)
        assert arrival.form is not None
        assert arrival.form.keys() == {"response"}


@pytest.mark.parametrize("client_id", ["signed-userinfo", "sealed-userinfo"])
async def test_userinfo_that_is_signed_and_perhaps_encrypted_is_believed(
    op: Peer, keys: OurKeys, client_id: str
) -> None:
    async with opened(op, ORIGIN, client_id=client_id, userinfo_signed=True, private_keys=keys.file) as site:
        await log_in_as_ada(site)


async def test_userinfo_that_is_not_signed_is_refused_where_signatures_are_wanted(op: Peer) -> None:
    async with opened(op, ORIGIN, userinfo_signed=True) as site:
        browser = site.browser()
        async with new_person() as person:
            arrival = await visit_async(person, await site.begin(browser))
        answer = await site.come_back(browser, arrival)
        assert answer.status == 502
        assert await site.who(browser) == ""
        [failed] = site.told(LoginFailed)
        assert failed.code.startswith("userinfo")


@pytest.mark.parametrize("client_id", ["rsa-encrypted", "ec-encrypted"])
async def test_an_encrypted_id_token_is_opened_at_login_and_at_refresh(op: Peer, keys: OurKeys, client_id: str) -> None:
    async with opened(op, ORIGIN, client_id=client_id, private_keys=keys.file) as site:
        browser, _ = await log_in_as_ada(site)
        token = tokens_of(site).id_token
        # It is kept as it was signed, for the provider to read it when it is a hint.
        assert (token.count("."), site.told(LoginSucceeded)[0].identity.claims["aud"]) == (2, client_id)
        site.clock.seconds = 11
        assert (await site.token(browser))[0] == 200
        [refreshed] = site.told(TokenRefreshed)
        assert refreshed.tokens.id_token.count(".") == 2


@pytest.mark.parametrize("client_id", ["rsa-encrypted", "ec-encrypted"])
async def test_an_encrypted_id_token_is_no_login_without_the_key(op: Peer, client_id: str) -> None:
    async with opened(op, ORIGIN, client_id=client_id) as site:
        browser = site.browser()
        async with new_person() as person:
            arrival = await visit_async(person, await site.begin(browser))
        assert (await site.come_back(browser, arrival)).status == 502
        assert site.told(LoginFailed)[0].code == "token_encryption_refused"


async def test_an_id_token_signed_by_eddsa_is_verified(op: Peer) -> None:
    async with opened(op, ORIGIN, client_id="eddsa") as site:
        await log_in_as_ada(site)
        assert jws.extract_compact(tokens_of(site).id_token.encode()).headers()["alg"] == "EdDSA"


async def test_a_person_who_cancels_is_told_and_not_logged_in(op: Peer) -> None:
    async with opened(op, ORIGIN) as site:
        browser = site.browser()
        async with new_person() as person:
            arrival = await visit_async(person, await site.begin(browser), press="Cancel")
        answer = await site.come_back(browser, arrival)
        assert b"The login was cancelled" in answer.body
        assert await site.who(browser) == ""
        [failed] = site.told(LoginFailed)
        assert (failed.code, failed.error) == ("authorization_refused", "access_denied")


async def test_fifty_browsers_log_in_at_once(op: Peer) -> None:
    async with opened(op, ORIGIN) as site:
        names = [f"person{number}" for number in range(50)]
        browsers = [site.browser() for _ in names]
        await asyncio.gather(*(site.log_in(each, login=name) for each, name in zip(browsers, names, strict=True)))
        assert await asyncio.gather(*(site.who(each) for each in browsers)) == names


# DPoP and FAPI 2.0


@pytest.mark.parametrize("pushed", ["never", "always"])
async def test_tokens_are_bound_to_a_key_with_the_nonce_that_the_provider_asks_for(
    start_provider9: StartPeer, pushed: str
) -> None:
    bound = start_provider9(
        [registered(ORIGIN, dpop_bound_access_tokens=True)],
        people=PEOPLE,
        ttl={"AccessToken": 20},
        features={"dPoP": {"requireNonce": True}},
    )
    host_app = HostApp(api=f"{bound.issuer}/me")
    async with opened(bound, ORIGIN, host_app=host_app, dpop=True, pushed_authorization=pushed) as site:
        browser, _ = await log_in_as_ada(site)
        assert tokens_of(site).token_type == "DPoP"
        # Whichever endpoint is called first asks for the nonce.
        first_called = "pushed_authorization_request" if pushed == "always" else "grant"
        assert bound.wait_for(f"{first_called}.error")["error"] == "use_dpop_nonce"
        called = await browser.send("GET", "/api")
        assert (called.status, called.json()["sub"]) == (200, "ada")
        first = await site.token(browser)
        site.clock.seconds = 11
        assert (await site.token(browser))[1] != first[1]
        assert (await browser.send("GET", "/api")).status == 200


@pytest.mark.parametrize("profile", ["fapi2", "fapi2-message-signing"])
async def test_a_fapi_2_profile_is_kept_on_both_sides(start_provider9: StartPeer, keys: OurKeys, profile: str) -> None:
    signs = profile == "fapi2-message-signing"
    strict: dict[str, Mapping[str, object]] = {
        "fapi": {"enabled": True, "profile": "2.0"},
        "pushedAuthorizationRequests": {"enabled": True, "requirePushedAuthorizationRequests": True},
        "requestObjects": {"enabled": True, "requireSignedRequestObject": signs},
        "dPoP": {"requireNonce": True},
    }
    algorithms = {"id_token_signed_response_alg": "ES256", "authorization_signed_response_alg": "ES256"}
    peer = start_provider9(
        [
            registered(
                ORIGIN,
                secret=None,
                token_endpoint_auth_method="private_key_jwt",
                jwks=keys.public,
                dpop_bound_access_tokens=True,
                **algorithms,
            )
        ],
        people=PEOPLE,
        features=strict,
        ttl={"AccessToken": 20},
    )
    async with opened(peer, ORIGIN, profile=profile, dpop=True, private_keys=keys.file) as site:
        browser, arrival = await log_in_as_ada(site)
        assert asked(arrival.url).keys() == ({"response"} if signs else {"code", "state", "iss"})
        first = await site.token(browser)
        site.clock.seconds = 11
        second = await site.token(browser)
        assert (second[0], second[1] != first[1]) == (200, True)
