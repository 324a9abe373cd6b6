"""Start and stop with the server, around an app that may or may not know lifespan.

Servers tell an app of a shutdown only after its open responses have ended, and an event stream does not end by itself.
So the process's handlers of SIGTERM and SIGINT are wrapped, not replaced: ours says goodbye, then the server's own
does its work.
"""

import contextlib
import logging
import signal
import threading
import weakref
from collections.abc import Awaitable, Callable
from types import FrameType

from ..errors import UnavailableError, UseIDError
from .asgi import ASGIApp, Message, Receive, Scope, Send

_logger = logging.getLogger(__name__)
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Lifespan:
    """The lifespan dialogue of one server with one app, listened to on its way.

    A store or a database that is away does not keep the app from starting: the first request that finds it again opens
    what is needed. What cannot work as it is configured fails the start, and the app is not asked.
    """

    def __init__(
        self, app: ASGIApp, *, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]
    ) -> None:
        self._app = app
        self._start = start
        self._stop = stop
        self._is_stopped = False
        self._last_said = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start before the app does and stop after it has; speak for an app that does not know lifespan."""
        heard = [await receive()]
        try:
            await self._start()
        except UnavailableError as error:
            _logger.warning("starting without what is away, which the first request tries again: %s", error)
        except UseIDError as error:
            await self._stop()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return

        async def hear() -> Message:
            return heard.pop() if heard else await receive()

        async def tell(message: Message) -> None:
            self._last_said = message["type"]
            if self._last_said != "lifespan.startup.complete":
                await self._stop_once()
            await send(message)

        try:
            await self._converse(scope, hear, tell)
        finally:
            await self._stop_once()

    async def _converse(self, scope: Scope, hear: Receive, tell: Send) -> None:
        try:
            await self._app(scope, hear, tell)
        except Exception:
            # Django's handler and many bare apps raise on a scope they do not know. Once it spoke, a failure is one.
            if self._last_said:
                raise
            _logger.info("the app does not take part in lifespan, which is no fault unless it should", exc_info=True)
        if not self._last_said:
            await tell({"type": "lifespan.startup.complete"})
        if self._last_said == "lifespan.startup.complete":
            # It said no more, or it never spoke; what has begun has an end all the same.
            while (await hear())["type"] != "lifespan.shutdown":
                pass
            await tell({"type": "lifespan.shutdown.complete"})

    async def _stop_once(self) -> None:
        if not self._is_stopped:
            self._is_stopped = True
            await self._stop()


class ShutdownWatch:
    """Calls ``callback`` (in the main thread, between two bytecodes) when the process is told to end.

    Whoever makes one keeps it; one that is forgotten is over. Nothing is heard outside the main thread, where Python
    has no signal handlers, or where a handler is not Python's.
    """

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        _watches.add(self)
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                _wrap(number)

    def end(self) -> None:
        """Hear no more; with the last one, the process's own handlers are back."""
        _watches.discard(self)
        if _watches or threading.current_thread() is not threading.main_thread():
            return
        for number, (ours, previous) in list(_wrapped.items()):
            if signal.getsignal(number) is ours:
                signal.signal(number, previous)
                del _wrapped[number]


_watches: "weakref.WeakSet[ShutdownWatch]" = weakref.WeakSet()
_Handler = Callable[..., object]
#: Our handler of each signal, and the one it goes on to.
_wrapped: dict[signal.Signals, tuple[_Handler, _Handler]] = {}


def _wrap(number: signal.Signals) -> None:
    previous = signal.getsignal(number)
    if not callable(previous) or (number in _wrapped and previous is _wrapped[number][0]):
        return

    def handle(signum: int, frame: FrameType | None) -> None:
        for watch in list(_watches):
            # The event loop that it speaks to may have gone without a word.
            with contextlib.suppress(RuntimeError):
                watch.callback()
        previous(signum, frame)

    # sse-starlette, where the app uses it, finds uvicorn's server through the handler's owner.
    owner = getattr(previous, "__self__", None)
    if owner is not None:
        handle.__self__ = owner  # type: ignore[attr-defined]
    signal.signal(number, handle)
    _wrapped[number] = handle, previous
