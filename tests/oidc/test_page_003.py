"""The six flows of the page "OIDC flows", arrow by arrow."""

import re
from dataclasses import replace

import pytest
from starlette.responses import PlainTextResponse

from tests.actors import ORIGIN, Answer
from tests.oidc.walking import Walk, walk
from tests.oidc.world import CLIENT, FORM, ISSUER, asked
from useid_middleware import BackchannelLogout, PreLogout
from useid_middleware.emulation.provider.driver import log_out, read_frames
from useid_middleware.emulation.provider.policy import Policy

PLAIN = Policy(consent="skip", refresh_tokens="always")
GATE = {"protected": ("/private",), "oidc": {"default_provider": "op"}}
END_SESSION = ["store: delete session", "store: delete session-secret", "event: SessionEnded"]


async def press_logout(walk: Walk) -> Answer:
    """Send the form of the logout page."""
    return await walk.browser.send("POST", "/auth/logout", b"", {"content-type": FORM, "origin": ORIGIN})


# 1. Authorization code flow with PKCE


@pytest.mark.parametrize(("is_known", "account_event"), [(False, "UserCreated"), (True, "UserUpdated")])
async def test_flow_1_authorization_code_with_pkce(is_known: bool, account_event: str) -> None:
    async with walk(policy=PLAIN, **GATE) as steps:
        if is_known:
            await steps.world.log_in(steps.world.browser())
            steps.take()
        wanted = await steps.follow("/private")
        begun = await steps.follow(wanted.header("location"))
        there = ["browser > app: GET /private", "app > browser: 303 /auth/login", "browser > app: GET /auth/login"]
        there += ["event: PreLogin"]
        if not is_known:
            there += ["app > provider: GET /.well-known/openid-configuration", "provider > app: 200"]
        there += ["store: put oidc-attempt", "app > browser: 303 /authorize"]
        assert steps.take() == there
        query = asked(begun.header("location"))
        assert len(query["state"]) == len(query["nonce"]) == len(query["code_challenge"]) == 43
        assert query["code_challenge_method"] == "S256"

        arrival = await steps.approve(begun.header("location"))
        assert steps.take() == [
            "browser > provider: GET /authorize",
            "provider > browser: 303 /interaction",
            "browser > provider: GET /interaction",
            "provider > browser: 200",
            "browser > provider: POST /interaction",
            "provider > browser: 303 /interaction",
            "browser > provider: GET /interaction",
            "provider > browser: 303 /auth/callback",
        ]
        assert arrival.params["state"] == query["state"]

        back = await steps.follow(arrival.url)
        page = await steps.follow(back.header("location"))
        assert steps.take() == [
            "browser > app: GET /auth/callback",
            "store: take oidc-attempt",
            "app > provider: POST /token",
            "provider > app: 200",
            *([] if is_known else ["app > provider: GET /jwks", "provider > app: 200"]),
            "app > provider: GET /userinfo",
            "provider > app: 200",
            f"event: {account_event}",
            "event: LoginSucceeded",
            "store: put session-secret",
            "store: put session",
            "event: LoginCompleted",
            "app > browser: 303 /private",
            "browser > app: GET /private",
            "app > browser: 200",
        ]
        assert page.body == b"ada"


# 2. Logout that the client starts


async def test_flow_2_a_listener_answers_the_logout_itself() -> None:
    async with walk(policy=PLAIN) as steps:

        @steps.world.events.on(PreLogout)
        def answer(event: PreLogout) -> None:
            event.response = PlainTextResponse("stay")

        await steps.log_in()
        steps.take()
        assert (await press_logout(steps)).body == b"stay"
        assert steps.take() == ["browser > app: POST /auth/logout", "event: PreLogout", "app > browser: 200"]


async def test_flow_2_a_listener_skips_the_providers_logout() -> None:
    async with walk(policy=PLAIN, oidc={"after_logout": "/bye"}) as steps:

        @steps.world.events.on(PreLogout)
        def skip(event: PreLogout) -> None:
            event.skip_sso = True

        await steps.log_in()
        steps.take()
        await press_logout(steps)
        assert steps.take() == [
            "browser > app: POST /auth/logout",
            "event: PreLogout",
            *END_SESSION,
            "app > browser: 303 /bye",
        ]


async def test_flow_2_the_logout_goes_on_to_the_provider_and_comes_back() -> None:
    async with walk(policy=PLAIN, oidc={"after_logout": "/bye"}) as steps:
        await steps.log_in()
        steps.take()
        assert (await steps.follow("/auth/logout")).status == 200
        left = await press_logout(steps)
        assert steps.take() == [
            "browser > app: GET /auth/logout",
            "app > browser: 200",
            "browser > app: POST /auth/logout",
            "event: PreLogout",
            "store: put oidc-logout",
            *END_SESSION,
            "app > browser: 303 /end-session",
        ]
        assert asked(left.header("location"))["id_token_hint"]
        page = await log_out(steps.at_provider, left.header("location"))
        _, target = read_frames(page.text)
        back = await steps.follow(target)
        await steps.follow(back.header("location"))
        arrows = steps.take()
        assert arrows[0] == "browser > provider: GET /end-session"
        assert arrows[-5:] == [
            "browser > app: GET /auth/logout/done",
            "store: take oidc-logout",
            "app > browser: 303 /bye",
            "browser > app: GET /bye",
            "app > browser: 200",
        ]


