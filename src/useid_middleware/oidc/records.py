"""What the relying party keeps: a login under way, sealed for the browser that began it, and a session's tokens."""

import json
from typing import Any, Final

from .._codec import Record, RecordType
from .core.authorization import Attempt
from .core.tokens import TokenSet


class SessionSecret(Record, frozen=True):
    """What a session keeps of its login at a provider. Sealed at rest; see :mod:`~.._sealing`.

    ``provider`` is the name in the settings, ``dpop_key`` a private JWK or empty; ``received_at`` is when the tokens
    came. Times are Unix seconds.
    """

    provider: str
    issuer: str
    subject: str
    tokens: TokenSet
    received_at: float = 0.0
    auth_time: float | None = None
    nonce: str = ""
    session_state: str = ""
    dpop_key: bytes = b""
    #: As JSON, for the profile page; they are not needed for anything else.
    claims_json: bytes = b"{}"

    @property
    def claims(self) -> dict[str, Any]:
        """What the provider said of the person at this login."""
        claims: dict[str, Any] = json.loads(self.claims_json)
        return claims


class PostedResponse(Record, frozen=True):
    """The parameters of a form_post response, until the browser comes back for them."""

    pairs: tuple[tuple[str, str], ...]
    created_at: float


attempts: Final = RecordType(Attempt)
session_secrets: Final = RecordType(SessionSecret)
posted_responses: Final = RecordType(PostedResponse)
