"""Short-lived state: the verbs (``base``) and the places that keep it (``memory``, ``sqlite``, ``redis``)."""

import time

from ..errors import ConfigurationError
from .base import Clock, Store
from .memory import MemoryStore
from .sqlite import SQLiteStore


def create_store(url: str, *, key_prefix: str, clock: Clock = time.time) -> Store:
    """The store that ``url`` names; nothing is connected or created before ``open()``.

    ``memory://``, ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``redis://``, ``rediss://`` (TLS), ``unix://``
    (a Redis socket), and what :mod:`.redis.url` says of Sentinels and clusters. ``key_prefix`` keeps applications apart
    that share a file or a server. Redis goes by its server's clock, not by ``clock``, so that all processes agree.
    Raises ``ConfigurationError``.
    """
    scheme = url.partition("://")[0]
    if scheme == "memory":
        return MemoryStore(clock=clock)
    if scheme == "sqlite":
        return SQLiteStore(url, key_prefix=key_prefix, clock=clock)
    if scheme.partition("+")[0] in ("redis", "rediss", "unix"):
        try:
            from .redis import create_redis_store
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != "redis":
                raise
            raise ConfigurationError("store: Redis needs an extra; run pip install useid-middleware[redis]") from None
        return create_redis_store(url, key_prefix=key_prefix)
    raise ConfigurationError("store: must be sqlite:///useid.db, redis://host:6379/0 or memory://")
