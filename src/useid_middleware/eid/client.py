"""An eID server behind its SOAP interface: TR-03130-1 over mutual TLS, signed both ways."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..errors import ConfigurationError, EIDServerError, UnavailableError
from ..settings.eid import EIDSettings
from .core.attributes import EIDResult, ServerInfo, UseIDRequest, UseIDSession
from .core.requests import GetResultRequest, GetServerInfoRequest, Request, build_request, requested_function
from .core.responses import parse_get_result_response, parse_get_server_info_response, parse_use_id_response
from .core.signing import NONCE_SIZE, VerifiedBody, sign_envelope, verify_envelope
from .core.soap import CONTENT_TYPE
from .network import HTTP, read_certificate, read_signing_key, tls_context

_CODE: Final = "eid_server_unavailable"
_MEDIA_TYPE: Final = CONTENT_TYPE.partition(";")[0]


class SoapEIDServer:
    """Implements :class:`~.interface.EIDServer`.

    ``clock`` tells Unix seconds. ``ConfigurationError`` if a file of the settings is not what it should be.
    """

    def __init__(
        self,
        settings: EIDSettings,
        *,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        transport: Any = None,
    ) -> None:
        self._clock = clock
        self._random_bytes = random_bytes
        self._certificate = read_certificate(
            _path(settings.signing_certificate, "eid.signing_certificate"), setting="eid.signing_certificate"
        )
        self._key = read_signing_key(
            _path(settings.signing_key, "eid.signing_key"), certificate=self._certificate, setting="eid.signing_key"
        )
        self._server_certificate = read_certificate(
            _path(settings.server_signing_certificate, "eid.server_signing_certificate"),
            setting="eid.server_signing_certificate",
        )
        tls = tls_context(
            ca_file=settings.ca_file,
            certificate=_path(settings.tls_certificate, "eid.tls_certificate"),
            key=_path(settings.tls_key, "eid.tls_key"),
        )
        self._http = HTTP(settings.server, timeout=settings.timeout, tls=tls, transport=transport)
        #: Answers that came, until they are out of date: the same one must not come twice.
        self._seen: dict[bytes, float] = {}

    async def open(self) -> None:
        """Nothing to do: connections are opened when they are needed."""

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._http.close()

    async def use_id(self, request: UseIDRequest) -> UseIDSession:
        """See :meth:`~.interface.EIDServer.use_id` (TR-03130-1 §3.2.1).

        Sent once more if no answer comes: a session that nobody uses does no harm.
        """
        session = parse_use_id_response(await self._call(request, may_repeat=True))
        if request.psk and session.psk.lower() != request.psk.lower():
            # The eService shall abort then (§3.2.1.2).
            raise UnavailableError(_CODE, "useID: PSK: expected the one of the request, found another")
        return session

    async def get_result(self, session_id: str, *, counter: int) -> EIDResult:
        """See :meth:`~.interface.EIDServer.get_result` (TR-03130-1 §3.2.2).

        Never sent twice: a result is given once.
        """
        request = GetResultRequest(session_id, counter)
        return parse_get_result_response(await self._call(request, may_repeat=False))

    async def get_server_info(self) -> ServerInfo:
        """See :meth:`~.interface.EIDServer.get_server_info` (TR-03130-1 §3.2.3). Sent once more if no answer comes."""
        return parse_get_server_info_response(await self._call(GetServerInfoRequest(), may_repeat=True))

    async def _call(self, request: Request, *, may_repeat: bool) -> VerifiedBody:
        """What the server says to a request. One that did not leave this machine is sent once more in any case."""
        try:
            answer = await self._post(request)
        except UnavailableError as first:
            if not first.retry_is_safe and not may_repeat:
                raise
            try:
                answer = await self._post(request)
            except UnavailableError as second:
                second.retry_is_safe = first.retry_is_safe and second.retry_is_safe
                raise
        return self._believed(answer)

    async def _post(self, request: Request) -> bytes:
        """Sign anew and send: a server takes no message twice."""
        signed = sign_envelope(
            build_request(request),
            certificate=self._certificate,
            key=self._key,
            now=self._clock(),
            nonce=self._random_bytes(NONCE_SIZE),
        )
        headers = {"content-type": CONTENT_TYPE, "soapaction": requested_function(request).action}
        return await self._http.post(signed, headers=headers, media_type=_MEDIA_TYPE)

    def _believed(self, answer: bytes) -> VerifiedBody:
        """The body of an answer that the server has signed, just now and once."""
        now = self._clock()
        try:
            body = verify_envelope(answer, expected_certificates=(self._server_certificate,), now=now)
        except EIDServerError as error:
            raise UnavailableError(_CODE, f"eID server: {error.message}") from None
        # They expire about in the order in which they came.
        while self._seen and self._seen[oldest := next(iter(self._seen))] <= now:
            del self._seen[oldest]
        if body.replay_key in self._seen:
            raise UnavailableError(_CODE, "eID server: expected a new answer, found one that came before")
        self._seen[body.replay_key] = body.expires
        return body


def _path(path: Path | None, setting: str) -> Path:
    if path is None:
        raise ConfigurationError(f"{setting}: expected a PEM file, found none")
    return path
