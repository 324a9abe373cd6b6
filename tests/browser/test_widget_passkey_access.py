"""``<useid-passkey>`` for everybody: axe, keyboard and focus, what is announced, themes, a phone's screen, German."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.passkey_wire import NO_AUTOFILL, Authenticator, Kept, PasskeyCard, PasskeyWire, refused
from tests.browser.passkey_wire import authenticator as authenticator
from tests.browser.passkey_wire import card as card
from tests.browser.passkey_wire import wire as wire
from tests.browser.test_widget_access import serious_findings
from useid_middleware._codec import replace
from useid_middleware.widget.serve import Way

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 900, "height": 760}},
    "dark": {"viewport": {"width": 900, "height": 760}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 320, "height": 700}, "is_mobile": True, "has_touch": True},
    "german": {"viewport": {"width": 390, "height": 760}, "locale": "de-DE"},
}
#: Every look of the card: the page, and the card's status on it.
STATES = {
    "login": ("login", "ready"),
    "login-busy": ("login", "busy"),
    "login-cancelled": ("login", "cancelled"),
    "login-error": ("login", "error"),
    "login-approved": ("login", "approved"),
    "login-unsupported": ("login", "unsupported"),
    "confirm": ("confirm", "ready"),
    "manage-none": ("manage", "ready"),
    "manage": ("manage", "ready"),
    "manage-naming": ("manage", "ready"),
    "manage-deleting": ("manage", "ready"),
    "manage-error": ("manage", "error"),
}
LONG = "Ada’s key ring with a name that needs more than one line on any phone"


def enrol(card: PasskeyCard) -> None:
    """Make a passkey, and another that is kept elsewhere."""
    card.open("manage").shows("ready").add("Laptop")
    [kept] = card.wire.kept.values()
    other = replace(kept.record, credential_id=b"elsewhere", transports=("usb", "nfc"))
    card.wire.kept["other"] = Kept(other, LONG, "2026-04-01T10:00:00Z")


def reach(card: PasskeyCard, authenticator: Authenticator, state: str, *, german: bool = False) -> None:
    """Bring the card into one of :data:`STATES`."""
    page, wire = card.page, card.wire
    path, status = STATES[state]
    page.add_init_script(NO_AUTOFILL)
    # The page stays where it is after the login.
    page.add_init_script("document.addEventListener('useid-claimed', (event) => event.preventDefault())")
    if state not in ("manage-none", "login-unsupported"):
        enrol(card)
    if state in ("login", "confirm"):
        wire.ways = (Way("dem Ausweis" if german else "your ID card", "/auth/eid"),)
        wire.with_phone = state == "login"
    if state == "login-unsupported":
        page.add_init_script("Object.defineProperty(window, 'PublicKeyCredential', { value: undefined })")
    if state == "login-error":
        wire.instead["/passkeys/login"] = refused(401, "webauthn_credential_unknown")
    authenticator.recognises(user=state != "login-cancelled")
    authenticator.is_touched(touched=state != "login-busy")
    card.open(f"{path}/de" if german else path)
    if path == "login" and state not in ("login", "login-unsupported"):
        card.shows("ready").root.get_by_role("button").click()
    if state in ("manage-naming", "manage-deleting", "manage-error"):
        act = "Umbenennen: Laptop" if german else "Rename Laptop"
        if state != "manage-naming":
            act = "Löschen: Laptop" if german else "Delete Laptop"
        card.shows("ready").button(act).click()
    if state == "manage-error":
        wire.kept.clear()
        card.dialog.get_by_role("button").first.click()
    card.shows(status)


def keep(page: Page, name: str) -> None:
    """Put a picture of the page where people look at it."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"passkey-{name}.png", full_page=True)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("state", STATES)
