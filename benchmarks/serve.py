"""One of the three apps in a uvicorn process of its own: ``python -m benchmarks.serve NAME FD HEARTBEAT``.

``FD`` is a listening socket. All three run with the same options: asyncio's loop, httptools' parser, no access log.
"""

import socket
import sys
from collections.abc import Callable

import uvicorn

from useid_middleware.http.asgi import ASGIApp

from .ours import plugin
from .peers.raw import RawApp
from .peers.starlette_sse import starlette_app

APPS: dict[str, Callable[[float], ASGIApp]] = {
    "ours": lambda heartbeat: plugin(heartbeat=heartbeat),
    "raw": lambda heartbeat: RawApp({}, heartbeat=heartbeat),
    "starlette": lambda heartbeat: starlette_app({}, heartbeat=heartbeat),
}


def main(name: str, fd: int, heartbeat: float) -> None:
    """Serve until the process is ended."""
    config = uvicorn.Config(
        APPS[name](heartbeat),
        loop="asyncio",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=fd)])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
