"""Logins that are bound to the browser and the phone beside it, with a real ceremony: by QR code, with an ID card."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from playwright.sync_api import Locator, Page, expect

from tests.browser.bound_wire import ASSERTION, RECORD, BoundEIDWire, BoundWire, widget_key
from tests.browser.card import Card
from tests.browser.eid_wire import CLAIM, EIDCard
from tests.browser.wire import FRAMES, Answer
from useid_middleware._codec import b64url
from useid_middleware.eid.core.link import parse_link

PROCEED = "Continue with your phone"


@pytest.fixture
def wire() -> Iterator[BoundWire]:
    server = BoundWire()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def card(page: Page, wire: BoundWire) -> Card:
    page.add_init_script(RECORD)
    return Card(page, wire)


@pytest.fixture
def eid_wire() -> Iterator[BoundEIDWire]:
    server = BoundEIDWire()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def eid_card(page: Page, eid_wire: BoundEIDWire) -> EIDCard:
    return EIDCard(page, eid_wire)


def link_of(card: Card) -> str:
    """What the QR code holds, as the help below it shows."""
    return card.root.locator(".link").text_content() or ""


def proceed(card: Card) -> Locator:
    """The button that asks the phone."""
    return card.button(PROCEED)


def asked(card: Card, wire: BoundWire) -> Card:
    """The card when its phone has made its credential."""
    card.open().shows("waiting")
    wire.ask(link_of(card))
    return card.shows("authenticate")


# ── by QR code ──


def test_the_code_carries_a_key_that_is_new_for_every_login(card: Card, wire: BoundWire) -> None:
    card.open().shows("waiting")
    link = link_of(card)
    assert link.partition("#")[0] == wire.link
    assert re.fullmatch(r"key=[A-Za-z0-9_-]{43}", link.partition("#")[2])
    assert card.state()["qrData"] == link
    card.open().shows("waiting")
    assert widget_key(link_of(card)) != widget_key(link)


def test_a_code_that_turns_keeps_its_key(card: Card, wire: BoundWire) -> None:
    card.open().shows("waiting")
    before = link_of(card)
    wire.turn(FRAMES[1])
    expect(card.root.locator(".link")).to_have_text(before.replace(FRAMES[0], FRAMES[1]))
    assert FRAMES[1] in link_of(card)
    drawn = card.page.evaluate(
        """async (link) => {
          const { draw, encode } = await import("/auth/widget/qrcode.js");
          return draw(document, encode(link), "x").firstChild.getAttribute("d");
        }""",
        link_of(card),
    )
    assert card.qr.locator("path").get_attribute("d") == drawn


def test_a_login_is_finished_by_the_phone_at_hand(card: Card, wire: BoundWire) -> None:
    card.open().shows("waiting")
    sent: list[str] = []
    card.page.on("request", lambda request: sent.append(f"{request.url} {request.post_data or ''}"))
    key = b64url(widget_key(link_of(card)))
    link = link_of(card)
    wire.move("scanned")
    card.shows("scanned")
    wire.move("confirmed")
    card.shows("confirmed")
    expect(card.status).to_contain_text("Approved on your phone")
    wire.phone.come_near(card.page)
    wire.ask(link, f"{wire.url}/done?x=1&y=%C3%A4")
    card.shows("authenticate")
    expect(card.status).to_contain_text("Show that your phone is near this computer.")
    assert wire.count(ASSERTION) == 0
    proceed(card).click()
    card.page.wait_for_url(f"{wire.url}/done?x=1&y=%C3%A4")
    assert wire.count(ASSERTION) == 1
    assert wire.count(CLAIM) == 0
    assert not [each for each in sent if key in each]


def test_what_the_page_hears_of_it_is_the_address_alone_and_once(card: Card, wire: BoundWire) -> None:
    card.page.add_init_script("document.addEventListener('useid-claimed', (event) => event.preventDefault())")
    asked(card, wire)
    wire.phone.come_near(card.page)
    proceed(card).click()
    card.shows("approved")
    told: list[list[Any]] = card.page.evaluate("told")
    assert [detail for name, detail in told if name == "useid-claimed"] == [{"redirectTo": f"{wire.url}/done"}]
    statuses = [detail["status"] for name, detail in told if name == "useid-state"]
    assert list(dict.fromkeys(statuses)) == ["loading", "waiting", "authenticate", "approved"]


def test_a_page_that_was_not_told_over_the_stream_goes_by_the_answer(card: Card, wire: BoundWire) -> None:
    wire.tells = False
    asked(card, wire)
    wire.phone.come_near(card.page)
    proceed(card).click()
    card.page.wait_for_url("**/done")


def test_a_page_that_only_polls_comes_as_far(card: Card, wire: BoundWire) -> None:
    wire.mute = True
    asked(card, wire)
    wire.phone.come_near(card.page)
    proceed(card).click()
    card.page.wait_for_url("**/done")


def test_a_cancel_keeps_the_button_and_the_same_challenge(card: Card, wire: BoundWire) -> None:
    asked(card, wire)
    touch = wire.phone.come_near(card.page)
    touch.recognises(user=False)
    proceed(card).click()
    expect(card.alert).to_contain_text("Your phone was not reached")
    assert card.state()["error"]["code"] == "passkey_cancelled"
    assert (card.state()["status"], card.state()["busy"]) == ("authenticate", False)
    expect(card.status).to_contain_text("One more step")
    # The same state told anew, by another stream, does not take the alert away.
    before = card.page.evaluate("told.length")
    wire.move("authenticating")
    card.page.wait_for_function("(before) => told.length > before", arg=before)
    expect(card.alert).to_contain_text("Your phone was not reached")
    touch.recognises(user=True)
    card.button("Try again").click()
    card.page.wait_for_url("**/done")
    assert wire.count(ASSERTION) == 1


def test_a_proof_that_was_refused_ends_the_login(card: Card, wire: BoundWire) -> None:
    asked(card, wire)
    wire.phone.come_near(card.page, key=generate_private_key(SECP256R1()))
    proceed(card).click()
    card.shows("rejected")
    expect(card.alert).to_contain_text("It could not be shown that your phone is near this computer.")
    assert card.state()["error"]["code"] == "webauthn_signature_invalid"
    card.button("Try again").click()
    card.shows("waiting")


@pytest.mark.parametrize(
    ("answer", "status", "code", "words"),
    [
        (Answer(502, '{"code": "eservice_refused"}'), "rejected", "eservice_refused", "could not be verified"),
        (Answer(401, '{"code": "webauthn_origin"}'), "rejected", "webauthn_origin", "could not be shown"),
        (Answer(410, '{"code": "session_expired"}'), "expired", "session_expired", "Session expired"),
        (Answer(404, '{"code": "binding_unknown"}'), "expired", "binding_unknown", "Session expired"),
        (Answer(409, '{"code": "wrong_state"}'), "error", "wrong_state", "wrong_state"),
        (Answer(503, "{}"), "authenticate", "server_unavailable", "Server unavailable"),
        (Answer(200, "[]"), "error", "sealed_invalid", "not meant for this page"),
        (Answer(200, "null"), "authenticate", "invalid_response", "Something went wrong"),
        (
            Answer(429, '{"code": "rate_limited"}', (("Retry-After", "7"),)),
            "authenticate", "rate_limited", "Try again in 7 s.",
        ),
    ],
)  # fmt: skip
def test_every_other_answer_has_its_words(
    card: Card, wire: BoundWire, answer: Answer, status: str, code: str, words: str
) -> None:
    asked(card, wire)
    wire.phone.come_near(card.page)
    wire.instead["/assertions"] = answer
    proceed(card).click()
    expect(card.alert).to_contain_text(words)
    card.shows(status)
    assert card.state()["error"]["code"] == code
    assert not card.state()["busy"]


def test_a_login_that_runs_out_while_the_phone_is_looked_for_is_over(card: Card, wire: BoundWire) -> None:
    asked(card, wire)
    wire.phone.come_near(card.page).is_touched(touched=False)
    proceed(card).click()
    expect(card.root).to_have_attribute("aria-busy", "true")
    wire.move("expired")
    card.shows("expired")
    expect(card.root).to_have_attribute("aria-busy", "false")
    expect(card.alert).to_contain_text("Session expired")
    card.button("Get a new code").click()
    card.shows("waiting")


def test_a_browser_that_cannot_says_so_before_anything_is_scanned(card: Card, wire: BoundWire) -> None:
    card.page.add_init_script("Object.defineProperty(window, 'PublicKeyCredential', { value: undefined })")
    card.open().shows("error")
    expect(card.alert).to_contain_text("This browser cannot do it")
    assert card.state()["error"]["code"] == "unsupported"
    assert wire.count("GET /session/{id}/events") == 0


def test_a_lost_connection_does_not_take_the_button_away(card: Card, wire: BoundWire) -> None:
    asked(card, wire)
    wire.phone.come_near(card.page)
    wire.stop()
    proceed(card).click()
    expect(card.alert).to_contain_text("Network error")
    assert card.state()["status"] == "authenticate"
    wire.start()
    card.button("Try again").click()
    card.page.wait_for_url("**/done")


# ── with an ID card ──


def test_an_eid_login_is_finished_by_the_phone_at_hand(eid_card: EIDCard, eid_wire: BoundEIDWire) -> None:
    eid_card.open().shows("waiting")
    widget = parse_link(eid_card.read_link()).widget
    assert widget is not None
    assert (widget.public_key, widget.secret) == (widget_key(eid_card.read_link()), b"")
    assert eid_card.read_link().partition("#")[0] == eid_wire.link
    expect(eid_card.root.locator(".lead")).to_contain_text("Keep it near this computer.")
    expect(eid_card.root.locator(".help")).to_contain_text("Never pass it on.")
    eid_wire.phone.come_near(eid_card.page)
    eid_wire.ask(eid_card.read_link())
    proceed(eid_card.shows("authenticate")).click()
    eid_card.page.wait_for_url("**/done")
    assert eid_wire.count(ASSERTION) == 1
    assert eid_wire.count(CLAIM) == 0


def test_an_eid_login_asks_for_the_mode_that_its_page_has(eid_card: EIDCard, eid_wire: BoundEIDWire) -> None:
    eid_wire.default_mode = "standard"
    eid_card.open().shows("waiting")
    eid_card.page.locator("useid-eid").evaluate("(element) => element.setAttribute('mode', 'bound')")
    eid_card.shows("waiting")
    expect(eid_card.root).to_have_attribute("data-mode", "bound")
    assert eid_wire.bodies[-1] == {"returnUrl": "/orders", "mode": "bound"}


def test_an_eid_login_that_was_not_bound_says_why(eid_card: EIDCard, eid_wire: BoundEIDWire) -> None:
    eid_card.open().shows("waiting")
    eid_wire.reason = "binding"
    eid_wire.move("rejected")
    eid_card.shows("rejected")
    expect(eid_card.alert).to_contain_text("It could not be shown that your phone is near this computer.")
    assert eid_card.state()["error"]["code"] == "binding_refused"


def test_in_a_frame_of_another_site_the_phone_is_reached_as_well(page: Page, eid_wire: BoundEIDWire) -> None:
    eid_wire.create_extra = {}
    eid_wire.refresh_origins = [eid_wire.shop_origin]
    page.goto(f"{eid_wire.shop_origin}/shop")
    card = EIDCard(page, eid_wire, within=page.frame_locator("iframe"))
    card.shows("waiting")
    eid_wire.phone.come_near(page)
    target = f"{eid_wire.shop_origin}/refresh?token=1"
    eid_wire.ask(card.read_link(), target)
    proceed(card.shows("authenticate")).click()
    page.wait_for_url(target)
    assert eid_wire.count(ASSERTION) == 1


def test_a_frame_that_may_not_ask_for_the_phone_keeps_the_button(page: Page, eid_wire: BoundEIDWire) -> None:
    eid_wire.refresh_origins = [eid_wire.shop_origin]
    page.add_init_script("""Object.defineProperty(HTMLIFrameElement.prototype, "allow", { set() {}, get: () => "" })""")
    page.goto(f"{eid_wire.shop_origin}/shop")
    card = EIDCard(page, eid_wire, within=page.frame_locator("iframe"))
    card.shows("waiting")
    eid_wire.phone.come_near(page)
    eid_wire.ask(card.read_link())
    proceed(card.shows("authenticate")).click()
    expect(card.alert).to_contain_text("Your phone was not reached")
    assert eid_wire.count(ASSERTION) == 0
