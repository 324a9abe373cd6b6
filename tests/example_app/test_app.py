"""The example app in the process, its own plugin in front: pages, passwords, and where a login may lead."""

import re
from html import escape
from urllib.parse import quote, urlencode

import pytest

from example_app.app import settings as example_settings
from example_app.app import site
from tests.actors import ORIGIN, Answer, Browser, Phone
from useid_middleware import Settings, UseIDMiddleware

PAGES = ("/", "/login", "/id-card", "/protected", "/phones", "/passkeys", "/nothing-here")


@pytest.fixture
def desktop() -> Browser:
    """A browser at the app, with its data in memory."""
    settings = Settings(
        from_env=False,
        app_name="Harbour",
        store="memory://",
        accounts="memory://",
        webauthn=example_settings.webauthn,
        levels=example_settings.levels,
    )
    return Browser(UseIDMiddleware(site, settings), headers={"accept-language": "en"}, prefix="")


async def log_in(desktop: Browser, *, origin: str | None = ORIGIN, **fields: str) -> Answer:
    """Post the password form; alice with her password unless told otherwise."""
    form = urlencode({"username": "alice", "password": "wonderland"} | fields).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"} | ({"origin": origin} if origin else {})
    return await desktop.send("POST", "/login", form, headers)


async def text_of(desktop: Browser, path: str) -> str:
    """A page's HTML."""
    return (await desktop.get(path)).body.decode()


async def test_a_stranger_is_offered_the_login_and_nothing_else(desktop: Browser) -> None:
    page = await text_of(desktop, "/")
    assert 'href="/login"' in page
    assert "/auth/logout" not in page


@pytest.mark.parametrize("path", ["/protected", "/phones", "/passkeys", "/protected?tab=2"])
async def test_a_members_page_sends_a_stranger_to_the_login_and_back(desktop: Browser, path: str) -> None:
    answer = await desktop.get(path)
    assert answer.status == 303
    login = answer.header("location").removeprefix(ORIGIN)
    assert login.startswith("/login?next=")
    page = await text_of(desktop, login)
    assert f'name="next" value="{path}"' in page
    assert f'return-url="{path}"' in page
    assert (await log_in(desktop, next=path)).header("location") == path


async def test_the_password_logs_in_at_the_lowest_level(desktop: Browser) -> None:
    answer = await log_in(desktop)
    assert (answer.status, answer.header("location")) == (303, "/")
    assert "Hello, alice" in await text_of(desktop, "/")
    page = await text_of(desktop, "/protected")
    assert '<b id="acr" class="badge">L0</b>' in page
    assert "<code>pwd</code>" in page


@pytest.mark.parametrize(
    "fields",
    [{"password": "Wonderland"}, {"password": ""}, {"username": "bob"}, {"username": ""}, {"username": "Ａlice"}],
)
async def test_a_wrong_password_or_name_gets_one_and_the_same_answer(desktop: Browser, fields: dict[str, str]) -> None:
    answer = await log_in(desktop, next="/phones", **fields)
    page = answer.body.decode()
    assert answer.status == 403
    assert "User name or password is wrong." in page
    assert 'name="next" value="/phones"' in page
    assert "wonderland" not in page.replace("password wonderland", "")
    assert desktop.cookies == {}


async def test_what_a_visitor_typed_comes_back_escaped(desktop: Browser) -> None:
    name = "\"><script>alert(1)</script>'"
    page = (await log_in(desktop, username=name)).body.decode()
    assert escape(name) in page
    assert "<script>alert" not in page


@pytest.mark.parametrize(
    "origin", [None, "null", "https://evil.example", "http://127.0.0.1:8001", ORIGIN + ".evil.example"]
)
async def test_a_password_posted_from_elsewhere_is_refused(desktop: Browser, origin: str | None) -> None:
    assert (await log_in(desktop, origin=origin)).status == 403
    assert desktop.cookies == {}


async def test_an_oversized_form_is_refused(desktop: Browser) -> None:
    assert (await log_in(desktop, padding="x" * 5000)).status == 413


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example",
        "https://evil.example/", "http://127.0.0.1:8000@evil.example/", "https://127.0.0.1:8000/",
        "javascript:alert(1)", "/\t/evil.example", "/a\r\nb", "/ä", "/a b", "evil", "", "http://[",
    ],
)  # fmt: skip
async def test_a_login_never_leads_to_another_site(desktop: Browser, target: str) -> None:
    assert 'name="next" value="/"' in await text_of(desktop, f"/login?next={quote(target)}")
    assert (await log_in(desktop, next=target)).header("location") == "/"


@pytest.mark.parametrize("target", ["/protected", "/protected?a=1&b=2", ORIGIN + "/protected?a=1"])
async def test_a_login_leads_to_any_page_of_this_site(desktop: Browser, target: str) -> None:
    assert (await log_in(desktop, next=target)).header("location") == target.removeprefix(ORIGIN)


