"""What whoever starts the provider decides about it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Policy:
    """Times are in seconds.

    ``refresh_tokens``: ``offline`` gives one where the scope ``offline_access`` was asked for, ``always`` in any case.
    ``always_include_at_hash``: also in the code flow, where it is optional. ``require_dpop_nonce``: proofs need a nonce
    of the provider's (RFC 9449 §8). ``certificate_header``: where a proxy that terminates TLS puts the client's
    certificate (PEM, percent-encoded); whoever can reach the provider past that proxy can forge it, so it is empty by
    default, and certificates come from the server itself (ASGI's TLS extension).
    """

    id_token_lifetime: int = 300
    access_token_lifetime: int = 600
    refresh_token_lifetime: int = 30 * 86400
    code_lifetime: int = 60
    session_lifetime: int = 12 * 3600
    interaction_lifetime: int = 3600
    device_lifetime: int = 600
    device_interval: int = 5
    signing_algorithm: str = "RS256"
    refresh_rotation: bool = True
    refresh_tokens: Literal["offline", "always"] = "offline"
    always_include_at_hash: bool = True
    claims_in_id_token: bool = False
    consent: Literal["ask", "skip"] = "ask"
    require_pkce: bool = False
    require_pushed_authorization_requests: bool = False
    require_dpop_nonce: bool = False
    acr: str = "1"
    certificate_header: str = ""
