"""Rate limits per address, account and key, and the cap on waiting logins: named token buckets over a store."""

from .._codec import b64url
from ..errors import RateLimited
from ..settings import Settings
from .base import Bucket, Store


class Limits:
    """The buckets of one plugin: so many requests per minute, half of them at once."""

    def __init__(self, *, store: Store, settings: Settings) -> None:
        self._store = store
        self._per_ip = _rate(settings.limits.per_ip)
        self._per_key = _rate(settings.limits.per_key)
        self._per_account = _rate(settings.limits.per_account)
        self._waiting = _cap("limit:waiting", settings.qr.waiting_limit, settings.qr.lifetime)
        self._waiting_eid = _cap("limit:waiting-eid", settings.eid.waiting_limit, settings.eid.lifetime)

    async def spend(self, *buckets: Bucket) -> None:
        """Take a token of each, or raise :class:`~useid_middleware.errors.RateLimited`."""
        wait = await self._store.spend(buckets)
        if wait > 0:
            raise RateLimited(wait)

    @property
    def waiting(self) -> Bucket:
        """The cap on waiting logins, over all addresses."""
        return self._waiting

    @property
    def waiting_eid(self) -> Bucket:
        """The same for logins with an ID card."""
        return self._waiting_eid

    def ip(self, ip: str) -> Bucket:
        """The bucket of an address; of IPv6, a network of 64 bits is one neighbour."""
        neighbour = ":".join(ip.split(":")[:4]) if ":" in ip else ip
        return Bucket(f"limit:ip:{neighbour}", *self._per_ip)

    def key(self, key_id: bytes) -> Bucket:
        """The bucket of a device key."""
        return Bucket(f"limit:key:{b64url(key_id)}", *self._per_key)

    def account(self, account_id: str) -> Bucket:
        """The bucket of an account."""
        return Bucket(f"limit:account:{account_id}", *self._per_account)


def _cap(key: str, limit: int, lifetime: float) -> Bucket:
    """A cap on what waits at most ``lifetime`` seconds."""
    # In any such span at most burst + lifetime / interval = 2 * half are created, so never more than the limit wait at
    # once; and the cap needs no count that could drift.
    half = max(1, limit // 2)
    return Bucket(key, lifetime / half, half)


def _rate(per_minute: int) -> tuple[float, int]:
    """A bucket's interval in seconds and its burst."""
    return 60 / per_minute, max(1, per_minute // 2)
