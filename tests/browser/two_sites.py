"""Two sites over TLS: a shop with an eID integration of its own, and our plugin, whose widget the shop embeds."""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers import free_port
from useid_middleware import Settings, UseIDMiddleware
from useid_middleware.eid.core.link import parse_link
from useid_middleware.eid.core.sealing import NONCE_SIZE, seal_refresh_url

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Seconds to wait for what must happen; reached only when something is wrong.
PATIENCE = 30
#: Names of this machine, which browsers resolve by themselves; each is a site of its own.
SHOP, STRANGER, PLUGIN = "shop.localhost", "stranger.localhost", "auth.localhost"


@dataclass
class Sites:
    """Where the sites are, what the shop's page says, and what was asked of the plugin."""

    shop: str
    stranger: str
    plugin: str
    #: ``path?query``, the ``cookie`` header and the ``set-cookie`` of the answer.
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def approve(self, link: str, refresh_url: str) -> int:
        """Do as an integrated client that has scanned ``link``; returns the status."""
        widget = parse_link(link).widget
        assert widget is not None
        assert widget.server == f"{self.plugin}/auth"
        sealed = seal_refresh_url(
            refresh_url, secret=widget.secret, session_id=widget.session_id, nonce=bytes(range(NONCE_SIZE))
        )
        # Names below localhost are for browsers; everybody else asks the machine.
        address = widget.server.replace(PLUGIN, "127.0.0.1")
        answer = httpx2.post(
            f"{address}/eid/session/{widget.session_id}/sealed",
            json={"sealedRefreshUrl": sealed},
            headers={"Host": self.plugin.removeprefix("https://")},
            verify=False,
        )
        return answer.status_code

    async def shop_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The shop's pages: its login with the widget, and where its own eID integration comes back to."""
        if scope["path"] == "/login":
            body = (
                f'<h1>Shop</h1><script src="{self.plugin}/auth/embed.js" data-tenant="shop"'
                f' data-tc-token-url="{self.shop}/eid/tctoken?session=1" async></script>'
            )
        elif scope["path"] == "/control":
            body = f'<h1>Control</h1><iframe title="Control" src="{self.plugin}/control"></iframe>'
        else:
            body = "<h1>Welcome back</h1>"
        await answer_page(send, body)

    async def host_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The app behind the plugin: a page that any site may frame and that shows which cookies it gets there."""
        cookies = dict(scope["headers"]).get(b"cookie", b"").decode()
        kept = ("plain=1; Secure; SameSite=None", "apart=1; Secure; SameSite=None; Partitioned")
        await answer_page(send, f"<p>{cookies}</p>", *((b"set-cookie", cookie.encode()) for cookie in kept))

    def noting(self, app: App) -> App:
        """``app``, with what it is asked written down."""

        async def noted(scope: Scope, receive: Receive, send: Send) -> None:
            async def note(message: MutableMapping[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    query = scope["query_string"].decode()
                    sent = dict(scope["headers"]).get(b"cookie", b"").decode()
                    kept = dict(message["headers"]).get(b"set-cookie", b"").decode()
                    self.asked.append((f"{scope['path']}?{query}", sent, kept))
                await send(message)

            await app(scope, receive, note if scope["type"] == "http" else send)

        return noted


async def answer_page(send: Send, body: str, *headers: tuple[bytes, bytes]) -> None:
    """A page of one of the sites."""
    page = f"<!doctype html><html lang='en'><title>Site</title><main>{body}</main></html>".encode()
    fields = [(b"content-type", b"text/html; charset=utf-8"), *headers]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": page})


@contextmanager
def two_sites(folder: Path) -> Iterator[Sites]:
    """Serve both, the shop under two names; only the first is registered."""
    certificate, key = make_certificate(folder)
    ports = free_port(), free_port()
    sites = Sites(f"https://{SHOP}:{ports[0]}", f"https://{STRANGER}:{ports[0]}", f"https://{PLUGIN}:{ports[1]}")
    settings = Settings(
        from_env=False,
        app_name="Acme",
        origin=sites.plugin,
        store="memory://",
        accounts="memory://",
        embed={"tenants": {"shop": {"origins": [sites.shop], "token_urls": [f"{sites.shop}/eid/"]}}},
    )
    plugin = sites.noting(UseIDMiddleware(sites.host_app, settings=settings))
    with serving(sites.shop_app, ports[0], certificate, key), serving(plugin, ports[1], certificate, key):
        yield sites


@contextmanager
def serving(app: App, port: int, certificate: Path, key: Path) -> Iterator[None]:
    """Serve an app over TLS in a thread."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="critical", ws="none", lifespan="off", interface="asgi3",
        timeout_graceful_shutdown=1, ssl_certfile=certificate, ssl_keyfile=key,
        ssl_version=ssl.PROTOCOL_TLS_SERVER,
    )  # fmt: skip
    server = uvicorn.Server(config)
    opened = threading.Event()
    serve = server.startup

    async def startup(sockets: Any = None) -> None:
        await serve(sockets)
        opened.set()

    server.startup = startup  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    assert opened.wait(PATIENCE)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for all names here, signed by nobody else, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test sites")])
    names = [x509.DNSName(each) for each in (SHOP, STRANGER, PLUGIN, "localhost")]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
