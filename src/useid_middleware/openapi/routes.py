"""``GET /openapi.json``: the description of what this plugin serves."""

from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from .._codec import encode_json
from ..http.asgi import ASGIApp
from ..http.requests import Request
from ..http.responses import JSON, Asset
from ..http.routing import Handler, Router
from ..settings import Settings

if TYPE_CHECKING:
    from .operations import Group

#: Like the widget's files: kept by whoever likes, and asked for again each time.
_CACHING: Final = (b"cache-control", b"public, max-age=0, must-revalidate")


class OpenAPIRoutes:
    """The description, made when it is first asked for. ``router`` is asked then: what is mounted later counts too."""

    def __init__(self, *, router: Router, settings: Settings, path: str) -> None:
        self._router = router
        self._settings = settings
        self._path = path
        self._made: tuple[tuple[str, bool], bytes, bytes] | None = None

    def routes(self) -> dict[str, Handler]:
        """The table for the router."""
        return {f"GET {self._path}": self.description} if self._path else {}

    async def description(self, request: Request) -> ASGIApp:
        """The document, or 304 for who has it already."""
        body, tag = self._document(request.server_path, secure=request.secure)
        headers = [(b"etag", tag), _CACHING, (b"x-content-type-options", b"nosniff")]
        held = request.headers.get(b"if-none-match", b"").split(b",")
        if tag in [each.strip().removeprefix(b"W/") for each in held]:
            return Asset(304, headers=headers)
        headers += [(b"content-type", JSON), (b"content-length", b"%d" % len(body))]
        return Asset(200, body, headers=headers)

    def _document(self, server: str, *, secure: bool) -> tuple[bytes, bytes]:
        """The document and its tag. One is kept: a plugin is asked at one address, as a rule."""
        asked = (server, secure)
        if self._made is None or self._made[0] != asked:
            from .document import describe

            groups = list(groups_of(self._router, self._settings))
            body = encode_json(describe(self._router, self._settings, groups, server=server, secure=secure))
            self._made = asked, body, b'"%s"' % sha256(body).hexdigest()[:32].encode()
        return self._made[1], self._made[2]


def groups_of(router: Router, settings: Settings) -> "Iterator[Group]":
    """The tables of what is mounted. Imported here: whoever has no eID need not load its XML to describe the rest."""
    from .sessions import GROUP

    yield GROUP
    mounted = set(router.routes)
    if "POST /session/create" in mounted:
        from .device_switch import GROUP as DEVICE_SWITCH

        yield DEVICE_SWITCH
    if "POST /passkeys" in mounted:
        from .webauthn import GROUP as WEBAUTHN

        yield WEBAUTHN
    if "POST /eid/start" in mounted:
        from .eid import GROUP as EID

        yield EID
    if settings.oidc.providers:
        from .oidc import GROUP as OIDC

        yield OIDC
    if settings.metrics.path:
        from .metrics import GROUP as METRICS
        from .metrics import GROUP_FOR_THIS_MACHINE as METRICS_FOR_THIS_MACHINE

        yield METRICS_FOR_THIS_MACHINE if settings.metrics.token is None else METRICS
