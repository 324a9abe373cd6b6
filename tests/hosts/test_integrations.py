"""What each framework is given besides ASGI: dependencies, guards, decorators, users, each with its refusals."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Annotated, Any, Final

import httpx2
import pytest
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from fastapi import APIRouter, FastAPI, Request, Security
from litestar import Litestar, get
from litestar import Request as LitestarRequest
from quart import Quart, request

from tests.qr.conftest import make_settings
from useid_middleware import ConfigurationError, Identity, Level, UseID, UseIDMiddleware, login
from useid_middleware.http.asgi import ASGIApp
from useid_middleware.integrations.django import DjangoUser, UserMiddleware
from useid_middleware.integrations.fastapi import LoggedIn, User, logged_in
from useid_middleware.integrations.litestar import level_reached
from useid_middleware.integrations.litestar import logged_in as litestar_logged_in
from useid_middleware.integrations.quart import current_auth, current_user, login_required

ALICE: Final = Identity("host", "alice", username="alice")
STRONG: Final = Identity("host", "alice", username="alice", level=Level.L2)
PAGES: Final = ("/open", "/members", "/strong")


@pytest.fixture
async def useid() -> AsyncIterator[UseID]:
    useid = UseID(make_settings())
    yield useid
    await useid.stop()


def fastapi_site() -> FastAPI:
    api = FastAPI()

    @api.get("/as/{level}")
    async def enter(request: Request, level: str) -> None:
        await login(request, STRONG if level == "L2" else ALICE)

    @api.get("/open")
    async def everybody(request: Request) -> str:
        return str(request.user.display_name)

    @api.get("/members")
    async def members(user: Annotated[User, Security(logged_in)]) -> str:
        return user.display_name

    @api.get("/strong")
    async def strong(user: Annotated[User, Security(logged_in, scopes=["L1", "L2"])]) -> str:
        return user.identity

    @api.get("/misspelt")
    async def misspelt(user: Annotated[User, Security(logged_in, scopes=["L9"])]) -> None: ...

    return api


def litestar_site() -> Any:
    @get("/as/L0")
    async def enter(request: LitestarRequest[Any, Any, Any]) -> None:
        await login(request, ALICE)

    @get("/as/L2")
    async def enter_strong(request: LitestarRequest[Any, Any, Any]) -> None:
        await login(request, STRONG)

    @get("/open")
    async def everybody(request: LitestarRequest[Any, Any, Any]) -> str:
        return str(request.user.display_name)

    @get("/members", guards=[litestar_logged_in])
    async def members() -> str:
        return ""

    @get("/strong", guards=[level_reached("L2")])
    async def strong() -> str:
        return ""

    return Litestar([enter, enter_strong, everybody, members, strong], openapi_config=None)


def quart_site() -> Any:
    app = Quart(__name__)

    @app.get("/as/<level>")
    async def enter(level: str) -> str:
        await login(request, STRONG if level == "L2" else ALICE)
        return ",".join(current_auth.scopes)

    @app.get("/open")
    async def everybody() -> str:
        return current_user.display_name

    @app.get("/members")
    @login_required()
    async def members() -> str:
        return ""

    @app.get("/strong")
    @login_required(level="L2")
    async def strong() -> str:
        return ""

    return app


SITES: Final[dict[str, Any]] = {"fastapi": fastapi_site, "litestar": litestar_site, "quart": quart_site}


def client(app: ASGIApp) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:8000")


@pytest.mark.parametrize("framework", SITES)
async def test_guards_let_in_who_is_logged_in_and_who_has_reached_the_level(useid: UseID, framework: str) -> None:
    async with client(UseIDMiddleware(SITES[framework](), useid=useid)) as browser:
        statuses = {}
        for whom in ("", "L0", "L2"):
            if whom:
                assert (await browser.get(f"/as/{whom}")).status_code == 200
            statuses[whom] = [(await browser.get(path)).status_code for path in PAGES]
    assert statuses == {"": [200, 401, 401], "L0": [200, 200, 403], "L2": [200, 200, 200]}


async def test_refusals_say_why_in_the_frameworks_own_form(useid: UseID) -> None:
    needed, level = "this call needs a logged-in user", "this call needs a session of level L2"
    async with client(UseIDMiddleware(fastapi_site(), useid=useid)) as browser:
        assert (await browser.get("/members")).json() == {"detail": {"code": "login_required", "message": needed}}
        await browser.get("/as/L0")
        assert (await browser.get("/strong")).json() == {"detail": {"code": "level_required", "message": level}}
    async with client(UseIDMiddleware(litestar_site(), useid=useid)) as browser:
        told = {"status_code": 401, "detail": needed, "extra": {"code": "login_required"}}
        assert (await browser.get("/members")).json() == told
        await browser.get("/as/L0")
        assert (await browser.get("/strong")).json()["extra"] == {"code": "level_required"}
    async with client(UseIDMiddleware(quart_site(), useid=useid)) as browser:
        assert needed in (await browser.get("/members")).text
        assert (await browser.get("/as/L0")).text == "authenticated,L0"
        assert level in (await browser.get("/strong")).text


def test_openapi_shows_the_session_and_what_each_operation_demands() -> None:
    document = fastapi_site().openapi()
    scheme = document["components"]["securitySchemes"]["useid"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "cookie", "__Host-useid-session")
    demanded = {path: document["paths"][path]["get"].get("security") for path in PAGES}
    assert demanded == {"/open": None, "/members": [{"useid": []}], "/strong": [{"useid": ["L1", "L2"]}]}


async def test_a_dependency_of_another_name_guards_a_whole_router(useid: UseID) -> None:
    router = APIRouter()

    @router.get("/inside")
    async def inside() -> None: ...

    api = FastAPI()
    api.include_router(router, dependencies=[Security(LoggedIn(scheme_name="session", description="Ours."))])
    assert api.openapi()["paths"]["/inside"]["get"]["security"] == [{"session": []}]
    assert api.openapi()["components"]["securitySchemes"]["session"]["description"] == "Ours."
    async with client(UseIDMiddleware(api, useid=useid)) as browser:
        assert (await browser.get("/inside")).status_code == 401


async def test_a_guard_without_the_plugin_around_it_is_a_mistake_that_is_named(useid: UseID) -> None:
    async with client(fastapi_site()) as browser:
        with pytest.raises(ConfigurationError, match="expected UseIDMiddleware around this app"):
            await browser.get("/members")
    async with client(litestar_site()) as browser:
        # Litestar itself misses the user already; in any case nobody is let in.
        assert (await browser.get("/members")).status_code == 500
    async with client(quart_site()) as browser:
        assert (await browser.get("/members")).status_code == 500


async def test_a_level_that_is_none_is_a_mistake_that_is_named(useid: UseID) -> None:
    for make in (lambda: level_reached("L9"), lambda: login_required(level="strong")):
        with pytest.raises(ConfigurationError, match="level: expected one of L0, L1, L2, L3"):
            make()
    async with client(UseIDMiddleware(fastapi_site(), useid=useid)) as browser:
        with pytest.raises(ConfigurationError, match="found 'L9'"):
            await browser.get("/misspelt")


# Django's, whose requests these are as far as its middlewares look at them.


@pytest.fixture
async def scope(useid: UseID) -> dict[str, Any]:
    """The scope of a request of nobody, as Django's handler finds it."""
    found: list[dict[str, Any]] = []

    async def site(scope: Any, receive: Any, send: Any) -> None:
        found.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async with client(UseIDMiddleware(site, useid=useid)) as browser:
        await browser.get("/")
    return found[0]


