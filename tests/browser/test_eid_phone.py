"""The emulated phone with an ID card as a person uses it: in a real Chromium, a scripted client behind the page."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, FilePayload, Page, expect

from tests.browser.eid_phone import CardPhone, Served
from tests.browser.people import serious_findings, shoot
from tests.emulation.client.scripted import LINK, REQUEST, TC_TOKEN_URL, ScriptedClient, phone
from useid_middleware.http.asgi import Receive, Scope, Send

PIN, WRONG, CAN = "123456", "111111", "500540"


async def website(scope: Scope, receive: Receive, send: Send) -> None:
    """Where the browser goes on."""
    assert scope["type"] == "http"
    page = b"<!doctype html><title>Website</title><h1>The website goes on</h1>"
    headers = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": page})


@dataclass
class Hand(CardPhone):
    """The phone with the scripted client behind its page."""

    client: ScriptedClient


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A window high enough for the whole phone."""
    context = browser.new_context(locale="en-GB", timezone_id="Europe/Berlin", viewport={"width": 520, "height": 920})
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def hand(page: Page) -> Iterator[Hand]:
    """A phone with erika's card, switched on."""
    site = Served(website)
    client = ScriptedClient(refresh=f"{site.url}refresh")
    app = phone(client, app_url=site.url)
    served = Served(app, lifespan="on")
    hand = Hand(page, served.url, client)
    hand.switch_on()
    yield hand
    hand.page.goto("about:blank")
    served.stop()
    site.stop()


def test_a_person_looks_who_asks_agrees_and_goes_on_at_the_website(hand: Hand) -> None:
    hand.shoot("home")
    assert serious_findings(hand.page) == []
    hand.open_link(LINK)
    page = hand.page
    hand.shows("Identify yourself?")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.get_by_role("listitem")).to_have_text(
        ["Pseudonym for this service", "Given names", "Family name", "Age check: at least 18 years old"]
    )
    page.get_by_label("Religious or artistic name").uncheck()
    page.get_by_text("Who asks").click()
    for text in ("TEST Harbour", "https://localhost:8443", "TEST DV", "28 Feb 2026 to 30 Mar 2026", "1 Mar 2008"):
        expect(page.locator("#facts")).to_contain_text(text)
    expect(page.get_by_role("region", name="Terms of usage")).to_contain_text("Trust nothing of this.")
    hand.shoot("confirm")
    assert serious_findings(page) == []
    hand.agree()
    hand.shows("Enter your PIN")
    hand.shoot("pin")
    assert serious_findings(page) == []
    hand.type(PIN)
    page.wait_for_url("**/refresh")
    expect(page.get_by_role("heading", name="The website goes on")).to_be_visible()
    assert hand.client.granted == [frozenset({"READ_DG17"})]


def test_the_pad_can_be_pressed_and_what_was_typed_is_never_readable(hand: Hand) -> None:
    hand.open_link(LINK)
    hand.agree()
    page = hand.page
    for digit in "12345":
        page.get_by_role("button", name=digit, exact=True).click()
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("All 6 digits, please.")
    page.get_by_role("button", name="9", exact=True).click()
    page.get_by_role("button", name="Delete the last digit").click()
    page.get_by_role("button", name="6", exact=True).click()
    assert "123456" not in page.locator("body").inner_text()
    expect(page.get_by_label("PIN, 6 digits")).to_have_attribute("type", "password")
    hand.shoot("pin-typed")
    page.get_by_role("button", name="Continue", exact=True).click()
    page.wait_for_url("**/refresh")


def test_wrong_pins_lead_to_the_can_and_to_the_last_try(hand: Hand) -> None:
    hand.open_link(LINK)
    hand.agree()
    hand.type(WRONG)
    expect(hand.page.get_by_role("alert")).to_have_text("That was not right. 2 tries left.")
    hand.shoot("pin-wrong")
    assert serious_findings(hand.page) == []
    hand.type(WRONG)
    hand.shows("Enter the CAN")
    hand.shoot("can")
    hand.type(CAN)
    hand.shows("Enter your PIN")
    expect(hand.page.get_by_role("alert")).to_have_text("One try left.")
    hand.type(PIN)
    hand.page.wait_for_url("**/refresh")


