"""What is sent in the place of an answer: JSON for programs, and a page for a person where something is away."""

import re

import pytest

from tests.actors import Answer, Browser
from tests.qr.conftest import host_app, make_settings
from tests.widget.test_serve import NASTY, Document
from useid_middleware import Settings, UseIDMiddleware
from useid_middleware.errors import RateLimited, UnavailableError, UseIDError
from useid_middleware.http.asgi import Receive, Scope, Send
from useid_middleware.widget.unavailable import answer_error, prefers_html, unavailable_page

AWAY = UnavailableError("store_unavailable", "the store is away", retry_after=7)
CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "is_preferred"),
    [
        (CHROMIUM, True),
        ("text/html", True),
        ("TEXT/HTML; charset=utf-8", True),
        ("application/json;q=0.9, text/html", True),
        ("text/html, application/json", True),
        ("text/html;q=0.9, application/json", False),
        ("text/html;q=0", False),
        ("text/html;q=nan", False),
        ("text/html;q=x", False),
        ("application/json", False),
        ("text/event-stream", False),
        ("*/*", False),
        ("text/*", False),
        ("", False),
        (";,;=,q", False),
    ],
)
def test_a_page_is_for_those_who_name_html_and_not_json_before_it(accept: str, is_preferred: bool) -> None:
    assert prefers_html(accept) is is_preferred


async def answered(error: UseIDError, *, method: str = "GET", root_path: str = "", **headers: str) -> Answer:
    """The answer to a request that failed so."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["root_path"] = root_path
        settings = Settings(from_env=False, app_name="Shop")
        await answer_error(error, scope, settings=settings, prefix="/auth")(scope, receive, send)

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await Browser(app).send(method, f"{root_path}/orders", headers=named)


async def test_a_browser_gets_a_page_with_the_status_and_when_to_come_back() -> None:
    answer = await answered(AWAY, root_path="/shop", accept=CHROMIUM)
    assert (answer.status, answer.header("retry-after")) == (503, "7")
    assert answer.header("content-type") == "text/html; charset=utf-8"
    assert answer.header("cache-control") == "no-store"
    assert answer.header("content-security-policy").startswith("default-src 'none'; style-src 'self'")
    page = Document(answer.body)
    assert page.find("html")[0]["lang"] == "en"
    assert "/shop/auth/widget/useid-login.css" in [link["href"] for link in page.find("link")]
    # To the same address once more, whatever it is.
    assert [link["href"] for link in page.find("a")] == [""]
    assert "Try again in a moment" in page.text
    assert "store_unavailable" in page.text
    assert "the store is away" not in page.text


async def test_the_page_is_in_the_readers_language() -> None:
    page = Document((await answered(AWAY, accept=CHROMIUM, accept_language="de-AT,de;q=0.9,en;q=0.8")).body)
    assert page.find("html")[0]["lang"] == "de"
    assert "Diese Seite ist gerade nicht verfügbar" in page.text
    assert "Noch einmal versuchen" in page.text


async def test_what_a_form_has_posted_is_not_asked_for_again_by_a_link() -> None:
    page = Document((await answered(AWAY, method="POST", accept=CHROMIUM)).body)
    assert page.find("a") == []


async def test_a_program_gets_json() -> None:
    for accept in ("*/*", "application/json", "text/event-stream", ""):
        answer = await answered(AWAY, accept=accept)
        assert (answer.status, answer.code, answer.header("retry-after")) == (503, "store_unavailable", "7")


async def test_other_errors_have_pages_of_their_own_or_are_for_programs() -> None:
    answer = await answered(RateLimited(3), accept=CHROMIUM)
    assert (answer.status, answer.code) == (429, "rate_limited")


def test_nothing_from_outside_becomes_markup() -> None:
    page = Document(unavailable_page(server=NASTY, app_name=NASTY, lang=NASTY, code=NASTY, can_retry=True))
    assert page.find("script") == []
    assert NASTY in page.text


async def test_its_looks_are_there_though_nothing_else_is() -> None:
    """A plugin that could not start yet: the page names a stylesheet, which needs no store."""
    browser = Browser(UseIDMiddleware(host_app, make_settings(store="redis://127.0.0.1:1/0")))
    page = await browser.send("GET", "/", headers={"accept": "text/html"})
    assert page.status == 503
    (stylesheet,) = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page.body.decode())
    assert (await browser.send("GET", stylesheet)).status == 200
    assert (await browser.get("/login")).status == 503
