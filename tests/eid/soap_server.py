"""A small eID server behind mutual TLS: it verifies and signs, and answers what a test says.

It speaks just enough HTTP/1.1, over real sockets, that the client's own HTTP and TLS are what is tested.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from tests.eid.signers import NOW, Signer, new_signer
from useid_middleware.eid.core.requests import Request, parse_request, requested_function
from useid_middleware.eid.core.responses import Response, build_refusal, build_response
from useid_middleware.eid.core.signing import verify_envelope
from useid_middleware.eid.core.soap import CONTENT_TYPE
from useid_middleware.errors import EIDServerError
from useid_middleware.settings.eid import EIDSettings


@dataclass(frozen=True)
class Parties:
    """Who has which certificate. The TLS certificates are for today, the others for the tests' clock."""

    authority: Signer
    server_tls: Signer
    client_tls: Signer
    server: Signer
    client: Signer


def new_parties() -> Parties:
    """Two parties, and the authority for their TLS certificates."""
    today = datetime.now(UTC).timestamp()
    authority = new_signer(name="authority TEST", is_authority=True, now=today)
    return Parties(
        authority,
        new_signer(name="server TEST", issuer=authority, host="localhost", now=today),
        new_signer(name="client TEST", issuer=authority, now=today),
        new_signer(name="server's signature TEST"),
        new_signer(name="client's signature TEST"),
    )


def write_files(folder: Path, parties: Parties) -> None:
    """The files that settings name."""
    for name, content in (
        ("ca.pem", parties.authority.certificate_pem),
        ("tls.pem", parties.client_tls.certificate_pem),
        ("tls.key", parties.client_tls.key_pem),
        ("signing.pem", parties.client.certificate_pem),
        ("signing.key", parties.client.key_pem),
        ("server.pem", parties.server.certificate_pem),
        ("server-tls.pem", parties.server_tls.certificate_pem),
        ("server-tls.key", parties.server_tls.key_pem),
    ):
        (folder / name).write_bytes(content)


def settings_for(folder: Path, *, server: str = "https://eid.example/soap", timeout: float = 10) -> EIDSettings:
    """An eService's settings, with the files in this folder."""
    return EIDSettings(
        server=server,
        tls_certificate=folder / "tls.pem",
        tls_key=folder / "tls.key",
        ca_file=folder / "ca.pem",
        signing_certificate=folder / "signing.pem",
        signing_key=folder / "signing.key",
        server_signing_certificate=folder / "server.pem",
        timeout=timeout,
    )


@dataclass
class SoapServer:
    """What it was asked, and how; ``answer`` says what it says, or raises its refusal."""

    parties: Parties
    answer: Callable[[Request], Response]
    clock: Callable[[], float] = lambda: NOW
    url: str = ""
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    _nonces: "count[int]" = field(default_factory=count)

    def respond(self, body: bytes) -> bytes:
        """The signed answer to a signed request."""
        verified = verify_envelope(body, expected_certificates=[self.parties.client.certificate], now=self.clock())
        request = parse_request(verified)
        self.requests.append(request)
        try:
            envelope = build_response(self.answer(request))
        except EIDServerError as error:
            envelope = build_refusal(requested_function(request), error)
        return self.parties.server.sign(envelope, now=self.clock(), nonce=next(self._nonces).to_bytes(16, "big"))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive."""
        self.connections += 1
        try:
            while head := await self._head(reader):
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head)}
                self.headers.append({":request": head[0], **headers})
                body = self.respond(await reader.readexactly(int(headers["content-length"])))
                length = f"Content-Length: {len(body)}"
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {CONTENT_TYPE}\r\n{length}\r\n\r\n".encode() + body)
                await writer.drain()
        finally:
            writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> list[str]:
        try:
            return (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return []


@asynccontextmanager
async def soap_server(
    folder: Path, parties: Parties, answer: Callable[[Request], Response], *, host: str = "localhost"
) -> AsyncIterator[SoapServer]:
    """A server that runs on a free port; the files lie in the folder already."""
    server = SoapServer(parties, answer)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "server-tls.pem", folder / "server-tls.key")
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    async with listener:
        server.url = f"https://{host}:{listener.sockets[0].getsockname()[1]}/soap"
        yield server
