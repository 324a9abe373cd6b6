"""One HTTP client for all calls to providers, and the bounds of every answer: size, time, no redirects, no cookies."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from ..errors import ConfigurationError, ProviderError, UnavailableError

MAX_ANSWER: Final = 512 * 1024
_NO_COOKIES: Final = DefaultCookiePolicy(allowed_domains=())


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole. ``media_type`` is lower case and without parameters; header names are lower case."""

    status: int
    media_type: str
    body: bytes
    headers: Mapping[str, str]


class HTTP:
    """Sends requests over one pool of connections, in the event loop that uses it.

    ``transport`` stands in for the network (tests); the files are PEM: authorities to trust instead of the system's,
    and our own certificate for mutual TLS (RFC 8705).
    """

    def __init__(
        self,
        *,
        timeout: float,
        transport: Any = None,
        ca_file: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        self._timeout = timeout
        self._transport: httpx2.AsyncBaseTransport | None = transport
        self._files = (ca_file, certificate, key)
        self._client: httpx2.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def close(self) -> None:
        """Close the connections. Idempotent; the next request opens new ones."""
        client, loop, self._client, self._loop = self._client, self._loop, None, None
        if client is not None and loop is asyncio.get_running_loop():
            await client.aclose()

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """GET; raises ``provider_unreachable``, or ``provider_answer_invalid`` for a redirect or a huge answer."""
        return await self._send("GET", url, headers or {}, None)

    async def post(self, url: str, body: bytes, *, headers: Mapping[str, str]) -> Answer:
        """POST, with the same errors."""
        return await self._send("POST", url, headers, body)

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        client = self._opened()
        try:
            # The library's own limits are for each step; a peer that drips bytes would never reach them.
            async with asyncio.timeout(self._timeout):
                async with client.stream(method, url, headers=dict(headers), content=body) as response:
                    content = await _read(response)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ssl.SSLError, OSError) as error:
            raise UnavailableError(
                "provider_unreachable", f"{_host(url)}: expected an answer, found {type(error).__name__}", retry_after=5
            ) from None
        if response.status_code >= 500:
            raise UnavailableError(
                "provider_unreachable", f"{_host(url)}: expected an answer, found {response.status_code}", retry_after=5
            )
        if response.is_redirect:
            raise ProviderError("provider_answer_invalid", f"{_host(url)}: expected an answer, found a redirect")
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Answer(response.status_code, media_type, content, response.headers)

    def _opened(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client = httpx2.AsyncClient(
                verify=self._tls(),
                transport=self._transport,
                timeout=self._timeout,
                follow_redirects=False,
                # A compressed answer could unpack to any size before it is counted.
                headers={
                    "accept": "application/json",
                    "accept-encoding": "identity",
                    "user-agent": "useid-middleware",
                },
                limits=httpx2.Limits(max_connections=100, max_keepalive_connections=20),
            )
            self._client.cookies.jar.set_policy(_NO_COOKIES)
            self._loop = loop
        return self._client

    def _tls(self) -> ssl.SSLContext | bool:
        ca_file, certificate, key = self._files
        if ca_file is None and certificate is None:
            return True
        try:
            context = ssl.create_default_context(cafile=ca_file)
            if certificate is not None:
                context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"ca_file, tls_certificate, tls_key: expected readable PEM files, found {type(error).__name__}"
            ) from None
        return context


async def _read(response: httpx2.Response) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ProviderError("provider_answer_invalid", f"{response.url.host}: expected an answer without compression")
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > MAX_ANSWER:
            raise ProviderError("provider_answer_invalid", f"{response.url.host}: expected at most {MAX_ANSWER} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def origin_of(url: str) -> str:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _host(url: str) -> str:
    """What may be said of an address in a message: paths and queries can hold secrets."""
    try:
        return httpx2.URL(url).host
    except httpx2.InvalidURL:
        return "address"