# 3. Back-channel logout


@pytest.mark.parametrize("is_handled", [True, False])
async def test_flow_3_back_channel_logout(is_handled: bool, caplog: pytest.LogCaptureFixture) -> None:
    async with walk(policy=PLAIN) as steps:
        if is_handled:
            steps.world.events.on(BackchannelLogout)(lambda event: event.mark_handled())
        await steps.log_in()
        steps.take()
        [delivery] = await steps.world.provider.logout(subject="ada-1815")
        assert delivery.status == 200
        assert steps.take() == [
            "provider > app: POST /auth/backchannel-logout",
            *END_SESSION,
            "store: put oidc-jti",
            "event: BackchannelLogout",
            "app > provider: 200",
        ]
        [event] = steps.world.told(BackchannelLogout)
        assert (event.issuer, event.subject, event.handled) == (ISSUER, "ada-1815", is_handled)
        assert ("no listener" in caplog.text) == (not is_handled)
        assert await steps.world.who(steps.browser) == ""


# 4. Front-channel logout


async def test_flow_4_front_channel_logout() -> None:
    async with walk(policy=PLAIN) as steps:
        await steps.log_in()
        steps.world.provider.add_client(replace(CLIENT, backchannel_logout_uri=""))
        steps.take()
        page = await log_out(steps.at_provider, f"{ISSUER}/end-session")
        [frame], _ = read_frames(page.text)
        assert steps.take() == [
            "browser > provider: GET /end-session",
            "provider > browser: 200",
            "browser > provider: POST /end-session/confirm",
            "provider > browser: 200",
        ]
        assert asked(frame).keys() == {"iss", "sid"}
        answer = await steps.follow(frame)
        assert steps.take() == [
            "browser > app: GET /auth/frontchannel-logout",
            *END_SESSION,
            "event: FrontchannelLogout",
            "app > browser: 200",
        ]
        assert answer.header("content-type").startswith("text/html")
        assert not answer.header("x-frame-options")
        assert await steps.world.who(steps.browser) == ""


# 5. Token refresh


async def test_flow_5_a_token_that_runs_out_is_renewed() -> None:
    async with walk(policy=PLAIN) as steps:
        await steps.log_in()
        first = (await steps.world.token(steps.browser)).body
        steps.world.clock.advance(541)
        steps.take()
        second = await steps.world.token(steps.browser)
        assert steps.take() == [
            "browser > app: GET /token",
            "app > provider: POST /token",
            "provider > app: 200",
            "store: replace session-secret",
            "event: TokenRefreshed",
            "app > browser: 200",
        ]
        assert steps.world.provider.received("/token")[-1].param("grant_type") == "refresh_token"
        assert second.body != first


async def test_flow_5_without_a_refresh_token_the_app_learns_that_nobody_is_logged_in() -> None:
    async with walk(policy=Policy(consent="skip")) as steps:
        await steps.log_in()
        steps.world.clock.advance(600)
        steps.take()
        answer = await steps.world.token(steps.browser)
        assert (answer.status, answer.body) == (401, b"not_authenticated")
        assert steps.take() == ["browser > app: GET /token", "app > browser: 401"]


# 6. Session management


async def test_flow_6_the_monitor_watches_the_providers_session() -> None:
    async with walk(policy=PLAIN) as steps:
        begun = await steps.follow("/auth/login?provider=op")
        arrival = await steps.approve(begun.header("location"))
        await steps.follow(arrival.url)
        steps.take()
        page = (await steps.follow("/auth/session-monitor")).body.decode()
        assert steps.take() == ["browser > app: GET /auth/session-monitor", "app > browser: 200"]
        assert f'<iframe src="{ISSUER}/check-session"' in page
        assert 'data-client-id="shop"' in page
        assert 'data-interval="10"' in page
        [state] = re.findall('data-session-state="([^"]+)"', page)
        assert state == arrival.params["session_state"]


@pytest.mark.parametrize(
    ("person", "outcome", "events"),
    [
        ("ada", "unchanged", ["app > provider: GET /userinfo", "provider > app: 200", "store: replace session-secret"]),
        ("", "ended", [*END_SESSION, "event: SessionChanged"]),
    ],
)
async def test_flow_6_a_change_asks_the_provider_first_and_then_logs_out(
    person: str, outcome: str, events: list[str]
) -> None:
    async with walk(policy=PLAIN) as steps:
        await steps.log_in()
        steps.take()
        if not person:
            steps.at_provider.cookies.clear()
        begun = await steps.follow("/auth/session-monitor/renew")
        assert asked(begun.header("location"))["prompt"] == "none"
        page = await steps.follow((await steps.approve(begun.header("location"))).url)
        exchange = ["app > provider: POST /token", "provider > app: 200"] if person else []
        assert steps.take() == [
            "browser > app: GET /auth/session-monitor/renew",
            "store: put oidc-attempt",
            "app > browser: 303 /authorize",
            "browser > provider: GET /authorize",
            "provider > browser: 303 /auth/callback",
            "browser > app: GET /auth/callback",
            "store: take oidc-attempt",
            *exchange,
            *events,
            "app > browser: 200",
        ]
        assert f'data-outcome="{outcome}"' in page.body.decode()
        assert await steps.world.who(steps.browser) == person
