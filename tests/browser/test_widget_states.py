"""Every state of ``<useid-login>``, every row of the flow page's error table, and the ways out of them."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.card import Card
from tests.browser.wire import FRAMES, SESSION, Answer, Wire

CREATE = "POST /session/create"
CLAIM = "POST /session/{id}/claim"


@pytest.fixture
def card(page: Page, wire: Wire) -> Card:
    return Card(page, wire)


def test_the_desktop_asks_once_and_shows_the_code(card: Card) -> None:
    card.open().shows("waiting")
    expect(card.qr).to_be_visible()
    expect(card.status).to_have_text("Waiting for your phone")
    expect(card.timer).to_contain_text("Expires in")
    state = card.state()
    assert (state["qrData"], state["sessionId"], state["frame"]) == (card.wire.link, SESSION, FRAMES[0])
    assert card.wire.bodies == [{"returnUrl": "/orders"}]
    assert card.wire.count(CREATE) == card.wire.count("GET /session/{id}/events") == 1
    assert card.wire.count("GET /session/{id}") == 0


def test_a_scan_hides_the_code_and_points_to_the_phone(card: Card) -> None:
    card.reach("scanned")
    expect(card.status).to_contain_text("Approve on your device")
    expect(card.qr).to_be_hidden()


def test_an_approval_is_claimed_at_once_and_leads_on_after_a_second_and_a_half(card: Card) -> None:
    card.page.clock.install()
    card.reach("approved")
    expect(card.status).to_contain_text("Approved!")
    assert card.wire.bodies[1:] == [{}]
    card.page.clock.pause_at(card.page.evaluate("Date.now() + 1000"))
    assert card.page.url.endswith("/auth/login")
    card.page.clock.run_for(1_500)
    card.page.wait_for_url("**/done")


def test_the_login_page_does_not_stay_in_the_history(card: Card) -> None:
    card.page.goto(card.wire.url + "/before")
    card.reach("approved")
    card.page.wait_for_url("**/done")
    card.page.go_back()
    assert card.page.url.endswith("/before")


def test_the_code_is_grouped_and_sent_as_six_digits(card: Card) -> None:
    card.reach("code")
    expect(card.field).to_be_focused()
    card.page.keyboard.type("4829")
    expect(card.field).to_have_value("482 9")
    card.page.keyboard.type("13")
    card.page.keyboard.press("Enter")
    card.shows("approved")
    assert card.wire.bodies[-1] == {"code": "482913"}


def test_the_caret_keeps_its_place_when_digits_are_mended(card: Card) -> None:
    card.reach("code")
    card.page.keyboard.type("482913")
    for key in ("ArrowLeft", "ArrowLeft", "ArrowLeft", "Backspace"):
        card.page.keyboard.press(key)
    expect(card.field).to_have_value("482 913")
    card.page.keyboard.press("Backspace")
    expect(card.field).to_have_value("489 13")
    card.page.keyboard.type("2")
    expect(card.field).to_have_value("482 913")


def test_a_pasted_code_may_carry_words_and_dashes(card: Card) -> None:
    card.reach("code")
    card.page.keyboard.insert_text("Code: 482-913.")
    expect(card.field).to_have_value("482 913")


def test_an_incomplete_code_is_not_sent(card: Card) -> None:
    card.reach("code")
    card.page.keyboard.type("4829")
    card.button("Confirm").click()
    expect(card.root.locator(".code-error")).to_have_text("Enter all six digits.")
    expect(card.field).to_be_focused()
    expect(card.field).to_have_attribute("aria-invalid", "true")
    assert card.wire.count(CLAIM) == 0


def test_a_wrong_code_tells_the_attempts_left_and_the_right_one_still_works(card: Card) -> None:
    card.reach("code-wrong")
    expect(card.root.locator(".code-error")).to_contain_text("4 attempts left.")
    assert card.state()["attemptsLeft"] == 4
    expect(card.field).to_have_attribute("aria-invalid", "true")
    card.field.fill("482913")
    card.button("Confirm").click()
    card.shows("approved")


def test_the_last_wrong_code_rejects_the_login(card: Card) -> None:
    card.wire.attempts = 1
    card.wire.code = "482913"
    card.open().shows("waiting")
    card.wire.move("approved")
    card.shows("code").field.fill("000000")
    card.button("Confirm").click()
    card.shows("rejected")
    expect(card.alert).to_contain_text("too many times")


def test_a_code_that_could_not_be_checked_stays_in_the_form(card: Card) -> None:
    card.reach("code")
    card.wire.instead["/claim"] = Answer(503)
    card.field.fill("482913")
    card.button("Confirm").click()
    expect(card.root.locator(".code-error")).to_contain_text("Server unavailable")
    expect(card.field).to_have_value("482 913")
    card.wire.instead.clear()
    card.button("Confirm").click()
    card.shows("approved")


@pytest.mark.parametrize(
    ("state", "headline", "button"),
    [("rejected", "Login rejected", "Try again"), ("expired", "Session expired", "Get a new code")],
)
def test_a_login_that_is_over_can_be_started_again(card: Card, state: str, headline: str, button: str) -> None:
    card.reach(state)
    expect(card.alert).to_contain_text(headline)
    card.button(button).click()
    card.shows("waiting")
    assert card.wire.count(CREATE) == 2


@pytest.mark.parametrize(
    ("answer", "code", "headline"),
    [
        (Answer(503, '{"code": "store_unavailable", "message": "away"}'), "server_unavailable", "Server unavailable"),
        (Answer(502, "<h1>Bad Gateway</h1>"), "server_unavailable", "Server unavailable"),
        (Answer(201, "<h1>Welcome</h1>"), "invalid_response", "Something went wrong"),
        (Answer(201, "null"), "invalid_response", "Something went wrong"),
        (Answer(201, '{"sessionId": "../x", "qrData": "tana://auth", "expiresIn": 9}'), "invalid_response", ""),
        (Answer(201, '{"sessionId": "x", "qrData": "javascript://%0af()", "expiresIn": 9}'), "invalid_response", ""),
        (Answer(201, '{"sessionId": "x", "qrData": "tana://auth"}'), "invalid_response", "Something went wrong"),
        (Answer(429, '{"code": "rate_limited", "message": "m"}', (("Retry-After", "7"),)), "rate_limited", "in 7 s"),
        (Answer(400, '{"code": "return_url_refused", "message": "m"}'), "return_url_refused", "(return_url_refused)"),
        (Answer(404, "<h1>Not Found</h1>"), "invalid_response", "Something went wrong"),
    ],
)  # fmt: skip
def test_a_login_that_cannot_start_says_why_and_can_be_tried_again(
    card: Card, answer: Answer, code: str, headline: str
) -> None:
    card.wire.instead["/create"] = answer
    card.open().shows("error")
    expect(card.alert).to_contain_text(headline)
    assert card.state()["error"]["code"] == code
    card.wire.instead.clear()
    card.button("Try again").click()
    card.shows("waiting")
    assert card.state()["error"] is None


def test_a_network_error_is_told_apart_from_a_server_that_is_down(card: Card) -> None:
    card.page.route("**/session/create", lambda route: route.abort())
    card.open().shows("error")
    expect(card.alert).to_contain_text("Network error")
    assert card.state()["error"]["code"] == "network"
    card.page.unroute("**/session/create")
    card.button("Try again").click()
    card.shows("waiting")


def test_a_failed_claim_is_repeated_without_asking_the_phone_again(card: Card) -> None:
    card.wire.instead["/claim"] = Answer(503)
    card.open().shows("waiting")
    card.wire.move("approved")
    card.shows("error")
    expect(card.alert).to_contain_text("Server unavailable")
    card.wire.instead.clear()
    card.button("Try again").click()
    card.shows("approved")
    assert (card.wire.count(CREATE), card.wire.count(CLAIM)) == (1, 2)


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (Answer(410, '{"code": "session_expired", "message": "m"}'), "expired", "Session expired"),
        (Answer(404, '{"code": "session_unknown", "message": "m"}'), "expired", "Session expired"),
        (Answer(403, '{"code": "login_refused", "message": "Only staff here."}'), "error", "Only staff here."),
        (Answer(409, '{"code": "wrong_state", "message": "m"}'), "error", "(wrong_state)"),
        (Answer(401, '{"code": "browser_cookie_missing", "message": "m"}'), "error", "Cookies are blocked"),
    ],
)  # fmt: skip
def test_a_refused_claim_leads_to_a_new_login(card: Card, answer: Answer, status: str, words: str) -> None:
    card.wire.instead["/claim"] = answer
    card.open().shows("waiting")
    card.wire.move("approved")
    card.shows(status)
    expect(card.alert).to_contain_text(words)
    card.root.locator("button.button:visible").click()
    card.shows("waiting")
    assert card.wire.count(CREATE) == 2


def test_a_login_finished_in_another_window_says_so(card: Card) -> None:
    card.open().shows("waiting")
    card.wire.move("claimed")
    card.shows("error")
    expect(card.alert).to_contain_text("another window")


def test_a_new_frame_changes_link_and_drawing_alone(card: Card) -> None:
    card.open().shows("waiting")
    before = card.qr.locator("path").get_attribute("d")
    card.wire.turn(FRAMES[1])
    expect(card.root.locator(".link")).to_have_text(card.wire.link)
    assert f"frame={FRAMES[1]}" in card.wire.link
    assert card.qr.locator("path").get_attribute("d") != before
    assert card.root.locator("a").get_attribute("href") == card.wire.link
    assert (card.state()["status"], card.state()["frame"]) == ("waiting", FRAMES[1])


def test_a_frame_that_is_none_is_ignored(card: Card) -> None:
    card.open().shows("waiting")
    card.wire.say("frame", {"frame": "x&server=evil"})
    card.wire.turn(FRAMES[1])
    expect(card.root.locator(".link")).to_have_text(card.wire.link)


def test_the_code_is_drawn_once_per_link(card: Card) -> None:
    card.open().shows("waiting")
    card.qr.evaluate("(svg) => { svg.drawnBefore = true; }")
    card.wire.say("status", card.wire.snapshot())
    card.page.locator("useid-login").evaluate("(element) => element.setAttribute('lang', 'de')")
    expect(card.status).to_have_text("Warten auf Ihr Smartphone")
    assert card.qr.evaluate("(svg) => svg.drawnBefore")


def test_the_link_opens_on_this_device_and_can_be_copied(card: Card, context: BrowserContext) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    card.open().shows("waiting")
    expect(card.root.get_by_role("link", name="Open on this device")).to_have_attribute("href", card.wire.link)
    card.button("Copy link").click()
    expect(card.announcer).to_have_text("Link copied")
    assert card.page.evaluate("navigator.clipboard.readText()") == card.wire.link


def test_without_a_clipboard_the_link_is_shown_and_selected(card: Card, context: BrowserContext) -> None:
    context.clear_permissions()
    card.page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    card.open().shows("waiting")
    expect(card.root.locator(".link")).to_be_hidden()
    card.button("Copy link").click()
    expect(card.root.locator(".link")).to_be_visible()


def test_the_link_to_this_device_is_there_only_when_asked_for(card: Card) -> None:
    card.open().shows("waiting")
    card.page.locator("useid-login").evaluate("(element) => element.removeAttribute('same-device')")
    expect(card.root.get_by_role("link")).to_have_count(0)
    expect(card.button("Copy link")).to_be_visible()


def test_a_bearer_token_is_stored_only_when_asked_for(card: Card) -> None:
    card.wire.claim_extra = {"sessionToken": "token_1", "expiresAt": "2026-11-22T02:40:00Z"}
    card.reach("approved")
    assert card.page.evaluate("({ ...localStorage })") == {}
    card.open().shows("waiting")
    card.page.locator("useid-login").evaluate("(element) => element.setAttribute('storage', 'tana')")
    card.shows("waiting")
    card.wire.move("approved")
    card.shows("approved")
    assert card.page.evaluate("({ ...localStorage })") == {
        "tana_session_token": "token_1",
        "tana_user_id": "u1",
        "tana_username": "alice",
        "tana_token_expiry": "2026-11-22T02:40:00Z",
    }


@pytest.mark.parametrize("target", ["javascript:document.title='owned'", "data:text/html,owned", "tana://auth"])
def test_a_login_leads_only_to_web_pages(card: Card, target: str) -> None:
    card.wire.redirect_to = target
    card.page.clock.install()
    card.reach("approved")
    card.page.clock.run_for(5_000)
    assert card.page.title() == "Log in to Acme Shop"
    assert card.page.url.endswith("/auth/login")


def test_a_host_app_hears_of_everything_and_may_redirect_itself(card: Card) -> None:
    card.page.clock.install()
    card.open().shows("waiting")
    card.page.evaluate(
        """() => {
          window.heard = [];
          document.addEventListener("useid-state", (event) => heard.push(event.detail.status));
          document.addEventListener("useid-qr-click", (event) => heard.push(event.detail.qrData));
          document.addEventListener("useid-claimed", (event) => {
            heard.push(event.detail.username);
            event.preventDefault();
          });
        }"""
    )
    card.qr.click()
    card.wire.move("scanned")
    card.shows("scanned")
    card.wire.move("approved")
    card.shows("approved")
    card.page.clock.run_for(5_000)
    # The stream says once more that it is waiting, at a moment of its own.
    heard = [word for word in card.page.evaluate("heard") if word != "waiting"]
    assert [heard[0], heard[1], heard[-2], heard[-1]] == [card.wire.link, "scanned", "approved", "alice"]
    assert card.page.url.endswith("/auth/login")


def test_a_removed_element_lets_go_of_stream_and_clock(card: Card) -> None:
    card.page.clock.install()
    card.open().shows("waiting")
    card.page.locator("useid-login").evaluate("(element) => element.remove()")
    card.page.evaluate("fetch('/auth/login')")
    asked = list(card.wire.asked)
    card.page.clock.run_for(400_000)
    assert card.wire.asked == asked
    assert card.wire.open_streams == 0
