"""``<useid-eid>`` for everybody: axe, keyboard and focus, what is announced, themes, a phone's screen, German."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.eid_wire import EIDCard, EIDWire
from tests.browser.eid_wire import card as card
from tests.browser.eid_wire import wire as wire
from tests.browser.test_widget_access import serious_findings

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 900, "height": 760}},
    "dark": {"viewport": {"width": 900, "height": 760}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 320, "height": 700}},
    "german": {"viewport": {"width": 390, "height": 760}, "locale": "de-DE"},
}
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
#: Those that look other than the states of ``<useid-login>``.
STATES = ("waiting", "scanned", "code", "approved", "rejected", "here", "here-scanned", "here-approved")


def keep(page: Page, name: str) -> None:
    """Put a picture of the page where people look at it."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"eid-{name}.png", full_page=True)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("state", STATES)
def test_every_state_passes_axe_and_fits_the_screen(browser: Browser, wire: EIDWire, state: str, look: str) -> None:
    context = browser.new_context(reduced_motion="reduce", **LOOKS[look])
    page = context.new_page()
    # The page stays where it is after the login.
    page.add_init_script("document.addEventListener('useid-claimed', (event) => event.preventDefault())")
    EIDCard(page, wire).reach(state, "/auth/eid/de" if look == "german" else "/auth/eid")
    keep(page, f"{state}-{look}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert serious_findings(page) == []
    context.close()


@pytest.mark.parametrize("look", ["light", "dark"])
def test_a_phone_s_screen_passes_axe_and_has_a_button_for_a_thumb(browser: Browser, wire: EIDWire, look: str) -> None:
    context = browser.new_context(reduced_motion="reduce", **(LOOKS[look] | PHONE))
    page = context.new_page()
    card = EIDCard(page, wire).open().shows("waiting")
    keep(page, f"phone-{look}")
    box = card.opener.bounding_box()
    assert box is not None
    assert box["height"] >= 44
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert serious_findings(page) == []
    context.close()


def test_every_control_is_at_least_24_pixels_high_and_wide(card: EIDCard) -> None:
    for state in ("waiting", "here", "rejected"):
        card.reach(state)
        for control in card.root.locator(":is(a, button, input, summary):visible").all():
            box = control.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= 24


def test_a_short_module_of_a_long_code_is_still_three_pixels_wide(card: EIDCard) -> None:
    card.wire.default_mode = "integrated"
    card.wire.tc_token_url = f"https://eid.shop.example/tctoken?session={'x' * 64}"
    card.open().shows("waiting")
    modules = float((card.qr.get_attribute("viewBox") or "").split()[2])
    box = card.qr.bounding_box()
    assert box is not None
    assert box["width"] / modules >= 3


def test_the_whole_card_can_be_used_from_the_keyboard(card: EIDCard) -> None:
    card.open().shows("waiting")
    names = []
    for _ in range(3):
        card.page.keyboard.press("Tab")
        focused = card.root.locator(":focus")
        names.append(focused.inner_text())
        assert focused.evaluate("(element) => getComputedStyle(element).outlineStyle") == "solid"
    assert names == ["The eID client is on this computer", "Copy link", "Can’t scan the code?"]
    card.button("The eID client is on this computer").focus()
    card.page.keyboard.press("Enter")
    expect(card.opener).to_be_visible()
    # The pressed button is gone; the next press of Tab is on what took its place.
    assert card.page.evaluate("document.activeElement.localName") == "useid-eid"
    card.page.keyboard.press("Tab")
    expect(card.opener).to_be_focused()


def test_failures_are_alerts_and_everything_else_is_a_polite_status(card: EIDCard) -> None:
    card.reach("scanned")
    assert card.alert.inner_text() == ""
    assert "Continue on your phone" in card.status.inner_text()
    card.wire.move("rejected")
    card.shows("rejected")
    assert "Login cancelled" in card.alert.inner_text()
    assert card.status.inner_text() == ""


def test_the_page_s_language_is_spoken(card: EIDCard) -> None:
    card.reach("here", "/auth/eid/de")
    expect(card.root).to_have_attribute("lang", "de")
    expect(card.opener).to_have_text("AusweisApp öffnen")
    expect(card.status).to_contain_text("Warten auf die AusweisApp")
    card.wire.move("rejected")
    card.shows("rejected")
    expect(card.alert).to_contain_text("Anmeldung abgebrochen")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("theme", "dark"), [("light", False), ("dark", True), ("auto", None)])
def test_the_card_takes_the_theme_it_is_given(
    browser: Browser, wire: EIDWire, theme: str, dark: bool | None, scheme: str
) -> None:
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    card = EIDCard(page, wire).open().shows("waiting")
    page.evaluate("document.documentElement.className = ''")
    page.locator("useid-eid").evaluate("(element, theme) => element.setAttribute('theme', theme)", theme)
    is_dark = scheme == "dark" if dark is None else dark
    expected = "rgb(26, 30, 40)" if is_dark else "rgb(255, 255, 255)"
    expect(card.root).to_have_css("background-color", expected)
    context.close()


def test_the_help_tells_for_whom_the_link_with_the_secret_is(card: EIDCard) -> None:
    card.wire.default_mode = "integrated"
    card.open().shows("waiting")
    card.root.locator("summary").click()
    expect(card.root.locator(".help")).to_contain_text("It is meant for your phone alone. Never pass it on.")
    expect(card.root.locator(".link")).to_have_text(re.compile("#widgetSessionSecret=[A-Za-z0-9_-]{43}$"))
