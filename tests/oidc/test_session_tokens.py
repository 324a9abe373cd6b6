"""A session's access token: renewed ahead of its end, by one of however many ask, and lost to nobody."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.actors import Answer, Browser
from tests.oidc.network import Gate
from tests.oidc.world import CLIENT, ISSUER, KEYS, World, open_world, opened
from tests.qr.conftest import Clock
from useid_middleware import TokenRefreshed, UserCreated
from useid_middleware.emulation.provider.app import Provider, Received
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.oidc.core.client_authentication import basic_credentials
from useid_middleware.oidc.core.tokens import TokenSet
from useid_middleware.oidc.records import session_secrets
from useid_middleware.stores.base import Store
from useid_middleware.stores.memory import MemoryStore
from useid_middleware.stores.redis import RedisStore

RENEWABLE = Policy(refresh_tokens="always")
#: An access token lives for ten minutes; this long after, it is renewed ahead of its end.
DUE = 541
#: The access token has ended.
OVER = 601


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await open_world(policy=RENEWABLE)
    yield world
    await world.close()


async def logged_in(world: World) -> Browser:
    browser = world.browser()
    assert (await world.log_in(browser)).status == 303
    return browser


def refreshes(world: World) -> list[Received]:
    """The refresh requests that the provider got."""
    return [each for each in world.provider.received("/token") if each.param("grant_type") == "refresh_token"]


def same_browser(world: World, browser: Browser) -> Browser:
    """The browser, led by a load balancer to another process."""
    return replace(browser, app=world.app)


def texts(answers: Sequence[Answer]) -> set[tuple[int, str]]:
    return {(answer.status, answer.body.decode()) for answer in answers}


async def kept_tokens(world: World, browser: Browser) -> TokenSet:
    """What the session keeps now."""
    token = browser.cookies["useid-session"]
    session = await world.app.useid.sessions.load(token)
    assert session is not None
    found = await world.app.useid.sessions.secret(session, token)
    assert found is not None
    return session_secrets.decode(found.value).tokens


# when


async def test_a_token_is_renewed_a_minute_ahead_of_its_end_and_not_before(world: World) -> None:
    browser = await logged_in(world)
    first = await world.token(browser)
    world.clock.advance(539)
    assert (await world.token(browser)).body == first.body
    assert refreshes(world) == []
    world.clock.advance(2)
    second = await world.token(browser)
    assert (second.status, second.body != first.body) == (200, True)
    assert (await world.token(browser)).body == second.body
    assert len(refreshes(world)) == 1


async def test_a_token_that_lives_for_seconds_is_not_renewed_at_every_call() -> None:
    async with opened(policy=replace(RENEWABLE, access_token_lifetime=20)) as world:
        browser = await logged_in(world)
        first = await world.token(browser)
        world.clock.advance(9)
        assert (await world.token(browser)).body == first.body
        world.clock.advance(2)
        assert (await world.token(browser)).body != first.body
        assert len(refreshes(world)) == 1


async def test_a_token_without_an_end_is_never_renewed(world: World) -> None:
    world.provider.inject("token-endpoint-response-without-expires_in")
    browser = await logged_in(world)
    first = await world.token(browser)
    world.clock.advance(11 * 3600)
    assert (await world.token(browser)).body == first.body


async def test_without_a_refresh_token_the_token_is_used_to_its_end_and_no_further() -> None:
    async with opened() as world:
        browser = await logged_in(world)
        world.clock.advance(599)
        assert (await world.token(browser)).status == 200
        world.clock.advance(1)
        answer = await world.token(browser)
        assert (answer.status, answer.body) == (401, b"not_authenticated")
        assert len(world.provider.received("/token")) == 1


async def test_who_is_not_logged_in_or_came_another_way_has_no_token(world: World) -> None:
    stranger, by_password = world.browser(), world.browser()
    await by_password.send("GET", "/as/alice")
    assert await world.who(by_password) == "alice"
    for browser in (stranger, by_password):
        answer = await world.token(browser)
        assert (answer.status, answer.body) == (401, b"not_authenticated")


# rotation


async def test_each_renewal_uses_the_refresh_token_of_the_one_before_and_says_so(world: World) -> None:
    browser = await logged_in(world)
    for _ in range(3):
        world.clock.advance(DUE)
        assert (await world.token(browser)).status == 200
    used = [request.param("refresh_token") for request in refreshes(world)]
    assert len(set(used)) == 3
    told = world.told(TokenRefreshed)
    start = 1_800_000_000.0
    assert [(event.previous_expires_at, event.expires_at) for event in told] == [
        (start + 600 + number * DUE, start + 600 + (number + 1) * DUE) for number in range(3)
    ]
    assert [event.tokens.refresh_token for event in told[:2]] == used[1:]


async def test_a_provider_that_does_not_rotate_has_its_refresh_token_kept() -> None:
    async with opened(policy=replace(RENEWABLE, refresh_rotation=False)) as world:
        browser = await logged_in(world)
        first = await kept_tokens(world, browser)
        for _ in range(2):
            world.clock.advance(DUE)
            await world.token(browser)
        last = await kept_tokens(world, browser)
        assert last.refresh_token == first.refresh_token != ""
        assert last.access_token != first.access_token
        assert last.id_token != ""


async def test_a_refresh_token_that_was_revoked_ends_the_tokens_and_is_not_tried_again(world: World) -> None:
    browser = await logged_in(world)
    for _, token in list(world.provider.realm.records.refresh_tokens.items(now=world.clock())):
        world.provider.realm.records.revoke(token.grant.id, now=world.clock())
    world.clock.advance(DUE)
    for _ in range(2):
        answer = await world.token(browser)
        assert (answer.status, answer.body) == (401, b"not_authenticated")
    assert len(refreshes(world)) == 1
    tokens = await kept_tokens(world, browser)
    assert (tokens.access_token, tokens.refresh_token) == ("", "")
    assert await world.who(browser) == "ada"


async def test_after_a_thief_used_the_refresh_token_it_works_for_nobody(world: World) -> None:
    stolen: list[str] = []
    world.events.on(UserCreated)(lambda event: stolen.append(event.tokens.refresh_token))
    browser = await logged_in(world)
    form = {"grant_type": "refresh_token", "refresh_token": stolen[0]}
    async with world.at_provider() as thief:
        secret = {"authorization": basic_credentials(CLIENT.client_id, CLIENT.client_secret)}
        loot = (await thief.post(f"{ISSUER}/token", data=form, headers=secret)).json()
        world.clock.advance(DUE)
        answer = await world.token(browser)
        assert (answer.status, answer.body) == (401, b"not_authenticated")
        spoilt = await thief.post(
            f"{ISSUER}/token", data={**form, "refresh_token": loot["refresh_token"]}, headers=secret
        )
    assert (spoilt.status_code, spoilt.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("claim", ["issuer", "sub", "aud"])
async def test_a_renewed_id_token_about_somebody_else_is_refused(world: World, claim: str) -> None:
    browser = await logged_in(world)
    before = await kept_tokens(world, browser)
    world.provider.inject(f"refresh-token-invalid-{claim}")
    world.clock.advance(DUE)
    answer = await world.token(browser)
    assert (answer.status, answer.body) == (502, b"token_claim_invalid")
    assert await kept_tokens(world, browser) == before
    assert world.told(TokenRefreshed) == []


# together


async def gated(policy: Policy = RENEWABLE, **values: Any) -> tuple[World, Gate]:
    """A world whose token endpoint can be held up."""
    clock = Clock()
    op = Provider(ISSUER, clients=[CLIENT], policy=policy, keys=KEYS, clock=clock)
    gate = Gate(op, "/token")
    return await open_world(op=op, clock=clock, transport=gate, **values), gate


async def test_of_fifty_that_ask_at_once_one_renews_and_all_have_the_same_token(world: World) -> None:
    browser = await logged_in(world)
    world.clock.advance(DUE)
    answers = await asyncio.gather(*(world.token(browser) for _ in range(50)))
    assert len(refreshes(world)) == 1
    assert len(texts(answers)) == 1
    assert answers[0].status == 200
    assert len(world.told(TokenRefreshed)) == 1


async def test_a_failure_is_shared_by_all_who_waited_and_the_next_one_tries_again() -> None:
    async with opened(policy=replace(RENEWABLE, refresh_rotation=False)) as world:
        browser = await logged_in(world)
        world.provider.inject("down-token")
        world.clock.advance(OVER)
        answers = await asyncio.gather(*(world.token(browser) for _ in range(20)))
        assert texts(answers) == {(503, "provider_unreachable")}
        assert len(refreshes(world)) == 1
        world.provider.clear()
        assert (await world.token(browser)).status == 200


async def test_a_provider_that_is_away_is_not_missed_before_the_token_has_ended() -> None:
    async with opened(policy=replace(RENEWABLE, refresh_rotation=False)) as world:
        browser = await logged_in(world)
        before = (await world.token(browser)).body
        world.provider.inject("down-token")
        world.clock.advance(DUE)
        for _ in range(5):
            answer = await world.token(browser)
            assert (answer.status, answer.body) == (200, before)
        assert len(refreshes(world)) == 1  # For a few seconds nobody has to wait for it again.
        world.clock.advance(11)
        assert (await world.token(browser)).body == before
        assert len(refreshes(world)) == 2
        world.clock.advance(OVER - DUE)
        assert (await world.token(browser)).status == 503
        world.provider.clear()
        assert (await world.token(browser)).status == 200


async def test_two_sessions_renew_each_their_own(world: World) -> None:
    browsers = [await logged_in(world), await logged_in(world)]
    world.clock.advance(DUE)
    answers = await asyncio.gather(*(world.token(browser) for browser in browsers))
    assert len(texts(answers)) == 2
    assert len(refreshes(world)) == 2


async def test_a_client_that_leaves_in_the_middle_loses_no_token() -> None:
    world, gate = await gated()
    browser = await logged_in(world)
    first = await world.token(browser)
    world.clock.advance(DUE)
    gate.close()
    leaving = asyncio.ensure_future(world.token(browser))
    await gate.reached.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    staying = asyncio.ensure_future(world.token(browser))
    gate.opened.set()
    answer = await staying
    assert (answer.status, answer.body != first.body) == (200, True)
    assert len(refreshes(world)) == 1
    await world.close()


async def test_a_session_that_ends_in_the_middle_stays_ended() -> None:
    world, gate = await gated()
    browser = await logged_in(world)
    world.clock.advance(DUE)
    gate.close()
    waiting = asyncio.ensure_future(world.token(browser))
    await gate.reached.wait()
    assert (await browser.post("/logout")).status == 200
    gate.opened.set()
    answer = await waiting
    assert (answer.status, answer.body) == (401, b"not_authenticated")
    assert await world.app.useid.sessions.of_subject(ISSUER, "ada-1815") == []
    await world.close()


class Connection(RedisStore):
    """A process's connection to the store; ``tried`` says that the process reached for the lock of a renewal."""

    def __init__(self, url: str, *, key_prefix: str) -> None:
        super().__init__(url, key_prefix=key_prefix)
        self.tried = asyncio.Event()

    async def put(self, key: str, value: bytes, *, ttl: float, indexes: Sequence[str] = ()) -> bool:
        """See the store."""
        is_new = await super().put(key, value, ttl=ttl, indexes=indexes)
        if key.startswith("oidc-refresh:"):
            self.tried.set()
        return is_new


