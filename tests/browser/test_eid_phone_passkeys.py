"""The passkeys of the emulated phone as a person uses them: made at the end of a login, used for a computer nearby.

The computer's page is a stand-in that opens the phone's window and speaks to it, as the emulated hybrid transport does.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.browser.eid_phone import CardPhone, Served
from tests.browser.people import serious_findings, shoot
from tests.emulation.card.world import NOW
from tests.emulation.client.scripted import LINK, PASSKEY, ScriptedClient, phone
from useid_middleware._codec import un_b64url_any
from useid_middleware.emulation.client.actions import CreateCredential
from useid_middleware.emulation.client.app import EIDPhone
from useid_middleware.emulation.phone.authenticator_client import Page as Asking
from useid_middleware.emulation.phone.page import find_asset
from useid_middleware.http.asgi import Receive, Scope, Send
from useid_middleware.webauthn.core.authentication import StoredCredential, verify_authentication
from useid_middleware.webauthn.core.options import (
    Descriptor,
    ResidentKey,
    User,
    UserVerification,
    begin_authentication,
    begin_registration,
)
from useid_middleware.webauthn.core.registration import verify_registration
from useid_middleware.webauthn.core.relying_party import RelyingParty
from useid_middleware.webauthn.core.response import read_authentication, read_registration
from useid_middleware.webauthn.core.trust import AttestationPolicy

PIN: Final = "123456"
CHALLENGE: Final = sha256(b"challenge").digest()
TIME: Final = NOW.timestamp()

#: What the page does that asks. It says a wrong origin, which nobody believes.
_OPEN: Final = """
([url, options, more]) => {
  const question = { type: "useid:authenticate", id: "first", origin: "https://evil.example", options, ...more };
  window.answers = [];
  window.addEventListener("message", ({ data, origin, source }) => {
    if (origin !== new URL(url).origin) return;
    if (data.type !== "useid:ready") window.answers.push(data);
    else source.postMessage(question, origin);
  });
  window.opened = window.open(url, "", "popup,width=520,height=920");
}
"""


#: What the widget does, with the emulated hybrid transport around the browser's own.
_ASK_NEARBY: Final = """
async ([content, options]) => {
  document.head.append(Object.assign(document.createElement("meta"), { name: "useid-demo-authenticator", content }));
  await import("/hybrid.js");
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON({ ...options, hints: ["hybrid"] });
  window.made = navigator.credentials.get({ publicKey });
}
"""


async def desktop(scope: Scope, receive: Receive, send: Send) -> None:
    """The computer's page, and beside it the scripts of the emulated hybrid transport."""
    assert scope["type"] == "http"
    name = scope["path"].removeprefix("/")
    status, headers, body = find_asset(name)
    if not name:
        headers, body = [(b"content-type", b"text/html")], b"<!doctype html><html lang=en><title>Desktop</title>"
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Nearby:
    """A computer's page at ``origin``, and the phone whose passkey it asks for."""

    page: Page
    origin: str
    app: EIDPhone
    phone_url: str
    complaints: list[str] = field(default_factory=list)

    @property
    def party(self) -> RelyingParty:
        """The site, as authenticators know it."""
        return RelyingParty(id="localhost", name="Harbour", origins=frozenset({self.origin}))

    def make_passkey(self) -> StoredCredential:
        """What a bound login has left on the phone, and at the server."""
        options, state = begin_registration(
            self.party,
            User(id=b"handle", name="Harbour", display_name="Harbour"),
            challenge=CHALLENGE,
            now=TIME,
            resident_key=ResidentKey.DISCOURAGED,
        )
        request = CreateCredential(options, origin=self.origin, rp_id="localhost", account="Harbour")
        verified = verify_registration(
            read_registration(self.app.passkeys.create(request)),
            expected_state=state,
            expected_party=self.party,
            policy=AttestationPolicy(),
            is_known=False,
            now=TIME,
        )
        return StoredCredential(
            credential_id=verified.credential_id,
            public_key=verified.public_key,
            sign_count=verified.sign_count,
            user_handle=b"handle",
            is_backup_eligible=verified.is_backup_eligible,
        )

    def begin(self, stored: StoredCredential | None) -> Any:
        """What the server asks of the browser, and remembers; of nobody's passkey if there is none."""
        allow = (Descriptor(stored.credential_id if stored else bytes(32), ("hybrid",)),)
        return begin_authentication(
            self.party, challenge=CHALLENGE, now=TIME, allow=allow, user_verification=UserVerification.REQUIRED
        )

    def open(self, stored: StoredCredential | None, **more: str) -> Page:
        """The page asks: the phone's window. ``more`` are further members of the question."""
        options, _ = self.begin(stored)
        with self.page.expect_popup() as opened:
            self.page.evaluate(_OPEN, [f"{self.phone_url}authenticator", options, more])
        window = opened.value
        window.on("console", self._note)
        window.on("pageerror", lambda error: self.complaints.append(str(error)))
        return window

    def answer(self) -> dict[str, Any]:
        """The one answer that the page has got."""
        self.page.wait_for_function("window.answers.length > 0")
        [answer] = self.page.evaluate("window.answers")
        assert (answer["type"], answer["id"]) == ("useid:credential", "first")
        found: dict[str, Any] = answer
        return found

    def verify(self, credential: object, stored: StoredCredential) -> int:
        """The counter of a signature that holds."""
        return verify_authentication(
            read_authentication(credential),
            expected_state=self.begin(stored)[1],
            expected_party=self.party,
            credential=stored,
            now=TIME,
        ).sign_count

    def wait_until_closed(self, window: Page) -> None:
        if not window.is_closed():
            window.wait_for_event("close")

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Windows high enough for the whole phone."""
    context = browser.new_context(locale="en-GB", viewport={"width": 520, "height": 920})
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def nearby(page: Page) -> Iterator[Nearby]:
    """A computer and a phone."""
    app = phone()
    phone_served, site = Served(app, lifespan="on"), Served(desktop)
    origin = site.url.replace("127.0.0.1", "localhost").rstrip("/")
    page.goto(origin)
    nearby = Nearby(page, origin, app, phone_served.url)
    yield nearby
    page.goto("about:blank")
    phone_served.stop()
    site.stop()
    assert nearby.complaints == []


# ── a login leaves a passkey ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def hand(page: Page) -> Iterator[CardPhone]:
    """A phone whose logins are bound, switched on, and a link opened on it."""
    served = Served(phone(ScriptedClient(passkey=PASSKEY)), lifespan="on")
    hand = CardPhone(page, served.url)
    hand.switch_on()
    yield hand
    page.goto("about:blank")
    served.stop()


def read_card(hand: CardPhone) -> None:
    """All that comes before the passkey."""
    hand.open_link(LINK)
    hand.agree()
    hand.type(PIN)
    hand.shows("Make a passkey for this login?")


def test_a_person_sees_for_what_the_passkey_is_makes_it_and_goes_on_at_the_computer(hand: CardPhone) -> None:
    read_card(hand)
    expect(hand.page.get_by_role("heading", level=1)).to_be_focused()
    expect(hand.page.locator("#passkey-site")).to_have_text("widget.example")
    expect(hand.page.locator("#passkey-account")).to_have_text("Harbour")
    hand.shoot("passkey")
    assert serious_findings(hand.page) == []
    hand.page.get_by_role("button", name="Make the passkey").click()
    hand.shows("One step left")
    expect(hand.page.get_by_text("it asks for the passkey that this phone has just made")).to_be_visible()
    expect(hand.page.get_by_role("link", name="Back to the website")).to_be_hidden()
    hand.shoot("bound")
    assert serious_findings(hand.page) == []


def test_who_wants_no_passkey_is_told_that_the_card_was_read_and_nobody_is_logged_in(hand: CardPhone) -> None:
    read_card(hand)
    hand.page.get_by_role("button", name="Cancel").click()
    hand.shows("Cancelled")
    expect(hand.page.get_by_text("without the passkey nobody is logged in")).to_be_visible()
    expect(hand.page.get_by_text("No data was read")).to_be_hidden()


def test_the_passkey_can_be_made_by_keyboard(hand: CardPhone) -> None:
    read_card(hand)
    hand.page.keyboard.press("Tab")
    hand.page.keyboard.press("Tab")
    expect(hand.page.get_by_role("button", name="Make the passkey")).to_be_focused()
    hand.page.keyboard.press("Enter")
    hand.shows("One step left")


def test_in_german_and_in_the_dark_the_passkeys_screens_are_legible(hand: CardPhone, browser: Browser) -> None:
    context = browser.new_context(locale="de-DE", color_scheme="dark", viewport={"width": 520, "height": 920})
    page = context.new_page()
    page.goto(hand.url)
    expect(page.locator("#card-status")).to_have_text("Bereit.")
    page.get_by_label("Link", exact=True).fill(LINK)
    page.get_by_role("button", name="Öffnen").click()
    page.get_by_role("button", name="Weiter zur PIN").click()
    page.get_by_role("button", name="Ausweis ans Telefon halten").click()
    expect(page.locator("#digits")).to_be_focused()
    page.keyboard.type(PIN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Passkey für diese Anmeldung anlegen?")).to_be_visible()
    _check_dark(page, "passkey")
    page.get_by_role("button", name="Passkey anlegen").click()
    expect(page.get_by_role("heading", name="Noch ein Schritt")).to_be_visible()
    _check_dark(page, "bound")
    context.close()


def _check_dark(page: Page, name: str) -> None:
    shoot(page, f"eid-phone-de-dark-{name}")
    assert serious_findings(page, rules=["color-contrast"]) == []


# ── a computer nearby asks for it ─────────────────────────────────────────────────────────────────────────────────────


def test_a_person_sees_who_asks_and_the_page_gets_the_signature(nearby: Nearby) -> None:
    stored = nearby.make_passkey()
    window = nearby.open(stored)
    expect(window.get_by_role("heading", name="A computer nearby asks for your passkey")).to_be_focused()
    expect(window.locator("#asker")).to_have_text(nearby.origin)
    expect(window.locator("#site")).to_have_text("localhost")
    expect(window.locator("#account")).to_have_text("Harbour")
    shoot(window, "eid-phone-asked")
    assert serious_findings(window) == []
    window.get_by_role("button", name="Use the passkey").click()
    assert nearby.verify(nearby.answer()["credential"], stored) == 1
    nearby.wait_until_closed(window)


def test_nothing_is_signed_before_the_person_agrees_and_a_no_is_told(nearby: Nearby) -> None:
    stored = nearby.make_passkey()
    window = nearby.open(stored)
    window.get_by_role("button", name="Cancel").click()
    assert nearby.answer()["error"] == "NotAllowedError"
    nearby.wait_until_closed(window)
    options, _ = nearby.begin(stored)
    assert nearby.app.passkeys.find(options, page=Asking(nearby.origin)).sign_count == 0


def test_a_window_that_is_loaded_again_is_told_again_and_answers_once(nearby: Nearby) -> None:
    stored = nearby.make_passkey()
    window = nearby.open(stored)
    expect(window.get_by_role("button", name="Use the passkey")).to_be_visible()
    window.reload()
    window.get_by_role("button", name="Use the passkey").click()
    assert nearby.verify(nearby.answer()["credential"], stored) == 1


def test_a_page_that_another_one_frames_is_shown_with_it(nearby: Nearby) -> None:
    stored = nearby.make_passkey()
    window = nearby.open(stored, topOrigin="https://shop.example")
    expect(window.locator("#asker")).to_have_text(f"{nearby.origin} inside https://shop.example")
    window.get_by_role("button", name="Use the passkey").click()
    client_data = json.loads(un_b64url_any(nearby.answer()["credential"]["response"]["clientDataJSON"]))
    assert (client_data["crossOrigin"], client_data["topOrigin"]) == (True, "https://shop.example")


def test_who_asks_for_a_passkey_that_is_not_there_hears_no_when_the_person_has_read_why(nearby: Nearby) -> None:
    window = nearby.open(None)
    expect(window.get_by_role("heading", name="That did not work")).to_be_focused()
    expect(window.locator("#error-code")).to_have_text("authenticator_no_credential")
    shoot(window, "eid-phone-asked-failed")
    assert serious_findings(window) == []
    window.get_by_role("button", name="Close").click()
    assert nearby.answer()["error"] == "NotAllowedError"
    nearby.wait_until_closed(window)


def test_only_the_page_that_opened_the_window_is_heard(nearby: Nearby) -> None:
    stored = nearby.make_passkey()
    options, _ = nearby.begin(stored)
    with nearby.page.expect_popup() as opened:
        nearby.page.evaluate(
            "(url) => { window.answers = []; window.opened = window.open(url, '', 'popup') }",
            f"{nearby.phone_url}authenticator",
        )
    window = opened.value
    expect(window.get_by_role("heading", name="Your phone")).to_be_visible()
    # The window itself is not who opened it, and of what the page says only one thing is a question.
    window.evaluate("(options) => postMessage({ type: 'useid:authenticate', id: 'own', options }, '*')", options)
    nearby.page.evaluate(
        """(options) => {
          const others = [null, "text", {}, { type: "useid:authenticate", options }, { type: "x", id: "x", options }];
          for (const data of others) window.opened.postMessage(data, "*");
          addEventListener("message", ({ data }) => window.answers.push(data));
          window.opened.postMessage({ type: "useid:authenticate", id: "first", options }, "*");
        }""",
        options,
    )
    window.get_by_role("button", name="Use the passkey").click()
    assert nearby.verify(nearby.answer()["credential"], stored) == 1


def test_a_second_question_takes_the_place_of_the_first(nearby: Nearby) -> None:
    stored = nearby.make_passkey()
    window = nearby.open(stored)
    expect(window.get_by_role("button", name="Use the passkey")).to_be_visible()
    options, _ = nearby.begin(stored)
    nearby.page.evaluate(
        "(options) => window.opened.postMessage({ type: 'useid:authenticate', id: 'second', options }, '*')", options
    )
    assert nearby.answer()["error"] == "NotAllowedError"
    window.get_by_role("button", name="Use the passkey").click()
    nearby.page.wait_for_function("window.answers.length === 2")
    last = nearby.page.evaluate("window.answers[1]")
    assert last["id"] == "second"
    assert nearby.verify(last["credential"], stored) == 1


def test_the_emulated_hybrid_transport_opens_the_window_and_gets_the_signature(nearby: Nearby) -> None:
    stored = nearby.make_passkey()
    options, _ = nearby.begin(stored)
    with nearby.page.expect_popup() as opened:
        nearby.page.evaluate(_ASK_NEARBY, [f"{nearby.phone_url}authenticator", options])
    opened.value.get_by_role("button", name="Use the passkey").click()
    credential = nearby.page.evaluate("window.made.then((credential) => credential.toJSON())")
    assert nearby.verify(credential, stored) == 1
    nearby.wait_until_closed(opened.value)


def test_a_window_that_no_page_has_opened_says_so(page: Page, nearby: Nearby) -> None:
    page.goto(f"{nearby.phone_url}authenticator")
    expect(page.get_by_role("heading", name="That did not work")).to_be_visible()
    expect(page.get_by_text("No page has opened this window")).to_be_visible()


def test_in_german_and_in_the_dark_the_window_is_legible_and_narrow(nearby: Nearby, browser: Browser) -> None:
    context = browser.new_context(locale="de-DE", color_scheme="dark", viewport={"width": 320, "height": 560})
    nearby.page = context.new_page()
    nearby.page.goto(nearby.origin)
    window = nearby.open(nearby.make_passkey())
    expect(window.get_by_role("heading", name="Ein Rechner in der Nähe fragt nach Ihrem Passkey")).to_be_visible()
    expect(window.locator("html")).to_have_attribute("lang", "de")
    window.set_viewport_size({"width": 320, "height": 560})
    _check_dark(window, "asked")
    assert window.evaluate("document.documentElement.scrollWidth") == 320
    expect(window.get_by_role("button", name=re.compile("^Passkey benutzen$"))).to_be_in_viewport()
    context.close()
