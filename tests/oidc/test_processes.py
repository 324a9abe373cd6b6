"""Several processes of one app, as a machine runs them: a token is renewed once between them all."""

import asyncio
import json
import time

import httpx2

from tests.oidc.served import served_provider
from tests.oidc.world import CLIENT, opened
from tests.qr.conftest import Clock
from tests.serving import Serve
from useid_middleware.emulation.provider.policy import Policy
from useid_middleware.stores.redis import RedisStore


async def test_processes_with_one_redis_renew_a_token_once_and_hand_out_the_same(redis_url: str, serve: Serve) -> None:
    # The login was nine minutes ago, so that its token of ten minutes is due now.
    clock = Clock(time.time() - 541)
    with served_provider(Policy(refresh_tokens="always"), clock=clock) as served:
        store = RedisStore(redis_url, key_prefix="processes:")
        settings = {"issuer": served.provider.issuer, "client_id": CLIENT.client_id}
        settings["client_secret"] = CLIENT.client_secret
        async with opened(op=served.provider, clock=clock, store=store, provider=settings) as world:
            browser = world.browser()
            begun = await browser.get("/login?provider=op")
            await world.come_back(browser, await world.approve(begun.header("location")))
            first = (await world.token(browser)).body
        clock.now = time.time()
        env = {
            "USEID_STORE": redis_url,
            "USEID_KEY_PREFIX": "processes:",
            "USEID_ACCOUNTS": "memory://",
            "USEID_OIDC__PROVIDERS": json.dumps({"op": settings}),
        }
        workers = [serve("tests.oidc.worker:app", env=env) for _ in range(2)]
        cookie = {"cookie": f"useid-session={browser.cookies['useid-session']}"}
        async with httpx2.AsyncClient(headers=cookie) as client:
            calls = [client.get(f"{worker.url}/token") for _ in range(10) for worker in workers]
            answers = await asyncio.gather(*calls)
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert answers[0].content != first
        grants = [request.param("grant_type") for request in served.provider.received("/token")]
        assert grants == ["authorization_code", "refresh_token"]
