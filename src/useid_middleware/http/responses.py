"""Responses, and the one place where an error becomes a status."""

from dataclasses import dataclass, field
from typing import Final

from .._codec import encode_json
from ..errors import UseIDError
from .asgi import Headers, Receive, Scope, Send

JSON: Final = b"application/json"
_NO_STORE: Final = (b"cache-control", b"no-store")
_NO_SNIFF: Final = (b"x-content-type-options", b"nosniff")
HTML: Final = b"text/html; charset=utf-8"


@dataclass(slots=True)
class Response:
    """A complete response. ``headers`` come on top of those that every answer of ours has."""

    status: int
    body: bytes = b""
    media_type: bytes = b""
    headers: Headers = field(default_factory=list)
    referrer_policy: bytes = b"no-referrer"
    #: The error that a page of ours tells of, where no event has.
    refusal: UseIDError | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. To HEAD, headers alone."""
        headers = [
            (b"content-length", b"%d" % len(self.body)),
            (b"referrer-policy", self.referrer_policy),
            _NO_STORE,
            _NO_SNIFF,
        ]
        if self.media_type:
            headers.append((b"content-type", self.media_type))
        if self.headers:
            headers += self.headers
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body})


@dataclass(slots=True)
class Asset(Response):
    """A response that brings all its headers itself, caching included."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. To HEAD, headers alone."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        body = b"" if scope["method"] == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body})


def json_response(value: object, *, status: int = 200, headers: Headers | None = None) -> Response:
    """``value`` as JSON."""
    return Response(status, encode_json(value), JSON, headers or [])


def html_response(
    page: bytes,
    *,
    status: int = 200,
    content_security_policy: str,
    headers: Headers | None = None,
    refusal: UseIDError | None = None,
) -> Response:
    """A page of ours. Under ``no-referrer`` a browser would send its forms with ``Origin: null``."""
    policy = (b"content-security-policy", content_security_policy.encode())
    told = [policy, *retry_after(refusal), *(headers or [])]
    return Response(status, page, HTML, told, referrer_policy=b"same-origin", refusal=refusal)


def redirect(location: str, *, headers: Headers | None = None) -> Response:
    """303 See Other to an address that the caller has checked."""
    return Response(303, headers=[(b"location", location.encode("latin-1")), *(headers or [])])


def retry_after(error: UseIDError | None) -> Headers:
    """The header that says when to come back, where an error knows that."""
    if error is None or error.retry_after is None:
        return []
    return [(b"retry-after", b"%d" % error.retry_after)]


def error_response(error: UseIDError) -> Response:
    """The JSON error of the reference: ``{code, message, …}`` with the error's own status."""
    headers = retry_after(error)
    if "allow" in error.details:
        headers.append((b"allow", str(error.details["allow"]).encode()))
    return json_response(
        {"code": error.code, "message": error.message, **error.details}, status=error.status_hint, headers=headers
    )
