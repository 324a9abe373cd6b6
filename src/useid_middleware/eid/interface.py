"""The one interface to *an* eID server: the SOAP client and the embedded server both implement it.

Each call raises :class:`~..errors.EIDServerError` with the server's ResultMinor when the server refuses, and
:class:`~..errors.UnavailableError` (``eid_server_unavailable``) when it cannot be reached or its answer must not be
believed; ``retry_is_safe`` then says whether the request certainly had no effect.
"""

from typing import Protocol

from .core.attributes import EIDResult, ServerInfo, UseIDRequest, UseIDSession


class EIDServer(Protocol):
    """TR-03130-1 as three coroutines."""

    async def open(self) -> None:
        """Make ready. Idempotent."""

    async def close(self) -> None:
        """Release connections. Idempotent."""

    async def use_id(self, request: UseIDRequest) -> UseIDSession:
        """Open a session: what an eService wants to know of whoever presents an eID in it."""
        ...

    async def get_result(self, session_id: str, *, counter: int) -> EIDResult:
        """The result, which is given once. ``counter`` begins with 1 and grows by one with each call of a session."""
        ...

    async def get_server_info(self) -> ServerInfo:
        """What the server can do."""
        ...
