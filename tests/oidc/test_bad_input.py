"""Whatever comes from outside and is not as it should be: a page with a code and a way on, and nobody logged in."""

import logging
import re
from collections.abc import AsyncIterator

import pytest

from tests.actors import Answer, Browser
from tests.oidc.world import FORM, World, asked, is_page_about, open_world, opened
from useid_middleware import LoginCompleted, LoginFailed, LoginSucceeded, TokenRefreshed
from useid_middleware.emulation.provider.answer_faults import ANSWER_FAULTS
from useid_middleware.emulation.provider.policy import Policy

#: Codes by what is wrong with an answer; where the endpoint has a say in it, by both.
ANSWER_CODES = {
    "huge": "provider_answer_invalid",
    "compressed": "provider_answer_invalid",
    "redirecting": "provider_answer_invalid",
    "slow": "provider_unreachable",
    "hanging": "provider_unreachable",
    "failing": "provider_unreachable",
    "down": "provider_unreachable",
}
GARBLED = {
    "discovery": "metadata_invalid",
    "jwks": "jwks_invalid",
    "token": "token_response_invalid",
    "userinfo": "userinfo_invalid",
}
FAILED = {
    "discovery": "provider_answer_invalid",
    "jwks": "provider_answer_invalid",
    "token": "token_refused",
    "userinfo": "userinfo_invalid",
}
#: What the documents say rather than how they come.
DOCUMENT_CODES = {
    "discovery-issuer-mismatch": "issuer_mismatch",
    "discovery-missing-issuer": "metadata_invalid",
    "discovery-missing-endpoints": "metadata_invalid",
    "discovery-foreign-endpoints": "metadata_invalid",
    "jwks-no-keys": "token_key_unknown",
    "token-response-without-id-token": "token_response_invalid",
    "token-response-without-access-token": "token_response_invalid",
    "token-response-odd-expires_in": "token_response_invalid",
    "token-type-unknown": "token_response_invalid",
    "userinfo-invalid-sub": "userinfo_invalid",
    "userinfo-missing-sub": "userinfo_invalid",
    "missing-code": "callback_invalid",
    "invalid-code": "token_refused",
    "duplicated-parameters": "callback_invalid",
    "huge-state": "callback_invalid",
    "authorization-error": "authorization_refused",
    "authorization-error-unknown": "authorization_refused",
}
#: These two documents are read by their content: some providers send them as text.
HARMLESS = ("wrong-content-type-discovery", "wrong-content-type-jwks", "jwks-odd-keys", "foreign-parameters")


def code_of(fault: str) -> str:
    """The code that a fault of an answer leads to."""
    kind, _, endpoint = fault.rpartition("-")
    return ANSWER_CODES.get(kind) or (FAILED if kind == "missing" else GARBLED)[endpoint]


FAULTS = {name: code_of(name) for name in ANSWER_FAULTS if name not in HARMLESS} | DOCUMENT_CODES


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await open_world()
    yield world
    await world.close()


async def try_to_log_in(world: World, browser: Browser) -> Answer:
    """A login that may end before the provider is reached."""
    answer = await browser.get("/login?provider=op&return=/wanted")
    if answer.status != 303:
        return answer
    return await world.come_back(browser, await world.approve(answer.header("location")))


async def assert_nobody_is_logged_in(world: World, browser: Browser) -> None:
    assert "useid-session" not in browser.cookies
    assert await world.who(browser) == ""
    assert world.told(LoginCompleted) == []


# what the provider answers


