"""``<useid-passkey>`` logs in and confirms: with its button, and with the passkeys that browsers offer in a field."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.passkey_wire import (
    LOGIN,
    LOGIN_OPTIONS,
    NO_AUTOFILL,
    STEP_UP,
    Authenticator,
    PasskeyCard,
    refused,
)
from tests.browser.passkey_wire import authenticator as authenticator
from tests.browser.passkey_wire import card as card
from tests.browser.passkey_wire import enrolled as enrolled
from tests.browser.passkey_wire import offered as offered
from tests.browser.passkey_wire import wire as wire
from tests.browser.session_wire import HIDEABLE, show
from tests.browser.wire import Answer

# ── logging in ──


def test_a_login_starts_with_the_button_and_leads_where_the_server_says(
    enrolled: PasskeyCard, authenticator: Authenticator
) -> None:
    enrolled.open("login").shows("ready")
    assert enrolled.wire.count(LOGIN_OPTIONS) == 0
    enrolled.button("Use a passkey").click()
    enrolled.page.wait_for_url("**/orders")
    [kept] = enrolled.wire.kept.values()
    assert kept.record.sign_count == authenticator.credentials()[0]["signCount"]
    assert enrolled.wire.said[LOGIN_OPTIONS] == [{}]
    assert enrolled.wire.said[LOGIN][0]["returnUrl"] == "/orders"


def test_the_page_may_prevent_the_redirect(enrolled: PasskeyCard) -> None:
    enrolled.open("login").shows("ready")
    enrolled.page.evaluate("addEventListener('useid-claimed', (event) => event.preventDefault())")
    enrolled.button("Use a passkey").click()
    enrolled.shows("approved")
    expect(enrolled.status).to_contain_text("You are logged in")
    expect(enrolled.root.get_by_role("button")).to_have_count(0)
    [answer] = enrolled.page.evaluate("told.filter(([name]) => name === 'useid-claimed').map(([, detail]) => detail)")
    assert answer == {
        "redirectTo": "/orders", "acr": "L2", "amr": ["pop", "hwk"], "userId": "u1", "username": "ada",
    }  # fmt: skip
    assert enrolled.page.url.endswith("/login")


def test_a_redirect_to_a_script_is_not_followed(enrolled: PasskeyCard) -> None:
    enrolled.open("login").shows("ready")
    body = '{"redirectTo": "javascript:document.title=1"}'
    enrolled.wire.instead["/passkeys/login"] = Answer(200, body)
    enrolled.button("Use a passkey").click()
    enrolled.shows("approved")
    assert enrolled.page.title() != "1"


def test_the_user_name_is_sent_for_passkeys_that_no_authenticator_lists(enrolled: PasskeyCard) -> None:
    enrolled.open("login").shows("ready")
    enrolled.field.fill(" ada ")
    enrolled.page.keyboard.press("Enter")
    enrolled.page.wait_for_url("**/orders")
    assert enrolled.wire.said[LOGIN_OPTIONS] == [{"username": "ada"}]


@pytest.fixture
def not_listed(card: PasskeyCard) -> PasskeyCard:
    """Ada's card, after she has made a passkey on a security key that does not list it."""
    card.page.add_init_script(NO_AUTOFILL)
    Authenticator(card.page, transport="usb", hasResidentKey=False)
    card.open("manage").shows("ready").add("Blue key")
    [kept] = card.wire.kept.values()
    assert kept.record.extensions.is_discoverable is False
    return card


def test_a_passkey_that_is_not_listed_is_found_by_the_user_name_among_decoys(not_listed: PasskeyCard) -> None:
    not_listed.open("login").shows("ready").field.fill("ada")
    not_listed.button("Use a passkey").click()
    not_listed.page.wait_for_url("**/orders")
    [said] = not_listed.wire.said[LOGIN]
    assert said["credential"]["response"].get("userHandle") is None


@pytest.mark.parametrize("username", ["", "somebody else"])
def test_without_its_owner_s_name_such_a_passkey_is_not_found(not_listed: PasskeyCard, username: str) -> None:
    not_listed.open("login").shows("ready").field.fill(username)
    not_listed.button("Use a passkey").click()
    not_listed.shows("cancelled")
    assert not_listed.wire.count(LOGIN) == 0


def test_a_user_who_cancels_can_try_again(enrolled: PasskeyCard, authenticator: Authenticator) -> None:
    authenticator.recognises(user=False)
    enrolled.open("login").shows("ready")
    enrolled.button("Use a passkey").click()
    enrolled.shows("cancelled")
    expect(enrolled.alert).to_contain_text("there is no passkey for this site here")
    expect(enrolled.button("Try again")).to_be_focused()
    assert enrolled.wire.count(LOGIN) == 0
    authenticator.recognises(user=True)
    enrolled.page.keyboard.press("Enter")
    enrolled.page.wait_for_url("**/orders")


