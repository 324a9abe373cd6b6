"""What the emulated phone serves, and to whom."""

import re
from collections.abc import AsyncIterator
from importlib.resources import files

import httpx2
import pytest

from tests.emulation.client.phone_page import ORIGIN, Page, client_of, page_of
from tests.emulation.client.scripted import LINK, TC_TOKEN_URL, phone
from useid_middleware.emulation.client.page import AUTHENTICATOR, PAGE, find_asset, find_page


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async for page in page_of(phone()):
        yield page


# ── what is served ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_page_has_a_policy_that_lets_no_string_become_code(page: Page) -> None:
    response = await page.http.get("/")
    policy = response.headers["content-security-policy"]
    for directive in (
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ):
        assert directive in policy
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "name",
    ["phone.js", "screens.js", "texts.js", "phone.css", "cards.css", "authenticator.js", "authenticator-texts.js"],
)
async def test_the_pages_parts_are_served(page: Page, name: str) -> None:
    response = await page.http.get(f"/{name}")
    assert response.status_code == 200
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_the_window_for_passkeys_has_the_pages_policy_and_no_other_address(page: Page) -> None:
    response = await page.http.get("/authenticator")
    assert response.status_code == 200
    for name in ("content-type", "content-security-policy", "referrer-policy", "x-content-type-options"):
        assert response.headers[name] == (await page.http.get("/")).headers[name]
    assert (await page.http.get("/authenticator.html")).status_code == 404


def test_every_file_is_served_and_every_reference_is_to_one_of_them() -> None:
    names = {path.name for path in files("useid_middleware.emulation.client").joinpath("static").iterdir()}
    assets = {name: find_page(name) if name == AUTHENTICATOR else find_asset(name) for name in names}
    assert {asset.status for asset in assets.values() if asset} == {200}
    referenced = {
        name
        for asset in assets.values()
        if asset
        for name in re.findall(r'(?:from "\./|href="|src=")([^"]+)"', asset.body.decode())
    }
    assert referenced == names - {PAGE, AUTHENTICATOR}


@pytest.mark.parametrize("name", [PAGE, AUTHENTICATOR])
def test_the_pages_have_neither_inline_script_nor_inline_style(name: str) -> None:
    page = find_page(name).body.decode()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page) == []


@pytest.mark.parametrize("path", ["/app.py", "/../app.py", "/static/phone.js", "/nothing", "/dialogues/"])
async def test_nothing_else_is_served(page: Page, path: str) -> None:
    assert (await page.http.get(path)).status_code == 404


async def test_the_app_url_is_escaped_in_the_page() -> None:
    async for page in page_of(phone(app_url='http://127.0.0.1:8000/"><script>')):
        assert "<script>alert" not in (await page.http.get("/")).text
        assert "http://127.0.0.1:8000/&quot;&gt;&lt;script&gt;" in (await page.http.get("/")).text


async def test_mounted_below_a_path_the_phone_leads_to_its_page_there() -> None:
    async for page in page_of(phone()):
        transport = httpx2.ASGITransport(page.phone, root_path="/mounted")
        async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as http:
            assert (await http.get("/mounted/phone.js")).status_code == 200
            response = await http.get("/mounted/eID-Client?ShowUI")
            assert response.headers["location"] == "/mounted/"


# ── links for a client on this computer ───────────────────────────────────────────────────────────────────────────


async def test_a_link_for_a_client_on_this_computer_leads_to_the_page_with_it(page: Page) -> None:
    response = await page.http.get(f"/eID-Client?tcTokenURL={TC_TOKEN_URL}")
    assert response.status_code == 303
    assert response.headers["location"] == f"/?tcTokenURL={TC_TOKEN_URL}"


@pytest.mark.parametrize("query", ["", "tcTokenURL=", "other=1", f"tcTokenURL=https%3A%2F%2F{'x' * 2000}"])
async def test_a_link_for_a_client_without_a_usable_address_is_refused(page: Page, query: str) -> None:
    response = await page.http.get(f"/eID-Client?{query}")
    assert (response.status_code, response.json()["code"]) == (400, "malformed_request")


async def test_the_status_names_the_program_and_the_specification(page: Page) -> None:
    response = await page.http.get("/eID-Client?Status")
    assert response.headers["content-type"].startswith("text/plain")
    lines = dict(line.split(": ", 1) for line in response.text.splitlines())
    assert lines["Specification-Title"] == "TR-03124"
    assert "emulated" in lines["Implementation-Title"]


# ── who may call ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_host_that_is_not_this_machine_is_refused(page: Page) -> None:
    response = await page.http.get("/cards", headers={"host": "rebound.example"})
    assert (response.status_code, response.json()["code"]) == (421, "unknown_host")


@pytest.mark.parametrize("header", [{"origin": "http://127.0.0.1:8000"}, {"sec-fetch-site": "same-site"}])
async def test_another_page_cannot_start_or_answer_a_dialogue(page: Page, header: dict[str, str]) -> None:
    response = await page.http.post("/dialogues", json={"link": LINK, "card": "erika"}, headers=header)
    assert (response.status_code, response.json()["code"]) == (403, "cross_site_request")
    assert client_of(page).links == []
