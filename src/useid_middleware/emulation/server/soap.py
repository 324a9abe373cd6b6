"""TR-03130-1 as SOAP over the embedded server: signed in both directions, a message once, each refusal as a Result."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from ..._codec import b64url
from ..._xml import Element
from ...eid.core.attributes import UseIDRequest
from ...eid.core.requests import (
    GetResultRequest,
    GetServerInfoRequest,
    Request,
    called_function,
    concerned_session,
    parse_request,
)
from ...eid.core.responses import Response, build_refusal, build_response
from ...eid.core.results import Minor
from ...eid.core.signing import NONCE_SIZE, VerifiedBody, sign_envelope, verify_envelope
from ...eid.core.soap import Function
from ...errors import EIDServerError
from ...stores.base import Clock, Store
from .service import EmbeddedEIDServer
from .soap_keys import SigningKey

logger: Final = logging.getLogger("useid_middleware")


class SoapInterface:
    """What eServices with one of ``clients``' certificates can call; each has its own sessions.

    ``signing`` gives the key that answers are signed with, when it is needed.
    """

    def __init__(
        self,
        server: EmbeddedEIDServer,
        *,
        clients: Sequence[x509.Certificate],
        signing: Callable[[], SigningKey],
        store: Store,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._server = server
        self._clients = tuple(clients)
        self._signing = signing
        self._store = store
        self._clock = clock
        self._random_bytes = random_bytes

    async def answer(self, body: bytes, *, action: str, paos_address: str) -> bytes:
        """The signed answer to a message. ``action`` is its SOAPAction, for the answer to what nobody has signed.

        ``paos_address`` is told to the eService where the server does not know a better one.
        """
        function = Function.of_action(action) or Function.USE_ID
        try:
            message = verify_envelope(body, expected_certificates=self._clients, now=self._clock())
            function = called_function(message) or function
            await self._check_fresh(message)
            return self._signed(build_response(await self._call(message, paos_address=paos_address)))
        except EIDServerError as error:
            logger.info("embedded eID server: %s refused: %s", function.value, error.minor)
            return self._signed(build_refusal(function, error))

    async def _check_fresh(self, message: VerifiedBody) -> None:
        """``common#internalError`` for a message that came before."""
        ttl = message.expires - self._clock()
        if not await self._store.put(f"eid-soap:{b64url(message.replay_key)}", b"1", ttl=ttl):
            raise EIDServerError(Minor.INTERNAL_ERROR, "WS-Security: expected a message that did not come before")

    async def _call(self, message: VerifiedBody, *, paos_address: str) -> Response:
        owner = message.certificate.fingerprint(SHA256()).hex()
        request = await self._read(message, owner=owner)
        match request:
            case UseIDRequest():
                session = await self._server.use_id(request, owner=owner)
                return replace(session, ecard_server_address=session.ecard_server_address or paos_address)
            case GetResultRequest():
                return await self._server.get_result(request.session_id, counter=request.counter, owner=owner)
            case GetServerInfoRequest():
                return await self._server.get_server_info()

    async def _read(self, message: VerifiedBody, *, owner: str) -> Request:
        """The request; one that breaks the schema ends the session that it is about."""
        try:
            return parse_request(message)
        except EIDServerError as error:
            session_id = concerned_session(message)
            if error.minor == Minor.SCHEMA_VIOLATION and session_id:
                await self._server.end(session_id, owner=owner)
            raise

    def _signed(self, envelope: Element) -> bytes:
        signing = self._signing()
        return sign_envelope(
            envelope,
            certificate=signing.certificate,
            key=signing.key,
            now=self._clock(),
            nonce=self._random_bytes(NONCE_SIZE),
        )
