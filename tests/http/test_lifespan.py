"""Start and stop with the server, whatever the app knows of lifespan; and the word of a shutdown that comes early."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import FrameType

import pytest

from useid_middleware.errors import ConfigurationError, UnavailableError, UseIDError
from useid_middleware.http.asgi import ASGIApp, Message, Receive, Scope, Send
from useid_middleware.http.lifespan import Lifespan, ShutdownWatch


async def run(app: ASGIApp, *, away: UseIDError | None = None) -> tuple[list[str], list[str]]:
    """A server's whole dialogue with ``app``: what our side did, and what the server was told.

    ``away``: what our side finds when it starts.
    """
    done: list[str] = []
    told: list[str] = []
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        told.append(message["type"].removeprefix("lifespan."))

    async def start() -> None:
        done.append("start")
        if away is not None:
            raise away

    async def stop() -> None:
        done.append("stop")

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        done.append("app")
        await app(scope, receive, send)

    await Lifespan(noted, start=start, stop=stop)({"type": "lifespan"}, receive, send)
    return done, told


async def test_an_app_with_lifespan_starts_after_us_and_stops_before_us() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await send({"type": "lifespan.shutdown.complete"})

    assert await run(app) == (["start", "app", "stop"], ["startup.complete", "shutdown.complete"])


async def test_an_app_that_raises_on_an_unknown_scope_is_spoken_for() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("can only handle http")

    assert await run(app) == (["start", "app", "stop"], ["startup.complete", "shutdown.complete"])


async def test_an_app_that_returns_without_a_word_is_spoken_for() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    assert await run(app) == (["start", "app", "stop"], ["startup.complete", "shutdown.complete"])


async def test_an_app_that_fails_to_start_closes_what_we_opened() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    assert await run(app) == (["start", "app", "stop"], ["startup.failed"])


async def test_an_app_that_raises_instead_of_starting_is_spoken_for_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise RuntimeError("my database is not there")

    with caplog.at_level("INFO"):
        assert await run(app) == (["start", "app", "stop"], ["startup.complete", "shutdown.complete"])
    assert "my database is not there" in caplog.text


async def test_an_app_that_leaves_after_its_start_is_spoken_for_at_the_end() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})

    assert await run(app) == (["start", "app", "stop"], ["startup.complete", "shutdown.complete"])


async def test_an_app_starts_though_our_store_is_away() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await send({"type": "lifespan.shutdown.complete"})

    away = UnavailableError("store_unavailable", "the Redis store failed with ConnectionError")
    assert await run(app, away=away) == (["start", "app", "stop"], ["startup.complete", "shutdown.complete"])


async def test_what_cannot_work_as_it_is_configured_fails_the_start_and_the_app_is_not_asked() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    assert await run(app, away=ConfigurationError("no")) == (["start", "stop"], ["startup.failed"])


async def test_a_failure_after_the_start_is_the_apps_own() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await run(app)


@pytest.fixture
def server_handler() -> Iterator[list[int]]:
    """A server's own handler of SIGTERM, which must go on working."""
    heard: list[int] = []

    class Server:
        def handle_exit(self, signum: int, frame: FrameType | None) -> None:
            heard.append(signum)

    before = signal.signal(signal.SIGTERM, Server().handle_exit)
    yield heard
    signal.signal(signal.SIGTERM, before)


async def test_a_signal_reaches_us_and_then_the_server(server_handler: list[int]) -> None:
    ours = asyncio.Event()
    loop = asyncio.get_running_loop()
    watch = ShutdownWatch(lambda: loop.call_soon_threadsafe(ours.set))
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(5):
        await ours.wait()
    assert server_handler == [signal.SIGTERM]
    watch.end()
    ours.clear()
    os.kill(os.getpid(), signal.SIGTERM)
    assert server_handler == [signal.SIGTERM] * 2
    assert not ours.is_set()


def test_the_servers_owner_stays_visible_and_a_later_handler_is_left_alone(server_handler: list[int]) -> None:
    owner = signal.getsignal(signal.SIGTERM).__self__  # type: ignore[union-attr]
    watch = ShutdownWatch(lambda: None)
    assert signal.getsignal(signal.SIGTERM).__self__ is owner  # type: ignore[union-attr]
    later = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    watch.end()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    signal.signal(signal.SIGTERM, later)


async def test_watches_share_one_handler_and_one_that_is_forgotten_is_over(server_handler: list[int]) -> None:
    heard: list[str] = []
    first, second = ShutdownWatch(lambda: heard.append("first")), ShutdownWatch(lambda: heard.append("second"))
    del second
    gc.collect()
    os.kill(os.getpid(), signal.SIGTERM)
    assert (heard, server_handler) == (["first"], [signal.SIGTERM])
    first.end()
    os.kill(os.getpid(), signal.SIGTERM)
    assert (heard, server_handler) == (["first"], [signal.SIGTERM] * 2)


def test_when_nobody_watches_any_more_the_processs_own_handlers_are_back() -> None:
    program = """
import signal
from useid_middleware.http.lifespan import ShutdownWatch
before = [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)]
signal.signal(signal.SIGTERM, print)
watches = ShutdownWatch(int), ShutdownWatch(int)
for watch in watches:
    assert signal.getsignal(signal.SIGTERM) is not print
    watch.end()
print(signal.getsignal(signal.SIGTERM) is print, signal.getsignal(signal.SIGINT) is before[1])
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert finished.stdout == "True True\n"


async def test_a_loop_that_has_gone_without_a_word_does_not_keep_the_signal_from_the_server(
    server_handler: list[int],
) -> None:
    gone = asyncio.new_event_loop()
    gone.close()
    watch = ShutdownWatch(lambda: gone.call_soon_threadsafe(print))
    os.kill(os.getpid(), signal.SIGTERM)
    assert server_handler == [signal.SIGTERM]
    watch.end()
