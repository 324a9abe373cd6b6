"""The way to the eID server: each message is an HTTP request, and relates to the one before (TR-03112-7 §2.6)."""

from typing import Final
from uuid import UUID

from ...eid.core.results import ClientMinor
from .. import paos
from .actions import Fetched, Flow, Post, Unreachable
from .card import Random
from .failure import Failure, no_channel

_ID_SIZE: Final = 16
_HEADERS: Final = {
    "content-type": f"{paos.CONTENT_TYPE}; charset=utf-8",
    "accept": paos.CONTENT_TYPE,
    "paos": paos.PAOS_HEADER,
}
_OK: Final = 200


class Channel:
    """A dialogue with the eID server at ``address``. ``tls_certificates`` are those it has shown so far."""

    def __init__(self, address: str, *, random: Random) -> None:
        self._address = address
        self._random = random
        self._relates_to = ""
        self.tls_certificates: list[bytes] = []

    def ask(self, body: paos.Body) -> Flow[paos.Body]:
        """Send a message and get the next one of the server.

        ``Failure`` if the server cannot be reached or answers something else than a message that relates to ours.
        """
        message_id = f"urn:uuid:{UUID(bytes=self._random(_ID_SIZE), version=4)}"
        sent = paos.encode(paos.Envelope(message_id, body, self._relates_to))
        try:
            answer: Fetched = yield Post(self._address, _HEADERS, sent)
        except Unreachable as error:
            raise self._failed(error.message) from None
        if answer.tls_certificate is not None and answer.tls_certificate not in self.tls_certificates:
            self.tls_certificates.append(answer.tls_certificate)
        media_type = answer.content_type.partition(";")[0].strip().lower()
        if answer.status != _OK or media_type != paos.CONTENT_TYPE:
            raise self._failed(f"eID server: expected a message, found status {answer.status}")
        envelope = paos.decode(answer.body)
        if envelope.relates_to != message_id:
            raise Failure("paos_invalid", "RelatesTo: expected our last message", minor=ClientMinor.INCORRECT_PARAMETER)
        self._relates_to = envelope.message_id
        return envelope.body

    def _failed(self, message: str) -> Failure:
        """Before the server has said anything there is no channel; afterwards it has broken off."""
        if not self._relates_to:
            return no_channel(message)
        return Failure("channel_failed", message, minor=ClientMinor.COMMUNICATION_ERROR)
