"""What the suite lacks about logout tokens: replays, tokens of other kinds, and whose sessions they end."""

import asyncio
from urllib.parse import urlencode

import pytest

from tests.actors import Answer, Browser
from tests.oidc.conformance import logs_in, playing, plays, seen_id_tokens
from tests.oidc.test_conformance_logout import BACK, are_not_stored
from tests.oidc.world import World
from tests.qr.conftest import Clock
from useid_middleware import BackchannelLogout, SessionEnded
from useid_middleware.errors import UnavailableError
from useid_middleware.stores.base import Versioned
from useid_middleware.stores.memory import MemoryStore


async def deliver(world: World, token: str, *more: tuple[str, str]) -> Answer:
    """Somebody posts a logout token to us."""
    body = urlencode([("logout_token", token), *more]).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await Browser(world.app).send("POST", "/auth/backchannel-logout", body, headers)
    world.answers.append(answer)
    return answer


async def end_everything(world: World) -> list[int]:
    """The provider ends all sessions of Ada and tells us: the statuses of our answers."""
    return [delivery.status for delivery in await world.provider.logout(subject="ada-1815")]


class ForgetfulStore(MemoryStore):
    """A store that is away whenever somebody wants to know whether a logout token is new."""

    is_away = True

    async def get(self, key: str) -> Versioned | None:
        """See the store."""
        if self.is_away and key.startswith("oidc-jti:"):
            raise UnavailableError("store_unavailable", "the store is away")
        return await super().get(key)


@plays("asked-here", "jti replay")
async def test_a_logout_token_works_once(plan: str, module: str, caplog: pytest.LogCaptureFixture) -> None:
    async with playing("logout-only-sub", setup=BACK) as world:
        await logs_in(world)
        assert await end_everything(world) == [200]
        [delivery] = world.provider.deliveries
        browser = await logs_in(world)  # They come back, and somebody who saw the token sends it again.
        answers = await asyncio.gather(*(deliver(world, delivery.logout_token) for _ in range(10)))
        assert {answer.status for answer in answers} == {400}
        assert {answer.json()["error_description"] for answer in answers} == {"logout_replayed"}
        assert "back-channel logout refused: logout_replayed:" in caplog.text
        assert await world.who(browser) == "ada"
        assert len(world.told(BackchannelLogout)) == 1
        are_not_stored(world)


async def test_without_the_store_no_logout_token_is_believed_and_of_many_copies_at_once_one_is() -> None:
    clock = Clock()
    store = ForgetfulStore(clock=clock)
    async with playing(setup=BACK, store=store, clock=clock) as world:
        browser = await logs_in(world)
        assert await end_everything(world) == [503]
        assert await world.who(browser) == "ada"
        assert not world.told(SessionEnded)
        store.is_away = False  # The provider tries again, in its haste ten times at once.
        token = world.provider.deliveries[0].logout_token
        answers = await asyncio.gather(*(deliver(world, token) for _ in range(10)))
        assert sorted(answer.status for answer in answers) == [200] + [400] * 9
        assert await world.who(browser) == ""
        assert len(world.told(BackchannelLogout)) == len(world.told(SessionEnded)) == 1
        are_not_stored(world)


@plays("asked-here", "only sub")
async def test_a_token_with_sub_alone_ends_every_session_of_the_person(plan: str, module: str) -> None:
    async with playing("logout-only-sub", setup=BACK) as world:
        first, second = await logs_in(world), await logs_in(world)
        grace = world.browser()
        await world.log_in(grace, person="grace")
        session = next(world.provider.realm.records.sessions.values(now=0))
        assert [delivery.status for delivery in await world.provider.logout(sid=session.sid)] == [200]
        assert [await world.who(browser) for browser in (first, second, grace)] == ["", "", "grace"]
        assert [(heard.subject, heard.sid) for heard in world.told(BackchannelLogout)] == [("ada-1815", "")]
        are_not_stored(world)