async def cluster(stores: Sequence[Store]) -> tuple[list[World], Gate]:
    """Processes of one app, each with its own connection to the store, and the one provider behind a gate."""
    first, gate = await gated(store=stores[0])
    rest = [await open_world(store=store, clock=first.clock, op=first.provider, transport=gate) for store in stores[1:]]
    return [first, *rest], gate


async def renew_everywhere(
    url: str, *, key_prefix: str, after: float = DUE, fault: str = ""
) -> tuple[list[World], list[Answer]]:
    """All processes find the token due at once; the provider's answer comes when each of them waits for it."""
    stores = [Connection(url, key_prefix=key_prefix) for _ in range(4)]
    worlds, gate = await cluster(stores)
    browser = await logged_in(worlds[0])
    worlds[0].clock.advance(after)
    if fault:
        worlds[0].provider.inject(fault)
    gate.close()
    waiting = [asyncio.ensure_future(world.token(same_browser(world, browser))) for world in worlds for _ in range(10)]
    await gate.reached.wait()
    for store in stores:
        await asyncio.wait_for(store.tried.wait(), 5)
    gate.opened.set()
    answers = list(await asyncio.gather(*waiting))
    if not fault:  # And then everybody has it without asking.
        answers += [await world.token(same_browser(world, browser)) for world in worlds]
    for world in worlds:
        await world.close()
    return worlds, answers


