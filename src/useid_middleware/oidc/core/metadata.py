"""What a provider says of itself (OpenID Connect Discovery 1.0 §3, RFC 8414 §2), believed once it was checked."""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeGuard
from urllib.parse import urlsplit

from ..._codec import Record, replace
from ...errors import ProviderError
from ...settings import is_loopback
from .strict_json import MAX_ANSWER, JSONRefused, read_object

MAX_ADDRESS: Final = 2000
_MAX_ENTRIES: Final = 500
#: The characters of a URI (RFC 3986 §2), with the percent sign.
_URI: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+").fullmatch

#: Endpoints that we call, and those that the browser is sent to.
_INTERNAL: Final = (
    "token_endpoint",
    "jwks_uri",
    "userinfo_endpoint",
    "pushed_authorization_request_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "device_authorization_endpoint",
    "registration_endpoint",
)
_PUBLIC: Final = ("authorization_endpoint", "end_session_endpoint", "check_session_iframe")
_REQUIRED: Final = ("authorization_endpoint", "token_endpoint")
_FLAGS: Final = (
    "authorization_response_iss_parameter_supported",
    "require_pushed_authorization_requests",
    "require_signed_request_object",
    "tls_client_certificate_bound_access_tokens",
    "backchannel_logout_supported",
    "backchannel_logout_session_supported",
    "frontchannel_logout_supported",
    "frontchannel_logout_session_supported",
)
_LISTS: Final = (
    "scopes_supported",
    "response_types_supported",
    "response_modes_supported",
    "grant_types_supported",
    "acr_values_supported",
    "code_challenge_methods_supported",
    "id_token_signing_alg_values_supported",
    "authorization_signing_alg_values_supported",
    "request_object_signing_alg_values_supported",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "dpop_signing_alg_values_supported",
)


class ProviderMetadata(Record, frozen=True):
    """A provider's metadata, as far as we use it. Addresses that are not there are empty, and so are lists.

    What the standards presume of a missing list is not filled in: nothing here is decided by them.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str = ""
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    check_session_iframe: str = ""
    pushed_authorization_request_endpoint: str = ""
    revocation_endpoint: str = ""
    introspection_endpoint: str = ""
    device_authorization_endpoint: str = ""
    registration_endpoint: str = ""
    #: The addresses for mutual TLS, by the name of the endpoint (RFC 8705 §5).
    mtls_endpoint_aliases: Mapping[str, str] = {}
    authorization_response_iss_parameter_supported: bool = False
    require_pushed_authorization_requests: bool = False
    require_signed_request_object: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    backchannel_logout_supported: bool = False
    backchannel_logout_session_supported: bool = False
    frontchannel_logout_supported: bool = False
    frontchannel_logout_session_supported: bool = False
    scopes_supported: tuple[str, ...] = ()
    response_types_supported: tuple[str, ...] = ()
    response_modes_supported: tuple[str, ...] = ()
    grant_types_supported: tuple[str, ...] = ()
    acr_values_supported: tuple[str, ...] = ()
    code_challenge_methods_supported: tuple[str, ...] = ()
    id_token_signing_alg_values_supported: tuple[str, ...] = ()
    authorization_signing_alg_values_supported: tuple[str, ...] = ()
    request_object_signing_alg_values_supported: tuple[str, ...] = ()
    token_endpoint_auth_methods_supported: tuple[str, ...] = ()
    token_endpoint_auth_signing_alg_values_supported: tuple[str, ...] = ()
    dpop_signing_alg_values_supported: tuple[str, ...] = ()


def discovery_url(issuer: str) -> str:
    """Where an issuer publishes its metadata (Discovery 1.0 §4.1): the path stays, its last slash does not."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def parse_metadata(document: bytes, *, expected_issuer: str) -> ProviderMetadata:
    """The metadata in a document that was fetched (Discovery 1.0 §4.2, §4.3).

    Raises ``issuer_mismatch`` and ``metadata_invalid``. A document must lead to keys, so ``jwks_uri`` is required.
    """
    try:
        members = read_object(document) if len(document) <= MAX_ANSWER else None
    except JSONRefused:
        members = None
    if members is None:
        raise _invalid("document", f"one JSON object of at most {MAX_ANSWER} bytes")
    metadata = check_metadata(members, expected_issuer=expected_issuer)
    if not metadata.jwks_uri:
        raise _invalid("jwks_uri", "an address")
    return metadata


