"""What the documentation claims is compared with the code, and what it shows is run."""

import ast
import dataclasses
import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import useid_middleware
from tests.test_flow import functions, tables
from useid_middleware import (
    Event,
    Identity,
    LoginSucceeded,
    RefusedError,
    Settings,
    UseID,
    UseIDMiddleware,
    UseIDRouter,
    errors,
    events,
    login,
)

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for pattern in ("*.md", "docs/**/*.md", "example_app/**/*.md", "benchmarks/**/*.md")
    for path in sorted(ROOT.glob(pattern))
}
TESTS = {name for path in (ROOT / "tests").rglob("test_*.py") for name in functions(path)}


def page(name: str) -> str:
    return (DOCS / name).read_text()


def rows(name: str, *, skip: str) -> Iterator[list[str]]:
    """The cells of all tables on a page whose first cell is code."""
    for heading, found in tables(page(name)).items():
        yield from (row for row in found if heading != skip and row[0].startswith("`"))


def code(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


# References


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every setting and its default; groups are walked."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field.default


def test_the_settings_page_lists_every_setting_with_its_variable_and_default() -> None:
    expected = {}
    for name, default in fields(Settings):
        variable = "USEID_" + name.upper().replace(".", "__")
        value = list(default) if isinstance(default, tuple) else default
        expected[name] = (variable, "–" if value is None else f"`{json.dumps(value)}`")
    found = {code(name)[0]: (code(variable)[0], value) for name, variable, _, value, _ in rows_of_settings()}
    assert found == expected


def rows_of_settings() -> list[list[str]]:
    return list(rows("reference/settings.md", skip=""))


#: Values other than the defaults, where adding one or saying the opposite does not make one.
OTHER: dict[str, object] = {
    "app_name": "Shop",
    "app_names": ["Shop for partners"],
    "origin": "https://shop.example",
    "prefix": "/login",
    "store": "memory://",
    "accounts": "memory://",
    "key_prefix": "shop:",
    "landing_page": "/start",
    "redirect_origins": ["https://shop.example"],
    "qr.scheme": "shop",
    "qr.universal_link": "https://shop.example/phone",
    "qr.assurance": "L0",
    "sse.responder": "sse-starlette",
}


@pytest.mark.parametrize("row", rows_of_settings(), ids=lambda row: str(row[0]))
def test_a_setting_is_set_by_the_variable_that_the_page_names(row: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    name, variable, default = code(row[0])[0], code(row[1])[0], row[3]
    value = OTHER.get(name)
    if value is None:
        parsed = json.loads(default.strip("`"))
        value = not parsed if isinstance(parsed, bool) else parsed + 1
    if name == "production":
        monkeypatch.setenv("USEID_ORIGIN", "https://shop.example")  # It is refused without.
    monkeypatch.setenv(variable, value if isinstance(value, str) else json.dumps(value))
    found: Any = Settings()
    for part in name.split("."):
        found = getattr(found, part)
    assert (list(found) if isinstance(found, tuple) else found) == value


def test_the_settings_pages_toml_is_a_configuration(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", page("reference/settings.md"), re.S)
    (tmp_path / "useid.toml").write_text(text)
    settings = Settings(config_file=tmp_path / "useid.toml")
    assert (settings.production, settings.qr.lifetime) == (True, 120)
    assert settings.warnings() == []


def test_the_events_page_lists_every_event_with_its_fields() -> None:
    expected = {
        kind.__name__: ([field.name for field in dataclasses.fields(kind)], "yes" if kind.may_refuse else "no")
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
    }
    assert {code(row[0])[0]: (code(row[1]), row[2]) for row in rows("reference/events.md", skip="")} == expected


def test_the_api_page_lists_what_the_package_exports() -> None:
    tree = ast.parse(Path(useid_middleware.__file__).read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    exported = [alias.asname for node in imports for alias in node.names]
    listed = [code(row[0])[0] for row in rows("reference/api.md", skip="In a request")]
    assert sorted(listed) == sorted(filter(None, exported))
    assert len(imports) == len(tree.body) - 1, "__init__ holds a docstring and imports"


#: Errors whose code and status are their class's own.
OWN_CODE = {
    "configuration_error": ("ConfigurationError", 500),
    "login_refused": ("RefusedError", 403),
    "rate_limited": ("RateLimited", 429),
}
OWN_KIND = (errors.ConfigurationError, errors.RefusedError, errors.RateLimited)
#: Raised before there is a server, or by the phone.
NOT_SENT = ("emulation/", "qr/core/link.py")


def raised() -> Iterator[tuple[str, str, str, int]]:
    """Each error that the source makes: the file, and its code, class and status."""
    package = Path(useid_middleware.__file__).parent
    for name, (kind, status) in OWN_CODE.items():
        yield "errors.py", name, kind, status
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                continue
            made, first = getattr(errors, node.func.id, None), node.args[0]
            if made in OWN_KIND or not isinstance(made, type) or not isinstance(first, ast.Constant):
                continue
            if issubclass(made, errors.UseIDError):
                hints = [word.value for word in node.keywords if word.arg == "status_hint"]
                status = ast.literal_eval(hints[0]) if hints else made.status_hint
                yield path.relative_to(package).as_posix(), str(first.value), made.__name__, status


def sent() -> dict[str, set[tuple[str, int]]]:
    """What goes over HTTP: class and status of each code."""
    found: dict[str, set[tuple[str, int]]] = {}
    for file, name, kind, status in raised():
        if not file.startswith(NOT_SENT) and name != "configuration_error":
            found.setdefault(name, set()).add((kind, status))
    return found


def test_the_errors_page_lists_every_code_with_its_classes_and_status() -> None:
    listed = {
        code(row[0])[0]: {(kind, int(row[2])) for kind in code(row[1])}
        for row in tables(page("reference/errors.md"))["What the server answers"]
        if row[0].startswith("`")
    }
    assert listed == sent()


def test_the_errors_page_lists_the_codes_that_are_not_sent() -> None:
    over_http = sent()
    expected = {(name, kind) for _, name, kind, _ in raised() if name not in over_http}
    found = tables(page("reference/errors.md"))["What does not go over HTTP"]
    assert {(code(row[0])[0], code(row[1])[0]) for row in found if row[0].startswith("`")} == expected


def test_the_wire_reference_lists_every_code_with_its_status() -> None:
    listed: dict[str, str] = {}
    for row in tables(page("reference/device-switch.md"))["Errors"]:
        names, statuses = code(row[0]), re.findall(r"\d{3}", row[1])
        # Several codes of a row share its status, or each has its own.
        listed |= dict(zip(names, statuses if len(statuses) > 1 else statuses * len(names), strict=True))
    assert listed == {name: str(status) for name, kinds in sent().items() for _, status in kinds}


def test_the_wire_reference_lists_every_call() -> None:
    calls: set[str] = set()
    for row in tables(page("reference/device-switch.md"))["Calls"]:
        calls.update(call.partition("?")[0] for call in code(row[0]))
    served = {route.replace("/locales/{file}", "/{file}") for route in UseID(Settings(from_env=False)).router.routes}
    assert calls == served


# All pages


@pytest.mark.parametrize("name", PAGES)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    text = re.sub(r"```.*?```", "", PAGES[name].read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (PAGES[name].parent / file).resolve() if file else PAGES[name]
        assert path.exists(), f"{name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, f"{name}: {target}"


@pytest.mark.parametrize("name", PAGES)
def test_every_python_block_compiles(name: str) -> None:
    for block in re.findall(r"```python\n(.*?)```", PAGES[name].read_text(), re.S):
        compile(block, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("name", PAGES)
def test_every_test_that_a_page_names_exists(name: str) -> None:
    assert set(re.findall(r"`(?:[\w/.]+::)?(test_\w+)`", PAGES[name].read_text())) <= TESTS


@pytest.mark.parametrize("name", PAGES)
def test_every_setting_that_a_page_names_exists(name: str) -> None:
    named = re.findall(r"`((?:qr|limits|sse|sessions)\.(?!py\b|js\b)[a-z_]+)(?: = [^`]*)?`", PAGES[name].read_text())
    assert set(named) <= {setting for setting, _ in fields(Settings)}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_names_no_place_of_the_machine_it_was_written_on(name: str) -> None:
    assert re.findall(r"(?<![\w.])/(?:work|tmp|root)/", PAGES[name].read_text()) == []


# What the pages show


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


@pytest.mark.parametrize(
    ("module", "prefix", "path", "stranger"),
    [
        ("with_starlette", "/auth", "/orders", 403),
        ("with_nothing", "/auth", "/", 200),
        ("with_router", "/account/login", "/", 200),
    ],
)
async def test_a_mount_of_the_how_to_serves_the_app_and_the_login(
    load: Any, module: str, prefix: str, path: str, stranger: int
) -> None:
    app = load("howto/mount.md", module).app
    async with client(app) as browser:
        assert (await browser.get(path)).status_code == stranger
        created = await browser.post(f"{prefix}/session/create")
        assert created.status_code == 201
        server = quote(f"http://127.0.0.1:8000{prefix}", safe="")
        assert f"server={server}&" in created.json()["qrData"]
        assert (await browser.get(f"{prefix}/session/{created.json()['sessionId']}")).json()["status"] == "waiting"
    await plugin_of(app).stop()


async def test_the_guard_keeps_strangers_from_starting_a_login_and_from_nothing_else(load: Any) -> None:
    guard = load("howto/operate.md", "guard").StartGuard
    plugin = load("howto/mount.md", "with_nothing").app
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


async def test_the_listeners_of_the_events_page_hear_and_refuse() -> None:
    (text,) = re.findall(r"```python\n(.*?)```", page("reference/events.md"), re.S)
    names: dict[str, Any] = {}
    exec(compile(text, "events.md", "exec"), names)
    with pytest.raises(RefusedError, match="This account is blocked"):
        await names["events"].emit(LoginSucceeded(0.0, Identity("host", "mallory", username="mallory")))
    await names["events"].emit(LoginSucceeded(0.0, Identity("host", "alice", username="alice")))
