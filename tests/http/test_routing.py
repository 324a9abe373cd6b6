"""From method and path to handler."""

import pytest

from useid_middleware.errors import RequestError
from useid_middleware.http.asgi import ASGIApp
from useid_middleware.http.requests import Request, browser_name
from useid_middleware.http.routing import Handler, Router


def handler(name: str) -> Handler:
    async def handle(request: Request) -> ASGIApp:
        raise AssertionError(name)

    handle.__name__ = name
    return handle


@pytest.fixture
def router() -> Router:
    router = Router()
    routes = ["GET /a", "POST /a", "GET /a/{id}", "GET /a/new", "POST /a/{id}/x", "GET /b/{file}"]
    router.add({route: handler(route) for route in routes})
    return router


@pytest.mark.parametrize(
    ("method", "path", "route", "params"),
    [
        ("GET", "/a", "GET /a", {}),
        ("HEAD", "/a", "GET /a", {}),
        ("POST", "/a", "POST /a", {}),
        ("GET", "/a/1", "GET /a/{id}", {"id": "1"}),
        ("GET", "/a/new", "GET /a/new", {}),
        ("POST", "/a/1/x", "POST /a/{id}/x", {"id": "1"}),
        ("GET", "/b/c.js", "GET /b/{file}", {"file": "c.js"}),
    ],
)
def test_a_known_path_finds_its_handler(
    router: Router, method: str, path: str, route: str, params: dict[str, str]
) -> None:
    found = router.match(method, path)
    assert found is not None
    assert (found[0].__name__, found[1]) == (route, params)


@pytest.mark.parametrize("path", ["/", "/c", "/a/", "/a/1/", "/a/1/x/y", "/a/1/y", "//a", "/b", "/b//c.js", ""])
def test_an_unknown_path_is_the_host_apps(router: Router, path: str) -> None:
    assert router.match("GET", path) is None


def test_a_known_path_with_another_method_names_those_that_it_has(router: Router) -> None:
    with pytest.raises(RequestError) as caught:
        router.match("DELETE", "/a")
    assert (caught.value.code, caught.value.details["allow"]) == ("method_not_allowed", "GET, HEAD, POST")


def test_two_handlers_for_a_route_are_a_mistake(router: Router) -> None:
    with pytest.raises(ValueError, match="two handlers"):
        router.add({"GET /a/{other}": handler("twice")})


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/150.0 Safari/537.36 Edg/150.0", "Edge on Windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14) AppleWebKit/605 Version/18 Safari/605", "Safari on macOS"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/150.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.0 (Linux)", "Linux"),
        ("", ""),
        ("<script>", ""),
    ],
)
def test_a_browser_is_named_for_people(user_agent: str, name: str) -> None:
    assert browser_name(user_agent) == name
