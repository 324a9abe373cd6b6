"""The same small site in every framework, with the plugin put in by each way that the how-to shows.

Every site tells at ``/who`` whom the framework's own request object knows, logs in at ``/as/{name}``, logs out at
``/out``, and keeps ``/guarded`` for those who are logged in, by the means of the framework.
"""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Annotated, Any, Final

from useid_middleware import Identity, UseID, UseIDMiddleware, UseIDRouter, login, logout
from useid_middleware.http.asgi import ASGIApp, Receive, Scope, Send, route_path


def starlette_pages() -> list[Any]:
    """The routes of the Starlette site."""
    from starlette.authentication import requires
    from starlette.requests import Request
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    async def who(request: Request) -> JSONResponse:
        return JSONResponse(told(request.user, request.auth, root=request.scope.get("root_path", "")))

    async def enter(request: Request) -> PlainTextResponse:
        await login(request, identity(request.path_params["name"]))
        return PlainTextResponse("")

    async def leave(request: Request) -> PlainTextResponse:
        await logout(request)
        return PlainTextResponse("")

    @requires("authenticated", status_code=401)
    async def guarded(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.user.display_name)

    return [Route("/who", who), Route("/as/{name}", enter), Route("/out", leave), Route("/guarded", guarded)]


def starlette_around(useid: UseID) -> ASGIApp:
    """The plugin around the finished app."""
    from starlette.applications import Starlette

    return UseIDMiddleware(Starlette(routes=starlette_pages()), useid=useid)


def starlette_native(useid: UseID) -> ASGIApp:
    """The plugin in the app's list of middlewares."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware

    return Starlette(routes=starlette_pages(), middleware=[Middleware(UseIDMiddleware, useid=useid)])


def starlette_router(useid: UseID) -> ASGIApp:
    """The plugin's routes in the app's own routing table."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.routing import Mount

    return Starlette(
        routes=[Mount(useid.settings.prefix, app=UseIDRouter(useid)), *starlette_pages()],
        middleware=[Middleware(UseIDMiddleware, useid=useid, routes=False)],
    )


def fastapi_app() -> Any:
    """The FastAPI site."""
    from fastapi import FastAPI, Request, Security

    from useid_middleware.integrations.fastapi import User, logged_in

    api = FastAPI()

    async def who(request: Request) -> dict[str, Any]:
        return told(request.user, request.auth, root=request.scope.get("root_path", ""))

    async def enter(request: Request, name: str) -> None:
        await login(request, identity(name))

    async def leave(request: Request) -> None:
        await logout(request)

    async def guarded(user: Annotated[User, Security(logged_in)]) -> str:
        return user.display_name

    pages: dict[str, Callable[..., Any]] = {"/who": who, "/as/{name}": enter, "/out": leave, "/guarded": guarded}
    for path, page in pages.items():
        api.get(path)(page)
    return api


def fastapi_around(useid: UseID) -> ASGIApp:
    """The plugin around the finished app."""
    return UseIDMiddleware(fastapi_app(), useid=useid)


def fastapi_native(useid: UseID) -> ASGIApp:
    """The plugin added to the app."""
    api: ASGIApp = fastapi_app()
    api.add_middleware(UseIDMiddleware, useid=useid)  # type: ignore[attr-defined]
    return api


def litestar_pages() -> list[Any]:
    """The handlers of the Litestar site."""
    from litestar import Request, get
    from litestar.params import FromPath

    from useid_middleware.integrations.litestar import logged_in

    @get("/who")
    async def who(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return told(request.user, request.auth, root=request.scope.get("root_path", ""))

    @get("/as/{name:str}")
    async def enter(request: Request[Any, Any, Any], name: FromPath[str]) -> None:
        await login(request, identity(name))

    @get("/out")
    async def leave(request: Request[Any, Any, Any]) -> None:
        await logout(request)

    @get("/guarded", guards=[logged_in])
    async def guarded(request: Request[Any, Any, Any]) -> str:
        return str(request.user.display_name)

    return [who, enter, leave, guarded]


def litestar_around(useid: UseID) -> ASGIApp:
    """The plugin around the finished app."""
    from litestar import Litestar

    app: Any = Litestar(litestar_pages(), openapi_config=None)
    return UseIDMiddleware(app, useid=useid)


def quart_app() -> Any:
    """The Quart site."""
    from quart import Quart, request

    from useid_middleware.integrations.quart import current_auth, current_user, login_required

    app = Quart(__name__)

    @app.get("/who")
    async def who() -> dict[str, Any]:
        return told(current_user, current_auth, root=request.root_path)

    @app.get("/as/<name>")
    async def enter(name: str) -> str:
        await login(request, identity(name))
        return ""

    @app.get("/out")
    async def leave() -> str:
        await logout(request)
        return ""

    @app.get("/guarded")
    @login_required()
    async def guarded() -> str:
        return current_user.display_name

    return app


def quart_around(useid: UseID) -> ASGIApp:
    """The plugin around the finished app."""
    return UseIDMiddleware(quart_app(), useid=useid)


def quart_native(useid: UseID) -> ASGIApp:
    """The plugin where Quart wants ASGI middlewares."""
    app = quart_app()
    app.asgi_app = UseIDMiddleware(app.asgi_app, useid=useid)
    return app  # type: ignore[no-any-return]


def django_around(useid: UseID) -> ASGIApp:
    """The plugin around Django's ASGI handler, and its user by a middleware of Django's."""
    from django.core.asgi import get_asgi_application

    from tests.hosts import django_pages

    django_pages.set_up()
    return UseIDMiddleware(get_asgi_application(), useid=useid)


def bare_around(useid: UseID) -> ASGIApp:
    """The plugin around a coroutine function."""

    async def site(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "this app knows neither lifespan nor WebSockets"
        path, status, request = route_path(scope), 200, SimpleNamespace(scope=scope)
        if path.startswith("/as/"):
            await login(request, identity(path.removeprefix("/as/")))
        elif path == "/out":
            await logout(request)
        elif path == "/guarded":
            status = 200 if scope["user"].is_authenticated else 401
        elif path != "/who":
            status = 404
        body = json.dumps(told(scope["user"], scope["auth"], root=scope.get("root_path", ""))).encode()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return UseIDMiddleware(site, useid=useid)


def identity(name: str) -> Identity:
    """Who logs in by the site's own password."""
    return Identity("host", name, username=name, amr=("pwd",))


def told(user: Any, auth: Any, *, root: str) -> dict[str, Any]:
    """What a site knows of who is there, and where it believes to be."""
    return {
        "name": user.display_name,
        "id": user.identity,
        "scopes": list(auth.scopes),
        "root": root,
        "isAuthenticated": user.is_authenticated,
    }


#: By framework and way.
APPS: Final[dict[str, Callable[[UseID], ASGIApp]]] = {
    "starlette": starlette_around,
    "starlette-middleware": starlette_native,
    "starlette-router": starlette_router,
    "fastapi": fastapi_around,
    "fastapi-middleware": fastapi_native,
    "litestar": litestar_around,
    "quart": quart_around,
    "quart-asgi_app": quart_native,
    "django": django_around,
    "bare": bare_around,
}
