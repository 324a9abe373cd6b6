"""The smallest app, for the tests of ``serving.py``; it imports next to nothing, so that its server starts fast."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any


def count_call() -> str:
    """One dot for each call in this folder, this one included."""
    with Path("calls").open("a+") as calls:
        calls.write(".")
        calls.seek(0)
        return calls.read()


async def app(scope: dict[str, Any], receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Answers with its greeting, the developer's setting, its process id and the calls in its folder."""
    assert scope["type"] == "http", "this app has no lifespan"
    said = f"{os.environ.get('GREETING')} {os.environ.get('USEID_PREFIX')} {os.getpid()} {count_call()}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": said.encode()})
