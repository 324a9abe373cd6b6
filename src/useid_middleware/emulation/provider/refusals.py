"""How the provider says no: OAuth's error answers (RFC 6749 §5.2, RFC 6750 §3, RFC 9449 §5)."""

from ...errors import RequestError
from ...http.asgi import Headers
from ...http.responses import Response, json_response


class OAuthError(RequestError):
    """An error of the protocol. ``code`` is OAuth's own, ``headers`` belong to the answer."""

    def __init__(self, code: str, message: str, *, status_hint: int = 400, headers: Headers | None = None) -> None:
        super().__init__(code, message, status_hint=status_hint)
        self.headers: Headers = headers or []


def invalid_request(message: str) -> OAuthError:
    """The request lacks a parameter, repeats one, or has one that is malformed."""
    return OAuthError("invalid_request", message)


def invalid_client(message: str) -> OAuthError:
    """The client did not authenticate as it registered."""
    return OAuthError(
        "invalid_client", message, status_hint=401, headers=[(b"www-authenticate", b'Basic realm="useid provider"')]
    )


def invalid_grant(message: str) -> OAuthError:
    """The code or token that was to be exchanged is not good (any more)."""
    return OAuthError("invalid_grant", message)


def invalid_token(message: str, *, scheme: str = "Bearer", headers: Headers | None = None) -> OAuthError:
    """The access token does not open the resource."""
    challenge = f'{scheme} error="invalid_token"'.encode()
    return OAuthError(
        "invalid_token", message, status_hint=401, headers=[(b"www-authenticate", challenge), *(headers or [])]
    )


def oauth_response(error: OAuthError) -> Response:
    """The JSON answer: ``error`` and ``error_description``."""
    body = {"error": error.code, "error_description": error.message}
    return json_response(body, status=error.status_hint, headers=error.headers)