def test_nobody_is_nobody_in_djangos_words() -> None:
    user = DjangoUser(None)
    assert (user.is_authenticated, user.is_anonymous, user.is_active, user.is_staff) == (False, True, False, False)
    assert (user.pk, user.id, user.username, user.get_username(), str(user)) == (None, None, "", "", "")
    assert [user.has_perm("shop.view"), user.has_module_perms("shop"), user.has_perms([])] == [False, False, True]


async def test_djangos_user_is_found_when_it_is_asked_for_and_once(scope: dict[str, Any]) -> None:
    looked: list[object] = []

    class Counting(UserMiddleware):
        def find_user(self, credentials: Any) -> Any:
            looked.append(credentials.session)
            return super().find_user(credentials)

    asked = SimpleNamespace(scope=scope)
    assert Counting(lambda request: "answer")(asked) == "answer"
    assert looked == []
    # Who logs in before anybody has looked is there at once.
    session = await login(asked, STRONG)
    user = asked.user
    assert (user.is_authenticated, user.get_username(), user.pk) == (True, "alice", session.account_id)
    assert (str(user), user.is_anonymous, user.is_active, user.is_superuser) == ("alice", False, True, False)
    assert not user.has_perms(["shop.view"])
    assert await asked.auser() is (await asked.auser())
    assert looked == [session]
    assert (list(asked.auth.scopes)[-1], asked.auth.acr) == ("L2", "L2")


async def test_djangos_middleware_is_a_coroutine_function_where_its_neighbour_is_one(scope: dict[str, Any]) -> None:
    async def view(request: Any) -> str:
        return (await request.auser()).get_username() or "nobody"

    middleware = UserMiddleware(markcoroutinefunction(view))
    assert iscoroutinefunction(middleware)
    assert not iscoroutinefunction(UserMiddleware(lambda request: ""))
    assert await asyncio.wait_for(middleware(SimpleNamespace(scope=scope)), 5) == "nobody"


def test_django_by_wsgi_or_without_the_plugin_is_a_mistake_that_is_named() -> None:
    middleware = UserMiddleware(lambda request: "")
    for asked, named in ((SimpleNamespace(), "not WSGI"), (SimpleNamespace(scope={}), "UseIDMiddleware around")):
        with pytest.raises(ConfigurationError, match=named):
            middleware(asked)
