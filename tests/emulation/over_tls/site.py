"""Apps with the plugin over real TLS, in a process of their own: one for each way and each mistake of an eID server.

They have an origin in common, and each a path of its own below it.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from secrets import token_bytes
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from tests.ausweisapp.site import DAYS_BEHIND, told
from useid_middleware import Settings, UseIDMiddleware
from useid_middleware.eid.core.attributes import EIDResult, ServerInfo, UseIDRequest, UseIDSession
from useid_middleware.emulation.server.folder import FolderTerminals
from useid_middleware.emulation.server.routes import PAOS_PATH, PAOSRoutes
from useid_middleware.emulation.server.service import EmbeddedEIDServer
from useid_middleware.emulation.server.session import Variant
from useid_middleware.plugin import UseID
from useid_middleware.stores.memory import MemoryStore

#: The ways through PAOS, by the path of the app that takes them.
VARIANTS: Final = {
    "framework": Variant.INITIALIZE_FRAMEWORK,
    "list": Variant.INITIALIZE_FRAMEWORK | Variant.DID_LIST,
    "additional": Variant.EAC_ADDITIONAL,
    "full": Variant.INITIALIZE_FRAMEWORK | Variant.DID_LIST | Variant.EAC_ADDITIONAL,
}
#: The app as a user's settings make it.
DIRECT: Final = "direct"
#: Its description names the TLS certificate of another server.
UNDESCRIBED: Final = "undescribed"
#: It believes that it is last month, when the certificate was valid that its eID server shows.
LAST_MONTH: Final = "last-month"
#: It waits for an eID client for two seconds.
IMPATIENT: Final = "impatient"
PATIENCE: Final = 2.0
#: Leads wherever the query's ``to`` says.
MOVED: Final = "moved"
#: The apps with a PKI that no other app may change.
PKIS: Final = ("pki", UNDESCRIBED, LAST_MONTH)

#: The environment that the apps find the tests' folder and their own TLS certificates in.
FOLDER: Final = "TLS_SITE_FOLDER"
CERTIFICATE: Final = "TLS_SITE_CERTIFICATE"
OTHER_CERTIFICATE: Final = "TLS_SITE_OTHER_CERTIFICATE"

REQUIRED: Final = ("RestrictedID", "GivenNames", "FamilyNames")
OPTIONAL: Final = ("PlaceOfBirth", "AcademicTitle")
AGE: Final = 18


def make_app() -> Starlette:
    """All of them; the origin is in the environment."""
    plugins = {
        DIRECT: _plugin(DIRECT),
        UNDESCRIBED: _plugin(UNDESCRIBED, server_tls_certificate=os.environ[OTHER_CERTIFICATE], pki=_pki(UNDESCRIBED)),
        LAST_MONTH: _plugin(LAST_MONTH, clock=_last_month, pki=_pki(LAST_MONTH)),
        IMPATIENT: _plugin(IMPATIENT, client_lifetime=PATIENCE),
        **{path: _plugin_with(variant, path=path) for path, variant in VARIANTS.items()},
    }
    routes: list[BaseRoute] = [Route(f"/{MOVED}", _moved)]
    for path, useid in plugins.items():
        routes.append(Mount(f"/{path}", app=UseIDMiddleware(Starlette(routes=[Route("/", told)]), useid=useid)))
    return Starlette(routes=routes)


def make_service() -> UseIDMiddleware:
    """An app whose eID server is somewhere else; all settings are in the environment."""
    return UseIDMiddleware(Starlette(routes=[Route("/", told)]), Settings())


class Attached:
    """An eID server without keys for TLS, for its clients meet it where they meet the eService."""

    def __init__(self, server: EmbeddedEIDServer) -> None:
        self._server = server

    async def open(self) -> None:
        """See :class:`~useid_middleware.eid.interface.EIDServer`."""
        await self._server.open()

    async def close(self) -> None:
        """The same."""
        await self._server.close()

    async def use_id(self, request: UseIDRequest) -> UseIDSession:
        """A session without a key."""
        return replace(await self._server.use_id(request), psk="")

    async def get_result(self, session_id: str, *, counter: int) -> EIDResult:
        """The same."""
        return await self._server.get_result(session_id, counter=counter)

    async def get_server_info(self) -> ServerInfo:
        """The same."""
        return await self._server.get_server_info()


def _settings(path: str, **eid: Any) -> Settings:
    made = {
        "pki": _pki("pki"),
        "server_tls_certificate": os.environ[CERTIFICATE],
        "required": REQUIRED,
        "optional": OPTIONAL,
        "keep": ("GivenNames", *OPTIONAL),
        "age": AGE,
    }
    return Settings(
        store="memory://",
        accounts="memory://",
        landing_page=f"/{path}/",
        # The tests are one address, and quicker than people.
        limits={"per_ip": 100_000},
        # Whoever waits for news that does not come gives up before this.
        sse={"heartbeat": 100},
        eid={**made, **eid},
    )


def _plugin(path: str, *, clock: Callable[[], float] = time.time, **eid: Any) -> UseID:
    return UseID(_settings(path, server="embedded", **eid), clock=clock)


def _plugin_with(variant: Variant, *, path: str) -> UseID:
    """The plugin with an eID server that takes another way than its own does."""
    settings = _settings(path)
    assert settings.origin is not None
    terminals = FolderTerminals(
        settings.eid.pki,
        origin=settings.origin,
        tls_certificates=[Path(os.environ[CERTIFICATE])],
        clock=time.time,
        random=token_bytes,
    )
    server = EmbeddedEIDServer(
        MemoryStore(clock=time.time),
        terminals,
        clock=time.time,
        address=f"{settings.origin}/{path}{settings.prefix}{PAOS_PATH}",
        variant=variant,
    )
    useid = UseID(settings, eid_server=Attached(server))
    useid.router.add(PAOSRoutes(server).routes(), from_anywhere=True)
    assert useid.eid is not None
    server.on_end = useid.eid.service.server_ended
    return useid


async def _moved(request: Request) -> Response:
    return RedirectResponse(request.query_params["to"], 302)


def _pki(name: str) -> str:
    return str(Path(os.environ[FOLDER]) / name)


def _last_month() -> float:
    return time.time() - DAYS_BEHIND * 86400