@plays("asked-here", "only sid")
async def test_a_token_with_sid_alone_ends_that_session_and_no_other(plan: str, module: str) -> None:
    async with playing("logout-only-sid", setup=BACK) as world:
        first, second = await logs_in(world), await logs_in(world)
        [session, _] = world.provider.realm.records.sessions.values(now=0)
        assert [delivery.status for delivery in await world.provider.logout(sid=session.sid)] == [200]
        assert [await world.who(browser) for browser in (first, second)] == ["", "ada"]
        assert [(heard.subject, heard.sid) for heard in world.told(BackchannelLogout)] == [("", session.sid)]
        are_not_stored(world)


@plays("asked-here", "unknown sid is 200")
async def test_a_session_that_nobody_knows_is_logged_out_already(plan: str, module: str) -> None:
    async with playing("logout-unknown-sid", setup=BACK) as world:
        browser = await logs_in(world)
        assert await end_everything(world) == [200]
        assert await world.who(browser) == "ada"
        assert not world.told(SessionEnded)
        are_not_stored(world)


@plays("asked-here", "stale iat", "typ confusion")
async def test_a_token_that_is_old_or_of_another_kind_is_refused(
    plan: str, module: str, caplog: pytest.LogCaptureFixture
) -> None:
    faults = {
        "stale iat": {"logout-stale-iat": "iat", "logout-future-iat": "iat", "logout-missing-iat": "iat"},
        "typ confusion": {"logout-typ-at-jwt": "typ", "logout-id-token": "events"},
    }[module]
    for fault, claim in faults.items():
        async with playing(fault, setup=BACK) as world:
            browser = await logs_in(world)
            assert await end_everything(world) == [400]
            assert f"back-channel logout refused: token_claim_invalid: logout_token: {claim}:" in caplog.text
            assert await world.who(browser) == "ada"
            assert not world.told(BackchannelLogout)
            are_not_stored(world)


async def test_the_person_s_own_id_token_is_no_logout_token() -> None:
    async with playing(setup=BACK) as world:
        tokens = seen_id_tokens(world)
        browser = await logs_in(world)
        answer = await deliver(world, tokens[0])
        assert (answer.status, answer.json()["error_description"]) == (400, "token_claim_invalid")
        assert await world.who(browser) == "ada"
        are_not_stored(world)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("logout-invalid-sig", "token_signature_invalid"),
        ("logout-foreign-key", "token_signature_invalid"),
        ("logout-expired", "token_claim_invalid"),
        ("logout-missing-jti", "token_claim_invalid"),
        ("logout-no-sub-no-sid", "token_claim_invalid"),
    ],
)
async def test_what_nobody_may_believe_is_refused(fault: str, code: str) -> None:
    async with playing(fault, setup=BACK) as world:
        browser = await logs_in(world)
        assert await end_everything(world) == [400]
        assert [answer.json()["error_description"] for answer in world.answers] == [code]
        assert await world.who(browser) == "ada"
        are_not_stored(world)


@pytest.mark.parametrize("fault", ["logout-typ-jwt", "logout-typ-absent", "logout-no-exp", "logout-aud-array"])
async def test_what_providers_in_the_wild_send_is_understood(fault: str) -> None:
    async with playing(fault, setup=BACK) as world:
        browser = await logs_in(world)
        assert await end_everything(world) == [200]
        assert await world.who(browser) == ""
        are_not_stored(world)


async def test_requests_that_are_no_logout_are_refused_without_being_stored() -> None:
    async with playing(setup=BACK) as world:
        browser = await logs_in(world)
        assert [(await deliver(world, token)).status for token in ("", "x", "a.b.c", "é", "x" * 60_000)] == [400] * 5
        assert (await deliver(world, "x", ("logout_token", "y"))).status == 400
        assert await world.who(browser) == "ada"
        are_not_stored(world)
