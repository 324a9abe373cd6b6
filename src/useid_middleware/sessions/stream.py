"""The event stream of a login session: silent until the session ends, so that an open page learns of it at once."""

import asyncio
import random
from typing import Final

from ..errors import UnavailableError, UseIDError
from ..http.asgi import Receive, Scope, Send
from ..http.sse import AWAY, PING, EventStream, EventStreams, encode_event
from ..settings import LimitSettings
from ..stores.limits import neighbour
from .records import Session
from .service import Sessions

#: A timer may fire a little early by the wall clock.
_SLACK: Final = 0.05


class SessionStream:
    """An ASGI response: ``alive``, pings, and at last ``ended`` with the reason."""

    def __init__(
        self, sessions: Sessions, session: Session, *, streams: EventStreams, limits: LimitSettings, heartbeat: float
    ) -> None:
        self._sessions = sessions
        self._session = session
        self._streams = streams
        self._limits = limits
        self._heartbeat = heartbeat
        self._stream: EventStream | None = None
        self._look: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_away = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream: subscribe first, then see whether the session has ended meanwhile."""
        stream = self._stream = EventStream(send, beat=self._beat)
        client = scope.get("client")
        self._streams.enter(stream, place=neighbour(client[0] if client else ""), limits=self._limits)
        try:
            unsubscribe = await self._sessions.watch(self._session, self._on_message)
        except BaseException:
            self._streams.leave(stream)
            raise
        try:
            left = await self._sessions.seconds_left(self._session)
            self._wake_in(left)
            news = encode_event("alive", {}) if left > 0 else _ended("ended")
            opening, last = self._streams.admit(stream, news, last=left <= 0, first_beat=self._heartbeat)
            await stream.run(scope, receive, opening, opening_id=1, last=last)
        finally:
            self._streams.leave(stream)
            if self._timer is not None:
                self._timer.cancel()
            if self._look is not None:
                self._look.cancel()
            await unsubscribe()

    def _on_message(self, message: bytes | None) -> None:
        if message is None:
            self._wake()
        else:
            self._end(message.decode("ascii", "replace"))

    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds + _SLACK, self._wake)

    def _wake(self) -> None:
        self._look = asyncio.ensure_future(self._look_again())

    async def _look_again(self) -> None:
        """The session may have run out, or have been used elsewhere and live on."""
        assert self._stream is not None
        try:
            left = await self._sessions.seconds_left(self._session)
        except UnavailableError as error:
            if not self._is_away:
                self._is_away = True
                self._stream.push(AWAY)
            self._wake_in((error.retry_after or 1) * (1 + random.random()))
            return
        except UseIDError:
            self._stream.push(b"", last=True)  # The browser comes back and is told by a proper answer.
            return
        if self._is_away and left > 0:
            self._is_away = False
            self._stream.push(encode_event("alive", {}))
        if left > 0:
            self._wake_in(left)
        else:
            self._end("expired")

    def _end(self, reason: str) -> None:
        assert self._stream is not None
        self._stream.push(_ended(reason), last=True)

    def _beat(self) -> tuple[bytes, float]:
        return PING, self._heartbeat


def _ended(reason: str) -> bytes:
    return encode_event("ended", {"reason": reason})
