"""One HTTP client for all calls to an eID server, and the bounds of every answer: size, time, no redirects."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ..errors import ConfigurationError, UnavailableError
from .core.algorithms import PrivateKey, is_strong
from .core.soap import MAX_MESSAGE

#: Seconds that an idle connection is kept: less than servers keep theirs, lest a request meets one that is closing.
_IDLE: Final = 3.0
_CODE: Final = "eid_server_unavailable"


class HTTP:
    """Posts to one address over one pool of connections, in the event loop that uses it.

    ``transport`` stands in for the network (tests).
    """

    def __init__(self, url: str, *, timeout: float, tls: ssl.SSLContext, transport: Any = None) -> None:
        self._url = url
        self._timeout = timeout
        self._tls = tls
        self._transport: httpx2.AsyncBaseTransport | None = transport
        self._client: httpx2.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def close(self) -> None:
        """Close the connections. Idempotent; the next request opens new ones."""
        client, loop, self._client, self._loop = self._client, self._loop, None, None
        if client is not None and loop is asyncio.get_running_loop():
            await client.aclose()

    async def post(self, body: bytes, *, headers: Mapping[str, str], media_type: str) -> bytes:
        """The body of a 200 of this media type; ``eid_server_unavailable`` for anything else.

        The error's ``retry_is_safe`` says that no byte of the request left this machine.
        """
        sending = _Sending(body)
        try:
            # The library's own limits are for each step; a peer that drips bytes would never reach them.
            async with asyncio.timeout(self._timeout):
                request = self._opened().stream(
                    "POST", self._url, headers={**headers, "content-length": str(len(body))}, content=sending.chunks()
                )
                async with request as response:
                    return await _read(response, media_type=media_type)
        except (httpx2.HTTPError, TimeoutError, ssl.SSLError, OSError) as error:
            raise UnavailableError(
                _CODE,
                f"eID server: expected an answer, found {type(error).__name__}",
                retry_is_safe=not sending.has_begun,
            ) from None

    def _opened(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client = httpx2.AsyncClient(
                verify=self._tls,
                transport=self._transport,
                timeout=self._timeout,
                follow_redirects=False,
                # A compressed answer could unpack to any size before it is counted.
                headers={"accept-encoding": "identity", "user-agent": "useid-middleware"},
                limits=httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=_IDLE),
            )
            self._loop = loop
        return self._client


class _Sending:
    """The body of a request, which knows whether somebody has begun to send it."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.has_begun = False

    async def chunks(self) -> AsyncIterator[bytes]:
        self.has_begun = True
        yield self._body


async def _read(response: httpx2.Response, *, media_type: str) -> bytes:
    if response.status_code != 200:
        raise UnavailableError(_CODE, f"eID server: expected 200, found {response.status_code}")
    if response.headers.get("content-type", "").partition(";")[0].strip().lower() != media_type:
        raise UnavailableError(_CODE, f"eID server: expected {media_type}, found another media type")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise UnavailableError(_CODE, "eID server: expected an answer without compression")
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > MAX_MESSAGE:
            raise UnavailableError(_CODE, f"eID server: expected at most {MAX_MESSAGE} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def tls_context(*, ca_file: Path | None, certificate: Path, key: Path) -> ssl.SSLContext:
    """Mutual TLS (TR-03130-1 §3.5.1) from PEM files; ``ca_file`` stands for the system's authorities.

    ``ConfigurationError`` names the setting at fault.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise _not_readable("eid.ca_file", error) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    read_certificate(certificate, setting="eid.tls_certificate")
    try:
        # With a passphrase at hand, nobody is asked for one at the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ssl.SSLError) as error:
        raise _not_readable("eid.tls_key", error) from None
    return context


def read_certificate(path: Path, *, setting: str) -> x509.Certificate:
    """The first certificate in a PEM file."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _not_readable(setting, error) from None


def read_signing_key(path: Path, *, certificate: x509.Certificate, setting: str) -> PrivateKey:
    """The key in a PEM file, which must be the certificate's and strong enough to sign with."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise _not_readable(setting, error) from None
    if not isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey) or not is_strong(key):
        raise ConfigurationError(f"{setting}: expected an RSA key of 2048 bits or an EC key of 256 bits")
    if key.public_key() != certificate.public_key():
        raise ConfigurationError(f"{setting}: expected the key of the certificate, found another")
    return key


def _not_readable(setting: str, error: Exception) -> ConfigurationError:
    return ConfigurationError(f"{setting}: expected a readable PEM file, found {type(error).__name__}")
