"""Short-lived values behind unguessable handles, sealed under them: a copy of the store opens none."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from .._codec import b64url, is_b64url
from .._sealing import NONCE_SIZE, SealBroken, seal, unseal
from ..errors import UnavailableError
from ..stores.base import Clock, Store, Versioned
from ..stores.limits import RESPONSE_LIFETIME, Places
from .records import PostedResponse, posted_responses

_SIZE: Final = 32


class Handles:
    """Values of one ``kind``. The store knows the hash of a handle, as it does of a session's secret."""

    def __init__(self, kind: str, *, store: Store, random_bytes: Callable[[int], bytes]) -> None:
        self._kind = kind
        self._store = store
        self._random_bytes = random_bytes

    async def keep(self, value: bytes, *, ttl: float) -> str:
        """A handle for ``value``, good for ``ttl`` seconds."""
        handle = b64url(self._random_bytes(_SIZE))
        key, nonce = self._key(handle), self._random_bytes(NONCE_SIZE)
        await self._store.put(key, seal(value, secret=handle.encode(), purpose=key.encode(), nonce=nonce), ttl=ttl)
        return handle

    async def look(self, handle: str) -> bytes | None:
        """The value, which stays; ``None`` when there is none (any more)."""
        return self._opened(handle, await self._store.get(self._key(handle)) if is_b64url(handle, _SIZE) else None)

    async def take(self, handle: str) -> bytes | None:
        """The value, once."""
        return self._opened(handle, await self._store.take(self._key(handle)) if is_b64url(handle, _SIZE) else None)

    def _opened(self, handle: str, found: Versioned | None) -> bytes | None:
        if found is None:
            return None
        try:
            return unseal(found.value, secret=handle.encode(), purpose=self._key(handle).encode())
        except SealBroken:
            return None

    def _key(self, handle: str) -> str:
        return f"{self._kind}:{b64url(sha256(handle.encode()).digest())}"


class PostedResponses:
    """The parameters of form_post responses, until the browser comes back for them.

    A browser does not send our cookies with a form that another site posts; it does with the redirect after it.
    """

    def __init__(self, *, store: Store, places: Places, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._handles = Handles("oidc-response", store=store, random_bytes=random_bytes)
        self._places = places
        self._clock = clock

    async def keep(self, pairs: Sequence[tuple[str, str]]) -> str:
        """A handle for them, good for a minute; ``RateLimited`` when too many are kept."""
        now = self._clock()
        await self._places.take(now)
        return await self._handles.keep(
            posted_responses.encode(PostedResponse(tuple(pairs), now)), ttl=RESPONSE_LIFETIME
        )

    async def take(self, handle: str) -> Sequence[tuple[str, str]]:
        """The parameters behind a handle, once; empty when there are none (any more)."""
        found = await self._handles.take(handle)
        if found is None:
            return ()
        try:
            posted = posted_responses.decode(found)
        except UnavailableError:
            return ()  # Of another version: it is taken, and the login begins anew.
        await self._places.give_back(posted.created_at)
        return posted.pairs