def test_a_blocked_card_says_so_and_can_be_renewed(hand: Hand) -> None:
    hand.open_link(LINK)
    hand.agree()
    alert = hand.page.get_by_role("alert")
    hand.type(WRONG)
    expect(alert).to_have_text("That was not right. 2 tries left.")
    hand.type(WRONG)
    hand.shows("Enter the CAN")
    hand.type(CAN)
    expect(alert).to_have_text("One try left.")
    hand.type(WRONG)
    hand.shows("That did not work")
    hand.shoot("failed")
    assert serious_findings(hand.page) == []
    hand.page.get_by_role("button", name="To the start").click()
    expect(hand.page.locator("#card-status")).to_have_text("Three wrong PINs: blocked.")
    hand.page.get_by_text("For tests").click()
    hand.page.get_by_role("button", name="Take the card as it was new").click()
    expect(hand.page.locator("#card-status")).to_have_text("Ready.")
    hand.shoot("renewed")
    assert serious_findings(hand.page) == []


def test_a_cancelled_dialogue_offers_the_way_back_to_the_website(hand: Hand) -> None:
    hand.open_link(LINK)
    hand.shows("Identify yourself?")
    hand.page.get_by_role("button", name="Cancel").click()
    hand.shows("Cancelled")
    hand.shoot("cancelled")
    hand.page.get_by_role("link", name="Back to the website").click()
    hand.page.wait_for_url("**/refresh?ResultMajor=error")


def test_a_card_can_be_taken_away_while_it_is_read(hand: Hand) -> None:
    hand.page.get_by_text("For tests").click()
    hand.page.get_by_label("What goes wrong").select_option("slow")
    expect(hand.page.locator("#fault-about")).to_contain_text("takes 0.5 seconds for each answer")
    hand.open_link(LINK)
    hand.agree()
    hand.type(PIN)
    hand.shows("Reading the card")
    expect(hand.page.locator("#commands")).to_contain_text("Commands answered: 1")
    hand.shoot("reading")
    assert serious_findings(hand.page) == []
    hand.page.get_by_role("button", name="Take the card away").click()
    expect(hand.page.locator("#error-code")).to_have_text("card_lost")


def test_a_link_that_starts_a_client_on_this_computer_is_waiting_on_the_page(hand: Hand) -> None:
    hand.switch_on(f"eID-Client?tcTokenURL={TC_TOKEN_URL}")
    hand.page.get_by_role("heading", name="A website asks for your ID card").wait_for()
    assert hand.page.url == hand.url
    hand.shoot("arrived")
    hand.page.get_by_role("button", name="Continue", exact=True).click()
    hand.shows("Identify yourself?")
    assert hand.client.links == [LINK]


def test_a_link_with_a_secret_comes_in_the_fragment_and_reaches_the_client_whole(hand: Hand) -> None:
    secret = "#widgetSessionSecret=" + "A" * 43
    link = f"{LINK}&widgetSessionId={'A' * 22}&server=https%3A%2F%2Fapp.example{secret}"
    hand.client.is_sealed = True
    hand.switch_on(f"#link={quote(link, safe='')}")
    hand.page.get_by_role("button", name="Continue", exact=True).click()
    hand.agree()
    hand.type(PIN)
    expect(hand.page.get_by_text("You can go on at your computer.")).to_be_visible()
    expect(hand.page.get_by_role("link", name="Back to the website")).to_be_hidden()
    hand.shoot("sealed")
    assert hand.client.links == [link]


def test_a_second_link_can_be_handed_to_an_open_window(hand: Hand) -> None:
    hand.page.evaluate("(link) => { location.hash = `link=${encodeURIComponent(link)}` }", LINK)
    hand.page.get_by_role("button", name="Continue", exact=True).click()
    hand.shows("Identify yourself?")


def test_an_address_for_the_browser_opens_there(hand: Hand) -> None:
    hand.open_link(hand.client.refresh)
    hand.page.wait_for_url("**/refresh")


@pytest.mark.parametrize("link", ["", "hello", "javascript:alert(1)", "tana://auth?x=1"])
def test_a_link_that_is_none_is_refused(hand: Hand, link: str) -> None:
    hand.open_link(link)
    expect(hand.page.locator("#error-code")).to_have_text("link_refused")


