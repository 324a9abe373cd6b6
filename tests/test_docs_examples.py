"""What the documentation shows is run: mounts, tutorial, guard, listeners, logins, configurations."""

import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from tests.test_docs import code, page
from tests.test_flow import tables
from useid_middleware import (
    Account,
    Identity,
    LoginSucceeded,
    PreLogin,
    RefusedError,
    Settings,
    UseID,
    UseIDMiddleware,
    UseIDRouter,
    UserCreated,
    login,
)
from useid_middleware.cli import main


def blocks(name: str) -> dict[str, str]:
    """The Python blocks of a page that start with a comment naming a file, by that name."""
    found = re.findall(r"```python\n# ([\w]+)\.py\n(.*?)```", page(name), re.S)
    return dict(found)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Write the named blocks of a page as files and import one; relative files of theirs land in the same folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    written: set[str] = set()

    def load_module(name: str, module: str) -> ModuleType:
        for file, text in blocks(name).items():
            (tmp_path / f"{file}.py").write_text(text)
            written.add(file)
        importlib.invalidate_caches()
        return importlib.import_module(module)

    yield load_module
    for file in written:
        sys.modules.pop(file, None)


def client(app: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:8000")


async def test_the_tutorials_app_was_an_app_before(load: Any) -> None:
    async with client(load("tutorial.md", "before").app) as browser:
        answer = await browser.post("/sign-in", data={"name": "alice", "password": "wonderland"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/orders")


async def test_the_tutorials_app_logs_in_by_qr_as_the_tutorials_test_says(load: Any) -> None:
    app = load("tutorial.md", "shop").app
    await load("tutorial.md", "phone_login").test_alice_logs_in_with_her_phone(app)
    async with client(app) as browser:
        assert (await browser.get("/orders")).headers["location"].startswith("http://127.0.0.1:8000/sign-in")
        assert (await browser.get("/auth/widget/useid-login.js")).status_code == 200
        assert (await browser.post("/sign-in", data={"name": "alice", "password": "guess"})).status_code == 403
    await plugin_of(app).stop()


def plugin_of(app: Any) -> UseID:
    """The plugin that is in an app: the app is it, or has it in its stack of middlewares."""
    while not isinstance(app, UseIDMiddleware):
        app = getattr(app, "middleware_stack", None) or app.app
    return app.useid


async def test_the_ten_lines_of_the_how_to_log_somebody_in_at_a_provider(load: Any) -> None:
    await load("howto/oidc.md", "oidc_login").test_ada_sees_her_orders()
    app = load("howto/oidc.md", "with_oidc").app
    async with client(app) as browser:
        sent = await browser.get("/orders", headers={"accept": "text/html"})
        assert sent.headers["location"] == "/auth/login?return=%2Forders"
        choice = await browser.get(sent.headers["location"])
        assert "/auth/login?provider=dev&amp;return=%2Forders" in choice.text
    await app.useid.stop()


async def test_the_ten_lines_of_the_how_to_log_somebody_in_with_an_id_card(load: Any) -> None:
    app = load("howto/eid.md", "with_eid").app
    async with client(app) as browser:
        sent = await browser.get("/orders", headers={"accept": "text/html"})
        choice = await browser.get(sent.headers["location"])
        assert "/auth/eid?return=%2Forders" in choice.text
    await app.useid.stop()
    await load("howto/eid.md", "eid_login").test_erika_sees_her_orders()


async def test_the_listeners_of_the_eid_how_to_hear_change_and_refuse() -> None:
    (text,) = (
        block for block in re.findall(r"```python\n(.*?)```", page("howto/eid.md"), re.S) if "events.on" in block
    )
    names: dict[str, Any] = {}
    exec(compile(text, "eid.md", "exec"), names)
    account = Account("a" * 22, "ERIKA", 0.0)
    created = UserCreated(0.0, account, {"Nationality": "D"}, None)
    await names["events"].emit(created)
    assert created.account.roles == ("resident",)
    at_home = {"PlaceOfResidence": {"city": "KÖLN"}}
    await names["events"].emit(LoginSucceeded(0.0, Identity("eid", "1f", claims=at_home)))
    with pytest.raises(RefusedError, match="live in Cologne"):
        await names["events"].emit(LoginSucceeded(0.0, Identity("eid", "1f")))


TOML = [
    text for name in ("howto/oidc.md", "howto/eid.md") for text in re.findall(r"```toml\n(.*?)```", page(name), re.S)
]


@pytest.mark.parametrize("text", TOML, ids=[text.partition("\n")[0] for text in TOML])
def test_every_configuration_of_the_how_to_is_one(text: str, tmp_path: Path) -> None:
    (tmp_path / "useid.toml").write_text(text)
    written = tomllib.loads(text)
    settings = Settings(config_file=tmp_path / "useid.toml")
    assert settings.model_dump(exclude_unset=True, include=set(written)).keys() == written.keys()
    assert settings.oidc.providers.keys() == written.get("oidc", {}).get("providers", {}).keys()
    assert settings.eid.model_dump(exclude_unset=True).keys() == written.get("eid", {}).keys()
    assert settings.embed.tenants.keys() == written.get("embed", {}).get("tenants", {}).keys()


def test_the_how_to_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["oidc", "--help"])
    commands = re.findall(r"^    ([a-z-]+)(?: |$)", capsys.readouterr().out, re.M)
    shown = [code(row[0])[0].split() for row in tables(page("howto/oidc.md"))["At the command line"] if "`" in row[0]]
    assert [words[2] for words in shown if words[1] == "oidc"] == commands


def test_the_eid_how_to_names_every_option_of_the_client(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["eid-client", "--help"])
    options = set(re.findall(r"^  (--[a-z]+)", capsys.readouterr().out, re.M))
    [row] = [row for row in tables(page("howto/eid.md"))["At the command line"] if "eid-client" in row[0]]
    # Where its PKI is has a default that fits.
    assert {name.split()[0] for name in code(row[1])} == options - {"--pki"}


@pytest.mark.parametrize(
    ("host", "module", "prefix"),
    [
        ("starlette", "with_starlette", "/auth"),
        ("starlette", "with_router", "/account/login"),
        ("bare", "with_nothing", "/auth"),
    ],
)
async def test_a_mount_of_the_how_to_serves_the_app_and_the_login(
    load: Any, host: str, module: str, prefix: str
) -> None:
    app = load(f"howto/hosts/{host}.md", module).app
    async with client(app) as browser:
        assert (await browser.get("/hello")).text == "Hello stranger"
        created = await browser.post(f"{prefix}/session/create")
        assert created.status_code == 201
        server = quote(f"http://127.0.0.1:8000{prefix}", safe="")
        assert f"server={server}&" in created.json()["qrData"]
        assert (await browser.get(f"{prefix}/session/{created.json()['sessionId']}")).json()["status"] == "waiting"
    await plugin_of(app).stop()


async def test_the_guard_keeps_strangers_from_starting_a_login_and_from_nothing_else(load: Any) -> None:
    guard = load("howto/operate.md", "guard").StartGuard
    plugin = load("howto/hosts/bare.md", "with_nothing").app
    inside, outside = (
        httpx2.AsyncClient(transport=httpx2.ASGITransport(guarded, client=(ip, 1)), base_url="http://127.0.0.1:8000")
        for ip in ("10.1.2.3", "192.0.2.1")
        for guarded in [guard(plugin, may_start=lambda scope: scope["client"][0].startswith("10."))]
    )
    async with inside, outside:
        assert (await inside.post("/auth/session/create")).status_code == 201
        for path in ("/auth/session/create", "/auth/plain"):
            refused = await outside.post(path)
            assert (refused.status_code, refused.json()["code"]) == (403, "start_refused")
        assert (await outside.get("/auth/login")).status_code == 200
    await plugin.useid.stop()


async def test_the_guard_makes_the_qr_login_a_second_step(load: Any) -> None:
    guard = load("howto/operate.md", "guard").StartGuard
    useid = UseID(Settings(from_env=False, store="memory://", accounts="memory://"))
    router = guard(UseIDRouter(useid), prefix="", may_start=lambda scope: "authenticated" in scope["auth"].scopes)

    async def enter(request: Request) -> PlainTextResponse:
        await login(request, Identity("host", "alice"))
        return PlainTextResponse("")

    site = Starlette(routes=[Mount("/auth", app=router), Route("/enter", enter)])
    async with client(UseIDMiddleware(site, useid=useid, routes=False)) as browser:
        assert (await browser.post("/auth/session/create")).status_code == 403
        await browser.get("/enter")
        assert (await browser.post("/auth/session/create")).status_code == 201
    await useid.stop()


async def test_the_listeners_of_the_events_page_hear_refuse_and_change() -> None:
    (text,) = re.findall(r"```python\n(.*?)```", page("reference/events.md"), re.S)
    names: dict[str, Any] = {}
    exec(compile(text, "events.md", "exec"), names)
    with pytest.raises(RefusedError, match="This account is blocked"):
        await names["events"].emit(LoginSucceeded(0.0, Identity("host", "mallory", username="mallory")))
    alice = LoginSucceeded(0.0, Identity("host", "alice", username="alice"), roles=("admin",), target="/")
    await names["events"].emit(alice)
    assert alice.target == "/admin"
    asked = PreLogin(0.0, "staff", {}, ("openid",), {})
    await names["events"].emit(asked)
    assert asked.scopes == ("openid", "phone")
