"""From method and path to handler, by table.

A route is written ``POST /session/{id}/claim``. A known path with another method is 405 with ``Allow``; an unknown
path is the host app's.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ..errors import RequestError
from .asgi import ASGIApp
from .requests import Request

Handler: TypeAlias = Callable[[Request], Awaitable[ASGIApp]]


@dataclass(slots=True)
class _Node:
    literals: dict[str, "_Node"] = field(default_factory=dict)
    variable: "_Node | None" = None
    name: str = ""
    handlers: dict[str, Handler] = field(default_factory=dict)


class Router:
    """A tree of path segments; a literal segment wins over a variable one."""

    def __init__(self) -> None:
        self._root = _Node()
        self.routes: list[str] = []
        self._from_anywhere: set[Handler] = set()
        self._flows: dict[Handler, str] = {}

    def add(self, routes: Mapping[str, Handler], *, from_anywhere: bool = False, flow: str = "") -> None:
        """Add ``{"POST /session/{id}": handler}``. A route that exists already is a mistake in the program.

        ``from_anywhere``: pages of other sites may post there, as OpenID providers do. ``flow``: what logs in by them.
        """
        self._flows.update(dict.fromkeys(routes.values(), flow))
        if from_anywhere:
            self._from_anywhere.update(routes.values())
        for route, handler in routes.items():
            method, _, path = route.partition(" ")
            node = self._root
            for segment in path.strip("/").split("/"):
                if segment.startswith("{"):
                    node.variable = node.variable or _Node(name=segment[1:-1])
                    node = node.variable
                else:
                    node = node.literals.setdefault(segment, _Node())
            if method in node.handlers:
                raise ValueError(f"two handlers for {route}")
            node.handlers[method] = handler
            self.routes.append(route)

    def is_open(self, handler: Handler) -> bool:
        """Whether pages of other sites may post to this handler."""
        return handler in self._from_anywhere

    def flow_of(self, handler: Handler) -> str:
        """The flow that this handler is a step of, empty for none."""
        return self._flows[handler]

    def match(self, method: str, path: str) -> tuple[Handler, dict[str, str]] | None:
        """The handler and the path's variable parts, or ``None``; raises ``method_not_allowed``."""
        node = self._root
        params: dict[str, str] = {}
        for segment in path[1:].split("/"):
            literal = node.literals.get(segment)
            if literal is not None:
                node = literal
            elif node.variable is not None and segment:
                node = node.variable
                params[node.name] = segment
            else:
                return None
        handler = node.handlers.get("GET" if method == "HEAD" else method)
        if handler is not None:
            return handler, params
        if not node.handlers:
            return None
        allow = ", ".join(sorted({*node.handlers, *(("HEAD",) if "GET" in node.handlers else ())}))
        raise RequestError("method_not_allowed", f"method: expected {allow}", status_hint=405, details={"allow": allow})


def not_found() -> RequestError:
    """The error of an address that is not there, or that this caller may not see."""
    return RequestError("not_found", "no such address", status_hint=404)


def get_only(request: Request) -> None:
    """Refuse HEAD where a GET uses something up."""
    if request.method != "GET":
        raise RequestError("method_not_allowed", "method: expected GET", status_hint=405, details={"allow": "GET"})
