"""The three sequences of the page "Request flows for a client with OpenID connection", arrow by arrow."""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlencode

import pytest

from tests.actors import ORIGIN
from tests.oidc.walking import walk
from tests.oidc.world import FORM, ISSUER, asked
from useid_middleware.emulation.provider.driver import log_out, read_frames
from useid_middleware.emulation.provider.policy import Policy

PLAIN = Policy(consent="skip", refresh_tokens="always")
PAGES = {"new_user_page": "/?message=ask-an-administrator", "existing_user_page": "/workstation/select/"}


def in_order(arrows: Sequence[str], *expected: str) -> bool:
    """Whether ``expected`` stand in ``arrows`` in this order, with others between."""
    rest = iter(arrows)
    return all(each in rest for each in expected)


# logging in


async def test_a_new_user_is_created_without_roles_and_shown_the_message_on_the_index_page() -> None:
    async with walk(policy=PLAIN, oidc=PAGES) as steps:
        answer = await steps.log_in()
        assert in_order(
            steps.take(),
            "browser > app: GET /auth/login",
            "app > browser: 303 /authorize",
            "browser > provider: GET /authorize",
            "provider > browser: 303 /auth/callback",
            "app > provider: POST /token",
            "app > provider: GET /userinfo",
            "event: UserCreated",
            "store: put session-secret",
            "store: put session",
            "app > browser: 303 /",
        )
        assert answer.header("location") == "/?message=ask-an-administrator"
        [session] = await steps.world.app.useid.sessions.of_subject(ISSUER, "ada-1815")
        assert (session.roles, session.is_new_account) == ((), True)


async def test_an_existing_user_is_sent_to_the_selection_page() -> None:
    async with walk(policy=PLAIN, oidc=PAGES) as steps:
        await steps.world.log_in(steps.world.browser())
        steps.world.clock.advance(1)
        steps.take()
        answer = await steps.log_in()
        assert in_order(
            steps.take(),
            "app > provider: POST /token",
            "app > provider: GET /userinfo",
            "event: UserUpdated",
            "store: put session",
            "app > browser: 303 /workstation/select/",
        )
        assert answer.header("location") == "/workstation/select/"
        [session, _] = await steps.world.app.useid.sessions.of_subject(ISSUER, "ada-1815")
        assert session.is_new_account is False


async def test_a_user_who_wanted_a_page_is_led_there_and_a_new_one_to_the_message_all_the_same() -> None:
    async with walk(policy=PLAIN, oidc=PAGES) as steps:
        world = steps.world
        first = await world.log_in(world.browser(), return_to="/report")
        second = await world.log_in(world.browser(), return_to="/report")
        assert first.header("location") == "/?message=ask-an-administrator"
        assert second.header("location") == "/report"


@pytest.mark.parametrize("fault", ["other", "none"])
async def test_another_state_removes_the_cookie_and_starts_the_login_again_which_then_succeeds(fault: str) -> None:
    async with walk(policy=PLAIN, oidc=PAGES) as steps:
        begun = await steps.follow("/auth/login?provider=op")
        arrival = await steps.approve(begun.header("location"))
        query = {name: value for name, value in arrival.params.items() if name != "state"}
        if fault == "other":
            query["state"] = "B" * 43
        steps.take()
        refused = await steps.browser.get(f"/callback?{urlencode(query)}")
        assert steps.take() == [
            "browser > app: GET /auth/callback",
            "event: LoginFailed",
            "app > browser: 303 /auth/login",
        ]
        removed, note = [value for name, value in refused.headers if name == b"set-cookie"]
        assert removed.startswith(b"useid-oidc=;")
        assert note.startswith(b"useid-oidc-restart=1;")
        assert "useid-oidc" not in steps.browser.cookies

        again = await steps.follow(refused.header("location"))
        state = asked(again.header("location"))["state"]
        assert state != asked(begun.header("location"))["state"]
        await steps.follow((await steps.approve(again.header("location"))).url)
        assert await steps.world.who(steps.browser) == "ada"


async def test_the_state_opens_no_session() -> None:
    async with walk(policy=PLAIN) as steps:
        begun = await steps.follow("/auth/login?provider=op")
        state = asked(begun.header("location"))["state"]
        await steps.follow((await steps.approve(begun.header("location"))).url)
        thief = steps.world.browser()
        thief.cookies["useid-session"] = state
        assert await steps.world.who(thief) == ""
        assert state not in steps.browser.cookies.values()


# the token


async def test_a_valid_token_is_used_until_it_runs_out_and_replaced_in_one_step_then() -> None:
    async with walk(policy=PLAIN) as steps:
        await steps.log_in()
        steps.take()
        token = (await steps.world.token(steps.browser)).body
        for _ in range(5):
            steps.world.clock.advance(100)
            assert (await steps.world.token(steps.browser)).body == token
        assert [arrow for arrow in steps.take() if "provider" in arrow or "secret" in arrow] == []
        steps.world.clock.advance(100)
        answers = await asyncio.gather(*(steps.world.token(steps.browser) for _ in range(5)))
        assert {answer.body for answer in answers} != {token}
        # Nobody ever finds the old one gone and no new one there: it is replaced, never deleted.
        changes = [arrow for arrow in steps.take() if "provider" in arrow or "secret" in arrow]
        assert changes == ["app > provider: POST /token", "provider > app: 200", "store: replace session-secret"]


# logging out


async def test_the_session_and_its_tokens_go_first_then_the_provider_then_the_landing_page() -> None:
    async with walk(policy=PLAIN, oidc={"after_logout": "/logout/"}) as steps:
        await steps.log_in()
        steps.take()
        headers = {"content-type": FORM, "origin": ORIGIN}
        left = await steps.browser.send("POST", "/auth/logout", b"", headers)
        assert await steps.world.who(steps.browser) == ""  # Before the provider is even asked.
        page = await log_out(steps.at_provider, left.header("location"))
        _, target = read_frames(page.text)
        back = await steps.follow(target)
        await steps.follow(back.header("location"))
        assert in_order(
            steps.take(),
            "browser > app: POST /auth/logout",
            "store: delete session",
            "store: delete session-secret",
            "app > browser: 303 /end-session",
            "browser > provider: GET /end-session",
            "browser > app: GET /auth/logout/done",
            "app > browser: 303 /logout/",
            "browser > app: GET /logout/",
        )
        begun = await steps.follow("/auth/login?provider=op")
        forms = await steps.at_provider.get(begun.header("location"), follow_redirects=False)
        assert "/interaction/" in forms.headers["location"]  # The provider asks who it is again.
