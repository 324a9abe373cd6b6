"""A login during which Redis is away: clear answers, an open stream that says so, and nothing lost when it is back."""

from collections.abc import Iterator

import anyio
import pytest

from tests.actors import Answer, Stream
from tests.qr.conftest import make_settings, open_world
from tests.stores.redis_processes import RedisProcess


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """A Redis that forgets nothing when it is killed."""
    durable = ["--appendonly", "yes", "--appendfsync", "always"]
    server = RedisProcess(tmp_path_factory.mktemp("durable"), options=durable)
    server.start()
    yield server
    server.end()


def is_away(answer: Answer) -> bool:
    """Whether the caller was told to come back."""
    return (answer.status, answer.code, answer.header("retry-after")) == (503, "store_unavailable", "2")


async def hears(stream: Stream, wanted: str) -> None:
    """Wait for the event, which takes as long as Redis does."""
    with anyio.fail_after(30):
        while True:
            try:
                name, data = await stream.next()
            except AssertionError:
                if stream.ended:
                    raise
                continue
            if wanted in (name, data.get("status")):
                return


@pytest.mark.parametrize("fault", ["killed", "stopped"])
async def test_a_login_outlives_redis(server: RedisProcess, fault: str) -> None:
    world = await open_world(make_settings(assurance="L0", store=f"redis://127.0.0.1:{server.port}/0"))
    phone = await world.enrolled_phone()
    desktop = world.browser()
    session_id, link = await world.start(desktop)
    async with desktop.stream(f"/session/{session_id}/events") as stream:
        assert await stream.next_status() == "waiting"
        if fault == "killed":
            server.kill()
        else:
            server.stop()
        await hears(stream, "away")
        assert is_away(await phone.scan(link))
        assert is_away(await desktop.get(f"/session/{session_id}"))
        assert is_away(await world.browser().post("/session/create", {}))
        if fault == "killed":
            server.start()
        else:
            server.resume()
        await hears(stream, "waiting")
        assert (await phone.approve(link)).status == 200
        await hears(stream, "approved")
    claimed = await desktop.post(f"/session/{session_id}/claim")
    assert claimed.status == 200
    assert (await world.who(desktop)).startswith("alice")
    assert (await desktop.post(f"/session/{session_id}/claim")).status == 409
    await world.app.useid.stop()
