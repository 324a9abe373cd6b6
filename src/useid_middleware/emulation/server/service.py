"""The embedded eID server: reads the clock, draws randomness, keeps sessions in the store, calls the core.

Emulation for development and test. Any worker that shares the store can answer the next message of a session.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace as replaced
from hashlib import sha256
from typing import Final

from ..._codec import RecordType, b64url, replace
from ..._sealing import NONCE_SIZE, SealBroken, seal, unseal
from ...eid.core.attributes import EIDResult, Operation, ServerInfo, UseIDRequest, UseIDSession, Wish
from ...eid.core.results import ClientMinor, Minor
from ...errors import EIDServerError, UnavailableError, UseIDError
from ...stores.base import Clock, Store, Versioned
from ..paos import PAOSError, decode, encode
from ..pki import PKI
from .core import DRAWN_SIZE, advance, refusal
from .data_groups import RIGHTS
from .material import FixedTerminal, ServerMaterial, Terminals, material_of
from .names import MESSAGE_SIZE, SESSION_SIZE, message_id, new_id, psk_id_of, session_in, session_of
from .requests import check_request
from .results import Failure
from .session import FINAL, EACSession, Variant, asked_for_result, end_minor, failed, result_of

logger: Final = logging.getLogger("useid_middleware")

#: The interface that is served (TR-03130-1).
VERSION: Final = "2.4.0"
#: All sessions that have not been delivered, over all workers.
INDEX: Final = "eid-sessions"

_PSK_SIZE: Final = 32
#: So long no challenge may come a second time, from whatever card (s).
_CHALLENGE_LIFETIME: Final = 3600.0
_PURPOSE: Final = b"eid-session"
_MAX_TRIES: Final = 8
_RECORDS: Final = RecordType(EACSession)

#: A session's id, and the minor that it ended with; empty where it has a result.
OnEnd = Callable[[str, str], Awaitable[None]]


class EmbeddedEIDServer:
    """An eID server in the process (:class:`~...eid.interface.EIDServer`), and the PAOS side of it.

    ``address`` is where clients reach :meth:`answer_paos`; empty if the eService knows that itself. ``max_sessions``
    are open at most; workers that count at the same instant may be that many more. A dialogue that pauses for
    ``session_lifetime`` seconds has failed, and so long a result waits. Of a PKI, the terminal ``eid-server`` is used
    as it is. ``on_end`` is called once when a dialogue has ended.
    """

    def __init__(
        self,
        store: Store,
        pki: PKI | Terminals,
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        address: str = "",
        max_sessions: int = 1000,
        session_lifetime: float = 300,
        variant: Variant = Variant.DIRECT,
        on_end: OnEnd | None = None,
    ) -> None:
        self._store = store
        self._terminals: Terminals = FixedTerminal(material_of(pki)) if isinstance(pki, PKI) else pki
        self._clock = clock
        self._random_bytes = random_bytes
        self._address = address
        self._max_sessions = max_sessions
        self._lifetime = session_lifetime
        self._variant = variant
        self.on_end = on_end

    async def open(self) -> None:
        """Make the terminal ready. The store is its owner's to open."""
        await self._terminals.for_origin()
        logger.warning("the embedded eID server is for development and test: it proves nothing about anybody")

    async def close(self) -> None:
        """Nothing to release."""

    async def use_id(self, request: UseIDRequest, *, owner: str = "") -> UseIDSession:
        """See :meth:`~...eid.interface.EIDServer.use_id`. ``owner`` alone can ask for the result."""
        material = await self._terminals.for_origin()
        check_request(request, allowed=material.chat)
        if len(await self._store.find(INDEX)) >= self._max_sessions:
            raise EIDServerError(
                Minor.TOO_MANY_OPEN_SESSIONS, f"useID: expected at most {self._max_sessions} open sessions"
            )
        session_id = new_id(self._random_bytes(SESSION_SIZE), psk_id=request.psk_id)
        session = EACSession(
            session_id,
            psk_id_of(session_id),
            owner,
            self._clock() + self._lifetime,
            variant=self._variant,
            # PAOS has no use for the key: sessions run attached.
            request=replaced(request, psk_id="", psk=""),
        )
        if not await self._store.put(_key(session.psk_id), self._sealed(session), ttl=self._lifetime, indexes=(INDEX,)):
            raise EIDServerError(Minor.INVALID_PSK, "useID: PSK: expected an ID that no open session has")
        psk = request.psk or self._random_bytes(_PSK_SIZE).hex().upper()
        return UseIDSession(session_id, self._address, session.psk_id, psk)

    async def get_result(self, session_id: str, *, counter: int, owner: str = "") -> EIDResult:
        """See :meth:`~...eid.interface.EIDServer.get_result`; a session of another ``owner`` is not there."""
        psk_id = psk_id_of(session_id)
        for _ in range(_MAX_TRIES):
            found, session = await self._load(psk_id)
            try:
                asked = asked_for_result(session, session_id=session_id, owner=owner, counter=counter)
            except EIDServerError as error:
                if error.minor == Minor.INVALID_COUNTER:
                    await self._drop(session, minor=error.minor)
                raise
            if asked.state in FINAL:
                # Of two who ask at once, one alone is told.
                if await self._store.take(_key(psk_id)) is None:
                    raise _invalid_session()
                return result_of(asked)
            if await self._replace(asked, found):
                return result_of(asked)
        raise _busy()

    async def get_server_info(self) -> ServerInfo:
        """See :meth:`~...eid.interface.EIDServer.get_server_info`."""
        allowed = (await self._terminals.for_origin()).chat.rights
        rights = {each: Wish.PROHIBITED if RIGHTS[each] & ~allowed else Wish.ALLOWED for each in Operation}
        return ServerInfo(VERSION, rights)

    async def end(self, session_id: str, *, owner: str = "") -> None:
        """End a session that an eService has spoilt: a message about it broke the schema."""
        try:
            _, session = await self._load(psk_id_of(session_id))
            asked_for_result(session, session_id=session_id, owner=owner, counter=session.counter + 1)
        except EIDServerError:
            return
        await self._drop(session, minor=Minor.SCHEMA_VIOLATION)

    async def answer_paos(self, body: bytes, *, origin: str = "") -> bytes:
        """The answer to a message of an eID client, whatever that is (TR-03112-7 §2.6). HTTP says 200 to all.

        ``origin`` is the web origin at which the client has found us.
        """
        try:
            message = decode(body)
        except PAOSError as error:
            return await self._refuse_malformed(session_in(body), error)
        psk_id, noted = session_of(message), b""
        for _ in range(_MAX_TRIES):
            try:
                found, session = await self._load(psk_id)
            except EIDServerError as error:
                return self._refusal(psk_id, Failure.OTHER, error.message, relates_to=message.message_id)
            material = await self._material_for(session, origin)
            after, answer = advance(
                session, message, now=self._clock(), material=material, drawn=self._random_bytes(DRAWN_SIZE)
            )
            if after is session:
                return encode(answer)
            if after.challenge not in (session.challenge, noted):
                noted = after.challenge
                if not await self._is_fresh(noted):
                    after = failed(session, Failure.BAD_PARAMETER)
                    answer = refusal(
                        Failure.BAD_PARAMETER,
                        "Challenge: expected a fresh one",
                        name=answer.message_id,
                        relates_to=message.message_id,
                    )
            after = replace(after, deadline=self._clock() + self._lifetime)
            if await self._replace(after, found):
                if after.state in FINAL:
                    await self._tell_end(after)
                return encode(answer)
        raise _busy()

    async def _refuse_malformed(self, psk_id: str, error: PAOSError) -> bytes:
        """A message that does not parse ends the session that it names."""
        is_parameter = error.minor == ClientMinor.INCORRECT_PARAMETER
        failure = Failure.BAD_PARAMETER if is_parameter else Failure.OTHER
        for _ in range(_MAX_TRIES):
            try:
                found, session = await self._load(psk_id)
            except EIDServerError:
                break
            if session.state in FINAL:
                break
            after = failed(session, failure)
            if await self._replace(after, found):
                await self._tell_end(after)
                break
        return self._refusal(psk_id, failure, error.message, relates_to="")

    def _refusal(self, psk_id: str, failure: Failure, step: str, *, relates_to: str) -> bytes:
        name = message_id(psk_id, self._random_bytes(MESSAGE_SIZE))
        return encode(refusal(failure, step, name=name, relates_to=relates_to))

    async def _is_fresh(self, challenge: bytes) -> bool:
        """Whether no card has sent this challenge before; it is noted."""
        key = f"eid-challenge:{b64url(sha256(challenge).digest())}"
        return await self._store.put(key, b"1", ttl=_CHALLENGE_LIFETIME)

    async def _material_for(self, session: EACSession, origin: str) -> ServerMaterial:
        """The terminal that the session began with; another one, if that is no more, will not do for the core."""
        material = await self._terminals.named(session.terminal) if session.terminal else None
        return material or await self._terminals.for_origin(origin)

    async def _load(self, psk_id: str) -> tuple[Versioned, EACSession]:
        """The session as it is stored; ``invalidSession`` if there is none."""
        found = await self._store.get(_key(psk_id))
        if found is None:
            raise _invalid_session()
        try:
            return found, _RECORDS.decode(unseal(found.value, secret=psk_id.encode(), purpose=_PURPOSE))
        except (SealBroken, UnavailableError):  # Not ours, or of another version.
            raise _invalid_session() from None

    async def _replace(self, session: EACSession, found: Versioned) -> bool:
        ttl = max(session.deadline - self._clock(), 0.001)
        return await self._store.replace(
            _key(session.psk_id), self._sealed(session), expected_version=found.version, ttl=ttl
        )

    def _sealed(self, session: EACSession) -> bytes:
        nonce = self._random_bytes(NONCE_SIZE)
        return seal(_RECORDS.encode(session), secret=session.psk_id.encode(), purpose=_PURPOSE, nonce=nonce)

    async def _drop(self, session: EACSession, *, minor: str) -> None:
        """Forget a session; who waits for one that still ran is told."""
        if await self._store.delete(_key(session.psk_id)) and session.state not in FINAL:
            await self._call_on_end(session.id, minor)

    async def _tell_end(self, session: EACSession) -> None:
        minor = end_minor(session)
        logger.info("embedded eID server: a session ended: %s", minor or "it has a result")
        await self._call_on_end(session.id, minor)

    async def _call_on_end(self, session_id: str, minor: str) -> None:
        if self.on_end is None:
            return
        try:
            await self.on_end(session_id, minor)
        except UseIDError as error:
            # The client's answer does not depend on who waits.
            logger.warning("embedded eID server: nobody could be told that a session ended: %s", error)


def _key(psk_id: str) -> str:
    return f"eid-session:{b64url(sha256(psk_id.encode()).digest())}"


def _invalid_session() -> EIDServerError:
    return EIDServerError(Minor.INVALID_SESSION, "expected the session of an unfinished authentication")


def _busy() -> UnavailableError:
    return UnavailableError("eid_server_unavailable", "the session is being changed by others; try again")
