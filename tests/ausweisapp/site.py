"""The apps that the tests serve: the example app as it is, and one whose clock is behind."""

import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from useid_middleware import Settings, UseIDMiddleware
from useid_middleware.plugin import UseID

#: More than a terminal's certificate lasts, and less than that of its issuer.
DAYS_BEHIND = 40
_SECONDS_BEHIND = DAYS_BEHIND * 86400


async def told(request: Request) -> Response:
    """Who is logged in and how, and what the session keeps of the card."""
    return JSONResponse(
        {
            "user": request.user.identity,
            "acr": request.auth.acr,
            "amr": list(request.auth.amr),
            "attributes": dict(await request.auth.attributes()),
        }
    )


def make_app() -> UseIDMiddleware:
    """The example app with its settings from the environment, and one page more, for a test to read."""
    from example_app.app import app, site

    site.routes.append(Route("/told", told))
    return app


def make_app_of_last_month() -> UseIDMiddleware:
    """An app that believes it is a while ago: the certificate that its eID server shows has expired since."""
    useid = UseID(Settings(), clock=lambda: time.time() - _SECONDS_BEHIND)
    return UseIDMiddleware(Starlette(routes=[Route("/told", told)]), useid=useid)
