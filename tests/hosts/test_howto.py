"""The how-to of each host: every block of its page is run, and does what the page says."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from sys import executable
from typing import Any, Final

import anyio
import httpx2
import pytest

from tests.servers import PATIENCE, free_port
from tests.serving import Server
from tests.test_docs import DOCS, page
from tests.test_docs_examples import blocks
from tests.test_docs_examples import load as load

HOSTS: Final = sorted(path.stem for path in (DOCS / "howto" / "hosts").glob("*.md"))
#: What is imported from each page; the rest of its blocks are imported by these.
IMPORTED: Final = (
    ("starlette", "with_starlette"),
    ("fastapi", "with_fastapi"),
    ("fastapi", "inside_fastapi"),
    ("litestar", "with_litestar"),
    ("quart", "with_quart"),
    ("bare", "with_nothing"),
)
BY_THE_OTHER_TEST: Final = {"with_router"}
#: Django's settings are the process's, so its site is served by another one; by page and settings module.
SERVED: Final = ("shop_settings", "model_settings")
ALICE: Final = {"name": "alice", "password": "wonderland"}


def text_of(answer: httpx2.Response) -> str:
    """The body; some frameworks answer with JSON."""
    return answer.text.strip('"')


async def visit(browser: httpx2.AsyncClient, *, name: str = "alice") -> None:
    """Look around as a stranger, sign in, look around, sign out. ``name`` is what the site calls Alice."""
    assert text_of(await browser.get("/hello")) == "Hello stranger"
    turned_away = await browser.get("/orders")
    assert turned_away.status_code in (401, 302)
    if turned_away.status_code == 302:
        assert turned_away.headers["location"] == "/auth/login?return=/orders"
        assert (await browser.get(turned_away.headers["location"])).status_code == 200
    assert (await browser.get("/refunds")).status_code in (401, 403)
    if "csrftoken" in browser.cookies:
        # Django's own, which keeps pages of other sites away.
        assert "CSRF" in (await browser.post("/sign-in", json=ALICE)).text
        browser.headers["x-csrftoken"] = browser.cookies["csrftoken"]
    assert (await browser.post("/sign-in", json=ALICE | {"password": "guess"})).status_code == 403
    assert text_of(await browser.post("/sign-in", json=ALICE)) == "Welcome"
    assert re.fullmatch(f"Hello {name}", text_of(await browser.get("/hello")))
    assert re.fullmatch(f"Orders of {name}", text_of(await browser.get("/orders")))
    assert (await browser.get("/refunds")).status_code == 403
    assert (await browser.post("/auth/session/create")).status_code == 201
    assert text_of(await browser.post("/sign-out")) == "Bye"
    assert text_of(await browser.get("/hello")) == "Hello stranger"


@asynccontextmanager
async def running(app: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser at the app, between the app's startup and its shutdown, as a server has it."""
    to_app, from_app = anyio.create_memory_object_stream[Any](2), anyio.create_memory_object_stream[Any](2)
    with to_app[0], to_app[1], from_app[0], from_app[1]:
        async with anyio.create_task_group() as tasks:
            scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
            tasks.start_soon(app, scope, to_app[1].receive, from_app[0].send)
            await to_app[0].send({"type": "lifespan.startup"})
            assert (await from_app[1].receive())["type"] == "lifespan.startup.complete"
            transport = httpx2.ASGITransport(app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as browser:
                yield browser
            await to_app[0].send({"type": "lifespan.shutdown"})
            assert (await from_app[1].receive())["type"] == "lifespan.shutdown.complete"


@pytest.mark.parametrize(("host", "module"), IMPORTED)
async def test_the_site_of_the_page_logs_people_in_and_out(load: Any, host: str, module: str) -> None:
    async with running(load(f"howto/hosts/{host}.md", module).app) as browser:
        await visit(browser)


@pytest.mark.parametrize("settings", SERVED)
async def test_the_site_of_djangos_page_does_so_with_users_of_either_kind(tmp_path: Path, settings: str) -> None:
    for file, text in blocks("howto/hosts/django.md").items():
        (tmp_path / f"{file}.py").write_text(text)
    is_of_model = settings == "model_settings"
    if is_of_model:
        command = [executable, "-m", "django", "migrate", "--verbosity=0", f"--settings={settings}", "--pythonpath=."]
        await anyio.run_process(command, cwd=tmp_path)
    env = {"DJANGO_SETTINGS_MODULE": settings}
    server = Server("with_django:app", port=free_port(), folder=tmp_path, env=env, factory=False)
    server.start()
    try:
        async with httpx2.AsyncClient(base_url=server.url, timeout=PATIENCE) as browser:
            # A user of the model is called by the account's id, which no other account gets.
            await visit(browser, name="[A-Za-z0-9_-]{22}" if is_of_model else "alice")
    finally:
        server.stop()


@pytest.mark.parametrize("host", HOSTS)
def test_no_block_of_a_page_is_left_out(host: str) -> None:
    named = blocks(f"howto/hosts/{host}.md")
    assert len(re.findall(r"```python\n", page(f"howto/hosts/{host}.md"))) == len(named)
    run_here = {module for page_of, module in IMPORTED if page_of == host}
    by_django = set(named) if host == "django" else set()
    assert set(named) == run_here | by_django | (BY_THE_OTHER_TEST & set(named))


def test_the_overview_leads_to_every_page() -> None:
    assert sorted(re.findall(r"\(hosts/(\w+)\.md\)", page("howto/mount.md"))) == HOSTS
