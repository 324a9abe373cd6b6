"""``<useid-login>`` for everybody: axe, keyboard and focus, what is announced, languages, themes, narrow screens."""

import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, Page, expect

from tests.browser.card import STATES, Card
from tests.browser.wire import Wire

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 900, "height": 760}},
    "dark": {"viewport": {"width": 900, "height": 760}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 320, "height": 700}, "has_touch": True},
    "german": {"viewport": {"width": 390, "height": 760}, "locale": "de-DE"},
}


@pytest.fixture
def card(page: Page, wire: Wire) -> Card:
    return Card(page, wire)


def serious_findings(page: Page, *, disabled: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """What axe finds at impact serious or critical: rule and place."""
    page.evaluate(AXE_FILE_PATH.read_text())
    rules = {rule: {"enabled": False} for rule in disabled}
    run = "(rules) => axe.run(document, { rules }).then((result) => result.violations)"
    found: list[dict[str, Any]] = page.evaluate(run, rules)
    return [
        (violation["id"], str(node["target"]))
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("state", STATES)
def test_every_state_passes_axe_and_fits_the_screen(browser: Browser, wire: Wire, state: str, look: str) -> None:
    context = browser.new_context(reduced_motion="reduce", **LOOKS[look])
    page = context.new_page()
    card = Card(page, wire)
    # The page stays where it is after the login.
    page.add_init_script("document.addEventListener('useid-claimed', (event) => event.preventDefault())")
    card.reach(state, "/auth/login/de" if look == "german" else "/auth/login")
    if state == "waiting":
        assert card.root.locator(".qr").evaluate("(qr) => getComputedStyle(qr).backgroundColor") == "rgb(255, 255, 255)"
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"widget-{state}-{look}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert serious_findings(page) == []
    context.close()


def test_every_control_is_at_least_24_pixels_high_and_wide(card: Card) -> None:
    for state in ("waiting", "code", "expired"):
        card.wire.code = None
        card.reach(state)
        for control in card.root.locator(":is(a, button, input, summary):visible").all():
            box = control.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= 24


def test_the_qr_code_has_a_text_alternative_and_a_quiet_zone(card: Card) -> None:
    card.open().shows("waiting")
    expect(card.root.get_by_role("img", name=re.compile("^QR code for logging in"))).to_be_visible()
    size = float((card.qr.get_attribute("viewBox") or "").split()[2])
    measure = "(path) => { const { x, y, width, height } = path.getBBox(); return [x, y, width, height]; }"
    box = card.qr.locator("path").evaluate(measure)
    assert box == [4, 4, size - 8, size - 8]


def test_failures_are_alerts_and_everything_else_is_a_polite_status(card: Card) -> None:
    card.open().shows("waiting")
    assert card.alert.inner_text() == ""
    card.wire.move("scanned")
    card.shows("scanned")
    assert card.alert.inner_text() == ""
    card.wire.move("rejected")
    card.shows("rejected")
    assert "Login rejected" in card.alert.inner_text()
    assert card.status.inner_text() == ""


def test_the_countdown_is_announced_at_60_30_and_10_seconds_only(card: Card) -> None:
    card.page.clock.install()
    card.wire.expires_in = 70
    # The stand-in sends no heartbeat, and a stream opened anew would start the time again.
    card.wire.heartbeat = 1_000
    card.open().shows("waiting")
    card.page.evaluate(
        """() => {
          window.announced = [];
          const region = document.querySelector("useid-login").shadowRoot.querySelector(".unseen");
          new MutationObserver(() => announced.push(region.textContent)).observe(region, { childList: true });
        }"""
    )
    for _ in range(69):
        card.page.clock.run_for(1_000)
    assert card.page.evaluate("announced") == ["One minute left.", "30 seconds left.", "10 seconds left."]
    expect(card.timer).to_have_text(re.compile(r"^Expires in 0:0\d$"))


def test_the_countdown_does_not_follow_the_wall_clock(card: Card) -> None:
    card.page.clock.install()
    card.open().shows("waiting")
    card.page.clock.set_system_time("2040-01-01T00:00:00Z")
    card.page.clock.run_for(1_000)
    expect(card.timer).to_have_text(re.compile(r"^Expires in (4:5\d|5:00)$"))


def test_the_focus_stays_where_it_is_until_the_user_has_something_to_do(card: Card) -> None:
    card.open().shows("waiting")
    card.wire.move("scanned")
    card.shows("scanned")
    assert card.page.evaluate("document.activeElement === document.body")
    card.wire.move("rejected")
    card.shows("rejected")
    assert card.page.evaluate("document.activeElement === document.body")


def test_the_focus_follows_to_the_retry_button_when_it_was_inside(card: Card) -> None:
    card.open().shows("waiting")
    card.button("Copy link").focus()
    card.wire.move("rejected")
    card.shows("rejected")
    expect(card.button("Try again")).to_be_focused()
    card.page.keyboard.press("Enter")
    card.shows("waiting")
    assert card.page.evaluate("document.activeElement.localName") == "useid-login"


def test_the_code_field_does_not_take_the_focus_from_another_field(card: Card) -> None:
    card.wire.code = "482913"
    card.open().shows("waiting")
    card.page.evaluate("document.querySelector('main').append(document.createElement('textarea'))")
    card.page.locator("textarea").focus()
    card.wire.move("approved")
    card.shows("code")
    expect(card.page.locator("textarea")).to_be_focused()


def test_the_whole_card_can_be_used_from_the_keyboard(card: Card) -> None:
    card.open().shows("waiting")
    names = []
    for _ in range(3):
        card.page.keyboard.press("Tab")
        focused = card.root.locator(":focus")
        names.append(focused.inner_text())
        assert focused.evaluate("(element) => getComputedStyle(element).outlineStyle") == "solid"
    assert names == ["Open on this device", "Copy link", "Can’t scan the code?"]
    card.page.keyboard.press("Enter")
    expect(card.root.locator(".link")).to_have_text(card.wire.link)


def test_the_page_s_language_is_spoken(card: Card) -> None:
    card.open("/auth/login/de").shows("waiting")
    expect(card.status).to_have_text("Warten auf Ihr Smartphone")
    expect(card.root).to_have_attribute("lang", "de")
    card.wire.move("expired")
    card.shows("expired")
    expect(card.alert).to_contain_text("Sitzung abgelaufen")
    expect(card.button("Neuen Code holen")).to_be_visible()


@pytest.mark.parametrize(("lang", "spoken"), [("de-CH", "de"), ("EN", "en"), ("fr", "en")])
def test_the_element_s_own_language_comes_first(card: Card, lang: str, spoken: str) -> None:
    card.open().shows("waiting")
    card.page.locator("useid-login").evaluate("(element, lang) => element.setAttribute('lang', lang)", lang)
    expect(card.root).to_have_attribute("lang", spoken)


def test_both_languages_say_the_same_things(card: Card) -> None:
    card.open()
    shapes = card.page.evaluate(
        """async () => {
          const inside = (value) => Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shape(each)]));
          const shape = (value) => Array.isArray(value) ? value.map((each) => each !== "")
            : typeof value === "object" ? inside(value) : typeof value;
          const load = async (name) => shape((await import(`/auth/widget/locales/${name}.js`)).default);
          return [await load("en"), await load("de")];
        }"""
    )
    assert shapes[0] == shapes[1]


def test_motion_stops_for_whoever_asks_for_it(browser: Browser, wire: Wire) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    Card(page, wire).reach("scanned")
    assert page.evaluate("document.querySelector('useid-login').shadowRoot.getAnimations().length") == 0
    context.close()


def test_colours_follow_the_host_app_s_properties(card: Card) -> None:
    card.reach("expired")
    card.page.locator("useid-login").evaluate("(host) => host.style.setProperty('--useid-accent', 'rgb(1, 2, 3)')")
    expect(card.button("Get a new code")).to_have_css("background-color", "rgb(1, 2, 3)")
