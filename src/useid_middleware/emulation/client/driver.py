"""Runs the eID client's flow: with real servers over HTTP, with a card, and with somebody who decides.

Certificates of TLS servers are not verified against authorities but against the certificate description, as the flow
says; self-signed ones are fine. One thread runs one flow.
"""

import ssl
import time
from socket import create_connection
from types import TracebackType
from typing import Any, Final, Protocol, Self
from urllib.parse import urlsplit

import httpx2

from ...errors import RequestError
from .actions import (
    Action,
    Authentication,
    Connect,
    CreateCredential,
    Fetch,
    Fetched,
    Flow,
    PasswordRequest,
    Post,
    Put,
    T,
    Transmit,
    Unreachable,
)

#: Bytes of an answer that are read at most.
MAX_ANSWER: Final = 512 * 1024
#: Seconds for connecting, and between two bytes …
STEP_TIMEOUT: Final = 10.0
#: … and for one call from start to end, so that a server cannot hold the client by dripping.
CALL_TIMEOUT: Final = 30.0
_HTTPS: Final = 443


class Card(Protocol):
    """A card: one command in, one answer out; ``UseIDError`` if it is gone."""

    def transmit(self, apdu: bytes) -> bytes: ...


class Person(Protocol):
    """Who decides. ``None`` cancels."""

    def confirm(self, request: Authentication) -> frozenset[str] | None:
        """The optional rights that are granted, of those that the request names."""
        ...

    def enter_password(self, request: PasswordRequest) -> str | None:
        """The digits of a password."""
        ...

    def confirm_passkey(self, request: CreateCredential) -> bool:
        """Whether the passkey is to be made; a yes has proved that it is the owner who says so."""
        ...


class Authenticator(Protocol):
    """What makes and keeps the passkeys of this device."""

    def create(self, request: CreateCredential) -> dict[str, Any]:
        """A ``RegistrationResponseJSON``; ``AuthenticatorError``."""
        ...


class Network:
    """The client's way to servers: TLS 1.2 or newer, no redirects, bounded answers; connections are kept open."""

    def __init__(self, *, transport: httpx2.BaseTransport | None = None) -> None:
        self._context = _tls_context()
        self._is_real = transport is None
        self._client = httpx2.Client(
            transport=transport,
            verify=self._context,
            timeout=STEP_TIMEOUT,
            follow_redirects=False,
            trust_env=False,
            headers={"accept-encoding": "identity", "user-agent": "useid-eid-client"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def fetch(self, action: Fetch) -> Fetched:
        """GET; :class:`Unreachable`."""
        return self._send(self._client.build_request("GET", action.url))

    def post(self, action: Post) -> Fetched:
        """POST; :class:`Unreachable`."""
        return self._write("POST", action)

    def put(self, action: Put) -> Fetched:
        """PUT; :class:`Unreachable`."""
        return self._write("PUT", action)

    def connect(self, action: Connect) -> bytes | None:
        """The server's TLS certificate, without a request; :class:`Unreachable`."""
        parts = urlsplit(action.url)
        if parts.scheme != "https":
            return None
        host = parts.hostname or ""
        try:
            with (
                create_connection((host, parts.port or _HTTPS), timeout=STEP_TIMEOUT) as plain,
                self._context.wrap_socket(plain, server_hostname=host) as secured,
            ):
                return secured.getpeercert(binary_form=True)
        except (OSError, ValueError) as error:
            raise Unreachable(f"the server cannot be reached ({type(error).__name__})") from None

    def _write(self, method: str, action: Post | Put) -> Fetched:
        return self._send(
            self._client.build_request(method, action.url, headers=dict(action.headers), content=action.body)
        )

    def _send(self, request: httpx2.Request) -> Fetched:
        deadline = time.monotonic() + CALL_TIMEOUT
        try:
            response = self._client.send(request, stream=True)
            try:
                # Before the answer is read: behind its last byte a server may close, and nobody could tell who it was.
                certificate = _certificate_of(response)
                if certificate is None and self._is_real and request.url.scheme == "https":
                    raise Unreachable("the server's TLS certificate: expected one")
                return Fetched(
                    url=str(request.url),
                    status=response.status_code,
                    content_type=response.headers.get("content-type", ""),
                    location=response.headers.get("location", ""),
                    body=_read(response, deadline=deadline),
                    tls_certificate=certificate,
                )
            finally:
                response.close()
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unreachable(f"the server cannot be reached ({type(error).__name__})") from None


def run_flow(
    flow: Flow[T], *, network: Network, card: Card, person: Person, authenticator: Authenticator | None = None
) -> T:
    """Drive a flow to its end and return its result. What the card and the person raise goes into the flow.

    Without an ``authenticator`` this device makes no passkeys: ``authenticator_missing`` goes into the flow.
    """
    try:
        action = next(flow)
        while True:
            try:
                answer = _perform(action, network=network, card=card, person=person, authenticator=authenticator)
            except Exception as error:
                action = flow.throw(error)
            else:
                action = flow.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        flow.close()


def _perform(
    action: Action, *, network: Network, card: Card, person: Person, authenticator: Authenticator | None
) -> object:
    match action:
        case Fetch():
            return network.fetch(action)
        case Post():
            return network.post(action)
        case Put():
            return network.put(action)
        case Connect():
            return network.connect(action)
        case Transmit():
            return card.transmit(action.apdu)
        case Authentication():
            return person.confirm(action)
        case PasswordRequest():
            return person.enter_password(action)
        case CreateCredential():
            if authenticator is None:
                raise RequestError("authenticator_missing", "this device makes no passkeys")
            return authenticator.create(action) if person.confirm_passkey(action) else None


def _read(response: httpx2.Response, *, deadline: float) -> bytes:
    if "content-encoding" in response.headers:
        raise Unreachable("the server's answer: expected it without Content-Encoding")
    content = bytearray()
    for chunk in response.iter_raw():
        content += chunk
        if len(content) > MAX_ANSWER:
            raise Unreachable(f"the server's answer: expected at most {MAX_ANSWER} bytes")
        if time.monotonic() > deadline:
            raise Unreachable(f"the server's answer: expected it within {CALL_TIMEOUT:.0f} seconds")
    return bytes(content)


def _certificate_of(response: httpx2.Response) -> bytes | None:
    stream = response.extensions.get("network_stream")
    secured = stream.get_extra_info("ssl_object") if stream is not None else None
    # By position: what the library has here is the inner object, which knows no names of arguments.
    certificate: bytes | None = secured.getpeercert(True) if secured is not None else None
    return certificate


def _tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Whom to believe is the certificate description's to say (TR-03124-1 §2.7), not an authority's.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
