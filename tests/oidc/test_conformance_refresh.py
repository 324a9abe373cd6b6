"""The suite's modules of refresh tokens and of logins that a third party begins."""

import asyncio
from dataclasses import replace
from urllib.parse import urlencode

from tests.actors import ORIGIN, Browser
from tests.oidc.conformance import REFRESHING, call_userinfo, logs_in, playing, plays
from tests.oidc.wire import authorization_requests, token_requests, userinfo_requests
from tests.oidc.world import CLIENT, ISSUER, World
from useid_middleware import LoginFailed, SessionEnded, TokenRefreshed
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.oidc.core.client_authentication import basic_credentials

#: The access token's life in seconds, and a little.
EXPIRED = 601


async def shown(world: World, browser: Browser) -> str:
    """The access token that the host app is given."""
    answer = await world.token(browser)
    assert answer.status == 200, answer.body
    return answer.body.decode()


@plays("refresh", "refresh-token")
async def test_an_expired_token_is_replaced_and_the_new_one_opens_userinfo(plan: str, module: str) -> None:
    async with playing(setup=REFRESHING) as world:
        browser = await logs_in(world)
        old = await shown(world, browser)
        world.clock.advance(EXPIRED)
        response = await call_userinfo(world, browser)
        assert (response.status_code, response.json()["sub"]) == (200, "ada-1815")
        new = await shown(world, browser)
        assert new != old
        assert [request.headers["authorization"] for request in userinfo_requests(world)] == [
            f"Bearer {old}",
            f"Bearer {new}",
        ]
        refresh = token_requests(world)[-1]
        assert {name for name, _ in refresh.form} == {"grant_type", "refresh_token"}
        assert len(token_requests(world)) == 2
        [event] = world.told(TokenRefreshed)
        assert event.expires_at == event.previous_expires_at + EXPIRED
        assert await world.who(browser) == "ada"


@plays("refresh", "refresh-token-invalid-issuer", "refresh-token-invalid-sub")
async def test_a_refreshed_id_token_of_somebody_else_is_refused_with_all_that_came_with_it(
    plan: str, module: str
) -> None:
    async with playing(setup=REFRESHING) as world:
        browser = await logs_in(world)
        world.provider.inject(module)
        world.clock.advance(EXPIRED)
        answers = [await world.token(browser) for _ in range(3)]
        assert [(answer.status, answer.body) for answer in answers] == [
            (502, b"token_claim_invalid"),
            (401, b"not_authenticated"),  # The refresh token was spent on the answer that was refused.
            (401, b"not_authenticated"),
        ]
        assert len(token_requests(world)) == 3  # The login's, the refused one, and one that found the token spent.
        assert not world.told(TokenRefreshed)
        assert len(userinfo_requests(world)) == 1  # That of the login.


async def test_a_refresh_answer_without_an_id_token_is_taken() -> None:
    async with playing(setup=REFRESHING) as world:
        browser = await logs_in(world)
        old = await shown(world, browser)
        world.provider.inject("token-response-without-id-token", "token-response-without-refresh-token")
        world.clock.advance(EXPIRED)
        assert await shown(world, browser) != old


@plays("asked-here", "N parallel refreshes make one token call")
async def test_many_requests_at_once_make_one_token_call(plan: str, module: str) -> None:
    async with playing(setup=REFRESHING) as world:
        browser = await logs_in(world)
        world.clock.advance(EXPIRED)
        answers = await asyncio.gather(*(world.token(browser) for _ in range(50)))
        assert {answer.status for answer in answers} == {200}
        assert len({answer.body for answer in answers}) == 1
        assert [request.param("grant_type") for request in token_requests(world)] == [
            "authorization_code",
            "refresh_token",
        ]
        assert len(world.told(TokenRefreshed)) == 1


@plays("asked-here", "reuse of a rotated refresh token")
async def test_reuse_of_a_rotated_refresh_token_ends_what_stems_from_it(plan: str, module: str) -> None:
    async with playing(setup=REFRESHING) as world:
        browser = await logs_in(world)
        [stolen] = [token for token, _ in world.provider.realm.records.refresh_tokens.items(now=0)]
        world.clock.advance(EXPIRED)
        await shown(world, browser)
        async with world.at_provider() as thief:
            form = {"grant_type": "refresh_token", "refresh_token": stolen}
            headers = {"authorization": basic_credentials(CLIENT.client_id, CLIENT.client_secret)}
            again = await thief.post(f"{ISSUER}/token", data=form, headers=headers)
        assert again.json()["error"] == "invalid_grant"
        world.provider.requests.clear()
        world.clock.advance(EXPIRED)
        for _ in range(3):
            answer = await world.token(browser)
            assert (answer.status, answer.body) == (401, b"not_authenticated")
        assert len(token_requests(world)) == 1  # A token that does not work is not sent again.
        assert await world.who(browser) == "ada"  # The login is the app's; only the provider's tokens are gone.
        assert not world.told(SessionEnded)


async def test_without_rotation_the_old_refresh_token_is_used_again() -> None:
    async with playing(
        setup=replace(REFRESHING, policy=Policy(refresh_tokens="always", refresh_rotation=False))
    ) as world:
        browser = await logs_in(world)
        for _ in range(3):
            world.clock.advance(EXPIRED)
            await shown(world, browser)
        sent = [request.param("refresh_token") for request in token_requests(world)[1:]]
        assert len(sent) == 3
        assert len(set(sent)) == 1


@plays("third-party", "3rd-party-init-login")
async def test_a_third_party_begins_a_login_at_the_issuer_it_names(plan: str, module: str) -> None:
    for method in ("GET", "POST"):
        async with playing() as world:
            browser = world.browser()
            query = urlencode({"iss": ISSUER, "login_hint": "ada", "target_link_uri": f"{ORIGIN}/wanted?a=b"})
            if method == "GET":
                begun = await browser.get(f"/initiate?{query}")
            else:
                headers = {
                    "content-type": "application/x-www-form-urlencoded",
                    "origin": "https://portal.example",
                    "sec-fetch-site": "cross-site",
                }
                begun = await browser.send("POST", "/auth/initiate", query.encode(), headers)
            assert begun.status == 303, begun.body
            answer = await world.come_back(browser, await world.approve(begun.header("location")))
            assert (answer.status, answer.header("location")) == (303, f"{ORIGIN}/wanted?a=b")
            assert await world.who(browser) == "ada"
            assert [params["login_hint"] for params in authorization_requests(world)] == ["ada"]


async def test_a_third_party_cannot_name_an_issuer_of_its_own_or_a_target_elsewhere() -> None:
    async with playing() as world:
        browser = world.browser()
        for issuer in ("https://issuer.invalid", f"{ISSUER}/", "", ISSUER.upper()):
            answer = await browser.get(f"/initiate?{urlencode({'iss': issuer})}")
            assert answer.status == 400
            assert b"<code>issuer_unknown</code>" in answer.body
        twice = await browser.get(f"/initiate?{urlencode([('iss', ISSUER), ('iss', ISSUER)])}")
        assert twice.status == 400
        assert {failed.code for failed in world.told(LoginFailed)} == {"issuer_unknown", "malformed_request"}
        assert world.provider.requests == []
        query = urlencode({"iss": ISSUER, "target_link_uri": "https://evil.example/"})
        begun = await browser.get(f"/initiate?{query}")
        answer = await world.come_back(browser, await world.approve(begun.header("location")))
        assert answer.header("location") == "/"
