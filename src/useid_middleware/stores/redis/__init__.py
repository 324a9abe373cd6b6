"""The stores in Redis: ``store`` for one server or its Sentinels, ``cluster_store`` for a cluster."""

from ..base import Store
from .cluster_store import RedisClusterStore as RedisClusterStore
from .connections import Timing as Timing
from .store import RedisStore as RedisStore
from .url import RedisURL


def create_redis_store(url: str, *, key_prefix: str, timing: Timing | None = None) -> Store:
    """The store behind ``url``; nothing is connected before ``open()``. Raises ``ConfigurationError``."""
    kind = RedisClusterStore if RedisURL.parse(url).topology == "cluster" else RedisStore
    return kind(url, key_prefix=key_prefix, timing=timing)