@pytest.mark.parametrize(("fault", "code"), FAULTS.items())
async def test_an_answer_that_is_not_as_it_should_be_ends_in_a_page_and_not_in_a_login(
    fault: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(oidc={"timeout": 0.2}) as world:
        world.provider.inject(fault)
        browser = world.browser()
        answer = await try_to_log_in(world, browser)
        assert 400 <= answer.status < 600
        assert answer.status != 500
        assert is_page_about(answer, code)
        assert '<a class="button" href="/auth/login?provider=op&amp;return=%2Fwanted">' in answer.body.decode() or (
            code == "callback_invalid"  # Whose login that was is not known then.
            and '<a class="button" href="/auth/login?provider=op' in answer.body.decode()
        )
        await assert_nobody_is_logged_in(world, browser)
        assert [event.code for event in world.told(LoginFailed)] == [code]
        assert f"login at provider op failed: {code}" in caplog.text
        world.provider.clear()
        world.clock.advance(31)  # Keys are not fetched again before.
        again = await world.log_in(browser)  # The way on works, once the provider does.
        assert (again.status, await world.who(browser)) == (303, "ada")


@pytest.mark.parametrize("fault", HARMLESS)
async def test_what_does_no_harm_is_overlooked(world: World, fault: str) -> None:
    world.provider.inject(fault)
    browser = world.browser()
    assert (await world.log_in(browser)).status == 303
    assert await world.who(browser) == "ada"


async def test_an_id_token_of_ten_kilobytes_logs_in_and_the_cookie_stays_small() -> None:
    async with opened(policy=Policy(refresh_tokens="always")) as world:
        world.provider.inject("large-id-token")
        browser = world.browser()
        await world.log_in(browser)
        assert await world.who(browser) == "ada"
        [succeeded] = world.told(LoginSucceeded)
        assert len(succeeded.identity.tokens.id_token) > 10_000
        assert len(browser.cookies["useid-session"]) == 43
        assert sum(len(name) + len(value) for name, value in browser.cookies.items()) < 200
        world.clock.advance(541)
        assert (await world.token(browser)).status == 200
        [refreshed] = world.told(TokenRefreshed)
        assert len(refreshed.tokens.id_token) > 10_000


@pytest.mark.parametrize("fault", ["authorization-error", "authorization-error-unknown"])
async def test_the_providers_words_about_an_error_are_shown_to_nobody(world: World, fault: str) -> None:
    world.provider.inject(fault)
    answer = await try_to_log_in(world, world.browser())
    page = answer.body.decode()
    for part in ("alert", "onerror", "<img", "odd", "\N{RIGHT-TO-LEFT OVERRIDE}"):
        assert part not in page
    assert len(re.findall("<script", page)) == 0
    [failed] = world.told(LoginFailed)
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in failed.description
    assert failed.error in ("access_denied", "<b>odd</b>")


# what the log keeps of it


async def test_the_log_of_logins_that_go_well_and_wrong_holds_codes_and_no_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="useid_middleware")
    async with opened(policy=Policy(refresh_tokens="always")) as world:
        browser = world.browser()
        secrets = set()
        for fault in (
            "",
            "invalid-nonce",
            "userinfo-invalid-sub",
            "invalid-code",
            "authorization-error",
            "invalid-sig",
        ):
            world.provider.clear()
            world.provider.inject(*([fault] if fault else []))
            address = await world.begin(browser)
            arrival = await world.approve(address)
            await world.come_back(browser, arrival)
            secrets |= {asked(address)[name] for name in ("state", "nonce")} | set(browser.cookies.values())
            secrets |= {arrival.params[name] for name in ("code", "error_description") if name in arrival.params}
        world.clock.advance(541)
        world.provider.inject("missing-token")
        assert (await world.token(browser)).status == 502
        world.provider.clear()
        await world.log_in(browser)
        world.clock.advance(541)
        assert (await world.token(browser)).status == 200
        [*_, delivery] = await world.provider.logout(subject="ada-1815")
        await Browser(world.app).send(
            "POST", "/auth/backchannel-logout", f"logout_token={delivery.logout_token}".encode(), {"content-type": FORM}
        )
        for tokens in [event.identity.tokens for event in world.told(LoginSucceeded)] + [
            event.tokens for event in world.told(TokenRefreshed)
        ]:
            secrets |= {tokens.access_token, tokens.refresh_token, tokens.id_token.rpartition(".")[2]}
        secrets |= {each.param("code_verifier") for each in world.provider.received("/token")} - {""}
        secrets |= {delivery.logout_token.rpartition(".")[2], "s3cret", "ada@example.com"}
        assert len(secrets) > 25
        assert [secret for secret in secrets if secret in caplog.text] == []
        for code in ("token_claim_invalid", "userinfo_invalid", "token_refused", "authorization_refused"):
            assert code in caplog.text
        assert "token_signature_invalid" in caplog.text
        assert "logout_replayed" in caplog.text
