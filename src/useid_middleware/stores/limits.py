"""Rate limits per address, account, key and login, and caps on what is under way: named token buckets over a store.

What reads and changes nothing is counted by :class:`Looks`, in the process alone.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

from .._codec import b64url
from .._lifetime import CLOCK_SLACK
from ..errors import RateLimited, UnavailableError
from ..settings import LimitSettings, Settings
from .base import Bucket, Clock, Store
from .memory import MemoryStore


class Limits:
    """The buckets of one plugin: so many requests per minute, half of them at once."""

    def __init__(self, *, store: Store, settings: Settings) -> None:
        self._store = store
        limits = settings.limits
        self._per_ip = _rate(limits.per_ip)
        self._per_key = _rate(limits.per_key)
        self._per_account = _rate(limits.per_account)
        #: The caps on what is under way, over all addresses: logins that wait, by phone and by ID card, …
        self.waiting = Places(store, "waiting", settings.qr.waiting_limit, settings.qr.lifetime)
        self.waiting_eid = Places(store, "waiting-eid", settings.eid.waiting_limit, settings.eid.lifetime)
        #: … enrolments of phones, passkey ceremonies, temporary accounts that bind a login, …
        self.enrolments = Places(store, "enrolments", limits.under_way, settings.qr.enrolment_lifetime)
        self.ceremonies = Places(store, "ceremonies", limits.under_way, settings.webauthn.lifetime)
        bound_for = max(settings.qr.claim_lifetime, settings.eid.claim_lifetime)
        self.bindings = Places(store, "bindings", limits.under_way, bound_for)
        #: … logins at providers, and what these post, which is large: a twentieth of it.
        self.attempts = Places(store, "attempts", limits.under_way, settings.oidc.attempt_lifetime)
        self.responses = Places(store, "responses", max(1, limits.under_way // 20), RESPONSE_LIFETIME)

    async def spend(self, *buckets: Bucket) -> None:
        """Take a token of each, or raise :class:`~useid_middleware.errors.RateLimited`."""
        wait = await self._store.spend(buckets)
        if wait > 0:
            raise RateLimited(wait)

    def ip(self, ip: str) -> Bucket:
        """The bucket of an address."""
        return Bucket(f"limit:ip:{neighbour(ip)}", *self._per_ip)

    def key(self, key_id: bytes) -> Bucket:
        """The bucket of a device key."""
        return Bucket(f"limit:key:{b64url(key_id)}", *self._per_key)

    def account(self, account_id: str) -> Bucket:
        """The bucket of an account."""
        return Bucket(f"limit:account:{account_id}", *self._per_account)

    def login(self, session_id: str) -> Bucket:
        """The bucket of a login or enrolment that waits, as wide as that of a device key."""
        return Bucket(f"limit:login:{session_id}", *self._per_key)


class Places:
    """A cap: at most ``limit`` are under way at once, of which each is over after ``lifetime`` seconds, if not before.

    Counted by the time at which they began, in slots of a sixteenth of their lifetime, so that what nobody ends falls
    out of the count by itself; it is counted for up to a slot longer than it lives, never for less.

    Take a place last, behind the caller's own buckets: whoever is refused must not use up what is left for the others.
    """

    def __init__(self, store: Store, name: str, limit: int, lifetime: float) -> None:
        self._store = store
        self._key = f"limit:{name}"
        self._limit = limit
        self._lifetime = lifetime
        self._slot = lifetime / _SLOTS

    async def take(self, now: float) -> None:
        """Something begins at ``now`` (Unix seconds); ``RateLimited`` when all places are taken."""
        slot = int(now // self._slot)
        first = await self._store.occupy(
            self._key,
            slot=slot,
            lowest=slot - _SLOTS,
            highest=int((now + CLOCK_SLACK) // self._slot),
            limit=self._limit,
            ttl=self._lifetime + 2 * self._slot,
        )
        if first is not None:
            raise RateLimited((first + _SLOTS + 1) * self._slot - now)

    @asynccontextmanager
    async def begun(self, now: float) -> AsyncIterator[None]:
        """Take a place for what the block begins; where it fails to, the place is given back."""
        await self.take(now)
        try:
            yield
        except BaseException:
            await self.give_back(now)
            raise

    async def give_back(self, began_at: float) -> None:
        """What began then is over. Never fails: a place that cannot be given back falls free by itself."""
        with suppress(UnavailableError):
            await self._store.vacate(self._key, int(began_at // self._slot))


_SLOTS: Final = 16

#: Parameters that a form_post response brings wait so long for the browser to come back with its cookie (s).
RESPONSE_LIFETIME = 60.0


class Looks:
    """How often an address may look at what changes nothing by that.

    Kept in the process: to count in the store would cost more than the look. ``timer`` is in seconds, and nobody sets
    it.
    """

    def __init__(self, limits: LimitSettings, *, timer: Clock = time.monotonic) -> None:
        self._rate = _rate(limits.looks_per_ip)
        self._buckets = MemoryStore(clock=timer)

    async def spend(self, ip: str) -> None:
        """Take a token, or raise :class:`~useid_middleware.errors.RateLimited`."""
        wait = await self._buckets.spend((Bucket(neighbour(ip), *self._rate),))
        if wait > 0:
            raise RateLimited(wait)


@lru_cache(maxsize=1024)
def neighbour(ip: str) -> str:
    """Whose limit an address counts for: of IPv6, a network of 64 bits is one neighbour, however it is spelled.

    What is no address (a Unix socket, or whatever a server makes of a header) is one neighbour, too.
    """
    try:
        address = ip_address(ip)
    except ValueError:
        return "-"
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Address(int(address) >> 64 << 64))


def _rate(per_minute: int) -> tuple[float, int]:
    """A bucket's interval in seconds and its burst."""
    return 60 / per_minute, max(1, per_minute // 2)
