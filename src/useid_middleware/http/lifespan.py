"""Start and stop with the server, around an app that may or may not know lifespan.

Servers tell an app of a shutdown only after its open responses have ended, and an event stream does not end by itself.
So the process's handlers of SIGTERM and SIGINT are wrapped, not replaced: ours says goodbye, then the server's own
does its work.
"""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType

from .asgi import ASGIApp, Message, Receive, Scope, Send

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Lifespan:
    """The lifespan dialogue of one server with one app, listened to on its way."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        start: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[None]],
        drain: Callable[[], None],
    ) -> None:
        self._app = app
        self._start = start
        self._stop = stop
        self._drain = drain
        self._undo: Callable[[], None] = _nothing
        self._started = False
        self._is_app_speaking = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start before the app does and stop after it has; speak for an app that does not know lifespan."""

        async def hear() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._started = True
                await self._start()
                loop = asyncio.get_running_loop()
                self._undo = on_shutdown_signal(lambda: loop.call_soon_threadsafe(self._drain))
            return message

        async def tell(message: Message) -> None:
            self._is_app_speaking = True
            if message["type"] != "lifespan.startup.complete":
                self._undo()
                await self._stop()
            await send(message)

        try:
            await self._app(scope, hear, tell)
        except Exception:
            # Django's handler and many bare apps raise on a scope they do not know. Once it spoke, a failure is one.
            if self._is_app_speaking:
                raise
        if not self._is_app_speaking:
            if not self._started:
                await hear()
            await tell({"type": "lifespan.startup.complete"})
            await receive()
            await tell({"type": "lifespan.shutdown.complete"})


def on_shutdown_signal(callback: Callable[[], object]) -> Callable[[], None]:
    """Call ``callback`` (in the main thread, between two bytecodes) when the process is told to end; returns the undo.

    Does nothing outside the main thread, where Python has no signal handlers, or where a handler is not Python's.
    """
    if threading.current_thread() is not threading.main_thread():
        return _nothing
    wrapped: list[tuple[signal.Signals, Callable[..., object], Callable[..., object]]] = []
    for number in _SIGNALS:
        previous = signal.getsignal(number)
        if not callable(previous):
            continue

        def handle(signum: int, frame: FrameType | None, previous: Callable[..., object] = previous) -> None:
            callback()
            previous(signum, frame)

        # sse-starlette, where the app uses it, finds uvicorn's server through the handler's owner.
        owner = getattr(previous, "__self__", None)
        if owner is not None:
            handle.__self__ = owner  # type: ignore[attr-defined]
        signal.signal(number, handle)
        wrapped.append((number, handle, previous))

    def undo() -> None:
        for number, ours, previous in wrapped:
            if signal.getsignal(number) is ours:
                signal.signal(number, previous)

    return undo


def _nothing() -> None:
    pass