def test_every_state_passes_axe_and_fits_the_screen(browser: Browser, wire: PasskeyWire, state: str, look: str) -> None:
    context = browser.new_context(reduced_motion="reduce", **LOOKS[look])
    page = context.new_page()
    reach(PasskeyCard(page, wire), Authenticator(page), state, german=look == "german")
    keep(page, f"{state}-{look}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert serious_findings(page) == []
    context.close()


def test_every_control_is_at_least_24_pixels_high_and_wide(card: PasskeyCard, authenticator: Authenticator) -> None:
    for state in ("login", "manage-naming", "manage-deleting"):
        card.wire.kept.clear()
        reach(card, authenticator, state)
        for control in card.element.locator(":is(a, button, input):visible").all():
            box = control.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= 24


def test_the_login_can_be_used_from_the_keyboard(card: PasskeyCard, authenticator: Authenticator) -> None:
    reach(card, authenticator, "login-cancelled")
    card.open("login").shows("ready")
    for control in (card.field, card.button("Use a passkey")):
        card.page.keyboard.press("Tab")
        expect(control).to_be_focused()
        assert control.evaluate("(element) => getComputedStyle(element).outlineStyle") == "solid"
    card.page.keyboard.press("Space")
    card.shows("cancelled")
    expect(card.button("Try again")).to_be_focused()


def test_the_list_can_be_used_from_the_keyboard(card: PasskeyCard, authenticator: Authenticator) -> None:
    reach(card, authenticator, "manage")
    names = []
    for _ in range(5):
        card.page.keyboard.press("Tab")
        focused = card.root.locator(":focus")
        names.append(focused.get_attribute("aria-label") or focused.inner_text())
        assert focused.evaluate("(element) => getComputedStyle(element).outlineStyle") == "solid"
    assert names == ["Rename Laptop", "Delete Laptop", f"Rename {LONG}", f"Delete {LONG}", "Add a passkey"]
    card.button("Rename Laptop").focus()
    card.page.keyboard.press("Enter")
    card.page.keyboard.type("Office")
    card.page.keyboard.press("Enter")
    expect(card.button("Rename Office")).to_be_focused()
    card.page.keyboard.press("Tab")
    card.page.keyboard.press("Enter")
    expect(card.dialog).to_be_focused()
    card.page.keyboard.press("Tab")
    expect(card.dialog.get_by_role("button", name="Delete")).to_be_focused()
    card.page.keyboard.press("Enter")
    expect(card.rows).to_have_count(1)
    # What had the focus is gone; the next press of Tab is on what follows.
    card.page.keyboard.press("Tab")
    expect(card.button(f"Rename {LONG}")).to_be_focused()


def test_one_name_is_typed_at_a_time(card: PasskeyCard, authenticator: Authenticator) -> None:
    reach(card, authenticator, "manage-naming")
    card.button(f"Rename {LONG}").click()
    expect(card.root.get_by_label("Name", exact=True)).to_have_value(LONG)
    expect(card.button("Rename Laptop")).to_be_visible()


def test_failures_are_alerts_and_everything_else_is_a_polite_status(
    card: PasskeyCard, authenticator: Authenticator
) -> None:
    reach(card, authenticator, "login-approved")
    expect(card.alert).to_be_empty()
    expect(card.status).to_contain_text("You are logged in")
    card.wire.instead["/passkeys/login"] = refused(401, "webauthn_signature_invalid")
    card.open("login").shows("ready").button("Use a passkey").click()
    card.shows("error")
    expect(card.alert).to_contain_text("Something went wrong")
    expect(card.status).to_be_empty()


def test_the_page_s_language_is_spoken(card: PasskeyCard, authenticator: Authenticator) -> None:
    reach(card, authenticator, "manage", german=True)
    expect(card.root).to_have_attribute("lang", "de")
    expect(card.rows.first).to_contain_text("Auf einem Gerät")
    card.button("Löschen: Laptop").click()
    expect(card.dialog).to_contain_text("„Laptop“ löschen?")
    card.dialog.get_by_role("button", name="Löschen").click()
    expect(card.status).to_contain_text("Passkey gelöscht")
    card.element.evaluate("(element) => element.setAttribute('lang', 'en')")
    expect(card.rows.first).to_contain_text("Security key")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("theme", "dark"), [("light", False), ("dark", True)])
def test_the_card_takes_the_theme_it_is_given(
    browser: Browser, wire: PasskeyWire, theme: str, dark: bool, scheme: str
) -> None:
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    card = PasskeyCard(context.new_page(), wire).open("manage").shows("ready")
    card.element.evaluate("(element, theme) => element.setAttribute('theme', theme)", theme)
    expect(card.root).to_have_css("background-color", "rgb(26, 30, 40)" if dark else "rgb(255, 255, 255)")
    context.close()


def test_motion_stops_for_whoever_asks_for_it(browser: Browser, wire: PasskeyWire) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    card = PasskeyCard(page, wire)
    reach(card, Authenticator(page), "manage-deleting")
    assert card.element.evaluate("(element) => element.shadowRoot.getAnimations().length") == 0
    context.close()


@pytest.mark.parametrize("path", ["login", "manage", "confirm"])
def test_without_scripts_the_pages_say_what_is_missing(browser: Browser, wire: PasskeyWire, path: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{wire.url}/auth/{path}")
    expect(page.locator("useid-passkey")).to_be_hidden()
    expect(page.locator("noscript .card")).to_be_visible()
    context.close()