def test_a_users_own_card_is_read_from_its_file(hand: Hand) -> None:
    toml = "title='Mine'\nsecrets={pin='654321'}\nholder={given_names='A',family_names='B',date_of_birth=1990-01-01}"
    hand.page.get_by_text("For tests").click()
    file = FilePayload(name="mine.toml", mimeType="application/toml", buffer=toml.encode())
    hand.page.get_by_label("A card of your own").set_input_files(file)
    expect(hand.page.locator("#card-status")).to_have_text("Made anew for each dialogue.")
    hand.open_link(LINK)
    hand.agree()
    hand.type("654321")
    hand.page.wait_for_url("**/refresh")


def test_what_the_certificate_says_is_text_and_shown_harmlessly(hand: Hand) -> None:
    hostile = "<b>Bank</b>\u202egnp.exe"
    hand.client.request = replace(REQUEST, subject_name=hostile, transaction_info=hostile, terms_of_usage=hostile)
    hand.open_link(LINK)
    hand.shows("Identify yourself?")
    expect(hand.page.locator("#subject-name")).to_have_text("<b>Bank</b>\ufffdgnp.exe")
    expect(hand.page.locator("#subject-name b")).to_have_count(0)


def test_everything_can_be_done_by_keyboard(hand: Hand) -> None:
    keyboard = hand.page.keyboard
    hand.page.get_by_label("Link", exact=True).focus()
    keyboard.insert_text(LINK)
    keyboard.press("Enter")
    hand.shows("Identify yourself?")
    for _ in range(5):
        keyboard.press("Tab")
    expect(hand.page.get_by_role("button", name="Continue to PIN")).to_be_focused()
    keyboard.press("Enter")
    hand.shows("Hold your card to the phone")
    keyboard.press("Tab")
    keyboard.press("Enter")
    hand.type(PIN)
    hand.page.wait_for_url("**/refresh")


def test_in_german_and_in_the_dark_every_screen_is_legible(hand: Hand, browser: Browser) -> None:
    context = browser.new_context(locale="de-DE", color_scheme="dark", viewport={"width": 520, "height": 920})
    page = context.new_page()
    page.goto(hand.url)
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.locator("#card-status")).to_have_text("Bereit.")
    _check_dark(page, "home")
    page.get_by_label("Link", exact=True).fill(LINK)
    page.get_by_role("button", name="Öffnen").click()
    expect(page.get_by_role("heading", name="Online ausweisen?")).to_be_visible()
    expect(page.get_by_role("listitem").last).to_have_text("Altersprüfung: mindestens 18 Jahre alt")
    _check_dark(page, "confirm")
    page.get_by_role("button", name="Weiter zur PIN").click()
    expect(page.get_by_role("heading", name="Halten Sie den Ausweis ans Telefon")).to_be_visible()
    _check_dark(page, "hold")
    page.get_by_role("button", name="Ausweis ans Telefon halten").click()
    _check_dark(page, "pin")
    page.keyboard.type(WRONG)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Das war nicht richtig. Noch 2 Versuche.")
    _check_dark(page, "pin-wrong")
    page.get_by_role("button", name="Abbrechen").click()
    expect(page.get_by_role("heading", name="Abgebrochen")).to_be_visible()
    _check_dark(page, "cancelled")
    context.close()


def _check_dark(page: Page, name: str) -> None:
    shoot(page, f"eid-phone-de-dark-{name}")
    assert serious_findings(page, rules=["color-contrast"]) == []


def test_a_narrow_and_low_screen_scrolls_one_way_only(hand: Hand, browser: Browser) -> None:
    context = browser.new_context(locale="de-DE", viewport={"width": 320, "height": 560})
    page = context.new_page()
    page.goto(hand.url)
    expect(page.locator("#card-status")).to_have_text("Bereit.")
    _check_narrow(page, "home")
    page.get_by_label("Link", exact=True).fill(LINK)
    page.get_by_role("button", name="Öffnen").click()
    expect(page.get_by_role("heading", name="Online ausweisen?")).to_be_visible()
    _check_narrow(page, "confirm")
    page.get_by_role("button", name="Weiter zur PIN").click()
    page.get_by_role("button", name="Ausweis ans Telefon halten").click()
    expect(page.get_by_role("heading", name="Geben Sie Ihre PIN ein")).to_be_visible()
    _check_narrow(page, "pin")
    context.close()


def _check_narrow(page: Page, name: str) -> None:
    shoot(page, f"eid-phone-narrow-{name}")
    assert page.evaluate("document.querySelector('main').scrollWidth <= 320")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
