"""``<useid-eid>``: its modes and every state. The integrated mode has a module of its own."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.eid_wire import CLAIM, START, EIDCard, EIDWire
from tests.browser.eid_wire import card as card
from tests.browser.eid_wire import wire as wire
from tests.browser.wire import SESSION, Answer

#: What the server may answer to start, and what no login comes of.
NO_ANSWERS = (
    "<h1>Welcome</h1>",
    '{"sessionId": "x", "mode": "other", "qrData": "https://a.example/", "expiresIn": 9}',
    '{"sessionId": "x", "mode": "standard", "qrData": "javascript://%0af()", "expiresIn": 9}',
    '{"sessionId": "x", "mode": "same-device", "qrData": "https://a.example/", "expiresIn": 9}',
    '{"sessionId": "x", "mode": "same-device", "clientUrl": "data:text/html,x", "expiresIn": 9}',
    '{"sessionId": "x", "mode": "same-device", "clientUrl": "eid://127.0.0.1:24727/", "expiresIn": 9,'
    ' "loopbackUrl": "http://127.0.0.1.evil.example/"}',
    '{"sessionId": "../x", "mode": "standard", "qrData": "https://a.example/", "expiresIn": 9}',
    '{"mode": "standard", "qrData": "https://a.example/", "expiresIn": 9}',
    '{"sessionId": "x", "mode": "standard", "qrData": "https://a.example/"}',
)
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 760}, "is_mobile": True, "has_touch": True}


@pytest.fixture
def phone(browser: Browser, wire: EIDWire) -> Iterator[EIDCard]:
    context = browser.new_context(locale="en-GB", **PHONE)
    context.set_default_timeout(20_000)
    yield EIDCard(context.new_page(), wire)
    context.close()


# ── standard mode ──


def test_a_computer_leaves_the_mode_to_the_server_and_shows_a_code(card: EIDCard) -> None:
    card.open().shows("waiting")
    expect(card.qr).to_be_visible()
    expect(card.root.locator(".lead")).to_have_text("Scan the code with your phone’s camera.")
    assert card.wire.bodies == [{"returnUrl": "/orders"}]
    state = card.state()
    assert (state["mode"], state["qrData"], state["sessionId"]) == ("standard", card.wire.link, SESSION)
    assert card.read_link() == card.wire.link
    assert card.wire.count(START) == card.wire.count("GET /session/{id}/events") == 1


def test_a_phone_that_began_hides_the_code(card: EIDCard) -> None:
    card.reach("scanned")
    expect(card.status).to_contain_text("Continue on your phone")
    expect(card.qr).to_be_hidden()


def test_the_code_that_the_phone_shows_completes_the_login(card: EIDCard) -> None:
    card.reach("code")
    expect(card.field).to_be_focused()
    card.page.keyboard.type("482913")
    card.page.keyboard.press("Enter")
    card.page.wait_for_url("**/done")
    assert card.wire.bodies[-1] == {"code": "482913"}


def test_a_wrong_code_can_be_mended(card: EIDCard) -> None:
    card.reach("code-wrong")
    expect(card.root.locator(".code-error")).to_contain_text("4 attempts left.")
    card.field.fill("482913")
    card.button("Confirm").click()
    card.shows("approved")


def test_a_result_that_is_being_fetched_changes_nothing_to_see(card: EIDCard) -> None:
    card.reach("scanned")
    before = card.root.inner_html()
    card.wire.move("claiming")
    # Whoever shows this time has heard of the state before it.
    card.wire.say("status", {**card.wire.snapshot(), "version": card.wire.version, "expiresIn": 240})
    expect(card.timer).to_contain_text(re.compile(r"4:00|3:\d\d"))
    assert card.state()["status"] == "scanned"
    assert re.sub(r"\d:\d\d", "", card.root.inner_html()) == re.sub(r"\d:\d\d", "", before)


@pytest.mark.parametrize(
    ("reason", "code", "headline"),
    [
        ("cancelled", "cancelled", "Login cancelled"),
        ("failed", "client_failed", "Login failed"),
        ("code", "too_many_codes", "wrong too many times"),
        ("document", "document_refused", "ID card refused"),
        ("requirements", "requirements_unmet", "does not show what this site asks for"),
        ("constructor", None, "Login ended"),
        ("", None, "Login ended"),
    ],
)
def test_a_rejected_login_says_why_and_can_be_started_again(
    card: EIDCard, reason: str, code: str | None, headline: str
) -> None:
    card.wire.reason = reason
    card.reach("rejected")
    expect(card.alert).to_contain_text(headline)
    error = card.state()["error"]
    assert (error and error["code"]) == code
    card.button("Try again").click()
    card.shows("waiting")
    assert card.wire.count(START) == 2


def test_an_expired_login_can_be_started_again(card: EIDCard) -> None:
    card.reach("expired")
    expect(card.alert).to_contain_text("valid for a few minutes only")
    card.button("Start again").click()
    card.shows("waiting")


def test_a_lost_connection_comes_back_by_itself(card: EIDCard) -> None:
    card.reach("offline")
    expect(card.alert).to_contain_text("Connection lost")
    card.wire.start()
    card.shows("waiting")


def test_an_answer_that_is_not_the_reference_s_starts_nothing(card: EIDCard) -> None:
    card.wire.instead["/create"] = Answer(201, "null")
    card.open().shows("error")
    for body in NO_ANSWERS:
        card.wire.instead["/create"] = Answer(201, body)
        starts = card.wire.count(START)
        card.button("Try again").click()
        card.wire.await_calls(START, starts + 1)
        card.shows("error")
        assert card.state()["error"]["code"] == "invalid_response", body
        assert card.state()["qrData"] is None


def test_a_link_longer_than_a_code_can_be_is_refused(card: EIDCard) -> None:
    card.wire.tc_token_url = f"https://shop.example/{'x' * 900}"
    card.wire.default_mode = "integrated"
    card.open().shows("error")
    assert card.state()["error"]["code"] == "link_too_long"


def test_a_login_refused_by_a_listener_says_so(card: EIDCard) -> None:
    card.reach("code")
    card.wire.instead["/claim"] = Answer(403, '{"code": "login_refused", "message": "Only staff here."}')
    card.field.fill("482913")
    card.button("Confirm").click()
    card.shows("error")
    expect(card.alert).to_contain_text("Only staff here.")


# ── the client on the same device ──


def test_a_client_on_this_computer_is_opened_by_its_link(card: EIDCard) -> None:
    opened: list[str] = []
    card.page.on("request", lambda request: opened.append(request.url))
    card.open().shows("waiting")
    card.button("The eID client is on this computer").click()
    expect(card.opener).to_be_visible()
    loopback = card.wire.client_url.replace("eid:", "http:", 1)
    expect(card.opener).to_have_attribute("href", loopback)
    expect(card.status).to_contain_text("Waiting for the AusweisApp")
    assert card.wire.bodies[-1] == {"returnUrl": "/orders", "mode": "same-device"}
    assert opened.count(loopback) == 1
    expect(card.qr).to_be_hidden()
    expect(card.button("Copy link")).to_be_hidden()


def test_the_way_back_to_the_code_is_open(card: EIDCard) -> None:
    card.reach("here")
    card.button("Use another device instead").click()
    expect(card.qr).to_be_visible()
    expect(card.opener).to_be_hidden()
    assert card.wire.bodies[-1] == {"returnUrl": "/orders"}


def test_the_window_that_the_client_opened_is_the_one_that_is_logged_in(card: EIDCard) -> None:
    card.reach("here-approved")
    expect(card.status).to_contain_text("Go on in the window that the AusweisApp has opened.")
    assert card.wire.count(CLAIM) == 0
    assert card.page.url.endswith("/auth/eid")


def test_a_phone_gets_a_button_instead_of_the_code(phone: EIDCard) -> None:
    phone.open().shows("waiting")
    expect(phone.opener).to_have_attribute("href", phone.wire.client_url)
    expect(phone.qr).to_have_count(0)
    expect(phone.button("The eID client is on this computer")).to_be_hidden()
    assert phone.wire.bodies == [{"returnUrl": "/orders", "mode": "same-device"}]
    phone.button("Use another device instead").click()
    expect(phone.qr).to_be_visible()
    assert phone.wire.bodies[-1] == {"returnUrl": "/orders"}


@pytest.mark.parametrize(
    ("mode", "asked"), [("integrated", "integrated"), ("standard", "standard"), ("same-device", "same-device")]
)
def test_the_page_may_choose_the_mode(card: EIDCard, mode: str, asked: str) -> None:
    card.open().shows("waiting")
    card.page.locator("useid-eid").evaluate("(element, mode) => element.setAttribute('mode', mode)", mode)
    expect(card.root).to_have_attribute("data-mode", mode)
    card.shows("waiting")
    assert card.wire.bodies[-1] == {"returnUrl": "/orders", "mode": asked}


# ── all modes ──


def test_a_site_of_its_own_names_itself_and_its_token_address(card: EIDCard) -> None:
    card.wire.tc_token_url = "https://shop.example/eid/tctoken?session=1"
    card.wire.default_mode = "integrated"
    card.open("/auth/widget").shows("waiting")
    assert card.wire.bodies == [{"tenant": "shop", "tcTokenUrl": card.wire.tc_token_url}]
    assert card.scan().tc_token_url == card.wire.tc_token_url
    assert quote(card.wire.tc_token_url, safe="") in card.read_link()
    assert unquote(card.read_link()).count(card.wire.tc_token_url) == 1


@pytest.mark.parametrize("mode", ["standard", "integrated"])
def test_the_code_on_the_screen_is_the_link(card: EIDCard, mode: str) -> None:
    card.wire.default_mode = mode
    card.open().shows("waiting")
    drawn = card.page.evaluate(
        """async (link) => {
          const { draw, encode } = await import("/auth/widget/qrcode.js");
          return draw(document, encode(link), "x").firstChild.getAttribute("d");
        }""",
        card.read_link(),
    )
    assert card.qr.locator("path").get_attribute("d") == drawn


def test_a_failed_login_offers_the_way_back_where_there_is_one(card: EIDCard) -> None:
    card.reach("rejected")
    back = card.root.get_by_role("link", name="Back")
    expect(back).to_be_hidden()
    element = card.page.locator("useid-eid")
    element.evaluate("(element) => element.setAttribute('back', 'javascript:document.title=1')")
    expect(back).to_be_hidden()
    element.evaluate("(element) => element.setAttribute('back', '/orders')")
    expect(back).to_be_visible()
    element.evaluate("(element) => element.addEventListener('useid-back', (event) => event.preventDefault())")
    back.click()
    assert card.page.url.endswith("/auth/eid")
    card.page.locator("useid-eid").evaluate("(element) => { element.replaceWith(element.cloneNode()); }")
    card.shows("waiting")
    card.wire.move("rejected")
    card.shows("rejected")
    back.click()
    card.page.wait_for_url("**/orders")


def test_without_scripts_a_form_starts_the_login(browser: Browser, wire: EIDWire) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(wire.url + "/auth/eid")
    expect(page.locator("useid-eid")).to_be_hidden()
    wire.plain = b"<!doctype html><title>Plain</title>"
    page.get_by_role("button", name="Log in without JavaScript").click()
    assert page.title() == "Plain"
    assert page.url == f"{wire.url}/auth/eid/plain"
    assert wire.bodies == ["returnUrl=%2Forders"]
    context.close()


def test_a_removed_element_lets_go_of_stream_and_clock(card: EIDCard) -> None:
    card.page.clock.install()
    card.open().shows("waiting")
    card.page.locator("useid-eid").evaluate("(element) => element.remove()")
    card.page.evaluate("fetch('/auth/login')")
    asked = list(card.wire.asked)
    card.page.clock.run_for(400_000)
    assert card.wire.asked == asked
    assert card.wire.open_streams == 0
