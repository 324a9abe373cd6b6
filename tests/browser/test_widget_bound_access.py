"""Logins that are bound, for everybody: axe, keyboard and focus, what is announced, themes, narrow screens, German."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.bound_wire import BOUND_STATES, BoundEIDWire, BoundWire, stay
from tests.browser.card import Card
from tests.browser.eid_wire import EIDCard
from tests.browser.test_widget_access import serious_findings
from tests.browser.wire import Answer

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 900, "height": 760}},
    "dark": {"viewport": {"width": 900, "height": 760}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 320, "height": 700}, "has_touch": True},
    "german": {"viewport": {"width": 390, "height": 760}, "locale": "de-DE"},
}
PROCEED = "Continue with your phone"
#: Counts how often the browser is asked for a credential.
COUNT = """
window.gets = 0;
const get = navigator.credentials.get;
navigator.credentials.get = function (...args) { gets += 1; return get.apply(this, args); };
"""


@pytest.fixture
def wire() -> Iterator[BoundWire]:
    server = BoundWire()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def eid_wire() -> Iterator[BoundEIDWire]:
    server = BoundEIDWire()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def card(page: Page, wire: BoundWire) -> Card:
    return Card(page, wire)


def link_of(card: Card) -> str:
    return card.root.locator(".link").text_content() or ""


def reach(card: Card, wire: BoundWire, state: str, path: str) -> None:
    """Bring the card into one of :data:`BOUND_STATES`."""
    if state == "unsupported":
        card.page.add_init_script("Object.defineProperty(window, 'PublicKeyCredential', { value: undefined })")
        card.open(path).shows("error")
        return
    card.open(path).shows("waiting")
    if state == "confirmed":
        wire.move("confirmed")
        card.shows("confirmed")
        return
    touch = wire.phone.come_near(card.page)
    touch.recognises(user=state != "cancelled")
    touch.is_touched(touched=state != "proving")
    if state == "refused":
        wire.instead["/assertions"] = Answer(401, '{"code": "webauthn_signature_invalid"}')
    wire.ask(link_of(card))
    card.shows("authenticate")
    if state == "authenticate":
        return
    card.root.locator("button:visible").click()
    if state == "proving":
        expect(card.root).to_have_attribute("aria-busy", "true")
    else:
        expect(card.alert).not_to_be_empty()
        card.shows("rejected" if state == "refused" else "authenticate")


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("state", BOUND_STATES)
def test_every_state_passes_axe_and_fits_the_screen(browser: Browser, wire: BoundWire, state: str, look: str) -> None:
    context = browser.new_context(reduced_motion="reduce", **LOOKS[look])
    stay(context)
    page = context.new_page()
    reach(Card(page, wire), wire, state, "/auth/login/de" if look == "german" else "/auth/login")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"bound-{state}-{look}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert serious_findings(page) == []
    context.close()


@pytest.mark.parametrize("look", ["light", "german"])
def test_an_eid_login_that_asks_for_the_phone_passes_axe(browser: Browser, eid_wire: BoundEIDWire, look: str) -> None:
    context = browser.new_context(reduced_motion="reduce", **LOOKS[look])
    page = context.new_page()
    card = EIDCard(page, eid_wire)
    for state in ("waiting", "authenticate"):
        path = "/auth/eid/de" if look == "german" else "/auth/eid"
        if state == "waiting":
            card.open(path).shows("waiting")
        else:
            reach(card, eid_wire, state, path)
        page.screenshot(path=SCREENSHOTS / f"bound-eid-{state}-{look}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert serious_findings(page) == []
    context.close()


def test_the_focus_moves_to_the_button_and_stays_there(card: Card, wire: BoundWire) -> None:
    card.page.add_init_script(COUNT)
    card.open().shows("waiting")
    wire.phone.come_near(card.page).is_touched(touched=False)
    wire.ask(link_of(card))
    button = card.shows("authenticate").button(PROCEED)
    expect(button).to_be_focused()
    assert button.evaluate("(element) => element.getBoundingClientRect().height") >= 44
    card.page.keyboard.press("Enter")
    busy = card.button("Waiting …")
    expect(busy).to_be_focused()
    expect(busy).to_have_attribute("aria-disabled", "true")
    expect(card.status).to_contain_text("Follow what your browser and your phone ask.")
    # A second press asks nothing else of the browser, which would refuse it.
    card.page.keyboard.press("Enter")
    assert card.page.evaluate("gets") == 1
    assert card.state()["error"] is None


def test_the_button_does_not_take_the_focus_from_a_field(card: Card, wire: BoundWire) -> None:
    card.open().shows("waiting")
    card.page.evaluate("document.querySelector('main').append(document.createElement('textarea'))")
    card.page.locator("textarea").focus()
    wire.ask(link_of(card))
    card.shows("authenticate")
    expect(card.page.locator("textarea")).to_be_focused()


def test_a_failure_is_an_alert_beside_the_status_and_the_focus_stays(card: Card, wire: BoundWire) -> None:
    card.open().shows("waiting")
    wire.phone.come_near(card.page).recognises(user=False)
    wire.ask(link_of(card))
    card.shows("authenticate")
    assert card.alert.inner_text() == ""
    assert "One more step" in card.status.inner_text()
    card.page.keyboard.press("Enter")
    expect(card.alert).to_contain_text("Your phone was not reached")
    assert "One more step" in card.status.inner_text()
    expect(card.button("Try again")).to_be_focused()


def test_what_the_phone_has_confirmed_is_a_polite_status_and_moves_no_focus(card: Card, wire: BoundWire) -> None:
    card.open().shows("waiting")
    wire.move("confirmed")
    card.shows("confirmed")
    assert "Approved on your phone" in card.status.inner_text()
    assert card.alert.inner_text() == ""
    assert card.page.evaluate("document.activeElement === document.body")
    expect(card.timer).to_be_visible()


def test_the_countdown_goes_on_while_the_phone_is_asked_for(card: Card, wire: BoundWire) -> None:
    card.page.clock.install()
    wire.expires_in = 70
    # The stand-in sends no heartbeat, and a stream opened anew would start the time again.
    wire.heartbeat = 1_000
    card.open().shows("waiting")
    wire.ask(link_of(card))
    card.shows("authenticate")
    expect(card.timer).to_contain_text("Expires in 1:")
    card.page.evaluate(
        """() => {
          window.announced = [];
          const region = document.querySelector("useid-login").shadowRoot.querySelector(".unseen");
          new MutationObserver(() => announced.push(region.textContent)).observe(region, { childList: true });
        }"""
    )
    for _ in range(45):
        card.page.clock.run_for(1_000)
    assert card.page.evaluate("announced") == ["One minute left.", "30 seconds left."]


def test_the_page_s_language_is_spoken(card: Card, wire: BoundWire) -> None:
    card.open("/auth/login/de").shows("waiting")
    wire.phone.come_near(card.page).recognises(user=False)
    wire.ask(link_of(card))
    card.shows("authenticate")
    expect(card.status).to_contain_text("Noch ein Schritt")
    card.button("Weiter mit dem Smartphone").click()
    expect(card.alert).to_contain_text("Das Smartphone war nicht erreichbar")
    expect(card.button("Noch einmal versuchen")).to_be_visible()