def check_metadata(members: Mapping[str, Any], *, expected_issuer: str) -> ProviderMetadata:
    """The metadata in these members, which an operator may have written; with the same errors.

    ``issuer`` must be exactly the expected one: documents of other issuers are how mix-up attacks begin. Members that
    we do not use may be anything.
    """
    issuer = members.get("issuer")
    if not isinstance(issuer, str):
        raise _invalid("issuer", "a text")
    if issuer != expected_issuer:
        raise ProviderError(
            "issuer_mismatch",
            "metadata: issuer: expected exactly the one that is configured, found another",
            details={"member": "issuer"},
        )
    for name in _REQUIRED:
        if name not in members:
            raise _invalid(name, "an address")
    values: dict[str, Any] = {}
    for name in (*_INTERNAL, *_PUBLIC):
        if name in members:
            values[name] = _read_address(members[name], name=name)
    for name in _FLAGS:
        if name in members:
            values[name] = members[name]
            if not isinstance(members[name], bool):
                raise _invalid(name, "true or false")
    for name in _LISTS:
        if name in members:
            values[name] = _read_list(members[name], name=name)
    values["mtls_endpoint_aliases"] = _read_aliases(members.get("mtls_endpoint_aliases", {}))
    return ProviderMetadata(issuer=issuer, **values)


def is_address(value: object) -> TypeGuard[str]:
    """Whether this is an address to call or to send a browser to.

    That is https, or http on this machine; at most 2000 characters, with neither credentials nor a fragment.
    """
    if not isinstance(value, str) or len(value) > MAX_ADDRESS or not _URI(value) or "#" in value:
        return False
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    is_allowed = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    return is_allowed and bool(host) and port != 0 and "@" not in parts.netloc


def rewrite(metadata: ProviderMetadata, *, internal: str, public: str) -> ProviderMetadata:
    """The metadata for a provider that we reach at another origin than browsers do (containers).

    What we call is moved from the ``public`` origin to the ``internal`` one, where the browser goes the other way
    round; addresses at third origins stay as they are.
    """
    if internal == public:
        return metadata
    changed: dict[str, Any] = {name: _moved(getattr(metadata, name), public, internal) for name in _INTERNAL}
    changed |= {name: _moved(getattr(metadata, name), internal, public) for name in _PUBLIC}
    changed["mtls_endpoint_aliases"] = {
        name: _moved(url, public, internal) for name, url in metadata.mtls_endpoint_aliases.items()
    }
    return replace(metadata, **changed)


def _moved(url: str, source: str, target: str) -> str:
    rest = url.removeprefix(source)
    # An origin ends where the path or query begins: https://sso.example is no part of https://sso.example.net.
    return target + rest if url.startswith(source) and rest[:1] in ("", "/", "?") else url


def _read_address(value: object, *, name: str) -> str:
    if not is_address(value):
        raise _invalid(name, "an https address without fragment (http on this machine alone)")
    return value


def _read_list(value: object, *, name: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > _MAX_ENTRIES:
        raise _invalid(name, f"a list of at most {_MAX_ENTRIES} texts")
    if not all(isinstance(each, str) for each in value):
        raise _invalid(name, "a list of texts")
    return tuple(value)


def _read_aliases(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise _invalid("mtls_endpoint_aliases", "an object of addresses")
    return {name: _read_address(value[name], name=name) for name in _INTERNAL if name in value}


def _invalid(member: str, expected: str) -> ProviderError:
    return ProviderError("metadata_invalid", f"metadata: {member}: expected {expected}", details={"member": member})
