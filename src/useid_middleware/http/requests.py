"""A request as the routes see it, and the checks that hold for every one of them."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from .._codec import DecodeError, JsonType
from ..errors import RequestError, malformed
from ..settings import is_loopback
from .asgi import Headers, Receive, Scope, root_path

T = TypeVar("T")

MAX_BODY: Final = 16 * 1024
_MAX_FIELDS: Final = 100


class Request:
    """One HTTP request below our prefix.

    ``origin`` is the public web origin, ``server`` is origin + root path + prefix, ``params`` are the path's variable
    parts.
    """

    __slots__ = ("_receive", "headers", "ip", "login_id", "method", "origin", "params", "scope", "secure", "server")

    def __init__(
        self, scope: Scope, receive: Receive, *, prefix: str, origin: str | None, params: dict[str, str]
    ) -> None:
        self.scope = scope
        self._receive = receive
        self.method: str = scope["method"]
        self.headers: Mapping[bytes, bytes] = dict(scope["headers"])
        self.origin = origin if origin is not None else loopback_origin(scope)
        self.server: str = self.origin + root_path(scope) + prefix
        self.secure = self.origin.startswith("https:")
        client = scope.get("client")
        self.ip: str = client[0] if client else ""
        self.params = params
        #: The waiting login that the body names, for whoever tells of a refusal; the path may name it, too.
        self.login_id = ""

    @property
    def raw_headers(self) -> Headers:
        """All headers in order, repeated ones included."""
        headers: Headers = self.scope["headers"]
        return headers

    def header(self, name: bytes) -> str:
        """A header's value, empty when absent."""
        return self.headers.get(name, b"").decode("latin-1")

    def pairs(self) -> list[tuple[str, str]]:
        """All query parameters in order; ``malformed_request`` when there are too many."""
        return parse_pairs(self.scope["query_string"].decode("latin-1"))

    def query(self, name: str) -> str:
        """A query parameter, empty when absent; ``malformed_request`` when repeated."""
        return _single(self.pairs(), name)

    async def body(self, *, limit: int = MAX_BODY) -> bytes:
        """The whole body, or ``body_too_large``."""
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise RequestError("malformed_request", "the client went away in the middle of the body")
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise RequestError("body_too_large", f"body: expected at most {limit} bytes", status_hint=413)
            if not message.get("more_body"):
                return b"".join((*chunks, chunk)) if chunks else chunk
            chunks.append(chunk)

    async def json(self, kind: JsonType[T], *, default: bytes = b"", limit: int = MAX_BODY) -> T:
        """The body decoded into ``kind``; an empty body stands for ``default`` where one is given."""
        body = await self.body(limit=limit)
        if not body and default:
            body = default
        elif self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
            raise RequestError("unsupported_media_type", "Content-Type: expected application/json", status_hint=415)
        try:
            return kind.decode(body)
        except DecodeError as error:
            raise RequestError("malformed_request", f"body: {error}") from None

    async def form(self, name: str) -> str:
        """One field of an ``application/x-www-form-urlencoded`` body, empty when absent."""
        return _single(await self.form_pairs(), name)

    async def form_pairs(self, *, limit: int = MAX_BODY) -> list[tuple[str, str]]:
        """All fields of such a body in order; a body above ``limit`` bytes is ``body_too_large``."""
        if self.headers.get(b"content-type", b"").partition(b";")[0] != b"application/x-www-form-urlencoded":
            raise RequestError(
                "unsupported_media_type", "Content-Type: expected application/x-www-form-urlencoded", status_hint=415
            )
        return parse_pairs((await self.body(limit=limit)).decode("utf-8", "replace"))

    def check_same_site(self) -> None:
        """Refuse what a page of another site sent (Fetch metadata, else ``Origin``); neither header: not a browser.

        Of a header that comes twice, each counts.
        """
        sites, origins = self._values(b"sec-fetch-site"), self._values(b"origin")
        for site in sites:
            if site not in (b"same-origin", b"none"):
                raise _cross_site("Sec-Fetch-Site")
        if origins == [b"null"] and sites == [b"same-origin"]:
            return  # Our own form on a page whose referrer policy hides where it comes from.
        for origin in origins:
            if origin.decode("latin-1") != self.origin:
                raise _cross_site("Origin")

    def _values(self, name: bytes) -> list[bytes]:
        raw = self.raw_headers
        if len(raw) == len(self.headers):  # None comes twice.
            return [self.headers[name]] if name in self.headers else []
        return [value for header, value in raw if header == name]

    @property
    def server_path(self) -> str:
        """Root path and prefix: what a link on a page of ours begins with."""
        return self.server.removeprefix(self.origin)

    @property
    def app_root(self) -> str:
        """The path that the host app itself is mounted at, empty for none."""
        return str(self.scope.get("app_root_path", root_path(self.scope))).rstrip("/")


def loopback_origin(scope: Scope) -> str:
    """The origin that the request itself names, if it is a loopback host and one alone; else ``unknown_host``."""
    hosts = {value for name, value in scope["headers"] if name == b"host"}
    if len(hosts) == 1:
        host = hosts.pop().decode("latin-1").lower()
        bare = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        if is_loopback(bare) and "/" not in host and "@" not in host:
            return f"{scope.get('scheme', 'http')}://{host}"
    raise RequestError(
        "unknown_host", "Host: expected a loopback host; set origin to serve another one", status_hint=421
    )


@lru_cache(maxsize=256)  # Few browsers make most of the requests.
def browser_name(user_agent: str) -> str:
    """``Chrome on Linux`` and the like, for a person to recognise; empty when unknown. Not a security decision."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return f"{browser} on {system}" if browser and system else browser or system


# The order decides: Edge and Opera also say Chrome, Chrome also says Safari, Android also says Linux.
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def parse_pairs(text: str) -> list[tuple[str, str]]:
    """``application/x-www-form-urlencoded`` text as pairs."""
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise malformed("parameters", f"at most {_MAX_FIELDS}") from None


def _single(pairs: list[tuple[str, Any]], name: str) -> str:
    values = [value for key, value in pairs if key == name]
    if len(values) > 1:
        raise malformed(name, "one value")
    return values[0] if values else ""


def _cross_site(header: str) -> RequestError:
    return RequestError("cross_site_request", f"{header}: expected a request from this site", status_hint=403)
