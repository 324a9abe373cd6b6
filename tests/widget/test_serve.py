"""The widget's files and pages, as values."""

import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from useid_middleware.widget.serve import (
    ASSETS,
    LOGIN_POLICY,
    PlainState,
    Way,
    WidgetFiles,
    choose_language,
    login_page,
    logout_page,
    logout_policy,
    plain_page,
    plain_policy,
)

NASTY = """"><script>alert('1')</script>&"""
VOID = {"meta", "link", "img", "input"}


class Document(HTMLParser):
    """Start tags with their attributes, and the text; notices tags that do not match."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def find(self, wanted: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == wanted]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def plain(state: PlainState, *, code_required: bool = False, error: str = "", lang: str = "en") -> Document:
    return Document(
        plain_page(
            server="/auth", app_name="Acme", session_id="AbC", state=state, qr_url="/auth/session/AbC/qr.svg",
            link="tana://auth?session=AbC&frame=x", code_required=code_required, error=error, seconds_left=272,
            return_url="/orders?a=1&b=2", lang=lang,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def widget() -> WidgetFiles:
    return WidgetFiles()


@pytest.mark.parametrize("name", ASSETS)
def test_every_file_is_served_with_type_length_and_tag(widget: WidgetFiles, name: str) -> None:
    status, headers, body = widget.find_asset(name)
    found = dict(headers)
    assert status == 200
    assert body == files("useid_middleware.widget").joinpath(name).read_bytes()
    assert found[b"content-length"] == b"%d" % len(body)
    assert found[b"content-type"] == (b"text/css" if name.endswith(".css") else b"text/javascript") + b"; charset=utf-8"
    assert found[b"x-content-type-options"] == b"nosniff"
    assert re.fullmatch(rb'"[0-9a-f]{32}"', found[b"etag"])


def test_every_module_that_a_module_imports_is_served(widget: WidgetFiles) -> None:
    for name in ASSETS:
        folder = name.rpartition("/")[0]
        for target in re.findall(rb'(?:from|URL\()\s*"\./([^"]+)"', widget.find_asset(name)[2]):
            assert f"{folder}/{target.decode()}".lstrip("/") in ASSETS


def test_every_use_is_revalidated_so_that_no_browser_mixes_two_releases(widget: WidgetFiles) -> None:
    assert dict(widget.find_asset("qr-auth.js")[1])[b"cache-control"] == b"public, max-age=0, must-revalidate"


@pytest.mark.parametrize("form", [b"%s", b"W/%s", b'"other", %s', b'"other",W/%s ,"third"', b"*"])
def test_a_tag_that_matches_answers_304_without_a_body(widget: WidgetFiles, form: bytes) -> None:
    etag = dict(widget.find_asset("qrcode.js")[1])[b"etag"]
    status, headers, body = widget.find_asset("qrcode.js", form.replace(b"%s", etag))
    assert (status, body) == (304, b"")
    assert dict(headers)[b"etag"] == etag
    assert b"content-type" not in dict(headers)


@pytest.mark.parametrize("tag", [b"", b'"other"', b"0", b'"*"'])
def test_a_tag_of_another_release_gets_the_file(widget: WidgetFiles, tag: bytes) -> None:
    assert widget.find_asset("qrcode.js", tag)[0] == 200


def test_files_have_tags_of_their_own(widget: WidgetFiles) -> None:
    assert len({dict(widget.find_asset(name)[1])[b"etag"] for name in ASSETS}) == len(ASSETS)


@pytest.mark.parametrize(
    "name", ["", "serve.py", "__init__.py", "../serve.py", "locales", "locales/", "locales/../qr-auth.js", "QR-AUTH.JS"]
)
def test_anything_else_is_not_found(widget: WidgetFiles, name: str) -> None:
    status, headers, body = widget.find_asset(name)
    assert (status, body) == (404, b"")
    assert dict(headers)[b"cache-control"] == b"no-store"


def test_head_is_answered_as_get_and_other_methods_name_what_is_allowed(widget: WidgetFiles) -> None:
    assert widget.find_asset("view.js", method="HEAD") == widget.find_asset("view.js")
    status, headers, body = widget.find_asset("view.js", method="POST")
    assert (status, dict(headers)[b"allow"], body) == (405, b"GET, HEAD", b"")
    assert widget.find_asset("nothing.js", method="POST")[0] == 404


@pytest.mark.parametrize("lang", ["en", "de"])
def test_the_login_page_needs_nothing_inline(lang: str) -> None:
    page = login_page(server="/app/auth", app_name="Acme", return_url="/orders", lang=lang)
    document = Document(page)
    assert document.find("html")[0]["lang"] == lang
    assert [script["src"] for script in document.find("script")] == ["/app/auth/widget/useid-login.js"]
    assert document.find("style") == []
    assert not any(name == "style" or name.startswith("on") for _, attributes in document.tags for name in attributes)
    element = document.find("useid-login")[0]
    assert (element["server"], element["return-url"], element["heartbeat"]) == ("/app/auth", "/orders", "15")


def test_the_login_page_preloads_the_modules_that_it_needs_and_no_others(widget: WidgetFiles) -> None:
    needed, found = {"useid-login.js"}, {"useid-login.js"}
    while found:
        body = widget.find_asset(found.pop())[2]
        found |= {target.decode() for target in re.findall(rb'from "\./([^"]+)"', body)} - needed
        needed |= found
    links = Document(login_page(server="/auth", app_name="Acme")).find("link")
    preloaded = [link["href"] for link in links if link["rel"] == "modulepreload"]
    assert sorted(preloaded, key=str) == sorted(f"/auth/widget/{name}" for name in needed)


WAYS = (Way("Acme ID", "/auth/login?provider=acme&return=%2Forders"), Way(NASTY, NASTY))


@pytest.mark.parametrize(("lang", "label"), [("en", "Log in with Acme ID"), ("de", "Mit Acme ID anmelden")])
def test_the_login_page_offers_the_other_ways_as_links_before_the_card(lang: str, label: str) -> None:
    document = Document(login_page(server="/auth", app_name="Acme", ways=WAYS, lang=lang))
    assert [link["href"] for link in document.find("a")] == [way.address for way in WAYS]
    assert label in document.text
    assert len(document.find("script")) == 1
    names = [tag for tag, _ in document.tags]
    assert names.index("nav") < names.index("useid-login")
    assert document.find("nav")[0]["aria-label"] in ("Other ways to log in", "Weitere Wege zur Anmeldung")


def test_a_login_page_with_one_kind_of_way_divides_nothing() -> None:
    only_providers = Document(login_page(server="/auth", app_name="Acme", ways=WAYS, with_phone=False))
    assert only_providers.find("useid-login") == only_providers.find("script") == only_providers.find("noscript") == []
    assert only_providers.find("nav") == [{"class": "ways", "aria-label": "Log in to Acme"}]
    only_phone = Document(login_page(server="/auth", app_name="Acme"))
    assert only_phone.find("nav") == []
    for document in (only_providers, only_phone):
        assert {"class": "or"} not in document.find("p")
    assert {"class": "or"} in Document(login_page(server="/auth", app_name="Acme", ways=WAYS)).find("p")


@pytest.mark.parametrize("lang", ["en", "de"])
def test_the_logout_page_asks_with_a_form_and_offers_the_way_back(lang: str) -> None:
    document = Document(
        logout_page(
            server="/auth", app_name=NASTY, lang=lang, username=NASTY, action="/auth/logout?a=1&b=2", landing="/home"
        )
    )
    assert document.find("form") == [{"method": "post", "action": "/auth/logout?a=1&b=2"}]
    assert [link["href"] for link in document.find("a")] == ["/home"]
    assert document.find("script") == []
    assert document.text.count(NASTY) == 3
    assert document.find("html")[0]["lang"] == lang


def test_the_logout_page_asks_in_both_languages_and_knows_people_without_a_name() -> None:
    pages = [
        Document(logout_page(server="/auth", app_name="Acme", lang=lang, username=name, action="/auth/logout"))
        for lang, name in (("en", "ada"), ("de", "ada"), ("en", ""))
    ]
    assert "Log out of Acme?" in pages[0].text
    assert "You are logged in as ada ." in pages[0].text
    assert "Von Acme abmelden?" in pages[1].text
    assert "logged in as" not in pages[2].text


def test_the_logout_policy_allows_the_redirect_to_the_provider() -> None:
    policy = logout_policy(["https://op.example"])
    assert "form-action 'self' https://op.example;" in policy
    assert "script-src" not in policy


def test_without_scripts_the_login_page_offers_a_form() -> None:
    document = Document(login_page(server="/auth", app_name="Acme", return_url="/orders"))
    assert document.find("noscript")
    assert document.find("form") == [{"method": "post", "action": "/auth/plain"}]
    assert document.find("input") == [{"type": "hidden", "name": "returnUrl", "value": "/orders"}]
    assert "Log in without JavaScript" in document.text


def test_names_and_addresses_are_escaped() -> None:
    document = Document(login_page(server="/auth", app_name=NASTY, return_url=NASTY))
    assert len(document.find("script")) == 1
    assert document.find("input")[0]["value"] == NASTY
    assert document.find("useid-login")[0]["return-url"] == NASTY
    assert f"Log in to {NASTY}" in document.text
    page = Document(
        plain_page(server="/auth", app_name=NASTY, session_id=NASTY, state="waiting", qr_url=NASTY, link=NASTY)
    )
    assert page.find("script") == []
    assert page.find("img")[0]["src"] == NASTY


def test_the_login_policy_allows_our_own_origin_alone() -> None:
    directives = dict(part.strip().split(" ", 1) for part in LOGIN_POLICY.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert directives["base-uri"] == directives["frame-ancestors"] == "'none'"
    assert directives["require-trusted-types-for"] == "'script'"


def test_the_plain_policy_allows_no_script_and_the_redirect_after_the_form() -> None:
    assert "script-src" not in plain_policy()
    assert "form-action 'self';" in plain_policy()
    assert "form-action 'self' https://other.example;" in plain_policy(["https://other.example"])


@pytest.mark.parametrize("state", ["waiting", "scanned"])
def test_the_plain_page_refreshes_itself_while_the_phone_has_the_next_step(state: PlainState) -> None:
    document = plain(state)
    assert {"http-equiv": "refresh", "content": "5"} in document.find("meta")
    assert "Expires in 4:32" in document.text
    assert "/auth/plain/AbC" in {link["href"] for link in document.find("a")}


@pytest.mark.parametrize("state", ["approved", "rejected", "expired"])
def test_the_plain_page_stands_still_while_the_user_has_the_next_step(state: PlainState) -> None:
    assert not any(meta.get("http-equiv") for meta in plain(state).find("meta"))
    assert not any(meta.get("http-equiv") for meta in plain(state, code_required=True).find("meta"))


def test_the_waiting_plain_page_shows_code_and_link() -> None:
    document = plain("waiting")
    assert document.find("img")[0]["src"] == "/auth/session/AbC/qr.svg"
    assert document.find("img")[0]["alt"]
    assert "tana://auth?session=AbC&frame=x" in {link["href"] for link in document.find("a")}
    assert document.find("form") == []


def test_an_approved_plain_page_asks_for_the_code_only_where_one_is_required() -> None:
    asking, finishing = plain("approved", code_required=True), plain("approved")
    assert asking.find("form")[0]["action"] == finishing.find("form")[0]["action"] == "/auth/plain/AbC"
    assert [field["name"] for field in asking.find("input")] == ["code"]
    assert finishing.find("input") == []
    assert len(finishing.find("button")) == 1


def test_a_wrong_code_is_said_in_an_alert_that_describes_the_field() -> None:
    document = plain("approved", code_required=True, error="2 < 3 attempts left.")
    field = document.find("input")[0]
    assert (field["aria-invalid"], field["aria-describedby"]) == ("true", "code-error")
    assert {"class": "code-error", "id": "code-error", "role": "alert"} in document.find("p")
    assert "2 < 3 attempts left." in document.text
    assert "aria-invalid" not in plain("approved", code_required=True).find("input")[0]


@pytest.mark.parametrize("state", ["rejected", "expired"])
def test_a_login_that_is_over_can_be_started_again(state: PlainState) -> None:
    document = plain(state)
    assert document.find("form") == [{"method": "post", "action": "/auth/plain"}]
    assert document.find("input")[0]["value"] == "/orders?a=1&b=2"
    assert "Expires in" not in document.text


@pytest.mark.parametrize("state", ["waiting", "scanned", "approved", "rejected", "expired"])
def test_every_plain_page_speaks_german_too(state: PlainState) -> None:
    english, german = plain(state, error="e"), plain(state, error="e", lang="de")
    assert german.find("html")[0]["lang"] == "de"
    assert "Bei Acme anmelden" in german.text
    assert german.text != english.text
    assert [tag for tag, _ in german.tags] == [tag for tag, _ in english.tags]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr, en;q=0.4, de;q=0.7", "de"),
        ("en-GB", "en"),
        ("de;q=0, en", "en"),
        ("de;q=x", "en"),
        ("fr", "en"),
        ("", "en"),
    ],
)
def test_the_language_is_the_one_the_browser_prefers_among_ours(header: str, expected: str) -> None:
    assert choose_language(header) == expected


def test_an_unknown_language_is_english() -> None:
    assert Document(login_page(server="/auth", app_name="Acme", lang="fr")).find("html")[0]["lang"] == "en"
