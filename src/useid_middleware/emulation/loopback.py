"""Serving the demo under the name of this machine: listeners at its loopback addresses, and the way from them to it.

Browsers know passkeys of a name and none of an address, so that the demo lives at ``localhost``. The name may mean
127.0.0.1, ::1 or both, and programs differ in what they try first and whether they try the other: both are served.
"""

import errno
import socket
from contextlib import ExitStack
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..http.asgi import ASGIApp, Receive, Scope, Send

NAME: Final = "localhost"
_IPV4: Final = "127.0.0.1"
_IPV6: Final = "::1"
_BACKLOG: Final = 128
#: What a machine without IPv6 says: no such family, no such address.
_WITHOUT_IPV6: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def listen_at_localhost(port: int) -> list[socket.socket]:
    """Sockets that listen at this port of 127.0.0.1 and, where the machine has it, of ::1; 0 takes any free port.

    ``ConfigurationError`` where somebody has the port at either address: half of the programs would reach them.
    """
    with ExitStack() as opened:
        first = opened.enter_context(_listen(socket.AF_INET, _IPV4, port))
        listeners = [first]
        try:
            second = _listen(socket.AF_INET6, _IPV6, first.getsockname()[1])
        except OSError as error:
            if error.errno not in _WITHOUT_IPV6:
                raise
        else:
            listeners.append(opened.enter_context(second))
        opened.pop_all()
        return listeners


def _listen(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    listener = socket.socket(family)
    try:
        # A demo that was just ended leaves connections behind that nobody listens to.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno in _WITHOUT_IPV6:
            raise
        raise ConfigurationError(f"port {port} of {address}: {error.strerror}; choose another") from None
    return listener


class AtLocalhost:
    """An app under its name. A browser that asks for a page at an address of this machine is led to ``localhost``.

    There all of it works: passkeys belong to a name, and a phone page finds the login page at the same origin alone.
    The port stays, so that a forwarded one does. Programs are answered where they ask.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        place = _place_at_name(scope) if scope["type"] == "http" else ""
        if not place:
            await self.app(scope, receive, send)
            return
        # Not for good: an app that is served here tomorrow may live at the address.
        headers = [(b"location", place.encode("latin-1")), (b"cache-control", b"no-store"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 307, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _place_at_name(scope: Scope) -> str:
    """Where the page is that a browser asks for at a loopback address; empty for every other request."""
    headers = dict(scope["headers"])
    if scope["method"] not in ("GET", "HEAD") or b"text/html" not in headers.get(b"accept", b""):
        return ""
    try:
        here = urlsplit(f"//{headers.get(b'host', b'').decode('latin-1')}")
        if not ip_address(here.hostname or "").is_loopback:
            return ""
        port = f":{here.port}" if here.port is not None else ""
    except ValueError:
        return ""
    # As it came, with its escapes.
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    return f"{scope['scheme']}://{NAME}{port}{path}" + (f"?{query}" if query else "")
