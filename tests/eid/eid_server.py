"""An eID server that does what a test says, and keeps the rules of TR-03130-1 otherwise."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from useid_middleware.eid.core.attributes import EIDResult, ServerInfo, UseIDRequest, UseIDSession
from useid_middleware.eid.core.results import Minor
from useid_middleware.eid.core.tctoken import TCToken
from useid_middleware.errors import EIDServerError, UnavailableError

PAOS: Final = "https://eid.example/paos"


@dataclass
class ServerSession:
    """A session at the eID server. ``answer`` is what getResult will say; ``None`` while the client is not done."""

    request: UseIDRequest
    answer: EIDResult | EIDServerError | None = None
    counter: int = 0
    is_over: bool = False


@dataclass
class ScriptedEIDServer:
    """An eID server that keeps the rules of TR-03130-1 and does what a test says.

    ``down`` is what cannot be reached: ``before`` the request is sent (nothing happens), or ``after`` (it has its
    effect, and the answer is lost). ``refusal`` is the minor with which useID is refused.
    ``key`` takes the place of a sound one.
    """

    with_key: bool = True
    key: str = ""
    address: str = PAOS
    down: str = ""
    refusal: str = ""
    _gate: asyncio.Event | None = None
    _asked: asyncio.Event = field(default_factory=asyncio.Event)
    sessions: dict[str, ServerSession] = field(default_factory=dict)
    counters: list[int] = field(default_factory=list)
    is_open: bool = False

    def hold(self) -> None:
        """From now on let those who ask wait for their answer."""
        self._gate, self._asked = asyncio.Event(), asyncio.Event()

    async def until_asked(self) -> None:
        """Wait for somebody to ask."""
        await asyncio.wait_for(self._asked.wait(), 5)

    def release(self) -> None:
        """Answer them."""
        assert self._gate is not None
        self._gate.set()

    async def open(self) -> None:
        """See :class:`~useid_middleware.eid.interface.EIDServer`."""
        self.is_open = True

    async def close(self) -> None:
        """The same."""
        self.is_open = False

    async def use_id(self, request: UseIDRequest) -> UseIDSession:
        """Open a session."""
        self._fail("before")
        await self._wait()
        if self.refusal:
            raise EIDServerError(self.refusal, "useID: refused")
        number = len(self.sessions) + 1
        session_id = f"eid-session-{number}"
        self.sessions[session_id] = ServerSession(request)
        self._fail("after")
        if not self.with_key:
            return UseIDSession(session_id, self.address)
        return UseIDSession(session_id, self.address, f"psk-{number}", self.key or f"{number:064x}")

    async def get_result(self, session_id: str, *, counter: int) -> EIDResult:
        """The result, once; each question has the next number."""
        self._fail("before")
        self.counters.append(counter)
        await self._wait()
        session = self.sessions.get(session_id)
        if session is None or session.is_over:
            raise EIDServerError(Minor.INVALID_SESSION, "getResult: no such session")
        if counter != session.counter + 1:
            session.is_over = True
            raise EIDServerError(Minor.INVALID_COUNTER, f"getResult: expected {session.counter + 1}")
        session.counter = counter
        if session.answer is None:
            self._fail("after")
            raise EIDServerError(Minor.NO_RESULT_YET, "getResult: no result yet")
        session.is_over = True
        self._fail("after")
        if isinstance(session.answer, EIDServerError):
            raise session.answer
        return session.answer

    async def get_server_info(self) -> ServerInfo:
        """Nothing that is asked here."""
        return ServerInfo("2.4.0", {})

    def of(self, token: TCToken) -> ServerSession:
        """The session that a client with this tcToken has its dialogue in."""
        return self.sessions[token.session_identifier.replace("psk-", "eid-session-")]

    async def _wait(self) -> None:
        self._asked.set()
        if self._gate is not None:
            await self._gate.wait()

    def _fail(self, moment: str) -> None:
        if self.down == moment:
            raise UnavailableError(
                "eid_server_unavailable", "eID server: connection failed", retry_is_safe=moment == "before"
            )
