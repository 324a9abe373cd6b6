"""Which of the plugin's calls were made, and whether they were answered with a success."""

import re
from collections import Counter

from useid_middleware import UseID
from useid_middleware.http.asgi import ASGIApp, Message, Receive, Scope, Send

PREFIX = "/auth"


def matcher(route: str) -> "re.Pattern[str]":
    """What a request for this route looks like."""
    return re.compile(re.sub(r"{\w+}", "[^/]+", route))


class Routes:
    """An app in front of which its calls are counted, by route and success."""

    def __init__(self, app: ASGIApp, useid: UseID, seen: "Counter[tuple[str, bool]]") -> None:
        self._app = app
        self._seen = seen
        # A literal segment wins over a variable one.
        table = sorted(useid.router.routes, key=lambda route: [part.startswith("{") for part in route.split("/")])
        self._table = [(matcher(route).fullmatch, route) for route in table]
        self._found: dict[str, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        asked = f"{scope['method']} {scope['path'].removeprefix(PREFIX)}" if scope["path"].startswith(PREFIX) else ""
        route = next((route for matches, route in self._table if matches(asked)), "") if asked else ""

        async def count(message: Message) -> None:
            if route and message["type"] == "http.response.start":
                self._seen[route, message["status"] < 400] += 1
            await send(message)

        await self._app(scope, receive, count)
