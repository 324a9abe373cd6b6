"""Every verb of a store once, for tests that expect the same of all."""

from collections.abc import Awaitable, Callable

from tests.stores.conftest import Inbox
from useid_middleware.stores.base import Bucket, Store

VERBS: dict[str, Callable[[Store], Awaitable[object]]] = {
    "put": lambda store: store.put("key", b"", ttl=60.0, indexes=["index"]),
    "get": lambda store: store.get("key"),
    "replace": lambda store: store.replace("key", b"", expected_version=1, ttl=60.0, message=b""),
    "take": lambda store: store.take("key"),
    "delete": lambda store: store.delete("key"),
    "find": lambda store: store.find("index"),
    "occupy": lambda store: store.occupy("count", slot=3, lowest=1, highest=5, limit=5, ttl=60.0),
    "vacate": lambda store: store.vacate("count", 3),
    "spend": lambda store: store.spend([Bucket("one", 60.0, 5), Bucket("two", 60.0, 5)]),
    "publish": lambda store: store.publish("channel", b""),
    "subscribe": lambda store: store.subscribe("channel", Inbox()),
}