def test_while_the_browser_asks_another_press_does_nothing(enrolled: PasskeyCard, authenticator: Authenticator) -> None:
    authenticator.is_touched(touched=False)
    enrolled.open("login").shows("ready")
    enrolled.button("Use a passkey").click()
    enrolled.shows("busy")
    expect(enrolled.status).to_contain_text("Follow what your browser or your device asks.")
    expect(enrolled.button("Waiting …")).to_have_attribute("aria-disabled", "true")
    enrolled.wire.await_calls(LOGIN_OPTIONS, 1)
    enrolled.button("Waiting …").click(force=True)
    enrolled.page.evaluate("fetch('/auth/home')")
    enrolled.wire.await_calls("GET /home", 1)
    assert enrolled.wire.count(LOGIN_OPTIONS) == 1


def test_a_passkey_that_the_server_does_not_know_is_signalled_and_goes(
    enrolled: PasskeyCard, authenticator: Authenticator
) -> None:
    enrolled.wire.kept.clear()
    enrolled.open("login").shows("ready")
    enrolled.button("Use a passkey").click()
    enrolled.shows("error")
    expect(enrolled.alert).to_contain_text("Passkey unknown")
    assert enrolled.state()["error"]["code"] == "webauthn_credential_unknown"
    assert authenticator.credentials() == []


@pytest.mark.parametrize("code", ["webauthn_credential_of_other", "webauthn_signature_invalid", "webauthn_sign_count"])
def test_any_other_refusal_leaves_the_authenticator_alone(
    enrolled: PasskeyCard, authenticator: Authenticator, code: str
) -> None:
    enrolled.open("login").shows("ready")
    enrolled.wire.instead["/passkeys/login"] = refused(401, code)
    enrolled.button("Use a passkey").click()
    enrolled.shows("error")
    assert enrolled.state()["error"]["code"] == code
    assert len(authenticator.credentials()) == 1


@pytest.mark.parametrize(
    ("path", "answer", "code", "said"),
    [
        ("/login/options", Answer(503), "server_unavailable", "Server unavailable"),
        ("/login/options", Answer(200, "{}"), "invalid_response", "Something went wrong"),
        (
            "/login/options",
            Answer(200, '{"ceremonyId": "c", "options": {"challenge": 1}}'),
            "invalid_response",
            "Something",
        ),
        (
            "/login/options",
            Answer(200, '{"ceremonyId": "c", "options": {"challenge": "AAAA", "rpId": "other.example"}}'),
            "origin_refused",
            "Your browser does not allow passkeys at this address.",
        ),
        ("/passkeys/login", Answer(200, '{"userId": "u1"}'), "invalid_response", "Something went wrong"),
        ("/passkeys/login", refused(404, "ceremony_unknown"), "ceremony_unknown", "Too slow"),
        (
            "/passkeys/login",
            Answer(403, '{"code": "login_refused", "message": "Only staff."}'),
            "login_refused",
            "Only staff.",
        ),
        (
            "/passkeys/login",
            Answer(429, '{"code": "rate_limited"}', (("retry-after", "7"),)),
            "rate_limited",
            "in 7 s.",
        ),
    ],
)
def test_every_failure_is_said_and_leaves_the_button(
    enrolled: PasskeyCard, path: str, answer: Answer, code: str, said: str
) -> None:
    enrolled.wire.instead[path] = answer
    enrolled.open("login").shows("ready").button("Use a passkey").click()
    enrolled.shows("error")
    expect(enrolled.alert).to_contain_text(said)
    assert enrolled.state()["error"]["code"] == code
    expect(enrolled.button("Try again")).to_be_visible()


# ── passkeys in the field ──


def test_a_passkey_picked_in_the_field_logs_in_without_the_button(
    offered: PasskeyCard, authenticator: Authenticator
) -> None:
    expect(offered.open("login").shows("ready").field).to_have_attribute("autocomplete", "username webauthn")
    offered.wire.await_calls(LOGIN_OPTIONS, 1)
    assert offered.wire.count(LOGIN) == 0
    authenticator.is_touched(touched=True)
    offered.page.reload()
    offered.page.wait_for_url("**/orders")
    assert offered.wire.said[LOGIN][0]["returnUrl"] == "/orders"