@pytest.mark.parametrize("member", [False, True])
@pytest.mark.parametrize("path", PAGES)
async def test_every_page_has_the_strict_policy_and_nothing_inline(desktop: Browser, path: str, member: bool) -> None:
    if member:
        await log_in(desktop)
    answer = await desktop.get(path)
    if answer.status == 303:
        assert not member
        return
    policy = answer.header("content-security-policy")
    for rule in (
        "default-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
    ):
        assert rule in policy
    assert "unsafe" not in policy
    assert answer.header("referrer-policy") == "same-origin"
    assert answer.header("cache-control") == "no-store"
    page = answer.body.decode()
    assert "{" not in re.sub(r"data-(errors|text)=\"[^\"]*\"", "", page), "a placeholder was left"
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)


async def test_the_login_page_offers_passkeys_in_the_field_for_the_name(desktop: Browser) -> None:
    desktop.host = "localhost:8000"
    page = await text_of(desktop, "/login?next=/vault")
    assert 'autocomplete="username webauthn"' in page
    assert '<useid-passkey server="/auth" for="username" return-url="/vault"></useid-passkey>' in page


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "[::1]:8000"])
async def test_at_an_address_no_passkeys_are_offered_and_their_page_leads_to_localhost(
    desktop: Browser, host: str
) -> None:
    desktop.host = host
    page = await text_of(desktop, "/login")
    assert 'autocomplete="username"' in page
    assert "useid-passkey" not in page
    assert (await log_in(desktop, origin=f"http://{host}")).status == 303
    page = await text_of(desktop, "/passkeys?a=1&b=2")
    assert "<a href='http://localhost:8000/passkeys?a=1&amp;b=2'>" in page
    assert "useid-passkey" not in page


async def test_the_vault_leads_who_has_less_than_it_demands_to_the_step_up(desktop: Browser) -> None:
    html = {"accept": "text/html"}
    answer = await desktop.get("/vault", html)
    assert (answer.status, answer.header("location")) == (303, "/auth/login?return=%2Fvault")
    await log_in(desktop)
    answer = await desktop.get("/vault", html)
    assert (answer.status, answer.header("location")) == (303, "/auth/step-up?return=%2Fvault&level=L2")
    assert (await desktop.get("/vault")).json()["code"] == "level_required"
    assert 'href="/vault"' in await text_of(desktop, "/protected")


@pytest.mark.parametrize("mode", ["standard", "integrated", "bound", "same-device"])
async def test_the_page_for_id_cards_links_to_each_mode_and_opens_in_the_one_that_is_asked_for(
    desktop: Browser, mode: str
) -> None:
    page = await text_of(desktop, f"/id-card?mode={mode}&next=/protected")
    assert f'<useid-eid server="/auth" return-url="/protected" mode="{mode}"' in page
    linked = re.findall(r'href="/id-card\?next=%2Fprotected&amp;mode=([\w-]+)"( aria-current="page")?>', page)
    assert [name for name, _ in linked] == ["standard", "integrated", "bound", "same-device"]
    assert [name for name, current in linked if current] == [mode]


@pytest.mark.parametrize("mode", ["", "default", "auto", "bound ", '"><script>'])
async def test_a_mode_that_is_none_is_left_to_the_widget(desktop: Browser, mode: str) -> None:
    page = await text_of(desktop, f"/id-card?mode={quote(mode)}")
    assert '<useid-eid server="/auth" return-url="/" data-phone="">' in page
    assert 'aria-current="page">' not in page


async def test_an_unknown_address_is_a_page_with_the_way_back(desktop: Browser) -> None:
    answer = await desktop.get("/nothing-here")
    assert answer.status == 404
    assert "There is nothing here" in answer.body.decode()


async def test_the_demo_phone_is_served_with_its_files(desktop: Browser) -> None:
    page = await desktop.get("/phone/")
    assert page.status == 200
    assert page.header("content-security-policy")
    assert (await desktop.get("/phone/phone.js")).header("content-type").startswith("text/javascript")
    assert (await desktop.get("/phone/../app.py")).status == 404


async def test_a_phone_that_a_member_added_logs_another_browser_in(desktop: Browser) -> None:
    assert isinstance(desktop.app, UseIDMiddleware)
    await log_in(desktop)
    phone = Phone(desktop.app)
    await phone.enrol(Browser(desktop.app, cookies=desktop.cookies))
    other = Browser(desktop.app)
    made = (await other.post("/session/create", {"returnUrl": "/protected"})).json()
    approved = await phone.approve(made["qrData"])
    claimed = await other.post(f"/session/{made['sessionId']}/claim", {"code": approved.json()["code"]})
    assert claimed.json()["redirectTo"] == "/protected"
    assert '<b id="acr" class="badge">L1</b>' in (await other.send("GET", "/protected")).body.decode()


async def test_logging_out_is_a_form_and_ends_the_session(desktop: Browser) -> None:
    await log_in(desktop)
    assert '<form class="user" method="post" action="/auth/logout">' in await text_of(desktop, "/")
    copy = dict(desktop.cookies)
    headers = {"content-type": "application/x-www-form-urlencoded", "origin": ORIGIN}
    answer = await desktop.send("POST", "/auth/logout", b"", headers)
    assert (answer.status, answer.header("location")) == (303, "/")
    assert desktop.cookies == {}
    desktop.cookies = copy
    assert (await desktop.get("/protected")).status == 303
