"""The relying parties that the provider knows (OpenID Connect Dynamic Client Registration 1.0 §2, RFC 7591)."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Final
from urllib.parse import urlsplit

from ..._codec import DecodeError, JsonType
from ...settings import is_loopback
from .jose import ASYMMETRIC, CONTENT_ALGORITHMS, ENCRYPTION_ALGORITHMS, SYMMETRIC
from .refusals import OAuthError

AUTHENTICATION_METHODS: Final = (
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "none",
)
#: What is no metadata: it is decided by the provider, or by whoever starts it.
_NOT_REGISTERED: Final = {"client_id", "client_secret", "loopback"}


@dataclass(frozen=True, slots=True)
class Client:
    """One relying party; the members are the metadata of the registration standards, empty for their defaults.

    ``loopback``: any http address of this machine is a good redirect address, which suits a demo alone. ``jwks`` is a
    public JWK Set: for client authentication, request objects and tokens encrypted for the client.
    """

    client_id: str = ""
    client_secret: str = ""
    loopback: bool = False
    client_name: str = ""
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ()
    response_types: tuple[str, ...] = ()
    initiate_login_uri: str = ""
    backchannel_logout_uri: str = ""
    backchannel_logout_session_required: bool = False
    frontchannel_logout_uri: str = ""
    frontchannel_logout_session_required: bool = False
    token_endpoint_auth_method: str = "client_secret_basic"
    token_endpoint_auth_signing_alg: str = ""
    tls_client_auth_subject_dn: str = ""
    tls_client_certificate_bound_access_tokens: bool = False
    jwks: dict[str, Any] = field(default_factory=dict)
    jwks_uri: str = ""
    id_token_signed_response_alg: str = ""
    id_token_encrypted_response_alg: str = ""
    id_token_encrypted_response_enc: str = ""
    userinfo_signed_response_alg: str = ""
    userinfo_encrypted_response_alg: str = ""
    userinfo_encrypted_response_enc: str = ""
    authorization_signed_response_alg: str = ""
    authorization_encrypted_response_alg: str = ""
    authorization_encrypted_response_enc: str = ""
    request_object_signing_alg: str = ""
    require_signed_request_object: bool = False
    require_pushed_authorization_requests: bool = False
    dpop_bound_access_tokens: bool = False
    default_max_age: int | None = None

    @property
    def keys(self) -> list[dict[str, Any]]:
        """The client's public keys."""
        return list(self.jwks.get("keys", ()))

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.client_name or self.client_id

    def allows_redirect(self, uri: str) -> bool:
        """Whether an authorization response may go to ``uri``: compared as text (RFC 9700 §2.1)."""
        return uri in self.redirect_uris or (self.loopback and _is_loopback_url(uri))

    def allows_post_logout_redirect(self, uri: str) -> bool:
        """Whether a logout may end at ``uri``."""
        return uri in self.post_logout_redirect_uris or (self.loopback and _is_loopback_url(uri))

    def allows_grant(self, grant_type: str) -> bool:
        """Whether the client registered for this grant; one that named none may use each."""
        return not self.grant_types or grant_type in self.grant_types

    def metadata(self) -> Iterator[tuple[str, Any]]:
        """The members that differ from their defaults, as registration answers list them."""
        blank = Client()
        for member in fields(Client):
            value = getattr(self, member.name)
            if member.name not in _NOT_REGISTERED and value != getattr(blank, member.name):
                yield member.name, value


_METADATA: Final = JsonType(Client)


def read_metadata(body: bytes) -> Client:
    """The client that a registration request describes; ``invalid_client_metadata`` or ``invalid_redirect_uri``."""
    try:
        client = _METADATA.decode(body)
    except DecodeError as error:
        raise OAuthError("invalid_client_metadata", f"body: {error}") from None
    for uri in client.redirect_uris:
        parts = urlsplit(uri)
        if not parts.scheme or parts.fragment or parts.scheme in ("javascript", "data"):
            raise OAuthError("invalid_redirect_uri", "redirect_uris: expected absolute addresses without fragment")
    if not client.redirect_uris and "authorization_code" in (client.grant_types or ("authorization_code",)):
        raise OAuthError("invalid_redirect_uri", "redirect_uris: expected at least one")
    for name, allowed in _CHOICES.items():
        if getattr(client, name) and getattr(client, name) not in allowed:
            raise OAuthError("invalid_client_metadata", f"{name}: expected one of {', '.join(allowed)}")
    return client


_SIGNATURES: Final = (*ASYMMETRIC, *SYMMETRIC)
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "token_endpoint_auth_method": AUTHENTICATION_METHODS,
    "token_endpoint_auth_signing_alg": _SIGNATURES,
    "request_object_signing_alg": (*_SIGNATURES, "none"),
    **{f"{kind}_signed_response_alg": _SIGNATURES for kind in ("id_token", "userinfo", "authorization")},
    **{f"{kind}_encrypted_response_alg": ENCRYPTION_ALGORITHMS for kind in ("id_token", "userinfo", "authorization")},
    **{f"{kind}_encrypted_response_enc": CONTENT_ALGORITHMS for kind in ("id_token", "userinfo", "authorization")},
}


def _is_loopback_url(uri: str) -> bool:
    parts = urlsplit(uri)
    return parts.scheme == "http" and is_loopback(parts.hostname or "") and not parts.fragment and "@" not in uri


#: The demo's client: its secret is published, and it is good for this machine alone.
DEMO: Final = Client(client_id="demo", client_secret="demo-secret", client_name="Demo", loopback=True)