def test_the_button_takes_the_field_s_turn(offered: PasskeyCard, authenticator: Authenticator) -> None:
    offered.open("login").shows("ready")
    offered.wire.await_calls(LOGIN_OPTIONS, 1)
    authenticator.is_touched(touched=True)
    offered.button("Use a passkey").click()
    offered.page.wait_for_url("**/orders")
    assert (offered.wire.count(LOGIN_OPTIONS), offered.wire.count(LOGIN)) == (2, 1)


def test_after_a_cancelled_button_the_field_offers_again(offered: PasskeyCard, authenticator: Authenticator) -> None:
    offered.open("login").shows("ready")
    offered.wire.await_calls(LOGIN_OPTIONS, 1)
    authenticator.recognises(user=False)
    authenticator.is_touched(touched=True)
    offered.button("Use a passkey").click()
    offered.shows("cancelled")
    offered.wire.await_calls(LOGIN_OPTIONS, 3)
    offered.shows("cancelled")


def test_a_refused_passkey_from_the_field_is_said_once(offered: PasskeyCard, authenticator: Authenticator) -> None:
    offered.wire.instead["/passkeys/login"] = refused(401, "webauthn_signature_invalid")
    authenticator.is_touched(touched=True)
    offered.open("login").shows("error")
    expect(offered.alert).to_contain_text("(webauthn_signature_invalid)")
    offered.wire.instead.clear()
    assert (offered.wire.count(LOGIN_OPTIONS), offered.wire.count(LOGIN)) == (1, 1)
    offered.field.focus()
    offered.page.wait_for_url("**/orders")


def test_that_nothing_can_be_offered_is_nobody_s_worry(offered: PasskeyCard, authenticator: Authenticator) -> None:
    offered.wire.instead["/login/options"] = Answer(503)
    offered.open("login").shows("ready")
    offered.wire.await_calls(LOGIN_OPTIONS, 1)
    expect(offered.alert).to_be_empty()
    assert offered.state()["error"] is None
    offered.wire.instead.clear()
    authenticator.is_touched(touched=True)
    offered.field.focus()
    offered.page.wait_for_url("**/orders")


def test_a_challenge_is_renewed_before_its_time_is_up(offered: PasskeyCard) -> None:
    offered.page.clock.install()
    offered.open("login").shows("ready")
    offered.wire.await_calls(LOGIN_OPTIONS, 1)
    offered.page.clock.run_for(280_000)
    assert offered.wire.count(LOGIN_OPTIONS) == 1
    offered.page.clock.run_for(15_000)
    offered.wire.await_calls(LOGIN_OPTIONS, 2)
    offered.shows("ready")


def test_a_page_that_nobody_looks_at_renews_nothing_until_it_is_shown(offered: PasskeyCard) -> None:
    offered.page.add_init_script(HIDEABLE)
    offered.page.clock.install()
    offered.open("login").shows("ready")
    offered.wire.await_calls(LOGIN_OPTIONS, 1)
    show(offered.page, "hidden")
    offered.page.clock.run_for(900_000)
    offered.page.evaluate("fetch('/auth/home')")
    offered.wire.await_calls("GET /home", 1)
    assert offered.wire.count(LOGIN_OPTIONS) == 1
    show(offered.page, "visible")
    offered.wire.await_calls(LOGIN_OPTIONS, 2)


def test_the_field_can_be_the_host_page_s(offered: PasskeyCard, authenticator: Authenticator) -> None:
    offered.open("host").shows("ready")
    offered.wire.await_calls(LOGIN_OPTIONS, 1)
    expect(offered.field).to_be_hidden()
    offered.page.get_by_label("Account").fill("ada")
    authenticator.is_touched(touched=True)
    offered.button("Use a passkey").click()
    offered.page.wait_for_url("**/done")
    assert offered.wire.said[LOGIN_OPTIONS] == [{}, {"username": "ada"}]


def test_a_field_that_is_not_there_or_not_for_passkeys_is_left_alone(offered: PasskeyCard) -> None:
    offered.open("host").shows("ready")
    offered.wire.await_calls(LOGIN_OPTIONS, 1)
    field = offered.page.get_by_label("Account")
    for name in ("nothing", "account"):
        field.evaluate("(field) => (field.autocomplete = 'username')")
        offered.element.evaluate("(element, name) => element.setAttribute('for', name)", name)
        offered.shows("ready")
        field.focus()
    offered.page.evaluate("fetch('/auth/home')")
    offered.wire.await_calls("GET /home", 1)
    assert offered.wire.count(LOGIN_OPTIONS) == 1


