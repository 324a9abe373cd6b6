"""Registering ourselves at a provider (OpenID Connect Dynamic Client Registration 1.0, RFC 7591)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ...errors import ProviderError
from .authorization import error_code
from .metadata import is_address
from .strict_json import MAX_ANSWER, JSONRefused, read_object

#: RFC 6749 A.1, A.2: visible characters and the space; tokens travel in headers.
_TEXT: Final = re.compile(r"[\x20-\x7e]{1,1000}").fullmatch
_TOKEN: Final = re.compile(r"[!-~]{1,4096}").fullmatch


@dataclass(frozen=True, slots=True)
class Registration:
    """What a provider made of a registration. Texts that are not there are empty.

    ``secret_expires_at`` is in Unix seconds, 0 for never. ``registration_client_uri`` and its token read and change the
    registration later (RFC 7592). ``metadata`` are all members of the answer but the secrets: the provider may have
    replaced what was asked for.
    """

    client_id: str
    client_secret: str = field(default="", repr=False)
    secret_expires_at: int = 0
    registration_client_uri: str = ""
    registration_access_token: str = field(default="", repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)


def registration_request(
    *,
    redirect_uris: Sequence[str],
    client_name: str = "",
    response_type: str = "code",
    token_endpoint_auth_method: str = "client_secret_basic",
    scopes: Sequence[str] = (),
    post_logout_redirect_uris: Sequence[str] = (),
    initiate_login_uri: str = "",
    backchannel_logout_uri: str = "",
    frontchannel_logout_uri: str = "",
    jwks: Mapping[str, Any] | None = None,
    id_token_signed_response_alg: str = "",
    userinfo_signed_response_alg: str = "",
    authorization_signed_response_alg: str = "",
    request_object_signing_alg: str = "",
    require_pushed_authorization_requests: bool = False,
    dpop_bound_access_tokens: bool = False,
    tls_client_certificate_bound_access_tokens: bool = False,
) -> dict[str, Any]:
    """The client metadata to post as JSON (Dynamic Client Registration 1.0 §2, §3.1). What is empty is left out.

    Logout by back and front channel asks for ``sid`` in the tokens, by which single sessions end. ``jwks`` are public
    keys alone (:meth:`~.keys.ClientKeys.public_jwks`).
    """
    metadata: dict[str, Any] = {
        "application_type": "web",
        "redirect_uris": list(redirect_uris),
        "client_name": client_name,
        "response_types": [response_type],
        # The hybrid flow hands an ID token out at the authorization endpoint, which §2 counts as implicit.
        "grant_types": ["authorization_code", "refresh_token", *(["implicit"] if "id_token" in response_type else [])],
        "token_endpoint_auth_method": token_endpoint_auth_method,
        "scope": " ".join(scopes),
        "post_logout_redirect_uris": list(post_logout_redirect_uris),
        "initiate_login_uri": initiate_login_uri,
        "backchannel_logout_uri": backchannel_logout_uri,
        "backchannel_logout_session_required": bool(backchannel_logout_uri),
        "frontchannel_logout_uri": frontchannel_logout_uri,
        "frontchannel_logout_session_required": bool(frontchannel_logout_uri),
        "jwks": dict(jwks or {}),
        "id_token_signed_response_alg": id_token_signed_response_alg,
        "userinfo_signed_response_alg": userinfo_signed_response_alg,
        "authorization_signed_response_alg": authorization_signed_response_alg,
        "request_object_signing_alg": request_object_signing_alg,
        "require_pushed_authorization_requests": require_pushed_authorization_requests,
        "dpop_bound_access_tokens": dpop_bound_access_tokens,
        "tls_client_certificate_bound_access_tokens": tls_client_certificate_bound_access_tokens,
    }
    return {name: value for name, value in metadata.items() if value}


def parse_registration(status: int, body: bytes) -> Registration:
    """The registration in an answer (Dynamic Client Registration 1.0 §3.2, §3.3).

    Raises ``registration_refused`` where the provider says no, with its error code in ``details``, and
    ``registration_invalid``. Some providers answer 200 instead of 201.
    """
    try:
        answer = read_object(body) if len(body) <= MAX_ANSWER else None
    except JSONRefused:
        answer = None
    if status not in (200, 201):
        raise ProviderError(
            "registration_refused",
            f"registration: expected 201, found {status}; the error code is in the details",
            details={"error": error_code((answer or {}).get("error")), "status": status},
        )
    if answer is None:
        raise _invalid("document", f"one JSON object of at most {MAX_ANSWER} bytes")
    client_id, secret = answer.get("client_id"), answer.get("client_secret", "")
    if not isinstance(client_id, str) or not _TEXT(client_id):
        raise _invalid("client_id", "1 to 1000 printable ASCII characters")
    if not isinstance(secret, str) or (secret and not _TEXT(secret)):
        raise _invalid("client_secret", "at most 1000 printable ASCII characters")
    # §3.2: it must be there with a secret; where it is not, the secret is taken to stay.
    expires_at = answer.get("client_secret_expires_at", 0)
    if type(expires_at) is not int or expires_at < 0:
        raise _invalid("client_secret_expires_at", "a number of seconds")
    address, token = answer.get("registration_client_uri", ""), answer.get("registration_access_token", "")
    if address != "" and not is_address(address):
        raise _invalid("registration_client_uri", "an https address without fragment (http on this machine alone)")
    if not isinstance(token, str) or (token and not _TOKEN(token)):
        raise _invalid("registration_access_token", "visible ASCII characters")
    if bool(address) != bool(token):
        raise _invalid("registration_client_uri", "both it and registration_access_token, or neither")
    secrets = ("client_secret", "registration_access_token")
    return Registration(
        client_id=client_id,
        client_secret=secret,
        secret_expires_at=expires_at,
        registration_client_uri=address,
        registration_access_token=token,
        metadata={name: value for name, value in answer.items() if name not in secrets},
    )


def _invalid(member: str, expected: str) -> ProviderError:
    return ProviderError(
        "registration_invalid", f"registration: {member}: expected {expected}", details={"member": member}
    )
