"""The ASGI types, written once (https://asgi.readthedocs.io/en/latest/specs/main.html)."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]


def root_path(scope: Scope) -> str:
    """Where the app is mounted: empty, or with a slash at its beginning and none at its end."""
    root: str = scope.get("root_path", "")
    return root.rstrip("/")


def route_path(scope: Scope) -> str:
    """The path below the root path, whether or not the server left that in it (servers and frameworks differ)."""
    path: str = scope["path"]
    root = root_path(scope)
    if root and path.startswith(root + "/"):
        return path[len(root) :]
    return path