def test_a_removed_element_lets_go_of_the_browser(offered: PasskeyCard, authenticator: Authenticator) -> None:
    offered.open("login").shows("ready")
    offered.wire.await_calls(LOGIN_OPTIONS, 1)
    offered.element.evaluate("(element) => element.remove()")
    authenticator.is_touched(touched=True)
    asked = """async () => {
      const publicKey = { challenge: new Uint8Array(32), rpId: "localhost" };
      return (await navigator.credentials.get({ publicKey })).type;
    }"""
    assert offered.page.evaluate(asked) == "public-key"
    assert offered.wire.count(LOGIN) == 0


def test_a_page_from_the_back_forward_cache_begins_anew(enrolled: PasskeyCard) -> None:
    enrolled.open("login").shows("ready")
    enrolled.page.evaluate("addEventListener('useid-claimed', (event) => event.preventDefault())")
    enrolled.button("Use a passkey").click()
    enrolled.shows("approved")
    enrolled.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    enrolled.shows("ready")
    expect(enrolled.button("Use a passkey")).to_be_visible()


# ── confirming ──


def test_a_confirmation_leads_where_the_server_says(enrolled: PasskeyCard) -> None:
    enrolled.open("confirm").shows("ready")
    expect(enrolled.page.get_by_role("heading", level=1)).to_have_text("Confirm that it is you")
    enrolled.button("Confirm with a passkey").click()
    enrolled.page.wait_for_url("**/transfer")
    assert enrolled.wire.said[STEP_UP][0]["returnUrl"] == "/transfer"
    assert enrolled.wire.count(LOGIN_OPTIONS) == 0


def test_a_confirmation_uses_a_key_that_no_authenticator_lists(card: PasskeyCard, page: Page) -> None:
    Authenticator(page, transport="usb", hasResidentKey=False)
    card.open("manage").shows("ready").add("Key ring")
    card.open("confirm").shows("ready").button("Confirm with a passkey").click()
    page.wait_for_url("**/transfer")


def test_an_account_without_passkeys_cannot_confirm(card: PasskeyCard, authenticator: Authenticator) -> None:
    card.wire.instead["/step-up/options"] = refused(409, "passkey_missing")
    card.open("confirm").shows("ready").button("Confirm with a passkey").click()
    card.shows("error")
    expect(card.alert).to_contain_text("There is no passkey for your account.")


# ── browsers that cannot ──

WITHOUT = (
    "Object.defineProperty(window, 'PublicKeyCredential', { value: undefined })",
    "delete PublicKeyCredential.parseRequestOptionsFromJSON",
    "Object.defineProperty(navigator, 'credentials', { value: undefined })",
)


@pytest.mark.parametrize("without", WITHOUT)
@pytest.mark.parametrize("path", ["login", "confirm"])
def test_a_browser_without_passkeys_is_told_so_and_asked_nothing(card: PasskeyCard, path: str, without: str) -> None:
    card.page.add_init_script(without)
    card.open(path).shows("unsupported")
    expect(card.status).to_contain_text("This browser cannot use them.")
    expect(card.root.get_by_role("button")).to_have_count(0)
    expect(card.field).to_be_hidden()
    assert card.wire.count(LOGIN_OPTIONS) == 0


def test_without_passkeys_the_list_can_still_be_tidied(offered: PasskeyCard) -> None:
    offered.page.add_init_script(WITHOUT[0])
    offered.open("manage").shows("ready")
    expect(offered.status).to_contain_text("This browser cannot use them.")
    expect(offered.button("Add a passkey")).to_have_count(0)
    offered.button("Delete Laptop").click()
    offered.dialog.get_by_role("button", name="Delete").click()
    expect(offered.status).to_contain_text("Passkey deleted")
    assert offered.wire.kept == {}


def test_an_insecure_page_says_what_is_missing(card: PasskeyCard) -> None:
    def answer(route: Route) -> None:
        route.fulfill(response=route.fetch(url=route.request.url.replace("http://shop.example", card.wire.url)))

    card.page.route("http://shop.example/**", answer)
    card.page.goto("http://shop.example/auth/login")
    card.shows("unsupported")
    expect(card.status).to_contain_text("They need a page that was loaded over https.")


def test_another_mode_makes_another_card(enrolled: PasskeyCard) -> None:
    enrolled.open("login").shows("ready")
    enrolled.element.evaluate("(element) => element.setAttribute('mode', 'manage')")
    expect(enrolled.rows).to_have_count(1)
    enrolled.element.evaluate("(element) => element.setAttribute('mode', 'unheard-of')")
    expect(enrolled.field).to_be_visible()
