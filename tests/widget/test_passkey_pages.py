"""The pages around ``<useid-passkey>``, and its part of the login page, as values."""

import re

import pytest

from tests.widget.test_serve import NASTY, WAYS, Document
from useid_middleware.identity import Level
from useid_middleware.widget.passkey_pages import passkeys_page, step_up_page
from useid_middleware.widget.serve import ASSETS, Way, WidgetFiles, login_page


def step_up(level: Level = Level.L2, *, ways: tuple[Way, ...] = (), with_passkey: bool = True) -> Document:
    return Document(
        step_up_page(
            server="/app/auth", app_name="Acme", level=level, return_url="/orders?a=1&b=2", ways=ways,
            with_passkey=with_passkey, landing="/home",
        )
    )  # fmt: skip


def modules_of(document: Document) -> set[str]:
    found = [link["href"] or "" for link in document.find("link") if link["rel"] == "modulepreload"]
    assert len(found) == len(set(found))
    return {href.rpartition("/widget/")[2] for href in found}


def test_the_step_up_page_holds_the_element_and_the_way_out() -> None:
    page = step_up()
    assert page.find("useid-passkey") == [{"mode": "step-up", "server": "/app/auth", "return-url": "/orders?a=1&b=2"}]
    assert [link["href"] for link in page.find("a")] == ["/home"]
    assert [script["src"] for script in page.find("script")] == ["/app/auth/widget/useid-passkey.js"]
    assert "Confirm that it is you" in page.text
    assert {"class": "or"} not in page.find("p")


@pytest.mark.parametrize(
    ("level", "said"), [(Level.L1, "a code is enough"), (Level.L2, "passkey is enough"), (Level.L3, "your ID card")]
)
def test_the_step_up_page_says_what_would_be_enough(level: Level, said: str) -> None:
    assert said in step_up(level).text


def test_a_passkey_is_not_offered_for_more_than_it_reaches() -> None:
    page = step_up(Level.L3, ways=(Way("your ID card", "/auth/eid"),))
    assert page.find("useid-passkey") == page.find("script") == page.find("noscript") == []
    assert page.find("nav") == [{"class": "ways", "aria-label": "Ways to confirm"}]
    assert "Continue with your ID card" in page.text
    assert {"class": "or"} not in page.find("p")


def test_further_ways_come_after_the_passkey() -> None:
    page = step_up(ways=WAYS)
    assert [link["href"] for link in page.find("a")] == [*(way.address for way in WAYS), "/home"]
    names = [tag for tag, _ in page.tags]
    assert names.index("useid-passkey") < names.index("nav")
    assert page.find("nav")[0]["aria-label"] == "Other ways to confirm"
    assert {"class": "or"} in page.find("p")


def test_an_account_without_any_way_is_told_so() -> None:
    page = step_up(with_passkey=False)
    assert "Nothing that your account has can show that." in page.text
    assert page.find("script") == page.find("nav") == []
    assert "Nothing that" not in step_up().text


def test_the_page_of_passkeys_holds_the_element_and_the_way_back() -> None:
    page = Document(passkeys_page(server="/app/auth", app_name="Acme", landing="/home"))
    assert page.find("useid-passkey") == [{"mode": "manage", "server": "/app/auth"}]
    assert [link["href"] for link in page.find("a")] == ["/home"]
    assert "Passkeys for Acme" in page.text


@pytest.mark.parametrize("with_phone", [True, False])
@pytest.mark.parametrize("ways", [WAYS, ()])
def test_the_login_page_offers_a_passkey_first(with_phone: bool, ways: tuple[Way, ...]) -> None:
    page = Document(
        login_page(
            server="/auth", app_name="Acme", return_url="/a?b=1&c=2", ways=ways, with_phone=with_phone,
            with_passkey=True,
        )
    )  # fmt: skip
    assert page.find("useid-passkey") == [{"server": "/auth", "return-url": "/a?b=1&c=2"}]
    names = [tag for tag, _ in page.tags]
    assert all(names.index("useid-passkey") < names.index(tag) for tag in ("nav", "useid-login") if tag in names)
    assert len(page.find("useid-login")) == with_phone
    # One "or" between any two.
    assert page.find("p").count({"class": "or"}) == bool(ways) + with_phone
    sources = [script["src"] for script in page.find("script")]
    assert sources == [
        "/auth/widget/useid-passkey.js", *(["/auth/widget/useid-login.js"] if with_phone else [])
    ]  # fmt: skip


def test_a_login_by_passkey_alone_says_that_it_needs_scripts() -> None:
    page = Document(login_page(server="/auth", app_name="Acme", with_phone=False, with_passkey=True))
    assert "Passkeys need JavaScript, which is switched off." in page.text
    assert page.find("div") == page.find("form") == []


def test_a_login_page_without_passkeys_loads_nothing_of_them() -> None:
    page = login_page(server="/auth", app_name="Acme", ways=WAYS)
    assert b"passkey" not in page


def test_each_page_preloads_the_modules_that_its_element_needs_and_no_others() -> None:
    files = WidgetFiles()
    needed, found = {"useid-passkey.js"}, {"useid-passkey.js"}
    while found:
        body = files.find_asset(found.pop())[2]
        found |= {target.decode() for target in re.findall(rb'from "\./([^"]+)"', body)} - needed
        needed |= found
    assert needed <= set(ASSETS)
    assert modules_of(step_up()) == modules_of(Document(passkeys_page(server="/auth", app_name="Acme"))) == needed
    login = modules_of(Document(login_page(server="/auth", app_name="Acme", with_passkey=True)))
    assert login == needed | modules_of(Document(login_page(server="/auth", app_name="Acme")))


def test_both_languages_are_spoken_and_any_other_is_english() -> None:
    pages = {
        lang: [
            Document(step_up_page(server="/auth", app_name="Acme", level=Level.L2, ways=WAYS, lang=lang)),
            Document(step_up_page(server="/auth", app_name="Acme", level=Level.L3, lang=lang)),
            Document(passkeys_page(server="/auth", app_name="Acme", lang=lang)),
        ]
        for lang in ("en", "de", "fr")
    }
    for english, german, other in zip(*pages.values(), strict=True):
        assert [tag for tag, _ in english.tags] == [tag for tag, _ in german.tags]
        assert (english.find("html")[0]["lang"], german.find("html")[0]["lang"]) == ("en", "de")
        assert set(english.words) & set(german.words) <= {"\n", *(way.label for way in WAYS)}
        assert other.text == english.text


def test_values_stay_values() -> None:
    for page in (
        step_up_page(
            server=NASTY, app_name=NASTY, level=Level.L1, return_url=NASTY, ways=[Way(NASTY, NASTY)], landing=NASTY
        ),
        passkeys_page(server=NASTY, app_name=NASTY, landing=NASTY),
        login_page(server=NASTY, app_name=NASTY, return_url=NASTY, with_passkey=True, with_phone=False),
    ):
        assert b"<script>" not in page
        assert {tag for tag, _ in Document(page).tags} <= {
            *("html", "head", "meta", "title", "link", "script", "body", "main", "h1", "useid-passkey", "noscript"),
            *("p", "nav", "ul", "li", "a"),
        }


def test_the_pages_need_nothing_inline() -> None:
    for document in (step_up(ways=WAYS), Document(passkeys_page(server="/auth", app_name="Acme"))):
        assert document.find("style") == []
        assert all(script["src"] for script in document.find("script"))
        assert not any(name == "style" or name.startswith("on") for _, found in document.tags for name in found)
