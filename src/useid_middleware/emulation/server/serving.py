"""Serving the standalone server with uvicorn: PAOS over TLS, SOAP over mutual TLS."""

import asyncio
import socket
import ssl
from contextlib import ExitStack
from typing import Final

import uvicorn
from cryptography.hazmat.primitives.serialization import Encoding

from ...errors import ConfigurationError
from .app import Site, Standalone

_GRACE: Final = 5


async def serve(made: Standalone, *, host: str, port: int, soap_port: int) -> None:
    """Serve both until the process is told to end; ``ConfigurationError`` for ports that cannot be had."""
    await made.server.open()
    with ExitStack() as stack:
        listeners = [_listen(host, each, stack) for each in (port, soap_port)]
        running = zip(servers(made, host=host, port=port, soap_port=soap_port), listeners, strict=True)
        await asyncio.gather(*(server.serve(sockets) for server, sockets in running))


def _listen(host: str, port: int, stack: ExitStack) -> list[socket.socket]:
    """Listen at all addresses of the host."""
    listeners = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            listener = stack.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
            listener.listen()
            listeners.append(listener)
    except OSError as error:
        raise ConfigurationError(f"{host}:{port}: {error.strerror}") from None
    return listeners


def servers(made: Standalone, *, host: str, port: int, soap_port: int) -> tuple[uvicorn.Server, uvicorn.Server]:
    """The servers for eID clients and for eServices, not started yet."""
    paos, soap = _config(made, made.paos, host=host, port=port), _config(made, made.soap, host=host, port=soap_port)
    soap.load()
    assert soap.ssl is not None
    soap.ssl.verify_mode = ssl.CERT_REQUIRED
    # Each eService is known by its own certificate, whoever has issued that.
    soap.ssl.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    soap.ssl.load_verify_locations(cadata="".join(each.public_bytes(Encoding.PEM).decode() for each in made.clients))
    return uvicorn.Server(paos), uvicorn.Server(soap)


def _config(made: Standalone, site: Site, *, host: str, port: int) -> uvicorn.Config:
    certificate, key = made.tls
    return uvicorn.Config(
        site,
        host=host,
        port=port,
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_GRACE,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