async def test_processes_that_share_redis_renew_once_between_them(redis_url: str) -> None:
    worlds, answers = await renew_everywhere(redis_url, key_prefix="renewal:")
    assert len(refreshes(worlds[0])) == 1
    assert len(texts(answers)) == 1
    assert answers[0].status == 200
    assert sum(len(world.told(TokenRefreshed)) for world in worlds) == 1


async def test_a_failure_is_shared_between_processes_too(redis_url: str) -> None:
    prefix = "renewal-failing:"
    worlds, answers = await renew_everywhere(redis_url, key_prefix=prefix, after=OVER, fault="down-token")
    assert len(refreshes(worlds[0])) == 1
    assert {answer.status for answer in answers} == {503}
    assert {answer.body for answer in answers} == {b"provider_unreachable"}


async def test_the_lock_of_a_process_that_died_is_free_again() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock)
    world = await open_world(policy=RENEWABLE, store=store, clock=clock, oidc={"timeout": 0.05})
    browser = await logged_in(world)
    [session] = await world.app.useid.sessions.of_subject(ISSUER, "ada-1815")
    world.clock.advance(DUE)
    await store.put(f"oidc-refresh:{session.id}", b"of somebody who died", ttl=5.2)
    waiting = asyncio.ensure_future(world.token(browser))
    await asyncio.sleep(0)
    world.clock.advance(6)
    await store.publish(f"oidc-refresh:{session.id}", b"done")
    assert (await waiting).status == 200
    await world.close()
