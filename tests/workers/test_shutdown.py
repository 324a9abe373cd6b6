"""Servers that are told to stop while 200 pages wait: each page hears `bye`, comes back, and its login completes."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.workers.logins import Attempt, enrol
from tests.workers.servers import KINDS, AnyServer, Crowd

PAGES = 200
#: Between two connections of a page (s): longer than in other tests, for there are many.
RETRY = 0.5


@pytest.fixture(params=KINDS)
async def server(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> AsyncIterator[AnyServer]:
    """A server of each kind."""
    env = {
        "USEID_STORE": redis_url,
        "USEID_KEY_PREFIX": f"shutdown-{request.param}:",
        "USEID_WEBAUTHN__ENABLED": "true",
        "USEID_QR__FRAME_PERIOD": "300",
        **{f"USEID_LIMITS__{name}": "100000" for name in ("PER_IP", "PER_ACCOUNT", "PER_KEY")},
    }
    pytest.importorskip(request.param.partition("-")[0], reason="pip install uvicorn granian hypercorn")
    made = AnyServer(KINDS[request.param], folder=tmp_path, env=env)
    await asyncio.to_thread(made.start)
    yield made
    await asyncio.to_thread(made.stop)


@pytest.fixture
async def crowd(server: AnyServer) -> AsyncIterator[Crowd]:
    """Everybody who waits."""
    made = Crowd(server.url)
    yield made
    await made.close()


async def test_every_page_hears_bye_and_is_logged_in_after_the_restart(server: AnyServer, crowd: Crowd) -> None:
    member = await enrol(crowd, "alice")
    attempts = [Attempt(crowd, member) for _ in range(PAGES)]
    async with AsyncExitStack() as stack:
        begun = [await attempt.begin_qr() for attempt in attempts]
        for _, page in begun:
            page.retry = RETRY
            await stack.enter_async_context(page)
        for _, page in begun:
            await page.wait_for("waiting")
        # In order: uvicorn, when it is done, ends by the signal that it was sent.
        assert await asyncio.to_thread(server.end) in (0, -signal.SIGTERM)
        for _, page in begun:
            await page.wait_for_bye()
        await asyncio.to_thread(server.start)
        for _, page in begun:
            await page.wait_for_connection(2)
        logins = list(zip(attempts, begun, strict=True))
        # Each costs seven requests; one server shows that it is all of them.
        for attempt, (link, page) in logins if server.kind is KINDS["uvicorn"] else logins[::10]:
            await attempt.finish_qr(link, page)
    assert [page.byes for _, page in begun] == [1] * PAGES
    assert not any(page.doubled for _, page in begun)
    log = server.log()
    assert "Killing" not in log
    # Where it had to be cut off in the end, the server complains.
    assert not server.kind.tells or not any(word in log for word in ("Traceback", "Cancel")), log
