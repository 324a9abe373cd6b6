"""The plugin around an app: what it touches, what it leaves alone, and when its services start."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from useid_middleware import (
    ConfigurationError,
    Events,
    Identity,
    Level,
    LoginCompleted,
    LoginSucceeded,
    Refuse,
    RefusedError,
    Settings,
    UnavailableError,
    UseID,
    UseIDMiddleware,
    UseIDRouter,
    login,
    logout,
)
from useid_middleware.http.asgi import Message, Receive, Scope, Send
from useid_middleware.stores.memory import MemoryStore

BASE = "http://127.0.0.1:8000"


def memory(**values: Any) -> Settings:
    return Settings(from_env=False, store="memory://", accounts="memory://", **values)


async def who(request: Request) -> Response:
    return JSONResponse(
        {
            "user": request.user.display_name,
            "authenticated": request.user.is_authenticated,
            "id": request.user.identity,
            "scopes": request.auth.scopes,
            "acr": request.auth.acr,
        }
    )


@requires("authenticated")
async def protected(request: Request) -> Response:
    return PlainTextResponse("secret")


@requires(["authenticated", "L1"])
async def confirmed(request: Request) -> Response:
    return PlainTextResponse("top secret")


async def log_in(request: Request) -> Response:
    level = Level[request.query_params.get("level", "L0")]
    try:
        session = await login(request, Identity("host", "alice", username="alice", level=level))
    except RefusedError as error:
        return PlainTextResponse(error.message, 403)
    return JSONResponse({"user": request.user.display_name, "session": session.id})


async def log_out(request: Request) -> Response:
    await logout(request)
    return JSONResponse({"user": request.user.display_name})


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json({"user": websocket.user.display_name, "scopes": websocket.auth.scopes})
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


ROUTES = [
    Route("/", who),
    Route("/protected", protected),
    Route("/confirmed", confirmed),
    Route("/log-in", log_in, methods=["POST"]),
    Route("/log-out", log_out, methods=["POST"]),
    Route("/auth/own-page", who),
    WebSocketRoute("/echo", echo),
]


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = Starlette(routes=ROUTES, middleware=[Middleware(UseIDMiddleware, settings=memory())])
    with TestClient(app, base_url=BASE) as client:
        yield client


def test_nobody_is_nobody(client: TestClient) -> None:
    body = client.get("/").json()
    assert body == {"user": "", "authenticated": False, "id": "", "scopes": [], "acr": ""}
    assert client.get("/protected").status_code == 403


def test_a_host_apps_own_login_fills_user_and_auth(client: TestClient) -> None:
    answer = client.post("/log-in")
    assert answer.json()["user"] == "alice"
    body = client.get("/").json()
    assert (body["user"], body["authenticated"], body["scopes"], body["acr"]) == (
        "alice",
        True,
        ["authenticated", "L0"],
        "L0",
    )
    assert client.get("/protected").text == "secret"
    assert client.get("/confirmed").status_code == 403
    client.post("/log-in?level=L1")
    assert client.get("/confirmed").text == "top secret"
    assert client.post("/log-out").json() == {"user": ""}
    assert client.get("/").json()["authenticated"] is False
    assert "useid-session" not in client.cookies


def test_each_login_has_a_new_session_and_ends_the_one_before(client: TestClient) -> None:
    first = client.post("/log-in").json()["session"]
    cookie = client.cookies["useid-session"]
    second = client.post("/log-in").json()["session"]
    assert first != second
    listed = client.get("/auth/sessions").json()["sessions"]
    assert [(session["id"], session["current"]) for session in listed] == [(second, True)]
    client.cookies.set("useid-session", cookie)
    assert client.get("/", headers={"cookie": f"useid-session={cookie}"}).json()["authenticated"] is False


def test_sessions_are_listed_and_revoked(client: TestClient) -> None:
    client.post("/log-in")
    ours = client.cookies["useid-session"]
    client.cookies.clear()
    client.post("/log-in")
    theirs = client.cookies["useid-session"]
    listed = client.get("/auth/sessions").json()["sessions"]
    assert len(listed) == 2
    other = next(session for session in listed if not session["current"])
    assert client.delete(f"/auth/sessions/{other['id']}").status_code == 204
    assert client.delete(f"/auth/sessions/{other['id']}").json()["code"] == "not_found"
    client.cookies.clear()
    assert client.get("/", headers={"cookie": f"useid-session={ours}"}).json()["authenticated"] is False
    assert client.get("/", headers={"cookie": f"useid-session={theirs}"}).json()["authenticated"] is True
    for _ in range(2):
        client.cookies.clear()
        client.post("/log-in")
    assert client.delete("/auth/sessions").status_code == 204
    assert len(client.get("/auth/sessions").json()["sessions"]) == 1


def test_logging_out_by_call_and_by_form(client: TestClient) -> None:
    client.post("/log-in")
    assert client.post("/auth/logout").status_code == 204
    assert client.get("/").json()["authenticated"] is False
    assert client.post("/auth/logout").status_code == 204
    client.post("/log-in")
    answer = client.post(
        "/auth/logout", headers={"content-type": "application/x-www-form-urlencoded"}, follow_redirects=False
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_a_listener_may_refuse_the_hosts_login() -> None:
    events = Events()

    @events.on(LoginSucceeded)
    def refuse(event: LoginSucceeded) -> None:
        raise Refuse("Not you.")

    app = Starlette(routes=ROUTES, middleware=[Middleware(UseIDMiddleware, settings=memory(), events=events)])
    with TestClient(app, base_url=BASE) as client:
        assert client.post("/log-in").text == "Not you."
        assert client.get("/").json()["authenticated"] is False


def test_what_is_not_ours_passes_below_our_prefix_too(client: TestClient) -> None:
    assert client.get("/auth/own-page").status_code == 200
    assert client.get("/auth/nothing").status_code == 404
    assert client.get("/authentic").text == "Not Found"


def test_a_websocket_passes_and_knows_its_user(client: TestClient) -> None:
    for expected in ({"user": "", "scopes": []}, {"user": "alice", "scopes": ["authenticated", "L0"]}):
        with client.websocket_connect("ws://127.0.0.1:8000/echo") as socket:
            assert socket.receive_json() == expected
            socket.send_text("hello")
            assert socket.receive_text() == "hello"
        client.post("/log-in")


async def test_what_passes_is_untouched() -> None:
    seen: list[Message] = []
    given: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        given.append(await receive())
        await send({"type": "http.response.start", "status": 299, "headers": [(b"x", b"y")], "trailers": True})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        await send({"type": "http.response.push", "path": "/x", "headers": []})
        await send({"type": "http.response.body", "body": b"2"})

    async def receive() -> Message:
        return {"type": "http.request", "body": b"raw", "more_body": True, "extra": 1}

    async def send(message: Message) -> None:
        seen.append(message)

    plugin = UseIDMiddleware(app, memory())
    scope = {"type": "http", "method": "POST", "path": "/x", "headers": [], "query_string": b"", "scheme": "http"}
    await plugin(scope, receive, send)
    assert given == [{"type": "http.request", "body": b"raw", "more_body": True, "extra": 1}]
    assert seen == [
        {"type": "http.response.start", "status": 299, "headers": [(b"x", b"y")], "trailers": True},
        {"type": "http.response.body", "body": b"1", "more_body": True},
        {"type": "http.response.push", "path": "/x", "headers": []},
        {"type": "http.response.body", "body": b"2"},
    ]


async def test_the_cookie_of_one_goes_to_nobody_else_though_the_app_answers_all_with_one_message() -> None:
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/log-in":
            await login(Request(scope), Identity("host", "alice", username="alice"))
        await send(start)
        await send({"type": "http.response.body"})

    plugin = UseIDMiddleware(app, memory())
    transport = httpx2.ASGITransport(plugin)
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        assert "set-cookie" in (await client.get("/log-in")).headers
        assert "set-cookie" not in (await client.get("/")).headers
    await plugin.useid.stop()


async def test_all_who_come_while_the_services_start_share_one_attempt() -> None:
    class Away(MemoryStore):
        attempts = 0
        is_back = False

        async def open(self) -> None:
            self.attempts += 1
            await asyncio.sleep(0)
            if not self.is_back:
                raise UnavailableError("store_unavailable", "nobody listens")

    store = Away()
    useid = UseID(memory(), store=store)
    failures = await asyncio.gather(*(useid.start() for _ in range(8)), return_exceptions=True)
    assert (store.attempts, {type(failure) for failure in failures}) == (1, {UnavailableError})
    store.is_back = True
    left, *_ = starts = [asyncio.create_task(useid.start()) for _ in range(8)]
    await asyncio.sleep(0)
    left.cancel()
    done, _ = await asyncio.wait(starts)
    assert (store.attempts, [start for start in done if start.cancelled()]) == (2, [left])
    assert useid.is_running
    await useid.stop()


async def test_a_scope_type_of_the_future_passes() -> None:
    types = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        types.append((scope["type"], "user" in scope))

    await UseIDMiddleware(app, memory())({"type": "webtransport"}, None, None)  # type: ignore[arg-type]
    assert types == [("webtransport", False)]


def test_services_start_without_a_lifespan(tmp_path: Path) -> None:
    settings = Settings(
        from_env=False, store=f"sqlite:///{tmp_path}/useid.db", accounts=f"sqlite:///{tmp_path}/useid.db"
    )
    app = UseIDMiddleware(Starlette(routes=ROUTES), settings)
    client = TestClient(app, base_url=BASE)  # No `with`: no lifespan, and an event loop for each request.
    client.post("/log-in")
    assert client.get("/").json()["user"] == "alice"
    assert client.post("/auth/session/create").status_code == 201
    with TestClient(app, base_url=BASE, cookies=dict(client.cookies)) as other:
        assert other.get("/").json()["user"] == "alice"


def test_the_router_is_mounted_and_the_middleware_fills_the_scope_alone() -> None:
    useid = UseID(memory())
    routes = [*ROUTES[:5], Mount("/account/auth", app=UseIDRouter(useid))]
    app = Starlette(routes=routes, middleware=[Middleware(UseIDMiddleware, useid=useid, routes=False)])
    with TestClient(app, base_url=BASE) as client:
        created = client.post("/account/auth/session/create", json={})
        assert created.status_code == 201
        assert "server=http%3A%2F%2F127.0.0.1%3A8000%2Faccount%2Fauth&" in created.json()["qrData"]
        assert client.get("/account/auth/nothing").json()["code"] == "not_found"
        assert client.post("/auth/session/create").status_code == 404
        client.post("/log-in")
        assert len(client.get("/account/auth/sessions").json()["sessions"]) == 1
        page = client.get("/account/auth/login")
        assert 'src="/account/auth/widget/useid-login.js"' in page.text
        assert client.get("/account/auth/widget/useid-login.js").status_code == 200


@pytest.mark.parametrize("root_path", ["/shop", "/shop/"])
def test_a_root_path_stands_in_the_links(root_path: str) -> None:
    app = UseIDMiddleware(Starlette(routes=ROUTES), memory())
    with TestClient(app, base_url=BASE, root_path=root_path) as client:
        created = client.post("/auth/session/create", json={})
        assert "%2Fshop%2Fauth&" in created.json()["qrData"]


def test_login_and_logout_need_the_middleware() -> None:
    client = TestClient(Starlette(routes=ROUTES), base_url=BASE)
    with pytest.raises(ConfigurationError, match="UseIDMiddleware"):
        client.post("/log-in")


def test_switching_the_qr_login_off_unmounts_it() -> None:
    with TestClient(UseIDMiddleware(Starlette(routes=ROUTES), memory(qr={"enabled": False})), base_url=BASE) as client:
        assert client.post("/auth/session/create").status_code == 404
        assert client.post("/log-in").status_code == 200


def test_an_address_too_long_for_a_qr_code_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match=r"origin, prefix, .* shorten them by 58"):
        UseID(memory(origin="https://" + "a" * 120 + ".example"))


def test_events_are_told_to_the_host_app() -> None:
    events = Events()
    heard: list[LoginCompleted] = []
    events.on(LoginCompleted)(heard.append)
    with TestClient(UseIDMiddleware(Starlette(routes=ROUTES), memory(), events), base_url=BASE) as client:
        session = client.post("/log-in?level=L1").json()["session"]
    assert [(event.session_id, event.level, event.provider) for event in heard] == [(session, Level.L1, "host")]


def test_the_login_page_is_served_with_its_policy(client: TestClient) -> None:
    page = client.get("/auth/login?return=/protected", headers={"accept-language": "de"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert 'lang="de"' in page.text
    assert 'return-url="/protected"' in page.text
    evil = client.get("/auth/login?return=//evil.example")
    assert "evil" not in evil.text
    assert client.get("/auth/login?return=a&return=b").json()["code"] == "malformed_request"
