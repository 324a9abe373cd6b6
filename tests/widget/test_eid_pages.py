"""The pages around ``<useid-eid>``, as values."""

import pytest

from tests.widget.test_serve import NASTY, Document
from useid_middleware.widget.eid_pages import WIDGET_PERMISSIONS, eid_login_page, widget_page, widget_policy
from useid_middleware.widget.serve import ASSETS, LOGIN_POLICY, Way


def test_the_login_page_holds_the_element_and_a_form_without_scripts() -> None:
    page = Document(
        eid_login_page(server="/app/auth", app_name="Acme", return_url="/orders?a=1&b=2", lang="en", heartbeat=7.5)
    )
    element = {"server": "/app/auth", "return-url": "/orders?a=1&b=2", "heartbeat": "7.5"}
    assert page.find("useid-eid") == [element]
    assert page.find("form") == [{"method": "post", "action": "/app/auth/eid/plain"}]
    assert page.find("input") == [{"type": "hidden", "name": "returnUrl", "value": "/orders?a=1&b=2"}]
    assert "Log in to Acme" in page.text


def test_the_login_page_offers_the_other_ways() -> None:
    page = Document(eid_login_page(server="/auth", app_name="Acme", ways=[Way("your phone", "/auth/login?a=1&b=2")]))
    assert [link["href"] for link in page.find("a")] == ["/auth/login?a=1&b=2"]
    assert "Log in with your phone or" in page.text
    assert Document(eid_login_page(server="/auth", app_name="Acme")).find("a") == []


def test_every_module_that_a_page_loads_is_served() -> None:
    login = eid_login_page(server="/auth", app_name="Acme")
    widget = widget_page(server="/auth", tenant="shop", origin="https://shop.example")
    for page, first in ((login, "useid-eid.js"), (widget, "embedded.js")):
        document = Document(page)
        scripts = [script["src"] for script in document.find("script")]
        assert scripts == [f"/auth/widget/{first}"]
        preloaded = [link["href"] or "" for link in document.find("link") if link["rel"] == "modulepreload"]
        assert {"/auth/widget/eid-auth.js", "/auth/widget/waiting-login.js", scripts[0]} < set(preloaded)
        assert {href.removeprefix("/auth/widget/") for href in preloaded} <= set(ASSETS)


def test_the_page_for_a_frame_tells_the_element_what_the_caller_has_checked() -> None:
    page = Document(
        widget_page(
            server="/auth", tenant="shop", origin="https://shop.example",
            tc_token_url="https://shop.example/eid?a=1&b=2", theme="dark", back="https://shop.example/login", lang="de",
        )
    )  # fmt: skip
    assert page.find("useid-eid") == [
        {
            "server": "/auth",
            "tenant": "shop",
            "tc-token-url": "https://shop.example/eid?a=1&b=2",
            "back": "https://shop.example/login",
            "heartbeat": "15",
            "data-parent-origin": "https://shop.example",
        }
    ]
    html = page.find("html")[0]
    assert (html["lang"], html["data-theme"]) == ("de", "dark")
    assert page.text == "Mit dem Ausweis anmelden Mit dem Ausweis anmelden"
    assert page.find("form") == []


def test_what_a_site_does_not_set_is_left_out() -> None:
    page = Document(widget_page(server="/auth", tenant="shop", origin="https://shop.example"))
    assert page.find("useid-eid")[0].keys() == {"server", "tenant", "heartbeat", "data-parent-origin"}
    assert page.find("html")[0]["data-theme"] == "auto"


def test_values_stay_values() -> None:
    pages = (
        eid_login_page(server=NASTY, app_name=NASTY, return_url=NASTY, ways=[Way(NASTY, NASTY)]),
        widget_page(server=NASTY, tenant=NASTY, origin=NASTY, tc_token_url=NASTY, theme=NASTY, back=NASTY),
    )
    for page in pages:
        assert b"<script>" not in page
        assert {tag for tag, _ in Document(page).tags} <= {
            *("html", "head", "meta", "title", "link", "script", "body", "main", "h1", "useid-eid", "noscript", "div"),
            *("p", "form", "input", "button", "nav", "ul", "li", "a"),
        }


def test_an_unknown_language_is_english() -> None:
    assert Document(eid_login_page(server="/auth", app_name="Acme", lang="fr")).find("html")[0]["lang"] == "en"
    assert (
        "Log in with your ID card"
        in Document(widget_page(server="/auth", tenant="shop", origin="https://shop.example", lang="fr")).text
    )


def test_the_frame_s_policy_names_the_one_origin_and_is_ours_otherwise() -> None:
    ours = dict(part.strip().partition(" ")[::2] for part in LOGIN_POLICY.split(";"))
    framed = dict(part.strip().partition(" ")[::2] for part in widget_policy("https://shop.example:8443").split(";"))
    assert framed.pop("frame-ancestors") == "https://shop.example:8443"
    assert ours.pop("frame-ancestors") == "'none'"
    assert (framed.pop("form-action"), ours.pop("form-action")) == ("'none'", "'self'")
    assert framed == ours


@pytest.mark.parametrize("origin", ["http://localhost:8000", "http://[::1]:8000", "https://xn--bcher-kva.example"])
def test_origins_of_every_kind_can_frame(origin: str) -> None:
    assert f"frame-ancestors {origin};" in widget_policy(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "", "*", "'self'", "https:", "https://*.example", "shop.example", "https://shop.example/",
        "https://a.example *", "https://a.example; script-src *", "https://a.example\r\nx: y", "https://a.example, *", "javascript://a",
    ],
)  # fmt: skip
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="scheme, host and port"):
        widget_policy(origin)


def test_the_frame_may_copy_and_ask_for_a_credential_and_nothing_else() -> None:
    allowed = [part for part in WIDGET_PERMISSIONS.split(", ") if not part.endswith("=()")]
    assert allowed == ["clipboard-write=(self)", "publickey-credentials-get=(self)"]
